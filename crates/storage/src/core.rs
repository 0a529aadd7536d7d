//! What the logs of a shard share: the journal, the segments' cache and handles, and the budget of their tails.

use std::cell::Cell;
use std::rc::Rc;

use ailurus_base::sync::Notify;

use crate::config::StorageConfig;
use crate::journal::Journal;
use crate::segment::SegmentShard;

/// See the module's head.
pub(crate) struct Core {
    /// How many shards share the disk.
    pub(crate) shards: u16,
    /// The journal was found as a clean stop had left it.
    pub(crate) found_clean: bool,
    pub(crate) config: Rc<StorageConfig>,
    pub(crate) journal: Rc<Journal>,
    pub(crate) segments: Rc<SegmentShard>,
    tail_bytes: Cell<u64>,
    /// Rung when tails have shrunk below their limit.
    room: Notify,
    /// Rung when a log that is loaded whole has come into segments.
    pub(crate) compact: Notify,
    /// Clients' appends are refused: the disk is below its reserve.
    pub(crate) full: Cell<bool>,
    pub(crate) counts: Cell<DrainCounts>,
}

/// Counts of what was moved from tails to segments since start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct DrainCounts {
    /// Times that a log was drained.
    pub logs: u64,
    /// Bytes written to segments.
    pub bytes: u64,
    /// Flushes of one segment.
    pub flushes: u64,
    /// Flushes of the whole file system for many logs at once.
    pub fs_flushes: u64,
    /// Bytes written again at the journal's head.
    pub carried_bytes: u64,
    /// Checkpoints written only to set a journal file free.
    pub checkpoints: u64,
}

impl Core {
    /// Nothing in any tail yet.
    pub(crate) fn new(
        shards: u16,
        found_clean: bool,
        config: Rc<StorageConfig>,
        journal: Rc<Journal>,
        segments: Rc<SegmentShard>,
    ) -> Rc<Self> {
        Rc::new(Core {
            shards,
            found_clean,
            config,
            journal,
            segments,
            tail_bytes: Cell::new(0),
            room: Notify::new(),
            compact: Notify::new(),
            full: Cell::new(false),
            counts: Cell::default(),
        })
    }

    /// A tail that cost `before` costs `after` now.
    pub(crate) fn tail_changed(&self, before: u64, after: u64) {
        let held = self.tail_bytes.get();
        let now = held + after - before;
        self.tail_bytes.set(now);
        if (held == 0 && now > 0) || (!self.is_pressing(held) && self.is_pressing(now)) {
            self.ring();
        }
        if held >= self.config.tail_bytes_max && now < self.config.tail_bytes_max {
            self.room.notify_all();
        }
    }

    /// Bytes of all tails.
    pub(crate) fn tail_bytes(&self) -> u64 {
        self.tail_bytes.get()
    }

    /// Whether tails are so large that the largest are drained, however busy.
    pub(crate) fn is_pressed(&self) -> bool {
        self.is_pressing(self.tail_bytes.get())
    }

    fn is_pressing(&self, tail_bytes: u64) -> bool {
        tail_bytes >= self.config.tail_bytes_max / 2
    }

    /// Clients' appends are refused, or taken again.
    pub(crate) fn set_full(&self, full: bool) {
        if self.full.replace(full) != full {
            let reserve = self.config.min_free_bytes;
            tracing::warn!(full, reserve, "disk space: clients' appends are refused while it is full");
            self.room.notify_all();
            self.ring();
        }
    }

    /// Whether tails are below their limit.
    pub(crate) fn has_room(&self) -> bool {
        self.tail_bytes.get() < self.config.tail_bytes_max
    }

    /// Returns when they are, or when the disk is full: then an append gets its refusal rather than a wait for a drain that
    /// cannot be.
    pub(crate) async fn until_room(&self) {
        let room_or_full = || {
            let settled = self.has_room() || self.full.get();
            if !settled {
                // Only what is flushed can be drained; and others may have taken the room again, from memory.
                self.journal.hasten();
            }
            settled.then_some(())
        };
        self.room.until(room_or_full).await;
    }

    /// There may be something to drain or to recycle.
    pub(crate) fn ring(&self) {
        self.journal.turned().notify_all();
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut DrainCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }
}
