//! Files of every format version there ever was (`testdata/segment/v<n>`): each later version reads them.
//!
//! What today's version writes is compared byte for byte with its own folder; `AILURUS_WRITE_CORPUS=1` writes a new one.

use std::path::{Path, PathBuf};

use ailurus_model::{Index, Offset, Term};
use ailurus_record::{BatchBuilder, Codec};
use ailurus_rt::sim::{Sim, SimConfig};
use ailurus_rt::{DmaBuf, File, IoClass, OpenOptions, fs};
use bytes::Bytes;

use super::model::{GROUP, dir, shard, tiny};
use crate::segment::checkpoint::GrowingCheckpoint;
use crate::segment::frame::{Body, Frame, Seal};
use crate::segment::header::{FORMAT_VERSION, FileHeader};
use crate::segment::index::{INDEX_ROWS_MAX, SparseIndex};
use crate::segment::name::SegmentName;
use crate::segment::summary::{Summary, encode_sidecar};
use crate::segment::{OpenAt, Position, SegmentCheckpoint, SegmentSet};

fn batch(index: i64, offset: i64, term: i32, codec: Codec) -> Frame {
    let mut builder = BatchBuilder::new().at(Offset(offset), Term(term)).codec(codec).producer(9, 1, 0);
    for n in 0..3 {
        let key = format!("key {}", offset + n);
        builder.push(1_700_000_000_000 + offset + n, Some(key.as_bytes()), Some(b"value"), &[(b"header", None)]);
    }
    Frame { term: Term(term), index: Index(index), body: Body::Batch(builder.build()) }
}

fn control(index: i64, offset: i64, term: i32) -> Frame {
    let body = Body::Control { offset: Offset(offset), payload: Bytes::from_static(b"term start") };
    Frame { term: Term(term), index: Index(index), body }
}

/// A compacted segment with a gap, a closed one whose sidecar is lost, and the growing one.
fn segments() -> [(Position, Option<Position>, Vec<Frame>); 3] {
    let place = |index, offset, term| Position { index: Index(index), offset: Offset(offset), term: Term(term) };
    [
        (
            Position::START,
            Some(place(13, 12, 1)),
            vec![control(0, 0, 1), batch(1, 0, 1, Codec::None), batch(7, 6, 1, Codec::None)],
        ),
        (
            place(13, 12, 1),
            None,
            vec![batch(13, 12, 1, Codec::None), control(16, 15, 2), batch(17, 15, 2, Codec::None)],
        ),
        (
            place(20, 18, 2),
            None,
            vec![batch(20, 18, 2, Codec::None), control(23, 21, 3), batch(24, 21, 3, Codec::None)],
        ),
    ]
}

/// All files as today's version writes them, by name.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let last = segments().len() - 1;
    for (number, (base, end, frames)) in segments().into_iter().enumerate() {
        let seal = Seal { group: GROUP, salt: 0x5eed_0000 + number as u64 };
        let cleaned_below = end.map_or(base.offset, |end| end.offset);
        let header = FileHeader { seal, base, created_ms: 1_700_000_000_000, cleaned_below, end };
        let (mut bytes, mut summary) = (header.encode().to_vec(), Summary::of_empty(&header));
        let mut index = SparseIndex::new(64, INDEX_ROWS_MAX);
        for frame in &frames {
            index.note(&frame.header(), summary.bytes, summary.max_timestamp);
            summary.push(&frame.header());
            frame.encode(seal, |piece| bytes.extend_from_slice(piece));
        }
        summary.end = end.unwrap_or(summary.end);
        let name = SegmentName { base: base.offset, term: frames[0].term };
        files.push((name.log(), bytes));
        if number == 0 {
            files.push((name.index(), encode_sidecar(&summary, &index)));
        }
        if number == last {
            let growing = GrowingCheckpoint { name, summary, rows: index.sample(4) };
            let checkpoint = SegmentCheckpoint { end: summary.end, growing: Some(growing) };
            files.push(("checkpoint".into(), checkpoint.encode()));
        }
    }
    files
}

fn folder(version: u16) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/segment/v{version}"))
}

#[allow(clippy::disallowed_methods, reason = "a test reads its data from the source tree")]
fn stored(version: u16) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder(version))
        .expect("the corpus is part of the source")
        .map(|entry| entry.expect("readable").path())
        .map(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("plain names").to_owned();
            (name, std::fs::read(path).expect("readable"))
        })
        .collect();
    files.sort();
    files
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a new version's corpus is written into the source tree")]
fn todays_version_writes_what_its_corpus_holds() {
    let mut files = files();
    files.sort();
    if std::env::var_os("AILURUS_WRITE_CORPUS").is_some() {
        std::fs::create_dir_all(folder(FORMAT_VERSION)).expect("makes the folder");
        for (name, bytes) in &files {
            std::fs::write(folder(FORMAT_VERSION).join(name), bytes).expect("writes");
        }
    }
    assert!(files == stored(FORMAT_VERSION), "the format changed without a new version");
}

#[test]
fn every_version_is_read() {
    for version in 1..=FORMAT_VERSION {
        let mut sim = Sim::new(7, SimConfig { shards: 1, ..SimConfig::default() });
        sim.run(move || read_corpus(stored(version))).finished();
    }
}

async fn read_corpus(files: Vec<(String, Vec<u8>)>) {
    fs::create_dir_all(&dir()).await.expect("makes a directory");
    let mut checkpoint = None;
    for (name, bytes) in files {
        match name.as_str() {
            "checkpoint" => checkpoint = SegmentCheckpoint::decode(&bytes, GROUP),
            _ => put(&dir().join(name), &bytes).await,
        }
    }
    let checkpoint = checkpoint.expect("a checkpoint that can be read");
    let at = OpenAt { checkpoint: Some(&checkpoint), cut: None, start: Position::START };
    let set = SegmentSet::open(shard(), dir(), GROUP, tiny(), at).await.expect("opens");
    let mut entries = Vec::new();
    while let Some(next) = entries.last().map_or(Some(Index(0)), |last: &Frame| Some(last.header().end().index)) {
        let read = set.read_entries(next, set.end().index, 100).await.expect("readable");
        if read.is_empty() {
            break;
        }
        entries.extend(read);
    }
    let expected: Vec<Frame> = segments().into_iter().flat_map(|(_, _, frames)| frames).collect();
    assert!(entries == expected, "{} entries instead of {}", entries.len(), expected.len());
    let read = set.read(Offset(4), Offset(100), 1 << 20, true).await.expect("readable");
    assert_eq!(read.batches.first().map(|batch| batch[7]), Some(6), "the first batch behind the gap");
    let found = set.find_by_time(1_700_000_000_016, Offset(0), Offset(100)).await.expect("readable");
    assert_eq!(found.map(|found| (found.offset, found.term)), Some((Offset(16), Term(2))));
}

async fn put(path: &Path, bytes: &[u8]) {
    let options = OpenOptions { create: true, write: true, ..OpenOptions::default() };
    let file = File::open(path, options).await.expect("makes a file");
    file.write_at(IoClass::Raft, 0, DmaBuf::from_slice(bytes)).await.0.expect("writes");
}
