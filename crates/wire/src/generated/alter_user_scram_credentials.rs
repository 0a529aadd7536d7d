//! AlterUserScramCredentials (API 51), versions 0 to 0.
//!
//! Made by `cargo xtask codegen` from `messages/alter_user_scram_credentials.txt`.

use bytes::Bytes;

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for AlterUserScramCredentialsRequest {
    const API: ApiKey = ApiKey::AlterUserScramCredentials;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for AlterUserScramCredentialsRequest {
    type Response = AlterUserScramCredentialsResponse;
}

/// Sets and removes SCRAM credentials of users.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlterUserScramCredentialsRequest {
    /// What to remove.
    pub deletions: Vec<ScramCredentialDeletion>,
    /// What to set.
    pub upsertions: Vec<ScramCredentialUpsertion>,
}

impl AlterUserScramCredentialsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.deletions = r.array(2, |r| ScramCredentialDeletion::read_fields(r, version))?;
        m.upsertions = r.array(8, |r| ScramCredentialUpsertion::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.deletions, |w, x| x.write_fields(w, version));
        w.array(&self.upsertions, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// What to remove.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScramCredentialDeletion {
    /// The user's name.
    pub name: Str,
    /// 1 = SCRAM-SHA-256, 2 = SCRAM-SHA-512.
    pub mechanism: i8,
}

impl ScramCredentialDeletion {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.mechanism = r.i8()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.i8(self.mechanism);
        w.tags(0);
    }
}

/// What to set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScramCredentialUpsertion {
    /// The user's name.
    pub name: Str,
    /// 1 = SCRAM-SHA-256, 2 = SCRAM-SHA-512.
    pub mechanism: i8,
    /// How often the password is hashed.
    pub iterations: i32,
    /// The salt.
    pub salt: Bytes,
    /// The password, salted and hashed by the client.
    pub salted_password: Bytes,
}

impl ScramCredentialUpsertion {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.mechanism = r.i8()?;
        m.iterations = r.i32()?;
        m.salt = r.bytes()?;
        m.salted_password = r.bytes()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.i8(self.mechanism);
        w.i32(self.iterations);
        w.bytes(&self.salt);
        w.bytes(&self.salted_password);
        w.tags(0);
    }
}

impl Message for AlterUserScramCredentialsResponse {
    const API: ApiKey = ApiKey::AlterUserScramCredentials;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for AlterUserScramCredentialsResponse {}

/// The answer to [`AlterUserScramCredentialsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlterUserScramCredentialsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One result per thing asked for.
    pub results: Vec<AlterUserScramCredentialsResult>,
}

impl AlterUserScramCredentialsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.results = r.array(4, |r| AlterUserScramCredentialsResult::read_fields(r, version))?;
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
pub struct AlterUserScramCredentialsResult {
    /// The user's name.
    pub user: Str,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
}

impl Default for AlterUserScramCredentialsResult {
    fn default() -> Self {
        Self { user: Str::new(), error_code: ErrorCode::None, error_message: Some(Str::new()) }
    }
}

impl AlterUserScramCredentialsResult {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.user = r.str()?;
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.user);
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.tags(0);
    }
}
