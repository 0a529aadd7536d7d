//! Plain numbers of one shard. No locks and no names: whoever shows them gathers and names them.

use crate::crossing::LANES;
use crate::file::IoClass;
use crate::group::{GROUPS, Group};
use crate::shard::Shard;
use std::cell::Cell;
use std::sync::atomic::Ordering;

/// Number of I/O classes.
pub(crate) const CLASSES: usize = 4;
/// Buckets of a histogram: powers of two.
const BUCKETS: usize = 48;

/// A counter on one shard.
#[derive(Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.set(self.0.get() + count);
    }

    pub(crate) fn sub(&self, count: u64) {
        self.0.set(self.0.get() - count);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// How long something took, in nanoseconds, in buckets of powers of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// `buckets[i]` counts values below `2^(i+1)` that are not below `2^i`; the last one also all above.
    pub buckets: [u64; BUCKETS],
    /// Number of values.
    pub count: u64,
    /// Sum of all values.
    pub sum: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: [0; BUCKETS], count: 0, sum: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, ns: u64) {
        let bucket = (63 - (ns | 1).leading_zeros() as usize).min(BUCKETS - 1);
        self.buckets[bucket] += 1;
        self.count += 1;
        self.sum += ns;
    }

    /// An upper bound of the value below which `part` (0 to 1) of all values lie; 0 if there are none.
    pub fn quantile(&self, part: f64) -> u64 {
        let wanted = (self.count as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return 2 << bucket;
            }
        }
        0
    }

    /// Adds what another shard counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum += other.sum;
    }
}

/// The counters of one shard, as it counts them.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) polls: [Counter; GROUPS],
    pub(crate) run_ns: [Counter; GROUPS],
    pub(crate) turns: Counter,
    pub(crate) parks: Counter,
    pub(crate) park_ns: Counter,
    pub(crate) spin_hits: Counter,
    pub(crate) spin_misses: Counter,
    pub(crate) stalls: Counter,
    pub(crate) stall_worst_ns: Cell<u64>,
    pub(crate) crossings: [Counter; LANES],
    pub(crate) credit_waits: Counter,
    pub(crate) accepted: Counter,
    pub(crate) accepts_failed: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) disk: [DiskCounters; CLASSES],
}

/// The counters of one I/O class.
#[derive(Default)]
pub(crate) struct DiskCounters {
    pub(crate) reads: Counter,
    pub(crate) read_bytes: Counter,
    pub(crate) writes: Counter,
    pub(crate) write_bytes: Counter,
    pub(crate) flushes: Counter,
    pub(crate) in_flight: Counter,
    pub(crate) errors: Counter,
    pub(crate) read_ns: Cell<Option<Box<Histogram>>>,
    pub(crate) write_ns: Cell<Option<Box<Histogram>>>,
    pub(crate) flush_ns: Cell<Option<Box<Histogram>>>,
}

/// Adds a value to a histogram that is made at its first value.
pub(crate) fn record(histogram: &Cell<Option<Box<Histogram>>>, ns: u64) {
    let mut inner = histogram.take().unwrap_or_default();
    inner.record(ns);
    histogram.set(Some(inner));
}

fn read(histogram: &Cell<Option<Box<Histogram>>>) -> Histogram {
    let inner = histogram.take();
    let copy = inner.as_deref().cloned().unwrap_or_default();
    histogram.set(inner);
    copy
}

/// What a shard has done since it started. All counters only rise, but for those called "now".
#[derive(Clone, Debug, Default)]
pub struct ShardStats {
    /// Tasks polled, per group (in the order of [`Group::ALL`]).
    pub polls: [u64; GROUPS],
    /// Nanoseconds of run time, per group: of tasks, and of what other shards and threads called this one for.
    pub run_ns: [u64; GROUPS],
    /// Turns of the loop.
    pub turns: u64,
    /// How often the shard slept.
    pub parks: u64,
    /// Nanoseconds asleep.
    pub park_ns: u64,
    /// How often looking at the rings instead of sleeping found something.
    pub spin_hits: u64,
    /// How often it did not.
    pub spin_misses: u64,
    /// Tasks and calls that ran longer than the stall limit without a pause.
    pub stalls: u64,
    /// The longest of them, in nanoseconds.
    pub stall_worst_ns: u64,
    /// Calls to other shards, per lane.
    pub crossings: [u64; LANES],
    /// Calls that had to wait for a credit.
    pub credit_waits: u64,
    /// Tasks that have not ended, now.
    pub tasks_now: u64,
    /// Connections, now.
    pub connections_now: u64,
    /// Connections accepted here.
    pub accepted: u64,
    /// Accepts that failed here, other than by the fault of who connected.
    pub accepts_failed: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes of request memory that nobody holds, now.
    pub memory_free_now: u64,
    /// Bytes that the buffer slab keeps, now.
    pub slab_kept_now: u64,
    /// The disk, per class (in the order of [`IoClass::ALL`]).
    pub disk: [DiskStats; CLASSES],
}

/// What a shard has asked of the disk in one class.
#[derive(Clone, Debug, Default)]
pub struct DiskStats {
    /// Read operations that ended.
    pub reads: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Write operations that ended.
    pub writes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Flushes that ended.
    pub flushes: u64,
    /// Operations under way or waiting their turn, now.
    pub in_flight_now: u64,
    /// Operations that failed.
    pub errors: u64,
    /// How long reads took.
    pub read_ns: Histogram,
    /// How long writes took.
    pub write_ns: Histogram,
    /// How long flushes took.
    pub flush_ns: Histogram,
}

impl ShardStats {
    /// The numbers of one group: tasks polled, nanoseconds run.
    pub fn group(&self, group: Group) -> (u64, u64) {
        (self.polls[group as usize], self.run_ns[group as usize])
    }

    /// The disk numbers of one class.
    pub fn disk(&self, class: IoClass) -> &DiskStats {
        &self.disk[class as usize]
    }
}

/// The numbers of this shard.
///
/// # Panics
/// Outside a shard.
pub fn stats() -> ShardStats {
    Shard::with(|shard| {
        let counters = &shard.stats;
        ShardStats {
            polls: std::array::from_fn(|group| counters.polls[group].get()),
            run_ns: std::array::from_fn(|group| counters.run_ns[group].get()),
            turns: counters.turns.get(),
            parks: counters.parks.get(),
            park_ns: counters.park_ns.get(),
            spin_hits: counters.spin_hits.get(),
            spin_misses: counters.spin_misses.get(),
            stalls: counters.stalls.get(),
            stall_worst_ns: counters.stall_worst_ns.get(),
            crossings: std::array::from_fn(|lane| counters.crossings[lane].get()),
            credit_waits: counters.credit_waits.get(),
            tasks_now: shard.tasks.live() as u64,
            connections_now: u64::from(shard.inbox.connections.load(Ordering::Relaxed)),
            accepted: counters.accepted.get(),
            accepts_failed: counters.accepts_failed.get(),
            bytes_received: counters.bytes_received.get(),
            bytes_sent: counters.bytes_sent.get(),
            memory_free_now: shard.memory.free(),
            slab_kept_now: shard.slab.kept_bytes(),
            disk: std::array::from_fn(|class| counters.disk[class].read()),
        }
    })
}

impl DiskCounters {
    fn read(&self) -> DiskStats {
        DiskStats {
            reads: self.reads.get(),
            read_bytes: self.read_bytes.get(),
            writes: self.writes.get(),
            write_bytes: self.write_bytes.get(),
            flushes: self.flushes.get(),
            in_flight_now: self.in_flight.get(),
            errors: self.errors.get(),
            read_ns: read(&self.read_ns),
            write_ns: read(&self.write_ns),
            flush_ns: read(&self.flush_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_upper_bounds() {
        let mut histogram = Histogram::default();
        for ns in [100, 200, 300, 1_000_000] {
            histogram.record(ns);
        }
        assert!((200..=512).contains(&histogram.quantile(0.5)));
        assert!(histogram.quantile(1.0) >= 1_000_000);
        assert_eq!((histogram.count, histogram.sum), (4, 1_000_600));
        assert_eq!(Histogram::default().quantile(0.99), 0);
    }
}
