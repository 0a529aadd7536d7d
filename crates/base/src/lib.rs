//! What the standard library lacks for code that lives on one shard.
//!
//! Nothing here knows the clock, the disk, the network or Kafka. Everything is single-threaded on purpose: a value
//! lives on one shard, so waiting needs no lock and no atomic.
//!
//! - [`crc`]: the checksum of batches and files.
//! - [`hash`]: maps whose hasher is seeded, so that a simulated run repeats and a production one cannot be flooded.
//! - [`sync`]: waiting for a change on the same shard: [`sync::Notify`], [`sync::Watch`], [`sync::oneshot`],
//!   [`sync::Semaphore`].

pub mod crc;
pub mod hash;
pub mod sync;

pub use hash::{HashMap, HashSet};
