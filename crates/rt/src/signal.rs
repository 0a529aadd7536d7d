//! SIGTERM and SIGINT, as a future.

use crate::driver::Driver;
use crate::shard::Shard;
use compio::driver::op::{Interest, PollOnce};
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// Which signal asked for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// What service managers send.
    Terminate,
}

/// What the handlers write to, and what has arrived: count of SIGINT in the low half, of SIGTERM in the high half.
struct Bell {
    fd: OwnedFd,
    arrived: AtomicU64,
}

static BELL: OnceLock<Arc<Bell>> = OnceLock::new();

/// Takes SIGTERM and SIGINT over for the process, on any thread: from now on they end nothing by themselves and wait for
/// [`shutdown_signal`].
///
/// # Errors
/// What the system says.
pub fn catch_shutdown_signals() -> std::io::Result<()> {
    if BELL.get().is_none() {
        // Of two callers at once both install handlers, which does no harm: all ring, one bell is listened to.
        _ = BELL.set(install()?);
    }
    Ok(())
}

/// The next SIGTERM or SIGINT that nobody has taken yet. Takes both signals over for the process if
/// [`catch_shutdown_signals`] has not; one caller at a time. In simulation it never ends.
///
/// # Panics
/// Outside a shard, or if the system refuses the handlers.
pub async fn shutdown_signal() -> Signal {
    let Some(driver) = Shard::with(|shard| shard.driver().cloned()) else {
        return std::future::pending().await;
    };
    let bell = BELL.get_or_init(|| install().expect("the system lets a process handle its own signals"));
    wait(bell, &driver).await
}

async fn wait(bell: &Arc<Bell>, driver: &Rc<Driver>) -> Signal {
    loop {
        let arrived = bell.arrived.swap(0, Ordering::SeqCst);
        if arrived != 0 {
            return if arrived >> 32 != 0 { Signal::Terminate } else { Signal::Interrupt };
        }
        _ = driver.submit(PollOnce::new(driver.hold(Fd(bell.clone())), Interest::Readable)).await;
        let mut count = [0u8; 8];
        // Non-blocking: empties the counter, so that the next poll waits for the next signal.
        _ = rustix::io::read(&bell.fd, &mut count);
    }
}

fn install() -> std::io::Result<Arc<Bell>> {
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let bell = Arc::new(Bell { fd, arrived: AtomicU64::new(0) });
    for (signal, one) in [(SIGINT, 1u64), (SIGTERM, 1 << 32)] {
        let bell = bell.clone();
        let handler = move || {
            bell.arrived.fetch_add(one, Ordering::SeqCst);
            _ = rustix::io::write(&bell.fd, &1u64.to_ne_bytes());
        };
        // SAFETY: the handler does only an atomic add and a write(2), both async-signal-safe; it neither allocates,
        // locks nor panics.
        #[allow(unsafe_code, reason = "see SAFETY")]
        unsafe {
            signal_hook_registry::register(signal, handler)?;
        }
    }
    Ok(bell)
}

/// Lets an operation hold the bell.
struct Fd(Arc<Bell>);

impl std::os::fd::AsFd for Fd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}
