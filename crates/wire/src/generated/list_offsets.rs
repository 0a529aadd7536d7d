//! ListOffsets (API 2), versions 1 to 11.
//!
//! Made by `cargo xtask codegen` from `messages/list_offsets.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for ListOffsetsRequest {
    const API: ApiKey = ApiKey::ListOffsets;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for ListOffsetsRequest {
    type Response = ListOffsetsResponse;
}

/// Finds offsets by time, or the ends of a partition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListOffsetsRequest {
    /// The asking broker, -1 for clients, -2 for debugging clients.
    pub replica_id: i32,
    /// 0 = read_uncommitted, 1 = read_committed. (From version 2.)
    pub isolation_level: i8,
    /// One entry per topic.
    pub topics: Vec<ListOffsetsTopic>,
    /// How long to wait for tiered storage. (From version 10; else dropped.)
    pub timeout_ms: i32,
}

impl ListOffsetsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.replica_id = r.i32()?;
        if version >= 2 {
            m.isolation_level = r.i8()?;
        }
        m.topics = r.array(2, |r| ListOffsetsTopic::read_fields(r, version))?;
        if version >= 10 {
            m.timeout_ms = r.i32()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.replica_id);
        if version >= 2 {
            w.i8(self.isolation_level);
        } else if self.isolation_level != 0 {
            w.not_in_version("ListOffsetsRequest.isolation_level", version);
        }
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        if version >= 10 {
            w.i32(self.timeout_ms);
        }
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListOffsetsTopic {
    /// The topic's name.
    pub name: Str,
    /// One entry per partition.
    pub partitions: Vec<ListOffsetsPartition>,
}

impl ListOffsetsTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.partitions = r.array(12, |r| ListOffsetsPartition::read_fields(r, version))?;
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
#[derive(Debug, Clone, PartialEq)]
pub struct ListOffsetsPartition {
    /// The partition's number.
    pub partition_index: i32,
    /// The leader epoch that the client knows; -1 skips the check (KIP-320). (From version 4; else dropped.)
    pub current_leader_epoch: i32,
    /// In ms, or -1 = latest, -2 = earliest, -3 = of the greatest timestamp, -4 = earliest local, -5 = last tiered,
    /// -6 = earliest to be tiered.
    pub timestamp: i64,
}

impl Default for ListOffsetsPartition {
    fn default() -> Self {
        Self { partition_index: 0, current_leader_epoch: -1, timestamp: 0 }
    }
}

impl ListOffsetsPartition {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        if version >= 4 {
            m.current_leader_epoch = r.i32()?;
        }
        m.timestamp = r.i64()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.partition_index);
        if version >= 4 {
            w.i32(self.current_leader_epoch);
        }
        w.i64(self.timestamp);
        w.tags(0);
    }
}

impl Message for ListOffsetsResponse {
    const API: ApiKey = ApiKey::ListOffsets;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for ListOffsetsResponse {}

/// The answer to [`ListOffsetsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListOffsetsResponse {
    /// How long the request was held back by a quota, in ms. (From version 2; else dropped.)
    pub throttle_time_ms: i32,
    /// One entry per topic.
    pub topics: Vec<ListOffsetsTopicResponse>,
}

impl ListOffsetsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 2 {
            m.throttle_time_ms = r.i32()?;
        }
        m.topics = r.array(2, |r| ListOffsetsTopicResponse::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 2 {
            w.i32(self.throttle_time_ms);
        }
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListOffsetsTopicResponse {
    /// The topic's name.
    pub name: Str,
    /// One entry per partition.
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

impl ListOffsetsTopicResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.partitions = r.array(22, |r| ListOffsetsPartitionResponse::read_fields(r, version))?;
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
#[derive(Debug, Clone, PartialEq)]
pub struct ListOffsetsPartitionResponse {
    /// The partition's number.
    pub partition_index: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The timestamp of that record, or -1.
    pub timestamp: i64,
    /// The offset, or -1 if there is none.
    pub offset: i64,
    /// The leader epoch, or -1 if unknown. (From version 4.)
    pub leader_epoch: i32,
}

impl Default for ListOffsetsPartitionResponse {
    fn default() -> Self {
        Self { partition_index: 0, error_code: ErrorCode::None, timestamp: -1, offset: -1, leader_epoch: -1 }
    }
}

impl ListOffsetsPartitionResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.error_code = r.error_code()?;
        m.timestamp = r.i64()?;
        m.offset = r.i64()?;
        if version >= 4 {
            m.leader_epoch = r.i32()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.partition_index);
        w.error_code(self.error_code);
        w.i64(self.timestamp);
        w.i64(self.offset);
        if version >= 4 {
            w.i32(self.leader_epoch);
        } else if self.leader_epoch != -1 {
            w.not_in_version("ListOffsetsPartitionResponse.leader_epoch", version);
        }
        w.tags(0);
    }
}
