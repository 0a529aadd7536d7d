//! A broker on the simulated machine, asked with frames as a connection would hand them over.

use std::sync::Arc;
use std::time::Duration;

use ailurus_cluster::command::{Command, Reply};
use ailurus_cluster::plan::NewTopic;
use ailurus_cluster::{Cluster, ClusterOptions, node};
use ailurus_coordinator::Groups;
use ailurus_kafka::{KafkaShard, in_process};
use ailurus_model::PartitionId;
use ailurus_record::BatchBuilder;
use ailurus_rt::sim::{Sim, SimConfig};
use ailurus_rt::{self as rt, Lane, Sharded};
use ailurus_settings::BrokerSettings;
use ailurus_storage::StorageConfig;
use ailurus_wire::{Request, decode_response, encode_request};
use bytes::Bytes;

use crate::SEED;

/// Runs `main` on a machine of so many shards, otherwise as in production: credits, memory.
pub(crate) fn on_machine<F: Future<Output = u64> + 'static>(shards: u16, main: impl FnOnce() -> F + 'static) -> u64 {
    let production = rt::Config::default();
    let config = SimConfig {
        shards,
        lane_credits: production.lane_credits,
        memory: production.memory,
        steps_max: u64::MAX,
        ..SimConfig::default()
    };
    Sim::new(SEED, config).run(main).finished()
}

/// Production's storage, but for what happens now and then in the background: nothing is drained and no journal file is
/// full within 16 MiB per shard and an hour of virtual time, which no case needs.
pub(crate) fn storage() -> StorageConfig {
    const ROOM: u64 = 16 << 20;
    let hour = Duration::from_secs(3600);
    StorageConfig {
        journal_file_bytes: ROOM,
        journal_first_file_bytes: ROOM,
        drain_bytes: 2 * ROOM,
        drain_idle: hour,
        housekeeping_interval: hour,
        clean_interval: hour,
        ..StorageConfig::new("/data")
    }
}

/// So long that whatever a start leaves to the background is done.
pub(crate) async fn settle() {
    rt::sleep(Duration::from_secs(60)).await;
}

/// A batch of 16 records of 1 KiB, uncompressed, with keys.
pub(crate) fn batch() -> Bytes {
    let mut batch = BatchBuilder::new();
    for number in 0..16u8 {
        batch.push(rt::unix_ms(), Some(&[number; 8]), Some(&[number; 1016]), &[]);
    }
    batch.build()
}

/// A broker without sockets, asked on shard 0.
#[derive(Clone, Copy)]
pub(crate) struct Broker {
    cluster: Sharded<Cluster>,
    shards: Sharded<KafkaShard>,
}

impl Broker {
    pub(crate) async fn start() -> Broker {
        rt::fs::create_dir_all("/data".as_ref()).await.expect("the disk never fails");
        let options = ClusterOptions { settings: Arc::new(BrokerSettings::default()), storage: storage() };
        let cluster = node::start(options).await.expect("the directory is empty");
        let groups = Groups::start(cluster).await;
        Broker { cluster, shards: in_process::start(cluster, groups).await }
    }

    /// Makes topics; every partition is led when this returns.
    pub(crate) async fn create(self, names: &[String], partitions: i32) {
        let topic = |name: &String| NewTopic {
            name: name.as_str().into(),
            partitions: Some(partitions),
            ..NewTopic::default()
        };
        let local = self.cluster.local();
        let reply = local.submit(Command::CreateTopics(names.iter().map(topic).collect())).await.expect("it is taken");
        assert!(matches!(&reply, Reply::Topics(results) if results.iter().all(Result::is_ok)), "{reply:?}");
        for name in names {
            assert!(local.until_led(name, Duration::from_secs(60)).await, "{name} has no leaders");
        }
    }

    /// The answer's frame, in parts.
    pub(crate) async fn answer(self, frame: Bytes) -> Vec<Bytes> {
        in_process::answer(self.shards.local(), frame).await.expect("there is an answer")
    }

    /// What the broker answers.
    pub(crate) async fn call<R: Request>(self, version: i16, request: &R) -> R::Response {
        decoded::<R>(version, self.answer(frame(version, request)).await)
    }

    /// Where the partition ends for consumers.
    pub(crate) async fn high_watermark(self, topic: &str, partition: i32) -> i64 {
        let local = self.cluster.local();
        let target = local.state().topic(topic).expect("it was made").partition(PartitionId(partition));
        let owner = local.shard_of(target).expect("it is led");
        let ask = move |owner: &std::rc::Rc<Cluster>| owner.partition(target).expect("it owns it").high_watermark().0;
        self.cluster.on(owner, Lane::Kafka, ask).await
    }
}

/// A request as a connection would have read it.
pub(crate) fn frame<R: Request>(version: i16, request: &R) -> Bytes {
    encode_request(1, Some(&"micro".into()), version, request).expect("it can be encoded").concat().into()
}

/// What is in an answer's frame.
pub(crate) fn decoded<R: Request>(version: i16, parts: Vec<Bytes>) -> R::Response {
    let mut frame = Bytes::from(parts.concat()).slice(4..);
    decode_response(&mut frame, version).expect("the broker's answers can be decoded").1
}
