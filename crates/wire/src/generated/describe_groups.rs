//! DescribeGroups (API 15), versions 0 to 6.
//!
//! Made by `cargo xtask codegen` from `messages/describe_groups.txt`.

use bytes::Bytes;

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for DescribeGroupsRequest {
    const API: ApiKey = ApiKey::DescribeGroups;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DescribeGroupsRequest {
    type Response = DescribeGroupsResponse;
}

/// Describes groups of the classic protocol.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeGroupsRequest {
    /// The ids of the groups.
    pub groups: Vec<Str>,
    /// Whether to say what the client may do to each group. (From version 3.)
    pub include_authorized_operations: bool,
}

impl DescribeGroupsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.groups = r.array(1, |r| r.str())?;
        if version >= 3 {
            m.include_authorized_operations = r.bool()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.groups, |w, x| w.str(x));
        if version >= 3 {
            w.bool(self.include_authorized_operations);
        } else if self.include_authorized_operations {
            w.not_in_version("DescribeGroupsRequest.include_authorized_operations", version);
        }
        w.tags(0);
    }
}

impl Message for DescribeGroupsResponse {
    const API: ApiKey = ApiKey::DescribeGroups;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DescribeGroupsResponse {}

/// The answer to [`DescribeGroupsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeGroupsResponse {
    /// How long the request was held back by a quota, in ms. (From version 1; else dropped.)
    pub throttle_time_ms: i32,
    /// One entry per group.
    pub groups: Vec<DescribedGroup>,
}

impl DescribeGroupsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        m.groups = r.array(7, |r| DescribedGroup::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.array(&self.groups, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per group.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribedGroup {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did. (From version 6.)
    pub error_message: Option<Str>,
    /// The group's id.
    pub group_id: Str,
    /// `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable` or `Dead`.
    pub group_state: Str,
    /// `consumer`, `connect` or whatever the group is for.
    pub protocol_type: Str,
    /// The assignment protocol that the group chose.
    pub protocol_data: Str,
    /// One entry per member.
    pub members: Vec<DescribedGroupMember>,
    /// Bits by ACL operation; `i32::MIN` if not asked for. (From version 3.)
    pub authorized_operations: i32,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            error_message: None,
            group_id: Str::new(),
            group_state: Str::new(),
            protocol_type: Str::new(),
            protocol_data: Str::new(),
            members: Vec::new(),
            authorized_operations: i32::MIN,
        }
    }
}

impl DescribedGroup {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        if version >= 6 {
            m.error_message = r.opt_str()?;
        }
        m.group_id = r.str()?;
        m.group_state = r.str()?;
        m.protocol_type = r.str()?;
        m.protocol_data = r.str()?;
        m.members = r.array(5, |r| DescribedGroupMember::read_fields(r, version))?;
        if version >= 3 {
            m.authorized_operations = r.i32()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.error_code(self.error_code);
        if version >= 6 {
            w.opt_str(&self.error_message);
        } else if self.error_message.is_some() {
            w.not_in_version("DescribedGroup.error_message", version);
        }
        w.str(&self.group_id);
        w.str(&self.group_state);
        w.str(&self.protocol_type);
        w.str(&self.protocol_data);
        w.array(&self.members, |w, x| x.write_fields(w, version));
        if version >= 3 {
            w.i32(self.authorized_operations);
        } else if self.authorized_operations != i32::MIN {
            w.not_in_version("DescribedGroup.authorized_operations", version);
        }
        w.tags(0);
    }
}

/// One entry per member.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribedGroupMember {
    /// The member's id, given by the coordinator; empty on the first join.
    pub member_id: Str,
    /// The member's own lasting name (static membership, KIP-345), or null. (From version 4; else dropped.)
    pub group_instance_id: Option<Str>,
    /// What the client calls itself.
    pub client_id: Str,
    /// Where the client connects from.
    pub client_host: Str,
    /// What the member says about itself, in its protocol's own format.
    pub member_metadata: Bytes,
    /// What the leader gave it, in its protocol's own format.
    pub member_assignment: Bytes,
}

impl DescribedGroupMember {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.member_id = r.str()?;
        if version >= 4 {
            m.group_instance_id = r.opt_str()?;
        }
        m.client_id = r.str()?;
        m.client_host = r.str()?;
        m.member_metadata = r.bytes()?;
        m.member_assignment = r.bytes()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.member_id);
        if version >= 4 {
            w.opt_str(&self.group_instance_id);
        }
        w.str(&self.client_id);
        w.str(&self.client_host);
        w.bytes(&self.member_metadata);
        w.bytes(&self.member_assignment);
        w.tags(0);
    }
}
