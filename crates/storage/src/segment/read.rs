//! Reads: batches by offset for fetches, entries by index for consensus and replay.
//!
//! A reader that goes on where an earlier read ended is taken to be sequential: its place is remembered, so no index is
//! asked, and the next piece is read ahead into the cache while it works on this one.

use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;

use ailurus_base::sync::Notify;
use ailurus_model::{Index, Offset};
use ailurus_rt::{File, Group, IoClass};
use bytes::Bytes;

use super::cache::CachedBatch;
use super::frame::{FRAME_HEADER_LEN, Frame, Seal};
use super::header::FILE_HEADER_LEN;
use super::index::{IndexRow, SparseIndex};
use super::set::{Segment, SegmentSet};
use super::summary::Summary;
use super::walker::{Walk, Walked, Walker};
use super::{Position, SegmentError};

/// Sequential readers of one log that are remembered.
const CURSORS_MAX: usize = 8;

/// What a read found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentRead {
    /// Whole batches in order; the first contains the wanted offset, or is the first behind it if compaction removed
    /// that.
    pub batches: Vec<Bytes>,
    /// Where to go on: behind the last batch.
    pub next: Offset,
}

/// Who reads a log.
#[derive(Default)]
pub(crate) struct Readers {
    cursors: RefCell<Vec<Cursor>>,
    ahead: RefCell<Vec<(Offset, Rc<Notify>)>>,
}

/// A place where a read ended.
#[derive(Clone, Copy)]
struct Cursor {
    offset: Offset,
    segment: u64,
    position: u64,
    /// Reads that went on from where the one before ended.
    streak: u32,
}

/// A segment as a reader sees it.
pub(crate) struct Source {
    pub(crate) id: u64,
    pub(crate) path: PathBuf,
    pub(crate) pinned: Option<File>,
    pub(crate) seal: Seal,
    pub(crate) base: Position,
    pub(crate) limit: u64,
    pub(crate) gaps: bool,
    /// The offset at which the next segment begins.
    pub(crate) end: Offset,
    /// Nothing follows it.
    pub(crate) last: bool,
    pub(crate) max_timestamp: i64,
    /// The start position that the index gave.
    pub(crate) position: u64,
}

/// What to look up in a segment's index.
#[derive(Clone, Copy)]
pub(crate) enum Seek {
    Start,
    Offset(Offset),
    Index(Index),
    /// By time, but not before the offset.
    Time(i64, Offset),
}

/// What one read from the disk brought.
struct Piece {
    start: Offset,
    batches: Vec<CachedBatch>,
}

impl SegmentSet {
    /// Whole batches from the one that contains `from`, all of them starting below `below`, together at most `max_bytes`;
    /// with `at_least_one` the first comes even if it is larger. May give fewer: call again from `next`.
    ///
    /// # Errors
    /// [`SegmentError::OutOfRange`] if the files begin behind `from`; [`SegmentError::Corrupt`] if the bytes there are not
    /// those that were written, which are then never served.
    pub async fn read(
        &self,
        from: Offset,
        below: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<SegmentRead, SegmentError> {
        loop {
            let below = below.min(self.end().offset);
            if from >= below {
                return Ok(SegmentRead { batches: Vec::new(), next: from });
            }
            self.check_start(from)?;
            let cached = self.shard.cache.borrow_mut().get(self.group, from, below, max_bytes);
            if !cached.is_empty() {
                return Ok(self.answer(from..below, cached, max_bytes, at_least_one));
            }
            if let Some(loading) = self.readers.loading(from) {
                loading.await;
                continue;
            }
            let generation = self.generation();
            let piece = self.read_piece(from, max_bytes).await;
            if self.generation() == generation {
                let wanted = choose(piece?, below, max_bytes);
                return Ok(self.answer(from..below, wanted, max_bytes, at_least_one));
            }
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.state.borrow().generation
    }

    /// Asks again if a cut or a compaction came in between: files that were looked at may be gone.
    pub(crate) async fn steadily<T>(
        &self,
        mut ask: impl AsyncFnMut() -> Result<T, SegmentError>,
    ) -> Result<T, SegmentError> {
        loop {
            let generation = self.generation();
            let answer = ask().await;
            if self.generation() == generation {
                return answer;
            }
        }
    }

    fn check_start(&self, from: Offset) -> Result<(), SegmentError> {
        let state = self.state.borrow();
        match state.start_offset() {
            start if from < start => Err(SegmentError::OutOfRange { wanted: from, start, end: state.end.offset }),
            _ => Ok(()),
        }
    }

    fn answer(
        &self,
        asked: Range<Offset>,
        found: Vec<CachedBatch>,
        max_bytes: usize,
        at_least_one: bool,
    ) -> SegmentRead {
        if !at_least_one && found.first().is_some_and(|first| first.bytes.len() > max_bytes) {
            return SegmentRead { batches: Vec::new(), next: asked.start };
        }
        // Nothing found means that compaction removed all there was.
        let next = found.last().map_or(asked.end, |last| last.end);
        self.read_ahead(next);
        SegmentRead { batches: found.into_iter().map(|batch| batch.bytes).collect(), next }
    }

    /// Reads one piece of batches from the first that ends behind `from`, into the cache. Empty if there is none.
    async fn read_piece(&self, from: Offset, bytes: usize) -> Result<Piece, SegmentError> {
        let mut at = from;
        loop {
            let Some(mut source) = self.source(at, Seek::Offset(from)).await? else {
                return Ok(Piece { start: from, batches: Vec::new() });
            };
            let streak = self.resume(from, &mut source);
            let (least, most) = self.shard.limits.read_bytes;
            let piece = if streak > 0 { most } else { bytes.clamp(least, most) };
            let (id, end, last) = (source.id, source.end, source.last);
            let mut walker = self.walk(source, IoClass::Fetch, piece).await?;
            let (batches, position) = self.gather(id, &mut walker, from).await?;
            if let Some(last) = batches.last() {
                let cursor = Cursor { offset: last.end, segment: id, position, streak };
                self.readers.remember(from, cursor);
                return Ok(Piece { start: from, batches });
            }
            if last {
                return Ok(Piece { start: from, batches });
            }
            // Compaction removed everything from there to the end of the segment: the next one has it.
            at = end;
        }
    }

    /// Walks to the first batch that ends behind `from` and takes it and those that share its memory. Also tells where the
    /// last one taken ends: a bad one behind it must be met again by whoever goes on.
    async fn gather(
        &self,
        id: u64,
        walker: &mut Walker,
        from: Offset,
    ) -> Result<(Vec<CachedBatch>, u64), SegmentError> {
        let generation = self.generation();
        let (mut batches, mut position) = (Vec::new(), walker.position());
        while batches.is_empty() || walker.next_is_here() {
            let Some(walked) = walker.next().await? else { break };
            self.learn(id, &walked);
            if walked.header.batch.is_none() || walked.header.end().offset <= from {
                ailurus_rt::yield_if_needed().await;
                continue;
            }
            if !walked.header.payload_ok(&walked.payload) {
                if batches.is_empty() {
                    return Err(bad_payload(walker, &walked));
                }
                break;
            }
            let (base, end) = (walked.header.offset, walked.header.end().offset);
            batches.push(CachedBatch { base, end, bytes: walked.payload });
            position = walker.position();
            ailurus_rt::yield_if_needed().await;
        }
        if self.generation() == generation {
            self.shard.cache.borrow_mut().insert(self.group, from, batches.clone(), walker.piece_cost());
        }
        Ok((batches, position))
    }

    /// A frame was met in the growing segment: after a restart its index knows only a few.
    fn learn(&self, id: u64, walked: &Walked) {
        let mut state = self.state.borrow_mut();
        let Some(growing) = state.growing.as_mut().filter(|growing| growing.id == id) else { return };
        // What times stand before it is not known here; too late a time only makes a search by time start earlier.
        let time_before = growing.index.time_bound(walked.position).unwrap_or(growing.summary.max_timestamp);
        let (offset, index, position) = (walked.header.offset, walked.header.index, walked.position);
        growing.index.learn(IndexRow { offset, index, time_before, position });
    }

    /// Where an earlier read ended that this one goes on from; gives how many have gone on so.
    fn resume(&self, from: Offset, source: &mut Source) -> u32 {
        let Some(cursor) = self.readers.cursor(from) else { return 0 };
        if cursor.segment == source.id && cursor.position < source.limit {
            source.position = cursor.position;
        }
        cursor.streak + 1
    }

    /// Reads the piece at `next` into the cache, if a sequential reader has just come to where reading ended.
    fn read_ahead(&self, next: Offset) {
        let sequential = self.readers.cursor(next).is_some_and(|cursor| cursor.streak > 0);
        let there = next < self.end().offset && self.readers.loading(next).is_none();
        let (true, true, Some(set), Ok(pass)) = (sequential, there, self.me.upgrade(), self.gate.enter()) else {
            return;
        };
        let done = Rc::new(Notify::new());
        self.readers.ahead.borrow_mut().push((next, done.clone()));
        ailurus_rt::spawn(Group::Fetch, async move {
            // An error is the next reader's to find and to tell.
            let _ = set.read_piece(next, 0).await;
            set.readers.ahead.borrow_mut().retain(|(offset, _)| *offset != next);
            done.notify_all();
            drop(pass);
        })
        .detach();
    }

    /// Entries of both kinds from the one that contains `from`, those that start below `below`, at least one and then up
    /// to `max_bytes`. Past the cache: consensus reads what fell far behind, and replay reads everything once.
    ///
    /// # Errors
    /// As [`SegmentSet::read`].
    pub async fn read_entries(&self, from: Index, below: Index, max_bytes: usize) -> Result<Vec<Frame>, SegmentError> {
        self.steadily(async || self.try_read_entries(from, below, max_bytes).await).await
    }

    async fn try_read_entries(&self, from: Index, below: Index, max_bytes: usize) -> Result<Vec<Frame>, SegmentError> {
        let below = below.min(self.end().index);
        let mut found = Vec::new();
        if from >= below {
            return Ok(found);
        }
        let mut at = self.segment_of_index(from).await?;
        let mut left = max_bytes;
        while let Some(source) = self.source(at, Seek::Index(from)).await? {
            let last = source.last;
            at = source.end;
            let piece = max_bytes.clamp(self.shard.limits.read_bytes.0, self.shard.limits.read_bytes.1);
            let mut walker = self.walk(source, IoClass::Raft, piece).await?;
            while let Some(walked) = walker.next().await? {
                if walked.header.end().index <= from {
                    continue;
                }
                let size = walked.payload.len();
                if walked.header.index >= below || (size > left && !found.is_empty()) {
                    return Ok(found);
                }
                if !walked.header.payload_ok(&walked.payload) {
                    return if found.is_empty() { Err(bad_payload(&walker, &walked)) } else { Ok(found) };
                }
                left = left.saturating_sub(size);
                let Walked { header, payload, .. } = walked;
                found.push(Frame { term: header.term, index: header.index, body: header.body(payload) });
                ailurus_rt::yield_if_needed().await;
            }
            if last {
                break;
            }
        }
        Ok(found)
    }

    /// An offset in the segment that holds `index`.
    pub(crate) async fn segment_of_index(&self, index: Index) -> Result<Offset, SegmentError> {
        let growing = self.state.borrow().growing.as_ref().map(|growing| growing.summary.base);
        if let Some(base) = growing.filter(|base| base.index <= index) {
            return Ok(base.offset);
        }
        let closed = self.state.borrow().closed.clone();
        let (mut low, mut high) = (0, closed.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.summary(&closed[middle]).await?.base.index <= index {
                true => low = middle,
                false => high = middle,
            }
        }
        let first = closed.get(low).map(|segment| segment.name.base);
        Ok(first.unwrap_or(self.start_offset()))
    }

    /// The segment in which the record at `offset` lies or would lie; `None` behind the end.
    pub(crate) async fn source(&self, offset: Offset, seek: Seek) -> Result<Option<Source>, SegmentError> {
        if offset >= self.end().offset && !self.has_trailing_controls(offset) {
            return Ok(None);
        }
        if let Some(growing) = self.growing_source(offset, seek) {
            return Ok(Some(growing));
        }
        let (segment, end) = {
            let state = self.state.borrow();
            let place = state.closed.partition_point(|segment| segment.name.base <= offset);
            let Some(place) = place.checked_sub(1) else { return Ok(None) };
            (state.closed[place].clone(), state.end_of(place))
        };
        self.closed_source(&segment, end, seek).await.map(Some)
    }

    /// The entries behind the last record are control entries of the growing segment.
    fn has_trailing_controls(&self, offset: Offset) -> bool {
        let state = self.state.borrow();
        state.growing.as_ref().is_some_and(|growing| {
            offset == growing.name.base && growing.summary.end.offset == offset && !growing.summary.is_empty()
        })
    }

    pub(crate) async fn closed_source(
        &self,
        segment: &Rc<Segment>,
        end: Offset,
        seek: Seek,
    ) -> Result<Source, SegmentError> {
        let (summary, index) = self.load(segment).await?;
        check_adjoins(segment, &summary, end)?;
        Ok(Source {
            id: segment.id,
            path: segment.path.borrow().clone(),
            pinned: segment.pinned.borrow().clone(),
            seal: summary.seal,
            base: summary.base,
            limit: summary.bytes,
            gaps: summary.cleaned_below > summary.base.offset,
            end,
            last: false,
            max_timestamp: summary.max_timestamp,
            position: seek.position(&index),
        })
    }

    pub(crate) fn growing_source(&self, offset: Offset, seek: Seek) -> Option<Source> {
        let state = self.state.borrow();
        let growing = state.growing.as_ref().filter(|growing| growing.name.base <= offset)?;
        Some(Source {
            id: growing.id,
            path: growing.path.clone(),
            pinned: None,
            seal: growing.summary.seal,
            base: growing.summary.base,
            limit: growing.summary.bytes,
            gaps: false,
            end: state.end.offset,
            last: true,
            max_timestamp: growing.summary.max_timestamp,
            position: seek.position(&growing.index),
        })
    }

    /// Walks the frames of a segment from where the index said, `piece` bytes at a time.
    pub(crate) async fn walk(&self, source: Source, class: IoClass, piece: usize) -> Result<Walker, SegmentError> {
        let Source { id, path, pinned, seal, base, limit, gaps, position, .. } = source;
        let file = match pinned {
            Some(file) => file,
            None => self.shard.file(id, &path).await.map_err(SegmentError::io("open", &path))?,
        };
        let from = (position == FILE_HEADER_LEN as u64).then_some(base);
        Ok(Walker::new(Walk { file, path, seal, position, limit, from, gaps, class, pieces: (piece, piece) }))
    }
}

impl Seek {
    fn position(&self, index: &SparseIndex) -> u64 {
        let row = match *self {
            Seek::Start => None,
            Seek::Offset(offset) => index.by_offset(offset),
            Seek::Index(at) => index.by_index(at),
            Seek::Time(time, from) => {
                index.by_time(time).into_iter().chain(index.by_offset(from)).max_by_key(|row| row.position)
            }
        };
        row.map_or(FILE_HEADER_LEN as u64, |row| row.position)
    }
}

impl Readers {
    fn cursor(&self, offset: Offset) -> Option<Cursor> {
        self.cursors.borrow().iter().find(|cursor| cursor.offset == offset).copied()
    }

    /// The reader that was at `from` is now at `cursor`.
    fn remember(&self, from: Offset, cursor: Cursor) {
        let mut cursors = self.cursors.borrow_mut();
        cursors.retain(|known| known.offset != from && known.offset != cursor.offset);
        if cursors.len() == CURSORS_MAX {
            cursors.remove(0);
        }
        cursors.push(cursor);
    }

    /// Waits until the piece at `from` has been read ahead, if it is being read.
    fn loading(&self, from: Offset) -> Option<impl Future<Output = ()> + use<>> {
        let done = self.ahead.borrow().iter().find(|(offset, _)| *offset == from).map(|(_, done)| done.clone());
        done.map(|done| async move { done.notified().await })
    }

    pub(crate) fn forget_cursors(&self) {
        self.cursors.borrow_mut().clear();
    }
}

/// The batches of a piece that a reader asked for.
fn choose(piece: Piece, below: Offset, max_bytes: usize) -> Vec<CachedBatch> {
    let mut left = max_bytes;
    let mut wanted = Vec::new();
    for batch in piece.batches {
        if batch.base >= below || (batch.bytes.len() > left && !wanted.is_empty()) {
            break;
        }
        left = left.saturating_sub(batch.bytes.len());
        wanted.push(batch);
    }
    debug_assert!(wanted.first().is_none_or(|first| first.end > piece.start), "a piece begins with what was wanted");
    wanted
}

/// A segment that ends before the next one begins has lost its end, or the one behind it is missing. That is no gap that
/// compaction left: those lie inside segments.
pub(crate) fn check_adjoins(segment: &Segment, summary: &Summary, end: Offset) -> Result<(), SegmentError> {
    if summary.end.offset == end {
        return Ok(());
    }
    let what = format!("it ends at offset {}, what is there of the log goes on at {end}", summary.end.offset);
    Err(SegmentError::corrupt(&segment.path.borrow(), summary.bytes, what))
}

pub(crate) fn bad_payload(walker: &Walker, walked: &Walked) -> SegmentError {
    let what = format!("the batch at offset {} does not match its crc", walked.header.offset);
    SegmentError::corrupt(walker.path(), walked.position + FRAME_HEADER_LEN as u64, what)
}
