//! Finding records by their timestamp: what ListOffsets asks.

use ailurus_model::{Offset, Term};
use ailurus_record::{Limits, RecordTime, find_by_time};
use ailurus_rt::IoClass;

use super::SegmentError;
use super::read::{Seek, bad_payload};
use super::set::SegmentSet;

/// A record that was found by time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeFound {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: i64,
    /// The term in which it was appended: Kafka's leader epoch.
    pub term: Term,
}

impl SegmentSet {
    /// The first record at or after `from`, before `below`, whose timestamp is `time` or later.
    ///
    /// # Errors
    /// As [`SegmentSet::read`].
    pub async fn find_by_time(
        &self,
        time: i64,
        from: Offset,
        below: Offset,
    ) -> Result<Option<TimeFound>, SegmentError> {
        self.steadily(async || self.try_find_by_time(time, from, below).await).await
    }

    async fn try_find_by_time(
        &self,
        time: i64,
        from: Offset,
        below: Offset,
    ) -> Result<Option<TimeFound>, SegmentError> {
        let from = from.max(self.start_offset());
        let below = below.min(self.end().offset);
        let mut at = from;
        while at < below {
            let Some(source) = self.source(at, Seek::Time(time, from)).await? else { break };
            at = source.end;
            if source.max_timestamp < time {
                continue;
            }
            let mut walker = self.walk(source, IoClass::Fetch, self.shard.limits.read_bytes.1).await?;
            while let Some(walked) = walker.next().await? {
                ailurus_rt::yield_if_needed().await;
                let header = &walked.header;
                if header.offset >= below {
                    return Ok(None);
                }
                if header.max_timestamp() < time || header.end().offset <= from || header.batch.is_none() {
                    continue;
                }
                if !header.payload_ok(&walked.payload) {
                    return Err(bad_payload(&walker, &walked));
                }
                let found = find_by_time(&walked.payload, time, from, &Limits::STORED)
                    .map_err(|error| SegmentError::corrupt(walker.path(), walked.position, error.to_string()))?;
                if let Some(RecordTime { offset, timestamp }) = found {
                    return Ok((offset < below).then_some(TimeFound { offset, timestamp, term: header.term }));
                }
            }
        }
        Ok(None)
    }

    /// The first record from `from` and before `below` that has the largest timestamp of all there; `None` if no record
    /// there has one.
    ///
    /// # Errors
    /// As [`SegmentSet::read`].
    pub async fn find_max_timestamp(&self, from: Offset, below: Offset) -> Result<Option<TimeFound>, SegmentError> {
        let bound = self.steadily(async || self.max_timestamp_bound(from, below).await).await?;
        if bound < 0 {
            return Ok(None);
        }
        if let Some(found) = self.find_by_time(bound, from, below).await? {
            return Ok(Some(found));
        }
        // The segments' maxima are of records outside the range.
        let exact = self.steadily(async || self.max_timestamp_exact(from, below).await).await?;
        if exact < 0 { Ok(None) } else { self.find_by_time(exact, from, below).await }
    }

    async fn max_timestamp_bound(&self, from: Offset, below: Offset) -> Result<i64, SegmentError> {
        let (mut at, mut bound) = (from.max(self.start_offset()), -1);
        while at < below.min(self.end().offset) {
            let Some(source) = self.source(at, Seek::Start).await? else { break };
            bound = bound.max(source.max_timestamp);
            at = source.end;
        }
        Ok(bound)
    }

    async fn max_timestamp_exact(&self, from: Offset, below: Offset) -> Result<i64, SegmentError> {
        let (mut at, mut max) = (from.max(self.start_offset()), -1);
        while at < below.min(self.end().offset) {
            let Some(source) = self.source(at, Seek::Offset(from)).await? else { break };
            at = source.end;
            let mut walker = self.walk(source, IoClass::Fetch, self.shard.limits.read_bytes.1).await?;
            while let Some(walked) = walker.next().await? {
                ailurus_rt::yield_if_needed().await;
                let header = &walked.header;
                let (first, end) = (header.offset, header.end().offset);
                if end <= from || header.max_timestamp() <= max {
                    continue;
                }
                if first >= below {
                    return Ok(max);
                }
                max =
                    match first >= from && end <= below {
                        true => header.max_timestamp(),
                        false => max.max(max_inside(&walked, from, below).map_err(|error| {
                            SegmentError::corrupt(walker.path(), walked.position, error.to_string())
                        })?),
                    };
            }
        }
        Ok(max)
    }
}

/// The largest timestamp of those records of a batch that lie in the range.
fn max_inside(walked: &super::walker::Walked, from: Offset, below: Offset) -> Result<i64, ailurus_record::RecordError> {
    let mut max = -1;
    for record in ailurus_record::records(&walked.payload, &Limits::STORED)? {
        let record = record?;
        if record.offset >= from && record.offset < below {
            max = max.max(record.timestamp);
        }
    }
    Ok(max)
}
