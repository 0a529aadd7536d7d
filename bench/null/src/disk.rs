//! The part of the file that a shard writes, as a ring. All of it was written once before: what is overwritten needs no
//! extents, no sizes and no journal of the file system.

use ailurus_rt::{DmaBuf, File, IoClass, OpenOptions};
use std::io;
use std::path::Path;

/// What direct I/O may ask for at most; lengths and places are multiples of it.
const PAGE: usize = 4096;
/// The largest piece that is written at once: the largest buffer that a shard keeps for its next use.
pub(crate) const BLOCK: usize = 1 << 20;

pub(crate) struct Disk {
    file: File,
    from: u64,
    to: u64,
    at: u64,
}

impl Disk {
    /// Lays out `bytes` for this shard behind those of the shards before it, and writes them.
    pub(crate) async fn prepare(path: &Path, bytes: u64, shard: u16) -> io::Result<Disk> {
        let file =
            File::open(path, OpenOptions { direct: true, create: true, write: true, ..Default::default() }).await?;
        if !file.is_direct() {
            eprintln!(
                "ailurus-null: {} is not on a file system with direct I/O: this is no limit of anything",
                path.display()
            );
        }
        let bytes = bytes / BLOCK as u64 * BLOCK as u64;
        let from = bytes * u64::from(shard);
        file.allocate(from, bytes).await?;
        let mut zeros = DmaBuf::new(BLOCK);
        zeros.set_len(BLOCK);
        for at in (from..from + bytes).step_by(BLOCK) {
            let written;
            (written, zeros) = file.write_at(IoClass::Produce, at, zeros).await;
            written?;
        }
        file.sync_data(IoClass::Produce).await?;
        Ok(Disk { file, from, to: from + bytes, at: from })
    }

    /// Writes `block` behind the last, padded to whole pages.
    pub(crate) async fn write(&mut self, mut block: DmaBuf) -> io::Result<()> {
        block.set_len(block.len().next_multiple_of(PAGE));
        let len = block.len() as u64;
        assert!(len <= self.to - self.from, "a block is smaller than the file");
        if self.at + len > self.to {
            self.at = self.from;
        }
        let (written, _) = self.file.write_at(IoClass::Produce, self.at, block).await;
        self.at += len;
        written
    }

    /// Makes durable what was written.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        self.file.sync_data(IoClass::Produce).await
    }
}
