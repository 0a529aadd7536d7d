//! Finds the shard that does not come back: a task that never pauses cannot be reported by its own shard.
//!
//! Tasks that end late are counted by the shard itself ([`crate::ShardStats::stalls`]); this thread looks once a second
//! for those that have not ended at all.

use crate::hub::Hub;
use crate::outside::start_thread_on;
use crate::time::monotonic_ns;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it looks, and how long a task must have been running to be reported.
const PERIOD: Duration = Duration::from_secs(1);

/// The thread; ends when dropped.
pub(crate) struct Watchdog {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub(crate) fn start(hub: Arc<Hub>) -> std::io::Result<Watchdog> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = start_thread_on(None, "watchdog", move || {
            let mut reported = vec![0; hub.inboxes.len()];
            while !stopped.load(Ordering::Acquire) {
                #[allow(clippy::disallowed_methods, reason = "this thread is no shard")]
                std::thread::park_timeout(PERIOD);
                look(&hub, &mut reported);
            }
        })?;
        Ok(Watchdog { stop, thread: Some(thread) })
    }
}

/// Reports each task that runs for too long once.
fn look(hub: &Hub, reported: &mut [u32]) {
    let now_us = (monotonic_ns() / 1000) as u32;
    for (inbox, reported) in hub.inboxes.iter().zip(reported) {
        let since_us = inbox.running_since_us.load(Ordering::Relaxed);
        let ran_us = now_us.wrapping_sub(since_us);
        // A task that has just begun may be ahead of our clock: that wraps to hours.
        if since_us != 0 && since_us != *reported && (PERIOD.as_micros() as u32..u32::MAX / 2).contains(&ran_us) {
            *reported = since_us;
            tracing::error!(shard = inbox.id.0, ms = ran_us / 1000, "a task has not let the shard go");
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has nothing to say at its end, not even if it panicked.
            _ = thread.join();
        }
    }
}
