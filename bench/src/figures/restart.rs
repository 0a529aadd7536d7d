//! Restart after `kill -9`: from exec until every partition says its end again and a produce is acknowledged.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use ailurus_wire::produce::ProduceResponse;
use ailurus_wire::{ErrorCode, Str};
use bytes::Bytes;

use super::first_ack::first_ack;
use crate::Context;
use crate::broker::{Broker, fresh_directory};
use crate::client::{self, Client};
use crate::report::Row;

const PARTITIONS: i32 = 1000;
const BATCH_BYTES: usize = 256 << 10;
const PARTITIONS_PER_REQUEST: i32 = 8;
const REQUESTS_UNDER_WAY: usize = 8;
const GOAL_S: f64 = 5.0;

pub(crate) fn measure(context: &Context) -> Result<Vec<Row>, String> {
    // 40 x 256 KiB x 1,000 is 10.5 GB.
    let rounds = context.pick(40, 1);
    let directory = fresh_directory(context, "restart")?;
    let topic = Str::from_static("full");
    let mut broker = Broker::start(context, &directory, &[])?;
    Client::connect_when_up(&mut broker)?.create_topic(&topic, PARTITIONS)?;
    fill(broker.kafka, &topic, rounds)?;
    let gigabytes = rounds as f64 * f64::from(PARTITIONS) * BATCH_BYTES as f64 / 1e9;
    broker.kill()?;

    let mut broker = Broker::start(context, &directory, &["auto.create.topics.enable=true"])?;
    let ends = ends_when_up(&mut broker, &topic)?;
    let recovered = broker.started.elapsed().as_secs_f64();
    if let Some(partition) = ends.iter().position(|end| *end != rounds) {
        return Err(format!("partition {partition} ends at {} and not at {rounds}", ends[partition]));
    }
    first_ack(&mut broker, &Str::from_static("after"))?;
    let written = broker.started.elapsed().as_secs_f64();
    broker.kill()?;
    std::fs::remove_dir_all(&directory).map_err(|error| error.to_string())?;
    let result =
        format!("{recovered:.2} s to read every end, {written:.2} s to a new topic's first acknowledged produce");
    let what = format!("restart after kill -9 with 1,000 partitions and {gigabytes:.1} GB");
    Ok(vec![Row::timed(what, "<= 5 s", result, written <= GOAL_S)])
}

/// One batch to each partition per round, a few requests under way.
fn fill(address: SocketAddr, topic: &Str, rounds: i64) -> Result<(), String> {
    let mut client = Client::connect(address)?;
    let mut under_way = VecDeque::new();
    let batch = client::batch(&noise(BATCH_BYTES));
    for round in 0..rounds {
        for first in (0..PARTITIONS).step_by(PARTITIONS_PER_REQUEST as usize) {
            let last = PARTITIONS.min(first + PARTITIONS_PER_REQUEST);
            let batches = (first..last).map(|partition| (partition, Bytes::clone(&batch)));
            client.send(client::PRODUCE, &client::produce(topic, batches))?;
            under_way.push_back(());
            if under_way.len() == REQUESTS_UNDER_WAY {
                under_way.pop_front();
                acknowledged(&mut client)?;
            }
        }
        if round % 10 == 9 {
            eprintln!("  round {} of {rounds} written", round + 1);
        }
    }
    under_way.iter().try_for_each(|()| acknowledged(&mut client))
}

fn acknowledged(client: &mut Client) -> Result<(), String> {
    let response: ProduceResponse = client.receive(client::PRODUCE)?;
    client::refusal(&response).map_or(Ok(()), |code| Err(format!("Produce: {code:?}")))
}

/// Bytes that do not compress, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| step()).collect()
}

fn ends_when_up(broker: &mut Broker, topic: &Str) -> Result<Vec<i64>, String> {
    loop {
        let mut client = Client::connect_when_up(broker)?;
        loop {
            match client.ends(topic, PARTITIONS) {
                Ok(Ok(ends)) => return Ok(ends),
                Ok(Err(code)) if code.is_retriable() || code == ErrorCode::UnknownTopicOrPartition => {}
                Ok(Err(code)) => return Err(format!("ListOffsets: {code:?}")),
                Err(_) => break,
            }
            broker.still_starting()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        broker.still_starting()?;
    }
}
