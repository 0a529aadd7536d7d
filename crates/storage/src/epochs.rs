//! Where terms begin, and how indexes and offsets differ: one small table that answers both.

use ailurus_model::{Index, Offset, Term};

use crate::LogStart;

/// A place from which on the term, or the difference between index and offset, is another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochRow {
    /// The first index for which the row holds.
    pub index: Index,
    /// Kafka offset of the next record at that index.
    pub offset: Offset,
    /// The term of the entries from there on.
    pub term: Term,
    /// The entry at `index` is a control entry, so offsets fall one further behind after it.
    pub control: bool,
}

impl EpochRow {
    /// Index minus offset for the batches that the row covers.
    fn controls(&self) -> i64 {
        self.index.0 - self.offset.0 + i64::from(self.control)
    }
}

/// The leader epochs of a log together with its control entries (raft.md, position design): a row for every entry that
/// starts a term and for every control entry.
///
/// Rows rise strictly by index and never fall by offset or term. There is no row for what a prefix truncation removed,
/// except the one that still holds at the log start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EpochTable {
    rows: Vec<EpochRow>,
}

impl EpochTable {
    /// A table with these rows, as a checkpoint kept them. `None` if they do not rise.
    pub fn from_rows(rows: Vec<EpochRow>) -> Option<Self> {
        let rise = rows.windows(2).all(|pair| {
            pair[0].index < pair[1].index
                && pair[0].offset <= pair[1].offset
                && pair[0].term <= pair[1].term
                && pair[0].controls() <= pair[1].controls()
        });
        rise.then_some(EpochTable { rows })
    }

    /// The rows, in order.
    pub fn rows(&self) -> &[EpochRow] {
        &self.rows
    }

    /// Takes in an entry that was appended at (`index`, `offset`).
    ///
    /// # Panics
    /// If the term falls: a leader never appends in an older term than the log's last.
    pub fn on_appended(&mut self, index: Index, offset: Offset, term: Term, control: bool) {
        let latest = self.latest();
        assert!(latest.is_none_or(|latest| latest <= term), "term {term} follows {latest:?}");
        if control || latest != Some(term) {
            self.rows.push(EpochRow { index, offset, term, control });
        }
    }

    /// Forgets what starts at `to` or later.
    pub fn truncate_suffix(&mut self, to: Index) {
        let kept = self.rows.partition_point(|row| row.index < to);
        self.rows.truncate(kept);
    }

    /// Forgets rows that end before the log's new start.
    pub fn truncate_prefix(&mut self, start: Index) {
        let later = self.rows.partition_point(|row| row.index <= start);
        self.rows.drain(..later.saturating_sub(1));
    }

    /// The latest term that has an entry.
    pub fn latest(&self) -> Option<Term> {
        self.rows.last().map(|row| row.term)
    }

    /// The term of the record at `offset`; `None` if no row reaches down to it.
    pub fn term_of(&self, offset: Offset) -> Option<Term> {
        self.row_of_offset(offset).map(|row| row.term)
    }

    /// The term of the last entry that begins before `index`; `None` if no row reaches down to it.
    pub fn term_before(&self, index: Index) -> Option<Term> {
        let rows = self.rows.partition_point(|row| row.index < index);
        Some(self.rows[..rows].last()?.term)
    }

    /// The index at which the record with this offset stands (or would stand, at the log's end).
    pub fn index_of(&self, offset: Offset, start: LogStart) -> Index {
        match self.row_of_offset(offset) {
            Some(row) => Index(offset.0 + row.controls()),
            None => Index(offset.0 + start.controls()),
        }
    }

    /// The offset of the first record that stands behind `index`.
    pub fn offset_after(&self, index: Index, start: LogStart) -> Offset {
        let rows = self.rows.partition_point(|row| row.index <= index);
        let controls = rows.checked_sub(1).map_or_else(|| start.controls(), |last| self.rows[last].controls());
        Offset(index.0 + 1 - controls)
    }

    /// Kafka's OffsetForLeaderEpoch for a log of `start..end`: the largest term that is not above `term`, and the offset
    /// behind its last record.
    ///
    /// A term older than all that are known ended where those begin: it answers itself, or a client that has read all of
    /// an expired log would take that log for truncated. `None` for a term that this log has not reached.
    pub fn end_offset_for(&self, term: Term, start: Offset, end: Offset) -> Option<(Term, Offset)> {
        if self.latest()? == term {
            return Some((term, end));
        }
        let later = self.rows.partition_point(|row| row.term <= term);
        let next = self.rows.get(later)?;
        match self.rows[..later].last() {
            Some(known) => Some((known.term, next.offset)),
            None => Some((term, next.offset.max(start))),
        }
    }

    /// The last row that begins at or before the record with this offset. A control entry precedes the record at its
    /// own offset, so rows at that same offset count.
    fn row_of_offset(&self, offset: Offset) -> Option<&EpochRow> {
        let later = self.rows.partition_point(|row| row.offset <= offset);
        self.rows[..later].last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Term 1: control, records 0..3; term 2: control, control, records 3..5.
    fn table() -> EpochTable {
        let mut table = EpochTable::default();
        table.on_appended(Index(0), Offset(0), Term(1), true);
        table.on_appended(Index(1), Offset(0), Term(1), false);
        table.on_appended(Index(4), Offset(3), Term(2), true);
        table.on_appended(Index(5), Offset(3), Term(2), true);
        table.on_appended(Index(6), Offset(3), Term(2), false);
        table
    }

    #[test]
    fn indexes_and_offsets_follow_from_each_other() {
        let table = table();
        let indexes: Vec<_> = (0..6).map(|offset| table.index_of(Offset(offset), LogStart::START).0).collect();
        assert_eq!(indexes, [1, 2, 3, 6, 7, 8]);
        let offsets: Vec<_> = (0..8).map(|index| table.offset_after(Index(index), LogStart::START).0).collect();
        assert_eq!(offsets, [0, 1, 2, 3, 3, 3, 4, 5]);
        assert_eq!(table.offset_after(Index(-1), LogStart::START), Offset(0));
    }

    /// What a log of `start..5` with this table answers about the terms 0, 1, ...
    fn ends(table: &EpochTable, start: i64) -> Vec<Option<(i32, i64)>> {
        let end_of = |term| table.end_offset_for(Term(term), Offset(start), Offset(5));
        (0..6).map(|term| end_of(term).map(|(term, end)| (term.0, end.0))).collect()
    }

    #[test]
    fn a_term_ends_where_the_next_begins() {
        let mut table = EpochTable::default();
        assert_eq!(ends(&table, 5), [None; 6], "a log without terms knows nothing");
        table.on_appended(Index(0), Offset(0), Term(1), true);
        table.on_appended(Index(4), Offset(3), Term(2), true);
        table.on_appended(Index(6), Offset(4), Term(4), true);
        let known = [Some((1, 3)), Some((2, 4)), Some((2, 4)), Some((4, 5)), None];
        assert_eq!(ends(&table, 0), [&[Some((0, 0))], &known[..]].concat());
        // Without the first rows, older terms end where the log starts.
        table.truncate_prefix(Index(5));
        assert_eq!(ends(&table, 3), [&[Some((0, 3)), Some((1, 3))], &known[1..]].concat());
        table.truncate_prefix(Index(8));
        let known = [Some((0, 5)), Some((1, 5)), Some((2, 5)), Some((3, 5)), Some((4, 5)), None];
        assert_eq!(ends(&table, 5), known, "the log is empty, its term began before its start");
    }

    #[test]
    fn cuts_keep_the_row_that_still_holds() {
        let mut table = table();
        table.truncate_prefix(Index(2));
        assert_eq!(table.rows()[0].term, Term(1));
        table.truncate_prefix(Index(7));
        assert_eq!(table.rows().len(), 1);
        assert_eq!(table.index_of(Offset(4), LogStart::START), Index(7));
        table.truncate_suffix(Index(5));
        assert!(table.rows().is_empty());
    }
}
