//! Fetch: from memory, at once if there is enough, or when there is, or when its time is over.

use ailurus_base::sync::Notify;
use ailurus_rt::{self as rt, Group};
use ailurus_wire::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use ailurus_wire::{ErrorCode, Records, RequestHeader};
use std::rc::Rc;
use std::time::Duration;

use crate::answer::encoded;
use crate::connection::{Replies, Slot};
use crate::node::Node;
use crate::partition::Partition;

/// Answers now, or starts to wait. Every fetch is a whole one: sessions are not offered.
pub(crate) fn fetch(node: &Rc<Node>, replies: &Rc<Replies>, slot: Slot, header: &RequestHeader, body: FetchRequest) {
    let (correlation, version) = (header.correlation_id, header.api_version);
    let fetch = Fetch::new(node, body);
    let answer = fetch.read();
    if answer.is_enough || fetch.wait.is_zero() {
        return replies.set(slot, encoded(correlation, version, &answer.response));
    }
    let replies = replies.clone();
    let wait = async move {
        let answer = fetch.wait().await;
        replies.set(slot, encoded(correlation, version, &answer.response));
    };
    rt::spawn(Group::Kafka, wait).detach();
}

/// A request whose partitions have been looked up.
struct Fetch {
    body: FetchRequest,
    /// Those of each topic of the body.
    partitions: Vec<Vec<Result<Rc<Partition>, ErrorCode>>>,
    wait: Duration,
}

/// What there is to answer.
struct Answer {
    response: FetchResponse,
    /// As many bytes as were asked for, or something went wrong.
    is_enough: bool,
}

impl Fetch {
    fn new(node: &Node, body: FetchRequest) -> Fetch {
        let partitions = body.topics.iter().map(|topic| {
            let find = |asked: &ailurus_wire::fetch::FetchPartition| {
                node.partition(&topic.topic, topic.topic_id, asked.partition)
            };
            topic.partitions.iter().map(find).collect()
        });
        let partitions = partitions.collect();
        let wait = Duration::from_millis(u64::try_from(body.max_wait_ms).unwrap_or(0));
        Fetch { body, partitions, wait }
    }

    async fn wait(self) -> Answer {
        let deadline = rt::now() + self.wait;
        loop {
            let bell = Rc::new(Notify::new());
            let rung = bell.notified();
            for partition in self.partitions.iter().flatten().flatten() {
                partition.wait(&bell);
            }
            // Nothing is awaited between this look and the wait: what comes in between rings.
            let answer = self.read();
            if answer.is_enough || rt::timeout(deadline - rt::now(), rung).await.is_err() {
                return answer;
            }
        }
    }

    fn read(&self) -> Answer {
        let mut found = 0;
        let mut is_wrong = false;
        let mut responses = Vec::with_capacity(self.body.topics.len());
        for (topic, partitions) in self.body.topics.iter().zip(&self.partitions) {
            let mut answers = Vec::with_capacity(partitions.len());
            for (asked, partition) in topic.partitions.iter().zip(partitions) {
                let room = (self.body.max_bytes.max(0) as usize).saturating_sub(found);
                let most = room.min(asked.partition_max_bytes.max(0) as usize);
                let data = answer(asked.partition, asked.fetch_offset, partition, most, found == 0);
                found += data.records.as_ref().map_or(0, Records::len);
                is_wrong |= data.error_code.is_error();
                answers.push(data);
            }
            let (topic, topic_id) = (topic.topic.clone(), topic.topic_id);
            responses.push(FetchableTopicResponse { topic, topic_id, partitions: answers });
        }
        let is_enough = is_wrong || found >= self.body.min_bytes.max(0) as usize;
        Answer { response: FetchResponse { responses, ..Default::default() }, is_enough }
    }
}

fn answer(
    index: i32,
    offset: i64,
    partition: &Result<Rc<Partition>, ErrorCode>,
    most: usize,
    at_least_one: bool,
) -> PartitionData {
    let data = PartitionData { partition_index: index, records: Some(Records::new()), ..Default::default() };
    let partition = match partition {
        Ok(partition) => partition,
        Err(code) => return PartitionData { error_code: *code, high_watermark: -1, ..data },
    };
    let known = (partition.start()..=partition.end()).contains(&offset);
    let records = if known { partition.read(offset, most, at_least_one) } else { Vec::new() };
    PartitionData {
        error_code: if known { ErrorCode::None } else { ErrorCode::OffsetOutOfRange },
        high_watermark: partition.end(),
        last_stable_offset: partition.end(),
        log_start_offset: partition.start(),
        records: Some(Records::from(records)),
        ..data
    }
}
