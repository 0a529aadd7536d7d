//! compio's driver, and the future of one operation on it. Besides this module only `backend`, `net`, `file` and `signal`
//! know compio.
//!
//! compio 0.20 (beta) and not 0.19: there, the completion queue's entries could be lost when the submission queue was
//! full, and keys of multishot operations were freed twice (compio #1025, #1035, #1036).
//!
//! What always holds: an operation owns its buffers until the kernel is done with it. Dropping [`Submit`] asks for
//! cancellation; the operation may still have happened, so nobody may assume that it has not.

use crate::backend::BackendReport;
use compio::BufResult;
use compio::driver::{Key, OpCode, Proactor, PushEntry};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The driver of one shard.
pub(crate) struct Driver {
    proactor: RefCell<Proactor>,
    waker: Waker,
    /// Operations that the kernel may still be working on.
    flying: Rc<Cell<usize>>,
    /// Entries put into the submission queue since it was last handed to the kernel; an upper bound.
    queued: Cell<u32>,
    polled_ns: Cell<u64>,
    pub(crate) report: BackendReport,
}

impl Driver {
    pub(crate) fn new(proactor: Proactor, report: BackendReport) -> Rc<Driver> {
        let waker = proactor.waker();
        Rc::new(Driver {
            waker,
            proactor: RefCell::new(proactor),
            flying: Rc::default(),
            queued: Cell::new(0),
            polled_ns: Cell::new(0),
            report,
        })
    }

    /// True if files go through the ring; false if they go to the thread pool and sockets must be non-blocking.
    pub(crate) fn is_uring(&self) -> bool {
        self.report.rung.is_uring()
    }

    /// A waker that ends [`Driver::poll`], from any thread.
    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Submits what was pushed, waits up to `timeout` (`None`: until something happens) and wakes whose operations are
    /// done.
    pub(crate) fn poll(&self, timeout: Option<Duration>) {
        self.queued.set(0);
        if timeout == Some(Duration::ZERO) {
            // compio would wait for one completion until a time that has passed, and the kernel gives the CPU away for
            // that. A driver that has been woken does not wait at all; waking one that is awake is no system call.
            self.waker.wake_by_ref();
        }
        // Wakes happen inside, with the proactor borrowed: they only put tasks into queues.
        match self.proactor.borrow_mut().poll(timeout) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {}
            Err(error) => panic!("the I/O driver failed: {error}"),
        }
    }

    /// For a shard that has other work: submits what was pushed, and looks for completions every [`POLL_PERIOD_NS`]. Each
    /// look is a system call, as long as several calls to another shard.
    pub(crate) fn poll_if_due(&self, now_ns: u64) {
        if self.queued.get() > 0 || now_ns - self.polled_ns.get() >= POLL_PERIOD_NS {
            self.polled_ns.set(now_ns);
            self.poll(Some(Duration::ZERO));
        }
    }

    /// Makes sure that one more entry fits. compio makes room for an operation by itself, but gives up on a cancellation
    /// that finds the queue full; the operation would then hold its file or socket for ever.
    fn make_room(&self) {
        self.queued.set(self.queued.get() + 1);
        if self.queued.get() >= self.report.entries {
            self.queued.set(1);
            // "Notified" is answered if someone woke the driver meanwhile; it must not be lost before we sleep.
            if self.proactor.borrow_mut().flush() {
                self.waker.wake_by_ref();
            }
        }
    }

    /// Ties `handle` to the operation it is made for: as long as the operation exists, it counts as under way.
    pub(crate) fn hold<H>(&self, handle: H) -> Held<H> {
        self.flying.set(self.flying.get() + 1);
        Held { handle, flying: self.flying.clone() }
    }

    /// Waits until the kernel has let go of everything. A ring that is closed goes on for a while behind our back, and
    /// would read from and write to buffers that are long somebody else's.
    ///
    /// What has not ended by then (a disk that hangs) keeps its buffers: the driver is leaked.
    pub(crate) fn land(self: &Rc<Self>) {
        let begun = crate::time::now();
        while self.flying.get() > 0 {
            if begun.elapsed() > LANDING_MAX {
                tracing::error!(
                    operations = self.flying.get(),
                    "the kernel does not let go; their buffers are left to it"
                );
                std::mem::forget(self.clone());
                return;
            }
            self.poll(Some(Duration::from_millis(1)));
        }
    }

    /// The future of `operation`. Submitted at its first poll.
    pub(crate) fn submit<T: OpCode + 'static>(self: &Rc<Self>, operation: T) -> Submit<T> {
        Submit { driver: self.clone(), state: State::Idle(operation) }
    }
}

/// How long a completion may wait for a busy shard to look.
const POLL_PERIOD_NS: u64 = 10_000;
/// How long the end of a shard waits for the kernel.
const LANDING_MAX: Duration = Duration::from_secs(10);

/// A file or socket, held by an operation.
pub(crate) struct Held<H> {
    handle: H,
    flying: Rc<Cell<usize>>,
}

impl<H: AsFd> AsFd for Held<H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl<H> Drop for Held<H> {
    fn drop(&mut self) {
        self.flying.set(self.flying.get() - 1);
    }
}

/// One operation. Dropped before it is done, it is cancelled as far as the kernel can.
pub(crate) struct Submit<T: OpCode> {
    driver: Rc<Driver>,
    state: State<T>,
}

enum State<T> {
    Idle(T),
    Flying(Key<T>),
    Done,
}

impl<T: OpCode> Unpin for Submit<T> {}

impl<T: OpCode + 'static> Future for Submit<T> {
    type Output = BufResult<usize, T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if matches!(this.state, State::Idle(_)) {
            this.driver.make_room();
        }
        let mut proactor = this.driver.proactor.borrow_mut();
        let entry = match std::mem::replace(&mut this.state, State::Done) {
            State::Idle(operation) => proactor.push(operation),
            State::Flying(key) => proactor.pop(key),
            State::Done => panic!("polled after it was done"),
        };
        match entry {
            PushEntry::Ready(result) => Poll::Ready(result),
            PushEntry::Pending(key) => {
                proactor.update_waker(&key, context.waker());
                this.state = State::Flying(key);
                Poll::Pending
            }
        }
    }
}

impl<T: OpCode> Drop for Submit<T> {
    fn drop(&mut self) {
        if let State::Flying(key) = std::mem::replace(&mut self.state, State::Done) {
            self.driver.make_room();
            let done = self.driver.proactor.borrow_mut().cancel(key);
            // The operation's buffers are dropped outside the borrow.
            drop(done);
        }
    }
}
