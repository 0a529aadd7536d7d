//! OffsetDelete (API 47), versions 0 to 0.
//!
//! Made by `cargo xtask codegen` from `messages/offset_delete.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for OffsetDeleteRequest {
    const API: ApiKey = ApiKey::OffsetDelete;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for OffsetDeleteRequest {
    type Response = OffsetDeleteResponse;
}

/// Deletes committed offsets of a group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteRequest {
    /// The group's id.
    pub group_id: Str,
    /// One entry per topic.
    pub topics: Vec<OffsetDeleteRequestTopic>,
}

impl OffsetDeleteRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = r.str()?;
        m.topics = r.array(6, |r| OffsetDeleteRequestTopic::read_fields(r, version))?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.group_id);
        w.array(&self.topics, |w, x| x.write_fields(w, version));
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteRequestTopic {
    /// The topic's name.
    pub name: Str,
    /// One entry per partition.
    pub partitions: Vec<OffsetDeleteRequestPartition>,
}

impl OffsetDeleteRequestTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.partitions = r.array(4, |r| OffsetDeleteRequestPartition::read_fields(r, version))?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.name);
        w.array(&self.partitions, |w, x| x.write_fields(w, version));
    }
}

/// One entry per partition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteRequestPartition {
    /// The partition's number.
    pub partition_index: i32,
}

impl OffsetDeleteRequestPartition {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.partition_index);
    }
}

impl Message for OffsetDeleteResponse {
    const API: ApiKey = ApiKey::OffsetDelete;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for OffsetDeleteResponse {}

/// The answer to [`OffsetDeleteRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteResponse {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One entry per topic.
    pub topics: Vec<OffsetDeleteResponseTopic>,
}

impl OffsetDeleteResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.throttle_time_ms = r.i32()?;
        m.topics = r.array(6, |r| OffsetDeleteResponseTopic::read_fields(r, version))?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.error_code(self.error_code);
        w.i32(self.throttle_time_ms);
        w.array(&self.topics, |w, x| x.write_fields(w, version));
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteResponseTopic {
    /// The topic's name.
    pub name: Str,
    /// One entry per partition.
    pub partitions: Vec<OffsetDeleteResponsePartition>,
}

impl OffsetDeleteResponseTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.partitions = r.array(6, |r| OffsetDeleteResponsePartition::read_fields(r, version))?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.name);
        w.array(&self.partitions, |w, x| x.write_fields(w, version));
    }
}

/// One entry per partition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteResponsePartition {
    /// The partition's number.
    pub partition_index: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
}

impl OffsetDeleteResponsePartition {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.error_code = r.error_code()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.partition_index);
        w.error_code(self.error_code);
    }
}
