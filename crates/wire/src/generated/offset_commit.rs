//! OffsetCommit (API 8), versions 2 to 10.
//!
//! Made by `cargo xtask codegen` from `messages/offset_commit.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, TopicId, WireError, Writer};

impl Message for OffsetCommitRequest {
    const API: ApiKey = ApiKey::OffsetCommit;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for OffsetCommitRequest {
    type Response = OffsetCommitResponse;
}

/// Commits offsets for a group.
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetCommitRequest {
    /// The group's id.
    pub group_id: Str,
    /// The generation (classic) or member epoch (KIP-848); -1 for commits outside a group.
    pub generation_id_or_member_epoch: i32,
    /// The member's id, given by the coordinator; empty on the first join.
    pub member_id: Str,
    /// The member's own lasting name (static membership, KIP-345), or null. (From version 7.)
    pub group_instance_id: Option<Str>,
    /// How long to keep the offsets, -1 for the broker's setting. (Up to version 4; else dropped.)
    pub retention_time_ms: i64,
    /// One entry per topic.
    pub topics: Vec<OffsetCommitRequestTopic>,
}

impl Default for OffsetCommitRequest {
    fn default() -> Self {
        Self {
            group_id: Str::new(),
            generation_id_or_member_epoch: -1,
            member_id: Str::new(),
            group_instance_id: None,
            retention_time_ms: -1,
            topics: Vec::new(),
        }
    }
}

impl OffsetCommitRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = r.str()?;
        m.generation_id_or_member_epoch = r.i32()?;
        m.member_id = r.str()?;
        if version >= 7 {
            m.group_instance_id = r.opt_str()?;
        }
        if version <= 4 {
            m.retention_time_ms = r.i64()?;
        }
        m.topics = r.array(1, |r| OffsetCommitRequestTopic::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.group_id);
        w.i32(self.generation_id_or_member_epoch);
        w.str(&self.member_id);
        if version >= 7 {
            w.opt_str(&self.group_instance_id);
        } else if self.group_instance_id.is_some() {
            w.not_in_version("OffsetCommitRequest.group_instance_id", version);
        }
        if version <= 4 {
            w.i64(self.retention_time_ms);
        }
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetCommitRequestTopic {
    /// The topic's name. (Up to version 9; else dropped.)
    pub name: Str,
    /// The topic's id. (From version 10; else dropped.)
    pub topic_id: TopicId,
    /// One entry per partition.
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

impl OffsetCommitRequestTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 9 {
            m.name = r.str()?;
        }
        if version >= 10 {
            m.topic_id = r.topic_id()?;
        }
        m.partitions = r.array(13, |r| OffsetCommitRequestPartition::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version <= 9 {
            w.str(&self.name);
        }
        if version >= 10 {
            w.topic_id(self.topic_id);
        }
        w.array(&self.partitions, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per partition.
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetCommitRequestPartition {
    /// The partition's number.
    pub partition_index: i32,
    /// The offset committed.
    pub committed_offset: i64,
    /// The leader epoch of the last record consumed, or -1. (From version 6; else dropped.)
    pub committed_leader_epoch: i32,
    /// Text that the client wanted kept beside the offset.
    pub committed_metadata: Option<Str>,
}

impl Default for OffsetCommitRequestPartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            committed_metadata: Some(Str::new()),
        }
    }
}

impl OffsetCommitRequestPartition {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.committed_offset = r.i64()?;
        if version >= 6 {
            m.committed_leader_epoch = r.i32()?;
        }
        m.committed_metadata = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        if version >= 6 {
            w.i32(self.committed_leader_epoch);
        }
        w.opt_str(&self.committed_metadata);
        w.tags(0);
    }
}

impl Message for OffsetCommitResponse {
    const API: ApiKey = ApiKey::OffsetCommit;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for OffsetCommitResponse {}

/// The answer to [`OffsetCommitRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetCommitResponse {
    /// How long the request was held back by a quota, in ms. (From version 3; else dropped.)
    pub throttle_time_ms: i32,
    /// One entry per topic.
    pub topics: Vec<OffsetCommitResponseTopic>,
}

impl OffsetCommitResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 3 {
            m.throttle_time_ms = r.i32()?;
        }
        m.topics = r.array(1, |r| OffsetCommitResponseTopic::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 3 {
            w.i32(self.throttle_time_ms);
        }
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetCommitResponseTopic {
    /// The topic's name. (Up to version 9; else dropped.)
    pub name: Str,
    /// The topic's id. (From version 10; else dropped.)
    pub topic_id: TopicId,
    /// One entry per partition.
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

impl OffsetCommitResponseTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 9 {
            m.name = r.str()?;
        }
        if version >= 10 {
            m.topic_id = r.topic_id()?;
        }
        m.partitions = r.array(6, |r| OffsetCommitResponsePartition::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version <= 9 {
            w.str(&self.name);
        }
        if version >= 10 {
            w.topic_id(self.topic_id);
        }
        w.array(&self.partitions, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per partition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetCommitResponsePartition {
    /// The partition's number.
    pub partition_index: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
}

impl OffsetCommitResponsePartition {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.partition_index);
        w.error_code(self.error_code);
        w.tags(0);
    }
}
