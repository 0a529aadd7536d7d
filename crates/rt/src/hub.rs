//! What the shards of one machine share: inboxes, credit counters, connection counts, and the order of the end.
//!
//! Everything here is atomic or a lock-free queue; nothing here is a value that anyone reads and writes "together".

use crate::blocking::Pool;
use crate::config::Config;
use crate::crossing::{LANES, Return};
use crate::group::Group;
use crate::outside::OutsideJob;
use crate::ring::Padded;
use crate::space::Space;
use ailurus_model::ShardId;
use async_task::Runnable;
use crossbeam_queue::{ArrayQueue, SegQueue};
use rustix::thread::CpuSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

/// Jobs from other threads that may wait for one shard.
const OUTSIDE_QUEUE: usize = 256;

/// One machine: what all its shards (and the threads beside them) hold.
pub(crate) struct Hub {
    pub(crate) config: Config,
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    /// `lanes[from * shards + to]`.
    lanes: Vec<Padded<Lanes>>,
    pub(crate) next_slot: AtomicUsize,
    /// Connections of all shards. One count for all, so that of two shards that add to it one is first.
    pub(crate) connections: AtomicUsize,
    pub(crate) phase: Phase,
    pub(crate) pool: Arc<Pool>,
    pub(crate) space: Space,
    /// The CPUs of the process: for threads that are started on a shard and would else share its one CPU.
    pub(crate) cpus: Option<CpuSet>,
    /// Adaptive spinning allowed, in nanoseconds; 0 = never.
    pub(crate) spin_max_ns: u64,
}

/// Credits of one ordered pair: how many calls per lane the owner has begun to serve.
#[derive(Default)]
pub(crate) struct Lanes {
    /// Written by the called shard only; wraps.
    pub(crate) served: [AtomicU32; LANES],
    /// The calling shard has calls that wait for a credit and wants a doorbell.
    pub(crate) wanted: AtomicBool,
}

/// What reaches a shard from anywhere: wakes from other threads, values that come home, and the doorbell.
pub(crate) struct Inbox {
    pub(crate) id: ShardId,
    queue: SegQueue<Inbound>,
    pub(crate) outside: ArrayQueue<OutsideJob>,
    /// The shard sleeps, or is about to and will look again.
    pub(crate) parked: AtomicBool,
    waker: OnceLock<Waker>,
    /// The shard has ended; what comes now is the sender's to free.
    pub(crate) closed: AtomicBool,
    /// Connections that live on the shard or are on their way to it, to see who has the fewest.
    pub(crate) connections: AtomicU32,
    /// Microseconds of the monotonic clock (wrapping) when what runs now began; 0 = nothing runs (stall watchdog).
    pub(crate) running_since_us: AtomicU32,
}

pub(crate) enum Inbound {
    /// A task that another thread woke.
    Wake(Group, Runnable),
    /// A value that was dropped on a thread that is no shard of this machine.
    Home(Return),
}

impl Hub {
    /// What shards share.
    ///
    /// # Errors
    /// See [`Pool::new`].
    pub(crate) fn new(
        config: Config,
        shards: u16,
        spin_max_ns: u64,
        space: Space,
        cpus: Option<CpuSet>,
    ) -> io::Result<Arc<Hub>> {
        let pairs = usize::from(shards) * usize::from(shards);
        Ok(Arc::new(Hub {
            inboxes: (0..shards).map(|id| Arc::new(Inbox::new(ShardId(id)))).collect(),
            lanes: (0..pairs).map(|_| Padded::default()).collect(),
            next_slot: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            phase: Phase::default(),
            pool: Pool::new(config.blocking_threads, cpus)?,
            space,
            cpus,
            spin_max_ns,
            config,
        }))
    }

    pub(crate) fn shards(&self) -> u16 {
        self.inboxes.len() as u16
    }

    pub(crate) fn lanes(&self, from: ShardId, to: ShardId) -> &Lanes {
        &self.lanes[usize::from(from.0) * self.inboxes.len() + usize::from(to.0)].0
    }

    pub(crate) fn inbox(&self, shard: ShardId) -> &Arc<Inbox> {
        &self.inboxes[usize::from(shard.0)]
    }

    /// Rings every shard's bell, asleep or not.
    pub(crate) fn wake_all(&self) {
        for inbox in &self.inboxes {
            inbox.ring_bell();
        }
    }
}

impl Inbox {
    fn new(id: ShardId) -> Self {
        Inbox {
            id,
            queue: SegQueue::new(),
            outside: ArrayQueue::new(OUTSIDE_QUEUE),
            parked: AtomicBool::new(false),
            waker: OnceLock::new(),
            closed: AtomicBool::new(false),
            connections: AtomicU32::new(0),
            running_since_us: AtomicU32::new(0),
        }
    }

    /// Set once by the shard, before anyone can send to it.
    pub(crate) fn set_waker(&self, waker: Waker) {
        assert!(self.waker.set(waker).is_ok(), "a shard starts once");
    }

    /// Hands something over and wakes the shard if it sleeps.
    pub(crate) fn push(&self, inbound: Inbound) {
        self.queue.push(inbound);
        self.wake_if_parked();
    }

    pub(crate) fn pop(&self) -> Option<Inbound> {
        self.queue.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.outside.is_empty()
    }

    /// To be called after something was published for the shard. The fence pairs with the one between `parked` and the
    /// last look of the sleeper: either it sees what was published, or we see that it sleeps.
    pub(crate) fn wake_if_parked(&self) {
        fence(Ordering::SeqCst);
        if self.parked.load(Ordering::Relaxed) {
            self.ring_bell();
        }
    }

    pub(crate) fn ring_bell(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }
}

/// The order of the end: all run; `main` is done; all tasks are dropped; all rings are empty; threads end.
#[derive(Default)]
pub(crate) struct Phase {
    stopping: AtomicU8,
    /// Shards that have passed each barrier.
    reached: [AtomicU32; BARRIERS],
}

/// Tasks dropped; then two rounds in which all rings are drained (a value that goes home may free another).
pub(crate) const BARRIERS: usize = 4;
const STOP: u8 = 1;
const PANIC: u8 = 2;

impl Phase {
    /// `main` is done: every shard leaves its loop.
    pub(crate) fn stop(&self) {
        self.stopping.fetch_max(STOP, Ordering::SeqCst);
    }

    /// A shard panicked: every shard leaves its loop and waits for nobody.
    pub(crate) fn panic(&self) {
        self.stopping.fetch_max(PANIC, Ordering::SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) >= STOP
    }

    pub(crate) fn has_panicked(&self) -> bool {
        self.stopping.load(Ordering::SeqCst) >= PANIC
    }

    pub(crate) fn arrive(&self, barrier: usize) {
        self.reached[barrier].fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn all_arrived(&self, barrier: usize, shards: u16) -> bool {
        self.reached[barrier].load(Ordering::SeqCst) >= u32::from(shards)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // What is still here came after the shard had ended: its tasks are gone, and what is left of a runnable or a
        // value may only be dropped on a thread that no longer exists.
        while let Some(inbound) = self.queue.pop() {
            match inbound {
                Inbound::Wake(_, runnable) => std::mem::forget(runnable),
                Inbound::Home(value) => value.home_is_gone(),
            }
        }
    }
}
