//! One classic consumer group: its members, its generation, its committed offsets.
//!
//! ```text
//!            first join                all joined, or deadline             leader's assignment is in the log
//!   Empty ───────────────▶ Preparing ─────────────────────────▶ Completing ─────────────────────────▶ Stable
//!     ▲                     ▲   │  ▲                                │                                     │
//!     └── nobody is left ───┼───┘  └──── member gone or changed ────┴─────────────────────────────────────┘
//! ```
//!
//! Two kinds of state, which come to be in two ways.
//! - *Stored*: the generation that reached Stable or Empty with its members and assignments, and the offsets. It changes in
//!   `replay.rs` and nowhere else, from a record that is in the log, live and at recovery alike. A verb that wants such a
//!   change pushes the record into [`Effects`] and touches nothing of it.
//! - *The conversation*: who has joined for the next generation, parked requests, deadlines. Never stored: it ends with this
//!   process, and clients begin it anew. The verbs change it directly.
//!
//! What always holds: every token that was handed in is answered exactly once; a member with a parked request has no session
//! deadline (save a new member's first join); Preparing and Completing have a deadline, so no parked request waits for ever.
//!
//! In reading order: `member` the people, `join`, `sync`, `presence` (heartbeat, leave, expiry) the verbs,
//! `rebalance` what they set off, `replay` the stored part, `offsets` the offsets.

mod join;
mod member;
mod offsets;
mod presence;
mod rebalance;
mod replay;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::clock::{Now, Tick};
use crate::config::GroupConfig;
use crate::error::GroupError;
use crate::format::{CommittedOffset, GroupMetadata, MemberMetadata, Record};
pub(crate) use crate::group::join::Joining;
use crate::group::member::{Member, Members};
use crate::request::{DescribedGroup, DescribedMember, GroupState, JoinReply, Refuse, SyncReply};
use crate::subscription;

/// Names a parked request; the driver chooses it and waits for its answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// The answer to a request that may have been parked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To a JoinGroup.
    Join(JoinReply),
    /// To a SyncGroup.
    Sync(SyncReply),
}

impl Refuse for Answer {
    fn refuse(&mut self, error: GroupError) {
        match self {
            Answer::Join(reply) => *reply = JoinReply::refused(std::mem::take(&mut reply.member_id), error),
            Answer::Sync(reply) => *reply = SyncReply::refused(error),
        }
    }
}

/// What a decision asks of the driver.
///
/// The records go into the log as they stand, in order. When they are appended, each is replayed; when the append fails,
/// `append_failed` is called instead. The answers go out once everything appended so far is committed.
#[derive(Default, Debug)]
pub struct Effects {
    /// To append, then to replay.
    pub records: Vec<Record>,
    /// To send.
    pub answers: Vec<(Token, Answer)>,
}

impl Effects {
    pub(crate) fn join(&mut self, token: Token, reply: JoinReply) {
        self.answers.push((token, Answer::Join(reply)));
    }

    pub(crate) fn sync(&mut self, token: Token, reply: SyncReply) {
        self.answers.push((token, Answer::Sync(reply)));
    }
}

/// What every verb is given.
pub(crate) struct Cx<'a> {
    pub(crate) now: Now,
    pub(crate) config: &'a GroupConfig,
    pub(crate) effects: &'a mut Effects,
}

/// Where the group stands between two generations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Empty,
    /// Members join. At the deadline those who have not are left out.
    Preparing {
        deadline: Tick,
        initial: Option<Initial>,
    },
    /// The leader assigns. At the deadline those who owe a sync are removed.
    Completing {
        deadline: Tick,
    },
    /// `deadline` as before, while somebody still owes a sync.
    Stable {
        deadline: Option<Tick>,
    },
}

/// The first rebalance of an empty group: it waits for a delay, and again for each delay in which somebody joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Initial {
    /// Milliseconds by which the deadline may still be moved.
    remaining_ms: u64,
    /// Somebody joined since the deadline was set.
    grew: bool,
}

/// See the module.
pub(crate) struct Group {
    id: Rc<str>,
    phase: Phase,
    /// -1 would be no generation to Kafka's clients; a fresh group has 0.
    generation: i32,
    protocol_type: Option<String>,
    protocol: Option<String>,
    leader: Option<String>,
    /// Since when it is Stable or Empty, ms since 1970; `None` for a group that never had members.
    state_since: Option<i64>,
    members: Members,
    /// Member ids that were handed out (KIP-394) and have not joined yet, with the end of our patience.
    pending: BTreeMap<String, Tick>,
    /// The log has a record of the group, so its removal needs a tombstone.
    stored: bool,
    offsets: BTreeMap<String, BTreeMap<i32, Kept>>,
}

/// A committed offset that is here.
struct Kept {
    stored: CommittedOffset,
    /// Its place in the order in which the slice came to have its offsets.
    place: u64,
}

impl Group {
    pub(crate) fn new(id: Rc<str>) -> Self {
        Group {
            id,
            phase: Phase::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            state_since: None,
            members: Members::default(),
            pending: BTreeMap::new(),
            stored: false,
            offsets: BTreeMap::new(),
        }
    }

    pub(crate) fn id(&self) -> &Rc<str> {
        &self.id
    }

    pub(crate) fn state(&self) -> GroupState {
        match self.phase {
            Phase::Empty => GroupState::Empty,
            Phase::Preparing { .. } => GroupState::PreparingRebalance,
            Phase::Completing { .. } => GroupState::CompletingRebalance,
            Phase::Stable { .. } => GroupState::Stable,
        }
    }

    pub(crate) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// Nothing would be lost if the group were forgotten: it is empty, and the log does not know it.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.phase == Phase::Empty && !self.stored && self.pending.is_empty() && self.offsets.is_empty()
    }

    /// The earliest deadline of any kind.
    pub(crate) fn next_deadline(&self) -> Option<Tick> {
        let phase = match self.phase {
            Phase::Empty => None,
            Phase::Preparing { deadline, .. } | Phase::Completing { deadline } => Some(deadline),
            Phase::Stable { deadline } => deadline,
        };
        let sessions = self.members.iter().filter_map(|member| member.session_ends);
        sessions.chain(self.pending.values().copied()).chain(phase).min()
    }

    /// What its members and the ids that were handed out take in memory, in bytes.
    pub(crate) fn members_bytes(&self) -> u64 {
        let pending = self.pending.keys().map(|id| (member::MEMBER_BYTES + id.len()) as u64);
        self.members.iter().map(Member::bytes).sum::<u64>() + pending.sum::<u64>()
    }

    /// Refuses all that is parked: the group is coordinated elsewhere now.
    pub(crate) fn abandon(&mut self, effects: &mut Effects, error: GroupError) {
        for member in self.members.iter_mut() {
            if let Some(token) = member.join.take() {
                effects.join(token, JoinReply::refused(member.id.clone(), error));
            }
            if let Some(token) = member.sync.take() {
                effects.sync(token, SyncReply::refused(error));
            }
        }
    }

    /// For DescribeGroups.
    pub(crate) fn describe(&self) -> DescribedGroup {
        let stable = matches!(self.phase, Phase::Stable { .. });
        let protocol = if stable { self.protocol.clone().unwrap_or_default() } else { String::new() };
        let describe = |member: &Member| DescribedMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if stable { member.metadata(&protocol) } else { Default::default() },
            assignment: if stable { member.assignment.clone() } else { Default::default() },
        };
        DescribedGroup {
            error: None,
            group_id: self.id.to_string(),
            state: self.state(),
            protocol_type: self.protocol_type().to_owned(),
            members: self.members.iter().map(describe).collect(),
            protocol,
        }
    }

    /// Is this a member, and the one that this instance id belongs to?
    fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance) = instance_id {
            let known = self.members.instance(instance).ok_or(GroupError::UnknownMemberId)?;
            if known.id != member_id {
                return Err(GroupError::FencedInstanceId);
            }
        }
        self.members.get(member_id).map(|_| ()).ok_or(GroupError::UnknownMemberId)
    }

    fn check_generation(&self, generation: i32) -> Result<(), GroupError> {
        if generation == self.generation { Ok(()) } else { Err(GroupError::IllegalGeneration) }
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// Milliseconds that a rebalance waits: as long as the most patient member asks for. At least 1, whatever members ask for
    /// and records say, so that a deadline always lies ahead.
    fn rebalance_timeout_ms(&self) -> u64 {
        self.members.iter().map(|member| member.rebalance_timeout_ms.max(1) as u64).max().unwrap_or(1)
    }

    /// What the members have subscribed to, if they are consumers and say it in a way we can read.
    fn subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if self.protocol_type() != subscription::CONSUMER {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.iter() {
            let protocol = self.protocol.as_deref()?;
            topics.append(&mut subscription::topics(&member.metadata(protocol))?);
        }
        Some(topics)
    }

    /// The record of the group as it stands, with the assignments that `assignment` gives.
    fn snapshot(&self, now: Now, assignment: impl Fn(&Member) -> bytes::Bytes) -> GroupMetadata {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |member: &Member| MemberMetadata {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: assignment(member),
        };
        GroupMetadata {
            protocol_type: self.protocol_type().to_owned(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: Some(now.unix_ms),
            members: self.members.iter().map(member).collect(),
        }
    }
}
