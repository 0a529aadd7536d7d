//! ListOffsets and OffsetForLeaderEpoch: positions by time and by epoch.

use std::rc::Rc;

use ailurus_cluster::Cluster;
use ailurus_model::{Offset, PartitionId, Term, TopicIdPartition};
use ailurus_partition::{OffsetAt, Partition};
use ailurus_rt as rt;
use ailurus_wire::ErrorCode;
use ailurus_wire::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use ailurus_wire::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};

use crate::dispatch::{Request, enqueued};
use crate::entries::repeated;
use crate::fetch::owner::{epoch_error, read_error};
use crate::owners::ask_owners;

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
    let twice = repeated(body.topics.iter().flat_map(|topic| {
        let name = &*topic.name;
        topic.partitions.iter().map(move |wanted| (name, wanted.partition_index))
    }));
    let mut wanted = Vec::new();
    for topic in &body.topics {
        for partition in &topic.partitions {
            let once = !twice.contains(&(&*topic.name, partition.partition_index));
            let target = match once {
                true => target(&cluster, &topic.name, partition.partition_index),
                false => Err(ErrorCode::InvalidRequest),
            };
            let known = target.and_then(|target| check_time(partition.timestamp, version).map(|()| target));
            wanted.push(known.map(|target| (target, (partition.timestamp, partition.current_leader_epoch))));
            rt::yield_if_needed().await;
        }
    }
    let mut found = enqueued(request, ask_owners(&cluster, wanted, None, locate)).await.into_iter();
    let mut response = ListOffsetsResponse::default();
    for topic in body.topics {
        let partitions = topic.partitions.iter().zip(&mut found);
        let partitions = partitions.map(|(wanted, found)| answer(wanted.partition_index, found, version)).collect();
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

/// Each special time came with a version of its own; before it, the number means nothing.
fn check_time(timestamp: i64, version: i16) -> Result<(), ErrorCode> {
    let special_from = match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        _ => 0,
    };
    match version < special_from || timestamp < LATEST_TIERED {
        true => Err(ErrorCode::UnsupportedVersion),
        false => Ok(()),
    }
}

/// At the owner: the offset for a time, asked by one who knows this leader epoch.
async fn locate(partition: Rc<Partition>, (timestamp, epoch): (i64, i32)) -> Result<Option<OffsetAt>, ErrorCode> {
    partition.check_epoch(epoch).map_err(epoch_error)?;
    let end = |offset, epoch| Ok(Some(OffsetAt { offset, timestamp: -1, epoch: Some(epoch) }));
    match timestamp {
        LATEST => end(partition.high_watermark(), partition.leader_epoch()),
        EARLIEST | EARLIEST_LOCAL => {
            let start = partition.log_start();
            end(start, partition.replica().log().term_of(start))
        }
        LATEST_TIERED => Ok(None),
        MAX_TIMESTAMP => partition.offset_of_max_timestamp().await.map_err(read_error),
        timestamp => partition.offset_for_time(timestamp).await.map_err(read_error),
    }
}

pub(crate) async fn offset_for_leader_epoch(
    request: &mut Request,
    body: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let cluster = request.shard.cluster.clone();
    let mut wanted = Vec::new();
    for topic in &body.topics {
        for partition in &topic.partitions {
            let target = target(&cluster, &topic.topic, partition.partition);
            wanted.push(target.map(|target| (target, (partition.current_leader_epoch, partition.leader_epoch))));
            rt::yield_if_needed().await;
        }
    }
    let mut found = enqueued(request, ask_owners(&cluster, wanted, None, epoch_end)).await.into_iter();
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in body.topics {
        let answer = |(wanted, found): (&OffsetForLeaderPartition, Result<_, ErrorCode>)| {
            let blank = EpochEndOffset { partition: wanted.partition, ..Default::default() };
            match found {
                Ok(Some((Term(leader_epoch), Offset(end_offset)))) => {
                    EpochEndOffset { leader_epoch, end_offset, ..blank }
                }
                Ok(None) => blank,
                Err(error_code) => EpochEndOffset { error_code, ..blank },
            }
        };
        let partitions = topic.partitions.iter().zip(&mut found).map(answer).collect();
        response.topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
    }
    response
}

/// At the owner: where the epoch `asked` ends, for one who knows the leader epoch `current`.
async fn epoch_end(
    partition: Rc<Partition>,
    (current, asked): (i32, i32),
) -> Result<Option<(Term, Offset)>, ErrorCode> {
    partition.check_epoch(current).map_err(epoch_error)?;
    // -1 is Kafka's "no epoch": nothing is known of it.
    Ok((asked != -1).then(|| partition.replica().epoch_end(Term(asked))).flatten())
}
