//! Chance outside the machine.

use crate::random::{Random, mix};

/// What a test of the simulated machine throws for itself: what its model does, when the power fails. It takes no part in
/// the machine's chance, so the machine's choices stay the same when the test asks for more; and it outlives a crash.
pub struct Dice(Random);

impl Dice {
    /// The same throws for the same seed, and others than the machine of that seed has.
    pub fn new(seed: u64) -> Self {
        Dice(Random::new(mix(!seed)))
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }
}
