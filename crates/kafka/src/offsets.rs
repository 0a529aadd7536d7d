//! OffsetCommit, OffsetFetch and OffsetDelete. Which topics there are is looked up here; the rest is the coordinator's.

use ailurus_cluster::Cluster;
use ailurus_coordinator::{
    CommitPartition, CommitRequest, FetchRequest, FetchedPartition, FetchedTopics, GroupError, OffsetDeleteRequest,
    PartitionErrors,
};
use ailurus_wire::{ErrorCode, Str};
use ailurus_wire::{offset_commit, offset_delete, offset_fetch};

use crate::dispatch::{Request, enqueued};
use crate::entries::{distinct, once};
use crate::groups::code;
use crate::list_offsets::target;

/// Answers by topic and partition, in the order of the request: those that could be answered without the coordinator,
/// and gaps that its answers fill.
struct Answers(ByPartition<Option<ErrorCode>>);

/// Something for each partition of some topics.
type ByPartition<T> = Vec<(Str, Vec<(i32, T)>)>;

impl Answers {
    /// Sorts out the partitions that do not exist.
    fn new<'a>(cluster: &Cluster, topics: impl Iterator<Item = (&'a Str, Vec<i32>)>) -> Self {
        let known = |topic: &str, partition| target(cluster, topic, partition).err();
        let topic = |(topic, partitions): (&'a Str, Vec<i32>)| {
            let partitions = partitions.into_iter().map(|partition| (partition, known(topic, partition))).collect();
            (topic.clone(), partitions)
        };
        Answers(topics.map(topic).collect())
    }

    fn is_known(&self, topic: usize, partition: usize) -> bool {
        self.0[topic].1[partition].1.is_none()
    }

    /// Fills the gaps with the coordinator's answers, which come in the same order.
    fn filled(self, answers: PartitionErrors) -> ByPartition<ErrorCode> {
        let mut answers = answers.into_iter().flat_map(|(_, partitions)| partitions).map(|(_, error)| code(error));
        let mut fill = |(partition, error): (i32, Option<ErrorCode>)| match error {
            Some(error) => (partition, error),
            None => (partition, answers.next().expect("the coordinator answers for each partition")),
        };
        let topic = |(topic, partitions): (Str, Vec<_>)| (topic, partitions.into_iter().map(&mut fill).collect());
        self.0.into_iter().map(topic).collect()
    }

    /// Every gap filled with the same.
    fn all(self, error: GroupError) -> ByPartition<ErrorCode> {
        let fill = |(partition, known): (i32, Option<ErrorCode>)| (partition, known.unwrap_or(code(Some(error))));
        self.0.into_iter().map(|(topic, partitions)| (topic, partitions.into_iter().map(fill).collect())).collect()
    }
}

pub(crate) async fn offset_commit(
    request: &mut Request,
    body: offset_commit::OffsetCommitRequest,
) -> offset_commit::OffsetCommitResponse {
    let cluster = request.shard.cluster.clone();
    let indexes = |topic: &offset_commit::OffsetCommitRequestTopic| {
        topic.partitions.iter().map(|partition| partition.partition_index).collect()
    };
    let answers = Answers::new(&cluster, body.topics.iter().map(|topic| (&topic.name, indexes(topic))));
    let mut topics = Vec::new();
    for (place, topic) in body.topics.iter().enumerate() {
        let known = topic.partitions.iter().enumerate().filter(|(partition, _)| answers.is_known(place, *partition));
        let partitions: Vec<_> = known.map(|(_, partition)| commit_partition(partition)).collect();
        topics.push((topic.name.to_string(), partitions));
    }
    let nothing_known = topics.iter().all(|(_, partitions)| partitions.is_empty());
    let commit = CommitRequest {
        group_id: body.group_id.to_string(),
        generation: body.generation_id_or_member_epoch,
        member_id: body.member_id.to_string(),
        instance_id: body.group_instance_id.as_ref().map(Str::to_string),
        retention_ms: (body.retention_time_ms >= 0).then_some(body.retention_time_ms),
        topics,
    };
    drop(body);
    // A commit may wait for the disk, and what it keeps meanwhile is none of what others need to be decoded.
    request.let_go_of_decoded();
    let groups = request.shard.groups;
    let results = match nothing_known {
        true => Vec::new(),
        false => enqueued(request, groups.commit(commit)).await,
    };
    let partition =
        |(partition_index, error_code)| offset_commit::OffsetCommitResponsePartition { partition_index, error_code };
    let topic = |(name, partitions): (Str, Vec<_>)| offset_commit::OffsetCommitResponseTopic {
        name,
        partitions: partitions.into_iter().map(partition).collect(),
        ..Default::default()
    };
    offset_commit::OffsetCommitResponse {
        topics: answers.filled(results).into_iter().map(topic).collect(),
        ..Default::default()
    }
}

fn commit_partition(partition: &offset_commit::OffsetCommitRequestPartition) -> CommitPartition {
    CommitPartition {
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_ref().map(Str::to_string).unwrap_or_default(),
    }
}

pub(crate) async fn offset_fetch(
    request: &mut Request,
    body: offset_fetch::OffsetFetchRequest,
) -> offset_fetch::OffsetFetchResponse {
    if request.version() >= 8 {
        return fetch_groups(request, body).await;
    }
    let topics = body.topics.map(|topics| named(topics.into_iter().map(|topic| (topic.name, topic.partition_indexes))));
    let asked = topics.clone().unwrap_or_default();
    let fetch = FetchRequest { group_id: body.group_id.to_string(), member_epoch: -1, topics };
    let fetched = request.shard.groups.fetch(vec![fetch]).await.pop().expect("one group was asked for");
    let error_code = code(fetched.as_ref().err().copied());
    // Versions 0 and 1 have no error for the whole: each partition carries it.
    let fetched = fetched.unwrap_or_else(|_| nowhere(asked));
    let partition = |partition: FetchedPartition| offset_fetch::OffsetFetchResponsePartition {
        partition_index: partition.partition,
        committed_offset: partition.offset,
        committed_leader_epoch: partition.leader_epoch,
        metadata: Some(partition.metadata.into()),
        error_code,
    };
    let topic = |(name, partitions): (String, Vec<_>)| offset_fetch::OffsetFetchResponseTopic {
        name: name.into(),
        partitions: partitions.into_iter().map(partition).collect(),
    };
    offset_fetch::OffsetFetchResponse {
        topics: fetched.into_iter().map(topic).collect(),
        error_code,
        ..Default::default()
    }
}

/// Partitions that are asked for, each once: a short request must not make an answer a thousand times its size.
fn named(topics: impl Iterator<Item = (Str, Vec<i32>)>) -> Vec<(String, Vec<i32>)> {
    distinct(topics).into_iter().map(|(name, indexes)| (name.to_string(), indexes)).collect()
}

/// The partitions that were asked for, without offsets.
fn nowhere(asked: Vec<(String, Vec<i32>)>) -> FetchedTopics {
    let none = |partition| FetchedPartition { partition, offset: -1, leader_epoch: -1, metadata: String::new() };
    asked.into_iter().map(|(topic, partitions)| (topic, partitions.into_iter().map(none).collect())).collect()
}

async fn fetch_groups(
    request: &mut Request,
    body: offset_fetch::OffsetFetchRequest,
) -> offset_fetch::OffsetFetchResponse {
    let groups = once(body.groups, |group| group.group_id.clone());
    let fetch = |group: &offset_fetch::OffsetFetchRequestGroup| FetchRequest {
        group_id: group.group_id.to_string(),
        member_epoch: group.member_epoch,
        topics: group
            .topics
            .as_ref()
            .map(|topics| named(topics.iter().map(|topic| (topic.name.clone(), topic.partition_indexes.clone())))),
    };
    let fetched = request.shard.groups.fetch(groups.iter().map(fetch).collect()).await;
    let partition = |partition: FetchedPartition| offset_fetch::OffsetFetchResponsePartitions {
        partition_index: partition.partition,
        committed_offset: partition.offset,
        committed_leader_epoch: partition.leader_epoch,
        metadata: Some(partition.metadata.into()),
        ..Default::default()
    };
    let topic = |(name, partitions): (String, Vec<_>)| offset_fetch::OffsetFetchResponseTopics {
        name: name.into(),
        partitions: partitions.into_iter().map(partition).collect(),
        ..Default::default()
    };
    let group = |(group, fetched): (offset_fetch::OffsetFetchRequestGroup, Result<FetchedTopics, GroupError>)| {
        let error_code = code(fetched.as_ref().err().copied());
        let topics = fetched.unwrap_or_default().into_iter().map(topic).collect();
        offset_fetch::OffsetFetchResponseGroup { group_id: group.group_id, topics, error_code }
    };
    let groups = groups.into_iter().zip(fetched).map(group).collect();
    offset_fetch::OffsetFetchResponse { groups, ..Default::default() }
}

pub(crate) async fn offset_delete(
    request: &mut Request,
    body: offset_delete::OffsetDeleteRequest,
) -> offset_delete::OffsetDeleteResponse {
    let cluster = request.shard.cluster.clone();
    let indexes = |topic: &offset_delete::OffsetDeleteRequestTopic| -> Vec<i32> {
        topic.partitions.iter().map(|partition| partition.partition_index).collect()
    };
    let answers = Answers::new(&cluster, body.topics.iter().map(|topic| (&topic.name, indexes(topic))));
    let mut topics = Vec::new();
    for (place, topic) in body.topics.iter().enumerate() {
        let known = indexes(topic).into_iter().enumerate().filter(|(partition, _)| answers.is_known(place, *partition));
        topics.push((topic.name.to_string(), known.map(|(_, partition)| partition).collect()));
    }
    let delete = OffsetDeleteRequest { group_id: body.group_id.to_string(), topics };
    let (error_code, filled) = match request.shard.groups.delete_offsets(delete).await {
        Ok(results) => (ErrorCode::None, answers.filled(results)),
        Err(error) => (code(Some(error)), answers.all(error)),
    };
    let partition =
        |(partition_index, error_code)| offset_delete::OffsetDeleteResponsePartition { partition_index, error_code };
    let topic = |(name, partitions): (Str, Vec<_>)| offset_delete::OffsetDeleteResponseTopic {
        name,
        partitions: partitions.into_iter().map(partition).collect(),
    };
    offset_delete::OffsetDeleteResponse {
        error_code,
        topics: filled.into_iter().map(topic).collect(),
        ..Default::default()
    }
}
