//! Positions in a log as clients ask for them: by epoch and by time, while the log expires and the broker starts again.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests look at the broker from outside")]

mod support;

use ailurus_wire::ErrorCode;
use ailurus_wire::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use ailurus_wire::fetch::FetchPartition;
use ailurus_wire::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use ailurus_wire::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use support::client::{Client, FETCH, batch, fetch, fetched, from};
use support::{Broker, fresh};

/// Where the epoch ends: the epoch that is answered and its end.
fn end_of(client: &mut Client, leader_epoch: i32) -> (i32, i64) {
    let partition = OffsetForLeaderPartition { current_leader_epoch: -1, leader_epoch, ..Default::default() };
    let topics = vec![OffsetForLeaderTopic { topic: "t".into(), partitions: vec![partition] }];
    let answer = client.call(2, &OffsetForLeaderEpochRequest { topics, ..Default::default() });
    let end = &answer.topics[0].partitions[0];
    assert_eq!(end.error_code, ErrorCode::None);
    (end.leader_epoch, end.end_offset)
}

/// A fetch at `fetch_offset` of one who has seen `last_fetched_epoch`: the error, and the diverging epoch with its end.
fn fetch_after(client: &mut Client, last_fetched_epoch: i32, fetch_offset: i64) -> (ErrorCode, i32, i64) {
    let answer = client.call(FETCH, &fetch("t", FetchPartition { last_fetched_epoch, ..from(fetch_offset) }));
    let partition = fetched(&answer);
    (partition.error_code, partition.diverging_epoch.epoch, partition.diverging_epoch.end_offset)
}

/// The first offset and its epoch.
fn earliest(client: &mut Client) -> (i64, i32) {
    let partition = ListOffsetsPartition { current_leader_epoch: -1, timestamp: -2, ..Default::default() };
    let topics = vec![ListOffsetsTopic { name: "t".into(), partitions: vec![partition] }];
    let answer = client.call(7, &ListOffsetsRequest { replica_id: -1, topics, ..Default::default() });
    let found = &answer.topics[0].partitions[0];
    assert_eq!(found.error_code, ErrorCode::None);
    (found.offset, found.leader_epoch)
}

fn delete_before(client: &mut Client, offset: i64) {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions }];
    let answer = client.call(2, &DeleteRecordsRequest { topics, timeout_ms: 5000 });
    assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::None);
    assert_eq!(answer.topics[0].partitions[0].low_watermark, offset);
}

/// Each start begins an epoch. A consumer that has read all of a log that has expired since must not take it for
/// truncated: it would begin anew at the end and miss what comes in between.
#[test]
fn epochs_end_where_the_next_begins_and_forgotten_ones_where_the_log_starts() {
    let dir = fresh("positions-epochs");
    let nothing = (-1, -1);
    let (first, second) = {
        let broker = Broker::start(&dir, &[]);
        let mut client = Client::connect(broker.address());
        client.create("t", 1);
        assert_eq!(client.produce("t", batch(&[b"a", b"b", b"c"])), ErrorCode::None);
        let first = epoch_in_force(&mut client);
        assert_eq!(end_of(&mut client, first), (first, 3), "the epoch in force ends where the log ends");
        assert_eq!(end_of(&mut client, first + 1), nothing, "an epoch that has not begun");
        assert_eq!(end_of(&mut client, -1), nothing);
        broker.end("-KILL");
        (first, first + 1)
    };
    {
        let broker = Broker::start(&dir, &[]);
        let mut client = Client::connect(broker.address());
        assert_eq!(client.produce("t", batch(&[b"d", b"e"])), ErrorCode::None);
        assert_eq!(epoch_in_force(&mut client), second);
        assert_eq!(end_of(&mut client, first), (first, 3));
        assert_eq!(end_of(&mut client, second), (second, 5));

        let none = (ErrorCode::None, -1, -1);
        let wrong = (ErrorCode::OffsetOutOfRange, -1, -1);
        assert_eq!(fetch_after(&mut client, first, 3), none);
        assert_eq!(fetch_after(&mut client, second, 5), none);
        assert_eq!(fetch_after(&mut client, first, 4), (ErrorCode::None, first, 3), "the logs part at 3");
        assert_eq!(fetch_after(&mut client, first, 9), (ErrorCode::None, first, 3), "that is told behind the end too");
        assert_eq!(fetch_after(&mut client, second, 9), (ErrorCode::None, second, 5));
        assert_eq!(fetch_after(&mut client, second + 1, 3), wrong, "an epoch that cannot be compared");

        assert_eq!(earliest(&mut client), (0, first), "the epoch of the first record, not the one in force");
        delete_before(&mut client, 4);
        assert_eq!(earliest(&mut client), (4, second));
        assert_eq!(fetch_after(&mut client, first, 3), wrong, "below the start nothing is compared");
        assert_eq!(end_of(&mut client, first), (first, 4), "a forgotten epoch ends where the log starts");
        delete_before(&mut client, 5);
        broker.end("-KILL");
    }
    let broker = Broker::start(&dir, &[]);
    let mut client = Client::connect(broker.address());
    for epoch in [first, second] {
        assert_eq!(end_of(&mut client, epoch), (epoch, 5), "all is gone, and whoever is at 5 has missed nothing");
        assert_eq!(fetch_after(&mut client, epoch, 5), (ErrorCode::None, -1, -1));
    }
    assert_eq!(end_of(&mut client, second + 1), (second + 1, 5));
}

/// The leader epoch in force, as Metadata tells it.
fn epoch_in_force(client: &mut Client) -> i32 {
    use ailurus_wire::metadata::{MetadataRequest, MetadataRequestTopic};
    let topics = Some(vec![MetadataRequestTopic { name: Some("t".into()), ..Default::default() }]);
    let answer = client.call(9, &MetadataRequest { topics, ..Default::default() });
    answer.topics[0].partitions[0].leader_epoch
}
