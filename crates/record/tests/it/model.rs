//! Facts, stamps and searches against what a naive look at the records says.

use ailurus_model::{Offset, Term, TimestampType};
use ailurus_record::header::sequence_plus;
use ailurus_record::{
    BatchHeader, BatchTime, Batches, Limits, RecordTime, crc_ok, find_by_time, find_max_timestamp, stamp, verify,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::{CODECS, batch, codec, plains, read};

const NOW: i64 = 1_750_000_000_000;

fn stamped(bytes: &Bytes, base: i64, time: BatchTime) -> Bytes {
    let mut owned = bytes.to_vec();
    stamp(&mut owned, Offset(base), Term(4), time);
    owned.into()
}

/// The first (index, timestamp) for which `better` never says that a later one is better.
fn first_best(times: &[i64], better: impl Fn(i64, i64) -> bool) -> (i64, i32) {
    let mut best = (times[0], 0);
    for (index, &time) in times.iter().enumerate() {
        if better(time, best.0) {
            best = (time, index as i32);
        }
    }
    best
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn verify_tells_the_facts(codec in codec(), records in plains(30)) {
        let verified = verify(batch(codec, &records), &Limits::PRODUCE).unwrap();
        let times: Vec<_> = records.iter().map(|r| r.timestamp).collect();
        prop_assert_eq!(verified.min_timestamp, first_best(&times, |a, b| a < b));
        prop_assert_eq!(verified.max_timestamp, first_best(&times, |a, b| a > b));
        let null_key = records.iter().position(|r| r.key.is_none()).map(|at| at as i32);
        prop_assert_eq!(verified.first_null_key, null_key);
        prop_assert_eq!(verified.time(TimestampType::CreateTime, NOW), BatchTime::AsSent);
    }

    #[test]
    fn a_stamp_changes_what_it_says_and_nothing_else(codec in codec(), records in plains(20), base in 0..1i64 << 50) {
        let sent = batch(codec, &records);
        let kept = stamped(&sent, base, BatchTime::AsSent);
        prop_assert_eq!(&kept[16..], &sent[16..]);
        prop_assert!(crc_ok(&kept));
        let header = BatchHeader::parse(&kept).unwrap();
        prop_assert_eq!((header.base_offset, header.partition_leader_epoch), (base, 4));
        let expected: Vec<_> = records.iter().cloned().enumerate().map(|(at, r)| (base + at as i64, r)).collect();
        prop_assert_eq!(read(&kept), expected);

        let appended = stamped(&sent, base, BatchTime::LogAppend(NOW));
        prop_assert!(crc_ok(&appended));
        prop_assert_eq!(BatchHeader::parse(&appended).unwrap().timestamp_type(), TimestampType::LogAppendTime);
        prop_assert!(read(&appended).iter().all(|(_, r)| r.timestamp == NOW));
    }

    #[test]
    fn searches_by_time_are_exact(codec in codec(), records in plains(20), wanted in -2..110i64, from in 0..25i64) {
        let bytes = stamped(&batch(codec, &records), 100, BatchTime::AsSent);
        let all: Vec<_> = read(&bytes).into_iter().map(|(o, r)| RecordTime { offset: Offset(o), timestamp: r.timestamp }).collect();
        let from = Offset(100 + from);
        let expected = all.iter().find(|t| t.timestamp >= wanted && t.offset >= from).copied();
        prop_assert_eq!(find_by_time(&bytes, wanted, from, &Limits::STORED).unwrap(), expected);

        let max = all.iter().map(|t| t.timestamp).max().unwrap();
        let expected = all.iter().find(|t| t.timestamp == max && max != -1).copied();
        prop_assert_eq!(find_max_timestamp(&bytes, &Limits::STORED).unwrap(), expected);
    }

    #[test]
    fn batches_walk_to_the_cut(sizes in prop::collection::vec(1..5usize, 1..6), cut in any::<prop::sample::Index>(), records in plains(5)) {
        let mut run = Vec::new();
        let mut ends = Vec::new();
        for (at, size) in sizes.iter().enumerate() {
            run.extend_from_slice(&batch(CODECS[at % 5], &records[..(*size).min(records.len())]));
            ends.push(run.len());
        }
        let cut = cut.index(run.len() + 1);
        let mut walked = Batches::new(&run[..cut]);
        let count = walked.by_ref().map(|b| assert!(crc_ok(b.unwrap().1))).count();
        prop_assert_eq!(count, ends.iter().filter(|&&end| end <= cut).count());
        prop_assert_eq!(walked.rest().len(), cut - if count == 0 { 0 } else { ends[count - 1] });
    }

    #[test]
    fn sequences_count_round(sequence in 0..=i32::MAX, count in 0..=i32::MAX) {
        let expected = (i64::from(sequence) + i64::from(count)) % (1 << 31);
        prop_assert_eq!(i64::from(sequence_plus(sequence, count)), expected);
    }
}

/// Some clients leave the header's maximum at -1 (sarama did): it is put right, with the CRC.
#[test]
fn a_wrong_maximum_is_put_right() {
    let records = [(3, b"a"), (9, b"b")];
    let mut builder = ailurus_record::BatchBuilder::new();
    for (time, key) in records {
        builder.push(time, Some(key), None, &[]);
    }
    let mut bytes = builder.build().to_vec();
    let mut header = BatchHeader::parse(&bytes).unwrap();
    header.max_timestamp = -1;
    header.write(&mut bytes);
    let bytes = crate::hostile::resealed(bytes);
    let verified = verify(bytes.clone(), &Limits::PRODUCE).unwrap();
    let time = verified.time(TimestampType::CreateTime, NOW);
    assert_eq!(time, BatchTime::Max(9));
    let kept = stamped(&bytes, 0, time);
    assert!(crc_ok(&kept));
    assert_eq!(verify(kept, &Limits::PRODUCE).unwrap().header.max_timestamp, 9);
}
