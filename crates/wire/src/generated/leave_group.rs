//! LeaveGroup (API 13), versions 0 to 5.
//!
//! Made by `cargo xtask codegen` from `messages/leave_group.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for LeaveGroupRequest {
    const API: ApiKey = ApiKey::LeaveGroup;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for LeaveGroupRequest {
    type Response = LeaveGroupResponse;
}

/// Takes members out of a group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LeaveGroupRequest {
    /// The group's id.
    pub group_id: Str,
    /// The member's id, given by the coordinator; empty on the first join. (Up to version 2.)
    pub member_id: Str,
    /// One entry per member. (From version 3.)
    pub members: Vec<MemberIdentity>,
}

impl LeaveGroupRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = r.str()?;
        if version <= 2 {
            m.member_id = r.str()?;
        }
        if version >= 3 {
            m.members = r.array(2, |r| MemberIdentity::read_fields(r, version))?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.group_id);
        if version <= 2 {
            w.str(&self.member_id);
        } else if !self.member_id.is_empty() {
            w.not_in_version("LeaveGroupRequest.member_id", version);
        }
        if version >= 3 {
            w.array(&self.members, |w, x| x.write_fields(w, version));
        } else if !self.members.is_empty() {
            w.not_in_version("LeaveGroupRequest.members", version);
        }
        w.tags(0);
    }
}

/// One entry per member.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MemberIdentity {
    /// The member's id, given by the coordinator; empty on the first join.
    pub member_id: Str,
    /// The member's own lasting name (static membership, KIP-345), or null.
    pub group_instance_id: Option<Str>,
    /// Why, for people (KIP-800). (From version 5; else dropped.)
    pub reason: Option<Str>,
}

impl MemberIdentity {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.member_id = r.str()?;
        m.group_instance_id = r.opt_str()?;
        if version >= 5 {
            m.reason = r.opt_str()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.member_id);
        w.opt_str(&self.group_instance_id);
        if version >= 5 {
            w.opt_str(&self.reason);
        }
        w.tags(0);
    }
}

impl Message for LeaveGroupResponse {
    const API: ApiKey = ApiKey::LeaveGroup;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for LeaveGroupResponse {}

/// The answer to [`LeaveGroupRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LeaveGroupResponse {
    /// How long the request was held back by a quota, in ms. (From version 1; else dropped.)
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// One entry per member. (From version 3.)
    pub members: Vec<MemberResponse>,
}

impl LeaveGroupResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        m.error_code = r.error_code()?;
        if version >= 3 {
            m.members = r.array(4, |r| MemberResponse::read_fields(r, version))?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.error_code(self.error_code);
        if version >= 3 {
            w.array(&self.members, |w, x| x.write_fields(w, version));
        } else if !self.members.is_empty() {
            w.not_in_version("LeaveGroupResponse.members", version);
        }
        w.tags(0);
    }
}

/// One entry per member.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberResponse {
    /// The member's id, given by the coordinator; empty on the first join.
    pub member_id: Str,
    /// The member's own lasting name (static membership, KIP-345), or null.
    pub group_instance_id: Option<Str>,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
}

impl Default for MemberResponse {
    fn default() -> Self {
        Self { member_id: Str::new(), group_instance_id: Some(Str::new()), error_code: ErrorCode::None }
    }
}

impl MemberResponse {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.member_id = r.str()?;
        m.group_instance_id = r.opt_str()?;
        m.error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.member_id);
        w.opt_str(&self.group_instance_id);
        w.error_code(self.error_code);
        w.tags(0);
    }
}
