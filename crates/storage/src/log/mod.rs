//! One log: what a replica appends, cuts and reads.
//!
//! What always holds:
//! - Appends, cuts, hard states and log starts reach the journal in the order of the calls, each with the next sequence.
//! - [`Frontiers`] only name what is true on this disk; a cut voids what was under way (S4).
//! - Nothing at or below `committed` is ever cut (S3), and only what is committed and durable is drained, so segments
//!   are never cut.
//! - `committed <= durable`, except where `write.caching` lets it run ahead, and never in a log of the broker's own.
//!
//! In reading order: this file for what a replica does; [`read`] for readers; [`keep`] for what the journal and the
//! drain do to it; [`spans`] for what a log needs of the journal's files.

pub(crate) mod keep;
mod read;
pub(crate) mod spans;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use ailurus_base::sync::{Notify, Semaphore};
use ailurus_model::{Index, Offset, Term};
use ailurus_rt as rt;
use bytes::Bytes;

pub use read::{FoundByTime, Read};

use crate::StorageError;
use crate::collect::Found;
use crate::config::{LogConfig, WriteCaching};
use crate::core::Core;
use crate::entry::{Entry, HardState, LogId, Ticket};
use crate::epochs::EpochTable;
use crate::frontiers::Frontiers;
use crate::journal::format::{ENTRY_HEAD_LEN, EntryHead, Kind};
use crate::journal::gather::{Due, Mark};
use crate::segment::frame::{CONTROL_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::segment::{Position, SegmentCheckpoint, SegmentSet};
use crate::tail::Tail;
use spans::Spans;

/// Where a log starts: its first index, the first offset that is served, and the term of what came before.
pub type LogStart = Position;

/// Gives what is known of producers at the log's end; see [`Log::set_state_source`].
pub type StateSource = Rc<dyn Fn() -> Bytes>;

/// Gives the producers that are still known, each with the last offset of its last batch; see
/// [`Log::set_producer_source`].
pub type ProducerSource = Rc<dyn Fn() -> Vec<(i64, Offset)>>;

/// One partition replica's log. Lives on the shard that owns it.
pub struct Log {
    id: LogId,
    core: Rc<Core>,
    pub(crate) segments: Rc<SegmentSet>,
    config: RefCell<LogConfig>,
    state: RefCell<State>,
    progress: Notify,
    /// Where this log's note is in the commit that gathers: its number and place.
    pub(crate) commit_slot: Cell<Option<(u64, usize)>>,
    /// Whoever drains the log, or writes a checkpoint of it, holds this.
    pub(crate) keeper: Rc<Semaphore>,
    /// It is loaded whole, and has come into segments since compaction last looked.
    pub(crate) drained_whole: Cell<bool>,
    state_source: RefCell<Option<StateSource>>,
    producer_source: RefCell<Option<ProducerSource>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Open,
    /// Its files failed. What it holds stays in the journal and is read again at the next start.
    Failed,
    /// Removed, or released to another shard: the kind of the entry that said so.
    Gone(Kind),
}

struct State {
    life: Life,
    /// What it holds is being written down for the next owner: nothing more is taken.
    leaving: bool,
    frontiers: Frontiers,
    committed: Index,
    start: LogStart,
    /// The last start that is durable: only what lies before it may go from the disk.
    durable_start: LogStart,
    /// Starts on their way to the disk, each with the sequence of its entry.
    starts: VecDeque<(u64, LogStart)>,
    end_offset: Offset,
    tail: Tail,
    /// What the shard's budget of tails holds for it.
    charged: u64,
    epochs: EpochTable,
    hard_state: HardState,
    /// Sequence of the last journal entry, and of the last that is durable.
    sequence: u64,
    settled: u64,
    /// Entries before it are in segments, flushed, and no longer in the tail.
    drained: Position,
    spans: Spans,
    /// Generation of the journal file that holds the last durable checkpoint, or of an older one.
    checkpoint_file: u64,
    /// Generation of the journal file that holds the durable entry with which the log ended.
    end_file: Option<u64>,
    /// Checkpoints on their way to the disk.
    checkpoints: VecDeque<(u64, SegmentCheckpoint)>,
    last_checkpoint: SegmentCheckpoint,
    /// What the last checkpoint knew of producers.
    recovered: Option<(Index, Bytes)>,
    last_append: rt::Instant,
}

impl Log {
    /// A log as recovery found it. All of it is flushed.
    pub(crate) fn assemble(
        core: &Rc<Core>,
        id: LogId,
        config: LogConfig,
        found: Found,
        segments: Rc<SegmentSet>,
        segment_checkpoint: SegmentCheckpoint,
    ) -> Rc<Self> {
        let checkpoint = found.checkpoint;
        let mut epochs = checkpoint.epochs;
        let mut tail = Tail::new(core.config.tail_chunk_bytes);
        let mut end = checkpoint.drained;
        for (sequence, frame) in found.frames {
            let header = frame.header();
            epochs.on_appended(frame.index, header.offset, frame.term, header.batch.is_none());
            end = header.end();
            tail.load(sequence, frame);
        }
        epochs.truncate_prefix(checkpoint.start.index);
        let last = Index(end.index.0 - 1);
        let state = State {
            life: if segments.failed() { Life::Failed } else { Life::Open },
            leaving: false,
            frontiers: Frontiers::all_at(last),
            committed: Index(checkpoint.drained.index.0 - 1),
            start: checkpoint.start,
            durable_start: checkpoint.start,
            starts: VecDeque::new(),
            end_offset: end.offset,
            tail,
            charged: 0,
            epochs,
            hard_state: checkpoint.hard_state,
            sequence: found.last.1,
            settled: found.last.1,
            drained: checkpoint.drained,
            spans: Spans::anywhere(last),
            checkpoint_file: 0,
            end_file: None,
            checkpoints: VecDeque::new(),
            last_checkpoint: segment_checkpoint,
            recovered: checkpoint.state,
            last_append: rt::now(),
        };
        let log = Rc::new(Log {
            id,
            core: core.clone(),
            segments,
            config: RefCell::new(config),
            state: RefCell::new(state),
            progress: Notify::new(),
            commit_slot: Cell::new(None),
            drained_whole: Cell::new(false),
            keeper: Semaphore::new(1),
            state_source: RefCell::new(None),
            producer_source: RefCell::new(None),
        });
        log.charge(&mut log.state.borrow_mut());
        log
    }

    /// Its names.
    pub fn id(&self) -> LogId {
        self.id
    }

    /// What it is told now.
    pub fn config(&self) -> LogConfig {
        self.config.borrow().clone()
    }

    /// Tells it something else; counts from the next append and the next cleaning on. Where write caching ends
    /// or its limits change, what it left in memory is flushed at once; where it begins, what still waits for its flush
    /// need not any more.
    pub fn set_config(&self, config: LogConfig) {
        self.segments.set_config(config.clone());
        let before = self.write_caching();
        *self.config.borrow_mut() = config;
        if before.is_some() && self.write_caching() != before {
            self.core.journal.hasten();
        }
    }

    /// How batches may be acknowledged from memory, if they may. Never those of the broker itself: groups and the
    /// controller rely on what they were told.
    fn write_caching(&self) -> Option<WriteCaching> {
        let config = self.config.borrow();
        config.write_caching.filter(|_| !config.internal)
    }

    /// Puts one entry at the log's end: into the tail and into the shard's next commit. Never waits.
    ///
    /// Returns its last index. It is durable when [`Frontiers::durable`] has reached that, in the same generation, and may
    /// be committed when [`Frontiers::committable`] has: with `write.caching` that is so when this returns, as long as
    /// little enough is waiting for its flush. [`Log::progress`] does not ring for that, or each append from memory would wake
    /// whoever follows the log: the caller looks, and draws the consequence in the same step.
    ///
    /// # Errors
    /// [`StorageError::Full`] (clients' batches only), [`StorageError::Offline`], [`StorageError::TooLarge`]; nothing was
    /// changed.
    ///
    /// # Panics
    /// If a batch does not carry the log's end offset, or the term is older than the log's last.
    pub fn append(self: &Rc<Self>, term: Term, entry: Entry) -> Result<Index, StorageError> {
        self.check_open()?;
        self.check_size(&entry)?;
        if matches!(entry, Entry::Batch { .. }) && self.core.full.get() && !self.config.borrow().internal {
            return Err(StorageError::Full);
        }
        let (kind, index, payload, offset) = self.push(term, entry);
        match (offset, self.write_caching()) {
            (Some(offset), _) => _ = self.journal(kind, term, index, &[&offset.0.to_le_bytes(), &payload]),
            (None, None) => _ = self.journal(kind, term, index, &[&payload]),
            (None, Some(caching)) => self.journal_cached(&caching, term, index, &payload),
        }
        Ok(self.state.borrow().frontiers.appended)
    }

    /// Puts a batch that was just pushed into a commit for which nobody has to wait, if the bounds of write caching allow
    /// it; else it waits for its flush like any other.
    fn journal_cached(self: &Rc<Self>, caching: &WriteCaching, term: Term, index: Index, payload: &[u8]) {
        let (unflushed, due) = {
            let state = self.state.borrow();
            let unflushed = state.frontiers.appended.0 - state.frontiers.durable.0;
            (unflushed.unsigned_abs(), Due::By(state.last_append + caching.flush_after))
        };
        let bytes = self.core.journal.unflushed_bytes() + (ENTRY_HEAD_LEN + payload.len()) as u64;
        let cached = bytes <= self.core.config.write_caching_bytes_max && unflushed < caching.flush_records;
        let due = if cached { due } else { Due::Now };
        self.journal_by(due, Kind::Batch, term, index, &[payload]);
        if cached {
            self.state.borrow_mut().frontiers.on_cached();
        }
    }

    /// Takes the entry into the tail and all positions; the offset of a control entry comes back too.
    fn push(&self, term: Term, entry: Entry) -> (Kind, Index, Bytes, Option<Offset>) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let (index, offset, sequence) = (state.frontiers.appended.next(), state.end_offset, state.sequence + 1);
        let before = state.tail.cost();
        let pushed = match entry {
            Entry::Batch { header, bytes } => {
                assert_eq!(Offset(header.base_offset), offset, "a batch carries the log's end offset");
                assert_eq!(header.size_in_bytes(), bytes.len(), "a batch is as long as its header says");
                state.epochs.on_appended(index, offset, term, false);
                let payload = state.tail.push_batch(sequence, term, index, &header, &bytes);
                state.frontiers.on_appended(index.plus(header.offsets_count() - 1));
                state.end_offset = header.next_offset();
                (Kind::Batch, index, payload, None)
            }
            Entry::Control { payload } => {
                state.epochs.on_appended(index, offset, term, true);
                let payload = state.tail.push_control(sequence, term, index, offset, &payload);
                state.frontiers.on_appended(index);
                (Kind::Control, index, payload, Some(offset))
            }
        };
        state.last_append = rt::now();
        self.charge(state);
        if state.tail.cost() >= self.core.config.drain_bytes && before < self.core.config.drain_bytes {
            self.core.ring();
        }
        pushed
    }

    /// How far it has come.
    pub fn frontiers(&self) -> Frontiers {
        self.state.borrow().frontiers
    }

    /// How far appends may be acknowledged now. What was acknowledged from memory while writes were cached is not
    /// acknowledged again (to the producer of a duplicate) before it is flushed, if they no longer are.
    pub fn acknowledgeable(&self) -> Index {
        let frontiers = self.frontiers();
        if self.write_caching().is_some() { frontiers.committable } else { frontiers.durable }
    }

    /// Whether appends may be acknowledged from memory now.
    pub fn caches(&self) -> bool {
        self.write_caching().is_some()
    }

    /// Whether what it acknowledged may be missing: it acknowledges from memory, and was found as a crash had left it.
    pub fn may_have_lost(&self) -> bool {
        self.caches() && !self.core.found_clean
    }

    /// Rung when written or durable move, at a truncation, when the log start moves and when the log fails. Not when an
    /// append moves [`Frontiers::committable`]; see [`Log::append`].
    pub fn progress(&self) -> &Notify {
        &self.progress
    }

    /// The replica says that everything up to `upto` is committed: it may be drained and will never be cut.
    pub fn committed(&self, upto: Index) {
        let mut state = self.state.borrow_mut();
        let committable = state.frontiers.committable;
        assert!(upto <= committable, "committed {upto}, but only what is up to {committable} may be");
        state.committed = state.committed.max(upto);
    }

    /// The term and vote that consensus saved last.
    pub fn hard_state(&self) -> HardState {
        self.state.borrow().hard_state
    }

    /// Saves term and vote in order with the entries. [`Log::settled`] says when they are durable (S11).
    pub fn save_hard_state(self: &Rc<Self>, hard_state: HardState) -> Ticket {
        if self.state.borrow().leaving {
            return Ticket::NEVER;
        }
        self.state.borrow_mut().hard_state = hard_state;
        let vote = hard_state.vote.map_or(-1, |node| node.0).to_le_bytes();
        self.journal(Kind::HardState, hard_state.term, Index::ZERO, &[&vote])
    }

    /// Returns when everything up to `ticket` is durable.
    ///
    /// # Errors
    /// [`StorageError::Offline`]: the log was removed or the storage shut down first; whether it is durable is not known.
    pub async fn settled(&self, ticket: Ticket) -> Result<(), StorageError> {
        let settled = || {
            let state = self.state.borrow();
            let gone = ticket == Ticket::NEVER || matches!(state.life, Life::Gone(_)) || self.core.journal.is_closed();
            (state.settled >= ticket.0).then_some(Ok(())).or(gone.then_some(Err(StorageError::Offline)))
        };
        self.progress.until(settled).await
    }

    /// Where it starts.
    pub fn log_start(&self) -> LogStart {
        self.state.borrow().start
    }

    /// Makes `start` the log's start ([`Log::start_at`] gives it). It is durable when this returns; files before it go in
    /// the background. One that is not further than the present start changes nothing, and waits until that is durable.
    ///
    /// # Errors
    /// [`StorageError::Offline`].
    ///
    /// # Panics
    /// If it lies behind what is committed.
    pub async fn set_log_start(self: &Rc<Self>, start: LogStart) -> Result<(), StorageError> {
        let ticket = self.move_log_start(start)?;
        self.settled(ticket).await
    }

    /// [`Log::set_log_start`] without the wait: [`Log::settled`] of the ticket says when a start that is at least as far
    /// is durable.
    ///
    /// # Errors
    /// [`StorageError::Offline`].
    ///
    /// # Panics
    /// If it lies behind what is committed.
    pub fn move_log_start(self: &Rc<Self>, start: LogStart) -> Result<Ticket, StorageError> {
        self.check_open()?;
        let committed = self.state.borrow().committed;
        assert!(start.offset <= self.offset_after(committed), "the log start never passes what is committed");
        let start = if start.index > committed.next() { self.start_at(start.offset) } else { start };
        {
            let mut state = self.state.borrow_mut();
            if start.offset <= state.start.offset {
                // Somebody else's move may still be on its way to the disk; what is durable has nothing to wait for.
                let under_way = state.starts.iter().find(|(_, moved)| start.offset <= moved.offset);
                return Ok(Ticket(under_way.map_or(0, |(sequence, _)| *sequence)));
            }
            state.start = start;
            state.epochs.truncate_prefix(start.index);
        }
        let ticket = self.journal(Kind::TruncatePrefix, start.term, start.index, &[&start.offset.0.to_le_bytes()]);
        self.state.borrow_mut().starts.push_back((ticket.0, start));
        self.progress.notify_all();
        Ok(ticket)
    }

    /// Cuts off the entries from `to` on. What follows may be appended at once: the cut precedes it in the journal.
    /// It is durable when this returns.
    ///
    /// # Errors
    /// [`StorageError::Offline`].
    ///
    /// # Panics
    /// If something committed would be cut (S3), or `to` lies inside an entry.
    pub async fn truncate_suffix(self: &Rc<Self>, to: Index) -> Result<(), StorageError> {
        self.check_open()?;
        if !self.cut(to) {
            return Ok(());
        }
        let term = self.last_term();
        let ticket = self.journal(Kind::TruncateSuffix, term, to, &[]);
        self.progress.notify_all();
        self.settled(ticket).await
    }

    fn cut(&self, to: Index) -> bool {
        let mut state = self.state.borrow_mut();
        assert!(to > state.committed, "cutting at {to} would lose what is committed up to {}", state.committed);
        if to > state.frontiers.appended {
            return false;
        }
        state.tail.truncate_suffix(to);
        let end = state
            .tail
            .entries()
            .back()
            .map_or((state.drained.index, state.drained.offset), |entry| (entry.last.next(), entry.end_offset));
        assert_eq!(end.0, to, "a cut falls between entries");
        state.end_offset = end.1;
        state.epochs.truncate_suffix(to);
        state.spans.on_truncated(to);
        state.frontiers.on_truncated(Index(to.0 - 1));
        if state.recovered.as_ref().is_some_and(|(index, _)| *index >= to) {
            state.recovered = None;
        }
        self.charge(&mut state);
        true
    }

    /// The offset of the next record.
    pub fn end_offset(&self) -> Offset {
        self.state.borrow().end_offset
    }

    /// The term of the last entry; of what came before the log start if there is none.
    pub fn last_term(&self) -> Term {
        let state = self.state.borrow();
        state.epochs.latest().unwrap_or(state.start.term)
    }

    /// The index at which the record with this offset stands.
    pub fn index_of(&self, offset: Offset) -> Index {
        let state = self.state.borrow();
        state.epochs.index_of(offset, state.start)
    }

    /// The offset of the first record behind `index`.
    pub fn offset_after(&self, index: Index) -> Offset {
        let state = self.state.borrow();
        state.epochs.offset_after(index, state.start)
    }

    /// The term of the record at `offset`.
    pub fn term_of(&self, offset: Offset) -> Term {
        let state = self.state.borrow();
        state.epochs.term_of(offset).unwrap_or(state.start.term)
    }

    /// The log start that lies at `offset`: before control entries there that are not committed yet.
    pub fn start_at(&self, offset: Offset) -> LogStart {
        let state = self.state.borrow();
        let index = state.epochs.index_of(offset, state.start).min(state.committed.next());
        LogStart { index, offset, term: state.epochs.term_before(index).unwrap_or(state.start.term) }
    }

    /// Kafka's OffsetForLeaderEpoch, as [`EpochTable::end_offset_for`] answers it.
    pub fn epoch_end(&self, term: Term) -> Option<(Term, Offset)> {
        let state = self.state.borrow();
        state.epochs.end_offset_for(term, state.start.offset, state.end_offset)
    }

    /// `source` is asked when a checkpoint is written, and gives what is known of producers at the log's end at that
    /// moment. It must not wait, nor call the log.
    pub fn set_state_source(&self, source: StateSource) {
        *self.state_source.borrow_mut() = Some(source);
    }

    /// `source` is asked when a compaction begins: the last batch of a producer that is still known is never removed
    /// whole. Without it the log is not compacted. It must not wait, nor call the log.
    pub fn set_producer_source(&self, source: ProducerSource) {
        *self.producer_source.borrow_mut() = Some(source);
    }

    /// What the last checkpoint knew of producers, and the last index it had seen; entries behind that are to be replayed.
    pub fn recovered_state(&self) -> Option<(Index, Bytes)> {
        self.state.borrow().recovered.clone()
    }

    /// Bytes in segments and in the tail.
    pub fn size_bytes(&self) -> u64 {
        self.segments.size_bytes() + self.state.borrow().tail.cost()
    }

    /// True if its files failed or it is gone: it takes nothing and serves nothing until it is opened again.
    pub fn failed(&self) -> bool {
        self.state.borrow().life != Life::Open
    }

    /// The tail has changed: the shard's budget takes it in. What cannot be drained until the next start does not count,
    /// or one failed log would make the producers of all others wait for ever.
    fn charge(&self, state: &mut State) {
        let cost = if state.life == Life::Open { state.tail.cost() } else { 0 };
        self.core.tail_changed(state.charged, cost);
        let before = std::mem::replace(&mut state.charged, cost);
        if self.is_loaded_whole() && (before..cost).contains(&(self.drain_bytes() - 1)) {
            self.core.ring();
        }
    }

    fn is_gone(&self) -> bool {
        matches!(self.state.borrow().life, Life::Gone(_))
    }

    fn check_open(&self) -> Result<(), StorageError> {
        let refuses = self.failed() || self.state.borrow().leaving || self.core.journal.is_closed();
        if refuses { Err(StorageError::Offline) } else { Ok(()) }
    }

    fn check_size(&self, entry: &Entry) -> Result<(), StorageError> {
        let (bytes, max) = match entry {
            Entry::Batch { bytes, .. } => (bytes.len(), PAYLOAD_BYTES_MAX as usize),
            Entry::Control { payload } => (payload.len(), CONTROL_BYTES_MAX as usize - 8),
        };
        if bytes > max { Err(StorageError::TooLarge { bytes, max }) } else { Ok(()) }
    }

    /// Gives an entry of this log the next sequence and puts it into the shard's next commit. Nothing follows the entry that
    /// ended the log: a ticket for it never settles.
    fn journal(self: &Rc<Self>, kind: Kind, term: Term, index: Index, payload: &[&[u8]]) -> Ticket {
        self.journal_by(Due::Now, kind, term, index, payload)
    }

    /// The same for an entry that is to be on its way when it is `due`.
    fn journal_by(self: &Rc<Self>, due: Due, kind: Kind, term: Term, index: Index, payload: &[&[u8]]) -> Ticket {
        if self.is_gone() {
            return Ticket::NEVER;
        }
        let head = self.head(self.next_sequence(), kind, term, index, payload);
        self.journal_as(&head, payload, None, due);
        Ticket(head.sequence)
    }

    fn next_sequence(&self) -> u64 {
        let mut state = self.state.borrow_mut();
        state.sequence += 1;
        state.sequence
    }

    fn head(&self, sequence: u64, kind: Kind, term: Term, index: Index, payload: &[&[u8]]) -> EntryHead {
        let len = payload.iter().map(|part| part.len()).sum::<usize>();
        EntryHead {
            len: u32::try_from(len).expect("entries are bounded far below 4 GiB"),
            kind,
            owner_epoch: self.id.owner_epoch,
            group: self.id.group,
            sequence,
            term,
            index,
        }
    }

    /// Puts an entry with a head of its own (with an older sequence, when it is carried forward) into the next commit.
    fn journal_as(self: &Rc<Self>, head: &EntryHead, payload: &[&[u8]], carried: Option<(u64, Index)>, due: Due) {
        let mark = {
            let state = self.state.borrow();
            Mark {
                generation: state.frontiers.generation,
                upto: state.frontiers.appended,
                sequence: state.sequence,
                drained: (head.kind == Kind::Checkpoint).then_some(head.index),
                carried,
                ended: matches!(head.kind, Kind::GroupRemoved | Kind::GroupReleased),
            }
        };
        self.core.journal.append(self, head, payload, mark, due);
    }
}
