//! What the entries of one or several journals say about each group, whatever order they are read in.
//!
//! Journals hold entries more than once (carried forward) and out of order (a carried entry lies behind younger ones).
//! So recovery collects by (owner epoch, sequence) and decides at the end. While it collects, a checkpoint lets go of
//! what it stands for: memory is bounded by what is not drained, as it is in service.
//!
//! Always: collecting the same entries in any order, any number of times, gives the same result.

use std::collections::BTreeMap;

use ailurus_base::HashMap;
use ailurus_model::{GroupId, Index, Offset, OwnerEpoch, TopicIdPartition};
use ailurus_record::BatchHeader;
use bytes::Bytes;

use crate::LogStart;
use crate::checkpoint::{Checkpoint, decode_names};
use crate::entry::HardState;
use crate::journal::format::{EntryHead, Kind, u64_at};
use crate::segment::{Body, Frame};

/// The order of a group's entries over all shards that ever owned it.
pub(crate) type Key = (OwnerEpoch, u64);

/// What became of each group, by rising group id.
pub(crate) type Groups = Vec<(GroupId, Result<Found, Ended>)>;

/// All groups of the journals that were read.
#[derive(Default)]
pub(crate) struct Collector {
    groups: HashMap<GroupId, Group>,
}

#[derive(Default)]
struct Group {
    checkpoint: Option<(Key, Checkpoint)>,
    hard_state: Option<(Key, HardState)>,
    start: Option<(Key, LogStart)>,
    end: Option<(Key, Ended)>,
    last: Key,
    steps: BTreeMap<Key, Step>,
}

/// How a group left the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// Its topic was deleted or the replica moved away: its directory may still be there.
    Removed(TopicIdPartition),
    /// Its directory is complete; no shard owns it yet.
    Released,
}

/// Entries in order, each with its sequence.
type Frames = Vec<(u64, Frame)>;

#[derive(Clone)]
enum Step {
    Append { frame: Frame, last: Index },
    Cut { to: Index },
}

/// An entry that passed its crc and yet makes no sense: our own mistake or an attack, never a torn write.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("group {group}, sequence {sequence}: {what}")]
pub(crate) struct Senseless {
    pub(crate) group: GroupId,
    pub(crate) sequence: u64,
    pub(crate) what: &'static str,
}

/// What a journal knows of one live log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) group: GroupId,
    /// The largest key seen; the next entry takes the one behind it.
    pub(crate) last: Key,
    /// The latest checkpoint, with later hard states and log starts taken in.
    pub(crate) checkpoint: Checkpoint,
    /// Every entry from `checkpoint.drained` (or `cut`) on, in order, without gaps, with its sequence.
    pub(crate) frames: Frames,
    /// The least index at which the suffix was cut after the checkpoint, if that is before `checkpoint.drained`: the
    /// segments must be cut there before anything else, and `frames` follow it.
    pub(crate) cut: Option<Index>,
}

impl Collector {
    /// Takes in one entry.
    pub(crate) fn add(&mut self, head: &EntryHead, payload: &[u8]) -> Result<(), Senseless> {
        let key = (head.owner_epoch, head.sequence);
        let group = self.groups.entry(head.group).or_default();
        group.last = group.last.max(key);
        if group.end.is_some_and(|(end, _)| key < end) {
            return Ok(());
        }
        let senseless = |what| Senseless { group: head.group, sequence: head.sequence, what };
        match head.kind {
            Kind::Batch | Kind::Control => {
                if !group.is_drained(key, head.index) {
                    let (frame, last) = frame(head, payload).ok_or_else(|| senseless("not an entry of a log"))?;
                    if !group.is_drained(key, last) {
                        group.steps.insert(key, Step::Append { frame, last });
                    }
                }
            }
            Kind::HardState => {
                let vote = <[u8; 4]>::try_from(payload).map_err(|_| senseless("a vote has four bytes"))?;
                let vote = Some(i32::from_le_bytes(vote)).filter(|node| *node >= 0).map(ailurus_model::NodeId);
                newest(&mut group.hard_state, key, HardState { term: head.term, vote });
            }
            Kind::TruncateSuffix => {
                group.steps.insert(key, Step::Cut { to: head.index });
            }
            Kind::TruncatePrefix => {
                let offset = (payload.len() == 8).then(|| Offset(u64_at(payload, 0) as i64));
                let offset = offset.ok_or_else(|| senseless("an offset has eight bytes"))?;
                newest(&mut group.start, key, LogStart { index: head.index, offset, term: head.term });
            }
            Kind::Checkpoint => {
                let checkpoint =
                    Checkpoint::decode(payload).ok_or_else(|| senseless("a checkpoint of no version we know"))?;
                group.on_checkpoint(key, checkpoint);
            }
            Kind::GroupRemoved => {
                let topic = decode_names(payload).ok_or_else(|| senseless("names of a group are missing"))?;
                group.on_end(key, Ended::Removed(topic));
            }
            Kind::GroupReleased => group.on_end(key, Ended::Released),
        }
        Ok(())
    }

    /// What became of every group, by rising group id.
    pub(crate) fn finish(self) -> Result<Groups, Senseless> {
        let mut groups: Vec<_> = self.groups.into_iter().collect();
        groups.sort_unstable_by_key(|(id, _)| *id);
        groups.into_iter().map(|(id, group)| Ok((id, group.finish(id)?))).collect()
    }
}

impl Group {
    /// Whether the newest checkpoint stands for an entry with this last index.
    fn is_drained(&self, key: Key, last: Index) -> bool {
        self.checkpoint.as_ref().is_some_and(|(newest, checkpoint)| key < *newest && last < checkpoint.drained.index)
    }

    fn on_checkpoint(&mut self, key: Key, checkpoint: Checkpoint) {
        newest(&mut self.checkpoint, key, checkpoint);
        let (newest, checkpoint) = self.checkpoint.as_ref().expect("it was just set");
        let (newest, drained) = (*newest, checkpoint.drained.index);
        // Cuts stay even if older than the checkpoint: an older copy of what they cut may still come.
        self.steps.retain(|key, step| match step {
            Step::Append { last, .. } => *key > newest || *last >= drained,
            Step::Cut { .. } => true,
        });
    }

    fn on_end(&mut self, key: Key, ended: Ended) {
        newest(&mut self.end, key, ended);
        let end = self.end.as_ref().map_or(key, |(end, _)| *end);
        self.steps.retain(|key, _| *key > end);
        drop_older(&mut self.checkpoint, end);
        drop_older(&mut self.hard_state, end);
        drop_older(&mut self.start, end);
    }

    fn finish(self, id: GroupId) -> Result<Result<Found, Ended>, Senseless> {
        let senseless = |key: Key, what| Senseless { group: id, sequence: key.1, what };
        let Some((key, mut checkpoint)) = self.checkpoint else {
            return match self.end {
                Some((_, ended)) if self.steps.is_empty() => Ok(Err(ended)),
                _ => Err(senseless(self.last, "the journal holds entries of a log, but no checkpoint")),
            };
        };
        if let Some((at, hard_state)) = self.hard_state.filter(|(at, _)| *at > key) {
            assert!(at <= self.last, "the last key is the largest");
            checkpoint.hard_state = hard_state;
        }
        if let Some((_, start)) = self.start.filter(|(at, _)| *at > key) {
            checkpoint.start = start;
        }
        let (frames, cut) = replay(&checkpoint, key, self.steps).map_err(|(key, what)| senseless(key, what))?;
        if checkpoint.state.as_ref().is_some_and(|(index, _)| cut.is_some_and(|cut| *index >= cut)) {
            checkpoint.state = None;
        }
        let drained = checkpoint.drained.index;
        Ok(Ok(Found { group: id, last: self.last, checkpoint, frames, cut: cut.filter(|cut| *cut < drained) }))
    }
}

/// Plays appends and cuts in order. The least index cut after the checkpoint comes back too.
///
/// An entry that was cut may still lie in the journal after the one before it is gone. Such a gap is sound only if the
/// cut follows: it lies in the same file or a younger one, so it outlives the entry.
fn replay(
    checkpoint: &Checkpoint,
    at: Key,
    steps: BTreeMap<Key, Step>,
) -> Result<(Frames, Option<Index>), (Key, &'static str)> {
    // What the segments hold ends at `floor`; frames follow it without a gap.
    let mut floor = checkpoint.drained.index;
    let mut frames: Vec<(Key, Frame, Index)> = Vec::new();
    let mut gap: Option<(Key, Index)> = None;
    let mut cut: Option<Index> = None;
    for (key, step) in steps {
        match step {
            Step::Cut { to } => {
                let kept = frames.partition_point(|(_, frame, _)| frame.index < to);
                frames.truncate(kept);
                gap = gap.filter(|(_, at)| *at < to);
                if key > at {
                    floor = floor.min(to);
                    cut = Some(cut.map_or(to, |cut| cut.min(to)));
                }
            }
            Step::Append { frame, last } => {
                let end = frames.last().map_or(floor, |(_, _, last)| last.next());
                if frame.index == end && gap.is_none() {
                    frames.push((key, frame, last));
                } else if gap.is_none() {
                    gap = Some((key, end));
                }
            }
        }
    }
    if let Some((key, _)) = gap {
        return Err((key, "an entry does not follow the one before it"));
    }
    // A shard takes a log over only when it is drained.
    match frames.iter().find(|(key, _, _)| key.0 != at.0) {
        Some((key, _, _)) => Err((*key, "an entry of another owner than the checkpoint's is not drained")),
        None => Ok((frames.into_iter().map(|(key, frame, _)| (key.1, frame)).collect(), cut)),
    }
}

fn frame(head: &EntryHead, payload: &[u8]) -> Option<(Frame, Index)> {
    let (body, width) = match head.kind {
        Kind::Batch => {
            let header = BatchHeader::parse(payload).ok()?;
            (header.size_in_bytes() == payload.len()).then_some(())?;
            (Body::Batch(Bytes::copy_from_slice(payload)), header.offsets_count())
        }
        _ => {
            let (offset, own) = payload.split_first_chunk::<8>()?;
            let offset = Offset(i64::from_le_bytes(*offset));
            (Body::Control { offset, payload: Bytes::copy_from_slice(own) }, 1)
        }
    };
    Some((Frame { term: head.term, index: head.index, body }, head.index.plus(width - 1)))
}

fn newest<T>(slot: &mut Option<(Key, T)>, key: Key, value: T) {
    if slot.as_ref().is_none_or(|(held, _)| *held <= key) {
        *slot = Some((key, value));
    }
}

fn drop_older<T>(slot: &mut Option<(Key, T)>, end: Key) {
    if slot.as_ref().is_some_and(|(held, _)| *held < end) {
        *slot = None;
    }
}

#[cfg(test)]
mod tests {
    use ailurus_model::{PartitionId, Term, TopicId};
    use proptest::prelude::*;

    use super::*;

    const GROUP: GroupId = GroupId(7);
    const TOPIC: TopicIdPartition = TopicIdPartition { topic: TopicId(1), partition: PartitionId(0) };

    /// What is done to a log: the model is a vector of (index, term).
    #[derive(Clone, Debug)]
    enum Act {
        Append,
        /// Cut off this many entries.
        Cut(usize),
        /// Drain up to this many.
        Drain(usize),
        Vote(i32),
        /// Forget entries at the front of the journal, as far as recycling may.
        Recycle(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            6 => Just(Act::Append),
            1 => (1..4usize).prop_map(Act::Cut),
            2 => (0..5usize).prop_map(Act::Drain),
            1 => (0..9).prop_map(Act::Vote),
            2 => (0..12usize).prop_map(Act::Recycle),
        ]
    }

    #[derive(Default)]
    struct History {
        journal: Vec<(EntryHead, Vec<u8>)>,
        sequence: u64,
        term: i32,
        /// For each entry, what was next in sequence when it was appended: no two are alike.
        log: Vec<u64>,
        drained: usize,
        vote: Option<HardState>,
    }

    impl History {
        fn write(&mut self, kind: Kind, index: Index, payload: Vec<u8>) {
            self.sequence += 1;
            let head = EntryHead {
                len: payload.len() as u32,
                kind,
                owner_epoch: OwnerEpoch(1),
                group: GROUP,
                sequence: self.sequence,
                term: Term(self.term),
                index,
            };
            self.journal.push((head, payload));
        }

        fn checkpoint(&mut self) {
            let index = Index(self.drained as i64);
            let drained = LogStart { index, offset: Offset(0), term: Term(self.term) };
            let hard_state = self.vote.unwrap_or_default();
            let checkpoint = Checkpoint { drained, hard_state, ..Checkpoint::genesis(TOPIC, false, Bytes::new()) };
            self.write(Kind::Checkpoint, index, checkpoint.encode());
        }

        fn act(&mut self, act: &Act) {
            match act {
                Act::Append => {
                    let index = Index(self.log.len() as i64);
                    self.log.push(self.sequence);
                    let mut payload = 0i64.to_le_bytes().to_vec();
                    payload.extend_from_slice(&self.sequence.to_le_bytes());
                    self.write(Kind::Control, index, payload);
                }
                Act::Cut(count) => {
                    let to = self.log.len().saturating_sub(*count);
                    self.log.truncate(to);
                    self.drained = self.drained.min(to);
                    self.term += 1;
                    self.write(Kind::TruncateSuffix, Index(to as i64), Vec::new());
                }
                Act::Drain(count) => {
                    self.drained = (self.drained + count).min(self.log.len());
                    self.checkpoint();
                }
                Act::Vote(node) => {
                    self.vote = Some(HardState { term: Term(self.term), vote: Some(ailurus_model::NodeId(*node)) });
                    self.write(Kind::HardState, Index(0), node.to_le_bytes().to_vec());
                }
                Act::Recycle(count) => self.recycle(*count),
            }
        }

        /// Forgets the oldest entries of the journal after carrying forward what is live in them.
        fn recycle(&mut self, count: usize) {
            self.checkpoint();
            let count = count.min(self.journal.len() - 1);
            let live = self.live();
            let gone: Vec<_> = self.journal.drain(..count).collect();
            let carried = gone.into_iter().filter(|(head, _)| live.contains(&head.sequence));
            self.journal.extend(carried);
        }

        /// Sequences of the entries that are in the log and not drained.
        fn live(&self) -> Vec<u64> {
            let mut live: Vec<(Index, u64)> = Vec::new();
            let mut sorted = self.journal.clone();
            sorted.sort_by_key(|(head, _)| head.sequence);
            for (head, _) in sorted {
                match head.kind {
                    Kind::Control => live.push((head.index, head.sequence)),
                    Kind::TruncateSuffix => live.retain(|(index, _)| *index < head.index),
                    _ => {}
                }
            }
            live.retain(|(index, _)| index.0 >= self.drained as i64);
            live.into_iter().map(|(_, sequence)| sequence).collect()
        }

        fn collect(&self, order: &[usize]) -> Result<Found, Ended> {
            let mut collector = Collector::default();
            for place in order {
                let (head, payload) = &self.journal[place % self.journal.len()];
                collector.add(head, payload).expect("it makes sense");
            }
            collector.finish().expect("it makes sense").pop().expect("there is one group").1
        }
    }

    fn content(frame: &Frame) -> u64 {
        match &frame.body {
            Body::Control { payload, .. } => u64_at(payload, 0),
            Body::Batch(_) => panic!("the history has no batches"),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_log_comes_back_in_any_order(acts in proptest::collection::vec(act(), 1..60), seed in any::<u64>()) {
            let mut history = History::default();
            history.checkpoint();
            acts.iter().for_each(|act| history.act(act));
            let mut order: Vec<usize> = (0..history.journal.len()).collect();
            let found = history.collect(&order).expect("the group lives");
            let starts_at = found.cut.unwrap_or(found.checkpoint.drained.index).0 as usize;
            prop_assert!(starts_at <= history.drained);
            prop_assert_eq!(found.frames.iter().map(|(_, frame)| content(frame)).collect::<Vec<_>>(), &history.log[starts_at..]);
            prop_assert_eq!(found.checkpoint.hard_state, history.vote.unwrap_or_default());
            // The same entries, shuffled and some of them twice.
            let mut state = seed | 1;
            for place in (1..order.len()).rev() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                order.swap(place, (state >> 33) as usize % (place + 1));
            }
            order.extend_from_within(..order.len() / 2);
            prop_assert_eq!(history.collect(&order).expect("the group lives"), found);
        }
    }

    #[test]
    fn a_removed_group_stays_removed() {
        let mut history = History::default();
        history.checkpoint();
        history.act(&Act::Append);
        history.write(Kind::GroupRemoved, Index(0), crate::checkpoint::encode_names(TOPIC).to_vec());
        assert_eq!(history.collect(&[0, 1, 2]), Err(Ended::Removed(TOPIC)));
        assert_eq!(history.collect(&[2, 1, 0]), Err(Ended::Removed(TOPIC)));
    }

    #[test]
    fn a_gap_is_not_passed_over() {
        let mut history = History::default();
        history.checkpoint();
        (0..3).for_each(|_| history.act(&Act::Append));
        history.journal.remove(2);
        let mut collector = Collector::default();
        for (head, payload) in &history.journal {
            collector.add(head, payload).expect("each makes sense");
        }
        assert_eq!(collector.finish().expect_err("one is missing").sequence, 4);
    }
}
