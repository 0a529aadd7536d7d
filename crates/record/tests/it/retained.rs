//! Compaction's rewrite against filtering a list.

use ailurus_model::{Offset, Term};
use ailurus_record::{BatchBuilder, BatchHeader, Limits, Retained, crc_ok, retain};
use proptest::prelude::*;

use crate::{codec, fill, plains, read};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn retain_filters_and_keeps_the_frame(
        codec in codec(), records in plains(25), mask in any::<u32>(), again in any::<u32>(),
        horizon in prop::option::of(0..1i64 << 41), append_time in any::<bool>(),
    ) {
        let mut builder = BatchBuilder::new().codec(codec).at(Offset(1000), Term(2)).producer(8, 1, i32::MAX - 3);
        if append_time {
            builder = builder.log_append_time(77);
        }
        let mut bytes = fill(builder, &records);
        let before = BatchHeader::parse(&bytes).unwrap();
        let mut expected = read(&bytes);
        // Twice: what has been rewritten must be fit to be rewritten.
        for mask in [mask, mask & again] {
            let stays = |offset: i64| mask >> (offset - 1000) & 1 == 1;
            let had_horizon = BatchHeader::parse(&bytes).unwrap().delete_horizon();
            let all = expected.iter().all(|(offset, _)| stays(*offset));
            expected.retain(|(offset, _)| stays(*offset));
            let unchanged = all && !expected.is_empty() && (horizon.is_none() || had_horizon.is_some());
            bytes = match retain(&bytes, &Limits::STORED, horizon, |r| stays(r.offset.0)).unwrap() {
                Retained::Unchanged => { prop_assert!(unchanged); bytes }
                Retained::Rewritten(new) => { prop_assert!(!unchanged && !expected.is_empty()); new }
                Retained::Emptied(new) => { prop_assert!(expected.is_empty()); new }
            };
            prop_assert!(crc_ok(&bytes));
            prop_assert_eq!(read(&bytes), expected.clone());
            let after = BatchHeader::parse(&bytes).unwrap();
            prop_assert_eq!(after.last_offset(), before.last_offset());
            prop_assert_eq!(after.last_sequence(), before.last_sequence());
            prop_assert_eq!((after.base_offset, after.base_sequence), (before.base_offset, before.base_sequence));
            prop_assert_eq!((after.producer_id, after.producer_epoch), (before.producer_id, before.producer_epoch));
            prop_assert_eq!(after.partition_leader_epoch, before.partition_leader_epoch);
            prop_assert_eq!(after.timestamp_type(), before.timestamp_type());
            prop_assert_eq!(after.codec().unwrap(), codec);
            if !expected.is_empty() {
                prop_assert_eq!(after.delete_horizon(), had_horizon.or(horizon));
                prop_assert_eq!(after.max_timestamp, expected.iter().map(|(_, r)| r.timestamp).max().unwrap());
            }
        }
    }
}
