//! JoinGroup: who may come in, under which id, and whether it sets off a rebalance.

use crate::error::GroupError;
use crate::format::Record;
use crate::group::member::{MEMBER_BYTES, Member, protocol_bytes};
use crate::group::{Cx, Group, Phase, Token};
use crate::request::{JoinReply, JoinRequest, JoinedMember};
use crate::subscription;

/// A JoinGroup with what the driver adds to it.
pub(crate) struct Joining {
    pub(crate) token: Token,
    /// A member id for the case that one is needed.
    pub(crate) fresh_id: String,
    pub(crate) request: JoinRequest,
}

impl Group {
    pub(crate) fn join(&mut self, cx: &mut Cx<'_>, joining: Joining) {
        let Joining { token, fresh_id, request } = joining;
        let member_id = request.member_id.clone();
        if !self.has_room(&request, cx.config.max_size) {
            self.pending.remove(&member_id);
            // A member that asks under another's instance id is not the one to go.
            let itself = self.known(&request).filter(|known| member_id.is_empty() || known.id == member_id);
            let known_id = itself.map(|known| known.id.clone()).unwrap_or_default();
            let gone = self.remove_member(cx, &known_id, GroupError::GroupMaxSizeReached);
            self.after_removal(cx, gone);
            cx.effects.join(token, JoinReply::refused("", GroupError::GroupMaxSizeReached));
        } else if !self.is_compatible(&request) {
            cx.effects.join(token, JoinReply::refused(member_id, GroupError::InconsistentGroupProtocol));
        } else if member_id.is_empty() {
            self.join_unknown(cx, token, fresh_id, request);
        } else if self.pending.contains_key(&member_id) && request.instance_id.is_none() {
            self.add_member(cx, token, member_id, &request);
        } else {
            match self.check_member(&member_id, request.instance_id.as_deref()) {
                Ok(()) => self.join_again(cx, token, &request),
                Err(error) => cx.effects.join(token, JoinReply::refused(member_id, error)),
            }
        }
    }

    /// While members join, those who were first stay; else whoever is a member stays. A static member that is away keeps its
    /// place, and a member id that is handed out takes one, so that not even ids without members are without bound.
    fn has_room(&self, request: &JoinRequest, max_size: usize) -> bool {
        let known = self.known(request);
        let (stays, present) = match self.phase {
            Phase::Empty => (false, 0),
            Phase::Preparing { .. } => {
                let joined = |member: &Member| member.join.is_some();
                let present = self.members.iter().filter(|member| joined(member) || member.is_static()).count();
                (known.is_some_and(|known| joined(known) || (known.is_static() && present <= max_size)), present)
            }
            Phase::Completing { .. } | Phase::Stable { .. } => (known.is_some(), self.members.len()),
        };
        let handed_out = if needs_id(request) { self.pending.len() } else { 0 };
        stays || present + handed_out < max_size
    }

    /// How many bytes this join adds in memory; 0 for a member that says no more than before.
    pub(crate) fn bytes_added(&self, request: &JoinRequest) -> u64 {
        let before = self.known(request).map_or(0, |member| protocol_bytes(&member.protocols));
        let names = request.client_id.len() + request.instance_id.as_ref().map_or(0, String::len);
        let member = if self.known(request).is_none() { (MEMBER_BYTES + 2 * names) as u64 } else { 0 };
        member + protocol_bytes(&request.protocols).saturating_sub(before)
    }

    /// The member that asks, by its id or its instance id.
    fn known(&self, request: &JoinRequest) -> Option<&Member> {
        let by_instance = || self.members.instance(request.instance_id.as_deref()?);
        self.members.get(&request.member_id).or_else(by_instance)
    }

    /// Could the group agree on a protocol with this request in it?
    fn is_compatible(&self, request: &JoinRequest) -> bool {
        if self.members.is_empty() {
            return !request.protocol_type.is_empty() && !request.protocols.is_empty();
        }
        let everyone_has = |name: &str| self.members.iter().all(|member| member.supports(name));
        self.protocol_type.as_deref() == Some(&request.protocol_type)
            && request.protocols.iter().any(|protocol| everyone_has(&protocol.name))
    }

    fn join_unknown(&mut self, cx: &mut Cx<'_>, token: Token, fresh_id: String, request: JoinRequest) {
        let known = request.instance_id.as_deref().and_then(|instance| self.members.instance(instance));
        if let Some(old_id) = known.map(|member| member.id.clone()) {
            self.replace_static(cx, token, &old_id, fresh_id, &request);
        } else if needs_id(&request) {
            // Joined under an id it has not seen, a client that retries would leave a ghost behind each time (KIP-394).
            let patience = cx.now.tick.plus_ms(request.session_timeout_ms.max(0) as u64);
            self.pending.insert(fresh_id.clone(), patience);
            cx.effects.join(token, JoinReply::refused(fresh_id, GroupError::MemberIdRequired));
        } else {
            self.add_member(cx, token, fresh_id, &request);
        }
    }

    fn add_member(&mut self, cx: &mut Cx<'_>, token: Token, member_id: String, request: &JoinRequest) {
        self.pending.remove(&member_id);
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        let mut member = Member::new(member_id.clone(), request);
        member.join = Some(token);
        member.session_ends = Some(cx.now.tick.plus_ms(cx.config.new_member_join_timeout_ms));
        self.members.add(member);
        self.leader.get_or_insert(member_id);
        if let Phase::Preparing { initial: Some(initial), .. } = &mut self.phase {
            initial.grew = true;
        }
        self.rebalance(cx);
    }

    /// A member joins under its own id.
    fn join_again(&mut self, cx: &mut Cx<'_>, token: Token, request: &JoinRequest) {
        let member = self.members.get(&request.member_id).expect("the caller has checked the member id");
        let unchanged = member.offers(&request.protocols);
        match self.phase {
            // Stored members without a generation do not exist: Empty has none at all.
            Phase::Empty => unreachable!("an empty group has no member to pass the check"),
            Phase::Preparing { .. } => self.park_join(cx, token, request),
            // It may not have received our answer: say it again.
            Phase::Completing { .. } if unchanged => self.answer_current(cx, token, &request.member_id),
            // The leader joins to have the assignment computed again, for example for new partitions.
            Phase::Stable { .. } if unchanged && !self.is_leader(&request.member_id) => {
                self.answer_current(cx, token, &request.member_id);
            }
            Phase::Completing { .. } | Phase::Stable { .. } => self.park_join(cx, token, request),
        }
    }

    fn park_join(&mut self, cx: &mut Cx<'_>, token: Token, request: &JoinRequest) {
        let member = self.members.get_mut(&request.member_id).expect("the caller has checked the member id");
        member.update(request);
        if !member.is_new {
            member.session_ends = None;
        }
        let member_id = member.id.clone();
        if let Some(before) = member.join.replace(token) {
            // The client has given up on its earlier request; whoever still waits for it must not wait for ever.
            cx.effects.join(before, JoinReply::refused(member_id, GroupError::RebalanceInProgress));
        }
        self.rebalance(cx);
    }

    /// Tells the member of the generation there is, without a rebalance.
    fn answer_current(&mut self, cx: &mut Cx<'_>, token: Token, member_id: &str) {
        let reply = self.joined_reply(member_id);
        if let Some(member) = self.members.get_mut(member_id) {
            member.heard_of(cx.now.tick);
        }
        cx.effects.join(token, reply);
    }

    /// The answer that tells a member of the current generation. The leader learns of all members, except in Stable, where
    /// no assignment is due.
    pub(super) fn joined_reply(&self, member_id: &str) -> JoinReply {
        let tell_all = self.is_leader(member_id) && matches!(self.phase, Phase::Completing { .. });
        JoinReply {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: if tell_all { self.joined_members() } else { Vec::new() },
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let told = |member: &Member| JoinedMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.iter().map(told).collect()
    }

    /// A static member comes back without its member id: it gets a new one, and the old one is fenced (KIP-345).
    fn replace_static(&mut self, cx: &mut Cx<'_>, token: Token, old_id: &str, new_id: String, request: &JoinRequest) {
        let topics_before = self.topics_of(old_id);
        let member = self.members.get_mut(old_id).expect("the caller found the member by its instance id");
        member.update(request);
        member.client_id.clone_from(&request.client_id);
        member.client_host.clone_from(&request.client_host);
        let same_topics = topics_before == self.topics_of(old_id);
        let same_protocol = self.vote().as_deref() == self.protocol.as_deref();
        if matches!(self.phase, Phase::Stable { .. }) && same_topics && same_protocol {
            self.replace_in_stable(cx, token, old_id, new_id, request);
        } else {
            self.rename_member(cx, old_id, new_id.clone());
            let member = self.members.get_mut(&new_id).expect("it was renamed just now");
            member.join = Some(token);
            member.session_ends = None;
            if member.is_new {
                member.session_ends = Some(cx.now.tick.plus_ms(cx.config.new_member_join_timeout_ms));
            }
            self.rebalance(cx);
        }
    }

    /// No rebalance: the assignment stays with the instance, only the name changes, and that is stored before it is told.
    fn replace_in_stable(
        &mut self,
        cx: &mut Cx<'_>,
        token: Token,
        old_id: &str,
        new_id: String,
        request: &JoinRequest,
    ) {
        let mut stored = self.snapshot(cx.now, |member| member.assignment.clone());
        for member in stored.members.iter_mut().filter(|member| member.member_id == old_id) {
            member.member_id.clone_from(&new_id);
        }
        let was_leader = self.is_leader(old_id);
        let mut reply = self.joined_reply(&new_id);
        if was_leader {
            stored.leader = Some(new_id.clone());
            // A leader that cannot be told to skip the assignment is told of a leader with another name instead: it must not
            // compute one, since in Stable nobody would receive it.
            if request.supports_skip_assignment {
                reply.leader = new_id;
                reply.skip_assignment = true;
                reply.members = self.joined_members();
                for member in reply.members.iter_mut().filter(|member| member.member_id == old_id) {
                    member.member_id.clone_from(&reply.leader);
                }
            }
        }
        // The state does not change, and neither does the time since which the group is in it.
        stored.current_state_timestamp = self.state_since;
        cx.effects.records.push(Record::Group { group: self.id.to_string(), value: Some(stored) });
        cx.effects.join(token, reply);
    }

    /// The subscription of a member as far as a change of it matters: the topics. The rest of the metadata (owned partitions,
    /// generation) changes with each restart of a process, which is what static membership is there for.
    fn topics_of(&self, member_id: &str) -> Option<std::collections::BTreeSet<String>> {
        if self.protocol_type() != subscription::CONSUMER {
            return None;
        }
        subscription::topics(&self.members.get(member_id)?.metadata(self.protocol.as_deref()?))
    }

    /// `old` is `new` from now on; whoever still waits under the old name is fenced.
    pub(super) fn rename_member(&mut self, cx: &mut Cx<'_>, old: &str, new: String) {
        self.release(cx, old, GroupError::FencedInstanceId);
        if self.is_leader(old) {
            self.leader = Some(new.clone());
        }
        if let Some(member) = self.members.rename(old, new) {
            member.start_session(cx.now.tick);
        }
    }
}

/// A dynamic member without an id, of a version that has to come again with one (KIP-394).
fn needs_id(request: &JoinRequest) -> bool {
    request.member_id.is_empty() && request.instance_id.is_none() && request.requires_known_member_id
}
