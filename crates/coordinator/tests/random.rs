//! Random conversations with a slice, and what must hold after each step of any of them.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ailurus_coordinator::format::Record;
use ailurus_coordinator::{
    Answer, CommitPartition, CommitRequest, Effects, FetchRequest, GroupConfig, GroupError, GroupState,
    HeartbeatRequest, JoinRequest, LeaveRequest, LeavingMember, ListFilter, Now, OffsetDeleteRequest, Protocol, Refuse,
    Slice, SyncRequest, Tick, Token,
};
use bytes::Bytes;
use proptest::prelude::*;

const GROUPS: [&str; 2] = ["g", "h"];
const CLIENTS: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    Join { client: usize, group: usize, fresh: bool, known_id: bool, metadata: u8, rebalance_ms: i32 },
    Sync { client: usize, stale: bool },
    Heartbeat { client: usize },
    Leave { client: usize },
    Commit { client: Option<usize>, group: usize, offset: i64 },
    DeleteOffsets { group: usize },
    Delete { group: usize },
    Expire,
    Pass { ms: u64 },
    FailNext,
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    let (client, group) = (0..CLIENTS, 0..GROUPS.len());
    prop_oneof![
        8 => (client.clone(), group.clone(), prop::bool::weighted(0.2), any::<bool>(), 0u8..3, rebalance_ms())
            .prop_map(|(client, group, fresh, known_id, metadata, rebalance_ms)| Step::Join { client, group, fresh, known_id, metadata, rebalance_ms }),
        8 => (client.clone(), prop::bool::weighted(0.1)).prop_map(|(client, stale)| Step::Sync { client, stale }),
        4 => client.clone().prop_map(|client| Step::Heartbeat { client }),
        2 => client.clone().prop_map(|client| Step::Leave { client }),
        4 => (prop::option::weighted(0.7, client), group.clone(), 0i64..100)
            .prop_map(|(client, group, offset)| Step::Commit { client, group, offset }),
        1 => group.clone().prop_map(|group| Step::DeleteOffsets { group }),
        1 => group.prop_map(|group| Step::Delete { group }),
        1 => Just(Step::Expire),
        6 => prop_oneof![1u64..100, 1_000u64..20_000, Just(100_000)].prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::FailNext),
        1 => Just(Step::Reload),
    ]
}

/// What members ask for; none at all (below 0), and nothing, too.
fn rebalance_ms() -> impl Strategy<Value = i32> {
    prop_oneof![4 => Just(10_000), 1 => Just(0), 1 => Just(1), 1 => Just(-1)]
}

#[derive(Default)]
struct Client {
    group: usize,
    member_id: String,
    generation: i32,
}

struct World {
    config: Rc<GroupConfig>,
    slice: Slice,
    log: Vec<(Bytes, Option<Bytes>)>,
    tick: u64,
    tokens: u64,
    /// Token, and whose it is.
    parked: BTreeMap<u64, usize>,
    clients: Vec<Client>,
    fail_next: bool,
    /// Generations that were told, with the members they were told to have.
    told: BTreeMap<(usize, i32, u64), BTreeSet<String>>,
    incarnation: u64,
}

impl World {
    fn new(delay: u64) -> Self {
        let config = GroupConfig {
            initial_rebalance_delay_ms: delay,
            offsets_retention_ms: 50_000,
            max_size: 4,
            ..GroupConfig::default()
        };
        let config = Rc::new(config);
        World {
            slice: Slice::new(config.clone()),
            config,
            log: Vec::new(),
            tick: 0,
            tokens: 0,
            parked: BTreeMap::new(),
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            fail_next: false,
            told: BTreeMap::new(),
            incarnation: 0,
        }
    }

    fn now(&self) -> Now {
        Now { tick: Tick(self.tick), unix_ms: 1_000_000 + self.tick as i64 }
    }

    /// As the driver does it.
    fn carry_out<R: Refuse>(&mut self, verb: impl FnOnce(&mut Slice, Now, &mut Effects) -> R) -> R {
        let now = self.now();
        let mut effects = Effects::default();
        let mut result = verb(&mut self.slice, now, &mut effects);
        let records = std::mem::take(&mut effects.records);
        if self.fail_next && !records.is_empty() {
            self.fail_next = false;
            let error = GroupError::CoordinatorNotAvailable;
            effects.answers.iter_mut().for_each(|(_, answer)| answer.refuse(error));
            result.refuse(error);
            self.slice.append_failed(now, &records, error, &mut effects);
        } else {
            self.log.extend(records.iter().map(Record::encode));
            self.slice.appended(now, &records, &mut effects);
            if records.iter().any(|record| matches!(record, Record::Group { value: None, .. })) {
                self.incarnation += 1;
            }
        }
        assert!(effects.records.is_empty(), "a replay asks for records");
        for (token, answer) in effects.answers {
            self.answered(token, answer);
        }
        result
    }

    fn answered(&mut self, token: Token, answer: Answer) {
        let client = self.parked.remove(&token.0).expect("a token is answered once");
        let Answer::Join(reply) = answer else { return };
        let group = self.clients[client].group;
        if reply.error.is_none() || reply.error == Some(GroupError::MemberIdRequired) {
            self.clients[client].member_id.clone_from(&reply.member_id);
            self.clients[client].generation = reply.generation;
        }
        if reply.error.is_none() && !reply.members.is_empty() && !reply.skip_assignment {
            let members: BTreeSet<_> = reply.members.iter().map(|member| member.member_id.clone()).collect();
            assert!(members.contains(&reply.leader) && reply.leader == reply.member_id);
            assert!(members.len() <= self.config.max_size, "no generation is larger than group.max.size");
            let told = self.told.entry((group, reply.generation, self.incarnation)).or_insert_with(|| members.clone());
            assert_eq!(*told, members, "a generation has one set of members");
        }
    }

    fn run(&mut self, step: &Step) {
        match step.clone() {
            Step::Join { client, group, fresh, known_id, metadata, rebalance_ms } => {
                self.join(client, group, fresh, known_id, metadata, rebalance_ms)
            }
            Step::Sync { client, stale } => self.sync(client, stale),
            Step::Heartbeat { client } => {
                let who = &self.clients[client];
                let request = HeartbeatRequest {
                    group_id: GROUPS[who.group].to_owned(),
                    generation: who.generation,
                    member_id: who.member_id.clone(),
                    instance_id: instance(client),
                };
                let _ = self.carry_out(|slice, now, effects| slice.heartbeat(now, &request, effects));
            }
            Step::Leave { client } => {
                let who = &self.clients[client];
                let member = LeavingMember { member_id: who.member_id.clone(), instance_id: instance(client) };
                let request = LeaveRequest { group_id: GROUPS[who.group].to_owned(), members: vec![member] };
                self.carry_out(|slice, now, effects| slice.leave(now, request, effects));
            }
            Step::Commit { client, group, offset } => self.commit(client, group, offset),
            Step::DeleteOffsets { group } => {
                let topics = vec![("t1".to_owned(), vec![0, 1]), ("t2".to_owned(), vec![0])];
                let request = OffsetDeleteRequest { group_id: GROUPS[group].to_owned(), topics };
                let _ = self.carry_out(|slice, now, effects| slice.delete_offsets(now, request, effects));
            }
            Step::Delete { group } => {
                let _ = self.carry_out(|slice, now, effects| slice.delete(now, GROUPS[group], effects));
            }
            Step::Expire => {
                for group in GROUPS {
                    self.carry_out(|slice, now, effects| slice.expire(now, group, effects));
                }
            }
            Step::Pass { ms } => self.pass(ms),
            Step::FailNext => self.fail_next = true,
            Step::Reload => {
                self.slice = self.loaded();
                self.parked.clear();
                self.told.clear();
            }
        }
    }

    fn park(&mut self, client: usize) -> Token {
        self.tokens += 1;
        self.parked.insert(self.tokens, client);
        Token(self.tokens)
    }

    fn join(&mut self, client: usize, group: usize, fresh: bool, known_id: bool, metadata: u8, rebalance_ms: i32) {
        if self.parked.values().any(|parked| *parked == client) {
            return;
        }
        let who = &mut self.clients[client];
        if who.group != group || fresh {
            who.member_id.clear();
        }
        who.group = group;
        let request = JoinRequest {
            group_id: GROUPS[group].to_owned(),
            member_id: who.member_id.clone(),
            instance_id: instance(client),
            client_id: format!("c{client}"),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: 6_000 + 1_000 * client as i32,
            rebalance_timeout_ms: rebalance_ms,
            protocol_type: "consumer".to_owned(),
            protocols: vec![Protocol { name: "range".to_owned(), metadata: subscription(metadata) }],
            requires_known_member_id: known_id,
            supports_skip_assignment: known_id,
        };
        let token = self.park(client);
        let uuid = u128::from(self.tokens);
        self.carry_out(|slice, now, effects| slice.join(now, token, uuid, request, effects));
    }

    fn sync(&mut self, client: usize, stale: bool) {
        if self.parked.values().any(|parked| *parked == client) {
            return;
        }
        let who = &self.clients[client];
        let request = SyncRequest {
            group_id: GROUPS[who.group].to_owned(),
            generation: who.generation - i32::from(stale),
            member_id: who.member_id.clone(),
            instance_id: instance(client),
            assignments: self
                .clients
                .iter()
                .map(|client| (client.member_id.clone(), Bytes::from_static(b"A")))
                .collect(),
            ..SyncRequest::default()
        };
        let token = self.park(client);
        self.carry_out(|slice, now, effects| slice.sync(now, token, request, effects));
    }

    fn commit(&mut self, client: Option<usize>, group: usize, offset: i64) {
        let partition = CommitPartition { partition: 0, offset, leader_epoch: 3, metadata: "m".to_owned() };
        let topics = vec![(if offset % 2 == 0 { "t1" } else { "t2" }.to_owned(), vec![partition])];
        let mut request = CommitRequest {
            group_id: GROUPS[group].to_owned(),
            generation: -1,
            retention_ms: (offset % 5 == 0).then_some(20_000),
            topics,
            ..CommitRequest::default()
        };
        if let Some(client) = client {
            let who = &self.clients[client];
            request.group_id = GROUPS[who.group].to_owned();
            request.generation = who.generation;
            request.member_id = who.member_id.clone();
            request.instance_id = instance(client);
        }
        self.carry_out(|slice, now, effects| slice.commit(now, request, effects));
    }

    fn pass(&mut self, ms: u64) {
        let end = self.tick + ms;
        let mut fired = 0;
        while let Some(due) = self.slice.next_deadline().filter(|due| due.0 <= end) {
            self.tick = self.tick.max(due.0);
            self.carry_out(|slice, now, effects| slice.on_time(now, effects));
            fired += 1;
            assert!(fired < 1_000, "the timer spins at {due:?}");
        }
        self.tick = end;
    }

    /// Another slice from the same log.
    fn loaded(&self) -> Slice {
        let mut slice = Slice::new(self.config.clone());
        for (key, value) in &self.log {
            slice.load(self.now(), &Record::decode(key, value.as_deref()).unwrap().unwrap());
        }
        slice.loaded(self.now(), &mut Effects::default());
        slice
    }

    /// What is stored is the same in a slice that was loaded from the log.
    fn check(&self) {
        let loaded = self.loaded();
        for group in GROUPS {
            let all = FetchRequest { group_id: group.to_owned(), member_epoch: -1, topics: None };
            assert_eq!(self.slice.fetch(&all), loaded.fetch(&all), "offsets of {group}");
            let (ours, theirs) = (self.slice.describe(group), loaded.describe(group));
            if ours.state == GroupState::Stable {
                assert_eq!(ours, theirs);
            }
            // A group that was emptied, or never had a record; one that has only pending members is forgotten.
            if ours.state == GroupState::Empty && theirs.state != GroupState::Dead {
                assert_eq!(ours, theirs);
            }
            if ours.state == GroupState::Dead {
                assert_eq!(theirs.state, GroupState::Dead, "{group} is gone here and there");
            }
            let listed = self.slice.list(&ListFilter::default());
            assert_eq!(listed.iter().any(|listed| listed.group_id == group), ours.state != GroupState::Dead);
        }
        // Whoever waits, waits for a deadline at the most.
        assert!(
            self.parked.is_empty() || self.slice.next_deadline().is_some(),
            "somebody is parked without a deadline"
        );
    }

    /// Silence: in the end nobody is parked, nobody is a member, and after the retention nothing is left.
    fn finish(mut self) {
        self.fail_next = false;
        self.pass(400_000);
        assert!(self.parked.is_empty(), "everybody is answered in the end");
        for group in GROUPS {
            assert!(matches!(self.slice.state(group), GroupState::Empty | GroupState::Dead));
        }
        assert_eq!(self.slice.next_deadline(), None, "an empty slice sleeps");
        self.run(&Step::Expire);
        assert_eq!(self.slice.group_ids().len(), 0, "all has expired");
        assert_eq!(self.loaded().group_ids().len(), 0, "in the log too");
    }
}

/// The last two clients are static.
fn instance(client: usize) -> Option<String> {
    (client >= CLIENTS - 2).then(|| format!("i{client}"))
}

fn subscription(kind: u8) -> Bytes {
    match kind {
        0 => Bytes::from_static(b"\0\0\0\0\0\x01\0\x02t1\xff\xff\xff\xff"),
        1 => Bytes::from_static(b"\0\0\0\0\0\x01\0\x02t2\xff\xff\xff\xff"),
        _ => Bytes::from_static(b"?"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_conversation_keeps_its_promises(
        delay in prop_oneof![Just(0u64), Just(3_000)],
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new(delay);
        for step in &steps {
            world.run(step);
            world.check();
        }
        world.finish();
    }
}
