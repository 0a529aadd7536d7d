//! [`Str`]: text that is a slice of the frame it came in.

use std::{borrow::Borrow, fmt, ops::Deref};

use bytes::Bytes;
use bytestring::ByteString;

use crate::WireError;

/// A string of the protocol: UTF-8, cheap to clone, and as long as it lives it keeps the frame it was cut from alive.
///
/// What outlives its request (a group's member id, a topic's name) is kept as [`Str::detached`].
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Str(ByteString);

impl Str {
    /// The empty string; allocates nothing.
    pub const fn new() -> Self {
        Str(ByteString::new())
    }

    /// Text that the program carries itself; allocates nothing.
    pub const fn from_static(text: &'static str) -> Self {
        Str(ByteString::from_static(text))
    }

    /// Checks that `bytes` are UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, WireError> {
        ByteString::try_from(bytes).map(Str).map_err(|_| WireError::NotUtf8)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text in memory of its own, so that the frame can go home.
    pub fn detached(&self) -> Self {
        Str::from(self.as_str())
    }

    /// The bytes of the text, not copied.
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Str(ByteString::from(text))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Str(ByteString::from(text))
    }
}

impl From<&String> for Str {
    fn from(text: &String) -> Self {
        Str::from(text.as_str())
    }
}

impl From<Str> for String {
    fn from(text: Str) -> Self {
        text.as_str().to_owned()
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Str {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_a_slice_of_its_frame_until_detached() {
        let frame = Bytes::from(b"xxorders".to_vec());
        let name = Str::from_utf8(frame.slice(2..)).unwrap();
        assert_eq!(name, "orders");
        assert_eq!(name.as_ptr(), frame[2..].as_ptr());
        assert_ne!(name.detached().as_ptr(), frame[2..].as_ptr());
        assert_eq!(Str::from_utf8(Bytes::from_static(b"\xff")), Err(WireError::NotUtf8));
    }

    #[test]
    fn maps_are_searched_by_plain_text() {
        let map: std::collections::BTreeMap<Str, i32> = [(Str::from_static("a"), 1)].into();
        assert_eq!(map.get("a"), Some(&1));
    }
}
