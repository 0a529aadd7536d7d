//! The records of `__consumer_offsets` against bytes that others wrote, against themselves, and against rubbish.

#![allow(clippy::unwrap_used, reason = "a test")]

use ailurus_coordinator::format::{CommittedOffset, FormatError, GroupMetadata, MemberMetadata, Record};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Key and value of the line `name` in the corpus.
fn golden(name: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    let corpus = include_str!("../testdata/format/records.hex");
    let line = corpus.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
    let mut fields = line.split(' ').skip(1);
    let key = unhex(fields.next().unwrap());
    (key, Some(fields.next().unwrap()).filter(|value| *value != "-").map(unhex))
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn decode(name: &str) -> Record {
    let (key, value) = golden(name);
    Record::decode(&key, value.as_deref()).unwrap().unwrap()
}

/// What we write is, byte for byte, what the corpus has.
#[track_caller]
fn assert_written(name: &str, record: &Record) {
    let (key, value) = golden(name);
    let (our_key, our_value) = record.encode();
    assert_eq!(our_key, key, "key of {name}");
    assert_eq!(our_value.as_deref(), value.as_deref(), "value of {name}");
}

fn offset(value: Option<CommittedOffset>) -> Record {
    Record::Offset { group: "g-1".to_owned(), topic: "orders".to_owned(), partition: 3, value }
}

fn committed(leader_epoch: i32, expire_timestamp: Option<i64>) -> CommittedOffset {
    CommittedOffset {
        offset: 1_234_567_890_123,
        leader_epoch,
        metadata: "où".to_owned(),
        commit_timestamp: 1_700_000_000_000,
        expire_timestamp,
    }
}

fn group(value: Option<GroupMetadata>) -> Record {
    Record::Group { group: "g-1".to_owned(), value }
}

fn metadata() -> GroupMetadata {
    let member = MemberMetadata {
        member_id: "c1-5f3b".to_owned(),
        instance_id: None,
        client_id: "c1".to_owned(),
        client_host: "/10.0.0.1".to_owned(),
        rebalance_timeout_ms: 300_000,
        session_timeout_ms: 45_000,
        subscription: Bytes::from_static(b"\0\0\0\0\0\x01\0\x02t1\xff\xff\xff\xff"),
        assignment: Bytes::from_static(b"\0\0\0\0\0\x01\0\x02t1\0\0\0\x01\0\0\0\0\xff\xff\xff\xff"),
    };
    let member_2 = MemberMetadata {
        member_id: "i2-77".to_owned(),
        instance_id: Some("i2".to_owned()),
        assignment: Bytes::new(),
        ..member.clone()
    };
    GroupMetadata {
        protocol_type: "consumer".to_owned(),
        generation: 5,
        protocol: Some("range".to_owned()),
        leader: Some("c1-5f3b".to_owned()),
        current_state_timestamp: Some(1_700_000_000_001),
        members: vec![member, member_2],
    }
}

#[test]
fn offsets_are_read_in_every_version() {
    assert_eq!(decode("offset-key-0"), offset(None));
    assert_eq!(decode("offset-value-0"), offset(Some(committed(-1, None))));
    assert_eq!(decode("offset-value-1"), offset(Some(committed(-1, Some(1_700_000_086_400)))));
    assert_eq!(decode("offset-value-2"), offset(Some(committed(-1, None))));
    assert_eq!(decode("offset-value-3"), offset(Some(committed(7, None))));
    assert_eq!(decode("offset-value-4"), offset(Some(committed(7, None))));
    assert_eq!(decode("offset-tombstone"), offset(None));
}

#[test]
fn groups_are_read_in_every_version() {
    let strip = |version: i16| {
        let mut group = metadata();
        if version < 2 {
            group.current_state_timestamp = None;
        }
        for member in &mut group.members {
            if version < 1 {
                member.rebalance_timeout_ms = member.session_timeout_ms;
            }
            if version < 3 {
                member.instance_id = None;
            }
        }
        group
    };
    for version in 0..=4 {
        assert_eq!(decode(&format!("group-value-{version}")), group(Some(strip(version))), "version {version}");
    }
    assert_eq!(decode("group-tombstone"), group(None));
}

#[test]
fn what_is_written_is_what_kafka_writes() {
    assert_written("offset-value-3", &offset(Some(committed(7, None))));
    assert_written("offset-value-1", &offset(Some(committed(-1, Some(1_700_000_086_400)))));
    assert_written("offset-tombstone", &offset(None));
    assert_written("group-value-3", &group(Some(metadata())));
    assert_written("group-tombstone", &group(None));
    let empty = GroupMetadata {
        protocol_type: "consumer".to_owned(),
        generation: 6,
        current_state_timestamp: Some(1_700_000_000_002),
        ..GroupMetadata::default()
    };
    assert_written("group-empty-3", &group(Some(empty)));
}

#[test]
fn records_of_other_coordinators_are_told_apart() {
    assert_eq!(Record::decode(&[0, 3, 0, 1, b'g'], Some(&[0, 0])), Ok(None));
    assert_eq!(Record::decode(&[0x7f, 0xff], None), Ok(None));
}

#[test]
fn later_versions_are_refused_by_name() {
    let (key, _) = golden("offset-value-3");
    let error = Record::decode(&key, Some(&[0, 5, 0, 0])).unwrap_err();
    assert_eq!(error, FormatError::Version { what: "offset value", version: 5, max: 4 });
    assert_eq!(error.to_string(), "offset value has version 5; 0 to 4 are known");
}

#[test]
fn every_cut_is_an_error() {
    for name in ["offset-value-1", "offset-value-3", "group-value-0", "group-value-3"] {
        let (key, value) = golden(name);
        let value = value.unwrap();
        for length in 0..value.len() {
            assert!(Record::decode(&key, Some(&value[..length])).is_err(), "{name} cut to {length}");
        }
        for length in 0..key.len() {
            assert!(Record::decode(&key[..length], Some(&value)).is_err(), "key of {name} cut to {length}");
        }
    }
}

prop_compose! {
    fn any_offset()(
        offset: i64,
        leader_epoch in -1..i32::MAX,
        metadata in ".{0,20}",
        commit_timestamp: i64,
        expire in option::of(0..i64::MAX),
    ) -> CommittedOffset {
        let leader_epoch = if expire.is_some() { -1 } else { leader_epoch };
        CommittedOffset { offset, leader_epoch, metadata, commit_timestamp, expire_timestamp: expire }
    }
}

prop_compose! {
    fn any_member()(
        member_id in ".{0,9}",
        instance_id in option::of(".{0,9}"),
        client in ".{0,9}",
        rebalance_timeout_ms: i32,
        session_timeout_ms: i32,
        subscription in vec(any::<u8>(), 0..20),
        assignment in vec(any::<u8>(), 0..20),
    ) -> MemberMetadata {
        MemberMetadata {
            member_id, instance_id, client_id: client.clone(), client_host: client, rebalance_timeout_ms,
            session_timeout_ms, subscription: subscription.into(), assignment: assignment.into(),
        }
    }
}

prop_compose! {
    fn any_group()(
        protocol_type in ".{0,9}",
        generation: i32,
        protocol in option::of(".{0,9}"),
        leader in option::of(".{0,9}"),
        current_state_timestamp in option::of(0..i64::MAX),
        mut members in vec(any_member(), 0..4),
    ) -> GroupMetadata {
        // No two members have the same id; such a record would be refused.
        for (place, member) in members.iter_mut().enumerate() {
            let ids = [Some(&mut member.member_id), member.instance_id.as_mut()];
            ids.into_iter().flatten().for_each(|id| id.push_str(&place.to_string()));
        }
        GroupMetadata { protocol_type, generation, protocol, leader, current_state_timestamp, members }
    }
}

fn any_record() -> impl Strategy<Value = Record> {
    let offset = (".{0,9}", ".{0,9}", any::<i32>(), option::of(any_offset()))
        .prop_map(|(group, topic, partition, value)| Record::Offset { group, topic, partition, value });
    let group = (".{0,9}", option::of(any_group())).prop_map(|(group, value)| Record::Group { group, value });
    prop_oneof![offset, group]
}

proptest! {
    #[test]
    fn what_is_written_is_read(record in any_record()) {
        let (key, value) = record.encode();
        prop_assert_eq!(Record::decode(&key, value.as_deref()), Ok(Some(record)));
    }

    #[test]
    fn rubbish_is_an_error_or_a_record_and_never_a_panic(
        kind in 0u8..3,
        key in vec(any::<u8>(), 0..40),
        version in 0u8..6,
        value in vec(any::<u8>(), 0..80),
    ) {
        let key = [vec![0, kind], key].concat();
        let value = [vec![0, version], value].concat();
        let _ = Record::decode(&key, Some(&value));
    }

    #[test]
    fn a_flipped_byte_never_panics(at in any::<prop::sample::Index>(), with: u8, flexible: bool) {
        let (key, value) = golden(if flexible { "group-value-4" } else { "group-value-3" });
        let mut value = value.unwrap();
        let at = at.index(value.len());
        value[at] = with;
        let _ = Record::decode(&key, Some(&value));
    }
}
