//! Produce: the batches' CRCs are checked here, and the rest is up to the next group.

use ailurus_model::TopicId;
use ailurus_record::{BatchHeader, crc_ok};
use ailurus_wire::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use ailurus_wire::{ErrorCode, RequestHeader, Str};
use bytes::Bytes;
use std::rc::Rc;

use crate::answer::encoded;
use crate::connection::{Replies, Slot};
use crate::node::Node;
use crate::partition::Partition;

/// A request on its way to the disk.
pub(crate) struct Pending {
    pub(crate) batches: Vec<Accepted>,
    pub(crate) response: ProduceResponse,
    replies: Rc<Replies>,
    slot: Slot,
    correlation: i32,
    version: i16,
    silent: bool,
}

/// A batch that is right.
pub(crate) struct Accepted {
    pub(crate) partition: Rc<Partition>,
    pub(crate) bytes: Bytes,
    /// How many offsets it takes.
    pub(crate) count: i64,
    /// Which topic and which partition of the response it is.
    pub(crate) place: (usize, usize),
}

impl Pending {
    /// All is done: the answer may go.
    pub(crate) fn answer(self) {
        let parts = match self.silent {
            true => Vec::new(),
            false => encoded(self.correlation, self.version, &self.response),
        };
        self.replies.set(self.slot, parts);
    }
}

/// Checks a request and hands it to the next group.
pub(crate) fn produce(node: &Node, replies: &Rc<Replies>, slot: Slot, header: &RequestHeader, body: ProduceRequest) {
    let mut pending = Pending {
        batches: Vec::new(),
        response: ProduceResponse::default(),
        replies: replies.clone(),
        slot,
        correlation: header.correlation_id,
        version: header.api_version,
        silent: body.acks == 0,
    };
    for (at, topic) in body.topic_data.into_iter().enumerate() {
        let mut answers = Vec::with_capacity(topic.partition_data.len());
        for (place, data) in topic.partition_data.into_iter().enumerate() {
            let mut answer = PartitionProduceResponse { index: data.index, base_offset: -1, ..Default::default() };
            match accept(node, &topic.name, topic.topic_id, data) {
                Ok((partition, bytes, count)) => {
                    pending.batches.push(Accepted { partition, bytes, count, place: (at, place) });
                }
                Err(code) => answer.error_code = code,
            }
            answers.push(answer);
        }
        // The name in memory of its own: the frame goes home when its batches are copied.
        let (name, topic_id) = (topic.name.detached(), topic.topic_id);
        pending.response.responses.push(TopicProduceResponse { name, topic_id, partition_responses: answers });
    }
    match pending.batches.is_empty() {
        true => pending.answer(),
        false => node.commit.push(pending),
    }
}

fn accept(
    node: &Node,
    name: &Str,
    id: TopicId,
    data: PartitionProduceData,
) -> Result<(Rc<Partition>, Bytes, i64), ErrorCode> {
    let partition = node.partition(name, id, data.index)?;
    let bytes = data.records.ok_or(ErrorCode::InvalidRecord)?;
    if !crc_ok(&bytes) {
        return Err(ErrorCode::CorruptMessage);
    }
    let header = BatchHeader::parse(&bytes).map_err(|_| ErrorCode::CorruptMessage)?;
    let count = i64::from(header.last_offset_delta) + 1;
    (count > 0).then_some((partition, bytes, count)).ok_or(ErrorCode::InvalidRecord)
}
