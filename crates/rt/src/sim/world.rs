//! What the shards of a simulated machine share: the clock, the chance, messages on their way, the disk.

use crate::crossing::Direction;
use crate::file::OpenOptions;
use crate::random::Random;
use crate::sim::disk::{DiskOp, FileId, Flush, OpenMode, SimDisk};
use crate::time::{Instant, sleep_until};
use ailurus_model::ShardId;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// A message between two shards takes up to this long, in nanoseconds.
const CROSSING_NS_MAX: u64 = 20_000;
/// Every now and then one takes up to this long.
const CROSSING_NS_SLOW: u64 = 2_000_000;
/// On top of the disk's own latency, so that operations finish in different orders.
const DISK_JITTER_NS: u64 = 30_000;
/// Alignment that the simulated disk asks of direct I/O.
const ALIGNMENT: usize = 4096;
/// 2026-01-01, where the wall clock of every simulation starts (in milliseconds).
const WALL_START_MS: i64 = 1_767_225_600_000;

/// The machine, as its shards see it.
pub(crate) struct World {
    now_ns: Cell<u64>,
    pub(crate) random: Random,
    /// When the messages of each pair and direction arrive, oldest first.
    flying: RefCell<BTreeMap<Pair, VecDeque<u64>>>,
    pub(crate) disk: RefCell<SimDisk>,
    locks: RefCell<BTreeSet<PathBuf>>,
    hash: Cell<u64>,
}

/// From, to, which ring.
pub(crate) type Pair = (ShardId, ShardId, Direction);

impl World {
    pub(crate) fn new(seed: u64, now_ns: u64, disk: SimDisk) -> Rc<World> {
        Rc::new(World {
            now_ns: Cell::new(now_ns),
            random: Random::new(seed),
            flying: RefCell::default(),
            disk: RefCell::new(disk),
            locks: RefCell::default(),
            hash: Cell::new(seed),
        })
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    pub(crate) fn unix_ms(&self) -> i64 {
        WALL_START_MS + (self.now_ns.get() / 1_000_000) as i64
    }

    pub(crate) fn advance(&self, ns: u64) {
        self.now_ns.set(self.now_ns.get() + ns);
    }

    pub(crate) fn advance_to(&self, ns: u64) {
        self.now_ns.set(self.now_ns.get().max(ns));
    }

    /// Adds a fact to the trace.
    pub(crate) fn note(&self, fact: u64) {
        self.hash.set(crate::random::mix(self.hash.get() ^ fact).wrapping_add(fact));
    }

    pub(crate) fn trace_hash(&self) -> u64 {
        self.hash.get()
    }

    /// A message was put into a ring: decides when it arrives.
    pub(crate) fn published(&self, from: ShardId, to: ShardId, direction: Direction) {
        let slow = self.random.below(64) == 0;
        let delay = self.random.below(if slow { CROSSING_NS_SLOW } else { CROSSING_NS_MAX });
        let mut flying = self.flying.borrow_mut();
        let queue = flying.entry((from, to, direction)).or_default();
        let arrival = (self.now_ns.get() + delay).max(queue.back().copied().unwrap_or(0));
        queue.push_back(arrival);
    }

    /// The pairs whose next message has arrived.
    pub(crate) fn arrived(&self) -> Vec<Pair> {
        let flying = self.flying.borrow();
        let here = |queue: &VecDeque<u64>| queue.front().is_some_and(|arrival| *arrival <= self.now_ns.get());
        flying.iter().filter(|(_, queue)| here(queue)).map(|(pair, _)| *pair).collect()
    }

    /// Takes the next message of `pair` off the way.
    pub(crate) fn take(&self, pair: Pair) {
        let mut flying = self.flying.borrow_mut();
        let queue = flying.get_mut(&pair).expect("it was listed as arrived");
        queue.pop_front();
    }

    /// When the next message arrives.
    pub(crate) fn next_arrival(&self) -> Option<u64> {
        self.flying.borrow().values().filter_map(|queue| queue.front().copied()).min()
    }

    /// Takes the disk out of a machine that has ended.
    pub(crate) fn into_disk(self: Rc<Self>) -> SimDisk {
        match Rc::try_unwrap(self) {
            Ok(world) => world.disk.into_inner(),
            // A value of the program under test leaked and holds the world; the disk is taken out all the same.
            Err(world) => world.disk.replace(SimDisk::new(0, disk_faults_none())),
        }
    }

    async fn latency(&self, op: DiskOp) {
        let latency = self.disk.borrow_mut().latency(op);
        let jitter = self.random.below(DISK_JITTER_NS);
        let end = Instant::from_nanos(self.now_ns()) + latency + Duration::from_nanos(jitter);
        sleep_until(end).await;
    }

    /// One operation on a file. It happens when it is submitted or when it ends, as the seed will have it: a flush that
    /// begins in between covers it or not, and who drops it does not know whether it happened.
    async fn spread<T>(&self, op: DiskOp, run: impl FnOnce(&mut SimDisk) -> io::Result<T>) -> io::Result<T> {
        if self.random.below(2) == 0 {
            let result = run(&mut self.disk.borrow_mut());
            self.latency(op).await;
            result
        } else {
            self.latency(op).await;
            run(&mut self.disk.borrow_mut())
        }
    }

    /// One operation on names: done now, known later.
    pub(crate) async fn name_op<T>(&self, run: impl FnOnce(&mut SimDisk) -> io::Result<T>) -> io::Result<T> {
        let result = run(&mut self.disk.borrow_mut());
        self.note(0x4e);
        self.latency(DiskOp::Name).await;
        result
    }

    /// One flush: covers what was done before it began, counts when it ends.
    pub(crate) async fn flush(&self, begin: impl FnOnce(&mut SimDisk) -> io::Result<Flush>) -> io::Result<()> {
        let flush = begin(&mut self.disk.borrow_mut())?;
        self.latency(DiskOp::Flush).await;
        self.note(0xf1);
        self.disk.borrow_mut().flush_end(flush)
    }

    pub(crate) async fn open(self: &Rc<Self>, path: &Path, options: OpenOptions) -> io::Result<SimFile> {
        let OpenOptions { direct, create, create_new, write, truncate } = options;
        let mode = OpenMode { create, create_new, truncate };
        let id = self.name_op(|disk| disk.open(path, mode)).await?;
        Ok(SimFile { world: self.clone(), id, direct, write })
    }

    pub(crate) async fn read_whole(self: &Rc<Self>, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenOptions::default()).await?;
        let mut bytes = vec![0; file.len()? as usize];
        let read = file.read(0, &mut bytes).await?;
        bytes.truncate(read);
        Ok(bytes)
    }

    pub(crate) async fn lock(self: &Rc<Self>, path: PathBuf) -> io::Result<SimLock> {
        let mode = OpenMode { create: true, ..OpenMode::default() };
        self.name_op(|disk| disk.open(&path, mode).map(|id| disk.close(id))).await?;
        if !self.locks.borrow_mut().insert(path.clone()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(SimLock { world: self.clone(), path })
    }
}

fn disk_faults_none() -> crate::sim::disk::DiskFaults {
    crate::sim::disk::DiskFaults::default()
}

/// An open file on the simulated disk.
pub(crate) struct SimFile {
    world: Rc<World>,
    id: FileId,
    pub(crate) direct: bool,
    write: bool,
}

impl SimFile {
    pub(crate) fn alignment(&self) -> usize {
        if self.direct { ALIGNMENT } else { 1 }
    }

    pub(crate) async fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check_writable()?;
        self.world.note(offset ^ 0x77);
        self.world.spread(DiskOp::Write, |disk| disk.write_at(self.id, offset, bytes)).await
    }

    pub(crate) async fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.world.spread(DiskOp::Read, |disk| disk.read_at(self.id, offset, bytes)).await
    }

    pub(crate) async fn sync(&self) -> io::Result<()> {
        self.world.flush(|disk| disk.flush_begin(self.id)).await
    }

    pub(crate) async fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.world.spread(DiskOp::Write, |disk| disk.allocate(self.id, offset, len)).await
    }

    pub(crate) async fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.world.spread(DiskOp::Write, |disk| disk.set_len(self.id, len)).await
    }

    pub(crate) fn len(&self) -> io::Result<u64> {
        self.world.disk.borrow().len(self.id)
    }

    fn check_writable(&self) -> io::Result<()> {
        const EBADF: i32 = 9;
        if self.write { Ok(()) } else { Err(io::Error::from_raw_os_error(EBADF)) }
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.world.disk.borrow_mut().close(self.id);
    }
}

/// A lock that somebody in the simulated process holds.
pub(crate) struct SimLock {
    world: Rc<World>,
    path: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.world.locks.borrow_mut().remove(&self.path);
    }
}
