//! Changes of metadata on the simulated machine: what whoever asked may rely on when the answer is there, and what is
//! left of the things that were deleted.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::rc::Rc;
use std::sync::Arc;

use ailurus_cluster::command::{Command, ConfigChange, ConfigResource, HowToAlter, Reply};
use ailurus_cluster::plan::{NewTopic, TopicRefusal};
use ailurus_cluster::{Cluster, ClusterOptions, node};
use ailurus_model::ShardId;
use ailurus_rt::sim::{Sim, SimConfig, seeds};
use ailurus_rt::{self as rt, Lane, Sharded};
use ailurus_settings::{BrokerSettings, Layer};
use ailurus_storage::StorageConfig;

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
