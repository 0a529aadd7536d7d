//! Bringing a node up and down.
//!
//! Up: storage on every shard finds its logs; shard 0 opens the controller's log and reads the state of the cluster;
//! every partition of this node gets a shard (the one where its log was found, if any); what is left of deleted ones is
//! removed; all shards take the state in and open their partitions. Down: the same in reverse.
//!
//! What always holds: nothing is removed on the word of a history that is not whole. A node that was up before has its
//! identity and its controller's log, or it does not start.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ailurus_model::{GroupId, NodeId, OwnerEpoch, ShardId, TopicIdPartition};
use ailurus_partition::Partition;
use ailurus_rt::{self as rt, Lane, Sharded};
use ailurus_settings::{BrokerSettings, TopicOverrides};
use ailurus_storage::{DataDir, LogConfig, LogId, Storage, StorageError};

use crate::change::{CONTROLLER, CONTROLLER_GROUP, Change, Delta};
use crate::cluster::{Cluster, ClusterOptions};
use crate::command::Command;
use crate::controller::{Controller, ReplayError, Unavailable};
use crate::identity::{Identity, IdentityError};
use crate::state::ClusterState;

/// `segment.bytes` of the controller's log.
const CONTROLLER_SEGMENT_BYTES: u64 = 4 << 20;
/// How long a stop waits for partitions that are just being opened or removed.
const INSIDE_MAX: Duration = Duration::from_secs(10);

/// Why a node did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Who this node is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The controller's log.
    #[error("the controller's log could not be opened: {0}")]
    Open(#[from] ailurus_partition::OpenError),
    /// The controller's log.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The controller's log is gone from a directory in which it was.
    #[error(
        "the controller's log, which says what topics there are, is missing from the data directory; \
         part of journal/0 or of topics/ was removed or never copied"
    )]
    HistoryMissing,
    /// The controller's log took no entry.
    #[error("the controller's log could not be written")]
    Unavailable,
}

/// Brings the node up; called on shard 0. When it returns, all partitions that can be opened are open.
///
/// # Errors
/// [`StartError`].
pub async fn start(options: ClusterOptions) -> Result<Sharded<Cluster>, StartError> {
    assert_eq!(rt::this_shard(), ShardId(0), "the controller lives on shard 0");
    let data_dir = Rc::new(DataDir::open(&options.storage, rt::shard_count()).await?);
    let (dir, wanted) = (options.storage.dir.clone(), wanted_node(options.settings.config().node_id));
    let kept = Identity::load(&dir, wanted).await?;
    let is_new = kept.is_none();
    let identity = kept.unwrap_or_else(|| Identity::invent(wanted));
    let of_service = identity.clone();
    let cluster = Sharded::start(move |shard| Cluster::new(shard, of_service.clone(), options.clone())).await;
    let local = cluster.local();
    // Held from here on, also by a start that fails: storage runs until the process ends.
    *local.data_dir.borrow_mut() = Some(data_dir.clone());
    let logs = open_storage(cluster).await?;
    let history = local.open_controller(is_new).await?;
    let state = state_of(&history);
    let leftovers = data_dir.logs_except(kept_logs(&state, &logs)).await?;
    if is_new {
        check_unused(&identity, &state, !leftovers.is_empty() || logs.iter().any(is_users))?;
    }
    if let Err(error) = data_dir.remove_logs(leftovers).await {
        tracing::error!(%error, "files of deleted partitions could not be removed");
    }
    let placed = place_all(&state, &logs);
    let (history, placed) = (Arc::new(history), Arc::new(placed));
    cluster
        .map_async(Lane::Cluster, move |local: Rc<Cluster>| {
            let (history, placed) = (history.clone(), placed.clone());
            async move { local.take_up(&history, &placed).await }
        })
        .await;
    local.start_controller();
    local.submit(Command::RegisterNode(local.node())).await.map_err(|Unavailable| StartError::Unavailable)?;
    if is_new {
        identity.keep(&dir).await?;
    }
    Ok(cluster)
}

/// Has all shards flush what was appended, as soon as they can and ahead of what [`stop`] does first. Nothing is waited
/// for: on a full disk it may never come.
pub fn hasten(cluster: Sharded<Cluster>) {
    let flush = |local: Rc<Cluster>| {
        // The storage alone: the service may be gone before it is done.
        let storage = local.storage().clone();
        async move { storage.settled().await }
    };
    for shard in 0..rt::shard_count() {
        drop(cluster.on_async(ShardId(shard), Lane::Cluster, flush));
    }
}

/// Brings the node down: partitions first, then the controller, then storage, flushed and marked as clean.
pub async fn stop(cluster: Sharded<Cluster>) {
    let local = cluster.local();
    cluster.map_async(Lane::Cluster, |local: Rc<Cluster>| async move { local.close_partitions().await }).await;
    if let Some(controller) = local.controller.borrow_mut().take() {
        controller.close();
    }
    drop(local);
    // Reports of leaders that nobody waits for may still be on their way: a round behind them, from each shard to all.
    let behind = move |_: Rc<Cluster>| async move { cluster.map(Lane::Cluster, |_: &Rc<Cluster>| ()).await };
    cluster.map_async(Lane::Cluster, behind).await;
    let shut = |local: Rc<Cluster>| async move { local.storage().shutdown().await };
    cluster.map_async(Lane::Cluster, shut).await;
    cluster.stop().await;
}

/// A log that storage found, and where.
type FoundLog = (GroupId, TopicIdPartition, ShardId);

/// Opens storage on all shards; the logs in their journals.
async fn open_storage(cluster: Sharded<Cluster>) -> Result<Vec<FoundLog>, StorageError> {
    let open = move |local: Rc<Cluster>| async move { local.open_storage(cluster).await };
    let found = cluster.map_async(Lane::Cluster, open).await;
    let mut logs = Vec::new();
    for (shard, found) in found.into_iter().enumerate() {
        logs.extend(found?.into_iter().map(|(group, partition)| (group, partition, ShardId(shard as u16))));
    }
    Ok(logs)
}

/// What a history comes to.
fn state_of(history: &[Arc<Delta>]) -> ClusterState {
    let mut state = ClusterState::default();
    for delta in history {
        state.apply(delta);
    }
    state
}

/// A directory without identity is new, or its first start did not get as far as keeping one: then there is nothing in it
/// but, perhaps, the entry that says that this node takes part.
fn check_unused(identity: &Identity, state: &ClusterState, has_logs: bool) -> Result<(), IdentityError> {
    match *state.nodes() {
        [] if !has_logs && *state == ClusterState::default() => Ok(()),
        [node] if !has_logs && *state == registered(node) => match node == identity.node {
            true => Ok(()),
            false => Err(IdentityError::OtherNode { wanted: identity.node, kept: node }),
        },
        _ => Err(IdentityError::Missing),
    }
}

fn is_users(log: &FoundLog) -> bool {
    log.0 != CONTROLLER_GROUP
}

/// The state after the first start.
fn registered(node: NodeId) -> ClusterState {
    state_of(&[Arc::new(Delta { changes: vec![Change::NodeRegistered { node: node.0 }] })])
}

/// The logs whose directories are no leftovers: those of partitions that there are, and those that a journal speaks of. Of
/// others the removal was cut off, and the journals that knew of it were retired since.
fn kept_logs(state: &ClusterState, logs: &[FoundLog]) -> Vec<(TopicIdPartition, GroupId)> {
    let wished = state.topics().flat_map(|topic| topic.iter().map(|(partition, wish)| (partition, wish.group)));
    let found = logs.iter().map(|(group, partition, _)| (*partition, *group));
    wished.chain(found).chain([(CONTROLLER, CONTROLLER_GROUP)]).collect()
}

/// Every partition there is, where its log was found or else where the plan puts it.
fn place_all(state: &ClusterState, logs: &[FoundLog]) -> Vec<(TopicIdPartition, ShardId)> {
    let mut placement = crate::placement::Placement::new(rt::shard_count());
    for (group, partition, shard) in logs {
        if state.partition(*partition).is_some_and(|wish| wish.group == *group) {
            placement.put(*partition, *shard);
        }
    }
    let all = state.topics().flat_map(|topic| topic.iter().map(|(partition, _)| partition));
    all.map(|partition| (partition, placement.place(partition))).collect()
}

impl Cluster {
    /// Opens this shard's storage and tells which logs it found.
    async fn open_storage(&self, handle: Sharded<Cluster>) -> Result<Vec<(GroupId, TopicIdPartition)>, StorageError> {
        assert!(self.handle.set(handle).is_ok(), "a shard is opened once");
        let (storage, logs) = Storage::open(self.options.storage.clone(), self.shard).await?;
        assert!(self.storage.set(storage).is_ok(), "a shard is opened once");
        let named = logs.iter().map(|log| (log.id().group, log.id().topic)).collect();
        self.found.borrow_mut().extend(logs.into_iter().map(|log| (log.id().group, log)));
        Ok(named)
    }

    /// Opens the controller's log, here on shard 0, and reads what it says. Only a node that `is_new` may be without one.
    async fn open_controller(&self, is_new: bool) -> Result<Vec<Arc<Delta>>, StartError> {
        // Nothing of the cluster's own history is ever deleted by time or size, only by a snapshot that covers it; a file
        // goes when all of it is covered.
        let config = LogConfig {
            retention_ms: None,
            retention_bytes: None,
            segment_bytes: CONTROLLER_SEGMENT_BYTES,
            internal: true,
            ..LogConfig::default()
        };
        self.found.borrow_mut().remove(&CONTROLLER_GROUP);
        let id = LogId { group: CONTROLLER_GROUP, topic: CONTROLLER, owner_epoch: OwnerEpoch(1) };
        let log = match self.storage().find_log(id, config.clone()).await {
            Ok(Some(log)) => log,
            Ok(None) if is_new => self.storage().create_log(id, config).await?,
            // Its directory is there, but the journal that knows of it is not.
            Ok(None) | Err(StorageError::NotHere(_)) => return Err(StartError::HistoryMissing),
            Err(error) => return Err(error.into()),
        };
        // Kafka's defaults whatever the broker's are: those are for users' topics, and this one has no keys, for example.
        let settings = Rc::new(TopicOverrides::default().config(&BrokerSettings::default()));
        let partition = Partition::open(CONTROLLER, log, self.node(), settings).await?;
        // What a start reads of it is to be little beside the journal, which it reads anyway.
        let history_bytes_min = self.options.storage.journal_file_bytes / 64;
        let (controller, history) = Controller::open(partition, history_bytes_min).await?;
        *self.controller.borrow_mut() = Some(controller);
        Ok(history)
    }

    /// Takes in the whole history at once, removes logs that nothing wishes for, and opens what this shard owns.
    async fn take_up(self: &Rc<Self>, history: &[Arc<Delta>], placed: &[(TopicIdPartition, ShardId)]) {
        for delta in history {
            self.state.borrow_mut().apply(delta);
        }
        self.take_early_reports();
        for (partition, shard) in placed {
            self.placement.borrow_mut().put(*partition, *shard);
        }
        self.refresh_settings();
        self.remove_orphans().await;
        let keeper = rt::spawn(rt::Group::Admin, forget_producers(self.clone()));
        self.keeper.set(Some(keeper));
        self.reconcile(placed.iter().map(|(partition, _)| *partition));
        let opened = || {
            let opening = |local: &crate::reconciler::Local| matches!(local, crate::reconciler::Local::Opening);
            (!self.local.borrow().values().any(opening)).then_some(())
        };
        // A partition that cannot be opened is tried again for ever; the others do not wait for it that long.
        let _tried_on = rt::timeout(Duration::from_secs(10), self.changed.until(opened)).await;
    }

    /// Removes logs of partitions that were deleted while their removal was still under way.
    async fn remove_orphans(&self) {
        let mut orphans = Vec::new();
        {
            let state = self.state.borrow();
            let wished = |log: &ailurus_storage::LogId| {
                log.group == CONTROLLER_GROUP || state.partition(log.topic).is_some_and(|wish| wish.group == log.group)
            };
            orphans.extend(self.found.borrow().values().map(|log| log.id()).filter(|id| !wished(id)));
        }
        for orphan in orphans {
            self.found.borrow_mut().remove(&orphan.group);
            if let Err(error) = self.storage().remove_log(orphan.group).await {
                tracing::error!(partition = %orphan.topic, %error, "files of a deleted partition could not be removed");
            }
        }
    }

    /// From now on each committed delta goes to all shards, with places for the partitions that it creates.
    fn start_controller(self: &Rc<Self>) {
        let controller = self.controller.borrow().clone().expect("opened before it is started");
        let cluster = self.clone();
        controller.start(move |delta| {
            let cluster = cluster.clone();
            async move { cluster.publish(delta).await }
        });
    }

    async fn publish(&self, delta: Arc<Delta>) {
        let place = |partition| (partition, self.placement.borrow_mut().place(partition));
        let placed: Arc<Vec<_>> = Arc::new(created(&delta).map(place).collect());
        let take_in = move |local: &Rc<Cluster>| local.apply(&delta, &placed);
        self.sharded().map(Lane::Cluster, take_in).await;
    }

    async fn close_partitions(&self) {
        self.closing.set(true);
        self.changed.notify_all();
        self.keeper.set(None);
        for partition in self.partitions() {
            partition.close();
        }
        // On a full disk who is inside waits for a commit that never comes; the journals' end decides that.
        if rt::timeout(INSIDE_MAX, self.gate.close()).await.is_err() {
            tracing::warn!("partitions are still being opened or removed: the stop goes on without them");
        }
    }

    /// The broker's settings with what was altered at run time laid over them.
    pub(crate) fn refresh_settings(&self) {
        let mut layers = (*self.options.settings).clone();
        let state = self.state.borrow();
        let refused = layers.set_dynamic(&state.broker_configs(None), &state.broker_configs(Some(self.node())));
        if !refused.is_empty() {
            tracing::warn!(?refused, "stored broker settings do not count");
        }
        *self.settings.borrow_mut() = Rc::new(layers.config());
        *self.layers.borrow_mut() = Rc::new(layers);
        self.topic_configs.borrow_mut().clear();
    }
}

/// Forgets idempotent producers that have been silent for `producer.id.expiration.ms`.
async fn forget_producers(cluster: Rc<Cluster>) {
    loop {
        let expiration_ms = i64::from(cluster.settings().producer_id_expiration_ms);
        // Kafka looks every ten minutes; sooner if they are to be forgotten sooner.
        rt::sleep_coarse(Duration::from_millis(expiration_ms.clamp(1000, 600_000) as u64)).await;
        for partition in cluster.partitions() {
            partition.expire_producers(rt::unix_ms(), expiration_ms);
            rt::yield_if_needed().await;
        }
    }
}

fn created(delta: &Delta) -> impl Iterator<Item = TopicIdPartition> + '_ {
    delta.changes.iter().filter_map(|change| match change {
        Change::PartitionCreated { topic, partition, .. } => Some(TopicIdPartition {
            topic: ailurus_model::TopicId(*topic),
            partition: ailurus_model::PartitionId(*partition),
        }),
        _ => None,
    })
}

/// The node's id that the settings ask for, if they do.
fn wanted_node(node_id: i32) -> Option<NodeId> {
    (node_id >= 0).then_some(NodeId(node_id))
}
