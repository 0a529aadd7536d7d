//! Which shard of this node owns which partition: a pure plan.
//!
//! Balanced first within each topic, then over all: of the shards that have fewest partitions of the topic, the one with
//! the fewest partitions at all, then the lowest. What has a place keeps it; so a new shard is filled by new partitions,
//! and another number of shards is planned from nothing (the logs are being moved anyway).

use ailurus_base::HashMap;
use ailurus_model::{ShardId, TopicId, TopicIdPartition};

/// The table: every partition of this node, with its shard.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    shards: HashMap<TopicIdPartition, ShardId>,
    total: Vec<usize>,
    by_topic: HashMap<TopicId, Vec<usize>>,
}

impl Placement {
    /// An empty table for `shards` shards.
    pub fn new(shards: u16) -> Self {
        assert!(shards > 0, "a node has at least one shard");
        Placement { total: vec![0; usize::from(shards)], ..Self::default() }
    }

    /// Where `partition` is.
    pub fn shard_of(&self, partition: TopicIdPartition) -> Option<ShardId> {
        self.shards.get(&partition).copied()
    }

    /// Notes that `partition` is on `shard`.
    pub fn put(&mut self, partition: TopicIdPartition, shard: ShardId) {
        self.remove(partition);
        self.shards.insert(partition, shard);
        self.total[usize::from(shard.0)] += 1;
        self.of_topic(partition.topic)[usize::from(shard.0)] += 1;
    }

    /// Forgets `partition`.
    pub fn remove(&mut self, partition: TopicIdPartition) {
        let Some(shard) = self.shards.remove(&partition) else { return };
        self.total[usize::from(shard.0)] -= 1;
        let counts = self.of_topic(partition.topic);
        counts[usize::from(shard.0)] -= 1;
        if counts.iter().all(|count| *count == 0) {
            self.by_topic.remove(&partition.topic);
        }
    }

    /// Gives `partition` a place if it has none, and tells it.
    pub fn place(&mut self, partition: TopicIdPartition) -> ShardId {
        if let Some(shard) = self.shard_of(partition) {
            return shard;
        }
        let of_topic = self.of_topic(partition.topic).clone();
        let best = (0..self.total.len()).min_by_key(|&shard| (of_topic[shard], self.total[shard]));
        let shard = ShardId(best.expect("a node has at least one shard") as u16);
        self.put(partition, shard);
        shard
    }

    /// How many partitions each shard has.
    pub fn totals(&self) -> &[usize] {
        &self.total
    }

    fn of_topic(&mut self, topic: TopicId) -> &mut Vec<usize> {
        let shards = self.total.len();
        self.by_topic.entry(topic).or_insert_with(|| vec![0; shards])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ailurus_model::PartitionId;

    fn partition(topic: u128, partition: i32) -> TopicIdPartition {
        TopicIdPartition { topic: TopicId(topic), partition: PartitionId(partition) }
    }

    #[test]
    fn a_topic_spreads_evenly_and_so_do_all() {
        let mut placement = Placement::new(3);
        for topic in 1..=4 {
            let mut counts = [0; 3];
            for number in 0..4 {
                counts[usize::from(placement.place(partition(topic, number)).0)] += 1;
            }
            counts.sort();
            assert_eq!(counts, [1, 1, 2]);
        }
        let mut totals = placement.totals().to_vec();
        totals.sort();
        assert_eq!(totals, [5, 5, 6]);
    }

    #[test]
    fn single_partition_topics_spread_too() {
        let mut placement = Placement::new(4);
        for topic in 1..=10 {
            placement.place(partition(topic, 0));
        }
        assert_eq!(placement.totals(), [3, 3, 2, 2]);
    }

    #[test]
    fn what_has_a_place_keeps_it_and_what_goes_leaves_room() {
        let mut placement = Placement::new(2);
        placement.put(partition(1, 0), ShardId(1));
        assert_eq!(placement.place(partition(1, 0)), ShardId(1));
        assert_eq!(placement.place(partition(1, 1)), ShardId(0));
        placement.remove(partition(1, 0));
        assert_eq!(placement.place(partition(1, 2)), ShardId(1));
    }
}
