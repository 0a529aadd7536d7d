//! What the faces use: the groups of the whole broker, from any shard.
//!
//! Each request goes to the shard that owns the group's slice, once per shard and request; who waits (a join, a sync, a
//! commit on its way to the disk) waits there. Dropping the future of a request leaves it parked; the next one of the same
//! member takes its place.

use std::collections::BTreeMap;
use std::rc::Rc;

use ailurus_cluster::Cluster;
use ailurus_model::{PartitionId, ShardId};
use ailurus_rt::{Lane, Sharded};

use crate::clock::Now;
use crate::coordinator::Coordinator;
use crate::driver::SliceDriver;
use crate::error::GroupError;
use crate::group::{Answer, Effects};
use crate::request::{
    CommitRequest, DescribedGroup, FetchRequest, FetchedTopics, HeartbeatRequest, JoinReply, JoinRequest, LeaveReply,
    LeaveRequest, ListFilter, ListedGroup, OffsetDeleteRequest, PartitionErrors, Refuse, SyncReply, SyncRequest,
};
use crate::slice::Slice;

/// See the module. A handle: copied freely, usable on any shard.
#[derive(Clone, Copy)]
pub struct Groups {
    parts: Sharded<Coordinator>,
}

/// The answer to ListGroups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListReply {
    /// Some groups are missing: their slices are not loaded.
    pub error: Option<GroupError>,
    /// By group id.
    pub groups: Vec<ListedGroup>,
}

impl Groups {
    /// Starts the coordinator on every shard. It takes up each slice as soon as its partition leads there.
    pub async fn start(cluster: Sharded<Cluster>) -> Self {
        let parts = Sharded::start(move |_| Coordinator::new(cluster.local())).await;
        parts.map(Lane::Cluster, |part: &Rc<Coordinator>| part.start()).await;
        Groups { parts }
    }

    /// Answers all who wait with NOT_COORDINATOR and ends the coordinator. Before the cluster is stopped.
    pub async fn stop(self) {
        self.parts.map_async(Lane::Cluster, |part: Rc<Coordinator>| async move { part.close().await }).await;
        self.parts.stop().await;
    }

    /// The shard that coordinates this group, for FindCoordinator; `None` while there is none (also: while there is no
    /// `__consumer_offsets`).
    pub fn coordinator_of(&self, group_id: &str) -> Option<ShardId> {
        let part = self.parts.local();
        let partition = part.partition_of(group_id)?;
        part.cluster().leader(partition)?;
        part.cluster().shard_of(partition)
    }

    /// JoinGroup. Waits for the other members.
    pub async fn join(&self, request: JoinRequest) -> JoinReply {
        let member_id = request.member_id.clone();
        let group_id = request.group_id.clone();
        let answer = self.on_slice(&group_id, move |slice| async move {
            let uuid = ailurus_rt::random_u128();
            slice.ask_parked(|slice, now, token, effects| slice.join(now, token, uuid, request, effects)).await
        });
        match answer.await {
            Ok(Answer::Join(reply)) => reply,
            Ok(Answer::Sync(_)) => unreachable!("a join is answered as a join"),
            Err(error) => JoinReply::refused(member_id, error),
        }
    }

    /// SyncGroup. Waits for the leader's assignment.
    pub async fn sync(&self, request: SyncRequest) -> SyncReply {
        let group_id = request.group_id.clone();
        let answer = self.on_slice(&group_id, move |slice| async move {
            slice.ask_parked(|slice, now, token, effects| slice.sync(now, token, request, effects)).await
        });
        match answer.await {
            Ok(Answer::Sync(reply)) => reply,
            Ok(Answer::Join(_)) => unreachable!("a sync is answered as a sync"),
            Err(error) => SyncReply::refused(error),
        }
    }

    /// Heartbeat.
    ///
    /// # Errors
    /// What to tell the member.
    pub async fn heartbeat(&self, request: HeartbeatRequest) -> Result<(), GroupError> {
        let group_id = request.group_id.clone();
        // Waits for no commit: it says nothing that would have to last.
        let heartbeat = move |slice: Rc<SliceDriver>| async move {
            slice.carry_out(|slice, now, effects| slice.heartbeat(now, &request, effects))?
        };
        self.on_slice(&group_id, heartbeat).await
    }

    /// LeaveGroup.
    pub async fn leave(&self, request: LeaveRequest) -> LeaveReply {
        let group_id = request.group_id.clone();
        let leave = move |slice: Rc<SliceDriver>| async move {
            slice.ask(|slice, now, effects| slice.leave(now, request, effects)).await
        };
        let reply = self.on_slice(&group_id, leave).await;
        reply.unwrap_or_else(|error| LeaveReply { error: Some(error), members: Vec::new() })
    }

    /// OffsetCommit. The caller has refused what names topics or partitions that do not exist.
    pub async fn commit(&self, request: CommitRequest) -> PartitionErrors {
        let mut refused: PartitionErrors = Vec::with_capacity(request.topics.len());
        for (topic, partitions) in &request.topics {
            refused.push((topic.clone(), partitions.iter().map(|partition| (partition.partition, None)).collect()));
        }
        let group_id = request.group_id.clone();
        let checked_at = self.parts.local().cluster().state().revision();
        let commit = move |part: Rc<Coordinator>, slice: Rc<SliceDriver>| async move {
            part.until_commit(checked_at).await?;
            slice.ask(|slice, now, effects| slice.commit(now, request, effects)).await
        };
        self.on_part(&group_id, commit).await.unwrap_or_else(|error| {
            refused.refuse(error);
            refused
        })
    }

    /// OffsetFetch, for several groups; the answers in the order of the requests.
    pub async fn fetch(&self, requests: Vec<FetchRequest>) -> Vec<Result<FetchedTopics, GroupError>> {
        self.scatter(requests, |request| &request.group_id, |slice, request, _, _| slice.fetch(request)).await
    }

    /// OffsetDelete.
    ///
    /// # Errors
    /// The whole request is refused.
    pub async fn delete_offsets(&self, request: OffsetDeleteRequest) -> Result<PartitionErrors, GroupError> {
        let group_id = request.group_id.clone();
        let delete = move |slice: Rc<SliceDriver>| async move {
            slice.ask(|slice, now, effects| slice.delete_offsets(now, request, effects)).await?
        };
        self.on_slice(&group_id, delete).await
    }

    /// DeleteGroups; the answers in the order of the ids.
    pub async fn delete(&self, group_ids: Vec<String>) -> Vec<Result<(), GroupError>> {
        let delete = |slice: &mut Slice, id: &String, now: Now, effects: &mut Effects| slice.delete(now, id, effects);
        self.scatter(group_ids, |group_id| group_id, delete).await
    }

    /// DescribeGroups; the answers in the order of the ids.
    pub async fn describe(&self, group_ids: Vec<String>) -> Vec<DescribedGroup> {
        let describe = |slice: &mut Slice, id: &String, _: Now, _: &mut Effects| Ok(slice.describe(id));
        let described = self.scatter(group_ids.clone(), |group_id| group_id, describe).await;
        let described = described.into_iter().zip(group_ids);
        described.map(|(group, id)| group.unwrap_or_else(|error| DescribedGroup::refused(id, error))).collect()
    }

    /// ListGroups: the groups of all shards.
    pub async fn list(&self, filter: ListFilter) -> ListReply {
        let list = move |part: &Rc<Coordinator>| listed(part, &filter);
        reply(self.parts.map(Lane::Kafka, list).await.into_iter().flatten())
    }

    /// ListGroups: the groups of this shard.
    pub fn list_here(&self, filter: &ListFilter) -> ListReply {
        reply(listed(&self.parts.local(), filter).into_iter())
    }

    /// Bytes of the log that were read to load the slices that this shard serves now.
    pub fn loaded_bytes(&self) -> u64 {
        self.parts.local().slices().iter().map(|slice| slice.loaded_bytes()).sum()
    }

    /// Where the group's slice is.
    fn place_of(&self, group_id: &str) -> Result<(ShardId, PartitionId), GroupError> {
        let part = self.parts.local();
        let partition = part.partition_of(group_id).ok_or(GroupError::CoordinatorNotAvailable)?;
        let shard = part.cluster().shard_of(partition).ok_or(GroupError::NotCoordinator)?;
        Ok((shard, partition.partition))
    }

    /// Runs `ask` on the slice of the group, where it is.
    async fn on_slice<R, F>(
        &self,
        group_id: &str,
        ask: impl FnOnce(Rc<SliceDriver>) -> F + Send + 'static,
    ) -> Result<R, GroupError>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, GroupError>> + 'static,
    {
        self.on_part(group_id, |_, slice| ask(slice)).await
    }

    /// The same with the shard's part of the coordinator.
    async fn on_part<R, F>(
        &self,
        group_id: &str,
        ask: impl FnOnce(Rc<Coordinator>, Rc<SliceDriver>) -> F + Send + 'static,
    ) -> Result<R, GroupError>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, GroupError>> + 'static,
    {
        let (shard, slice) = self.place_of(group_id)?;
        let ask = move |part: Rc<Coordinator>| async move {
            let slice = part.slice(slice).ok_or(GroupError::NotCoordinator)?;
            ask(part, slice).await
        };
        self.parts.on_async(shard, Lane::Kafka, ask).await
    }

    /// Carries out `verb` for each item on the slice of its group, with one crossing per shard and without waiting between
    /// them; the answers in the items' order.
    async fn scatter<T, R>(
        &self,
        items: Vec<T>,
        group_of: impl Fn(&T) -> &String,
        verb: impl Fn(&mut Slice, &T, Now, &mut Effects) -> Result<R, GroupError> + Copy + Send + 'static,
    ) -> Vec<Result<R, GroupError>>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        let mut answers: Vec<Option<Result<R, GroupError>>> = items.iter().map(|_| None).collect();
        let mut by_shard: BTreeMap<ShardId, Vec<(usize, PartitionId, T)>> = BTreeMap::new();
        for (at, item) in items.into_iter().enumerate() {
            match self.place_of(group_of(&item)) {
                Ok((shard, slice)) => by_shard.entry(shard).or_default().push((at, slice, item)),
                Err(error) => answers[at] = Some(Err(error)),
            }
        }
        let call = |(shard, items)| self.parts.on_async(shard, Lane::Kafka, move |part| ask_all(part, items, verb));
        // All are under way before the first is waited for.
        let calls: Vec<_> = by_shard.into_iter().map(call).collect();
        for call in calls {
            for (at, answer) in call.await {
                answers[at] = Some(answer);
            }
        }
        answers.into_iter().map(|answer| answer.expect("every item was asked for")).collect()
    }
}

/// What each slice of a shard lists.
fn listed(part: &Coordinator, filter: &ListFilter) -> Vec<Result<Vec<ListedGroup>, GroupError>> {
    part.slices().iter().map(|slice| slice.look(|slice: &Slice| slice.list(filter))).collect()
}

fn reply(listed: impl Iterator<Item = Result<Vec<ListedGroup>, GroupError>>) -> ListReply {
    let mut reply = ListReply { error: None, groups: Vec::new() };
    for listed in listed {
        match listed {
            Ok(groups) => reply.groups.extend(groups),
            // A slice that leads elsewhere is that broker's to list.
            Err(GroupError::NotCoordinator) => {}
            Err(error) => reply.error = Some(error),
        }
    }
    reply.groups.sort_by(|one, other| one.group_id.cmp(&other.group_id));
    reply
}

/// All verbs first, then all commits: many groups of a slice share a flush.
async fn ask_all<T, R>(
    part: Rc<Coordinator>,
    items: Vec<(usize, PartitionId, T)>,
    verb: impl Fn(&mut Slice, &T, Now, &mut Effects) -> Result<R, GroupError>,
) -> Vec<(usize, Result<R, GroupError>)> {
    let mut asked = Vec::with_capacity(items.len());
    for (at, slice, item) in items {
        let slice = part.slice(slice);
        let answer = match &slice {
            Some(slice) => slice.carry_out(|slice, now, effects| verb(slice, &item, now, effects)).flatten(),
            None => Err(GroupError::NotCoordinator),
        };
        asked.push((at, slice, answer));
    }
    let mut answers = Vec::with_capacity(asked.len());
    for (at, slice, mut answer) in asked {
        if let Some(slice) = slice {
            slice.settle(&mut answer).await;
        }
        answers.push((at, answer));
    }
    answers
}
