//! Brings this shard from what is to what is wished: opens the partitions that it shall own and has not, closes and
//! removes those that it has and shall not. Each call compares anew and takes the next single step per partition, so
//! it may be called at any time, for any partition, any number of times.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use ailurus_model::{GroupId, OwnerEpoch, Revision, Term, TopicId, TopicIdPartition};
use ailurus_partition::Partition;
use ailurus_rt::{self as rt, Lane};
use ailurus_settings::TopicConfig;
use ailurus_storage::{Log, LogConfig, LogId, WriteCaching};

use crate::change::{Change, Delta};
use crate::cluster::Cluster;
use crate::state::Topic;

/// How long after a failure to open a partition it is tried again; doubled each time.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// The longest wait between two tries.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// What a partition is on this shard.
pub(crate) enum Local {
    /// Its log is being made or read.
    Opening,
    /// It leads.
    Open(Rc<Partition>),
    /// Its log is being removed.
    Removing,
}

impl Cluster {
    /// Takes the next step for each of `partitions`.
    pub(crate) fn reconcile(self: &Rc<Self>, partitions: impl IntoIterator<Item = TopicIdPartition>) {
        if self.closing.get() {
            return;
        }
        for partition in partitions {
            let wished =
                self.shard_of(partition) == Some(self.shard) && self.state.borrow().partition(partition).is_some();
            let mut local = self.local.borrow_mut();
            match (wished, local.get(&partition)) {
                (true, None) => {
                    local.insert(partition, Local::Opening);
                    drop(local);
                    self.spawn_step(open(self.clone(), partition));
                }
                (false, Some(Local::Open(open))) => {
                    let open = open.clone();
                    local.insert(partition, Local::Removing);
                    drop(local);
                    open.close();
                    self.spawn_step(remove(self.clone(), partition, open));
                }
                // Under way; the step compares again when it is done.
                (_, Some(Local::Opening | Local::Removing)) => {}
                (true, Some(Local::Open(_))) | (false, None) => {}
            }
        }
    }

    /// Hands changed settings to the partitions of this shard that they concern.
    pub(crate) fn reconfigure(&self, delta: &Delta) {
        let mut topics = BTreeSet::new();
        let mut broker = false;
        for change in &delta.changes {
            match change {
                Change::BrokerConfigSet { .. } => broker = true,
                Change::TopicConfigSet { topic, .. } => {
                    topics.insert(TopicId(*topic));
                }
                _ => {}
            }
        }
        if broker {
            self.refresh_settings();
        }
        if !broker && topics.is_empty() {
            return;
        }
        for partition in self.partitions() {
            if broker || topics.contains(&partition.id().topic) {
                self.configure(&partition);
            }
        }
    }

    /// Hands the partition its topic's settings as they apply now.
    fn configure(&self, partition: &Partition) {
        let state = self.state.borrow();
        if let Some(topic) = state.topic_by_id(partition.id().topic) {
            let config = self.topic_config(topic);
            partition.replica().log().set_config(self.log_config(topic, &config));
            partition.set_config(config);
        }
    }

    /// What storage is told about a topic's logs.
    fn log_config(&self, topic: &Topic, config: &TopicConfig) -> LogConfig {
        LogConfig {
            segment_bytes: config.segment_bytes as u64,
            segment_ms: config.segment_ms,
            retention_bytes: u64::try_from(config.retention_bytes).ok(),
            retention_ms: (config.retention_ms >= 0).then_some(config.retention_ms),
            index_interval_bytes: config.index_interval_bytes as u64,
            compact: config.cleanup_policy.compact && self.settings().log_cleaner_enable,
            delete: config.cleanup_policy.delete,
            delete_retention_ms: config.delete_retention_ms,
            min_compaction_lag_ms: config.min_compaction_lag_ms,
            max_compaction_lag_ms: config.max_compaction_lag_ms,
            min_cleanable_dirty_permille: (config.min_cleanable_dirty_ratio * 1000.0) as u32,
            max_message_bytes: config.max_message_bytes as u32,
            write_caching: config.write_caching.then(|| write_caching(config)),
            internal: topic.is_internal(),
        }
    }

    fn spawn_step(&self, step: impl Future<Output = ()> + 'static) {
        let Ok(pass) = self.gate.enter() else { return };
        rt::spawn(rt::Group::Cluster, async move {
            step.await;
            drop(pass);
        })
        .detach();
    }

    /// Tells every shard, this one included, who leads `partition`.
    fn report_leader(&self, partition: TopicIdPartition, term: Term) {
        let report = LeaderReport { partition, term, revision: self.state.borrow().revision() };
        for shard in 0..rt::shard_count() {
            let note = move |cluster: &Rc<Cluster>| cluster.note_leader(report);
            let _answered_to_nobody = self.sharded().on(ailurus_model::ShardId(shard), Lane::Cluster, note);
        }
    }

    fn note_leader(&self, report: LeaderReport) {
        let state = self.state.borrow();
        if state.partition(report.partition).is_some() {
            self.leaders.borrow_mut().insert(report.partition, report.term);
            self.changed.notify_all();
        } else if report.revision > state.revision() {
            self.early.borrow_mut().push(report);
        }
        // Else it is late: the topic was deleted since.
    }

    /// Takes in reports of leaders that overtook the delta with their partition. To be called when the state has moved.
    pub(crate) fn take_early_reports(&self) {
        let early = std::mem::take(&mut *self.early.borrow_mut());
        for report in early {
            self.note_leader(report);
        }
    }
}

/// What `flush.ms` and `flush.messages` mean for a topic with `write.caching`.
fn write_caching(config: &TopicConfig) -> WriteCaching {
    let flush_after = match config.flush_ms {
        // Kafka's default: whenever the operating system does. Here there is a bound.
        i64::MAX => WriteCaching::FLUSH_AFTER,
        ms => Duration::from_millis(ms.unsigned_abs()),
    };
    WriteCaching { flush_after, flush_records: config.flush_messages.unsigned_abs() }
}

/// A partition is led: what its owner tells all shards. The way from the owner is not the way from shard 0, so it may
/// overtake the delta that creates the partition; the revision tells a shard whether it has still to hear of that.
#[derive(Clone, Copy)]
pub(crate) struct LeaderReport {
    partition: TopicIdPartition,
    term: Term,
    /// Of the owner's state: the partition was created by then.
    revision: Revision,
}

async fn open(cluster: Rc<Cluster>, partition: TopicIdPartition) {
    let mut retry_after = RETRY_AFTER;
    let mut group = None;
    while let Some(wish) = wish(&cluster, partition) {
        group = Some(wish.group);
        match try_open(&cluster, partition, &wish).await {
            Ok(open) => {
                // Settings may have been altered since the wish was read.
                cluster.configure(&open);
                let term = open.leader_epoch();
                cluster.local.borrow_mut().insert(partition, Local::Open(open));
                cluster.report_leader(partition, term);
                cluster.changed.notify_all();
                cluster.reconcile([partition]);
                return;
            }
            Err(error) => {
                tracing::error!(topic = %wish.topic, %partition, error, "a partition could not be opened, trying again");
            }
        }
        let unwished = || (!is_wished(&cluster, partition)).then_some(());
        let _in_vain = rt::timeout(retry_after, cluster.changed.until(unwished)).await;
        retry_after = (retry_after * 2).min(RETRY_AFTER_MAX);
    }
    if let Some(group) = group.filter(|_| !cluster.closing.get()) {
        remove_log(&cluster, partition, group).await;
    }
    cluster.local.borrow_mut().remove(&partition);
    cluster.changed.notify_all();
    cluster.reconcile([partition]);
}

/// What opening a partition needs to know. Not the topic itself: a thousand partitions that open at once would each hold
/// a copy of the list of all thousand.
struct Wish {
    group: GroupId,
    topic: Rc<str>,
    config: Rc<TopicConfig>,
    log_config: LogConfig,
}

fn is_wished(cluster: &Cluster, partition: TopicIdPartition) -> bool {
    !cluster.closing.get() && cluster.state.borrow().partition(partition).is_some()
}

/// What is wished for `partition` now; nothing if it is gone or the node is closing.
fn wish(cluster: &Cluster, partition: TopicIdPartition) -> Option<Wish> {
    if !is_wished(cluster, partition) {
        return None;
    }
    let state = cluster.state.borrow();
    let (group, topic) = (state.partition(partition)?.group, state.topic_by_id(partition.topic)?);
    let config = cluster.topic_config(topic);
    let log_config = cluster.log_config(topic, &config);
    Some(Wish { group, topic: topic.name.clone(), config, log_config })
}

async fn try_open(cluster: &Rc<Cluster>, partition: TopicIdPartition, wish: &Wish) -> Result<Rc<Partition>, String> {
    let log = take_log(cluster, partition, wish).await?;
    let opened = Partition::open(partition, log.clone(), cluster.node(), wish.config.clone()).await;
    opened.map_err(|error| {
        cluster.found.borrow_mut().insert(wish.group, log);
        error.to_string()
    })
}

/// The log that storage found at start, or a new one.
async fn take_log(cluster: &Rc<Cluster>, partition: TopicIdPartition, wish: &Wish) -> Result<Rc<Log>, String> {
    let config = wish.log_config.clone();
    if let Some(log) = cluster.found.borrow_mut().remove(&wish.group) {
        log.set_config(config);
        return Ok(log);
    }
    let id = LogId { group: wish.group, topic: partition, owner_epoch: OwnerEpoch(1) };
    cluster.storage().create_log(id, config).await.map_err(|error| error.to_string())
}

async fn remove(cluster: Rc<Cluster>, partition: TopicIdPartition, open: Rc<Partition>) {
    let group = open.replica().log().id().group;
    drop(open);
    remove_log(&cluster, partition, group).await;
    cluster.local.borrow_mut().remove(&partition);
    cluster.changed.notify_all();
    cluster.reconcile([partition]);
}

/// Removes the log of a partition that was deleted, with its files.
async fn remove_log(cluster: &Cluster, partition: TopicIdPartition, group: GroupId) {
    cluster.found.borrow_mut().remove(&group);
    if let Err(error) = cluster.storage().remove_log(group).await {
        tracing::error!(%partition, %error, "the files of a deleted partition could not be removed");
    }
}
