//! Environments that we cannot live in: the process ends with a reason and an exit code of its own.

use crate::shard::Shard;
use std::io::Write;

/// Why the process ends. The number is its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Fatal {
    /// The configuration is wrong.
    #[error("the configuration is wrong")]
    Config = 64,
    /// A write or flush of the journal failed: what is on the disk is unknown.
    #[error("the disk failed")]
    DiskFailed = 65,
    /// The data directory was written by another version.
    #[error("the data directory is of another version")]
    DataDirVersion = 66,
    /// Another process uses the data directory.
    #[error("the data directory is in use by another process")]
    DataDirInUse = 67,
    /// What had been flushed is damaged and there is nobody to repair it from.
    #[error("the data directory is damaged")]
    DataDirCorrupt = 68,
    /// Another process listens on the port.
    #[error("the port is taken")]
    PortTaken = 69,
    /// The system gives no I/O driver, thread or file handle.
    #[error("the system refuses what a broker needs")]
    System = 71,
    /// A second signal asked it to end without waiting for anything. The number is the shell's for SIGTERM.
    #[error("ended by a second signal")]
    Killed = 143,
}

impl Fatal {
    /// The exit code of the process.
    pub fn exit_code(self) -> i32 {
        i32::from(self as u8)
    }
}

/// What unwinds to the simulated machine when a simulated process ends itself.
#[cfg(feature = "sim")]
pub(crate) struct FatalInSim(pub(crate) Fatal);

/// Ends the process at once, without flushing anything: says `why` to standard error and exits with
/// [`Fatal::exit_code`]. In simulation it ends the simulated process.
pub fn fatal(why: Fatal) -> ! {
    let simulated = Shard::try_with(|shard| shard.driver().is_none()).unwrap_or(false);
    if simulated {
        #[cfg(feature = "sim")]
        std::panic::resume_unwind(Box::new(FatalInSim(why)));
    }
    // Where standard error is closed, nobody can be told, and whoever writes the log may panic over it: the exit code is
    // what is left to say.
    _ = writeln!(std::io::stderr(), "fatal: {why}");
    _ = std::panic::catch_unwind(|| tracing::error!(exit_code = why.exit_code(), "{why}"));
    std::process::exit(why.exit_code())
}
