//! What stays of one batch.

use ailurus_model::Offset;
use ailurus_record::{BatchHeader, Limits, Record, RecordError, Retained, records, retain};
use bytes::Bytes;

use super::keys::KeyMap;

/// What a pass goes by.
pub struct Sieve<'a> {
    /// Newest offsets of the keys.
    pub newest: &'a KeyMap,
    /// Records from here on were not looked at by this pass and stay.
    pub below: Offset,
    /// Now; ms since 1970.
    pub now_ms: i64,
    /// How long tombstones stay after their first pass.
    pub delete_retention_ms: i64,
    /// The last offset of the last batch of a producer that is still known.
    pub live: &'a dyn Fn(i64) -> Option<Offset>,
}

/// What became of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sieved {
    /// It stays as it is.
    Whole,
    /// This stays in its place.
    Part(Bytes),
    /// Nothing.
    Gone,
}

impl Sieve<'_> {
    /// Decides about `batch`.
    ///
    /// # Errors
    /// If its records cannot be read, although its CRC is right.
    pub fn sift(&self, header: &BatchHeader, batch: &Bytes) -> Result<Sieved, RecordError> {
        // Whether a transaction was aborted is not known here: its records neither go nor supersede others.
        if header.is_control() || header.is_transactional() || header.next_offset() > self.below {
            return Ok(Sieved::Whole);
        }
        let horizon =
            self.has_new_tombstone(header, batch)?.then_some(self.now_ms.saturating_add(self.delete_retention_ms));
        let retained = retain(batch, &Limits::STORED, horizon, |record| self.keeps(header, record))?;
        Ok(match retained {
            Retained::Unchanged => Sieved::Whole,
            Retained::Rewritten(part) => Sieved::Part(part),
            Retained::Emptied(_) if !self.is_last_of_producer(header) => Sieved::Gone,
            Retained::Emptied(_) if header.records_count == 0 => Sieved::Whole,
            Retained::Emptied(empty) => Sieved::Part(empty),
        })
    }

    fn keeps(&self, header: &BatchHeader, record: &Record) -> bool {
        // A record without a key cannot be superseded and would stay for ever; Kafka drops it as well.
        let Some(key) = &record.key else { return false };
        let expired = record.value.is_none() && header.delete_horizon().is_some_and(|horizon| horizon <= self.now_ms);
        !expired && !self.newest.supersedes(key, record.offset)
    }

    /// Whether a tombstone stays whose time to go was not set yet.
    fn has_new_tombstone(&self, header: &BatchHeader, batch: &Bytes) -> Result<bool, RecordError> {
        if header.delete_horizon().is_some() {
            return Ok(false);
        }
        for record in records(batch, &Limits::STORED)? {
            let record = record?;
            if record.value.is_none() && self.keeps(header, &record) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        header.has_producer() && (self.live)(header.producer_id) == Some(header.last_offset())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ailurus_model::Term;
    use ailurus_record::BatchBuilder;

    /// A batch at `base` from "key=value" words; "key=" is a tombstone, "=value" has no key.
    fn batch(base: i64, words: &str, producer: i64) -> Bytes {
        let mut builder = BatchBuilder::new().at(Offset(base), Term(1));
        if producer >= 0 {
            builder = builder.producer(producer, 0, 0);
        }
        for word in words.split(' ') {
            let (key, value) = word.split_once('=').expect("key=value");
            let some = |text: &'static str| (!text.is_empty()).then_some(text.as_bytes());
            let (key, value) = (key.to_owned().leak(), value.to_owned().leak());
            builder.push(10, some(key), some(value), &[]);
        }
        builder.build()
    }

    fn keys(of: &[(&str, i64)]) -> KeyMap {
        let mut map = KeyMap::new(1 << 20);
        of.iter().for_each(|(key, offset)| map.note(key.as_bytes(), Offset(*offset)));
        map
    }

    fn sift(map: &KeyMap, now_ms: i64, batch: &Bytes) -> Sieved {
        let live = |producer| (producer == 7).then_some(Offset(1));
        let sieve = Sieve { newest: map, below: Offset(100), now_ms, delete_retention_ms: 50, live: &live };
        sieve.sift(&BatchHeader::parse(batch).expect("sound"), batch).expect("readable")
    }

    fn left(sieved: Sieved) -> String {
        let Sieved::Part(batch) = sieved else { return format!("{sieved:?}") };
        let text = |part: &Option<Bytes>| part.as_ref().map_or(String::new(), |it| String::from_utf8_lossy(it).into());
        let words = records(&batch, &Limits::STORED).expect("readable").map(|record| {
            let record = record.expect("readable");
            format!("{}:{}={}", record.offset, text(&record.key), text(&record.value))
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_newest_record_of_a_key_stays() {
        let map = keys(&[("a", 0), ("b", 1), ("a", 2), ("c", 9)]);
        assert_eq!(left(sift(&map, 0, &batch(0, "a=1 b=2 a=3", -1))), "1:b=2 2:a=3");
        assert_eq!(sift(&map, 0, &batch(2, "a=3 d=4", -1)), Sieved::Whole);
        assert_eq!(sift(&map, 0, &batch(5, "c=1 c=2", -1)), Sieved::Gone);
        assert_eq!(left(sift(&map, 0, &batch(20, "=1 x=2", -1))), "21:x=2");
    }

    #[test]
    fn a_batch_beyond_the_pass_is_left_alone() {
        assert_eq!(sift(&keys(&[("a", 200)]), 0, &batch(99, "a=1 a=2", -1)), Sieved::Whole);
    }

    #[test]
    fn tombstones_stay_for_their_time_after_the_first_pass() {
        let map = keys(&[("a", 1)]);
        let Sieved::Part(marked) = sift(&map, 1000, &batch(0, "b=1 a=", -1)) else { panic!("its horizon is noted") };
        assert_eq!(BatchHeader::parse(&marked).expect("sound").delete_horizon(), Some(1050));
        assert_eq!(sift(&map, 1049, &marked), Sieved::Whole);
        assert_eq!(left(sift(&map, 1050, &marked)), "0:b=1");
        assert_eq!(sift(&keys(&[("a", 9)]), 1000, &batch(0, "a=", -1)), Sieved::Gone, "superseded ones go at once");
    }

    #[test]
    fn the_last_batch_of_a_live_producer_stays_empty() {
        let map = keys(&[("a", 50)]);
        let Sieved::Part(empty) = sift(&map, 0, &batch(0, "a=1 a=2", 7)) else { panic!("it stays") };
        let header = BatchHeader::parse(&empty).expect("sound");
        assert_eq!((header.records_count, header.base_offset, header.last_offset()), (0, 0, Offset(1)));
        assert_eq!(sift(&map, 0, &empty), Sieved::Whole);
        assert_eq!(sift(&map, 0, &batch(0, "a=1 a=2", 8)), Sieved::Gone);
        assert_eq!(sift(&map, 0, &batch(4, "a=1 a=2", 7)), Sieved::Gone, "it has a later one");
    }

    #[test]
    fn transactional_batches_are_not_judged() {
        let mut builder = BatchBuilder::new().at(Offset(0), Term(1)).producer(3, 0, 0).transactional();
        builder.push(10, Some(b"a"), Some(b"1"), &[]);
        assert_eq!(sift(&keys(&[("a", 50)]), 0, &builder.build()), Sieved::Whole);
    }
}
