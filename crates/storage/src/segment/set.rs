//! The segments of one log: which there are, which one grows, and how far they are flushed.
//!
//! What always holds:
//! - Closed segments ascend and adjoin; the growing one, if there is one, begins where the last closed one ends.
//! - `flushed <= end`; both only fall by a suffix truncation.
//! - One task at a time changes files (the writer lock); readers take no lock, and look again if a cut or a compaction
//!   happened while they waited for the disk. All that a reader writes is a sidecar that was lost.
//! - After a failed write or flush nothing is written any more until the log is opened again.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use ailurus_base::sync::{Semaphore, Units};
use ailurus_model::{GroupId, Offset};
use ailurus_rt::{File, Gate, IoClass, fs};

use super::checkpoint::{GrowingCheckpoint, SegmentCheckpoint};
use super::compaction::plan;
use super::frame::Seal;
use super::header::{FILE_HEADER_LEN, FileHeader};
use super::index::{CHECKPOINT_ROWS_MAX, INDEX_ROWS_MAX, SparseIndex};
use super::name::SegmentName;
use super::read::Readers;
use super::shard::SegmentShard;
use super::summary::{self, Summary};
use super::walker::{Step, Walk, Walker, read_head};
use super::{Position, SegmentError};
use crate::config::LogConfig;
use crate::journal::is_out_of_handles;

/// The segments of one log. Lives on the shard that owns the log.
pub struct SegmentSet {
    pub(crate) shard: Rc<SegmentShard>,
    pub(crate) dir: PathBuf,
    pub(crate) group: GroupId,
    pub(crate) state: RefCell<State>,
    pub(crate) readers: Readers,
    /// Whoever changes files holds it.
    pub(crate) writer: Rc<Semaphore>,
    /// Tasks that work for this set in the background.
    pub(crate) gate: Gate,
    pub(crate) me: Weak<SegmentSet>,
}

pub(crate) struct State {
    pub(crate) config: LogConfig,
    pub(crate) closed: Vec<Rc<Segment>>,
    /// Bytes of all of `closed`.
    pub(crate) closed_bytes: u64,
    pub(crate) growing: Option<Growing>,
    pub(crate) end: Position,
    pub(crate) flushed: Position,
    /// Everything below is in segments that the last durable checkpoint calls closed.
    pub(crate) settled: Offset,
    /// Bytes of compacted segments after the last compaction; 0 if there was none since the log was opened.
    pub(crate) clean_bytes: u64,
    /// Counts cuts and replacements: what a reader knew before is void.
    pub(crate) generation: u64,
    /// Names were added since the directory was flushed.
    pub(crate) names_unflushed: bool,
    /// How often a name was added.
    pub(crate) names_made: u64,
    /// The directory itself was made since its parent was flushed.
    pub(crate) dir_unflushed: bool,
    pub(crate) dir_exists: bool,
    pub(crate) failed: bool,
}

/// A segment that grows no more.
pub(crate) struct Segment {
    pub(crate) id: u64,
    pub(crate) name: SegmentName,
    /// Changes while a compacted file is put in place.
    pub(crate) path: RefCell<PathBuf>,
    /// Its file, while the path changes: nobody may open it by a name that is just going.
    pub(crate) pinned: RefCell<Option<File>>,
    pub(crate) bytes: u64,
    /// Known once somebody asked.
    pub(crate) summary: Cell<Option<Summary>>,
}

/// The segment that grows.
pub(crate) struct Growing {
    pub(crate) id: u64,
    pub(crate) name: SegmentName,
    pub(crate) path: PathBuf,
    /// Its end is the set's end.
    pub(crate) summary: Summary,
    pub(crate) index: SparseIndex,
    /// What the block holds in which the file ends; `None` after a restart until the first append reads it.
    pub(crate) tail: Option<Vec<u8>>,
    /// Size of the file.
    pub(crate) allocated: u64,
    /// Bytes behind the end may not be zeros: left by a write that was not finished, or found by a scan.
    pub(crate) soiled: bool,
}

/// A flush that is under way; see [`SegmentSet::begin_flush`].
pub struct PendingFlush {
    generation: u64,
    names_made: u64,
    checkpoint: SegmentCheckpoint,
}

/// What is found where the sidecar of a closed segment belongs.
enum Sidecar {
    /// What was written about this file.
    Sound(Summary, SparseIndex),
    /// Nothing, or what is not about this file: it may be written again.
    Lost,
    /// The system refuses to read it; it may be sound all the same.
    Unreadable,
}

impl SegmentSet {
    pub(crate) fn assemble(shard: Rc<SegmentShard>, dir: PathBuf, group: GroupId, state: State) -> Rc<Self> {
        Rc::new_cyclic(|me| SegmentSet {
            shard,
            dir,
            group,
            state: RefCell::new(state),
            readers: Readers::default(),
            writer: Semaphore::new(1),
            gate: Gate::new(),
            me: me.clone(),
        })
    }

    /// Sets what the log is told; it counts from the next append on.
    pub fn set_config(&self, config: LogConfig) {
        self.state.borrow_mut().config = config;
    }

    /// The place behind the last entry that was written to a segment.
    pub fn end(&self) -> Position {
        self.state.borrow().end
    }

    /// The place up to which everything is known to be flushed. At most [`SegmentSet::end`].
    pub fn flushed(&self) -> Position {
        self.state.borrow().flushed
    }

    /// The first offset that the files may hold; the end's if there are none.
    pub fn start_offset(&self) -> Offset {
        self.state.borrow().start_offset()
    }

    /// Bytes of all segments, without what is reserved ahead.
    pub fn size_bytes(&self) -> u64 {
        self.state.borrow().size_bytes()
    }

    /// The size at which the growing segment is closed now.
    pub fn roll_bytes(&self) -> u64 {
        let state = self.state.borrow();
        plan::roll_bytes(&state.config, state.closed_bytes())
    }

    /// Segments, the growing one included.
    pub fn segments_count(&self) -> usize {
        let state = self.state.borrow();
        state.closed.len() + usize::from(state.growing.is_some())
    }

    /// Bytes from the record at `offset` on, at least: those of everything if it lies in a closed segment, and up to one
    /// stride of the index too many in the growing one.
    pub(crate) fn bytes_from(&self, offset: Offset) -> u64 {
        let state = self.state.borrow();
        match state.growing.as_ref().filter(|growing| growing.name.base <= offset) {
            Some(growing) => {
                let from = growing.index.by_offset(offset).map_or(FILE_HEADER_LEN as u64, |row| row.position);
                growing.summary.bytes - from
            }
            None => state.size_bytes(),
        }
    }

    /// How much of the closed segments was not compacted against what is older, in thousandths, rounded up: 0 if all was,
    /// or without compaction. What is not known yet counts as dirty.
    pub(crate) fn dirty_permille(&self) -> u64 {
        let state = self.state.borrow();
        let dirty = state.closed.iter().filter(|segment| !segment.summary.get().is_some_and(|known| known.is_clean()));
        let dirty: u64 = dirty.map(|segment| segment.bytes).sum();
        if state.config.compact { (dirty * 1000).div_ceil(state.closed_bytes().max(1)) } else { 0 }
    }

    /// Whether a write or flush failed: the log is offline until it is opened again.
    pub fn failed(&self) -> bool {
        self.state.borrow().failed
    }

    /// The directory of the log.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What to journal about what is flushed now, without flushing anything. `None` if not all is, or if it is offline.
    pub fn checkpoint(&self) -> Option<SegmentCheckpoint> {
        let state = self.state.borrow();
        (state.flushed == state.end && !state.failed).then(|| state.checkpoint())
    }

    /// Flushes everything up to the end and says what to journal about it.
    ///
    /// # Errors
    /// [`SegmentError::Io`] takes the log offline; [`SegmentError::Offline`] if it is.
    pub async fn flush(&self) -> Result<SegmentCheckpoint, SegmentError> {
        loop {
            self.check_online()?;
            let pending = self.begin_flush();
            let flushed = self.flush_files().await;
            self.fail_on_error(flushed)?;
            if let Some(checkpoint) = self.end_flush(pending) {
                return Ok(checkpoint);
            }
        }
    }

    /// Takes note of the end, before one flush of the whole file system serves many logs. Then [`SegmentSet::end_flush`].
    pub fn begin_flush(&self) -> PendingFlush {
        let state = self.state.borrow();
        PendingFlush { generation: state.generation, names_made: state.names_made, checkpoint: state.checkpoint() }
    }

    /// The flush has returned without an error. `None` if the log was cut or compacted while it was under way: it says
    /// nothing then.
    pub fn end_flush(&self, pending: PendingFlush) -> Option<SegmentCheckpoint> {
        let mut state = self.state.borrow_mut();
        if pending.generation != state.generation {
            return None;
        }
        if pending.checkpoint.end.index > state.flushed.index {
            state.flushed = pending.checkpoint.end;
        }
        // A file that was made since may have missed the flush, also if nothing has been written to it yet.
        if pending.names_made == state.names_made {
            (state.names_unflushed, state.dir_unflushed) = (false, false);
        }
        Some(pending.checkpoint)
    }

    /// `checkpoint` is durable in the journal: segments that it calls closed may be compacted from now on. (Before that,
    /// a restart could look for a place in a file that has become another one.)
    pub fn checkpoint_durable(&self, checkpoint: &SegmentCheckpoint) {
        self.state.borrow_mut().settled = settled(checkpoint);
    }

    async fn flush_files(&self) -> Result<(), SegmentError> {
        let (growing, names, dir) = {
            let state = self.state.borrow();
            let growing = state.growing.as_ref().filter(|_| state.flushed.index < state.end.index);
            let growing = growing.map(|growing| (growing.id, growing.path.clone()));
            (growing, state.names_unflushed, state.dir_unflushed)
        };
        if let Some((id, path)) = growing {
            let file = self.shard.file(id, &path).await.map_err(SegmentError::io("open", &path))?;
            file.sync_data(IoClass::Raft).await.map_err(SegmentError::io("flush", &path))?;
        }
        if names {
            fs::sync_dir(&self.dir).await.map_err(SegmentError::io("flush", &self.dir))?;
        }
        // The topic's directory may be as new as the log's.
        for parent in self.dir.ancestors().skip(1).take(if dir { 2 } else { 0 }) {
            fs::sync_dir(parent).await.map_err(SegmentError::io("flush", parent))?;
        }
        Ok(())
    }

    /// Waits for its turn to change files.
    pub(crate) async fn lock(&self) -> Result<Units, SegmentError> {
        let units = self.writer.acquire(1).await;
        self.check_online()?;
        Ok(units)
    }

    pub(crate) fn check_online(&self) -> Result<(), SegmentError> {
        match self.state.borrow().failed {
            true => Err(SegmentError::Offline { path: self.dir.clone() }),
            false => Ok(()),
        }
    }

    /// Passes on `result`; an error other than a lack of space or handles takes the log offline.
    pub(crate) fn fail_on_error<T>(&self, result: Result<T, SegmentError>) -> Result<T, SegmentError> {
        if let Err(error) = &result
            && !error.is_passing()
        {
            tracing::error!(group = self.group.0, %error, "log taken offline");
            self.state.borrow_mut().failed = true;
        }
        result
    }

    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) async fn sync_dir(&self) -> Result<(), SegmentError> {
        fs::sync_dir(&self.dir).await.map_err(SegmentError::io("flush", &self.dir))
    }

    /// Removes a file, which may be gone already.
    pub(crate) async fn remove_file(&self, name: &str) -> Result<(), SegmentError> {
        remove_file(&self.path_of(name)).await
    }

    /// Removes a segment's file and sidecar; readers that have it open go on.
    pub(crate) async fn remove_segment(&self, id: u64, name: SegmentName) -> Result<(), SegmentError> {
        self.shard.forget(id);
        self.remove_file(&name.log()).await?;
        self.remove_file(&name.index()).await
    }

    /// Facts and index of a closed segment: from memory, from its sidecar, or else by reading the segment.
    pub(crate) async fn load(&self, segment: &Rc<Segment>) -> Result<(Summary, Rc<SparseIndex>), SegmentError> {
        let known = self.shard.indexes.borrow_mut().get(segment.id);
        if let (Some(summary), Some(index)) = (segment.summary.get(), known) {
            return Ok((summary, index));
        }
        let path = segment.path.borrow().clone();
        let pinned = segment.pinned.borrow().clone();
        let file = match pinned {
            Some(file) => file,
            None => self.shard.file(segment.id, &path).await.map_err(SegmentError::io("open", &path))?,
        };
        let header = FileHeader::parse(&read_head(&file, &path, FILE_HEADER_LEN, IoClass::Fetch).await?, self.group)
            .map_err(|what| SegmentError::corrupt(&path, 0, what))?;
        let sidecar = self.read_sidecar(segment, header.seal).await?;
        let lost = matches!(sidecar, Sidecar::Lost);
        let (summary, index, sound) = match sidecar {
            Sidecar::Sound(summary, index) => (summary, index, true),
            Sidecar::Lost | Sidecar::Unreadable => self.rebuild(&file, &path, header, segment.bytes).await?,
        };
        let index = Rc::new(index);
        segment.summary.set(Some(summary));
        self.shard.indexes.borrow_mut().put(segment.id, index.clone(), index.memory() as u64);
        if lost && sound {
            self.restore_sidecar(segment, &summary, &index).await;
        }
        Ok((summary, index))
    }

    /// The sidecar of a closed segment whose file has this seal. If a file handle is lacking for it, one that the shard keeps is
    /// given back first.
    async fn read_sidecar(&self, segment: &Segment, seal: Seal) -> Result<Sidecar, SegmentError> {
        let path = self.path_of(&segment.name.index());
        let mut read = fs::read(&path).await;
        if read.as_ref().is_err_and(is_out_of_handles) {
            self.shard.close_oldest();
            read = fs::read(&path).await;
        }
        match read {
            Ok(bytes) => {
                let found = summary::decode_sidecar(&bytes, seal).filter(|(summary, _)| summary.bytes == segment.bytes);
                Ok(found.map_or(Sidecar::Lost, |(summary, index)| Sidecar::Sound(summary, index)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Sidecar::Lost),
            Err(error) if is_out_of_handles(&error) => Err(SegmentError::NoHandles { path }),
            Err(_) => Ok(Sidecar::Unreadable),
        }
    }

    /// Facts of a closed segment.
    pub(crate) async fn summary(&self, segment: &Rc<Segment>) -> Result<Summary, SegmentError> {
        match segment.summary.get() {
            Some(summary) => Ok(summary),
            None => Ok(self.load(segment).await?.0),
        }
    }

    /// Facts and index of a closed segment whose sidecar is lost, from its frames, and whether all batches are as they were
    /// written: the times in the facts are theirs.
    async fn rebuild(
        &self,
        file: &File,
        path: &Path,
        header: FileHeader,
        bytes: u64,
    ) -> Result<(Summary, SparseIndex, bool), SegmentError> {
        let mut summary = Summary::of_empty(&header);
        let (mut index, mut sound) = (self.new_index(), true);
        let mut walker = Walker::new(Walk {
            file: file.clone(),
            path: path.to_owned(),
            seal: header.seal,
            position: summary.bytes,
            limit: bytes,
            from: Some(header.base),
            gaps: header.end.is_some(),
            class: IoClass::Fetch,
            pieces: self.shard.limits.read_bytes,
        });
        loop {
            match walker.step().await? {
                Step::Frame(walked) => {
                    sound &= walked.header.payload_ok(&walked.payload);
                    index.note(&walked.header, walked.position, summary.max_timestamp);
                    summary.push(&walked.header);
                }
                Step::End => break,
                Step::Fault(what) => return Err(SegmentError::corrupt(path, walker.position(), what)),
            }
            ailurus_rt::yield_if_needed().await;
        }
        summary.end = header.end.unwrap_or(summary.end);
        Ok((summary, index, sound))
    }

    /// Writes the sidecar of a segment that had lost it, unless the segment or the log goes.
    async fn restore_sidecar(&self, segment: &Rc<Segment>, summary: &Summary, index: &SparseIndex) {
        let Ok(_inside) = self.gate.enter() else { return };
        let is_there = || self.state.borrow().closed.iter().any(|closed| Rc::ptr_eq(closed, segment));
        if !is_there() || self.failed() {
            return;
        }
        self.write_sidecar(segment.name, summary, index).await;
        // Removed or compacted while it was written: what stands there now is nobody's, or will be made again.
        if !is_there() {
            let _ = self.remove_file(&segment.name.index()).await;
        }
    }

    /// Writes the sidecar of a segment. It is not needed for anything but speed, so it is not flushed, and a failure is only
    /// said.
    pub(crate) async fn write_sidecar(&self, name: SegmentName, summary: &Summary, index: &SparseIndex) {
        let path = self.path_of(&name.index());
        if let Err(error) = fs::write(&path, &summary::encode_sidecar(summary, index)).await {
            tracing::warn!(path = %path.display(), %error, "index not written; it will be made again when needed");
        }
    }

    pub(crate) fn new_index(&self) -> SparseIndex {
        SparseIndex::new(self.state.borrow().config.index_interval_bytes, INDEX_ROWS_MAX)
    }
}

impl State {
    /// Of a log that goes on at `end` and of whose files nothing is known yet.
    pub(crate) fn empty(config: LogConfig, end: Position, dir_exists: bool) -> Self {
        State {
            config,
            closed: Vec::new(),
            closed_bytes: 0,
            growing: None,
            end,
            flushed: end,
            settled: Offset(0),
            clean_bytes: 0,
            generation: 0,
            // What is found may be in the cache of a disk that the last process did not flush.
            names_unflushed: dir_exists,
            names_made: 0,
            dir_unflushed: dir_exists,
            dir_exists,
            failed: false,
        }
    }

    pub(crate) fn start_offset(&self) -> Offset {
        let growing = self.growing.as_ref().map(|growing| growing.name.base);
        self.closed.first().map(|first| first.name.base).or(growing).unwrap_or(self.end.offset)
    }

    pub(crate) fn closed_bytes(&self) -> u64 {
        self.closed_bytes
    }

    /// To be called after every change to `closed`: appends and fetches ask for the sum much more often.
    pub(crate) fn closed_changed(&mut self) {
        self.closed_bytes = self.closed.iter().map(|segment| segment.bytes).sum();
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.closed_bytes() + self.growing.as_ref().map_or(0, |growing| growing.summary.bytes)
    }

    /// The offset at which the closed segment at `place` ends: where the next one begins.
    pub(crate) fn end_of(&self, place: usize) -> Offset {
        let growing = self.growing.as_ref().map(|growing| growing.name.base);
        self.closed.get(place + 1).map(|next| next.name.base).or(growing).unwrap_or(self.end.offset)
    }

    pub(crate) fn checkpoint(&self) -> SegmentCheckpoint {
        // The head of a segment without a frame may not have been written.
        let growing = self.growing.as_ref().filter(|growing| !growing.summary.is_empty());
        let growing = growing.map(|growing| GrowingCheckpoint {
            name: growing.name,
            summary: growing.summary,
            rows: growing.index.sample(CHECKPOINT_ROWS_MAX),
        });
        SegmentCheckpoint { end: self.end, growing }
    }
}

/// The offset below which a checkpoint calls all segments closed.
pub(crate) fn settled(checkpoint: &SegmentCheckpoint) -> Offset {
    checkpoint.growing.as_ref().map_or(checkpoint.end.offset, |growing| growing.name.base)
}

/// Removes a file, which may be gone already.
pub(crate) async fn remove_file(path: &Path) -> Result<(), SegmentError> {
    absent_is_fine(fs::remove_file(path).await).map_err(SegmentError::io("remove", path))
}

/// For what should be gone, whoever took it away.
pub(crate) fn absent_is_fine(done: std::io::Result<()>) -> std::io::Result<()> {
    match done {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
