//! A record batch as a producer sends it. Its length and CRC are put right first, or nothing behind them would be seen.
#![no_main]

use ailurus_record::{Batches, HEADER_LEN, Limits, records, verify};
use bytes::Bytes;

/// Small, so that a bomb shows at once.
const LIMITS: Limits = Limits { bytes_max: 1 << 20, ratio_max: 100, bytes_free: 64 << 10 };

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = verify(Bytes::copy_from_slice(data), &LIMITS);
    if data.len() < HEADER_LEN {
        return;
    }
    let mut batch = data.to_vec();
    let length = batch.len() as i32 - 12;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    let batch = Bytes::from(batch);
    assert!(Batches::new(&batch).count() <= 1);
    if let Ok(proven) = verify(batch.clone(), &LIMITS) {
        let records = records(&batch, &Limits::STORED).expect("what was proven can be read");
        assert_eq!(records.count(), proven.header.records_count as usize);
    } else if let Ok(records) = records(&batch, &LIMITS) {
        records.for_each(drop);
    }
});
