//! Bytes from outside never panic; each fault has its name; bombs end at the bound.

use std::io::Write;

use ailurus_model::Offset;
use ailurus_record::error::RecordFault;
use ailurus_record::{
    BatchBuilder, BatchHeader, Batches, Codec, ErrorKind, HEADER_LEN, Limits, RecordError, crc_ok, find_by_time,
    records, retain, verify, verify_with_pauses,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::{CODECS, batch, codec, plains, read};

const TINY: Limits = Limits { bytes_max: 1 << 20, ratio_max: 100, bytes_free: 64 << 10 };

/// The bytes with the length and CRC that they have.
pub(crate) fn resealed(mut bytes: Vec<u8>) -> Bytes {
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn sample(codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::new().codec(codec).producer(1, 0, 0);
    for at in 0..3 {
        builder.push(10 + at, Some(b"key"), Some(&[7; 100]), &[(b"h", None), (b"i", Some(b"v"))]);
    }
    builder.build()
}

/// A batch of the sample's header (changed by `change`) before these records.
fn forged(codec: Codec, body: &[u8], change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut bytes = sample(codec)[..HEADER_LEN].to_vec();
    let mut header = BatchHeader::parse(&bytes).expect("a header");
    change(&mut header);
    header.write(&mut bytes);
    bytes.extend_from_slice(body);
    resealed(bytes)
}

fn changed(change: impl FnOnce(&mut BatchHeader)) -> Result<(), RecordError> {
    verify(forged(Codec::None, &sample(Codec::None)[HEADER_LEN..], change), &TINY).map(drop)
}

/// Everything that reads a batch, on these bytes: none may panic.
fn read_every_way(bytes: &Bytes) {
    let _ = verify(bytes.clone(), &TINY);
    let _ = crc_ok(bytes);
    for batch in Batches::new(bytes) {
        let _ = batch.map(|(header, _)| (header.codec(), header.last_sequence(), header.next_offset()));
    }
    if let Ok(iter) = records(bytes, &TINY) {
        for record in iter.flatten() {
            record.headers.iter().for_each(drop);
        }
    }
    let mut odd = false;
    let _ = retain(bytes, &TINY, Some(5), |_| {
        odd = !odd;
        odd
    });
    let _ = ailurus_record::find_by_time(bytes, 11, ailurus_model::Offset(0), &TINY);
    let _ = ailurus_record::find_max_timestamp(bytes, &TINY);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_every_way(&bytes.into());
    }

    #[test]
    fn noise_behind_a_header_is_refused(codec in codec(), body in prop::collection::vec(any::<u8>(), 0..200), count in 0..20i32) {
        let bytes = forged(codec, &body, |h| { h.records_count = count; h.last_offset_delta = (count - 1).max(0) });
        read_every_way(&bytes);
    }

    #[test]
    fn noise_inside_compressed_records_is_refused(codec in codec(), body in prop::collection::vec(any::<u8>(), 0..200), count in 1..20i32) {
        let bytes = forged(codec, &codec.compress(&body), |h| { h.records_count = count; h.last_offset_delta = count - 1 });
        read_every_way(&bytes);
    }

    #[test]
    fn damage_is_found_or_harmless(codec in codec(), records in plains(10), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let sent = batch(codec, &records);
        let mut bytes = sent.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // Offset and epoch are the broker's; all else is under the CRC or checked by itself.
        let covered = !(0..8).contains(&at) && !(12..16).contains(&at);
        prop_assert_eq!(verify(bytes.clone().into(), &TINY).is_err(), covered);
        read_every_way(&resealed(bytes));
    }

    #[test]
    fn a_cut_batch_is_corrupt(codec in codec(), records in plains(5), at in any::<prop::sample::Index>()) {
        let sent = batch(codec, &records);
        let cut = sent.slice(..at.index(sent.len()));
        prop_assert_eq!(verify(cut.clone(), &TINY).unwrap_err().kind(), ErrorKind::CorruptMessage);
        read_every_way(&cut);
    }
}

#[test]
fn each_fault_has_its_name() {
    use ErrorKind::*;
    assert_eq!(changed(|_| ()), Ok(()));
    type Change = fn(&mut BatchHeader);
    let cases: [(Change, ErrorKind); 12] = [
        (|h| h.magic = 1, InvalidRecord),
        (|h| h.magic = 3, InvalidRecord),
        (|h| h.records_count = 2, InvalidRecord),
        (|h| h.records_count = -1, InvalidRecord),
        (|h| h.last_offset_delta = 3, InvalidRecord),
        (|h| h.last_offset_delta = i32::MAX, InvalidRecord),
        (|h| h.base_sequence = -1, InvalidRecord),
        (|h| h.attributes = 0x20, InvalidRecord),
        (|h| h.attributes = 0x40, InvalidRecord),
        (|h| h.attributes = 0x08, InvalidTimestamp),
        (|h| h.attributes = 5, UnsupportedCompressionType),
        (|h| h.base_offset = i64::MAX, InvalidRecord),
    ];
    for (at, (change, kind)) in cases.into_iter().enumerate() {
        assert_eq!(changed(change).map_err(|e| e.kind()), Err(kind), "case {at}");
    }
    let two = [sample(Codec::None), sample(Codec::None)].concat();
    assert!(matches!(verify(two.into(), &TINY), Err(RecordError::NotOneBatch { .. })));
    let mut short = sample(Codec::None).to_vec();
    short[8..12].copy_from_slice(&48i32.to_be_bytes());
    assert_eq!(verify(short.into(), &TINY), Err(RecordError::BatchLength(48)));
}

/// One record of each kind of fault: `(record bytes, what is wrong)`, checked plain and compressed alike.
#[test]
fn each_faulty_record_has_its_name() {
    use RecordFault::*;
    // length, attributes, timestamp delta, offset delta, key (none), value (none), no headers; numbers are zig-zag.
    let cases: &[(&[u8], RecordFault)] = &[
        (&[], Truncated),
        (&[12, 0, 0, 0, 1], Truncated),
        (&[1, 0, 0, 0, 1, 1, 0], Length(-1)),
        (&[10, 0, 0, 0, 1, 1, 0], Size),
        (&[14, 0, 0, 0, 1, 1, 0, 0], Size),
        (&[12, 0, 0, 2, 1, 1, 0], OffsetDelta(1)),
        (&[12, 0, 0, 0, 3, 1, 0], Length(-2)),
        (&[12, 0, 0, 0, 20, 1, 0], Length(10)),
        (&[12, 0, 0, 0, 1, 1, 1], Length(-1)),
        (&[12, 0, 0, 0, 1, 1, 2], Length(1)),
        (&[16, 0, 0, 0, 1, 1, 2, 1, 1], HeaderKey),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 1], Varint),
        (&[40, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 1, 1, 0], Varint),
    ];
    for (body, fault) in cases {
        for codec in CODECS {
            let bytes = forged(codec, &codec.compress(body), |h| (h.records_count, h.last_offset_delta) = (1, 0));
            let error = verify(bytes, &TINY).unwrap_err();
            assert_eq!(error, RecordError::Record { index: 0, fault: *fault }, "{codec:?} {body:?}");
            assert_eq!((error.kind(), error.record_index()), (ErrorKind::InvalidRecord, Some(0)));
        }
    }
    let trailing: &[u8] = &[12, 0, 0, 0, 1, 1, 0, 9];
    for codec in CODECS {
        let bytes = forged(codec, &codec.compress(trailing), |h| (h.records_count, h.last_offset_delta) = (1, 0));
        assert_eq!(verify(bytes, &TINY).unwrap_err(), RecordError::TrailingBytes { records: 1 });
    }
}

/// 4 MB of zeros in a few KB, where 1 MB is allowed.
#[test]
fn bombs_end_at_the_bound() {
    let zeros = vec![0; 4 << 20];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let packed = codec.compress(&zeros);
        assert!(packed.len() < zeros.len() / 20);
        let error = codec.decompress(&packed, &TINY).unwrap_err();
        assert!(matches!(error, RecordError::TooLarge { .. }), "{codec:?}: {error}");
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
        assert_eq!(codec.decompress(&packed, &Limits::PRODUCE).unwrap().len(), zeros.len());

        let mut builder = BatchBuilder::new().codec(codec);
        builder.push(0, None, Some(&zeros), &[]);
        let bytes = builder.build();
        assert!(matches!(verify(bytes.clone(), &TINY), Err(RecordError::TooLarge { .. })), "{codec:?}");
        assert!(verify(bytes, &Limits::PRODUCE).is_ok());
    }
}

/// A small batch that unfolds to much is proven in steps, and a search by time unfolds no more than it needs.
#[test]
fn what_unfolds_to_much_is_taken_in_steps() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut builder = BatchBuilder::new().codec(codec);
        for time in 0..4096 {
            builder.push(time, None, Some(&[0; 1024]), &[]);
        }
        let bytes = builder.build();
        let pauses = std::cell::Cell::new(0);
        let verified = verify_with_pauses(bytes.clone(), &Limits::PRODUCE, async || pauses.set(pauses.get() + 1));
        let verified = std::pin::pin!(verified).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        assert!(matches!(verified, std::task::Poll::Ready(Ok(_))), "{codec:?}");
        assert!((14..=17).contains(&pauses.get()), "{codec:?}: {} pauses in 4 MiB", pauses.get());

        let early = Limits { bytes_max: 512 << 10, ratio_max: u64::MAX, bytes_free: 0 };
        let found = find_by_time(&bytes, 100, Offset(0), &early).unwrap();
        assert_eq!(found.map(|found| found.offset), Some(Offset(100)), "{codec:?}");
        assert!(matches!(find_by_time(&bytes, 4000, Offset(0), &early), Err(RecordError::TooLarge { .. })));
    }
}

#[test]
fn the_allowance_grows_with_the_bytes_up_to_the_cap() {
    assert_eq!(TINY.allowance(0), 64 << 10);
    assert_eq!(TINY.allowance(1000), 100_000);
    assert_eq!(TINY.allowance(usize::MAX), 1 << 20);
}

/// A bare snappy block that claims 2 GiB in five bytes allocates nothing.
#[test]
fn a_snappy_block_cannot_claim_what_it_cannot_hold() {
    let claim = [0xff, 0xff, 0xff, 0xff, 0x07, 0];
    assert!(matches!(Codec::Snappy.decompress(&claim, &TINY), Err(RecordError::TooLarge { .. })));
    let error = Codec::Snappy.decompress(&claim, &Limits { bytes_free: u64::MAX, bytes_max: u64::MAX, ..TINY });
    assert!(matches!(error, Err(RecordError::Decompression { codec: Codec::Snappy, .. })), "{error:?}");
}

#[test]
fn what_clients_write_is_read() {
    let text: Vec<u8> = (0..300_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    // librdkafka sends one bare snappy block.
    let bare = snap::raw::Encoder::new().compress_vec(&text).unwrap();
    assert_eq!(Codec::Snappy.decompress(&bare, &Limits::PRODUCE).unwrap(), text);
    // Two framed streams, one behind the other.
    let framed = Codec::Snappy.compress(&text);
    assert_eq!(Codec::Snappy.decompress(&[&framed[..], &framed].concat(), &Limits::PRODUCE).unwrap(), text.repeat(2));
    // Gzip of two members.
    let member = Codec::Gzip.compress(&text);
    assert_eq!(Codec::Gzip.decompress(&[&member[..], &member].concat(), &Limits::PRODUCE).unwrap(), text.repeat(2));
    // lz4 frames of every shape, among them Java's: independent 64 KiB blocks, no checksum of the content.
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    for mode in [BlockMode::Independent, BlockMode::Linked] {
        for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
            for checksums in [false, true] {
                let info = FrameInfo::new().block_mode(mode).block_size(size);
                let info = info.block_checksums(checksums).content_checksum(checksums);
                let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(&text).unwrap();
                let frame = encoder.finish().unwrap();
                assert_eq!(Codec::Lz4.decompress(&frame, &Limits::PRODUCE).unwrap(), text);
            }
        }
    }
    // zstd of the highest level, which a Java producer may be set to.
    let packed = zstd::stream::encode_all(&text[..], 22).unwrap();
    assert_eq!(Codec::Zstd.decompress(&packed, &Limits::PRODUCE).unwrap(), text);
}

#[test]
fn a_wrong_crc_is_corrupt_and_a_right_one_is_not() {
    for codec in CODECS {
        let bytes = sample(codec);
        assert!(crc_ok(&bytes));
        assert_eq!(read(&bytes).len(), 3);
        let mut bad = bytes.to_vec();
        bad[20] ^= 1;
        assert!(matches!(verify(bad.into(), &TINY), Err(RecordError::Crc { .. })));
    }
}
