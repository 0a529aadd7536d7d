//! The client against a scripted broker on a real socket: what it does when brokers are old, slow, wrong or gone.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ailurus_client::member::{Member, MemberConfig};
use ailurus_client::{Client, ClientConfig, ClientError, Delivered, Producer, ProducerConfig, ProducerRecord, Target};
use ailurus_record::{BatchHeader, crc_ok};
use ailurus_rt as rt;
use ailurus_wire::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use ailurus_wire::find_coordinator::FindCoordinatorResponse;
use ailurus_wire::heartbeat::HeartbeatRequest;
use ailurus_wire::init_producer_id::InitProducerIdResponse;
use ailurus_wire::join_group::JoinGroupResponse;
use ailurus_wire::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ailurus_wire::produce::{PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse};
use ailurus_wire::sync_group::SyncGroupResponse;
use ailurus_wire::{ApiKey, ErrorCode, Message, RequestHeader, encode_response};
use bytes::{Buf, Bytes};

/// What the script does with a request.
enum Reply {
    Frame(Vec<Bytes>),
    Late(Duration, Vec<Bytes>),
    Silence,
    HangUp,
}

type Script = Arc<dyn Fn(SocketAddr, RequestHeader, Bytes) -> Reply + Send + Sync>;

/// A broker that answers as the script says, and a client of it; `test` runs with the client.
fn with_broker<F: Future<Output = ()>>(script: Script, test: impl FnOnce(Client) -> F + Send + 'static) {
    let config = rt::Config { shards: 1, ..rt::Config::small() };
    rt::run(config, move || async move {
        let listener = rt::Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = listener.local_addr();
        let stop = rt::Abort::new();
        let serve = move |conn| serve(conn, addr, script.clone());
        let accepting = rt::spawn(rt::Group::Kafka, listener.serve(stop.clone(), serve));
        let client = Client::new(ClientConfig {
            bootstrap: vec![addr.to_string()],
            timeout: Duration::from_secs(10),
            retry_pause: Duration::from_millis(1),
            frame_max: 1 << 20,
            ..ClientConfig::default()
        });
        test(client).await;
        stop.request();
        accepting.await;
    })
    .unwrap();
}

async fn serve(conn: rt::Conn, addr: SocketAddr, script: Script) {
    let (mut rx, mut tx) = conn.split();
    while let Ok(Some(mut head)) = rx.read(4).await {
        let mut frame = rx.read(head.get_i32() as usize).await.unwrap().unwrap();
        let header = RequestHeader::decode(&mut frame).unwrap();
        match script(addr, header, frame) {
            Reply::Frame(parts) => tx.write(parts).await.unwrap(),
            Reply::Late(delay, parts) => {
                rt::sleep(delay).await;
                tx.write(parts).await.unwrap();
            }
            Reply::Silence => {}
            Reply::HangUp => return,
        }
    }
}

fn reply<R: ailurus_wire::Response>(header: &RequestHeader, response: &R) -> Reply {
    Reply::Frame(encode_response(header.correlation_id, header.api_version, response).unwrap())
}

/// A modern broker: the full range of every API.
fn versions(header: &RequestHeader) -> Reply {
    let range = |api: &ApiKey| {
        let versions = api.versions();
        ApiVersion { api_key: api.code(), min_version: *versions.start(), max_version: *versions.end() }
    };
    let api_keys = ApiKey::ALL.iter().map(range).collect();
    reply(header, &ApiVersionsResponse { api_keys, ..Default::default() })
}

/// One broker, one topic "t" with `partitions` partitions.
fn metadata(addr: SocketAddr, header: &RequestHeader, partitions: i32) -> Reply {
    let partition = |index| MetadataResponsePartition {
        partition_index: index,
        leader_id: 7,
        replica_nodes: vec![7],
        isr_nodes: vec![7],
        ..Default::default()
    };
    let broker = MetadataResponseBroker {
        node_id: 7,
        host: addr.ip().to_string().into(),
        port: i32::from(addr.port()),
        rack: None,
    };
    let topic = MetadataResponseTopic {
        name: Some("t".into()),
        partitions: (0..partitions).map(partition).collect(),
        ..Default::default()
    };
    let response =
        MetadataResponse { brokers: vec![broker], controller_id: 7, topics: vec![topic], ..Default::default() };
    reply(header, &response)
}

#[test]
fn a_broker_of_the_first_days_is_asked_in_version_0() {
    let asked = Arc::new(AtomicUsize::new(0));
    let script: Script = {
        let asked = asked.clone();
        Arc::new(move |_, header, _| {
            assert_eq!(header.api(), Some(ApiKey::ApiVersions));
            asked.fetch_add(1, Ordering::Relaxed);
            let ranges = vec![ApiVersion { api_key: 3, min_version: 0, max_version: 1 }];
            let error_code = match header.api_version {
                0 => ErrorCode::None,
                _ => ErrorCode::UnsupportedVersion,
            };
            let response = ApiVersionsResponse { error_code, api_keys: ranges, ..Default::default() };
            Reply::Frame(encode_response(header.correlation_id, 0, &response).unwrap())
        })
    };
    with_broker(script, async |client| {
        let (_, versions) = client.broker_versions().await.unwrap();
        assert_eq!(versions, [(3, 0..=1)]);
        let error = client.call(Target::Any, &HeartbeatRequest::default()).await.unwrap_err();
        assert!(matches!(error, ClientError::Unsupported { api: ApiKey::Heartbeat, .. }), "{error}");
    });
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[test]
fn nobody_there_is_said_at_once() {
    rt::run(rt::Config { shards: 1, ..rt::Config::small() }, || async {
        let listener = rt::Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = listener.local_addr().to_string();
        drop(listener);
        let client = Client::new(ClientConfig { bootstrap: vec![addr.clone()], ..ClientConfig::default() });
        let error = client.metadata(None, false).await.unwrap_err();
        assert!(matches!(&error, ClientError::Unreachable { addresses, .. } if *addresses == addr), "{error}");
    })
    .unwrap();
}

#[test]
fn a_peer_that_is_no_kafka_broker_is_left() {
    let script: Script =
        Arc::new(|_, _, _| Reply::Frame(vec![Bytes::from_static(b"HTTP/1.1 400 Bad Request\r\n\r\n")]));
    with_broker(script, async |client| {
        let error = client.metadata(None, false).await.unwrap_err();
        assert!(error.to_string().contains("is it a Kafka port?"), "{error}");
    });
}

#[test]
fn a_connection_that_breaks_is_opened_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let script: Script = {
        let asked = asked.clone();
        Arc::new(move |addr, header, _| match header.api() {
            Some(ApiKey::ApiVersions) => versions(&header),
            // The first answers; then the connection is gone under the second.
            _ if asked.fetch_add(1, Ordering::Relaxed) == 1 => Reply::HangUp,
            _ => metadata(addr, &header, 1),
        })
    };
    with_broker(script, async |client| {
        client.metadata(None, false).await.unwrap();
        let again = client.metadata(None, false).await.unwrap();
        assert_eq!(again.topics[0].name, "t");
    });
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[test]
fn silence_ends_with_the_timeout_and_names_what_was_asked() {
    let script: Script = Arc::new(move |_, header, _| match header.api() {
        Some(ApiKey::ApiVersions) => versions(&header),
        _ => Reply::Silence,
    });
    with_broker(script, async |client| {
        let config = ClientConfig { timeout: Duration::from_millis(30), ..client.config().clone() };
        let error = Client::new(config).metadata(None, false).await.unwrap_err();
        assert_eq!(error.to_string(), "asking for metadata took longer than 30 ms");
    });
}

#[test]
fn answers_find_their_askers_in_any_order() {
    // The first of two requests on one connection is answered after the second.
    let parked: Arc<AtomicUsize> = Arc::new(AtomicUsize::new(0));
    let script: Script = {
        let parked = parked.clone();
        Arc::new(move |addr, header, _| {
            if header.api() == Some(ApiKey::ApiVersions) && header.correlation_id == 0 {
                return versions(&header);
            }
            match header.api() {
                Some(ApiKey::ApiVersions) => {
                    parked.store(header.correlation_id as usize, Ordering::Relaxed);
                    Reply::Silence
                }
                _ => {
                    let Reply::Frame(mut parts) = metadata(addr, &header, 3) else { unreachable!() };
                    let late = RequestHeader { correlation_id: parked.load(Ordering::Relaxed) as i32, ..header };
                    let late = RequestHeader { api_version: 0, ..late };
                    let Reply::Frame(late) = versions(&late) else { unreachable!() };
                    parts.extend(late);
                    Reply::Frame(parts)
                }
            }
        })
    };
    with_broker(script, async move |client| {
        let first = {
            let client = client.clone();
            rt::spawn(rt::Group::Kafka, async move {
                client.broker_versions().await.unwrap();
                client.call_in(Target::Any, 0..=0, &ApiVersionsRequest::default()).await.unwrap()
            })
        };
        while parked.load(Ordering::Relaxed) == 0 {
            rt::yield_now().await;
            rt::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(client.metadata(None, false).await.unwrap().topics[0].partitions.len(), 3);
        assert!(!first.await.api_keys.is_empty());
    });
}

/// A broker that stores the first batch but loses its answer, then behaves; checks sequences as Kafka does.
fn forgetful(produced: Arc<AtomicUsize>) -> Script {
    let next_sequence = Arc::new(AtomicUsize::new(0));
    Arc::new(move |addr, header, mut frame| match header.api() {
        Some(ApiKey::ApiVersions) => versions(&header),
        Some(ApiKey::Metadata) => metadata(addr, &header, 1),
        Some(ApiKey::InitProducerId) => {
            reply(&header, &InitProducerIdResponse { producer_id: 42, producer_epoch: 3, ..Default::default() })
        }
        Some(ApiKey::Produce) => {
            let request = ProduceRequest::decode(&mut frame, header.api_version).unwrap();
            let records = request.topic_data[0].partition_data[0].records.clone().unwrap();
            assert!(crc_ok(&records));
            let batch = BatchHeader::parse(&records).unwrap();
            assert_eq!((batch.producer_id, batch.producer_epoch), (42, 3));
            let expected = next_sequence.load(Ordering::Relaxed);
            let again = (batch.base_sequence as usize) < expected;
            assert!(again || batch.base_sequence as usize == expected, "{} {expected}", batch.base_sequence);
            next_sequence.store(batch.base_sequence as usize + batch.records_count as usize, Ordering::Relaxed);
            if produced.fetch_add(1, Ordering::Relaxed) == 0 {
                return Reply::HangUp;
            }
            let answer = PartitionProduceResponse { base_offset: i64::from(batch.base_sequence), ..Default::default() };
            let topic =
                TopicProduceResponse { name: "t".into(), partition_responses: vec![answer], ..Default::default() };
            reply(&header, &ProduceResponse { responses: vec![topic], ..Default::default() })
        }
        other => panic!("{other:?} was not expected"),
    })
}

#[test]
fn a_lost_answer_is_asked_for_again_under_the_same_sequence() {
    let produced = Arc::new(AtomicUsize::new(0));
    with_broker(forgetful(produced.clone()), async |client| {
        let delivered = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let tell = {
            let delivered = delivered.clone();
            move |batch: Delivered| delivered.borrow_mut().push((batch.base, batch.records))
        };
        let mut producer = Producer::new(client, ProducerConfig::default(), tell).await.unwrap();
        for value in ["a", "b", "c"] {
            producer.send("t", ProducerRecord { value: Some(value.into()), ..Default::default() }).await.unwrap();
        }
        producer.flush().await.unwrap();
        producer.send("t", ProducerRecord { value: Some("d".into()), ..Default::default() }).await.unwrap();
        producer.flush().await.unwrap();
        assert_eq!(*delivered.borrow(), [(Some(0), 3), (Some(3), 1)]);
    });
    assert_eq!(produced.load(Ordering::Relaxed), 3, "the first batch went twice");
}

/// A broker on which all batches are too large.
fn narrow() -> Script {
    Arc::new(|addr, header, _| match header.api() {
        Some(ApiKey::ApiVersions) => versions(&header),
        Some(ApiKey::Metadata) => metadata(addr, &header, 1),
        Some(ApiKey::InitProducerId) => reply(&header, &InitProducerIdResponse::default()),
        _ => {
            let answer = PartitionProduceResponse {
                error_code: ErrorCode::MessageTooLarge,
                error_message: Some("too much".into()),
                ..Default::default()
            };
            let topic =
                TopicProduceResponse { name: "t".into(), partition_responses: vec![answer], ..Default::default() };
            reply(&header, &ProduceResponse { responses: vec![topic], ..Default::default() })
        }
    })
}

#[test]
fn a_refused_batch_fails_all_that_follows() {
    with_broker(narrow(), async |client| {
        let mut producer =
            Producer::new(client, ProducerConfig::default(), |_| panic!("nothing arrives")).await.unwrap();
        producer.send("t", ProducerRecord::default()).await.unwrap();
        let error = producer.flush().await.unwrap_err();
        assert_eq!(error.to_string(), "producing to t partition 0: too much (MESSAGE_TOO_LARGE)");
        assert_eq!(producer.send("t", ProducerRecord::default()).await.unwrap_err().to_string(), error.to_string());
        let beyond = ProducerRecord { partition: Some(1), ..Default::default() };
        assert!(producer.send("t", beyond).await.is_err());
    });
}

#[test]
fn whoever_waits_for_room_learns_of_the_failure() {
    with_broker(narrow(), async |client| {
        // A batch per record, room for two: the third waits, and needs more than the first gives back.
        let config = ProducerConfig { batch_bytes: 1, buffer_bytes: 1000, ..ProducerConfig::default() };
        let mut producer = Producer::new(client, config, |_| panic!("nothing arrives")).await.unwrap();
        let record = |bytes| ProducerRecord { value: Some(vec![7; bytes].into()), ..Default::default() };
        producer.send("t", record(100)).await.unwrap();
        producer.send("t", record(700)).await.unwrap();
        let third = rt::timeout(Duration::from_secs(10), producer.send("t", record(500))).await;
        let error = third.expect("the room of what is given up comes back").unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::MessageTooLarge));
    });
}

/// A coordinator of groups of one member, which takes its time for joins and says nothing to who leaves.
fn slow_coordinator(addr: SocketAddr, header: RequestHeader) -> Reply {
    let found = FindCoordinatorResponse {
        node_id: 7,
        host: addr.ip().to_string().into(),
        port: i32::from(addr.port()),
        ..Default::default()
    };
    let joined =
        JoinGroupResponse { leader: "m".into(), member_id: "m".into(), generation_id: 1, ..Default::default() };
    match header.api() {
        Some(ApiKey::ApiVersions) => versions(&header),
        Some(ApiKey::Metadata) => metadata(addr, &header, 1),
        Some(ApiKey::FindCoordinator) => reply(&header, &found),
        Some(ApiKey::JoinGroup) => {
            let Reply::Frame(parts) = reply(&header, &joined) else { unreachable!() };
            Reply::Late(Duration::from_millis(200), parts)
        }
        Some(ApiKey::SyncGroup) => {
            let assignment = ailurus_client::assignor::encode_assignment(&Default::default());
            reply(&header, &SyncGroupResponse { assignment, ..Default::default() })
        }
        Some(ApiKey::LeaveGroup) => Reply::Silence,
        other => panic!("{other:?} was not expected"),
    }
}

#[test]
fn a_join_may_take_longer_than_other_things_and_leaving_ends() {
    with_broker(Arc::new(|addr, header, _| slow_coordinator(addr, header)), async |client| {
        let config = ClientConfig { timeout: Duration::from_millis(100), ..client.config().clone() };
        let group = MemberConfig { group: "g".into(), topics: vec!["t".into()], ..MemberConfig::default() };
        let member = Member::start(Client::new(config), group).await.unwrap();
        let left = rt::timeout(Duration::from_secs(10), member.leave()).await.expect("it ends");
        assert_eq!(left.unwrap_err().to_string(), "leaving group g took longer than 100 ms");
    });
}
