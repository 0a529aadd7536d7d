//! A raw client: one connection, requests as they are, no retries of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ailurus_record::BatchBuilder;
use ailurus_wire::create_topics::{CreatableTopic, CreateTopicsRequest};
use ailurus_wire::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use ailurus_wire::metadata::{MetadataRequest, MetadataRequestTopic};
use ailurus_wire::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use ailurus_wire::{ErrorCode, Request, Response, Str, decode_response, encode_request};
use bytes::Bytes;

use crate::broker::Broker;

const METADATA: i16 = 12;
const CREATE_TOPICS: i16 = 7;
const LIST_OFFSETS: i16 = 7;
/// The last version that names topics.
pub(crate) const PRODUCE: i16 = 12;
/// The last version that names topics.
pub(crate) const FETCH: i16 = 12;

const LATEST: i64 = -1;
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    correlation: i32,
}

impl Client {
    /// One attempt.
    pub(crate) fn connect(address: SocketAddr) -> Result<Client, String> {
        let connect = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            Ok(stream)
        };
        let stream = connect().map_err(|error: std::io::Error| format!("{address}: {error}"))?;
        Ok(Client { stream, correlation: 0 })
    }

    /// As often as it takes until the broker listens.
    pub(crate) fn connect_when_up(broker: &mut Broker) -> Result<Client, String> {
        loop {
            if let Ok(client) = Client::connect(broker.kafka) {
                return Ok(client);
            }
            broker.still_starting()?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The other half, for a thread that only reads or only writes.
    pub(crate) fn second(&self) -> Result<Client, String> {
        let stream = self.stream.try_clone().map_err(|error| error.to_string())?;
        Ok(Client { stream, correlation: self.correlation })
    }

    /// Sends without waiting for the answer.
    pub(crate) fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<(), String> {
        self.correlation += 1;
        let client_id = Str::from_static("bench");
        let parts = encode_request(self.correlation, Some(&client_id), version, request);
        let parts = parts.map_err(|error| error.to_string())?;
        self.stream.write_all(&parts.concat()).map_err(|error| error.to_string())
    }

    /// The next answer.
    pub(crate) fn receive<R: Response>(&mut self, version: i16) -> Result<R, String> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(|error| error.to_string())?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).map_err(|error| error.to_string())?;
        let (_, response) = decode_response(&mut Bytes::from(frame), version).map_err(|error| error.to_string())?;
        Ok(response)
    }

    /// One request and its answer.
    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, String> {
        self.send(version, request)?;
        self.receive(version)
    }

    /// Asks for a topic's partitions, which makes the topic if there is none yet; `true` once each has a leader.
    pub(crate) fn has_leaders(&mut self, topic: &Str) -> Result<bool, String> {
        let topics = vec![MetadataRequestTopic { name: Some(topic.clone()), ..Default::default() }];
        let request = MetadataRequest { topics: Some(topics), allow_auto_topic_creation: true, ..Default::default() };
        let response = self.call(METADATA, &request)?;
        Ok(response.topics.iter().all(|topic| {
            topic.error_code == ErrorCode::None
                && !topic.partitions.is_empty()
                && topic.partitions.iter().all(|partition| partition.error_code == ErrorCode::None)
        }))
    }

    /// Makes a topic and waits until each partition has a leader.
    pub(crate) fn create_topic(&mut self, name: &Str, partitions: i32) -> Result<(), String> {
        let topic = CreatableTopic {
            name: name.clone(),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 60_000, ..Default::default() };
        let response = self.call(CREATE_TOPICS, &request)?;
        if let Some(refused) = response.topics.iter().find(|topic| topic.error_code != ErrorCode::None) {
            return Err(format!("CreateTopics: {:?} {:?}", refused.error_code, refused.error_message));
        }
        while !self.has_leaders(name)? {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The end offset of each partition, or the first error.
    pub(crate) fn ends(&mut self, topic: &Str, partitions: i32) -> Result<Result<Vec<i64>, ErrorCode>, String> {
        let asked = (0..partitions).map(|partition_index| ListOffsetsPartition {
            partition_index,
            timestamp: LATEST,
            ..Default::default()
        });
        let topics = vec![ListOffsetsTopic { name: topic.clone(), partitions: asked.collect() }];
        let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
        let mut found =
            self.call(LIST_OFFSETS, &request)?.topics.pop().ok_or("ListOffsets answered nothing")?.partitions;
        found.sort_by_key(|partition| partition.partition_index);
        if let Some(refused) = found.iter().find(|partition| partition.error_code != ErrorCode::None) {
            return Ok(Err(refused.error_code));
        }
        Ok(Ok(found.iter().map(|partition| partition.offset).collect()))
    }
}

/// A batch of one record.
pub(crate) fn batch(value: &[u8]) -> Bytes {
    let mut builder = BatchBuilder::new();
    builder.push(ailurus_clock(), None, Some(value), &[]);
    builder.build()
}

/// Milliseconds since 1970.
fn ailurus_clock() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later than 1970");
    since.as_millis() as i64
}

/// One batch for each of these partitions, acks=all.
pub(crate) fn produce(topic: &Str, batches: impl IntoIterator<Item = (i32, Bytes)>) -> ProduceRequest {
    let data = batches.into_iter().map(|(index, records)| PartitionProduceData { index, records: Some(records) });
    let topic = TopicProduceData { name: topic.clone(), partition_data: data.collect(), ..Default::default() };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() }
}

/// The first partition that was refused, if any.
pub(crate) fn refusal(response: &ProduceResponse) -> Option<ErrorCode> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions.map(|partition| partition.error_code).find(|code| *code != ErrorCode::None)
}
