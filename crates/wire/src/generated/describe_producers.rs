//! DescribeProducers (API 61), versions 0 to 0.
//!
//! Made by `cargo xtask codegen` from `messages/describe_producers.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for DescribeProducersRequest {
    const API: ApiKey = ApiKey::DescribeProducers;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DescribeProducersRequest {
    type Response = DescribeProducersResponse;
}

/// The producers that partitions remember.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeProducersRequest {
    /// One entry per topic.
    pub topics: Vec<TopicRequest>,
}

impl DescribeProducersRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topics = r.array(2, |r| TopicRequest::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicRequest {
    /// The topic's name.
    pub name: Str,
    /// Which partitions.
    pub partition_indexes: Vec<i32>,
}

impl TopicRequest {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.partition_indexes = r.array(4, |r| r.i32())?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.array(&self.partition_indexes, |w, x| w.i32(*x));
        w.tags(0);
    }
}

impl Message for DescribeProducersResponse {
    const API: ApiKey = ApiKey::DescribeProducers;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DescribeProducersResponse {}

/// The answer to [`DescribeProducersRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeProducersResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One entry per topic.
    pub topics: Vec<TopicResponse>,
}

impl DescribeProducersResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.topics = r.array(2, |r| TopicResponse::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicResponse {
    /// The topic's name.
    pub name: Str,
    /// One entry per partition.
    pub partitions: Vec<PartitionResponse>,
}

impl TopicResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.partitions = r.array(8, |r| PartitionResponse::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.name);
        w.array(&self.partitions, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per partition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PartitionResponse {
    /// The partition's number.
    pub partition_index: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
    /// The producers that wrote lately.
    pub active_producers: Vec<ProducerState>,
}

impl PartitionResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        m.active_producers = r.array(36, |r| ProducerState::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.partition_index);
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.array(&self.active_producers, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The producers that wrote lately.
#[derive(Debug, Clone, PartialEq)]
pub struct ProducerState {
    /// The producer id, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i32,
    /// The last sequence number.
    pub last_sequence: i32,
    /// The last timestamp.
    pub last_timestamp: i64,
    /// The epoch of the transaction coordinator that last wrote a marker.
    pub coordinator_epoch: i32,
    /// Where the open transaction begins, or -1.
    pub current_txn_start_offset: i64,
}

impl Default for ProducerState {
    fn default() -> Self {
        Self {
            producer_id: 0,
            producer_epoch: 0,
            last_sequence: -1,
            last_timestamp: -1,
            coordinator_epoch: 0,
            current_txn_start_offset: -1,
        }
    }
}

impl ProducerState {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.producer_id = r.i64()?;
        m.producer_epoch = r.i32()?;
        m.last_sequence = r.i32()?;
        m.last_timestamp = r.i64()?;
        m.coordinator_epoch = r.i32()?;
        m.current_txn_start_offset = r.i64()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i64(self.producer_id);
        w.i32(self.producer_epoch);
        w.i32(self.last_sequence);
        w.i64(self.last_timestamp);
        w.i32(self.coordinator_epoch);
        w.i64(self.current_txn_start_offset);
        w.tags(0);
    }
}
