//! What a partition remembers of idempotent producers (KIP-98, KIP-360): pure state, derived from the log, and
//! forgotten by the clock.
//!
//! A live append asks [`Producers::check`] first and, once the batch has its offset, calls [`Producers::replay`];
//! recovery calls only `replay`. So the answer after a restart is the answer before it, except where a log may have lost what was
//! acknowledged: [`Producers::allow_a_gap`].
//!
//! What always holds: at most [`PRODUCERS_LIMIT`] producers are known, each by 1 to [`BATCHES_KEPT`] batches, oldest first. Their
//! sequences follow one another, except where a log lost its end with permission (`write.caching`) or compaction took a batch.

use std::collections::{BTreeMap, VecDeque};

use ailurus_model::Offset;

/// Duplicates are recognised among the last five batches, as in Kafka: clients send at most five requests at once.
pub const BATCHES_KEPT: usize = 5;

/// So many producers are remembered per partition; of more, those are forgotten that wrote longest ago, if they were silent
/// for [`SILENCE_MS`].
///
/// Anybody may write with a new producer id in each batch, and each is remembered for a day. One that is forgotten may go on
/// with any sequence, as after its expiry: only a repeat of its last batches would not be recognised.
pub const PRODUCERS_MAX: usize = 1000;

/// After so many milliseconds no client repeats a batch that it has sent before: `delivery.timeout.ms` is two minutes unless
/// told otherwise.
pub const SILENCE_MS: i64 = 10 * 60 * 1000;

/// Beyond so many even those are forgotten that were not silent for long.
pub const PRODUCERS_LIMIT: usize = 20 * PRODUCERS_MAX;

/// What identifies a batch of an idempotent producer, and what is kept of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerBatch {
    /// The producer's id; 0 or above.
    pub producer_id: i64,
    /// The producer's epoch.
    pub producer_epoch: i16,
    /// Sequence of the first record.
    pub first_sequence: i32,
    /// Sequence of the last record; wraps from `i32::MAX` to 0.
    pub last_sequence: i32,
    /// Largest timestamp in the batch, milliseconds since 1970.
    pub max_timestamp: i64,
}

/// What to do with a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SequenceCheck {
    /// It is the next one: append it.
    Next,
    /// It is in the log already: answer with its offset, when that has the promise that is asked for.
    Duplicate {
        /// Offset of its first record.
        base: Offset,
        /// Offset of its last record.
        last: Offset,
        /// The timestamp under which it was appended.
        timestamp: i64,
    },
    /// Kafka's OUT_OF_ORDER_SEQUENCE_NUMBER: a batch before it is missing.
    OutOfOrder {
        /// The sequence that would follow.
        expected: i32,
    },
    /// Kafka's INVALID_PRODUCER_EPOCH: a newer incarnation of the producer has written.
    Fenced {
        /// The epoch now in force.
        current: i16,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct KeptBatch {
    first_sequence: i32,
    last_sequence: i32,
    base: Offset,
    last: Offset,
    timestamp: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Producer {
    epoch: i16,
    /// Wall-clock milliseconds of the last append, for expiry.
    last_append_ms: i64,
    batches: VecDeque<KeptBatch>,
    gap: Gap,
}

/// Which sequence may come next although it does not follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Gap {
    None,
    /// Any that lies ahead.
    Any,
    /// This one: it came first, and could not be appended.
    Before(i32),
}

impl Gap {
    fn allows(self, sequence: i32) -> bool {
        match self {
            Gap::None => false,
            Gap::Any => true,
            Gap::Before(first) => sequence == first,
        }
    }
}

/// A producer as DescribeProducers shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerView {
    /// The producer's id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Sequence of its last record; -1 if none is known.
    pub last_sequence: i32,
    /// Largest timestamp of its last batch; -1 if none is known.
    pub last_timestamp: i64,
}

/// All producers of one partition.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
pub struct Producers {
    by_id: BTreeMap<i64, Producer>,
    /// Who wrote the batch that ends at this offset; one entry per producer, for its last.
    by_last: BTreeMap<Offset, i64>,
}

/// The sequence `count` after `sequence`, wrapping from `i32::MAX` to 0.
pub fn sequence_plus(sequence: i32, count: i32) -> i32 {
    ((i64::from(sequence) + i64::from(count)) % (i64::from(i32::MAX) + 1)) as i32
}

/// Whether `sequence` comes behind `expected`, of which it may be up to half of all sequences away.
fn is_ahead(sequence: i32, expected: i32) -> bool {
    let ahead = (i64::from(sequence) - i64::from(expected)).rem_euclid(i64::from(i32::MAX) + 1);
    (1..=i64::from(i32::MAX / 2)).contains(&ahead)
}

impl Producers {
    /// True if no producer is known.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Decides about a batch in append order. Changes nothing.
    ///
    /// A producer that is not known may start with any sequence (KIP-360: its state may have expired).
    pub fn check(&self, batch: &ProducerBatch) -> SequenceCheck {
        let Some(producer) = self.by_id.get(&batch.producer_id) else { return SequenceCheck::Next };
        if batch.producer_epoch < producer.epoch {
            return SequenceCheck::Fenced { current: producer.epoch };
        }
        let gap = producer.gap.allows(batch.first_sequence);
        if batch.producer_epoch > producer.epoch {
            return if batch.first_sequence == 0 || gap {
                SequenceCheck::Next
            } else {
                SequenceCheck::OutOfOrder { expected: 0 }
            };
        }
        if let Some(kept) = producer.find(batch) {
            return SequenceCheck::Duplicate { base: kept.base, last: kept.last, timestamp: kept.timestamp };
        }
        let Some(last) = producer.batches.back() else { return SequenceCheck::Next };
        let expected = sequence_plus(last.last_sequence, 1);
        if batch.first_sequence == expected || (gap && is_ahead(batch.first_sequence, expected)) {
            SequenceCheck::Next
        } else {
            SequenceCheck::OutOfOrder { expected }
        }
    }

    /// The log may have lost its end with what was acknowledged of it. So the next batch of each producer may come from further
    /// ahead, or from a newer epoch that nobody knows: for the producer nothing is missing, and most clients never recover from
    /// being told so.
    pub fn allow_a_gap(&mut self) {
        self.by_id.values_mut().for_each(|producer| producer.gap = Gap::Any);
    }

    /// A batch that was checked has not been appended after all: if a gap is allowed, it is the one before this batch, or those that
    /// were sent behind it would be taken in its place.
    pub fn refused(&mut self, batch: &ProducerBatch) {
        if let Some(producer) = self.by_id.get_mut(&batch.producer_id)
            && producer.gap == Gap::Any
        {
            producer.gap = Gap::Before(batch.first_sequence);
        }
    }

    /// Takes in a batch that has its place in the log.
    pub fn replay(&mut self, batch: &ProducerBatch, base: Offset, last: Offset, now_ms: i64) {
        let producer = self.by_id.entry(batch.producer_id).or_insert_with(|| Producer {
            epoch: batch.producer_epoch,
            last_append_ms: now_ms,
            batches: VecDeque::new(),
            gap: Gap::None,
        });
        producer.last_append_ms = now_ms;
        producer.gap = Gap::None;
        if let Some(before) = producer.batches.back() {
            self.by_last.remove(&before.last);
        }
        if batch.producer_epoch != producer.epoch {
            producer.epoch = batch.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == BATCHES_KEPT {
            producer.batches.pop_front();
        }
        producer.batches.push_back(KeptBatch {
            first_sequence: batch.first_sequence,
            last_sequence: batch.last_sequence,
            base,
            last,
            timestamp: batch.max_timestamp,
        });
        self.by_last.insert(last, batch.producer_id);
        while self.by_id.len() > PRODUCERS_MAX
            && let Some((last, oldest)) = self.by_last.first_key_value()
            && (self.is_silent(*oldest, now_ms) || self.by_id.len() > PRODUCERS_LIMIT)
        {
            let (last, oldest) = (*last, *oldest);
            self.by_last.remove(&last);
            self.by_id.remove(&oldest);
        }
    }

    fn is_silent(&self, producer: i64, now_ms: i64) -> bool {
        self.by_id.get(&producer).is_none_or(|producer| now_ms - producer.last_append_ms >= SILENCE_MS)
    }

    /// Forgets what was appended at `end` or later: the suffix of the log was cut.
    ///
    /// A batch that had pushed an older one out of the window does not bring it back; a duplicate of that older one is
    /// then refused as out of order, which is safe.
    pub fn truncate(&mut self, end: Offset) {
        for producer in self.by_id.values_mut() {
            producer.batches.retain(|batch| batch.last < end);
        }
        self.by_id.retain(|_, producer| !producer.batches.is_empty());
        self.by_last = self.last_batches().map(|(id, last)| (last, id)).collect();
    }

    /// Forgets producers that appended nothing for `expiration_ms` (Kafka's `producer.id.expiration.ms`).
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.by_id.retain(|_, producer| now_ms - producer.last_append_ms < expiration_ms);
        let known = &self.by_id;
        self.by_last.retain(|_, id| known.contains_key(id));
    }

    /// The last offset of each producer's last batch: compaction keeps those batches, empty if need be, so that the
    /// sequences survive a rebuild from the log.
    pub fn last_batches(&self) -> impl Iterator<Item = (i64, Offset)> + '_ {
        self.by_id.iter().filter_map(|(id, producer)| Some((*id, producer.batches.back()?.last)))
    }

    /// As DescribeProducers shows them, by id.
    pub fn describe(&self) -> Vec<ProducerView> {
        let view = |(id, producer): (&i64, &Producer)| ProducerView {
            producer_id: *id,
            producer_epoch: producer.epoch,
            last_sequence: producer.batches.back().map_or(-1, |batch| batch.last_sequence),
            last_timestamp: producer.batches.back().map_or(-1, |batch| batch.timestamp),
        };
        self.by_id.iter().map(view).collect()
    }
}

impl Producer {
    fn find(&self, batch: &ProducerBatch) -> Option<&KeptBatch> {
        self.batches
            .iter()
            .find(|kept| kept.first_sequence == batch.first_sequence && kept.last_sequence == batch.last_sequence)
    }
}

/// Version of the bytes below; `docs/formats/producer-state.md`.
const FORMAT_VERSION: u8 = 1;

/// The state as bytes: what a checkpoint carries so that recovery need not read the log from its start.
pub fn encode(producers: &Producers) -> Vec<u8> {
    let mut out = vec![FORMAT_VERSION];
    out.extend((producers.by_id.len() as u32).to_le_bytes());
    for (id, producer) in &producers.by_id {
        out.extend(id.to_le_bytes());
        out.extend(producer.epoch.to_le_bytes());
        out.extend(producer.last_append_ms.to_le_bytes());
        out.push(producer.batches.len() as u8);
        for batch in &producer.batches {
            out.extend(batch.first_sequence.to_le_bytes());
            out.extend(batch.last_sequence.to_le_bytes());
            out.extend(batch.base.0.to_le_bytes());
            out.extend(batch.last.0.to_le_bytes());
            out.extend(batch.timestamp.to_le_bytes());
        }
    }
    out
}

/// Reads what [`encode`] wrote; `None` if it is not that (the caller then rebuilds from the log).
pub fn decode(bytes: &[u8]) -> Option<Producers> {
    let mut rest = bytes;
    if take::<1>(&mut rest)? != [FORMAT_VERSION] {
        return None;
    }
    let count = u32::from_le_bytes(take(&mut rest)?);
    let mut producers = Producers::default();
    for _ in 0..count {
        let id = i64::from_le_bytes(take(&mut rest)?);
        let epoch = i16::from_le_bytes(take(&mut rest)?);
        let last_append_ms = i64::from_le_bytes(take(&mut rest)?);
        let kept = take::<1>(&mut rest)?[0];
        let mut batches = VecDeque::with_capacity(usize::from(kept).min(BATCHES_KEPT));
        for _ in 0..kept {
            batches.push_back(KeptBatch {
                first_sequence: i32::from_le_bytes(take(&mut rest)?),
                last_sequence: i32::from_le_bytes(take(&mut rest)?),
                base: Offset(i64::from_le_bytes(take(&mut rest)?)),
                last: Offset(i64::from_le_bytes(take(&mut rest)?)),
                timestamp: i64::from_le_bytes(take(&mut rest)?),
            });
        }
        producers.by_last.insert(batches.back()?.last, id);
        producers.by_id.insert(id, Producer { epoch, last_append_ms, batches, gap: Gap::None });
    }
    rest.is_empty().then_some(producers)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk::<N>()?;
    *bytes = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(producer_epoch: i16, first_sequence: i32, last_sequence: i32) -> ProducerBatch {
        ProducerBatch { producer_id: 7, producer_epoch, first_sequence, last_sequence, max_timestamp: 1 }
    }

    /// Feeds (epoch, first, last) with one offset per record and tells each verdict.
    fn story(batches: &[(i16, i32, i32)]) -> Vec<String> {
        let mut producers = Producers::default();
        let mut end = Offset::ZERO;
        let mut told = Vec::new();
        for &(epoch, first, last) in batches {
            let batch = batch(epoch, first, last);
            told.push(match producers.check(&batch) {
                SequenceCheck::Next => {
                    let count = (i64::from(last) - i64::from(first)).rem_euclid(1 << 31) + 1;
                    let base = end;
                    end = end.plus(count);
                    producers.replay(&batch, base, Offset(end.0 - 1), 0);
                    format!("at {base}")
                }
                SequenceCheck::Duplicate { base, .. } => format!("duplicate of {base}"),
                SequenceCheck::OutOfOrder { expected } => format!("wants {expected}"),
                SequenceCheck::Fenced { current } => format!("fenced by {current}"),
            });
            assert_eq!(decode(&encode(&producers)).as_ref(), Some(&producers));
        }
        told
    }

    #[test]
    fn sequences_follow_one_another() {
        assert_eq!(story(&[(0, 0, 4), (0, 5, 5), (0, 7, 7), (0, 6, 6)]), ["at 0", "at 5", "wants 6", "at 6"]);
    }

    #[test]
    fn a_repeat_among_the_last_five_is_answered_with_its_first_offset() {
        let mut batches: Vec<_> = (0..6).map(|n| (0, n, n)).collect();
        batches.extend([(0, 5, 5), (0, 1, 1), (0, 0, 0)]);
        assert_eq!(story(&batches)[6..], ["duplicate of 5", "duplicate of 1", "wants 6"]);
    }

    #[test]
    fn part_of_a_kept_batch_is_no_duplicate() {
        assert_eq!(story(&[(0, 0, 4), (0, 0, 3)]), ["at 0", "wants 5"]);
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_fences_the_old() {
        assert_eq!(story(&[(0, 0, 0), (1, 3, 3), (1, 0, 0), (0, 1, 1)]), ["at 0", "wants 0", "at 1", "fenced by 1"]);
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere() {
        assert_eq!(story(&[(3, 42, 42)]), ["at 0"]);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let top = i32::MAX;
        assert_eq!(story(&[(0, top - 1, top), (0, 0, 0), (0, top - 1, top)]), ["at 0", "at 2", "duplicate of 0"]);
        assert_eq!(story(&[(0, top, 1), (0, 2, 2)]), ["at 0", "at 3"]);
    }

    #[test]
    fn what_a_log_lost_with_permission_is_not_missed_once() {
        let mut producers = Producers::default();
        (0..3).for_each(|n| producers.replay(&batch(2, n, n), Offset(i64::from(n)), Offset(i64::from(n)), 0));
        let wants = SequenceCheck::OutOfOrder { expected: 3 };
        assert_eq!(producers.check(&batch(2, 9, 9)), wants, "nothing was lost");
        producers.allow_a_gap();
        assert_eq!(producers.check(&batch(2, 9, 9)), SequenceCheck::Next);
        assert_eq!(producers.check(&batch(3, 4, 4)), SequenceCheck::Next, "its first batches are lost");
        assert!(matches!(producers.check(&batch(2, 2, 2)), SequenceCheck::Duplicate { base: Offset(2), .. }));
        assert_eq!(producers.check(&batch(2, 1, 2)), wants, "it is behind");
        assert!(matches!(producers.check(&batch(1, 3, 3)), SequenceCheck::Fenced { current: 2 }));
        producers.replay(&batch(2, 9, 9), Offset(3), Offset(3), 0);
        assert_eq!(producers.check(&batch(2, 12, 12)), SequenceCheck::OutOfOrder { expected: 10 });
        assert!(matches!(producers.check(&batch(2, 9, 9)), SequenceCheck::Duplicate { base: Offset(3), .. }));
    }

    #[test]
    fn what_was_sent_behind_a_refused_batch_does_not_take_its_place() {
        let mut producers = Producers::default();
        producers.replay(&batch(0, 0, 0), Offset(0), Offset(0), 0);
        producers.allow_a_gap();
        producers.refused(&batch(0, 7, 7));
        producers.refused(&batch(0, 8, 8));
        assert_eq!(producers.check(&batch(0, 8, 8)), SequenceCheck::OutOfOrder { expected: 1 });
        assert_eq!(producers.check(&batch(0, 7, 7)), SequenceCheck::Next);
        assert_eq!(producers.check(&batch(0, 1, 1)), SequenceCheck::Next, "it follows");
    }

    #[test]
    fn ahead_is_half_of_the_way_round() {
        assert!(is_ahead(1, 0) && is_ahead(i32::MAX / 2, 0) && is_ahead(0, i32::MAX) && is_ahead(5, i32::MAX - 5));
        assert!(!is_ahead(0, 0) && !is_ahead(0, 1) && !is_ahead(i32::MAX, 0) && !is_ahead(i32::MAX - 5, 5));
    }

    #[test]
    fn a_cut_suffix_is_forgotten() {
        let mut producers = Producers::default();
        producers.replay(&batch(0, 0, 0), Offset(0), Offset(0), 0);
        producers.replay(&batch(0, 1, 1), Offset(1), Offset(1), 0);
        producers.truncate(Offset(1));
        assert_eq!(producers.check(&batch(0, 1, 1)), SequenceCheck::Next);
        producers.truncate(Offset(0));
        assert!(producers.is_empty());
    }

    /// One batch of a producer, at this offset and time.
    fn write(producers: &mut Producers, producer_id: i64, offset: usize, now_ms: i64) {
        let batch = ProducerBatch { producer_id, ..batch(0, offset as i32, offset as i32) };
        producers.replay(&batch, Offset(offset as i64), Offset(offset as i64), now_ms);
    }

    #[test]
    fn of_too_many_producers_those_that_wrote_longest_ago_are_forgotten() {
        let mut producers = Producers::default();
        let known = |producers: &Producers| producers.by_id.keys().copied().collect::<Vec<_>>();
        let most = PRODUCERS_MAX as i64;
        // The larger the id, the older, and 0 is the oldest but goes on to write.
        (0..PRODUCERS_MAX).for_each(|n| write(&mut producers, (most - n as i64) % most, n, 0));
        write(&mut producers, 0, PRODUCERS_MAX, 0);
        let everybody: Vec<i64> = (0..most).collect();
        assert_eq!(known(&producers), everybody);
        for n in 1..3 {
            write(&mut producers, most + n as i64, PRODUCERS_MAX + n, SILENCE_MS);
        }
        assert_eq!(known(&producers), [&everybody[..PRODUCERS_MAX - 2], &[most + 1, most + 2]].concat());
        assert_eq!(producers.by_last.len(), PRODUCERS_MAX);
        assert_eq!(decode(&encode(&producers)).as_ref(), Some(&producers), "the order too comes back");
        producers.truncate(Offset(most + 2));
        producers.expire(0, 1);
        assert_eq!((producers.by_id.len(), producers.by_last.len()), (PRODUCERS_MAX - 1, PRODUCERS_MAX - 1));
    }

    #[test]
    fn who_may_still_repeat_a_batch_is_remembered_among_many() {
        let mut producers = Producers::default();
        (0..PRODUCERS_LIMIT).for_each(|n| write(&mut producers, n as i64, n, SILENCE_MS - 1));
        assert_eq!(producers.by_id.len(), PRODUCERS_LIMIT, "nobody was silent for long");
        write(&mut producers, -1, PRODUCERS_LIMIT, SILENCE_MS - 1);
        assert_eq!(producers.by_id.len(), PRODUCERS_LIMIT);
        assert!(!producers.by_id.contains_key(&0), "the oldest makes room");
        write(&mut producers, -2, PRODUCERS_LIMIT + 1, 2 * SILENCE_MS);
        assert_eq!(producers.by_id.len(), PRODUCERS_MAX, "all who had gone silent, but for so many");
    }

    #[test]
    fn idle_producers_expire() {
        let mut producers = Producers::default();
        producers.replay(&batch(0, 0, 0), Offset(0), Offset(0), 1_000);
        producers.expire(1_999, 1_000);
        assert!(!producers.is_empty());
        producers.expire(2_000, 1_000);
        assert!(producers.is_empty());
    }
}
