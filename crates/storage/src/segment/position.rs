//! A place between two entries of a log.

use std::fmt;

use ailurus_model::{Index, Offset, Term};

/// A place between two entries: what the next entry is numbered, and the term of the one before it.
///
/// `index - offset` is the number of control entries before this place (design, decision 8); it never falls along a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Index of the next entry.
    pub index: Index,
    /// Kafka offset of the next record.
    pub offset: Offset,
    /// Term of the entry before this place; 0 if there never was one.
    pub term: Term,
}

impl Position {
    /// The start of a log that never held anything.
    pub const START: Position = Position { index: Index::ZERO, offset: Offset::ZERO, term: Term(0) };

    /// How many control entries stand before this place.
    pub fn controls(&self) -> i64 {
        self.index.0 - self.offset.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index {}, offset {}, after term {}", self.index, self.offset, self.term)
    }
}
