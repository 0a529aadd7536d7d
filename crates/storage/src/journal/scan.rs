//! Reading a journal back: which commits there are, where they end, and whether that end is a torn tail or damage.
//!
//! Commits are followed by number through the files from the oldest that is needed. The first that cannot be read ends
//! the chain. If anything readable says that it had been flushed, that is damage and is refused; otherwise it is the
//! torn tail: nobody was told that it was durable, and the next commit is written over it.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use ailurus_rt::{self as rt, DmaBuf, File, IoClass, OpenOptions};

use super::format::{BLOCK, CommitHead, EntryHead, FileHead, FileHeadFault, VERSION, check};
use super::ring::{JournalFile, LiveFile, Ring};
use super::{file_number, is_full};
use crate::StorageError;
use crate::collect::Collector;
use crate::config::StorageConfig;

/// Bytes read at a time.
const WINDOW_BYTES: usize = 1 << 20;

/// A journal as it was found.
pub(crate) struct Scanned {
    pub(crate) ring: Ring,
    /// The last commit that counts; 0 if there is none.
    pub(crate) last: u64,
    /// The journal was shut down in order.
    pub(crate) clean: bool,
}

/// Reads the journal in `dir` and gives every entry that counts to `collector`. Can be repeated: it changes nothing but
/// to flush what it trusts and to remove files that were never finished.
pub(crate) async fn scan(
    config: &StorageConfig,
    dir: &Path,
    salt: u64,
    collector: &mut Collector,
) -> Result<Scanned, StorageError> {
    let mut files = open_files(config, dir, salt).await?;
    let oldest = oldest_needed(&files.headed, salt).await.map_err(StorageError::io("a read", dir))?;
    let unneeded = files.headed.partition_point(|file| file.head.generation < oldest);
    let live = files.headed.split_off(unneeded);
    check_complete(dir, &live, oldest)?;
    let mut chain =
        Chain { salt, expected: live.first().map_or(1, |file| file.head.first_commit), flushed: 0, last: None };
    let mut kept = VecDeque::new();
    let mut live = live.into_iter().peekable();
    while let Some(file) = live.next() {
        let end = chain.follow(&file, collector).await?;
        if live.peek().is_none_or(|next| next.head.first_commit != chain.expected) {
            let looked = chain.look_for_later(&file.inner, Some(&file.head), end).await;
            looked.map_err(StorageError::io("a read", &file.inner.path))?;
        }
        kept.push_back(LiveFile { generation: file.head.generation, end, inner: file.inner });
    }
    for file in &files.headless {
        chain.look_for_later(file, None, 0).await.map_err(StorageError::io("a read", &file.path))?;
    }
    if chain.flushed >= chain.expected {
        let what = format!("commit {} had been flushed and cannot be read", chain.expected);
        return Err(StorageError::corrupt(dir, what));
    }
    for file in &kept {
        trust(config, &file.inner).await?;
    }
    if files.next_file > 1 {
        // A process that was killed may have left names that no loss of power would leave, those of spares among them.
        rt::fs::sync_dir(dir).await.map_err(StorageError::io("a flush", dir))?;
    }
    let spares = files.headed.into_iter().map(|file| file.inner).chain(files.headless).chain(files.blank).collect();
    let last = chain.expected - 1;
    let clean = chain.last.is_some_and(|head| head.clean);
    Ok(Scanned { ring: Ring::new(kept, spares, files.next_file), last, clean })
}

/// What was read may be in a cache that the next loss of power empties (S12).
async fn trust(config: &StorageConfig, file: &JournalFile) -> Result<(), StorageError> {
    if config.honest_flush {
        file.file.sync_data(IoClass::Produce).await.map_err(StorageError::io("a flush", &file.path))?;
    }
    Ok(())
}

struct Headed {
    inner: JournalFile,
    head: FileHead,
}

struct Files {
    /// By rising generation.
    headed: Vec<Headed>,
    /// With something in them, but no head that can be read.
    headless: Vec<JournalFile>,
    /// Never used.
    blank: Vec<JournalFile>,
    next_file: u64,
}

async fn open_files(config: &StorageConfig, dir: &Path, salt: u64) -> Result<Files, StorageError> {
    let mut files = Files { headed: Vec::new(), headless: Vec::new(), blank: Vec::new(), next_file: 1 };
    let mut numbers: Vec<(u64, u64)> = rt::fs::read_dir(dir)
        .await
        .map_err(StorageError::io("a listing", dir))?
        .iter()
        .filter_map(|entry| Some((file_number(entry.name.to_str()?)?, entry.len)))
        .collect();
    numbers.sort_unstable();
    for (number, len) in numbers {
        files.next_file = number + 1;
        let path = dir.join(super::file_name(number));
        let bytes = len - len % BLOCK as u64;
        if bytes <= BLOCK as u64 {
            // The process ended while it made the file.
            rt::fs::remove_file(&path).await.map_err(StorageError::io("a removal", &path))?;
            continue;
        }
        let options = OpenOptions { direct: config.direct_io, write: true, ..OpenOptions::default() };
        let file = File::open(&path, options).await.map_err(StorageError::io("an opening", &path))?;
        let inner = JournalFile { path, file, bytes };
        let block = read(&inner.file, 0, BLOCK).await.map_err(StorageError::io("a read", &inner.path))?;
        match FileHead::decode(&block) {
            Ok(head) if head.salt == salt => files.headed.push(Headed { inner, head }),
            Err(FileHeadFault::Version(found)) => {
                return Err(StorageError::Version { path: inner.path, found: found.to_string(), expected: VERSION });
            }
            _ if block.iter().all(|byte| *byte == 0) => files.blank.push(inner),
            _ => files.headless.push(inner),
        }
    }
    files.headed.sort_by_key(|file| file.head.generation);
    Ok(files)
}

/// What the last readable commit says about the oldest generation that is needed.
async fn oldest_needed(files: &[Headed], salt: u64) -> io::Result<u64> {
    for file in files.iter().rev() {
        let mut chain = Chain { salt, expected: file.head.first_commit, flushed: 0, last: None };
        chain.walk(file, |_, _| {}).await?;
        if let Some(last) = chain.last {
            return Ok(last.oldest);
        }
    }
    Ok(files.first().map_or(0, |file| file.head.generation))
}

fn check_complete(dir: &Path, live: &[Headed], oldest: u64) -> Result<(), StorageError> {
    for (file, generation) in live.iter().zip(oldest..) {
        if file.head.generation != generation {
            return Err(StorageError::corrupt(dir, format!("the journal file of generation {generation} is missing")));
        }
    }
    Ok(())
}

/// The commits followed so far.
struct Chain {
    salt: u64,
    /// Number of the next commit.
    expected: u64,
    /// The largest commit that anything readable says had been flushed.
    flushed: u64,
    last: Option<CommitHead>,
}

impl Chain {
    /// Follows the chain through one file, if it goes on there; where it ends in it.
    async fn follow(&mut self, file: &Headed, collector: &mut Collector) -> Result<u64, StorageError> {
        // A head is written after everything before it was flushed.
        self.flushed = self.flushed.max(file.head.first_commit - 1);
        if file.head.first_commit != self.expected {
            return Ok(BLOCK as u64);
        }
        let mut senseless = None;
        let walked = self.walk(file, |head, payload| {
            senseless = senseless.take().or(collector.add(head, payload).err());
        });
        let end = walked.await.map_err(StorageError::io("a read", &file.inner.path))?;
        match senseless {
            Some(senseless) => Err(StorageError::corrupt(&file.inner.path, senseless.to_string())),
            None => Ok(end),
        }
    }

    /// Gives the entries of the file's commits to `visit`, as far as they go; then where they end.
    async fn walk(&mut self, file: &Headed, mut visit: impl FnMut(&EntryHead, &[u8])) -> io::Result<u64> {
        let mut window = Window::new(&file.inner.file, file.inner.bytes);
        let mut at = BLOCK as u64;
        while let Some((head, bytes)) = window.commit(at).await? {
            if head.generation != file.head.generation || head.number != self.expected {
                break;
            }
            let Some(entries) = check(&head, bytes, self.salt) else { break };
            entries.iter().for_each(|(entry, payload)| visit(entry, payload));
            self.flushed = self.flushed.max(head.flushed);
            self.expected += 1;
            self.last = Some(head);
            at += head.size();
            rt::yield_if_needed().await;
        }
        Ok(at)
    }

    /// Whether a commit at `at` with this head would say something new. Each before it in its file took a block at least.
    fn could_tell(&self, head: &CommitHead, of: Option<&FileHead>, at: u64) -> bool {
        let fits = of.is_none_or(|file| {
            let most = file.first_commit + at / BLOCK as u64 - 1;
            head.generation == file.generation && (file.first_commit..=most).contains(&head.number)
        });
        fits && head.number > head.flushed && head.flushed >= self.expected.max(self.flushed + 1)
    }

    /// Looks at every block from `at` on for commits, for what they say had been flushed.
    async fn look_for_later(&mut self, file: &JournalFile, of: Option<&FileHead>, mut at: u64) -> io::Result<()> {
        let mut window = Window::new(&file.file, file.bytes);
        while at < file.bytes {
            // First what one block shows: clients' bytes may look like commits, each claiming a long stretch of the file.
            if let Some(head) = window.head(at).await?
                && self.could_tell(&head, of, at)
                && let Some((head, bytes)) = window.commit(at).await?
                && check(&head, bytes, self.salt).is_some()
            {
                self.flushed = self.flushed.max(head.flushed);
            }
            at += BLOCK as u64;
            rt::yield_if_needed().await;
        }
        Ok(())
    }
}

/// A stretch of a file in memory.
struct Window<'a> {
    file: &'a File,
    end: u64,
    at: u64,
    bytes: DmaBuf,
}

impl<'a> Window<'a> {
    fn new(file: &'a File, end: u64) -> Self {
        Window { file, end, at: 0, bytes: DmaBuf::new(BLOCK) }
    }

    /// The head of what looks like a commit at `at` that ends in the file.
    async fn head(&mut self, at: u64) -> io::Result<Option<CommitHead>> {
        let head = CommitHead::peek(self.get(at, BLOCK).await?);
        Ok(head.filter(|head| at + head.size() <= self.end))
    }

    /// What looks like a commit at `at`, with all its bytes. `None` if nothing does.
    async fn commit(&mut self, at: u64) -> io::Result<Option<(CommitHead, &[u8])>> {
        let Some(head) = self.head(at).await? else { return Ok(None) };
        let size = head.size();
        let bytes = self.get(at, size as usize).await?;
        Ok((bytes.len() as u64 == size).then_some((head, bytes)))
    }

    /// `len` bytes from `at` on, fewer at the file's end.
    async fn get(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let len = len.min(self.end.saturating_sub(at) as usize);
        let held = self.at..self.at + self.bytes.len() as u64;
        if at < held.start || at + len as u64 > held.end {
            let wanted = len.max(WINDOW_BYTES.min((self.end - at) as usize));
            self.bytes = read(self.file, at, wanted).await?;
            self.at = at;
        }
        let from = (at - self.at) as usize;
        Ok(&self.bytes[from..(from + len).min(self.bytes.len())])
    }
}

async fn read(file: &File, at: u64, len: usize) -> io::Result<DmaBuf> {
    let (result, buffer) = file.read_at(IoClass::Produce, at, DmaBuf::new(len)).await;
    result.map(|_| buffer)
}

/// Puts the first file into an empty ring, small so that a start is instant.
pub(crate) async fn first_file(config: &StorageConfig, dir: &Path, ring: &mut Ring) -> Result<(), StorageError> {
    if ring.head().is_some() || !ring.spares.is_empty() {
        return Ok(());
    }
    ring.next_file += 1;
    let made = super::create_file(dir, ring.next_file - 1, config.journal_first_file_bytes, true, config.direct_io);
    let file = made.await.map_err(|error| match is_full(&error) {
        true => StorageError::Full,
        false => StorageError::io("a creation", dir)(error),
    })?;
    ring.spares.push(file);
    Ok(())
}
