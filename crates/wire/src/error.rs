//! [`WireError`]: why bytes could not be read as a message, or a message not be written.

use crate::ApiKey;

/// What was expected, what came, and where. A connection that sends such bytes is closed, as Kafka does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message goes on past the end of its frame.
    #[error("{needed} bytes wanted at byte {at}, but the frame has only {remaining} left")]
    Truncated {
        /// How many bytes the next value takes at least.
        needed: u64,
        /// How many are left.
        remaining: usize,
        /// Where, counted from the start of what is being decoded.
        at: usize,
    },
    /// An unsigned varint of more than five bytes or above 2^32 - 1.
    #[error("unsigned varint at byte {at} does not fit 32 bits")]
    VarintTooLong {
        /// Where it starts.
        at: usize,
    },
    /// A negative length that is not the null of that type.
    #[error("length {length} at byte {at}")]
    NegativeLength {
        /// The length as sent.
        length: i64,
        /// Where it ends.
        at: usize,
    },
    /// Null where this version of the message does not allow it.
    #[error("null at byte {at} in a field that cannot be null")]
    UnexpectedNull {
        /// Where the null ends.
        at: usize,
    },
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A tagged field that is longer or shorter than its declared size.
    #[error("tagged field {tag} ends at byte {at}, not at byte {declared} as declared")]
    TagSize {
        /// Which tag.
        tag: u32,
        /// Where its value ended.
        at: usize,
        /// Where it was declared to end.
        declared: usize,
    },
    /// The decoded form would take more memory than the frame warrants (see `Reader`).
    #[error("decoded message would exceed its memory budget of {budget} bytes")]
    TooMuchMemory {
        /// The budget in bytes.
        budget: usize,
    },
    /// A version of this API that we do not know the layout of.
    #[error("{api} has no version {version} here")]
    UnsupportedVersion {
        /// Which API.
        api: ApiKey,
        /// The version asked for.
        version: i16,
    },
    /// On encoding: a field is set that this version cannot carry and that must not be dropped silently.
    #[error("{field} is set, but version {version} does not carry it")]
    NotInVersion {
        /// `Struct.field`.
        field: &'static str,
        /// The version being written.
        version: i16,
    },
    /// On encoding: a field is null, but not nullable in this version.
    #[error("{field} is null, which version {version} does not allow")]
    NullField {
        /// `Struct.field`.
        field: &'static str,
        /// The version being written.
        version: i16,
    },
    /// On encoding: a string, array or frame longer than its length field can say.
    #[error("{length} is too long for its length field")]
    TooLong {
        /// How long it is.
        length: usize,
    },
}
