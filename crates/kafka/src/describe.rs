//! DescribeLogDirs and DescribeProducers: what lies on the disk, and whom the partitions remember.

use std::collections::BTreeMap;
use std::rc::Rc;

use ailurus_base::{HashMap, HashSet};
use ailurus_cluster::Cluster;
use ailurus_model::TopicIdPartition;
use ailurus_partition::Partition;
use ailurus_partition::producers::ProducerView;
use ailurus_rt::{self as rt, Lane};
use ailurus_wire::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};
use ailurus_wire::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicRequest, TopicResponse,
};
use ailurus_wire::{ErrorCode, Str};

use crate::dispatch::{Request, enqueued};
use crate::entries::once;
use crate::list_offsets::target;
use crate::owners::ask_owners;

pub(crate) async fn describe_log_dirs(request: &mut Request, body: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let cluster = request.shard.cluster.clone();
    // Of a node that is a shard, clients want to know what that shard has.
    let sizes = match request.shard.nodes.is_direct() {
        true => sizes_here(&cluster).into_iter().collect(),
        false => sizes(&cluster).await,
    };
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
    let sizes = |shard: &Rc<Cluster>| sizes_here(shard);
    cluster.sharded().map(Lane::Kafka, sizes).await.into_iter().flatten().collect()
}

/// Bytes of every partition of this shard.
fn sizes_here(cluster: &Cluster) -> Vec<(TopicIdPartition, u64)> {
    cluster.partitions().iter().map(|partition| (partition.id(), partition.size_bytes())).collect()
}

pub(crate) async fn describe_producers(
    request: &mut Request,
    body: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let cluster = request.shard.cluster.clone();
    let topics: Vec<TopicRequest> = once(body.topics, |topic| topic.name.clone())
        .into_iter()
        .map(|topic| TopicRequest { partition_indexes: once(topic.partition_indexes, |index| *index), ..topic })
        .collect();
    let named = topics.iter().flat_map(|topic| topic.partition_indexes.iter().map(|index| (&*topic.name, *index)));
    let wanted = named.map(|(topic, index)| Ok((target(&cluster, topic, index)?, ()))).collect();
    let producers = async |partition: Rc<Partition>, ()| Ok(partition.describe_producers());
    let mut found = enqueued(request, ask_owners(&cluster, wanted, None, producers)).await.into_iter();
    let mut response = DescribeProducersResponse::default();
    for topic in topics {
        let partition = |(index, found): (&i32, Result<Vec<ProducerView>, ErrorCode>)| {
            let blank = PartitionResponse { partition_index: *index, ..Default::default() };
            match found {
                Ok(producers) => {
                    PartitionResponse { active_producers: producers.into_iter().map(producer).collect(), ..blank }
                }
                Err(error_code) => PartitionResponse { error_code, ..blank },
            }
        };
        let partitions = topic.partition_indexes.iter().zip(&mut found).map(partition).collect();
        response.topics.push(TopicResponse { name: topic.name, partitions });
    }
    response
}

fn producer(view: ProducerView) -> ProducerState {
    ProducerState {
        producer_id: view.producer_id,
        producer_epoch: view.producer_epoch.into(),
        last_sequence: view.last_sequence,
        last_timestamp: view.last_timestamp,
        coordinator_epoch: -1,
        ..Default::default()
    }
}
