//! SaslAuthenticate (API 36), versions 0 to 2.
//!
//! Made by `cargo xtask codegen` from `messages/sasl_authenticate.txt`.

use bytes::Bytes;

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for SaslAuthenticateRequest {
    const API: ApiKey = ApiKey::SaslAuthenticate;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for SaslAuthenticateRequest {
    type Response = SaslAuthenticateResponse;
}

/// Carries the tokens of a SASL exchange.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SaslAuthenticateRequest {
    /// The client's token.
    pub auth_bytes: Bytes,
}

impl SaslAuthenticateRequest {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.auth_bytes = r.bytes()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.bytes(&self.auth_bytes);
        w.tags(0);
    }
}

impl Message for SaslAuthenticateResponse {
    const API: ApiKey = ApiKey::SaslAuthenticate;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for SaslAuthenticateResponse {}

/// The answer to [`SaslAuthenticateRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct SaslAuthenticateResponse {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
    /// The broker's token.
    pub auth_bytes: Bytes,
    /// The client has to authenticate again after so many ms; 0 = never (KIP-368). (From version 1; else dropped.)
    pub session_lifetime_ms: i64,
}

impl Default for SaslAuthenticateResponse {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            error_message: Some(Str::new()),
            auth_bytes: Bytes::new(),
            session_lifetime_ms: 0,
        }
    }
}

impl SaslAuthenticateResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        m.auth_bytes = r.bytes()?;
        if version >= 1 {
            m.session_lifetime_ms = r.i64()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.bytes(&self.auth_bytes);
        if version >= 1 {
            w.i64(self.session_lifetime_ms);
        }
        w.tags(0);
    }
}
