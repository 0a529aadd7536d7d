//! The stored part of a group comes to be here, and only here: from a record that is in the log.

use crate::error::GroupError;
use crate::format::{CommittedOffset, GroupMetadata};
use crate::group::member::Member;
use crate::group::{Cx, Group, Kept, Phase};

impl Group {
    /// The group reached a generation (`Some`) or was removed (`None`).
    ///
    /// Live, this is the end of what a verb began, and the members that are here keep their connections, protocols and
    /// sessions. At recovery there are no members yet, and those of the record get a session from now.
    pub(crate) fn replay_group(&mut self, cx: &mut Cx<'_>, stored: Option<&GroupMetadata>) {
        let Some(stored) = stored else { return self.replay_removal(cx) };
        self.stored = true;
        self.generation = stored.generation;
        self.protocol_type = Some(stored.protocol_type.clone()).filter(|name| !name.is_empty());
        self.protocol.clone_from(&stored.protocol);
        self.state_since = stored.current_state_timestamp;
        self.replay_members(cx, stored);
        self.leader.clone_from(&stored.leader);
        let patience = match self.phase {
            Phase::Completing { deadline } => Some(deadline),
            Phase::Stable { deadline } => deadline,
            Phase::Empty | Phase::Preparing { .. } => None,
        };
        self.phase = if stored.members.is_empty() { Phase::Empty } else { Phase::Stable { deadline: patience } };
        self.hand_out(cx);
        self.end_patience();
    }

    fn replay_members(&mut self, cx: &mut Cx<'_>, stored: &GroupMetadata) {
        let gone = self.members.ids(|member| {
            let same = |stored: &&crate::format::MemberMetadata| {
                stored.instance_id == member.instance_id && (stored.member_id == member.id || member.is_static())
            };
            !stored.members.iter().any(|stored| same(&stored))
        });
        for id in gone {
            self.remove_member(cx, &id, GroupError::UnknownMemberId);
        }
        for member in &stored.members {
            let known = member.instance_id.as_deref().and_then(|instance| self.members.instance(instance));
            if let Some(old) = known.map(|known| known.id.clone()).filter(|old| *old != member.member_id) {
                // We never write that instances exchange their ids, but others may write to this log. It comes back below.
                self.remove_member(cx, &member.member_id, GroupError::UnknownMemberId);
                self.rename_member(cx, &old, member.member_id.clone());
            }
        }
        let protocol = stored.protocol.as_deref().unwrap_or_default();
        for member in &stored.members {
            match self.members.get_mut(&member.member_id) {
                Some(known) => known.adopt(member, protocol),
                None => {
                    self.members.add(Member::stored(member, protocol, cx.now.tick));
                }
            }
        }
    }

    /// Offsets have tombstones of their own.
    fn replay_removal(&mut self, cx: &mut Cx<'_>) {
        for id in self.members.ids(|_| true) {
            self.remove_member(cx, &id, GroupError::UnknownMemberId);
        }
        let offsets = std::mem::take(&mut self.offsets);
        let pending = std::mem::take(&mut self.pending);
        *self = Group { offsets, pending, ..Group::new(self.id.clone()) };
    }

    /// An offset was committed (`Some`) or removed (`None`); `place` rises from one to the next.
    pub(crate) fn replay_offset(&mut self, topic: &str, partition: i32, stored: Option<&CommittedOffset>, place: u64) {
        match stored {
            Some(offset) => {
                // Twice looked up, so that the name is only copied for a new topic.
                let partitions = match self.offsets.get_mut(topic) {
                    Some(partitions) => partitions,
                    None => self.offsets.entry(topic.to_owned()).or_default(),
                };
                partitions.insert(partition, Kept { stored: offset.clone(), place });
            }
            None => {
                let Some(partitions) = self.offsets.get_mut(topic) else { return };
                partitions.remove(&partition);
                if partitions.is_empty() {
                    self.offsets.remove(topic);
                }
            }
        }
    }

    /// The whole log has been read: sessions begin now, and a group that has become too large begins anew.
    pub(crate) fn loaded(&mut self, cx: &mut Cx<'_>) {
        for member in self.members.iter_mut() {
            member.start_session(cx.now.tick);
        }
        if self.members.len() > cx.config.max_size {
            self.rebalance(cx);
        }
    }

    /// The record that a verb asked for could not be appended.
    pub(crate) fn append_failed(&mut self, cx: &mut Cx<'_>, error: GroupError) {
        if matches!(self.phase, Phase::Completing { .. }) {
            self.refuse_syncs(cx, error);
        }
    }
}
