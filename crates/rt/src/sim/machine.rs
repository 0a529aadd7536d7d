//! One simulated process after another on the same disk.

use crate::config::Config;
use crate::crossing::connect;
use crate::fatal::{Fatal, FatalInSim};
use crate::group::Group;
use crate::hub::Hub;
use crate::random::mix;
use crate::shard::{Machine, Shard};
use crate::sim::disk::{DiskFaults, SimDisk};
use crate::sim::world::World;
use crate::space::Space;
use crate::task::spawn;
use ailurus_model::ShardId;
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// Virtual nanoseconds that one step may take.
const STEP_NS_MAX: u64 = 3_000;
/// Between the end of one process and the start of the next.
const REBOOT_NS: u64 = 1_000_000_000;

/// What the simulated machine is made of.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Number of shards, at least 1. May be changed between two runs with [`Sim::set_shards`].
    pub shards: u16,
    /// What goes wrong on the disk.
    pub disk: DiskFaults,
    /// Credits per pair and lane. Few, so that waiting for one is daily life.
    pub lane_credits: u16,
    /// Request memory of all shards together, in bytes.
    pub memory: u64,
    /// A run that takes more steps than this is taken for a livelock and panics.
    pub steps_max: u64,
}

impl Default for SimConfig {
    fn default() -> Self {
        SimConfig { shards: 2, disk: DiskFaults::default(), lane_credits: 4, memory: 64 << 20, steps_max: 50_000_000 }
    }
}

/// How a simulated process ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// `main` returned. What was not flushed is still there for the next run, until a crash.
    Finished(T),
    /// The machine lost power at the step that [`Sim::crash_after`] named.
    Crashed,
    /// The process ended itself with [`crate::fatal`]. The machine then lost power, too.
    Fatal(Fatal),
}

impl<T> Outcome<T> {
    /// What `main` returned.
    ///
    /// # Panics
    /// If it did not.
    pub fn finished(self) -> T {
        match self {
            Outcome::Finished(value) => value,
            Outcome::Crashed => panic!("the simulated machine crashed"),
            Outcome::Fatal(why) => panic!("the simulated process ended itself: {why}"),
        }
    }
}

/// A simulated machine: a disk, a clock, a seed, and processes that run on them one after the other.
pub struct Sim {
    seed: u64,
    config: SimConfig,
    /// `None` only while a process runs.
    disk: Option<SimDisk>,
    now_ns: u64,
    runs: u64,
    steps: u64,
    crash_after: Option<u64>,
    hash: u64,
}

impl Drop for Sim {
    /// Whoever looks after a failed test needs the seed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulated machine had seed {}", self.seed);
        }
    }
}

impl Sim {
    /// A machine with an empty disk.
    pub fn new(seed: u64, config: SimConfig) -> Self {
        assert!(config.shards > 0, "a machine has at least one shard");
        let disk = SimDisk::new(mix(seed ^ 0xd15c), config.disk.clone());
        Sim { seed, config, disk: Some(disk), now_ns: REBOOT_NS, runs: 0, steps: 0, crash_after: None, hash: seed }
    }

    /// The next process has this many shards.
    pub fn set_shards(&mut self, shards: u16) {
        assert!(shards > 0, "a machine has at least one shard");
        self.config.shards = shards;
    }

    /// The next run loses power after this many steps (polls and deliveries), if it lasts that long.
    pub fn crash_after(&mut self, steps: u64) {
        self.crash_after = Some(steps);
    }

    /// Loses power now: what was not flushed is resolved by the seed.
    pub fn crash(&mut self) {
        self.disk().crash();
    }

    /// The disk, between two runs.
    pub fn disk(&mut self) -> &mut SimDisk {
        self.disk.as_mut().expect("no process runs")
    }

    /// A number that two runs share only if every step was the same.
    pub fn trace_hash(&self) -> u64 {
        self.hash
    }

    /// Steps of all runs so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Runs a process: `main` on shard 0, until it returns, the power goes, or the process ends itself.
    ///
    /// # Panics
    /// If a task panics; if nothing can run any more although `main` has not returned (a lost wake, a wait for ever);
    /// if it takes more than `steps_max` steps.
    pub fn run<T: 'static, F: Future<Output = T> + 'static>(
        &mut self,
        main: impl FnOnce() -> F + 'static,
    ) -> Outcome<T> {
        self.runs += 1;
        let seed = mix(self.seed ^ mix(self.runs));
        let disk = self.disk.take().expect("no process runs");
        let world = World::new(seed, self.now_ns, disk);
        let process = Process::start(&world, &self.config, seed);
        let result = Rc::new(RefCell::new(None));
        let slot = result.clone();
        process.shards[0].enter(|| {
            spawn(Group::Cluster, async move {
                let value = main().await;
                *slot.borrow_mut() = Some(value);
            })
            .detach();
        });
        let crash_after = self.crash_after.take();
        let mut steps = 0;
        let ended = catch_unwind(AssertUnwindSafe(|| {
            while result.borrow().is_none() {
                if crash_after == Some(steps) {
                    return false;
                }
                steps += 1;
                assert!(steps <= self.config.steps_max, "still running after {steps} steps: a livelock?");
                process.step();
            }
            true
        }));
        self.steps += steps;
        // Dropped before the disk crashes: nothing that a destructor does may reach the disk after the power is gone,
        // and handles are stale then.
        let fatal = match ended {
            Ok(finished) => self.end(process, world, finished),
            Err(panic) => match panic.downcast::<FatalInSim>() {
                Ok(fatal) => {
                    self.end(process, world, false);
                    Some(fatal.0)
                }
                Err(panic) => {
                    std::mem::forget(process);
                    resume_unwind(panic)
                }
            },
        };
        let value = result.borrow_mut().take();
        match (value, fatal) {
            (_, Some(why)) => Outcome::Fatal(why),
            (Some(value), None) => Outcome::Finished(value),
            (None, None) => Outcome::Crashed,
        }
    }

    fn end(&mut self, process: Process, world: Rc<World>, finished: bool) -> Option<Fatal> {
        if !finished {
            world.disk.borrow_mut().crash();
        }
        process.end();
        self.now_ns = world.now_ns() + REBOOT_NS;
        self.hash = mix(self.hash ^ world.trace_hash());
        self.disk = Some(world.into_disk());
        None
    }
}

/// The shards of one simulated process.
struct Process {
    shards: Vec<Rc<Shard>>,
    world: Rc<World>,
}

impl Process {
    fn start(world: &Rc<World>, config: &SimConfig, seed: u64) -> Process {
        ailurus_base::hash::set_seed(seed);
        let settings = Config {
            shards: usize::from(config.shards),
            memory: config.memory,
            lane_credits: config.lane_credits,
            stall: std::time::Duration::MAX,
            ..Config::default()
        };
        let hub = Hub::new(settings, config.shards, 0, Space::unlimited(), None).expect("a handle for its bell");
        let shards = connect(config.shards, config.lane_credits).into_iter().enumerate().map(|(id, crossing)| {
            let seed = mix(seed ^ mix(id as u64 + 1));
            Shard::new(ShardId(id as u16), hub.clone(), crossing, seed, Machine::Sim(world.clone()))
        });
        Process { shards: shards.collect(), world: world.clone() }
    }

    /// One thing happens: a message arrives or a task runs. If neither can, time moves on.
    fn step(&self) {
        self.settle();
        let arrived = self.world.arrived();
        let ready: Vec<usize> = self.shards.iter().map(|shard| shard.queues.borrow().ready()).collect();
        let choices = arrived.len() + ready.iter().sum::<usize>();
        if choices == 0 {
            return self.sleep();
        }
        let mut choice = self.world.random.below(choices as u64) as usize;
        if let Some((from, to, direction)) = arrived.get(choice).copied() {
            let shard = &self.shards[usize::from(to.0)];
            self.world.note(0xa000_0000 | u64::from(from.0) << 16 | u64::from(to.0));
            self.world.take((from, to, direction));
            let delivered = shard.enter(|| shard.crossing.deliver(shard, from, direction));
            assert!(delivered, "a message that was published is in its ring");
        } else {
            choice -= arrived.len();
            for (shard, ready) in self.shards.iter().zip(ready) {
                if choice < ready {
                    let (group, runnable) = shard.queues.borrow_mut().take_nth(choice);
                    self.world.note(0xb000_0000 | u64::from(shard.id.0) << 8 | group as u64);
                    let now = self.world.now_ns();
                    shard.enter(|| shard.run_task(group, runnable, now, u64::MAX));
                    break;
                }
                choice -= ready;
            }
        }
        self.world.advance(1 + self.world.random.below(STEP_NS_MAX));
        self.world.note(self.world.now_ns());
    }

    /// What costs no time: wakes, credits, due timers.
    fn settle(&self) {
        for shard in &self.shards {
            shard.enter(|| {
                shard.take_inbox();
                shard.crossing.flush(shard);
                shard.fire_timers();
            });
        }
    }

    /// Nobody can run: on to the next timer or arrival.
    fn sleep(&self) {
        let timers = self.shards.iter().filter_map(|shard| shard.timers.borrow().next_ns());
        match timers.chain(self.world.next_arrival()).min() {
            Some(next) => self.world.advance_to(next),
            None => panic!("nothing can run any more and nothing is due: a wake was lost, or main waits for ever"),
        }
    }

    /// Drops everything, each on its shard. Messages between shards go home.
    fn end(self) {
        for shard in &self.shards {
            shard.enter(|| {
                shard.drop_tasks();
                shard.drop_services();
            });
        }
        let mut quiet = 0;
        while quiet < 2 {
            let mut any = false;
            for shard in &self.shards {
                shard.enter(|| {
                    shard.take_inbox();
                    any |= shard.crossing.drain_without_serving(shard);
                    shard.crossing.flush(shard);
                    any |= !shard.crossing.is_flushed();
                    shard.drop_tasks();
                });
            }
            quiet = if any { 0 } else { quiet + 1 };
        }
    }
}
