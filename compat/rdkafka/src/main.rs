//! What the Rust crate `rdkafka` does against the broker, and what it must see. Ends with 0 if all of it was so.
//!
//! ```text
//! ailurus-compat-rdkafka HOST:PORT                    the whole scenario
//! ailurus-compat-rdkafka HOST:PORT TOPIC GROUP COUNT  one process of a group: so many records, committed; prints places
//! ```
//!
//! Record `n` goes to partition `n % 4`, so the record at (partition, offset) is number `offset * 4 + partition` and
//! every consumer can check what it got by its place alone.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program beside the broker, not a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::executor::block_on;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

const COUNT: usize = 10_000;
const PARTITIONS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_TIMESTAMP: i64 = 1_700_000_000_000;
const STEP_MS: i64 = 10;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let stamp = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").subsec_nanos();
    let suite = Suite { bootstrap: words[0].clone(), run: format!("rdkafka-{:06x}", stamp & 0xff_ffff) };
    match &words[1..] {
        [] => suite.scenario(),
        [topic, group, count] => suite.one_process(topic, group, count.parse().expect("a count")),
        _ => panic!("HOST:PORT, or HOST:PORT TOPIC GROUP COUNT"),
    }
}

/// One run against one broker; topics and groups carry the name of the run.
#[derive(Clone)]
struct Suite {
    bootstrap: String,
    run: String,
}

impl Suite {
    fn scenario(&self) {
        step("topics", || self.topics());
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            step(&format!("10,000 records, {codec}"), || self.codec_round_trip(codec));
        }
        step("seek by offset", || self.seek_by_offset());
        step("seek by time", || self.seek_by_time());
        step("two members and a rebalance, eager", || self.rebalance("range"));
        step("two members and a rebalance, cooperative", || self.rebalance("cooperative-sticky"));
        step("commits resumed by another process", || self.resume());
        step("idempotent production", || self.idempotent());
        step("delete topics", || self.delete_topics());
    }

    fn topics(&self) {
        let made = |name: &str, count| {
            let topic = NewTopic::new(name, count, TopicReplication::Fixed(1));
            block_on(self.admin().create_topics(&[topic], &AdminOptions::new())).expect("an answer").remove(0)
        };
        made(&self.run, 3).expect("a topic");
        assert_eq!(made(&self.run, 3).expect_err("twice").1, RDKafkaErrorCode::TopicAlreadyExists);
        assert_eq!(made("not a name", 1).expect_err("illegal").1, RDKafkaErrorCode::InvalidTopic);
        until("the topic is listed", || self.partitions_of(&self.run) == 3);
    }

    fn codec_round_trip(&self, codec: &str) {
        let topic = self.create(codec);
        let acked = self.produce(&topic, codec, true, &[("compression.type", codec)]);
        for (n, place) in acked.into_iter().enumerate() {
            assert_eq!(number_at(place), n, "acknowledged elsewhere");
        }
        let mut next = [0; PARTITIONS];
        self.read(&self.assigned(&topic, Offset::Beginning), COUNT, |found| {
            let (partition, offset) = place(found);
            assert_eq!(offset, next[partition]);
            next[partition] += 1;
            check(found, codec, number_at((partition, offset)));
        });
        assert_eq!(self.total(&topic), COUNT);
    }

    fn seek_by_offset(&self) {
        let consumer = self.consumer("seek", &[]);
        for n in [0, 4321, 77, COUNT - 1] {
            let mut start = TopicPartitionList::new();
            let offset = Offset::Offset((n / PARTITIONS) as i64);
            start.add_partition_offset(&self.source(), (n % PARTITIONS) as i32, offset).expect("an offset");
            consumer.assign(&start).expect("assigned");
            self.read(&consumer, 1, |found| check(found, "none", n));
        }
    }

    fn seek_by_time(&self) {
        let consumer = self.consumer("seek", &[]);
        for n in [0, 1, 4321, COUNT - 1] {
            for at in [timestamp(n), timestamp(n) - STEP_MS / 2] {
                let asked = self.all_partitions(&self.source(), Offset::Offset(at));
                for found in consumer.offsets_for_times(asked, PATIENCE).expect("offsets").elements() {
                    let partition = found.partition() as usize;
                    let first = n + (partition + PARTITIONS - n % PARTITIONS) % PARTITIONS;
                    let wanted = if first < COUNT { Offset::Offset((first / PARTITIONS) as i64) } else { Offset::End };
                    assert_eq!(found.offset(), wanted, "partition {partition} from {at}");
                }
            }
        }
    }

    fn rebalance(&self, strategy: &str) {
        let group = format!("{}-{strategy}", self.run);
        let first = Member::join(self, &group, strategy);
        first.has(4);
        let second = Member::join(self, &group, strategy);
        first.has(2);
        second.has(2);
        let seen = |member: &Member| member.state.lock().expect("a member").places.clone();
        until("all records are consumed", || seen(&first).union(&seen(&second)).count() == COUNT);
        second.leave();
        first.has(4);
        first.leave();
        assert_eq!(self.committed(&group), vec![(COUNT / PARTITIONS) as i64; PARTITIONS]);
    }

    fn resume(&self) {
        let mut places = BTreeSet::new();
        for count in [4_000, COUNT - 4_000 - 7, 7] {
            let program = std::env::current_exe().expect("this program");
            let group = format!("{}-resumed", self.run);
            let words = [&self.bootstrap, &self.source(), &group, &count.to_string()];
            let answer = Command::new(program).args(words).output().expect("a process");
            assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
            let lines: Vec<String> = String::from_utf8_lossy(&answer.stdout).lines().map(str::to_owned).collect();
            assert_eq!(lines.len(), count);
            lines.into_iter().for_each(|line| assert!(places.insert(line.clone()), "{line} came twice"));
        }
        assert_eq!(places.len(), COUNT);
    }

    fn one_process(&self, topic: &str, group: &str, count: usize) {
        let consumer = self.consumer(group, &[]);
        consumer.subscribe(&[topic]).expect("subscribed");
        let mut next = BTreeMap::new();
        self.read(&consumer, count, |found| {
            let (partition, offset) = place(found);
            check(found, "none", number_at((partition, offset)));
            next.insert(partition, offset + 1);
            println!("{partition} {offset}");
        });
        let mut commit = TopicPartitionList::new();
        for (partition, offset) in next {
            commit.add_partition_offset(topic, partition as i32, Offset::Offset(offset as i64)).expect("an offset");
        }
        consumer.commit(&commit, CommitMode::Sync).expect("committed");
    }

    fn idempotent(&self) {
        let topic = self.create("idempotent");
        let small = [("enable.idempotence", "true"), ("batch.size", "20000"), ("linger.ms", "1")];
        let acked = self.produce(&topic, "once", false, &small);
        let by_place: BTreeMap<_, _> = acked.iter().enumerate().map(|(n, place)| (*place, n)).collect();
        assert_eq!(by_place.len(), COUNT, "two records were acknowledged at one place");
        let mut last_of_key = BTreeMap::new();
        for (n, place) in acked.iter().enumerate().filter(|(n, _)| key(*n).is_some()) {
            if let Some(before) = last_of_key.insert(key(n), *place) {
                assert!(before.0 == place.0 && before.1 < place.1, "order of {:?}", key(n));
            }
        }
        self.read(&self.assigned(&topic, Offset::Beginning), COUNT, |found| {
            check(found, "once", by_place[&place(found)])
        });
        assert_eq!(self.total(&topic), COUNT);
    }

    fn delete_topics(&self) {
        let mine = |suite: &Suite| -> Vec<String> {
            let all = suite.admin().inner().fetch_metadata(None, PATIENCE).expect("metadata");
            all.topics()
                .iter()
                .map(|topic| topic.name().to_owned())
                .filter(|name| name.starts_with(&suite.run))
                .collect()
        };
        let names = mine(self);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let outcomes = block_on(self.admin().delete_topics(&names, &AdminOptions::new())).expect("an answer");
        outcomes.into_iter().for_each(|outcome| drop(outcome.expect("deleted")));
        until("the topics are gone", || mine(self).is_empty());
    }

    // -- what the steps are made of --------------------------------------------------------------------------------

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("an admin client")
    }

    fn consumer(&self, group: &str, more: &[(&str, &str)]) -> BaseConsumer {
        let mut config = self.config();
        config.set("group.id", group).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        more.iter().for_each(|(name, value)| _ = config.set(*name, *value));
        config.create().expect("a consumer")
    }

    fn assigned(&self, topic: &str, offset: Offset) -> BaseConsumer {
        let consumer = self.consumer("reader", &[]);
        consumer.assign(&self.all_partitions(topic, offset)).expect("assigned");
        consumer
    }

    fn all_partitions(&self, topic: &str, offset: Offset) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS as i32 {
            list.add_partition_offset(topic, partition, offset).expect("an offset");
        }
        list
    }

    fn source(&self) -> String {
        format!("{}-none", self.run)
    }

    fn create(&self, name: &str) -> String {
        let name = format!("{}-{name}", self.run);
        // The records are dated: without this the broker would be right to delete them as too old.
        let topic = NewTopic::new(&name, PARTITIONS as i32, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        let outcome =
            block_on(self.admin().create_topics(&[topic], &AdminOptions::new())).expect("an answer").remove(0);
        outcome.expect("created");
        name
    }

    fn partitions_of(&self, topic: &str) -> usize {
        self.admin().inner().fetch_metadata(Some(topic), PATIENCE).expect("metadata").topics()[0].partitions().len()
    }

    fn total(&self, topic: &str) -> usize {
        let consumer = self.consumer("reader", &[]);
        let end = |partition| consumer.fetch_watermarks(topic, partition, PATIENCE).expect("watermarks").1 as usize;
        (0..PARTITIONS as i32).map(end).sum()
    }

    fn committed(&self, group: &str) -> Vec<i64> {
        let asked = self.all_partitions(&self.source(), Offset::Invalid);
        let found = self.consumer(group, &[]).committed_offsets(asked, PATIENCE).expect("committed offsets");
        found.elements().iter().map(|at| at.offset().to_raw().expect("an offset")).collect()
    }

    /// Produces all records; returns the place of each.
    fn produce(&self, topic: &str, name: &str, choose: bool, more: &[(&str, &str)]) -> Vec<(usize, usize)> {
        let mut config = self.config();
        config.set("acks", "all").set("linger.ms", "5");
        more.iter().for_each(|(name, value)| _ = config.set(*name, *value));
        let acks = Acks(Arc::default());
        let producer: ThreadedProducer<Acks> = config.create_with_context(acks.clone()).expect("a producer");
        for n in 0..COUNT {
            let (key, value) = (key(n), value(name, n));
            let mut record = BaseRecord::with_opaque_to(topic, n).timestamp(timestamp(n)).headers(headers(n));
            record = if choose { record.partition((n % PARTITIONS) as i32) } else { record };
            record.key = key.as_ref();
            record.payload = value.as_ref();
            if let Err((failure, _)) = producer.send(record) {
                panic!("{failure}");
            }
        }
        producer.flush(PATIENCE).expect("all sent");
        let acked = std::mem::take(&mut *acks.0.lock().expect("acks"));
        assert_eq!(acked.len(), COUNT);
        acked.into_values().collect()
    }

    fn read(&self, consumer: &BaseConsumer, count: usize, mut each: impl FnMut(&BorrowedMessage<'_>)) {
        let deadline = Instant::now() + PATIENCE;
        let mut found = 0;
        while found < count {
            assert!(Instant::now() < deadline, "{found} of {count} records");
            if let Some(message) = consumer.poll(Duration::from_millis(200)) {
                each(&message.expect("a record"));
                found += 1;
            }
        }
    }
}

/// Where the records went, by number.
#[derive(Clone)]
struct Acks(Arc<Mutex<BTreeMap<usize, (usize, usize)>>>);

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, n: usize) {
        let message = result.as_ref().unwrap_or_else(|(failure, _)| panic!("record {n}: {failure}"));
        self.0.lock().expect("acks").insert(n, (message.partition() as usize, message.offset() as usize));
    }
}

/// A consumer of a group in a thread of its own; checks what it gets and commits it.
struct Member {
    state: Arc<Mutex<MemberState>>,
    leaving: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct MemberState {
    assigned: usize,
    places: BTreeSet<usize>,
}

impl Member {
    fn join(suite: &Suite, group: &str, strategy: &str) -> Member {
        let how = [("partition.assignment.strategy", strategy), ("heartbeat.interval.ms", "300")];
        let consumer = suite.consumer(group, &how);
        consumer.subscribe(&[&suite.source()]).expect("subscribed");
        let (state, leaving) = (Arc::<Mutex<MemberState>>::default(), Arc::<AtomicBool>::default());
        let (shared, stop) = (state.clone(), leaving.clone());
        let thread = std::thread::spawn(move || Member::consume(&consumer, &shared, &stop));
        Member { state, leaving, thread }
    }

    fn consume(consumer: &BaseConsumer, state: &Mutex<MemberState>, leaving: &AtomicBool) {
        let mut since_commit = 0;
        while !leaving.load(Ordering::Relaxed) {
            let polled = consumer.poll(Duration::from_millis(20));
            let idle = polled.is_none();
            if let Some(message) = polled {
                let message = message.expect("a record");
                let n = number_at(place(&message));
                check(&message, "none", n);
                state.lock().expect("a member").places.insert(n);
                since_commit += 1;
            }
            state.lock().expect("a member").assigned = consumer.assignment().expect("an assignment").count();
            if since_commit >= 500 || (idle && since_commit > 0) {
                since_commit = 0;
                commit(consumer);
            }
        }
        commit(consumer);
    }

    fn has(&self, partitions: usize) {
        until(&format!("a member has {partitions} partitions"), || {
            assert!(!self.thread.is_finished(), "a member has ended");
            self.state.lock().expect("a member").assigned == partitions
        });
    }

    fn leave(self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.thread.join().expect("the member ended well");
    }
}

fn commit(consumer: &BaseConsumer) {
    use RDKafkaErrorCode::{IllegalGeneration, NoOffset, RebalanceInProgress};
    match consumer.commit_consumer_state(CommitMode::Sync) {
        // A rebalance came between: the records come again, to whoever has them now. Or nothing was read since.
        Err(KafkaError::ConsumerCommit(RebalanceInProgress | IllegalGeneration | NoOffset)) => {}
        outcome => outcome.expect("committed"),
    }
}

// -- records ----------------------------------------------------------------------------------------------------------

fn key(n: usize) -> Option<Vec<u8>> {
    (n % 50 != 49).then(|| format!("key-{}", n % 997).into_bytes())
}

fn value(name: &str, n: usize) -> Option<Vec<u8>> {
    let none = n % 101 == 100 && key(n).is_some();
    let letter = char::from(b'a' + (n % 26) as u8).to_string();
    (!none).then(|| format!("{name}:{n}:{}", letter.repeat(n * 7 % 200)).into_bytes())
}

fn header_list(n: usize) -> Vec<(&'static str, Option<Vec<u8>>)> {
    if n % 10 == 3 {
        return Vec::new();
    }
    let raw = vec![n as u8, 0, 255];
    vec![("n", Some(n.to_string().into_bytes())), ("n", Some(b"again".to_vec())), ("bin", Some(raw)), ("nil", None)]
}

fn headers(n: usize) -> OwnedHeaders {
    let add =
        |to: OwnedHeaders, (key, value): (&str, Option<Vec<u8>>)| to.insert(Header { key, value: value.as_ref() });
    header_list(n).into_iter().fold(OwnedHeaders::new(), add)
}

fn timestamp(n: usize) -> i64 {
    FIRST_TIMESTAMP + n as i64 * STEP_MS
}

fn place(found: &BorrowedMessage<'_>) -> (usize, usize) {
    (found.partition() as usize, found.offset() as usize)
}

fn number_at((partition, offset): (usize, usize)) -> usize {
    offset * PARTITIONS + partition
}

/// Checks that this is record `n`, in all it has.
fn check(found: &BorrowedMessage<'_>, name: &str, n: usize) {
    assert_eq!(found.key(), key(n).as_deref(), "key of record {n}");
    assert_eq!(found.payload(), value(name, n).as_deref(), "value of record {n}");
    assert_eq!(found.timestamp().to_millis(), Some(timestamp(n)), "timestamp of record {n}");
    let got: Vec<_> =
        found.headers().into_iter().flat_map(Headers::iter).map(|h| (h.key, h.value.map(<[u8]>::to_vec))).collect();
    assert_eq!(got, header_list(n), "headers of record {n}");
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn step(name: &str, work: impl FnOnce()) {
    let started = Instant::now();
    println!("{name} ...");
    work();
    println!("{name}: ok, {:.1} s", started.elapsed().as_secs_f64());
}
