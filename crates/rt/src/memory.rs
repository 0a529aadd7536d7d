//! Admission: requests hold a permit for the bytes they may occupy.

use crate::shard::Shard;
use ailurus_base::sync::{Semaphore, Units};
use std::rc::Rc;

/// Bytes on loan, granted in the order of asking.
pub struct Memory {
    units: Rc<Semaphore>,
    largest: u64,
}

/// Bytes that somebody may occupy. Dropped, they are free again.
pub struct Permit(Units);

impl Memory {
    /// `bytes` to lend.
    pub fn new(bytes: u64) -> Rc<Memory> {
        Rc::new(Memory { units: Semaphore::new(bytes), largest: bytes / 2 })
    }

    /// The largest permit there is: half of the whole, so that one request never needs everyone else to be done. Who
    /// needs more is refused, never made to wait.
    pub fn largest(&self) -> u64 {
        self.largest
    }

    /// Bytes that nobody holds.
    pub fn free(&self) -> u64 {
        self.units.free()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.units.waiting()
    }

    /// `bytes` now, or nothing if they are not free or others wait already.
    pub fn try_acquire(self: &Rc<Self>, bytes: u64) -> Option<Permit> {
        self.units.try_acquire(bytes).map(Permit)
    }

    /// Waits its turn for `bytes`.
    ///
    /// # Panics
    /// If `bytes` is above [`Memory::largest`]: it would never come.
    pub async fn acquire(self: &Rc<Self>, bytes: u64) -> Permit {
        assert!(bytes <= self.largest, "a permit of {bytes} bytes is never granted (largest: {})", self.largest);
        Permit(self.units.acquire(bytes).await)
    }
}

impl Permit {
    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.0.count()
    }

    /// Takes `bytes` of this one into a permit of their own.
    ///
    /// # Panics
    /// If it holds fewer.
    pub fn split(&mut self, bytes: u64) -> Permit {
        Permit(self.0.split(bytes))
    }
}

/// This shard's share of the machine's memory for requests.
///
/// # Panics
/// Outside a shard.
pub fn memory() -> Rc<Memory> {
    Shard::with(|shard| shard.memory.clone())
}
