//! Writing: records gather into batches per partition, one batch per partition is under way at a time.
//!
//! With acks=all the producer is idempotent (KIP-98): a batch that is sent again after a lost answer is recognised by
//! its sequence number and stored once.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use ailurus_base::sync::{Notify, Semaphore, Units};
use ailurus_model::Acks;
use ailurus_record::{BatchBuilder, Codec};
use ailurus_rt as rt;
use ailurus_wire::init_producer_id::InitProducerIdRequest;
use ailurus_wire::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ailurus_wire::{ApiKey, ErrorCode};
use bytes::Bytes;

use crate::client::incomplete;
use crate::error::check;
use crate::offsets::TopicPartition;
use crate::partitioner::{Sticky, by_key};
use crate::{Client, ClientError, Target};

/// How a producer behaves.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// What is waited for.
    pub acks: Acks,
    /// How batches are compressed.
    pub codec: Codec,
    /// A batch of so many bytes (before compression) is sent at once.
    pub batch_bytes: usize,
    /// No more than this waits for answers; beyond, [`Producer::send`] waits.
    pub buffer_bytes: u64,
    /// Whether the broker may create topics that are missing, if it is set to.
    pub create_topics: bool,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        ProducerConfig {
            acks: Acks::All,
            codec: Codec::None,
            batch_bytes: 256 << 10,
            buffer_bytes: 32 << 20,
            create_topics: true,
        }
    }
}

/// A record to be written.
#[derive(Clone, Debug, Default)]
pub struct ProducerRecord {
    /// The partition; by key, or in turn, if `None`.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; now, if `None`.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone on a compacted topic.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// What became of one batch.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// How many records it had.
    pub records: usize,
    /// The offset of its first record; `None` with acks=0, which has no answer.
    pub base: Option<i64>,
}

/// A producer of one client. Batches go out when they are full and at [`Producer::flush`].
pub struct Producer {
    shared: Rc<Shared>,
    sticky: BTreeMap<String, Sticky>,
}

struct Shared {
    client: Client,
    config: ProducerConfig,
    identity: Cell<Option<(i64, i16)>>,
    lanes: RefCell<BTreeMap<TopicPartition, Lane>>,
    room: Rc<Semaphore>,
    settled: Notify,
    failure: RefCell<Option<ClientError>>,
    tell: Box<dyn Fn(Delivered)>,
}

/// What waits for one partition.
#[derive(Default)]
struct Lane {
    open: Option<Open>,
    closed: VecDeque<Closed>,
    next_sequence: i32,
    /// The open batch is to go as soon as the one under way is answered.
    kicked: bool,
    /// The task that sends, while there is something to send.
    sender: Option<rt::Task<()>>,
}

struct Open {
    builder: BatchBuilder,
    room: Vec<Units>,
}

struct Closed {
    builder: BatchBuilder,
    _room: Vec<Units>,
}

impl Producer {
    /// Asks for a producer id if acks=all. `tell` hears of each batch that is done, in the order of its partition.
    pub async fn new(
        client: Client,
        config: ProducerConfig,
        tell: impl Fn(Delivered) + 'static,
    ) -> Result<Producer, ClientError> {
        let identity = if config.acks == Acks::All { Some(client.init_producer_id().await?) } else { None };
        let room = Semaphore::new(config.buffer_bytes);
        Ok(Producer {
            shared: Rc::new(Shared {
                client,
                config,
                identity: Cell::new(identity),
                lanes: RefCell::default(),
                room,
                settled: Notify::new(),
                failure: RefCell::default(),
                tell: Box::new(tell),
            }),
            sticky: BTreeMap::new(),
        })
    }

    /// Takes a record; waits only while the buffer is full. The first batch that fails for good fails all that follows.
    pub async fn send(&mut self, topic: &str, record: ProducerRecord) -> Result<(), ClientError> {
        self.shared.check()?;
        let partition = self.partition(topic, &record).await?;
        let size = record_size(&record).min(self.shared.config.buffer_bytes);
        let room = match self.shared.room.try_acquire(size) {
            Some(room) => room,
            None => {
                self.shared.close_all();
                self.shared.room.acquire(size).await
            }
        };
        self.shared.check()?;
        if self.shared.add(topic, partition, &record, room)
            && let Some(sticky) = self.sticky.get_mut(topic)
        {
            sticky.turn();
        }
        Ok(())
    }

    /// Lets go what is open, without waiting; while a batch is under way, what comes meanwhile becomes the next one.
    pub fn kick(&self) {
        self.shared.kick();
    }

    /// Sends what is open and waits until everything is answered.
    pub async fn flush(&self) -> Result<(), ClientError> {
        self.shared.close_all();
        let done = || (self.shared.is_idle() || self.shared.failure.borrow().is_some()).then_some(());
        self.shared.settled.until(done).await;
        self.shared.check()
    }

    async fn partition(&mut self, topic: &str, record: &ProducerRecord) -> Result<i32, ClientError> {
        let known = self.shared.client.topic(topic, self.shared.config.create_topics).await?;
        let count = known.partitions.len() as i32;
        if count == 0 {
            return Err(incomplete(ApiKey::Metadata, &format!("partitions of {topic}")));
        }
        match (record.partition, &record.key) {
            (Some(partition), _) if (0..count).contains(&partition) => Ok(partition),
            (Some(partition), _) => Err(no_partition(topic, partition, count)),
            (None, Some(key)) => Ok(by_key(key, count)),
            (None, None) => Ok(self.sticky.entry(topic.to_owned()).or_default().now(count)),
        }
    }
}

/// What is said of a partition that a topic does not have.
pub fn no_partition(topic: &str, partition: i32, count: i32) -> ClientError {
    let message = format!("its partitions are 0 to {}", count - 1);
    let what = format!("partition {partition} of topic {topic}");
    ClientError::refused(what, ErrorCode::UnknownTopicOrPartition, Some(&message))
}

fn record_size(record: &ProducerRecord) -> u64 {
    let headers: usize = record.headers.iter().map(|(k, v)| k.len() + v.as_ref().map_or(0, Bytes::len) + 8).sum();
    (record.key.as_ref().map_or(0, Bytes::len) + record.value.as_ref().map_or(0, Bytes::len) + headers + 32) as u64
}

impl Shared {
    fn check(&self) -> Result<(), ClientError> {
        self.failure.borrow().clone().map_or(Ok(()), Err)
    }

    fn is_idle(&self) -> bool {
        self.lanes.borrow().values().all(|lane| lane.open.is_none() && lane.closed.is_empty() && lane.sender.is_none())
    }

    /// Adds to the open batch; true if that filled it.
    fn add(self: &Rc<Self>, topic: &str, partition: i32, record: &ProducerRecord, room: Units) -> bool {
        let mut lanes = self.lanes.borrow_mut();
        let lane = lanes.entry((topic.to_owned(), partition)).or_default();
        let codec = self.config.codec;
        let fresh = || Open { builder: BatchBuilder::new().codec(codec), room: Vec::new() };
        let open = lane.open.get_or_insert_with(fresh);
        let headers: Vec<(&[u8], Option<&[u8]>)> =
            record.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref())).collect();
        let timestamp = record.timestamp.unwrap_or_else(rt::unix_ms);
        open.builder.push(timestamp, record.key.as_deref(), record.value.as_deref(), &headers);
        open.room.push(room);
        let full = open.builder.body_len() >= self.config.batch_bytes;
        if full {
            self.close(topic, partition, lane);
        }
        full
    }

    fn close_all(self: &Rc<Self>) {
        for ((topic, partition), lane) in self.lanes.borrow_mut().iter_mut() {
            self.close(topic, *partition, lane);
        }
    }

    fn kick(self: &Rc<Self>) {
        for ((topic, partition), lane) in self.lanes.borrow_mut().iter_mut() {
            match lane.sender {
                None => self.close(topic, *partition, lane),
                Some(_) => lane.kicked = lane.open.is_some(),
            }
        }
    }

    /// The next batch of a lane, if there is one to send.
    fn next(self: &Rc<Self>, lane: &TopicPartition) -> Option<Closed> {
        let mut lanes = self.lanes.borrow_mut();
        let (topic, partition) = lane;
        let lane = lanes.get_mut(lane)?;
        if lane.closed.is_empty() && lane.kicked {
            self.close(topic, *partition, lane);
        }
        lane.closed.pop_front()
    }

    fn close(self: &Rc<Self>, topic: &str, partition: i32, lane: &mut Lane) {
        lane.kicked = false;
        let Some(Open { mut builder, room }) = lane.open.take() else { return };
        if let Some((id, epoch)) = self.identity.get() {
            builder = builder.producer(id, epoch, lane.next_sequence);
            // Sequences wrap to 0 behind 2^31 - 1, as in Kafka.
            lane.next_sequence = lane.next_sequence.wrapping_add(builder.len() as i32) & i32::MAX;
        }
        lane.closed.push_back(Closed { builder, _room: room });
        if lane.sender.is_none() {
            let sender = self.clone().send_lane(topic.to_owned(), partition);
            lane.sender = Some(rt::spawn(rt::Group::Kafka, sender));
        }
    }

    /// Drops what would follow a batch that has failed for good: whoever waits for its room is to learn of the failure.
    fn give_up(&self, lane: &TopicPartition) {
        let given_up =
            self.lanes.borrow_mut().get_mut(lane).map(|lane| (lane.open.take(), std::mem::take(&mut lane.closed)));
        drop(given_up);
    }

    async fn send_lane(self: Rc<Self>, topic: String, partition: i32) {
        let lane = (topic.clone(), partition);
        loop {
            let Some(Closed { builder, _room }) = self.next(&lane) else { break };
            let records = builder.len();
            match self.client.produce(&topic, partition, builder.build(), self.config.acks).await {
                Ok(base) => (self.tell)(Delivered { topic: topic.clone(), partition, records, base }),
                Err(error) => {
                    self.failure.borrow_mut().get_or_insert(error);
                    self.give_up(&lane);
                    break;
                }
            }
        }
        if let Some(lane) = self.lanes.borrow_mut().get_mut(&lane) {
            // A task cannot be dropped by itself; it is done with this very step.
            if let Some(task) = lane.sender.take() {
                task.detach();
            }
        }
        self.settled.notify_all();
    }
}

impl Client {
    /// A fresh producer id and epoch, for idempotent production.
    pub async fn init_producer_id(&self) -> Result<(i64, i16), ClientError> {
        let request =
            InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: i32::MAX, ..Default::default() };
        self.retry("asking for a producer id", async || {
            let response = self.call(Target::Any, &request).await?;
            check(|| "asking for a producer id".to_owned(), response.error_code, None)?;
            Ok((response.producer_id, response.producer_epoch))
        })
        .await
    }

    /// Appends one whole batch to one partition, again and again while that may help; gives the offset of its first
    /// record, or `None` with acks=0. Without producer id and sequence a retry may store the batch twice.
    pub async fn produce(
        &self,
        topic: &str,
        partition: i32,
        batch: Bytes,
        acks: Acks,
    ) -> Result<Option<i64>, ClientError> {
        let request = produce_request(topic, partition, batch, acks, self.config().timeout.as_millis() as i32);
        let what = format!("producing to {topic} partition {partition}");
        self.retry(&what, async || {
            let leader = Target::Leader(topic, partition);
            if acks == Acks::None {
                self.send(leader, &request).await?;
                return Ok(None);
            }
            // Up to version 12 topics go by name.
            let response = self.call_in(leader, 3..=12, &request).await?;
            let answer = response.responses.first().and_then(|topic| topic.partition_responses.first());
            let answer = answer.ok_or_else(|| incomplete(ApiKey::Produce, &what))?;
            // The first copy was stored, its answer was lost; the broker no longer knows at which offset.
            if answer.error_code == ErrorCode::DuplicateSequenceNumber {
                return Ok(None);
            }
            let reason = answer.record_errors.first().and_then(|error| error.batch_index_error_message.as_deref());
            check(|| what.clone(), answer.error_code, answer.error_message.as_deref().or(reason))?;
            Ok(Some(answer.base_offset))
        })
        .await
    }
}

fn produce_request(topic: &str, partition: i32, batch: Bytes, acks: Acks, timeout_ms: i32) -> ProduceRequest {
    let partition_data = vec![PartitionProduceData { index: partition, records: Some(batch) }];
    let topic_data = vec![TopicProduceData { name: topic.into(), partition_data, ..Default::default() }];
    let acks = match acks {
        Acks::None => 0,
        Acks::Leader => 1,
        Acks::All => -1,
    };
    ProduceRequest { transactional_id: None, acks, timeout_ms, topic_data }
}
