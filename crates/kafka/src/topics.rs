//! CreateTopics, DeleteTopics, CreatePartitions and DeleteRecords.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ailurus_cluster::Cluster;
use ailurus_cluster::command::{Command, MorePartitions, Reply, TopicRef};
use ailurus_cluster::plan::{NewTopic, TopicRefusal, bound_partitions};
use ailurus_cluster::state::is_internal;
use ailurus_model::{Offset, PartitionId, TopicIdPartition};
use ailurus_partition::Partition;
use ailurus_rt::{self as rt, Instant};
use ailurus_wire::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use ailurus_wire::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use ailurus_wire::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use ailurus_wire::delete_topics::{DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};
use ailurus_wire::{ErrorCode, Str, TopicId};

use crate::dispatch::{Request, enqueued};
use crate::entries::repeated;
use crate::nodes::Nodes;
use crate::owners::ask_owners;
use crate::server::KafkaShard;

/// DeleteRecords waits at least so long for the disk. A client's timeout is meant for the other replicas: with none, Kafka
/// answers in time whatever it says.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// Kafka's code and, for people, the text of a refusal.
pub(crate) fn refusal_code(refusal: &TopicRefusal) -> (ErrorCode, Option<String>) {
    use TopicRefusal::*;
    let text = |text: &String| Some(text.clone());
    match refusal {
        Exists => (ErrorCode::TopicAlreadyExists, Some("the topic exists already".into())),
        InvalidName(why) => (ErrorCode::InvalidTopicException, text(why)),
        InvalidPartitions(why) => (ErrorCode::InvalidPartitions, text(why)),
        InvalidReplicationFactor(why) => (ErrorCode::InvalidReplicationFactor, text(why)),
        InvalidAssignment(why) => (ErrorCode::InvalidReplicaAssignment, text(why)),
        InvalidConfig(why) => (ErrorCode::InvalidConfig, text(why)),
        InvalidRequest(why) => (ErrorCode::InvalidRequest, text(why)),
        PolicyViolation(why) => (ErrorCode::PolicyViolation, text(why)),
        UnknownTopic => (ErrorCode::UnknownTopicOrPartition, None),
        UnknownTopicId => (ErrorCode::UnknownTopicId, None),
        Unavailable => (ErrorCode::RequestTimedOut, Some("the controller could not write the change".into())),
    }
}

/// How long a client waits, from when it asked.
fn deadline(request: &Request, timeout_ms: i32) -> Instant {
    request.received + Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

async fn submit(cluster: &Cluster, command: Command, count: usize) -> Vec<Result<TopicId, TopicRefusal>> {
    match cluster.submit(command).await {
        Ok(Reply::Topics(results)) => results,
        _ => vec![Err(TopicRefusal::Unavailable); count],
    }
}

pub(crate) async fn create_topics(request: &mut Request, body: CreateTopicsRequest) -> CreateTopicsResponse {
    let cluster = request.shard.cluster.clone();
    let deadline = deadline(request, body.timeout_ms);
    let twice = repeated(body.topics.iter().map(|topic| topic.name.clone()));
    let mut response = CreateTopicsResponse::default();
    let mut wanted: Vec<NewTopic> = Vec::new();
    // Kafka refuses a topic that is named more than once whole, and says so once.
    for name in &twice {
        let refusal = TopicRefusal::InvalidRequest("the topic is named more than once".into());
        response.topics.push(refused_topic(name, &refusal));
    }
    for topic in body.topics.iter().filter(|topic| !twice.contains(&topic.name)) {
        match new_topic(&request.shard, topic) {
            Ok(new) => wanted.push(new),
            Err(refusal) => response.topics.push(refused_topic(&topic.name, &refusal)),
        }
    }
    let results = if let Err(refusal) = bound_partitions(total_partitions(&cluster, &wanted)) {
        vec![Err(refusal); wanted.len()]
    } else if body.validate_only {
        cluster.check_create(&wanted)
    } else {
        submit(&cluster, Command::CreateTopics(wanted.clone()), wanted.len()).await
    };
    for (topic, result) in wanted.iter().zip(results) {
        let name = Str::from(topic.name.as_str());
        response.topics.push(match result {
            Err(refusal) => refused_topic(&name, &refusal),
            Ok(_) if body.validate_only => created_topic(&cluster, &name, topic, TopicId::NONE),
            Ok(id) if cluster.until_led(&topic.name, deadline - rt::now()).await => {
                created_topic(&cluster, &name, topic, id)
            }
            Ok(_) => CreatableTopicResult { error_code: ErrorCode::RequestTimedOut, name, ..Default::default() },
        });
    }
    response
}

/// How many partitions `topics` have together.
pub(crate) fn total_partitions(cluster: &Cluster, topics: &[NewTopic]) -> usize {
    let each = |topic: &NewTopic| match topic.assignments.len() {
        0 => topic.partitions.unwrap_or(cluster.settings().num_partitions).max(0) as usize,
        assigned => assigned,
    };
    topics.iter().map(each).sum()
}

fn new_topic(shard: &KafkaShard, topic: &CreatableTopic) -> Result<NewTopic, TopicRefusal> {
    let plain = plain_topic(shard, topic)?;
    if is_internal(&topic.name) && shard.cluster.state().topic(&topic.name).is_none() {
        return Ok(NewTopic { configs: shard.cluster.offsets_topic().configs, ..plain });
    }
    Ok(plain)
}

fn plain_topic(shard: &KafkaShard, topic: &CreatableTopic) -> Result<NewTopic, TopicRefusal> {
    let mut configs = BTreeMap::new();
    for config in &topic.configs {
        let value = config.value.as_ref().ok_or_else(|| {
            TopicRefusal::InvalidConfig(format!("null value not supported for topic configs: {}", config.name.as_str()))
        })?;
        configs.insert(config.name.to_string(), value.to_string());
    }
    let assignment = |assignment: &ailurus_wire::create_topics::CreatableReplicaAssignment| {
        Ok((assignment.partition_index, brokers(&shard.nodes, &assignment.broker_ids)?))
    };
    let factor = match topic.replication_factor {
        -1 if topic.assignments.is_empty() => copies_by_default(shard),
        -1 => None,
        asked => Some(shard.nodes.copies(asked, shard.cluster.state().nodes().len())),
    };
    Ok(NewTopic {
        name: topic.name.to_string(),
        partitions: (topic.num_partitions != -1).then_some(topic.num_partitions),
        replication_factor: factor,
        assignments: topic.assignments.iter().map(assignment).collect::<Result<_, _>>()?,
        configs,
    })
}

/// The number of copies of a topic for which nobody asked for one, if it is not simply the broker's default.
pub(crate) fn copies_by_default(shard: &KafkaShard) -> Option<i16> {
    let default = i16::try_from(shard.cluster.settings().default_replication_factor).ok()?;
    let copies = shard.nodes.copies(default, shard.cluster.state().nodes().len());
    (copies != default).then_some(copies)
}

/// The brokers that shall have a partition.
fn brokers(nodes: &Nodes, ids: &[i32]) -> Result<Vec<i32>, TopicRefusal> {
    nodes.brokers(ids).map_err(TopicRefusal::InvalidAssignment)
}

fn refused_topic(name: &Str, refusal: &TopicRefusal) -> CreatableTopicResult {
    let (error_code, text) = refusal_code(refusal);
    CreatableTopicResult { name: name.clone(), error_code, error_message: text.map(Into::into), ..Default::default() }
}

fn created_topic(cluster: &Cluster, name: &Str, wanted: &NewTopic, id: TopicId) -> CreatableTopicResult {
    let settings = cluster.settings();
    let state = cluster.state();
    let counts = match state.topic(name) {
        Some(topic) => {
            (topic.partitions.len() as i32, topic.partitions.first().map_or(0, |first| first.replicas.len()))
        }
        None if wanted.assignments.is_empty() => (
            wanted.partitions.unwrap_or(settings.num_partitions),
            wanted.replication_factor.map_or(settings.default_replication_factor, i32::from) as usize,
        ),
        None => (wanted.assignments.len() as i32, wanted.assignments[0].1.len()),
    };
    let config = |entry: ailurus_settings::ConfigEntry| CreatableTopicConfigs {
        name: entry.name.into(),
        value: entry.value.map(Into::into),
        read_only: entry.read_only,
        config_source: entry.source.code(),
        is_sensitive: entry.sensitive,
    };
    let overrides = ailurus_settings::TopicOverrides::parse(&wanted.configs).unwrap_or_default();
    let described = ailurus_settings::describe_topic(&overrides, &cluster.layers(), None);
    CreatableTopicResult {
        name: name.clone(),
        topic_id: id,
        num_partitions: counts.0,
        replication_factor: counts.1 as i16,
        configs: Some(described.into_iter().map(config).collect()),
        ..Default::default()
    }
}

pub(crate) async fn delete_topics(request: &mut Request, body: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let cluster = request.shard.cluster.clone();
    let mut wanted = body.topics;
    wanted.extend(body.topic_names.into_iter().map(|name| DeleteTopicState { name: Some(name), ..Default::default() }));
    let twice = repeated(wanted.iter().filter_map(|topic| topic.name.clone()));
    let mut response = DeleteTopicsResponse::default();
    let mut accepted = Vec::new();
    for topic in wanted {
        let twice = topic.name.as_ref().is_some_and(|name| twice.contains(name));
        match topic_ref(&topic).filter(|_| !twice) {
            Some(reference) => accepted.push((topic, reference)),
            None => response.responses.push(deleted(&cluster, &topic, ErrorCode::InvalidRequest)),
        }
    }
    if !cluster.settings().delete_topic_enable {
        // The error came with version 3.
        let disabled = match request.version() {
            ..3 => ErrorCode::InvalidRequest,
            _ => ErrorCode::TopicDeletionDisabled,
        };
        for (topic, _) in accepted {
            response.responses.push(deleted(&cluster, &topic, disabled));
        }
        return response;
    }
    // Names for ids, as long as the topics are there to tell.
    let blanks: Vec<_> = accepted.iter().map(|(topic, _)| deleted(&cluster, topic, ErrorCode::None)).collect();
    let references: Vec<_> = accepted.into_iter().map(|(_, reference)| reference).collect();
    let count = references.len();
    let results = submit(&cluster, Command::DeleteTopics(references), count).await;
    for (mut answer, result) in blanks.into_iter().zip(results) {
        match result {
            Ok(id) => answer.topic_id = id,
            Err(refusal) => answer.error_code = refusal_code(&refusal).0,
        }
        response.responses.push(answer);
    }
    response
}

/// The topic that is meant; nothing if both or neither of name and id are given.
fn topic_ref(topic: &DeleteTopicState) -> Option<TopicRef> {
    match (&topic.name, topic.topic_id) {
        (Some(name), TopicId::NONE) => Some(TopicRef::Name(name.to_string())),
        (None, id) if id != TopicId::NONE => Some(TopicRef::Id(id)),
        _ => None,
    }
}

fn deleted(cluster: &Cluster, topic: &DeleteTopicState, error_code: ErrorCode) -> DeletableTopicResult {
    let known = || cluster.state().topic_by_id(topic.topic_id).map(|topic| Str::from(&*topic.name));
    DeletableTopicResult {
        name: topic.name.clone().or_else(known),
        topic_id: topic.topic_id,
        error_code,
        ..Default::default()
    }
}

pub(crate) async fn create_partitions(
    request: &mut Request,
    body: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let cluster = request.shard.cluster.clone();
    let deadline = deadline(request, body.timeout_ms);
    let twice = repeated(body.topics.iter().map(|topic| topic.name.clone()));
    let mut response = CreatePartitionsResponse::default();
    let wanted: Vec<_> = body.topics.into_iter().filter(|topic| !twice.contains(&topic.name)).collect();
    for name in &twice {
        let refusal = TopicRefusal::InvalidRequest("the topic is named more than once".into());
        response.results.push(partitions_result(name, Err(refusal)));
    }
    let nodes = &request.shard.nodes;
    let mut legal = Vec::new();
    let mut more: Vec<MorePartitions> = Vec::new();
    for topic in &wanted {
        match more_partitions(nodes, topic) {
            Ok(wish) => {
                legal.push(topic);
                more.push(wish);
            }
            Err(refusal) => response.results.push(partitions_result(&topic.name, Err(refusal))),
        }
    }
    let results = if body.validate_only {
        more.iter().map(|more| cluster.check_create_partitions(more)).collect()
    } else {
        submit(&cluster, Command::CreatePartitions(more), legal.len()).await
    };
    for (topic, result) in legal.into_iter().zip(results) {
        if result.is_ok() && !body.validate_only {
            cluster.until_led(&topic.name, deadline - rt::now()).await;
        }
        response.results.push(partitions_result(&topic.name, result));
    }
    response
}

fn more_partitions(nodes: &Nodes, topic: &CreatePartitionsTopic) -> Result<MorePartitions, TopicRefusal> {
    let sets = |assignments: &Vec<ailurus_wire::create_partitions::CreatePartitionsAssignment>| {
        assignments.iter().map(|assignment| brokers(nodes, &assignment.broker_ids)).collect()
    };
    let assignments = topic.assignments.as_ref().map(sets).transpose()?;
    Ok(MorePartitions { name: topic.name.to_string(), count: topic.count, assignments })
}

fn partitions_result(name: &Str, result: Result<TopicId, TopicRefusal>) -> CreatePartitionsTopicResult {
    let (error_code, text) = result.map_or_else(|refusal| refusal_code(&refusal), |_| (ErrorCode::None, None));
    CreatePartitionsTopicResult { name: name.clone(), error_code, error_message: text.map(Into::into) }
}

pub(crate) async fn delete_records(request: &mut Request, body: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let cluster = request.shard.cluster.clone();
    let deadline = deadline(request, body.timeout_ms).max(rt::now() + FLUSH_TIME);
    let mut wanted = Vec::new();
    for topic in &body.topics {
        let found = deletable(&cluster, &topic.name);
        for partition in &topic.partitions {
            let index = PartitionId(partition.partition_index);
            let target = found.map(|topic| TopicIdPartition { topic, partition: index });
            wanted.push(match target {
                Ok(target) if cluster.state().partition(target).is_some() => Ok((target, partition.offset)),
                Ok(_) => Err(ErrorCode::UnknownTopicOrPartition),
                Err(error) => Err(error),
            });
            rt::yield_if_needed().await;
        }
    }
    let results = enqueued(request, ask_owners(&cluster, wanted, Some(deadline), delete_before)).await;
    let mut results = results.into_iter();
    let mut response = DeleteRecordsResponse::default();
    for topic in body.topics {
        let result =
            |(partition, result): (&DeleteRecordsPartition, Result<i64, ErrorCode>)| DeleteRecordsPartitionResult {
                partition_index: partition.partition_index,
                low_watermark: result.unwrap_or(-1),
                error_code: result.err().unwrap_or(ErrorCode::None),
            };
        let partitions = topic.partitions.iter().zip(&mut results).map(result).collect();
        response.topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    response
}

fn deletable(cluster: &Cluster, name: &str) -> Result<TopicId, ErrorCode> {
    let state = cluster.state();
    let topic = state.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if topic.is_internal() {
        return Err(ErrorCode::InvalidTopicException);
    }
    if !cluster.topic_config(topic).cleanup_policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    Ok(topic.id)
}

/// At the owner: moves the log start to `offset` (-1: the high watermark) at once. Its future waits until that is durable,
/// and answers where the log starts then.
fn delete_before(partition: Rc<Partition>, offset: i64) -> impl Future<Output = Result<i64, ErrorCode>> {
    let high_watermark = partition.high_watermark();
    let offset = if offset == -1 { high_watermark } else { Offset(offset) };
    let moved = match (Offset::ZERO..=high_watermark).contains(&offset) {
        true => partition.delete_records(offset).map_err(|_| ErrorCode::KafkaStorageError),
        false => Err(ErrorCode::OffsetOutOfRange),
    };
    async move {
        let start = partition.records_deleted(moved?).await;
        start.map(|start| start.0).map_err(|_| ErrorCode::KafkaStorageError)
    }
}
