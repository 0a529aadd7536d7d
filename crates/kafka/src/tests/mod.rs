//! Requests against a whole broker on the simulated machine: all but the sockets, with virtual time.

#![allow(clippy::unwrap_used, reason = "tests")]

mod caching;
mod fetch;
mod groups;
mod memory;
mod nodes;
mod partitions;
mod produce;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ailurus_cluster::command::{Command, Reply};
use ailurus_cluster::plan::NewTopic;
use ailurus_cluster::{Cluster, ClusterOptions, node};
use ailurus_coordinator::Groups;
use ailurus_model::{PartitionId, TopicIdPartition};
use ailurus_record::BatchBuilder;
use ailurus_rt::sim::{Sim, SimConfig};
use ailurus_rt::{self as rt, Lane, Permit, Sharded};
use ailurus_settings::{BrokerSettings, Layer};
use ailurus_storage::StorageConfig;
use ailurus_wire::incremental_alter_configs::{AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest};
use ailurus_wire::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ailurus_wire::{ErrorCode, decode_response, encode_request};
use bytes::Bytes;

use crate::dispatch::Answer;
use crate::in_process;
use crate::server::KafkaShard;

/// Runs `test` on a machine of so many shards, with a few seeds.
fn on_shards<F: Future<Output = ()>>(shards: u16, test: impl Fn(Broker) -> F + Copy + 'static) {
    on_machine(SimConfig { shards, ..SimConfig::default() }, test);
}

/// The same on another machine.
fn on_machine<F: Future<Output = ()>>(config: SimConfig, test: impl Fn(Broker) -> F + Copy + 'static) {
    for_seeds(config, &[], test);
}

/// The same with settings of the broker.
fn on_shards_with<F: Future<Output = ()>>(
    shards: u16,
    settings: &'static [(&str, &str)],
    test: impl Fn(Broker) -> F + Copy + 'static,
) {
    for_seeds(SimConfig { shards, ..SimConfig::default() }, settings, test);
}

fn for_seeds<F: Future<Output = ()>>(
    config: SimConfig,
    settings: &'static [(&str, &str)],
    test: impl Fn(Broker) -> F + Copy + 'static,
) {
    for seed in 0..5 {
        let mut sim = Sim::new(seed, config.clone());
        sim.run(move || async move { test(Broker::start(settings).await).await }).finished();
    }
}

/// A broker without sockets, asked on shard 0.
#[derive(Clone, Copy)]
struct Broker {
    cluster: Sharded<Cluster>,
    shards: Sharded<KafkaShard>,
}

impl Broker {
    async fn start(settings: &[(&str, &str)]) -> Broker {
        rt::fs::create_dir_all("/data".as_ref()).await.unwrap();
        let mut layers = BrokerSettings::default();
        for (name, value) in settings {
            layers.set(Layer::Flags, name, value).unwrap();
        }
        let options = ClusterOptions { settings: Arc::new(layers), storage: StorageConfig::tiny("/data") };
        let cluster = node::start(options).await.unwrap();
        let groups = Groups::start(cluster).await;
        let shards = in_process::start(cluster, groups).await;
        Broker { cluster, shards }
    }

    /// Makes a topic with these settings; every partition is led when this returns.
    async fn create(self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let topic = NewTopic { name: name.into(), partitions: Some(partitions), configs, ..NewTopic::default() };
        let local = self.cluster.local();
        let reply = local.submit(Command::CreateTopics(vec![topic])).await.unwrap();
        assert!(matches!(&reply, Reply::Topics(results) if results[0].is_ok()), "{reply:?}");
        assert!(local.until_led(name, Duration::from_secs(60)).await);
    }

    /// Alters one setting of a topic.
    async fn alter(self, topic: &str, name: &str, value: &str) {
        let config = AlterableConfig { name: name.into(), value: Some(value.into()), ..Default::default() };
        let resource = AlterConfigsResource { resource_type: 2, resource_name: topic.into(), configs: vec![config] };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
        assert_eq!(self.call(1, &request).await.responses[0].error_code, ErrorCode::None);
    }

    /// What the broker answers.
    async fn call<R: ailurus_wire::Request>(self, version: i16, request: &R) -> R::Response {
        match self.ask(version, request, None).await {
            Answer::Send(parts, _held) => {
                decode_response(&mut Bytes::from(parts.concat()).slice(4..), version).unwrap().1
            }
            Answer::Silence | Answer::Close => panic!("there is no answer"),
        }
    }

    /// What becomes of a request for whose frame this was granted.
    async fn ask<R: ailurus_wire::Request>(self, version: i16, request: &R, permit: Option<Permit>) -> Answer {
        let frame: Bytes = encode_request(1, None, version, request).unwrap().concat().into();
        in_process::ask(self.shards.local(), frame, permit).await
    }

    /// Appends records with acks=all, each with its key if there is one.
    async fn produce(self, topic: &str, index: i32, records: &[(Option<&[u8]>, &[u8])]) {
        let mut batch = BatchBuilder::new();
        for (key, value) in records {
            batch.push(rt::unix_ms(), *key, Some(value), &[]);
        }
        let partition_data = vec![PartitionProduceData { index, records: Some(batch.build()) }];
        let topic_data = vec![TopicProduceData { name: topic.into(), partition_data, ..Default::default() }];
        let request = ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data, ..Default::default() };
        let response = self.call(9, &request).await;
        assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::None);
    }

    fn target(self, topic: &str, partition: i32) -> TopicIdPartition {
        self.cluster.local().state().topic(topic).unwrap().partition(PartitionId(partition))
    }

    /// Asks the owner of a partition, as far as that needs no waiting.
    async fn at_owner<R: Send + 'static>(
        self,
        topic: &str,
        partition: i32,
        ask: impl FnOnce(&ailurus_partition::Partition) -> R + Send + 'static,
    ) -> R {
        let target = self.target(topic, partition);
        let owner = self.cluster.local().shard_of(target).unwrap();
        let ask = move |owner: &Rc<Cluster>| ask(&owner.partition(target).unwrap());
        self.cluster.on(owner, Lane::Kafka, ask).await
    }
}
