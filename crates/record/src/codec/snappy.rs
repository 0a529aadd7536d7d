//! Snappy as Kafka's clients write it: blocks in the framing of xerial's snappy-java, or one bare block.
//!
//! ```text
//! 0x82 "SNAPPY" 0x00 | version i32 = 1 | readable from i32 = 1 | then per block: length i32 | snappy block
//! ```

use std::io::{self, Read};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const PREAMBLE_LEN: usize = 16;
/// What snappy-java puts into one block.
const BLOCK_BYTES: usize = 32 << 10;
/// A snappy element of three bytes copies at most 64, so no honest block claims more; a few bytes carry its length.
const RATIO_MAX: usize = 22;

/// Decompresses block by block; holds one block.
pub(super) struct SnappyReader<'a> {
    input: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    consumed: usize,
    left: u64,
}

impl<'a> SnappyReader<'a> {
    /// `limit` bounds what all blocks together may claim.
    pub(super) fn new(bytes: &'a [u8], limit: u64) -> Self {
        let framed = bytes.len() >= PREAMBLE_LEN && bytes.starts_with(&MAGIC);
        let input = if framed { &bytes[PREAMBLE_LEN..] } else { bytes };
        SnappyReader { input, framed, block: Vec::new(), consumed: 0, left: limit }
    }

    fn next_block(&mut self) -> io::Result<()> {
        let compressed = if self.framed { self.take_framed()? } else { std::mem::take(&mut self.input) };
        let claimed = snap::raw::decompress_len(compressed)?;
        if claimed as u64 > self.left {
            return Err(io::Error::other(TooLarge));
        }
        if claimed > compressed.len().saturating_mul(RATIO_MAX) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a snappy block claims an impossible length"));
        }
        self.left -= claimed as u64;
        self.block.clear();
        self.block.resize(claimed, 0);
        self.consumed = 0;
        let written = snap::raw::Decoder::new().decompress(compressed, &mut self.block)?;
        self.block.truncate(written);
        Ok(())
    }

    fn take_framed(&mut self) -> io::Result<&'a [u8]> {
        // A stream that was appended to begins anew with its own preamble.
        if self.input.len() >= PREAMBLE_LEN && self.input.starts_with(&MAGIC) {
            self.input = &self.input[PREAMBLE_LEN..];
        }
        let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "a snappy frame is cut");
        let (len, rest) = self.input.split_first_chunk::<4>().ok_or_else(cut)?;
        let len = usize::try_from(i32::from_be_bytes(*len)).map_err(|_| cut())?;
        let (block, rest) = rest.split_at_checked(len).ok_or_else(cut)?;
        self.input = rest;
        Ok(block)
    }
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.consumed == self.block.len() {
            if self.input.is_empty() {
                return Ok(0);
            }
            self.next_block()?;
        }
        let len = out.len().min(self.block.len() - self.consumed);
        out[..len].copy_from_slice(&self.block[self.consumed..self.consumed + len]);
        self.consumed += len;
        Ok(len)
    }
}

/// Why a read stopped at the bound, inside an [`io::Error`].
#[derive(Debug)]
struct TooLarge;

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("more than allowed")
    }
}

impl std::error::Error for TooLarge {}

/// Whether a read stopped because the bytes claim more than the bound.
pub(super) fn is_too_large(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<TooLarge>())
}

/// Compresses in xerial's framing, which every client reads.
pub(super) fn compress_framed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::from(MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for chunk in bytes.chunks(BLOCK_BYTES) {
        let block = encoder.compress_vec(chunk)?;
        out.extend_from_slice(&(block.len() as i32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    Ok(out)
}
