//! What members and tools ask of a coordinator, and what they are answered: the requests of the Kafka protocol without
//! their versions and encodings.
//!
//! Everything here is plain owned data (`String`, `Bytes` that own their memory), so that it can cross shards and be kept
//! in group state without pinning a connection's frame: whoever builds a request copies its bytes out of the frame.

use bytes::Bytes;

use crate::error::GroupError;

/// One way of assigning that a member offers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protocol {
    /// Such as `range` or `cooperative-sticky`.
    pub name: String,
    /// Opaque to the broker, save for the subscribed topics of protocol type `consumer`.
    pub metadata: Bytes,
}

/// JoinGroup 0-9.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JoinRequest {
    /// The group.
    pub group_id: String,
    /// Empty when the member has none yet.
    pub member_id: String,
    /// `group.instance.id` (v5+, KIP-345).
    pub instance_id: Option<String>,
    /// From the request header; null is "".
    pub client_id: String,
    /// As Kafka shows it: `/` and the address.
    pub client_host: String,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// Milliseconds; negative (v0 has no such field) means the session timeout.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect`, ...
    pub protocol_type: String,
    /// In order of preference.
    pub protocols: Vec<Protocol>,
    /// v4+: a dynamic member without id must first be given one (KIP-394).
    pub requires_known_member_id: bool,
    /// v9+: a leader can be told to skip the assignment (KIP-814).
    pub supports_skip_assignment: bool,
}

/// A member as the leader is told of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinedMember {
    /// Its member id.
    pub member_id: String,
    /// Its `group.instance.id`.
    pub instance_id: Option<String>,
    /// Its metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// The answer to a [`JoinRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinReply {
    /// `None` is success.
    pub error: Option<GroupError>,
    /// -1 with an error.
    pub generation: i32,
    /// The group's, on success.
    pub protocol_type: Option<String>,
    /// The chosen one. `None` with an error: null from v7, "" before.
    pub protocol_name: Option<String>,
    /// The leader's member id; "" with an error.
    pub leader: String,
    /// v9+: this leader must not compute an assignment.
    pub skip_assignment: bool,
    /// The id to use from now on (also with MEMBER_ID_REQUIRED).
    pub member_id: String,
    /// All members, for the leader; empty for all others.
    pub members: Vec<JoinedMember>,
}

impl JoinReply {
    /// A refusal that echoes `member_id`.
    pub fn refused(member_id: impl Into<String>, error: GroupError) -> Self {
        JoinReply {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.into(),
            members: Vec::new(),
        }
    }
}

/// SyncGroup 0-5.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SyncRequest {
    /// The group.
    pub group_id: String,
    /// The generation of the join.
    pub generation: i32,
    /// The member.
    pub member_id: String,
    /// v3+.
    pub instance_id: Option<String>,
    /// v5+; compared with the group's if given.
    pub protocol_type: Option<String>,
    /// v5+; compared with the group's if given.
    pub protocol_name: Option<String>,
    /// From the leader: member id and its assignment.
    pub assignments: Vec<(String, Bytes)>,
}

/// The answer to a [`SyncRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncReply {
    /// `None` is success.
    pub error: Option<GroupError>,
    /// The group's, on success.
    pub protocol_type: Option<String>,
    /// The chosen one, on success.
    pub protocol_name: Option<String>,
    /// What the leader gave this member; empty if nothing.
    pub assignment: Bytes,
}

impl SyncReply {
    /// A refusal.
    pub fn refused(error: GroupError) -> Self {
        SyncReply { error: Some(error), protocol_type: None, protocol_name: None, assignment: Bytes::new() }
    }
}

/// Heartbeat 0-4.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HeartbeatRequest {
    /// The group.
    pub group_id: String,
    /// The member's generation.
    pub generation: i32,
    /// The member.
    pub member_id: String,
    /// v3+.
    pub instance_id: Option<String>,
}

/// Who leaves: by member id, by instance id, or both.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeavingMember {
    /// Empty when an administrator removes a static member by its instance id.
    pub member_id: String,
    /// v3+.
    pub instance_id: Option<String>,
}

/// LeaveGroup 0-5. Versions 0-2 name one member.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeaveRequest {
    /// The group.
    pub group_id: String,
    /// Those who leave.
    pub members: Vec<LeavingMember>,
}

/// The answer to a [`LeaveRequest`]. Versions 0-2 answer the first error there is: the whole request's or the member's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaveReply {
    /// The whole request was refused.
    pub error: Option<GroupError>,
    /// One per member, in the order of the request; empty with an error above.
    pub members: Vec<(LeavingMember, Option<GroupError>)>,
}

/// An offset to store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitPartition {
    /// Partition of the topic.
    pub partition: i32,
    /// The next offset to consume.
    pub offset: i64,
    /// Epoch of the last record consumed, -1 if unknown (v6+).
    pub leader_epoch: i32,
    /// The client's own text; null is "".
    pub metadata: String,
}

/// OffsetCommit 2-9. Topics that do not exist are the caller's to refuse.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommitRequest {
    /// The group; may be empty.
    pub group_id: String,
    /// The member's generation; negative for those outside group management.
    pub generation: i32,
    /// The member; empty for those outside group management.
    pub member_id: String,
    /// v7+.
    pub instance_id: Option<String>,
    /// v2-4: keep this long (ms) instead of `offsets.retention.minutes`. -1 on the wire is `None`.
    pub retention_ms: Option<i64>,
    /// Topic and its partitions.
    pub topics: Vec<(String, Vec<CommitPartition>)>,
}

/// Per topic and partition of a request, in its order: `None` is success.
pub type PartitionErrors = Vec<(String, Vec<(i32, Option<GroupError>)>)>;

/// An answer that turns into a refusal when what it rests on could not be made durable.
pub trait Refuse {
    /// From now on the answer says `error`.
    fn refuse(&mut self, error: GroupError);
}

/// For verbs whose answers all come under tokens.
impl Refuse for () {
    fn refuse(&mut self, _: GroupError) {}
}

impl<T> Refuse for Result<T, GroupError> {
    fn refuse(&mut self, error: GroupError) {
        *self = Err(error);
    }
}

impl Refuse for LeaveReply {
    fn refuse(&mut self, error: GroupError) {
        *self = LeaveReply { error: Some(error), members: Vec::new() };
    }
}

/// What was refused for a reason of its own stays so.
impl Refuse for PartitionErrors {
    fn refuse(&mut self, error: GroupError) {
        for (_, result) in self.iter_mut().flat_map(|(_, partitions)| partitions) {
            result.get_or_insert(error);
        }
    }
}

/// OffsetFetch 1-9 for one group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FetchRequest {
    /// The group; may be empty.
    pub group_id: String,
    /// v9+: the epoch of a member of the new consumer protocol (KIP-848); negative for all others. Such a member's group
    /// must exist.
    pub member_epoch: i32,
    /// Topics and partitions; `None` is all that the group has.
    pub topics: Option<Vec<(String, Vec<i32>)>>,
}

/// A stored offset, or -1 where there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedPartition {
    /// Partition of the topic.
    pub partition: i32,
    /// The offset, -1 if none is stored (no error).
    pub offset: i64,
    /// -1 if none was stored.
    pub leader_epoch: i32,
    /// The client's own text.
    pub metadata: String,
}

/// Topics of an OffsetFetch answer.
pub type FetchedTopics = Vec<(String, Vec<FetchedPartition>)>;

/// OffsetDelete 0. Topics that do not exist are the caller's to refuse.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetDeleteRequest {
    /// The group.
    pub group_id: String,
    /// Topics and partitions.
    pub topics: Vec<(String, Vec<i32>)>,
}

/// The state of a group; `name` is what tools parse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupState {
    /// No members; offsets may remain.
    Empty,
    /// Waiting for members to join again.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Members have their assignments.
    Stable,
    /// There is no such group (any more).
    Dead,
}

impl GroupState {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
            GroupState::Dead => "Dead",
        }
    }
}

/// A member in DescribeGroups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedMember {
    /// Its member id.
    pub member_id: String,
    /// Its `group.instance.id`.
    pub instance_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
    /// Metadata for the chosen protocol; empty unless the group is Stable.
    pub metadata: Bytes,
    /// Its assignment; empty unless the group is Stable.
    pub assignment: Bytes,
}

/// DescribeGroups 0-6 for one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedGroup {
    /// GROUP_ID_NOT_FOUND is an error from v6 only; before, the state `Dead` says it.
    pub error: Option<GroupError>,
    /// The group.
    pub group_id: String,
    /// Its state.
    pub state: GroupState,
    /// "" if none.
    pub protocol_type: String,
    /// The chosen protocol; "" unless Stable.
    pub protocol: String,
    /// In the order in which they joined.
    pub members: Vec<DescribedMember>,
}

impl DescribedGroup {
    /// A group that cannot be shown.
    pub fn refused(group_id: impl Into<String>, error: GroupError) -> Self {
        DescribedGroup {
            error: Some(error),
            group_id: group_id.into(),
            state: GroupState::Dead,
            protocol_type: String::new(),
            protocol: String::new(),
            members: Vec::new(),
        }
    }
}

/// ListGroups 0-5. Empty filters pass all; names that do not exist pass none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListFilter {
    /// v4+: state names, case ignored.
    pub states: Vec<String>,
    /// v5+: `classic`, `consumer`, case ignored.
    pub types: Vec<String>,
}

/// A line of ListGroups. Its type is always `classic`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedGroup {
    /// The group.
    pub group_id: String,
    /// "" if none.
    pub protocol_type: String,
    /// Its state.
    pub state: GroupState,
}
