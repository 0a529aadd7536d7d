//! The memory from which fetches are served: batches, the oldest of which are forgotten.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::partition::Partition;

/// The batches of all partitions, as a ring by their bytes.
pub(crate) struct Memory {
    budget: usize,
    taken: usize,
    /// How long each is, and whose, in the order in which they were appended.
    batches: VecDeque<(usize, Rc<Partition>)>,
}

impl Memory {
    pub(crate) fn new(budget: usize) -> Memory {
        Memory { budget, taken: 0, batches: VecDeque::new() }
    }

    /// Keeps the batch that was just appended to `of`, and forgets the oldest ones until it fits. It stays in any case.
    pub(crate) fn keep(&mut self, bytes: usize, of: Rc<Partition>) {
        self.taken += bytes;
        self.batches.push_back((bytes, of));
        while self.taken > self.budget && self.batches.len() > 1 {
            let (bytes, of) = self.batches.pop_front().expect("there are two at least");
            self.taken -= bytes;
            // Appended in this order, so forgotten in this order: each is the first of its partition.
            of.forget_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::Batch;
    use bytes::Bytes;

    #[test]
    fn it_stays_within_its_budget() {
        let (mut memory, partitions) = (Memory::new(100), [Rc::new(Partition::default()), Rc::default()]);
        for turn in 0..50 {
            let of = partitions[turn % 2].clone();
            let base = of.assign(1);
            of.append(Batch { base, next: base + 1, bytes: Bytes::from_static(b"x") });
            memory.keep(40, of);
            assert!(memory.taken <= 100);
        }
        let left: i64 = partitions.iter().map(|partition| partition.end() - partition.start()).sum();
        assert_eq!(left, 2, "two batches fit");
    }
}
