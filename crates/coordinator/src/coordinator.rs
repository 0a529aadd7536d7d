//! The coordinator's part on one shard: the slices whose partitions lead here, kept in step with the cluster's view.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use ailurus_base::HashMap;
use ailurus_base::sync::Notify;
use ailurus_cluster::{Cluster, OFFSETS_TOPIC};
use ailurus_model::{PartitionId, Revision, TopicIdPartition};
use ailurus_partition::Partition;
use ailurus_rt as rt;
use ailurus_settings::BrokerConfig;

use crate::config::GroupConfig;
use crate::driver::SliceDriver;
use crate::error::GroupError;
use crate::slice::{Slice, slice_of};

/// Members of groups may take one part in so many of `memory.bytes`, shared equally between the shards.
const MEMBERS_PART: u64 = 4;

/// However little memory there is: a few members that say as much as they may.
const MEMBERS_BYTES_MIN: u64 = 8 << 20;

/// How long a commit waits for its shard to see what another shard has seen: a crossing or two. More means that it ends.
const REVISION_WAIT_MAX: Duration = Duration::from_secs(5);

/// See the module. Used through [`crate::Groups`].
pub struct Coordinator {
    cluster: Rc<Cluster>,
    slices: RefCell<HashMap<PartitionId, Rc<SliceDriver>>>,
    /// What the members of all groups here take in memory, in bytes.
    held: Rc<Cell<u64>>,
    /// Rung when a slice has closed itself.
    attention: Rc<Notify>,
    watcher: Cell<Option<rt::Task<()>>>,
    gate: rt::Gate,
}

impl Coordinator {
    pub(crate) fn new(cluster: Rc<Cluster>) -> Self {
        Coordinator {
            cluster,
            slices: RefCell::default(),
            held: Rc::default(),
            attention: Rc::default(),
            watcher: Cell::new(None),
            gate: rt::Gate::new(),
        }
    }

    pub(crate) fn start(self: &Rc<Self>) {
        let watcher = rt::spawn(rt::Group::Cluster, self.clone().watch());
        self.watcher.set(Some(watcher));
    }

    /// Answers all who wait and lets go of the partitions.
    pub(crate) async fn close(&self) {
        self.watcher.set(None);
        for (_, slice) in self.slices.take() {
            slice.close();
        }
        self.gate.close().await;
    }

    pub(crate) fn cluster(&self) -> &Rc<Cluster> {
        &self.cluster
    }

    /// The partition that keeps this group; `None` while there is no `__consumer_offsets`.
    pub(crate) fn partition_of(&self, group_id: &str) -> Option<TopicIdPartition> {
        let state = self.cluster.state();
        let topic = state.topic(OFFSETS_TOPIC)?;
        let partitions = i32::try_from(topic.partitions.len()).expect("a topic has at most i32::MAX partitions");
        Some(topic.partition(slice_of(group_id, partitions)))
    }

    /// The slice, if it is served here.
    pub(crate) fn slice(&self, id: PartitionId) -> Option<Rc<SliceDriver>> {
        self.slices.borrow().get(&id).cloned()
    }

    /// All slices that are served here.
    pub(crate) fn slices(&self) -> Vec<Rc<SliceDriver>> {
        self.slices.borrow().values().cloned().collect()
    }

    async fn watch(self: Rc<Self>) {
        loop {
            let mut changed = pin!(self.cluster.changed().notified());
            let mut attention = pin!(self.attention.notified());
            self.reconcile();
            self.forget_deleted_topics();
            poll_fn(|context| {
                let woken = changed.as_mut().poll(context).is_ready() || attention.as_mut().poll(context).is_ready();
                if woken { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }

    /// Closes what is no longer ours, and begins to load what has become so.
    fn reconcile(&self) {
        let led = self.led_here();
        let mut slices = self.slices.borrow_mut();
        slices.retain(|id, slice| {
            let keep = led.get(id).is_some_and(|partition| slice.serves(partition));
            if !keep {
                slice.close();
            }
            keep
        });
        for (id, partition) in led {
            slices.entry(id).or_insert_with(|| self.begin(id, partition));
        }
    }

    fn led_here(&self) -> BTreeMap<PartitionId, Rc<Partition>> {
        let state = self.cluster.state();
        let Some(topic) = state.topic(OFFSETS_TOPIC) else { return BTreeMap::new() };
        let open = topic.iter().filter_map(|(id, _)| Some((id.partition, self.cluster.partition(id)?)));
        open.filter(|(_, partition)| partition.is_leader()).collect()
    }

    fn begin(&self, id: PartitionId, partition: Rc<Partition>) -> Rc<SliceDriver> {
        let config = Rc::new(GroupConfig::from(&*self.cluster.settings()));
        let cluster = self.cluster.clone();
        // Topics that were deleted while nobody looked.
        let gone = move |name: &str| cluster.state().topic(name).is_none();
        SliceDriver::start(id, partition, config, self.held.clone(), self.attention.clone(), gone)
    }

    /// Waits until a commit can be taken that was checked against the cluster as it is at `revision`: until this shard knows
    /// what was deleted before, so that the commit counts as later, and has room for what is to be appended.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE: this shard does not come to know it.
    pub(crate) async fn until_commit(&self, revision: Revision) -> Result<(), GroupError> {
        let known = || (self.cluster.state().revision() >= revision).then_some(());
        let waited = rt::timeout(REVISION_WAIT_MAX, self.cluster.changed().until(known)).await;
        waited.map_err(|rt::Elapsed| GroupError::CoordinatorNotAvailable)?;
        self.cluster.until_room().await;
        self.forget_deleted_topics();
        Ok(())
    }

    /// Offsets of topics that were deleted are removed; a topic of the same name that comes later begins without.
    fn forget_deleted_topics(&self) {
        let gone = self.cluster.take_deleted_topics();
        let Ok(pass) = self.gate.enter() else { return };
        if gone.is_empty() {
            return;
        }
        // A slice that is loading looks by itself when it is ready.
        let end = |slice: Rc<SliceDriver>| Some((slice.look(Slice::offsets_end).ok()?, slice));
        let slices: Vec<_> = self.slices().into_iter().filter_map(end).collect();
        let forget = async move {
            let _inside = pass;
            for (end, slice) in slices {
                slice.forget_topics(|name| gone.contains(name), end).await;
            }
        };
        rt::spawn(rt::Group::Compaction, forget).detach();
    }
}

impl From<&BrokerConfig> for GroupConfig {
    fn from(settings: &BrokerConfig) -> Self {
        GroupConfig {
            min_session_timeout_ms: settings.group_min_session_timeout_ms,
            max_session_timeout_ms: settings.group_max_session_timeout_ms,
            initial_rebalance_delay_ms: u64::try_from(settings.group_initial_rebalance_delay_ms).unwrap_or(0),
            members_bytes_max: (settings.memory_bytes as u64 / MEMBERS_PART / u64::from(rt::shard_count()))
                .max(MEMBERS_BYTES_MIN),
            max_size: usize::try_from(settings.group_max_size).unwrap_or(1),
            offset_metadata_max: usize::try_from(settings.offset_metadata_max_bytes).unwrap_or(0),
            offsets_retention_ms: i64::from(settings.offsets_retention_minutes) * 60_000,
            offsets_retention_check_interval_ms: u64::try_from(settings.offsets_retention_check_interval_ms)
                .unwrap_or(1),
            ..GroupConfig::default()
        }
    }
}
