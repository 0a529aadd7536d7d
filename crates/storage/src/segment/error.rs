//! What can go wrong with the files of a log.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use ailurus_model::Offset;

use crate::journal::{is_full, is_out_of_handles};

/// Why the files of a log could not do what was asked.
#[derive(Debug, Error)]
pub enum SegmentError {
    /// The disk (or the space limit) has no room. Nothing was appended; asking again later is right.
    #[error("no space to append to {}", path.display())]
    Full {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// No file handle is left, for this process or on the machine. Nothing was touched; asking again later is right.
    #[error("no file handle is left for {}", path.display())]
    NoHandles {
        /// What could not be opened.
        path: PathBuf,
    },
    /// The operating system refused. After a failed write or flush the log is offline.
    #[error("{} failed on {}: {source}", doing, path.display())]
    Io {
        /// What was being done, as a noun: "write", "flush".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are not those that were written. They are never served; the rest of the log is.
    #[error("{} is corrupt at byte {position}: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What was expected and what came.
        what: String,
    },
    /// A file that the checkpoint names, or that must lie between two others, is not there.
    #[error("{} is missing: {what}", path.display())]
    Missing {
        /// The file or the directory in which it should be.
        path: PathBuf,
        /// What was expected.
        what: String,
    },
    /// An earlier write or flush of this log failed, so what its files hold is unknown until they are read again.
    #[error("the log in {} is offline after a failed write", path.display())]
    Offline {
        /// The directory of the log.
        path: PathBuf,
    },
    /// Asked for an offset that the files do not hold.
    #[error("offset {wanted} is outside {start}..{end}")]
    OutOfRange {
        /// What was asked for.
        wanted: Offset,
        /// The first offset that is held.
        start: Offset,
        /// The offset behind the last.
        end: Offset,
    },
}

impl SegmentError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SegmentError {
        // A flush that says "no space" has lost what was written before, and the next one would report success.
        let takes_space = matches!(doing, "create" | "grow" | "write");
        move |source| match () {
            _ if takes_space && is_full(&source) => SegmentError::Full { path: path.into() },
            _ if is_out_of_handles(&source) => SegmentError::NoHandles { path: path.into() },
            _ => SegmentError::Io { doing, path: path.into(), source },
        }
    }

    pub(crate) fn corrupt(path: &Path, position: u64, what: impl Into<String>) -> SegmentError {
        SegmentError::Corrupt { path: path.into(), position, what: what.into() }
    }

    /// Whether waiting for space helps.
    pub fn is_full(&self) -> bool {
        matches!(self, SegmentError::Full { .. })
    }

    /// Whether nothing is wrong with the files, and asking again later is right.
    pub fn is_passing(&self) -> bool {
        matches!(self, SegmentError::Full { .. } | SegmentError::NoHandles { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_takes_space_can_wait_for_it() {
        const ENOSPC: i32 = 28;
        const EMFILE: i32 = 24;
        let of = |doing, errno| SegmentError::io(doing, Path::new("f"))(io::Error::from_raw_os_error(errno));
        assert!(["create", "grow", "write"].into_iter().all(|doing| of(doing, ENOSPC).is_full()));
        assert!(["flush", "cut", "rename"].into_iter().all(|doing| !of(doing, ENOSPC).is_passing()));
        assert!(of("open", EMFILE).is_passing() && !of("open", EMFILE).is_full());
    }
}
