//! A call from one shard to another and back, inside `rt`, without a broker around it.

use std::time::Duration;

use ailurus_model::ShardId;
use ailurus_rt::{Config, Lane, Sharded, Spin};

use super::quantile;
use crate::Context;
use crate::report::Row;

/// Calls that are timed together: one would be below what the clock can tell.
const CALLS_PER_SAMPLE: u32 = 100;
const OUTSTANDING: usize = 64;

pub(crate) fn measure(context: &Context) -> Result<Vec<Row>, String> {
    let samples = context.pick(20_000, 500);
    // As the broker looks for calls. On this few cores the other shard may have to share its core with whatever else runs,
    // hence the median.
    let config = Config { shards: 2, spin: Spin::Auto, ..Config::default() };
    let (mut alone, mut many) = ailurus_rt::run(config, move || async move {
        let other = Sharded::start(|_| ()).await;
        let alone = one_by_one(other, samples).await;
        let many = many_at_once(other, samples).await;
        other.stop().await;
        (alone, many)
    })
    .map_err(|error| error.to_string())?;
    let (p50, p99) = (quantile(&mut alone, 0.5), quantile(&mut alone, 0.99));
    let together = quantile(&mut many, 0.5);
    Ok(vec![
        Row::timed(
            "a call to another shard and back, one at a time",
            "< 1 us",
            format!("p50 {p50:.0} ns, p99 {p99:.0} ns"),
            p50 < 1000.0,
        ),
        Row::timed(
            format!("the same with {OUTSTANDING} under way, per call"),
            "",
            format!("p50 {together:.0} ns"),
            true,
        ),
    ])
}

/// Nanoseconds per call of each sample.
async fn one_by_one(other: Sharded<()>, samples: usize) -> Vec<f64> {
    let mut found = Vec::with_capacity(samples);
    for _ in 0..samples {
        let before = ailurus_rt::now();
        for _ in 0..CALLS_PER_SAMPLE {
            other.on(ShardId(1), Lane::Kafka, |_| ()).await;
        }
        found.push(per_call(ailurus_rt::now() - before, CALLS_PER_SAMPLE as usize));
    }
    found
}

async fn many_at_once(other: Sharded<()>, samples: usize) -> Vec<f64> {
    let mut found = Vec::with_capacity(samples);
    for _ in 0..samples {
        let before = ailurus_rt::now();
        let calls: Vec<_> = (0..OUTSTANDING).map(|_| other.on(ShardId(1), Lane::Kafka, |_| ())).collect();
        for call in calls {
            call.await;
        }
        found.push(per_call(ailurus_rt::now() - before, OUTSTANDING));
    }
    found
}

fn per_call(time: Duration, calls: usize) -> f64 {
    time.as_nanos() as f64 / calls as f64
}
