//! The controller: one log, into which every change of the cluster goes, and the one place that decides about them.
//!
//! Lives on shard 0. A command is decided and enqueued in one step against the *head* (all that is enqueued, committed
//! or not), so commands overlap without racing; each is answered once its delta is committed and every shard has it. One
//! that changes nothing was decided against the head all the same, and is answered once the head is published.
//!
//! A start reads the whole log, so it is kept short: when the history has become a few times as long as the state, a
//! snapshot of the head is appended, and once that is committed the log begins with it.
//!
//! What always holds: deltas are published in the order of the log; what is published is committed; nobody is answered
//! out of what is not.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use ailurus_base::sync::{Notify, oneshot};
use ailurus_model::{Acks, Offset, TopicId};
use ailurus_partition::append::Origin;
use ailurus_partition::{AppendOutcome, Appended, Partition, ReadError};
use ailurus_record::{BatchBuilder, Limits, records, verify};
use ailurus_replica::{Receipt, Settlement};
use ailurus_rt as rt;
use ailurus_settings::BrokerSettings;

use crate::change::{Change, DecodeError, Delta};
use crate::command::{Command, Reply, decide};
use crate::state::ClusterState;

/// How much of the log is read at once when it is replayed.
const REPLAY_BYTES: usize = 1 << 20;

/// A snapshot is due when the history since the last one has so many times its length: so what is written is at most a
/// quarter more, and what is read at a start at most five times the state (or the state and the least history for which a
/// snapshot is written).
const SNAPSHOT_FACTOR: u64 = 4;

/// Why the controller's log could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It could not be read.
    #[error("the controller's log cannot be read at offset {0}")]
    Unreadable(Offset),
    /// It holds something that is no delta of a version we know.
    #[error(transparent)]
    Delta(#[from] DecodeError),
    /// It holds a batch that is none.
    #[error("the controller's log is malformed: {0}")]
    Batch(#[from] ailurus_record::RecordError),
}

/// The controller did not take a command, or cannot tell what became of it: ask again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unavailable;

/// What is in the log and not committed and carried out yet.
#[derive(Clone)]
enum Entry {
    /// To be published. It stays in the queue until every shard has it.
    Delta(Arc<Delta>),
    /// The log is to begin with it.
    Snapshot,
}

struct Enqueued {
    receipt: Receipt,
    entry: Entry,
    /// Who is answered when it is done.
    waiting: Vec<oneshot::Sender<()>>,
}

/// See the module's head.
pub struct Controller {
    log: Rc<Partition>,
    /// What is published.
    published: RefCell<ClusterState>,
    /// What will be, once all that is enqueued is committed.
    head: RefCell<ClusterState>,
    queue: RefCell<VecDeque<Enqueued>>,
    grown: Notify,
    publisher: Cell<Option<rt::Task<()>>>,
    lengths: Cell<Lengths>,
    /// No snapshot before the history has so many bytes.
    history_bytes_min: u64,
}

/// What a start would read.
#[derive(Clone, Copy, Default)]
struct Lengths {
    /// Bytes of the last snapshot.
    snapshot: u64,
    /// Bytes of the deltas since.
    history: u64,
}

impl Controller {
    /// Reads the log from its last snapshot on and takes up the work. There will be no snapshot before the history since
    /// has `history_bytes_min` bytes.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn open(
        log: Rc<Partition>,
        history_bytes_min: u64,
    ) -> Result<(Rc<Controller>, Vec<Arc<Delta>>), ReplayError> {
        let (deltas, lengths) = replay(&log).await?;
        let mut state = ClusterState::default();
        for delta in &deltas {
            state.apply(delta);
        }
        let controller = Rc::new(Controller {
            log,
            published: RefCell::new(state.clone()),
            head: RefCell::new(state),
            queue: RefCell::default(),
            grown: Notify::new(),
            publisher: Cell::new(None),
            lengths: Cell::new(lengths),
            history_bytes_min,
        });
        Ok((controller, deltas))
    }

    /// Starts publishing: `publish` is called with each committed delta, in order, and awaited before the next.
    pub fn start<F: Future<Output = ()>>(self: &Rc<Self>, publish: impl Fn(Arc<Delta>) -> F + 'static) {
        let controller = self.clone();
        let task = rt::spawn(rt::Group::Cluster, async move {
            loop {
                let first = || controller.queue.borrow().front().map(|next| (next.receipt, next.entry.clone()));
                let (receipt, entry) = controller.grown.until(first).await;
                if controller.log.settled(receipt, Acks::All).await != Settlement::Kept {
                    // What becomes of them is not known, and nothing comes after them: who waits learns that.
                    controller.queue.borrow_mut().clear();
                    return;
                }
                match entry {
                    Entry::Delta(delta) => {
                        publish(delta.clone()).await;
                        controller.published.borrow_mut().apply(&delta);
                    }
                    Entry::Snapshot => controller.begin_with(receipt),
                }
                let done = controller.queue.borrow_mut().pop_front().expect("only this task takes from the queue");
                for waiting in done.waiting {
                    let _nobody_waits_any_more = waiting.send(());
                }
            }
        });
        self.publisher.set(Some(task));
    }

    /// Decides `command`; answers when its changes, and all that it was decided against, are committed and published.
    ///
    /// # Errors
    /// [`Unavailable`], and the command may or may not have been carried out.
    pub async fn submit(&self, command: Command, settings: &BrokerSettings) -> Result<Reply, Unavailable> {
        let (reply, published) = self.enqueue(command, settings)?;
        match published {
            Some(published) => published.await.map(|()| reply).map_err(|_| Unavailable),
            None => Ok(reply),
        }
    }

    /// Runs to completion: decided, appended, and part of the head.
    fn enqueue(
        &self,
        command: Command,
        settings: &BrokerSettings,
    ) -> Result<(Reply, Option<oneshot::Receiver<()>>), Unavailable> {
        if !self.log.is_leader() {
            // The head may hold what was never committed: nothing is decided against it any more.
            return Err(Unavailable);
        }
        let mut head = self.head.borrow_mut();
        let (reply, changes) = decide(&mut head, command, settings, &mut new_topic_id);
        if changes.is_empty() {
            return Ok((reply, self.head_published()));
        }
        let delta = Delta { changes };
        let bytes = delta.encode();
        if !self.append(&bytes, Entry::Delta(Arc::new(delta))) {
            *head = self.without_last_decision();
            return Err(Unavailable);
        }
        let published = self.head_published();
        self.count(bytes.len(), &head);
        Ok((reply, published))
    }

    /// Puts an entry into the log and the queue; false if the log refused.
    fn append(&self, bytes: &[u8], entry: Entry) -> bool {
        let Some(Appended { receipt, .. }) = append(&self.log, bytes) else { return false };
        self.queue.borrow_mut().push_back(Enqueued { receipt, entry, waiting: Vec::new() });
        self.grown.notify_all();
        true
    }

    /// The history has become longer by `bytes`. Appends a snapshot of the head if one is due; if the log refuses it, the
    /// next command tries again.
    fn count(&self, bytes: usize, head: &ClusterState) {
        let mut lengths = self.lengths.get();
        lengths.history += bytes as u64;
        let due = lengths.history >= self.history_bytes_min.max(SNAPSHOT_FACTOR * lengths.snapshot);
        if due {
            let snapshot = Delta { changes: vec![Change::Snapshot(Box::new(head.snapshot()))] }.encode();
            if self.append(&snapshot, Entry::Snapshot) {
                lengths = Lengths { snapshot: snapshot.len() as u64, history: 0 };
            }
        }
        self.lengths.set(lengths);
    }

    /// Moves the log's start to the snapshot at `receipt`, which is committed. A crash before that is durable costs nothing
    /// but the reading: whoever replays forgets what stands before a snapshot.
    fn begin_with(&self, receipt: Receipt) {
        if let Err(error) = self.log.delete_records(receipt.base) {
            tracing::error!(%error, "the controller's log could not be shortened");
        }
    }

    /// Tells when all that is enqueued is published; `None` if it is.
    fn head_published(&self) -> Option<oneshot::Receiver<()>> {
        let mut queue = self.queue.borrow_mut();
        let (done, published) = oneshot::channel();
        queue.back_mut()?.waiting.push(done);
        Some(published)
    }

    /// The head as it was before a decision that could not be logged.
    fn without_last_decision(&self) -> ClusterState {
        let mut head = self.published.borrow().clone();
        for enqueued in self.queue.borrow().iter() {
            if let Entry::Delta(delta) = &enqueued.entry {
                head.apply(delta);
            }
        }
        head
    }

    /// Ends it. Commands that are still under way are answered with [`Unavailable`].
    pub fn close(&self) {
        self.publisher.set(None);
        self.queue.borrow_mut().clear();
        self.log.close();
    }
}

fn append(log: &Partition, bytes: &[u8]) -> Option<Appended> {
    let now = rt::unix_ms();
    let mut batch = BatchBuilder::new();
    batch.push(now, None, Some(bytes), &[]);
    let batch = verify(batch.build(), &Limits::PRODUCE).expect("a batch that was just built is right");
    match log.append(&batch, Origin::Coordinator, now) {
        AppendOutcome::Appended(appended) => Some(appended),
        AppendOutcome::Duplicate(_) => unreachable!("the controller is no idempotent producer"),
        AppendOutcome::Refused(refusal) => {
            tracing::error!(?refusal, "the controller's log refused a change");
            None
        }
    }
}

/// Random, never one of the broker's own, and never one that prints with a leading dash, which tools take for a flag.
fn new_topic_id() -> TopicId {
    loop {
        let id = TopicId(rt::random_u128());
        if id.0 > u128::from(u16::MAX) && !id.to_string().starts_with('-') {
            return id;
        }
    }
}

/// What counts of the log: its last snapshot, if there is one, and the deltas since.
async fn replay(log: &Partition) -> Result<(Vec<Arc<Delta>>, Lengths), ReplayError> {
    let (mut deltas, mut lengths) = (Vec::new(), Lengths::default());
    let mut next = log.log_start();
    while next < log.high_watermark() {
        let read = log.read(next, REPLAY_BYTES, true).await.map_err(|_: ReadError| ReplayError::Unreadable(next))?;
        for batch in read.batches {
            for record in records(&batch, &Limits::STORED)? {
                let record = record?;
                next = record.offset.next();
                let bytes = record.value.unwrap_or_default();
                let delta = Delta::decode(&bytes)?;
                if delta.snapshot().is_some() {
                    deltas.clear();
                    lengths = Lengths { snapshot: bytes.len() as u64, history: 0 };
                } else {
                    lengths.history += bytes.len() as u64;
                }
                deltas.push(Arc::new(delta));
            }
        }
    }
    Ok((deltas, lengths))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use ailurus_model::{NodeId, OwnerEpoch, ShardId};
    use ailurus_rt::sim::{Sim, SimConfig};
    use ailurus_settings::TopicOverrides;
    use ailurus_storage::{DataDir, LogConfig, LogId, Storage, StorageConfig};

    use super::*;
    use crate::change::{CONTROLLER, CONTROLLER_GROUP};
    use crate::command::{ConfigChange, ConfigResource, HowToAlter, TopicRef};
    use crate::plan::NewTopic;

    struct Bench {
        _dir: DataDir,
        storage: Rc<Storage>,
        controller: Rc<Controller>,
        history: Vec<Arc<Delta>>,
    }

    async fn bench(history_bytes_min: u64) -> Bench {
        let config = StorageConfig::tiny("/data");
        let dir = DataDir::open(&config, 1).await.unwrap();
        let (storage, _) = Storage::open(config, ShardId(0)).await.unwrap();
        let id = LogId { group: CONTROLLER_GROUP, topic: CONTROLLER, owner_epoch: OwnerEpoch(1) };
        let log = storage.create_log(id, LogConfig::keeping()).await.unwrap();
        let settings = Rc::new(TopicOverrides::default().config(&BrokerSettings::default()));
        let partition = Partition::open(CONTROLLER, log, NodeId(1), settings).await.unwrap();
        let (controller, history) = Controller::open(partition, history_bytes_min).await.unwrap();
        Bench { _dir: dir, storage, controller, history }
    }

    fn simulated<F: Future<Output = ()> + 'static>(test: impl FnOnce(Bench) -> F + 'static) {
        let mut sim = Sim::new(1, SimConfig { shards: 1, ..SimConfig::default() });
        sim.run(|| async { test(bench(u64::MAX).await).await }).finished();
    }

    async fn submitted(controller: &Controller, command: Command) -> Result<Reply, Unavailable> {
        controller.submit(command, &BrokerSettings::default()).await
    }

    #[test]
    fn commands_under_way_are_answered_when_the_log_fails() {
        simulated(|Bench { controller, .. }| async move {
            controller.start(|_| async {});
            let under_way: Vec<_> = (0..3)
                .map(|node| {
                    let controller = controller.clone();
                    rt::spawn(rt::Group::Cluster, async move {
                        submitted(&controller, Command::RegisterNode(NodeId(node))).await
                    })
                })
                .collect();
            while controller.queue.borrow().len() < 3 {
                rt::yield_now().await;
            }
            controller.log.close();
            for command in under_way {
                assert_eq!(command.await, Err(Unavailable));
            }
            // It would be no change, but what it would be no change to was never committed.
            assert_eq!(submitted(&controller, Command::RegisterNode(NodeId(0))).await, Err(Unavailable));
        });
    }

    #[test]
    fn what_could_not_be_logged_was_not_decided() {
        simulated(|Bench { controller, storage, .. }| async move {
            let settings = BrokerSettings::default();
            let (reply, _under_way) = controller.enqueue(Command::RegisterNode(NodeId(1)), &settings).unwrap();
            assert_eq!(reply, Reply::Done);
            let before = controller.head.borrow().clone();
            let mut removal = pin!(storage.remove_log(CONTROLLER_GROUP));
            // Its first step takes the log away; the replica has not heard of it yet.
            let begun = poll_fn(|context| Poll::Ready(removal.as_mut().poll(context))).await;
            assert!(begun.is_pending() && controller.log.is_leader());
            let refused = controller.enqueue(Command::RegisterNode(NodeId(2)), &settings);
            assert!(matches!(refused, Err(Unavailable)));
            assert_eq!(*controller.head.borrow(), before);
            removal.await.unwrap();
        });
    }

    fn any_command() -> Command {
        let name = || format!("t.{}", rt::random_below(6));
        match rt::random_below(5) {
            0 | 1 => {
                let partitions = Some(1 + rt::random_below(5) as i32);
                let value = rt::random_below(1000).to_string();
                let configs = [("retention.ms".to_string(), value)].into();
                Command::CreateTopics(vec![NewTopic { name: name(), partitions, configs, ..NewTopic::default() }])
            }
            2 => Command::DeleteTopics(vec![TopicRef::Name(name())]),
            3 => {
                let value = Some(rt::random_below(1000).to_string());
                let how = HowToAlter::Replace(vec![("log.retention.ms".into(), value)]);
                Command::AlterConfigs(vec![ConfigChange { resource: ConfigResource::Broker(None), how }])
            }
            _ => Command::ReserveProducerIds(10),
        }
    }

    /// Whenever it is written: the state is what it would be without it, and what a start reads stays short.
    #[test]
    fn a_snapshot_takes_the_place_of_the_history() {
        /// No delta of this test is longer.
        const DELTA_BYTES_MAX: u64 = 200;
        for history_bytes_min in [1, 60, 250, 1000, 4000] {
            let state = Rc::new(RefCell::new(ClusterState::default()));
            let mut sim = Sim::new(history_bytes_min, SimConfig { shards: 1, ..SimConfig::default() });
            let mut start = Offset::ZERO;
            for _life in 0..8 {
                let state = state.clone();
                let life = async move || {
                    let Bench { controller, history, _dir, storage } = bench(history_bytes_min).await;
                    let mut replayed = ClusterState::default();
                    history.iter().for_each(|delta| replayed.apply(delta));
                    assert_eq!(replayed, *state.borrow());
                    let Lengths { snapshot, history } = controller.lengths.get();
                    assert!(history < history_bytes_min.max(SNAPSHOT_FACTOR * snapshot) + DELTA_BYTES_MAX);
                    let register = submitted(&controller, Command::RegisterNode(NodeId(1)));
                    controller.start(move |delta| {
                        state.borrow_mut().apply(&delta);
                        async {}
                    });
                    register.await.unwrap();
                    for _ in 0..30 {
                        submitted(&controller, any_command()).await.unwrap();
                    }
                    storage.settled().await;
                    controller.log.log_start()
                };
                start = sim.run(life).finished();
                sim.crash();
            }
            assert!(start > Offset::ZERO, "it never began with a snapshot");
        }
    }
}
