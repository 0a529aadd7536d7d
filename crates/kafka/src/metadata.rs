//! Metadata, DescribeTopicPartitions and DescribeCluster: answered from this shard's own view.

use std::time::Duration;

use ailurus_base::HashMap;
use ailurus_cluster::command::{Command, Reply};
use ailurus_cluster::plan::{NewTopic, TopicRefusal, bound_partitions, check_name};
use ailurus_cluster::state::{PartitionState, Topic};
use ailurus_cluster::{Cluster, OFFSETS_TOPIC};
use ailurus_model::{NodeId, TopicIdPartition};
use ailurus_wire::describe_cluster::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};
use ailurus_wire::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use ailurus_wire::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use ailurus_wire::{ErrorCode, Str, TopicId};

use crate::dispatch::Request;
use crate::entries::once;
use crate::nodes::{Endpoint, Nodes};
use crate::server::KafkaShard;
use crate::topics::{copies_by_default, refusal_code, total_partitions};

/// How long a request that creates a topic by naming it waits until the topic can be used.
const AUTO_CREATE_TIME: Duration = Duration::from_secs(5);

/// Kafka's bound of partitions in one DescribeTopicPartitions answer (`max.request.partition.size.limit`).
const PARTITIONS_PER_PAGE_MAX: i32 = 2000;

/// Without an authorizer everything is allowed: the operations that Kafka names for topics...
const TOPIC_OPERATIONS: i32 = operations(&[3, 4, 5, 6, 7, 8, 10, 11]);

/// ...and for the cluster.
const CLUSTER_OPERATIONS: i32 = operations(&[5, 7, 8, 9, 10, 11, 12]);

/// A bit per AclOperation code.
const fn operations(codes: &[u32]) -> i32 {
    let (mut bits, mut place) = (0, 0);
    while place < codes.len() {
        bits |= 1 << codes[place];
        place += 1;
    }
    bits
}

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Wanted {
    Name(Str),
    Id(TopicId),
}

pub(crate) async fn metadata(request: &mut Request, body: MetadataRequest) -> MetadataResponse {
    let (cluster, nodes) = (request.shard.cluster.clone(), request.shard.nodes.clone());
    let topics = match wanted(request.version(), &body) {
        Err(error) => vec![MetadataResponseTopic { error_code: error, ..Default::default() }],
        Ok(None) => cluster.state().topics().map(|topic| describe(&cluster, &nodes, topic)).collect(),
        Ok(Some(wanted)) => {
            let create = body.allow_auto_topic_creation || request.version() < 4;
            let missing = auto_create(request, &wanted, create).await;
            wanted.iter().map(|wanted| describe_wanted(&cluster, &nodes, wanted, &missing)).collect()
        }
    };
    let operations = |asked: bool, all: i32| if asked { all } else { i32::MIN };
    let mut response = MetadataResponse {
        brokers: brokers(request),
        cluster_id: Some(cluster.cluster_id().into()),
        controller_id: nodes.controller(),
        topics,
        cluster_authorized_operations: operations(body.include_cluster_authorized_operations, CLUSTER_OPERATIONS),
        ..Default::default()
    };
    for topic in &mut response.topics {
        topic.topic_authorized_operations = operations(body.include_topic_authorized_operations, TOPIC_OPERATIONS);
    }
    response
}

/// `None`: all topics. In version 0 an empty list means all, later null does.
fn wanted(version: i16, body: &MetadataRequest) -> Result<Option<Vec<Wanted>>, ErrorCode> {
    let Some(topics) = &body.topics else { return Ok(None) };
    if version == 0 && topics.is_empty() {
        return Ok(None);
    }
    let each = |topic: &MetadataRequestTopic| match &topic.name {
        // Asking by id came with version 12; 10 and 11 carry the field, but a client must not use it.
        _ if topic.topic_id != TopicId::NONE && version < 12 => Err(ErrorCode::InvalidRequest),
        Some(name) => Ok(Wanted::Name(name.clone())),
        None if topic.topic_id == TopicId::NONE || version < 12 => Err(ErrorCode::InvalidRequest),
        None => Ok(Wanted::Id(topic.topic_id)),
    };
    let wanted = topics.iter().map(each).collect::<Result<_, _>>()?;
    // As in Kafka, what is named twice is answered once.
    Ok(Some(once(wanted, Wanted::clone)))
}

/// Creates the topics that are named and missing, if that is allowed; answers why others still are.
async fn auto_create(request: &Request, wanted: &[Wanted], allowed: bool) -> HashMap<Str, ErrorCode> {
    let cluster = &request.shard.cluster;
    let settings = cluster.settings();
    let name = |wanted: &Wanted| match wanted {
        Wanted::Name(name) if cluster.state().topic(name).is_none() => Some(name.clone()),
        _ => None,
    };
    let missing: Vec<Str> = wanted.iter().filter_map(name).collect();
    if missing.is_empty() {
        return HashMap::default();
    }
    let (legal, illegal): (Vec<Str>, Vec<Str>) = missing.into_iter().partition(|name| check_name(name).is_ok());
    let mut errors: HashMap<_, _> = illegal.into_iter().map(|name| (name, ErrorCode::InvalidTopicException)).collect();
    if !(allowed && settings.auto_create_topics_enable) {
        errors.extend(legal.into_iter().map(|name| (name, ErrorCode::UnknownTopicOrPartition)));
        return errors;
    }
    let topics: Vec<NewTopic> = legal.iter().map(|name| auto_created(&request.shard, name)).collect();
    // As in Kafka, where so many would be one request to create them: they stay unknown.
    if bound_partitions(total_partitions(cluster, &topics)).is_err() {
        errors.extend(legal.into_iter().map(|name| (name, ErrorCode::UnknownTopicOrPartition)));
        return errors;
    }
    let results = match cluster.submit(Command::CreateTopics(topics)).await {
        Ok(Reply::Topics(results)) => results,
        _ => legal.iter().map(|_| Err(TopicRefusal::Unavailable)).collect(),
    };
    for (name, result) in legal.iter().zip(results) {
        match result {
            Ok(_) | Err(TopicRefusal::Exists) => {
                cluster.until_led(name, AUTO_CREATE_TIME).await;
            }
            Err(refusal) => _ = errors.insert(name.clone(), refusal_code(&refusal).0),
        }
    }
    errors
}

/// A topic that springs up because somebody named it.
fn auto_created(shard: &KafkaShard, name: &str) -> NewTopic {
    if name == OFFSETS_TOPIC {
        return shard.cluster.offsets_topic();
    }
    NewTopic { name: name.into(), replication_factor: copies_by_default(shard), ..Default::default() }
}

fn describe_wanted(
    cluster: &Cluster,
    nodes: &Nodes,
    wanted: &Wanted,
    missing: &HashMap<Str, ErrorCode>,
) -> MetadataResponseTopic {
    let state = cluster.state();
    match wanted {
        Wanted::Name(name) => match state.topic(name) {
            Some(topic) => describe(cluster, nodes, topic),
            None => {
                let why = missing.get(name).copied();
                let error_code = why.unwrap_or(ErrorCode::UnknownTopicOrPartition);
                MetadataResponseTopic { error_code, name: Some(name.clone()), ..Default::default() }
            }
        },
        Wanted::Id(id) => match state.topic_by_id(*id) {
            Some(topic) => describe(cluster, nodes, topic),
            // Null and not empty: there is no name to tell.
            None => MetadataResponseTopic {
                error_code: ErrorCode::UnknownTopicId,
                name: None,
                topic_id: *id,
                ..Default::default()
            },
        },
    }
}

fn describe(cluster: &Cluster, nodes: &Nodes, topic: &Topic) -> MetadataResponseTopic {
    MetadataResponseTopic {
        name: Some((&*topic.name).into()),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        partitions: topic.iter().map(|(id, state)| describe_partition(cluster, nodes, id, &state.replicas)).collect(),
        ..Default::default()
    }
}

fn describe_partition(
    cluster: &Cluster,
    nodes: &Nodes,
    id: TopicIdPartition,
    replicas: &[NodeId],
) -> MetadataResponsePartition {
    let owner = cluster.shard_of(id);
    let leader = owner.and_then(|shard| Some((shard, cluster.leader(id)?.1)));
    let replica_nodes = owner.map_or_else(Vec::new, |shard| nodes.replicas(replicas, shard));
    MetadataResponsePartition {
        error_code: if leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable },
        partition_index: id.partition.0,
        leader_id: leader.map_or(-1, |(shard, _)| nodes.id(shard)),
        leader_epoch: leader.map_or(-1, |(_, epoch)| epoch.0),
        isr_nodes: if leader.is_some() { replica_nodes.clone() } else { Vec::new() },
        offline_replicas: if leader.is_some() { Vec::new() } else { replica_nodes.clone() },
        replica_nodes,
    }
}

fn brokers(request: &Request) -> Vec<MetadataResponseBroker> {
    let rack: Option<Str> = request.shard.settings().broker_rack.as_deref().map(Into::into);
    let broker = |(node_id, endpoint): (i32, &Endpoint)| {
        let host = endpoint.host.as_str().into();
        MetadataResponseBroker { node_id, host, port: endpoint.port.into(), rack: rack.clone() }
    };
    request.shard.nodes.all().map(broker).collect()
}

pub(crate) async fn describe_topic_partitions(
    request: &mut Request,
    body: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let (cluster, nodes) = (request.shard.cluster.clone(), request.shard.nodes.clone());
    let state = cluster.state();
    let mut names: Vec<Str> = body.topics.iter().map(|topic| topic.name.clone()).collect();
    if names.is_empty() {
        names = state.topics().map(|topic| Str::from(&*topic.name)).collect();
    }
    names.sort();
    names.dedup();
    let (from_topic, mut from_partition) = match &body.cursor {
        Some(cursor) => (cursor.topic_name.clone(), cursor.partition_index.max(0)),
        None => (Str::new(), 0),
    };
    let mut room = body.response_partition_limit.clamp(1, PARTITIONS_PER_PAGE_MAX);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.into_iter().filter(|name| *name >= from_topic) {
        let first = if name == from_topic { std::mem::take(&mut from_partition) } else { 0 };
        if room == 0 {
            response.next_cursor = Some(Cursor { topic_name: name, partition_index: first });
            break;
        }
        let Some(topic) = state.topic(&name) else {
            let error_code = match check_name(&name) {
                Ok(()) => ErrorCode::UnknownTopicOrPartition,
                Err(_) => ErrorCode::InvalidTopicException,
            };
            let unknown = DescribeTopicPartitionsResponseTopic { error_code, name: Some(name), ..Default::default() };
            response.topics.push(unknown);
            continue;
        };
        let page: Vec<_> = topic.iter().skip(first as usize).take(room as usize).collect();
        let next = first + page.len() as i32;
        room -= page.len() as i32;
        let partition = |(id, state): (_, &PartitionState)| describe_partition(&cluster, &nodes, id, &state.replicas);
        let partitions = page.into_iter().map(partition).map(paged);
        response.topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(name.clone()),
            topic_id: topic.id,
            is_internal: topic.is_internal(),
            partitions: partitions.collect(),
            topic_authorized_operations: TOPIC_OPERATIONS,
            ..Default::default()
        });
        if next < topic.partitions.len() as i32 {
            response.next_cursor = Some(Cursor { topic_name: name, partition_index: next });
            break;
        }
    }
    response
}

fn paged(partition: MetadataResponsePartition) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition {
        error_code: partition.error_code,
        partition_index: partition.partition_index,
        leader_id: partition.leader_id,
        leader_epoch: partition.leader_epoch,
        replica_nodes: partition.replica_nodes,
        isr_nodes: partition.isr_nodes,
        offline_replicas: partition.offline_replicas,
        // Empty, not null: nobody is eligible beyond the ISR. The Java client takes the length of both without a look.
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
    }
}

pub(crate) async fn describe_cluster(request: &mut Request, body: DescribeClusterRequest) -> DescribeClusterResponse {
    let cluster = &request.shard.cluster;
    let refused = |error_code, text: &'static str| DescribeClusterResponse {
        error_code,
        error_message: Some(Str::from_static(text)),
        endpoint_type: body.endpoint_type,
        ..Default::default()
    };
    match body.endpoint_type {
        1 => {}
        // KIP-919: controllers have endpoints of their own in Kafka; here every broker is the face of the cluster.
        2 => return refused(ErrorCode::MismatchedEndpointType, "this is a broker's endpoint, not a controller's"),
        _ => return refused(ErrorCode::UnsupportedEndpointType, "there is no such type of endpoint"),
    }
    let broker = |broker: MetadataResponseBroker| DescribeClusterBroker {
        broker_id: broker.node_id,
        host: broker.host,
        port: broker.port,
        rack: broker.rack,
        ..Default::default()
    };
    DescribeClusterResponse {
        cluster_id: cluster.cluster_id().into(),
        controller_id: request.shard.nodes.controller(),
        brokers: brokers(request).into_iter().map(broker).collect(),
        cluster_authorized_operations: match body.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => i32::MIN,
        },
        ..Default::default()
    }
}
