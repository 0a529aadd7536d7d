//! What a call to another shard costs: `cargo run --release -p ailurus-rt --example crossing`.
//!
//! Prints nanoseconds per call with 1, 64 and 256 calls outstanding while both shards are awake, and for one call to a
//! shard that sleeps.
#![allow(clippy::disallowed_methods, reason = "a measuring program beside the broker")]

use ailurus_model::ShardId;
use ailurus_rt as rt;
use rt::{Config, Group, Lane, Sharded, Spin};
use std::cell::Cell;
use std::time::Duration;

fn main() -> Result<(), rt::Error> {
    rt::run(Config { shards: 2, spin: Spin::Auto, ..Config::default() }, || async {
        println!("{}", rt::backend());
        let counter = Sharded::start(|_| Cell::new(0u64)).await;
        for outstanding in [1u64, 64, 256] {
            let best = best_of_many(counter, outstanding, 2_560).await;
            println!("{outstanding:>4} outstanding, both awake: {best:>8.0} ns per call");
        }
        let mut asleep = Duration::MAX;
        for _ in 0..50 {
            rt::sleep(Duration::from_millis(2)).await;
            let begun = rt::now();
            counter.on(ShardId(1), Lane::Kafka, |counter| counter.set(counter.get() + 1)).await;
            asleep = asleep.min(begun.elapsed());
        }
        println!("   1 outstanding, both slept: {:>8} ns per call", asleep.as_nanos());
        let stats = rt::stats();
        println!(
            "spins that found something: {}, in vain: {}, sleeps: {}",
            stats.spin_hits, stats.spin_misses, stats.parks
        );
    })
}

/// The best of many short runs: on a busy machine, the one that was left alone.
async fn best_of_many(counter: Sharded<Cell<u64>>, outstanding: u64, calls: u64) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..50 {
        let begun = rt::now();
        let tasks: Vec<_> = (0..outstanding)
            .map(|_| {
                rt::spawn(Group::Kafka, async move {
                    for _ in 0..calls / outstanding {
                        counter.on(ShardId(1), Lane::Kafka, |counter| counter.set(counter.get() + 1)).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        best = best.min(begun.elapsed().as_nanos() as f64 / calls as f64);
    }
    best
}
