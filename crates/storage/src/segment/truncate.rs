//! Cutting the log at either end, and taking it away.
//!
//! Each cut is durable in the journal before it happens here, so a crash at any step is mended by doing it again:
//! [`SegmentSet::truncate_suffix`] for a journalled cut, [`super::OpenAt`]'s `start` for a journalled log start.

use std::rc::Rc;

use ailurus_base::sync::Units;
use ailurus_model::{Index, Offset};
use ailurus_rt::{IoClass, fs};

use super::append::read_tail;
use super::header::FILE_HEADER_LEN;
use super::read::{Seek, Source};
use super::retention::{RetentionFacts, RetentionLimits, RetentionPlan};
use super::set::{Growing, Segment, SegmentSet, absent_is_fine};
use super::summary::Summary;
use super::{Position, SegmentError};

impl SegmentSet {
    /// Removes the entries from `to` on, which must be the start of an entry or lie at or behind the end. Flushed when it
    /// returns; doing it again changes nothing.
    ///
    /// # Errors
    /// [`SegmentError::Io`] takes the log offline.
    pub async fn truncate_suffix(&self, to: Index) -> Result<(), SegmentError> {
        let lock = self.lock().await?;
        let cut = self.cut(&lock, to).await;
        self.fail_on_error(cut)
    }

    async fn cut(&self, _lock: &Units, to: Index) -> Result<(), SegmentError> {
        if to < self.end().index {
            self.forget_from(to).await?;
            while !self.cut_growing(to).await? {}
        }
        self.wipe().await?;
        self.sync_if_exists().await?;
        let mut state = self.state.borrow_mut();
        if state.flushed.index > state.end.index {
            state.flushed = state.end;
        }
        Ok(())
    }

    /// Readers and the cache must not give what is about to go.
    async fn forget_from(&self, to: Index) -> Result<(), SegmentError> {
        self.state.borrow_mut().generation += 1;
        let at = self.segment_of_index(to).await?;
        self.shard.cache.borrow_mut().truncate(self.group, at);
        self.readers.forget_cursors();
        Ok(())
    }

    /// Cuts in the last segment, or removes it whole; true if nothing at or behind `to` is left.
    async fn cut_growing(&self, to: Index) -> Result<bool, SegmentError> {
        let Some(source) = self.reopen_last().await? else { return Ok(true) };
        if source.base.index < to {
            self.cut_inside(source, to).await?;
            return Ok(true);
        }
        let growing = self.state.borrow_mut().growing.take().expect("just reopened");
        self.state.borrow_mut().end = growing.summary.base;
        self.remove_segment(growing.id, growing.name).await?;
        Ok(growing.summary.base.index <= to)
    }

    /// The last segment as the growing one.
    async fn reopen_last(&self) -> Result<Option<Source>, SegmentError> {
        let last = {
            let state = self.state.borrow();
            if state.growing.is_some() { None } else { state.closed.last().cloned() }
        };
        if let Some(last) = last {
            self.reopen(&last).await?;
        }
        let at = self.state.borrow().growing.as_ref().map(|growing| growing.name.base);
        Ok(at.and_then(|at| self.growing_source(at, Seek::Start)))
    }

    /// Makes the last closed segment grow again.
    async fn reopen(&self, last: &Rc<Segment>) -> Result<(), SegmentError> {
        let (summary, index) = self.load(last).await?;
        assert_eq!(summary.cleaned_below, summary.base.offset, "what was compacted was committed and is never cut");
        // From here on the sidecar would be wrong.
        self.remove_file(&last.name.index()).await?;
        self.shard.indexes.borrow_mut().remove(last.id);
        let mut state = self.state.borrow_mut();
        state.closed.pop();
        state.closed_changed();
        state.growing = Some(Growing {
            id: last.id,
            name: last.name,
            path: last.path.borrow().clone(),
            summary,
            index: (*index).clone(),
            tail: None,
            allocated: last.bytes,
            soiled: false,
        });
        Ok(())
    }

    /// Finds the entry at `to` in the growing segment and ends the segment before it.
    async fn cut_inside(&self, mut source: Source, to: Index) -> Result<(), SegmentError> {
        // From the entry before the cut on, whose term the new end needs.
        let row = self.growing(|growing| growing.index.by_index(Index(to.0 - 1)).copied());
        source.position = row.map_or(FILE_HEADER_LEN as u64, |row| row.position);
        let (mut end, mut max_timestamp) = (source.base, row.map_or(-1, |row| row.time_before));
        let mut position = source.position;
        let mut walker = self.walk(source, IoClass::Raft, self.shard.limits.read_bytes.1).await?;
        while let Some(walked) = walker.next().await? {
            if walked.header.index >= to {
                break;
            }
            end = walked.header.end();
            position = walker.position();
            max_timestamp = max_timestamp.max(walked.header.max_timestamp());
            ailurus_rt::yield_if_needed().await;
        }
        assert!(end.index <= to, "a log is cut between entries, not at {to} inside the one that ends at {}", end.index);
        let mut state = self.state.borrow_mut();
        state.end = end;
        let growing = state.growing.as_mut().expect("the source is the growing segment");
        growing.summary.end = end;
        growing.summary.bytes = position;
        growing.summary.max_timestamp = max_timestamp;
        growing.index.truncate(position);
        growing.tail = None;
        growing.soiled = true;
        Ok(())
    }

    /// Makes the file of the growing segment end where its last frame does, if that is not certain, and flushes it.
    async fn wipe(&self) -> Result<(), SegmentError> {
        let soiled = self
            .state
            .borrow()
            .growing
            .as_ref()
            .filter(|growing| growing.soiled)
            .map(|growing| (growing.id, growing.path.clone(), growing.summary.bytes));
        let Some((id, path, bytes)) = soiled else { return Ok(()) };
        let file = self.shard.file(id, &path).await.map_err(SegmentError::io("open", &path))?;
        if bytes > FILE_HEADER_LEN as u64 && self.growing(|growing| growing.tail.is_none()) {
            let tail = read_tail(&file, &path, bytes).await?;
            self.growing(|growing| growing.tail = Some(tail));
        }
        self.clean_tail(&file, &path).await?;
        file.sync_data(IoClass::Raft).await.map_err(SegmentError::io("flush", &path))
    }

    async fn sync_if_exists(&self) -> Result<(), SegmentError> {
        if self.state.borrow().dir_exists { self.sync_dir().await } else { Ok(()) }
    }

    /// Removes the segments that lie wholly before `to`. If that is at or behind the end, all of them go and the log goes
    /// on at `to`. Nothing needs to be flushed: what a crash brings back, the next opening removes.
    ///
    /// # Errors
    /// [`SegmentError::Io`] takes the log offline.
    pub async fn truncate_prefix(&self, to: Position) -> Result<(), SegmentError> {
        let _lock = self.lock().await?;
        let removed = self.remove_before(to).await;
        self.fail_on_error(removed)
    }

    async fn remove_before(&self, to: Position) -> Result<(), SegmentError> {
        let count = self.segments_before(to).await;
        let gone = self.forget_before(to, count);
        for (id, name) in gone {
            self.remove_segment(id, name).await?;
        }
        Ok(())
    }

    /// How many closed segments lie wholly before `to`.
    async fn segments_before(&self, to: Position) -> usize {
        let (closed, before, at) = {
            let state = self.state.borrow();
            let ends: Vec<Offset> = (0..state.closed.len()).map(|place| state.end_of(place)).collect();
            let before = ends.partition_point(|end| *end < to.offset);
            (state.closed.clone(), before, ends.get(before).is_some_and(|end| *end == to.offset))
        };
        // One that ends at the very offset may end with control entries that lie behind `to`. If it cannot be read, it
        // stays.
        match closed.get(before).filter(|_| at) {
            Some(last) => {
                let end = self.summary(last).await.map(|summary| summary.end.index);
                before + usize::from(end.is_ok_and(|end| end <= to.index))
            }
            None => before,
        }
    }

    fn forget_before(&self, to: Position, count: usize) -> Vec<(u64, super::name::SegmentName)> {
        let mut state = self.state.borrow_mut();
        let all = to.index >= state.end.index;
        let count = if all { state.closed.len() } else { count };
        let mut gone: Vec<_> = state.closed.drain(..count).map(|segment| (segment.id, segment.name)).collect();
        state.closed_changed();
        if all {
            gone.extend(state.growing.take().map(|growing| (growing.id, growing.name)));
            (state.end, state.flushed) = (to, to);
        }
        if !gone.is_empty() {
            state.generation += 1;
            self.shard.cache.borrow_mut().forget(self.group, Offset(0), state.start_offset());
            self.readers.forget_cursors();
        }
        gone
    }

    /// The log start that retention by time and size asks for; `None` if everything may stay. Journal it, then call
    /// [`SegmentSet::truncate_prefix`] with it.
    ///
    /// # Errors
    /// As [`SegmentSet::read`].
    pub async fn retention(&self, now_ms: i64, high_watermark: Offset) -> Result<Option<Position>, SegmentError> {
        self.steadily(async || self.try_retention(now_ms, high_watermark).await).await
    }

    async fn try_retention(&self, now_ms: i64, high_watermark: Offset) -> Result<Option<Position>, SegmentError> {
        let (mut plan, closed) = {
            let state = self.state.borrow();
            let config = &state.config;
            if !config.delete {
                return Ok(None);
            }
            let limits = RetentionLimits { ms: config.retention_ms, bytes: config.retention_bytes };
            let growing = state.growing.as_ref().filter(|growing| growing.has_records());
            let bytes = state.closed_bytes() + growing.map_or(0, |growing| growing.summary.bytes);
            (RetentionPlan::new(limits, bytes, now_ms, high_watermark), state.closed.clone())
        };
        // Facts cost a read the first time, so a segment is only looked at once all before it may go. One that cannot be
        // read is taken for young.
        for (place, segment) in closed.iter().enumerate() {
            self.check_online()?;
            let youngest_ms = self.summary(segment).await.map_or_else(
                |error| {
                    tracing::warn!(group = self.group.0, %error, "a segment is taken for young");
                    i64::MAX
                },
                |summary| youngest_ms(&summary),
            );
            let end = self.state.borrow().end_of(place);
            if !plan.next_goes(&RetentionFacts { end, bytes: segment.bytes, youngest_ms }) {
                return self.start_behind(place).await;
            }
            ailurus_rt::yield_if_needed().await;
        }
        let growing = {
            let state = self.state.borrow();
            // It may have been closed meanwhile, and is looked at the next time.
            let growing =
                state.growing.as_ref().filter(|growing| growing.has_records() && state.closed.len() == closed.len());
            growing.map(|Growing { summary, .. }| RetentionFacts {
                end: state.end.offset,
                bytes: summary.bytes,
                youngest_ms: youngest_ms(summary),
            })
        };
        let goes = growing.is_some_and(|growing| plan.next_goes(&growing));
        self.start_behind(closed.len() + usize::from(goes)).await
    }

    /// The place behind the first `count` segments.
    async fn start_behind(&self, count: usize) -> Result<Option<Position>, SegmentError> {
        let Some(last) = count.checked_sub(1) else { return Ok(None) };
        let (closed, growing) = {
            let state = self.state.borrow();
            let growing = state.growing.as_ref().map_or(state.end, |growing| growing.summary.base);
            (state.closed.clone(), if count > state.closed.len() { state.end } else { growing })
        };
        // Where the next one begins: that is behind the last one even if the last one cannot be read.
        let Some(next) = closed.get(count) else { return Ok(Some(growing)) };
        match self.summary(next).await {
            Ok(next) => Ok(Some(next.base)),
            Err(_) => Ok(Some(self.summary(&closed[last]).await?.end)),
        }
    }

    /// Waits until nobody works on these files in the background, and nobody begins to; a compaction ends at its next batch.
    pub(crate) async fn end_compaction(&self) {
        self.gate.close().await;
    }

    /// Deletes everything, durably, once nobody works on it in the background; a compaction ends at its next batch.
    ///
    /// # Errors
    /// What the system says; calling it again goes on.
    pub async fn remove(&self) -> Result<(), SegmentError> {
        self.gate.close().await;
        let _units = self.writer.acquire(1).await;
        let ids = {
            let mut state = self.state.borrow_mut();
            state.failed = true;
            state.generation += 1;
            let growing = state.growing.take().map(|growing| growing.id);
            let gone = state.closed.drain(..).map(|segment| segment.id).chain(growing).collect::<Vec<_>>();
            state.closed_changed();
            gone
        };
        ids.into_iter().for_each(|id| self.shard.forget(id));
        self.shard.cache.borrow_mut().truncate(self.group, Offset(0));
        if self.state.borrow().dir_exists {
            let parent = self.dir.parent().expect("it lies in the data directory");
            // Somebody may have taken them away by hand.
            absent_is_fine(fs::remove_dir_all(&self.dir).await).map_err(SegmentError::io("remove", &self.dir))?;
            absent_is_fine(fs::sync_dir(parent).await).map_err(SegmentError::io("flush", parent))?;
        }
        Ok(())
    }

    /// Waits for the work on these files to end; nothing changes them any more.
    pub async fn close(&self) {
        self.gate.close().await;
        let _units = self.writer.acquire(1).await;
        self.state.borrow_mut().failed = true;
    }
}

/// The largest timestamp of the records of a segment, or when it was made if they have none.
fn youngest_ms(summary: &Summary) -> i64 {
    if summary.max_timestamp >= 0 { summary.max_timestamp } else { summary.created_ms }
}
