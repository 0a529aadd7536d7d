//! The small thread pool for what must block: names and sizes of files, DNS; all file I/O on epoll.
//!
//! Threads start when they are needed, up to a limit for the whole process, and end when they were idle for a while.
//! A queue without bound stands before them, because a shard must never wait for room; who fills it is bounded above.

use crate::shard::Shard;
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
#[allow(
    clippy::disallowed_types,
    reason = "the pool's threads are no shards; a shard holds the lock to push one job"
)]
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A thread that had nothing to do for this long ends.
const IDLE_MAX: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

#[allow(clippy::disallowed_types, reason = "see above")]
pub(crate) struct Pool {
    state: Mutex<State>,
    work: Condvar,
    idle: Condvar,
    threads_max: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    running: usize,
}

impl State {
    fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.running == 0
    }
}

impl Pool {
    #[allow(clippy::disallowed_types, reason = "see above")]
    pub(crate) fn new(threads_max: usize) -> Arc<Pool> {
        Arc::new(Pool {
            state: Mutex::default(),
            work: Condvar::new(),
            idle: Condvar::new(),
            threads_max: threads_max.max(1),
        })
    }

    fn run(self: &Arc<Self>, job: Job) {
        let mut state = self.lock();
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() || state.threads >= self.threads_max {
            drop(state);
            self.work.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let pool = self.clone();
        let started = std::thread::Builder::new().name("blocking".into()).spawn(move || pool.work());
        if let Err(error) = started {
            let mut state = self.lock();
            state.threads -= 1;
            assert!(state.threads > 0, "no thread can be started for blocking work: {error}");
        }
    }

    /// Blocks until all jobs are done. Nobody adds any more.
    pub(crate) fn wait_idle(&self) {
        let mut state = self.lock();
        while !state.is_idle() {
            state = self.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.running += 1;
                drop(state);
                job();
                state = self.lock();
                state.running -= 1;
                if state.is_idle() {
                    self.idle.notify_all();
                }
                continue;
            }
            state.idle += 1;
            let (woken, waited) = self.work.wait_timeout(state, IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }

    #[allow(clippy::disallowed_types, reason = "see above")]
    fn lock(&self) -> MutexGuard<'_, State> {
        // No job runs under the lock, so nothing is half-done even if it is poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `f` on the small thread pool and waits for it without blocking the shard. In simulation it runs inline. If it
/// panics, so does the caller. `f` runs to its end even if the future is dropped.
///
/// # Panics
/// Outside a shard.
pub async fn run_blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let pool = Shard::with(|shard| shard.driver().is_some().then(|| shard.hub.pool.clone()));
    let Some(pool) = pool else { return f() };
    let (sender, receiver) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
    pool.run(Box::new(move || {
        // Nobody may wait any more; then the result is dropped here.
        _ = sender.send(catch_unwind(AssertUnwindSafe(f)));
    }));
    match receiver.await.expect("a job is always run") {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    }
}
