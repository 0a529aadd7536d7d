//! The life of connections: clients that are slow and honest, clients that are gone, and a broker that stops meanwhile.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "tests look at the broker from outside")]

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use ailurus_wire::api_versions::ApiVersionsRequest;
use ailurus_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use ailurus_wire::{ErrorCode, encode_request};
use support::client::{Client, FETCH, PRODUCE, batch, fetch, fetched, from, produce, produce_error};
use support::{Broker, fresh, until};

/// Waits for what does not come at the ends of partitions 0 and 1.
fn long_poll(topic: &str) -> FetchRequest {
    let partitions = (0..2).map(|partition| FetchPartition { partition, ..from(0) }).collect();
    let topics = vec![FetchTopic { topic: topic.into(), partitions, ..Default::default() }];
    FetchRequest { max_wait_ms: i32::MAX, min_bytes: 1, topics, ..fetch(topic, from(0)) }
}

/// A few rounds: what was sent before on other connections has been taken up by then.
fn rounds(client: &mut Client, topic: &str) {
    for _ in 0..5 {
        assert_eq!(fetched(&client.call(FETCH, &fetch(topic, from(0)))).error_code, ErrorCode::None);
    }
}

#[test]
fn a_stop_waits_for_no_long_poll() {
    let dir = fresh("connections-stop");
    let mut broker = Broker::start(&dir, &[]);
    let mut client = Client::connect(broker.address());
    // One partition on each of two shards.
    client.create("t", 2);
    let mut parked: Vec<Client> = (0..6).map(|_| Client::connect(broker.address())).collect();
    for client in &mut parked {
        client.send(FETCH, &long_poll("t"));
    }
    rounds(&mut client, "t");
    broker.signal("-TERM");
    let mut status = None;
    until("it ends", || {
        status = broker.ended();
        status.is_some()
    });
    assert!(status.unwrap().success(), "{status:?}");
    let log = dir.with_extension("log");
    let _again = Broker::with_log("ailurus_storage=debug", &log, &dir, &[]);
    let log = std::fs::read_to_string(log).unwrap();
    let journals: Vec<&str> = log.lines().filter(|line| line.contains("journal read")).collect();
    assert_eq!(journals.len(), 2, "{log}");
    assert!(journals.iter().all(|line| line.contains("clean=true")), "{log}");
}

#[test]
fn a_limit_that_is_not_kept_is_said_not_to_be() {
    let dir = fresh("connections-per-ip");
    for (limit, said) in [("2147483647", false), ("1", true)] {
        let (log, set) = (dir.with_extension("log"), format!("max.connections.per.ip={limit}"));
        let broker = Broker::with_log("warn", &log, &dir, &["--set", &set]);
        let two = [(); 2].map(|()| Client::connect(broker.address()));
        until("both are served", || broker.connections() == 2);
        assert_eq!(std::fs::read_to_string(log).unwrap().contains("max.connections.per.ip has no effect"), said);
        drop(two);
    }
}

#[test]
fn what_was_asked_by_who_is_gone_is_forgotten() {
    let broker = Broker::start(&fresh("connections-gone"), &[]);
    let mut client = Client::connect(broker.address());
    client.create("t", 2);
    for _ in 0..20 {
        let mut closed = Client::connect(broker.address());
        closed.send(FETCH, &long_poll("t"));
        // With an answer that was not read, the end of a connection is a reset.
        let mut reset = Client::connect(broker.address());
        reset.send(0, &ApiVersionsRequest::default());
        assert_eq!(reset.stream.peek(&mut [0]).unwrap(), 1);
        reset.send(FETCH, &long_poll("t"));
    }
    rounds(&mut client, "t");
    until("they are forgotten", || broker.connections() <= 1);
    // Who closes only his own direction gets what he asked for.
    let mut half = Client::connect(broker.address());
    for _ in 0..3 {
        half.send(FETCH, &FetchRequest { max_wait_ms: 300, ..long_poll("t") });
    }
    half.end_sending();
    for _ in 0..3 {
        assert_eq!(half.receive::<FetchResponse>(FETCH).error_code, ErrorCode::None);
    }
    half.must_be_closed("a connection whose client has closed its direction and has all answers");
}

#[test]
fn a_fetch_that_waits_for_much_reads_nothing_before() {
    let broker = Broker::start(&fresh("connections-much"), &[]);
    let mut client = Client::connect(broker.address());
    // One partition on each of two shards.
    client.create("t", 2);
    let mut waiting = Client::connect(broker.address());
    waiting.send(FETCH, &FetchRequest { min_bytes: 200_000, ..long_poll("t") });
    let mut sent = 0;
    for partition in [0, 0, 0, 1] {
        let records = batch(&[&[1; 60_000]]);
        sent += records.len();
        assert_eq!(produce_error(&client.call(PRODUCE, &produce("t", partition, -1, records))), ErrorCode::None);
    }
    let answer: FetchResponse = waiting.receive(FETCH);
    let records = answer.responses[0].partitions.iter().filter_map(|partition| partition.records.as_ref());
    assert_eq!(records.map(|records| records.len()).sum::<usize>(), sent);
    let metrics = broker.get("/metrics");
    let fetched = metrics.lines().find_map(|line| line.strip_prefix("kafka_server_brokertopicmetrics_bytesout_total "));
    assert_eq!(fetched.unwrap().parse::<f64>().unwrap() as usize, sent, "bytes read, and bytes answered");
}

/// How long the broker of the next test lets a client pause.
const IDLE: Duration = Duration::from_secs(3);

/// How many answers are asked for there, each of one record of so many bytes: more than the kernels' buffers take.
const ANSWERS: usize = 60;
const RECORD: usize = 900_000;

#[test]
fn who_is_slow_is_served_and_who_stops_is_not() {
    let idle = format!("connections.max.idle.ms={}", IDLE.as_millis());
    let broker = Broker::start(&fresh("connections-slow"), &["--set", &idle]);
    let mut client = Client::connect(broker.address());
    client.create("t", 1);
    assert_eq!(client.produce("t", batch(&[&[1; RECORD]])), ErrorCode::None);
    // In the middle of a frame, in the middle of an answer, between two requests.
    let frame = encode_request(1, None, PRODUCE, &produce("t", 0, -1, batch(&[&[1; 100_000]]))).unwrap().concat();
    let mut stopped = Client::connect(broker.address());
    stopped.raw(&frame[..50_000]);
    let mut deaf = Client::connect(broker.address());
    let mut reader = Client::connect(broker.address());
    for _ in 0..ANSWERS {
        deaf.send(FETCH, &fetch("t", from(0)));
        reader.send(FETCH, &fetch("t", from(0)));
    }
    let idle = Client::connect(broker.address());

    let begun = Instant::now();
    let mut sender = Client::connect(broker.address());
    let mut taken = 0;
    let mut pieces = frame.chunks(frame.len() / 40);
    let mut piece = vec![0; 512 << 10];
    while begun.elapsed() < 3 * IDLE {
        sender.stream.write_all(pieces.next().unwrap_or_default()).unwrap();
        reader.stream.read_exact(&mut piece).unwrap();
        taken += piece.len();
        std::thread::sleep(IDLE / 12);
    }
    sender.stream.write_all(&pieces.collect::<Vec<_>>().concat()).unwrap();
    assert_eq!(produce_error(&sender.receive(PRODUCE)), ErrorCode::None);
    reader.stream.read_exact(&mut vec![0; ANSWERS * RECORD - taken]).unwrap();

    stopped.must_be_closed("in the middle of a frame");
    idle.must_be_closed("idle");
    // What was sent before is read, and then nothing more comes.
    let mut rest = Vec::new();
    let _end_or_reset = deaf.stream.read_to_end(&mut rest);
    assert!(rest.len() < ANSWERS * RECORD, "{} bytes were sent to who took none", rest.len());
}
