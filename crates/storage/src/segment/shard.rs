//! What the segments of all logs of a shard share.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::rc::Rc;

use ailurus_base::sync::Semaphore;
use ailurus_rt::{File, OpenOptions};

use super::cache::{BatchCache, CacheStats};
use super::index::SparseIndex;
use super::lru::Lru;
use crate::config::StorageConfig;

/// Direct I/O writes and reads whole blocks of this size; every file system we know accepts it.
pub const BLOCK: u64 = 4096;

/// Sizes that tests make small.
#[derive(Clone, Debug)]
pub struct SegmentLimits {
    /// First and largest step by which a growing segment takes disk space.
    pub grow_bytes: (u64, u64),
    /// Smallest and largest read.
    pub read_bytes: (usize, usize),
    /// Largest single write.
    pub write_bytes: usize,
    /// Bytes of the key map of a compaction pass.
    pub compaction_map_bytes: u64,
    /// Bytes of indexes of closed segments in memory.
    pub index_bytes: u64,
    /// Bytes of the batch cache.
    pub cache_bytes: u64,
    /// Open files.
    pub handles_max: usize,
    /// Direct I/O where the file system allows it.
    pub direct_io: bool,
}

impl SegmentLimits {
    /// Production's sizes.
    pub fn of(config: &StorageConfig) -> Self {
        SegmentLimits {
            grow_bytes: (64 << 10, 32 << 20),
            read_bytes: (64 << 10, 1 << 20),
            write_bytes: 1 << 20,
            compaction_map_bytes: config.compaction_map_bytes,
            index_bytes: 4 << 20,
            cache_bytes: config.cache_bytes,
            handles_max: config.handles_max,
            direct_io: config.direct_io,
        }
    }

    /// Sizes so small that everything happens all the time.
    pub fn tiny() -> Self {
        SegmentLimits {
            grow_bytes: (4 << 10, 16 << 10),
            read_bytes: (4 << 10, 16 << 10),
            write_bytes: 8 << 10,
            compaction_map_bytes: 1 << 10,
            index_bytes: 1 << 10,
            cache_bytes: 16 << 10,
            handles_max: 2,
            direct_io: true,
        }
    }
}

/// The shared part: batch cache, open files, indexes of closed segments. One per shard.
pub struct SegmentShard {
    pub(crate) limits: SegmentLimits,
    pub(crate) cache: RefCell<BatchCache>,
    pub(crate) indexes: RefCell<Lru<Rc<SparseIndex>>>,
    /// One compaction at a time: its key map is the bound on memory.
    pub(crate) compaction: Rc<Semaphore>,
    handles: RefCell<Lru<File>>,
    next_id: Cell<u64>,
}

impl SegmentShard {
    /// The shared part with production's sizes.
    pub fn new(config: &StorageConfig) -> Rc<Self> {
        Self::with(SegmentLimits::of(config))
    }

    /// The shared part with sizes of one's own.
    pub fn with(limits: SegmentLimits) -> Rc<Self> {
        Rc::new(SegmentShard {
            cache: RefCell::new(BatchCache::new(limits.cache_bytes)),
            indexes: RefCell::new(Lru::new(limits.index_bytes)),
            handles: RefCell::new(Lru::new(limits.handles_max as u64)),
            compaction: Semaphore::new(1),
            next_id: Cell::new(0),
            limits,
        })
    }

    /// Numbers of the batch cache.
    pub fn cache_stats(&self) -> CacheStats {
        self.cache.borrow().stats()
    }

    /// Segment files that are open.
    pub fn handles_count(&self) -> usize {
        self.handles.borrow().count()
    }

    /// A number that no other segment file of this shard has, also not one of the same name before or after.
    pub(crate) fn new_id(&self) -> u64 {
        self.next_id.set(self.next_id.get() + 1);
        self.next_id.get()
    }

    /// The open file of the segment `id`, which lies at `path`.
    pub(crate) async fn file(&self, id: u64, path: &Path) -> io::Result<File> {
        let open = self.handles.borrow_mut().get(id);
        match open {
            Some(file) => Ok(file),
            None => self.open(id, path, OpenOptions { write: true, ..self.options() }).await,
        }
    }

    /// Makes the file of the segment `id`; whatever was at `path` before is gone.
    pub(crate) async fn create(&self, id: u64, path: &Path) -> io::Result<File> {
        self.open(id, path, OpenOptions { create: true, truncate: true, write: true, ..self.options() }).await
    }

    /// Makes a file that is not a segment yet; [`SegmentShard::keep`] lists it once it is.
    pub(crate) async fn create_unlisted(&self, path: &Path) -> io::Result<File> {
        File::open(path, OpenOptions { create: true, truncate: true, write: true, ..self.options() }).await
    }

    /// The open file of the segment `id`.
    pub(crate) fn keep(&self, id: u64, file: File) {
        self.handles.borrow_mut().put(id, file, 1);
    }

    /// Closes the file that was used longest ago, once nobody reads from it any more.
    pub(crate) fn close_oldest(&self) {
        self.handles.borrow_mut().remove_oldest();
    }

    async fn open(&self, id: u64, path: &Path, options: OpenOptions) -> io::Result<File> {
        let file = File::open(path, options).await?;
        self.handles.borrow_mut().put(id, file.clone(), 1);
        Ok(file)
    }

    /// The segment `id` is gone or has become another file.
    pub(crate) fn forget(&self, id: u64) {
        self.handles.borrow_mut().remove(id);
        self.indexes.borrow_mut().remove(id);
    }

    fn options(&self) -> OpenOptions {
        OpenOptions { direct: self.limits.direct_io, create: false, create_new: false, write: false, truncate: false }
    }
}
