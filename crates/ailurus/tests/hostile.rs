//! Input that means harm, or could: each gives Kafka's own error or a closed connection, costs bounded memory, and harms
//! no other connection. What stops a broker from starting is in `cli.rs`.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "tests look at the broker from outside")]

mod support;

use std::io::Read;
use std::time::{Duration, Instant};

use ailurus_record::{BatchBuilder, Codec};
use ailurus_wire::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use ailurus_wire::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use ailurus_wire::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use ailurus_wire::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use ailurus_wire::delete_topics::DeleteTopicsRequest;
use ailurus_wire::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use ailurus_wire::fetch::{FetchPartition, FetchRequest, FetchResponse};
use ailurus_wire::find_coordinator::FindCoordinatorRequest;
use ailurus_wire::incremental_alter_configs::{AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest};
use ailurus_wire::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use ailurus_wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use ailurus_wire::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use ailurus_wire::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use ailurus_wire::{ApiKey, ErrorCode, Response, decode_response, encode_request};
use bytes::Bytes;
use support::client::{
    Client, FETCH, Neighbours, PRODUCE, batch, fetch, fetched, forged, from, produce, produce_error, topic,
};
use support::{Broker, fresh, until};

/// A request's head, for bodies that no encoder would write.
fn head(api: ApiKey, version: i16, flexible: bool) -> Vec<u8> {
    let mut head = [&api.code().to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 7], &[0xff, 0xff]].concat();
    head.extend(flexible.then_some(0));
    head
}

#[test]
fn frames_that_lie_close_their_own_connection_and_no_other() {
    let broker = Broker::start(&fresh("hostile-frames"), &[]);
    let neighbours = Neighbours::start(broker.address(), 2);
    let before = broker.resident();
    for length in [-1, i32::MIN, i32::MAX, 100 << 20, (100 << 20) + 1] {
        let mut client = Client::connect(broker.address());
        client.raw(&length.to_be_bytes());
        client.raw(&[0; 4096]);
        client.must_be_closed(&format!("a frame of {length} bytes on a broker with little memory"));
    }
    for length in 0..10 {
        let mut client = Client::connect(broker.address());
        client.frame(&vec![0; length]);
        client.must_be_closed(&format!("a request of {length} bytes"));
    }
    for cut in [2, 100, 3000, 70_000] {
        let mut client = Client::connect(broker.address());
        client.raw(&100_000_i32.to_be_bytes()[..cut.min(4)]);
        client.raw(&vec![0; cut.saturating_sub(4)]);
        client.end_sending();
        client.must_be_closed(&format!("a frame that ends after {cut} bytes"));
    }
    let mut client = Client::connect(broker.address());
    client.raw(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    client.must_be_closed("a web browser");
    neighbours.end();
    let grown = broker.resident().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
}

#[test]
fn unknown_apis_and_versions_are_closed_and_api_versions_is_answered() {
    let broker = Broker::start(&fresh("hostile-versions"), &[]);
    for version in [5, 99, i16::MAX, -1, i16::MIN] {
        let mut client = Client::connect(broker.address());
        // The body of a version that nobody knows is not looked at.
        client.frame(&[&head(ApiKey::ApiVersions, version, version >= 3)[..], &[0xff; 9]].concat());
        let (_, answer): (_, ApiVersionsResponse) = decode_response(&mut client.answer().unwrap(), 0).unwrap();
        assert_eq!(answer.error_code, ErrorCode::UnsupportedVersion, "version {version}");
        assert!(answer.api_keys.iter().any(|api| api.api_key == ApiKey::ApiVersions.code()));
        // The same connection goes on with what it has learnt.
        let answer = client.call(0, &ApiVersionsRequest::default());
        assert_eq!(answer.error_code, ErrorCode::None);
    }
    let software =
        |name: &str| ApiVersionsRequest { client_software_name: name.into(), client_software_version: "1".into() };
    let mut client = Client::connect(broker.address());
    assert_eq!(client.call(3, &software("bad name!")).error_code, ErrorCode::InvalidRequest);
    let served = client.call(3, &software("good-name")).api_keys;

    for (key, version) in [(-1, 0), (999, 0), (i16::MAX, 1), (i16::MIN, -1)] {
        let mut client = Client::connect(broker.address());
        client.frame(&[&i16::to_be_bytes(key)[..], &i16::to_be_bytes(version), &[0; 60]].concat());
        client.must_be_closed(&format!("API {key}"));
    }
    for api in served.iter().filter(|api| api.api_key != ApiKey::ApiVersions.code()) {
        for version in [api.max_version + 1, i16::MAX, -1] {
            let mut client = Client::connect(broker.address());
            client.frame(&[&api.api_key.to_be_bytes()[..], &version.to_be_bytes(), &[0; 60]].concat());
            client.must_be_closed(&format!("API {} version {version}", api.api_key));
        }
    }
}

#[test]
fn lengths_inside_bodies_are_not_believed() {
    let broker = Broker::start(&fresh("hostile-bodies"), &[]);
    let neighbours = Neighbours::start(broker.address(), 2);
    let before = broker.resident();
    let huge = [i32::MAX, i32::MIN, -2, 1 << 30, 100_000_000];
    for length in huge {
        let length = length.to_be_bytes();
        let produce = head(ApiKey::Produce, 3, false);
        let bodies = [
            [&produce[..], &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], &length].concat(),
            // One topic "t" of as many partitions, and one partition of as many bytes.
            [&produce[..], &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], &[0, 0, 0, 1, 0, 1, b't'], &length].concat(),
            [&produce[..], &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1], &[0; 4], &length]
                .concat(),
            [&head(ApiKey::Fetch, 4, false)[..], &[0; 17], &length].concat(),
            [&head(ApiKey::CreateTopics, 2, false)[..], &length].concat(),
        ];
        for (which, body) in bodies.iter().enumerate() {
            let mut client = Client::connect(broker.address());
            client.frame(&[&body[..], &[0; 500]].concat());
            // Kafka takes -1 and below as null where null may be; there the broker may answer, but not fall.
            match client.stream.read(&mut [0; 64]) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
                Err(error) => panic!("body {which} with length {length:?}: {error}"),
            }
        }
    }
    // Varints: longer than five bytes, and of a length that nothing has.
    for varint in [&[0xff; 12][..], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0xff, 0xff, 0xff, 0xff, 0x7f]] {
        let mut client = Client::connect(broker.address());
        client.frame(&[&head(ApiKey::Metadata, 12, true)[..], varint, &[0; 40]].concat());
        client.must_be_closed("a varint that lies");
    }
    // An array of a million empty things in a frame that has the bytes for it would unfold to many times its size.
    for _ in 0..4 {
        let mut client = Client::connect(broker.address());
        let empty = vec![0; 4_000_000];
        client.frame(&[&head(ApiKey::CreateTopics, 5, true)[..], &[0x80, 0x89, 0x7a], &empty].concat());
        client.must_be_closed("a million empty topics");
    }
    neighbours.end();
    let grown = broker.resident().saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes more");
}

#[test]
fn a_request_that_names_a_great_many_things_delays_nobody() {
    let broker = Broker::with_memory("256MiB", &fresh("hostile-many"), &[]);
    let neighbours = Neighbours::start(broker.address(), 2);
    let mut client = Client::connect(broker.address());
    client.create("wide", 500);
    let before = broker.resident();

    // Each name twice, and none of them legal: nothing is made of it.
    let names = |count: u32| (0..count).map(|number| format!("no/{number}"));
    let topics = names(40_000).chain(names(40_000)).map(|name| topic(&name, 1, 1)).collect();
    let request = CreateTopicsRequest { topics, timeout_ms: 10_000, ..Default::default() };
    let answer = client.call(5, &request);
    assert_eq!(answer.topics.len(), 40_000);
    assert!(answer.topics.iter().all(|topic| topic.error_code == ErrorCode::InvalidRequest));
    neighbours.go_on();
    let named = |name: String| MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(names(80_000).map(named).collect()),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    assert_eq!(client.call(9, &request).topics.len(), 80_000);
    neighbours.go_on();

    // What is described at length is described once, or 100,000 names would make gigabytes.
    let request = MetadataRequest { topics: Some(vec![named("wide".into()); 100_000]), ..Default::default() };
    assert_eq!(client.call(9, &request).topics.len(), 1);
    let wide = DescribeConfigsResource { resource_type: 2, resource_name: "wide".into(), ..Default::default() };
    let request = DescribeConfigsRequest { resources: vec![wide; 100_000], ..Default::default() };
    assert_eq!(client.call(4, &request).results.len(), 1);
    neighbours.go_on();

    let partition = |partition_index| ListOffsetsPartition { partition_index, current_leader_epoch: -1, timestamp: -1 };
    let partitions = (0..100_000).chain(0..100_000).map(partition).collect();
    let topics = vec![ListOffsetsTopic { name: "wide".into(), partitions }];
    let answer = client.call(6, &ListOffsetsRequest { replica_id: -1, topics, ..Default::default() });
    assert!(answer.topics[0].partitions.iter().all(|answer| answer.error_code == ErrorCode::InvalidRequest));
    neighbours.go_on();

    // 10,000 partitions are the most for one request, not for each of its topics.
    let topics = (0..10).map(|number| topic(&format!("half-{number}"), 5000, 1)).collect();
    let answer = client.call(5, &CreateTopicsRequest { topics, timeout_ms: 10_000, ..Default::default() });
    assert!(answer.topics.iter().all(|topic| topic.error_code == ErrorCode::PolicyViolation));

    // Batches that unfold to almost what is allowed, many in one request: gigabytes to look through.
    let mut bomb = BatchBuilder::new().codec(Codec::Zstd);
    bomb.push(0, Some(b"key"), Some(&vec![0; 15 << 20]), &[]);
    let records = Some(forged(&bomb.build(), |bytes| {
        bytes[23..27].copy_from_slice(&1_i32.to_be_bytes());
        bytes[57..61].copy_from_slice(&2_i32.to_be_bytes());
    }));
    let partition_data = (0..60).map(|index| PartitionProduceData { index, records: records.clone() }).collect();
    let topic_data = vec![TopicProduceData { name: "wide".into(), partition_data, ..Default::default() }];
    client.send(PRODUCE, &ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data, ..Default::default() });
    neighbours.go_on();
    let answer: ProduceResponse = client.receive(PRODUCE);
    let refused = &answer.responses[0].partition_responses;
    assert!(refused.len() == 60 && refused.iter().all(|answer| answer.error_code == ErrorCode::InvalidRecord));
    neighbours.end();
    let grown = broker.resident().saturating_sub(before);
    assert!(grown < 128 << 20, "{grown} bytes more");
}

#[test]
fn who_declares_much_and_sends_little_keeps_nobody_out() {
    let broker = Broker::with_memory("512MiB", &fresh("hostile-misers"), &[]);
    let neighbours = Neighbours::start(broker.address(), 2);
    let before = broker.resident();
    // 256 MiB for each of two shards: a frame may have 52 of them.
    let limit = 52 << 20;
    let mut misers: Vec<Client> = (0..300).map(|_| Client::connect(broker.address())).collect();
    for (number, miser) in misers.iter_mut().enumerate() {
        // Half of them declare what an ordinary producer does, half all that there is.
        miser.raw(&([limit, 1 << 20][number % 2] - number as i32).to_be_bytes());
        // A third says nothing more, a third a little, a third as much as is asked before memory is set aside.
        miser.raw(&vec![0; [0, 100, 20_000][number % 3]]);
    }
    neighbours.go_on();
    // Small frames are not behind them, and large ones are not for long.
    let mut client = Client::connect(broker.address());
    client.create("large", 1);
    // One on each shard.
    let mut large = [Client::connect(broker.address()), Client::connect(broker.address())];
    for round in 0..8 {
        assert_eq!(large[round % 2].produce("large", batch(&[&[1; 900_000]])), ErrorCode::None);
    }
    for miser in &mut misers {
        miser.raw(&[0]);
    }
    neighbours.go_on();
    assert_eq!(large[0].produce("large", batch(&[&[1; 900_000]])), ErrorCode::None);
    neighbours.end();
    let grown = broker.resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

#[test]
fn batches_that_are_not_right_are_refused_with_kafkas_error() {
    let broker = Broker::start(&fresh("hostile-batches"), &[]);
    let mut client = Client::connect(broker.address());
    client.create("t", 1);
    let good = batch(&[b"one", b"two", b"three"]);
    let set = |at: usize, bytes: &[u8]| forged(&good, |batch| batch[at..at + bytes.len()].copy_from_slice(bytes));
    let mut damaged = good.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let more = good.len() as i32;
    let refused: Vec<(&str, Bytes, ErrorCode)> = vec![
        ("no bytes", Bytes::new(), ErrorCode::InvalidRecord),
        ("few bytes", good.slice(..20), ErrorCode::CorruptMessage),
        ("a batch cut off", good.slice(..good.len() - 1), ErrorCode::CorruptMessage),
        ("a flipped bit", damaged.into(), ErrorCode::CorruptMessage),
        ("two batches", [&good[..], &good[..]].concat().into(), ErrorCode::InvalidRecord),
        ("bytes behind it", [&good[..], &[0]].concat().into(), ErrorCode::InvalidRecord),
        ("magic 0", set(16, &[0]), ErrorCode::InvalidRecord),
        ("magic 1", set(16, &[1]), ErrorCode::InvalidRecord),
        ("magic 3", set(16, &[3]), ErrorCode::InvalidRecord),
        ("a negative length", set(8, &(-5_i32).to_be_bytes()), ErrorCode::CorruptMessage),
        ("a length that is too large", set(8, &more.to_be_bytes()), ErrorCode::CorruptMessage),
        ("more records than there are", set(57, &4_i32.to_be_bytes()), ErrorCode::InvalidRecord),
        ("fewer records than there are", set(57, &2_i32.to_be_bytes()), ErrorCode::InvalidRecord),
        ("no records", set(57, &0_i32.to_be_bytes()), ErrorCode::InvalidRecord),
        ("a negative count", set(57, &(-1_i32).to_be_bytes()), ErrorCode::InvalidRecord),
        (
            "huge counts",
            forged(&good, |batch| {
                batch[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
                batch[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
            }),
            ErrorCode::InvalidRecord,
        ),
        ("a last offset delta that is not the last", set(23, &7_i32.to_be_bytes()), ErrorCode::InvalidRecord),
        ("a base offset", set(0, &1_i64.to_be_bytes()), ErrorCode::InvalidRecord),
        ("a negative base offset", set(0, &i64::MIN.to_be_bytes()), ErrorCode::InvalidRecord),
        ("an offset delta twice", forged(&good, |batch| batch[64] = 2), ErrorCode::InvalidRecord),
        ("a record of another length", forged(&good, |batch| batch[61] += 2), ErrorCode::InvalidRecord),
        ("a compression that does not exist", set(21, &[0, 5]), ErrorCode::UnsupportedCompressionType),
        ("gzip that is none", set(21, &[0, 1]), ErrorCode::InvalidRecord),
        ("zstd that is none", set(21, &[0, 4]), ErrorCode::InvalidRecord),
        ("a control batch", set(21, &[0, 0x20]), ErrorCode::InvalidRecord),
        ("a transactional batch", set(21, &[0, 0x10]), ErrorCode::InvalidTxnState),
        ("a producer without sequence", set(43, &5_i64.to_be_bytes()), ErrorCode::InvalidRecord),
        ("the broker's own timestamps", set(21, &[0, 8]), ErrorCode::InvalidTimestamp),
    ];
    for (what, records, error) in refused {
        assert_eq!(client.produce("t", records), error, "{what}");
    }
    let mut future = BatchBuilder::new();
    future.push(i64::MAX - 1, None, Some(b"x"), &[]);
    assert_eq!(client.produce("t", future.build()), ErrorCode::InvalidTimestamp);
    assert_eq!(client.produce("t", batch(&[&vec![9; 1_100_000]])), ErrorCode::MessageTooLarge);
    assert_eq!(client.produce("nowhere", good.clone()), ErrorCode::UnknownTopicOrPartition);
    for index in [1, -1, i32::MIN, i32::MAX] {
        let response = client.call(PRODUCE, &produce("t", index, -1, good.clone()));
        assert_eq!(produce_error(&response), ErrorCode::UnknownTopicOrPartition, "partition {index}");
    }
    for acks in [2, -2, i16::MAX] {
        let response = client.call(PRODUCE, &produce("t", 0, acks, good.clone()));
        assert_eq!(produce_error(&response), ErrorCode::InvalidRequiredAcks, "acks {acks}");
    }
    let mut zstd = BatchBuilder::new().codec(Codec::Zstd);
    zstd.push(0, None, Some(&[0; 100]), &[]);
    let response = client.call(6, &produce("t", 0, -1, zstd.build()));
    assert_eq!(produce_error(&response), ErrorCode::UnsupportedCompressionType);
    // Nothing of all this was kept.
    let response = client.call(PRODUCE, &produce("t", 0, -1, good.clone()));
    assert_eq!(
        (produce_error(&response), response.responses[0].partition_responses[0].base_offset),
        (ErrorCode::None, 0)
    );

    let mut silent = Client::connect(broker.address());
    silent.send(PRODUCE, &produce("t", 0, 0, good.clone()));
    assert_eq!(silent.call(0, &ApiVersionsRequest::default()).error_code, ErrorCode::None, "acks=0 is not answered");
    silent.send(PRODUCE, &produce("nowhere", 0, 0, good));
    silent.must_be_closed("acks=0 with a failure");
}

#[test]
fn compressed_bombs_are_refused_within_bounded_memory() {
    let broker = Broker::start(&fresh("hostile-bombs"), &[]);
    let neighbours = Neighbours::start(broker.address(), 2);
    let mut client = Client::connect(broker.address());
    client.create("t", 1);
    let before = broker.resident();
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let mut bomb = BatchBuilder::new().codec(codec);
        bomb.push(0, Some(b"key"), Some(&vec![0; 64 << 20]), &[]);
        let bomb = bomb.build();
        assert!(bomb.len() < 1 << 20, "{codec:?} shrinks to {}", bomb.len());
        assert_eq!(client.produce("t", bomb), ErrorCode::MessageTooLarge, "{codec:?}");
    }
    neighbours.end();
    let grown = broker.resident().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
}

#[test]
fn topics_that_cannot_be_are_refused_with_kafkas_error() {
    let broker = Broker::start(&fresh("hostile-topics"), &[]);
    let mut client = Client::connect(broker.address());
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a b", "a/b", "../../etc/passwd", "a\0b", "ä", "a\nb", &long] {
        assert_eq!(client.create_as(&topic(name, 1, 1)), ErrorCode::InvalidTopicException, "{name:?}");
        let named = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let request =
            MetadataRequest { topics: Some(vec![named]), allow_auto_topic_creation: true, ..Default::default() };
        let response: MetadataResponse = client.call(9, &request);
        assert_eq!(response.topics[0].error_code, ErrorCode::InvalidTopicException, "auto-creation of {name:?}");
    }
    assert_eq!(client.create_as(&topic(&"x".repeat(249), 1, 1)), ErrorCode::None);
    client.create("a.b", 1);
    assert_eq!(client.create_as(&topic("a_b", 1, 1)), ErrorCode::InvalidTopicException, "metrics would collide");
    assert_eq!(client.create_as(&topic("a.b", 1, 1)), ErrorCode::TopicAlreadyExists);
    for factor in [2, 3, 0, -2, i16::MAX] {
        assert_eq!(client.create_as(&topic("r", 1, factor)), ErrorCode::InvalidReplicationFactor, "{factor}");
    }
    for partitions in [0, -2, i32::MIN] {
        assert_eq!(client.create_as(&topic("p", partitions, 1)), ErrorCode::InvalidPartitions, "{partitions}");
    }
    for partitions in [10_001, i32::MAX] {
        assert_eq!(client.create_as(&topic("p", partitions, 1)), ErrorCode::PolicyViolation, "{partitions}");
    }
    for (count, error) in [
        (1, ErrorCode::InvalidPartitions),
        (0, ErrorCode::InvalidPartitions),
        (-1, ErrorCode::InvalidPartitions),
        (i32::MAX, ErrorCode::PolicyViolation),
    ] {
        let more = CreatePartitionsTopic { name: "a.b".into(), count, ..Default::default() };
        let request = CreatePartitionsRequest { topics: vec![more], timeout_ms: 1000, validate_only: false };
        assert_eq!(client.call(1, &request).results[0].error_code, error, "{count} partitions");
    }
    let twice = CreateTopicsRequest { topics: vec![topic("d", 1, 1); 2], timeout_ms: 1000, ..Default::default() };
    let results = client.call(5, &twice).topics;
    assert_eq!(results.iter().map(|topic| topic.error_code).collect::<Vec<_>>(), [ErrorCode::InvalidRequest]);
    let twice = DeleteTopicsRequest { topic_names: vec!["a.b".into(); 2], timeout_ms: 1000, ..Default::default() };
    let results = client.call(3, &twice).responses;
    assert!(results.iter().all(|topic| topic.error_code == ErrorCode::InvalidRequest), "{results:?}");
    // All of them refused, the topics that exist are as before.
    assert_eq!(client.produce("a.b", batch(&[b"x"])), ErrorCode::None);
}

#[test]
fn configs_that_cannot_be_are_refused_with_kafkas_error() {
    let broker = Broker::start(&fresh("hostile-configs"), &[]);
    let mut client = Client::connect(broker.address());
    client.create("t", 1);
    let bad = [
        ("retention.sm", Some("1"), ErrorCode::InvalidConfig),
        ("", Some("1"), ErrorCode::InvalidConfig),
        ("retention.ms", None, ErrorCode::InvalidConfig),
        ("retention.ms", Some("soon"), ErrorCode::InvalidConfig),
        ("retention.ms", Some("99999999999999999999"), ErrorCode::InvalidConfig),
        ("retention.ms", Some("-2"), ErrorCode::InvalidConfig),
        ("max.message.bytes", Some("-1"), ErrorCode::InvalidConfig),
        ("segment.bytes", Some("-1"), ErrorCode::InvalidConfig),
        ("cleanup.policy", Some("shred"), ErrorCode::InvalidConfig),
    ];
    for (name, value, error) in bad {
        let config = CreatableTopicConfig { name: name.into(), value: value.map(Into::into) };
        let with = CreatableTopic { configs: vec![config], ..topic("new", 1, 1) };
        assert_eq!(client.create_as(&with), error, "create with {name:?}={value:?}");
    }
    let set = |name: &str, value: Option<&str>, config_operation| AlterableConfig {
        name: name.into(),
        config_operation,
        value: value.map(Into::into),
    };
    let mut alter = |configs: Vec<AlterableConfig>, resource_type, resource_name: &str| {
        let resource = AlterConfigsResource { resource_type, resource_name: resource_name.into(), configs };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        client.call(1, &request).responses[0].error_code
    };
    for (name, value, error) in &bad[..1] {
        assert_eq!(alter(vec![set(name, *value, 0)], 2, "t"), *error, "{name}");
    }
    for (name, value, _) in &bad[3..] {
        assert_eq!(alter(vec![set(name, *value, 0)], 2, "t"), ErrorCode::InvalidConfig, "{name}={value:?}");
    }
    assert!(alter(vec![set("retention.ms", Some("1"), 9)], 2, "t").is_error(), "an operation that does not exist");
    assert!(alter(vec![set("retention.ms", Some("1"), 2)], 2, "t").is_error(), "appending to a number");
    let twice = vec![set("retention.ms", Some("1"), 0), set("retention.ms", Some("2"), 0)];
    assert_eq!(alter(twice, 2, "t"), ErrorCode::InvalidRequest);
    assert_eq!(alter(vec![set("retention.ms", Some("1"), 0)], 2, "nowhere"), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(alter(vec![set("retention.ms", Some("1"), 0)], 99, "t"), ErrorCode::InvalidRequest);
    assert!(alter(vec![set("num.partitions", Some("1"), 0)], 4, "77").is_error(), "another broker");
    // However long the texts are: nothing is searched for, compared with all others, or kept.
    let before = Instant::now();
    let (name, list) = ("x".repeat(1 << 20), (0..1 << 17).map(|part| format!("{part},")).collect::<String>());
    for (kind, resource) in [(2, "t"), (4, "1"), (4, "")] {
        assert_eq!(alter(vec![set(&name, Some("1"), 0)], kind, resource), ErrorCode::InvalidConfig);
    }
    for operation in [0, 2] {
        let long = vec![set("leader.replication.throttled.replicas", Some(&list), operation)];
        assert_eq!(alter(long, 2, "t"), ErrorCode::InvalidConfig, "operation {operation}");
    }
    assert!(before.elapsed() < Duration::from_secs(20), "long texts took {:?}", before.elapsed());
    assert!(alter(vec![set("log.dirs", Some("/tmp"), 0)], 4, "1").is_error(), "a setting that is read at start");
}

#[test]
fn fetches_that_ask_for_what_is_not_there_are_told() {
    let broker = Broker::start(&fresh("hostile-fetches"), &[]);
    let mut client = Client::connect(broker.address());
    client.create("t", 1);
    assert_eq!(client.produce("t", batch(&[b"x", b"y"])), ErrorCode::None);
    let mut error =
        |name: &str, partition: FetchPartition| fetched(&client.call(FETCH, &fetch(name, partition))).error_code;
    for offset in [3, -1, i64::MIN, i64::MAX] {
        assert_eq!(error("t", from(offset)), ErrorCode::OffsetOutOfRange, "offset {offset}");
    }
    assert_eq!(error("t", from(2)), ErrorCode::None, "the end");
    assert_eq!(error("nowhere", from(0)), ErrorCode::UnknownTopicOrPartition);
    for partition in [1, -1, i32::MAX] {
        let there = FetchPartition { partition, ..from(0) };
        assert_eq!(error("t", there), ErrorCode::UnknownTopicOrPartition, "partition {partition}");
    }
    let epoch = |current_leader_epoch| FetchPartition { current_leader_epoch, ..from(0) };
    assert_eq!(error("t", epoch(i32::MAX)), ErrorCode::UnknownLeaderEpoch);
    assert_eq!(error("t", epoch(0)), ErrorCode::FencedLeaderEpoch);
    for partition_max_bytes in [0, -1, i32::MIN] {
        let little = FetchPartition { partition_max_bytes, ..from(0) };
        assert_eq!(error("t", little), ErrorCode::None, "at most {partition_max_bytes} bytes");
    }
    for number in [0, -1, i32::MIN] {
        let request = FetchRequest { max_wait_ms: number, min_bytes: number, max_bytes: number, ..fetch("t", from(0)) };
        assert_eq!(fetched(&client.call(FETCH, &request)).error_code, ErrorCode::None, "{number}");
    }

    let session = |session_id, session_epoch| FetchRequest { session_id, session_epoch, ..fetch("t", from(0)) };
    let made = client.call(FETCH, &session(0, 0));
    assert!(made.error_code == ErrorCode::None && made.session_id != 0, "{made:?}");
    let other = made.session_id ^ 1;
    assert_eq!(client.call(FETCH, &session(made.session_id, 5)).error_code, ErrorCode::InvalidFetchSessionEpoch);
    assert_eq!(client.call(FETCH, &session(other, 1)).error_code, ErrorCode::FetchSessionIdNotFound);
    assert!(client.call(FETCH, &session(i32::MIN, i32::MIN)).error_code.is_error());
    assert_eq!(client.call(FETCH, &session(made.session_id, 1)).error_code, ErrorCode::None, "it is still there");

    let delete = |offset| DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: "t".into(),
            partitions: vec![DeleteRecordsPartition { partition_index: 0, offset }],
        }],
        timeout_ms: 5000,
    };
    for offset in [3, -2, i64::MIN, i64::MAX] {
        let answer = client.call(2, &delete(offset));
        assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::OffsetOutOfRange, "up to {offset}");
    }
}

/// 12 batches of a megabyte, none of which compresses or repeats.
fn fill(client: &mut Client, name: &str) {
    client.create(name, 1);
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for _ in 0..12 {
        let value: Vec<u8> = (0..1_000_000).map(|_| next()).collect();
        assert_eq!(client.produce(name, batch(&[&value])), ErrorCode::None);
    }
}

#[test]
fn who_asks_for_much_and_never_reads_keeps_nobody_out() {
    let broker = Broker::start(&fresh("hostile-slow-readers"), &[]);
    let mut client = Client::connect(broker.address());
    fill(&mut client, "much");
    let neighbours = Neighbours::start(broker.address(), 2);
    let before = broker.resident();
    let mut readers: Vec<Client> = (0..40).map(|_| Client::connect(broker.address())).collect();
    for reader in &mut readers {
        for number in 0..50 {
            reader.send(FETCH, &fetch("much", from(number % 12)));
        }
    }
    neighbours.go_on();
    // Those who take large frames go on too: answers that nobody takes do not hold the memory for requests.
    let mut others = [client, Client::connect(broker.address()), Client::connect(broker.address())];
    for round in 0..9 {
        assert_eq!(others[round % 3].produce("much", batch(&[&[1; 900_000]])), ErrorCode::None);
        neighbours.go_on();
    }
    let grown = broker.resident().saturating_sub(before);
    assert!(grown < 160 << 20, "{grown} bytes more");
    // Who reads after all gets everything, in order.
    for number in 0..50 {
        let response: FetchResponse = readers[0].receive(FETCH);
        let records = fetched(&response).records.as_ref().unwrap().to_bytes();
        assert_eq!(records[..8], i64::to_be_bytes(number % 12), "answer {number}");
    }
    neighbours.end();
}

#[test]
fn who_waits_keeps_no_frame() {
    let broker = Broker::start(&fresh("hostile-waiting"), &[]);
    let mut client = Client::connect(broker.address());
    client.create("t", 1);
    let neighbours = Neighbours::start(broker.address(), 2);
    let before = broker.resident();
    let waits = FetchRequest { max_wait_ms: i32::MAX, min_bytes: 1, ..fetch("t", from(0)) };
    // A field that nobody knows, of a megabyte, in place of no fields at the end.
    let mut padded = encode_request(1, None, FETCH, &waits).unwrap().concat()[4..].to_vec();
    assert_eq!(padded.pop(), Some(0));
    padded.extend([1, 100, 0x80, 0x80, 0x40]);
    padded.resize(padded.len() + (1 << 20), 0);
    let mut waiting: Vec<Client> = (0..4).map(|_| Client::connect(broker.address())).collect();
    for client in &mut waiting {
        for _ in 0..60 {
            client.frame(&padded);
        }
    }
    neighbours.go_on();
    let grown = broker.resident().saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes more");
    // They wait for what they asked for.
    assert_eq!(client.produce("t", batch(&[b"x"])), ErrorCode::None);
    for client in &mut waiting {
        let (_, response): (_, FetchResponse) = decode_response(&mut client.answer().unwrap(), FETCH).unwrap();
        assert!(fetched(&response).records.as_ref().is_some_and(|records| !records.is_empty()));
    }
    neighbours.end();
}

#[test]
fn who_finds_no_memory_to_wait_with_is_answered_soon() {
    // 512 KiB on each of two shards for those who wait, of which each of these takes half.
    let broker = Broker::with_memory("16MiB", &fresh("hostile-crowded"), &[]);
    let mut client = Client::connect(broker.address());
    client.create("wide", 500);
    let mut waits = FetchRequest { max_wait_ms: i32::MAX, min_bytes: 1, ..fetch("wide", from(0)) };
    waits.topics[0].partitions = (0..500).map(|partition| FetchPartition { partition, ..from(0) }).collect();
    let mut crowd: Vec<Client> = (0..10).map(|_| Client::connect(broker.address())).collect();
    crowd.iter_mut().for_each(|client| client.send(FETCH, &waits));
    crowd.iter_mut().for_each(|client| client.stream.set_nonblocking(true).unwrap());
    let mut answered = [false; 10];
    until("all but four are answered", || {
        for (client, answered) in crowd.iter_mut().zip(&mut answered) {
            *answered |= client.stream.peek(&mut [0]).is_ok();
        }
        answered.iter().filter(|answered| **answered).count() == 6
    });
    // The four wait for what they asked for.
    assert_eq!(client.produce("wide", batch(&[b"x"])), ErrorCode::None);
    for (client, answered) in crowd.iter_mut().zip(answered) {
        client.stream.set_nonblocking(false).unwrap();
        let response: FetchResponse = client.receive(FETCH);
        let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        let got = partitions.filter_map(|partition| partition.records.as_ref()).any(|records| !records.is_empty());
        assert_eq!(got, !answered);
    }
}

#[test]
fn a_thousand_requests_may_be_sent_before_an_answer_is_read() {
    let broker = Broker::start(&fresh("hostile-pipelining"), &[]);
    let neighbours = Neighbours::start(broker.address(), 2);
    let mut client = Client::connect(broker.address());
    client.create("t", 1);
    for _ in 0..1000 {
        client.send(PRODUCE, &produce("t", 0, -1, batch(&[b"x"])));
    }
    neighbours.go_on();
    for offset in 0..1000 {
        let (correlation, response): (_, ProduceResponse) =
            decode_response(&mut client.answer().unwrap(), PRODUCE).unwrap();
        assert_eq!(correlation, 2 + offset);
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (ErrorCode::None, offset.into()));
    }
    // Answers that are much larger than their requests, and are not read: the broker stops reading, not the others.
    for number in 0..200 {
        let name = format!("a-topic-with-a-long-name-so-that-metadata-is-large-{number}");
        client.create(&name, 20);
    }
    let before = broker.resident();
    let mut deaf = Client::connect(broker.address());
    for _ in 0..300 {
        deaf.send(9, &MetadataRequest { topics: None, ..Default::default() });
    }
    neighbours.go_on();
    let grown = broker.resident().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
    let mut most = 0;
    for _ in 0..300 {
        let answer = deaf.answer().unwrap();
        most = most.max(answer.len());
        let (_, response): (_, MetadataResponse) = decode(answer, 9);
        assert!(response.topics.len() >= 200);
    }
    assert!(most > 50_000, "an answer has only {most} bytes");
    neighbours.end();
}

fn decode<R: Response>(mut frame: Bytes, version: i16) -> (i32, R) {
    decode_response(&mut frame, version).unwrap()
}

#[test]
fn thousands_of_idle_connections_cost_little_and_are_in_nobodys_way() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let files = limit.maximum.unwrap_or(u64::MAX);
    let count = (files.saturating_sub(200)).min(5000) as usize;
    let broker = Broker::start(&fresh("hostile-idle"), &[]);
    let neighbours = Neighbours::start(broker.address(), 2);
    let before = broker.resident();
    let mut idle: Vec<Client> = (0..count).map(|_| Client::connect(broker.address())).collect();
    for client in idle.iter_mut().step_by(10) {
        assert_eq!(client.call(0, &ApiVersionsRequest::default()).error_code, ErrorCode::None);
    }
    neighbours.go_on();
    let mut fresh = Client::connect(broker.address());
    fresh.create("late", 1);
    assert_eq!(fresh.produce("late", batch(&[b"x"])), ErrorCode::None);
    neighbours.end();
    let each = broker.resident().saturating_sub(before) / count as u64;
    assert!(each < 8 << 10, "{each} bytes for each of {count} connections");
    drop(idle);
    until("they are forgotten", || broker.connections() <= 3);
}

#[test]
fn connections_do_not_take_the_files_that_logs_need() {
    let broker = Broker::with_files(400, &fresh("hostile-files"), &["--set", "storage.handles.max=16"]);
    let neighbours = Neighbours::start(broker.address(), 2);
    let mut client = Client::connect(broker.address());
    client.create("t", 40);
    let crowd: Vec<Client> = (0..600).map(|_| Client::connect(broker.address())).collect();
    neighbours.go_on();
    // Enough for new journal files and for a segment of every partition.
    for round in 0..80 {
        let request = produce("t", round % 40, -1, batch(&[&[1; 500_000]]));
        assert_eq!(produce_error(&client.call(PRODUCE, &request)), ErrorCode::None);
    }
    neighbours.go_on();
    drop(crowd);
    until("there is room for others", || {
        let mut late = Client::connect(broker.address());
        late.send(0, &ApiVersionsRequest::default());
        late.answer().is_ok()
    });
    neighbours.end();
}

#[test]
fn on_a_full_disk_all_but_producing_goes_on_and_producing_resumes_by_itself() {
    let limits = ["--set", "storage.max.bytes=67108864", "--set", "journal.max.bytes=8388608"];
    let broker = Broker::start(&fresh("hostile-full"), &limits);
    let mut client = Client::connect(broker.address());
    for name in ["big", "other", "groups-were-made"] {
        client.create(name, 1);
    }
    commit(&mut client, 1);
    let mut kept = 0;
    // Full is full when it stays so: what was moved from the journal to its segment makes a little room again.
    let fill = |client: &mut Client, kept: &mut i64| {
        let mut refused = 0;
        until("the disk is full", || {
            match client.produce("big", batch(&[&[3; 500_000]])) {
                ErrorCode::None => (*kept, refused) = (*kept + 1, 0),
                error => {
                    assert_eq!(error, ErrorCode::KafkaStorageError);
                    refused += 1;
                }
            }
            refused == 40
        });
    };
    fill(&mut client, &mut kept);
    assert!((20..200).contains(&kept), "{kept} batches fit");
    // All that was acknowledged can be read, commits are taken, and so on.
    let response = client.call(FETCH, &fetch("big", from(kept - 1)));
    assert_eq!(fetched(&response).high_watermark, kept);
    assert!(fetched(&response).records.as_ref().is_some_and(|records| records.len() > 500_000));
    commit(&mut client, 2);
    let mut produce = || client.produce("other", batch(&[b"x"]));
    until("others are refused as well", || produce() == ErrorCode::KafkaStorageError);
    // What makes room is possible.
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: -1 }];
    let delete = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic { name: "big".into(), partitions }],
        timeout_ms: 10_000,
    };
    let answer = client.call(2, &delete);
    assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::None);
    let delete = DeleteTopicsRequest { topic_names: vec!["big".into()], timeout_ms: 10_000, ..Default::default() };
    assert_eq!(client.call(3, &delete).responses[0].error_code, ErrorCode::None);
    until("there is room again", || client.produce("other", batch(&[b"x"])) == ErrorCode::None);
    client.create("big", 1);
    kept = 0;
    fill(&mut client, &mut kept);
    assert!(kept > 20, "{kept} batches fit the second time");
    let address = broker.address().to_owned();
    assert!(broker.end("-TERM").success(), "the broker at {address} ends in order");
}

/// Commits an offset of a group without members.
fn commit(client: &mut Client, committed_offset: i64) {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset,
        committed_leader_epoch: -1,
        ..Default::default()
    };
    let topics =
        vec![OffsetCommitRequestTopic { name: "other".into(), partitions: vec![partition], ..Default::default() }];
    let request =
        OffsetCommitRequest { group_id: "g".into(), generation_id_or_member_epoch: -1, topics, ..Default::default() };
    let find = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
    until("the coordinator is there", || {
        if client.call(4, &find).coordinators[0].error_code.is_error() {
            return false;
        }
        let answer = client.call(8, &request).topics[0].partitions[0].error_code;
        let waits = matches!(
            answer,
            ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable
        );
        assert!(waits || answer == ErrorCode::None, "{answer:?}");
        !waits
    });
}
