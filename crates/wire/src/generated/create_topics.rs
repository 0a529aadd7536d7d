//! CreateTopics (API 19), versions 2 to 7.
//!
//! Made by `cargo xtask codegen` from `messages/create_topics.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, TopicId, WireError, Writer};

impl Message for CreateTopicsRequest {
    const API: ApiKey = ApiKey::CreateTopics;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for CreateTopicsRequest {
    type Response = CreateTopicsResponse;
}

/// Creates topics.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTopicsRequest {
    /// One entry per topic.
    pub topics: Vec<CreatableTopic>,
    /// How long the broker may take, in ms.
    pub timeout_ms: i32,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

impl Default for CreateTopicsRequest {
    fn default() -> Self {
        Self { topics: Vec::new(), timeout_ms: 60000, validate_only: false }
    }
}

impl CreateTopicsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topics = r.array(9, |r| CreatableTopic::read_fields(r, version))?;
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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatableTopic {
    /// The topic's name.
    pub name: Str,
    /// The number of partitions; -1 for the broker's default or with assignments.
    pub num_partitions: i32,
    /// Replicas per partition; -1 for the broker's default or with assignments.
    pub replication_factor: i16,
    /// Replicas placed by hand; empty to let the broker place them.
    pub assignments: Vec<CreatableReplicaAssignment>,
    /// Configurations.
    pub configs: Vec<CreatableTopicConfig>,
}

impl CreatableTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.num_partitions = r.i32()?;
        m.replication_factor = r.i16()?;
        m.assignments = r.array(5, |r| CreatableReplicaAssignment::read_fields(r, version))?;
        m.configs = r.array(2, |r| CreatableTopicConfig::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.name);
        w.i32(self.num_partitions);
        w.i16(self.replication_factor);
        w.array(&self.assignments, |w, x| x.write_fields(w, version));
        w.array(&self.configs, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// Replicas placed by hand; empty to let the broker place them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatableReplicaAssignment {
    /// The partition's number.
    pub partition_index: i32,
    /// The brokers, preferred leader first.
    pub broker_ids: Vec<i32>,
}

impl CreatableReplicaAssignment {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.broker_ids = r.array(4, |r| r.i32())?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.partition_index);
        w.array(&self.broker_ids, |w, x| w.i32(*x));
        w.tags(0);
    }
}

/// Configurations.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatableTopicConfig {
    /// The configuration's name.
    pub name: Str,
    /// The value; null deletes or means unset.
    pub value: Option<Str>,
}

impl Default for CreatableTopicConfig {
    fn default() -> Self {
        Self { name: Str::new(), value: Some(Str::new()) }
    }
}

impl CreatableTopicConfig {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.value = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.opt_str(&self.value);
        w.tags(0);
    }
}

impl Message for CreateTopicsResponse {
    const API: ApiKey = ApiKey::CreateTopics;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for CreateTopicsResponse {}

/// The answer to [`CreateTopicsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreateTopicsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One entry per topic.
    pub topics: Vec<CreatableTopicResult>,
}

impl CreateTopicsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.topics = r.array(4, |r| CreatableTopicResult::read_fields(r, version))?;
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
#[derive(Debug, Clone, PartialEq)]
pub struct CreatableTopicResult {
    /// The topic's name.
    pub name: Str,
    /// The topic's id. (From version 7; else dropped.)
    pub topic_id: TopicId,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
    /// Why `configs` is missing. (From version 5; else dropped.)
    pub topic_config_error_code: ErrorCode,
    /// The number of partitions. (From version 5; else dropped.)
    pub num_partitions: i32,
    /// Replicas per partition. (From version 5; else dropped.)
    pub replication_factor: i16,
    /// Configurations. (From version 5; else dropped.)
    pub configs: Option<Vec<CreatableTopicConfigs>>,
}

impl Default for CreatableTopicResult {
    fn default() -> Self {
        Self {
            name: Str::new(),
            topic_id: TopicId::NONE,
            error_code: ErrorCode::None,
            error_message: Some(Str::new()),
            topic_config_error_code: ErrorCode::None,
            num_partitions: -1,
            replication_factor: -1,
            configs: Some(Vec::new()),
        }
    }
}

impl CreatableTopicResult {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        if version >= 7 {
            m.topic_id = r.topic_id()?;
        }
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        if version >= 5 {
            m.num_partitions = r.i32()?;
            m.replication_factor = r.i16()?;
            m.configs = r.opt_array(5, |r| CreatableTopicConfigs::read_fields(r, version))?;
        }
        let mut tags = r.tags()?;
        while let Some(tag) = tags.next(r)? {
            match tag {
                0 => m.topic_config_error_code = r.error_code()?,
                _ => tags.skip(r),
            }
        }
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.name);
        if version >= 7 {
            w.topic_id(self.topic_id);
        }
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        if version >= 5 {
            w.i32(self.num_partitions);
        }
        if version >= 5 {
            w.i16(self.replication_factor);
        }
        if version >= 5 {
            w.opt_array(&self.configs, |w, x| x.write_fields(w, version));
        }
        let tag0 = version >= 5 && self.topic_config_error_code.is_error();
        w.tags(u32::from(tag0));
        if tag0 {
            w.tag(0, |w| {
                w.error_code(self.topic_config_error_code);
            });
        }
    }
}

/// Configurations.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatableTopicConfigs {
    /// The configuration's name.
    pub name: Str,
    /// The value; null deletes or means unset.
    pub value: Option<Str>,
    /// Whether it cannot be changed.
    pub read_only: bool,
    /// 1 = topic, 2 = broker dynamic, 3 = cluster dynamic, 4 = static, 5 = default.
    pub config_source: i8,
    /// Whether the value is withheld.
    pub is_sensitive: bool,
}

impl Default for CreatableTopicConfigs {
    fn default() -> Self {
        Self { name: Str::new(), value: Some(Str::new()), read_only: false, config_source: -1, is_sensitive: false }
    }
}

impl CreatableTopicConfigs {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.value = r.opt_str()?;
        m.read_only = r.bool()?;
        m.config_source = r.i8()?;
        m.is_sensitive = r.bool()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.opt_str(&self.value);
        w.bool(self.read_only);
        w.i8(self.config_source);
        w.bool(self.is_sensitive);
        w.tags(0);
    }
}
