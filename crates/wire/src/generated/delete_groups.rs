//! DeleteGroups (API 42), versions 0 to 2.
//!
//! Made by `cargo xtask codegen` from `messages/delete_groups.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for DeleteGroupsRequest {
    const API: ApiKey = ApiKey::DeleteGroups;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DeleteGroupsRequest {
    type Response = DeleteGroupsResponse;
}

/// Deletes groups without members.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteGroupsRequest {
    /// The ids of the groups.
    pub groups_names: Vec<Str>,
}

impl DeleteGroupsRequest {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.groups_names = r.array(1, |r| r.str())?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.array(&self.groups_names, |w, x| w.str(x));
        w.tags(0);
    }
}

impl Message for DeleteGroupsResponse {
    const API: ApiKey = ApiKey::DeleteGroups;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DeleteGroupsResponse {}

/// The answer to [`DeleteGroupsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteGroupsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One result per thing asked for.
    pub results: Vec<DeletableGroupResult>,
}

impl DeleteGroupsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.results = r.array(3, |r| DeletableGroupResult::read_fields(r, version))?;
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
pub struct DeletableGroupResult {
    /// The group's id.
    pub group_id: Str,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
}

impl DeletableGroupResult {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.group_id = r.str()?;
        m.error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.group_id);
        w.error_code(self.error_code);
        w.tags(0);
    }
}
