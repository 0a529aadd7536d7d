//! Where in a segment an offset, an index or a time is found: a sparse table, one row per stride of bytes.
//!
//! What always holds: rows ascend in every column; each row names the start of a frame; the table never has more than
//! its bound of rows (when full, every second one goes and the stride doubles), so the index of a segment of any size
//! fits in memory. It is advice: a reader starts at the row and walks, and every frame proves itself.

use ailurus_model::{Index, Offset};

use super::frame::FrameHeader;

/// Rows in memory and in a sidecar. They are 32 KiB at most, for every log of the shard at once, and find a place in a
/// segment of 1 GiB within 2 MiB: one or two reads.
pub const INDEX_ROWS_MAX: usize = 1024;
/// Rows of the growing segment that a checkpoint carries: enough to find the neighbourhood after a restart, few enough
/// to be written for a thousand partitions at each recycling of a journal file. Readers learn the rest again.
pub const CHECKPOINT_ROWS_MAX: usize = 32;
/// Bytes of an encoded row.
pub const ROW_LEN: usize = 32;

/// One row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexRow {
    /// Kafka offset of the frame's place.
    pub offset: Offset,
    /// Index of the frame.
    pub index: Index,
    /// No record of the segment before this frame has a later timestamp; -1 if there is none.
    pub time_before: i64,
    /// Where the frame begins in the file.
    pub position: u64,
}

impl IndexRow {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.0.to_le_bytes());
        out.extend_from_slice(&self.index.0.to_le_bytes());
        out.extend_from_slice(&self.time_before.to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
    }

    pub(crate) fn decode(bytes: &[u8; ROW_LEN]) -> IndexRow {
        let word = |at: usize| i64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        IndexRow { offset: Offset(word(0)), index: Index(word(8)), time_before: word(16), position: word(24) as u64 }
    }
}

/// The table of one segment.
#[derive(Clone, Debug)]
pub struct SparseIndex {
    rows: Vec<IndexRow>,
    stride: u64,
    rows_max: usize,
}

impl SparseIndex {
    /// An empty table that keeps a row per `stride` bytes (Kafka's `index.interval.bytes`), and at most `rows_max`.
    pub fn new(stride: u64, rows_max: usize) -> Self {
        assert!(rows_max >= 2, "thinning halves the rows");
        SparseIndex { rows: Vec::new(), stride: stride.max(1), rows_max }
    }

    /// A table from rows that were written earlier; rows that do not ascend end it.
    pub fn from_rows(stride: u64, rows_max: usize, rows: impl IntoIterator<Item = IndexRow>) -> Self {
        let mut index = Self::new(stride, rows_max);
        for row in rows {
            index.push(row);
        }
        index
    }

    /// Bytes between rows.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// The rows, ascending.
    pub fn rows(&self) -> &[IndexRow] {
        &self.rows
    }

    /// Takes note of a frame that was appended or scanned at `position`, behind all noted so far.
    pub fn note(&mut self, header: &FrameHeader, position: u64, time_before: i64) {
        self.push(IndexRow { offset: header.offset, index: header.index, time_before, position });
    }

    fn push(&mut self, row: IndexRow) {
        if let Some(last) = self.rows.last() {
            let ascends = row.offset >= last.offset && row.index > last.index && row.time_before >= last.time_before;
            if !ascends || row.position < last.position + self.stride {
                return;
            }
        }
        if self.rows.len() == self.rows_max {
            self.thin();
        }
        self.rows.push(row);
    }

    fn thin(&mut self) {
        let mut place = 0;
        self.rows.retain(|_| {
            place += 1;
            place % 2 == 1
        });
        self.stride *= 2;
    }

    /// Takes note of a frame that a reader met anywhere: after a restart only a few rows are known.
    pub fn learn(&mut self, row: IndexRow) {
        let place = self.rows.partition_point(|known| known.position <= row.position);
        let far_from_left = place == 0 || row.position >= self.rows[place - 1].position + self.stride;
        let far_from_right = self.rows.get(place).is_none_or(|right| right.position >= row.position + self.stride);
        if far_from_left && far_from_right && self.rows.len() < self.rows_max {
            self.rows.insert(place, row);
        }
    }

    /// The last row at or before `offset`.
    pub fn by_offset(&self, offset: Offset) -> Option<&IndexRow> {
        self.rows[..self.rows.partition_point(|row| row.offset <= offset)].last()
    }

    /// The last row at or before `index`.
    pub fn by_index(&self, index: Index) -> Option<&IndexRow> {
        self.rows[..self.rows.partition_point(|row| row.index <= index)].last()
    }

    /// The last row before which no record has a timestamp of `time` or later.
    pub fn by_time(&self, time: i64) -> Option<&IndexRow> {
        self.rows[..self.rows.partition_point(|row| row.time_before < time)].last()
    }

    /// No record before `position` has a later timestamp than this, says the next row.
    pub fn time_bound(&self, position: u64) -> Option<i64> {
        self.rows.get(self.rows.partition_point(|row| row.position < position)).map(|row| row.time_before)
    }

    /// Forgets the rows at and behind `position`.
    pub fn truncate(&mut self, position: u64) {
        self.rows.truncate(self.rows.partition_point(|row| row.position < position));
    }

    /// At most `count` rows, spread evenly.
    pub fn sample(&self, count: usize) -> Vec<IndexRow> {
        let step = self.rows.len().div_ceil(count).max(1);
        self.rows.iter().step_by(step).copied().collect()
    }

    /// Bytes it occupies in memory.
    pub fn memory(&self) -> usize {
        self.rows.capacity() * size_of::<IndexRow>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: i64) -> IndexRow {
        IndexRow { offset: Offset(n * 3), index: Index(n * 3 + 2), time_before: n * 100, position: (n * 10) as u64 }
    }

    #[test]
    fn lookups_give_the_last_row_at_or_before() {
        let index = SparseIndex::from_rows(10, 64, (0..10).map(row));
        assert_eq!(index.by_offset(Offset(11)), Some(&row(3)));
        assert_eq!(index.by_offset(Offset(12)), Some(&row(4)));
        assert_eq!(index.by_index(Index(1)), None);
        assert_eq!(index.by_index(Index(2)), Some(&row(0)));
        assert_eq!(index.by_time(0), None);
        assert_eq!(index.by_time(1), Some(&row(0)));
        assert_eq!(index.by_time(300), Some(&row(2)));
        assert_eq!(index.by_time(301), Some(&row(3)));
    }

    #[test]
    fn a_full_table_thins_and_never_outgrows_its_bound() {
        let mut index = SparseIndex::new(10, 8);
        for n in 0..1000 {
            index.push(row(n));
            assert!(index.rows().len() <= 8);
            assert!(index.rows().windows(2).all(|pair| pair[0].position < pair[1].position));
        }
        assert_eq!(index.by_offset(Offset(0)), Some(&row(0)));
        assert!(index.rows().len() >= 4);
    }

    #[test]
    fn rows_closer_than_the_stride_are_not_kept() {
        let index = SparseIndex::from_rows(25, 64, (0..10).map(row));
        assert_eq!(index.rows().iter().map(|row| row.position).collect::<Vec<_>>(), [0, 30, 60, 90]);
    }

    #[test]
    fn a_reader_fills_what_a_sample_left_out() {
        let full = SparseIndex::from_rows(10, 64, (0..40).map(row));
        let mut index = SparseIndex::from_rows(10, 64, full.sample(4));
        assert!(index.rows().len() <= 4);
        for n in (0..40).rev() {
            index.learn(row(n));
        }
        assert_eq!(index.rows(), full.rows());
    }

    #[test]
    fn truncation_forgets_what_lies_behind() {
        let mut index = SparseIndex::from_rows(10, 64, (0..10).map(row));
        index.truncate(40);
        assert_eq!(index.rows().last(), Some(&row(3)));
    }

    #[test]
    fn a_row_reads_as_it_was_written() {
        let mut bytes = Vec::new();
        row(77).encode(&mut bytes);
        assert_eq!(IndexRow::decode(bytes.as_slice().try_into().expect("32 bytes")), row(77));
    }
}
