//! Both ways against the crate `kafka-protocol`, whose lz4 and zstd are the C libraries.

use ailurus_model::{Offset, Term};
use ailurus_record::{BatchBuilder, Codec, Limits, verify};
use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    self as theirs, Compression, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions,
};
use proptest::prelude::*;

use crate::{Plain, codec, fill, plains, read};

fn their_codec(codec: Codec) -> Compression {
    match codec {
        Codec::None => Compression::None,
        Codec::Gzip => Compression::Gzip,
        Codec::Snappy => Compression::Snappy,
        Codec::Lz4 => Compression::Lz4,
        Codec::Zstd => Compression::Zstd,
    }
}

/// The oracle keeps headers in a map: equal keys would collapse.
fn without_equal_headers(mut records: Vec<Plain>) -> Vec<Plain> {
    for r in &mut records {
        r.headers.sort();
        r.headers.dedup_by(|a, b| a.0 == b.0);
    }
    records
}

fn to_theirs(records: &[Plain], producer: (i64, i16, i32)) -> Vec<theirs::Record> {
    let (producer_id, producer_epoch, base_sequence) = producer;
    let one = |(at, r): (usize, &Plain)| theirs::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id,
        producer_epoch,
        timestamp_type: theirs::TimestampType::Creation,
        offset: at as i64,
        sequence: base_sequence + at as i32,
        timestamp: r.timestamp,
        key: r.key.clone().map(Bytes::from),
        value: r.value.clone().map(Bytes::from),
        headers: r
            .headers
            .iter()
            .map(|(k, v)| (StrBytes::from_string(k.clone()), v.clone().map(Bytes::from)))
            .collect::<IndexMap<_, _>>(),
    };
    records.iter().enumerate().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_we_build_the_oracle_reads(codec in codec(), records in plains(40), base in 0..1i64 << 40, sequence in 0..1000i32) {
        let records = without_equal_headers(records);
        let builder = BatchBuilder::new().codec(codec).at(Offset(base), Term(7)).producer(9, 3, sequence);
        let mut bytes = fill(builder, &records);
        let set = RecordBatchDecoder::decode(&mut bytes).unwrap();
        prop_assert_eq!(set.records.len(), records.len());
        prop_assert_eq!(set.compression, their_codec(codec));
        for (at, (got, sent)) in set.records.iter().zip(&records).enumerate() {
            prop_assert_eq!(got.offset, base + at as i64);
            prop_assert_eq!(got.sequence, sequence + at as i32);
            prop_assert_eq!((got.producer_id, got.producer_epoch, got.partition_leader_epoch), (9, 3, 7));
            prop_assert_eq!(got.timestamp, sent.timestamp);
            prop_assert_eq!(got.key.as_deref(), sent.key.as_deref());
            prop_assert_eq!(got.value.as_deref(), sent.value.as_deref());
            let headers: Vec<_> = got.headers.iter().map(|(k, v)| (k.to_string(), v.as_ref().map(|v| v.to_vec()))).collect();
            prop_assert_eq!(&headers, &sent.headers);
        }
    }

    #[test]
    fn what_the_oracle_builds_we_verify_and_read(codec in codec(), records in plains(40), sequence in 0..1000i32) {
        let records = without_equal_headers(records);
        let mut bytes = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: their_codec(codec) };
        RecordBatchEncoder::encode(&mut bytes, &to_theirs(&records, (5, 1, sequence)), &options).unwrap();
        let verified = verify(bytes.freeze(), &Limits::PRODUCE).unwrap();
        prop_assert_eq!(verified.codec, codec);
        prop_assert_eq!((verified.header.producer_id, verified.header.producer_epoch), (5, 1));
        prop_assert_eq!(verified.header.last_sequence(), sequence + records.len() as i32 - 1);
        prop_assert_eq!(verified.max_timestamp.0, verified.header.max_timestamp);
        let got: Vec<_> = read(&verified.bytes).into_iter().map(|(_, r)| r).collect();
        prop_assert_eq!(got, records);
    }
}
