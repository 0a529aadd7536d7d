//! The reactor: one pinned thread per core, and the only doors to time, chance, disk and network.
//!
//! A *shard* is one thread with its own executor, its own I/O driver, its own memory share and its own connections.
//! Shards share nothing that changes; they call each other over bounded rings ([`Sharded::on`]).
//!
//! What this crate is not: it knows no Kafka, no log and no protocol, and it offers no thread pool for data: only
//! [`run_blocking`] for cold work, where files go as well if the kernel grants no io_uring.
//!
//! What always holds:
//! - A value made on a shard is polled, used and dropped on that shard; what crosses is `Send` and moves.
//! - Calls from one shard to another start in the order in which they were made, per lane; answers are never refused.
//! - An I/O operation owns its buffer until the kernel is done with it, also when its future is dropped.
//! - Nothing in here blocks a shard; whatever must block runs on the small pool of [`run_blocking`].
//! - Under the feature `sim` the same program runs on a simulated machine ([`sim::Sim`]): one thread, a virtual clock,
//!   chance from a seed, and a disk that forgets what was not flushed.
//!
//! In reading order:
//! - [`config`]: what a machine is given; [`backend`]: which rung of the ladder it stands on.
//! - `hub`, `ring`, `crossing`: what shards share, the rings between them, calls and credits.
//! - `shard`, `group`, `task`, `executor`, `watchdog`: one shard, who runs next, what runs, the loop that runs it,
//!   and who notices when it does not come back.
//! - [`sharded`]: services with one part per shard; [`foreign`]: values that go home; [`outside`]: other threads.
//! - [`time`], [`random`], [`gate`], [`memory`], [`signal`]: clocks, chance, leaving in order, admission, the end.
//! - [`dma`], `chunk`, [`file`], [`fs`], `disk_queue`, `space`, `blocking`: buffers, shared ones, files, directories, who may use the disk.
//! - [`net`]: listeners and connections.
//! - [`stats`], [`fatal`]: numbers, and environments we cannot live in.
//! - `sim`: the simulated machine.

pub mod backend;
mod blocking;
mod chunk;
pub mod config;
mod crossing;
mod disk_queue;
pub mod dma;
mod driver;
mod executor;
pub mod fatal;
pub mod file;
pub mod foreign;
pub mod fs;
pub mod gate;
mod group;
mod hub;
pub mod memory;
pub mod net;
pub mod outside;
pub mod random;
mod ring;
mod shard;
pub mod sharded;
pub mod signal;
#[cfg(feature = "sim")]
pub mod sim;
mod space;
pub mod stats;
mod task;
pub mod time;
mod watchdog;

pub use backend::{BackendReport, Rung, backend};
pub use blocking::run_blocking;
pub use chunk::Chunk;
pub use config::{Backend, Config, Error, Spin};
pub use dma::DmaBuf;
pub use executor::run;
pub use fatal::{Fatal, fatal};
pub use file::{File, IoClass, OpenOptions};
pub use foreign::Foreign;
pub use gate::{Abort, Closed, Gate, Pass};
pub use group::Group;
pub use memory::{Memory, Permit, memory};
pub use net::{Closer, Conn, ConnRx, ConnTx, Listener, connection_count, resolve};
pub use outside::{LocalBoxFuture, Outside, OutsideCall, Refused, start_thread};
pub use random::{random_below, random_u64, random_u128};
pub use shard::{shard_count, this_shard};
pub use sharded::{Call, Lane, Overloaded, Sharded};
pub use signal::{Signal, catch_shutdown_signals, shutdown_signal};
pub use stats::{Histogram, ShardStats, stats};
pub use task::{Task, need_preempt, spawn, yield_if_needed, yield_now};
pub use time::{Elapsed, Instant, Sleep, now, sleep, sleep_coarse, timeout, unix_ms};
