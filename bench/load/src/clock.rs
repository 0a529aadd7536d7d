//! CLOCK_MONOTONIC and the CPU time of this process, both in nanoseconds; the wall clock in milliseconds.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime};

/// One second, in nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Nanoseconds since the machine started: the same for all processes of it, so that it can travel in a record.
pub(crate) fn now() -> u64 {
    read(ClockId::Monotonic)
}

/// CPU time that all threads of this process have used.
pub(crate) fn cpu() -> u64 {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64)
}

/// Sleeps until `time`, if that is not over.
pub(crate) fn sleep_until(time: u64) {
    let left = time.saturating_sub(now());
    if left > 0 {
        std::thread::sleep(Duration::from_nanos(left));
    }
}
