//! What the files in the directory of a log are called.
//!
//! ```text
//! <base offset>-<term>.log            a segment; base offset with 20 digits, so that names sort as the log does
//! <base offset>-<term>.index          its sidecar, once it is closed
//! <base offset>-<term>.<end>.merged   a compacted segment that stands for all segments from base offset to end
//! *.tmp                               under construction; worth nothing after a crash
//! ```

use ailurus_model::{Offset, Term};

/// The identity of a segment inside its log: no two have the same base offset, because a segment without a record is
/// never closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentName {
    /// Offset of the first record it may hold.
    pub base: Offset,
    /// Term of the first entry.
    pub term: Term,
}

/// What a file name means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileName {
    /// A segment.
    Log(SegmentName),
    /// The sidecar of one.
    Index(SegmentName),
    /// A compacted segment that is about to take the place of all in its range.
    Merged(SegmentName, Offset),
    /// Left over from something that did not finish.
    Temporary,
    /// Not one of ours.
    Foreign,
}

impl SegmentName {
    /// The segment file.
    pub fn log(&self) -> String {
        format!("{:020}-{}.log", self.base, self.term.0)
    }

    /// Its sidecar.
    pub fn index(&self) -> String {
        format!("{:020}-{}.index", self.base, self.term.0)
    }

    /// The compacted file that stands for everything up to `end` until the old ones are gone.
    pub fn merged(&self, end: Offset) -> String {
        format!("{:020}-{}.{:020}.merged", self.base, self.term.0, end.0)
    }

    /// Where a compacted file is written.
    pub fn temporary(&self) -> String {
        format!("{:020}-{}.log.tmp", self.base, self.term.0)
    }

    fn parse(text: &str) -> Option<SegmentName> {
        let (base, term) = text.split_once('-')?;
        (base.len() == 20).then_some(())?;
        Some(SegmentName { base: Offset(base.parse().ok()?), term: Term(term.parse().ok()?) })
    }
}

impl FileName {
    /// Reads a file name.
    pub fn parse(name: &str) -> FileName {
        Self::try_parse(name).unwrap_or(FileName::Foreign)
    }

    fn try_parse(name: &str) -> Option<FileName> {
        let (stem, extension) = name.rsplit_once('.')?;
        match extension {
            "tmp" => Some(FileName::Temporary),
            "log" => SegmentName::parse(stem).map(FileName::Log),
            "index" => SegmentName::parse(stem).map(FileName::Index),
            "merged" => {
                let (stem, end) = stem.split_once('.')?;
                Some(FileName::Merged(SegmentName::parse(stem)?, Offset(end.parse().ok()?)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_they_were_written() {
        let name = SegmentName { base: Offset(1234), term: Term(7) };
        assert_eq!(name.log(), "00000000000000001234-7.log");
        assert_eq!(FileName::parse(&name.log()), FileName::Log(name));
        assert_eq!(FileName::parse(&name.index()), FileName::Index(name));
        assert_eq!(FileName::parse(&name.merged(Offset(99))), FileName::Merged(name, Offset(99)));
        assert_eq!(FileName::parse(&name.temporary()), FileName::Temporary);
        for foreign in ["lost+found", "1-2.log", "x.index", "00000000000000001234-7.txn", "-.log", "a.merged"] {
            assert_eq!(FileName::parse(foreign), FileName::Foreign, "{foreign}");
        }
    }
}
