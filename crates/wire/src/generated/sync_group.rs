//! SyncGroup (API 14), versions 0 to 5.
//!
//! Made by `cargo xtask codegen` from `messages/sync_group.txt`.

use bytes::Bytes;

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for SyncGroupRequest {
    const API: ApiKey = ApiKey::SyncGroup;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for SyncGroupRequest {
    type Response = SyncGroupResponse;
}

/// Brings the leader's assignments to the coordinator and every member's own back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncGroupRequest {
    /// The group's id.
    pub group_id: Str,
    /// The group's generation, as the member knows it.
    pub generation_id: i32,
    /// The member's id, given by the coordinator; empty on the first join.
    pub member_id: Str,
    /// The member's own lasting name (static membership, KIP-345), or null. (From version 3.)
    pub group_instance_id: Option<Str>,
    /// `consumer`, `connect` or whatever the group is for. (From version 5; else dropped.)
    pub protocol_type: Option<Str>,
    /// The assignment protocol that the group chose. (From version 5; else dropped.)
    pub protocol_name: Option<Str>,
    /// The assignments, from the leader only.
    pub assignments: Vec<SyncGroupRequestAssignment>,
}

impl SyncGroupRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = r.str()?;
        m.generation_id = r.i32()?;
        m.member_id = r.str()?;
        if version >= 3 {
            m.group_instance_id = r.opt_str()?;
        }
        if version >= 5 {
            m.protocol_type = r.opt_str()?;
            m.protocol_name = r.opt_str()?;
        }
        m.assignments = r.array(2, |r| SyncGroupRequestAssignment::read_fields(r, version))?;
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
            w.not_in_version("SyncGroupRequest.group_instance_id", version);
        }
        if version >= 5 {
            w.opt_str(&self.protocol_type);
        }
        if version >= 5 {
            w.opt_str(&self.protocol_name);
        }
        w.array(&self.assignments, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The assignments, from the leader only.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncGroupRequestAssignment {
    /// The member's id, given by the coordinator; empty on the first join.
    pub member_id: Str,
    /// What the leader gave the member, in its protocol's own format.
    pub assignment: Bytes,
}

impl SyncGroupRequestAssignment {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.member_id = r.str()?;
        m.assignment = r.bytes()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.member_id);
        w.bytes(&self.assignment);
        w.tags(0);
    }
}

impl Message for SyncGroupResponse {
    const API: ApiKey = ApiKey::SyncGroup;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for SyncGroupResponse {}

/// The answer to [`SyncGroupRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncGroupResponse {
    /// How long the request was held back by a quota, in ms. (From version 1; else dropped.)
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// `consumer`, `connect` or whatever the group is for. (From version 5; else dropped.)
    pub protocol_type: Option<Str>,
    /// The assignment protocol that the group chose. (From version 5; else dropped.)
    pub protocol_name: Option<Str>,
    /// What the leader gave the member, in its protocol's own format.
    pub assignment: Bytes,
}

impl SyncGroupResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        m.error_code = r.error_code()?;
        if version >= 5 {
            m.protocol_type = r.opt_str()?;
            m.protocol_name = r.opt_str()?;
        }
        m.assignment = r.bytes()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.error_code(self.error_code);
        if version >= 5 {
            w.opt_str(&self.protocol_type);
        }
        if version >= 5 {
            w.opt_str(&self.protocol_name);
        }
        w.bytes(&self.assignment);
        w.tags(0);
    }
}
