//! Time as the decisions see it: it comes in, they never look at a clock.

/// A moment of the shard's monotonic clock, in whole milliseconds. Deadlines are such moments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// So many milliseconds later.
    pub fn plus_ms(self, ms: u64) -> Tick {
        Tick(self.0.saturating_add(ms))
    }
}

/// The present, on both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// For timeouts.
    pub tick: Tick,
    /// Milliseconds since 1970: for what is stored, since the monotonic clock ends with the process.
    pub unix_ms: i64,
}
