//! [`Records`]: the record batches of one partition in a response.

use bytes::Bytes;

/// Record batches on their way out: slices of tail chunks, cache or segments, never copied and never looked into.
///
/// On the wire they are one run of bytes behind one length; [`Records`] keeps them as the list that the log gave, so
/// that they leave in one vectored write. A decoded response has them as one slice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records(Vec<Bytes>);

impl Records {
    /// No batches: length 0 on the wire, which is not the same as null.
    pub const fn new() -> Self {
        Records(Vec::new())
    }

    /// Adds what follows.
    pub fn push(&mut self, batches: Bytes) {
        if !batches.is_empty() {
            self.0.push(batches);
        }
    }

    /// The length in bytes on the wire.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there is not one byte.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The slices in order; none is empty.
    pub fn parts(&self) -> &[Bytes] {
        &self.0
    }

    /// The slices in order, to keep.
    pub fn into_parts(self) -> Vec<Bytes> {
        self.0
    }

    /// All as one run of bytes; copies unless there is only one slice.
    pub fn to_bytes(&self) -> Bytes {
        match &self.0[..] {
            [one] => one.clone(),
            parts => parts.concat().into(),
        }
    }
}

impl From<Bytes> for Records {
    fn from(batches: Bytes) -> Self {
        Records::from_iter([batches])
    }
}

impl From<Vec<Bytes>> for Records {
    fn from(mut parts: Vec<Bytes>) -> Self {
        parts.retain(|part| !part.is_empty());
        Records(parts)
    }
}

impl FromIterator<Bytes> for Records {
    fn from_iter<I: IntoIterator<Item = Bytes>>(parts: I) -> Self {
        Records(parts.into_iter().filter(|part| !part.is_empty()).collect())
    }
}
