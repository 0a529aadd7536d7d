//! One file of the simulated disk: its pages and its size, each with what happened to it since the last flush.
//!
//! ```text
//!   page   durable block | unflushed versions, oldest first      live = the newest version, or else the durable block
//!   size   durable size  | unflushed sizes, oldest first         live = likewise
//! ```
//!
//! What always holds: a version's sequence number is above those before it; a flush up to a number leaves no
//! version at or below it (but for those that an earlier flush failed on: see [`FileState::abandon`]).

use std::collections::BTreeMap;

use super::dice::Dice;
use super::{CrashMood, PAGE_BYTES};

/// `None` reads as zeros.
type Block = Option<Box<[u8; PAGE_BYTES]>>;

/// A page or size that is overwritten for ever without a flush remembers this many of its versions: enough for a
/// reordered write to surface, and memory stays bounded.
const VERSIONS_MAX: usize = 6;

#[derive(Debug)]
struct Version<T> {
    seq: u64,
    value: T,
    /// A flush failed on it: the kernel holds it for clean, so later flushes pass it by.
    abandoned: bool,
}

/// A durable value and what was done to it since.
#[derive(Debug, Default)]
struct History<T> {
    durable: T,
    unflushed: Vec<Version<T>>,
}

impl<T> History<T> {
    fn live(&self) -> &T {
        self.unflushed.last().map_or(&self.durable, |version| &version.value)
    }

    fn push(&mut self, seq: u64, value: T, bounded: bool) {
        if bounded && self.unflushed.len() >= VERSIONS_MAX {
            self.unflushed.remove(0);
        }
        self.unflushed.push(Version { seq, value, abandoned: false });
    }

    fn flush(&mut self, upto: u64) {
        let newest = self.unflushed.iter().rposition(|version| version.seq <= upto && !version.abandoned);
        if let Some(at) = newest {
            self.durable = self.unflushed.drain(..=at).next_back().expect("`at` is inside").value;
        }
    }

    fn abandon(&mut self, upto: u64) {
        self.unflushed.iter_mut().filter(|version| version.seq <= upto).for_each(|version| version.abandoned = true);
    }

    /// What the crash left of this value: 0 is the durable one, `n` the n-th unflushed version.
    fn survivor(&self, dice: &mut Dice, mood: CrashMood) -> usize {
        let newest = self.unflushed.len();
        if newest == 0 || !dice.chance(mood.kept_ppm) {
            0
        } else if newest > 1 && dice.chance(mood.reordered_ppm) {
            1 + dice.below(newest as u64 - 1) as usize
        } else {
            newest
        }
    }

    fn version(&self, survivor: usize) -> &T {
        if survivor == 0 { &self.durable } else { &self.unflushed[survivor - 1].value }
    }
}

#[derive(Debug, Default)]
struct Page {
    history: History<Block>,
    /// Takes room on the disk: written or reserved, and below the live size.
    allocated: bool,
}

#[derive(Debug, Default)]
pub(super) struct FileState {
    pages: BTreeMap<u64, Page>,
    size: History<u64>,
    allocated: u64,
    /// Flushes that have begun and not ended. What they must make durable may not be forgotten meanwhile.
    pub(super) flushing: u32,
}

impl FileState {
    pub(super) fn size(&self) -> u64 {
        *self.size.live()
    }

    pub(super) fn pages_allocated(&self) -> u64 {
        self.allocated
    }

    pub(super) fn is_allocated(&self, page: u64) -> bool {
        self.pages.get(&page).is_some_and(|page| page.allocated)
    }

    /// The `n`-th page that has an entry; a misdirected write lands on one of these.
    pub(super) fn nth_page(&self, n: u64) -> Option<u64> {
        self.pages.keys().nth(n as usize).copied()
    }

    pub(super) fn pages_known(&self) -> u64 {
        self.pages.len() as u64
    }

    pub(super) fn pages_unflushed(&self) -> u64 {
        self.pages.values().filter(|page| !page.history.unflushed.is_empty()).count() as u64
    }

    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> usize {
        let len = self.size().saturating_sub(offset).min(buf.len() as u64) as usize;
        for part in parts(offset, len) {
            let out = &mut buf[part.at..part.at + part.len];
            match self.pages.get(&part.page).and_then(|page| page.history.live().as_ref()) {
                Some(block) => out.copy_from_slice(&block[part.within..part.within + part.len]),
                None => out.fill(0),
            }
        }
        len
    }

    /// Takes room for a page; zeros until it is written.
    pub(super) fn allocate(&mut self, page: u64) {
        let page = self.pages.entry(page).or_default();
        if !page.allocated {
            page.allocated = true;
            self.allocated += 1;
        }
    }

    /// Writes into one page. The rest of the page stays as it is live: the page goes to the disk as a whole.
    pub(super) fn write_page(&mut self, page: u64, within: usize, bytes: &[u8], seq: u64) {
        let bounded = self.flushing == 0;
        let page = self.pages.entry(page).or_default();
        let mut block = page.history.live().clone().unwrap_or_else(|| Box::new([0; PAGE_BYTES]));
        block[within..within + bytes.len()].copy_from_slice(bytes);
        page.history.push(seq, Some(block), bounded);
    }

    /// Cuts or extends. What was beyond a cut reads as zeros if the file grows over it again.
    pub(super) fn set_size(&mut self, size: u64, seq: u64) {
        let bounded = self.flushing == 0;
        let was = self.size();
        if size == was {
            return;
        }
        self.size.push(seq, size, bounded);
        if size > was {
            return;
        }
        let edge = size / PAGE_BYTES as u64;
        let within = (size % PAGE_BYTES as u64) as usize;
        if within > 0 && self.pages.get(&edge).is_some_and(|page| page.history.live().is_some()) {
            self.write_page(edge, within, &[0; PAGE_BYTES][within..], seq);
        }
        for (_, page) in self.pages.range_mut(size.div_ceil(PAGE_BYTES as u64)..) {
            if std::mem::take(&mut page.allocated) {
                self.allocated -= 1;
            }
            if page.history.live().is_some() {
                page.history.push(seq, None, bounded);
            }
        }
    }

    /// Makes everything up to `upto` durable.
    pub(super) fn flush(&mut self, upto: u64) {
        self.size.flush(upto);
        self.pages.values_mut().for_each(|page| page.history.flush(upto));
        self.forget_empty_pages();
    }

    /// A flush failed: the kernel tells once and then takes those pages for clean. They may or may not be on the
    /// disk, reads still see them, and **no later flush makes them durable**: whoever retries a flush loses data.
    pub(super) fn abandon(&mut self, upto: u64) {
        self.size.abandon(upto);
        self.pages.values_mut().for_each(|page| page.history.abandon(upto));
    }

    /// The machine stops. Each unflushed page is resolved alone; within it each `sector` alone.
    pub(super) fn crash(&mut self, dice: &mut Dice, mood: CrashMood, sector: usize) {
        let size = *self.size.version(self.size.survivor(dice, mood));
        self.size = History { durable: size, unflushed: Vec::new() };
        for page in self.pages.values_mut().filter(|page| !page.history.unflushed.is_empty()) {
            page.history = History { durable: resolve(&page.history, dice, mood, sector), unflushed: Vec::new() };
        }
        self.pages.split_off(&size.div_ceil(PAGE_BYTES as u64));
        self.zero_beyond(size);
        self.pages.values_mut().for_each(|page| page.allocated |= page.history.durable.is_some());
        self.allocated = self.pages.values().filter(|page| page.allocated).count() as u64;
        self.flushing = 0;
        self.forget_empty_pages();
    }

    /// Turns one stored bit. False if nothing is stored there.
    pub(super) fn flip_bit(&mut self, offset: u64, bit: u8) -> bool {
        let stored = self.pages.get_mut(&(offset / PAGE_BYTES as u64));
        match stored.and_then(|page| page.history.durable.as_mut()) {
            Some(block) if offset < self.size.durable => {
                block[(offset % PAGE_BYTES as u64) as usize] ^= 1 << (bit % 8);
                true
            }
            _ => false,
        }
    }

    /// Stored bytes: those that [`FileState::flip_bit`] can reach, but for holes.
    pub(super) fn size_durable(&self) -> u64 {
        self.size.durable
    }

    fn zero_beyond(&mut self, size: u64) {
        let within = (size % PAGE_BYTES as u64) as usize;
        let edge = self.pages.get_mut(&(size / PAGE_BYTES as u64));
        if let Some(block) = edge.and_then(|page| page.history.durable.as_mut()) {
            block[within..].fill(0);
        }
    }

    fn forget_empty_pages(&mut self) {
        self.pages
            .retain(|_, page| page.allocated || page.history.durable.is_some() || !page.history.unflushed.is_empty());
    }
}

/// One block out of a page's versions, sector by sector. With sectors of a whole page there is one choice.
fn resolve(history: &History<Block>, dice: &mut Dice, mood: CrashMood, sector: usize) -> Block {
    let mut result: Block = None;
    for at in (0..PAGE_BYTES).step_by(sector) {
        let survivor = history.version(history.survivor(dice, mood));
        if let Some(block) = survivor {
            let result = result.get_or_insert_with(|| Box::new([0; PAGE_BYTES]));
            result[at..at + sector].copy_from_slice(&block[at..at + sector]);
        }
    }
    result
}

/// A piece of a byte range that lies in one page.
pub(super) struct Part {
    pub(super) page: u64,
    /// Position in the page.
    pub(super) within: usize,
    /// Position in the caller's bytes.
    pub(super) at: usize,
    pub(super) len: usize,
}

/// Cuts `offset..offset + len` at page boundaries.
pub(super) fn parts(offset: u64, len: usize) -> impl Iterator<Item = Part> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let position = offset + at as u64;
        let within = (position % PAGE_BYTES as u64) as usize;
        let part = Part { page: position / PAGE_BYTES as u64, within, at, len: (len - at).min(PAGE_BYTES - within) };
        at += part.len;
        (part.len > 0).then_some(part)
    })
}
