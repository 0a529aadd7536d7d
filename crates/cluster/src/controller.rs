//! The controller: one log, into which every change of the cluster goes, and the one place that decides about them.
//!
//! Lives on shard 0. A command is decided and enqueued in one step against the *head* (all that is enqueued, committed
//! or not), so commands overlap without racing; each is answered once its delta is committed and every shard has it. One
//! that changes nothing was decided against the head all the same, and is answered once the head is published.
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

use crate::change::{DecodeError, Delta};
use crate::command::{Command, Reply, decide};
use crate::state::ClusterState;

/// How much of the log is read at once when it is replayed.
const REPLAY_BYTES: usize = 1 << 20;

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

/// A delta on its way. It stays in the queue until every shard has it.
struct Enqueued {
    receipt: Receipt,
    delta: Arc<Delta>,
    /// Who is answered then.
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
}

impl Controller {
    /// Reads the whole log and takes up the work.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn open(log: Rc<Partition>) -> Result<(Rc<Controller>, Vec<Arc<Delta>>), ReplayError> {
        let deltas = replay(&log).await?;
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
        });
        Ok((controller, deltas))
    }

    /// Starts publishing: `publish` is called with each committed delta, in order, and awaited before the next.
    pub fn start<F: Future<Output = ()>>(self: &Rc<Self>, publish: impl Fn(Arc<Delta>) -> F + 'static) {
        let controller = self.clone();
        let task = rt::spawn(rt::Group::Cluster, async move {
            loop {
                let first = || controller.queue.borrow().front().map(|next| (next.receipt, next.delta.clone()));
                let (receipt, delta) = controller.grown.until(first).await;
                if controller.log.settled(receipt, Acks::All).await != Settlement::Kept {
                    // What becomes of them is not known, and nothing comes after them: who waits learns that.
                    controller.queue.borrow_mut().clear();
                    return;
                }
                publish(delta.clone()).await;
                controller.published.borrow_mut().apply(&delta);
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
        let delta = Arc::new(Delta { changes });
        match append(&self.log, &delta) {
            Some(appended) => {
                let next = Enqueued { receipt: appended.receipt, delta, waiting: Vec::new() };
                self.queue.borrow_mut().push_back(next);
                self.grown.notify_all();
                Ok((reply, self.head_published()))
            }
            None => {
                *head = self.without_last_decision();
                Err(Unavailable)
            }
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
            head.apply(&enqueued.delta);
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

fn append(log: &Partition, delta: &Delta) -> Option<Appended> {
    let now = rt::unix_ms();
    let mut batch = BatchBuilder::new();
    batch.push(now, None, Some(&delta.encode()), &[]);
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

async fn replay(log: &Partition) -> Result<Vec<Arc<Delta>>, ReplayError> {
    let mut deltas = Vec::new();
    let mut next = log.log_start();
    while next < log.high_watermark() {
        let read = log.read(next, REPLAY_BYTES, true).await.map_err(|_: ReadError| ReplayError::Unreadable(next))?;
        for batch in read.batches {
            for record in records(&batch, &Limits::STORED)? {
                let record = record?;
                next = record.offset.next();
                deltas.push(Arc::new(Delta::decode(&record.value.unwrap_or_default())?));
            }
        }
    }
    Ok(deltas)
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

    struct Bench {
        _dir: DataDir,
        storage: Rc<Storage>,
        controller: Rc<Controller>,
    }

    async fn bench() -> Bench {
        let config = StorageConfig::tiny("/data");
        let dir = DataDir::open(&config, 1).await.unwrap();
        let (storage, _) = Storage::open(config, ShardId(0)).await.unwrap();
        let id = LogId { group: CONTROLLER_GROUP, topic: CONTROLLER, owner_epoch: OwnerEpoch(1) };
        let log = storage.create_log(id, LogConfig::keeping()).await.unwrap();
        let settings = Rc::new(TopicOverrides::default().config(&BrokerSettings::default()));
        let partition = Partition::open(CONTROLLER, log, NodeId(1), settings).await.unwrap();
        let (controller, _) = Controller::open(partition).await.unwrap();
        Bench { _dir: dir, storage, controller }
    }

    fn simulated<F: Future<Output = ()> + 'static>(test: impl FnOnce(Bench) -> F + 'static) {
        let mut sim = Sim::new(1, SimConfig { shards: 1, ..SimConfig::default() });
        sim.run(|| async { test(bench().await).await }).finished();
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
}
