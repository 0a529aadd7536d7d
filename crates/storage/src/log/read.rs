//! Reading a log: its tail from memory, what is older from segments.

use std::rc::Rc;

use ailurus_model::{Index, Offset, Term};
use ailurus_record::{BatchHeader, Limits, RecordTime, record};
use bytes::Bytes;

use super::{Log, State};
use crate::error::ReadError;

/// Batches as they are stored.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Read {
    /// Whole batches in order; the first contains the offset that was asked for, or follows it where compaction left a gap.
    pub batches: Vec<Bytes>,
    /// Where to go on.
    pub next: Offset,
}

/// The record at an offset: the offset, its timestamp, its term.
pub type FoundByTime = (Offset, i64, Term);

impl Log {
    /// Whole batches from the one that contains `from` on, all below `below`, together at most `max_bytes`; with
    /// `at_least_one` the first comes even if it is larger. Empty if `from` is at `below` or behind it.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`] outside log start and end; else what the disk said.
    pub async fn read(
        self: &Rc<Self>,
        from: Offset,
        below: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Read, ReadError> {
        let mut read = Read { batches: Vec::new(), next: from };
        let mut bytes = 0;
        self.check_range(from)?;
        while read.next < below {
            let first = at_least_one && read.batches.is_empty();
            if bytes >= max_bytes && !first {
                break;
            }
            let drained = self.drained().offset;
            let before = read.next;
            if read.next < drained {
                let part = self.segments.read(read.next, below.min(drained), max_bytes - bytes, first).await?;
                bytes += part.batches.iter().map(Bytes::len).sum::<usize>();
                read.batches.extend(part.batches);
                read.next = part.next;
            } else {
                self.check_range(read.next)?;
                self.state.borrow().read_tail(below, max_bytes.saturating_sub(bytes), first, &mut read);
                break;
            }
            if read.next == before {
                break;
            }
        }
        Ok(read)
    }

    /// Bytes of batches that a read of `from..below` would find, and perhaps a little more of what is in the growing
    /// segment. What is in closed ones counts as all there is: cheap, and enough to decide whether a fetch waits.
    pub fn bytes_between(&self, from: Offset, below: Offset) -> u64 {
        let state = self.state.borrow();
        let drained = if from < state.drained.offset.min(below) { self.segments.bytes_from(from) } else { 0 };
        let entries = state.tail.entries().iter().skip(state.tail.place_of(from));
        let batches = entries.take_while(|entry| entry.end_offset <= below).filter_map(|entry| entry.batch());
        drained + batches.map(|batch| batch.len() as u64).sum::<u64>()
    }

    /// The first record below `below` whose timestamp is `timestamp` or later.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub async fn find_by_time(
        self: &Rc<Self>,
        timestamp: i64,
        below: Offset,
    ) -> Result<Option<FoundByTime>, ReadError> {
        self.check_open_for_read()?;
        let start = self.log_start().offset;
        let mut searched = start;
        while let Some(drained) = self.drained_since(searched, below) {
            if let Some(found) = self.segments.find_by_time(timestamp, searched, drained).await? {
                return Ok(Some((found.offset, found.timestamp, found.term)));
            }
            searched = drained;
        }
        self.check_open_for_read()?;
        let state = self.state.borrow();
        for (batch, _) in state.candidates(below, |max| max >= timestamp) {
            if let Some(found) = record::find_by_time(batch, timestamp, start, &Limits::STORED)?
                && found.offset < below
            {
                return Ok(Some(state.found(found)));
            }
        }
        Ok(None)
    }

    /// The first record below `below` that has the largest timestamp of all (KIP-734).
    ///
    /// # Errors
    /// As [`Log::read`].
    pub async fn max_timestamp(self: &Rc<Self>, below: Offset) -> Result<Option<FoundByTime>, ReadError> {
        self.check_open_for_read()?;
        let start = self.log_start().offset;
        let (mut searched, mut best) = (start, None::<FoundByTime>);
        while let Some(drained) = self.drained_since(searched, below) {
            let found = self.segments.find_max_timestamp(searched, drained).await?;
            let found = found.map(|found| (found.offset, found.timestamp, found.term));
            best = found.filter(|found| best.is_none_or(|best| found.1 > best.1)).or(best);
            searched = drained;
        }
        self.check_open_for_read()?;
        let state = self.state.borrow();
        let range = start..below;
        let is_whole = |batch: &Bytes| {
            BatchHeader::parse(batch)
                .is_ok_and(|header| range.contains(&Offset(header.base_offset)) && header.next_offset() <= below)
        };
        let whole = state.candidates(below, |_| true).filter(|(batch, _)| is_whole(batch));
        let largest = whole.map(|(_, max)| max).max();
        let most = best.map_or(-1, |(_, timestamp, _)| timestamp);
        for (batch, max) in state.candidates(below, |max| max > most) {
            // Of one that begins before the log start, what lies before it must not count.
            let found = match is_whole(batch) {
                true if Some(max) != largest || best.is_some_and(|best| best.1 >= max) => None,
                true => record::find_max_timestamp(batch, &Limits::STORED)?,
                false => record::find_max_timestamp_within(batch, range.clone(), &Limits::STORED)?,
            };
            let found = found.filter(|found| best.is_none_or(|best| found.timestamp > best.1));
            best = found.map(|found| state.found(found)).or(best);
        }
        Ok(best)
    }

    /// Shows the header of every batch from the one that contains `from` (or follows it) to the log's end, in order.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub async fn replay(self: &Rc<Self>, from: Index, mut visit: impl FnMut(&BatchHeader)) -> Result<(), ReadError> {
        /// Bytes of batches held at a time.
        const STEP_BYTES: usize = 1 << 20;
        let start = self.log_start();
        let mut next = if from <= start.index { start.offset } else { self.offset_after(Index(from.0 - 1)) };
        while next < self.end_offset() {
            let read = self.read(next, self.end_offset(), STEP_BYTES, true).await?;
            for batch in &read.batches {
                visit(&BatchHeader::parse(batch)?);
            }
            if read.next == next {
                break;
            }
            next = read.next;
            ailurus_rt::yield_if_needed().await;
        }
        Ok(())
    }

    /// Where the entries end that have left the tail, if there are some from `searched` on and before `below`. Asked again
    /// after each look into segments: what was drained while it waited is in the tail no more.
    fn drained_since(&self, searched: Offset, below: Offset) -> Option<Offset> {
        Some(self.drained().offset.min(below)).filter(|drained| searched < *drained)
    }

    fn check_open_for_read(&self) -> Result<(), ReadError> {
        if self.failed() { Err(ReadError::Offline) } else { Ok(()) }
    }

    fn check_range(&self, offset: Offset) -> Result<(), ReadError> {
        self.check_open_for_read()?;
        let state = self.state.borrow();
        let inside = (state.start.offset..=state.end_offset).contains(&offset);
        if inside { Ok(()) } else { Err(ReadError::OutOfRange) }
    }
}

impl State {
    /// Reads batches of the tail from `read.next` on, up to `max_bytes`.
    fn read_tail(&self, below: Offset, max_bytes: usize, at_least_one: bool, read: &mut Read) {
        let mut bytes = 0;
        for entry in self.tail.entries().iter().skip(self.tail.place_of(read.next)) {
            let Some(batch) = entry.batch() else { continue };
            let fits = bytes + batch.len() <= max_bytes || (at_least_one && bytes == 0);
            if entry.end_offset > below || !fits {
                break;
            }
            bytes += batch.len();
            read.batches.push(batch.clone());
            read.next = entry.end_offset;
        }
    }

    /// Batches of the tail that begin below `below`, with their largest timestamp if that is `wanted`.
    fn candidates(&self, below: Offset, wanted: impl Fn(i64) -> bool) -> impl Iterator<Item = (&Bytes, i64)> {
        let entries = self.tail.entries().iter().take_while(move |entry| entry.offset() < below);
        entries
            .filter(move |entry| entry.max_timestamp >= 0 && wanted(entry.max_timestamp))
            .filter_map(|entry| Some((entry.batch()?, entry.max_timestamp)))
    }

    fn found(&self, found: RecordTime) -> FoundByTime {
        (found.offset, found.timestamp, self.epochs.term_of(found.offset).unwrap_or(self.start.term))
    }
}
