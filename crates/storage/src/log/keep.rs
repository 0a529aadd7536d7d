//! What the journal and the drain do to a log: promises kept, entries moved to segments, journal files set free.

use std::rc::Rc;
use std::time::Duration;

use ailurus_base::HashMap;
use ailurus_base::sync::Units;
use ailurus_model::{Index, Offset};
use ailurus_rt as rt;
use bytes::Bytes;

use super::{Life, Log, State};
use crate::checkpoint::{Checkpoint, CheckpointFile, encode_names};
use crate::epochs::EpochTable;
use crate::journal::format::Kind;
use crate::journal::gather::{Due, Mark};
use crate::segment::{Body, Frame, Position, SegmentCheckpoint, SegmentError};

/// How long a checkpoint waits for a commit that is made anyway. A shorter wait costs a flush for each drain.
const CHECKPOINT_AFTER: Duration = Duration::from_millis(100);

/// A stretch of the tail that lies in segments but is not flushed there. Holds the log's keeper.
pub(crate) struct Drained {
    pub(crate) log: Rc<Log>,
    pub(crate) bytes: u64,
    _keeper: Units,
}

impl Log {
    /// The commit with this mark is written.
    pub(crate) fn on_written(&self, mark: &Mark) {
        self.state.borrow_mut().frontiers.on_written(mark.generation, mark.upto);
        self.progress.notify_all();
    }

    /// The commit with this mark is flushed, in the journal file of `file`.
    pub(crate) fn on_durable(&self, mark: &Mark, file: u64) {
        let mut state = self.state.borrow_mut();
        state.frontiers.on_flushed(mark.generation, mark.upto);
        state.settled = state.settled.max(mark.sequence);
        // After a cut less than `upto` may be left, and some of that may lie in a later file: too careful, never too bold.
        let upto = mark.upto.min(state.frontiers.appended);
        if upto >= state.drained.index {
            state.spans.on_durable(file, upto);
        }
        if let Some((from, end)) = mark.carried {
            state.spans.on_carried(file, from, end);
        }
        if let Some(drained) = mark.drained {
            state.checkpoint_file = file;
            state.spans.on_drained(drained);
        }
        if mark.ended {
            state.end_file = Some(file);
        }
        let settled = state.settled;
        while state.starts.front().is_some_and(|(sequence, _)| *sequence <= settled) {
            let (_, start) = state.starts.pop_front().expect("there is one");
            state.durable_start = start;
        }
        while state.checkpoints.front().is_some_and(|(sequence, _)| *sequence <= settled) {
            let (_, checkpoint) = state.checkpoints.pop_front().expect("there is one");
            self.segments.checkpoint_durable(&checkpoint);
        }
        drop(state);
        self.progress.notify_all();
    }

    /// What its tail costs in memory.
    pub(crate) fn tail_cost(&self) -> u64 {
        self.state.borrow().tail.cost()
    }

    /// What the part of the tail up to `upto` costs; see [`Log::reach`].
    pub(crate) fn tail_cost_until(&self, upto: Index) -> u64 {
        let state = self.state.borrow();
        let until = state.tail.entries().iter().take_while(|entry| entry.frame.index <= upto);
        until.map(|entry| entry.frame.payload_len() as u64).sum()
    }

    /// Whoever serves it reads all of it at each start, so it has to stay small against what is live in it.
    pub(crate) fn is_loaded_whole(&self) -> bool {
        let config = self.config.borrow();
        config.internal && config.compact
    }

    /// Bytes of its tail from which it is drained by itself. What is loaded whole can be compacted only in segments, so its
    /// tail is as small against the rest as its growing segment.
    pub(crate) fn drain_bytes(&self) -> u64 {
        let most = self.core.config.drain_bytes;
        if self.is_loaded_whole() { most.min(self.segments.roll_bytes()) } else { most }
    }

    /// Since when it has been quiet.
    pub(crate) fn last_append(&self) -> rt::Instant {
        self.state.borrow().last_append
    }

    /// Whether the tail has something that may be drained.
    pub(crate) fn is_drainable(&self) -> bool {
        let state = self.state.borrow();
        let front = state.tail.entries().front();
        state.life == Life::Open && front.is_some_and(|entry| entry.last <= state.drainable())
    }

    /// Whether a journal file of up to `generation` holds something that this log needs. One that ended needs what it
    /// needed before until its end is durable, and then nothing but that.
    pub(crate) fn needs(&self, generation: u64) -> bool {
        let state = self.state.borrow();
        match state.end_file {
            Some(file) => file <= generation,
            None => state.checkpoint_file <= generation || state.spans.reach(generation).is_some(),
        }
    }

    /// The last entry that it needs in journal files up to `generation`.
    pub(crate) fn reach(&self, generation: u64) -> Option<Index> {
        self.state.borrow().spans.reach(generation)
    }

    /// Writes what is committed and durable from the tail to segments, without a flush. `None` if there is nothing.
    /// `rolls_left` is how many small segments this round of the drain may still close.
    ///
    /// # Errors
    /// [`SegmentError`]; other than a lack of space or handles they take the log offline.
    pub(crate) async fn drain(self: &Rc<Self>, rolls_left: &mut usize) -> Result<Option<Drained>, SegmentError> {
        let keeper = self.keeper.acquire(1).await;
        let frames = {
            let state = self.state.borrow();
            if state.life != Life::Open {
                return Ok(None);
            }
            let upto = state.drainable();
            // Some may be there already, if a flush failed to be conclusive before.
            let written = self.segments.end().index;
            let frames = state.tail.frames_until(upto).into_iter();
            frames.filter(|frame| frame.index >= written).collect::<Vec<Frame>>()
        };
        if frames.is_empty() && self.segments.end().index <= self.drained().index {
            return Ok(None);
        }
        let bytes = frames.iter().map(Frame::encoded_len).sum();
        match self.segments.append_within(&frames, rolls_left).await {
            Ok(()) => Ok(Some(Drained { log: self.clone(), bytes, _keeper: keeper })),
            Err(error) => Err(self.failed_if(error)),
        }
    }

    /// Flushes its segments.
    ///
    /// # Errors
    /// As [`Log::drain`].
    pub(crate) async fn flush_segments(&self) -> Result<SegmentCheckpoint, SegmentError> {
        self.segments.flush().await.map_err(|error| self.failed_if(error))
    }

    /// Overdue segments, retention, the files that the log start has left behind. One step of the housekeeping.
    ///
    /// # Errors
    /// [`SegmentError`]. The log is offline if its files are uncertain afterwards.
    pub(crate) async fn clean(self: &Rc<Self>, now_ms: i64) -> Result<(), SegmentError> {
        if self.failed() {
            return Ok(());
        }
        self.segments.roll_if_due(now_ms).await.map_err(|error| self.failed_with_segments(error))?;
        let high_watermark = self.offset_after(self.state.borrow().drainable());
        let wished =
            self.segments.retention(now_ms, high_watermark).await.map_err(|error| self.failed_with_segments(error))?;
        if let Some(start) = wished
            && self.set_log_start(start).await.is_err()
        {
            return Ok(());
        }
        self.drop_files().await
    }

    /// How much of what compaction may touch is dirty, in thousandths.
    pub(crate) fn dirty_permille(&self) -> u64 {
        if self.failed() { 0 } else { self.segments.dirty_permille() }
    }

    /// One pass of compaction, if it pays; false if not, and then nothing was written.
    ///
    /// # Errors
    /// As [`Log::clean`].
    pub(crate) async fn compact_if_it_pays(self: &Rc<Self>, now_ms: i64) -> Result<bool, SegmentError> {
        let below = self.offset_after(self.state.borrow().drainable());
        let pays = self.segments.compaction_pays(below, now_ms).await;
        if self.failed() || !pays.map_err(|error| self.failed_with_segments(error))? {
            return Ok(false);
        }
        self.compact().await
    }

    /// One pass of compaction, if it pays; false if not.
    ///
    /// # Errors
    /// As [`Log::clean`].
    pub(crate) async fn compact(self: &Rc<Self>) -> Result<bool, SegmentError> {
        let source = self.producer_source.borrow().clone();
        let Some(source) = source.filter(|_| !self.failed()) else { return Ok(false) };
        self.announce_closed().await?;
        let below = self.offset_after(self.state.borrow().drainable());
        let producers: HashMap<i64, Offset> = source().into_iter().collect();
        let report = self.segments.compact(below, &|producer| producers.get(&producer).copied()).await;
        Ok(report.map_err(|error| self.failed_with_segments(error))?.is_some())
    }

    /// A segment may be compacted only after a durable checkpoint has called it closed.
    async fn announce_closed(self: &Rc<Self>) -> Result<(), SegmentError> {
        let keeper = self.keeper.acquire(1).await;
        let said = self.state.borrow().last_checkpoint.clone();
        if self.segments.checkpoint().is_some_and(|now| now != said) {
            self.checkpoint().await?;
        }
        drop(keeper);
        // The last one may be said already and still wait for others to come along.
        let under_way = !self.state.borrow().checkpoints.is_empty();
        if under_way {
            self.core.journal.settled().await;
        }
        Ok(())
    }

    /// Removes segments before the log start. What is still in the tail before it is drained like the rest, and then goes.
    async fn drop_files(&self) -> Result<(), SegmentError> {
        if self.segments.start_offset() >= self.state.borrow().durable_start.offset {
            return Ok(());
        }
        let _keeper = self.keeper.acquire(1).await;
        // Not before: a drain that was under way has moved the end, and what it wrote stays.
        let (start, end) = (self.state.borrow().durable_start, self.segments.end());
        let upto = if start.index < end.index { start } else { end };
        self.segments.truncate_prefix(upto).await.map_err(|error| self.failed_with_segments(error))
    }

    /// The segments are flushed as `checkpoint` says: the tail lets go, and the journal learns it.
    pub(crate) fn finish_drain(self: &Rc<Self>, checkpoint: SegmentCheckpoint) {
        {
            let mut state = self.state.borrow_mut();
            state.drained = checkpoint.end;
            state.tail.truncate_prefix(checkpoint.end.index);
            self.charge(&mut state);
        }
        self.write_checkpoint(checkpoint);
        if self.is_loaded_whole() {
            self.drained_whole.set(true);
            self.core.compact.notify_all();
        }
    }

    /// Writes a checkpoint of where it is, so that an older one may go. The caller holds the keeper.
    ///
    /// # Errors
    /// [`SegmentError`]; other than a lack of space they take the log offline.
    pub(crate) async fn checkpoint(self: &Rc<Self>) -> Result<(), SegmentError> {
        let checkpoint = match self.segments.checkpoint() {
            Some(checkpoint) => checkpoint,
            None => self.segments.flush().await.map_err(|error| self.failed_if(error))?,
        };
        self.finish_drain(checkpoint);
        Ok(())
    }

    /// A log whose files failed says again what it said last: nothing of it may be lost before they are mended.
    pub(crate) fn repeat_checkpoint(self: &Rc<Self>) {
        let last = self.state.borrow().last_checkpoint.clone();
        self.write_checkpoint(last);
    }

    fn write_checkpoint(self: &Rc<Self>, segments: SegmentCheckpoint) {
        if self.is_gone() {
            return;
        }
        let checkpoint = self.current(&segments);
        let (term, drained) = (checkpoint.drained.term, checkpoint.drained.index);
        let encoded = checkpoint.encode();
        // Whoever needs it on the disk, to set a journal file free or to compact, says so.
        let due = Due::By(rt::now() + CHECKPOINT_AFTER);
        let ticket = self.journal_by(due, Kind::Checkpoint, term, drained, &[&encoded]);
        let mut state = self.state.borrow_mut();
        state.last_checkpoint = segments.clone();
        state.checkpoints.push_back((ticket.0, segments));
    }

    fn current(&self, segments: &SegmentCheckpoint) -> Checkpoint {
        let source = self.state_source.borrow().clone();
        let known = source.map(|source| source());
        let state = self.state.borrow();
        let drained = segments.end;
        let rows = state.epochs.rows().iter().copied().filter(|row| row.index < drained.index).collect();
        Checkpoint {
            topic: self.id.topic,
            start: state.start,
            hard_state: state.hard_state,
            internal: self.config.borrow().internal,
            drained,
            epochs: EpochTable::from_rows(rows).expect("a part of a table that rises, rises"),
            state: known.map(|bytes| (state.frontiers.appended, bytes)).or_else(|| state.recovered.clone()),
            segments: Bytes::from(segments.encode()),
        }
    }

    /// Writes the entries that lie in journal files up to `generation` again, at the journal's head, as they were.
    pub(crate) fn carry_forward(self: &Rc<Self>, generation: u64) -> u64 {
        let Some(reach) = self.reach(generation) else { return 0 };
        let entries: Vec<_> = {
            let state = self.state.borrow();
            state.tail.entries().iter().take_while(|entry| entry.frame.index <= reach).cloned().collect()
        };
        let end = reach.next();
        let mut bytes = 0;
        for entry in &entries {
            let frame = &entry.frame;
            bytes += frame.payload_len() as u64;
            let again = |kind, payload: &[&[u8]]| {
                let head = self.head(entry.sequence, kind, frame.term, frame.index, payload);
                self.journal_as(&head, payload, Some((generation, end)), Due::Now);
            };
            match &frame.body {
                Body::Batch(batch) => again(Kind::Batch, &[batch]),
                Body::Control { offset, payload } => again(Kind::Control, &[&offset.0.to_le_bytes(), payload]),
            }
        }
        bytes
    }

    /// From now on it takes nothing, if all that it holds is in segments up to `end`; false if not.
    pub(crate) fn leave(&self, end: Position) -> bool {
        let mut state = self.state.borrow_mut();
        state.leaving = end.index > state.frontiers.appended;
        state.leaving
    }

    /// It could not leave: it goes on as before.
    pub(crate) fn stay(&self) {
        self.state.borrow_mut().leaving = false;
    }

    /// What the file says that a log leaves behind when it is released. Everything must be drained.
    pub(crate) fn checkpoint_file(&self, segments: &SegmentCheckpoint) -> CheckpointFile {
        let checkpoint = self.current(segments);
        CheckpointFile { group: self.id.group, owner_epoch: self.id.owner_epoch, checkpoint }
    }

    /// From now on it is no log of this shard any more: it takes and serves nothing, and the journal says so in the same
    /// step. Otherwise its checkpoint could be recycled while entries behind that are still read after a crash.
    pub(crate) fn end(self: &Rc<Self>, kind: Kind) {
        self.say_end(kind);
        let mut state = self.state.borrow_mut();
        state.life = Life::Gone(kind);
        state.tail.truncate_suffix(Index(i64::MIN));
        self.charge(&mut state);
        drop(state);
        self.progress.notify_all();
    }

    /// Says again at the journal's head how it ended. False if it did not.
    pub(crate) fn repeat_end(self: &Rc<Self>) -> bool {
        let life = self.state.borrow().life;
        if let Life::Gone(kind) = life {
            self.say_end(kind);
        }
        matches!(life, Life::Gone(_))
    }

    fn say_end(self: &Rc<Self>, kind: Kind) {
        let names = encode_names(self.id.topic);
        let head = self.head(self.next_sequence(), kind, self.last_term(), Index::ZERO, &[&names]);
        self.journal_as(&head, &[&names], None, Due::Now);
    }

    /// The place up to which entries have left the tail.
    pub(crate) fn drained(&self) -> Position {
        self.state.borrow().drained
    }

    /// What housekeeping could not read, or write beside the log, leaves the log as it was: readers meet damage by
    /// themselves. Only what made its files uncertain takes it offline.
    fn failed_with_segments(&self, error: SegmentError) -> SegmentError {
        if self.segments.failed() {
            self.fail(&error);
        }
        error
    }

    fn failed_if(&self, error: SegmentError) -> SegmentError {
        if !error.is_passing() {
            self.fail(&error);
        }
        error
    }

    fn fail(&self, error: &SegmentError) {
        if self.state.borrow().life == Life::Open {
            tracing::error!(group = %self.id.group, topic = %self.id.topic, %error, "log offline; its journal entries are kept");
            let mut state = self.state.borrow_mut();
            state.life = Life::Failed;
            self.charge(&mut state);
            drop(state);
            self.progress.notify_all();
        }
    }
}

impl State {
    /// The last index that may go to segments.
    fn drainable(&self) -> Index {
        self.committed.min(self.frontiers.durable)
    }
}
