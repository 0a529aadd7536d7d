//! ListOffsets: where partitions begin and end, and which record is at a time.

use std::collections::BTreeMap;

use ailurus_wire::ApiKey;
use ailurus_wire::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic};

use crate::client::incomplete;
use crate::error::check;
use crate::{Client, ClientError, Isolation, Target};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The first offset that is still there.
    Earliest,
    /// Behind the last record that this isolation may read.
    Latest,
    /// The first record with this timestamp (milliseconds since 1970) or a later one.
    Time(i64),
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
}

impl When {
    fn timestamp(self) -> i64 {
        match self {
            When::Latest => -1,
            When::Earliest => -2,
            When::MaxTimestamp => -3,
            When::Time(timestamp) => timestamp.max(0),
        }
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset; -1 if no record is that young.
    pub offset: i64,
    /// The record's timestamp; -1 for `Earliest` and `Latest`.
    pub timestamp: i64,
}

/// A partition by name.
pub type TopicPartition = (String, i32);

impl Client {
    /// Looks in all these partitions, each at its leader; answers come by topic and partition.
    pub async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        when: When,
        isolation: Isolation,
    ) -> Result<BTreeMap<TopicPartition, FoundOffset>, ClientError> {
        let mut found = BTreeMap::new();
        self.retry("listing offsets", async || {
            let missing = partitions.iter().filter(|partition| !found.contains_key(*partition));
            for (leader, wanted) in self.by_leader(missing).await? {
                let request = request(&wanted, when, isolation);
                let response = self.call_in(Target::Node(leader), 1..=9, &request).await?;
                take(response, &mut found)?;
            }
            Ok(())
        })
        .await?;
        match partitions.iter().find(|partition| !found.contains_key(*partition)) {
            None => Ok(found),
            Some((topic, partition)) => Err(incomplete(ApiKey::ListOffsets, &format!("{topic} partition {partition}"))),
        }
    }

    /// Sorts partitions by the node that leads them.
    pub(crate) async fn by_leader<'a>(
        &self,
        partitions: impl Iterator<Item = &'a TopicPartition>,
    ) -> Result<BTreeMap<i32, Vec<TopicPartition>>, ClientError> {
        let mut by_leader: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        for (topic, partition) in partitions {
            let (leader, _) = self.leader(topic, *partition).await?;
            by_leader.entry(leader).or_default().push((topic.clone(), *partition));
        }
        Ok(by_leader)
    }
}

fn request(wanted: &[TopicPartition], when: When, isolation: Isolation) -> ListOffsetsRequest {
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for (topic, partition) in wanted {
        let timestamp = when.timestamp();
        let asked = ListOffsetsPartition { partition_index: *partition, timestamp, ..Default::default() };
        topics.entry(topic).or_default().push(asked);
    }
    let topics = topics.into_iter().map(|(name, partitions)| ListOffsetsTopic { name: name.into(), partitions });
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level: isolation.level(),
        topics: topics.collect(),
        ..Default::default()
    }
}

fn take(response: ListOffsetsResponse, found: &mut BTreeMap<TopicPartition, FoundOffset>) -> Result<(), ClientError> {
    for topic in response.topics {
        for answer in topic.partitions {
            let what = || format!("{} partition {}", topic.name, answer.partition_index);
            check(what, answer.error_code, None)?;
            let place = FoundOffset { offset: answer.offset, timestamp: answer.timestamp };
            found.insert((topic.name.to_string(), answer.partition_index), place);
        }
    }
    Ok(())
}
