//! [`Message`], [`Request`] and [`Response`]: what every generated message can do.

use std::fmt::Debug;

use bytes::Bytes;

use crate::{ApiKey, Reader, WireError, Writer};

/// The body of a request or response of one API.
///
/// A version outside the API's [decodable range](ApiKey::versions) is refused both ways. Fields that a version does not
/// carry hold their default after decoding; on encoding they are dropped if Kafka calls them ignorable, and refused
/// otherwise.
pub trait Message: Sized + Default + Clone + PartialEq + Debug {
    /// Which API it belongs to.
    const API: ApiKey;

    /// Takes the body from the front of `frame`, strings and records as slices of it; what follows stays in `frame`.
    ///
    /// # Errors
    /// When the bytes are not this version of the message, or would need much more memory than they have bytes.
    fn decode(frame: &mut Bytes, version: i16) -> Result<Self, WireError> {
        Self::decode_within(frame, version, usize::MAX).map(|(message, _)| message)
    }

    /// Like [`Message::decode`] for whoever has `budget` bytes to spare for what is decoded, the frame not counted; also
    /// tells how many it took.
    ///
    /// # Errors
    /// Those of [`Message::decode`], [`WireError::TooMuchMemory`] also where the budget does not suffice.
    fn decode_within(frame: &mut Bytes, version: i16, budget: usize) -> Result<(Self, usize), WireError> {
        let mut reader = Reader::within(frame.clone(), Self::API.flexible(version)?, budget);
        let message = Self::read(&mut reader, version)?;
        let spent = reader.spent();
        *frame = reader.rest();
        Ok((message, spent))
    }

    /// The body alone, without header or length; records uncopied.
    ///
    /// # Errors
    /// When the message holds something that this version cannot say.
    fn encode(&self, version: i16) -> Result<Vec<Bytes>, WireError> {
        let mut writer = Writer::new(Self::API.flexible(version)?);
        self.write(&mut writer, version);
        writer.finish()
    }

    /// Takes the body from `reader`, which knows whether `version` is flexible.
    fn read(reader: &mut Reader, version: i16) -> Result<Self, WireError>;

    /// Puts the body into `writer`, which knows whether `version` is flexible and keeps the first failure.
    fn write(&self, writer: &mut Writer, version: i16);
}

/// What a client sends.
pub trait Request: Message {
    /// What it is answered with.
    type Response: Response;
}

/// What a broker answers.
pub trait Response: Message {}
