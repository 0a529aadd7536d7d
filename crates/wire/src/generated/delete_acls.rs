//! DeleteAcls (API 31), versions 1 to 3.
//!
//! Made by `cargo xtask codegen` from `messages/delete_acls.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for DeleteAclsRequest {
    const API: ApiKey = ApiKey::DeleteAcls;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DeleteAclsRequest {
    type Response = DeleteAclsResponse;
}

/// Deletes the ACLs that match filters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteAclsRequest {
    /// Which ACLs.
    pub filters: Vec<DeleteAclsFilter>,
}

impl DeleteAclsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.filters = r.array(7, |r| DeleteAclsFilter::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.filters, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// Which ACLs.
#[derive(Debug, Clone, PartialEq)]
pub struct DeleteAclsFilter {
    /// The type of resource, 1 = any.
    pub resource_type_filter: i8,
    /// The resource's name, or null for any.
    pub resource_name_filter: Option<Str>,
    /// 1 = any, 2 = match, 3 = literal, 4 = prefixed.
    pub pattern_type_filter: i8,
    /// The principal, or null for any.
    pub principal_filter: Option<Str>,
    /// The host, or null for any.
    pub host_filter: Option<Str>,
    /// Kafka's number of an ACL operation; 1 = any, 2 = all, 3 = read, 4 = write and so on.
    pub operation: i8,
    /// 1 = any, 2 = deny, 3 = allow.
    pub permission_type: i8,
}

impl Default for DeleteAclsFilter {
    fn default() -> Self {
        Self {
            resource_type_filter: 0,
            resource_name_filter: Some(Str::new()),
            pattern_type_filter: 3,
            principal_filter: Some(Str::new()),
            host_filter: Some(Str::new()),
            operation: 0,
            permission_type: 0,
        }
    }
}

impl DeleteAclsFilter {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.resource_type_filter = r.i8()?;
        m.resource_name_filter = r.opt_str()?;
        m.pattern_type_filter = r.i8()?;
        m.principal_filter = r.opt_str()?;
        m.host_filter = r.opt_str()?;
        m.operation = r.i8()?;
        m.permission_type = r.i8()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i8(self.resource_type_filter);
        w.opt_str(&self.resource_name_filter);
        w.i8(self.pattern_type_filter);
        w.opt_str(&self.principal_filter);
        w.opt_str(&self.host_filter);
        w.i8(self.operation);
        w.i8(self.permission_type);
        w.tags(0);
    }
}

impl Message for DeleteAclsResponse {
    const API: ApiKey = ApiKey::DeleteAcls;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DeleteAclsResponse {}

/// The answer to [`DeleteAclsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteAclsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One result per filter.
    pub filter_results: Vec<DeleteAclsFilterResult>,
}

impl DeleteAclsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.filter_results = r.array(4, |r| DeleteAclsFilterResult::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.filter_results, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One result per filter.
#[derive(Debug, Clone, PartialEq)]
pub struct DeleteAclsFilterResult {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
    /// What was deleted.
    pub matching_acls: Vec<DeleteAclsMatchingAcl>,
}

impl Default for DeleteAclsFilterResult {
    fn default() -> Self {
        Self { error_code: ErrorCode::None, error_message: Some(Str::new()), matching_acls: Vec::new() }
    }
}

impl DeleteAclsFilterResult {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        m.matching_acls = r.array(10, |r| DeleteAclsMatchingAcl::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.array(&self.matching_acls, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// What was deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct DeleteAclsMatchingAcl {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
    /// 2 = topic, 3 = group, 4 = cluster, 5 = transactional id, 6 = delegation token, 7 = user.
    pub resource_type: i8,
    /// The topic's name, the broker's id or whatever names a resource of that type.
    pub resource_name: Str,
    /// 3 = literal, 4 = prefixed.
    pub pattern_type: i8,
    /// Whom it is for, such as `User:alice`.
    pub principal: Str,
    /// The host it is for, `*` for all.
    pub host: Str,
    /// Kafka's number of an ACL operation; 1 = any, 2 = all, 3 = read, 4 = write and so on.
    pub operation: i8,
    /// 1 = any, 2 = deny, 3 = allow.
    pub permission_type: i8,
}

impl Default for DeleteAclsMatchingAcl {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            error_message: Some(Str::new()),
            resource_type: 0,
            resource_name: Str::new(),
            pattern_type: 3,
            principal: Str::new(),
            host: Str::new(),
            operation: 0,
            permission_type: 0,
        }
    }
}

impl DeleteAclsMatchingAcl {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        m.resource_type = r.i8()?;
        m.resource_name = r.str()?;
        m.pattern_type = r.i8()?;
        m.principal = r.str()?;
        m.host = r.str()?;
        m.operation = r.i8()?;
        m.permission_type = r.i8()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.i8(self.resource_type);
        w.str(&self.resource_name);
        w.i8(self.pattern_type);
        w.str(&self.principal);
        w.str(&self.host);
        w.i8(self.operation);
        w.i8(self.permission_type);
        w.tags(0);
    }
}
