//! The small thread pool for what must block: names and sizes of files, DNS; all file I/O on epoll.
//!
//! Threads start when they are needed, up to a limit for the whole process, and end when they were idle for a while.
//! Two queues without bound stand before them, because a shard must never wait for room; who fills them is bounded above.
//! What producers and replication wait for goes first, and one thread is never used for anything else: a flush of the
//! journal must not stand behind reads of a compaction.
//!
//! What always holds: a shard takes no lock here. It puts a job into a queue and rings the bell of one thread that has
//! nothing to do, always the first of these: the others sleep on, and end. Who does which job is settled among the pool's
//! threads.

use crate::outside::start_thread_on;
use crate::shard::Shard;
use crossbeam_queue::SegQueue;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::thread::CpuSet;
use std::any::Any;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
#[allow(clippy::disallowed_types, reason = "the pool's threads are no shards, and a shard never holds the lock")]
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A thread that had nothing to do for this long ends.
const IDLE_MAX: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

#[allow(clippy::disallowed_types, reason = "see above")]
pub(crate) struct Pool {
    urgent: SegQueue<Job>,
    usual: SegQueue<Job>,
    /// An eventfd for each thread there may be. How often it was rung says nothing: who hears it looks at the queues.
    bells: Vec<OwnedFd>,
    /// A bit for each thread that lives.
    threads: AtomicU64,
    /// Of these, who listen to their bells, or are about to. Whoever takes such a bit away rings that bell.
    idle: AtomicU64,
    running: Mutex<Running>,
    rest: Condvar,
    /// Threads that may do what is not urgent; there is one more.
    threads_max: usize,
    idle_max: Duration,
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

/// Jobs under way.
#[derive(Default)]
struct Running {
    all: usize,
    /// Of these, how many are not urgent.
    usual: usize,
}

impl Pool {
    /// A pool without threads yet.
    ///
    /// # Errors
    /// What the system says if there are no bells to be had.
    ///
    /// # Panics
    /// If there shall be more threads than a word has bits.
    pub(crate) fn new(threads_max: usize, cpus: Option<CpuSet>) -> io::Result<Arc<Pool>> {
        Pool::with_patience(threads_max, cpus, IDLE_MAX)
    }

    #[allow(clippy::disallowed_types, reason = "see above")]
    fn with_patience(threads_max: usize, cpus: Option<CpuSet>, idle_max: Duration) -> io::Result<Arc<Pool>> {
        let threads_max = threads_max.max(1);
        assert!(threads_max < u64::BITS as usize, "a small pool, not one of {threads_max} threads");
        let bell = |_| eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(io::Error::from);
        Ok(Arc::new(Pool {
            urgent: SegQueue::new(),
            usual: SegQueue::new(),
            bells: (0..=threads_max).map(bell).collect::<io::Result<_>>()?,
            threads: AtomicU64::new(0),
            idle: AtomicU64::new(0),
            running: Mutex::default(),
            rest: Condvar::new(),
            threads_max,
            idle_max,
            cpus,
        }))
    }

    fn run(self: &Arc<Self>, urgency: Urgency, job: Job) {
        match urgency {
            Urgency::Urgent => self.urgent.push(job),
            Urgency::Usual => self.usual.push(job),
        }
        self.call();
    }

    /// Has a thread look at the queues. A thread says that it is idle before it looks for the last time, and here the job
    /// is in its queue before this is asked: one of the two sees the other.
    fn call(self: &Arc<Self>) {
        let first = |idle: u64| idle & idle.wrapping_neg();
        if let Ok(idle) = self.idle.fetch_update(SeqCst, SeqCst, |idle| (idle != 0).then(|| idle & !first(idle))) {
            // It only fails if the count is at its end, and then it has been rung.
            _ = rustix::io::write(&self.bells[first(idle).trailing_zeros() as usize], &1u64.to_ne_bytes());
            return;
        }
        let unused = |threads: u64| first(!threads);
        let one_more = |threads: u64| {
            ((unused(threads).trailing_zeros() as usize) < self.bells.len()).then_some(threads | unused(threads))
        };
        let Ok(threads) = self.threads.fetch_update(SeqCst, SeqCst, one_more) else {
            // All are busy, and look again when they are done.
            return;
        };
        let (pool, place) = (self.clone(), unused(threads).trailing_zeros() as usize);
        if let Err(error) = start_thread_on(self.cpus, "blocking", move || pool.work(place)) {
            let others = self.threads.fetch_and(!(1 << place), SeqCst) & !(1 << place);
            assert!(others != 0, "no thread can be started for blocking work: {error}");
        }
    }

    /// Blocks until all jobs are done. Nobody adds any more.
    pub(crate) fn wait_idle(&self) {
        let mut running = self.lock();
        while running.all > 0 || !self.urgent.is_empty() || !self.usual.is_empty() {
            running = self.rest.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(self: &Arc<Self>, place: usize) {
        let me = 1u64 << place;
        loop {
            while let Some(job) = self.take() {
                self.perform(job);
            }
            self.idle.fetch_or(me, SeqCst);
            let last_look = self.take();
            let heard = last_look.is_some() || self.listen(place);
            // Whoever has taken the bit away has rung, or is about to, whatever was heard.
            let called = self.idle.fetch_and(!me, SeqCst) & me == 0;
            if let Some(job) = last_look {
                self.perform(job);
            } else if !heard && !called {
                self.threads.fetch_and(!me, SeqCst);
                // A job that came meanwhile may have counted on this thread.
                if self.is_startable(&self.lock()) {
                    self.call();
                }
                return;
            }
        }
    }

    /// The next job that may be begun.
    fn take(&self) -> Option<(Urgency, Job)> {
        let mut running = self.lock();
        let taken = match self.urgent.pop() {
            Some(job) => (Urgency::Urgent, job),
            None if running.usual < self.threads_max => (Urgency::Usual, self.usual.pop()?),
            None => return None,
        };
        running.all += 1;
        running.usual += usize::from(taken.0 == Urgency::Usual);
        Some(taken)
    }

    fn perform(self: &Arc<Self>, (urgency, job): (Urgency, Job)) {
        // Two that were called together may have been heard by one.
        let more = self.is_startable(&self.lock());
        if more {
            self.call();
        }
        job();
        self.end(urgency);
    }

    fn end(&self, urgency: Urgency) {
        let mut running = self.lock();
        running.all -= 1;
        running.usual -= usize::from(urgency == Urgency::Usual);
        if running.all == 0 {
            self.rest.notify_all();
        }
    }

    fn is_startable(&self, running: &Running) -> bool {
        !self.urgent.is_empty() || (!self.usual.is_empty() && running.usual < self.threads_max)
    }

    /// Waits for the bell of this thread; false if it did not ring for long.
    fn listen(&self, place: usize) -> bool {
        let bell = &self.bells[place];
        let (seconds, nanos) = (self.idle_max.as_secs(), self.idle_max.subsec_nanos());
        let timeout = Timespec { tv_sec: seconds as i64, tv_nsec: nanos.into() };
        let heard = poll(&mut [PollFd::new(bell, PollFlags::IN)], Some(&timeout)) != Ok(0);
        // Nobody else reads it; it is only not there after an interrupted wait, and then too the queues are looked at.
        _ = rustix::io::read(bell, &mut [0; 8]);
        heard
    }

    #[allow(clippy::disallowed_types, reason = "see above")]
    fn lock(&self) -> MutexGuard<'_, Running> {
        // No job runs under the lock, so nothing is half-done even if it is poisoned.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "the pool from outside of a machine")]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;
    use std::time::Instant;

    /// Does `meanwhile` over and over until it is so.
    fn until(so: impl Fn() -> bool, meanwhile: impl Fn()) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !so() {
            assert!(Instant::now() < deadline, "it does not come about");
            meanwhile();
        }
    }

    #[test]
    fn threads_that_have_nothing_to_do_end() {
        const THREADS: usize = 8;
        let patience = Duration::from_millis(200);
        let pool = Pool::with_patience(THREADS, None, patience).expect("there are bells");
        let threads = || pool.threads.load(SeqCst).count_ones() as usize;
        assert_eq!(threads(), 0, "none before there is work");
        for _ in 0..2 {
            // Each job holds its thread until all have one.
            let all_run = Arc::new(Barrier::new(THREADS));
            for _ in 0..THREADS {
                let all_run = all_run.clone();
                pool.run(Urgency::Usual, Box::new(move || _ = all_run.wait()));
            }
            pool.wait_idle();
            // Work for one, far more often than any loses its patience, keeps no more than that one.
            let done = Arc::new(AtomicUsize::new(0));
            let one_job = || {
                let (before, counter) = (done.load(SeqCst), done.clone());
                pool.run(Urgency::Usual, Box::new(move || _ = counter.fetch_add(1, SeqCst)));
                until(|| done.load(SeqCst) > before, std::thread::yield_now);
                std::thread::sleep(patience / 20);
            };
            until(|| threads() <= 1, one_job);
            until(|| threads() == 0, || std::thread::sleep(patience / 10));
        }
    }
}
