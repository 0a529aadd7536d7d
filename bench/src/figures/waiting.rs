//! A consumer waits in a long poll; a producer sends a record each millisecond with acks=all. Open loop: a record's time
//! starts when it was due, not when the producer got round to it.

use std::thread;
use std::time::{Duration, Instant};

use ailurus_record::{Batches, Limits, records};
use ailurus_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use ailurus_wire::produce::ProduceResponse;
use ailurus_wire::{ErrorCode, Str};

use super::quantile;
use crate::Context;
use crate::broker::{Broker, fresh_directory};
use crate::client::{self, Client};
use crate::report::Row;

const INTERVAL: Duration = Duration::from_millis(1);
const RECORD_BYTES: usize = 1024;
const GOAL_MS: f64 = 10.0;

pub(crate) fn measure(context: &Context) -> Result<Vec<Row>, String> {
    let directory = fresh_directory(context, "waiting")?;
    let mut broker = Broker::start(context, &directory, &[])?;
    let topic = Str::from_static("stream");
    let mut client = Client::connect_when_up(&mut broker)?;
    client.create_topic(&topic, 1)?;
    let records = context.pick(30_000, 1_000_u32);

    let mut times = thread::scope(|scope| {
        let origin = Instant::now() + Duration::from_millis(100);
        let mut consumer = Client::connect(broker.kafka)?;
        let consumed = scope.spawn({
            let topic = topic.clone();
            move || consume(&mut consumer, &topic, origin, records)
        });
        let mut acks = client.second()?;
        let acknowledged = scope.spawn(move || {
            (0..records).try_for_each(|_| {
                let response: ProduceResponse = acks.receive(client::PRODUCE)?;
                client::refusal(&response).map_or(Ok(()), |code| Err(format!("Produce: {code:?}")))
            })
        });
        send(&mut client, &topic, origin, records)?;
        acknowledged.join().map_err(|_| "the producer panicked")??;
        consumed.join().map_err(|_| "the consumer panicked")?
    })?;
    // The first second warms up.
    let mut steady = times.split_off((times.len() / 10).min(1000));
    let [p50, p99, worst] = [0.5, 0.99, 1.0].map(|share| quantile(&mut steady, share));
    let result = format!("p50 {p50:.2} ms, p99 {p99:.2} ms, worst {worst:.1} ms");
    Ok(vec![Row::timed(
        "sent to received by a waiting consumer, 1,000 records/s of 1 KiB, acks=all",
        "p99 < 10 ms",
        result,
        p99 < GOAL_MS,
    )])
}

/// Record n is due n milliseconds after `origin`, and says so in its first eight bytes.
fn send(client: &mut Client, topic: &Str, origin: Instant, records: u32) -> Result<(), String> {
    for number in 0..records {
        let due = INTERVAL * number;
        if let Some(early) = (origin + due).checked_duration_since(Instant::now()) {
            thread::sleep(early);
        }
        let mut value = [7; RECORD_BYTES];
        value[..8].copy_from_slice(&(due.as_nanos() as u64).to_be_bytes());
        client.send(client::PRODUCE, &client::produce(topic, [(0, client::batch(&value))]))?;
    }
    Ok(())
}

/// Milliseconds from due to received, of each record in order.
fn consume(client: &mut Client, topic: &Str, origin: Instant, expected: u32) -> Result<Vec<f64>, String> {
    let mut times = Vec::with_capacity(expected as usize);
    let mut next = 0;
    while times.len() < expected as usize {
        let response: FetchResponse = client.call(client::FETCH, &fetch(topic, next))?;
        let received = Instant::now().saturating_duration_since(origin);
        let partition = response.responses.first().and_then(|topic| topic.partitions.first());
        let Some(partition) = partition else { continue };
        if partition.error_code != ErrorCode::None {
            return Err(format!("Fetch: {:?}", partition.error_code));
        }
        let bytes = partition.records.as_ref().map(|records| records.to_bytes()).unwrap_or_default();
        for batch in Batches::new(&bytes) {
            let (header, batch) = batch.map_err(|error| error.to_string())?;
            for record in records(&bytes.slice_ref(batch), &Limits::STORED).map_err(|error| error.to_string())? {
                let value = record.map_err(|error| error.to_string())?.value.ok_or("a record without a value")?;
                let due = u64::from_be_bytes(value[..8].try_into().expect("eight bytes"));
                times.push((received.as_nanos() as f64 - due as f64) / 1e6);
            }
            next = header.next_offset().0;
        }
    }
    Ok(times)
}

fn fetch(topic: &Str, offset: i64) -> FetchRequest {
    let partition = FetchPartition {
        partition: 0,
        current_leader_epoch: -1,
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic = FetchTopic { topic: topic.clone(), partitions: vec![partition], ..Default::default() };
    FetchRequest {
        replica_id: -1,
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 10 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    }
}
