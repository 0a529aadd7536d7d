//! The ladder: io_uring with everything that helps, with less, plain; then epoll.
//!
//! Each rung is tried by setting it up, waiting on it once and ringing its bell once: a kernel may grant a ring that it
//! cannot serve as we use it. What was refused, and why, is kept for the banner and the doctor.

use crate::config::{Backend, Config, Error};
use crate::driver::Driver;
use crate::shard::{Machine, Shard};
use compio::driver::op::OpCodeFlag;
use compio::driver::{DriverType, Proactor, ProactorBuilder};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// The smallest submission queue that is still worth having.
const ENTRIES_MIN: u32 = 16;
/// ENOMEM: what the kernel says when locked memory is short (before Linux 5.12).
const ENOMEM: i32 = 12;
/// Looks at a new ring, of which one must find nothing.
const TRIALS: u32 = 4;
/// How long a bell that was rung may take to be heard.
const BELL_MAX: Duration = Duration::from_secs(1);

/// A rung of the ladder, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// io_uring, one issuer, task work run when the shard asks for it (Linux 6.1).
    UringDeferred,
    /// io_uring, task work without interrupts (Linux 5.19).
    UringCooperative,
    /// io_uring with what the driver cannot do without: waiting with a timeout, a bell that stays armed (Linux 5.13).
    UringPlain,
    /// epoll; files on the small thread pool.
    Epoll,
    /// The simulated machine.
    Simulated,
}

impl Rung {
    const REAL: [Rung; 4] = [Rung::UringDeferred, Rung::UringCooperative, Rung::UringPlain, Rung::Epoll];

    /// True for the rungs on io_uring.
    pub fn is_uring(self) -> bool {
        matches!(self, Rung::UringDeferred | Rung::UringCooperative | Rung::UringPlain)
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rung::UringDeferred => "io_uring",
            Rung::UringCooperative => "io_uring (cooperative task work)",
            Rung::UringPlain => "io_uring (plain)",
            Rung::Epoll => "epoll",
            Rung::Simulated => "simulated",
        })
    }
}

/// Which rung this shard stands on, and why not higher.
#[derive(Clone, Debug)]
pub struct BackendReport {
    /// The rung.
    pub rung: Rung,
    /// Entries of the submission queue (events per poll on epoll).
    pub entries: u32,
    /// The rungs that were tried before, each with what the kernel said; or that they were not wanted.
    pub refused: Vec<String>,
}

impl fmt::Display for BackendReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rung)?;
        if !self.refused.is_empty() {
            write!(f, " ({})", self.refused.join("; "))?;
        }
        Ok(())
    }
}

/// Which rung of the ladder this shard stands on.
///
/// # Panics
/// Outside a shard.
pub fn backend() -> BackendReport {
    Shard::with(|shard| match &shard.machine {
        Machine::Real(driver) => driver.report.clone(),
        #[cfg(feature = "sim")]
        Machine::Sim(_) => BackendReport { rung: Rung::Simulated, entries: 0, refused: Vec::new() },
    })
}

/// Sets up the best rung. Must run on the shard's own thread: with one issuer, the thread that makes the ring is it.
pub(crate) fn climb(config: &Config) -> Result<Rc<Driver>, Error> {
    let mut refused = Vec::new();
    for rung in Rung::REAL {
        match config.backend {
            Backend::Epoll if rung.is_uring() => continue,
            Backend::Uring if !rung.is_uring() => continue,
            Backend::Exactly(wanted) if rung != wanted => continue,
            _ => {}
        }
        match build(rung, config.ring_entries) {
            Ok((proactor, entries)) => return Ok(Driver::new(proactor, BackendReport { rung, entries, refused })),
            Err(error) => refused.push(format!("{rung}: {error}")),
        }
    }
    Err(Error::NoDriver(refused.join("; ")))
}

fn build(rung: Rung, entries: u32) -> io::Result<(Proactor, u32)> {
    let mut entries = entries.max(ENTRIES_MIN).next_power_of_two();
    loop {
        match set_up(rung, entries) {
            Ok(proactor) => return Ok((proactor, entries)),
            Err(error) if error.raw_os_error() == Some(ENOMEM) && entries > ENTRIES_MIN => entries /= 2,
            Err(error) => return Err(error),
        }
    }
}

/// A driver that has been seen to work.
fn set_up(rung: Rung, entries: u32) -> io::Result<Proactor> {
    if !rung.is_uring() {
        return builder(rung, entries).build();
    }
    let operations = OpCodeFlag::basic() | OpCodeFlag::AsyncCancel;
    match builder(rung, entries).detect_opcode_support(operations).build() {
        Ok(mut proactor) => {
            try_out(&mut proactor)?;
            Ok(proactor)
        }
        Err(error) => {
            // Which operations there are is asked on a ring of its own. Where the kernel gives no ring at all, compio says
            // that there are none; without that question we hear what the kernel said.
            builder(rung, entries).build()?;
            Err(error)
        }
    }
}

/// Waits with a timeout and is woken once, as a shard will.
fn try_out(proactor: &mut Proactor) -> io::Result<()> {
    // Nobody has rung: one of these times out. Before Linux 5.13 the bell cannot stay armed, which ends every wait at once;
    // before 5.11 there is no waiting with a timeout.
    let mut quiet = false;
    for _ in 0..TRIALS {
        quiet |= !wait(proactor, Duration::ZERO)?;
    }
    if !quiet {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel does not keep its bell armed"));
    }
    proactor.waker().wake();
    if wait(proactor, BELL_MAX)? {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::Unsupported, "its bell does not wake it"))
}

/// True if something ended the wait, false if its time ran out.
fn wait(proactor: &mut Proactor, most: Duration) -> io::Result<bool> {
    match proactor.poll(Some(most)) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => Ok(false),
        Err(error) => Err(error),
    }
}

fn builder(rung: Rung, entries: u32) -> ProactorBuilder {
    let mut builder = ProactorBuilder::new();
    // compio's own pool is not used: blocking work goes to `blocking::Pool`, which never makes a shard wait for room.
    builder.capacity(entries).thread_pool_limit(1);
    match rung {
        Rung::UringDeferred => builder.single_issuer(true).defer_taskrun(true).taskrun_flag(true),
        Rung::UringCooperative => builder.coop_taskrun(true).taskrun_flag(true),
        _ => &mut builder,
    };
    if rung.is_uring() {
        builder.driver_type(DriverType::IoUring);
    } else {
        builder.driver_type(DriverType::Poll);
    }
    builder
}
