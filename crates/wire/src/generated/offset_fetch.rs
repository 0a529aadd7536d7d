//! OffsetFetch (API 9), versions 1 to 10.
//!
//! Made by `cargo xtask codegen` from `messages/offset_fetch.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, TopicId, WireError, Writer};

impl Message for OffsetFetchRequest {
    const API: ApiKey = ApiKey::OffsetFetch;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for OffsetFetchRequest {
    type Response = OffsetFetchResponse;
}

/// Reads the committed offsets of one group (to version 7) or several (from 8).
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetFetchRequest {
    /// The group's id. (Up to version 7.)
    pub group_id: Str,
    /// Which topics; null = all. (Up to version 7.)
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
    /// One entry per group. (From version 8.)
    pub groups: Vec<OffsetFetchRequestGroup>,
    /// Answer UNSTABLE_OFFSET_COMMIT while a transaction is open on the offset. (From version 7.)
    pub require_stable: bool,
}

impl Default for OffsetFetchRequest {
    fn default() -> Self {
        Self { group_id: Str::new(), topics: Some(Vec::new()), groups: Vec::new(), require_stable: false }
    }
}

impl OffsetFetchRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 7 {
            m.group_id = r.str()?;
            m.topics = if version >= 2 {
                r.opt_array(2, |r| OffsetFetchRequestTopic::read_fields(r, version))?
            } else {
                Some(r.array(2, |r| OffsetFetchRequestTopic::read_fields(r, version))?)
            };
        }
        if version >= 8 {
            m.groups = r.array(2, |r| OffsetFetchRequestGroup::read_fields(r, version))?;
        }
        if version >= 7 {
            m.require_stable = r.bool()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version <= 7 {
            w.str(&self.group_id);
        } else if !self.group_id.is_empty() {
            w.not_in_version("OffsetFetchRequest.group_id", version);
        }
        if version <= 7 {
            if self.topics.is_none() && version < 2 {
                w.null_field("OffsetFetchRequest.topics", version);
            }
            w.opt_array(&self.topics, |w, x| x.write_fields(w, version));
        } else if self.topics.as_ref().is_none_or(|x| !x.is_empty()) {
            w.not_in_version("OffsetFetchRequest.topics", version);
        }
        if version >= 8 {
            w.array(&self.groups, |w, x| x.write_fields(w, version));
        } else if !self.groups.is_empty() {
            w.not_in_version("OffsetFetchRequest.groups", version);
        }
        if version >= 7 {
            w.bool(self.require_stable);
        } else if self.require_stable {
            w.not_in_version("OffsetFetchRequest.require_stable", version);
        }
        w.tags(0);
    }
}

/// Which topics; null = all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetFetchRequestTopic {
    /// The topic's name.
    pub name: Str,
    /// Which partitions.
    pub partition_indexes: Vec<i32>,
}

impl OffsetFetchRequestTopic {
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

/// One entry per group.
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetFetchRequestGroup {
    /// The group's id.
    pub group_id: Str,
    /// The member's id, given by the coordinator; empty on the first join. (From version 9; else dropped.)
    pub member_id: Option<Str>,
    /// The member's epoch (KIP-848), or -1. (From version 9; else dropped.)
    pub member_epoch: i32,
    /// Which topics; null = all.
    pub topics: Option<Vec<OffsetFetchRequestTopics>>,
}

impl Default for OffsetFetchRequestGroup {
    fn default() -> Self {
        Self { group_id: Str::new(), member_id: None, member_epoch: -1, topics: Some(Vec::new()) }
    }
}

impl OffsetFetchRequestGroup {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = r.str()?;
        if version >= 9 {
            m.member_id = r.opt_str()?;
            m.member_epoch = r.i32()?;
        }
        m.topics = r.opt_array(1, |r| OffsetFetchRequestTopics::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.group_id);
        if version >= 9 {
            w.opt_str(&self.member_id);
        }
        if version >= 9 {
            w.i32(self.member_epoch);
        }
        w.opt_array(&self.topics, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// Which topics; null = all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetFetchRequestTopics {
    /// The topic's name. (Up to version 9; else dropped.)
    pub name: Str,
    /// The topic's id. (From version 10; else dropped.)
    pub topic_id: TopicId,
    /// Which partitions.
    pub partition_indexes: Vec<i32>,
}

impl OffsetFetchRequestTopics {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 9 {
            m.name = r.str()?;
        }
        if version >= 10 {
            m.topic_id = r.topic_id()?;
        }
        m.partition_indexes = r.array(4, |r| r.i32())?;
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
        w.array(&self.partition_indexes, |w, x| w.i32(*x));
        w.tags(0);
    }
}

impl Message for OffsetFetchResponse {
    const API: ApiKey = ApiKey::OffsetFetch;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for OffsetFetchResponse {}

/// The answer to [`OffsetFetchRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetFetchResponse {
    /// How long the request was held back by a quota, in ms. (From version 3; else dropped.)
    pub throttle_time_ms: i32,
    /// One entry per topic. (Up to version 7.)
    pub topics: Vec<OffsetFetchResponseTopic>,
    /// An error of the group as a whole. (Versions 2 to 7; else dropped.)
    pub error_code: ErrorCode,
    /// One entry per group. (From version 8.)
    pub groups: Vec<OffsetFetchResponseGroup>,
}

impl OffsetFetchResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 3 {
            m.throttle_time_ms = r.i32()?;
        }
        if version <= 7 {
            m.topics = r.array(2, |r| OffsetFetchResponseTopic::read_fields(r, version))?;
        }
        if (2..=7).contains(&version) {
            m.error_code = r.error_code()?;
        }
        if version >= 8 {
            m.groups = r.array(4, |r| OffsetFetchResponseGroup::read_fields(r, version))?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 3 {
            w.i32(self.throttle_time_ms);
        }
        if version <= 7 {
            w.array(&self.topics, |w, x| x.write_fields(w, version));
        } else if !self.topics.is_empty() {
            w.not_in_version("OffsetFetchResponse.topics", version);
        }
        if (2..=7).contains(&version) {
            w.error_code(self.error_code);
        }
        if version >= 8 {
            w.array(&self.groups, |w, x| x.write_fields(w, version));
        } else if !self.groups.is_empty() {
            w.not_in_version("OffsetFetchResponse.groups", version);
        }
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetFetchResponseTopic {
    /// The topic's name.
    pub name: Str,
    /// One entry per partition.
    pub partitions: Vec<OffsetFetchResponsePartition>,
}

impl OffsetFetchResponseTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.partitions = r.array(15, |r| OffsetFetchResponsePartition::read_fields(r, version))?;
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
pub struct OffsetFetchResponsePartition {
    /// The partition's number.
    pub partition_index: i32,
    /// The offset committed, or -1 if there is none.
    pub committed_offset: i64,
    /// The leader epoch of the last record consumed, or -1. (From version 5; else dropped.)
    pub committed_leader_epoch: i32,
    /// Text that was kept beside the offset.
    pub metadata: Option<Str>,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
}

impl Default for OffsetFetchResponsePartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: Some(Str::new()),
            error_code: ErrorCode::None,
        }
    }
}

impl OffsetFetchResponsePartition {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.committed_offset = r.i64()?;
        if version >= 5 {
            m.committed_leader_epoch = r.i32()?;
        }
        m.metadata = r.opt_str()?;
        m.error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        if version >= 5 {
            w.i32(self.committed_leader_epoch);
        }
        w.opt_str(&self.metadata);
        w.error_code(self.error_code);
        w.tags(0);
    }
}

/// One entry per group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetFetchResponseGroup {
    /// The group's id.
    pub group_id: Str,
    /// One entry per topic.
    pub topics: Vec<OffsetFetchResponseTopics>,
    /// An error of the group as a whole.
    pub error_code: ErrorCode,
}

impl OffsetFetchResponseGroup {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = r.str()?;
        m.topics = r.array(1, |r| OffsetFetchResponseTopics::read_fields(r, version))?;
        m.error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.group_id);
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        w.error_code(self.error_code);
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetFetchResponseTopics {
    /// The topic's name. (Up to version 9; else dropped.)
    pub name: Str,
    /// The topic's id. (From version 10; else dropped.)
    pub topic_id: TopicId,
    /// One entry per partition.
    pub partitions: Vec<OffsetFetchResponsePartitions>,
}

impl OffsetFetchResponseTopics {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 9 {
            m.name = r.str()?;
        }
        if version >= 10 {
            m.topic_id = r.topic_id()?;
        }
        m.partitions = r.array(19, |r| OffsetFetchResponsePartitions::read_fields(r, version))?;
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
pub struct OffsetFetchResponsePartitions {
    /// The partition's number.
    pub partition_index: i32,
    /// The offset committed, or -1 if there is none.
    pub committed_offset: i64,
    /// The leader epoch of the last record consumed, or -1.
    pub committed_leader_epoch: i32,
    /// Text that was kept beside the offset.
    pub metadata: Option<Str>,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
}

impl Default for OffsetFetchResponsePartitions {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: Some(Str::new()),
            error_code: ErrorCode::None,
        }
    }
}

impl OffsetFetchResponsePartitions {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.committed_offset = r.i64()?;
        m.committed_leader_epoch = r.i32()?;
        m.metadata = r.opt_str()?;
        m.error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        w.i32(self.committed_leader_epoch);
        w.opt_str(&self.metadata);
        w.error_code(self.error_code);
        w.tags(0);
    }
}
