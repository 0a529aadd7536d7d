//! Bringing a node up and down.
//!
//! Up: storage on every shard finds its logs; shard 0 opens the controller's log and reads the state of the cluster;
//! every partition of this node gets a shard (the one where its log was found, if any); all shards take the state in and
//! open their partitions. Down: the same in reverse.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ailurus_model::{GroupId, NodeId, OwnerEpoch, ShardId, TopicIdPartition};
use ailurus_partition::Partition;
use ailurus_rt::{self as rt, Lane, Sharded};
use ailurus_settings::{BrokerSettings, TopicOverrides};
use ailurus_storage::{DataDir, LogConfig, LogId, Storage, StorageError};

use crate::change::{CONTROLLER_GROUP, CONTROLLER_PARTITION, CONTROLLER_TOPIC, Delta};
use crate::cluster::{Cluster, ClusterOptions};
use crate::command::Command;
use crate::controller::{Controller, ReplayError, Unavailable};
use crate::identity::{Identity, IdentityError};

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
    let data_dir = DataDir::open(&options.storage, rt::shard_count()).await?;
    let wanted = wanted_node(options.settings.config().node_id);
    let identity = Identity::load_or_create(&options.storage.dir, wanted).await?;
    let cluster = Sharded::start(move |shard| Cluster::new(shard, identity.clone(), options.clone())).await;
    *cluster.local().data_dir.borrow_mut() = Some(data_dir);
    let open = move |local: Rc<Cluster>| async move { local.open_storage(cluster).await };
    let found = cluster.map_async(Lane::Cluster, open).await;
    let mut logs = Vec::new();
    for (shard, found) in found.into_iter().enumerate() {
        logs.extend(found?.into_iter().map(|(group, partition)| (group, partition, ShardId(shard as u16))));
    }
    let local = cluster.local();
    let history = local.open_controller().await?;
    let placed = place_all(&history, &logs);
    let (history, placed) = (Arc::new(history), Arc::new(placed));
    cluster
        .map_async(Lane::Cluster, move |local: Rc<Cluster>| {
            let (history, placed) = (history.clone(), placed.clone());
            async move { local.take_up(&history, &placed).await }
        })
        .await;
    local.start_controller();
    local.submit(Command::RegisterNode(local.node())).await.map_err(|Unavailable| StartError::Unavailable)?;
    Ok(cluster)
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

/// Every partition that the history leaves, where its log was found or else where the plan puts it.
fn place_all(
    history: &[Arc<Delta>],
    logs: &[(GroupId, TopicIdPartition, ShardId)],
) -> Vec<(TopicIdPartition, ShardId)> {
    let mut state = crate::state::ClusterState::default();
    for delta in history {
        state.apply(delta);
    }
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

    /// Opens the controller's log, here on shard 0, and reads what it says.
    async fn open_controller(&self) -> Result<Vec<Arc<Delta>>, StartError> {
        let topic = TopicIdPartition { topic: CONTROLLER_TOPIC, partition: CONTROLLER_PARTITION };
        let kept = self.found.borrow_mut().remove(&CONTROLLER_GROUP);
        // Nothing of the cluster's own history is ever deleted by time or size.
        let config = LogConfig { retention_ms: None, retention_bytes: None, internal: true, ..LogConfig::default() };
        let log = match kept {
            Some(log) => log,
            None => {
                let id = LogId { group: CONTROLLER_GROUP, topic, owner_epoch: OwnerEpoch(1) };
                self.storage().create_log(id, config.clone()).await?
            }
        };
        log.set_config(config);
        // Kafka's defaults whatever the broker's are: those are for users' topics, and this one has no keys, for example.
        let settings = Rc::new(TopicOverrides::default().config(&BrokerSettings::default()));
        let partition = Partition::open(topic, log, self.node(), settings).await?;
        let (controller, history) = Controller::open(partition).await?;
        *self.controller.borrow_mut() = Some(controller);
        Ok(history)
    }

    /// Takes in the whole history at once, removes logs that nothing wishes for, and opens what this shard owns.
    async fn take_up(self: &Rc<Self>, history: &[Arc<Delta>], placed: &[(TopicIdPartition, ShardId)]) {
        for delta in history {
            self.state.borrow_mut().apply(delta);
        }
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
        let placed: Arc<Vec<_>> = {
            let mut placement = self.placement.borrow().clone();
            Arc::new(created(&delta).map(|partition| (partition, placement.place(partition))).collect())
        };
        let take_in = move |local: &Rc<Cluster>| local.apply(&delta, &placed);
        self.sharded().map(Lane::Cluster, take_in).await;
    }

    async fn close_partitions(&self) {
        self.closing.set(true);
        self.keeper.set(None);
        for partition in self.partitions() {
            partition.close();
        }
        self.gate.close().await;
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
    use crate::change::Change;
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
