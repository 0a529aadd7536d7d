//! Changes of metadata on the simulated machine: what whoever asked may rely on when the answer is there, and what is
//! left of the things that were deleted.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ailurus_cluster::command::{Command, ConfigChange, ConfigResource, HowToAlter, Reply, TopicRef};
use ailurus_cluster::plan::{NewTopic, TopicRefusal};
use ailurus_cluster::{Cluster, ClusterOptions, node};
use ailurus_model::ShardId;
use ailurus_partition::AppendOutcome;
use ailurus_partition::append::Origin;
use ailurus_record::{BatchBuilder, Limits, verify};
use ailurus_rt::sim::{Sim, SimConfig, seeds};
use ailurus_rt::{self as rt, Lane, Sharded};
use ailurus_settings::{BrokerSettings, Layer};
use ailurus_storage::{DataDir, StorageConfig};

fn machine(seed: u64, shards: u16) -> Sim {
    Sim::new(seed, SimConfig { shards, ..SimConfig::default() })
}

async fn started(settings: &[(&str, &str)]) -> Result<Sharded<Cluster>, node::StartError> {
    let mut layers = BrokerSettings::default();
    for (name, value) in settings {
        layers.set(Layer::Flags, name, value).unwrap();
    }
    rt::fs::create_dir_all("/data".as_ref()).await.unwrap();
    let storage = StorageConfig::tiny("/data");
    node::start(ClusterOptions { settings: Arc::new(layers), storage }).await
}

async fn boot() -> Sharded<Cluster> {
    started(&[]).await.unwrap()
}

fn create(name: &str, partitions: i32) -> Command {
    Command::CreateTopics(vec![NewTopic { name: name.into(), partitions: Some(partitions), ..NewTopic::default() }])
}

/// Has `shard` submit `command` and look at its own copy of the state as soon as it is answered.
async fn submit_at<R: Send + 'static>(
    cluster: Sharded<Cluster>,
    shard: u16,
    command: Command,
    look: impl FnOnce(&Cluster) -> R + Send + 'static,
) -> (Reply, R) {
    let ask = |local: Rc<Cluster>| async move {
        let reply = local.submit(command).await.unwrap();
        (reply, look(&local))
    };
    cluster.on_async(ShardId(shard), Lane::Kafka, ask).await
}

#[test]
fn the_brokers_defaults_for_topics_are_not_the_controllers() {
    for policy in ["compact", "compact,delete"] {
        let mut sim = machine(1, 2);
        for life in 0..2 {
            sim.run(move || async move {
                let cluster = started(&[("log.cleanup.policy", policy)]).await.unwrap();
                let local = cluster.local();
                let name = format!("t{life}");
                let reply = local.submit(create(&name, 2)).await.unwrap();
                assert!(matches!(&reply, Reply::Topics(topics) if topics[0].is_ok()), "{policy}: {reply:?}");
                assert!(local.topic_config(local.state().topic(&name).unwrap()).cleanup_policy.compact);
                node::stop(cluster).await;
            })
            .finished();
        }
    }
}

/// Two want the same topic at the same time, from different shards: to both it is there when they are answered.
#[test]
fn what_exists_already_is_there_for_the_second_who_asks() {
    for seed in seeds(20) {
        let told = move || async move {
            let cluster = boot().await;
            let ask = move |shard| {
                let sees = |local: &Cluster| local.state().topic("t").is_some();
                rt::spawn(rt::Group::Kafka, submit_at(cluster, shard, create("t", 3), sees))
            };
            let mut existed = 0;
            for asked in [1, 2, 1, 2].map(ask) {
                let (reply, seen) = asked.await;
                existed += u32::from(reply == Reply::Topics(vec![Err(TopicRefusal::Exists)]));
                assert!(seen, "seed {seed}: {reply:?}, but the shard that asked does not see it");
            }
            assert_eq!(existed, 3);
        };
        machine(seed, 3).run(told).finished();
    }
}

/// The second of two equal alterations changes nothing, and is durable nevertheless when it is answered.
#[test]
fn an_alteration_that_changes_nothing_is_acknowledged_when_the_first_is_durable() {
    let alter = || {
        let how = HowToAlter::Replace(vec![("log.retention.ms".into(), Some("7000".into()))]);
        Command::AlterConfigs(vec![ConfigChange { resource: ConfigResource::Broker(None), how }])
    };
    for seed in seeds(20) {
        let mut sim = machine(seed, 1);
        sim.run(move || async move {
            let local = boot().await.local();
            let first = local.clone();
            let first = rt::spawn(rt::Group::Kafka, async move { first.submit(alter()).await });
            rt::yield_now().await;
            assert_eq!(local.submit(alter()).await.unwrap(), Reply::Configs(vec![Ok(())]));
            drop(first);
        })
        .finished();
        sim.crash();
        sim.run(move || async move {
            let local = boot().await.local();
            let altered = local.state().broker_configs(None);
            assert_eq!(altered.get("log.retention.ms").map(String::as_str), Some("7000"), "seed {seed}");
        })
        .finished();
    }
}

async fn led_everywhere(cluster: Sharded<Cluster>, topic: &'static str) -> bool {
    let led = move |local: Rc<Cluster>| async move { local.until_led(topic, Duration::from_secs(60)).await };
    cluster.map_async(Lane::Kafka, led).await.into_iter().all(|led| led)
}

/// The way from the shard that opens a partition may be shorter than the way from the one that announces it.
#[test]
fn every_shard_hears_who_leads() {
    for seed in seeds(40) {
        let mut sim = machine(seed, 4);
        sim.run(move || async move {
            let cluster = boot().await;
            for name in ["a", "b", "c"] {
                cluster.local().submit(create(name, 4)).await.unwrap();
                assert!(led_everywhere(cluster, name).await, "seed {seed}: a shard does not know who leads {name}");
            }
        })
        .finished();
        sim.set_shards(3);
        sim.run(move || async move {
            let cluster = boot().await;
            for name in ["a", "b", "c"] {
                assert!(led_everywhere(cluster, name).await, "seed {seed}: after a start");
            }
        })
        .finished();
    }
}

/// The directories of logs, as `<topic id>/<partition>-<group id>`.
async fn log_dirs() -> BTreeSet<String> {
    let topics = Path::new("/data/topics");
    let mut found = BTreeSet::new();
    for topic in rt::fs::read_dir(topics).await.unwrap() {
        for log in rt::fs::read_dir(&topics.join(&topic.name)).await.unwrap() {
            found.insert(format!("{}/{}", topic.name.display(), log.name.display()));
        }
    }
    found
}

fn delete(name: &str) -> Command {
    Command::DeleteTopics(vec![TopicRef::Name(name.into())])
}

/// How many logs all shards have, the controller's among them.
async fn logs(cluster: Sharded<Cluster>) -> usize {
    cluster.map(Lane::Kafka, |local: &Rc<Cluster>| local.storage().logs().len()).await.into_iter().sum()
}

/// A deletion is committed, the power goes before the files are gone: the next start removes them, with the same number of
/// shards and with another.
#[test]
fn a_removal_that_was_cut_off_is_finished_by_the_next_start() {
    for seed in seeds(20) {
        for shards in [1, 2, 3] {
            let mut sim = machine(seed, 2);
            sim.run(move || async move {
                let cluster = boot().await;
                cluster.local().submit(create("gone", 3)).await.unwrap();
                cluster.local().submit(create("kept", 3)).await.unwrap();
                assert!(led_everywhere(cluster, "gone").await && led_everywhere(cluster, "kept").await);
                cluster.local().submit(delete("gone")).await.unwrap();
            })
            .finished();
            sim.crash();
            sim.set_shards(shards);
            sim.run(move || async move {
                let cluster = boot().await;
                assert!(led_everywhere(cluster, "kept").await);
                assert_eq!(logs(cluster).await, 4);
                let state = cluster.local().state().topic("kept").unwrap().clone();
                let kept = state.iter().map(|(at, wish)| format!("{}/{}-{}", at.topic, at.partition, wish.group));
                let kept: BTreeSet<_> = kept.chain(["AAAAAAAAAAAAAAAAAAAAAQ/0-0".into()]).collect();
                let left = log_dirs().await;
                assert!(left.is_subset(&kept), "seed {seed}, {shards} shards: {left:?} is more than {kept:?}");
            })
            .finished();
        }
    }
}

/// A partition whose segment is damaged is not served, but can be deleted: nothing stays of it.
#[test]
fn a_partition_that_cannot_be_opened_can_be_deleted() {
    let mut sim = machine(3, 1);
    sim.run(|| async {
        let cluster = boot().await;
        cluster.local().submit(create("t", 1)).await.unwrap();
        assert!(led_everywhere(cluster, "t").await);
        let partition = cluster.local().partitions().pop().unwrap();
        for _ in 0..6 {
            let mut batch = BatchBuilder::new();
            batch.push(rt::unix_ms(), None, Some(&[7; 400]), &[]);
            let batch = verify(batch.build(), &Limits::PRODUCE).unwrap();
            assert!(matches!(partition.append(&batch, Origin::Client, rt::unix_ms()), AppendOutcome::Appended(_)));
        }
        cluster.local().storage().settled().await;
    })
    .finished();
    sim.crash();
    // The journals are drained for another number of shards: what the segments say of producers has to be read from them.
    sim.run(|| async { DataDir::open(&StorageConfig::tiny("/data"), 2).await.map(drop).unwrap() }).finished();
    damage_segments(&mut sim);
    sim.set_shards(2);
    sim.run(|| async {
        let cluster = boot().await;
        let local = cluster.local();
        let at = local.state().topic("t").unwrap().iter().next().unwrap().0;
        assert_eq!(local.leader(at), None, "it is damaged");
        assert_eq!(logs(cluster).await, 2);
        local.submit(delete("t")).await.unwrap();
        for _ in 0..1000 {
            rt::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(logs(cluster).await, 1);
        node::stop(cluster).await;
        let left = log_dirs().await;
        assert!(left.iter().all(|dir| dir.starts_with("AAAAAAAAAAAAAAAAAAAAAQ/")), "{left:?}");
    })
    .finished();
}

/// Turns bits in the middle of every segment of users' topics.
fn damage_segments(sim: &mut Sim) {
    let topics = Path::new("/data/topics");
    let mut turned = 0;
    for topic in sim.disk().read_dir(topics).unwrap() {
        for log in sim.disk().read_dir(topics.join(&topic.name)).unwrap() {
            let dir = topics.join(&topic.name).join(&log.name);
            let files = sim.disk().read_dir(&dir).unwrap();
            let users = |name: &str| name.ends_with(".log") && log.name != "0-0";
            for file in files.iter().filter(|file| users(&file.name.to_string_lossy())) {
                for offset in (500..3000).step_by(100) {
                    turned += u32::from(sim.disk().flip_bit(dir.join(&file.name), offset, 3).unwrap());
                }
            }
        }
    }
    assert!(turned > 0, "there is a segment");
}

/// What a start says of a directory from which `path` was taken, a directory or a file. It leaves the logs alone.
fn start_without(sim: &mut Sim, path: &'static str) -> String {
    let before = sim.run(move || async move {
        let path = Path::new(path);
        match rt::fs::read_dir(path).await {
            Ok(files) => {
                for file in files {
                    rt::fs::remove_file(&path.join(file.name)).await.unwrap();
                }
            }
            Err(_) => rt::fs::remove_file(path).await.unwrap(),
        }
        log_dirs().await
    });
    let before = before.finished();
    let mut refusal = || {
        let refused = async || started(&[]).await.map(drop).expect_err("part of the directory is missing").to_string();
        sim.run(refused).finished()
    };
    let (first, again) = (refusal(), refusal());
    assert_eq!(first, again, "nor does it start when it is asked again");
    assert!(sim.run(log_dirs).finished().is_superset(&before), "{path:?}");
    first
}

fn used_machine(shards: u16) -> Sim {
    let mut sim = machine(5, shards);
    sim.run(|| async {
        let cluster = boot().await;
        cluster.local().submit(create("t", 4)).await.unwrap();
        assert!(led_everywhere(cluster, "t").await);
        node::stop(cluster).await;
    })
    .finished();
    sim
}

#[test]
fn a_node_whose_history_is_gone_does_not_start() {
    for shards in [1, 2, 3] {
        let refusal = start_without(&mut used_machine(shards), "/data/journal/0");
        assert!(refusal.contains("the controller's log"), "{refusal}");
    }
}

#[test]
fn a_used_directory_without_identity_does_not_become_a_new_cluster() {
    for shards in [1, 2] {
        let refusal = start_without(&mut used_machine(shards), "/data/node.properties");
        assert!(refusal.contains("node.properties is missing"), "{refusal}");
    }
}

/// Only segments are left: of whatever they were part, they are not taken for those of deleted topics.
#[test]
fn segments_alone_are_nobodys_leftovers() {
    let mut sim = used_machine(2);
    // The logs get directories when they are drained for another number of shards.
    sim.set_shards(1);
    sim.run(|| async { node::stop(boot().await).await }).finished();
    let taken = sim.run(|| async {
        rt::fs::remove_dir_all(Path::new("/data/journal")).await.unwrap();
        for dir in log_dirs().await.iter().filter(|dir| dir.ends_with("/0-0")) {
            rt::fs::remove_dir_all(&Path::new("/data/topics").join(dir)).await.unwrap();
        }
        log_dirs().await.len()
    });
    assert_eq!(taken.finished(), 4);
    let refusal = start_without(&mut sim, "/data/node.properties");
    assert!(refusal.contains("node.properties is missing"), "{refusal}");
}

/// A first start may be cut off anywhere, again and again.
#[test]
fn a_first_start_that_was_cut_off_is_made_again() {
    for seed in seeds(60) {
        let mut sim = machine(seed, 2);
        for cut in 0..3 {
            sim.crash_after(1 + (seed * 37 + cut * 101) % 400);
            sim.run(|| async { node::stop(boot().await).await });
        }
        sim.run(|| async { assert_eq!(boot().await.local().state().nodes().len(), 1) }).finished();
    }
}
