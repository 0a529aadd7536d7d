//! The cluster as one shard sees it: the state, who owns what, and the partitions that are open here.
//!
//! Reads are answered from the shard's own copy without asking anybody. Wishes change by [`Cluster::submit`], which goes
//! to the controller on shard 0 and comes back when this shard's copy has the result.

use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ailurus_base::HashMap;
use ailurus_base::sync::{Notify, Semaphore};
use ailurus_model::{GroupId, NodeId, ShardId, Term, TopicId, TopicIdPartition};
use ailurus_partition::Partition;
use ailurus_rt::{self as rt, Lane, Sharded};
use ailurus_settings::{BrokerConfig, BrokerSettings, TopicConfig};
use ailurus_storage::{DataDir, Log, Storage, StorageConfig};

use crate::change::{Change, Delta};
use crate::command::{Command, ConfigChange, ConfigRefusal, MorePartitions, Reply, alter_configs};
use crate::controller::{Controller, Unavailable};
use crate::identity::Identity;
use crate::placement::Placement;
use crate::plan::{self, Defaults, NewTopic, TopicRefusal};
use crate::reconciler::{LeaderReport, Local};
use crate::state::{ClusterState, Topic};

/// What a node needs to take part.
#[derive(Clone)]
pub struct ClusterOptions {
    /// The broker's settings as they were at start.
    pub settings: Arc<BrokerSettings>,
    /// What its storage is told; also where everything is kept.
    pub storage: StorageConfig,
}

/// One shard's view of the cluster and its share of the partitions.
pub struct Cluster {
    pub(crate) shard: ShardId,
    pub(crate) identity: Identity,
    pub(crate) options: ClusterOptions,
    /// The lock on the data directory; on shard 0.
    pub(crate) data_dir: RefCell<Option<Rc<DataDir>>>,
    /// Appends pass one after the other, so that those that wait for room keep their order.
    append_turn: Rc<Semaphore>,
    pub(crate) handle: OnceCell<Sharded<Cluster>>,
    pub(crate) storage: OnceCell<Rc<Storage>>,
    pub(crate) state: RefCell<ClusterState>,
    pub(crate) placement: RefCell<Placement>,
    /// Leaders of this node's partitions, on all shards: the epoch that the owner reported.
    pub(crate) leaders: RefCell<HashMap<TopicIdPartition, Term>>,
    /// Reports of leaders of partitions that this shard has not heard of yet.
    pub(crate) early: RefCell<Vec<LeaderReport>>,
    /// Names of topics that went and that nobody has asked for yet.
    deleted: RefCell<BTreeSet<Rc<str>>>,
    pub(crate) local: RefCell<HashMap<TopicIdPartition, Local>>,
    /// Logs that storage found and no partition has taken yet.
    pub(crate) found: RefCell<HashMap<GroupId, Rc<Log>>>,
    /// Rung when the state, the leaders or the local partitions changed.
    pub(crate) changed: Notify,
    /// The broker's settings with what was altered at run time, in layers and as values.
    pub(crate) layers: RefCell<Rc<BrokerSettings>>,
    pub(crate) settings: RefCell<Rc<BrokerConfig>>,
    pub(crate) topic_configs: RefCell<TopicConfigs>,
    pub(crate) controller: RefCell<Option<Rc<Controller>>>,
    pub(crate) gate: rt::Gate,
    pub(crate) closing: Cell<bool>,
    pub(crate) keeper: Cell<Option<rt::Task<()>>>,
}

impl Cluster {
    pub(crate) fn new(shard: ShardId, identity: Identity, options: ClusterOptions) -> Self {
        Cluster {
            shard,
            identity,
            data_dir: RefCell::new(None),
            append_turn: Semaphore::new(1),
            handle: OnceCell::new(),
            storage: OnceCell::new(),
            state: RefCell::default(),
            placement: RefCell::new(Placement::new(rt::shard_count())),
            leaders: RefCell::default(),
            early: RefCell::default(),
            deleted: RefCell::default(),
            local: RefCell::default(),
            found: RefCell::default(),
            changed: Notify::new(),
            layers: RefCell::new(Rc::new((*options.settings).clone())),
            settings: RefCell::new(Rc::new(options.settings.config())),
            topic_configs: RefCell::default(),
            controller: RefCell::new(None),
            gate: rt::Gate::new(),
            closing: Cell::new(false),
            keeper: Cell::new(None),
            options,
        }
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.identity.node
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> &str {
        &self.identity.cluster_id
    }

    /// Where everything is kept.
    pub fn data_dir(&self) -> &std::path::Path {
        &self.options.storage.dir
    }

    /// The same service on all shards.
    pub fn sharded(&self) -> Sharded<Cluster> {
        *self.handle.get().expect("set when the service started")
    }

    /// The state of the cluster, for a look without an await.
    pub fn state(&self) -> Ref<'_, ClusterState> {
        self.state.borrow()
    }

    /// The names of the topics that were deleted since this was last asked, as far as this shard has heard; for the one on
    /// each shard who keeps something under these names. A topic of that name may be there again.
    pub fn take_deleted_topics(&self) -> BTreeSet<Rc<str>> {
        self.deleted.take()
    }

    /// The broker's settings as they apply now, with what was altered at run time.
    pub fn settings(&self) -> Rc<BrokerConfig> {
        self.settings.borrow().clone()
    }

    /// The same with where each value comes from.
    pub fn layers(&self) -> Rc<BrokerSettings> {
        self.layers.borrow().clone()
    }

    /// A topic's settings as they apply now.
    pub fn topic_config(&self, topic: &Topic) -> Rc<TopicConfig> {
        self.topic_configs.borrow_mut().get(topic, &self.layers.borrow())
    }

    /// The shard that owns `partition`, if it is on this node.
    pub fn shard_of(&self, partition: TopicIdPartition) -> Option<ShardId> {
        self.placement.borrow().shard_of(partition)
    }

    /// The leader of `partition` and its epoch; `None` while nobody leads.
    pub fn leader(&self, partition: TopicIdPartition) -> Option<(NodeId, Term)> {
        self.leaders.borrow().get(&partition).map(|term| (self.node(), *term))
    }

    /// The partition, if this shard owns it and it is open.
    pub fn partition(&self, partition: TopicIdPartition) -> Option<Rc<Partition>> {
        match self.local.borrow().get(&partition) {
            Some(Local::Open(partition)) => Some(partition.clone()),
            _ => None,
        }
    }

    /// All partitions that are open on this shard.
    pub fn partitions(&self) -> Vec<Rc<Partition>> {
        let open = |local: &Local| match local {
            Local::Open(partition) => Some(partition.clone()),
            _ => None,
        };
        self.local.borrow().values().filter_map(open).collect()
    }

    /// Rung when the state, the leaders or the partitions of this shard changed.
    pub fn changed(&self) -> &Notify {
        &self.changed
    }

    /// The shard's storage, for its numbers.
    pub fn storage(&self) -> &Rc<Storage> {
        self.storage.get().expect("set before the service is used")
    }

    /// Waits until this shard may take more that is not yet in segments. Those who wait pass in the order of their calls;
    /// whoever need not wait passes at once, in the same poll.
    pub async fn until_room(&self) {
        let _turn = self.append_turn.acquire(1).await;
        self.storage().until_room().await;
    }

    /// Has the controller carry out `command`; when this answers, this shard's state shows the result.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn submit(&self, command: Command) -> Result<Reply, Unavailable> {
        let decide = |cluster: Rc<Cluster>| async move {
            let controller = cluster.controller.borrow().clone().ok_or(Unavailable)?;
            controller.submit(command, &cluster.layers()).await
        };
        self.sharded().on_async(ShardId(0), Lane::Cluster, decide).await
    }

    /// The topic of group state as the settings want it: compacted, in as many copies as there are brokers for. How soon it is
    /// compacted does not follow the broker's defaults, since loading a coordinator depends on it.
    pub fn offsets_topic(&self) -> NewTopic {
        let settings = self.settings();
        let nodes = self.state.borrow().nodes().len() as i16;
        let configs = [
            ("cleanup.policy", "compact".to_string()),
            ("compression.type", "producer".to_string()),
            ("min.cleanable.dirty.ratio", "0.3".to_string()),
            ("min.compaction.lag.ms", "0".to_string()),
            ("segment.bytes", settings.offsets_topic_segment_bytes.to_string()),
        ];
        NewTopic {
            name: crate::OFFSETS_TOPIC.into(),
            partitions: Some(settings.offsets_topic_num_partitions),
            replication_factor: Some(settings.offsets_topic_replication_factor.min(nodes).max(1)),
            assignments: Vec::new(),
            configs: configs.map(|(name, value)| (name.to_string(), value)).into(),
        }
    }

    /// What would be answered to wishes for `topics`, each on its own, without carrying them out.
    pub fn check_create(&self, topics: &[NewTopic]) -> Vec<Result<TopicId, TopicRefusal>> {
        let (state, layers) = (self.state(), self.layers());
        let defaults = Defaults::new(&layers);
        let check = |topic| plan::create_topic(&state, topic, TopicId::NONE, &defaults).map(|_| TopicId::NONE);
        topics.iter().map(check).collect()
    }

    /// What would be answered to a wish for other settings, without carrying it out.
    ///
    /// # Errors
    /// Why not.
    pub fn check_alter(&self, change: ConfigChange) -> Result<(), ConfigRefusal> {
        alter_configs(&self.state(), &self.layers(), change).map(|_| ())
    }

    /// What would be answered to a wish for more partitions, without carrying it out.
    ///
    /// # Errors
    /// Why not.
    pub fn check_create_partitions(&self, more: &MorePartitions) -> Result<TopicId, TopicRefusal> {
        let sets = more.assignments.as_deref();
        plan::create_partitions(&self.state(), &more.name, more.count, sets).map(|_| TopicId::NONE)
    }

    /// Waits until every partition of the topic has a leader, or the topic is gone, or `limit` has passed; tells which.
    pub async fn until_led(&self, name: &str, limit: Duration) -> bool {
        let led = || {
            let state = self.state.borrow();
            let Some(topic) = state.topic(name) else { return Some(false) };
            let leaders = self.leaders.borrow();
            topic.iter().all(|(partition, _)| leaders.contains_key(&partition)).then_some(true)
        };
        rt::timeout(limit, self.changed.until(led)).await.unwrap_or(false)
    }

    /// Takes in one committed delta, with the places of the partitions that it creates.
    pub(crate) fn apply(self: &Rc<Self>, delta: &Delta, placed: &[(TopicIdPartition, ShardId)]) {
        let gone = self.apply_quietly(delta, placed);
        self.reconcile(placed.iter().map(|(partition, _)| *partition).chain(gone));
        self.reconfigure(delta);
        self.changed.notify_all();
    }

    /// The state's part of [`Cluster::apply`]; answers the partitions that are no longer wished for.
    pub(crate) fn apply_quietly(&self, delta: &Delta, placed: &[(TopicIdPartition, ShardId)]) -> Vec<TopicIdPartition> {
        let mut gone = Vec::new();
        for topic in deleted_topics(&self.state.borrow(), delta) {
            gone.extend(topic.iter().map(|(partition, _)| partition));
            self.deleted.borrow_mut().insert(topic.name.clone());
        }
        self.state.borrow_mut().apply(delta);
        self.topic_configs.borrow_mut().apply(delta);
        let mut placement = self.placement.borrow_mut();
        for (partition, shard) in placed {
            placement.put(*partition, *shard);
        }
        for partition in &gone {
            placement.remove(*partition);
            self.leaders.borrow_mut().remove(partition);
        }
        self.take_early_reports();
        gone
    }
}

/// Topics' settings as they apply, each worked out when it is first asked for.
///
/// What always holds: one that is kept is what would be worked out now. Whoever changes what it comes from drops it.
#[derive(Default)]
pub(crate) struct TopicConfigs {
    /// Of all topics that have none of their own.
    plain: Option<Rc<TopicConfig>>,
    own: HashMap<TopicId, Rc<TopicConfig>>,
}

impl TopicConfigs {
    fn get(&mut self, topic: &Topic, layers: &BrokerSettings) -> Rc<TopicConfig> {
        let work_out = || Rc::new(topic.overrides().config(layers));
        match topic.configs.is_empty() {
            true => self.plain.get_or_insert_with(work_out).clone(),
            false => self.own.entry(topic.id).or_insert_with(work_out).clone(),
        }
    }

    /// The broker's settings have changed.
    pub(crate) fn clear(&mut self) {
        *self = TopicConfigs::default();
    }

    /// What `delta` does to topics.
    fn apply(&mut self, delta: &Delta) {
        for change in &delta.changes {
            if let Change::TopicConfigSet { topic: id, .. } | Change::TopicDeleted { id } = change {
                self.own.remove(&TopicId(*id));
            }
        }
    }
}

fn deleted_topics<'a>(state: &'a ClusterState, delta: &'a Delta) -> impl Iterator<Item = &'a Topic> {
    delta.changes.iter().filter_map(|change| match change {
        Change::TopicDeleted { id } => state.topic_by_id(TopicId(*id)),
        _ => None,
    })
}
