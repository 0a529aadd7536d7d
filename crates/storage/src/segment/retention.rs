//! Which segments have outlived `retention.ms` or `retention.bytes`: a pure plan.
//!
//! Retention only ever removes whole segments from the front, the growing one last and only together with all before
//! it, and never anything at or above the high watermark.

use ailurus_model::Offset;

use super::Position;

/// What the plan must know of a segment, oldest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetentionFacts {
    /// The place behind its last entry.
    pub end: Position,
    /// Bytes it occupies.
    pub bytes: u64,
    /// Largest timestamp of its records; -1 if it has none.
    pub max_timestamp: i64,
    /// When it was made: the age of a segment without timestamps. ms since 1970.
    pub created_ms: i64,
}

/// The limits; `None` is Kafka's -1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RetentionLimits {
    /// `retention.ms`.
    pub ms: Option<i64>,
    /// `retention.bytes`.
    pub bytes: Option<u64>,
}

/// The new start of the log: everything before it may go. `None` if nothing may.
///
/// By time, a segment goes when its youngest record is older than the limit; by size, when what remains without it is
/// still at least the limit, as in Kafka.
pub fn plan(
    segments: &[RetentionFacts],
    limits: RetentionLimits,
    now_ms: i64,
    high_watermark: Offset,
) -> Option<Position> {
    let mut excess = match limits.bytes {
        Some(limit) => segments.iter().map(|segment| segment.bytes).sum::<u64>().saturating_sub(limit),
        None => 0,
    };
    let mut start = None;
    for segment in segments {
        let too_old = limits.ms.is_some_and(|limit| now_ms.saturating_sub(segment.youngest()) > limit);
        let too_much = excess >= segment.bytes && excess > 0;
        if !(too_old || too_much) || segment.end.offset > high_watermark {
            break;
        }
        excess = excess.saturating_sub(segment.bytes);
        start = Some(segment.end);
    }
    start
}

impl RetentionFacts {
    fn youngest(&self) -> i64 {
        if self.max_timestamp >= 0 { self.max_timestamp } else { self.created_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ailurus_model::{Index, Term};

    fn segments(of: &[(i64, u64, i64)]) -> Vec<RetentionFacts> {
        of.iter()
            .map(|&(end, bytes, max_timestamp)| RetentionFacts {
                end: Position { index: Index(end + 1), offset: Offset(end), term: Term(1) },
                bytes,
                max_timestamp,
                created_ms: 500,
            })
            .collect()
    }

    fn start(
        of: &[(i64, u64, i64)],
        ms: Option<i64>,
        bytes: Option<u64>,
        now: i64,
        high_watermark: i64,
    ) -> Option<i64> {
        plan(&segments(of), RetentionLimits { ms, bytes }, now, Offset(high_watermark)).map(|start| start.offset.0)
    }

    #[test]
    fn by_time() {
        let log = [(10, 100, 1000), (20, 100, 2000), (30, 100, 3000)];
        assert_eq!(start(&log, None, None, i64::MAX, 30), None);
        assert_eq!(start(&log, Some(500), None, 1500, 30), None);
        assert_eq!(start(&log, Some(500), None, 1501, 30), Some(10));
        assert_eq!(start(&log, Some(500), None, 9999, 30), Some(30));
        assert_eq!(start(&log, Some(500), None, 9999, 29), Some(20), "not above the high watermark");
        // A young segment keeps the older ones behind it from leaving a hole.
        assert_eq!(start(&[(10, 100, 9000), (20, 100, 1)], Some(500), None, 9100, 20), None);
        // Without a timestamp, its age is that of the file.
        assert_eq!(start(&[(10, 100, -1)], Some(500), None, 1000, 20), None);
        assert_eq!(start(&[(10, 100, -1)], Some(500), None, 1001, 20), Some(10));
    }

    #[test]
    fn by_size() {
        let log = [(10, 100, 1), (20, 100, 1), (30, 100, 1)];
        assert_eq!(start(&log, None, Some(300), 0, 30), None);
        assert_eq!(start(&log, None, Some(201), 0, 30), None, "what remains must not fall below the limit");
        assert_eq!(start(&log, None, Some(200), 0, 30), Some(10));
        assert_eq!(start(&log, None, Some(0), 0, 30), Some(30));
        assert_eq!(start(&log, None, Some(0), 0, 15), Some(10));
    }
}
