//! The coordinator over a real cluster of one node, on the simulated machine: several shards, a log that is written,
//! restarts, crashes. Time is virtual, so that a session of ten seconds takes none.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ailurus_cluster::command::{Command, Reply, TopicRef};
use ailurus_cluster::plan::NewTopic;
use ailurus_cluster::{Cluster, ClusterOptions, node};
use ailurus_coordinator::format::{CommittedOffset, Record};
use ailurus_coordinator::{
    CommitPartition, CommitRequest, FetchRequest, GroupError, GroupState, Groups, HeartbeatRequest, JoinReply,
    JoinRequest, LeaveRequest, LeavingMember, ListFilter, Protocol, SyncReply, SyncRequest,
};
use ailurus_record::BatchBuilder;
use ailurus_rt::sim::{Outcome, Sim, SimConfig, seeds};
use ailurus_rt::{self as rt, Lane, Sharded};
use ailurus_settings::{BrokerSettings, Layer};
use ailurus_storage::StorageConfig;
use bytes::Bytes;

const SLICES: i32 = 5;

fn machine(seed: u64) -> Sim {
    Sim::new(seed, SimConfig { shards: 3, ..SimConfig::default() })
}

/// A broker up to its groups.
#[derive(Clone, Copy)]
struct Broker {
    cluster: Sharded<Cluster>,
    groups: Groups,
}

impl Broker {
    async fn start(settings: &[(&str, &str)]) -> Broker {
        Self::start_on(StorageConfig::tiny("/data"), settings).await
    }

    async fn start_on(storage: StorageConfig, settings: &[(&str, &str)]) -> Broker {
        let mut layers = BrokerSettings::default();
        let slices = SLICES.to_string();
        let own = [("offsets.topic.num.partitions", slices.as_str()), ("group.initial.rebalance.delay.ms", "0")];
        for (name, value) in own.iter().chain(settings) {
            layers.set(Layer::Flags, name, value).unwrap();
        }
        let options = ClusterOptions { settings: Arc::new(layers), storage };
        rt::fs::create_dir_all("/data".as_ref()).await.unwrap();
        let cluster = node::start(options).await.unwrap();
        let groups = Groups::start(cluster).await;
        Broker { cluster, groups }
    }

    /// With `__consumer_offsets` and a topic `t`, all led, all slices loaded.
    async fn start_ready(settings: &[(&str, &str)]) -> Broker {
        Broker::start(settings).await.ready().await
    }

    async fn ready(self) -> Broker {
        let broker = self;
        broker.create_topic(broker.cluster.local().offsets_topic()).await;
        broker.create_topic(NewTopic { name: "t".to_owned(), partitions: Some(1), ..NewTopic::default() }).await;
        broker.until(async |groups| groups.list(ListFilter::default()).await.error.is_none()).await;
        for slice in 0..SLICES {
            let group = group_in(slice);
            broker.until(async |groups| groups.fetch(vec![all_of(&group)]).await[0].is_ok()).await;
        }
        broker
    }

    async fn create_topic(&self, topic: NewTopic) {
        let name = topic.name.clone();
        let local = self.cluster.local();
        if local.state().topic(&name).is_none() {
            let reply = local.submit(Command::CreateTopics(vec![topic])).await.unwrap();
            assert!(matches!(&reply, Reply::Topics(results) if results[0].is_ok()), "{reply:?}");
        }
        assert!(local.until_led(&name, Duration::from_secs(60)).await);
    }

    /// Asks again and again until it is so.
    async fn until(&self, what: impl AsyncFn(Groups) -> bool) {
        for _ in 0..10_000 {
            if what(self.groups).await {
                return;
            }
            rt::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited in vain");
    }

    async fn stop(self) {
        self.groups.stop().await;
        node::stop(self.cluster).await;
    }
}

/// A group whose slice is this one.
fn group_in(slice: i32) -> String {
    let mut names = (0..).map(|number| format!("group-{number}"));
    names.find(|name| ailurus_coordinator::slice_of(name, SLICES).0 == slice).unwrap()
}

fn all_of(group: &str) -> FetchRequest {
    FetchRequest { group_id: group.to_owned(), member_epoch: -1, topics: None }
}

fn join(group: &str, member_id: &str) -> JoinRequest {
    JoinRequest {
        group_id: group.to_owned(),
        member_id: member_id.to_owned(),
        client_id: "c".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol { name: "range".to_owned(), metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t") }],
        ..JoinRequest::default()
    }
}

fn sync(group: &str, joined: &JoinReply, assignments: &[&JoinReply]) -> SyncRequest {
    let assign = |joined: &&JoinReply| (joined.member_id.clone(), Bytes::from(format!("for {}", joined.member_id)));
    SyncRequest {
        group_id: group.to_owned(),
        generation: joined.generation,
        member_id: joined.member_id.clone(),
        assignments: assignments.iter().map(assign).collect(),
        ..SyncRequest::default()
    }
}

fn heartbeat(group: &str, joined: &JoinReply) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: group.to_owned(),
        generation: joined.generation,
        member_id: joined.member_id.clone(),
        instance_id: None,
    }
}

/// Outside group management.
fn commit(group: &str, offset: i64) -> CommitRequest {
    let partition = CommitPartition { partition: 0, offset, leader_epoch: 3, metadata: "here".to_owned() };
    CommitRequest {
        group_id: group.to_owned(),
        generation: -1,
        topics: vec![("t".to_owned(), vec![partition])],
        ..CommitRequest::default()
    }
}

fn is_ok(sync: &SyncReply, joined: &JoinReply) {
    assert_eq!(sync.error, None);
    assert_eq!(sync.assignment, format!("for {}", joined.member_id));
}

async fn committed(groups: Groups, group: &str) -> Option<i64> {
    let all = groups.fetch(vec![all_of(group)]).await.remove(0).unwrap();
    Some(all.first()?.1.first()?.offset)
}

/// One member, in a group that is stable.
async fn lone_member(groups: Groups, group: &str) -> JoinReply {
    let joined = groups.join(join(group, "")).await;
    assert_eq!(joined.error, None);
    is_ok(&groups.sync(sync(group, &joined, &[&joined])).await, &joined);
    joined
}

/// Runs `main` for several seeds, each on a new machine.
fn for_seeds<F: Future<Output = ()> + 'static>(main: impl Fn() -> F + Copy + 'static) {
    for seed in seeds(4) {
        machine(seed).run(main).finished();
    }
}

#[test]
fn two_members_rebalance_wherever_their_slice_is() {
    for_seeds(|| async {
        let broker = Broker::start_ready(&[]).await;
        let groups = broker.groups;
        for slice in 0..SLICES {
            let group = group_in(slice);
            let first = lone_member(groups, &group).await;
            let (other_group, other) = (group.clone(), rt::Group::Kafka);
            let second = rt::spawn(other, async move { groups.join(join(&other_group, "")).await });
            broker.until(async |groups| groups.heartbeat(heartbeat(&group, &first)).await.is_err()).await;
            assert_eq!(groups.heartbeat(heartbeat(&group, &first)).await, Err(GroupError::RebalanceInProgress));
            let first = groups.join(join(&group, &first.member_id)).await;
            let second = second.await;
            assert_eq!((first.generation, second.generation), (2, 2));
            assert_eq!(first.members.len(), 2);
            let waiting = sync(&group, &second, &[]);
            let waiting = rt::spawn(rt::Group::Kafka, async move { groups.sync(waiting).await });
            is_ok(&groups.sync(sync(&group, &first, &[&first, &second])).await, &first);
            is_ok(&waiting.await, &second);
            let shard = groups.coordinator_of(&group).expect("it has one");
            let here = move |_: &Rc<Cluster>| groups.list_here(&ListFilter::default());
            let listed = broker.cluster.on(shard, Lane::Kafka, here).await;
            assert!(listed.groups.iter().any(|listed| listed.group_id == group), "{listed:?}");
        }
        let listed = groups.list(ListFilter::default()).await;
        assert_eq!(listed.error, None);
        assert_eq!(listed.groups.len(), SLICES as usize);
        let ids: Vec<_> = (0..SLICES).map(group_in).chain(["nobody".to_owned()]).collect();
        let described = groups.describe(ids.clone()).await;
        for (group, id) in described.iter().zip(&ids).take(SLICES as usize) {
            assert_eq!((&group.group_id, group.state, group.members.len()), (id, GroupState::Stable, 2));
        }
        assert_eq!(described[SLICES as usize].error, Some(GroupError::GroupIdNotFound));
        broker.stop().await;
    });
}

#[test]
fn a_restarted_broker_goes_on_where_it_was() {
    for seed in seeds(4) {
        let mut machine = machine(seed);
        let members = machine.run(|| async {
            let broker = Broker::start_ready(&[]).await;
            let mut members = Vec::new();
            for slice in 0..SLICES {
                let group = group_in(slice);
                members.push(lone_member(broker.groups, &group).await);
                let mut request = commit(&group, 40 + i64::from(slice));
                request.member_id = members[slice as usize].member_id.clone();
                request.generation = 1;
                assert_eq!(broker.groups.commit(request).await, vec![("t".to_owned(), vec![(0, None)])]);
            }
            broker.stop().await;
            members
        });
        let members = members.finished();
        // Another number of shards, so that slices move.
        machine.set_shards(2);
        let after = machine.run(move || async move {
            let broker = Broker::start_ready(&[]).await;
            for (slice, member) in members.iter().enumerate() {
                let group = group_in(slice as i32);
                assert_eq!(broker.groups.heartbeat(heartbeat(&group, member)).await, Ok(()));
                is_ok(&broker.groups.sync(sync(&group, member, &[])).await, member);
                let all = broker.groups.fetch(vec![all_of(&group)]).await.remove(0).unwrap();
                let found = &all[0].1[0];
                assert_eq!((found.offset, found.leader_epoch, found.metadata.as_str()), (40 + slice as i64, 3, "here"));
            }
            broker.stop().await;
        });
        after.finished();
    }
}

#[test]
fn what_was_acknowledged_survives_a_crash() {
    let mut acknowledged_at_all = 0;
    for seed in seeds(24) {
        let mut machine = machine(seed);
        let acknowledged = Rc::new(RefCell::new(vec![None; SLICES as usize]));
        machine.crash_after(3_000 + seed % 24 * 1_500);
        let told = acknowledged.clone();
        let outcome = machine.run(move || async move {
            let broker = Broker::start_ready(&[]).await;
            for offset in 0.. {
                let slice = offset % i64::from(SLICES);
                let reply = broker.groups.commit(commit(&group_in(slice as i32), offset)).await;
                assert_eq!(reply[0].1[0].1, None);
                told.borrow_mut()[slice as usize] = Some(offset);
            }
        });
        assert!(matches!(outcome, Outcome::Crashed), "only a crash ends it");
        machine.crash();
        let acknowledged = acknowledged.take();
        acknowledged_at_all += acknowledged.iter().flatten().count();
        let checked = machine.run(move || async move {
            let broker = Broker::start_ready(&[]).await;
            for (slice, offset) in acknowledged.into_iter().enumerate() {
                let found = committed(broker.groups, &group_in(slice as i32)).await;
                // The one that was under way may be there as well.
                assert!(found >= offset, "slice {slice}: {offset:?} was acknowledged, {found:?} is there");
            }
            broker.stop().await;
        });
        checked.finished();
    }
    let alone = seeds(24).count() == 1;
    assert!(acknowledged_at_all > 40 || alone, "only {acknowledged_at_all} slices had something to lose");
}

#[test]
fn silent_members_and_old_offsets_go_by_the_clock() {
    for_seeds(|| async {
        let broker = Broker::start_ready(&[("offsets.retention.minutes", "1")]).await;
        let groups = broker.groups;
        let group = group_in(1);
        let member = lone_member(groups, &group).await;
        let mut request = commit(&group, 7);
        request.member_id = member.member_id.clone();
        request.generation = member.generation;
        groups.commit(request).await;
        rt::sleep(Duration::from_secs(9)).await;
        assert_eq!(groups.heartbeat(heartbeat(&group, &member)).await, Ok(()));
        rt::sleep(Duration::from_secs(11)).await;
        assert_eq!(groups.heartbeat(heartbeat(&group, &member)).await, Err(GroupError::UnknownMemberId));
        assert_eq!(groups.describe(vec![group.clone()]).await[0].state, GroupState::Empty);
        assert_eq!(committed(groups, &group).await, Some(7));
        // The sweep comes every ten minutes.
        rt::sleep(Duration::from_secs(660)).await;
        assert_eq!(committed(groups, &group).await, None);
        assert_eq!(groups.list(ListFilter::default()).await.groups, vec![]);
        broker.stop().await;
    });
}

#[test]
fn offsets_of_a_deleted_topic_go() {
    for_seeds(|| async {
        let broker = Broker::start_ready(&[]).await;
        for slice in 0..SLICES {
            broker.groups.commit(commit(&group_in(slice), 7)).await;
        }
        let delete = Command::DeleteTopics(vec![TopicRef::Name("t".to_owned())]);
        broker.cluster.local().submit(delete).await.unwrap();
        for slice in 0..SLICES {
            let group = group_in(slice);
            broker.until(async |groups| committed(groups, &group).await.is_none()).await;
        }
        broker.stop().await;
    });
}

#[test]
fn what_is_committed_to_a_topic_that_was_made_again_stays() {
    for_seeds(|| async {
        let broker = Broker::start_ready(&[]).await;
        let groups = broker.groups;
        let commit_all = async |offset: i64, some: usize| {
            let commit = |number: usize| {
                let commit = commit(&format!("group-{number}"), offset);
                rt::spawn(rt::Group::Kafka, async move { groups.commit(commit).await })
            };
            for commit in (0..GROUPS).step_by(some).map(commit).collect::<Vec<_>>() {
                assert_eq!(commit.await[0].1[0].1, None);
            }
        };
        // So many that forgetting takes its time, and some of them come again at once.
        const GROUPS: usize = 600;
        const AGAIN: usize = 9;
        commit_all(7, 1).await;
        let local = broker.cluster.local();
        let again = NewTopic { name: "t".to_owned(), partitions: Some(1), ..NewTopic::default() };
        let delete = Command::DeleteTopics(vec![TopicRef::Name("t".to_owned())]);
        let submit = |command| {
            let local = local.clone();
            rt::spawn(rt::Group::Kafka, async move { local.submit(command).await.unwrap() })
        };
        let both = [delete, Command::CreateTopics(vec![again])].map(submit);
        for done in both {
            done.await;
        }
        commit_all(8, AGAIN).await;
        rt::sleep(Duration::from_secs(60)).await;
        for number in 0..GROUPS {
            let found = committed(groups, &format!("group-{number}")).await;
            assert_eq!(found, (number % AGAIN == 0).then_some(8), "group {number}");
        }
        broker.stop().await;
    });
}

#[test]
fn commits_wait_while_what_is_appended_has_not_come_into_segments() {
    for_seeds(|| async {
        let broker = Broker::start_ready(&[]).await;
        let groups = broker.groups;
        let commit = |_| {
            let partition = CommitPartition { metadata: "m".repeat(4000), ..commit("g", 1).topics[0].1[0].clone() };
            let partitions = (0..5).map(|number| CommitPartition { partition: number, ..partition.clone() }).collect();
            let request = CommitRequest { topics: vec![("t".to_owned(), partitions)], ..commit(&group_in(0), 1) };
            rt::spawn(rt::Group::Kafka, async move { groups.commit(request).await })
        };
        let commits: Vec<_> = (0..100).map(commit).collect();
        let mut most = 0;
        for commit in commits {
            assert!(commit.await[0].1.iter().all(|(_, error)| error.is_none()));
            let tails = broker.cluster.map(Lane::Cluster, |cluster| cluster.storage().stats().tail_bytes).await;
            most = tails.into_iter().fold(most, u64::max);
        }
        // The one that found room, and what the log's chunks round up.
        let allowed = StorageConfig::tiny("/data").tail_bytes_max + (32 << 10);
        assert!(most <= allowed, "{most} bytes waited, {allowed} are allowed");
        broker.stop().await;
    });
}

/// With production's limits, and killed at once: neither the tail nor what compaction has not come by may be large.
#[test]
fn loading_reads_little_more_than_what_is_live() {
    const KEYS: i32 = 1000;
    const COMMITTERS: i32 = 100;
    let commit_of = |key: i32, offset: i64| {
        let partition = CommitPartition { partition: key, ..commit("g", offset).topics[0].1[0].clone() };
        CommitRequest { topics: vec![("t".to_owned(), vec![partition])], ..commit(&group_in(0), offset) }
    };
    for seed in seeds(1) {
        let mut machine = machine(seed);
        machine.crash_after(80_000 + seed % 8 * 10_000);
        let commits = Rc::new(Cell::new(0));
        let counted = commits.clone();
        let outcome = machine.run(move || async move {
            let broker = Broker::start_on(StorageConfig::new("/data"), &[]).await.ready().await;
            let committers = (0..COMMITTERS).map(|committer| {
                let (counted, groups) = (counted.clone(), broker.groups);
                rt::spawn(rt::Group::Kafka, async move {
                    for offset in 0.. {
                        let key = (offset as i32 * COMMITTERS + committer) % KEYS;
                        assert_eq!(groups.commit(commit_of(key, offset)).await[0].1[0].1, None);
                        counted.set(counted.get() + 1);
                        // 5,000 commits a second, all together.
                        rt::sleep(Duration::from_millis(20)).await;
                    }
                })
            });
            for committer in committers.collect::<Vec<_>>() {
                committer.await;
            }
        });
        assert!(matches!(outcome, Outcome::Crashed), "only a crash ends it");
        machine.crash();
        assert!(commits.get() > 5_000, "{} commits say little", commits.get());
        let loaded = machine.run(|| async {
            let broker = Broker::start_on(StorageConfig::new("/data"), &[]).await.ready().await;
            let all = broker.groups.fetch(vec![all_of(&group_in(0))]).await.remove(0).unwrap();
            assert_eq!(all[0].1.len(), KEYS as usize);
            let groups = broker.groups;
            let loaded: u64 = broker.cluster.map(Lane::Cluster, move |_| groups.loaded_bytes()).await.iter().sum();
            broker.stop().await;
            loaded
        });
        let loaded = loaded.finished();
        let live = KEYS as u64 * one_commit();
        assert!(loaded <= 3 * live, "{loaded} bytes were read for {live} live ones");
    }
}

/// Bytes of a batch with one commit.
fn one_commit() -> u64 {
    let value = CommittedOffset {
        offset: 1,
        leader_epoch: 3,
        metadata: "here".to_owned(),
        commit_timestamp: 1,
        expire_timestamp: None,
    };
    let record = Record::Offset { group: group_in(0), topic: "t".to_owned(), partition: 1, value: Some(value) };
    let (key, value) = record.encode();
    let mut batch = BatchBuilder::new();
    batch.push(1, Some(&key), value.as_deref(), &[]);
    batch.build().len() as u64
}

#[test]
fn an_offsets_topic_of_any_allowed_size_can_be_made() {
    for_seeds(|| async {
        let extremes = [("offsets.topic.num.partitions", "10000"), ("offsets.topic.segment.bytes", "14")];
        let broker = Broker::start(&extremes).await;
        let local = broker.cluster.local();
        assert!(local.check_create(&[local.offsets_topic()])[0].is_ok());
        broker.stop().await;
    });
}

#[test]
fn without_the_topic_there_is_no_coordinator() {
    for_seeds(|| async {
        let broker = Broker::start(&[]).await;
        let groups = broker.groups;
        assert_eq!(groups.coordinator_of("g"), None);
        let unavailable = Some(GroupError::CoordinatorNotAvailable);
        let joined = groups.join(join("g", "")).await;
        assert_eq!(joined.error, unavailable);
        assert_eq!(groups.sync(sync("g", &joined, &[])).await.error, unavailable);
        assert_eq!(groups.heartbeat(heartbeat("g", &joined)).await.err(), unavailable);
        assert_eq!(groups.commit(commit("g", 1)).await, vec![("t".to_owned(), vec![(0, unavailable)])]);
        assert_eq!(groups.fetch(vec![all_of("g")]).await, vec![Err(GroupError::CoordinatorNotAvailable)]);
        assert_eq!(groups.delete(vec!["g".to_owned()]).await, vec![Err(GroupError::CoordinatorNotAvailable)]);
        assert_eq!(groups.list(ListFilter::default()).await.groups, vec![]);
        broker.stop().await;
    });
}

#[test]
fn those_who_wait_are_answered_when_the_broker_stops() {
    for_seeds(|| async {
        let broker = Broker::start_ready(&[]).await;
        let groups = broker.groups;
        let group = group_in(2);
        lone_member(groups, &group).await;
        let waiting = rt::spawn(rt::Group::Kafka, {
            let group = group.clone();
            async move { groups.join(join(&group, "")).await }
        });
        broker
            .until(async |groups| groups.describe(vec![group.clone()]).await[0].state == GroupState::PreparingRebalance)
            .await;
        broker.stop().await;
        assert_eq!(waiting.await.error, Some(GroupError::NotCoordinator));
    });
}

#[test]
fn groups_are_deleted_many_at_once() {
    for_seeds(|| async {
        let broker = Broker::start_ready(&[]).await;
        let groups = broker.groups;
        let ids: Vec<_> = (0..SLICES).map(group_in).collect();
        for id in &ids {
            groups.commit(commit(id, 7)).await;
        }
        let member = lone_member(groups, &ids[3]).await;
        let mut results = groups.delete(ids.clone()).await;
        assert_eq!(results.remove(3), Err(GroupError::NonEmptyGroup));
        assert!(results.iter().all(Result::is_ok));
        let leaving = LeavingMember { member_id: member.member_id, instance_id: None };
        let left = groups.leave(LeaveRequest { group_id: ids[3].clone(), members: vec![leaving] }).await;
        assert_eq!((left.error, left.members[0].1), (None, None));
        assert_eq!(
            groups.delete(vec![ids[3].clone(), ids[0].clone()]).await,
            [Ok(()), Err(GroupError::GroupIdNotFound)]
        );
        assert_eq!(groups.list(ListFilter::default()).await.groups, vec![]);
        broker.stop().await;
    });
}
