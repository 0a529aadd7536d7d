//! Which segments to compact: a pure plan.
//!
//! A log is clean up to some offset (every record below was compared with all older ones) and dirty behind it. Compaction
//! pays when the dirty part is large against the whole, so each record is rewritten a bounded number of times; after it,
//! neighbours that have become small are merged.

use std::ops::Range;

use ailurus_model::Offset;

use crate::config::LogConfig;

/// What the plan must know of a closed segment, oldest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompactionFacts {
    /// Its first offset.
    pub base: Offset,
    /// The offset behind its last.
    pub end: Offset,
    /// Bytes it occupies.
    pub bytes: u64,
    /// Below this offset it was compacted against all older records.
    pub cleaned_below: Offset,
    /// Largest timestamp of its records; -1 if it has none.
    pub max_timestamp: i64,
    /// When its oldest part was made; ms since 1970.
    pub created_ms: i64,
}

impl CompactionFacts {
    fn is_clean(&self) -> bool {
        self.cleaned_below >= self.end
    }
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompactionPlan {
    /// The first offset whose key goes into the map.
    pub dirty_from: Offset,
    /// Segments (by place in the facts) that hold the keys for the map: from the first dirty one on.
    pub dirty: Range<usize>,
}

/// Decides whether to compact now. `below` is the high watermark: no segment that reaches beyond it is touched.
pub fn plan(segments: &[CompactionFacts], config: &LogConfig, below: Offset, now_ms: i64) -> Option<CompactionPlan> {
    let first_dirty = segments.iter().position(|segment| !segment.is_clean())?;
    let youngest = now_ms.saturating_sub(config.min_compaction_lag_ms);
    let old_enough = |segment: &&CompactionFacts| {
        segment.end <= below && (config.min_compaction_lag_ms <= 0 || segment.age_from() < youngest)
    };
    let count = segments[first_dirty..].iter().take_while(old_enough).count();
    let dirty = first_dirty..first_dirty + count;
    let oldest = segments.get(first_dirty).filter(|_| count > 0)?;
    let dirty_bytes: u64 = segments[dirty.clone()].iter().map(|segment| segment.bytes).sum();
    let clean_bytes: u64 = segments[..first_dirty].iter().map(|segment| segment.bytes).sum();
    let pays = dirty_bytes * 1000 >= u64::from(config.min_cleanable_dirty_permille) * (dirty_bytes + clean_bytes);
    let overdue = now_ms.saturating_sub(oldest.created_ms) > config.max_compaction_lag_ms;
    (pays || overdue).then(|| CompactionPlan { dirty_from: oldest.cleaned_below.max(oldest.base), dirty })
}

impl CompactionFacts {
    fn age_from(&self) -> i64 {
        if self.max_timestamp >= 0 { self.max_timestamp } else { self.created_ms }
    }
}

/// Groups of neighbouring segments that together fit `segment_bytes`, each to become one file.
pub fn merge_groups(bytes: &[u64], segment_bytes: u64) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut filled = 0;
    for (place, size) in bytes.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if filled + size <= segment_bytes => {
                group.end = place + 1;
                filled += size;
            }
            _ => {
                groups.push(place..place + 1);
                filled = *size;
            }
        }
    }
    groups
}

/// The smallest size at which the growing segment of a compacted log is closed before it reaches `segment.bytes`.
pub const COMPACT_ROLL_BYTES_MIN: u64 = 64 << 10;

/// The size at which the growing segment is closed, given the bytes of all closed ones.
///
/// Only closed segments are compacted, so in a compacted log the growing one must stay small against what the rest shrinks
/// to: with a dirty ratio of 0.5, clean + dirty + growing stay within 1 + 1 + 0.5 times the live data, however large
/// `segment.bytes` is. Readers that load the whole log (a coordinator) depend on that. While compaction lags behind, the
/// segments become larger rather than many; [`crate::segment::SegmentSet::roll_if_due`] catches up.
pub fn roll_bytes(config: &LogConfig, closed_bytes: u64) -> u64 {
    match config.compact {
        true => config.segment_bytes.min(COMPACT_ROLL_BYTES_MIN.max(closed_bytes / 4)),
        false => config.segment_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of ten offsets each, from (bytes, clean, max timestamp).
    fn facts(of: &[(u64, bool, i64)]) -> Vec<CompactionFacts> {
        of.iter()
            .enumerate()
            .map(|(n, &(bytes, clean, max_timestamp))| {
                let base = Offset(n as i64 * 10);
                let cleaned_below = if clean { base.plus(10) } else { base };
                CompactionFacts {
                    base,
                    end: base.plus(10),
                    bytes,
                    cleaned_below,
                    max_timestamp,
                    created_ms: max_timestamp,
                }
            })
            .collect()
    }

    fn decide(of: &[(u64, bool, i64)], config: &LogConfig, below: i64, now: i64) -> Option<(i64, Range<usize>)> {
        plan(&facts(of), config, Offset(below), now).map(|plan| (plan.dirty_from.0, plan.dirty))
    }

    fn config() -> LogConfig {
        LogConfig { compact: true, ..LogConfig::default() }
    }

    #[test]
    fn it_waits_until_the_dirty_part_is_worth_it() {
        let log = [(100, true, 1), (60, false, 2), (60, false, 3)];
        assert_eq!(decide(&log, &config(), 30, 100), Some((10, 1..3)));
        assert_eq!(decide(&log, &config(), 29, 100), None, "60 of 160 bytes are below the high watermark");
        assert_eq!(decide(&log[..1], &config(), 30, 100), None, "nothing is dirty");
        assert_eq!(decide(&[], &config(), 30, 100), None);
        let eager = LogConfig { min_cleanable_dirty_permille: 0, ..config() };
        assert_eq!(decide(&log, &eager, 29, 100), Some((10, 1..2)));
    }

    #[test]
    fn a_half_clean_segment_goes_on_where_the_last_pass_ended() {
        let mut log = facts(&[(100, true, 1), (100, false, 1)]);
        log[1].cleaned_below = Offset(15);
        assert_eq!(plan(&log, &config(), Offset(20), 100).map(|plan| plan.dirty_from), Some(Offset(15)));
    }

    #[test]
    fn young_records_are_left_alone_and_old_ones_forced() {
        let lag = LogConfig { min_compaction_lag_ms: 50, ..config() };
        assert_eq!(decide(&[(100, false, 10), (100, false, 60)], &lag, 20, 100), Some((0, 0..1)));
        assert_eq!(decide(&[(100, false, 60), (100, false, 10)], &lag, 20, 100), None);
        let forced = LogConfig { max_compaction_lag_ms: 50, ..config() };
        assert_eq!(decide(&[(900, true, 1), (10, false, 60)], &forced, 20, 110), None);
        assert_eq!(decide(&[(900, true, 1), (10, false, 60)], &forced, 20, 111), Some((10, 1..2)));
    }

    #[test]
    fn neighbours_are_merged_up_to_the_segment_size() {
        assert_eq!(merge_groups(&[10, 20, 30, 100, 5, 5], 60), [0..3, 3..4, 4..6]);
        assert_eq!(merge_groups(&[], 60), []);
    }

    #[test]
    fn a_compacted_log_closes_its_segments_early() {
        assert_eq!(roll_bytes(&LogConfig::default(), 0), 1 << 30);
        assert_eq!(roll_bytes(&config(), 0), COMPACT_ROLL_BYTES_MIN);
        assert_eq!(roll_bytes(&config(), 4 << 20), 1 << 20);
        assert_eq!(roll_bytes(&LogConfig { segment_bytes: 1000, ..config() }, 4 << 20), 1000);
    }
}
