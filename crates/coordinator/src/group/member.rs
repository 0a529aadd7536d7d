//! A member of a group, and the members of a group in the order in which they joined.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use ailurus_base::HashMap;
use bytes::Bytes;

use crate::clock::Tick;
use crate::format::MemberMetadata;
use crate::group::Token;
use crate::request::{JoinRequest, Protocol};

/// A member: what it said of itself, what it was assigned, and the requests it has parked.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: i32,
    pub(crate) rebalance_timeout_ms: i32,
    /// In order of preference. After a reload only the chosen one: the others are not in the record.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    /// The parked JoinGroup. A member has joined the coming generation exactly if there is one.
    pub(crate) join: Option<Token>,
    /// The parked SyncGroup.
    pub(crate) sync: Option<Token>,
    /// When the session ends unless the member is heard of. `None` while a request is parked: the connection is silent
    /// because of us, and the deadline of the rebalance bounds the wait. A new member's first join is the exception.
    pub(crate) session_ends: Option<Tick>,
    /// It has never been told of a generation.
    pub(crate) is_new: bool,
    /// It was told of this generation and has not asked for its assignment yet.
    pub(crate) owes_sync: bool,
}

impl Member {
    pub(crate) fn new(id: String, request: &JoinRequest) -> Self {
        Member {
            id,
            instance_id: request.instance_id.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: rebalance_timeout(request),
            protocols: request.protocols.clone(),
            assignment: Bytes::new(),
            join: None,
            sync: None,
            session_ends: None,
            is_new: true,
            owes_sync: false,
        }
    }

    /// As a member comes out of a stored group.
    pub(crate) fn stored(stored: &MemberMetadata, protocol: &str, now: Tick) -> Self {
        let protocol = Protocol { name: protocol.to_owned(), metadata: stored.subscription.clone() };
        let mut member = Member {
            id: stored.member_id.clone(),
            instance_id: stored.instance_id.clone(),
            client_id: stored.client_id.clone(),
            client_host: stored.client_host.clone(),
            session_timeout_ms: stored.session_timeout_ms,
            rebalance_timeout_ms: stored.rebalance_timeout_ms,
            protocols: vec![protocol],
            assignment: stored.assignment.clone(),
            join: None,
            sync: None,
            session_ends: None,
            is_new: false,
            owes_sync: false,
        };
        member.start_session(now);
        member
    }

    /// A stored group has this member. Live that brings the assignment, and all else is so already; at recovery the member is
    /// from an earlier record and becomes what this one says.
    pub(crate) fn adopt(&mut self, stored: &MemberMetadata, protocol: &str) {
        self.assignment = stored.assignment.clone();
        self.client_id.clone_from(&stored.client_id);
        self.client_host.clone_from(&stored.client_host);
        self.session_timeout_ms = stored.session_timeout_ms;
        self.rebalance_timeout_ms = stored.rebalance_timeout_ms;
        if !self.supports(protocol) || self.metadata(protocol) != stored.subscription {
            self.protocols = vec![Protocol { name: protocol.to_owned(), metadata: stored.subscription.clone() }];
        }
    }

    /// A known member joins again with these protocols and timeouts.
    pub(crate) fn update(&mut self, request: &JoinRequest) {
        self.protocols.clone_from(&request.protocols);
        self.session_timeout_ms = request.session_timeout_ms;
        self.rebalance_timeout_ms = rebalance_timeout(request);
    }

    /// The session runs from now.
    pub(crate) fn start_session(&mut self, now: Tick) {
        self.session_ends = Some(now.plus_ms(self.session_timeout_ms.max(0) as u64));
    }

    /// The member was heard of. Says nothing while a request is parked, when no session runs.
    pub(crate) fn heard_of(&mut self, now: Tick) {
        if self.join.is_none() && self.sync.is_none() {
            self.start_session(now);
        }
    }

    pub(crate) fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    /// What it takes in memory, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let names = [self.id.len(), self.instance_id.as_ref().map_or(0, String::len), self.client_id.len()];
        let names: usize = names.into_iter().sum::<usize>() + self.client_host.len();
        (MEMBER_BYTES + names + self.assignment.len()) as u64 + protocol_bytes(&self.protocols)
    }

    /// True if the request offers just what the member already offers.
    pub(crate) fn offers(&self, protocols: &[Protocol]) -> bool {
        self.protocols == protocols
    }

    pub(crate) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|offered| offered.name == protocol)
    }

    /// Its metadata for `protocol`; empty if it does not offer it.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let offered = self.protocols.iter().find(|offered| offered.name == protocol);
        offered.map(|offered| offered.metadata.clone()).unwrap_or_default()
    }

    /// The protocol of `candidates` that it likes best.
    pub(crate) fn vote<'a>(&'a self, candidates: &BTreeSet<&str>) -> Option<&'a str> {
        self.protocols.iter().map(|offered| offered.name.as_str()).find(|name| candidates.contains(name))
    }
}

/// What a member takes whatever it says: about three times its structures, for the maps around them.
pub(crate) const MEMBER_BYTES: usize = 1024;

/// What the protocols that a member offers take in memory, in bytes.
pub(crate) fn protocol_bytes(protocols: &[Protocol]) -> u64 {
    protocols.iter().map(|protocol| (64 + protocol.name.len() + protocol.metadata.len()) as u64).sum()
}

/// JoinGroup 0 has no rebalance timeout: the session timeout serves for both.
fn rebalance_timeout(request: &JoinRequest) -> i32 {
    if request.rebalance_timeout_ms < 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms }
}

/// The members in the order in which they joined. A static member keeps its place when its member id is replaced.
///
/// What always holds: no two members have the same member id or the same instance id.
#[derive(Default, Debug)]
pub(crate) struct Members {
    next_place: u64,
    places: BTreeMap<u64, Member>,
    by_id: HashMap<String, u64>,
    by_instance: HashMap<String, u64>,
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Member> {
        self.places.get(self.by_id.get(id)?)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.places.get_mut(self.by_id.get(id)?)
    }

    /// The member with this `group.instance.id`.
    pub(crate) fn instance(&self, instance_id: &str) -> Option<&Member> {
        self.places.get(self.by_instance.get(instance_id)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.places.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.places.values_mut()
    }

    pub(crate) fn add(&mut self, member: Member) -> &mut Member {
        let place = self.next_place;
        self.next_place += 1;
        assert!(self.by_id.insert(member.id.clone(), place).is_none(), "member {} joined twice", member.id);
        if let Some(instance) = &member.instance_id {
            let before = self.by_instance.insert(instance.clone(), place);
            assert!(before.is_none(), "instance {instance} joined twice");
        }
        self.places.entry(place).or_insert(member)
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.places.remove(&self.by_id.remove(id)?)?;
        if let Some(instance) = &member.instance_id {
            self.by_instance.remove(instance);
        }
        Some(member)
    }

    /// The member `old` is called `new` from now on. `None` if there is no `old`.
    pub(crate) fn rename(&mut self, old: &str, new: String) -> Option<&mut Member> {
        let place = self.by_id.remove(old)?;
        assert!(self.by_id.insert(new.clone(), place).is_none(), "member {new} is there already");
        let member = self.places.get_mut(&place)?;
        member.id = new;
        Some(member)
    }

    /// Ids of the members that `wanted` picks, in order.
    pub(crate) fn ids(&self, wanted: impl Fn(&Member) -> bool) -> Vec<String> {
        self.iter().filter(|member| wanted(member)).map(|member| member.id.clone()).collect()
    }
}
