//! Whoever may write to `__consumer_offsets` may write anything: what is well-formed and makes no sense must not stop the
//! slice from loading, nor from going on and storing its groups again.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::rc::Rc;

use ailurus_coordinator::format::{CommittedOffset, FormatError, GroupMetadata, MemberMetadata, Record};
use ailurus_coordinator::{
    Effects, GroupConfig, JoinRequest, LeaveRequest, LeavingMember, Now, Protocol, Slice, SyncRequest, Tick, Token,
};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const IDS: [&str; 4] = ["a", "b", "x", ""];
const INSTANCES: [&str; 3] = ["i", "j", ""];

fn any_member() -> impl Strategy<Value = MemberMetadata> {
    let id = prop::sample::select(&IDS[..]);
    let instance = option::of(prop::sample::select(&INSTANCES[..]));
    let timeout = || prop_oneof![any::<i32>(), -1..2, Just(10_000)];
    (id, instance, timeout(), timeout()).prop_map(|(id, instance, rebalance_timeout_ms, session_timeout_ms)| {
        MemberMetadata {
            member_id: id.to_owned(),
            instance_id: instance.map(str::to_owned),
            rebalance_timeout_ms,
            session_timeout_ms,
            subscription: Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t"),
            ..MemberMetadata::default()
        }
    })
}

fn any_group() -> impl Strategy<Value = GroupMetadata> {
    let (protocol, leader) = (option::of(Just("range".to_owned())), option::of(prop::sample::select(&IDS[..])));
    let generation = prop_oneof![any::<i32>(), 0..3];
    (vec(any_member(), 0..5), protocol, leader, generation, any::<bool>()).prop_map(
        |(members, protocol, leader, generation, consumer)| GroupMetadata {
            protocol_type: if consumer { "consumer" } else { "" }.to_owned(),
            generation,
            protocol,
            leader: leader.map(str::to_owned),
            current_state_timestamp: None,
            members,
        },
    )
}

fn any_record() -> impl Strategy<Value = Record> {
    let offset =
        (any::<i64>(), any::<i64>(), option::of(any::<i64>())).prop_map(|(offset, time, expire)| CommittedOffset {
            offset,
            leader_epoch: -1,
            metadata: String::new(),
            commit_timestamp: time,
            expire_timestamp: expire.filter(|expire| *expire != -1),
        });
    let offset = (any::<i32>(), option::of(offset)).prop_map(|(partition, value)| Record::Offset {
        group: "g".to_owned(),
        topic: "t".to_owned(),
        partition,
        value,
    });
    let group = option::weighted(0.9, any_group()).prop_map(|value| Record::Group { group: "g".to_owned(), value });
    prop_oneof![4 => group, 1 => offset]
}

fn now(tick: u64) -> Now {
    Now { tick: Tick(tick), unix_ms: 1_000_000 + tick as i64 }
}

/// As the driver does it, with a log that takes everything and can hold it.
fn carry_out(slice: &mut Slice, tick: u64, verb: impl FnOnce(&mut Slice, &mut Effects)) {
    let mut effects = Effects::default();
    verb(slice, &mut effects);
    let records = std::mem::take(&mut effects.records);
    for record in &records {
        let (key, value) = record.encode();
        assert_eq!(Record::decode(&key, value.as_deref()).as_ref(), Ok(&Some(record.clone())));
    }
    slice.appended(now(tick), &records, &mut effects);
}

fn join(instance: Option<&str>, id: &str, rebalance_timeout_ms: i32) -> JoinRequest {
    JoinRequest {
        group_id: "g".to_owned(),
        member_id: id.to_owned(),
        instance_id: instance.map(str::to_owned),
        session_timeout_ms: 6_000,
        rebalance_timeout_ms,
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol { name: "range".to_owned(), metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t") }],
        ..JoinRequest::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_log_is_too_strange(
        records in vec(any_record(), 1..6),
        rejoins in vec((option::of(prop::sample::select(&INSTANCES[..])), prop::sample::select(&IDS[..]), 0..3i32), 0..6),
    ) {
        let mut slice = Slice::new(Rc::new(GroupConfig { max_size: 3, ..GroupConfig::default() }));
        for record in &records {
            let (key, value) = record.encode();
            match Record::decode(&key, value.as_deref()) {
                Ok(record) => slice.load(now(0), &record.unwrap()),
                Err(error) => prop_assert!(matches!(error, FormatError::Twice { .. }), "{error}"),
            }
        }
        carry_out(&mut slice, 0, |slice, effects| slice.loaded(now(0), effects));
        let mut token = 0;
        let mut tokens = || { token += 1; Token(token) };
        for (instance, id, patience) in rejoins {
            let request = join(instance, id, patience * 5_000);
            let (joins, syncs) = (tokens(), tokens());
            let uuid = u128::from(joins.0);
            carry_out(&mut slice, 0, |slice, effects| slice.join(now(0), joins, uuid, request, effects));
            let sync = SyncRequest { group_id: "g".to_owned(), generation: 1, member_id: id.to_owned(), ..SyncRequest::default() };
            carry_out(&mut slice, 0, |slice, effects| slice.sync(now(0), syncs, sync, effects));
        }
        let leaving = LeavingMember { member_id: "a".to_owned(), instance_id: None };
        let leave = LeaveRequest { group_id: "g".to_owned(), members: vec![leaving] };
        carry_out(&mut slice, 0, |slice, effects| { slice.leave(now(0), leave, effects); });
        let (mut last, mut fired_there) = (Tick(0), 0);
        for _ in 0..1_000 {
            let Some(due) = slice.next_deadline() else { break };
            carry_out(&mut slice, due.0, |slice, effects| slice.on_time(now(due.0), effects));
            fired_there = if due > last { 0 } else { fired_there + 1 };
            prop_assert!(fired_there < 50, "the timer spins at {due:?}");
            last = due;
        }
        carry_out(&mut slice, 1 << 40, |slice, effects| slice.expire(now(1 << 40), "g", effects));
    }

    #[test]
    fn no_value_is_too_strange(version in 0u8..5, key in any::<bool>(), bytes in vec(any::<u8>(), 0..200)) {
        let key: &[u8] = if key { b"\0\x02\0\x01g" } else { b"\0\x01\0\x01g\0\x01t\0\0\0\0" };
        let value: Vec<u8> = [0, version].into_iter().chain(bytes).collect();
        if let Ok(Some(record)) = Record::decode(key, Some(&value)) {
            let mut slice = Slice::new(Rc::default());
            slice.load(now(0), &record);
            carry_out(&mut slice, 0, |slice, effects| slice.loaded(now(0), effects));
            record.encode();
        }
    }
}

/// A value of version 4, whose compact strings may be of any length.
#[test]
fn a_string_that_could_not_be_written_again_is_refused() {
    let with = |length: u32| {
        let mut value = vec![0, 4];
        // The length, one higher, as an unsigned varint of three bytes.
        let coded = length + 1;
        value.extend([(coded & 0x7f) as u8 | 0x80, (coded >> 7 & 0x7f) as u8 | 0x80, (coded >> 14) as u8]);
        value.extend(vec![b'x'; length as usize]);
        // Generation, no protocol, no leader, time, no members, no tagged fields.
        value.extend([0, 0, 0, 1, 0, 0]);
        value.extend([0xff; 8]);
        value.extend([1, 0]);
        Record::decode(b"\0\x02\0\x01g", Some(&value))
    };
    with(32_767).unwrap().unwrap().encode();
    assert_eq!(with(32_768), Err(FormatError::TooLong { field: "protocol type", length: 32_768, max: 32_767 }));
}
