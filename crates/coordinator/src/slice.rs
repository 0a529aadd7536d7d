//! A slice: the groups of one partition of `__consumer_offsets`, with one timer for all of them.
//!
//! Pure: requests and the present come in, answers and records come out. How a driver uses it:
//!
//! ```text
//! load        replay every record of the log, then loaded()
//! a request   verb(now, ..., &mut effects)  ─▶  append effects.records  ─▶  appended() or append_failed()  ─▶  send answers
//! the timer   on_time(now, &mut effects)    ─▶  the same;  then sleep until next_deadline()
//! now and then  for each of group_ids(): expire(...)
//! ```
//! Verb, append and `appended` are one step without an await, so what a verb decided is still true when it is replayed.
//! Answers, also those of verbs that return them, leave only after everything appended so far is committed.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use ailurus_base::HashMap;
use ailurus_model::PartitionId;

use crate::clock::{Now, Tick};
use crate::config::GroupConfig;
use crate::error::GroupError;
use crate::format::{Record, string_fits};
use crate::group::{Cx, Effects, Group, Joining, Token};
use crate::request::{
    CommitRequest, DescribedGroup, FetchRequest, FetchedTopics, GroupState, HeartbeatRequest, JoinReply, JoinRequest,
    LeaveReply, LeaveRequest, ListFilter, ListedGroup, OffsetDeleteRequest, PartitionErrors, SyncReply, SyncRequest,
};

/// The partition of `__consumer_offsets` that keeps this group, of `partitions` that there are: Kafka's own choice, since
/// tools compute it too. The hash is Java's, over UTF-16 units.
pub fn slice_of(group_id: &str, partitions: i32) -> PartitionId {
    assert!(partitions > 0, "a topic has partitions");
    let hash = group_id.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // The most negative number has no counterpart; Kafka takes it for 0.
    PartitionId(hash.checked_abs().unwrap_or(0) % partitions)
}

/// More protocols than this no client speaks. They are held against each other by name.
const PROTOCOLS_MAX: usize = 100;
/// What one request may store or remove at once, in bytes of records. Each has the names of its group and of its topic, however
/// few bytes the request spends on an entry.
const STORED_BYTES_MAX: usize = 32 << 20;
/// What a record takes beside its names.
const RECORD_BYTES: usize = 64;

/// Whether records of so many partitions of these topics may be written at once.
fn is_storable<'a>(group: &str, topics: impl Iterator<Item = (&'a str, usize)>) -> bool {
    let bytes = topics.map(|(topic, partitions)| partitions * (group.len() + topic.len() + RECORD_BYTES));
    bytes.sum::<usize>() <= STORED_BYTES_MAX
}

/// See the module.
pub struct Slice {
    config: Rc<GroupConfig>,
    groups: HashMap<Rc<str>, Slot>,
    /// When each group next wants the time, at the latest; never later than its next deadline.
    timers: BTreeSet<(Tick, Rc<str>)>,
    /// The place of the next offset that is committed or read.
    next_place: u64,
    /// What the members of all groups of the shard take in memory, in bytes.
    held: Rc<Cell<u64>>,
}

struct Slot {
    group: Group,
    /// Its part of `held`.
    bytes: u64,
    /// Its entry in the timers.
    armed: Option<Tick>,
}

impl Slice {
    /// A slice without groups.
    pub fn new(config: Rc<GroupConfig>) -> Self {
        Self::with_held(config, Rc::default())
    }

    /// The same, which counts what its members take together with other slices in `held`.
    pub fn with_held(config: Rc<GroupConfig>, held: Rc<Cell<u64>>) -> Self {
        Slice { config, groups: HashMap::default(), timers: BTreeSet::new(), next_place: 0, held }
    }

    /// JoinGroup. `uuid` is a fresh random number, for the case that the member needs an id. The answer comes under
    /// `token`, perhaps from a later call.
    pub fn join(&mut self, now: Now, token: Token, uuid: u128, request: JoinRequest, effects: &mut Effects) {
        if let Err(error) = self.check_join(&request) {
            effects.join(token, JoinReply::refused(request.member_id, error));
            return;
        }
        let group_id = request.group_id.clone();
        if !self.groups.contains_key(group_id.as_str()) && !request.member_id.is_empty() {
            effects.join(token, JoinReply::refused(request.member_id, GroupError::UnknownMemberId));
            return;
        }
        let name = request.instance_id.as_deref().unwrap_or(&request.client_id);
        let fresh_id = format!("{name}-{}", uuid_text(uuid));
        self.with_group(now, &group_id, effects, |group, cx| group.join(cx, Joining { token, fresh_id, request }));
        self.settle(&group_id);
    }

    fn check_join(&self, request: &JoinRequest) -> Result<(), GroupError> {
        if request.group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let bounds = self.config.min_session_timeout_ms..=self.config.max_session_timeout_ms;
        if !bounds.contains(&request.session_timeout_ms) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        let id_room = |name: &str| name.len() + UUID_SUFFIX_LEN <= i16::MAX as usize;
        let fits = string_fits(&request.group_id)
            && id_room(&request.client_id)
            && request.instance_id.as_deref().is_none_or(id_room)
            && string_fits(&request.client_host)
            && string_fits(&request.protocol_type)
            && request.protocols.len() <= PROTOCOLS_MAX
            && request.protocols.iter().all(|protocol| string_fits(&protocol.name))
            && request.protocols.iter().map(|protocol| protocol.metadata.len()).sum::<usize>() <= METADATA_BYTES_MAX;
        if !fits {
            return Err(GroupError::InvalidRequest);
        }
        let group = self.groups.get(request.group_id.as_str()).map(|slot| &slot.group);
        let more = group.unwrap_or(&Group::new(Rc::from(""))).bytes_added(request);
        if self.has_room(more) { Ok(()) } else { Err(GroupError::GroupMaxSizeReached) }
    }

    fn has_room(&self, more: u64) -> bool {
        more == 0 || self.held.get().saturating_add(more) <= self.config.members_bytes_max
    }

    /// SyncGroup. The answer comes under `token`, perhaps from a later call.
    pub fn sync(&mut self, now: Now, token: Token, request: SyncRequest, effects: &mut Effects) {
        if let Err(error) = self.check_known(&request.group_id) {
            effects.sync(token, SyncReply::refused(error));
            return;
        }
        let group_id = request.group_id.clone();
        let more = self.group(&group_id).assignment_bytes_added(&request);
        if !self.has_room(more) {
            // As for a group that does not fit into a record.
            effects.sync(token, SyncReply::refused(GroupError::UnknownServerError));
            return;
        }
        self.with_group(now, &group_id, effects, |group, cx| group.sync(cx, token, request));
        self.settle(&group_id);
    }

    /// Heartbeat.
    pub fn heartbeat(&mut self, now: Now, request: &HeartbeatRequest, effects: &mut Effects) -> Result<(), GroupError> {
        self.check_known(&request.group_id)?;
        // Not settled: a heartbeat only moves a deadline away, and the timer looks again when it fires.
        self.with_group(now, &request.group_id, effects, |group, cx| group.heartbeat(cx, request))
    }

    /// LeaveGroup.
    pub fn leave(&mut self, now: Now, request: LeaveRequest, effects: &mut Effects) -> LeaveReply {
        let LeaveRequest { group_id, members } = request;
        match self.check_known(&group_id) {
            Err(GroupError::UnknownMemberId) => {
                let unknown = members.into_iter().map(|member| (member, Some(GroupError::UnknownMemberId)));
                return LeaveReply { error: None, members: unknown.collect() };
            }
            Err(error) => return LeaveReply { error: Some(error), members: Vec::new() },
            Ok(()) => {}
        }
        let members = self.with_group(now, &group_id, effects, |group, cx| group.leave(cx, members));
        self.settle(&group_id);
        LeaveReply { error: None, members }
    }

    /// For verbs of members: the group must have a name and be there.
    fn check_known(&self, group_id: &str) -> Result<(), GroupError> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        if self.groups.contains_key(group_id) { Ok(()) } else { Err(GroupError::UnknownMemberId) }
    }

    /// OffsetCommit. The empty group id is allowed: old consumers commit under it.
    pub fn commit(&mut self, now: Now, request: CommitRequest, effects: &mut Effects) -> PartitionErrors {
        let checked = match self.groups.get(request.group_id.as_str()) {
            Some(slot) => slot.group.check_commit(&request),
            None if !string_fits(&request.group_id) => Err(GroupError::InvalidGroupId),
            None if request.generation < 0 => Ok(()),
            // A generation of a group that is not here (any more): the member joins again.
            None => Err(GroupError::IllegalGeneration),
        };
        let topics = request.topics.iter().map(|(topic, partitions)| (topic.as_str(), partitions.len()));
        let storable = is_storable(&request.group_id, topics);
        let checked = checked.and(if storable { Ok(()) } else { Err(GroupError::InvalidCommitOffsetSize) });
        if let Err(error) = checked {
            let refuse = |partition: crate::request::CommitPartition| (partition.partition, Some(error));
            let topics = request.topics.into_iter();
            return topics.map(|(topic, all)| (topic, all.into_iter().map(refuse).collect())).collect();
        }
        let group_id = request.group_id.clone();
        let answer = self.with_group(now, &group_id, effects, |group, cx| group.commit(cx, request));
        // Nothing may have been stored; what has been brings the group back when it is replayed.
        self.forget_if_empty(&group_id);
        answer
    }

    /// OffsetFetch. An unknown group has no offsets, which is no error save for a member of the new protocol.
    pub fn fetch(&self, request: &FetchRequest) -> Result<FetchedTopics, GroupError> {
        match self.groups.get(request.group_id.as_str()) {
            Some(slot) => Ok(slot.group.fetch(request)),
            None if request.member_epoch >= 0 => Err(GroupError::GroupIdNotFound),
            None => Ok(Group::new(Rc::from("")).fetch(request)),
        }
    }

    /// OffsetDelete.
    pub fn delete_offsets(
        &mut self,
        now: Now,
        request: OffsetDeleteRequest,
        effects: &mut Effects,
    ) -> Result<PartitionErrors, GroupError> {
        let group_id = request.group_id.clone();
        self.check_exists(&group_id)?;
        if !is_storable(&group_id, request.topics.iter().map(|(topic, all)| (topic.as_str(), all.len()))) {
            return Err(GroupError::InvalidRequest);
        }
        self.with_group(now, &group_id, effects, |group, cx| group.delete_offsets(cx, request))
    }

    /// DeleteGroups, one of them.
    pub fn delete(&mut self, now: Now, group_id: &str, effects: &mut Effects) -> Result<(), GroupError> {
        self.check_exists(group_id)?;
        self.with_group(now, group_id, effects, |group, cx| group.delete(cx))
    }

    fn check_exists(&self, group_id: &str) -> Result<(), GroupError> {
        if self.groups.contains_key(group_id) { Ok(()) } else { Err(GroupError::GroupIdNotFound) }
    }

    /// DescribeGroups, one of them.
    pub fn describe(&self, group_id: &str) -> DescribedGroup {
        match self.groups.get(group_id) {
            Some(slot) => slot.group.describe(),
            None => DescribedGroup::refused(group_id, GroupError::GroupIdNotFound),
        }
    }

    /// ListGroups, by group id.
    pub fn list(&self, filter: &ListFilter) -> Vec<ListedGroup> {
        let wanted = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        if !wanted(&filter.types, "classic") {
            return Vec::new();
        }
        let groups = self.groups.values().map(|slot| &slot.group);
        // A filter may name more than there are states: each of those is looked up once.
        let mut known = HashMap::default();
        let mut is_wanted =
            |state: GroupState| *known.entry(state.name()).or_insert_with(|| wanted(&filter.states, state.name()));
        let listed = groups.filter(|group| is_wanted(group.state())).map(|group| ListedGroup {
            group_id: group.id().to_string(),
            protocol_type: group.protocol_type().to_owned(),
            state: group.state(),
        });
        let mut listed: Vec<_> = listed.collect();
        listed.sort_by(|one, other| one.group_id.cmp(&other.group_id));
        listed
    }

    /// Tombstones for what has expired in this group.
    pub fn expire(&mut self, now: Now, group_id: &str, effects: &mut Effects) {
        if self.groups.contains_key(group_id) {
            self.with_group(now, group_id, effects, |group, cx| group.expire(cx));
        }
    }

    /// The end of the offsets that are here now, in the order in which they came; for [`Slice::forget_topics`].
    pub fn offsets_end(&self) -> u64 {
        self.next_place
    }

    /// Tombstones for the group's offsets of topics that were deleted when the offsets ended at `before`. What was committed
    /// since stays: it is for a new topic of the same name.
    pub fn forget_topics(
        &mut self,
        now: Now,
        group_id: &str,
        deleted: impl Fn(&str) -> bool,
        before: u64,
        effects: &mut Effects,
    ) {
        if self.groups.contains_key(group_id) {
            self.with_group(now, group_id, effects, |group, cx| group.forget_topics(cx, deleted, before));
        }
    }

    /// Carries out the deadlines that have passed, those of each group once: what they set for this very moment comes with
    /// the next call.
    pub fn on_time(&mut self, now: Now, effects: &mut Effects) {
        let due = self.timers.iter().take_while(|(due, _)| *due <= now.tick);
        let due: Vec<Rc<str>> = due.map(|(_, group_id)| group_id.clone()).collect();
        for group_id in due {
            let slot = self.groups.get_mut(&group_id).expect("a group takes its timer with it");
            let armed = slot.armed.take().expect("a group in the timers is armed");
            self.timers.remove(&(armed, group_id.clone()));
            self.with_group(now, &group_id, effects, |group, cx| group.on_time(cx));
            self.settle(&group_id);
        }
    }

    /// When to call [`Slice::on_time`] at the latest. A call that was not needed does no harm.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// All groups, in no order.
    pub fn group_ids(&self) -> Vec<Rc<str>> {
        self.groups.keys().cloned().collect()
    }

    /// The state of a group; Dead if there is none.
    pub fn state(&self, group_id: &str) -> GroupState {
        self.groups.get(group_id).map_or(GroupState::Dead, |slot| slot.group.state())
    }

    /// The records of a decision are in the log: now they are true. `effects` receives the answers that waited for them.
    pub fn appended(&mut self, now: Now, records: &[Record], effects: &mut Effects) {
        for record in records {
            self.replay(now, record, effects);
        }
        self.settle_all(records);
    }

    /// One record of the log.
    fn replay(&mut self, now: Now, record: &Record, effects: &mut Effects) {
        let config = self.config.clone();
        let mut cx = Cx { now, config: &config, effects };
        match record {
            Record::Group { group, value: None } if !self.groups.contains_key(group.as_str()) => {}
            Record::Offset { group, value: None, .. } if !self.groups.contains_key(group.as_str()) => {}
            Record::Group { group, value } => self.group(group).replay_group(&mut cx, value.as_ref()),
            Record::Offset { group, topic, partition, value } => {
                let place = self.next_place;
                self.next_place += 1;
                self.group(group).replay_offset(topic, *partition, value.as_ref(), place);
            }
        }
    }

    /// A record that was read while the slice loads. Finish with [`Slice::loaded`].
    pub fn load(&mut self, now: Now, record: &Record) {
        let mut effects = Effects::default();
        self.replay(now, record, &mut effects);
        assert!(effects.answers.is_empty() && effects.records.is_empty(), "nobody can wait before the slice is loaded");
    }

    /// The whole log has been read.
    pub fn loaded(&mut self, now: Now, effects: &mut Effects) {
        for group_id in self.group_ids() {
            self.with_group(now, &group_id, effects, |group, cx| group.loaded(cx));
            self.settle(&group_id);
        }
    }

    /// The records of a decision could not be appended. The answers of that decision have to be refused by the driver
    /// ([`crate::Refuse`]); those that wait for the records are refused here.
    pub fn append_failed(&mut self, now: Now, records: &[Record], error: GroupError, effects: &mut Effects) {
        for record in records.iter().filter(|record| matches!(record, Record::Group { .. })) {
            if self.groups.contains_key(record.group()) {
                self.with_group(now, record.group(), effects, |group, cx| group.append_failed(cx, error));
            }
        }
        self.settle_all(records);
    }

    /// Forgets everything: the partition leads elsewhere now. All that is parked is answered with `error`.
    pub fn close(mut self, error: GroupError) -> Effects {
        let mut effects = Effects::default();
        for slot in self.groups.values_mut() {
            slot.group.abandon(&mut effects, error);
        }
        effects
    }

    fn group(&mut self, group_id: &str) -> &mut Group {
        if !self.groups.contains_key(group_id) {
            let id: Rc<str> = Rc::from(group_id);
            self.groups.insert(id.clone(), Slot { group: Group::new(id), bytes: 0, armed: None });
        }
        &mut self.groups.get_mut(group_id).expect("it is there now").group
    }

    fn with_group<R>(
        &mut self,
        now: Now,
        group_id: &str,
        effects: &mut Effects,
        verb: impl FnOnce(&mut Group, &mut Cx<'_>) -> R,
    ) -> R {
        let config = self.config.clone();
        verb(self.group(group_id), &mut Cx { now, config: &config, effects })
    }

    fn settle_all(&mut self, records: &[Record]) {
        let mut last = None;
        for group_id in records.iter().map(Record::group) {
            if last != Some(group_id) {
                self.settle(group_id);
                last = Some(group_id);
            }
        }
    }

    /// Arms the group's timer for its next deadline, and forgets a group in which there is nothing.
    fn settle(&mut self, group_id: &str) {
        let Some(slot) = self.groups.get_mut(group_id) else { return };
        let wanted = slot.group.next_deadline();
        if wanted != slot.armed {
            let id = slot.group.id().clone();
            if let Some(before) = slot.armed {
                self.timers.remove(&(before, id.clone()));
            }
            slot.armed = wanted;
            self.timers.extend(wanted.map(|due| (due, id)));
        }
        let bytes = slot.group.members_bytes();
        self.held.set(self.held.get() + bytes - slot.bytes);
        slot.bytes = bytes;
        self.forget_if_empty(group_id);
    }

    fn forget_if_empty(&mut self, group_id: &str) {
        if self.groups.get(group_id).is_some_and(|slot| slot.group.is_forgettable()) {
            let slot = self.groups.remove(group_id);
            let slot = slot.expect("it was there just now");
            assert!(slot.armed.is_none(), "a group in which nobody is has no deadline");
            self.held.set(self.held.get() - slot.bytes);
        }
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        let bytes: u64 = self.groups.values().map(|slot| slot.bytes).sum();
        self.held.set(self.held.get() - bytes);
    }
}

/// What one member may say of itself, over all its protocols. It stays in memory as long as the member does, and Kafka's
/// own limit for the record of a whole group is of this size.
const METADATA_BYTES_MAX: usize = 1 << 20;

/// `-` and a UUID.
const UUID_SUFFIX_LEN: usize = 37;

/// A random UUID (version 4) as text.
fn uuid_text(random: u128) -> String {
    let version_4 = (random & !(0xf << 76)) | (0x4 << 76);
    let variant_1 = (version_4 & !(0x3 << 62)) | (0x2 << 62);
    let hex = format!("{variant_1:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_lies_where_kafka_looks_for_it() {
        // Java: "hello".hashCode() is 99162322; "polygenelubricants".hashCode() is Integer.MIN_VALUE; the next is negative.
        assert_eq!(slice_of("", 50), PartitionId(0));
        assert_eq!(slice_of("hello", 50), PartitionId(22));
        assert_eq!(slice_of("polygenelubricants", 50), PartitionId(0));
        assert_eq!(slice_of("my-group", 50), PartitionId((-1906497762i32).abs() % 50));
        // Two UTF-16 units.
        assert_eq!(slice_of("𝄞", i32::MAX), PartitionId(0xd834 * 31 + 0xdd1e));
    }

    #[test]
    fn a_uuid_looks_like_one() {
        assert_eq!(uuid_text(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid_text(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid_text(u128::MAX).len() + 1, UUID_SUFFIX_LEN);
    }

    #[test]
    fn members_of_all_slices_share_their_memory() {
        let now = Now { tick: Tick(0), unix_ms: 0 };
        let config =
            GroupConfig { members_bytes_max: 100_000, initial_rebalance_delay_ms: 0, ..GroupConfig::default() };
        let (config, held) = (Rc::new(config), Rc::new(Cell::new(0)));
        let slices = [0, 1].map(|_| Slice::with_held(config.clone(), held.clone()));
        let [mut one, mut other] = slices;
        let join = |slice: &mut Slice, group: &str, id: &str, bytes: usize| {
            let metadata = vec![0; bytes].into();
            let request = JoinRequest {
                group_id: group.to_owned(),
                member_id: id.to_owned(),
                session_timeout_ms: 10_000,
                protocol_type: "consumer".to_owned(),
                protocols: vec![crate::request::Protocol { name: "range".to_owned(), metadata }],
                ..JoinRequest::default()
            };
            let mut effects = Effects::default();
            slice.join(now, Token(0), 1, request, &mut effects);
            match effects.answers.pop() {
                Some((_, crate::Answer::Join(reply))) => (reply.error, reply.member_id),
                other => unreachable!("a join without delay is answered: {other:?}"),
            }
        };
        let full = Some(GroupError::GroupMaxSizeReached);
        let (error, id) = join(&mut one, "g", "", 60_000);
        assert_eq!(error, None);
        assert_eq!(join(&mut other, "h", "", 60_000).0, full, "the slices count together");
        assert_eq!(join(&mut one, "g", &id, 60_000).0, None, "a member says the same again");
        assert_eq!(join(&mut one, "g", &id, 120_000).0, full);
        let sync = |bytes: usize| SyncRequest {
            group_id: "g".to_owned(),
            generation: 1,
            member_id: id.clone(),
            assignments: vec![(id.clone(), vec![0; bytes].into())],
            ..SyncRequest::default()
        };
        let mut effects = Effects::default();
        one.sync(now, Token(1), sync(60_000), &mut effects);
        assert!(effects.records.is_empty(), "no room for the assignment");
        one.sync(now, Token(2), sync(1_000), &mut effects);
        one.appended(now, &std::mem::take(&mut effects.records), &mut effects);
        assert!(held.get() > 61_000 && held.get() < 70_000, "{} bytes", held.get());
        drop(one);
        assert_eq!(held.get(), 0);
        assert_eq!(join(&mut other, "h", "", 60_000).0, None);
    }

    #[test]
    fn a_short_request_stores_no_thousandfold() {
        let now = Now { tick: Tick(0), unix_ms: 0 };
        let (mut slice, mut effects) = (Slice::new(Rc::default()), Effects::default());
        let long = "x".repeat(i16::MAX as usize);
        let mut commit = |group: &str, count: usize| {
            let partition = |_| crate::request::CommitPartition {
                partition: 0,
                offset: 1,
                leader_epoch: -1,
                metadata: String::new(),
            };
            let topics = vec![("t".to_owned(), (0..count).map(partition).collect())];
            let request = CommitRequest { group_id: group.to_owned(), generation: -1, topics, ..Default::default() };
            slice.commit(now, request, &mut effects)[0].1[0].1
        };
        assert_eq!(commit(&long, 1000), None);
        assert_eq!(commit(&long, 1030), Some(GroupError::InvalidCommitOffsetSize));
        assert_eq!(commit("g", 100_000), None, "who has many partitions has short names");
        let records = std::mem::take(&mut effects.records);
        assert_eq!(records.len(), 101_000);
        slice.appended(now, &records, &mut effects);
        let mut delete = |count| {
            let topics = vec![("t".to_owned(), vec![0; count])];
            let request = OffsetDeleteRequest { group_id: long.clone(), topics };
            slice.delete_offsets(now, request, &mut effects).err()
        };
        assert_eq!((delete(1000), delete(1030)), (None, Some(GroupError::InvalidRequest)));
    }

    #[test]
    fn strings_that_no_record_can_hold_are_refused() {
        let now = Now { tick: Tick(0), unix_ms: 0 };
        let mut slice = Slice::new(Rc::default());
        let mut effects = Effects::default();
        let (long, longer) = ("x".repeat(i16::MAX as usize - UUID_SUFFIX_LEN), "x".repeat(i16::MAX as usize + 1));
        let join = |group: &str, client: &str| JoinRequest {
            group_id: group.to_owned(),
            client_id: client.to_owned(),
            session_timeout_ms: 10_000,
            protocol_type: "consumer".to_owned(),
            protocols: vec![crate::request::Protocol { name: "range".to_owned(), metadata: Default::default() }],
            requires_known_member_id: true,
            ..JoinRequest::default()
        };
        slice.join(now, Token(0), 1, join("g", &long), &mut effects);
        slice.join(now, Token(1), 2, join("g", &(long + "x")), &mut effects);
        slice.join(now, Token(2), 3, join(&longer, "c"), &mut effects);
        for (token, protocols) in [(3, PROTOCOLS_MAX), (4, PROTOCOLS_MAX + 1)] {
            let name = |n| crate::request::Protocol { name: format!("{n}"), metadata: Default::default() };
            let many = JoinRequest { protocols: (0..protocols).map(name).collect(), ..join("g", "c") };
            slice.join(now, Token(token), 4, many, &mut effects);
        }
        let error = |answer: &crate::Answer| match answer {
            crate::Answer::Join(reply) => reply.error,
            crate::Answer::Sync(_) => unreachable!("nobody synced"),
        };
        let errors: Vec<_> = effects.answers.iter().map(|(_, answer)| error(answer)).collect();
        let refused = Some(GroupError::InvalidRequest);
        let asked = Some(GroupError::MemberIdRequired);
        assert_eq!(errors, [asked, refused, refused, asked, refused]);

        let partition =
            crate::request::CommitPartition { partition: 0, offset: 1, leader_epoch: -1, metadata: String::new() };
        let commit = |group: &str, topic: &str| CommitRequest {
            group_id: group.to_owned(),
            generation: -1,
            topics: vec![(topic.to_owned(), vec![partition.clone()])],
            ..CommitRequest::default()
        };
        let mut effects = Effects::default();
        assert_eq!(slice.commit(now, commit("h", &longer), &mut effects)[0].1, [(0, refused)]);
        assert_eq!(slice.commit(now, commit(&longer, "t"), &mut effects)[0].1, [(0, Some(GroupError::InvalidGroupId))]);
        assert!(effects.records.is_empty());
        assert_eq!(slice.state("h"), GroupState::Dead);
    }
}
