//! A client that says exactly what it is told to, and a neighbour that must not notice what others do.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ailurus_record::BatchBuilder;
use ailurus_wire::create_topics::{CreatableTopic, CreateTopicsRequest};
use ailurus_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData};
use ailurus_wire::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use ailurus_wire::{ErrorCode, Request, Response, decode_response, encode_request};
use bytes::Bytes;

/// How long any answer may take on a machine that is busy with something else. Not a promise: what hangs is found.
const PATIENCE: Duration = Duration::from_secs(20);

/// Versions that the helpers speak: the newest in which topics have names.
pub(crate) const PRODUCE: i16 = 9;
pub(crate) const FETCH: i16 = 12;
pub(crate) const CREATE: i16 = 5;

/// A connection. Everything on it has a limit of time.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    correlation: i32,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, correlation: 0 }
    }

    /// Bytes as they are. The other end may have closed already: what it says is then in what comes back.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// A frame of `body` with its true length.
    pub(crate) fn frame(&mut self, body: &[u8]) {
        self.raw(&[&(body.len() as i32).to_be_bytes()[..], body].concat());
    }

    pub(crate) fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation += 1;
        self.raw(&encode_request(self.correlation, Some(&"hostile".into()), version, request).unwrap().concat());
    }

    /// The next answer's frame without its length; an error if the broker closes or says nothing.
    pub(crate) fn answer(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    pub(crate) fn receive<R: Response>(&mut self, version: i16) -> R {
        decode_response(&mut self.answer().unwrap(), version).unwrap().1
    }

    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request);
        let (correlation, response) = decode_response(&mut self.answer().unwrap(), version).unwrap();
        assert_eq!(correlation, self.correlation);
        response
    }

    /// Waits until the broker has closed this connection, without an answer before.
    pub(crate) fn must_be_closed(mut self, what: &str) {
        match self.stream.read(&mut [0; 64]) {
            Ok(0) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            other => panic!("{what}: closed was expected, not {other:?}"),
        }
    }

    /// Says that nothing more will come.
    pub(crate) fn end_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Makes a topic that must succeed.
    pub(crate) fn create(&mut self, name: &str, partitions: i32) {
        assert_eq!(self.create_as(&topic(name, partitions, 1)), ErrorCode::None, "{name}");
    }

    /// Makes a topic; how that went.
    pub(crate) fn create_as(&mut self, topic: &CreatableTopic) -> ErrorCode {
        let request = CreateTopicsRequest { topics: vec![topic.clone()], timeout_ms: 10_000, ..Default::default() };
        self.call(CREATE, &request).topics[0].error_code
    }

    /// Appends to partition 0 with acks=all; how that went.
    pub(crate) fn produce(&mut self, topic: &str, records: Bytes) -> ErrorCode {
        produce_error(&self.call(PRODUCE, &produce(topic, 0, -1, records)))
    }
}

pub(crate) fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic { name: name.into(), num_partitions, replication_factor, ..Default::default() }
}

pub(crate) fn produce(topic: &str, index: i32, acks: i16, records: Bytes) -> ProduceRequest {
    let partition_data = vec![PartitionProduceData { index, records: Some(records) }];
    let topic_data = vec![TopicProduceData { name: topic.into(), partition_data, ..Default::default() }];
    ProduceRequest { acks, timeout_ms: 10_000, topic_data, ..Default::default() }
}

pub(crate) fn produce_error(response: &ProduceResponse) -> ErrorCode {
    response.responses[0].partition_responses[0].error_code
}

/// What is wanted of partition 0, without a session, answered at once.
pub(crate) fn fetch(topic: &str, partition: FetchPartition) -> FetchRequest {
    let topics = vec![FetchTopic { topic: topic.into(), partitions: vec![partition], ..Default::default() }];
    FetchRequest { max_bytes: 50 << 20, topics, session_id: 0, session_epoch: -1, ..Default::default() }
}

/// From `fetch_offset` on, whatever the epoch.
pub(crate) fn from(fetch_offset: i64) -> FetchPartition {
    FetchPartition {
        fetch_offset,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        partition_max_bytes: 50 << 20,
        ..Default::default()
    }
}

pub(crate) fn fetched(response: &FetchResponse) -> &PartitionData {
    &response.responses[0].partitions[0]
}

/// A batch of records with these values.
pub(crate) fn batch(values: &[&[u8]]) -> Bytes {
    let mut batch = BatchBuilder::new();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    for value in values {
        batch.push(now, Some(b"key"), Some(value), &[]);
    }
    batch.build()
}

/// A batch in which `change` was made, with a CRC that is right again.
pub(crate) fn forged(batch: &Bytes, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = batch.to_vec();
    change(&mut bytes);
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// CRC-32C (RFC 3720), bit by bit: independent of what the broker computes it with.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// Connections that go on producing and fetching, one on each shard of a broker that nobody else uses yet.
pub(crate) struct Neighbours {
    stop: Arc<AtomicBool>,
    each: Vec<(Arc<AtomicU64>, std::thread::JoinHandle<()>)>,
}

impl Neighbours {
    pub(crate) fn start(address: &str, count: usize) -> Neighbours {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients: Vec<Client> = (0..count).map(|_| Client::connect(address)).collect();
        let topics: Vec<String> = (0..count).map(|number| format!("neighbour-{number}")).collect();
        topics.iter().for_each(|topic| clients[0].create(topic, 1));
        let run = |(mut client, topic): (Client, String)| {
            let (stop, rounds) = (stop.clone(), Arc::new(AtomicU64::new(0)));
            let counted = rounds.clone();
            let thread = std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    round(&mut client, &topic);
                    rounds.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
            (counted, thread)
        };
        let each = clients.into_iter().zip(topics).map(run).collect();
        Neighbours { stop, each }
    }

    /// Fails unless each of them has some more rounds done soon.
    pub(crate) fn go_on(&self) {
        for (rounds, thread) in &self.each {
            let before = rounds.load(Ordering::Relaxed);
            super::until("the neighbours go on", || {
                assert!(!thread.is_finished(), "a neighbour was harmed");
                rounds.load(Ordering::Relaxed) >= before + 5
            });
        }
    }

    /// Ends them; fails if one of them was harmed.
    pub(crate) fn end(self) {
        self.go_on();
        self.stop.store(true, Ordering::Relaxed);
        for (_, thread) in self.each {
            thread.join().unwrap();
        }
    }
}

/// Produces a record and reads it again.
fn round(client: &mut Client, topic: &str) {
    let response = client.call(PRODUCE, &produce(topic, 0, -1, batch(&[&[7; 2000]])));
    assert_eq!(produce_error(&response), ErrorCode::None);
    let offset = response.responses[0].partition_responses[0].base_offset;
    let response = client.call(FETCH, &fetch(topic, from(offset)));
    assert_eq!(fetched(&response).error_code, ErrorCode::None);
    assert!(fetched(&response).records.as_ref().is_some_and(|records| !records.is_empty()));
}
