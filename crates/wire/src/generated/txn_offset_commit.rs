//! TxnOffsetCommit (API 28), versions 0 to 5.
//!
//! Made by `cargo xtask codegen` from `messages/txn_offset_commit.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for TxnOffsetCommitRequest {
    const API: ApiKey = ApiKey::TxnOffsetCommit;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for TxnOffsetCommitRequest {
    type Response = TxnOffsetCommitResponse;
}

/// Commits offsets for a group as part of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct TxnOffsetCommitRequest {
    /// The transactional id.
    pub transactional_id: Str,
    /// The group's id.
    pub group_id: Str,
    /// The producer id, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// The group's generation, as the member knows it. (From version 3.)
    pub generation_id: i32,
    /// The member's id, given by the coordinator; empty on the first join. (From version 3.)
    pub member_id: Str,
    /// The member's own lasting name (static membership, KIP-345), or null. (From version 3.)
    pub group_instance_id: Option<Str>,
    /// One entry per topic.
    pub topics: Vec<TxnOffsetCommitRequestTopic>,
}

impl Default for TxnOffsetCommitRequest {
    fn default() -> Self {
        Self {
            transactional_id: Str::new(),
            group_id: Str::new(),
            producer_id: 0,
            producer_epoch: 0,
            generation_id: -1,
            member_id: Str::new(),
            group_instance_id: None,
            topics: Vec::new(),
        }
    }
}

impl TxnOffsetCommitRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_id = r.str()?;
        m.group_id = r.str()?;
        m.producer_id = r.i64()?;
        m.producer_epoch = r.i16()?;
        if version >= 3 {
            m.generation_id = r.i32()?;
            m.member_id = r.str()?;
            m.group_instance_id = r.opt_str()?;
        }
        m.topics = r.array(2, |r| TxnOffsetCommitRequestTopic::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.transactional_id);
        w.str(&self.group_id);
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        if version >= 3 {
            w.i32(self.generation_id);
        } else if self.generation_id != -1 {
            w.not_in_version("TxnOffsetCommitRequest.generation_id", version);
        }
        if version >= 3 {
            w.str(&self.member_id);
        } else if !self.member_id.is_empty() {
            w.not_in_version("TxnOffsetCommitRequest.member_id", version);
        }
        if version >= 3 {
            w.opt_str(&self.group_instance_id);
        } else if self.group_instance_id.is_some() {
            w.not_in_version("TxnOffsetCommitRequest.group_instance_id", version);
        }
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TxnOffsetCommitRequestTopic {
    /// The topic's name.
    pub name: Str,
    /// One entry per partition.
    pub partitions: Vec<TxnOffsetCommitRequestPartition>,
}

impl TxnOffsetCommitRequestTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.partitions = r.array(13, |r| TxnOffsetCommitRequestPartition::read_fields(r, version))?;
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
pub struct TxnOffsetCommitRequestPartition {
    /// The partition's number.
    pub partition_index: i32,
    /// The offset committed.
    pub committed_offset: i64,
    /// The leader epoch of the last record consumed, or -1. (From version 2; else dropped.)
    pub committed_leader_epoch: i32,
    /// Text that the client wanted kept beside the offset.
    pub committed_metadata: Option<Str>,
}

impl Default for TxnOffsetCommitRequestPartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            committed_metadata: Some(Str::new()),
        }
    }
}

impl TxnOffsetCommitRequestPartition {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.committed_offset = r.i64()?;
        if version >= 2 {
            m.committed_leader_epoch = r.i32()?;
        }
        m.committed_metadata = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        if version >= 2 {
            w.i32(self.committed_leader_epoch);
        }
        w.opt_str(&self.committed_metadata);
        w.tags(0);
    }
}

impl Message for TxnOffsetCommitResponse {
    const API: ApiKey = ApiKey::TxnOffsetCommit;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for TxnOffsetCommitResponse {}

/// The answer to [`TxnOffsetCommitRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TxnOffsetCommitResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One entry per topic.
    pub topics: Vec<TxnOffsetCommitResponseTopic>,
}

impl TxnOffsetCommitResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.topics = r.array(2, |r| TxnOffsetCommitResponseTopic::read_fields(r, version))?;
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
pub struct TxnOffsetCommitResponseTopic {
    /// The topic's name.
    pub name: Str,
    /// One entry per partition.
    pub partitions: Vec<TxnOffsetCommitResponsePartition>,
}

impl TxnOffsetCommitResponseTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.partitions = r.array(6, |r| TxnOffsetCommitResponsePartition::read_fields(r, version))?;
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
pub struct TxnOffsetCommitResponsePartition {
    /// The partition's number.
    pub partition_index: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
}

impl TxnOffsetCommitResponsePartition {
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
