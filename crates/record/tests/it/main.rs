//! The crate against the oracle, against a naive model, and against hostile bytes.

mod hostile;
mod model;
mod oracle;
mod retained;

use ailurus_record::{BatchBuilder, Codec};
use bytes::Bytes;
use proptest::prelude::*;

pub(crate) const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// A record as a test says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plain {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

pub(crate) fn codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(CODECS.to_vec())
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(any::<u8>(), 0..max), (any::<u8>(), 0..max).prop_map(|(b, n)| vec![b; n])]
}

pub(crate) fn plain() -> impl Strategy<Value = Plain> {
    let header = ("[a-z]{1,6}", prop::option::of(bytes(20)));
    let timestamp = prop_oneof![Just(-1i64), 0..100i64, 1_700_000_000_000..1_800_000_000_000i64];
    (timestamp, prop::option::of(bytes(30)), prop::option::of(bytes(3000)), prop::collection::vec(header, 0..4))
        .prop_map(|(timestamp, key, value, headers)| Plain { timestamp, key, value, headers })
}

pub(crate) fn plains(max: usize) -> impl Strategy<Value = Vec<Plain>> {
    prop::collection::vec(plain(), 1..max)
}

pub(crate) fn fill(mut builder: BatchBuilder, records: &[Plain]) -> Bytes {
    for r in records {
        let headers: Vec<_> = r.headers.iter().map(|(k, v)| (k.as_bytes(), v.as_deref())).collect();
        builder.push(r.timestamp, r.key.as_deref(), r.value.as_deref(), &headers);
    }
    builder.build()
}

pub(crate) fn batch(codec: Codec, records: &[Plain]) -> Bytes {
    fill(BatchBuilder::new().codec(codec), records)
}

/// What a batch says, in the words of the test.
pub(crate) fn read(batch: &Bytes) -> Vec<(i64, Plain)> {
    ailurus_record::records(batch, &ailurus_record::Limits::STORED)
        .expect("a batch that can be opened")
        .map(|r| {
            let r = r.expect("a well-formed record");
            let headers = r.headers.iter();
            let headers =
                headers.map(|(k, v)| (String::from_utf8_lossy(&k).into_owned(), v.map(|v| v.to_vec()))).collect();
            let (key, value) = (r.key.map(|k| k.to_vec()), r.value.map(|v| v.to_vec()));
            (r.offset.0, Plain { timestamp: r.timestamp, key, value, headers })
        })
        .collect()
}
