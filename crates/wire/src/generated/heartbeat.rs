//! Heartbeat (API 12), versions 0 to 4.
//!
//! Made by `cargo xtask codegen` from `messages/heartbeat.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for HeartbeatRequest {
    const API: ApiKey = ApiKey::Heartbeat;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for HeartbeatRequest {
    type Response = HeartbeatResponse;
}

/// Keeps a member of a classic group alive, and tells it of rebalances.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeartbeatRequest {
    /// The group's id.
    pub group_id: Str,
    /// The group's generation, as the member knows it.
    pub generation_id: i32,
    /// The member's id, given by the coordinator; empty on the first join.
    pub member_id: Str,
    /// The member's own lasting name (static membership, KIP-345), or null. (From version 3.)
    pub group_instance_id: Option<Str>,
}

impl HeartbeatRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = r.str()?;
        m.generation_id = r.i32()?;
        m.member_id = r.str()?;
        if version >= 3 {
            m.group_instance_id = r.opt_str()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.group_id);
        w.i32(self.generation_id);
        w.str(&self.member_id);
        if version >= 3 {
            w.opt_str(&self.group_instance_id);
        } else if self.group_instance_id.is_some() {
            w.not_in_version("HeartbeatRequest.group_instance_id", version);
        }
        w.tags(0);
    }
}

impl Message for HeartbeatResponse {
    const API: ApiKey = ApiKey::Heartbeat;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for HeartbeatResponse {}

/// The answer to [`HeartbeatRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeartbeatResponse {
    /// How long the request was held back by a quota, in ms. (From version 1; else dropped.)
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
}

impl HeartbeatResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        m.error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.error_code(self.error_code);
        w.tags(0);
    }
}
