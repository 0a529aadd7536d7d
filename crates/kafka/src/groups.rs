//! FindCoordinator and the life of classic groups: join, sync, heartbeat, leave, describe, list, delete.
//!
//! Translation only. Whatever waits (a join for its fellows, a sync for the leader) waits at the group's owner; the
//! connection goes on.

use std::time::Duration;

use ailurus_cluster::command::{Command, Reply};
use ailurus_cluster::plan::TopicRefusal;
use ailurus_cluster::{Cluster, OFFSETS_TOPIC};
use ailurus_coordinator::{
    DescribedGroup, DescribedMember, GroupError, HeartbeatRequest, JoinRequest, LeaveRequest, LeavingMember,
    ListFilter, Protocol, SyncRequest,
};
use ailurus_rt as rt;
use ailurus_wire::{ErrorCode, Str};
use ailurus_wire::{
    delete_groups, describe_groups, find_coordinator, heartbeat, join_group, leave_group, list_groups, sync_group,
};
use bytes::Bytes;

use crate::dispatch::{Request, enqueued};
use crate::entries::once;

/// How long FindCoordinator waits, for all of its groups together, until their coordinators are there: `__consumer_offsets` may
/// have to be created.
const FIND_TIME: Duration = Duration::from_secs(5);
/// How long it waits where that topic is there. One partition of it may be offline, and the connection that asks for its groups
/// may be the one that fetches.
const FIND_TIME_THERE: Duration = Duration::from_millis(500);

/// FindCoordinator's types of key.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Operations on groups that Kafka 4 names: read, delete, describe, describe and alter configs (bits by AclOperation).
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// Kafka's code of a refusal; none for success.
pub(crate) fn code(error: Option<GroupError>) -> ErrorCode {
    error.map_or(ErrorCode::None, ErrorCode::from)
}

/// Bytes without a hold on the frame.
fn owned(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn text(text: &Str) -> String {
    text.to_string()
}

fn maybe(text: &Option<Str>) -> Option<String> {
    text.as_ref().map(Str::to_string)
}

pub(crate) async fn find_coordinator(
    request: &mut Request,
    body: find_coordinator::FindCoordinatorRequest,
) -> find_coordinator::FindCoordinatorResponse {
    let batched = request.version() >= 4;
    let keys = if batched { body.coordinator_keys } else { vec![body.key] };
    let there = request.shard.cluster.state().topic(OFFSETS_TOPIC).is_some();
    let deadline = rt::now() + if there { FIND_TIME_THERE } else { FIND_TIME };
    let mut found = Vec::new();
    for key in keys {
        found.push(find(request, body.key_type, key, deadline).await);
    }
    if batched {
        return find_coordinator::FindCoordinatorResponse { coordinators: found, ..Default::default() };
    }
    let one = found.pop().expect("one key was asked for");
    find_coordinator::FindCoordinatorResponse {
        error_code: one.error_code,
        error_message: one.error_message,
        node_id: one.node_id,
        host: one.host,
        port: one.port,
        ..Default::default()
    }
}

async fn find(request: &Request, key_type: i8, key: Str, deadline: rt::Instant) -> find_coordinator::Coordinator {
    let refused = |error_code: ErrorCode| find_coordinator::Coordinator {
        key: key.clone(),
        node_id: -1,
        port: -1,
        error_code,
        error_message: Some(Str::from_static(error_code.message())),
        ..Default::default()
    };
    match key_type {
        GROUP => {}
        // Transactions are not served yet. Of the errors that clients know here, this one makes all of them give up.
        TRANSACTION => return refused(ErrorCode::TransactionalIdAuthorizationFailed),
        _ => return refused(ErrorCode::InvalidRequest),
    }
    let (cluster, groups) = (&request.shard.cluster, request.shard.groups);
    if !has_offsets_topic(cluster).await {
        return refused(ErrorCode::CoordinatorNotAvailable);
    }
    // Only the partition of this group: another one that cannot be opened is no matter of its.
    let led = cluster.changed().until(|| groups.coordinator_of(&key));
    let Ok(shard) = rt::timeout(deadline - rt::now(), led).await else {
        return refused(ErrorCode::CoordinatorNotAvailable);
    };
    let (node_id, endpoint) = request.shard.nodes.of_shard(shard);
    find_coordinator::Coordinator {
        key,
        node_id,
        host: endpoint.host.as_str().into(),
        port: endpoint.port.into(),
        ..Default::default()
    }
}

/// Creates `__consumer_offsets` at the first need; false if it cannot be created.
async fn has_offsets_topic(cluster: &Cluster) -> bool {
    if cluster.state().topic(OFFSETS_TOPIC).is_some() {
        return true;
    }
    let refusal = match cluster.submit(Command::CreateTopics(vec![cluster.offsets_topic()])).await {
        Ok(Reply::Topics(results)) => results.into_iter().find_map(Result::err),
        Ok(_) | Err(_) => Some(TopicRefusal::Unavailable),
    };
    match refusal {
        // Whoever comes second is told that it exists, which is what was wanted.
        None | Some(TopicRefusal::Exists) => true,
        Some(refusal) => {
            tracing::error!(topic = OFFSETS_TOPIC, ?refusal, "groups have no coordinator: their topic was not created");
            false
        }
    }
}

pub(crate) async fn join_group(
    request: &mut Request,
    body: join_group::JoinGroupRequest,
) -> join_group::JoinGroupResponse {
    let version = request.version();
    let protocol = |protocol: &join_group::JoinGroupRequestProtocol| Protocol {
        name: text(&protocol.name),
        metadata: owned(&protocol.metadata),
    };
    let join = JoinRequest {
        group_id: text(&body.group_id),
        member_id: text(&body.member_id),
        instance_id: maybe(&body.group_instance_id),
        client_id: request.client_id().to_string(),
        client_host: format!("/{}", request.client_host),
        session_timeout_ms: body.session_timeout_ms,
        rebalance_timeout_ms: body.rebalance_timeout_ms,
        protocol_type: text(&body.protocol_type),
        protocols: body.protocols.iter().map(protocol).collect(),
        requires_known_member_id: version >= 4,
        supports_skip_assignment: version >= 9,
    };
    drop(body);
    request.let_go_of_frame();
    let groups = request.shard.groups;
    let reply = enqueued(request, groups.join(join)).await;
    let member = |member: ailurus_coordinator::JoinedMember| join_group::JoinGroupResponseMember {
        member_id: member.member_id.into(),
        group_instance_id: member.instance_id.map(Into::into),
        metadata: member.metadata,
    };
    // Before version 7 "no protocol" is an empty name.
    let no_name = (version < 7).then(Str::new);
    join_group::JoinGroupResponse {
        error_code: code(reply.error),
        generation_id: reply.generation,
        protocol_type: reply.protocol_type.map(Into::into),
        protocol_name: reply.protocol_name.map(Into::into).or(no_name),
        leader: reply.leader.into(),
        skip_assignment: reply.skip_assignment && version >= 9,
        member_id: reply.member_id.into(),
        members: reply.members.into_iter().map(member).collect(),
        ..Default::default()
    }
}

pub(crate) async fn sync_group(
    request: &mut Request,
    body: sync_group::SyncGroupRequest,
) -> sync_group::SyncGroupResponse {
    let assignment = |assignment: &sync_group::SyncGroupRequestAssignment| {
        (text(&assignment.member_id), owned(&assignment.assignment))
    };
    let sync = SyncRequest {
        group_id: text(&body.group_id),
        generation: body.generation_id,
        member_id: text(&body.member_id),
        instance_id: maybe(&body.group_instance_id),
        protocol_type: maybe(&body.protocol_type),
        protocol_name: maybe(&body.protocol_name),
        assignments: body.assignments.iter().map(assignment).collect(),
    };
    drop(body);
    request.let_go_of_frame();
    let groups = request.shard.groups;
    let reply = enqueued(request, groups.sync(sync)).await;
    sync_group::SyncGroupResponse {
        error_code: code(reply.error),
        protocol_type: reply.protocol_type.map(Into::into),
        protocol_name: reply.protocol_name.map(Into::into),
        assignment: reply.assignment,
        ..Default::default()
    }
}

pub(crate) async fn heartbeat(
    request: &mut Request,
    body: heartbeat::HeartbeatRequest,
) -> heartbeat::HeartbeatResponse {
    let beat = HeartbeatRequest {
        group_id: text(&body.group_id),
        generation: body.generation_id,
        member_id: text(&body.member_id),
        instance_id: maybe(&body.group_instance_id),
    };
    let result = request.shard.groups.heartbeat(beat).await;
    heartbeat::HeartbeatResponse { error_code: code(result.err()), ..Default::default() }
}

pub(crate) async fn leave_group(
    request: &mut Request,
    body: leave_group::LeaveGroupRequest,
) -> leave_group::LeaveGroupResponse {
    let one_by_id = request.version() < 3;
    let leaving = |member: &leave_group::MemberIdentity| LeavingMember {
        member_id: text(&member.member_id),
        instance_id: maybe(&member.group_instance_id),
    };
    let members = match one_by_id {
        true => vec![LeavingMember { member_id: text(&body.member_id), instance_id: None }],
        false => body.members.iter().map(leaving).collect(),
    };
    let reply = request.shard.groups.leave(LeaveRequest { group_id: text(&body.group_id), members }).await;
    if one_by_id {
        let error = reply.error.or_else(|| reply.members.first().and_then(|(_, error)| *error));
        return leave_group::LeaveGroupResponse { error_code: code(error), ..Default::default() };
    }
    let member = |(member, error): (LeavingMember, Option<GroupError>)| leave_group::MemberResponse {
        member_id: member.member_id.into(),
        group_instance_id: member.instance_id.map(Into::into),
        error_code: code(error),
    };
    leave_group::LeaveGroupResponse {
        error_code: code(reply.error),
        members: reply.members.into_iter().map(member).collect(),
        ..Default::default()
    }
}

pub(crate) async fn describe_groups(
    request: &mut Request,
    body: describe_groups::DescribeGroupsRequest,
) -> describe_groups::DescribeGroupsResponse {
    let version = request.version();
    let described = request.shard.groups.describe(once(body.groups, Str::clone).iter().map(text).collect()).await;
    let operations = if body.include_authorized_operations { GROUP_OPERATIONS } else { i32::MIN };
    let groups = described.into_iter().map(|group| described_group(group, version, operations)).collect();
    describe_groups::DescribeGroupsResponse { groups, ..Default::default() }
}

fn described_group(group: DescribedGroup, version: i16, operations: i32) -> describe_groups::DescribedGroup {
    // KIP-1043: that a group does not exist is an error from version 6 on; before, the state Dead says it.
    let error = group.error.filter(|error| version >= 6 || *error != GroupError::GroupIdNotFound);
    let why = || Str::from(format!("group {} not found", group.group_id));
    let member = |member: DescribedMember| describe_groups::DescribedGroupMember {
        member_id: member.member_id.into(),
        group_instance_id: member.instance_id.map(Into::into),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    };
    describe_groups::DescribedGroup {
        error_code: code(error),
        error_message: error.filter(|error| version >= 6 && *error == GroupError::GroupIdNotFound).map(|_| why()),
        group_state: Str::from_static(group.state.name()),
        group_id: group.group_id.into(),
        protocol_type: group.protocol_type.into(),
        protocol_data: group.protocol.into(),
        members: group.members.into_iter().map(member).collect(),
        authorized_operations: if version >= 3 { operations } else { i32::MIN },
    }
}

pub(crate) async fn list_groups(
    request: &mut Request,
    body: list_groups::ListGroupsRequest,
) -> list_groups::ListGroupsResponse {
    let filter = ListFilter {
        states: body.states_filter.iter().map(text).collect(),
        types: body.types_filter.iter().map(text).collect(),
    };
    // Clients ask every node and put the answers together: each tells its own.
    let listed = match request.shard.nodes.is_direct() {
        true => request.shard.groups.list_here(&filter),
        false => request.shard.groups.list(filter).await,
    };
    let group = |group: ailurus_coordinator::ListedGroup| list_groups::ListedGroup {
        group_id: group.group_id.into(),
        protocol_type: group.protocol_type.into(),
        group_state: Str::from_static(group.state.name()),
        group_type: Str::from_static("classic"),
    };
    list_groups::ListGroupsResponse {
        error_code: code(listed.error),
        groups: listed.groups.into_iter().map(group).collect(),
        ..Default::default()
    }
}

pub(crate) async fn delete_groups(
    request: &mut Request,
    body: delete_groups::DeleteGroupsRequest,
) -> delete_groups::DeleteGroupsResponse {
    let results = request.shard.groups.delete(body.groups_names.iter().map(text).collect()).await;
    let result = |(group_id, result): (Str, Result<(), GroupError>)| delete_groups::DeletableGroupResult {
        group_id,
        error_code: code(result.err()),
    };
    delete_groups::DeleteGroupsResponse {
        results: body.groups_names.into_iter().zip(results).map(result).collect(),
        ..Default::default()
    }
}
