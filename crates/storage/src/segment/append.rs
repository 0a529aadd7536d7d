//! Drained entries on their way into the growing segment.

use std::path::Path;

use ailurus_base::sync::Units;
use ailurus_model::Offset;
use ailurus_rt::{File, IoClass, fs};
use bytes::BytesMut;

use super::SegmentError;
use super::blocks::BlockWriter;
use super::cache::CachedBatch;
use super::compaction::plan::{COMPACT_ROLL_BYTES_MIN, roll_bytes};
use super::frame::{Body, Frame, FrameHeader, Seal};
use super::header::{FILE_HEADER_LEN, FileHeader};
use super::name::SegmentName;
use super::set::{Growing, Segment, SegmentSet, State};
use super::shard::BLOCK;
use super::summary::Summary;

/// A drained stretch up to this size is copied for the cache: what it lies in is a chunk of the tail, which it would keep alive
/// as a whole. A quiet partition has a chunk for each of its records.
const COPIED_MAX: usize = 64 << 10;

/// So many segments one round of the drain closes at a size below [`HURRIED_BYTES`]. Each costs flushes, for which all logs of
/// the shard wait; with a tiny `segment.bytes` every batch is a segment.
pub(crate) const ROLLS_MAX: usize = 16;

/// The smallest size at which a segment is closed behind the [`ROLLS_MAX`] others: Kafka's least `segment.bytes` since 4.0
/// (KIP-1030).
const HURRIED_BYTES: u64 = 1 << 20;

impl SegmentSet {
    /// Writes drained entries behind the end. They are not flushed. Their batches are in the cache afterwards.
    ///
    /// # Errors
    /// [`SegmentError::Full`]: [`SegmentSet::end`] tells how far it came, and the rest may be given again later.
    /// [`SegmentError::Io`] takes the log offline.
    ///
    /// # Panics
    /// If the frames do not follow the end and each other: the journal numbers them.
    pub async fn append(&self, frames: &[Frame]) -> Result<(), SegmentError> {
        let mut rolls_left = ROLLS_MAX;
        self.append_within(frames, &mut rolls_left).await
    }

    /// [`SegmentSet::append`] that shares `rolls_left` with others: behind so many segments that are closed at a small size as
    /// configured, those that should be smaller grow to 1 MiB.
    ///
    /// # Errors
    /// As [`SegmentSet::append`].
    pub(crate) async fn append_within(&self, frames: &[Frame], rolls_left: &mut usize) -> Result<(), SegmentError> {
        let lock = self.lock().await?;
        let headers: Vec<FrameHeader> = frames.iter().map(Frame::header).collect();
        let mut done = 0;
        while done < frames.len() {
            let appended = self.append_some(&lock, &frames[done..], &headers[done..], rolls_left).await;
            done += self.fail_on_error(appended)?;
            ailurus_rt::yield_if_needed().await;
        }
        Ok(())
    }

    /// Writes as many of the frames as belong into one segment, and says how many.
    async fn append_some(
        &self,
        lock: &Units,
        frames: &[Frame],
        headers: &[FrameHeader],
        rolls_left: &mut usize,
    ) -> Result<usize, SegmentError> {
        let (now, first) = (ailurus_rt::unix_ms(), headers[0].frame_len());
        let (roll, small) = {
            let state = self.state.borrow();
            (state.must_roll(first, now, *rolls_left > 0), state.close_at(true) < HURRIED_BYTES)
        };
        if roll {
            self.roll(lock).await?;
            *rolls_left = rolls_left.saturating_sub(usize::from(small));
        }
        if self.state.borrow().growing.is_none() {
            self.start_segment(&frames[0], now).await?;
        }
        let count = self.state.borrow().how_many_fit(headers, *rolls_left > 0);
        self.write(&frames[..count]).await?;
        self.note(&frames[..count], &headers[..count]);
        Ok(count)
    }

    /// Closes the growing segment if it is due although nothing is appended: larger than a segment is to be (a drain brought
    /// more than it may close, or the setting changed), older than `segment.ms`, or on a compacted log older than
    /// `max.compaction.lag.ms` or large against what compaction left of the rest.
    ///
    /// # Errors
    /// [`SegmentError::Io`] takes the log offline.
    pub async fn roll_if_due(&self, now_ms: i64) -> Result<(), SegmentError> {
        let lock = self.lock().await?;
        if self.state.borrow().is_overdue(now_ms) {
            let rolled = self.roll(&lock).await;
            self.fail_on_error(rolled)?;
        }
        Ok(())
    }

    /// Closes the growing segment: exact size, flushed; its sidecar is written, which a crash may lose.
    pub(crate) async fn roll(&self, _lock: &Units) -> Result<(), SegmentError> {
        let Some((id, name, path, summary, index)) =
            self.state.borrow().growing.as_ref().map(|growing| {
                (growing.id, growing.name, growing.path.clone(), growing.summary, growing.index.clone())
            })
        else {
            return Ok(());
        };
        let file = self.shard.file(id, &path).await.map_err(SegmentError::io("open", &path))?;
        file.set_len(summary.bytes).await.map_err(SegmentError::io("cut", &path))?;
        self.growing(|growing| growing.allocated = summary.bytes);
        file.sync_data(IoClass::Raft).await.map_err(SegmentError::io("flush", &path))?;
        self.sync_dir().await?;
        self.write_sidecar(name, &summary, &index).await;
        let mut state = self.state.borrow_mut();
        state.flushed = state.end;
        state.names_unflushed = false;
        state.growing = None;
        let closed = Segment {
            id,
            name,
            path: path.into(),
            pinned: None.into(),
            bytes: summary.bytes,
            summary: Some(summary).into(),
        };
        state.closed.push(closed.into());
        state.closed_changed();
        Ok(())
    }

    /// Makes the file for a segment that begins with `first`. Its head is written together with the first frames.
    async fn start_segment(&self, first: &Frame, now_ms: i64) -> Result<(), SegmentError> {
        self.make_dir().await?;
        let end = self.end();
        let name = SegmentName { base: end.offset, term: first.term };
        let seal = Seal { group: self.group, salt: ailurus_rt::random_u64() };
        let header = FileHeader { seal, base: end, created_ms: now_ms, cleaned_below: end.offset, end: None };
        let (id, path) = (self.shard.new_id(), self.path_of(&name.log()));
        self.shard.create(id, &path).await.map_err(SegmentError::io("create", &path))?;
        let index = self.new_index();
        let mut state = self.state.borrow_mut();
        state.name_made();
        state.growing = Some(Growing {
            id,
            name,
            path,
            summary: Summary::of_empty(&header),
            index,
            tail: Some(header.encode().to_vec()),
            allocated: 0,
            soiled: false,
        });
        Ok(())
    }

    async fn make_dir(&self) -> Result<(), SegmentError> {
        if self.state.borrow().dir_exists {
            return Ok(());
        }
        fs::create_dir_all(&self.dir).await.map_err(SegmentError::io("create", &self.dir))?;
        let mut state = self.state.borrow_mut();
        (state.dir_exists, state.dir_unflushed) = (true, true);
        state.name_made();
        Ok(())
    }

    /// Writes the frames behind the end of the growing segment; the state does not know of them yet.
    async fn write(&self, frames: &[Frame]) -> Result<(), SegmentError> {
        let (id, path, seal, position) =
            self.growing(|growing| (growing.id, growing.path.clone(), growing.summary.seal, growing.summary.bytes));
        let file = self.shard.file(id, &path).await.map_err(SegmentError::io("open", &path))?;
        let tail = self.clean_tail(&file, &path).await?;
        let bytes: u64 = frames.iter().map(Frame::encoded_len).sum();
        self.grow(&file, &path, position + bytes).await?;
        // Until all of it is written, what stands behind the end is worth nothing; the tail stays what it is before the end.
        self.growing(|growing| growing.soiled = true);
        let mut writer = BlockWriter::new(position, &tail, bytes, self.shard.limits.write_bytes, IoClass::Raft);
        for frame in frames {
            frame.encode(seal, |piece| writer.put(piece));
            writer.write_full(&file).await.map_err(SegmentError::io("write", &path))?;
        }
        let tail = writer.finish(&file).await.map_err(SegmentError::io("write", &path))?;
        self.growing(|growing| (growing.soiled, growing.tail) = (false, Some(tail)));
        Ok(())
    }

    /// Cuts off what an unfinished write left behind the end, and gives the bytes of the block in which the file ends.
    pub(crate) async fn clean_tail(&self, file: &File, path: &Path) -> Result<Vec<u8>, SegmentError> {
        let (position, soiled, tail) =
            self.growing(|growing| (growing.summary.bytes, growing.soiled, growing.tail.clone()));
        let tail = match tail {
            Some(tail) => tail,
            None => read_tail(file, path, position).await?,
        };
        if soiled {
            // A segment that is not on the disk at all yet has its head only in the tail.
            let keep = if position == FILE_HEADER_LEN as u64 { 0 } else { position };
            file.set_len(keep).await.map_err(SegmentError::io("cut", path))?;
            self.growing(|growing| (growing.soiled, growing.allocated) = (false, keep));
        }
        self.growing(|growing| growing.tail = Some(tail.clone()));
        Ok(tail)
    }

    /// Reserves space up to `needed`, in steps as large as the file, or smaller ones when the disk is short.
    async fn grow(&self, file: &File, path: &Path, needed: u64) -> Result<(), SegmentError> {
        let (allocated, segment_bytes) =
            (self.growing(|growing| growing.allocated), self.state.borrow().config.segment_bytes);
        let needed = needed.next_multiple_of(BLOCK);
        if needed <= allocated {
            return Ok(());
        }
        let (least, most) = self.shard.limits.grow_bytes;
        let step = allocated.clamp(least, most);
        let wish = (allocated + step).min(segment_bytes.next_multiple_of(BLOCK)).max(needed);
        let mut target = wish;
        loop {
            match file.allocate(allocated, target - allocated).await.map_err(SegmentError::io("grow", path)) {
                Ok(()) => break,
                Err(error) if error.is_full() && target > needed => {
                    target = (needed + (target - needed) / 2) / BLOCK * BLOCK;
                    target = target.max(needed);
                }
                Err(error) => return Err(error),
            }
        }
        self.growing(|growing| growing.allocated = target);
        Ok(())
    }

    /// The frames are written: the state, the index and the cache take them in.
    fn note(&self, frames: &[Frame], headers: &[FrameHeader]) {
        let start = self.end().offset;
        let mut state = self.state.borrow_mut();
        for header in headers {
            state.push(header);
        }
        drop(state);
        self.cache_drained(start, frames, headers);
    }

    fn cache_drained(&self, start: Offset, frames: &[Frame], headers: &[FrameHeader]) {
        let mut batches: Vec<CachedBatch> = (frames.iter().zip(headers))
            .filter_map(|(frame, header)| match &frame.body {
                Body::Batch(bytes) => {
                    Some(CachedBatch { base: header.offset, end: header.end().offset, bytes: bytes.clone() })
                }
                Body::Control { .. } => None,
            })
            .collect();
        let bytes = batches.iter().map(|batch| batch.bytes.len()).sum();
        if bytes <= COPIED_MAX {
            copy_together(&mut batches, bytes);
        }
        self.shard.cache.borrow_mut().insert(self.group, start, batches, bytes as u64);
    }

    pub(crate) fn growing<T>(&self, with: impl FnOnce(&mut Growing) -> T) -> T {
        let mut state = self.state.borrow_mut();
        with(state.growing.as_mut().expect("the writer lock holder made or found it"))
    }
}

impl State {
    /// Takes in a frame that stands behind the end.
    pub(crate) fn push(&mut self, header: &FrameHeader) {
        let (end, base) = (self.end, header.base(self.end.term));
        assert_eq!(
            (base.index, base.offset),
            (end.index, end.offset),
            "an entry does not follow the end of the segments"
        );
        assert!(header.term >= end.term, "term {} after {}", header.term, end.term);
        let growing = self.growing.as_mut().expect("frames are written to it");
        growing.index.note(header, growing.summary.bytes, growing.summary.max_timestamp);
        growing.summary.push(header);
        self.end = header.end();
    }

    /// The directory has a name that its last flush did not see.
    pub(crate) fn name_made(&mut self) {
        self.names_unflushed = true;
        self.names_made += 1;
    }

    /// The size beyond which a segment is closed; `exact` if it is the one that is configured.
    fn close_at(&self, exact: bool) -> u64 {
        let wanted = roll_bytes(&self.config, self.closed_bytes());
        if exact { wanted } else { wanted.max(HURRIED_BYTES) }
    }

    /// Whether a frame of `bytes` begins a new segment.
    fn must_roll(&self, bytes: u64, now_ms: i64, exact: bool) -> bool {
        self.growing.as_ref().is_some_and(|growing| {
            let full = growing.summary.bytes + bytes > self.close_at(exact);
            let old = now_ms.saturating_sub(growing.summary.created_ms) >= self.config.segment_ms;
            growing.has_records() && (full || old)
        })
    }

    fn is_overdue(&self, now_ms: i64) -> bool {
        self.growing.as_ref().is_some_and(|growing| {
            let age = now_ms.saturating_sub(growing.summary.created_ms);
            let large = growing.summary.bytes > COMPACT_ROLL_BYTES_MIN.max(self.clean_bytes / 2);
            let dirty = self.config.compact && (large || age > self.config.max_compaction_lag_ms);
            let full = growing.summary.bytes > self.close_at(true);
            growing.has_records() && (full || age >= self.config.segment_ms || dirty)
        })
    }

    /// How many of the frames go into the growing segment before it must be closed; at least one.
    fn how_many_fit(&self, headers: &[FrameHeader], exact: bool) -> usize {
        let growing = self.growing.as_ref().expect("frames are about to be written to it");
        let limit = self.close_at(exact);
        let (mut bytes, mut records) = (growing.summary.bytes, growing.has_records());
        for (count, header) in headers.iter().enumerate() {
            bytes += header.frame_len();
            if count > 0 && records && bytes > limit {
                return count;
            }
            records |= header.batch.is_some();
        }
        headers.len()
    }
}

impl Growing {
    /// A segment without a record is never closed: its successor would have the same base offset, and thus name.
    pub(crate) fn has_records(&self) -> bool {
        self.summary.end.offset > self.summary.base.offset
    }
}

/// Gives the batches memory of their own, `bytes` of it in all.
fn copy_together(batches: &mut [CachedBatch], bytes: usize) {
    let mut memory = BytesMut::with_capacity(bytes);
    for batch in batches {
        memory.extend_from_slice(&batch.bytes);
        batch.bytes = memory.split().freeze();
    }
}

/// The bytes of the block in which `position` lies, up to there.
pub(crate) async fn read_tail(file: &File, path: &Path, position: u64) -> Result<Vec<u8>, SegmentError> {
    let start = position / BLOCK * BLOCK;
    if start == position {
        return Ok(Vec::new());
    }
    let (read, buf) = file.read_at(IoClass::Raft, start, ailurus_rt::DmaBuf::new(BLOCK as usize)).await;
    read.map_err(SegmentError::io("read", path))?;
    match buf.get(..(position - start) as usize) {
        Some(tail) => Ok(tail.to_vec()),
        None => Err(SegmentError::corrupt(path, start + buf.len() as u64, "the file ends before its last frame does")),
    }
}
