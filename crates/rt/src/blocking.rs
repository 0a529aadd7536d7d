//! The small thread pool for what must block: names and sizes of files, DNS; all file I/O on epoll.
//!
//! Threads start when they are needed, up to a limit for the whole process, and end when they were idle for a while.
//! Two queues without bound stand before them, because a shard must never wait for room; who fills them is bounded above.
//! What producers and replication wait for goes first, and one thread is never used for anything else: a flush of the
//! journal must not stand behind reads of a compaction.

use crate::outside::start_thread_on;
use crate::shard::Shard;
use rustix::thread::CpuSet;
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
    /// Threads that may do what is not urgent; there is one more.
    threads_max: usize,
    cpus: Option<CpuSet>,
}

/// How long a job may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A producer or a replica waits for it.
    Urgent,
    /// Everything else.
    Usual,
}

#[derive(Default)]
struct State {
    urgent: VecDeque<Job>,
    usual: VecDeque<Job>,
    threads: usize,
    idle: usize,
    running: usize,
    /// Of these, how many do what is not urgent.
    running_usual: usize,
}

impl State {
    fn is_idle(&self) -> bool {
        self.urgent.is_empty() && self.usual.is_empty() && self.running == 0
    }

    /// How many jobs may begin now.
    fn startable(&self, usual_max: usize) -> usize {
        self.urgent.len() + self.usual.len().min(usual_max - self.running_usual)
    }

    fn take(&mut self, usual_max: usize) -> Option<(Urgency, Job)> {
        if let Some(job) = self.urgent.pop_front() {
            return Some((Urgency::Urgent, job));
        }
        let job = if self.running_usual < usual_max { self.usual.pop_front() } else { None };
        job.map(|job| (Urgency::Usual, job))
    }

    fn begin(&mut self, urgency: Urgency) {
        self.running += 1;
        self.running_usual += usize::from(urgency == Urgency::Usual);
    }

    fn end(&mut self, urgency: Urgency) {
        self.running -= 1;
        self.running_usual -= usize::from(urgency == Urgency::Usual);
    }
}

impl Pool {
    #[allow(clippy::disallowed_types, reason = "see above")]
    pub(crate) fn new(threads_max: usize, cpus: Option<CpuSet>) -> Arc<Pool> {
        Arc::new(Pool {
            state: Mutex::default(),
            work: Condvar::new(),
            idle: Condvar::new(),
            threads_max: threads_max.max(1),
            cpus,
        })
    }

    fn run(self: &Arc<Self>, urgency: Urgency, job: Job) {
        let mut state = self.lock();
        match urgency {
            Urgency::Urgent => state.urgent.push_back(job),
            Urgency::Usual => state.usual.push_back(job),
        }
        if state.idle >= state.startable(self.threads_max) || state.threads > self.threads_max {
            drop(state);
            self.work.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let pool = self.clone();
        let started = start_thread_on(self.cpus, "blocking", move || pool.work());
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
            if let Some((urgency, job)) = state.take(self.threads_max) {
                state.begin(urgency);
                drop(state);
                job();
                state = self.lock();
                state.end(urgency);
                if state.is_idle() {
                    self.idle.notify_all();
                }
                continue;
            }
            state.idle += 1;
            let (woken, waited) = self.work.wait_timeout(state, IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.startable(self.threads_max) == 0 {
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
    run_blocking_as(Urgency::Usual, f).await
}

/// As [`run_blocking`], before or after others.
pub(crate) async fn run_blocking_as<T: Send + 'static>(urgency: Urgency, f: impl FnOnce() -> T + Send + 'static) -> T {
    let pool = Shard::with(|shard| shard.driver().is_some().then(|| shard.hub.pool.clone()));
    let Some(pool) = pool else { return f() };
    let (sender, receiver) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
    pool.run(
        urgency,
        Box::new(move || {
            // Nobody may wait any more; then the result is dropped here.
            _ = sender.send(catch_unwind(AssertUnwindSafe(f)));
        }),
    );
    match receiver.await.expect("a job is always run") {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    }
}
