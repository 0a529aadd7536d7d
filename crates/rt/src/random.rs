//! Chance, from a seed per shard: fast, not for secrets.

use crate::shard::Shard;
use std::cell::Cell;

/// SplitMix64: one word of state, every seed is good.
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(Cell::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        mix(self.0.get())
    }

    /// Below `bound`, which is not 0. Unbiased to within 2^-64.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

pub(crate) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// 64 bits from the kernel.
pub(crate) fn seed_from_kernel() -> u64 {
    let mut bytes = [0u8; 8];
    match rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty()) {
        Ok(8) => u64::from_ne_bytes(bytes),
        // Before the kernel's generator is ready or without the call: the clock is better than nothing.
        _ => mix(crate::time::monotonic_ns()),
    }
}

/// 64 bits of chance.
///
/// # Panics
/// Outside a shard.
pub fn random_u64() -> u64 {
    Shard::with(|shard| shard.random.next())
}

/// A number below `bound`.
///
/// # Panics
/// If `bound` is 0, or outside a shard.
pub fn random_below(bound: u64) -> u64 {
    assert!(bound > 0, "there is no number below 0");
    Shard::with(|shard| shard.random.below(bound))
}

/// 128 bits of chance, for ids.
///
/// # Panics
/// Outside a shard.
pub fn random_u128() -> u128 {
    Shard::with(|shard| u128::from(shard.random.next()) << 64 | u128::from(shard.random.next()))
}
