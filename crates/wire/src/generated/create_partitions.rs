//! CreatePartitions (API 37), versions 0 to 3.
//!
//! Made by `cargo xtask codegen` from `messages/create_partitions.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for CreatePartitionsRequest {
    const API: ApiKey = ApiKey::CreatePartitions;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for CreatePartitionsRequest {
    type Response = CreatePartitionsResponse;
}

/// Adds partitions to topics.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatePartitionsRequest {
    /// One entry per topic.
    pub topics: Vec<CreatePartitionsTopic>,
    /// How long the broker may take, in ms.
    pub timeout_ms: i32,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

impl CreatePartitionsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topics = r.array(6, |r| CreatePartitionsTopic::read_fields(r, version))?;
        m.timeout_ms = r.i32()?;
        m.validate_only = r.bool()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        w.i32(self.timeout_ms);
        w.bool(self.validate_only);
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatePartitionsTopic {
    /// The topic's name.
    pub name: Str,
    /// How many the topic is to have afterwards.
    pub count: i32,
    /// Replicas of the new partitions placed by hand, or null.
    pub assignments: Option<Vec<CreatePartitionsAssignment>>,
}

impl Default for CreatePartitionsTopic {
    fn default() -> Self {
        Self { name: Str::new(), count: 0, assignments: Some(Vec::new()) }
    }
}

impl CreatePartitionsTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.count = r.i32()?;
        m.assignments = r.opt_array(1, |r| CreatePartitionsAssignment::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.name);
        w.i32(self.count);
        w.opt_array(&self.assignments, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// Replicas of the new partitions placed by hand, or null.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatePartitionsAssignment {
    /// The brokers, preferred leader first.
    pub broker_ids: Vec<i32>,
}

impl CreatePartitionsAssignment {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.broker_ids = r.array(4, |r| r.i32())?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.array(&self.broker_ids, |w, x| w.i32(*x));
        w.tags(0);
    }
}

impl Message for CreatePartitionsResponse {
    const API: ApiKey = ApiKey::CreatePartitions;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for CreatePartitionsResponse {}

/// The answer to [`CreatePartitionsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatePartitionsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One result per thing asked for.
    pub results: Vec<CreatePartitionsTopicResult>,
}

impl CreatePartitionsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.results = r.array(4, |r| CreatePartitionsTopicResult::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.results, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One result per thing asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatePartitionsTopicResult {
    /// The topic's name.
    pub name: Str,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
}

impl CreatePartitionsTopicResult {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.tags(0);
    }
}
