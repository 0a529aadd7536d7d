//! What was due in the window, and what became of it.
//!
//! Counts only, by the time at which records were due: enough to know at the end how many never came back and how old
//! they are, without remembering each record.

use crate::clock::SECOND;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Records due within the same such time are counted together. Far below the age of what is lost (10 s and more).
const BUCKET: u64 = SECOND / 100;
/// The longest window: records that are due beyond it share the last bucket.
const WINDOW_MAX: u64 = 3600 * SECOND;
const BUCKETS: usize = (WINDOW_MAX / BUCKET) as usize;

/// The measured window `[from, to)`, in nanoseconds of the monotonic clock. Set after the clients have been started,
/// before the first record is due; `to` is open until it is known.
#[derive(Debug)]
pub(crate) struct Window {
    from: AtomicU64,
    to: AtomicU64,
}

impl Window {
    /// A window that holds nothing yet.
    pub(crate) fn unset() -> Window {
        Window { from: AtomicU64::new(u64::MAX), to: AtomicU64::new(u64::MAX) }
    }

    pub(crate) fn set(&self, from: u64, to: Option<u64>) {
        self.to.store(to.unwrap_or(u64::MAX), Relaxed);
        self.from.store(from, Relaxed);
    }

    pub(crate) fn from(&self) -> u64 {
        self.from.load(Relaxed)
    }

    pub(crate) fn to(&self) -> u64 {
        self.to.load(Relaxed)
    }

    pub(crate) fn holds(&self, time: u64) -> bool {
        (self.from()..self.to()).contains(&time)
    }
}

/// Shared by all clients of a run.
pub(crate) struct Ledger {
    pub(crate) window: Window,
    /// Records of the window that librdkafka has taken.
    pub(crate) produced: AtomicU64,
    /// Records of the window that were acknowledged.
    pub(crate) acknowledged: AtomicU64,
    /// Records of the window that librdkafka has given up.
    pub(crate) failed: AtomicU64,
    /// Records of the window that were received.
    pub(crate) consumed: AtomicU64,
    /// Records that were received within the window, whenever they were due.
    pub(crate) received: AtomicU64,
    due: Box<[AtomicU32]>,
    acknowledged_by_due: Box<[AtomicU32]>,
    consumed_by_due: Box<[AtomicU32]>,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Ledger {
    pub(crate) fn new() -> Ledger {
        let zeros = || (0..BUCKETS).map(|_| AtomicU32::new(0)).collect();
        Ledger {
            window: Window::unset(),
            produced: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            consumed: AtomicU64::new(0),
            received: AtomicU64::new(0),
            due: zeros(),
            acknowledged_by_due: zeros(),
            consumed_by_due: zeros(),
            errors: Mutex::default(),
        }
    }

    /// A record is due, whether or not anybody takes it.
    pub(crate) fn is_due(&self, due: u64) {
        self.count(&self.due, due);
    }

    /// librdkafka took it.
    pub(crate) fn is_produced(&self, due: u64) {
        if self.window.holds(due) {
            self.produced.fetch_add(1, Relaxed);
        }
    }

    /// The broker acknowledged it.
    pub(crate) fn is_acknowledged(&self, due: u64) {
        if self.count(&self.acknowledged_by_due, due) {
            self.acknowledged.fetch_add(1, Relaxed);
        }
    }

    /// librdkafka gave it up. It stays lost.
    pub(crate) fn is_failed(&self, due: u64, why: String) {
        if self.window.holds(due) {
            self.failed.fetch_add(1, Relaxed);
        }
        self.error(why);
    }

    /// A consumer has it, at `now`.
    pub(crate) fn is_received(&self, due: u64, now: u64) {
        if self.window.holds(now) {
            self.received.fetch_add(1, Relaxed);
        }
        if self.count(&self.consumed_by_due, due) {
            self.consumed.fetch_add(1, Relaxed);
        }
    }

    /// Something went wrong, in the window or not.
    pub(crate) fn error(&self, why: String) {
        *self.errors.lock().expect("nobody panics while holding it").entry(why).or_default() += 1;
    }

    /// How often what went wrong.
    pub(crate) fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().expect("nobody panics while holding it").clone()
    }

    /// True if the record was due in the window.
    fn count(&self, counts: &[AtomicU32], due: u64) -> bool {
        let holds = self.window.holds(due);
        if holds {
            let bucket = ((due - self.window.from()) / BUCKET) as usize;
            counts[bucket.min(BUCKETS - 1)].fetch_add(1, Relaxed);
        }
        holds
    }

    /// What has not come back, when nobody produces or waits any more.
    pub(crate) fn missing(&self, consumers: bool) -> Missing {
        let mut missing = Missing::default();
        for bucket in 0..BUCKETS {
            let due = self.due[bucket].load(Relaxed);
            let acknowledged = self.acknowledged_by_due[bucket].load(Relaxed);
            let came = if consumers { self.consumed_by_due[bucket].load(Relaxed) } else { acknowledged };
            let at = self.window.from() + bucket as u64 * BUCKET;
            missing.due += u64::from(due);
            missing.lost += u64::from(due.saturating_sub(acknowledged.min(came)));
            missing.unacknowledged.extend(few(at, due, acknowledged));
            missing.unreceived.extend(few(at, due, came).filter(|_| consumers));
        }
        missing
    }
}

fn few(at: u64, due: u32, came: u32) -> impl Iterator<Item = (u64, u64)> {
    (due > came).then(|| (at, u64::from(due - came))).into_iter()
}

/// Records of the window that did not come back. Pairs are when they were due, and how many.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// All that was due.
    pub(crate) due: u64,
    /// Not acknowledged, or not received although somebody consumes: each record once.
    pub(crate) lost: u64,
    pub(crate) unacknowledged: Vec<(u64, u64)>,
    pub(crate) unreceived: Vec<(u64, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let ledger = Ledger::new();
        ledger.window.set(SECOND, Some(3 * SECOND));
        ledger
    }

    #[test]
    fn what_is_due_outside_the_window_does_not_count() {
        let ledger = ledger();
        for due in [SECOND - 1, SECOND, 3 * SECOND - 1, 3 * SECOND] {
            ledger.is_due(due);
            ledger.is_produced(due);
            ledger.is_acknowledged(due);
            ledger.is_received(due, 3 * SECOND - 1);
        }
        assert_eq!(ledger.produced.load(Relaxed), 2);
        assert_eq!(ledger.acknowledged.load(Relaxed), 2);
        assert_eq!(ledger.consumed.load(Relaxed), 2);
        assert_eq!(ledger.received.load(Relaxed), 4);
        assert_eq!(ledger.missing(true), Missing { due: 2, ..Missing::default() });
    }

    #[test]
    fn each_record_is_lost_once() {
        let ledger = ledger();
        (0..4).for_each(|_| ledger.is_due(2 * SECOND));
        (0..3).for_each(|_| ledger.is_acknowledged(2 * SECOND));
        ledger.is_received(2 * SECOND, 2 * SECOND);
        let missing = ledger.missing(true);
        assert_eq!((missing.due, missing.lost), (4, 3));
        assert_eq!(missing.unacknowledged, [(2 * SECOND, 1)]);
        assert_eq!(missing.unreceived, [(2 * SECOND, 3)]);
        assert_eq!(ledger.missing(false).lost, 1, "nobody was there to receive");
    }
}
