//! ListGroups (API 16), versions 0 to 5.
//!
//! Made by `cargo xtask codegen` from `messages/list_groups.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for ListGroupsRequest {
    const API: ApiKey = ApiKey::ListGroups;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for ListGroupsRequest {
    type Response = ListGroupsResponse;
}

/// Lists the groups that this broker coordinates.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListGroupsRequest {
    /// Only groups in one of these states; empty = all. (From version 4.)
    pub states_filter: Vec<Str>,
    /// Only groups of one of these types; empty = all. (From version 5.)
    pub types_filter: Vec<Str>,
}

impl ListGroupsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 4 {
            m.states_filter = r.array(1, |r| r.str())?;
        }
        if version >= 5 {
            m.types_filter = r.array(1, |r| r.str())?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 4 {
            w.array(&self.states_filter, |w, x| w.str(x));
        } else if !self.states_filter.is_empty() {
            w.not_in_version("ListGroupsRequest.states_filter", version);
        }
        if version >= 5 {
            w.array(&self.types_filter, |w, x| w.str(x));
        } else if !self.types_filter.is_empty() {
            w.not_in_version("ListGroupsRequest.types_filter", version);
        }
        w.tags(0);
    }
}

impl Message for ListGroupsResponse {
    const API: ApiKey = ApiKey::ListGroups;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for ListGroupsResponse {}

/// The answer to [`ListGroupsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListGroupsResponse {
    /// How long the request was held back by a quota, in ms. (From version 1; else dropped.)
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// One entry per group.
    pub groups: Vec<ListedGroup>,
}

impl ListGroupsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        m.error_code = r.error_code()?;
        m.groups = r.array(2, |r| ListedGroup::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.error_code(self.error_code);
        w.array(&self.groups, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListedGroup {
    /// The group's id.
    pub group_id: Str,
    /// `consumer`, `connect` or whatever the group is for.
    pub protocol_type: Str,
    /// `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable` or `Dead`. (From version 4; else dropped.)
    pub group_state: Str,
    /// `classic`, `consumer`, `share` or `streams`. (From version 5; else dropped.)
    pub group_type: Str,
}

impl ListedGroup {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = r.str()?;
        m.protocol_type = r.str()?;
        if version >= 4 {
            m.group_state = r.str()?;
        }
        if version >= 5 {
            m.group_type = r.str()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.group_id);
        w.str(&self.protocol_type);
        if version >= 4 {
            w.str(&self.group_state);
        }
        if version >= 5 {
            w.str(&self.group_type);
        }
        w.tags(0);
    }
}
