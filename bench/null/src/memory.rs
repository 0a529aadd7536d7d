//! The memory from which fetches are served: blocks of batches, the oldest of which are forgotten.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::partition::Partition;

/// The blocks, as a ring by their bytes.
pub(crate) struct Memory {
    budget: usize,
    taken: usize,
    /// What each took, and whose batches are in it, in the order in which they were appended.
    blocks: VecDeque<(usize, Vec<Rc<Partition>>)>,
}

impl Memory {
    pub(crate) fn new(budget: usize) -> Memory {
        Memory { budget, taken: 0, blocks: VecDeque::new() }
    }

    /// Keeps a block, and forgets the oldest ones until it fits. The newest stays in any case.
    pub(crate) fn keep(&mut self, bytes: usize, batches_of: Vec<Rc<Partition>>) {
        self.taken += bytes;
        self.blocks.push_back((bytes, batches_of));
        while self.taken > self.budget && self.blocks.len() > 1 {
            let (bytes, batches_of) = self.blocks.pop_front().expect("there are two at least");
            self.taken -= bytes;
            // Appended in this order, so forgotten in this order: each is the first of its partition.
            batches_of.iter().for_each(|partition| partition.forget_first());
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
            let both = [&partitions[turn % 2], &partitions[0]];
            for partition in both {
                let base = partition.assign(1);
                partition.append(Batch { base, next: base + 1, bytes: Bytes::from_static(b"x") });
            }
            memory.keep(40, both.map(Clone::clone).to_vec());
            assert!(memory.taken <= 100);
        }
        let left: i64 = partitions.iter().map(|partition| partition.end() - partition.start()).sum();
        assert_eq!(left, 4, "two blocks fit, of two batches each");
    }
}
