//! DescribeUserScramCredentials (API 50), versions 0 to 0.
//!
//! Made by `cargo xtask codegen` from `messages/describe_user_scram_credentials.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for DescribeUserScramCredentialsRequest {
    const API: ApiKey = ApiKey::DescribeUserScramCredentials;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DescribeUserScramCredentialsRequest {
    type Response = DescribeUserScramCredentialsResponse;
}

/// Which SCRAM credentials users have, without the secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeUserScramCredentialsRequest {
    /// Which users; null = all.
    pub users: Option<Vec<UserName>>,
}

impl Default for DescribeUserScramCredentialsRequest {
    fn default() -> Self {
        Self { users: Some(Vec::new()) }
    }
}

impl DescribeUserScramCredentialsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.users = r.opt_array(1, |r| UserName::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.opt_array(&self.users, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// Which users; null = all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UserName {
    /// The user's name.
    pub name: Str,
}

impl UserName {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.tags(0);
    }
}

impl Message for DescribeUserScramCredentialsResponse {
    const API: ApiKey = ApiKey::DescribeUserScramCredentials;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DescribeUserScramCredentialsResponse {}

/// The answer to [`DescribeUserScramCredentialsRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeUserScramCredentialsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
    /// One result per thing asked for.
    pub results: Vec<DescribeUserScramCredentialsResult>,
}

impl Default for DescribeUserScramCredentialsResponse {
    fn default() -> Self {
        Self { throttle_time_ms: 0, error_code: ErrorCode::None, error_message: Some(Str::new()), results: Vec::new() }
    }
}

impl DescribeUserScramCredentialsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        m.results = r.array(5, |r| DescribeUserScramCredentialsResult::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.array(&self.results, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One result per thing asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeUserScramCredentialsResult {
    /// The user's name.
    pub user: Str,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
    /// The credentials.
    pub credential_infos: Vec<CredentialInfo>,
}

impl Default for DescribeUserScramCredentialsResult {
    fn default() -> Self {
        Self {
            user: Str::new(),
            error_code: ErrorCode::None,
            error_message: Some(Str::new()),
            credential_infos: Vec::new(),
        }
    }
}

impl DescribeUserScramCredentialsResult {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.user = r.str()?;
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        m.credential_infos = r.array(5, |r| CredentialInfo::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.user);
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.array(&self.credential_infos, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The credentials.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CredentialInfo {
    /// 1 = SCRAM-SHA-256, 2 = SCRAM-SHA-512.
    pub mechanism: i8,
    /// How often the password is hashed.
    pub iterations: i32,
}

impl CredentialInfo {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.mechanism = r.i8()?;
        m.iterations = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i8(self.mechanism);
        w.i32(self.iterations);
        w.tags(0);
    }
}
