//! A disk for deterministic simulation: a pure model of files, directories and what a power cut leaves of them.
//!
//! No executor, no clock, no I/O: every call returns at once and every choice is drawn from the seed. The simulated
//! machine reports the result of an operation [`SimDisk::latency`] after it was submitted. A read or write happens then or
//! when it is submitted, as its seed will have it; what is under way when the machine stops is, as in life, done, half
//! done or not done.
//!
//! What always holds:
//! - Reads see all writes, flushed or not, as on a running machine.
//! - What a flush that ended well covered is there after any number of crashes. A flush covers the writes submitted
//!   before it *began* ([`SimDisk::flush_begin`]), not those that came while it was under way.
//! - A file's data and size become durable by a flush of the file, its name by a flush of its directory, the
//!   directory's own name by a flush of the parent. Nothing else makes anything durable.
//! - What was not flushed is resolved by [`SimDisk::crash`]: page by page (4 KiB) kept, lost, or an older unflushed
//!   version (a later write overtaken by an earlier one); sizes and names likewise.
//! - The same seed and the same calls give the same disk.
//!
//! What it leaves to others: time, scheduling, alignment rules of direct I/O, locks.
//!
//! What moves bytes is never inlined: `bench/micro/run` knows it by name and leaves its instructions out of the counts.
//!
//! Reading order: [`SimDisk`] here, then `file` (pages and sizes), `names` (directories), `dice`.

mod dice;
mod file;
mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path};
use std::time::Duration;

use dice::Dice;
use file::FileState;
use names::{Ino, Names, ROOT};

/// What the disk writes as one: the unit of caching, of space and of loss.
pub const PAGE_BYTES: usize = 4096;

/// What can go wrong, how often, and how large the disk is. Chances are in parts per million of the operations of that
/// kind. The default is a disk of unlimited size that never fails, answers at once and honours flushes.
#[derive(Clone, Debug)]
pub struct DiskFaults {
    /// Space limit in bytes, counted in whole pages. `None`: unlimited.
    pub space: Option<u64>,
    /// `false`: flushes report success and do nothing. For the test that shows that a missing flush is caught.
    pub honour_flush: bool,
    /// What a crash tears within: a divisor of 4096, at least 512. 4096 (the default) keeps pages whole.
    pub sector_bytes: usize,
    /// Reads that fail with EIO.
    pub read_error_ppm: u32,
    /// Writes that fail with EIO; an arbitrary part of their pages is written all the same.
    pub write_error_ppm: u32,
    /// Flushes that fail with EIO. What they should have covered is never made durable by a later flush.
    pub flush_error_ppm: u32,
    /// Operations on names (open with create, rename, remove, make a directory) that fail with EIO and do nothing.
    pub name_error_ppm: u32,
    /// Pages of a write that land on another page of the same file instead, reported as success.
    pub misdirected_ppm: u32,
    /// The usual time an operation takes; half of it to one and a half.
    pub latency: Duration,
    /// Operations that take `latency_slow` instead.
    pub slow_ppm: u32,
    /// The time a slow operation takes; half of it to one and a half.
    pub latency_slow: Duration,
}

impl Default for DiskFaults {
    fn default() -> DiskFaults {
        DiskFaults {
            space: None,
            honour_flush: true,
            sector_bytes: PAGE_BYTES,
            read_error_ppm: 0,
            write_error_ppm: 0,
            flush_error_ppm: 0,
            name_error_ppm: 0,
            misdirected_ppm: 0,
            latency: Duration::ZERO,
            slow_ppm: 0,
            latency_slow: Duration::ZERO,
        }
    }
}

/// Kinds of operations, as faults and latency tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Bytes of a file into memory.
    Read,
    /// Bytes into a file; also size and reservation.
    Write,
    /// A file, directory or everything to the disk.
    Flush,
    /// A change of names.
    Name,
}

const OPS: usize = 4;

/// How this crash treats what was not flushed. Drawn once per crash, so that "all of it lost" and "all of it kept"
/// come up as often as every mixture.
#[derive(Clone, Copy, Debug)]
struct CrashMood {
    kept_ppm: u32,
    reordered_ppm: u32,
}

impl CrashMood {
    fn draw(dice: &mut Dice) -> CrashMood {
        let kept_ppm = [0, 100_000, 500_000, 900_000, 1_000_000][dice.below(5) as usize];
        let reordered_ppm = [0, 0, 100_000, 500_000][dice.below(4) as usize];
        CrashMood { kept_ppm, reordered_ppm }
    }
}

/// An open file. Good until it is closed or the machine crashes; afterwards it answers EBADF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(u64);

/// A flush that has begun. Carries what it covers.
#[derive(Debug)]
#[must_use = "a flush that never ends makes nothing durable"]
pub struct Flush {
    scope: Scope,
    upto: u64,
    boot: u64,
}

#[derive(Clone, Copy, Debug)]
enum Scope {
    File(Ino),
    Dir(Ino),
    All,
}

#[derive(Clone, Copy, Debug)]
enum FlushOutcome {
    Done,
    Failed,
    /// The disk lies: `honour_flush` is off.
    Ignored,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, without its directory.
    pub name: OsString,
    /// A directory, not a file.
    pub is_dir: bool,
    /// Bytes in the file; 0 for a directory.
    pub len: u64,
}

/// How to open a file. Reading is always allowed.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenMode {
    /// Make the file if it is not there.
    pub create: bool,
    /// Make the file; refuse if it is there.
    pub create_new: bool,
    /// Cut the file to nothing.
    pub truncate: bool,
}

#[derive(Debug)]
enum Node {
    Dir,
    File { state: FileState, linked: bool, opens: u32 },
}

/// The disk. One per simulated machine; it outlives the machine's crashes.
#[derive(Debug)]
pub struct SimDisk {
    faults: DiskFaults,
    dice: Dice,
    nodes: BTreeMap<Ino, Node>,
    names: Names,
    handles: BTreeMap<FileId, Ino>,
    /// Rises with each change; a flush covers all changes up to a number. Names nodes and handles, too.
    seq: u64,
    /// Crashes so far.
    boot: u64,
    used_pages: u64,
    fail_in: [Option<u64>; OPS],
    /// Openings that are let pass, and how many are refused then.
    lacking: (u64, u64),
    done: [u64; OPS],
}

impl SimDisk {
    /// An empty disk. All of its choices follow from `seed`.
    pub fn new(seed: u64, faults: DiskFaults) -> SimDisk {
        check(&faults);
        SimDisk {
            faults,
            dice: Dice::new(seed),
            nodes: BTreeMap::from([(ROOT, Node::Dir)]),
            names: Names::default(),
            handles: BTreeMap::new(),
            seq: 0,
            boot: 0,
            used_pages: 0,
            fail_in: [None; OPS],
            lacking: (0, 0),
            done: [0; OPS],
        }
    }

    // -- faults ----------------------------------------------------------------------------------------------------

    /// What can go wrong from now on.
    pub fn set_faults(&mut self, faults: DiskFaults) {
        check(&faults);
        self.faults = faults;
    }

    /// What can go wrong.
    pub fn faults(&self) -> &DiskFaults {
        &self.faults
    }

    /// Lets the `n`-th operation of this kind from now fail with EIO, once; 0 is the next one.
    pub fn fail_nth(&mut self, op: DiskOp, n: u64) {
        self.fail_in[op as usize] = Some(n);
    }

    /// Lets `after` openings of files and directories pass and refuses `count` then with EMFILE, as if the process had as many
    /// open as it may.
    pub fn lack_handles(&mut self, after: u64, count: u64) {
        self.lacking = (after, count);
    }

    fn take_handle(&mut self) -> io::Result<()> {
        let (after, count) = &mut self.lacking;
        if *after > 0 {
            *after -= 1;
            return Ok(());
        }
        match count.checked_sub(1) {
            Some(left) => {
                *count = left;
                Err(EMFILE.into())
            }
            None => Ok(()),
        }
    }

    /// How long the executor lets the next operation of this kind take.
    pub fn latency(&mut self, op: DiskOp) -> Duration {
        let slow = op != DiskOp::Name && self.dice.chance(self.faults.slow_ppm);
        self.dice.around(if slow { self.faults.latency_slow } else { self.faults.latency })
    }

    /// Operations of this kind so far.
    pub fn ops(&self, op: DiskOp) -> u64 {
        self.done[op as usize]
    }

    /// Turns bit `bit % 8` of the byte that is stored durably at `offset`. False if nothing is stored there (beyond
    /// the durable size, a hole). Unflushed writes of that page hide the flip, as they would overwrite it.
    pub fn flip_bit(&mut self, path: impl AsRef<Path>, offset: u64, bit: u8) -> io::Result<bool> {
        let ino = self.resolve(path.as_ref())?;
        Ok(self.file_mut(ino)?.flip_bit(offset, bit))
    }

    /// Turns one stored bit somewhere in `path`. Returns where, or `None` if the dice met a hole.
    pub fn flip_random_bit(&mut self, path: impl AsRef<Path>) -> io::Result<Option<u64>> {
        let ino = self.resolve(path.as_ref())?;
        let size = self.file_mut(ino)?.size_durable();
        if size == 0 {
            return Ok(None);
        }
        let (offset, bit) = (self.dice.below(size), self.dice.below(8) as u8);
        Ok(self.file_mut(ino)?.flip_bit(offset, bit).then_some(offset))
    }

    /// Power off and on. What was flushed is there; the rest is resolved by the seed. All handles are stale, and what
    /// is now on the disk is durable.
    pub fn crash(&mut self) {
        let mood = CrashMood::draw(&mut self.dice);
        self.names.crash(&mut self.dice, mood);
        let known = self.names.known();
        self.nodes.retain(|ino, _| known.contains(ino));
        for node in self.nodes.values_mut() {
            if let Node::File { state, linked, opens } = node {
                state.crash(&mut self.dice, mood, self.faults.sector_bytes);
                (*linked, *opens) = (true, 0);
            }
        }
        self.handles.clear();
        self.boot += 1;
        self.used_pages = self.nodes.values().map(Node::pages_counted).sum();
    }

    /// Counts one operation and tells whether it fails.
    fn strike(&mut self, op: DiskOp) -> bool {
        self.done[op as usize] += 1;
        let planned = match &mut self.fail_in[op as usize] {
            Some(0) => self.fail_in[op as usize].take().is_some(),
            Some(n) => {
                *n -= 1;
                false
            }
            None => false,
        };
        let ppm = match op {
            DiskOp::Read => self.faults.read_error_ppm,
            DiskOp::Write => self.faults.write_error_ppm,
            DiskOp::Flush => self.faults.flush_error_ppm,
            DiskOp::Name => self.faults.name_error_ppm,
        };
        planned || self.dice.chance(ppm)
    }

    // -- space -----------------------------------------------------------------------------------------------------

    /// Bytes in use: pages written or reserved by files that have a name or are open.
    pub fn used(&self) -> u64 {
        self.used_pages * PAGE_BYTES as u64
    }

    /// Bytes left; `u64::MAX` if there is no limit.
    pub fn free(&self) -> u64 {
        self.faults.space.map_or(u64::MAX, |space| space.saturating_sub(self.used()))
    }

    /// Pages whose newest write has not been flushed.
    pub fn unflushed_pages(&self) -> u64 {
        self.nodes
            .values()
            .map(|node| if let Node::File { state, .. } = node { state.pages_unflushed() } else { 0 })
            .sum()
    }

    // -- files -----------------------------------------------------------------------------------------------------

    /// Opens a file.
    ///
    /// # Errors
    /// ENOENT, EEXIST (`create_new`), EISDIR, ENOTDIR as the system has them, EIO by fault when it must make the file,
    /// EMFILE by [`SimDisk::lack_handles`].
    pub fn open(&mut self, path: impl AsRef<Path>, mode: OpenMode) -> io::Result<FileId> {
        self.take_handle()?;
        let place = self.place(path.as_ref())?;
        let ino = match self.names.lookup(place.0, &place.1) {
            Some(_) if mode.create_new => return Err(EEXIST.into()),
            Some(ino) => ino,
            None if mode.create || mode.create_new => self.make(place, Node::new_file())?,
            None => return Err(ENOENT.into()),
        };
        self.file_mut(ino)?;
        if mode.truncate {
            self.resize(ino, 0);
        }
        let id = FileId(self.next_seq());
        self.handles.insert(id, ino);
        if let Some(Node::File { opens, .. }) = self.nodes.get_mut(&ino) {
            *opens += 1;
        }
        Ok(id)
    }

    /// Closes a file. Flushes nothing.
    pub fn close(&mut self, id: FileId) {
        if let Some(ino) = self.handles.remove(&id) {
            self.recount(ino, |linked, opens| (linked, opens - 1));
            if matches!(self.nodes.get(&ino), Some(Node::File { linked: false, opens: 0, .. })) {
                self.forget_lost_nodes();
            }
        }
    }

    /// Size in bytes.
    pub fn len(&self, id: FileId) -> io::Result<u64> {
        match self.nodes.get(self.handles.get(&id).ok_or(EBADF)?) {
            Some(Node::File { state, .. }) => Ok(state.size()),
            _ => Err(EBADF.into()),
        }
    }

    /// Reads up to the end of the buffer or of the file; returns how many bytes.
    #[inline(never)]
    pub fn read_at(&mut self, id: FileId, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let ino = self.handle(id)?;
        if self.strike(DiskOp::Read) {
            return Err(EIO.into());
        }
        Ok(self.file_mut(ino)?.read(offset, buf))
    }

    /// Writes all of `bytes`, growing the file as needed.
    ///
    /// # Errors
    /// ENOSPC after the pages that still had room; EIO by fault after an arbitrary part of the pages.
    #[inline(never)]
    pub fn write_at(&mut self, id: FileId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let ino = self.handle(id)?;
        let fails = self.strike(DiskOp::Write);
        let seq = self.next_seq();
        for part in file::parts(offset, bytes.len()) {
            if fails && self.dice.chance(500_000) {
                continue;
            }
            self.take_page(ino, part.page)?;
            let page = self.aim(ino, part.page);
            let state = self.file_mut(ino)?;
            state.write_page(page, part.within, &bytes[part.at..part.at + part.len], seq);
            let end = offset + (part.at + part.len) as u64;
            if end > state.size() {
                state.set_size(end, seq);
            }
        }
        if fails { Err(EIO.into()) } else { Ok(()) }
    }

    /// Reserves room for `offset..offset + len` and grows the file to its end, never shrinks it. Reads as zeros.
    ///
    /// # Errors
    /// ENOSPC with nothing reserved; EIO by fault.
    #[inline(never)]
    pub fn allocate(&mut self, id: FileId, offset: u64, len: u64) -> io::Result<()> {
        let ino = self.handle(id)?;
        if self.strike(DiskOp::Write) {
            return Err(EIO.into());
        }
        let end = offset + len;
        let pages = offset / PAGE_BYTES as u64..end.div_ceil(PAGE_BYTES as u64);
        let state = self.file_mut(ino)?;
        let missing = pages.clone().filter(|page| !state.is_allocated(*page)).count() as u64;
        if missing * PAGE_BYTES as u64 > self.free() {
            return Err(ENOSPC.into());
        }
        for page in pages {
            self.take_page(ino, page)?;
        }
        let grown = self.file_mut(ino)?.size().max(end);
        self.resize(ino, grown);
        Ok(())
    }

    /// Cuts the file or extends it by a hole.
    pub fn set_len(&mut self, id: FileId, len: u64) -> io::Result<()> {
        let ino = self.handle(id)?;
        if self.strike(DiskOp::Write) {
            return Err(EIO.into());
        }
        self.resize(ino, len);
        Ok(())
    }

    fn resize(&mut self, ino: Ino, len: u64) {
        let seq = self.next_seq();
        if let Some(Node::File { state, .. }) = self.nodes.get_mut(&ino) {
            let before = state.pages_allocated();
            state.set_size(len, seq);
            self.used_pages -= before - state.pages_allocated();
        }
    }

    /// Room for one page, if it has none yet.
    fn take_page(&mut self, ino: Ino, page: u64) -> io::Result<()> {
        if self.file_mut(ino)?.is_allocated(page) {
            return Ok(());
        }
        if self.free() < PAGE_BYTES as u64 {
            return Err(ENOSPC.into());
        }
        self.file_mut(ino)?.allocate(page);
        self.used_pages += 1;
        Ok(())
    }

    /// The page a write really lands on.
    fn aim(&mut self, ino: Ino, page: u64) -> u64 {
        if !self.dice.chance(self.faults.misdirected_ppm) {
            return page;
        }
        let known = self.file_mut(ino).map_or(0, |state| state.pages_known());
        let other = self.dice.below(known.max(1));
        self.file_mut(ino).ok().and_then(|state| state.nth_page(other)).unwrap_or(page)
    }

    // -- flushes ---------------------------------------------------------------------------------------------------

    /// Begins a flush of a file's data and size: it covers what was written until now.
    pub fn flush_begin(&mut self, id: FileId) -> io::Result<Flush> {
        let ino = self.handle(id)?;
        self.file_mut(ino)?.flushing += 1;
        Ok(self.flush_of(Scope::File(ino)))
    }

    /// Begins a flush of the names in a directory.
    pub fn flush_dir_begin(&mut self, path: impl AsRef<Path>) -> io::Result<Flush> {
        self.take_handle()?;
        let ino = self.resolve(path.as_ref())?;
        match self.nodes.get(&ino) {
            Some(Node::Dir) => Ok(self.flush_of(Scope::Dir(ino))),
            _ => Err(ENOTDIR.into()),
        }
    }

    /// Begins a flush of everything.
    pub fn flush_all_begin(&mut self) -> io::Result<Flush> {
        self.take_handle()?;
        for node in self.nodes.values_mut() {
            if let Node::File { state, .. } = node {
                state.flushing += 1;
            }
        }
        Ok(self.flush_of(Scope::All))
    }

    /// Ends a flush: what it covers is durable from here on. A flush that began before a crash does nothing and
    /// reports EBADF.
    ///
    /// # Errors
    /// EIO by fault: what it covers may be lost and is never made durable by another flush.
    #[inline(never)]
    pub fn flush_end(&mut self, flush: Flush) -> io::Result<()> {
        if flush.boot != self.boot {
            return Err(EBADF.into());
        }
        let outcome = match (self.strike(DiskOp::Flush), self.faults.honour_flush) {
            (true, _) => FlushOutcome::Failed,
            (false, true) => FlushOutcome::Done,
            (false, false) => FlushOutcome::Ignored,
        };
        match flush.scope {
            Scope::File(ino) => self.nodes.get_mut(&ino).into_iter().for_each(|node| node.flushed(flush.upto, outcome)),
            Scope::All => self.nodes.values_mut().for_each(|node| node.flushed(flush.upto, outcome)),
            Scope::Dir(_) => {}
        }
        match (outcome, flush.scope) {
            (FlushOutcome::Failed, _) => return Err(EIO.into()),
            (FlushOutcome::Ignored, _) | (_, Scope::File(_)) => return Ok(()),
            (FlushOutcome::Done, Scope::Dir(ino)) => self.names.flush(Some(ino), flush.upto),
            (FlushOutcome::Done, Scope::All) => self.names.flush(None, flush.upto),
        }
        self.forget_lost_nodes();
        Ok(())
    }

    /// Flushes a file's data and size, at once.
    pub fn sync_data(&mut self, id: FileId) -> io::Result<()> {
        let flush = self.flush_begin(id)?;
        self.flush_end(flush)
    }

    /// Flushes the names in a directory, at once.
    pub fn sync_dir(&mut self, path: impl AsRef<Path>) -> io::Result<()> {
        let flush = self.flush_dir_begin(path)?;
        self.flush_end(flush)
    }

    /// Flushes everything, at once.
    pub fn sync_fs(&mut self) -> io::Result<()> {
        let flush = self.flush_all_begin()?;
        self.flush_end(flush)
    }

    fn flush_of(&self, scope: Scope) -> Flush {
        Flush { scope, upto: self.seq, boot: self.boot }
    }

    // -- names -----------------------------------------------------------------------------------------------------

    /// Makes one directory.
    pub fn create_dir(&mut self, path: impl AsRef<Path>) -> io::Result<()> {
        let place = self.place(path.as_ref())?;
        if self.names.lookup(place.0, &place.1).is_some() {
            return Err(EEXIST.into());
        }
        self.make(place, Node::Dir).map(drop)
    }

    /// Makes a directory and those above it, where they are missing.
    pub fn create_dir_all(&mut self, path: impl AsRef<Path>) -> io::Result<()> {
        let mut dir = ROOT;
        for name in names_of(path.as_ref())? {
            dir = match self.names.lookup(dir, &name) {
                Some(ino) => ino,
                None => self.make((dir, name), Node::Dir)?,
            };
            if !matches!(self.nodes.get(&dir), Some(Node::Dir)) {
                return Err(ENOTDIR.into());
            }
        }
        Ok(())
    }

    /// Removes a file's name. Open handles go on working; the room is free when the last of them is closed.
    pub fn remove_file(&mut self, path: impl AsRef<Path>) -> io::Result<()> {
        let place = self.place(path.as_ref())?;
        let ino = self.names.lookup(place.0, &place.1).ok_or(ENOENT)?;
        self.file_mut(ino)?;
        self.unlink(place, ino)
    }

    /// Removes a directory that has nothing in it. ENOTEMPTY if it has, ENOENT, ENOTDIR.
    pub fn remove_dir(&mut self, path: impl AsRef<Path>) -> io::Result<()> {
        let place = self.place(path.as_ref())?;
        let ino = self.names.lookup(place.0, &place.1).ok_or(ENOENT)?;
        match self.nodes.get(&ino) {
            Some(Node::Dir) if self.names.entries(ino).next().is_some() => Err(ENOTEMPTY.into()),
            Some(Node::Dir) => self.unlink(place, ino),
            _ => Err(ENOTDIR.into()),
        }
    }

    /// Removes a directory with all that is in it.
    pub fn remove_dir_all(&mut self, path: impl AsRef<Path>) -> io::Result<()> {
        let place = self.place(path.as_ref())?;
        let ino = self.names.lookup(place.0, &place.1).ok_or(ENOENT)?;
        match self.nodes.get(&ino) {
            Some(Node::Dir) => self.remove_tree(place, ino),
            _ => Err(ENOTDIR.into()),
        }
    }

    fn remove_tree(&mut self, place: (Ino, OsString), ino: Ino) -> io::Result<()> {
        let inside: Vec<(OsString, Ino)> = self.names.entries(ino).map(|(name, ino)| (name.clone(), ino)).collect();
        for (name, child) in inside {
            self.remove_tree((ino, name), child)?;
        }
        self.unlink(place, ino)
    }

    fn unlink(&mut self, place: (Ino, OsString), ino: Ino) -> io::Result<()> {
        if self.strike(DiskOp::Name) {
            return Err(EIO.into());
        }
        let seq = self.next_seq();
        self.names.unlink(seq, place);
        self.recount(ino, |_, opens| (false, opens));
        Ok(())
    }

    /// Moves a file or directory, in one step. A file that has the new name loses it.
    pub fn rename(&mut self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let (from, to) = (self.place(from.as_ref())?, self.place(to.as_ref())?);
        let moved = self.names.lookup(from.0, &from.1).ok_or(ENOENT)?;
        let replaced = self.names.lookup(to.0, &to.1).filter(|ino| *ino != moved);
        if replaced.is_some_and(|ino| matches!(self.nodes.get(&ino), Some(Node::Dir))) {
            return Err(EISDIR.into());
        }
        if self.strike(DiskOp::Name) {
            return Err(EIO.into());
        }
        let seq = self.next_seq();
        self.names.rename(seq, from, to);
        if let Some(ino) = replaced {
            self.recount(ino, |_, opens| (false, opens));
        }
        Ok(())
    }

    /// What is in a directory, by name.
    pub fn read_dir(&self, path: impl AsRef<Path>) -> io::Result<Vec<DirEntry>> {
        let dir = self.resolve(path.as_ref())?;
        if !matches!(self.nodes.get(&dir), Some(Node::Dir)) {
            return Err(ENOTDIR.into());
        }
        Ok(self.names.entries(dir).map(|(name, ino)| self.entry(name.clone(), ino)).collect())
    }

    /// What has this name, if anything has.
    pub fn find(&self, path: impl AsRef<Path>) -> Option<DirEntry> {
        let path = path.as_ref();
        let ino = self.resolve(path).ok()?;
        Some(self.entry(path.file_name().unwrap_or_default().to_owned(), ino))
    }

    fn entry(&self, name: OsString, ino: Ino) -> DirEntry {
        match self.nodes.get(&ino) {
            Some(Node::File { state, .. }) => DirEntry { name, is_dir: false, len: state.size() },
            _ => DirEntry { name, is_dir: true, len: 0 },
        }
    }

    fn make(&mut self, place: (Ino, OsString), node: Node) -> io::Result<Ino> {
        if self.strike(DiskOp::Name) {
            return Err(EIO.into());
        }
        let ino = self.next_seq();
        self.nodes.insert(ino, node);
        self.names.link(ino, place, ino);
        Ok(ino)
    }

    /// The directory a path lies in, which must be there, and the name in it.
    fn place(&self, path: &Path) -> io::Result<(Ino, OsString)> {
        let mut names = names_of(path)?;
        let name = names.pop().ok_or(EEXIST)?;
        let dir = self.walk(names)?;
        match self.nodes.get(&dir) {
            Some(Node::Dir) => Ok((dir, name)),
            _ => Err(ENOTDIR.into()),
        }
    }

    fn resolve(&self, path: &Path) -> io::Result<Ino> {
        self.walk(names_of(path)?)
    }

    fn walk(&self, names: Vec<OsString>) -> io::Result<Ino> {
        let found = names.iter().try_fold(ROOT, |dir, name| self.names.lookup(dir, name));
        found.ok_or_else(|| ENOENT.into())
    }

    // -- book-keeping ----------------------------------------------------------------------------------------------

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn handle(&self, id: FileId) -> io::Result<Ino> {
        self.handles.get(&id).copied().ok_or_else(|| EBADF.into())
    }

    fn file_mut(&mut self, ino: Ino) -> io::Result<&mut FileState> {
        match self.nodes.get_mut(&ino) {
            Some(Node::File { state, .. }) => Ok(state),
            Some(Node::Dir) => Err(EISDIR.into()),
            None => Err(EBADF.into()),
        }
    }

    /// Changes who holds a file and with it whether its pages count as used.
    fn recount(&mut self, ino: Ino, change: impl FnOnce(bool, u32) -> (bool, u32)) {
        let Some(node) = self.nodes.get_mut(&ino) else { return };
        self.used_pages -= node.pages_counted();
        if let Node::File { linked, opens, .. } = node {
            (*linked, *opens) = change(*linked, *opens);
        }
        self.used_pages += node.pages_counted();
    }

    /// Drops what no crash can bring back.
    fn forget_lost_nodes(&mut self) {
        let known = self.names.known();
        self.nodes.retain(|ino, node| known.contains(ino) || node.is_open());
    }
}

impl Node {
    fn new_file() -> Node {
        Node::File { state: FileState::default(), linked: true, opens: 0 }
    }

    fn flushed(&mut self, upto: u64, outcome: FlushOutcome) {
        let Node::File { state, .. } = self else { return };
        // A file made while a flush of everything was under way was not counted by it.
        state.flushing = state.flushing.saturating_sub(1);
        match outcome {
            FlushOutcome::Done => state.flush(upto),
            FlushOutcome::Failed => state.abandon(upto),
            FlushOutcome::Ignored => {}
        }
    }

    fn is_open(&self) -> bool {
        matches!(self, Node::File { opens: 1.., .. })
    }

    fn pages_counted(&self) -> u64 {
        match self {
            Node::File { state, linked, opens } if *linked || *opens > 0 => state.pages_allocated(),
            _ => 0,
        }
    }
}

fn check(faults: &DiskFaults) {
    let sector = faults.sector_bytes;
    assert!(
        (512..=PAGE_BYTES).contains(&sector) && PAGE_BYTES.is_multiple_of(sector),
        "no disk has sectors of {sector} bytes"
    );
}

/// The names of a path from the root; a relative path starts there, too. There are no links and no `..`.
fn names_of(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    Ok(names)
}

/// An error as Linux numbers it, so that callers who look at `raw_os_error` see what they see on a real machine.
#[derive(Clone, Copy)]
struct Errno(i32);

const ENOENT: Errno = Errno(2);
const EIO: Errno = Errno(5);
const EMFILE: Errno = Errno(24);
const EBADF: Errno = Errno(9);
const EEXIST: Errno = Errno(17);
const ENOTDIR: Errno = Errno(20);
const EISDIR: Errno = Errno(21);
const ENOSPC: Errno = Errno(28);
const ENOTEMPTY: Errno = Errno(39);

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> io::Error {
        io::Error::from_raw_os_error(errno.0)
    }
}
