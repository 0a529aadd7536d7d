//! Shard-direct mode: each shard with a port of its own, and a client that goes to the right one crosses nothing.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "tests look at the broker from outside")]

mod support;

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use ailurus_wire::ErrorCode;
use ailurus_wire::fetch::{FetchPartition, FetchRequest};
use ailurus_wire::metadata::{MetadataRequest, MetadataResponse};
use support::client::{Client, FETCH, PRODUCE, batch, fetch, fetched, from, produce, produce_error};
use support::{Broker, failed_start, fresh, until};

fn start(dir: &Path, more: &[&str]) -> Broker {
    Broker::start(dir, &[&["--set", "shard.direct=true"], more].concat())
}

/// What a node tells of all topics.
fn metadata(client: &mut Client) -> MetadataResponse {
    client.call(9, &MetadataRequest { topics: None, ..Default::default() })
}

/// Where each node is, by id.
fn nodes(told: &MetadataResponse) -> BTreeMap<i32, String> {
    told.brokers.iter().map(|broker| (broker.node_id, format!("{}:{}", broker.host, broker.port))).collect()
}

/// The leaders of the topic's partitions.
fn leaders(told: &MetadataResponse, name: &str) -> Vec<i32> {
    let topic = told.topics.iter().find(|topic| topic.name.as_deref() == Some(name)).unwrap();
    let mut leaders: Vec<(i32, i32)> =
        topic.partitions.iter().map(|partition| (partition.partition_index, partition.leader_id)).collect();
    leaders.sort();
    leaders.into_iter().map(|(_, leader)| leader).collect()
}

/// Calls between shards that clients' requests have made.
fn crossings(broker: &Broker) -> u64 {
    let metrics = broker.get("/metrics");
    let lines = metrics.lines().filter(|line| line.starts_with("ailurus_crossings_total{"));
    let count = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    lines.filter(|line| line.contains("lane=\"kafka\"")).map(count).sum()
}

/// Produces a record to the partition and reads it; `rounds` times.
fn rounds(client: &mut Client, partition: i32, rounds: usize) {
    for _ in 0..rounds {
        let response = client.call(PRODUCE, &produce("t", partition, -1, batch(&[b"v"])));
        assert_eq!(produce_error(&response), ErrorCode::None, "partition {partition}");
        let offset = response.responses[0].partition_responses[0].base_offset;
        let wish = FetchPartition { partition, ..from(offset) };
        let request = FetchRequest { max_wait_ms: 10_000, min_bytes: 1, ..fetch("t", wish) };
        let response = client.call(FETCH, &request);
        assert!(fetched(&response).records.as_ref().is_some_and(|records| !records.is_empty()));
    }
}

const ROUNDS: usize = 20;

#[test]
fn who_asks_the_owner_crosses_nothing_and_who_asks_another_is_served() {
    let broker = start(&fresh("direct"), &[]);
    let mut client = Client::connect(broker.address());
    client.create("t", 4);
    let told = metadata(&mut client);
    let nodes = nodes(&told);
    assert_eq!(nodes.keys().copied().collect::<Vec<_>>(), [1000, 1001]);
    assert_eq!(nodes[&1000], broker.address());
    let banner: BTreeMap<i32, String> = broker.banner["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_i64().unwrap() as i32, node["advertised"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(banner, nodes);
    let leaders = leaders(&told, "t");
    let mut clients: BTreeMap<i32, Client> = nodes.iter().map(|(id, at)| (*id, Client::connect(at))).collect();
    for client in clients.values_mut() {
        assert_eq!(metadata(client), told, "the same from every node");
    }

    let before = crossings(&broker);
    for (partition, leader) in (0..).zip(&leaders) {
        rounds(clients.get_mut(leader).unwrap(), partition, ROUNDS);
    }
    assert_eq!(crossings(&broker) - before, 0);
    for (partition, leader) in (0..).zip(&leaders) {
        rounds(clients.get_mut(&(2001 - leader)).unwrap(), partition, ROUNDS);
    }
    let crossed = crossings(&broker) - before;
    assert!(crossed >= (2 * ROUNDS * leaders.len()) as u64, "{crossed}");

    // The broker's own verbs find their way, also from the other node.
    broker.feed(&["produce", "u"], "a\nb\nc\n");
    let output =
        std::process::Command::new(support::BINARY).args(["consume", "u", "-e", "-b", &nodes[&1001]]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "a\nb\nc\n");

    // Both ports close with it, also for who is connected.
    assert!(broker.end("-TERM").success());
    for (id, address) in nodes {
        assert!(TcpStream::connect(&address).is_err(), "{id} at {address}");
        clients.remove(&id).unwrap().must_be_closed("the broker has ended");
    }
}

#[test]
fn all_connections_count_however_they_are_spread() {
    let broker = start(&fresh("direct-count"), &["--set", "max.connections=4"]);
    let mut first = Client::connect(broker.address());
    let at = nodes(&metadata(&mut first))[&1001].clone();
    let mut others: Vec<Client> = (0..3).map(|_| Client::connect(&at)).collect();
    for client in &mut others {
        assert_eq!(metadata(client).controller_id, 1000);
    }
    assert_eq!(broker.connections(), 4);
    for address in [broker.address(), &at] {
        Client::connect(address).must_be_closed("one too many");
    }
    drop(others.pop());
    until("there is room again", || broker.connections() == 3);
    assert_eq!(metadata(&mut Client::connect(&at)).controller_id, 1000);
}

#[test]
fn another_number_of_shards_is_another_set_of_nodes() {
    let dir = fresh("direct-shards");
    let starts = [(2, true), (3, true), (3, false), (1, true), (2, true)];
    for (written, (shards, direct)) in starts.into_iter().enumerate() {
        let (shards_set, direct_set) = (format!("shards={shards}"), format!("shard.direct={direct}"));
        let broker = Broker::start(&dir, &["--set", &shards_set, "--set", &direct_set]);
        let mut client = Client::connect(broker.address());
        if written == 0 {
            client.create("t", 6);
        }
        let told = metadata(&mut client);
        let nodes = nodes(&told);
        let ids: Vec<i32> = if direct { (1000..1000 + shards).collect() } else { vec![1] };
        assert_eq!(nodes.keys().copied().collect::<Vec<_>>(), ids);
        let leaders = leaders(&told, "t");
        let mut led: Vec<i32> = leaders.clone();
        led.sort();
        led.dedup();
        assert_eq!(led, ids, "each leads something: {leaders:?}");
        for (partition, leader) in (0..).zip(&leaders) {
            let mut client = Client::connect(&nodes[leader]);
            let wish = FetchPartition { partition, ..from(0) };
            let records = fetched(&client.call(FETCH, &fetch("t", wish))).records.clone();
            let batches = records.map_or(0, |records| records.len()) / batch(&[b"v"]).len();
            assert_eq!(batches, written, "partition {partition} on {leader}");
            rounds(&mut client, partition, 1);
        }
        assert!(broker.end("-TERM").success());
    }
}

/// A port with a free one behind it, and behind that one that is taken.
fn two_and_a_taken_one() -> (u16, TcpListener) {
    for _ in 0..100 {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port - 1) && free(port - 2) {
            return (port - 2, taken);
        }
    }
    panic!("there are no two free ports below another");
}

#[test]
fn shards_follow_the_port_and_one_that_is_taken_is_named() {
    let dir = fresh("direct-taken");
    let (port, taken) = two_and_a_taken_one();
    let listeners = format!("listeners=PLAINTEXT://127.0.0.1:{port}");
    let words = ["--set", &listeners, "--set", "shard.direct=true"];
    let (code, said) = failed_start(&dir, &[&words[..], &["--set", "shards=3"]].concat());
    let addr = taken.local_addr().unwrap().to_string();
    assert!(code == 69 && said.contains(&addr) && said.contains("shard 2"), "{code} {said}");
    assert!(!dir.exists(), "nothing was touched");

    // Where nobody listens.
    let told = ["--advertise-kafka-addr", "localhost:1"];
    let broker = Broker::start(&dir, &[&words[..], &told].concat());
    assert_eq!(broker.address(), format!("127.0.0.1:{port}"));
    for port in [port, port + 1] {
        let nodes = nodes(&metadata(&mut Client::connect(&format!("127.0.0.1:{port}"))));
        assert_eq!((&*nodes[&1000], &*nodes[&1001]), ("localhost:1", "localhost:2"));
    }
    let words = ["doctor", "--no-disk", "--advertise-kafka-addr", broker.address()];
    let looked = std::process::Command::new(support::BINARY).args(words).output().unwrap();
    let seen = String::from_utf8(looked.stdout).unwrap();
    assert!(!looked.status.success() && seen.contains("node 1000 at localhost:1, which cannot be dialled"), "{seen}");
}

#[test]
fn what_leaves_no_room_for_shards_is_refused_before_anything_is_touched() {
    let dir = fresh("direct-refused");
    let direct = ["--set", "shard.direct=true", "--set", "listeners=PLAINTEXT://127.0.0.1:65535"];
    let (code, said) = failed_start(&dir, &direct);
    assert!(code == 64 && said.contains("65536") && said.contains("listeners"), "{code} {said}");
    let direct = ["--set", "shard.direct=true", "--advertise-kafka-addr", "localhost:65535"];
    let (code, said) = failed_start(&dir, &direct);
    assert!(code == 64 && said.contains("65536") && said.contains("advertised.listeners"), "{code} {said}");
    let (code, said) = failed_start(&dir, &["--set", "shard.direct=true", "--set", "node.id=2147483"]);
    assert!(code == 64 && said.contains("node.id 2147483"), "{code} {said}");
    assert!(!dir.exists());

    // An identity that was made without the mode.
    assert!(Broker::start(&dir, &["--set", "node.id=2147483"]).end("-TERM").success());
    let (code, said) = failed_start(&dir, &["--set", "shard.direct=true"]);
    assert!(code == 64 && said.contains("node.id 2147483"), "{code} {said}");
    let broker = Broker::start(&dir, &[]);
    assert_eq!(broker.banner["node"], 2_147_483);
}
