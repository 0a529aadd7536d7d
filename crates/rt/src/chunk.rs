//! A buffer that is filled from front to back while what is in it is shared already.
//!
//! What always holds: a byte is written once, before the piece that it belongs to is given out, and never after; the
//! memory goes home when the chunk and all of its pieces are gone.

use crate::dma::DmaBuf;
use bytes::Bytes;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::Arc;

/// See the module's head. Not to be confused with a [`DmaBuf`], which has one owner.
pub struct Chunk {
    memory: Arc<Memory>,
    filled: usize,
    capacity: usize,
}

struct Memory(UnsafeCell<DmaBuf>);

// SAFETY: pieces on other threads only read their own range, which was written before they were made; the chunk, of which
// there is one and which is not `Sync` for writing (`&mut self`), writes only behind all ranges that were given out.
#[allow(unsafe_code, reason = "see SAFETY above")]
unsafe impl Sync for Memory {}

/// A range of a chunk that has been filled.
struct Piece {
    memory: Arc<Memory>,
    range: Range<usize>,
}

impl Chunk {
    /// Room for at least `capacity` bytes, as [`DmaBuf::new`] rounds it.
    pub fn new(capacity: usize) -> Chunk {
        let memory = DmaBuf::new(capacity);
        let capacity = memory.capacity();
        Chunk { memory: Arc::new(Memory(UnsafeCell::new(memory))), filled: 0, capacity }
    }

    /// How many bytes fit in all.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many bytes still fit.
    pub fn room(&self) -> usize {
        self.capacity - self.filled
    }

    /// Takes `len` bytes of the room, which `fill` writes (it finds any bytes there), and shares them.
    ///
    /// # Panics
    /// If there is less room.
    pub fn push(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> Bytes {
        assert!(len <= self.room(), "{len} bytes more in a full chunk");
        let range = self.filled..self.filled + len;
        // SAFETY: the range lies behind everything that was given out, inside the buffer, whose bytes were all written at
        // least once, and `&mut self` is the only one who reaches it. The pointer to the block is made without a reference
        // to its bytes, so no reference to a piece's bytes is touched.
        #[allow(unsafe_code, reason = "see SAFETY")]
        let bytes = unsafe {
            let start = (*self.memory.0.get()).start().as_ptr().add(range.start);
            std::slice::from_raw_parts_mut(start, len)
        };
        fill(bytes);
        self.filled = range.end;
        if len == 0 { Bytes::new() } else { Bytes::from_owner(Piece { memory: self.memory.clone(), range }) }
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the range was filled before the piece was made and is not written again; the memory lives as long as
        // `self`, and nobody takes a reference to the whole of it.
        #[allow(unsafe_code, reason = "see SAFETY")]
        unsafe {
            let start = (*self.memory.0.get()).start().as_ptr().add(self.range.start);
            std::slice::from_raw_parts(start, self.range.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a second thread reads while this one fills")]
    fn pieces_follow_each_other_and_stay() {
        let mut chunk = Chunk::new(4096);
        assert_eq!(chunk.room(), 4096);
        let first = chunk.push(100, |bytes| bytes.fill(1));
        let second = chunk.push(3000, |bytes| bytes.fill(2));
        assert_eq!(first.as_ptr() as usize + 100, second.as_ptr() as usize);
        assert!(chunk.push(0, |_| {}).is_empty());
        assert_eq!(chunk.room(), 996);
        let last = std::thread::scope(|scope| {
            let read = second.clone();
            let reader = scope.spawn(move || read.iter().all(|byte| *byte == 2));
            let last = chunk.push(996, |bytes| bytes.fill(3));
            assert!(reader.join().expect("it reads"));
            last
        });
        drop(chunk);
        assert!(first.iter().all(|byte| *byte == 1));
        assert!(last.iter().all(|byte| *byte == 3));
    }

    #[test]
    #[should_panic(expected = "in a full chunk")]
    fn more_than_fits_is_refused() {
        let mut chunk = Chunk::new(4096);
        chunk.push(4000, |bytes| bytes.fill(1));
        chunk.push(97, |bytes| bytes.fill(1));
    }
}
