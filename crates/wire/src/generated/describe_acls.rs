//! DescribeAcls (API 29), versions 1 to 3.
//!
//! Made by `cargo xtask codegen` from `messages/describe_acls.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for DescribeAclsRequest {
    const API: ApiKey = ApiKey::DescribeAcls;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DescribeAclsRequest {
    type Response = DescribeAclsResponse;
}

/// Lists the ACLs that match a filter.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeAclsRequest {
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

impl Default for DescribeAclsRequest {
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

impl DescribeAclsRequest {
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

impl Message for DescribeAclsResponse {
    const API: ApiKey = ApiKey::DescribeAcls;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DescribeAclsResponse {}

/// The answer to [`DescribeAclsRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeAclsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
    /// The resources that have such ACLs.
    pub resources: Vec<DescribeAclsResource>,
}

impl Default for DescribeAclsResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::None,
            error_message: Some(Str::new()),
            resources: Vec::new(),
        }
    }
}

impl DescribeAclsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        m.resources = r.array(4, |r| DescribeAclsResource::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.array(&self.resources, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The resources that have such ACLs.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeAclsResource {
    /// 2 = topic, 3 = group, 4 = cluster, 5 = transactional id, 6 = delegation token, 7 = user.
    pub resource_type: i8,
    /// The topic's name, the broker's id or whatever names a resource of that type.
    pub resource_name: Str,
    /// 3 = literal, 4 = prefixed.
    pub pattern_type: i8,
    /// The ACLs.
    pub acls: Vec<AclDescription>,
}

impl Default for DescribeAclsResource {
    fn default() -> Self {
        Self { resource_type: 0, resource_name: Str::new(), pattern_type: 3, acls: Vec::new() }
    }
}

impl DescribeAclsResource {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.resource_type = r.i8()?;
        m.resource_name = r.str()?;
        m.pattern_type = r.i8()?;
        m.acls = r.array(4, |r| AclDescription::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i8(self.resource_type);
        w.str(&self.resource_name);
        w.i8(self.pattern_type);
        w.array(&self.acls, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The ACLs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AclDescription {
    /// Whom it is for, such as `User:alice`.
    pub principal: Str,
    /// The host it is for, `*` for all.
    pub host: Str,
    /// Kafka's number of an ACL operation; 1 = any, 2 = all, 3 = read, 4 = write and so on.
    pub operation: i8,
    /// 1 = any, 2 = deny, 3 = allow.
    pub permission_type: i8,
}

impl AclDescription {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.principal = r.str()?;
        m.host = r.str()?;
        m.operation = r.i8()?;
        m.permission_type = r.i8()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.principal);
        w.str(&self.host);
        w.i8(self.operation);
        w.i8(self.permission_type);
        w.tags(0);
    }
}
