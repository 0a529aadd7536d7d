//! A slice at work: its groups, its log, the requests that are parked in it, and its timer.
//!
//! What always holds: a verb, the append of its records and their replay are one step without an await; an answer leaves
//! only after everything appended before it is committed; when the log fails or leads elsewhere, all who wait are told, the
//! state is dropped, and whoever loads the slice next begins from the log.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ailurus_base::HashMap;
use ailurus_base::sync::{Notify, oneshot};
use ailurus_model::PartitionId;
use ailurus_partition::Partition;
use ailurus_replica::Receipt;
use ailurus_rt as rt;

use crate::clock::{Now, Tick};
use crate::config::GroupConfig;
use crate::error::GroupError;
use crate::group::{Answer, Effects, Token};
use crate::request::Refuse;
use crate::slice::Slice;
use crate::slice_log::SliceLog;

/// How long after a failed load the next one is tried.
const LOAD_RETRY: Duration = Duration::from_secs(1);

type Parked = oneshot::Sender<(Answer, Option<Receipt>)>;

/// See the module.
pub(crate) struct SliceDriver {
    id: PartitionId,
    log: SliceLog,
    config: Rc<GroupConfig>,
    /// See [`Slice::with_held`].
    held: Rc<Cell<u64>>,
    state: RefCell<State>,
    parked: RefCell<HashMap<Token, Parked>>,
    next_token: Cell<u64>,
    /// What was read to load it.
    loaded_bytes: Cell<u64>,
    /// The place of what was appended last.
    last: Cell<Option<Receipt>>,
    /// Rung when the timer has to look at its deadline again.
    alarm: Notify,
    alarm_at: Cell<Option<Tick>>,
    /// Rung when the slice has closed itself.
    attention: Rc<Notify>,
    tasks: RefCell<Vec<rt::Task<()>>>,
}

enum State {
    Loading,
    Ready(Slice),
    Closed,
}

impl SliceDriver {
    /// Begins to load the slice.
    pub(crate) fn start(
        id: PartitionId,
        partition: Rc<Partition>,
        config: Rc<GroupConfig>,
        held: Rc<Cell<u64>>,
        attention: Rc<Notify>,
        gone: impl Fn(&str) -> bool + 'static,
    ) -> Rc<Self> {
        let driver = Rc::new(SliceDriver {
            id,
            log: SliceLog::new(partition),
            config,
            held,
            state: RefCell::new(State::Loading),
            parked: RefCell::default(),
            next_token: Cell::new(0),
            loaded_bytes: Cell::new(0),
            last: Cell::new(None),
            alarm: Notify::new(),
            alarm_at: Cell::new(None),
            attention,
            tasks: RefCell::default(),
        });
        let loading = rt::spawn(rt::Group::Recovery, driver.clone().load(gone));
        driver.tasks.borrow_mut().push(loading);
        driver
    }

    /// True if it works on `partition` as it is open now, and has not closed itself.
    pub(crate) fn serves(&self, partition: &Rc<Partition>) -> bool {
        self.log.is_on(partition) && !matches!(*self.state.borrow(), State::Closed)
    }

    /// Bytes of the log that were read to load it.
    pub(crate) fn loaded_bytes(&self) -> u64 {
        self.loaded_bytes.get()
    }

    /// Ends it; `NOT_COORDINATOR` for all that is parked.
    pub(crate) fn close(&self) {
        self.drop_state(GroupError::NotCoordinator);
        self.tasks.borrow_mut().clear();
    }

    fn drop_state(&self, error: GroupError) {
        let state = self.state.replace(State::Closed);
        if let State::Ready(slice) = state {
            self.deliver(slice.close(error), None);
        }
    }

    async fn load(self: Rc<Self>, gone: impl Fn(&str) -> bool) {
        let began = rt::now();
        let (slice, bytes) = loop {
            let mut slice = Slice::with_held(self.config.clone(), self.held.clone());
            match self.log.load(|record| slice.load(now(), record)).await {
                Ok(bytes) => break (slice, bytes),
                Err(error) => {
                    tracing::error!(slice = %self.id, %error, "group state could not be loaded and will be tried again");
                    rt::sleep(LOAD_RETRY).await;
                }
            }
        };
        self.loaded_bytes.set(bytes);
        let groups = slice.group_ids().len();
        tracing::debug!(slice = %self.id, groups, bytes, took = ?began.elapsed(), "group state is loaded");
        let loaded_end = slice.offsets_end();
        *self.state.borrow_mut() = State::Ready(slice);
        // Only when it is ready: a log that refuses makes the driver close, and there must be something to close.
        let _closed = self.carry_out(|slice, now, effects| slice.loaded(now, effects));
        self.forget_topics(gone, loaded_end).await;
        let timer = rt::spawn(rt::Group::Kafka, self.clone().keep_time());
        let sweeper = rt::spawn(rt::Group::Compaction, self.clone().sweep());
        self.tasks.borrow_mut().extend([timer, sweeper]);
    }

    /// A verb whose answer it returns.
    pub(crate) async fn ask<R: Refuse>(
        &self,
        verb: impl FnOnce(&mut Slice, Now, &mut Effects) -> R,
    ) -> Result<R, GroupError> {
        let mut result = self.carry_out(verb)?;
        self.settle(&mut result).await;
        Ok(result)
    }

    /// A verb whose answer comes under a token, perhaps from a later one.
    pub(crate) async fn ask_parked(
        &self,
        verb: impl FnOnce(&mut Slice, Now, Token, &mut Effects),
    ) -> Result<Answer, GroupError> {
        let token = Token(self.next_token.get());
        self.next_token.set(token.0 + 1);
        let (sender, receiver) = oneshot::channel();
        self.parked.borrow_mut().insert(token, sender);
        if let Err(error) = self.carry_out(|slice, now, effects| verb(slice, now, token, effects)) {
            self.parked.borrow_mut().remove(&token);
            return Err(error);
        }
        let (mut answer, last) = receiver.await.map_err(|oneshot::Dropped| GroupError::NotCoordinator)?;
        self.settle_at(&mut answer, last).await;
        Ok(answer)
    }

    /// A look at the groups that waits for nothing.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Slice) -> R) -> Result<R, GroupError> {
        match &*self.state.borrow() {
            State::Ready(slice) if self.log.leads() => Ok(look(slice)),
            State::Loading => Err(GroupError::CoordinatorLoadInProgress),
            State::Ready(_) | State::Closed => Err(GroupError::NotCoordinator),
        }
    }

    /// The verb, the append of its records, their replay: one step.
    pub(crate) fn carry_out<R: Refuse>(
        &self,
        verb: impl FnOnce(&mut Slice, Now, &mut Effects) -> R,
    ) -> Result<R, GroupError> {
        self.look(|_| ())?;
        let mut state = self.state.borrow_mut();
        let State::Ready(slice) = &mut *state else { return Err(GroupError::NotCoordinator) };
        let now = now();
        let mut effects = Effects::default();
        let mut result = verb(slice, now, &mut effects);
        let records = std::mem::take(&mut effects.records);
        if !records.is_empty() {
            let appended = self.log.append(&records, now.unix_ms);
            self.last.set(appended.receipt.or(self.last.get()));
            let (kept, lost) = records.split_at(appended.count);
            if let Some(error) = appended.refused {
                effects.answers.iter_mut().for_each(|(_, answer)| answer.refuse(error));
                result.refuse(error);
                slice.append_failed(now, lost, error, &mut effects);
            }
            slice.appended(now, kept, &mut effects);
        }
        let deadline = slice.next_deadline();
        drop(state);
        if deadline.is_some_and(|deadline| self.alarm_at.get().is_none_or(|alarm| deadline < alarm)) {
            self.alarm.notify_all();
        }
        self.deliver(effects, self.last.get());
        Ok(result)
    }

    /// Hands the answers to those who wait; they still wait for the commit of what `last` stands for.
    fn deliver(&self, effects: Effects, last: Option<Receipt>) {
        for (token, answer) in effects.answers {
            let sender = self.parked.borrow_mut().remove(&token).expect("a token is answered once");
            let _nobody_waits_any_more = sender.send((answer, last));
        }
    }

    /// Waits for the commit of everything that is appended now; see [`SliceDriver::settle_at`].
    pub(crate) async fn settle(&self, answer: &mut impl Refuse) {
        self.settle_at(answer, self.last.get()).await;
    }

    /// Waits for the commit of what `last` stands for, and turns the answer into a refusal if it does not come: then what
    /// this slice believes is not what the log says, and it has to be loaded again.
    async fn settle_at(&self, answer: &mut impl Refuse, last: Option<Receipt>) {
        let Some(receipt) = last else { return };
        if let Err(error) = self.log.settled(receipt).await {
            answer.refuse(error);
            self.drop_state(error);
            self.attention.notify_all();
        }
    }

    /// Carries out deadlines, with one timer for all groups.
    async fn keep_time(self: Rc<Self>) {
        loop {
            let changed = self.alarm.notified();
            let Ok(deadline) = self.look(Slice::next_deadline) else { return };
            self.alarm_at.set(deadline);
            match deadline {
                None => changed.await,
                // Early or late makes no difference: whoever is due is looked for.
                Some(deadline) => {
                    let due = rt::Instant::from_nanos(deadline.0.saturating_mul(NANOS_PER_MS));
                    let _what_woke_us = rt::timeout(due - rt::now(), changed).await;
                }
            }
            if self.carry_out(|slice, now, effects| slice.on_time(now, effects)).is_err() {
                return;
            }
            rt::yield_if_needed().await;
        }
    }

    /// Looks for expired offsets, now and then.
    async fn sweep(self: Rc<Self>) {
        let interval = Duration::from_millis(self.config.offsets_retention_check_interval_ms);
        loop {
            rt::sleep_coarse(interval).await;
            let Ok(groups) = self.look(Slice::group_ids) else { return };
            for group in groups {
                if self.carry_out(|slice, now, effects| slice.expire(now, &group, effects)).is_err() {
                    return;
                }
                rt::yield_if_needed().await;
            }
        }
    }

    /// Removes the offsets of topics that are gone, of those before the place `before`.
    pub(crate) async fn forget_topics(&self, gone: impl Fn(&str) -> bool, before: u64) {
        let Ok(groups) = self.look(Slice::group_ids) else { return };
        for group in groups {
            let forget = |slice: &mut Slice, now, effects: &mut Effects| {
                slice.forget_topics(now, &group, &gone, before, effects)
            };
            if self.carry_out(forget).is_err() {
                return;
            }
            rt::yield_if_needed().await;
        }
    }
}

const NANOS_PER_MS: u64 = 1_000_000;

fn now() -> Now {
    Now { tick: Tick(rt::now().as_nanos() / NANOS_PER_MS), unix_ms: rt::unix_ms() }
}
