//! The files of a journal: those that hold it, those that wait to, those that are about to.

use std::collections::VecDeque;
use std::path::PathBuf;

use ailurus_rt::File;

/// A file of the journal.
pub(crate) struct JournalFile {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Its size; all of it is allocated.
    pub(crate) bytes: u64,
}

/// A file that holds part of the journal.
pub(crate) struct LiveFile {
    pub(crate) inner: JournalFile,
    pub(crate) generation: u64,
    /// Where the next commit goes (in the last of them).
    pub(crate) end: u64,
}

/// All of them. Always: generations rise; a retired file becomes spare only when a flushed commit says that nothing
/// before the next generation is needed, because until then recovery would still read it.
pub(crate) struct Ring {
    pub(crate) live: VecDeque<LiveFile>,
    pub(crate) spares: Vec<JournalFile>,
    retired: Vec<(LiveFile, u64)>,
    pub(crate) next_file: u64,
    pub(crate) next_generation: u64,
}

impl Ring {
    /// Of these files; `live` by rising generation.
    pub(crate) fn new(live: VecDeque<LiveFile>, spares: Vec<JournalFile>, next_file: u64) -> Self {
        assert!(live.iter().zip(live.iter().skip(1)).all(|(a, b)| a.generation < b.generation), "generations rise");
        let next_generation = live.back().map_or(1, |file| file.generation + 1);
        Ring { live, spares, retired: Vec::new(), next_file, next_generation }
    }

    /// The file that takes commits.
    pub(crate) fn head(&self) -> Option<&LiveFile> {
        self.live.back()
    }

    /// Whether a commit of this size fits behind the last one.
    pub(crate) fn has_room(&self, size: u64) -> bool {
        self.head().is_some_and(|head| head.end + size <= head.inner.bytes)
    }

    /// The oldest generation that is needed.
    pub(crate) fn oldest(&self) -> u64 {
        self.live.front().map_or(self.next_generation, |file| file.generation)
    }

    /// Takes the smallest spare of at least this size.
    pub(crate) fn take_spare(&mut self, bytes: u64) -> Option<JournalFile> {
        let fits = self.spares.iter().enumerate().filter(|(_, spare)| spare.bytes >= bytes);
        let place = fits.min_by_key(|(_, spare)| spare.bytes)?.0;
        Some(self.spares.swap_remove(place))
    }

    /// Makes `file` the head; its first commit comes at `end`.
    pub(crate) fn push_head(&mut self, inner: JournalFile, generation: u64, end: u64) {
        assert_eq!(generation, self.next_generation, "generations rise one by one");
        self.next_generation += 1;
        self.live.push_back(LiveFile { inner, generation, end });
    }

    /// Nothing in the oldest file is needed any more. It is free once commit `number` or a later one is flushed, which
    /// must not be sealed yet. Never the head.
    pub(crate) fn retire_oldest(&mut self, number: u64) {
        assert!(self.live.len() > 1, "the head is never retired");
        let file = self.live.pop_front().expect("there are two");
        self.retired.push((file, number));
    }

    /// The retired files that `flushed` sets free.
    pub(crate) fn take_free(&mut self, flushed: u64) -> Vec<JournalFile> {
        let (free, waiting) = std::mem::take(&mut self.retired).into_iter().partition(|(_, number)| *number <= flushed);
        self.retired = waiting;
        let free: Vec<(LiveFile, u64)> = free;
        free.into_iter().map(|(file, _)| file.inner).collect()
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        let live = self.live.iter().chain(self.retired.iter().map(|(file, _)| file)).map(|file| file.inner.bytes);
        live.chain(self.spares.iter().map(|spare| spare.bytes)).sum()
    }
}
