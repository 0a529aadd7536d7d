//! ElectLeaders, AlterPartitionReassignments and ListPartitionReassignments, truthful on one node: every partition is
//! where it can be and led by whom it can be led, so nothing is ever on the move.

use std::collections::BTreeMap;

use ailurus_cluster::Cluster;
use ailurus_cluster::plan::check_replicas;
use ailurus_model::NodeId;
use ailurus_wire::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use ailurus_wire::elect_leaders::{ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult};
use ailurus_wire::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use ailurus_wire::{ErrorCode, Str};

use crate::dispatch::Request;
use crate::list_offsets::target;
use crate::server::KafkaShard;

/// The replica that is named first shall lead.
const PREFERRED: i8 = 0;
/// Anybody shall lead, also one that lacks records.
const UNCLEAN: i8 = 1;

pub(crate) async fn elect_leaders(request: &mut Request, body: ElectLeadersRequest) -> ElectLeadersResponse {
    let cluster = &request.shard.cluster;
    let mut response = ElectLeadersResponse::default();
    if !matches!(body.election_type, PREFERRED | UNCLEAN) {
        response.error_code = ErrorCode::InvalidRequest;
        return response;
    }
    let (everything, election_type) = (body.topic_partitions.is_none(), body.election_type);
    let mut results: BTreeMap<Str, Vec<PartitionResult>> = BTreeMap::new();
    for (topic, partition_id) in elected(cluster, body) {
        let error_code = elect(cluster, &topic, partition_id, election_type);
        // Asked for all, only those are of interest for which there was something to do.
        if everything && error_code == ErrorCode::ElectionNotNeeded {
            continue;
        }
        let error_message = error_code.is_error().then(|| Str::from_static(error_code.message()));
        results.entry(topic).or_default().push(PartitionResult { partition_id, error_code, error_message });
    }
    let result = |(topic, partition_result)| ReplicaElectionResult { topic, partition_result };
    response.replica_election_results = results.into_iter().map(result).collect();
    response
}

fn elected(cluster: &Cluster, body: ElectLeadersRequest) -> Vec<(Str, i32)> {
    match body.topic_partitions {
        Some(topics) => {
            let each = |topic: ailurus_wire::elect_leaders::TopicPartitions| {
                topic.partitions.into_iter().map(move |partition| (topic.topic.clone(), partition))
            };
            topics.into_iter().flat_map(each).collect()
        }
        None => {
            let state = cluster.state();
            let each = |topic: &ailurus_cluster::state::Topic| {
                let name = Str::from(&*topic.name);
                (0..topic.partitions.len() as i32).map(move |partition| (name.clone(), partition)).collect::<Vec<_>>()
            };
            state.topics().flat_map(each).collect()
        }
    }
}

/// The leader is the one replica there is, or there is none to elect.
fn elect(cluster: &Cluster, topic: &str, partition: i32, election_type: i8) -> ErrorCode {
    let target = match target(cluster, topic, partition) {
        Ok(target) => target,
        Err(error) => return error,
    };
    match cluster.leader(target) {
        Some(_) => ErrorCode::ElectionNotNeeded,
        None if election_type == PREFERRED => ErrorCode::PreferredLeaderNotAvailable,
        None => ErrorCode::EligibleLeadersNotAvailable,
    }
}

pub(crate) async fn alter_partition_reassignments(
    request: &mut Request,
    body: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let shard = &request.shard;
    let change_factor = body.allow_replication_factor_change;
    let topic = |topic: ailurus_wire::alter_partition_reassignments::ReassignableTopic| {
        let partition = |partition: &ReassignablePartition| {
            let (error_code, text) = reassign(shard, &topic.name, partition, change_factor);
            ReassignablePartitionResponse {
                partition_index: partition.partition_index,
                error_code,
                error_message: text.map(Into::into),
            }
        };
        let partitions = topic.partitions.iter().map(partition).collect();
        ReassignableTopicResponse { name: topic.name, partitions }
    };
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: change_factor,
        responses: body.topics.into_iter().map(topic).collect(),
        ..Default::default()
    }
}

fn reassign(
    shard: &KafkaShard,
    topic: &str,
    partition: &ReassignablePartition,
    change_factor: bool,
) -> (ErrorCode, Option<String>) {
    let cluster = &shard.cluster;
    let target = match target(cluster, topic, partition.partition_index) {
        Ok(target) => target,
        Err(error) => return (error, None),
    };
    let Some(replicas) = &partition.replicas else {
        return (ErrorCode::NoReassignmentInProgress, None);
    };
    let state = cluster.state();
    let brokers = shard.nodes.brokers(replicas).and_then(|ids| check_replicas(&state, &ids).map(|()| ids));
    let brokers = match brokers {
        Ok(brokers) => brokers,
        Err(why) => return (ErrorCode::InvalidReplicaAssignment, Some(why)),
    };
    let now = state.partition(target).map(|partition| partition.replicas.as_slice()).unwrap_or_default();
    let wanted: Vec<NodeId> = brokers.into_iter().map(NodeId).collect();
    if !change_factor && wanted.len() != now.len() {
        let text = format!("the replication factor is {} and may not change to {}", now.len(), wanted.len());
        return (ErrorCode::InvalidReplicationFactor, Some(text));
    }
    // On one node a legal set is the set that is there already: done as asked.
    assert_eq!(wanted, now, "a node that stands alone has one legal set of replicas");
    let shown = cluster.shard_of(target).map_or_else(Vec::new, |owner| shard.nodes.replicas(now, owner));
    if shown != *replicas {
        let text = format!("the partition is on node {shown:?} and does not move to another shard of its broker");
        return (ErrorCode::InvalidReplicaAssignment, Some(text));
    }
    (ErrorCode::None, None)
}

pub(crate) async fn list_partition_reassignments(
    _: &mut Request,
    _: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default()
}
