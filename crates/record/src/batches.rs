//! Whole batches in a run of bytes.

use crate::header::{CRC_AT, CRC_START};
use crate::{BatchHeader, HEADER_LEN, RecordError};
use ailurus_base::crc;

/// Walks the batches in a run of bytes, as a fetch answers them or a segment holds them.
///
/// Ends without an error where the last batch is not whole (a fetch may cut it); an impossible header is an error,
/// after which nothing follows. No CRC is computed: see [`crc_ok`].
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// The batches of `bytes`, which begin with one.
    pub fn new(bytes: &'a [u8]) -> Self {
        Batches { rest: bytes }
    }

    /// What has not been walked yet: at the end, the bytes of a batch that was cut.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    /// The header and all bytes of the batch.
    type Item = Result<(BatchHeader, &'a [u8]), RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.len() < HEADER_LEN {
            return None;
        }
        let header = match BatchHeader::parse(self.rest) {
            Ok(header) => header,
            Err(error) => {
                self.rest = &[];
                return Some(Err(error));
            }
        };
        let (batch, rest) = self.rest.split_at_checked(header.size_in_bytes())?;
        self.rest = rest;
        Some(Ok((header, batch)))
    }
}

/// Whether `batch` is one whole batch whose bytes are those its CRC32C was made from.
/// Offset, length and epoch are outside it.
pub fn crc_ok(batch: &[u8]) -> bool {
    BatchHeader::parse(batch).is_ok_and(|header| header.size_in_bytes() == batch.len() && header.crc == crc(batch))
}

/// The CRC32C of a batch, computed from its bytes.
pub(crate) fn crc(batch: &[u8]) -> u32 {
    crc::crc32c(&batch[CRC_START..])
}

/// Writes the CRC32C that the bytes of `batch` have.
pub(crate) fn seal(batch: &mut [u8]) {
    let crc = crc(batch);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}
