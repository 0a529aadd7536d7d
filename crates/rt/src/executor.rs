//! The loop of a shard, and the machine's start and end.
//!
//! ```text
//! turn:  what other threads woke -> rings (bodies run inline, until the quota) -> outsiders -> timers
//!        -> tasks by virtual time until the quota, or until 50 us of background -> ring bells
//!        -> more to do? look at the driver : look at the rings for a while, then sleep in the driver
//! ```
//!
//! What always holds: what was submitted reaches the kernel within a turn, and completions are looked for at least
//! every 10 us between two turns; in a turn, neither bodies nor tasks run for longer than the quota plus one of them; all
//! that runs for somebody is charged to its group and watched; a shard that sleeps is woken by whatever comes: I/O, a
//! timer, a bell.

use crate::backend::climb;
use crate::config::{Config, Error, Spin};
use crate::crossing::{Crossing, connect};
use crate::driver::Driver;
use crate::group::Group;
use crate::hub::{BARRIERS, Hub, Inbound};
use crate::outside::start_thread_on;
use crate::random::{mix, seed_from_kernel};
use crate::shard::{Machine, Shard};
use crate::sharded::Lane;
use crate::space::Space;
use crate::task::spawn;
use crate::watchdog::Watchdog;
use ailurus_model::ShardId;
use async_task::Runnable;
use rustix::thread::CpuSet;
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Run time of tasks, and that of bodies, after which the other and the driver get their turn.
pub(crate) const QUOTA_NS: u64 = 200_000;
/// The same for background groups.
const BACKGROUND_NS: u64 = 50_000;
/// News for a peer wait at most this long for more.
const BELL_DELAY_NS: u64 = 20_000;
/// Jobs of outsiders per turn.
const OUTSIDE_PER_TURN: usize = 16;
/// How long a shard looks at the rings before it sleeps, where it may: about as much as sleeping costs, so that it never pays much
/// more than twice of what it would have, had it known. Five times as long cost more CPU under a load of small requests, and no
/// client was answered sooner (docs/adr, 0009).
const SPIN_MAX: Duration = Duration::from_micros(10);
/// A sleep of this length was hardly one.
const SHORT_SLEEP_NS: u64 = 50_000;
/// While it spins, a shard looks at the clock once in this many looks at the rings.
const LOOKS_PER_CLOCK: u32 = 32;
/// Parts the hashers from the generators where both are made from one given seed.
const HASH_SEED: u64 = 0x4a5e_ed00;
/// Buffers that nobody needed for this long go back to the system.
const TRIM_PERIOD_NS: u64 = 5_000_000_000;

/// Starts the shards, runs `main` on shard 0, and when it returns stops all shards in order: tasks are dropped, then
/// services, then what is on the rings goes home; what the kernel or [`crate::run_blocking`] still does is waited for.
/// Gives the result of `main` back.
///
/// # Errors
/// If there is no driver, or a thread does not start.
///
/// # Panics
/// If a task panicked on any shard: the machine stops at once and the panic goes on here.
pub fn run<T, F>(config: Config, main: impl FnOnce() -> F + Send + 'static) -> Result<T, Error>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    let (shards, cpus) = shards_and_cpus(&config)?;
    let spin_max_ns = spin_max_ns(&config, shards, &cpus);
    let seed = config.seed.unwrap_or_else(seed_from_kernel);
    // Drawn apart: chance is seen in ids that clients are told, and from there leads back to its own seed. Who knows the
    // hashers' seed can choose keys that all fall into one bucket.
    let hash_seed = config.seed.map_or_else(seed_from_kernel, |seed| mix(seed ^ HASH_SEED));
    let space = space(&config)?;
    let pin = config.pin && cpus.are_filled_by(shards);
    let hub = Hub::new(config, shards, spin_max_ns, space, cpus.set)
        .map_err(|error| Error::NoDriver(format!("no bell for blocking work: {error}")))?;
    let (result, results) = mpsc::channel();
    let mut main = Some(move || {
        spawn(Group::Cluster, async move {
            let output = main().await;
            // `run` waits for it below.
            _ = result.send(output);
            Shard::with(|shard| shard.hub.phase.stop());
        })
        .detach();
    });

    let (ready, readies) = mpsc::channel();
    let mut threads = Vec::new();
    for (id, crossing) in connect(shards, hub.config.lane_credits).into_iter().enumerate() {
        let (go, going) = mpsc::channel();
        let birth = Birth {
            id: ShardId(id as u16),
            hub: hub.clone(),
            crossing,
            seed: mix(seed ^ mix(id as u64)),
            hash_seed: mix(hash_seed ^ mix(id as u64)),
            cpu: pin.then(|| cpus.ids[id]),
            ready: ready.clone(),
            going,
        };
        let first = if id == 0 { main.take() } else { None };
        let thread = start_thread_on(None, &format!("shard-{id}"), move || birth.live(first))
            .map_err(|source| Error::Thread { shard: id as u16, source });
        match thread {
            Ok(thread) => threads.push((thread, go)),
            // The others see their channel close and end.
            Err(error) => return Err(error),
        }
    }
    drop(ready);
    for _ in 0..shards {
        #[allow(clippy::disallowed_methods, reason = "this thread is no shard")]
        readies.recv().unwrap_or(Err(Error::Lost))?;
    }
    let pool = hub.pool.clone();
    let _watchdog = Watchdog::start(hub).map_err(|source| Error::Thread { shard: shards, source })?;
    let result = finish(threads, || results.try_recv().ok());
    // What still runs there may write to files: the next machine must not meet it.
    pool.wait_idle();
    result
}

/// Lets all shards go, waits for all of them, and passes a panic on.
fn finish<T>(threads: Vec<(JoinHandle<()>, mpsc::Sender<()>)>, result: impl FnOnce() -> Option<T>) -> Result<T, Error> {
    let mut panic: Option<Box<dyn Any + Send>> = None;
    let threads: Vec<JoinHandle<()>> = threads
        .into_iter()
        .map(|(thread, go)| {
            // A shard that has died already does not listen; its panic is found below.
            _ = go.send(());
            thread
        })
        .collect();
    for thread in threads {
        if let Err(payload) = thread.join() {
            panic.get_or_insert(payload);
        }
    }
    match panic {
        Some(payload) => resume_unwind(payload),
        None => result().ok_or(Error::Lost),
    }
}

struct Cpus {
    /// The CPUs that this process may use.
    ids: Vec<usize>,
    /// The same, if the system says.
    set: Option<CpuSet>,
    /// How many of them it may use at the same time, given a cgroup quota.
    usable: usize,
}

impl Cpus {
    /// True if `shards` shards have these CPUs for themselves, as far as the system lets us know. Fewer shards than CPUs
    /// say that there are others: with each of several brokers pinned to the first CPUs, these would be shared and the rest
    /// idle. The kernel knows better then.
    fn are_filled_by(&self, shards: u16) -> bool {
        self.usable == self.ids.len() && usize::from(shards) == self.ids.len()
    }
}

fn shards_and_cpus(config: &Config) -> Result<(u16, Cpus), Error> {
    // Respects affinity and the quotas of cgroup v1 and v2.
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    let set = rustix::thread::sched_getaffinity(None).ok();
    let ids = match &set {
        Some(set) => (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect(),
        None => (0..usable).collect(),
    };
    let shards = if config.shards == 0 { usable } else { config.shards };
    match u16::try_from(shards) {
        Ok(shards) if shards <= 1024 => Ok((shards, Cpus { ids, set, usable })),
        _ => Err(Error::Config(format!("{shards} shards: at most 1024"))),
    }
}

fn space(config: &Config) -> Result<Space, Error> {
    match (config.disk_space_max, &config.disk_space_root) {
        (None, _) => Ok(Space::unlimited()),
        (Some(max), Some(root)) => {
            let wrong = |error| Error::Config(format!("no space can be counted below {}: {error}", root.display()));
            Space::new(max, root).map_err(wrong)
        }
        (Some(_), None) => Err(Error::Config("a limit of disk space needs the directory that it is for".into())),
    }
}

fn spin_max_ns(config: &Config, shards: u16, cpus: &Cpus) -> u64 {
    let quota = cpus.usable < cpus.ids.len();
    let max = match config.spin {
        Spin::Off => Duration::ZERO,
        Spin::Adaptive { max } => max,
        Spin::Auto if shards == 1 || usize::from(shards) > cpus.usable || quota => Duration::ZERO,
        Spin::Auto => SPIN_MAX,
    };
    max.as_nanos() as u64
}

/// What a thread is given to become a shard.
struct Birth {
    id: ShardId,
    hub: Arc<Hub>,
    crossing: Crossing,
    seed: u64,
    hash_seed: u64,
    cpu: Option<usize>,
    ready: mpsc::Sender<Result<(), Error>>,
    going: mpsc::Receiver<()>,
}

impl Birth {
    fn live(self, first: Option<impl FnOnce()>) {
        if let Some(cpu) = self.cpu {
            let mut set = CpuSet::new();
            set.set(cpu);
            if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
                tracing::warn!(shard = self.id.0, cpu, %error, "cannot pin the shard");
            }
        }
        ailurus_base::hash::set_seed(self.hash_seed);
        let driver = match climb(&self.hub.config) {
            Ok(driver) => driver,
            Err(error) => {
                // `run` may have given up already.
                _ = self.ready.send(Err(error));
                return;
            }
        };
        self.hub.inbox(self.id).set_waker(driver.waker());
        let hub = self.hub.clone();
        let shard = Shard::new(self.id, self.hub, self.crossing, self.seed, Machine::Real(driver.clone()));
        _ = self.ready.send(Ok(()));
        drop(self.ready);
        #[allow(clippy::disallowed_methods, reason = "the shard has not begun: it waits until all others can")]
        let going = self.going.recv();
        if going.is_err() {
            // Another shard could not start.
            return;
        }
        let lived = catch_unwind(AssertUnwindSafe(|| {
            shard.enter(|| {
                if let Some(first) = first {
                    first();
                }
                Loop::new(&shard, &driver).run();
                shard.end(&driver);
            });
        }));
        if let Err(payload) = lived {
            hub.phase.panic();
            hub.wake_all();
            // What the panic left half-done is not dropped in good order: it is left to the end of the process.
            std::mem::forget(shard);
            resume_unwind(payload);
        }
    }
}

/// The state of the loop that is nobody else's business.
struct Loop<'a> {
    shard: &'a Rc<Shard>,
    driver: &'a Rc<Driver>,
    /// How long to look at the rings before sleeping: what has been worth it lately.
    spin_ns: u64,
    trimmed_ns: u64,
}

impl<'a> Loop<'a> {
    fn new(shard: &'a Rc<Shard>, driver: &'a Rc<Driver>) -> Self {
        Loop { shard, driver, spin_ns: shard.hub.spin_max_ns, trimmed_ns: shard.now_ns() }
    }

    fn run(&mut self) {
        let shard = self.shard;
        while !shard.hub.phase.is_stopping() {
            shard.stats.turns.add(1);
            shard.take_inbox();
            shard.crossing.serve_all(shard);
            shard.take_outsiders();
            shard.fire_timers();
            self.run_tasks();
            shard.crossing.flush(shard);
            if self.has_work() {
                self.driver.poll_if_due(shard.now_ns());
            } else {
                self.idle();
            }
        }
    }

    fn has_work(&self) -> bool {
        self.shard.queues.borrow().ready() > 0 || self.has_news()
    }

    fn has_news(&self) -> bool {
        !self.shard.inbox.is_empty()
            || self.shard.crossing.has_news(self.shard)
            || self.shard.crossing.is_dirty()
            || self.shard.hub.phase.is_stopping()
    }

    fn run_tasks(&self) {
        let shard = self.shard;
        let begun = shard.now_ns();
        let (mut now, mut background, mut dirty_since) = (begun, 0, None);
        loop {
            let Some((group, runnable)) = shard.queues.borrow_mut().pick() else { return };
            let quota = if group.is_background() { BACKGROUND_NS - background } else { QUOTA_NS - (now - begun) };
            let after = shard.run_task(group, runnable, now, now + quota);
            if group.is_background() {
                background += after - now;
            }
            now = after;
            if shard.crossing.is_dirty() && now - *dirty_since.get_or_insert(now) > BELL_DELAY_NS {
                shard.crossing.flush(shard);
                dirty_since = None;
            }
            if background >= BACKGROUND_NS || now - begun >= QUOTA_NS {
                return;
            }
        }
    }

    /// Nothing is ready: looks at the rings for a while if that has been worth it, then sleeps.
    fn idle(&mut self) {
        let begun = self.shard.now_ns();
        if self.spin_ns > 0 {
            if self.spin(begun) {
                self.shard.stats.spin_hits.add(1);
                self.spin_ns = self.shard.hub.spin_max_ns;
                return;
            }
            self.shard.stats.spin_misses.add(1);
            // Idle shards look ever shorter, soon not at all.
            self.spin_ns = if self.spin_ns < 1_000 { 0 } else { self.spin_ns / 2 };
        }
        let parked = self.shard.now_ns();
        if !self.park() {
            return;
        }
        let awake = self.shard.now_ns();
        self.shard.stats.park_ns.add(awake - parked);
        if awake - begun < SHORT_SLEEP_NS {
            // Most of it was falling asleep and waking up: what was waited for may have come at once.
            self.spin_ns = self.shard.hub.spin_max_ns;
        }
        self.trim(awake);
    }

    /// True if something came.
    fn spin(&self, begun: u64) -> bool {
        let due = self.shard.timers.borrow().next_ns().unwrap_or(u64::MAX);
        let upto = due.min(begun + self.spin_ns);
        let mut now = begun;
        while now < upto {
            self.driver.poll_if_due(now);
            if self.shard.queues.borrow().ready() > 0 {
                return true;
            }
            for _ in 0..LOOKS_PER_CLOCK {
                if self.has_news() {
                    return true;
                }
                std::hint::spin_loop();
            }
            now = self.shard.now_ns();
        }
        false
    }

    /// Sleeps in the driver. False if there was no need to.
    fn park(&self) -> bool {
        let parked = &self.shard.inbox.parked;
        parked.store(true, Ordering::Relaxed);
        // Pairs with the fence in `Inbox::wake_if_parked`.
        fence(Ordering::SeqCst);
        let needed = !self.has_news();
        if needed {
            self.shard.stats.parks.add(1);
            self.driver.poll(self.sleep_max());
        }
        parked.store(false, Ordering::Relaxed);
        needed
    }

    /// Until the next timer, or the next trim as long as there is something to trim.
    fn sleep_max(&self) -> Option<Duration> {
        let due = self.shard.timers.borrow().next_ns();
        let trim = (self.shard.slab.kept_bytes() > 0).then_some(self.trimmed_ns + TRIM_PERIOD_NS);
        let next = due.into_iter().chain(trim).min()?;
        Some(Duration::from_nanos(next.saturating_sub(self.shard.now_ns())))
    }

    /// Now and then, spare buffers go back to the system. Only a shard that sleeps has time for that.
    fn trim(&mut self, now: u64) {
        if now - self.trimmed_ns >= TRIM_PERIOD_NS {
            self.trimmed_ns = now;
            self.shard.slab.trim();
        }
    }
}

impl Shard {
    pub(crate) fn take_inbox(&self) {
        while let Some(inbound) = self.inbox.pop() {
            match inbound {
                Inbound::Wake(group, runnable) => self.queues.borrow_mut().push(group, runnable),
                Inbound::Home(value) => value.arrive(),
            }
        }
    }

    fn take_outsiders(self: &Rc<Self>) {
        for _ in 0..OUTSIDE_PER_TURN {
            let Some(job) = self.inbox.outside.pop() else { return };
            self.run_called(Lane::Admin.group(), self.now_ns(), || job(self));
        }
    }

    pub(crate) fn fire_timers(&self) {
        if self.timers.borrow().next_ns().is_none() {
            return;
        }
        let due = self.timers.borrow_mut().take_due(self.now_ns());
        for waker in due {
            waker.wake();
        }
    }

    /// Runs a task once; returns the time after it.
    pub(crate) fn run_task(&self, group: Group, runnable: Runnable, now: u64, slice_end: u64) -> u64 {
        let after = self.watch(group, now, slice_end, || _ = runnable.run());
        self.queues.borrow_mut().charge(group, after - now);
        self.stats.polls[group as usize].add(1);
        after
    }

    /// Runs what somebody elsewhere called this shard for; returns the time after it.
    pub(crate) fn run_called(&self, group: Group, now: u64, body: impl FnOnce()) -> u64 {
        let slice = if group.is_background() { BACKGROUND_NS } else { QUOTA_NS };
        let after = self.watch(group, now, now + slice, body);
        self.queues.borrow_mut().charge_unpicked(group, after - now);
        after
    }

    /// Runs `body` under the eyes of the watchdog; returns the time after it.
    fn watch(&self, group: Group, now: u64, slice_end: u64, body: impl FnOnce()) -> u64 {
        self.slice_end_ns.set(slice_end);
        self.inbox.running_since_us.store(((now / 1000) as u32).max(1), Ordering::Relaxed);
        body();
        let after = self.now_ns();
        self.inbox.running_since_us.store(0, Ordering::Relaxed);
        let ran = after - now;
        self.stats.run_ns[group as usize].add(ran);
        if u128::from(ran) > self.hub.config.stall.as_nanos() {
            self.note_stall(group, ran);
        }
        after
    }

    fn note_stall(&self, group: Group, ran: u64) {
        self.stats.stalls.add(1);
        self.stats.stall_worst_ns.set(self.stats.stall_worst_ns.get().max(ran));
        tracing::warn!(shard = self.id.0, group = group.name(), ms = ran / 1_000_000, "a task kept the shard busy");
    }

    /// Drops all tasks that have not ended, here.
    pub(crate) fn drop_tasks(&self) {
        // Dropping one may wake, spawn or cancel others; each round catches what the last one made.
        while self.tasks.live() > 0 {
            for waker in self.tasks.wakers() {
                // A task whose handle was dropped is scheduled by this; the others as well.
                waker.wake();
            }
            self.take_inbox();
            let ready = self.queues.borrow_mut().take_all();
            // Dropping a runnable cancels its task and drops its future.
            drop(ready);
        }
        let ready = self.queues.borrow_mut().take_all();
        drop(ready);
    }

    /// Drops this shard's parts of all services, last started first.
    pub(crate) fn drop_services(&self) {
        let services = std::mem::take(&mut *self.services.borrow_mut());
        for service in services.into_iter().rev() {
            drop(service);
        }
    }

    /// The end of a shard: see `hub::Phase`.
    fn end(self: &Rc<Self>, driver: &Rc<Driver>) {
        self.hub.wake_all();
        self.drop_tasks();
        self.drop_services();
        while self.inbox.outside.pop().is_some() {}
        self.meet_the_others(driver);
        // Also where another shard has panicked: the kernel may still use buffers that are about to be freed.
        driver.land();
        self.inbox.closed.store(true, Ordering::Release);
        self.take_inbox();
    }

    /// Passes all barriers of the end together with the other shards, unless one of them has panicked.
    fn meet_the_others(self: &Rc<Self>, driver: &Rc<Driver>) {
        for barrier in 0..BARRIERS {
            self.settle();
            self.hub.phase.arrive(barrier);
            while !self.hub.phase.all_arrived(barrier, self.hub.shards()) {
                if self.hub.phase.has_panicked() {
                    return;
                }
                self.settle();
                driver.poll(Some(Duration::from_micros(200)));
            }
            self.settle();
        }
    }

    /// Sends home what is not ours, takes what is.
    fn settle(self: &Rc<Self>) {
        loop {
            self.take_inbox();
            let mut any = self.crossing.drain_without_serving(self);
            self.crossing.flush(self);
            // What came home may have woken tasks of a service that was still held; they go the same way.
            self.drop_tasks();
            any |= !self.inbox.is_empty();
            while self.inbox.outside.pop().is_some() {}
            if !any {
                return;
            }
        }
    }
}
