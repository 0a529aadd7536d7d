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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorCode, Records, fetch, produce};

    #[test]
    fn records_of_a_response_are_never_copied() {
        let batch = Bytes::from(vec![7; 1000]);
        let partition = fetch::PartitionData { records: Some(Records::from(batch.clone())), ..Default::default() };
        let topic =
            fetch::FetchableTopicResponse { partitions: vec![partition.clone(), partition], ..Default::default() };
        let response = fetch::FetchResponse { responses: vec![topic], ..Default::default() };
        for version in 4..=18 {
            let parts = encode_response(1, version, &response).unwrap();
            let shared: Vec<_> = parts.iter().filter(|part| part.as_ptr() == batch.as_ptr()).collect();
            // Flexible versions end with tags behind the records.
            let expected = if version >= 12 { 5 } else { 4 };
            assert_eq!((parts.len(), shared.len()), (expected, 2), "v{version}");
            let length = parts.iter().map(Bytes::len).sum::<usize>() - LENGTH_BYTES;
            assert_eq!(parts[0][..4], (length as i32).to_be_bytes());
        }
    }

    #[test]
    fn records_of_a_request_are_slices_of_its_frame() {
        let partition = produce::PartitionProduceData { index: 1, records: Some(Bytes::from_static(b"batch")) };
        let topic = produce::TopicProduceData { partition_data: vec![partition], ..Default::default() };
        let request = produce::ProduceRequest { topic_data: vec![topic], ..Default::default() };
        let frame = Bytes::from(encode_request(1, None, 9, &request).unwrap().concat()).slice(LENGTH_BYTES..);
        let mut body = frame.clone();
        let header = RequestHeader::decode(&mut body).unwrap();
        let decoded = <produce::ProduceRequest as crate::Message>::decode(&mut body, header.api_version).unwrap();
        let records = decoded.topic_data[0].partition_data[0].records.clone().unwrap();
        assert!(frame.as_ptr_range().contains(&records.as_ptr()));
        assert_eq!(records, "batch");
    }

    #[test]
    fn a_version_that_cannot_say_a_thing_refuses_it_by_name() {
        let mut response = crate::delete_topics::DeleteTopicsResponse::default();
        response.responses.push(Default::default());
        response.responses[0].error_code = ErrorCode::TopicDeletionDisabled;
        assert!(encode_response(1, 1, &response).is_ok());
        response.responses[0].name = None;
        let field = "DeletableTopicResult.name";
        assert_eq!(encode_response(1, 1, &response), Err(WireError::NullField { field, version: 1 }));
        let request = crate::leave_group::LeaveGroupRequest { members: vec![Default::default()], ..Default::default() };
        let field = "LeaveGroupRequest.members";
        assert_eq!(encode_request(1, None, 2, &request), Err(WireError::NotInVersion { field, version: 2 }));
    }

    #[test]
    fn an_unknown_api_still_has_a_header() {
        let mut frame = Bytes::from_static(b"\x03\xe7\0\x01\0\0\0\x05\xff\xffrest");
        let header = RequestHeader::decode(&mut frame).unwrap();
        assert_eq!((header.api_key, header.api(), header.correlation_id, header.client_id), (999, None, 5, None));
        assert_eq!(frame, "rest");
    }
}
