//! Kafka's messages: what goes over a connection between its length prefixes.
//!
//! This crate turns frames into plain structs and back, both sides of every API, in all versions of the message table
//! (`messages/`). It does not look into record batches, does no I/O and knows no rules beyond the layout: what a request
//! means is for the crates above.
//!
//! What always holds:
//! - Decoding believes nothing. Every length is held against what remains; the memory of the decoded form is a small
//!   multiple of the frame (see [`Reader`]); nothing panics.
//! - Strings, bytes and records of a decoded message are slices of its frame. Records are not copied on the way out
//!   either: an encoded message is a list of parts with the records between them.
//! - Versions, nullability, defaults and tagged fields are Kafka's, proven against another implementation in `tests/`.
//!
//! In reading order:
//! - [`ApiKey`]: the APIs and their versions; [`ErrorCode`]: Kafka's errors.
//! - [`Message`], [`Request`], [`Response`]: what every message can do.
//! - [`RequestHeader`], [`encode_response`], [`encode_request`], [`decode_response`]: whole frames.
//! - One module per API, such as [`produce`], with the structs of its request and response.
//! - [`Str`], [`Records`]: the values that are not plain numbers; [`Reader`], [`Writer`]: how values are laid out;
//!   [`WireError`]: what can be wrong with them.
//!
//! ```
//! use ailurus_wire::{Message, RequestHeader, encode_request, encode_response, heartbeat::*};
//!
//! let request = HeartbeatRequest { group_id: "g".into(), generation_id: 3, ..Default::default() };
//! let parts = encode_request(7, Some(&"me".into()), 4, &request)?;
//!
//! let mut frame = bytes::Bytes::from(parts.concat()).slice(4..);
//! let header = RequestHeader::decode(&mut frame)?;
//! assert_eq!(HeartbeatRequest::decode(&mut frame, header.api_version)?, request);
//! let answer = encode_response(header.correlation_id, header.api_version, &HeartbeatResponse::default())?;
//! assert_eq!(answer.len(), 1);
//! # Ok::<(), ailurus_wire::WireError>(())
//! ```

mod api_key;
mod error;
mod error_code;
mod frame;
#[allow(clippy::field_reassign_with_default, reason = "generated: which fields are read depends on the version")]
mod generated;
mod message;
mod reader;
mod records;
mod str;
mod writer;

pub use ailurus_model::TopicId;
pub use api_key::ApiKey;
pub use error::WireError;
pub use error_code::ErrorCode;
pub use frame::{LENGTH_BYTES, RequestHeader, decode_response, encode_request, encode_response, peek_correlation_id};
pub use generated::*;
pub use message::{Message, Request, Response};
pub use reader::{DECODED_FACTOR, DECODED_FLOOR, Reader, Tags};
pub use records::Records;
pub use str::Str;
pub use writer::Writer;
