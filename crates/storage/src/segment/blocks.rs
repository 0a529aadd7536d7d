//! Bytes on their way to a file in whole blocks.

use ailurus_rt::{DmaBuf, File, IoClass};
use std::io;

use super::shard::BLOCK;

/// Gathers bytes behind a place in a file and writes them as aligned buffers.
///
/// The last block is written with what there is of it and zeros behind; whoever goes on later gives its bytes back to
/// [`BlockWriter::new`]. Overwriting it is safe: a block holds the same bytes before the old end in both versions.
pub(crate) struct BlockWriter {
    /// Where the first waiting buffer goes; a multiple of the block size.
    at: u64,
    full: Vec<DmaBuf>,
    current: DmaBuf,
    buffer_bytes: usize,
    class: IoClass,
}

impl BlockWriter {
    /// Goes on at `position`; `tail` are the bytes of the file from the start of the block in which it lies. `expected` is
    /// how many bytes will come, to size the buffers, none larger than `buffer_bytes`.
    pub(crate) fn new(position: u64, tail: &[u8], expected: u64, buffer_bytes: usize, class: IoClass) -> Self {
        let at = position / BLOCK * BLOCK;
        assert_eq!(at + tail.len() as u64, position, "the tail is what the last block holds");
        let buffer_bytes = buffer_bytes.next_multiple_of(BLOCK as usize);
        let first = (tail.len() as u64 + expected).clamp(1, buffer_bytes as u64).next_multiple_of(BLOCK);
        let mut current = DmaBuf::new(first as usize);
        current.extend_from_slice(tail);
        BlockWriter { at, full: Vec::new(), current, buffer_bytes, class }
    }

    /// Takes `bytes`.
    pub(crate) fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.current.capacity().min(self.buffer_bytes) - self.current.len();
            if room == 0 {
                let next = DmaBuf::new(self.buffer_bytes);
                self.full.push(std::mem::replace(&mut self.current, next));
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.current.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Writes the buffers that are full.
    pub(crate) async fn write_full(&mut self, file: &File) -> io::Result<()> {
        for buf in std::mem::take(&mut self.full) {
            let len = buf.len() as u64;
            file.write_at(self.class, self.at, buf).await.0?;
            self.at += len;
        }
        Ok(())
    }

    /// Writes all the rest and gives back the bytes of the last, unfinished block.
    pub(crate) async fn finish(mut self, file: &File) -> io::Result<Vec<u8>> {
        self.write_full(file).await?;
        let len = self.current.len();
        let tail = self.current[len / BLOCK as usize * BLOCK as usize..].to_vec();
        if len > 0 {
            self.current.set_len(len.next_multiple_of(BLOCK as usize));
            file.write_at(self.class, self.at, self.current).await.0?;
        }
        Ok(tail)
    }
}
