//! SaslHandshake (API 17), versions 0 to 1.
//!
//! Made by `cargo xtask codegen` from `messages/sasl_handshake.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for SaslHandshakeRequest {
    const API: ApiKey = ApiKey::SaslHandshake;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for SaslHandshakeRequest {
    type Response = SaslHandshakeResponse;
}

/// Chooses a SASL mechanism. After version 0 raw tokens follow, after version 1 SaslAuthenticate requests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SaslHandshakeRequest {
    /// The mechanism chosen.
    pub mechanism: Str,
}

impl SaslHandshakeRequest {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.mechanism = r.str()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.mechanism);
    }
}

impl Message for SaslHandshakeResponse {
    const API: ApiKey = ApiKey::SaslHandshake;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for SaslHandshakeResponse {}

/// The answer to [`SaslHandshakeRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SaslHandshakeResponse {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The mechanisms that the broker offers.
    pub mechanisms: Vec<Str>,
}

impl SaslHandshakeResponse {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.mechanisms = r.array(2, |r| r.str())?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.error_code(self.error_code);
        w.array(&self.mechanisms, |w, x| w.str(x));
    }
}
