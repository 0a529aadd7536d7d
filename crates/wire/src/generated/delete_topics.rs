//! DeleteTopics (API 20), versions 1 to 6.
//!
//! Made by `cargo xtask codegen` from `messages/delete_topics.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, TopicId, WireError, Writer};

impl Message for DeleteTopicsRequest {
    const API: ApiKey = ApiKey::DeleteTopics;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DeleteTopicsRequest {
    type Response = DeleteTopicsResponse;
}

/// Deletes topics, by name or (from version 6) by id.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteTopicsRequest {
    /// One entry per topic. (From version 6.)
    pub topics: Vec<DeleteTopicState>,
    /// The topics' names. (Up to version 5; else dropped.)
    pub topic_names: Vec<Str>,
    /// How long the broker may take, in ms.
    pub timeout_ms: i32,
}

impl DeleteTopicsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 6 {
            m.topics = r.array(17, |r| DeleteTopicState::read_fields(r, version))?;
        }
        if version <= 5 {
            m.topic_names = r.array(1, |r| r.str())?;
        }
        m.timeout_ms = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 6 {
            w.array(&self.topics, |w, x| x.write_fields(w, version));
        } else if !self.topics.is_empty() {
            w.not_in_version("DeleteTopicsRequest.topics", version);
        }
        if version <= 5 {
            w.array(&self.topic_names, |w, x| w.str(x));
        }
        w.i32(self.timeout_ms);
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteTopicState {
    /// The topic's name, or null when deleted by id.
    pub name: Option<Str>,
    /// The topic's id.
    pub topic_id: TopicId,
}

impl DeleteTopicState {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.opt_str()?;
        m.topic_id = r.topic_id()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.opt_str(&self.name);
        w.topic_id(self.topic_id);
        w.tags(0);
    }
}

impl Message for DeleteTopicsResponse {
    const API: ApiKey = ApiKey::DeleteTopics;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DeleteTopicsResponse {}

/// The answer to [`DeleteTopicsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteTopicsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One result per thing asked for.
    pub responses: Vec<DeletableTopicResult>,
}

impl DeleteTopicsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.responses = r.array(3, |r| DeletableTopicResult::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.responses, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One result per thing asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct DeletableTopicResult {
    /// The topic's name, or null if it was asked for by an unknown id.
    pub name: Option<Str>,
    /// The topic's id. (From version 6; else dropped.)
    pub topic_id: TopicId,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did. (From version 5; else dropped.)
    pub error_message: Option<Str>,
}

impl Default for DeletableTopicResult {
    fn default() -> Self {
        Self { name: Some(Str::new()), topic_id: TopicId::NONE, error_code: ErrorCode::None, error_message: None }
    }
}

impl DeletableTopicResult {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = if version >= 6 { r.opt_str()? } else { Some(r.str()?) };
        if version >= 6 {
            m.topic_id = r.topic_id()?;
        }
        m.error_code = r.error_code()?;
        if version >= 5 {
            m.error_message = r.opt_str()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if self.name.is_none() && version < 6 {
            w.null_field("DeletableTopicResult.name", version);
        }
        w.opt_str(&self.name);
        if version >= 6 {
            w.topic_id(self.topic_id);
        }
        w.error_code(self.error_code);
        if version >= 5 {
            w.opt_str(&self.error_message);
        }
        w.tags(0);
    }
}
