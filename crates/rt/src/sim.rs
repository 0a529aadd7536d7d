//! The simulated machine: all shards in one thread, a virtual clock, a disk that forgets, and chance from one seed.
//!
//! The program under test is the real one; only the inside of `rt`'s types differs. The seed decides which ready task of
//! which shard runs next, how long each step takes, when a message between two shards arrives (never overtaking within a
//! pair and direction), how long an operation on the disk takes and what goes wrong there.
//!
//! What always holds: the same seed and the same program give the same run ([`Sim::trace_hash`]); time moves only when
//! somebody runs or nobody can; what a crash leaves behind is what [`disk::SimDisk`] says.
//!
//! Not yet: a network ([`crate::Conn::connect`] fails with `Unsupported`), several machines.

mod dice;
pub mod disk;
mod machine;
mod seeds;
mod world;

use crate::shard::Shard;

pub use dice::Dice;
pub use disk::{DiskFaults, DiskOp, SimDisk};
pub use machine::{Outcome, Sim, SimConfig};
pub use seeds::seeds;
pub(crate) use world::{SimFile, SimLock, World};

/// The disk of the simulated machine on which the caller runs, to let something go wrong at a moment of its choice.
///
/// # Panics
/// On a real machine.
pub fn with_disk<T>(with: impl FnOnce(&mut SimDisk) -> T) -> T {
    let world = Shard::with(|shard| shard.world().cloned()).expect("the machine is simulated");
    let mut disk = world.disk.borrow_mut();
    with(&mut disk)
}
