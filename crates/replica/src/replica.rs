//! The replica and its driver.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use ailurus_base::sync::{Notify, Watch};
use ailurus_model::{Acks, Index, NodeId, Offset, Term};
use ailurus_rt as rt;
use ailurus_storage::{Entry, HardState, Log, StorageError, Ticket};

/// Why a replica could not take up its work.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log could not take the term or the entry that opens it.
    #[error("the log refused the start of a term: {0}")]
    Log(#[from] StorageError),
    /// 2^31 terms are used up. Kafka's leader epoch has no room for more.
    #[error("no term is left after {0}")]
    TermsExhausted(Term),
}

/// What part the replica plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It orders the entries of its term.
    Leader,
    /// It was closed or its log failed: it neither takes nor serves anything.
    Offline,
}

/// A batch to be ordered: stamped with the offset [`Replica::next_offset`] and the term [`Replica::term`].
pub type Proposal = Entry;

/// What was proposed and enqueued: its order is fixed, its promises are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Offset of the first record.
    pub base: Offset,
    /// Offset of the last record.
    pub last: Offset,
    index: Index,
    generation: u32,
}

/// Why a proposal was not taken. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Not the leader, or closed.
    #[error("this replica does not lead")]
    NotLeader,
    /// The log refused, for lack of space or because it is offline.
    #[error(transparent)]
    Log(#[from] StorageError),
}

/// How a promise ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settlement {
    /// The promise holds.
    Kept,
    /// The entry was cut from the log by a newer leader.
    Truncated,
    /// The replica was closed or its log failed first: whether the entry survives is not known.
    Unknown,
}

/// Told of the log's new end offset when its suffix was cut.
pub type OnTruncated = Box<dyn Fn(Offset)>;

/// So many cuts are remembered; a receipt that is older than all of them counts as cut.
const CUTS_KEPT: usize = 16;

/// One member of a replicated log, on the shard that owns it.
pub struct Replica {
    log: Rc<Log>,
    node: NodeId,
    term: Term,
    role: Cell<Role>,
    committed: Cell<Index>,
    high_watermark: Watch<Offset>,
    /// Rung when commit, log start or role have changed, and at a truncation. What is only written rings the log's own
    /// bell: whoever waits for commits would be woken for nothing at each write.
    moved: Notify,
    /// The log start that `moved` was rung for last.
    told_start: Cell<Offset>,
    /// The latest cuts, each with the generation that it began.
    cuts: RefCell<VecDeque<(u32, Index)>>,
    on_truncated: RefCell<Option<OnTruncated>>,
    driver: Cell<Option<rt::Task<()>>>,
}

impl Replica {
    /// Takes up `log` as its only member: persists the next term and opens it with a control entry.
    ///
    /// Returns when that entry is committed, so all that an earlier term left in the log is committed too.
    ///
    /// # Errors
    /// [`OpenError`]: the log is offline or out of space, or no term is left.
    pub async fn open(log: Rc<Log>, node: NodeId) -> Result<Rc<Replica>, OpenError> {
        let term = next_term(&log)?;
        log.save_hard_state(HardState { term, vote: Some(node) });
        let opening = log.append(term, Entry::Control { payload: term_start(node) })?;
        let replica = Rc::new(Replica {
            high_watermark: Watch::new(log.log_start().offset),
            told_start: Cell::new(log.log_start().offset),
            committed: Cell::new(Index(log.log_start().index.0 - 1)),
            log,
            node,
            term,
            role: Cell::new(Role::Leader),
            moved: Notify::new(),
            cuts: RefCell::default(),
            on_truncated: RefCell::new(None),
            driver: Cell::new(None),
        });
        let driver = rt::spawn(rt::Group::Raft, drive(replica.clone()));
        replica.driver.set(Some(driver));
        match replica.until_committed(opening, replica.log.frontiers().generation).await {
            Settlement::Kept => Ok(replica),
            _ => Err(OpenError::Log(StorageError::Offline)),
        }
    }

    /// The log underneath, for reading.
    pub fn log(&self) -> &Rc<Log> {
        &self.log
    }

    /// This member.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The term in which it leads: Kafka's leader epoch.
    pub fn term(&self) -> Term {
        self.term
    }

    /// What part it plays now.
    pub fn role(&self) -> Role {
        self.role.get()
    }

    /// The offset that the next proposal must carry.
    pub fn next_offset(&self) -> Offset {
        self.log.end_offset()
    }

    /// Everything before this offset is committed. Never falls.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.get()
    }

    /// The first offset that is still there.
    pub fn log_start(&self) -> Offset {
        self.log.log_start().offset
    }

    /// Rung when the high watermark, the log start or the role changed.
    pub fn moved(&self) -> &Notify {
        &self.moved
    }

    /// Enqueues one batch, in one step without waiting: its place in the order is fixed when this returns.
    ///
    /// # Errors
    /// [`Refused`], and nothing was changed.
    pub fn propose(&self, base: Offset, last: Offset, entry: Proposal) -> Result<Receipt, Refused> {
        if self.role.get() != Role::Leader {
            return Err(Refused::NotLeader);
        }
        assert_eq!(base, self.next_offset(), "a proposal follows the log's end");
        let index = self.log.append(self.term, entry)?;
        let frontiers = self.log.frontiers();
        if frontiers.committable >= index {
            // From memory: nothing else will ring.
            self.advance();
        }
        Ok(Receipt { base, last, index, generation: frontiers.generation })
    }

    /// A receipt for entries that are in the log already, such as the original of a duplicate.
    pub fn receipt_of(&self, base: Offset, last: Offset) -> Receipt {
        Receipt { base, last, index: self.log.index_of(last), generation: self.log.frontiers().generation }
    }

    /// Waits for the promise that `acks` asks for. `Acks::None` asks for none.
    pub async fn settled(&self, receipt: Receipt, acks: Acks) -> Settlement {
        match acks {
            Acks::None => Settlement::Kept,
            Acks::Leader => self.until_written(receipt).await,
            Acks::All => match self.until_committed(receipt.index, receipt.generation).await {
                Settlement::Kept => self.until_acknowledgeable(receipt).await,
                other => other,
            },
        }
    }

    /// The largest term known that is not above `term` (`term` itself if it is older than all), and the offset at which
    /// the next one begins. `None` if the log has not reached `term`.
    pub fn epoch_end(&self, term: Term) -> Option<(Term, Offset)> {
        self.log.epoch_end(term)
    }

    /// Makes `offset` the first that is still there; [`Log::settled`] of the ticket says when that is durable. Never passes
    /// the high watermark.
    ///
    /// # Errors
    /// The log is offline.
    pub fn truncate_prefix(&self, offset: Offset) -> Result<Ticket, StorageError> {
        assert!(offset <= self.high_watermark(), "the log start never passes the high watermark");
        self.log.move_log_start(self.log.start_at(offset))
    }

    /// `told` hears of every cut, before anything is appended after it: what is derived from the log rolls back there.
    pub fn on_truncated(&self, told: OnTruncated) {
        *self.on_truncated.borrow_mut() = Some(told);
    }

    /// Cuts off the entries from `to` on: a newer leader has others there. Durable when it returns; whoever waits for an
    /// entry that was cut learns it at once. A group of one member never does this by itself.
    ///
    /// # Errors
    /// The log is offline.
    ///
    /// # Panics
    /// If something committed would be cut.
    pub async fn truncate_suffix(&self, to: Index) -> Result<(), StorageError> {
        assert!(to > self.committed.get(), "what is committed is never cut");
        let mut cut = pin!(self.log.truncate_suffix(to));
        // The cut itself is made by the first poll; only its flush is waited for.
        let first = poll_fn(|context| Poll::Ready(cut.as_mut().poll(context))).await;
        {
            let mut cuts = self.cuts.borrow_mut();
            cuts.push_back((self.log.frontiers().generation, to));
            if cuts.len() > CUTS_KEPT {
                cuts.pop_front();
            }
        }
        if let Some(told) = &*self.on_truncated.borrow() {
            told(self.log.end_offset());
        }
        self.moved.notify_all();
        match first {
            Poll::Ready(result) => result,
            Poll::Pending => cut.await,
        }
    }

    /// True if the entry at `index`, appended in `generation`, was cut since.
    fn was_cut(&self, index: Index, generation: u32) -> bool {
        if self.log.frontiers().generation == generation {
            return false;
        }
        let cuts = self.cuts.borrow();
        let remembered = cuts.front().is_some_and(|(first, _)| *first <= generation + 1);
        !remembered || cuts.iter().any(|(later, to)| *later > generation && *to <= index)
    }

    /// How many members hold the log.
    pub fn member_count(&self) -> usize {
        1
    }

    /// Ends the replica: no more proposals, and all who wait learn it. The log stays.
    pub fn close(&self) {
        self.role.set(Role::Offline);
        self.driver.set(None);
        self.moved.notify_all();
        self.log.progress().notify_all();
    }

    async fn until_written(&self, receipt: Receipt) -> Settlement {
        let written = || {
            let acknowledgeable = self.log.acknowledgeable();
            // Where writes are cached, what may be lost is bounded, and what is beyond is flushed first for these as well.
            let upto =
                if self.log.caches() { acknowledgeable } else { self.log.frontiers().written.max(acknowledgeable) };
            upto >= receipt.index
        };
        self.settle(self.log.progress(), receipt.index, receipt.generation, written).await
    }

    /// What is committed waits here only if it was committed from memory, and writes are no longer cached.
    async fn until_acknowledgeable(&self, receipt: Receipt) -> Settlement {
        let acknowledgeable = || self.log.acknowledgeable() >= receipt.index;
        self.settle(self.log.progress(), receipt.index, receipt.generation, acknowledgeable).await
    }

    async fn until_committed(&self, index: Index, generation: u32) -> Settlement {
        self.settle(&self.moved, index, generation, || self.committed.get() >= index).await
    }

    async fn settle(&self, bell: &Notify, index: Index, generation: u32, kept: impl Fn() -> bool) -> Settlement {
        let settled = || {
            if self.was_cut(index, generation) {
                return Some(Settlement::Truncated);
            }
            if kept() {
                return Some(Settlement::Kept);
            }
            // The log's own bell may be heard before the driver has drawn the consequence.
            (self.role.get() == Role::Offline || self.log.failed()).then_some(Settlement::Unknown)
        };
        // What holds already, as it does where writes are cached, stands in no queue.
        match settled() {
            Some(settlement) => settlement,
            None => bell.until(settled).await,
        }
    }

    /// Brings commit and high watermark up to what the log says may be committed. One member is its own majority.
    fn advance(&self) {
        let failed = self.log.failed() && self.role.replace(Role::Offline) != Role::Offline;
        let start = self.log.log_start().offset;
        let started = self.told_start.replace(start) != start;
        let committable = self.log.frontiers().committable;
        let committed = committable > self.committed.get();
        if committed {
            self.committed.set(committable);
            self.log.committed(committable);
            self.high_watermark.set(self.log.offset_after(committable));
        }
        if committed || started || failed {
            self.moved.notify_all();
        }
    }
}

/// Carries the log's progress into the replica for as long as the replica lives.
async fn drive(replica: Rc<Replica>) {
    let log = replica.log.clone();
    loop {
        let progress = log.progress().notified();
        replica.advance();
        if replica.role() == Role::Offline {
            return;
        }
        progress.await;
    }
}

/// The stored term, the log's own last term and the term of its start all bound the next one from below (S11 of the
/// safety list: entries carry their term, so appends need not persist it first).
fn next_term(log: &Log) -> Result<Term, OpenError> {
    let known = log.hard_state().term.max(log.last_term()).max(log.log_start().term);
    known.0.checked_add(1).map(Term).ok_or(OpenError::TermsExhausted(known))
}

/// Payload of the control entry that opens a term: version, then the leader's id.
fn term_start(node: NodeId) -> bytes::Bytes {
    let mut payload = vec![1u8];
    payload.extend(node.0.to_le_bytes());
    payload.into()
}
