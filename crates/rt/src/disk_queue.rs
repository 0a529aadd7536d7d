//! Who may use the disk: one queue per shard before the driver.
//!
//! Produce, fetch and replication go straight through: they are what the disk is for, and their number is bounded above.
//! Background work has at most two pieces of 128 KiB (or flushes) in flight, so that a produce flush never stands behind
//! a compaction.

use crate::blocking::Urgency;
use crate::file::IoClass;
use ailurus_base::sync::{Semaphore, Units};
use std::rc::Rc;

/// Pieces of background work in flight per shard.
const BACKGROUND_PIECES: u64 = 2;
/// Size of a piece, in bytes.
const BACKGROUND_PIECE_BYTES: usize = 128 << 10;

pub(crate) struct DiskQueue {
    background: Rc<Semaphore>,
}

impl DiskQueue {
    pub(crate) fn new() -> Self {
        DiskQueue { background: Semaphore::new(BACKGROUND_PIECES) }
    }

    /// The turn to use the disk: the permit to hold meanwhile.
    pub(crate) fn turn(&self, class: IoClass) -> impl Future<Output = Option<Units>> + use<> {
        let background = (class == IoClass::Background).then(|| self.background.clone());
        async move {
            match background {
                Some(background) => Some(background.acquire(1).await),
                None => None,
            }
        }
    }
}

impl IoClass {
    /// How many bytes may go at once.
    pub(crate) fn piece_bytes(self) -> usize {
        if self == IoClass::Background { BACKGROUND_PIECE_BYTES } else { usize::MAX }
    }

    /// Where the disk is used by the small thread pool: who may wait there for whom.
    pub(crate) fn urgency(self) -> Urgency {
        match self {
            IoClass::Produce | IoClass::Raft => Urgency::Urgent,
            IoClass::Fetch | IoClass::Background => Urgency::Usual,
        }
    }
}
