//! What storage refuses, and what can be wrong with a data directory.

use std::io;
use std::path::{Path, PathBuf};

use ailurus_model::GroupId;

use crate::segment::SegmentError;

/// Why a log or the storage of a shard could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Free space is below `storage.min.free.bytes`. Clients' appends are refused until there is space again; reads,
    /// deletes and the broker's own logs go on.
    #[error("the disk is below its reserve of free space")]
    Full,
    /// The log's files failed, it was closed or removed.
    #[error("the log is offline")]
    Offline,
    /// A larger entry than a journal or a segment can hold.
    #[error("an entry of {bytes} bytes is larger than the {max} that a log takes")]
    TooLarge {
        /// Bytes of the entry.
        bytes: usize,
        /// The most there may be.
        max: usize,
    },
    /// Another process uses the data directory.
    #[error("the data directory {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The data directory, or a file in it, is of another version.
    #[error("{} is of version {found}; this is version {expected}", path.display())]
    Version {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this program reads and writes.
        expected: u32,
    },
    /// What had been flushed is damaged. There is no peer to repair it from yet, so it is refused, not guessed.
    #[error("{} is damaged: {what}", path.display())]
    Corrupt {
        /// The file or directory.
        path: PathBuf,
        /// What was expected and what came.
        what: String,
    },
    /// The group lives in the journal of a shard, so it cannot be taken over or created here.
    #[error("group {0} was removed or belongs to another shard")]
    NotHere(GroupId),
    /// The journals in the directory are those of another number of shards: open the [`crate::DataDir`] first.
    #[error("the journals in {} are laid out for {found} shards, not {expected}", path.display())]
    Layout {
        /// The journals' directory.
        path: PathBuf,
        /// Number of shards that wrote them; 0 if there is no layout.
        found: u16,
        /// Number of shards that run.
        expected: u16,
    },
    /// A segment file could not do it.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The system refused.
    #[error("{doing} failed on {}: {source}", path.display())]
    Io {
        /// What was being done, as a noun.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StorageError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
        move |source| StorageError::Io { doing, path: path.into(), source }
    }

    pub(crate) fn corrupt(path: &Path, what: impl Into<String>) -> StorageError {
        StorageError::Corrupt { path: path.into(), what: what.into() }
    }
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Below the log start or above the log's end.
    #[error("the offset is not in the log")]
    OutOfRange,
    /// The log is offline.
    #[error("the log is offline")]
    Offline,
    /// The bytes on disk are damaged, or the disk failed.
    #[error(transparent)]
    Segment(SegmentError),
    /// A batch's records do not decode: they were accepted by another version, or memory is damaged.
    #[error("a stored batch does not decode: {0}")]
    Record(#[from] ailurus_record::RecordError),
}

impl From<SegmentError> for ReadError {
    fn from(error: SegmentError) -> Self {
        match error {
            SegmentError::OutOfRange { .. } => ReadError::OutOfRange,
            SegmentError::Offline { .. } => ReadError::Offline,
            error => ReadError::Segment(error),
        }
    }
}
