//! One partition: the batches of it that are still remembered, and the fetches that wait for more.

use ailurus_base::sync::Notify;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

/// Invariant: `start <= end <= next`; the batches cover `start..end` without a gap.
#[derive(Default)]
pub(crate) struct Partition {
    start: Cell<i64>,
    end: Cell<i64>,
    next: Cell<i64>,
    batches: RefCell<VecDeque<Batch>>,
    waiting: RefCell<Vec<Weak<Notify>>>,
}

/// A batch as it is sent, offset and epoch written into it.
pub(crate) struct Batch {
    pub(crate) base: i64,
    pub(crate) next: i64,
    pub(crate) bytes: Bytes,
}

impl Partition {
    /// The first offset that is remembered.
    pub(crate) fn start(&self) -> i64 {
        self.start.get()
    }

    /// The offset behind the last that may be read: the high watermark.
    pub(crate) fn end(&self) -> i64 {
        self.end.get()
    }

    /// Gives out `count` offsets and says which is the first.
    pub(crate) fn assign(&self, count: i64) -> i64 {
        self.next.replace(self.next.get() + count)
    }

    /// Makes a batch readable, in the order of its offsets, and wakes who waits for it.
    pub(crate) fn append(&self, batch: Batch) {
        assert_eq!(batch.base, self.end.get(), "batches become readable in the order of their offsets");
        self.end.set(batch.next);
        self.batches.borrow_mut().push_back(batch);
        for waiting in self.waiting.borrow_mut().drain(..) {
            if let Some(waiting) = waiting.upgrade() {
                waiting.notify_all();
            }
        }
    }

    /// Forgets the oldest batch.
    pub(crate) fn forget_first(&self) {
        let first = self.batches.borrow_mut().pop_front().expect("what is remembered is forgotten once");
        self.start.set(first.next);
    }

    /// Rings `bell` at the next append. Those that are gone by then are dropped here.
    pub(crate) fn wait(&self, bell: &Rc<Notify>) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|bell| bell.strong_count() > 0);
        waiting.push(Rc::downgrade(bell));
    }

    /// Whole batches from the one that holds `offset`, up to `most` bytes; the first of them in any case if `at_least_one`.
    pub(crate) fn read(&self, offset: i64, most: usize, at_least_one: bool) -> Vec<Bytes> {
        let batches = self.batches.borrow();
        let first = batches.partition_point(|batch| batch.next <= offset);
        let mut left = most;
        let mut found = Vec::new();
        for batch in batches.range(first..) {
            let len = batch.bytes.len();
            if len > left && !(at_least_one && found.is_empty()) {
                break;
            }
            left = left.saturating_sub(len);
            found.push(batch.bytes.clone());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Partition {
        let partition = Partition::default();
        for count in [3, 1, 2] {
            let base = partition.assign(count);
            partition.append(Batch { base, next: base + count, bytes: Bytes::from(vec![count as u8; 10]) });
        }
        partition
    }

    #[test]
    fn a_read_begins_with_the_batch_that_holds_the_offset() {
        let partition = filled();
        let counts = |offset, most, first| -> Vec<u8> {
            partition.read(offset, most, first).iter().map(|batch| batch[0]).collect()
        };
        assert_eq!(counts(2, 100, false), [3, 1, 2]);
        assert_eq!(counts(3, 100, false), [1, 2]);
        assert_eq!(counts(5, 100, false), [2]);
        assert_eq!(counts(6, 100, true), []);
        assert_eq!(counts(0, 29, false), [3, 1], "whole batches");
        assert_eq!(counts(0, 5, true), [3], "one in any case");
        assert_eq!(counts(0, 5, false), []);
    }

    #[test]
    fn what_is_forgotten_moves_the_start() {
        let partition = filled();
        partition.forget_first();
        assert_eq!((partition.start(), partition.end()), (3, 6));
    }
}
