//! DeleteRecords (API 21), versions 0 to 2.
//!
//! Made by `cargo xtask codegen` from `messages/delete_records.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for DeleteRecordsRequest {
    const API: ApiKey = ApiKey::DeleteRecords;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DeleteRecordsRequest {
    type Response = DeleteRecordsResponse;
}

/// Moves the log start of partitions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsRequest {
    /// One entry per topic.
    pub topics: Vec<DeleteRecordsTopic>,
    /// How long the broker may take, in ms.
    pub timeout_ms: i32,
}

impl DeleteRecordsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topics = r.array(2, |r| DeleteRecordsTopic::read_fields(r, version))?;
        m.timeout_ms = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        w.i32(self.timeout_ms);
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsTopic {
    /// The topic's name.
    pub name: Str,
    /// One entry per partition.
    pub partitions: Vec<DeleteRecordsPartition>,
}

impl DeleteRecordsTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.partitions = r.array(12, |r| DeleteRecordsPartition::read_fields(r, version))?;
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
pub struct DeleteRecordsPartition {
    /// The partition's number.
    pub partition_index: i32,
    /// The new log start; -1 = the high watermark.
    pub offset: i64,
}

impl DeleteRecordsPartition {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.offset = r.i64()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.partition_index);
        w.i64(self.offset);
        w.tags(0);
    }
}

impl Message for DeleteRecordsResponse {
    const API: ApiKey = ApiKey::DeleteRecords;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DeleteRecordsResponse {}

/// The answer to [`DeleteRecordsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One entry per topic.
    pub topics: Vec<DeleteRecordsTopicResult>,
}

impl DeleteRecordsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.topics = r.array(2, |r| DeleteRecordsTopicResult::read_fields(r, version))?;
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
pub struct DeleteRecordsTopicResult {
    /// The topic's name.
    pub name: Str,
    /// One entry per partition.
    pub partitions: Vec<DeleteRecordsPartitionResult>,
}

impl DeleteRecordsTopicResult {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.partitions = r.array(14, |r| DeleteRecordsPartitionResult::read_fields(r, version))?;
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
pub struct DeleteRecordsPartitionResult {
    /// The partition's number.
    pub partition_index: i32,
    /// The log start of the replica that is furthest behind, or -1.
    pub low_watermark: i64,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
}

impl DeleteRecordsPartitionResult {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.low_watermark = r.i64()?;
        m.error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.partition_index);
        w.i64(self.low_watermark);
        w.error_code(self.error_code);
        w.tags(0);
    }
}
