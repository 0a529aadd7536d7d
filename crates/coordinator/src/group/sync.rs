//! SyncGroup: the leader's assignment goes into the log, and from there to everybody.

use ailurus_base::HashMap;

use crate::error::GroupError;
use crate::format::Record;
use crate::group::{Cx, Group, Phase, Token};
use crate::request::{SyncReply, SyncRequest};

impl Group {
    pub(crate) fn sync(&mut self, cx: &mut Cx<'_>, token: Token, request: SyncRequest) {
        if let Err(error) = self.check_sync(&request) {
            cx.effects.sync(token, SyncReply::refused(error));
            return;
        }
        let member = self.members.get_mut(&request.member_id).expect("the check has found the member");
        member.owes_sync = false;
        if let Phase::Stable { .. } = self.phase {
            member.heard_of(cx.now.tick);
            let reply = self.assigned(&request.member_id);
            self.end_patience();
            cx.effects.sync(token, reply);
            return;
        }
        member.session_ends = None;
        if let Some(before) = member.sync.replace(token) {
            // The client has given up on its earlier request.
            cx.effects.sync(before, SyncReply::refused(GroupError::RebalanceInProgress));
        }
        if self.is_leader(&request.member_id) {
            self.propose_assignment(cx, request);
        }
    }

    /// How many bytes these assignments add in memory.
    pub(crate) fn assignment_bytes_added(&self, request: &SyncRequest) -> u64 {
        let before: usize = self.members.iter().map(|member| member.assignment.len()).sum();
        let then: usize = request.assignments.iter().map(|(_, assignment)| assignment.len()).sum();
        then.saturating_sub(before) as u64
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), GroupError> {
        self.check_member(&request.member_id, request.instance_id.as_deref())?;
        self.check_generation(request.generation)?;
        let differs = |asked: &Option<String>, has: &Option<String>| asked.is_some() && asked != has;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol_name, &self.protocol) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        match self.phase {
            Phase::Empty => Err(GroupError::UnknownMemberId),
            Phase::Preparing { .. } => Err(GroupError::RebalanceInProgress),
            Phase::Completing { .. } | Phase::Stable { .. } => Ok(()),
        }
    }

    /// The leader waits parked like the others: all are answered when the record is replayed.
    fn propose_assignment(&mut self, cx: &mut Cx<'_>, request: SyncRequest) {
        let assigned: HashMap<String, bytes::Bytes> = request.assignments.into_iter().collect();
        let stored = self.snapshot(cx.now, |member| assigned.get(&member.id).cloned().unwrap_or_default());
        let opaque = stored.members.iter().map(|member| member.subscription.len() + member.assignment.len());
        if opaque.sum::<usize>() > GROUP_BYTES_MAX {
            // Kafka's answer to a group that does not fit into a record.
            return self.refuse_syncs(cx, GroupError::UnknownServerError);
        }
        cx.effects.records.push(Record::Group { group: self.id.to_string(), value: Some(stored) });
    }

    fn assigned(&self, member_id: &str) -> SyncReply {
        let member = self.members.get(member_id);
        SyncReply {
            error: None,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            assignment: member.map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }

    /// Answers all parked syncs with their assignments.
    pub(super) fn hand_out(&mut self, cx: &mut Cx<'_>) {
        for id in self.members.ids(|member| member.sync.is_some()) {
            let reply = self.assigned(&id);
            self.finish_sync(cx, &id, reply);
        }
    }

    /// The assignment could not be stored. Members that join again get the same generation and sync once more.
    pub(super) fn refuse_syncs(&mut self, cx: &mut Cx<'_>, error: GroupError) {
        for id in self.members.ids(|member| member.sync.is_some()) {
            self.finish_sync(cx, &id, SyncReply::refused(error));
            if let Some(member) = self.members.get_mut(&id) {
                member.owes_sync = true;
            }
        }
    }

    fn finish_sync(&mut self, cx: &mut Cx<'_>, member_id: &str, reply: SyncReply) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        let Some(token) = member.sync.take() else { return };
        member.start_session(cx.now.tick);
        cx.effects.sync(token, reply);
    }

    /// Stops waiting for syncs once all are in.
    pub(super) fn end_patience(&mut self) {
        let all_in = !self.members.iter().any(|member| member.owes_sync);
        if let Phase::Stable { deadline } = &mut self.phase
            && all_in
        {
            *deadline = None;
        }
    }
}

/// What the members' metadata and assignments may come to in one record: room for thousands of members with hundreds of
/// partitions each, and far from what a batch can hold.
const GROUP_BYTES_MAX: usize = 32 << 20;
