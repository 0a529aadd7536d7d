//! What a machine is given: how many shards, which driver, how much memory.

use crate::backend::Rung;
use std::path::PathBuf;
use std::time::Duration;

/// What [`crate::run`] is given. [`Config::default`] is right for production.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many shards; 0 = as many as this process may use CPUs (affinity and cgroup quota respected).
    pub shards: usize,
    /// Which driver to ask for.
    pub backend: Backend,
    /// Bytes that requests of all shards together may hold; each shard grants its share ([`crate::memory`]).
    pub memory: u64,
    /// Bind each shard to one CPU. Done only where there are exactly as many shards as CPUs that this process may use, and
    /// no cgroup quota below that: else others use the same CPUs, and where each should run is the kernel's to say.
    pub pin: bool,
    /// How a shard waits for others before it sleeps.
    pub spin: Spin,
    /// Entries of each shard's submission queue. Halved until the kernel grants it.
    pub ring_entries: u32,
    /// Calls that one shard may have at another per lane whose inline part has not run yet.
    pub lane_credits: u16,
    /// Bytes that files below `disk_space_root` may take up: beyond it, writes that grow a file fail with ENOSPC.
    pub disk_space_max: Option<u64>,
    /// Where the space limit counts. Files that exist there at the start count as well.
    pub disk_space_root: Option<PathBuf>,
    /// Ask for O_DIRECT where a file is opened with `direct`. If false, such files are buffered.
    pub direct_io: bool,
    /// Seed of the per-shard generators and of the hashers; `None` = from the kernel.
    pub seed: Option<u64>,
    /// A task that runs longer than this without a pause is counted and logged as a stall.
    pub stall: Duration,
    /// Threads for [`crate::run_blocking`] and, on epoll, for files; of the whole process. There is one more that does only
    /// what producers and replication wait for.
    pub blocking_threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            shards: 0,
            backend: Backend::Auto,
            memory: 1 << 30,
            pin: true,
            spin: Spin::Auto,
            ring_entries: 1024,
            lane_credits: 256,
            disk_space_max: None,
            disk_space_root: None,
            direct_io: true,
            seed: None,
            stall: Duration::from_millis(25),
            blocking_threads: 4,
        }
    }
}

impl Config {
    /// For tests: two shards anywhere, small rings, few credits, 64 MiB.
    pub fn small() -> Self {
        Config {
            shards: 2,
            memory: 64 << 20,
            pin: false,
            ring_entries: 64,
            lane_credits: 8,
            blocking_threads: 2,
            ..Config::default()
        }
    }
}

/// Which driver to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The best rung of the ladder that the kernel grants.
    Auto,
    /// io_uring or an error.
    Uring,
    /// epoll, with files on the small thread pool.
    Epoll,
    /// This rung or an error: for tests, and to find out which rung a kernel is wrong about.
    Exactly(Rung),
}

/// How a shard waits for others before it sleeps. An idle machine sleeps in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spin {
    /// [`Spin::Adaptive`] with 10 us, but off where shards would take CPU from each other or from a cgroup quota.
    Auto,
    /// Looks at the rings for up to `max` before it sleeps, as long as that has been worth it lately.
    Adaptive {
        /// Longest look.
        max: Duration,
    },
    /// Sleeps at once.
    Off,
}

/// Why the machine did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No driver of the kind that was asked for.
    #[error("no I/O driver: {0}")]
    NoDriver(String),
    /// A thread could not be started.
    #[error("cannot start shard {shard}: {source}")]
    Thread {
        /// Which shard.
        shard: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration makes no sense.
    #[error("bad configuration: {0}")]
    Config(String),
    /// A shard ended before `main` did, without a panic of its own.
    #[error("the main task was lost")]
    Lost,
}
