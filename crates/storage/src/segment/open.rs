//! Opening the segments of a log after a restart or a crash.
//!
//! The journal holds everything behind the checkpoint, so what a scan does not accept is only written again. A scan accepts
//! a frame if it is whole, follows the one before, and its batch matches its CRC.

use std::path::PathBuf;
use std::rc::Rc;

use ailurus_model::{GroupId, Index, Offset};
use ailurus_rt::{IoClass, fs};

use super::checkpoint::{GrowingCheckpoint, SegmentCheckpoint};
use super::header::{FILE_HEADER_LEN, FileHeader};
use super::index::{INDEX_ROWS_MAX, SparseIndex};
use super::name::{FileName, SegmentName};
use super::set::{Growing, Segment, SegmentSet, State, settled};
use super::shard::{BLOCK, SegmentShard};
use super::summary::Summary;
use super::walker::{Step, Walk, Walker, read_head};
use super::{Position, SegmentError};
use crate::config::LogConfig;

/// What the journal knows about where the segments ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAt<'a> {
    /// The last durable checkpoint. `None`: nothing was ever checkpointed, and what lies in the directory is worth nothing.
    pub checkpoint: Option<&'a SegmentCheckpoint>,
    /// The lowest place at which the suffix was cut since that checkpoint: nothing from there on may be taken from the
    /// files. The caller still repeats its cuts and appends in order.
    pub cut: Option<Index>,
    /// Where the log starts.
    pub start: Position,
}

impl SegmentSet {
    /// Opens the segments in `dir`, which need not exist. Afterwards [`SegmentSet::end`] tells how far entries were found;
    /// they are flushed again before they are trusted ([`SegmentSet::flush`]).
    ///
    /// # Errors
    /// [`SegmentError::Missing`] if a file that the checkpoint needs is gone; [`SegmentError::Io`].
    pub async fn open(
        shard: Rc<SegmentShard>,
        dir: PathBuf,
        group: GroupId,
        config: LogConfig,
        at: OpenAt<'_>,
    ) -> Result<Rc<SegmentSet>, SegmentError> {
        let start = at.checkpoint.map_or(at.start, |checkpoint| checkpoint.end);
        let dir_exists = fs::exists(&dir).await.map_err(SegmentError::io("open", &dir))?;
        let settled = at.checkpoint.map_or(Offset(0), settled);
        let state = State { settled, ..State::empty(config, start, dir_exists) };
        let set = SegmentSet::assemble(shard, dir, group, state);
        if set.state.borrow().dir_exists {
            set.open_files(at).await?;
        }
        set.check_complete(at)?;
        set.drop_before(at.start).await?;
        Ok(set)
    }

    /// Those of a log whose files cannot be opened: offline until they are mended and opened again.
    pub(crate) fn offline(
        shard: Rc<SegmentShard>,
        dir: PathBuf,
        group: GroupId,
        config: LogConfig,
        end: Position,
    ) -> Rc<SegmentSet> {
        let state = State { failed: true, ..State::empty(config, end, true) };
        SegmentSet::assemble(shard, dir, group, state)
    }

    async fn open_files(&self, at: OpenAt<'_>) -> Result<(), SegmentError> {
        self.finish_merges().await?;
        let (mut files, sidecars) = self.list().await?;
        // What the journal does not call closed may go on otherwise than when its sidecar was written.
        let closed = self.state.borrow().settled;
        for name in sidecars {
            if name.base >= closed || files.binary_search_by_key(&name, |file| file.0).is_err() {
                self.remove_file(&name.index()).await?;
            }
        }
        if let Some(checkpoint) = at.checkpoint {
            let below = settled(checkpoint);
            let later = files.partition_point(|file| file.0.base < below);
            let closed = files.drain(..later).map(|(name, bytes)| self.closed_segment(name, bytes)).collect();
            self.state.borrow_mut().closed = closed;
            match at.cut.filter(|cut| *cut < checkpoint.end.index) {
                Some(cut) => self.fall_back(checkpoint, cut, at.start, &mut files).await?,
                None => self.adopt_growing(checkpoint, &mut files).await?,
            }
            self.scan_on(&mut files, at.cut).await?;
        }
        // Nothing is removed that would be missed.
        self.state.borrow_mut().closed_changed();
        self.check_complete(at)?;
        for (name, _) in files {
            // It lies behind the end.
            self.remove_file(&name.log()).await?;
            self.remove_file(&name.index()).await?;
        }
        Ok(())
    }

    /// Puts compacted files in place whose commit (the name `.merged`) came before the crash, and clears away the rest.
    async fn finish_merges(&self) -> Result<(), SegmentError> {
        let entries = self.names().await?;
        for (name, _) in &entries {
            match FileName::parse(name) {
                FileName::Merged(merged, end) => self.finish_merge(merged, end, &entries).await?,
                FileName::Temporary => self.remove_file(name).await?,
                FileName::Log(_) | FileName::Index(_) | FileName::Foreign => {}
            }
        }
        Ok(())
    }

    async fn finish_merge(
        &self,
        merged: SegmentName,
        end: Offset,
        entries: &[(String, u64)],
    ) -> Result<(), SegmentError> {
        // Its directory entry may not be durable: from here on it must be, before anything that it replaces goes.
        self.sync_dir().await?;
        for (name, _) in entries {
            let (FileName::Log(old) | FileName::Index(old)) = FileName::parse(name) else { continue };
            let sidecar = old == merged && name.ends_with(".index");
            if (old.base >= merged.base && old.base < end && old != merged) || sidecar {
                self.remove_file(name).await?;
            }
        }
        // The last name that tells of the range may only go when no old file can come back.
        self.sync_dir().await?;
        let (from, to) = (self.path_of(&merged.merged(end)), self.path_of(&merged.log()));
        fs::rename(&from, &to).await.map_err(SegmentError::io("rename", &from))?;
        self.sync_dir().await
    }

    async fn names(&self) -> Result<Vec<(String, u64)>, SegmentError> {
        let entries = fs::read_dir(&self.dir).await.map_err(SegmentError::io("list", &self.dir))?;
        // A name that is not text is not one of ours.
        Ok(entries.into_iter().filter_map(|entry| Some((entry.name.into_string().ok()?, entry.len))).collect())
    }

    /// The segment files, by base offset, and the sidecars that there are.
    async fn list(&self) -> Result<(Vec<(SegmentName, u64)>, Vec<SegmentName>), SegmentError> {
        let (mut files, mut sidecars, mut double) = (Vec::new(), Vec::new(), Vec::new());
        for (name, bytes) in self.names().await? {
            match FileName::parse(&name) {
                FileName::Log(name) => files.push((name, bytes)),
                FileName::Index(name) => sidecars.push(name),
                FileName::Merged(..) | FileName::Temporary | FileName::Foreign => {}
            }
        }
        files.sort();
        // A cut whose removal of a name did not reach the disk: the later term is what came after it.
        files.dedup_by(|later, earlier| {
            let same = later.0.base == earlier.0.base;
            if same {
                double.push(earlier.0);
                *earlier = *later;
            }
            same
        });
        for name in double {
            self.remove_file(&name.log()).await?;
        }
        Ok((files, sidecars))
    }

    fn closed_segment(&self, name: SegmentName, bytes: u64) -> Rc<Segment> {
        let path = self.path_of(&name.log()).into();
        Rc::new(Segment { id: self.shard.new_id(), name, path, pinned: None.into(), bytes, summary: None.into() })
    }

    /// Takes the file that the checkpoint calls growing, if it is there.
    async fn adopt_growing(
        &self,
        checkpoint: &SegmentCheckpoint,
        files: &mut Vec<(SegmentName, u64)>,
    ) -> Result<(), SegmentError> {
        let Some(GrowingCheckpoint { name, summary, rows }) = &checkpoint.growing else { return Ok(()) };
        let Some(place) = files.iter().position(|(file, bytes)| file == name && *bytes >= summary.bytes) else {
            return Ok(());
        };
        let (_, allocated) = files.remove(place);
        let stride = self.state.borrow().config.index_interval_bytes;
        self.state.borrow_mut().growing = Some(Growing {
            id: self.shard.new_id(),
            name: *name,
            path: self.path_of(&name.log()),
            summary: *summary,
            index: SparseIndex::from_rows(stride, INDEX_ROWS_MAX, rows.iter().copied()),
            tail: None,
            allocated,
            soiled: allocated > summary.bytes,
        });
        Ok(())
    }

    /// The suffix was cut at `cut` after the checkpoint, which therefore may speak of files and frames that are gone (the
    /// growing file may be shorter than it says), while files may have been begun after the cut: starts from the last
    /// segment that begins before the cut. The others stay in `files`, to be removed once it is certain that nothing is
    /// missing.
    async fn fall_back(
        &self,
        checkpoint: &SegmentCheckpoint,
        cut: Index,
        start: Position,
        files: &mut Vec<(SegmentName, u64)>,
    ) -> Result<(), SegmentError> {
        let growing = checkpoint.growing.as_ref().and_then(|growing| {
            let place = files.iter().position(|(name, _)| *name == growing.name)?;
            Some(files.remove(place))
        });
        let growing = growing.map(|(name, bytes)| self.closed_segment(name, bytes));
        self.state.borrow_mut().closed.extend(growing);
        self.restart_at(start);
        loop {
            let Some(last) = self.state.borrow_mut().closed.pop() else { return Ok(()) };
            let header = self.read_header(&last).await?.filter(|header| header.base.index < cut);
            match header {
                Some(FileHeader { end: Some(end), .. }) => {
                    assert!(end.index <= cut, "what was compacted was committed and is never cut");
                    self.state.borrow_mut().closed.push(last);
                    self.restart_at(end);
                    return Ok(());
                }
                Some(header) => return self.grow_again(&last, header, cut).await,
                None => files.push((last.name, last.bytes)),
            }
        }
    }

    /// Nothing is known behind `end`.
    fn restart_at(&self, end: Position) {
        let mut state = self.state.borrow_mut();
        (state.end, state.flushed) = (end, end);
    }

    /// Scans the segment up to the cut and lets it grow from there.
    async fn grow_again(&self, segment: &Segment, header: FileHeader, cut: Index) -> Result<(), SegmentError> {
        self.remove_file(&segment.name.index()).await?;
        self.begin(segment, &header);
        self.state.borrow_mut().flushed = header.base;
        self.scan(Some(cut)).await
    }

    /// Makes a segment the growing one, as if no frame of it were known.
    fn begin(&self, segment: &Segment, header: &FileHeader) {
        let index = self.new_index();
        let mut state = self.state.borrow_mut();
        state.end = header.base;
        state.growing = Some(Growing {
            id: segment.id,
            name: segment.name,
            path: segment.path.borrow().clone(),
            summary: Summary::of_empty(header),
            index,
            tail: None,
            allocated: segment.bytes,
            soiled: true,
        });
    }

    /// The head of a file; `None` if it is not one of this log.
    async fn read_header(&self, segment: &Segment) -> Result<Option<FileHeader>, SegmentError> {
        let path = segment.path.borrow().clone();
        let file = self.shard.file(segment.id, &path).await.map_err(SegmentError::io("open", &path))?;
        let head = read_head(&file, &path, FILE_HEADER_LEN, IoClass::Raft).await?;
        Ok(FileHeader::parse(&head, self.group).ok())
    }

    /// Scans the growing segment behind the checkpoint, and the segments that adjoin it.
    async fn scan_on(&self, files: &mut Vec<(SegmentName, u64)>, cut: Option<Index>) -> Result<(), SegmentError> {
        self.scan(cut).await?;
        loop {
            let end = self.end();
            let full = self.state.borrow().growing.as_ref().is_none_or(Growing::has_records);
            let next = files.iter().position(|(name, _)| name.base == end.offset && name.term >= end.term && full);
            let Some(place) = next else { return self.drop_empty().await };
            let (name, bytes) = files.remove(place);
            if !self.scan_next(name, bytes, cut).await? {
                self.remove_file(&name.log()).await?;
                return self.drop_empty().await;
            }
        }
    }

    /// Takes the next file in as the growing segment, if it goes on where the one before ends.
    async fn scan_next(&self, name: SegmentName, bytes: u64, cut: Option<Index>) -> Result<bool, SegmentError> {
        let segment = self.closed_segment(name, bytes);
        let Some(header) = self.read_header(&segment).await? else { return Ok(false) };
        if header.base != self.end() || header.end.is_some() || cut.is_some_and(|cut| header.base.index >= cut) {
            return Ok(false);
        }
        self.drop_empty().await?;
        if self.state.borrow().growing.is_some() {
            let lock = self.lock().await?;
            self.roll(&lock).await?;
        }
        self.begin(&segment, &header);
        self.state.borrow_mut().name_made();
        self.scan(cut).await?;
        Ok(true)
    }

    /// Walks from the end of the growing segment and takes in what follows it, up to the cut.
    async fn scan(&self, cut: Option<Index>) -> Result<(), SegmentError> {
        let walk = {
            let state = self.state.borrow();
            let Some(growing) = state.growing.as_ref() else { return Ok(()) };
            (growing.id, growing.path.clone(), growing.summary, growing.allocated, state.end)
        };
        let (id, path, summary, allocated, from) = walk;
        if allocated <= summary.bytes {
            return Ok(());
        }
        let file = self.shard.file(id, &path).await.map_err(SegmentError::io("open", &path))?;
        let mut walker = Walker::new(Walk {
            file,
            path,
            seal: summary.seal,
            position: summary.bytes,
            limit: allocated,
            from: Some(from),
            gaps: false,
            class: IoClass::Raft,
            // Most logs have nothing behind their checkpoint: one block tells.
            pieces: (BLOCK as usize, self.shard.limits.read_bytes.1),
        });
        while let Step::Frame(walked) = walker.step().await? {
            let header = &walked.header;
            let past = cut.is_some_and(|cut| header.end().index > cut);
            if past || !header.payload_ok(&walked.payload) {
                break;
            }
            self.state.borrow_mut().push(header);
            ailurus_rt::yield_if_needed().await;
        }
        Ok(())
    }

    /// A growing segment without a frame may not even have a head: it is begun again.
    async fn drop_empty(&self) -> Result<(), SegmentError> {
        let empty = {
            let mut state = self.state.borrow_mut();
            let empty = state.growing.as_ref().is_some_and(|growing| growing.summary.is_empty());
            if empty { state.growing.take() } else { None }
        };
        match empty {
            Some(growing) => self.remove_segment(growing.id, growing.name).await,
            None => Ok(()),
        }
    }

    /// Everything between the log start and the checkpoint must be there, unless it was cut since.
    fn check_complete(&self, at: OpenAt<'_>) -> Result<(), SegmentError> {
        let Some(checkpoint) = at.checkpoint else { return Ok(()) };
        let (end, start) = (self.end(), at.start);
        let needed = at.cut.map_or(checkpoint.end.index, |cut| cut.min(checkpoint.end.index));
        let missing = |what: String| Err(SegmentError::Missing { path: self.dir.clone(), what });
        if needed <= start.index {
            return Ok(());
        }
        if end.index < needed {
            return missing(format!("entries up to index {needed} were flushed, the files end at {}", end.index));
        }
        let state = self.state.borrow();
        let holds = state.growing.is_some() || !state.closed.is_empty();
        let first = state.start_offset();
        if !holds || first > start.offset {
            return missing(format!("the log starts at offset {}, the files at {first}", start.offset));
        }
        if let Some(GrowingCheckpoint { name, .. }) = checkpoint.growing.as_ref().filter(|_| at.cut.is_none()) {
            let growing = state.growing.as_ref().is_some_and(|growing| growing.name == *name);
            if !growing && !state.closed.iter().any(|segment| segment.name == *name) {
                return missing(format!("the checkpoint names {}", name.log()));
            }
        }
        Ok(())
    }

    /// Removes what lies before the log start; a log that lies wholly before it goes on there.
    async fn drop_before(&self, start: Position) -> Result<(), SegmentError> {
        let behind = start.index > self.start_index_bound();
        if behind { self.truncate_prefix(start).await } else { Ok(()) }
    }

    /// No entry that is held has an index below this one.
    fn start_index_bound(&self) -> Index {
        let state = self.state.borrow();
        Index(state.start_offset().0)
    }
}
