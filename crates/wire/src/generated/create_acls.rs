//! CreateAcls (API 30), versions 1 to 3.
//!
//! Made by `cargo xtask codegen` from `messages/create_acls.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for CreateAclsRequest {
    const API: ApiKey = ApiKey::CreateAcls;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for CreateAclsRequest {
    type Response = CreateAclsResponse;
}

/// Adds ACLs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreateAclsRequest {
    /// The ACLs.
    pub creations: Vec<AclCreation>,
}

impl CreateAclsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.creations = r.array(7, |r| AclCreation::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.creations, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The ACLs.
#[derive(Debug, Clone, PartialEq)]
pub struct AclCreation {
    /// 2 = topic, 3 = group, 4 = cluster, 5 = transactional id, 6 = delegation token, 7 = user.
    pub resource_type: i8,
    /// The topic's name, the broker's id or whatever names a resource of that type.
    pub resource_name: Str,
    /// 3 = literal, 4 = prefixed.
    pub resource_pattern_type: i8,
    /// Whom it is for, such as `User:alice`.
    pub principal: Str,
    /// The host it is for, `*` for all.
    pub host: Str,
    /// Kafka's number of an ACL operation; 1 = any, 2 = all, 3 = read, 4 = write and so on.
    pub operation: i8,
    /// 1 = any, 2 = deny, 3 = allow.
    pub permission_type: i8,
}

impl Default for AclCreation {
    fn default() -> Self {
        Self {
            resource_type: 0,
            resource_name: Str::new(),
            resource_pattern_type: 3,
            principal: Str::new(),
            host: Str::new(),
            operation: 0,
            permission_type: 0,
        }
    }
}

impl AclCreation {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.resource_type = r.i8()?;
        m.resource_name = r.str()?;
        m.resource_pattern_type = r.i8()?;
        m.principal = r.str()?;
        m.host = r.str()?;
        m.operation = r.i8()?;
        m.permission_type = r.i8()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i8(self.resource_type);
        w.str(&self.resource_name);
        w.i8(self.resource_pattern_type);
        w.str(&self.principal);
        w.str(&self.host);
        w.i8(self.operation);
        w.i8(self.permission_type);
        w.tags(0);
    }
}

impl Message for CreateAclsResponse {
    const API: ApiKey = ApiKey::CreateAcls;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for CreateAclsResponse {}

/// The answer to [`CreateAclsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreateAclsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One result per thing asked for.
    pub results: Vec<AclCreationResult>,
}

impl CreateAclsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.results = r.array(3, |r| AclCreationResult::read_fields(r, version))?;
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
#[derive(Debug, Clone, PartialEq)]
pub struct AclCreationResult {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
}

impl Default for AclCreationResult {
    fn default() -> Self {
        Self { error_code: ErrorCode::None, error_message: Some(Str::new()) }
    }
}

impl AclCreationResult {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.tags(0);
    }
}
