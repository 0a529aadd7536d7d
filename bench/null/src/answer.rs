//! Requests: which there are, and the answers that need no waiting.

use ailurus_model::TopicId;
use ailurus_wire::api_versions::{ApiVersion, ApiVersionsResponse};
use ailurus_wire::create_topics::{CreatableTopic, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse};
use ailurus_wire::init_producer_id::InitProducerIdResponse;
use ailurus_wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
    ListOffsetsTopicResponse,
};
use ailurus_wire::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ailurus_wire::{ApiKey, ErrorCode, Message, RequestHeader, Response, Str, WireError, encode_response};
use bytes::Bytes;
use std::rc::Rc;

use crate::connection::{Replies, Slot};
use crate::node::{Node, node_id};
use crate::partition::Partition;
use crate::topics::Topic;
use crate::{fetch, produce};

/// What is served.
const SERVED: [ApiKey; 7] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::InitProducerId,
];

/// Timestamps that mean an end of the log.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// Answers a request, now or later.
///
/// # Errors
/// When the bytes are no request that is served: then the connection is closed.
pub(crate) fn answer(
    node: &Rc<Node>,
    replies: &Rc<Replies>,
    slot: Slot,
    header: &RequestHeader,
    mut body: Bytes,
) -> Result<(), WireError> {
    let version = header.api_version;
    let served = header.supported_api().filter(|api| SERVED.contains(api) && version <= *api.advertised().end());
    let reply = match served {
        Some(ApiKey::Produce) => {
            produce::produce(node, replies, slot, header, Message::decode(&mut body, version)?);
            return Ok(());
        }
        Some(ApiKey::Fetch) => {
            fetch::fetch(node, replies, slot, header, Message::decode(&mut body, version)?);
            return Ok(());
        }
        Some(ApiKey::ListOffsets) => reply(header, list_offsets(node, Message::decode(&mut body, version)?)),
        Some(ApiKey::Metadata) => reply(header, metadata(node, Message::decode(&mut body, version)?)),
        Some(ApiKey::CreateTopics) => reply(header, create_topics(node, Message::decode(&mut body, version)?)),
        Some(ApiKey::InitProducerId) => reply(header, init_producer_id(node)),
        Some(ApiKey::ApiVersions) => reply(header, api_versions(ErrorCode::None)),
        // KIP-511: in version 0, so that any client understands it.
        _ if header.api() == Some(ApiKey::ApiVersions) => {
            encoded(header.correlation_id, 0, &api_versions(ErrorCode::UnsupportedVersion))
        }
        _ => return Err(WireError::UnsupportedVersion { api: header.api().unwrap_or(ApiKey::ApiVersions), version }),
    };
    replies.set(slot, reply);
    Ok(())
}

fn reply<R: Response>(header: &RequestHeader, response: R) -> Vec<Bytes> {
    encoded(header.correlation_id, header.api_version, &response)
}

/// A whole answer.
pub(crate) fn encoded<R: Response>(correlation: i32, version: i16, response: &R) -> Vec<Bytes> {
    encode_response(correlation, version, response).expect("every answer can be said in every version that is served")
}

impl Node {
    /// A partition that this shard leads.
    pub(crate) fn partition(&self, name: &Str, id: TopicId, index: i32) -> Result<Rc<Partition>, ErrorCode> {
        let unknown = if id == TopicId::NONE { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::UnknownTopicId };
        self.topics.borrow_mut().refresh(&self.registry);
        let topics = self.topics.borrow();
        let topic = topics.find(name, id).ok_or(unknown)?;
        let index = usize::try_from(index).map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
        let partition = topic.partitions.get(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if !self.leads(index) {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        Ok(partition.clone())
    }
}

fn api_versions(error_code: ErrorCode) -> ApiVersionsResponse {
    let version = |api: &ApiKey| {
        let range = api.advertised();
        ApiVersion { api_key: api.code(), min_version: *range.start(), max_version: *range.end() }
    };
    ApiVersionsResponse { error_code, api_keys: SERVED.iter().map(version).collect(), ..Default::default() }
}

fn init_producer_id(node: &Node) -> InitProducerIdResponse {
    let producer_id = node.next_producer.replace(node.next_producer.get() + 1);
    InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() }
}

fn list_offsets(node: &Node, body: ListOffsetsRequest) -> ListOffsetsResponse {
    let partition = |name: &Str, asked: &ListOffsetsPartition| {
        let blank = ListOffsetsPartitionResponse {
            partition_index: asked.partition_index,
            timestamp: -1,
            offset: -1,
            ..Default::default()
        };
        match node.partition(name, TopicId::NONE, asked.partition_index) {
            Err(error_code) => ListOffsetsPartitionResponse { error_code, ..blank },
            Ok(partition) => match asked.timestamp {
                LATEST => ListOffsetsPartitionResponse { offset: partition.end(), ..blank },
                EARLIEST => ListOffsetsPartitionResponse { offset: partition.start(), ..blank },
                // There is no index: no record is known to be at or behind any time.
                _ => blank,
            },
        }
    };
    let topic = |topic: ListOffsetsTopic| ListOffsetsTopicResponse {
        partitions: topic.partitions.iter().map(|asked| partition(&topic.name, asked)).collect(),
        name: topic.name,
    };
    ListOffsetsResponse { topics: body.topics.into_iter().map(topic).collect(), ..Default::default() }
}

fn create_topics(node: &Node, body: CreateTopicsRequest) -> CreateTopicsResponse {
    let create = |topic: CreatableTopic| {
        let partitions = match topic.assignments.len() {
            0 => topic.num_partitions.max(1),
            assigned => assigned as i32,
        };
        let mut result = CreatableTopicResult {
            name: topic.name.clone(),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        };
        if !body.validate_only {
            match node.registry.create(&topic.name, partitions as usize) {
                Some(id) => result.topic_id = id,
                None => result.error_code = ErrorCode::TopicAlreadyExists,
            }
        }
        result
    };
    CreateTopicsResponse { topics: body.topics.into_iter().map(create).collect(), ..Default::default() }
}

fn metadata(node: &Node, body: MetadataRequest) -> MetadataResponse {
    node.topics.borrow_mut().refresh(&node.registry);
    let topics = node.topics.borrow();
    let topics = match body.topics {
        None => topics.all().iter().map(|topic| described(node, topic)).collect(),
        Some(asked) => asked
            .into_iter()
            .map(|asked| match topics.find(&asked.name.clone().unwrap_or_default(), asked.topic_id) {
                Some(topic) => described(node, topic),
                None => MetadataResponseTopic {
                    error_code: if asked.name.is_some() {
                        ErrorCode::UnknownTopicOrPartition
                    } else {
                        ErrorCode::UnknownTopicId
                    },
                    name: Some(asked.name.unwrap_or_default()),
                    topic_id: asked.topic_id,
                    ..Default::default()
                },
            })
            .collect(),
    };
    let nodes = node.registry.nodes.get().map_or(&[][..], |nodes| nodes);
    let broker = |(shard, addr): (usize, &std::net::SocketAddr)| MetadataResponseBroker {
        node_id: node_id(shard as u16),
        host: Str::from(addr.ip().to_string().as_str()),
        port: i32::from(addr.port()),
        ..Default::default()
    };
    MetadataResponse {
        brokers: nodes.iter().enumerate().map(broker).collect(),
        cluster_id: Some(Str::from_static("null")),
        controller_id: node_id(0),
        topics,
        ..Default::default()
    }
}

fn described(node: &Node, topic: &Topic) -> MetadataResponseTopic {
    let partition = |index: usize| {
        let leader = node.leader(index);
        MetadataResponsePartition {
            partition_index: index as i32,
            leader_id: leader,
            leader_epoch: 0,
            replica_nodes: vec![leader],
            isr_nodes: vec![leader],
            ..Default::default()
        }
    };
    MetadataResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        partitions: (0..topic.partitions.len()).map(partition).collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use crate::commit::Commit;
    use crate::memory::Memory;
    use crate::topics::Registry;
    use ailurus_rt::{self as rt, Config};
    use ailurus_wire::api_versions::ApiVersionsRequest;
    use ailurus_wire::fetch::{FetchPartition, FetchRequest, FetchTopic};
    use ailurus_wire::init_producer_id::InitProducerIdRequest;
    use ailurus_wire::metadata::MetadataRequestTopic;
    use ailurus_wire::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
    use ailurus_wire::{LENGTH_BYTES, Request, encode_request};
    use std::cell::{Cell, RefCell};
    use std::sync::Arc;

    fn node() -> Rc<Node> {
        let registry = Arc::new(Registry::default());
        registry.nodes.set(vec!["127.0.0.1:9092".parse().unwrap()]).unwrap();
        registry.create("t", 2).unwrap();
        Rc::new(Node {
            shard: 0,
            shards: 1,
            class: Class::R,
            registry,
            topics: RefCell::default(),
            memory: RefCell::new(Memory::new(1 << 20)),
            commit: Commit::default(),
            next_producer: Cell::new(7),
        })
    }

    /// Sends `request` in every version that is advertised and can be said, and counts the answers.
    fn ask<R: Request>(node: &Rc<Node>, request: impl Fn(i16) -> R) -> usize {
        let said = R::API.versions().filter(|version| R::API.advertised().contains(version));
        let answered = said.map(|version| {
            let parts = encode_request(5, None, version, &request(version)).unwrap();
            let mut body = Bytes::from(parts.concat()).slice(LENGTH_BYTES..);
            let header = RequestHeader::decode(&mut body).unwrap();
            let replies = Rc::new(Replies::default());
            let slot = replies.reserve();
            answer(node, &replies, slot, &header, body).unwrap();
            let mut frame = Bytes::from(replies.taken().concat()).slice(LENGTH_BYTES..);
            let (correlation, response) = ailurus_wire::decode_response::<R::Response>(&mut frame, version).unwrap();
            assert_eq!((correlation, frame.len()), (5, 0), "{} v{version}", R::API);
            assert_ne!(response, Default::default(), "{} v{version} says something", R::API);
        });
        answered.count()
    }

    fn topic(version: i16, ids_from: i16) -> (Str, TopicId) {
        if version >= ids_from { (Str::new(), TopicId(1)) } else { (Str::from_static("t"), TopicId::NONE) }
    }

    #[test]
    fn every_advertised_version_is_answered() {
        let counts = rt::run(Config { shards: 1, ..Config::small() }, || async {
            let node = node();
            let produce = |version| {
                let (name, topic_id) = topic(version, 13);
                let partition_data =
                    vec![PartitionProduceData { index: 1, records: Some(Bytes::from_static(b"none")) }];
                let topic_data = vec![TopicProduceData { name, topic_id, partition_data }];
                ProduceRequest { acks: -1, topic_data, ..Default::default() }
            };
            let fetch = |version| {
                let (topic, topic_id) = topic(version, 13);
                let partitions = vec![FetchPartition { partition: 1, ..Default::default() }];
                FetchRequest { topics: vec![FetchTopic { topic, topic_id, partitions }], ..Default::default() }
            };
            let list = |_| {
                let partitions = vec![ListOffsetsPartition { timestamp: LATEST, ..Default::default() }];
                let topics = vec![ListOffsetsTopic { name: Str::from_static("t"), partitions }];
                ListOffsetsRequest { topics, ..Default::default() }
            };
            let metadata = |_| {
                let topics = ["t", "no such topic"]
                    .map(|name| MetadataRequestTopic { name: Some(Str::from_static(name)), ..Default::default() });
                MetadataRequest { topics: Some(topics.to_vec()), allow_auto_topic_creation: true, ..Default::default() }
            };
            let create = |version: i16| {
                let name = Str::from(format!("new {version}").as_str());
                let topics =
                    vec![CreatableTopic { name, num_partitions: 3, replication_factor: 1, ..Default::default() }];
                CreateTopicsRequest { topics, ..Default::default() }
            };
            [
                ask(&node, produce),
                ask(&node, fetch),
                ask(&node, list),
                ask(&node, metadata),
                ask(&node, create),
                ask(&node, |_| ApiVersionsRequest::default()),
                ask(&node, |_| InitProducerIdRequest::default()),
            ]
        });
        assert!(counts.unwrap().iter().all(|count| *count > 1));
    }
}
