//! Reads the frames of a segment one after the other, in large aligned pieces.

use std::path::{Path, PathBuf};

use ailurus_rt::{DmaBuf, File, IoClass};
use bytes::Bytes;

use super::frame::{FRAME_HEADER_LEN, FrameFault, FrameHeader, Seal};
use super::shard::BLOCK;
use super::{Position, SegmentError};

/// Where and how to walk.
pub(crate) struct Walk {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) seal: Seal,
    /// Start of the first frame.
    pub(crate) position: u64,
    /// End of the last frame, or of what may be one.
    pub(crate) limit: u64,
    /// The place before the first frame, where it is known.
    pub(crate) from: Option<Position>,
    /// Whether frames may be missing between others, as compaction leaves it.
    pub(crate) gaps: bool,
    pub(crate) class: IoClass,
    /// Bytes to read at first and later, doubling in between; more for a frame that needs it.
    pub(crate) pieces: (usize, usize),
}

/// A frame on the way.
pub(crate) struct Walked {
    pub(crate) header: FrameHeader,
    pub(crate) position: u64,
    pub(crate) payload: Bytes,
}

/// What comes next.
pub(crate) enum Step {
    Frame(Walked),
    /// The limit was reached exactly.
    End,
    /// What stands here is no frame of this file that follows the one before.
    Fault(&'static str),
}

pub(crate) struct Walker {
    walk: Walk,
    piece: Bytes,
    piece_at: u64,
    /// Bytes of memory that the piece keeps alive.
    piece_cost: u64,
}

impl Walker {
    pub(crate) fn new(walk: Walk) -> Self {
        let piece_at = walk.position;
        Walker { walk, piece: Bytes::new(), piece_at, piece_cost: 0 }
    }

    pub(crate) fn position(&self) -> u64 {
        self.walk.position
    }

    pub(crate) fn path(&self) -> &Path {
        &self.walk.path
    }

    /// Bytes of memory that the payload given last keeps alive.
    pub(crate) fn piece_cost(&self) -> u64 {
        self.piece_cost
    }

    /// Whether the next frame can be given without reading: payloads before and after it share memory.
    pub(crate) fn next_is_here(&self) -> bool {
        let here = self.here();
        FrameHeader::parse(here, self.walk.seal).is_ok_and(|header| header.frame_len() <= here.len() as u64)
    }

    /// The next frame; a place that does not hold one is an error.
    pub(crate) async fn next(&mut self) -> Result<Option<Walked>, SegmentError> {
        match self.step().await? {
            Step::Frame(walked) => Ok(Some(walked)),
            Step::End => Ok(None),
            Step::Fault(what) => Err(SegmentError::corrupt(&self.walk.path, self.walk.position, what)),
        }
    }

    /// The next frame, or why there is none.
    pub(crate) async fn step(&mut self) -> Result<Step, SegmentError> {
        if self.walk.position >= self.walk.limit {
            return Ok(Step::End);
        }
        let header = loop {
            match FrameHeader::parse(self.here(), self.walk.seal) {
                Ok(header) => break header,
                Err(FrameFault::Short(needed)) => {
                    if !self.fetch(needed as u64).await? {
                        return Ok(Step::Fault("the file ends inside a frame"));
                    }
                }
                Err(FrameFault::Empty) => return Ok(Step::Fault("nothing was written here")),
                Err(FrameFault::Bad(what)) => return Ok(Step::Fault(what)),
            }
        };
        if !self.follows(&header) {
            return Ok(Step::Fault("the frame does not follow the one before it"));
        }
        if (self.here().len() as u64) < header.frame_len() && !self.fetch(header.frame_len()).await? {
            return Ok(Step::Fault("the file ends inside a frame"));
        }
        Ok(Step::Frame(self.take(header)))
    }

    fn take(&mut self, header: FrameHeader) -> Walked {
        let position = self.walk.position;
        let start = (position - self.piece_at) as usize;
        let payload = self.piece.slice(start + FRAME_HEADER_LEN..start + header.frame_len() as usize);
        self.walk.position += header.frame_len();
        self.walk.from = Some(header.end());
        Walked { header, position, payload }
    }

    fn follows(&self, header: &FrameHeader) -> bool {
        let Some(from) = self.walk.from else { return true };
        let base = header.base(from.term);
        let in_place = match self.walk.gaps {
            true => base.index >= from.index && base.offset >= from.offset && base.controls() >= from.controls(),
            false => base.index == from.index && base.offset == from.offset,
        };
        in_place && header.term >= from.term
    }

    /// The bytes from the position on that have been read.
    fn here(&self) -> &[u8] {
        let start = (self.walk.position - self.piece_at).min(self.piece.len() as u64);
        &self.piece[start as usize..]
    }

    /// Reads so that at least `needed` bytes from the position on are here; false if the limit or the file ends before.
    async fn fetch(&mut self, needed: u64) -> Result<bool, SegmentError> {
        if self.walk.position + needed > self.walk.limit {
            return Ok(false);
        }
        let start = self.walk.position / BLOCK * BLOCK;
        // A piece is counted from its first block: with what stands before the position on top it would be a little larger
        // than the buffers that are kept for the next read.
        let end = (self.walk.position + needed).max(start + self.walk.pieces.0 as u64).min(self.walk.limit);
        let buf = DmaBuf::new((end - start).next_multiple_of(BLOCK) as usize);
        self.walk.pieces.0 = (self.walk.pieces.0 * 2).min(self.walk.pieces.1);
        self.piece_cost = buf.capacity() as u64;
        let (read, buf) = self.walk.file.read_at(self.walk.class, start, buf).await;
        let read = read.map_err(SegmentError::io("read", &self.walk.path))?;
        self.piece = buf.freeze().slice(..read.min((self.walk.limit - start) as usize));
        self.piece_at = start;
        Ok(self.here().len() as u64 >= needed)
    }
}

/// Reads the first `len` bytes of a file; fewer if it is shorter.
pub(crate) async fn read_head(file: &File, path: &Path, len: usize, class: IoClass) -> Result<Bytes, SegmentError> {
    let buf = DmaBuf::new(len);
    let (read, buf) = file.read_at(class, 0, buf).await;
    let read = read.map_err(SegmentError::io("read", path))?;
    Ok(buf.freeze().slice(..read.min(len)))
}
