//! Batches that were read or drained recently, shared by all readers of the shard.
//!
//! The unit is a run: batches that follow each other in the log and share memory (one read chunk, one drained stretch).
//! A run covers a range of offsets: every batch of the log in that range is in the run, so a reader needs nothing else
//! to answer. What always holds: no two runs of a log overlap; the cost of all runs is within the budget; the run used
//! longest ago goes first. Bytes given out stay valid after eviction.

use std::collections::BTreeMap;
use std::ops::Bound;

use ailurus_model::{GroupId, Offset};
use bytes::Bytes;

/// What a run costs beside the memory that its batches keep alive: its places in both maps.
const RUN_OVERHEAD: u64 = 256;
/// What each batch of it costs: its handle, and what counts who shares its memory.
const BATCH_OVERHEAD: u64 = 112;

/// A batch as readers share it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CachedBatch {
    /// Its base offset.
    pub base: Offset,
    /// The offset behind it.
    pub end: Offset,
    /// Its bytes, proven by CRC or taken from the log's own tail.
    pub bytes: Bytes,
}

/// Numbers since start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheStats {
    /// Lookups that found their first batch.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Runs that were evicted for room.
    pub evictions: u64,
    /// Bytes held now.
    pub bytes: u64,
}

/// The cache of one shard.
pub struct BatchCache {
    budget: u64,
    runs: BTreeMap<(GroupId, Offset), Run>,
    /// Oldest use first.
    recency: BTreeMap<u64, (GroupId, Offset)>,
    clock: u64,
    stats: CacheStats,
}

struct Run {
    batches: Vec<CachedBatch>,
    end: Offset,
    cost: u64,
    used: u64,
}

impl BatchCache {
    /// A cache that holds at most `budget` bytes; 0 holds nothing.
    pub fn new(budget: u64) -> Self {
        BatchCache { budget, runs: BTreeMap::new(), recency: BTreeMap::new(), clock: 0, stats: CacheStats::default() }
    }

    /// Numbers since start.
    pub fn stats(&self) -> CacheStats {
        self.stats
    }

    /// Puts in `batches`, which hold all that the log has from `start` to the end of the last one, and which together
    /// keep `memory` bytes alive. What is there already stays.
    pub fn insert(&mut self, group: GroupId, start: Offset, mut batches: Vec<CachedBatch>, memory: u64) {
        let cost = memory + RUN_OVERHEAD + BATCH_OVERHEAD * batches.len() as u64;
        let start = self.covered_until(group, start);
        batches.retain(|batch| batch.end > start);
        let Some(end) = batches.last().map(|batch| batch.end) else { return };
        if cost > self.budget || batches[0].base < start {
            return;
        }
        for inner in self.keys(group, start, end) {
            self.remove(inner);
        }
        self.clock += 1;
        self.recency.insert(self.clock, (group, start));
        self.runs.insert((group, start), Run { batches, end, cost, used: self.clock });
        self.stats.bytes += cost;
        self.evict();
    }

    /// The batches from the one that contains `from` (or the first behind it, if compaction removed that), up to `below`
    /// and `max_bytes`, except that the first is given even if it is larger. Empty if the first is not here.
    pub fn get(&mut self, group: GroupId, from: Offset, below: Offset, max_bytes: usize) -> Vec<CachedBatch> {
        let (mut found, mut at, mut left) = (Vec::new(), from, max_bytes);
        while let Some(key) = self.run_at(group, at) {
            self.touch(key);
            let run = &self.runs[&key];
            let first = run.batches.partition_point(|batch| batch.end <= at);
            for batch in &run.batches[first..] {
                if batch.base >= below || (batch.bytes.len() > left && !found.is_empty()) {
                    return self.count(found);
                }
                left = left.saturating_sub(batch.bytes.len());
                found.push(batch.clone());
            }
            at = run.end;
        }
        self.count(found)
    }

    /// Forgets everything of the log at and above `from`: its suffix was cut.
    pub fn truncate(&mut self, group: GroupId, from: Offset) {
        let first = self.run_at(group, from).map_or(from, |(_, start)| start);
        for key in self.keys(group, first, Offset(i64::MAX)) {
            self.remove(key);
        }
    }

    /// Forgets the runs of the log that touch `from..to`: retention removed it, or compaction wrote it anew.
    pub fn forget(&mut self, group: GroupId, from: Offset, to: Offset) {
        let first = self.run_at(group, from).map_or(from, |(_, start)| start);
        for key in self.keys(group, first, to) {
            self.remove(key);
        }
    }

    fn count(&mut self, found: Vec<CachedBatch>) -> Vec<CachedBatch> {
        if found.is_empty() {
            self.stats.misses += 1
        } else {
            self.stats.hits += 1
        }
        found
    }

    fn run_at(&self, group: GroupId, offset: Offset) -> Option<(GroupId, Offset)> {
        let (key, run) = self.runs.range(..=(group, offset)).next_back()?;
        (key.0 == group && run.end > offset).then_some(*key)
    }

    fn covered_until(&self, group: GroupId, mut start: Offset) -> Offset {
        while let Some(key) = self.run_at(group, start) {
            start = self.runs[&key].end;
        }
        start
    }

    fn keys(&self, group: GroupId, from: Offset, to: Offset) -> Vec<(GroupId, Offset)> {
        let range = (Bound::Included((group, from)), Bound::Excluded((group, to.max(from))));
        self.runs.range(range).map(|(key, _)| *key).collect()
    }

    fn touch(&mut self, key: (GroupId, Offset)) {
        self.clock += 1;
        let run = self.runs.get_mut(&key).expect("found just now");
        self.recency.remove(&run.used);
        run.used = self.clock;
        self.recency.insert(self.clock, key);
    }

    fn remove(&mut self, key: (GroupId, Offset)) {
        let run = self.runs.remove(&key).expect("keys come from the map");
        self.recency.remove(&run.used);
        self.stats.bytes -= run.cost;
    }

    fn evict(&mut self) {
        while self.stats.bytes > self.budget {
            let (_, key) = self.recency.first_key_value().expect("bytes are held by runs");
            self.remove(*key);
            self.stats.evictions += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(1);

    fn batches(from: i64, count: i64) -> Vec<CachedBatch> {
        (0..count)
            .map(|n| {
                let base = from + n * 10;
                CachedBatch { base: Offset(base), end: Offset(base + 10), bytes: Bytes::from(vec![base as u8; 100]) }
            })
            .collect()
    }

    fn put(cache: &mut BatchCache, from: i64, count: i64) {
        cache.insert(GROUP, Offset(from), batches(from, count), 100 * count as u64);
    }

    /// What a run of so many batches costs.
    fn cost(count: u64) -> u64 {
        RUN_OVERHEAD + count * (100 + BATCH_OVERHEAD)
    }

    fn get(cache: &mut BatchCache, from: i64, below: i64, max: usize) -> Vec<i64> {
        cache.get(GROUP, Offset(from), Offset(below), max).iter().map(|batch| batch.base.0).collect()
    }

    #[test]
    fn a_lookup_goes_on_through_adjoining_runs() {
        let mut cache = BatchCache::new(10_000);
        put(&mut cache, 0, 3);
        put(&mut cache, 30, 2);
        put(&mut cache, 60, 1);
        assert_eq!(get(&mut cache, 15, 1000, 1000), [10, 20, 30, 40]);
        assert_eq!(get(&mut cache, 15, 30, 1000), [10, 20]);
        assert_eq!(get(&mut cache, 15, 1000, 250), [10, 20]);
        assert_eq!(get(&mut cache, 15, 1000, 1), [10], "the first comes whatever its size");
        assert_eq!(get(&mut cache, 50, 1000, 1000), [] as [i64; 0]);
        assert_eq!((cache.stats().hits, cache.stats().misses), (4, 1));
    }

    #[test]
    fn other_logs_are_not_touched() {
        let mut cache = BatchCache::new(10_000);
        put(&mut cache, 0, 3);
        assert!(cache.get(GroupId(0), Offset(0), Offset(1000), 1000).is_empty());
        assert!(cache.get(GroupId(2), Offset(0), Offset(1000), 1000).is_empty());
        cache.truncate(GroupId(2), Offset(0));
        assert_eq!(get(&mut cache, 0, 1000, 1000), [0, 10, 20]);
    }

    #[test]
    fn what_is_there_already_is_not_kept_twice() {
        let mut cache = BatchCache::new(10_000);
        put(&mut cache, 10, 2);
        put(&mut cache, 0, 5);
        assert_eq!(cache.stats().bytes, cost(5), "the small run inside gave way");
        put(&mut cache, 20, 2);
        assert_eq!(cache.stats().bytes, cost(5));
        put(&mut cache, 40, 2);
        assert_eq!(get(&mut cache, 0, 1000, 1000), [0, 10, 20, 30, 40, 50]);
    }

    #[test]
    fn the_run_used_longest_ago_goes_first() {
        let mut cache = BatchCache::new(3 * cost(2) - 1);
        put(&mut cache, 0, 2);
        put(&mut cache, 100, 2);
        get(&mut cache, 0, 1000, 1000);
        put(&mut cache, 200, 2);
        assert_eq!(get(&mut cache, 100, 1000, 1000), [] as [i64; 0]);
        assert_eq!(get(&mut cache, 0, 1000, 1000), [0, 10]);
        assert_eq!(cache.stats().bytes, 2 * cost(2));
        assert_eq!(cache.stats().evictions, 1);
    }

    #[test]
    fn a_cut_forgets_whatever_reaches_beyond_it() {
        let mut cache = BatchCache::new(10_000);
        put(&mut cache, 0, 3);
        put(&mut cache, 30, 2);
        put(&mut cache, 60, 2);
        cache.truncate(GROUP, Offset(40));
        assert_eq!(get(&mut cache, 0, 1000, 10_000), [0, 10, 20]);
        assert_eq!(cache.stats().bytes, cost(3));
        cache.forget(GROUP, Offset(5), Offset(6));
        assert_eq!(cache.stats().bytes, 0);
    }

    #[test]
    fn a_gap_that_compaction_left_is_covered() {
        let mut cache = BatchCache::new(10_000);
        cache.insert(GROUP, Offset(3), batches(8, 1), 100);
        assert_eq!(get(&mut cache, 3, 1000, 1000), [8]);
        assert_eq!(get(&mut cache, 2, 1000, 1000), [] as [i64; 0]);
    }

    #[test]
    fn without_a_budget_nothing_is_held() {
        let mut cache = BatchCache::new(0);
        put(&mut cache, 0, 1);
        assert_eq!(cache.stats().bytes, 0);
    }
}
