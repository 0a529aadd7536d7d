//! The clocks: monotonic for durations, wall clock for timestamps in records.
//!
//! What always holds: [`now`] never goes back; a sleep never ends early; timers that are due at the same time fire in
//! the order in which they were set; a dropped [`Sleep`] leaves nothing behind.

#[cfg(feature = "sim")]
use crate::shard::Machine;
use crate::shard::Shard;
use std::collections::BTreeMap;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Add, Sub};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A point on the machine's monotonic clock, in nanoseconds since some moment before the machine started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// Where this machine's clock begins: for pure code that is tested without a machine.
    pub const ZERO: Instant = Instant(0);

    /// Nanoseconds since the clock's own beginning.
    pub fn as_nanos(self) -> u64 {
        self.0
    }

    /// From [`Instant::as_nanos`].
    pub fn from_nanos(nanos: u64) -> Self {
        Instant(nanos)
    }

    /// How long ago this was; zero if it is to come.
    pub fn elapsed(self) -> Duration {
        now() - self
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Saturates at the end of time (584 years).
    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Zero if `earlier` is later.
    fn sub(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The monotonic clock. Outside a shard: the process's.
pub fn now() -> Instant {
    Instant(Shard::try_with(|shard| shard.now_ns()).unwrap_or_else(monotonic_ns))
}

/// The wall clock, in milliseconds since 1970. May jump; for timestamps only. Outside a shard: the process's.
pub fn unix_ms() -> i64 {
    Shard::try_with(|shard| match &shard.machine {
        #[cfg(feature = "sim")]
        Machine::Sim(world) => world.unix_ms(),
        _ => wall_ms(),
    })
    .unwrap_or_else(wall_ms)
}

/// Nanoseconds of the kernel's monotonic clock.
pub(crate) fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn wall_ms() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// The sleepers of one shard, by deadline.
#[derive(Default)]
pub(crate) struct Timers {
    waiting: BTreeMap<(u64, u64), Waker>,
    next_ticket: u64,
}

impl Timers {
    /// When the first sleeper is due.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Takes those that are due out. They are woken outside the borrow.
    pub(crate) fn take_due(&mut self, now_ns: u64) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > now_ns {
                break;
            }
            due.push(first.remove());
        }
        due
    }
}

/// Ends at its deadline, not before. Cheap to drop.
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    deadline: Instant,
    ticket: Option<u64>,
    _on_its_shard: PhantomData<*const ()>,
}

impl Sleep {
    /// When it ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Shard::with(|shard| {
            if shard.now_ns() >= self.deadline.0 {
                return Poll::Ready(());
            }
            let mut timers = shard.timers.borrow_mut();
            let ticket = *self.ticket.get_or_insert_with(|| {
                timers.next_ticket += 1;
                timers.next_ticket
            });
            timers.waiting.insert((self.deadline.0, ticket), context.waker().clone());
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let waker = Shard::try_with(|shard| shard.timers.borrow_mut().waiting.remove(&(self.deadline.0, ticket)));
            drop(waker);
        }
    }
}

/// Sleeps for `duration`.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(now() + duration)
}

/// Sleeps until `deadline`.
pub(crate) fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, ticket: None, _on_its_shard: PhantomData }
}

/// Sleeps for `duration`, rounded up to a common grid of 10 ms, so that thousands of idle timeouts wake the shard
/// together instead of one by one.
pub fn sleep_coarse(duration: Duration) -> Sleep {
    const GRID_NS: u64 = 10_000_000;
    let exact = (now() + duration).0;
    sleep_until(Instant(exact.div_ceil(GRID_NS).saturating_mul(GRID_NS)))
}

/// The time was over before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time is over")]
pub struct Elapsed;

/// Runs `future` for at most `duration`, then drops it. Never around a read from a connection: a read that is dropped
/// half-way may have taken bytes with it (use [`crate::Closer`]).
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut sleep = pin!(sleep(duration));
    std::future::poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        sleep.as_mut().poll(context).map(|()| Err(Elapsed))
    })
    .await
}
