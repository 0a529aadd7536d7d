//! The journal of a shard: everything that its logs append becomes durable here, together.
//!
//! One commit at a time: gather, write, flush. While a commit is written and flushed the next one gathers, so the number
//! of flushes follows the disk's speed and never the number of partitions. A commit in which nobody waits for anything
//! gathers on until it is due: until its oldest entry's time has come, somebody asks, or it is large.
//!
//! What always holds:
//! - Commits are numbered without gaps, and commit n+1 is written only after commit n was flushed. So at most one commit
//!   is in doubt after a crash, and a readable later commit proves that an unreadable one is damage, not a torn tail.
//! - A write or flush that fails ends the process: what the disk holds then is unknown, and asking again would lie.
//! - A file is used again only after a flushed commit has said that it is no longer needed.
//!
//! In reading order: [`format`] the bytes; [`gather`] a commit in the making; [`ring`] the files; [`scan`] reading back.

pub(crate) mod format;
pub(crate) mod gather;
pub(crate) mod ring;
pub(crate) mod scan;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use ailurus_base::sync::{Notify, Watch};
use ailurus_rt::{self as rt, DmaBuf, File, IoClass, OpenOptions};

use crate::Log;
use crate::config::StorageConfig;
use format::{BLOCK, EntryHead, FileHead};
use gather::{Due, Gathering, Mark, Sealed};
use ring::{JournalFile, Ring};

/// How long a journal without room waits before it asks the disk for space again.
const SPACE_RETRY: Duration = Duration::from_millis(100);
/// So often it asks once it is closed: nobody makes room any more but an administrator.
const LAST_RETRIES: u32 = 50;
/// Bytes of zeros written at a time while a file is prepared.
const PREPARE_BYTES: usize = 256 << 10;

/// Counts of one journal since start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct JournalStats {
    /// Commits written.
    pub commits: u64,
    /// Flushes of journal files for commits.
    pub flushes: u64,
    /// Entries written.
    pub entries: u64,
    /// Bytes written, whole blocks.
    pub bytes: u64,
    /// Files that became free for another use.
    pub recycled: u64,
    /// Bytes of entries that are not flushed now.
    pub unflushed_bytes: u64,
    /// Bytes of all journal files now.
    pub file_bytes: u64,
    /// Files that hold part of the journal now.
    pub live_files: u64,
}

/// See the module's head.
pub(crate) struct Journal {
    config: Rc<StorageConfig>,
    dir: PathBuf,
    salt: u64,
    gathering: RefCell<VecDeque<Gathering>>,
    next_number: Cell<u64>,
    flushed: Watch<u64>,
    ring: RefCell<Ring>,
    /// Bytes of entries that gather or are under way.
    unflushed_bytes: Cell<u64>,
    /// A commit is due, or due earlier than it was; or the journal is to end.
    hastened: Notify,
    /// A file became the head, was retired or became spare.
    turned: Notify,
    closing: Cell<bool>,
    out_of_space: Cell<bool>,
    stats: Cell<JournalStats>,
}

impl Journal {
    /// A journal that goes on behind commit `last` in the files of `ring`.
    pub(crate) fn new(config: Rc<StorageConfig>, dir: PathBuf, salt: u64, ring: Ring, last: u64) -> Rc<Self> {
        Rc::new(Journal {
            config,
            dir,
            salt,
            gathering: RefCell::default(),
            next_number: Cell::new(last + 1),
            flushed: Watch::new(last),
            ring: RefCell::new(ring),
            unflushed_bytes: Cell::new(0),
            hastened: Notify::new(),
            turned: Notify::new(),
            closing: Cell::new(false),
            out_of_space: Cell::new(false),
            stats: Cell::default(),
        })
    }

    /// Puts an entry of `log` into the next commit, which is on its way when the entry is `due`, or before.
    ///
    /// Once the journal is closed this does nothing: the entry never settles, as if the process had ended before it.
    pub(crate) fn append(&self, log: &Rc<Log>, head: &EntryHead, payload: &[&[u8]], mark: Mark, due: Due) {
        if self.closing.get() {
            return;
        }
        let mut queue = self.gathering.borrow_mut();
        let full = queue.back().is_none_or(|commit| {
            commit.length() > 0 && commit.length() + u64::from(head.len) > self.config.commit_bytes_max
        });
        if full {
            queue.push_back(self.next_commit(due));
        }
        let commit = queue.back_mut().expect("there is one now");
        let before = commit.length();
        commit.push(head, payload);
        let grown = commit.length() - before;
        self.unflushed_bytes.set(self.unflushed_bytes.get() + grown);
        let became_large = !self.is_large(before) && self.is_large(commit.length());
        let hastened = full || became_large || due < commit.due;
        commit.due = commit.due.min(due);
        let slot = log.commit_slot.get().filter(|(number, _)| *number == commit.number).map(|(_, slot)| slot);
        let slot = commit.mark(log, slot, mark);
        log.commit_slot.set(Some((commit.number, slot)));
        drop(queue);
        self.count(|stats| stats.entries += 1);
        if hastened {
            self.hastened.notify_all();
        }
    }

    /// Has everything that was appended written and flushed as soon as can be.
    pub(crate) fn hasten(&self) {
        if let Some(commit) = self.gathering.borrow_mut().back_mut() {
            commit.due = Due::Now;
        }
        self.hastened.notify_all();
    }

    /// Bytes of entries that are not flushed yet.
    pub(crate) fn unflushed_bytes(&self) -> u64 {
        self.unflushed_bytes.get()
    }

    /// Returns when everything appended before the call is flushed.
    pub(crate) async fn settled(&self) {
        self.hasten();
        let last = self.next_number.get() - 1;
        self.flushed.until(|flushed| flushed >= last).await;
    }

    /// Counts since start, and the state of the files.
    pub(crate) fn stats(&self) -> JournalStats {
        let ring = self.ring.borrow();
        JournalStats {
            unflushed_bytes: self.unflushed_bytes.get(),
            file_bytes: ring.bytes(),
            live_files: ring.live.len() as u64,
            ..self.stats.get()
        }
    }

    /// Bytes of the file that it needs next and does not have yet.
    pub(crate) fn unprepared_bytes(&self) -> u64 {
        let ring = self.ring.borrow();
        if ring.spares.is_empty() { self.next_file_bytes(&ring) } else { 0 }
    }

    /// True while the disk has no room for a file that the journal needs.
    pub(crate) fn out_of_space(&self) -> bool {
        self.out_of_space.get()
    }

    /// The oldest file's generation, if it has to make way: files are at their limit and none is spare.
    pub(crate) fn wants_room(&self) -> Option<u64> {
        let ring = self.ring.borrow();
        let crowded =
            ring.spares.is_empty() && ring.bytes() + self.next_file_bytes(&ring) > self.config.journal_bytes_max;
        (crowded && ring.live.len() > 1).then(|| ring.oldest())
    }

    /// Nothing in the files before `generation` is needed any more: the next commit says so, then they are free.
    pub(crate) fn retire_before(&self, generation: u64) {
        let mut ring = self.ring.borrow_mut();
        // Commits that gather now are sealed later, so the first of them, or the next one, carries the news.
        let carrier = self.gathering.borrow().front().map_or(self.next_number.get(), |commit| commit.number);
        while ring.live.len() > 1 && ring.oldest() < generation {
            ring.retire_oldest(carrier);
        }
    }

    /// Rung when files turn over.
    pub(crate) fn turned(&self) -> &Notify {
        &self.turned
    }

    /// Writes an empty commit: makes what `retire_before` said durable when nothing else is appended.
    pub(crate) fn nudge(&self) {
        let mut queue = self.gathering.borrow_mut();
        if queue.is_empty() && !self.closing.get() {
            queue.push_back(self.next_commit(Due::Now));
            drop(queue);
            self.hastened.notify_all();
        }
    }

    /// Whether it takes no more entries.
    pub(crate) fn is_closed(&self) -> bool {
        self.closing.get()
    }

    /// Takes no more entries, commits what is there and then the mark of a clean shutdown. [`Journal::run`] returns then.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.hastened.notify_all();
    }

    /// Commits until closed. One task per journal.
    pub(crate) async fn run(self: Rc<Self>) {
        loop {
            self.until_due().await;
            // All that is runnable now still gets into this commit.
            rt::yield_now().await;
            while let Some(commit) = self.take_due() {
                self.commit(commit, false).await;
            }
            if self.closing.get() {
                self.commit(self.next_commit(Due::Now), true).await;
                return;
            }
        }
    }

    /// Returns when a commit is due or the journal is to end.
    async fn until_due(&self) {
        loop {
            let hastened = self.hastened.notified();
            match self.due() {
                Some(Due::Now) => return,
                Some(Due::By(at)) => match at - rt::now() {
                    Duration::ZERO => return,
                    // Whichever comes first, it is looked at again.
                    left => _ = rt::timeout(left, hastened).await,
                },
                None => hastened.await,
            }
        }
    }

    /// When the journal has something to do next.
    fn due(&self) -> Option<Due> {
        let queue = self.gathering.borrow();
        match queue.front() {
            _ if self.closing.get() => Some(Due::Now),
            Some(first) if queue.len() > 1 || self.is_large(first.length()) => Some(Due::Now),
            first => first.map(|commit| commit.due),
        }
    }

    /// Whether a commit of this length does not wait for more. What logs with `write.caching` acknowledge while it is under
    /// way has to find room behind it.
    fn is_large(&self, length: u64) -> bool {
        let most = self.config.write_caching_bytes_max.min(self.config.tail_bytes_max);
        length >= (most / 4).min(self.config.commit_bytes_max)
    }

    fn next_commit(&self, due: Due) -> Gathering {
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        Gathering::new(number, self.salt, due)
    }

    /// Keeps a spare file ready, as long as the limit allows one. One task per journal.
    pub(crate) async fn prepare_spares(self: Rc<Self>) {
        let mut told = false;
        loop {
            let turned = self.turned.notified();
            if self.may_prepare() {
                let bytes = self.next_file_bytes(&self.ring.borrow());
                match self.create(bytes, true).await {
                    Ok(file) => {
                        told = false;
                        self.out_of_space.set(false);
                        self.ring.borrow_mut().spares.push(file);
                        self.turned.notify_all();
                        continue;
                    }
                    Err(error) if is_full(&error) => self.lacks_a_file(&error),
                    // Nobody needs it yet.
                    Err(error) if !told => tracing::warn!(%error, "no spare journal file could be prepared"),
                    Err(_) => {}
                }
                told = true;
                rt::sleep(SPACE_RETRY).await;
                continue;
            }
            turned.await;
        }
    }

    fn may_prepare(&self) -> bool {
        let ring = self.ring.borrow();
        ring.spares.is_empty() && ring.bytes() + self.next_file_bytes(&ring) <= self.config.journal_bytes_max
    }

    /// Files grow with use, up to the configured size: a broker that does little takes little of the disk.
    fn next_file_bytes(&self, ring: &Ring) -> u64 {
        let head = ring.head().map_or(self.config.journal_first_file_bytes, |head| head.inner.bytes);
        (head * 4).min(self.config.journal_file_bytes)
    }

    fn take_due(&self) -> Option<Gathering> {
        let is_due = match self.due()? {
            Due::Now => true,
            Due::By(at) => at <= rt::now(),
        };
        is_due.then(|| self.gathering.borrow_mut().pop_front()).flatten()
    }

    async fn commit(&self, commit: Gathering, clean: bool) {
        let length = commit.length();
        if !self.make_room(commit.number, commit.size()).await {
            return;
        }
        let (sealed, generation) = self.seal(commit, clean);
        let Sealed { number, buffers, members, size } = sealed;
        let (file, at) = self.claim(size);
        write(&file, at, buffers).await.unwrap_or_else(|error| self.fail("write", &error));
        for (log, mark) in &members {
            log.on_written(mark);
        }
        if self.config.honest_flush {
            file.sync_data(IoClass::Produce).await.unwrap_or_else(|error| self.fail("flush", &error));
        }
        self.count(|stats| {
            stats.commits += 1;
            stats.flushes += 1;
            stats.bytes += size;
        });
        self.unflushed_bytes.set(self.unflushed_bytes.get() - length);
        for (log, mark) in &members {
            log.on_durable(mark, generation);
        }
        self.flushed.set(number);
        self.recycle(number).await;
    }

    fn seal(&self, commit: Gathering, clean: bool) -> (Sealed, u64) {
        let ring = self.ring.borrow();
        let generation = ring.head().expect("there is room, so there is a head").generation;
        (commit.seal(generation, self.flushed.get(), ring.oldest(), clean), generation)
    }

    /// The place of the next commit.
    fn claim(&self, size: u64) -> (File, u64) {
        let mut ring = self.ring.borrow_mut();
        let head = ring.live.back_mut().expect("there is room, so there is a head");
        let at = head.end;
        head.end += size;
        (head.inner.file.clone(), at)
    }

    /// Sees to a head with room for a commit of this size. False if there is none for the mark of a clean stop.
    async fn make_room(&self, number: u64, size: u64) -> bool {
        if self.ring.borrow().has_room(size) {
            return true;
        }
        let needed = BLOCK as u64 + size;
        let spare = self.ring.borrow_mut().take_spare(needed);
        let next = match spare {
            Some(spare) => spare,
            None => {
                let usual = self.next_file_bytes(&self.ring.borrow());
                let Some(file) = self.create_at_last(needed, usual).await else { return false };
                file
            }
        };
        let generation = self.ring.borrow().next_generation;
        let mut block = DmaBuf::new(BLOCK);
        block.set_len(BLOCK);
        FileHead { salt: self.salt, generation, first_commit: number }.encode(&mut block);
        // Flushed together with the first commit: they lie in the same file.
        let (written, _) = next.file.write_at(IoClass::Produce, 0, block).await;
        written.unwrap_or_else(|error| self.fail("write", &error));
        self.ring.borrow_mut().push_head(next, generation, BLOCK as u64);
        self.turned.notify_all();
        true
    }

    /// No spare was ready. A file that was not written before is slower, and better than waiting; on a full disk there
    /// is nothing but to wait until one is recycled or space is made.
    /// `None` if it is closed, and has waited for long enough.
    async fn create_at_last(&self, needed: u64, usual: u64) -> Option<JournalFile> {
        let (mut bytes, mut last_retries) = (needed.max(usual), 0);
        loop {
            match self.create(bytes, false).await {
                Ok(file) => {
                    self.out_of_space.set(false);
                    return Some(file);
                }
                // A smaller one may still fit: what it holds sets space free sooner than anything else does.
                Err(error) if is_full(&error) && bytes > needed => bytes = needed,
                Err(error) if is_full(&error) || is_out_of_handles(&error) => {
                    self.lacks_a_file(&error);
                    rt::sleep(SPACE_RETRY).await;
                    last_retries += u32::from(self.closing.get());
                    if last_retries > LAST_RETRIES {
                        return self.end_without_file(&error);
                    }
                    if let Some(spare) = self.ring.borrow_mut().take_spare(needed) {
                        self.out_of_space.set(false);
                        return Some(spare);
                    }
                }
                Err(error) => self.fail("create", &error),
            }
        }
    }

    /// It goes on when it has one. Told once, to all who look at space.
    fn lacks_a_file(&self, error: &io::Error) {
        if !self.out_of_space.replace(true) {
            tracing::warn!(%error, "the journal has no room for a file");
            self.turned.notify_all();
        }
    }

    /// There is no file for the last commit. Ends the process if that holds anything.
    fn end_without_file(&self, error: &io::Error) -> Option<JournalFile> {
        let bytes = self.unflushed_bytes.get();
        if bytes > 0 {
            tracing::error!(
                bytes,
                "what was not flushed is lost, with all that topics with write.caching acknowledged of it"
            );
            self.fail("create", error);
        }
        tracing::warn!(
            "there is no room for the mark of a clean stop: the next start reads the journal as after a crash"
        );
        None
    }

    async fn create(&self, bytes: u64, written: bool) -> io::Result<JournalFile> {
        let number = {
            let mut ring = self.ring.borrow_mut();
            ring.next_file += 1;
            ring.next_file - 1
        };
        create_file(&self.dir, number, bytes, written, self.config.direct_io).await
    }

    /// Files whose retirement is durable wait for their next use, or go if they are of an unusual size or too many.
    async fn recycle(&self, flushed: u64) {
        let free = self.ring.borrow_mut().take_free(flushed);
        for file in free {
            self.count(|stats| stats.recycled += 1);
            let keep = {
                let ring = self.ring.borrow();
                (self.next_file_bytes(&ring)..=self.config.journal_file_bytes).contains(&file.bytes)
                    && ring.spares.is_empty()
                    && ring.bytes() + file.bytes <= self.config.journal_bytes_max
            };
            if keep {
                self.ring.borrow_mut().spares.push(file);
            } else if let Err(error) = rt::fs::remove_file(&file.path).await {
                // It will be found as a file of a generation that is not needed, and be used again.
                tracing::warn!(%error, path = %file.path.display(), "a journal file could not be removed");
            }
            self.turned.notify_all();
        }
    }

    fn fail(&self, doing: &str, error: &io::Error) -> ! {
        disk_failed(doing, &self.dir, error)
    }

    fn count(&self, change: impl FnOnce(&mut JournalStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }
}

/// Ends the process: what the journal holds on disk is unknown now.
pub(crate) fn disk_failed(doing: &str, path: &Path, error: &io::Error) -> ! {
    tracing::error!(%error, path = %path.display(), "{doing} failed where the journal is");
    rt::fatal(rt::Fatal::DiskFailed)
}

/// Whether the disk (or the space limit) has no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether the process or the system has no file handle left: others may let go of some.
pub(crate) fn is_out_of_handles(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Creates a journal file. With `written` every block is written once: overwriting is several times faster later, and
/// needs no change of metadata.
pub(crate) async fn create_file(
    dir: &Path,
    number: u64,
    bytes: u64,
    written: bool,
    direct: bool,
) -> io::Result<JournalFile> {
    let path = dir.join(file_name(number));
    let options = OpenOptions { direct, create: true, create_new: false, write: true, truncate: true };
    let file = File::open(&path, options).await?;
    let bytes = bytes.next_multiple_of(BLOCK as u64);
    let filled = match file.allocate(0, bytes).await {
        Ok(()) if written => fill(&file, bytes).await,
        other => other,
    };
    if let Err(error) = filled {
        // Half a file is worth nothing and takes the room that others need.
        let _ = rt::fs::remove_file(&path).await;
        return Err(error);
    }
    rt::fs::sync_dir(dir).await?;
    Ok(JournalFile { path, file, bytes })
}

async fn fill(file: &File, bytes: u64) -> io::Result<()> {
    let mut at = 0;
    let mut zeros = DmaBuf::new(PREPARE_BYTES);
    while at < bytes {
        zeros.set_len(PREPARE_BYTES.min((bytes - at) as usize));
        let (written, buffer) = file.write_at(IoClass::Background, at, zeros).await;
        written?;
        zeros = buffer;
        at += zeros.len() as u64;
    }
    file.sync_data(IoClass::Background).await
}

/// Writes full buffers behind each other, all at once.
async fn write(file: &File, mut at: u64, mut buffers: Vec<DmaBuf>) -> io::Result<()> {
    let last = buffers.pop().expect("a commit has at least one block");
    let mut others = Vec::new();
    for buffer in buffers {
        let (file, place) = (file.clone(), at);
        at += buffer.len() as u64;
        let write = async move { file.write_at(IoClass::Produce, place, buffer).await.0 };
        others.push(rt::spawn(rt::Group::Raft, write));
    }
    let written = file.write_at(IoClass::Produce, at, last).await.0;
    for other in others {
        other.await?;
    }
    written
}

/// What a journal file is called.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:010}.journal")
}

/// The number in a journal file's name.
pub(crate) fn file_number(name: &str) -> Option<u64> {
    name.strip_suffix(".journal")?.parse().ok()
}
