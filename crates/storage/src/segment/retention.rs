//! Which segments have outlived `retention.ms` or `retention.bytes`: a pure plan.
//!
//! Retention only ever removes whole segments from the front, the growing one last and only together with all before
//! it, and never anything at or above the high watermark.

use ailurus_model::Offset;

/// What the plan must know of a segment, oldest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetentionFacts {
    /// The offset behind its last record.
    pub end: Offset,
    /// Bytes it occupies.
    pub bytes: u64,
    /// The largest timestamp of its records, or when it was made if they have none (ms since 1970). `i64::MAX` for
    /// "not known, take it for young".
    pub youngest_ms: i64,
}

/// The limits; `None` is Kafka's -1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RetentionLimits {
    /// `retention.ms`.
    pub ms: Option<i64>,
    /// `retention.bytes`.
    pub bytes: Option<u64>,
}

/// Asked of one segment after the other, from the oldest on, until one stays.
///
/// By time, a segment goes when its youngest record is older than the limit; by size, when what remains without it is
/// still at least the limit, as in Kafka.
pub struct RetentionPlan {
    limits: RetentionLimits,
    now_ms: i64,
    high_watermark: Offset,
    /// Bytes beyond the limit by size that the segments asked about so far leave.
    excess: u64,
}

impl RetentionPlan {
    /// Of segments that take `bytes` together.
    pub fn new(limits: RetentionLimits, bytes: u64, now_ms: i64, high_watermark: Offset) -> Self {
        let excess = limits.bytes.map_or(0, |limit| bytes.saturating_sub(limit));
        RetentionPlan { limits, now_ms, high_watermark, excess }
    }

    /// Whether the next segment may go, all before it going.
    pub fn next_goes(&mut self, segment: &RetentionFacts) -> bool {
        let too_old = self.limits.ms.is_some_and(|limit| self.now_ms.saturating_sub(segment.youngest_ms) > limit);
        let too_much = self.excess >= segment.bytes && self.excess > 0;
        self.excess = self.excess.saturating_sub(segment.bytes);
        (too_old || too_much) && segment.end <= self.high_watermark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(of: &[(i64, u64, i64)]) -> Vec<RetentionFacts> {
        of.iter().map(|&(end, bytes, youngest_ms)| RetentionFacts { end: Offset(end), bytes, youngest_ms }).collect()
    }

    fn gone(of: &[(i64, u64, i64)], ms: Option<i64>, bytes: Option<u64>, now: i64, high_watermark: i64) -> usize {
        let (segments, limits) = (segments(of), RetentionLimits { ms, bytes });
        let all = segments.iter().map(|segment| segment.bytes).sum();
        let mut plan = RetentionPlan::new(limits, all, now, Offset(high_watermark));
        segments.iter().take_while(|segment| plan.next_goes(segment)).count()
    }

    #[test]
    fn by_time() {
        let log = [(10, 100, 1000), (20, 100, 2000), (30, 100, 3000)];
        assert_eq!(gone(&log, None, None, i64::MAX, 30), 0);
        assert_eq!(gone(&log, Some(500), None, 1500, 30), 0);
        assert_eq!(gone(&log, Some(500), None, 1501, 30), 1);
        assert_eq!(gone(&log, Some(500), None, 9999, 30), 3);
        assert_eq!(gone(&log, Some(500), None, 9999, 29), 2, "not above the high watermark");
        // A young segment keeps the older ones behind it: the log must not get a hole.
        assert_eq!(gone(&[(10, 100, 9000), (20, 100, 1)], Some(500), None, 9100, 20), 0);
        assert_eq!(gone(&[(10, 100, 1), (20, 100, i64::MAX)], Some(500), None, i64::MAX, 20), 1);
    }

    #[test]
    fn by_size() {
        let log = [(10, 100, 1), (20, 100, 1), (30, 100, 1)];
        assert_eq!(gone(&log, None, Some(300), 0, 30), 0);
        assert_eq!(gone(&log, None, Some(201), 0, 30), 0, "what remains must not fall below the limit");
        assert_eq!(gone(&log, None, Some(200), 0, 30), 1);
        assert_eq!(gone(&log, None, Some(0), 0, 30), 3);
        assert_eq!(gone(&log, None, Some(0), 0, 15), 1);
    }
}
