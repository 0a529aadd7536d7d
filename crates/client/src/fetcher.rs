//! Reading: one long-polling fetch per leader under way, records come as they come.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use ailurus_model::Offset;
use ailurus_record::{Batches, Limits, Record, records};
use ailurus_rt as rt;
use ailurus_wire::ErrorCode;
use ailurus_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData};
use bytes::Bytes;

use crate::error::check;
use crate::offsets::{TopicPartition, When};
use crate::{Client, ClientError, Target};

/// Why a connection is closed by us.
const LATE: &str = "a fetch was not answered";

/// Which records may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Isolation {
    /// All that is committed to the log, whatever becomes of its transaction.
    #[default]
    ReadUncommitted,
    /// Only what lies before the first open transaction. Records of aborted transactions are left out.
    ReadCommitted,
}

impl Isolation {
    pub(crate) fn level(self) -> i8 {
        match self {
            Isolation::ReadUncommitted => 0,
            Isolation::ReadCommitted => 1,
        }
    }
}

/// How a fetcher behaves.
#[derive(Clone, Debug)]
pub struct FetcherConfig {
    /// How long the broker may wait for `min_bytes`.
    pub max_wait: Duration,
    /// Answer as soon as there is this much.
    pub min_bytes: i32,
    /// At most this much per answer, one batch excepted.
    pub max_bytes: i32,
    /// At most this much per partition, one batch excepted.
    pub partition_max_bytes: i32,
    /// Which records may be seen.
    pub isolation: Isolation,
    /// Where to go on when a position is no longer in the log; `None`: that is an error.
    pub reset: Option<When>,
}

impl Default for FetcherConfig {
    fn default() -> Self {
        FetcherConfig {
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 50 << 20,
            partition_max_bytes: 1 << 20,
            isolation: Isolation::default(),
            reset: None,
        }
    }
}

/// What one partition gave.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Its records, in order, all at or behind the position; control records are left out.
    pub records: Vec<Record>,
    /// Where the next fetch begins.
    pub next: i64,
    /// Behind the last record that this isolation could read when the broker answered.
    pub end: i64,
}

/// Reads from a set of partitions, from a position each.
pub struct Fetcher {
    client: Client,
    config: FetcherConfig,
    positions: BTreeMap<TopicPartition, i64>,
    under_way: BTreeMap<i32, Fetch>,
}

/// One request under way, with the positions it asked from.
struct Fetch {
    asked: BTreeMap<TopicPartition, i64>,
    answer: Pin<Box<rt::Task<Result<FetchResponse, ClientError>>>>,
}

impl Fetcher {
    /// Reads nothing until it is given partitions.
    pub fn new(client: Client, config: FetcherConfig) -> Fetcher {
        Fetcher { client, config, positions: BTreeMap::new(), under_way: BTreeMap::new() }
    }

    /// Reads this partition too, or from elsewhere.
    pub fn seek(&mut self, topic: &str, partition: i32, offset: i64) {
        self.positions.insert((topic.to_owned(), partition), offset);
    }

    /// Reads this partition no more.
    pub fn drop_partition(&mut self, topic: &str, partition: i32) {
        self.positions.remove(&(topic.to_owned(), partition));
    }

    /// Reads nothing any more.
    pub fn clear(&mut self) {
        self.positions.clear();
    }

    /// Where each partition is read next.
    pub fn positions(&self) -> &BTreeMap<TopicPartition, i64> {
        &self.positions
    }

    /// Waits until some broker has answered; may be empty (nothing new within `max_wait`). Positions have moved past
    /// what is given. What may get better by itself is tried again until the client's timeout. A broker that does not
    /// answer in that time is hung up on and asked once more over a new connection: if it was this process that stood
    /// still (Ctrl-Z), all is well. Dropping the future loses nothing.
    pub async fn poll(&mut self) -> Result<Vec<Fetched>, ClientError> {
        if self.positions.is_empty() {
            return Ok(Vec::new());
        }
        let client = self.client.clone();
        match client.retry("fetching", async || self.poll_once().await).await {
            Err(ClientError::Timeout { last, .. })
                if last.as_deref().is_none_or(|last| matches!(last, ClientError::Lost { .. })) => {}
            outcome => return outcome,
        }
        for (node, _) in std::mem::take(&mut self.under_way) {
            client.hang_up(node, LATE);
        }
        client.retry("fetching", async || self.poll_once().await).await
    }

    async fn poll_once(&mut self) -> Result<Vec<Fetched>, ClientError> {
        self.ask().await?;
        let (node, asked, outcome) = self.next_answer().await;
        let response = outcome.map_err(|error| match error {
            // What the answer held is asked for again: positions move only past what was given.
            ClientError::Timeout { .. } => {
                self.client.hang_up(node, LATE);
                ClientError::Lost { peer: format!("broker {node}"), why: LATE.to_owned() }
            }
            error => error,
        })?;
        check(|| format!("fetching from broker {node}"), response.error_code, None)?;
        self.take(response, &asked).await
    }

    /// Sends a fetch to each leader that has none under way.
    async fn ask(&mut self) -> Result<(), ClientError> {
        let by_leader = self.client.by_leader(self.positions.keys()).await?;
        for (leader, partitions) in by_leader {
            if self.under_way.contains_key(&leader) {
                continue;
            }
            let asked: BTreeMap<_, _> =
                partitions.into_iter().map(|partition| (partition.clone(), self.positions[&partition])).collect();
            let request = self.request(&asked);
            let client = self.client.clone();
            // The broker answers within `max_wait`; the rest is for its queue and the network.
            let limit = self.config.max_wait + client.config().timeout;
            let answer = rt::spawn(rt::Group::Fetch, async move {
                // Up to version 12 topics go by name.
                let call = client.call_in(Target::Node(leader), 4..=12, &request);
                let what = || format!("a fetch from broker {leader}");
                let late = |_| ClientError::Timeout { what: what(), after: limit, last: None };
                rt::timeout(limit, call).await.map_err(late)?
            });
            self.under_way.insert(leader, Fetch { asked, answer: Box::pin(answer) });
        }
        Ok(())
    }

    fn request(&self, asked: &BTreeMap<TopicPartition, i64>) -> FetchRequest {
        let mut topics: BTreeMap<&str, Vec<FetchPartition>> = BTreeMap::new();
        for ((topic, partition), offset) in asked {
            topics.entry(topic).or_default().push(FetchPartition {
                partition: *partition,
                fetch_offset: *offset,
                partition_max_bytes: self.config.partition_max_bytes,
                ..Default::default()
            });
        }
        let topic = |(name, partitions): (&str, _)| FetchTopic { topic: name.into(), partitions, ..Default::default() };
        FetchRequest {
            max_wait_ms: self.config.max_wait.as_millis() as i32,
            min_bytes: self.config.min_bytes,
            max_bytes: self.config.max_bytes,
            isolation_level: self.config.isolation.level(),
            topics: topics.into_iter().map(topic).collect(),
            ..Default::default()
        }
    }

    async fn next_answer(&mut self) -> (i32, BTreeMap<TopicPartition, i64>, Result<FetchResponse, ClientError>) {
        let (node, outcome) = poll_fn(|cx| {
            for (node, fetch) in &mut self.under_way {
                if let Poll::Ready(outcome) = fetch.answer.as_mut().poll(cx) {
                    return Poll::Ready((*node, outcome));
                }
            }
            Poll::Pending
        })
        .await;
        let fetch = self.under_way.remove(&node).expect("it was there a moment ago");
        (node, fetch.asked, outcome)
    }

    async fn take(
        &mut self,
        response: FetchResponse,
        asked: &BTreeMap<TopicPartition, i64>,
    ) -> Result<Vec<Fetched>, ClientError> {
        let mut fetched = Vec::new();
        let mut failure = None;
        for topic in response.responses {
            for data in topic.partitions {
                let partition = (topic.topic.to_string(), data.partition_index);
                // Positions that were moved in the meantime have no use for this answer.
                let Some(from) = asked.get(&partition).filter(|from| self.positions.get(&partition) == Some(from))
                else {
                    continue;
                };
                match self.take_partition(&partition, *from, data).await {
                    Ok(Some(found)) => fetched.push(found),
                    Ok(None) => {}
                    Err(error) => failure = Some(error),
                }
            }
        }
        // What was read is given first; whatever failed fails again at the next poll.
        match failure {
            Some(error) if fetched.is_empty() => Err(error),
            Some(error) => {
                self.client.distrust(&error);
                Ok(fetched)
            }
            None => Ok(fetched),
        }
    }

    async fn take_partition(
        &mut self,
        partition: &TopicPartition,
        from: i64,
        data: PartitionData,
    ) -> Result<Option<Fetched>, ClientError> {
        let what = || format!("{} partition {} at offset {from}", partition.0, partition.1);
        if let (ErrorCode::OffsetOutOfRange, Some(reset)) = (data.error_code, self.config.reset) {
            let isolation = self.config.isolation;
            let found = self.client.list_offsets(std::slice::from_ref(partition), reset, isolation).await?;
            self.positions.insert(partition.clone(), found[partition].offset);
            return Ok(None);
        }
        check(what, data.error_code, None)?;
        let bytes = data.records.as_ref().map(ailurus_wire::Records::to_bytes).unwrap_or_default();
        let aborted = aborted_ranges(&data);
        let (records, next) =
            decode(&bytes, from, &aborted).map_err(|error| ClientError::Damaged { what: what(), error })?;
        self.positions.insert(partition.clone(), next);
        let end = match self.config.isolation {
            Isolation::ReadUncommitted => data.high_watermark,
            Isolation::ReadCommitted => data.last_stable_offset,
        };
        let (topic, partition) = partition.clone();
        Ok(Some(Fetched { topic, partition, records, next, end }))
    }
}

/// Producer ids with the offset from which on their records are aborted, until their next marker.
fn aborted_ranges(data: &PartitionData) -> Vec<(i64, i64)> {
    data.aborted_transactions.iter().flatten().map(|aborted| (aborted.producer_id, aborted.first_offset)).collect()
}

/// The records at or behind `from`, and where to go on.
fn decode(bytes: &Bytes, from: i64, aborted: &[(i64, i64)]) -> Result<(Vec<Record>, i64), ailurus_record::RecordError> {
    let mut found = Vec::new();
    let mut next = from;
    let mut aborted: Vec<(i64, i64)> = aborted.to_vec();
    for batch in Batches::new(bytes) {
        let (header, batch) = batch?;
        next = next.max(header.next_offset().0);
        let first = header.base_offset;
        let is_aborted = |aborted: &[(i64, i64)]| {
            aborted.iter().any(|(producer, since)| *producer == header.producer_id && *since <= first)
        };
        if header.is_control() {
            // A marker ends the producer's transaction, and with it the range.
            aborted.retain(|(producer, since)| *producer != header.producer_id || *since > first);
            continue;
        }
        if header.is_transactional() && is_aborted(&aborted) {
            continue;
        }
        for record in records(&bytes.slice_ref(batch), &Limits::STORED)? {
            let record = record?;
            if record.offset >= Offset(from) {
                found.push(record);
            }
        }
    }
    Ok((found, next))
}

#[cfg(test)]
mod tests {
    use ailurus_model::Term;
    use ailurus_record::{BatchBuilder, Codec};

    use super::*;

    fn batch(base: i64, values: &[&str], shape: impl Fn(BatchBuilder) -> BatchBuilder) -> Vec<u8> {
        let mut builder = shape(BatchBuilder::new().codec(Codec::None).at(Offset(base), Term(0)));
        for value in values {
            builder.push(1, None, Some(value.as_bytes()), &[]);
        }
        builder.build().to_vec()
    }

    fn values(bytes: Vec<u8>, from: i64, aborted: &[(i64, i64)]) -> (Vec<String>, i64) {
        let (records, next) = decode(&bytes.into(), from, aborted).unwrap();
        let text = |record: &Record| String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
        (records.iter().map(text).collect(), next)
    }

    #[test]
    fn records_before_the_position_and_cut_batches_are_left_out() {
        let mut bytes = [batch(10, &["a", "b", "c"], |b| b), batch(13, &["d"], |b| b)].concat();
        assert_eq!(values(bytes.clone(), 11, &[]), (vec!["b".into(), "c".into(), "d".into()], 14));
        bytes.truncate(bytes.len() - 1);
        assert_eq!(values(bytes, 11, &[]), (vec!["b".into(), "c".into()], 13));
        assert_eq!(values(Vec::new(), 11, &[]), (vec![], 11));
    }

    #[test]
    fn aborted_transactions_and_markers_are_left_out() {
        let of = |id| move |b: BatchBuilder| b.producer(id, 0, 0).transactional();
        let bytes = [
            batch(0, &["aborted"], of(7)),
            batch(1, &["kept"], of(8)),
            batch(2, &["marker"], |b| b.producer(7, 0, -1).transactional().control()),
            batch(3, &["second try"], of(7)),
        ]
        .concat();
        assert_eq!(values(bytes, 0, &[(7, 0)]), (vec!["kept".into(), "second try".into()], 4));
    }
}
