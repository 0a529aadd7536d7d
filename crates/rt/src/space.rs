//! The space limit: how many bytes files below a directory may take up.
//!
//! A file counts with its size. The count is kept by what goes through this crate (growing, cutting, removing, renaming
//! over); files that were there at the start are counted then.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const ENOSPC: i32 = 28;

/// The limit of one machine.
pub(crate) struct Space {
    max: u64,
    root: PathBuf,
    used: AtomicU64,
}

impl Space {
    /// No limit, and nothing is counted.
    pub(crate) fn unlimited() -> Space {
        Space { max: u64::MAX, root: PathBuf::new(), used: AtomicU64::new(0) }
    }

    /// At most `max` bytes below `root`.
    pub(crate) fn new(max: u64, root: &Path) -> io::Result<Space> {
        // The directory may be named one way here and another way where its files are opened: absolute, both are one.
        let root = std::path::absolute(root)?;
        let used = AtomicU64::new(size_below(&root));
        Ok(Space { max, root, used })
    }

    /// True if files at `path` count.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        self.max != u64::MAX && std::path::absolute(path).is_ok_and(|path| path.starts_with(&self.root))
    }

    /// Counts `bytes` more, or ENOSPC.
    pub(crate) fn reserve(&self, bytes: u64) -> io::Result<()> {
        let grow = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.max);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow) {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::from_raw_os_error(ENOSPC)),
        }
    }

    /// Counts `bytes` more that are there already, limit or no limit.
    pub(crate) fn add(&self, bytes: u64) {
        _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| Some(used.saturating_add(bytes)));
    }

    /// Counts `bytes` less.
    pub(crate) fn release(&self, bytes: u64) {
        // Never below zero: a file that two handles grew at once was counted twice, one removed behind our back not.
        _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| Some(used.saturating_sub(bytes)));
    }

    /// Bytes that there are in all.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// Bytes that are left.
    pub(crate) fn free(&self) -> u64 {
        self.max - self.used.load(Ordering::Relaxed).min(self.max)
    }
}

/// Bytes of all files below `path`; what cannot be read counts nothing.
#[allow(clippy::disallowed_methods, reason = "rt is the door")]
pub(crate) fn size_below(path: &Path) -> u64 {
    let Ok(about) = std::fs::symlink_metadata(path) else { return 0 };
    if !about.is_dir() {
        return about.len();
    }
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries.flatten().map(|entry| size_below(&entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_there_is_no_space() {
        let space = Space::new(100, Path::new("/nowhere/at/all")).expect("an absolute path");
        assert!(space.covers(Path::new("/nowhere/at/all/file")));
        assert!(!space.covers(Path::new("/elsewhere")));
        assert!(!space.covers(Path::new("file")), "the tests run elsewhere");
        space.reserve(60).expect("fits");
        assert_eq!(space.reserve(41).expect_err("full").raw_os_error(), Some(ENOSPC));
        assert_eq!(space.free(), 40);
        space.release(30);
        space.reserve(70).expect("fits again");
        space.release(u64::MAX);
        assert_eq!(space.free(), 100);
    }
}
