//! The seeded generator behind every choice of the simulated disk.

use std::time::Duration;

/// SplitMix64: one word of state, every seed good, the same on every machine. Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(super) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `0..n`; `n` is at least 1.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "a die needs a side");
        ((u128::from(self.word()) * u128::from(n)) >> 64) as u64
    }

    /// True in `ppm` of a million cases.
    pub(super) fn chance(&mut self, ppm: u32) -> bool {
        // Off must not consume a number: switching a fault off then leaves the rest of a seed's run as it was.
        ppm > 0 && self.below(1_000_000) < u64::from(ppm)
    }

    /// Between half and one and a half of `usual`.
    pub(super) fn around(&mut self, usual: Duration) -> Duration {
        let nanos = usual.as_nanos() as u64;
        if nanos == 0 { Duration::ZERO } else { Duration::from_nanos(nanos / 2 + self.below(nanos)) }
    }
}
