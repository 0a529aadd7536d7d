//! The reactor as its users see it, on the real machine and on the simulated one.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests stand outside the reactor")]

mod real;
mod simulated;

use ailurus_base::sync::Watch;
use ailurus_model::ShardId;
use ailurus_rt::{Call, Lane, Sharded};

/// Parks `count` fetches at shard 1, each waiting for the next produce, and then produces once.
async fn park_and_wake(count: usize) {
    let watermark = Sharded::start(|_| Watch::new(0u64)).await;
    let fetches: Vec<Call<u64>> = (0..count)
        .map(|_| {
            watermark.on_async(ShardId(1), Lane::Kafka, |watermark| async move {
                watermark.until(|offset| offset > 0).await
            })
        })
        .collect();
    // Its credit comes although none of the fetches is done: a parked call holds none.
    let waiting = watermark.on(ShardId(1), Lane::Kafka, |watermark| watermark.changed().is_idle()).await;
    assert!(!waiting, "fetches wait");
    watermark.on(ShardId(1), Lane::Kafka, |watermark| watermark.set(42)).await;
    for fetch in fetches {
        assert_eq!(fetch.await, 42);
    }
    watermark.stop().await;
}
