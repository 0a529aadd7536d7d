//! Shard-direct mode: whatever names a node names the same ones.

use std::collections::BTreeSet;
use std::time::Duration;

use ailurus_model::{PartitionId, ShardId, TopicIdPartition};
use ailurus_rt as rt;
use ailurus_wire::alter_configs;
use ailurus_wire::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use ailurus_wire::create_partitions::{CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic};
use ailurus_wire::create_topics::{CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest};
use ailurus_wire::describe_cluster::DescribeClusterRequest;
use ailurus_wire::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use ailurus_wire::describe_log_dirs::DescribeLogDirsRequest;
use ailurus_wire::describe_topic_partitions::{DescribeTopicPartitionsRequest, TopicRequest};
use ailurus_wire::find_coordinator::FindCoordinatorRequest;
use ailurus_wire::incremental_alter_configs::{AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest};
use ailurus_wire::list_groups::ListGroupsRequest;
use ailurus_wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use ailurus_wire::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use ailurus_wire::{ErrorCode, TopicId};

use super::{Broker, on_shards, on_shards_with};

const DIRECT: &[(&str, &str)] = &[("shard.direct", "true"), ("offsets.topic.num.partitions", "4")];

fn on_direct<F: Future<Output = ()>>(shards: u16, test: impl Fn(Broker) -> F + Copy + 'static) {
    on_shards_with(shards, DIRECT, test);
}

async fn metadata(broker: Broker, topic: &str) -> MetadataResponse {
    let topics = Some(vec![MetadataRequestTopic { name: Some(topic.into()), topic_id: TopicId::NONE }]);
    broker.call(9, &MetadataRequest { topics, ..Default::default() }).await
}

/// The node id of the shard that owns each partition.
fn owners(broker: Broker, topic: &str) -> Vec<i32> {
    let cluster = broker.cluster.local();
    let state = cluster.state();
    let topic = state.topic(topic).expect("it is there");
    let node = |(id, _): (TopicIdPartition, _)| 1000 + i32::from(cluster.shard_of(id).expect("it is placed").0);
    topic.iter().map(node).collect()
}

#[test]
fn shards_are_told_as_nodes_that_lead_what_they_own() {
    on_direct(3, |broker| async move {
        broker.create("t", 7, &[]).await;
        let told = metadata(broker, "t").await;
        let nodes: Vec<(i32, i32)> = told.brokers.iter().map(|broker| (broker.node_id, broker.port)).collect();
        assert_eq!((&nodes[..], told.controller_id), (&[(1000, 9092), (1001, 9093), (1002, 9094)][..], 1000));
        let partitions = &told.topics[0].partitions;
        let leaders: Vec<i32> = partitions.iter().map(|partition| partition.leader_id).collect();
        assert_eq!(leaders, owners(broker, "t"));
        assert_eq!(leaders.iter().collect::<BTreeSet<_>>().len(), 3, "{leaders:?}");
        for partition in partitions {
            assert_eq!(
                (&partition.replica_nodes, &partition.isr_nodes),
                (&vec![partition.leader_id], &vec![partition.leader_id])
            );
        }

        let described = broker.call(1, &DescribeClusterRequest { endpoint_type: 1, ..Default::default() }).await;
        let same: Vec<(i32, i32)> = described.brokers.iter().map(|broker| (broker.broker_id, broker.port)).collect();
        assert_eq!((same, described.controller_id), (nodes, 1000));
        let topics = vec![TopicRequest { name: "t".into() }];
        let request = DescribeTopicPartitionsRequest { topics, response_partition_limit: 100, ..Default::default() };
        let paged = broker.call(0, &request).await;
        let same: Vec<i32> = paged.topics[0].partitions.iter().map(|partition| partition.leader_id).collect();
        assert_eq!(same, leaders);
    });
}

#[test]
fn without_the_mode_all_of_it_is_one_node() {
    on_shards(3, |broker| async move {
        broker.create("t", 7, &[]).await;
        let told = metadata(broker, "t").await;
        assert_eq!(told.brokers.iter().map(|broker| (broker.node_id, broker.port)).collect::<Vec<_>>(), [(1, 9092)]);
        assert_eq!(told.controller_id, 1);
        assert!(told.topics[0].partitions.iter().all(|partition| partition.leader_id == 1));
        assert_eq!(create(broker, "u", &[&[1], &[1]]).await, ErrorCode::None);
        assert_eq!(create(broker, "v", &[&[1000]]).await, ErrorCode::InvalidReplicaAssignment);
        assert_eq!(reassign(broker, "u", &[1]).await, ErrorCode::None);
    });
}

/// How a commit went, once the group is loaded.
async fn committed(broker: Broker, commit: &OffsetCommitRequest) -> ErrorCode {
    loop {
        match broker.call(8, commit).await.topics[0].partitions[0].error_code {
            ErrorCode::CoordinatorLoadInProgress => rt::sleep(Duration::from_millis(1)).await,
            done => return done,
        }
    }
}

#[test]
fn groups_are_where_their_slices_are_and_each_node_lists_its_own() {
    on_direct(2, |broker| async move {
        broker.create("t", 1, &[]).await;
        let groups: Vec<String> = (0..8).map(|number| format!("g{number}")).collect();
        let keys = groups.iter().map(|group| group.as_str().into()).collect();
        let request = FindCoordinatorRequest { coordinator_keys: keys, ..Default::default() };
        let mut found = broker.call(4, &request).await.coordinators;
        assert!(found.iter().all(|one| one.error_code == ErrorCode::None && one.port == 9092 + one.node_id - 1000));
        let mut here = Vec::new();
        for (group, found) in groups.iter().zip(&mut found) {
            let shard = broker.shards.local().groups.coordinator_of(group).expect("it was found");
            assert_eq!(found.node_id, 1000 + i32::from(shard.0), "{group}");
            let partition = OffsetCommitRequestPartition { committed_offset: 1, ..Default::default() };
            let topics =
                vec![OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() }];
            let commit = OffsetCommitRequest {
                group_id: group.as_str().into(),
                generation_id_or_member_epoch: -1,
                topics,
                ..Default::default()
            };
            // Also what belongs to the other shard is taken here.
            assert_eq!(committed(broker, &commit).await, ErrorCode::None, "{group}");
            if shard == ShardId(0) {
                here.push(group.clone());
            }
        }
        assert!((1..8).contains(&here.len()), "{here:?}");
        let listed = broker.call(4, &ListGroupsRequest::default()).await;
        let listed: Vec<String> = listed.groups.iter().map(|group| group.group_id.to_string()).collect();
        assert_eq!(listed, here);
    });
}

#[test]
fn a_node_has_the_logs_of_its_shard() {
    on_direct(2, |broker| async move {
        broker.create("t", 5, &[]).await;
        let dirs = broker.call(4, &DescribeLogDirsRequest { topics: None }).await;
        let logs: Vec<i32> = dirs.results[0].topics[0].partitions.iter().map(|log| log.partition_index).collect();
        let owners = owners(broker, "t");
        let here: Vec<i32> = (0..5).filter(|partition| owners[*partition as usize] == 1000).collect();
        assert!(!here.is_empty() && logs == here, "{logs:?} of {owners:?}");
    });
}

/// Creates a topic with these replicas; how that went.
async fn create(broker: Broker, name: &str, replicas: &[&[i32]]) -> ErrorCode {
    let assignment = |(partition, ids): (i32, &&[i32])| CreatableReplicaAssignment {
        partition_index: partition,
        broker_ids: ids.to_vec(),
    };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: (0..).zip(replicas).map(assignment).collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    broker.call(5, &request).await.topics[0].error_code
}

/// Asks for a topic with so many copies: how that went, and of how many partitions and copies each it is said to be.
async fn copied(broker: Broker, name: &str, replication_factor: i16, validate_only: bool) -> (ErrorCode, i32, i16) {
    let topic = CreatableTopic { name: name.into(), num_partitions: 3, replication_factor, ..Default::default() };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only };
    let answer = broker.call(5, &request).await.topics.remove(0);
    (answer.error_code, answer.num_partitions, answer.replication_factor)
}

/// Clients count the nodes, and ask for as many copies as there are or for three.
#[test]
fn as_many_copies_as_nodes_are_as_many_as_brokers() {
    let refused = (ErrorCode::InvalidReplicationFactor, -1, -1);
    on_direct(3, move |broker| async move {
        for factor in [-1, 1, 2, 3] {
            let name = format!("t{factor}");
            assert_eq!(copied(broker, &name, factor, true).await, (ErrorCode::None, 3, 1), "{factor}");
            assert_eq!(copied(broker, &name, factor, false).await, (ErrorCode::None, 3, 1), "{factor}");
            let told = metadata(broker, &name).await.topics.remove(0);
            assert!(told.partitions.iter().all(|partition| partition.replica_nodes == [partition.leader_id]));
        }
        for factor in [-2, 0, 4] {
            assert_eq!(copied(broker, "u", factor, true).await, refused, "{factor}");
            assert_eq!(copied(broker, "u", factor, false).await, refused, "{factor}");
        }
    });
    on_shards(3, move |broker| async move {
        assert_eq!(copied(broker, "t", 2, false).await, refused);
    });
}

/// A configuration that was written for as many brokers as there are shards now.
#[test]
fn a_default_number_of_copies_is_one_of_brokers_as_well() {
    const DEFAULT: [(&str, &str); 3] = [DIRECT[0], DIRECT[1], ("default.replication.factor", "3")];
    on_shards_with(3, &DEFAULT, |broker| async move {
        assert_eq!(copied(broker, "t", -1, true).await, (ErrorCode::None, 3, 1));
        assert_eq!(copied(broker, "t", -1, false).await, (ErrorCode::None, 3, 1));
        let told = metadata(broker, "made-by-asking").await.topics.remove(0);
        assert_eq!(told.error_code, ErrorCode::None);
        assert!(told.partitions.iter().all(|partition| partition.replica_nodes.len() == 1));
    });
}

/// Adds a partition with these replicas; how that went.
async fn add(broker: Broker, name: &str, count: i32, ids: &[i32]) -> ErrorCode {
    let assignments = Some(vec![CreatePartitionsAssignment { broker_ids: ids.to_vec() }]);
    let topics = vec![CreatePartitionsTopic { name: name.into(), count, assignments }];
    let request = CreatePartitionsRequest { topics, timeout_ms: 10_000, ..Default::default() };
    broker.call(2, &request).await.results[0].error_code
}

/// Moves the first partition; how that went.
async fn reassign(broker: Broker, topic: &str, ids: &[i32]) -> ErrorCode {
    let partition = ReassignablePartition { partition_index: 0, replicas: Some(ids.to_vec()) };
    let topics = vec![ReassignableTopic { name: topic.into(), partitions: vec![partition] }];
    let request = AlterPartitionReassignmentsRequest { topics, timeout_ms: 10_000, ..Default::default() };
    broker.call(0, &request).await.responses[0].partitions[0].error_code
}

#[test]
fn every_id_that_is_told_names_the_broker_and_no_other_does() {
    on_direct(2, |broker| async move {
        assert_eq!(create(broker, "t", &[&[1001], &[1000], &[1001]]).await, ErrorCode::None);
        for wrong in [&[1][..], &[1002], &[999], &[-1], &[1000, 1001]] {
            assert_eq!(create(broker, "u", &[wrong]).await, ErrorCode::InvalidReplicaAssignment, "{wrong:?}");
            assert_eq!(add(broker, "t", 4, wrong).await, ErrorCode::InvalidReplicaAssignment, "{wrong:?}");
            assert_eq!(reassign(broker, "t", wrong).await, ErrorCode::InvalidReplicaAssignment, "{wrong:?}");
        }
        assert_eq!(add(broker, "t", 4, &[1000]).await, ErrorCode::None);
        // Where it is, and nowhere else: what is not done is not said to be.
        let here = owners(broker, "t")[0];
        assert_eq!(reassign(broker, "t", &[here]).await, ErrorCode::None);
        assert_eq!(reassign(broker, "t", &[2001 - here]).await, ErrorCode::InvalidReplicaAssignment);
        let first = broker.cluster.local().state().topic("t").expect("created").partition(PartitionId(0));
        assert_eq!(broker.cluster.local().state().partition(first).map(|state| state.replicas.len()), Some(1));
    });
}

/// A setting as a broker of this name has it.
async fn setting(broker: Broker, name: &str, key: &str) -> Result<String, ErrorCode> {
    let keys = Some(vec![key.into()]);
    let resource = DescribeConfigsResource { resource_type: 4, resource_name: name.into(), configuration_keys: keys };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let result = broker.call(4, &request).await.results.remove(0);
    match result.error_code {
        ErrorCode::None => Ok(result.configs[0].value.as_deref().expect("it is set or has a default").to_owned()),
        error => Err(error),
    }
}

/// Sets `max.connections` of a broker of this name in both ways that there are; how that went.
async fn altered(broker: Broker, name: &str, value: &str) -> ErrorCode {
    let config = AlterableConfig { name: "max.connections".into(), value: Some(value.into()), ..Default::default() };
    let resource = AlterConfigsResource { resource_type: 4, resource_name: name.into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let outcome = broker.call(1, &request).await.responses[0].error_code;
    let config = alter_configs::AlterableConfig { name: "max.connections".into(), value: Some(value.into()) };
    let resource =
        alter_configs::AlterConfigsResource { resource_type: 4, resource_name: name.into(), configs: vec![config] };
    let request = alter_configs::AlterConfigsRequest { resources: vec![resource], ..Default::default() };
    assert_eq!(broker.call(2, &request).await.responses[0].error_code, outcome, "{name}");
    outcome
}

#[test]
fn settings_of_a_node_are_those_of_its_broker() {
    on_direct(2, |broker| async move {
        assert_eq!(altered(broker, "1001", "77").await, ErrorCode::None);
        for name in ["1000", "1001"] {
            assert_eq!(setting(broker, name, "max.connections").await.as_deref(), Ok("77"), "{name}");
        }
        // But for where it is: that is its own, as Metadata tells it.
        for told in metadata(broker, "t").await.brokers {
            let listener = setting(broker, &told.node_id.to_string(), "advertised.listeners").await;
            assert_eq!(listener, Ok(format!("PLAINTEXT://{}:{}", told.host, told.port)));
        }
        // And for its id, which nobody has set.
        for key in ["node.id", "broker.id"] {
            assert_eq!(setting(broker, "1000", key).await.as_deref(), Ok("1000"), "{key}");
            assert_eq!(setting(broker, "1001", key).await.as_deref(), Ok("1001"), "{key}");
        }
        for name in ["1", "1002", "x", "+1001", "01001", "-0", " 1001"] {
            assert_eq!(setting(broker, name, "max.connections").await, Err(ErrorCode::InvalidRequest), "{name}");
            assert_eq!(altered(broker, name, "78").await, ErrorCode::InvalidRequest, "{name}");
        }
    });
}

#[test]
fn a_broker_tells_its_id_whether_it_was_set_or_not() {
    for set in [&[][..], &[("node.id", "1")], &[("broker.id", "1")]] {
        on_shards_with(1, set, |broker| async move {
            for key in ["node.id", "broker.id"] {
                assert_eq!(setting(broker, "1", key).await.as_deref(), Ok("1"), "{key}");
            }
        });
    }
}

/// A short request must not make an answer a thousand times its size.
#[test]
fn a_broker_has_one_name() {
    on_shards(1, |broker| async move {
        let names = (0..200).map(|zeros| format!("{}1", "0".repeat(zeros))).chain(["+1".into(), "1".into()]);
        let resource = |name: String| DescribeConfigsResource {
            resource_type: 4,
            resource_name: name.into(),
            ..Default::default()
        };
        let request = DescribeConfigsRequest { resources: names.map(resource).collect(), ..Default::default() };
        let results = broker.call(4, &request).await.results;
        assert_eq!(results.len(), 201);
        for result in &results {
            let (described, wanted) = (!result.configs.is_empty(), &*result.resource_name == "1");
            assert_eq!((described, result.error_code == ErrorCode::InvalidRequest), (wanted, !wanted));
        }
    });
}
