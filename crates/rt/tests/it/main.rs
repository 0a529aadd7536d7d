//! The reactor as its users see it, on the real machine and on the simulated one.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests stand outside the reactor")]

mod conformance;
mod ladder;
mod real;
mod simulated;

use ailurus_base::sync::Watch;
use ailurus_model::ShardId;
use ailurus_rt::{self as rt, Call, Config, Lane, Sharded};
use std::path::PathBuf;
use std::task::Poll;

/// Runs `main` on a small machine of two shards.
fn on_machine<T: Send + 'static, F: Future<Output = T> + 'static>(main: impl FnOnce() -> F + Send + 'static) -> T {
    rt::run(Config::small(), main).expect("the machine runs")
}

/// A directory of its own for each test, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rt-{name}-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Dir(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs two futures at the same time.
async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut ready_a, mut ready_b) = (None, None);
    std::future::poll_fn(|context| {
        if ready_a.is_none()
            && let Poll::Ready(value) = a.as_mut().poll(context)
        {
            ready_a = Some(value);
        }
        if ready_b.is_none()
            && let Poll::Ready(value) = b.as_mut().poll(context)
        {
            ready_b = Some(value);
        }
        if ready_a.is_some() && ready_b.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (ready_a.expect("ready"), ready_b.expect("ready"))
}

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
