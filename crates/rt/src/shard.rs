//! One shard: everything that belongs to one reactor thread, and the pointer to the one that runs now.
//!
//! The current shard is a pointer that the executor sets around each poll, not a property of the OS thread: in
//! simulation all shards take turns on one thread.

use crate::crossing::{Crossing, Direction};
use crate::disk_queue::DiskQueue;
use crate::dma::Slab;
use crate::driver::Driver;
use crate::group::RunQueues;
use crate::hub::{Hub, Inbox};
use crate::memory::Memory;
use crate::random::Random;
use crate::stats::Counters;
use crate::task::Registry;
use crate::time::Timers;
use ailurus_model::ShardId;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;

/// What belongs to one shard.
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    pub(crate) hub: Arc<Hub>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) queues: RefCell<RunQueues>,
    pub(crate) tasks: Rc<Registry>,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) random: Random,
    pub(crate) services: RefCell<Vec<Option<Rc<dyn Any>>>>,
    pub(crate) crossing: Crossing,
    pub(crate) slab: Slab,
    pub(crate) memory: Rc<Memory>,
    pub(crate) disk: DiskQueue,
    pub(crate) stats: Counters,
    pub(crate) machine: Machine,
    /// When the running task should pause, in nanoseconds of [`crate::now`].
    pub(crate) slice_end_ns: Cell<u64>,
}

/// The closed inside of every type that touches the world.
pub(crate) enum Machine {
    /// The kernel.
    Real(Rc<Driver>),
    /// The simulated one.
    #[cfg(feature = "sim")]
    Sim(Rc<crate::sim::World>),
}

thread_local! {
    static CURRENT: Cell<*const Rc<Shard>> = const { Cell::new(ptr::null()) };
}

struct Leave(*const Rc<Shard>);

impl Drop for Leave {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

impl Shard {
    pub(crate) fn new(id: ShardId, hub: Arc<Hub>, crossing: Crossing, seed: u64, machine: Machine) -> Rc<Shard> {
        let memory = hub.config.memory / u64::from(hub.shards());
        Rc::new(Shard {
            id,
            inbox: hub.inbox(id).clone(),
            queues: RefCell::default(),
            tasks: Rc::default(),
            timers: RefCell::default(),
            random: Random::new(seed),
            services: RefCell::default(),
            crossing,
            slab: Slab::new(memory / 4),
            memory: Memory::new(memory),
            disk: DiskQueue::new(),
            stats: Counters::default(),
            machine,
            slice_end_ns: Cell::new(u64::MAX),
            hub,
        })
    }

    /// Runs `f` with `self` as the current shard.
    pub(crate) fn enter<T>(self: &Rc<Self>, f: impl FnOnce() -> T) -> T {
        let _leave = Leave(CURRENT.replace(self));
        f()
    }

    /// Runs `f` with the current shard, if there is one.
    pub(crate) fn try_with<T>(f: impl FnOnce(&Rc<Shard>) -> T) -> Option<T> {
        let current = CURRENT.get();
        if current.is_null() {
            return None;
        }
        // SAFETY: `enter` sets the pointer from a reference that outlives the call, and puts the old one back before it
        // returns (also when it unwinds); we are inside such a call, on the same thread.
        #[allow(unsafe_code, reason = "see SAFETY")]
        Some(f(unsafe { &*current }))
    }

    /// Runs `f` with the current shard.
    ///
    /// # Panics
    /// Outside a shard: the caller needs one and there is none to fall back to.
    #[track_caller]
    pub(crate) fn with<T>(f: impl FnOnce(&Rc<Shard>) -> T) -> T {
        match Shard::try_with(f) {
            Some(value) => value,
            None => panic!("this must be called on a shard (inside rt::run)"),
        }
    }

    /// The current shard, held.
    #[track_caller]
    pub(crate) fn current() -> Rc<Shard> {
        Shard::with(Rc::clone)
    }

    /// Nanoseconds of the shard's clock.
    pub(crate) fn now_ns(&self) -> u64 {
        match &self.machine {
            Machine::Real(_) => crate::time::monotonic_ns(),
            #[cfg(feature = "sim")]
            Machine::Sim(world) => world.now_ns(),
        }
    }

    /// A message was put into a ring.
    pub(crate) fn published(&self, to: ShardId, direction: Direction) {
        match &self.machine {
            Machine::Real(_) => _ = (to, direction),
            #[cfg(feature = "sim")]
            Machine::Sim(world) => world.published(self.id, to, direction),
        }
    }

    /// The simulated machine, if this is one.
    #[cfg(feature = "sim")]
    pub(crate) fn world(&self) -> Option<&Rc<crate::sim::World>> {
        match &self.machine {
            Machine::Real(_) => None,
            Machine::Sim(world) => Some(world),
        }
    }

    /// The I/O driver; `None` in simulation.
    pub(crate) fn driver(&self) -> Option<&Rc<Driver>> {
        match &self.machine {
            Machine::Real(driver) => Some(driver),
            #[cfg(feature = "sim")]
            Machine::Sim(_) => None,
        }
    }
}

/// The shard that runs the caller.
///
/// # Panics
/// Outside a shard.
pub fn this_shard() -> ShardId {
    Shard::with(|shard| shard.id)
}

/// How many shards this machine has; at least 1.
///
/// # Panics
/// Outside a shard.
pub fn shard_count() -> u16 {
    Shard::with(|shard| shard.hub.shards())
}
