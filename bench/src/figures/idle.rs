//! What a broker costs that has nothing to do: 1,000 partitions, each written once.

use std::time::{Duration, Instant};

use ailurus_wire::Str;
use bytes::Bytes;

use crate::Context;
use crate::broker::{Broker, fresh_directory};
use crate::client::{self, Client};
use crate::report::Row;

const PARTITIONS: i32 = 1000;
const RECORD_BYTES: usize = 1024;
const RESIDENT_MAX: u64 = 64 << 20;
/// Of one core.
const CPU_PERCENT_MAX: f64 = 0.5;

pub(crate) fn measure(context: &Context) -> Result<Vec<Row>, String> {
    let directory = fresh_directory(context, "idle")?;
    let mut broker = Broker::start(context, &directory, &[])?;
    let mut client = Client::connect_when_up(&mut broker)?;
    let topic = Str::from_static("idle");
    client.create_topic(&topic, PARTITIONS)?;
    let value = [7; RECORD_BYTES];
    let all = (0..PARTITIONS).map(|partition| (partition, client::batch(&value)));
    let written: Vec<(i32, Bytes)> = all.collect();
    let response = client.call(client::PRODUCE, &client::produce(&topic, written))?;
    if let Some(code) = client::refusal(&response) {
        return Err(format!("Produce: {code:?}"));
    }
    drop(client);

    std::thread::sleep(Duration::from_secs(context.pick(15, 2)));
    let (before, from) = (broker.cpu()?, Instant::now());
    std::thread::sleep(Duration::from_secs(context.pick(30, 2)));
    let percent = (broker.cpu()? - before).as_secs_f64() / from.elapsed().as_secs_f64() * 100.0;
    let resident = broker.resident()?;
    Ok(vec![
        Row::counted(
            "idle with 1,000 partitions, each written once: resident",
            "<= 64 MiB",
            format!("{:.1} MiB", resident as f64 / f64::from(1 << 20)),
            resident <= RESIDENT_MAX,
        ),
        Row::timed("the same: CPU", "<= 0.5 % of a core", format!("{percent:.2} %"), percent <= CPU_PERCENT_MAX),
    ])
}
