//! From one generation to the next: opening the round, closing it, choosing the protocol.

use std::collections::BTreeSet;

use crate::error::GroupError;
use crate::format::{GroupMetadata, Record};
use crate::group::{Cx, Group, Initial, Phase};
use crate::request::{JoinReply, SyncReply};

impl Group {
    /// Opens a round unless one is open, and closes it if nobody is missing.
    pub(super) fn rebalance(&mut self, cx: &mut Cx<'_>) {
        match self.phase {
            Phase::Preparing { .. } => self.close_if_complete(cx),
            Phase::Empty => self.open_initial(cx),
            Phase::Completing { .. } | Phase::Stable { .. } => self.open(cx),
        }
    }

    /// Members that are started together shall come into one generation, not each force a new one.
    fn open_initial(&mut self, cx: &mut Cx<'_>) {
        let delay = cx.config.initial_rebalance_delay_ms;
        let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay);
        let initial = (delay > 0).then_some(Initial { remaining_ms, grew: false });
        self.phase = Phase::Preparing { deadline: cx.now.tick.plus_ms(delay), initial };
        // Without a delay the round is over at once: nobody can be missing, and pending members come in the next one.
        if initial.is_none() {
            self.close(cx);
        }
    }

    fn open(&mut self, cx: &mut Cx<'_>) {
        for member in self.members.iter_mut() {
            member.owes_sync = false;
            if let Some(token) = member.sync.take() {
                cx.effects.sync(token, SyncReply::refused(GroupError::RebalanceInProgress));
                member.heard_of(cx.now.tick);
            }
        }
        let deadline = cx.now.tick.plus_ms(self.rebalance_timeout_ms());
        self.phase = Phase::Preparing { deadline, initial: None };
        self.close_if_complete(cx);
    }

    /// Closes the round if every member has joined and no member id is out that might still join, or if nobody is left.
    pub(super) fn close_if_complete(&mut self, cx: &mut Cx<'_>) {
        let Phase::Preparing { initial, .. } = self.phase else { return };
        let all_here = self.pending.is_empty() && self.members.iter().all(|member| member.join.is_some());
        if self.members.is_empty() || (all_here && initial.is_none()) {
            self.close(cx);
        }
    }

    /// The round's deadline has passed.
    pub(super) fn close_at_deadline(&mut self, cx: &mut Cx<'_>, initial: Option<Initial>) {
        match initial {
            Some(Initial { remaining_ms, grew: true }) if remaining_ms > 0 => {
                let delay = cx.config.initial_rebalance_delay_ms.min(remaining_ms);
                let initial = Some(Initial { remaining_ms: remaining_ms - delay, grew: false });
                self.phase = Phase::Preparing { deadline: cx.now.tick.plus_ms(delay), initial };
            }
            _ => self.close(cx),
        }
    }

    /// Closes the round: a new generation of those who joined. Static members that are away stay in it until their session
    /// ends, with whatever they are assigned.
    fn close(&mut self, cx: &mut Cx<'_>) {
        for id in self.members.ids(|member| member.join.is_none() && !member.is_static()) {
            self.remove_member(cx, &id, GroupError::UnknownMemberId);
        }
        if self.members.is_empty() {
            return self.propose_empty(cx);
        }
        let timeout_ms = self.rebalance_timeout_ms();
        let Some(first_here) = self.members.iter().find(|member| member.join.is_some()) else {
            // Only absent static members: nobody could lead. Wait on for one of them, or for their sessions to end.
            let deadline = cx.now.tick.plus_ms(timeout_ms.max(ABSENT_LOOK_MS));
            self.phase = Phase::Preparing { deadline, initial: None };
            return;
        };
        let deadline = cx.now.tick.plus_ms(timeout_ms);
        let leader = self.leader.as_deref().and_then(|leader| self.members.get(leader));
        if leader.is_none_or(|leader| leader.join.is_none()) {
            self.leader = Some(first_here.id.clone());
        }
        self.generation = next_generation(self.generation);
        self.protocol = self.vote();
        self.phase = Phase::Completing { deadline };
        self.tell_generation(cx);
    }

    fn tell_generation(&mut self, cx: &mut Cx<'_>) {
        for id in self.members.ids(|member| member.join.is_some()) {
            let reply: JoinReply = self.joined_reply(&id);
            let member = self.members.get_mut(&id).expect("its id was listed just now");
            let token = member.join.take().expect("only those with a parked join were listed");
            member.is_new = false;
            member.owes_sync = true;
            member.start_session(cx.now.tick);
            cx.effects.join(token, reply);
        }
    }

    /// Nobody is left. The group becomes Empty when this record is replayed; should the append fail, the round stays open
    /// and closes again at its deadline.
    fn propose_empty(&mut self, cx: &mut Cx<'_>) {
        let deadline = cx.now.tick.plus_ms(RETRY_EMPTY_MS);
        self.phase = Phase::Preparing { deadline, initial: None };
        let value = GroupMetadata {
            protocol_type: self.protocol_type().to_owned(),
            generation: next_generation(self.generation),
            protocol: None,
            leader: None,
            current_state_timestamp: Some(cx.now.unix_ms),
            members: Vec::new(),
        };
        cx.effects.records.push(Record::Group { group: self.id.to_string(), value: Some(value) });
    }

    /// Of the protocols that all members have, the one that most members like best; of equals, the one that the member who
    /// joined first likes better. `None` if they have none in common.
    pub(super) fn vote(&self) -> Option<String> {
        let first = self.members.iter().next()?;
        let everyone_has = |name: &&str| self.members.iter().all(|member| member.supports(name));
        let candidates: BTreeSet<&str> =
            first.protocols.iter().map(|protocol| protocol.name.as_str()).filter(everyone_has).collect();
        let votes = |name: &str| self.members.iter().filter(|member| member.vote(&candidates) == Some(name)).count();
        let in_order = first.protocols.iter().map(|protocol| protocol.name.as_str());
        // `max_by_key` gives the last of equals, and the first member's likings come first.
        let winner = in_order.filter(|name| candidates.contains(name)).rev().max_by_key(|name| votes(name))?;
        Some(winner.to_owned())
    }
}

/// How often at most a round is looked at in which only absent static members are, however impatient they are: nobody waits.
const ABSENT_LOOK_MS: u64 = 1_000;

/// How soon an Empty that could not be appended is tried again.
const RETRY_EMPTY_MS: u64 = 1_000;

/// Generations count up from 1; after 2^31 of them they begin again, never negative, which means "no generation".
fn next_generation(generation: i32) -> i32 {
    generation.checked_add(1).unwrap_or(1)
}
