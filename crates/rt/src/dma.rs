//! Aligned buffers that go home.
//!
//! A [`DmaBuf`] starts at a 4 KiB boundary and is a whole number of 4 KiB pages, as direct I/O asks. Blocks of the size
//! classes 4 KiB to 1 MiB are kept by the slab of the shard that made them, up to a budget; larger ones are plain. Those
//! of 64 KiB and more are cut from arenas of one huge page each where many are wanted and the system has such pages: a direct
//! read or write pins its pages one by one, and of huge ones there are few.
//!
//! What always holds: every byte of a block was written at least once (blocks are zeroed when they are made); a buffer
//! that is dropped on another shard travels home with that shard's next batch.

use crate::crossing::Return;
use crate::hub::{Inbound, Inbox};
use crate::shard::Shard;
use bytes::Bytes;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Alignment of every buffer, and the granularity of its capacity.
pub const PAGE: usize = 4096;

/// Size classes: 4 KiB, 8 KiB, ... 1 MiB.
const CLASSES: usize = 9;
/// Blocks above this are not kept.
const KEPT_MAX: usize = PAGE << (CLASSES - 1);
/// Blocks of this size and above are no part of the heap: up to [`KEPT_MAX`] they are cut from arenas, above they are
/// mapped one by one.
const MAPPED_MIN: usize = 64 << 10;
/// A huge page.
const ARENA: usize = 2 << 20;

/// Memory mapped from the system, unmapped when dropped.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is the only owner of its memory, which any thread may unmap.
#[allow(unsafe_code, reason = "see SAFETY above")]
unsafe impl Send for Mapping {}
// SAFETY: `&Mapping` gives only its address and size.
#[allow(unsafe_code, reason = "see SAFETY above")]
unsafe impl Sync for Mapping {}

impl Mapping {
    /// The system zeroes the pages when they are touched, so that a frame which declares much and sends little costs
    /// little; and what is freed is free, not a hole in somebody's heap.
    fn new(len: usize) -> Mapping {
        // SAFETY: a new private mapping at an address of the kernel's choice; it overlaps nothing.
        #[allow(unsafe_code, reason = "see SAFETY")]
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                len,
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::PRIVATE,
            )
        };
        match start.ok().and_then(|start| NonNull::new(start.cast())) {
            Some(start) => Mapping { start, len },
            None => handle_alloc_error(Block::layout(len)),
        }
    }

    /// [`ARENA`] bytes for one huge page. Where the system has none they are ordinary pages.
    fn arena() -> Mapping {
        let wide = Mapping::new(2 * ARENA);
        let before = wide.start.align_offset(ARENA);
        let after = ARENA - before;
        let Mapping { start, .. } = *std::mem::ManuallyDrop::new(wide);
        // SAFETY: `before + ARENA + after` bytes are mapped from `start` on and nobody has their address; both ends are
        // whole pages and are given back, and what is left is a mapping of its own.
        #[allow(unsafe_code, reason = "see SAFETY")]
        unsafe {
            let arena = start.add(before);
            if before > 0 {
                _ = rustix::mm::munmap(start.as_ptr().cast(), before);
            }
            if after > 0 {
                _ = rustix::mm::munmap(arena.add(ARENA).as_ptr().cast(), after);
            }
            _ = rustix::mm::madvise(arena.as_ptr().cast(), ARENA, rustix::mm::Advice::LinuxHugepage);
            Mapping { start: arena, len: ARENA }
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, of which `arena` has given back the rest; unmapped once; nobody else has the address. Unmapping one's own does not fail.
        #[allow(unsafe_code, reason = "see SAFETY")]
        unsafe {
            _ = rustix::mm::munmap(self.start.as_ptr().cast(), self.len);
        }
    }
}

/// A run of whole pages, zero at first. Freed when dropped, wherever that is.
pub(crate) struct Block {
    start: NonNull<u8>,
    capacity: usize,
    /// Where its pages are, if not in the heap.
    mapping: Option<Arc<Mapping>>,
}

// SAFETY: a block is the only owner of its memory, and the global allocator takes memory back on any thread.
#[allow(unsafe_code, reason = "see SAFETY above")]
unsafe impl Send for Block {}
// SAFETY: `&Block` gives only its address and size.
#[allow(unsafe_code, reason = "see SAFETY above")]
unsafe impl Sync for Block {}

impl Block {
    /// A block of its own.
    fn new(capacity: usize) -> Block {
        if capacity >= MAPPED_MIN {
            let mapping = Mapping::new(capacity);
            return Block { start: mapping.start, capacity, mapping: Some(Arc::new(mapping)) };
        }
        let layout = Block::layout(capacity);
        // SAFETY: the layout's size is not zero (`DmaBuf::new` rounds up to at least one page).
        #[allow(unsafe_code, reason = "see SAFETY")]
        let start = unsafe { alloc_zeroed(layout) };
        match NonNull::new(start) {
            Some(start) => Block { start, capacity, mapping: None },
            None => handle_alloc_error(layout),
        }
    }

    /// As many blocks as an arena has room for.
    fn arena(capacity: usize) -> impl Iterator<Item = Block> {
        let arena = Arc::new(Mapping::arena());
        (0..ARENA / capacity).map(move |place| {
            // SAFETY: `place * capacity` lies inside the arena.
            #[allow(unsafe_code, reason = "see SAFETY")]
            let start = unsafe { arena.start.add(place * capacity) };
            Block { start, capacity, mapping: Some(arena.clone()) }
        })
    }

    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity, PAGE).expect("a buffer is smaller than the address space")
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let Some(mapping) = &self.mapping else {
            // SAFETY: allocated in `new` with this very layout; freed once; nobody else has the address.
            #[allow(unsafe_code, reason = "see SAFETY")]
            unsafe {
                dealloc(self.start.as_ptr(), Block::layout(self.capacity));
            }
            return;
        };
        if mapping.len > self.capacity && Arc::strong_count(mapping) > 1 {
            // Its neighbours keep the arena; its own pages go back now.
            // SAFETY: whole pages of this block alone; nobody reads them again.
            #[allow(unsafe_code, reason = "see SAFETY")]
            unsafe {
                _ = rustix::mm::madvise(self.start.as_ptr().cast(), self.capacity, rustix::mm::Advice::LinuxDontNeed);
            }
        }
    }
}

/// The blocks that a shard keeps for its next buffers.
pub(crate) struct Slab {
    classes: RefCell<[Class; CLASSES]>,
    kept_bytes: Cell<u64>,
    budget: u64,
}

#[derive(Default)]
struct Class {
    kept: Vec<Block>,
    /// The fewest that were kept at any time since the last trim: nobody needed these.
    spare: usize,
    /// How many were wanted since the last trim when none was kept.
    missed: usize,
}

impl Slab {
    pub(crate) fn new(budget: u64) -> Self {
        Slab { classes: RefCell::default(), kept_bytes: Cell::new(0), budget }
    }

    fn take(&self, capacity: usize) -> Option<Block> {
        let mut classes = self.classes.borrow_mut();
        let class = &mut classes[class(capacity)?];
        let block = class.kept.pop()?;
        class.spare = class.spare.min(class.kept.len());
        self.kept_bytes.set(self.kept_bytes.get() - block.capacity as u64);
        Some(block)
    }

    /// A block that was kept, or a new one: the first of an arena, whose others are kept.
    fn take_or_make(&self, capacity: usize) -> Block {
        if let Some(kept) = self.take(capacity) {
            return kept;
        }
        if !self.wants_arena(capacity) {
            return Block::new(capacity);
        }
        let mut blocks = Block::arena(capacity);
        let first = blocks.next().expect("an arena has room for two of the largest kept blocks");
        blocks.for_each(|block| self.put(block));
        first
    }

    /// Whether it is time for an arena: as much has been missed lately, and all of it can be kept. A huge page is there as a
    /// whole once it is touched, which a broker that does little would feel.
    fn wants_arena(&self, capacity: usize) -> bool {
        let Some(class) = class(capacity).filter(|_| capacity >= MAPPED_MIN) else { return false };
        let mut classes = self.classes.borrow_mut();
        classes[class].missed += 1;
        classes[class].missed * capacity > ARENA && self.kept_bytes.get() + (ARENA - capacity) as u64 <= self.budget
    }

    /// A block is home: kept if there is room, else freed.
    pub(crate) fn put(&self, block: Block) {
        let Some(class) = class(block.capacity) else { return };
        let bytes = self.kept_bytes.get() + block.capacity as u64;
        if bytes <= self.budget {
            self.kept_bytes.set(bytes);
            self.classes.borrow_mut()[class].kept.push(block);
        }
    }

    /// Frees half of the blocks that nobody has needed since the last trim: load comes in bursts, and what has just been
    /// given back would have to be faulted in for the next one.
    pub(crate) fn trim(&self) {
        for class in self.classes.borrow_mut().iter_mut() {
            // Those of an arena together, or what is left of it would lose its huge page; and always from the same end, so
            // that the arenas at the other are the ones in use.
            class.kept.sort_unstable_by_key(|block| block.start);
            for block in class.kept.drain(..class.spare.div_ceil(2)) {
                self.kept_bytes.set(self.kept_bytes.get() - block.capacity as u64);
            }
            (class.spare, class.missed) = (class.kept.len(), 0);
        }
    }

    /// Bytes kept.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.kept_bytes.get()
    }
}

/// The capacity of a buffer for at least `bytes`.
pub(crate) fn rounded(bytes: usize) -> usize {
    let pages = bytes.max(1).next_multiple_of(PAGE);
    if pages <= KEPT_MAX { pages.next_power_of_two() } else { pages }
}

/// The class of a capacity that is a power-of-two number of pages up to [`KEPT_MAX`].
fn class(capacity: usize) -> Option<usize> {
    (capacity <= KEPT_MAX && capacity.is_power_of_two()).then(|| (capacity / PAGE).trailing_zeros() as usize)
}

/// A buffer for direct I/O: aligned to 4 KiB, growable up to its capacity.
pub struct DmaBuf {
    /// `None` only while it is being dropped.
    block: Option<Block>,
    len: usize,
    home: Option<Arc<Inbox>>,
}

impl DmaBuf {
    /// An empty buffer for at least `capacity` bytes (rounded up to a size class, or to whole pages above 1 MiB). Its
    /// home is this shard; outside a shard it has none.
    pub fn new(capacity: usize) -> DmaBuf {
        let capacity = rounded(capacity);
        let (block, home) = Shard::try_with(|shard| (shard.slab.take_or_make(capacity), Some(shard.inbox.clone())))
            .unwrap_or_else(|| (Block::new(capacity), None));
        DmaBuf { block: Some(block), len: 0, home }
    }

    /// As [`DmaBuf::new`], for bytes that somebody has announced: they may never come, so what is made for them is never an
    /// arena, and of what is no part of the heap no page is there before it is written to.
    pub(crate) fn announced(capacity: usize) -> DmaBuf {
        let capacity = rounded(capacity);
        let (kept, home) =
            Shard::try_with(|shard| (shard.slab.take(capacity), Some(shard.inbox.clone()))).unwrap_or((None, None));
        DmaBuf { block: Some(kept.unwrap_or_else(|| Block::new(capacity))), len: 0, home }
    }

    /// A buffer with a copy of `bytes`.
    pub fn from_slice(bytes: &[u8]) -> DmaBuf {
        let mut buf = DmaBuf::new(bytes.len());
        buf.extend_from_slice(bytes);
        buf
    }

    /// How many bytes fit.
    pub fn capacity(&self) -> usize {
        self.block().capacity
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Cuts to `len` bytes, or fills up to `len` with zeros.
    ///
    /// # Panics
    /// If `len` exceeds the capacity.
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.capacity(), "{len} bytes in a buffer of {}", self.capacity());
        let old = std::mem::replace(&mut self.len, len);
        if len > old {
            self[old..].fill(0);
        }
    }

    /// Appends `bytes`.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let start = self.len;
        assert!(bytes.len() <= self.capacity() - start, "{} bytes more in a full buffer", bytes.len());
        self.len += bytes.len();
        self[start..].copy_from_slice(bytes);
    }

    /// Drops the bytes, keeps the room.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Sets the length without touching the bytes: for reads, which have just written them.
    pub(crate) fn set_filled(&mut self, len: usize) {
        assert!(len <= self.capacity(), "a read stays inside its buffer");
        self.len = len;
    }

    /// All of the capacity, whatever was in it before.
    pub(crate) fn whole_mut(&mut self) -> &mut [u8] {
        let block = self.block();
        // SAFETY: the block is `capacity` bytes, all written at least once, and `&mut self` is the only access.
        #[allow(unsafe_code, reason = "see SAFETY")]
        unsafe {
            slice::from_raw_parts_mut(block.start.as_ptr(), block.capacity)
        }
    }

    /// All of the capacity, read only.
    pub(crate) fn whole(&self) -> &[u8] {
        let block = self.block();
        // SAFETY: as in `whole_mut`; `&self` allows no writes.
        #[allow(unsafe_code, reason = "see SAFETY")]
        unsafe {
            slice::from_raw_parts(block.start.as_ptr(), block.capacity)
        }
    }

    /// Where its bytes begin.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.block().start
    }

    fn block(&self) -> &Block {
        self.block.as_ref().expect("there until the drop")
    }

    /// As shared bytes; the last clone to be dropped sends the block home.
    pub fn freeze(self) -> Bytes {
        if self.is_empty() { Bytes::new() } else { Bytes::from_owner(self) }
    }
}

impl Deref for DmaBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.whole()[..self.len]
    }
}

impl DerefMut for DmaBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        let len = self.len;
        &mut self.whole_mut()[..len]
    }
}

impl AsRef<[u8]> for DmaBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for DmaBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DmaBuf({} of {})", self.len, self.capacity())
    }
}

impl Drop for DmaBuf {
    fn drop(&mut self) {
        let (Some(block), Some(home)) = (self.block.take(), self.home.take()) else { return };
        if class(block.capacity).is_some() {
            go_home(&home, Return::Buffer(block));
        }
    }
}

/// Sends something to the shard of `home`: at once if it is here, with the next batch from another shard of the same
/// machine, through its inbox from anywhere else.
pub(crate) fn go_home(home: &Arc<Inbox>, value: Return) {
    let mut value = Some(value);
    Shard::try_with(|shard| {
        if Arc::ptr_eq(&shard.inbox, home) {
            value.take().expect("not sent yet").arrive();
        } else if shard.hub.inboxes.get(usize::from(home.id.0)).is_some_and(|inbox| Arc::ptr_eq(inbox, home)) {
            let value = value.take().expect("not sent yet");
            shard.crossing.send_home(shard, home.id, value);
        }
    });
    let Some(value) = value else { return };
    if home.closed.load(Ordering::Acquire) {
        value.home_is_gone();
    } else {
        home.push(Inbound::Home(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_aligned_and_zero_filled() {
        let mut buf = DmaBuf::new(5000);
        assert_eq!(buf.capacity(), 8192);
        assert_eq!(buf.as_ptr() as usize % PAGE, 0);
        buf.extend_from_slice(&[7; 100]);
        buf.clear();
        buf.set_len(200);
        assert!(buf.iter().all(|byte| *byte == 0));
        assert_eq!(DmaBuf::new((1 << 20) + 1).capacity(), (1 << 20) + PAGE);
    }

    #[test]
    fn large_blocks_share_an_arena_and_give_their_pages_back() {
        let slab = Slab::new(4 << 20);
        let plain: Vec<Block> = (0..ARENA / MAPPED_MIN).map(|_| slab.take_or_make(MAPPED_MIN)).collect();
        assert!(plain.iter().all(|block| block.mapping.as_ref().is_some_and(|mapping| mapping.len == MAPPED_MIN)));
        assert_eq!(slab.kept_bytes(), 0, "a few are no reason for an arena");
        let first = slab.take_or_make(MAPPED_MIN);
        assert_eq!(slab.kept_bytes() as usize, ARENA - MAPPED_MIN);
        let arena = first.mapping.clone().expect("not of the heap");
        assert_eq!(arena.start.as_ptr() as usize % ARENA, 0);
        let blocks: Vec<Block> = (1..ARENA / MAPPED_MIN).map(|_| slab.take(MAPPED_MIN).expect("kept")).collect();
        assert!(blocks.iter().all(|block| Arc::ptr_eq(block.mapping.as_ref().expect("mapped"), &arena)));
        assert!(slab.take(MAPPED_MIN).is_none());
        let mut places: Vec<usize> = blocks.iter().map(|block| block.start.as_ptr() as usize).collect();
        places.push(first.start.as_ptr() as usize);
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] == MAPPED_MIN));
        let mut buf = DmaBuf { block: Some(first), len: 0, home: None };
        buf.whole_mut().fill(7);
        drop(buf);
        drop(blocks);
        assert_eq!(Arc::strong_count(&arena), 1, "nothing else keeps it");
    }

    /// How many pages of the buffer are there.
    #[allow(clippy::disallowed_methods, reason = "the kernel's table, which is no file")]
    fn pages_there(buf: &DmaBuf) -> usize {
        use std::os::unix::fs::FileExt;
        let (first, pages) = (buf.start().as_ptr() as usize / PAGE, buf.capacity() / PAGE);
        let mut entries = vec![0; pages * 8];
        let table = std::fs::File::open("/proc/self/pagemap").expect("Linux has one for each process");
        table.read_exact_at(&mut entries, first as u64 * 8).expect("the buffer is mapped");
        // Bit 63, that a page is there, is in the last byte of an entry.
        entries.chunks(8).filter(|entry| entry[7] & 0x80 != 0).count()
    }

    #[test]
    fn what_is_announced_costs_nothing_before_it_comes() {
        const TOTAL: usize = 32 << 20;
        let machine = crate::run(crate::Config { shards: 1, ..crate::Config::small() }, || async {
            let kept = || Shard::with(|shard| shard.slab.kept_bytes() as usize);
            for size in [MAPPED_MIN, 256 << 10, KEPT_MAX, KEPT_MAX + PAGE, 3 << 20] {
                // So many that whoever uses them at once has had arenas long since, and not all of the last one.
                let mut announced: Vec<DmaBuf> = (0..=TOTAL / size).map(|_| DmaBuf::announced(size)).collect();
                assert_eq!(kept(), 0, "an arena would have left blocks of {size} bytes");
                // Where the system makes huge pages of its own accord, a neighbour's may reach into the first and the last.
                let there = announced.iter().map(pages_there).sum::<usize>();
                assert!(there <= 2 * ARENA / PAGE, "{there} pages of buffers of {size} bytes");
                announced[0].whole_mut().fill(7);
                assert_eq!(pages_there(&announced[0]), announced[0].capacity() / PAGE);
                drop(announced);
                while kept() > 0 {
                    Shard::with(|shard| shard.slab.trim());
                }
            }
            // A block that is at home is as good: its pages were paid for by somebody else.
            let mut used = DmaBuf::new(KEPT_MAX);
            used.whole_mut().fill(7);
            let place = used.start();
            drop(used);
            assert_eq!(kept(), KEPT_MAX);
            let again = DmaBuf::announced(KEPT_MAX);
            assert_eq!((again.start(), again.len(), kept()), (place, 0, 0));
            // And it goes home like any other.
            drop(again);
            assert_eq!(kept(), KEPT_MAX);
        });
        machine.expect("the machine runs");
    }

    #[test]
    fn a_slab_keeps_up_to_its_budget() {
        let slab = Slab::new(5 * PAGE as u64);
        for _ in 0..7 {
            slab.put(Block::new(PAGE));
        }
        assert_eq!(slab.kept_bytes(), 5 * PAGE as u64);
        assert!(slab.take(PAGE).is_some());
        assert!(slab.take(2 * PAGE).is_none());
        slab.put(Block::new(PAGE));
        slab.trim();
        assert_eq!(slab.kept_bytes(), 5 * PAGE as u64, "there was a moment when none was spare");
        let used = slab.take(PAGE).expect("kept");
        slab.put(used);
        for left in [3, 1, 0] {
            slab.trim();
            assert_eq!(slab.kept_bytes(), left * PAGE as u64, "half of those that were not needed, and in the end all");
        }
    }
}
