//! DescribeLogDirs and DescribeProducers: what lies on the disk, and whom the partitions remember.

use std::collections::BTreeMap;
use std::rc::Rc;

use ailurus_base::{HashMap, HashSet};
use ailurus_cluster::Cluster;
use ailurus_model::TopicIdPartition;
use ailurus_rt::{self as rt, Lane};
use ailurus_wire::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};
use ailurus_wire::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use ailurus_wire::{ErrorCode, Str};

use crate::dispatch::Request;
use crate::entries::once;
use crate::list_offsets::{at_owner, target};

pub(crate) async fn describe_log_dirs(request: &mut Request, body: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let cluster = request.shard.cluster.clone();
    let sizes = sizes(&cluster).await;
    let topics = asked(&cluster, &body, &sizes);
    let space = rt::fs::space(cluster.data_dir()).await;
    let (total_bytes, usable_bytes) = space.map_or((-1, -1), |space| (space.total as i64, space.free as i64));
    let result = DescribeLogDirsResult {
        log_dir: cluster.data_dir().display().to_string().into(),
        topics,
        total_bytes,
        usable_bytes,
        ..Default::default()
    };
    DescribeLogDirsResponse { results: vec![result], ..Default::default() }
}

/// What was asked for, as far as it is there.
fn asked(
    cluster: &Cluster,
    body: &DescribeLogDirsRequest,
    sizes: &HashMap<TopicIdPartition, u64>,
) -> Vec<DescribeLogDirsTopic> {
    let mut topics: BTreeMap<Str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    let asked = body.topics.as_ref().map(|topics| -> HashSet<(&str, i32)> {
        topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (&*topic.topic, *index))).collect()
    });
    for topic in cluster.state().topics() {
        for (partition, _) in topic.iter() {
            let Some(size) = sizes.get(&partition) else { continue };
            if asked.as_ref().is_none_or(|asked| asked.contains(&(&*topic.name, partition.partition.0))) {
                topics.entry(Str::from(&*topic.name)).or_default().push(DescribeLogDirsPartition {
                    partition_index: partition.partition.0,
                    partition_size: *size as i64,
                    ..Default::default()
                });
            }
        }
    }
    topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic { name, partitions }).collect()
}

/// Bytes of every partition of this node.
async fn sizes(cluster: &Cluster) -> HashMap<TopicIdPartition, u64> {
    let sizes = |shard: &Rc<Cluster>| -> Vec<(TopicIdPartition, u64)> {
        shard.partitions().iter().map(|partition| (partition.id(), partition.size_bytes())).collect()
    };
    cluster.sharded().map(Lane::Kafka, sizes).await.into_iter().flatten().collect()
}

pub(crate) async fn describe_producers(
    request: &mut Request,
    body: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let cluster = request.shard.cluster.clone();
    let mut response = DescribeProducersResponse::default();
    for topic in once(body.topics, |topic| topic.name.clone()) {
        let mut partitions = Vec::new();
        for partition_index in once(topic.partition_indexes, |index| *index) {
            let producers = producers(&cluster, &topic.name, partition_index).await;
            let blank = PartitionResponse { partition_index, ..Default::default() };
            partitions.push(match producers {
                Ok(active_producers) => PartitionResponse { active_producers, ..blank },
                Err(error_code) => PartitionResponse { error_code, ..blank },
            });
        }
        response.topics.push(TopicResponse { name: topic.name, partitions });
    }
    response
}

async fn producers(cluster: &Cluster, topic: &str, partition: i32) -> Result<Vec<ProducerState>, ErrorCode> {
    let target = target(cluster, topic, partition)?;
    let found = at_owner(cluster, target, |partition| async move { Ok(partition.describe_producers()) }).await?;
    let state = |producer: ailurus_partition::producers::ProducerView| ProducerState {
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch.into(),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: -1,
        ..Default::default()
    };
    Ok(found.into_iter().map(state).collect())
}
