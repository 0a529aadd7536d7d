//! Produce (API 0), versions 3 to 13.
//!
//! Made by `cargo xtask codegen` from `messages/produce.txt`.

use bytes::Bytes;

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, TopicId, WireError, Writer};

impl Message for ProduceRequest {
    const API: ApiKey = ApiKey::Produce;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for ProduceRequest {
    type Response = ProduceResponse;
}

/// Appends record batches to partitions. Minimum 0 is advertised although 0 to 2 are refused: librdkafka up to
/// 2.11.0 stops compressing otherwise (KAFKA-18659).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProduceRequest {
    /// The transactional id, or null outside transactions.
    pub transactional_id: Option<Str>,
    /// -1 = all in-sync replicas, 1 = the leader, 0 = no answer at all.
    pub acks: i16,
    /// How long the broker may take, in ms.
    pub timeout_ms: i32,
    /// The batches, by topic.
    pub topic_data: Vec<TopicProduceData>,
}

impl ProduceRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_id = r.opt_str()?;
        m.acks = r.i16()?;
        m.timeout_ms = r.i32()?;
        m.topic_data = r.array(1, |r| TopicProduceData::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.opt_str(&self.transactional_id);
        w.i16(self.acks);
        w.i32(self.timeout_ms);
        w.array(&self.topic_data, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The batches, by topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicProduceData {
    /// The topic's name. (Up to version 12; else dropped.)
    pub name: Str,
    /// The topic's id. (From version 13; else dropped.)
    pub topic_id: TopicId,
    /// The batches, by partition.
    pub partition_data: Vec<PartitionProduceData>,
}

impl TopicProduceData {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 12 {
            m.name = r.str()?;
        }
        if version >= 13 {
            m.topic_id = r.topic_id()?;
        }
        m.partition_data = r.array(5, |r| PartitionProduceData::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version <= 12 {
            w.str(&self.name);
        }
        if version >= 13 {
            w.topic_id(self.topic_id);
        }
        w.array(&self.partition_data, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The batches, by partition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PartitionProduceData {
    /// The partition's number.
    pub index: i32,
    /// One record batch of format 2, as a slice of the frame.
    pub records: Option<Bytes>,
}

impl PartitionProduceData {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.index = r.i32()?;
        m.records = r.opt_bytes()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.index);
        w.opt_record_bytes(&self.records);
        w.tags(0);
    }
}

impl Message for ProduceResponse {
    const API: ApiKey = ApiKey::Produce;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for ProduceResponse {}

/// The answer to [`ProduceRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProduceResponse {
    /// One result per thing asked for.
    pub responses: Vec<TopicProduceResponse>,
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// The addresses of the leaders named above (KIP-951). (From version 10; else dropped.)
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl ProduceResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.responses = r.array(1, |r| TopicProduceResponse::read_fields(r, version))?;
        m.throttle_time_ms = r.i32()?;
        let mut tags = r.tags()?;
        while let Some(tag) = tags.next(r)? {
            match tag {
                0 if version >= 10 => m.node_endpoints = r.array(10, |r| NodeEndpoint::read_fields(r, version))?,
                _ => tags.skip(r),
            }
        }
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.responses, |w, x| x.write_fields(w, version));
        w.i32(self.throttle_time_ms);
        let tag0 = version >= 10 && !self.node_endpoints.is_empty();
        w.tags(u32::from(tag0));
        if tag0 {
            w.tag(0, |w| {
                w.array(&self.node_endpoints, |w, x| x.write_fields(w, version));
            });
        }
    }
}

/// One result per thing asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicProduceResponse {
    /// The topic's name. (Up to version 12; else dropped.)
    pub name: Str,
    /// The topic's id. (From version 13; else dropped.)
    pub topic_id: TopicId,
    /// One result per partition.
    pub partition_responses: Vec<PartitionProduceResponse>,
}

impl TopicProduceResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 12 {
            m.name = r.str()?;
        }
        if version >= 13 {
            m.topic_id = r.topic_id()?;
        }
        m.partition_responses = r.array(22, |r| PartitionProduceResponse::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version <= 12 {
            w.str(&self.name);
        }
        if version >= 13 {
            w.topic_id(self.topic_id);
        }
        w.array(&self.partition_responses, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One result per partition.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionProduceResponse {
    /// The partition's number.
    pub index: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The offset that the batch's first record got; of a duplicate, the one it got then.
    pub base_offset: i64,
    /// The broker's timestamp under LogAppendTime, else -1.
    pub log_append_time_ms: i64,
    /// The first offset still there, or -1 if unknown. (From version 5; else dropped.)
    pub log_start_offset: i64,
    /// Which records made the broker refuse the batch. (From version 8; else dropped.)
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    /// What went wrong, for people; null if nothing did. (From version 8; else dropped.)
    pub error_message: Option<Str>,
    /// With NOT_LEADER_OR_FOLLOWER: where to go (KIP-951). (From version 10; else dropped.)
    pub current_leader: LeaderIdAndEpoch,
}

impl Default for PartitionProduceResponse {
    fn default() -> Self {
        Self {
            index: 0,
            error_code: ErrorCode::None,
            base_offset: 0,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: LeaderIdAndEpoch::default(),
        }
    }
}

impl PartitionProduceResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.index = r.i32()?;
        m.error_code = r.error_code()?;
        m.base_offset = r.i64()?;
        m.log_append_time_ms = r.i64()?;
        if version >= 5 {
            m.log_start_offset = r.i64()?;
        }
        if version >= 8 {
            m.record_errors = r.array(5, |r| BatchIndexAndErrorMessage::read_fields(r, version))?;
            m.error_message = r.opt_str()?;
        }
        let mut tags = r.tags()?;
        while let Some(tag) = tags.next(r)? {
            match tag {
                0 if version >= 10 => m.current_leader = LeaderIdAndEpoch::read_fields(r, version)?,
                _ => tags.skip(r),
            }
        }
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.index);
        w.error_code(self.error_code);
        w.i64(self.base_offset);
        w.i64(self.log_append_time_ms);
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        if version >= 8 {
            w.array(&self.record_errors, |w, x| x.write_fields(w, version));
        }
        if version >= 8 {
            w.opt_str(&self.error_message);
        }
        let tag0 = version >= 10 && self.current_leader != LeaderIdAndEpoch::default();
        w.tags(u32::from(tag0));
        if tag0 {
            w.tag(0, |w| {
                self.current_leader.write_fields(w, version);
            });
        }
    }
}

/// Which records made the broker refuse the batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BatchIndexAndErrorMessage {
    /// The record's place in its batch.
    pub batch_index: i32,
    /// Why it was refused, for people.
    pub batch_index_error_message: Option<Str>,
}

impl BatchIndexAndErrorMessage {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.batch_index = r.i32()?;
        m.batch_index_error_message = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.batch_index);
        w.opt_str(&self.batch_index_error_message);
        w.tags(0);
    }
}

/// With NOT_LEADER_OR_FOLLOWER: where to go (KIP-951).
#[derive(Debug, Clone, PartialEq)]
pub struct LeaderIdAndEpoch {
    /// The leader's node id, or -1.
    pub leader_id: i32,
    /// The leader epoch, or -1 if unknown.
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1 }
    }
}

impl LeaderIdAndEpoch {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.leader_id = r.i32()?;
        m.leader_epoch = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.tags(0);
    }
}

/// The addresses of the leaders named above (KIP-951).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeEndpoint {
    /// The broker's node id.
    pub node_id: i32,
    /// Where the broker can be dialled: host name or address.
    pub host: Str,
    /// Where the broker can be dialled: port.
    pub port: i32,
    /// The broker's rack, or null.
    pub rack: Option<Str>,
}

impl NodeEndpoint {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.node_id = r.i32()?;
        m.host = r.str()?;
        m.port = r.i32()?;
        m.rack = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.node_id);
        w.str(&self.host);
        w.i32(self.port);
        w.opt_str(&self.rack);
        w.tags(0);
    }
}
