//! Who is still here: heartbeats, leaving, and the deadlines of those who fell silent.

use crate::error::GroupError;
use crate::group::{Cx, Group, Phase};
use crate::request::{HeartbeatRequest, JoinReply, LeavingMember, SyncReply};

impl Group {
    pub(crate) fn heartbeat(&mut self, cx: &mut Cx<'_>, request: &HeartbeatRequest) -> Result<(), GroupError> {
        self.check_member(&request.member_id, request.instance_id.as_deref())?;
        self.check_generation(request.generation)?;
        self.heard_of(cx, &request.member_id);
        match self.phase {
            Phase::Preparing { .. } => Err(GroupError::RebalanceInProgress),
            // In Completing a member may already have its join answer and heartbeat before it syncs.
            Phase::Empty | Phase::Completing { .. } | Phase::Stable { .. } => Ok(()),
        }
    }

    /// The member's session runs from now.
    pub(super) fn heard_of(&mut self, cx: &Cx<'_>, member_id: &str) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.heard_of(cx.now.tick);
        }
    }

    /// Removes those who leave, then looks once at what that means for the group.
    pub(crate) fn leave(
        &mut self,
        cx: &mut Cx<'_>,
        leaving: Vec<LeavingMember>,
    ) -> Vec<(LeavingMember, Option<GroupError>)> {
        let before = self.members.len();
        let result = leaving.into_iter().map(|member| {
            let error = self.leave_one(cx, &member).err();
            (member, error)
        });
        let result = result.collect();
        self.after_removal(cx, self.members.len() < before);
        result
    }

    fn leave_one(&mut self, cx: &mut Cx<'_>, leaving: &LeavingMember) -> Result<(), GroupError> {
        let instance_id = leaving.instance_id.as_deref();
        if self.pending.remove(&leaving.member_id).is_some() {
            return Ok(());
        }
        let member_id = match instance_id.filter(|_| leaving.member_id.is_empty()) {
            // An administrator removes a static member whose member id only the member knows.
            Some(instance) => self.members.instance(instance).ok_or(GroupError::UnknownMemberId)?.id.clone(),
            None => {
                self.check_member(&leaving.member_id, instance_id)?;
                leaving.member_id.clone()
            }
        };
        self.remove_member(cx, &member_id, GroupError::UnknownMemberId);
        Ok(())
    }

    /// Takes a member out and refuses what it has parked; true if there was one. Whoever removes looks after the group
    /// afterwards: [`Group::after_removal`].
    pub(super) fn remove_member(&mut self, cx: &mut Cx<'_>, member_id: &str, error: GroupError) -> bool {
        self.release(cx, member_id, error);
        let removed = self.members.remove(member_id).is_some();
        if self.is_leader(member_id) {
            self.leader = self.members.iter().next().map(|member| member.id.clone());
        }
        removed
    }

    /// Refuses what the member has parked.
    pub(super) fn release(&mut self, cx: &mut Cx<'_>, member_id: &str, error: GroupError) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        if let Some(token) = member.join.take() {
            cx.effects.join(token, JoinReply::refused(member_id, error));
        }
        if let Some(token) = member.sync.take() {
            cx.effects.sync(token, SyncReply::refused(error));
        }
    }

    /// Pending members may have gone, and members too if `gone`: an open round may be complete now, and a generation that
    /// lost a member is no longer true.
    pub(super) fn after_removal(&mut self, cx: &mut Cx<'_>, gone: bool) {
        match self.phase {
            Phase::Preparing { .. } => self.close_if_complete(cx),
            Phase::Completing { .. } | Phase::Stable { .. } if gone => self.rebalance(cx),
            Phase::Empty | Phase::Completing { .. } | Phase::Stable { .. } => {}
        }
    }

    /// Carries out every deadline that has passed.
    pub(crate) fn on_time(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now.tick;
        self.pending.retain(|_, ends| *ends > now);
        let silent = self.members.ids(|member| member.session_ends.is_some_and(|ends| ends <= now));
        for id in &silent {
            self.remove_member(cx, id, GroupError::UnknownMemberId);
        }
        self.after_removal(cx, !silent.is_empty());
        match self.phase {
            Phase::Preparing { deadline, initial } if deadline <= now => self.close_at_deadline(cx, initial),
            Phase::Completing { deadline } | Phase::Stable { deadline: Some(deadline) } if deadline <= now => {
                self.remove_those_who_owe(cx);
            }
            _ => {}
        }
    }

    /// Members that took part in the round and never asked for their assignment hold partitions that nobody reads.
    fn remove_those_who_owe(&mut self, cx: &mut Cx<'_>) {
        let owing = self.members.ids(|member| member.owes_sync);
        assert!(!owing.is_empty(), "the deadline goes when the last member has synced");
        for id in owing {
            self.remove_member(cx, &id, GroupError::UnknownMemberId);
        }
        self.rebalance(cx);
    }
}
