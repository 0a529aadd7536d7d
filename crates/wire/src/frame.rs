//! Headers, and whole frames as they go over a connection.
//!
//! ```text
//! request   | length i32 | api key i16 | api version i16 | correlation i32 | client id nullable string | tags if flexible | body |
//! response  | length i32 | correlation i32 | tags if flexible, but never for ApiVersions | body |
//! ```
//! The client id keeps its two-byte length in flexible headers too. A client cannot know the version of an ApiVersions
//! answer before it has read it, so that answer's header never has tags (KIP-511).

use bytes::{Buf, Bytes};

use crate::{ApiKey, Reader, Request, Response, Str, WireError, Writer};

/// The length prefix of a frame.
pub const LENGTH_BYTES: usize = 4;

/// The head of a request: what it is, before anything of its body is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API's number as sent; see [`RequestHeader::api`].
    pub api_key: i16,
    /// The version of the body's layout as sent; it may be one that we do not know.
    pub api_version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// What the client calls itself; for quotas null counts as "".
    pub client_id: Option<Str>,
}

impl RequestHeader {
    /// Takes the header from the front of `frame` (the bytes after the length); the body stays in `frame`.
    ///
    /// An API that we do not know is not an error here: without its flexible versions the header's tags cannot be told
    /// from the body, but its key, version and correlation id can be said.
    pub fn decode(frame: &mut Bytes) -> Result<Self, WireError> {
        let flexible_from = |key: i16| ApiKey::from_code(key).and_then(ApiKey::flexible_from);
        let mut fixed = Reader::new(frame.clone(), false);
        let header = RequestHeader {
            api_key: fixed.i16()?,
            api_version: fixed.i16()?,
            correlation_id: fixed.i32()?,
            client_id: fixed.opt_str()?,
        };
        *frame = fixed.rest();
        if flexible_from(header.api_key).is_some_and(|from| header.api_version >= from) {
            let mut tags = Reader::new(frame.clone(), true);
            tags.skip_tags()?;
            *frame = tags.rest();
        }
        Ok(header)
    }

    /// Which API is meant, if it is one that we know.
    pub fn api(&self) -> Option<ApiKey> {
        ApiKey::from_code(self.api_key)
    }

    /// The API, if both it and the version can be decoded. Otherwise the connection is closed, as Kafka does, except
    /// that an ApiVersions of an unknown version is answered in version 0.
    pub fn supported_api(&self) -> Option<ApiKey> {
        self.api().filter(|api| api.versions().contains(&self.api_version))
    }
}

/// A whole request, length included.
///
/// # Errors
/// When the request holds something that this version cannot say.
pub fn encode_request<R: Request>(
    correlation_id: i32,
    client_id: Option<&Str>,
    version: i16,
    request: &R,
) -> Result<Vec<Bytes>, WireError> {
    let flexible = R::API.flexible(version)?;
    let mut writer = Writer::new(false);
    writer.i32(0);
    writer.i16(R::API.code());
    writer.i16(version);
    writer.i32(correlation_id);
    writer.opt_str(&client_id.cloned());
    writer.set_flexible(flexible);
    writer.tags(0);
    request.write(&mut writer, version);
    writer.finish_frame()
}

/// A whole response, length included.
///
/// # Errors
/// When the response holds something that this version cannot say.
pub fn encode_response<R: Response>(correlation_id: i32, version: i16, response: &R) -> Result<Vec<Bytes>, WireError> {
    let mut writer = Writer::new(R::API.flexible_response_header(version)?);
    writer.i32(0);
    writer.i32(correlation_id);
    writer.tags(0);
    writer.set_flexible(R::API.flexible(version)?);
    response.write(&mut writer, version);
    writer.finish_frame()
}

/// The correlation id of a response frame (the bytes after the length), which says whose answer it is.
pub fn peek_correlation_id(frame: &Bytes) -> Result<i32, WireError> {
    Reader::new(frame.clone(), false).i32()
}

/// Takes header and body of a response from the front of `frame` (the bytes after the length).
///
/// # Errors
/// When the bytes are not this version of the response.
pub fn decode_response<R: Response>(frame: &mut Bytes, version: i16) -> Result<(i32, R), WireError> {
    let correlation_id = peek_correlation_id(frame)?;
    frame.advance(4);
    let mut tags = Reader::new(frame.clone(), R::API.flexible_response_header(version)?);
    tags.skip_tags()?;
    *frame = tags.rest();
    Ok((correlation_id, R::decode(frame, version)?))
}
