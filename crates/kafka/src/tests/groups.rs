//! Members whose connections are gone, and offsets that are asked for.

use std::time::Duration;

use ailurus_rt::{self as rt};
use ailurus_wire::ErrorCode;
use ailurus_wire::find_coordinator::FindCoordinatorRequest;
use ailurus_wire::heartbeat::HeartbeatRequest;
use ailurus_wire::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ailurus_wire::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ailurus_wire::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::{Broker, on_shards};

const SESSION: Duration = Duration::from_secs(10);

fn join_as(member_id: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol { name: "range".into(), ..Default::default() };
    JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: SESSION.as_millis() as i32,
        rebalance_timeout_ms: 60_000,
        member_id: member_id.into(),
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    }
}

async fn heartbeat(broker: Broker, joined: &JoinGroupResponse) -> ErrorCode {
    let (generation_id, member_id) = (joined.generation_id, joined.member_id.clone());
    let beat = HeartbeatRequest { group_id: "g".into(), generation_id, member_id, ..Default::default() };
    broker.call(0, &beat).await.error_code
}

/// Joins, as the leader, and gives everybody the same.
async fn join(broker: Broker, member_id: &str) -> JoinGroupResponse {
    let joined = broker.call(3, &join_as(member_id)).await;
    assert_eq!((joined.error_code, &joined.leader), (ErrorCode::None, &joined.member_id));
    let assignment = |member_id| SyncGroupRequestAssignment { member_id, assignment: b"all"[..].into() };
    let sync = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        assignments: joined.members.iter().map(|member| assignment(member.member_id.clone())).collect(),
        ..Default::default()
    };
    assert_eq!(broker.call(0, &sync).await.error_code, ErrorCode::None);
    joined
}

/// Waits until the group has a coordinator.
async fn coordinated(broker: Broker) {
    let find = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
    while broker.call(4, &find).await.coordinators[0].error_code.is_error() {
        rt::sleep(Duration::from_millis(10)).await;
    }
}

/// A short request must not make an answer a thousand times its size.
#[test]
fn an_offset_that_is_asked_for_twice_is_told_once() {
    on_shards(2, |broker| async move {
        coordinated(broker).await;
        let expected = [("a".to_string(), vec![1, 0]), ("b".to_string(), vec![1, 0]), ("a".to_string(), vec![])];
        let topic = |name: &str| OffsetFetchRequestTopic { name: name.into(), partition_indexes: vec![1, 0, 1] };
        let topics = Some(vec![topic("a"), topic("b"), topic("a")]);
        let request = OffsetFetchRequest { group_id: "g".into(), topics, ..Default::default() };
        let answer = loop {
            let answer = broker.call(7, &request).await;
            if answer.error_code == ErrorCode::None {
                break answer;
            }
            rt::sleep(Duration::from_millis(10)).await;
        };
        let told: Vec<(String, Vec<i32>)> = (answer.topics.iter())
            .map(|topic| (topic.name.to_string(), topic.partitions.iter().map(|told| told.partition_index).collect()))
            .collect();
        assert_eq!(told, expected);

        let topic = |name: &str| OffsetFetchRequestTopics {
            name: name.into(),
            partition_indexes: vec![1, 0, 1],
            ..Default::default()
        };
        let topics = Some(vec![topic("a"), topic("b"), topic("a")]);
        let group = OffsetFetchRequestGroup { group_id: "g".into(), topics, ..Default::default() };
        let request = OffsetFetchRequest { groups: vec![group.clone(), group], ..Default::default() };
        let answer = broker.call(8, &request).await;
        assert_eq!(answer.groups.len(), 1);
        let told: Vec<(String, Vec<i32>)> = (answer.groups[0].topics.iter())
            .map(|topic| (topic.name.to_string(), topic.partitions.iter().map(|told| told.partition_index).collect()))
            .collect();
        assert_eq!(told, expected);
    });
}

#[test]
fn who_is_gone_while_its_join_waits_leaves_with_its_session() {
    on_shards(2, |broker| async move {
        coordinated(broker).await;
        while broker.call(3, &join_as("nobody")).await.error_code != ErrorCode::UnknownMemberId {
            rt::sleep(Duration::from_millis(10)).await;
        }
        let alone = join(broker, "").await;
        assert_eq!((alone.members.len(), heartbeat(broker, &alone).await), (1, ErrorCode::None));

        let gone = rt::spawn(rt::Group::Kafka, async move { broker.call(3, &join_as("")).await });
        while heartbeat(broker, &alone).await == ErrorCode::None {
            rt::sleep(Duration::from_millis(10)).await;
        }
        assert!(gone.cancel().await.is_none(), "it waits for the other");
        let together = join(broker, &alone.member_id).await;
        assert_eq!(together.members.len(), 2);

        let start = rt::now();
        while heartbeat(broker, &together).await == ErrorCode::None {
            assert!(rt::now() - start < 2 * SESSION);
            rt::sleep(SESSION / 10).await;
        }
        let alone = join(broker, &alone.member_id).await;
        assert_eq!((alone.members.len(), heartbeat(broker, &alone).await), (1, ErrorCode::None));
    });
}
