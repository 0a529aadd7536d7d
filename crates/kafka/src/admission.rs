//! Who may take how much of a shard's memory for requests.
//!
//! What always holds: no frame is read and no answer filled beyond what was granted here; and neither large frames nor
//! answers that nobody takes nor fetches that wait can use up what small frames need, because each kind has a part of its
//! own.

use std::rc::Rc;

use ailurus_rt::Memory;

/// Frames up to this size are small: all that clients send to stay members, to ask and to commit.
const SMALL: u64 = 64 << 10;

/// Frames up to this size are ordinary produce requests: Java's clients send at most 1 MiB unless told otherwise.
const MIDDLE: u64 = 2 << 20;

/// The memory for requests of one shard in parts.
pub(crate) struct Admission {
    small: Rc<Memory>,
    middle: Rc<Memory>,
    large: Rc<Memory>,
    answers: Rc<Memory>,
    waits: Rc<Memory>,
}

impl Admission {
    /// Divides `bytes`.
    pub(crate) fn of(bytes: u64) -> Self {
        Admission {
            small: Memory::new(bytes / 8),
            middle: Memory::new(bytes / 16 * 3),
            large: Memory::new(bytes / 2),
            answers: Memory::new(bytes / 8),
            waits: Memory::new(bytes / 16),
        }
    }

    /// The largest frame that is ever granted.
    pub(crate) fn frame_bytes_max(&self) -> u64 {
        self.large.largest()
    }

    /// Where a frame of `bytes` gets its memory. At most [`Admission::frame_bytes_max`].
    pub(crate) fn for_frame(&self, bytes: u64) -> &Rc<Memory> {
        let parts = [(SMALL, &self.small), (MIDDLE, &self.middle)];
        let fits = parts.into_iter().find(|(most, part)| bytes <= *most.min(&part.largest()));
        fits.map_or(&self.large, |(_, part)| part)
    }

    /// Where answers get theirs.
    pub(crate) fn for_answers(&self) -> &Rc<Memory> {
        &self.answers
    }

    /// Where requests that wait get theirs for what they keep meanwhile. Never waited for: what it is held for may take
    /// weeks.
    pub(crate) fn for_waits(&self) -> &Rc<Memory> {
        &self.waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_up_to_the_largest_can_be_granted() {
        for bytes in [1 << 10, 1 << 20, 16 << 20, 1 << 30] {
            let admission = Admission::of(bytes);
            assert_eq!(admission.frame_bytes_max(), bytes / 4);
            for frame in [0, 1, SMALL, SMALL + 1, MIDDLE, MIDDLE + 1, bytes / 4] {
                let frame = frame.min(bytes / 4);
                assert!(frame <= admission.for_frame(frame).largest(), "{frame} of {bytes}");
            }
        }
    }

    #[test]
    fn large_frames_and_answers_leave_small_ones_alone() {
        let admission = Admission::of(64 << 20);
        let large = admission.for_frame(16 << 20);
        let _held =
            [large.try_acquire(16 << 20), large.try_acquire(16 << 20), admission.for_answers().try_acquire(8 << 20)];
        assert!(large.try_acquire(4 << 20).is_none());
        assert!(admission.for_frame(1 << 20).try_acquire(1 << 20).is_some());
        assert!(admission.for_frame(100).try_acquire(100).is_some());
    }
}
