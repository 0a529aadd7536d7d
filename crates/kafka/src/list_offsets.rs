//! ListOffsets and OffsetForLeaderEpoch: positions by time and by epoch.

use std::rc::Rc;

use ailurus_cluster::Cluster;
use ailurus_model::{PartitionId, Term, TopicIdPartition};
use ailurus_partition::{OffsetAt, Partition};
use ailurus_rt::Lane;
use ailurus_wire::ErrorCode;
use ailurus_wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use ailurus_wire::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};

use crate::dispatch::Request;
use crate::entries::repeated;
use crate::fetch::owner::{epoch_error, read_error};

/// The log's end as readers see it.
const LATEST: i64 = -1;
/// The first offset that is still there.
const EARLIEST: i64 = -2;
/// The record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
/// The first offset on this broker's disk (KIP-405): all of the log is there.
const EARLIEST_LOCAL: i64 = -4;
/// The last offset that was moved to remote storage: none ever is.
const LATEST_TIERED: i64 = -5;

pub(crate) async fn list_offsets(request: &mut Request, body: ListOffsetsRequest) -> ListOffsetsResponse {
    let cluster = request.shard.cluster.clone();
    let version = request.version();
    let mut response = ListOffsetsResponse::default();
    for topic in body.topics {
        let mut partitions = Vec::new();
        let twice = repeated(topic.partitions.iter().map(|wanted| wanted.partition_index));
        for wanted in &topic.partitions {
            let index = wanted.partition_index;
            let found = match twice.contains(&index) {
                true => Err(ErrorCode::InvalidRequest),
                false => locate(&cluster, &topic.name, wanted, version).await,
            };
            partitions.push(answer(index, found, version));
        }
        response.topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    response
}

fn answer(
    partition_index: i32,
    found: Result<Option<OffsetAt>, ErrorCode>,
    version: i16,
) -> ListOffsetsPartitionResponse {
    let blank = ListOffsetsPartitionResponse { partition_index, ..Default::default() };
    match found {
        Ok(Some(at)) => ListOffsetsPartitionResponse {
            timestamp: at.timestamp,
            offset: at.offset.0,
            // Versions before 4 have no place for it.
            leader_epoch: at.epoch.filter(|_| version >= 4).map_or(-1, |epoch| epoch.0),
            ..blank
        },
        Ok(None) => blank,
        Err(error_code) => ListOffsetsPartitionResponse { error_code, ..blank },
    }
}

/// The partition that is meant, on whatever shard it is.
pub(crate) fn target(cluster: &Cluster, topic: &str, partition: i32) -> Result<TopicIdPartition, ErrorCode> {
    let state = cluster.state();
    let topic = state.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    match usize::try_from(partition).is_ok_and(|place| place < topic.partitions.len()) {
        true => Ok(topic.partition(PartitionId(partition))),
        false => Err(ErrorCode::UnknownTopicOrPartition),
    }
}

/// Asks the owner of `target`.
pub(crate) async fn at_owner<R: Send + 'static, F: Future<Output = Result<R, ErrorCode>> + 'static>(
    cluster: &Cluster,
    target: TopicIdPartition,
    ask: impl FnOnce(Rc<Partition>) -> F + Send + 'static,
) -> Result<R, ErrorCode> {
    let owner = cluster.shard_of(target).ok_or(ErrorCode::NotLeaderOrFollower)?;
    let ask = move |owner: Rc<Cluster>| async move {
        let partition = owner.partition(target).filter(|partition| partition.is_leader());
        ask(partition.ok_or(ErrorCode::NotLeaderOrFollower)?).await
    };
    cluster.sharded().on_async(owner, Lane::Kafka, ask).await
}

async fn locate(
    cluster: &Cluster,
    topic: &str,
    wanted: &ListOffsetsPartition,
    version: i16,
) -> Result<Option<OffsetAt>, ErrorCode> {
    let target = target(cluster, topic, wanted.partition_index)?;
    let (timestamp, epoch) = (wanted.timestamp, wanted.current_leader_epoch);
    // Each special time came with a version of its own; before it, the number means nothing.
    let special_from = match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        _ => 0,
    };
    if version < special_from || timestamp < LATEST_TIERED {
        return Err(ErrorCode::UnsupportedVersion);
    }
    at_owner(cluster, target, move |partition| async move {
        partition.check_epoch(epoch).map_err(epoch_error)?;
        let end = |offset| {
            let epoch = Some(partition.leader_epoch());
            Ok(Some(OffsetAt { offset, timestamp: -1, epoch }))
        };
        match timestamp {
            LATEST => end(partition.high_watermark()),
            EARLIEST | EARLIEST_LOCAL => end(partition.log_start()),
            LATEST_TIERED => Ok(None),
            MAX_TIMESTAMP => partition.offset_of_max_timestamp().await.map_err(read_error),
            timestamp => partition.offset_for_time(timestamp).await.map_err(read_error),
        }
    })
    .await
}

pub(crate) async fn offset_for_leader_epoch(
    request: &mut Request,
    body: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let cluster = request.shard.cluster.clone();
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in body.topics {
        let mut partitions = Vec::new();
        for wanted in &topic.partitions {
            let found = epoch_end(&cluster, &topic.topic, wanted).await;
            let blank = EpochEndOffset { partition: wanted.partition, ..Default::default() };
            partitions.push(match found {
                Ok(Some((epoch, end_offset))) => EpochEndOffset { leader_epoch: epoch, end_offset, ..blank },
                Ok(None) => blank,
                Err(error_code) => EpochEndOffset { error_code, ..blank },
            });
        }
        response.topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
    }
    response
}

async fn epoch_end(
    cluster: &Cluster,
    topic: &str,
    wanted: &OffsetForLeaderPartition,
) -> Result<Option<(i32, i64)>, ErrorCode> {
    let target = target(cluster, topic, wanted.partition)?;
    let (current, asked) = (wanted.current_leader_epoch, wanted.leader_epoch);
    at_owner(cluster, target, move |partition| async move {
        partition.check_epoch(current).map_err(epoch_error)?;
        // -1 is Kafka's "no epoch": nothing is known of it.
        let end = (asked != -1).then(|| partition.replica().epoch_end(Term(asked)));
        Ok(end.flatten().map(|(epoch, end)| (epoch.0, end.0)))
    })
    .await
}
