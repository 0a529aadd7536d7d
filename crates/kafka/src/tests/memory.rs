//! What a request decodes into has memory granted to it.

use std::time::Duration;

use ailurus_rt::sim::{DiskFaults, SimConfig};
use ailurus_rt::{self as rt};
use ailurus_wire::create_topics::{CreatableTopic, CreateTopicsRequest};
use ailurus_wire::metadata::{MetadataRequest, MetadataRequestTopic};

use super::on_machine;
use crate::dispatch::Answer;

/// Names of so many topics that do not exist; many times larger decoded than encoded.
fn named(count: u32) -> MetadataRequest {
    let topic = |number| MetadataRequestTopic { name: Some(format!("{number}").into()), ..Default::default() };
    MetadataRequest { topics: Some((0..count).map(topic).collect()), ..Default::default() }
}

#[test]
fn what_decodes_into_more_than_may_be_granted_is_refused() {
    // 8 MiB for the shard, of which one request may decode into 512 KiB.
    on_machine(SimConfig { shards: 1, memory: 8 << 20, ..SimConfig::default() }, |broker| async move {
        let size = size_of::<MetadataRequestTopic>() as u32;
        let fits = (512 << 10) / size;
        assert_eq!(broker.call(9, &named(fits)).await.topics.len(), fits as usize);
        assert!(matches!(broker.ask(9, &named(fits * 2), None).await, Answer::Close));
        assert_eq!(broker.call(9, &named(fits)).await.topics.len(), fits as usize);
    });
}

#[test]
fn what_was_decoded_counts_until_the_answer() {
    let disk = DiskFaults { latency: Duration::from_millis(200), ..DiskFaults::default() };
    on_machine(SimConfig { shards: 1, disk, ..SimConfig::default() }, |broker| async move {
        let topic = |number| CreatableTopic {
            name: format!("{number}").into(),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        };
        let request =
            CreateTopicsRequest { topics: (0..20).map(topic).collect(), timeout_ms: 60_000, ..Default::default() };
        let memory = broker.shards.local().admission().for_decoded(0).clone();
        let all = memory.free();
        let asked = rt::spawn(rt::Group::Kafka, async move { broker.call(5, &request).await });
        // It waits for the disk.
        rt::sleep(Duration::from_millis(50)).await;
        assert!(!asked.is_finished());
        let taken = all - memory.free();
        assert!(taken as usize >= 20 * size_of::<CreatableTopic>(), "{taken} bytes are taken");
        assert_eq!(asked.await.topics.len(), 20);
        assert_eq!(memory.free(), all);
    });
}
