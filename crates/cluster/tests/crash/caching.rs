//! Topics with and without `write.caching`, and the groups' topic, on the same shards.
//!
//! Without, nothing that was acknowledged is lost by a crash; with it the end of a log is, all of a shard's together up to
//! the bound. A clean stop loses nothing of either.

use std::cell::Cell;

use ailurus_cluster::OFFSETS_TOPIC;
use ailurus_cluster::command::{ConfigChange, ConfigResource, HowToAlter, Reply};
use ailurus_partition::Refusal;
use ailurus_settings::{Alteration, Operation};

use super::*;

/// The broker's default is true; the groups' topic even says so itself.
const TOPICS: [(&str, Option<&str>); 3] = [("cached", None), ("plain", Some("false")), (OFFSETS_TOPIC, Some("true"))];
const EACH: i32 = 2;
const WRITERS: i64 = 6;
const BYTES_MAX: u64 = 6 << 10;

/// Acknowledged batches: topic, partition, offset and how many values of which writer from which number on.
type Acked = BTreeMap<(&'static str, i32), BTreeMap<i64, (i64, i32, i32)>>;

async fn boot(flush_ms: &str) -> Sharded<Cluster> {
    rt::fs::create_dir_all("/data".as_ref()).await.unwrap();
    let mut settings = BrokerSettings::default();
    for (name, value) in
        // The records are of 1970: retention would take them.
        [
            ("log.segment.bytes", "20000"),
            ("log.retention.ms", "-1"),
            ("write.caching", "true"),
            ("log.flush.interval.ms", flush_ms),
        ]
    {
        settings.set(Layer::Flags, name, value).unwrap();
    }
    let storage = StorageConfig { write_caching_bytes_max: BYTES_MAX, ..StorageConfig::tiny("/data") };
    let cluster = node::start(ClusterOptions { settings: Arc::new(settings), storage }).await.unwrap();
    let local = cluster.local();
    for (name, caching) in TOPICS {
        if local.state().topic(name).is_none() {
            let configs = caching.map(|value| ("write.caching".to_owned(), value.to_owned())).into_iter().collect();
            let topic = NewTopic { name: name.into(), partitions: Some(EACH), configs, ..NewTopic::default() };
            local.submit(Command::CreateTopics(vec![topic])).await.unwrap();
        }
        assert!(local.until_led(name, Duration::from_secs(60)).await, "{name} is led again");
    }
    cluster
}

/// Batches without a producer id: what was lost is not missed by the next.
fn plain_batch(writer: i64, first: i32, count: i32) -> Bytes {
    let mut builder = BatchBuilder::new();
    (first..first + count).for_each(|number| _ = builder.push(0, Some(b"k"), Some(&value(writer, number)), &[]));
    builder.build()
}

async fn writer(cluster: Sharded<Cluster>, acked: Rc<RefCell<Acked>>, id: i64, batches: i32) {
    for number in 0..batches {
        let (topic, _) = TOPICS[rt::random_below(3) as usize];
        let partition = rt::random_below(EACH as u64) as i32;
        let (first, count) = (number * 10, 1 + rt::random_below(3) as i32);
        let Some(base) = produce(cluster, topic, partition, plain_batch(id, first, count)).await else { return };
        let readable = at_owner(cluster, topic, partition, |partition| async move { partition.high_watermark() }).await;
        assert!(readable.0 >= base + i64::from(count), "what is acknowledged may be read");
        acked.borrow_mut().entry((topic, partition)).or_default().insert(base, (id, first, count));
    }
}

/// Holds what is there against what was acknowledged, and forgets what is gone with permission: how many bytes of records.
async fn check_cached(cluster: Sharded<Cluster>, acked: &Rc<RefCell<Acked>>) -> u64 {
    let mut lost = 0;
    for (topic, partition) in TOPICS.iter().flat_map(|(topic, _)| (0..EACH).map(move |partition| (*topic, partition))) {
        let found = read_all(cluster, topic, partition).await;
        let gapless = found.iter().enumerate().all(|(place, (offset, _))| *offset == place as i64);
        assert!(gapless, "{topic}-{partition}: offsets have a gap");
        let mut acked = acked.borrow_mut();
        let known = acked.entry((topic, partition)).or_default();
        let gone = known.split_off(&(found.len() as i64));
        assert!(gone.is_empty() || topic == "cached", "{topic}-{partition}: {gone:?} were acknowledged");
        lost += gone
            .values()
            .flat_map(|(id, first, count)| (*first..first + count).map(|n| value(*id, n).len() as u64))
            .sum::<u64>();
        for (base, (id, first, count)) in known {
            for step in 0..*count {
                let (_, bytes) = &found[*base as usize + step as usize];
                assert_eq!(bytes[..], value(*id, *first + step)[..], "{topic}-{partition} at {base}: other content");
            }
        }
    }
    lost
}

/// What the outside world knows of all lives.
#[derive(Default)]
struct Told {
    acked: Rc<RefCell<Acked>>,
    /// Bytes that may be gone when somebody looks next.
    may_be_lost: Cell<u64>,
    lost: Cell<u64>,
}

async fn one_life(told: Rc<Told>) {
    let cluster = boot("200").await;
    let lost = check_cached(cluster, &told.acked).await;
    let allowed = told.may_be_lost.take();
    assert!(lost <= allowed, "{lost} bytes were lost, {allowed} may be");
    told.lost.set(told.lost.get() + lost);
    let writers = (0..WRITERS).map(|id| rt::spawn(rt::Group::Kafka, writer(cluster, told.acked.clone(), id, 40)));
    for writer in writers.collect::<Vec<_>>() {
        writer.await;
    }
    assert_eq!(check_cached(cluster, &told.acked).await, 0);
    node::stop(cluster).await;
}

/// Several lives; how many bytes were lost in all.
fn cached_lives(seed: u64) -> u64 {
    let told: Rc<Told> = Rc::default();
    let mut dice = Dice::new(seed);
    let mut shards = 1 + dice.below(3);
    let mut sim = Sim::new(seed, SimConfig { shards: shards as u16, ..SimConfig::default() });
    for number in 0..LIVES {
        if number + 1 < LIVES {
            sim.crash_after(1000 + dice.below(STEPS));
        }
        let in_life = told.clone();
        match sim.run(move || one_life(in_life)) {
            Outcome::Finished(()) => {}
            Outcome::Crashed => told.may_be_lost.set(told.may_be_lost.get() + BYTES_MAX * shards),
            other => panic!("life {number} ended otherwise: {other:?}"),
        }
        shards = 1 + dice.below(3);
        sim.set_shards(shards as u16);
    }
    told.lost.get()
}

#[test]
fn a_crash_takes_the_end_of_what_was_cached_and_nothing_else() {
    let mut lost = 0;
    for seed in seeds(20) {
        match catch_unwind(AssertUnwindSafe(|| cached_lives(seed))) {
            Ok(bytes) => lost += bytes,
            Err(panic) => {
                eprintln!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(lost > 0, "nothing was ever acknowledged from memory");
}

async fn set_caching(cluster: Sharded<Cluster>, caching: bool) {
    let set = Alteration { name: "write.caching".into(), operation: Operation::Set, value: Some(caching.to_string()) };
    let how = HowToAlter::Incremental(vec![set]);
    let change = ConfigChange { resource: ConfigResource::Topic("plain".into()), how };
    let reply = cluster.local().submit(Command::AlterConfigs(vec![change])).await.unwrap();
    assert_eq!(reply, Reply::Configs(vec![Ok(())]));
}

async fn flushes(cluster: Sharded<Cluster>) -> u64 {
    let flushes = |local: &Rc<Cluster>| local.storage().stats().journal.flushes;
    cluster.map(Lane::Kafka, flushes).await.into_iter().sum()
}

/// With an hour between flushes only what is told to be durable is.
#[test]
fn an_alteration_counts_from_the_next_acknowledgement_on() {
    for seed in seeds(20) {
        let mut sim = Sim::new(seed, SimConfig { shards: 2, ..SimConfig::default() });
        let acknowledged = sim
            .run(move || async move {
                let cluster = boot("3600000").await;
                set_caching(cluster, true).await;
                let before = flushes(cluster).await;
                for number in 0..10 {
                    produce(cluster, "plain", 0, plain_batch(1, number, 1)).await.unwrap();
                }
                let cached = flushes(cluster).await - before;
                assert!(cached <= 4, "ten appends from memory took {cached} flushes");
                set_caching(cluster, false).await;
                let before = flushes(cluster).await;
                let last = produce(cluster, "plain", 0, plain_batch(1, 10, 1)).await.unwrap();
                assert!(flushes(cluster).await > before, "it is flushed before it is acknowledged");
                last + 1
            })
            .finished();
        sim.crash();
        sim.run(move || async move {
            let cluster = boot("3600000").await;
            let found = read_all(cluster, "plain", 0).await;
            assert_eq!(found.len() as i64, acknowledged, "seed {seed}: the last was acknowledged with all before it");
        })
        .finished();
    }
}

/// A producer that repeats what was acknowledged from memory hears of it only when it is flushed, if writes are cached no more.
#[test]
fn a_duplicate_is_not_acknowledged_from_memory_when_caching_has_ended() {
    let mut sim = Sim::new(1, SimConfig { shards: 1, ..SimConfig::default() });
    sim.run(|| async {
        let cluster = boot("3600000").await;
        produce(cluster, "cached", 0, batch(1, 0, 1)).await.unwrap();
        let durable = at_owner(cluster, "cached", 0, |partition| async move {
            let log = partition.replica().log().clone();
            let frontiers = || log.frontiers();
            assert!(frontiers().durable < frontiers().appended, "it is acknowledged from memory");
            log.set_config(ailurus_storage::LogConfig::keeping());
            let repeated = verify(batch(1, 0, 1), &Limits::PRODUCE).unwrap();
            let AppendOutcome::Duplicate(known) = partition.append(&repeated, Origin::Client, rt::unix_ms()) else {
                panic!("it is known")
            };
            assert_eq!(partition.settled(known.receipt, Acks::All).await, Settlement::Kept);
            frontiers().durable == frontiers().appended
        })
        .await;
        assert!(durable);
        node::stop(cluster).await;
    })
    .finished();
}

/// It was told that all it had sent is there, and goes on behind that: most clients never recover from an answer that
/// something is missing.
#[test]
fn an_idempotent_producer_goes_on_behind_what_was_lost() {
    let mut sim = Sim::new(3, SimConfig { shards: 1, ..SimConfig::default() });
    sim.run(|| async {
        let cluster = boot("3600000").await;
        produce(cluster, "cached", 0, batch(1, 0, 1)).await.unwrap();
        cluster.local().storage().settled().await;
        for number in 1..5 {
            assert_eq!(produce(cluster, "cached", 0, batch(1, number, 1)).await, Some(i64::from(number)));
        }
    })
    .finished();
    sim.crash();
    sim.run(|| async {
        let cluster = boot("3600000").await;
        assert_eq!(read_all(cluster, "cached", 0).await.len(), 1, "what was not flushed is gone");
        assert_eq!(produce(cluster, "cached", 0, batch(1, 5, 1)).await, Some(1));
        let refused = at_owner(cluster, "cached", 0, |partition| async move {
            let gap = verify(batch(1, 9, 1), &Limits::PRODUCE).unwrap();
            partition.append(&gap, Origin::Client, rt::unix_ms())
        });
        let AppendOutcome::Refused(refusal) = refused.await else { panic!("once, and not again") };
        assert_eq!(refusal, Refusal::OutOfOrderSequence { expected: 6, got: 9 });
        node::stop(cluster).await;
    })
    .finished();
}
