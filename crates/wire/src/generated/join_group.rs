//! JoinGroup (API 11), versions 0 to 9.
//!
//! Made by `cargo xtask codegen` from `messages/join_group.txt`.

use bytes::Bytes;

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for JoinGroupRequest {
    const API: ApiKey = ApiKey::JoinGroup;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for JoinGroupRequest {
    type Response = JoinGroupResponse;
}

/// Joins a group of the classic protocol, or takes part in its rebalance.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinGroupRequest {
    /// The group's id.
    pub group_id: Str,
    /// A member that is silent this long is taken for dead.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for members; version 0 uses the session timeout. (From version 1; else dropped.)
    pub rebalance_timeout_ms: i32,
    /// The member's id, given by the coordinator; empty on the first join.
    pub member_id: Str,
    /// The member's own lasting name (static membership, KIP-345), or null. (From version 5.)
    pub group_instance_id: Option<Str>,
    /// `consumer`, `connect` or whatever the group is for.
    pub protocol_type: Str,
    /// What the member can do, best first.
    pub protocols: Vec<JoinGroupRequestProtocol>,
    /// Why it joins again, for people (KIP-800). (From version 8; else dropped.)
    pub reason: Option<Str>,
}

impl Default for JoinGroupRequest {
    fn default() -> Self {
        Self {
            group_id: Str::new(),
            session_timeout_ms: 0,
            rebalance_timeout_ms: -1,
            member_id: Str::new(),
            group_instance_id: None,
            protocol_type: Str::new(),
            protocols: Vec::new(),
            reason: None,
        }
    }
}

impl JoinGroupRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = r.str()?;
        m.session_timeout_ms = r.i32()?;
        if version >= 1 {
            m.rebalance_timeout_ms = r.i32()?;
        }
        m.member_id = r.str()?;
        if version >= 5 {
            m.group_instance_id = r.opt_str()?;
        }
        m.protocol_type = r.str()?;
        m.protocols = r.array(2, |r| JoinGroupRequestProtocol::read_fields(r, version))?;
        if version >= 8 {
            m.reason = r.opt_str()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.group_id);
        w.i32(self.session_timeout_ms);
        if version >= 1 {
            w.i32(self.rebalance_timeout_ms);
        }
        w.str(&self.member_id);
        if version >= 5 {
            w.opt_str(&self.group_instance_id);
        } else if self.group_instance_id.is_some() {
            w.not_in_version("JoinGroupRequest.group_instance_id", version);
        }
        w.str(&self.protocol_type);
        w.array(&self.protocols, |w, x| x.write_fields(w, version));
        if version >= 8 {
            w.opt_str(&self.reason);
        }
        w.tags(0);
    }
}

/// What the member can do, best first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JoinGroupRequestProtocol {
    /// The protocol's name, such as `range`.
    pub name: Str,
    /// What the member says about itself, in its protocol's own format.
    pub metadata: Bytes,
}

impl JoinGroupRequestProtocol {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.metadata = r.bytes()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.bytes(&self.metadata);
        w.tags(0);
    }
}

impl Message for JoinGroupResponse {
    const API: ApiKey = ApiKey::JoinGroup;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for JoinGroupResponse {}

/// The answer to [`JoinGroupRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct JoinGroupResponse {
    /// How long the request was held back by a quota, in ms. (From version 2; else dropped.)
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The group's generation, as the member knows it.
    pub generation_id: i32,
    /// `consumer`, `connect` or whatever the group is for. (From version 7; else dropped.)
    pub protocol_type: Option<Str>,
    /// The assignment protocol that the group chose.
    pub protocol_name: Option<Str>,
    /// The member id of the leader.
    pub leader: Str,
    /// The leader need not assign anything (KIP-814). (From version 9.)
    pub skip_assignment: bool,
    /// The member's id, given by the coordinator; empty on the first join.
    pub member_id: Str,
    /// All members for the leader, none for the others.
    pub members: Vec<JoinGroupResponseMember>,
}

impl Default for JoinGroupResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::None,
            generation_id: -1,
            protocol_type: None,
            protocol_name: Some(Str::new()),
            leader: Str::new(),
            skip_assignment: false,
            member_id: Str::new(),
            members: Vec::new(),
        }
    }
}

impl JoinGroupResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 2 {
            m.throttle_time_ms = r.i32()?;
        }
        m.error_code = r.error_code()?;
        m.generation_id = r.i32()?;
        if version >= 7 {
            m.protocol_type = r.opt_str()?;
        }
        m.protocol_name = if version >= 7 { r.opt_str()? } else { Some(r.str()?) };
        m.leader = r.str()?;
        if version >= 9 {
            m.skip_assignment = r.bool()?;
        }
        m.member_id = r.str()?;
        m.members = r.array(2, |r| JoinGroupResponseMember::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 2 {
            w.i32(self.throttle_time_ms);
        }
        w.error_code(self.error_code);
        w.i32(self.generation_id);
        if version >= 7 {
            w.opt_str(&self.protocol_type);
        }
        if self.protocol_name.is_none() && version < 7 {
            w.null_field("JoinGroupResponse.protocol_name", version);
        }
        w.opt_str(&self.protocol_name);
        w.str(&self.leader);
        if version >= 9 {
            w.bool(self.skip_assignment);
        } else if self.skip_assignment {
            w.not_in_version("JoinGroupResponse.skip_assignment", version);
        }
        w.str(&self.member_id);
        w.array(&self.members, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// All members for the leader, none for the others.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JoinGroupResponseMember {
    /// The member's id, given by the coordinator; empty on the first join.
    pub member_id: Str,
    /// The member's own lasting name (static membership, KIP-345), or null. (From version 5; else dropped.)
    pub group_instance_id: Option<Str>,
    /// What the member says about itself, in its protocol's own format.
    pub metadata: Bytes,
}

impl JoinGroupResponseMember {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.member_id = r.str()?;
        if version >= 5 {
            m.group_instance_id = r.opt_str()?;
        }
        m.metadata = r.bytes()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.member_id);
        if version >= 5 {
            w.opt_str(&self.group_instance_id);
        }
        w.bytes(&self.metadata);
        w.tags(0);
    }
}
