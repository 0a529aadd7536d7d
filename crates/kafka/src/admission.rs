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

/// A frame of this size is granted wherever there is memory for two of them: Java's largest, with what is around the records.
const ORDINARY: u64 = (1 << 20) + SMALL;

/// What may decode into no more than this is decoded from a part of its own, or a few huge requests would keep all
/// others waiting.
const DECODED_SMALL: u64 = 256 << 10;

/// The memory for requests of one shard in parts.
pub(crate) struct Admission {
    small: Rc<Memory>,
    middle: Rc<Memory>,
    large: Rc<Memory>,
    answers: Rc<Memory>,
    waits: Rc<Memory>,
    decoded_small: Rc<Memory>,
    decoded: Rc<Memory>,
}

impl Admission {
    /// Divides `bytes`.
    pub(crate) fn of(bytes: u64) -> Self {
        let large = (bytes / 32 * 13).max((2 * ORDINARY).min(bytes / 2));
        let part = |of_19: u64| Memory::new((bytes - large) / 19 * of_19);
        Admission {
            small: part(3),
            middle: part(5),
            large: Memory::new(large),
            answers: part(4),
            waits: part(2),
            decoded_small: part(1),
            decoded: part(4),
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

    /// Where a request that may decode into `bytes` gets memory for that, or for as much as is ever granted.
    pub(crate) fn for_decoded(&self, bytes: u64) -> &Rc<Memory> {
        let small = &self.decoded_small;
        if bytes <= DECODED_SMALL.min(small.largest()) { small } else { &self.decoded }
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
        for (bytes, largest) in
            [(1 << 10, 256), (1 << 20, 256 << 10), (5 << 20, ORDINARY), (16 << 20, 13 << 18), (1 << 30, 13 << 24)]
        {
            let admission = Admission::of(bytes);
            assert_eq!(admission.frame_bytes_max(), largest);
            for frame in [0, 1, SMALL, SMALL + 1, MIDDLE, MIDDLE + 1, largest] {
                let frame = frame.min(largest);
                assert!(frame <= admission.for_frame(frame).largest(), "{frame} of {bytes}");
            }
        }
    }

    #[test]
    fn the_parts_are_no_more_than_the_whole() {
        let admission = Admission::of(64 << 20);
        let Admission { small, middle, large, answers, waits, decoded_small, decoded } = &admission;
        let parts = [small, middle, large, answers, waits, decoded_small, decoded];
        assert_eq!(parts.iter().map(|part| part.free()).sum::<u64>(), 64 << 20);
    }

    #[test]
    fn large_frames_and_answers_leave_small_ones_alone() {
        let admission = Admission::of(64 << 20);
        let large = admission.for_frame(13 << 20);
        let _held =
            [large.try_acquire(13 << 20), large.try_acquire(13 << 20), admission.for_answers().try_acquire(8 << 20)];
        assert!(large.try_acquire(1).is_none());
        assert!(admission.for_frame(1 << 20).try_acquire(1 << 20).is_some());
        assert!(admission.for_frame(100).try_acquire(100).is_some());
    }
}
