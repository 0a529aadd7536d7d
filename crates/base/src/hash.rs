//! Hash maps with a seed that the thread is given at start.
//!
//! `rt` sets the seed before any shard code runs: random in production, derived from the run's seed in simulation.
//! Iteration order therefore repeats with the seed; code must still not depend on it.

use std::cell::Cell;
use std::hash::BuildHasher;

/// `std`'s map with the seeded hasher. Build it with `HashMap::default()`.
#[allow(clippy::disallowed_types, reason = "this is the door: the hasher is ours")]
pub type HashMap<K, V> = std::collections::HashMap<K, V, Seeded>;

/// `std`'s set with the seeded hasher. Build it with `HashSet::default()`.
#[allow(clippy::disallowed_types, reason = "this is the door: the hasher is ours")]
pub type HashSet<K> = std::collections::HashSet<K, Seeded>;

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0x9e37_79b9_7f4a_7c15) };
}

/// Sets the seed of every map made on this thread from now on.
pub fn set_seed(seed: u64) {
    SEED.set(seed);
}

/// Builds hashers from the seed of the thread that made it.
#[derive(Clone)]
pub struct Seeded(ahash::RandomState);

impl Default for Seeded {
    fn default() -> Self {
        let seed = SEED.get();
        Seeded(ahash::RandomState::with_seeds(seed, seed.rotate_left(17), seed.rotate_left(31), seed.rotate_left(47)))
    }
}

impl BuildHasher for Seeded {
    type Hasher = ahash::AHasher;

    fn build_hasher(&self) -> ahash::AHasher {
        self.0.build_hasher()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_the_order() {
        let order = |seed| {
            set_seed(seed);
            let map: HashMap<u32, ()> = (0..64).map(|key| (key, ())).collect();
            map.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
