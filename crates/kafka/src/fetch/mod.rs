//! Fetch: plan by shard, one crossing each (more while several wait), wait at the owners, answer head and batch slices in
//! one vectored write.
//!
//! With one owner, the owner waits. With several, each waits for its share and the first that has something ends the
//! wait of the others, so nobody polls and nobody answers late. Nothing is read before all together have enough.
//!
//! A fetch that waits has let go of its frame. What it keeps is its own and has memory granted to it.

pub(crate) mod owner;
pub(crate) mod session;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ailurus_cluster::Cluster;
use ailurus_model::{PartitionId, ShardId, TopicIdPartition};
use ailurus_rt::{self as rt, Foreign, Instant, Lane, Permit};
use ailurus_wire::fetch::{
    AbortedTransaction, EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use ailurus_wire::{ErrorCode, Records, Str, TopicId};

use crate::dispatch::Request;
use crate::server::KafkaShard;
use owner::{OwnerFetch, PartitionRead, Waiting};
use session::{Asked, Fetchable, Key, Told, TopicKey, Wish};

/// read_committed
const READ_COMMITTED: i8 = 1;

/// What a fetch keeps for each of its partitions while it waits, besides the topic's name: the wish here and at the
/// owner, the place in the plan, the answer to come.
const KEPT_PER_PARTITION: u64 = 512;

/// How long a fetch waits that found no memory to wait with: long enough for its client not to ask without pause.
const WAIT_WITHOUT_MEMORY: Duration = Duration::from_millis(100);

/// How long such a fetch stays behind others of its connection whose answers are not sent.
const STAY_WITHOUT_MEMORY: Duration = Duration::from_secs(5);

/// One partition of the plan.
struct Item {
    key: Key,
    target: Result<TopicIdPartition, ErrorCode>,
    wish: Wish,
}

/// A part of a fetch that waits at another shard, known there by who asked and a number of his.
pub(crate) type WaitKey = (ShardId, u64);

/// Nothing if the connection is to be closed: there is no memory for a fetch that stands behind others.
pub(crate) async fn fetch(request: &mut Request, body: FetchRequest) -> Option<FetchResponse> {
    let shard = request.shard.clone();
    let limits = Limits::of(&body, shard.settings().fetch_max_bytes as usize);
    let read_committed = body.isolation_level == READ_COMMITTED;
    let begun = begin(&shard, request.version(), body);
    let fetchable = match begun {
        Ok(fetchable) => fetchable,
        Err(error_code) => return Some(FetchResponse { error_code, ..Default::default() }),
    };
    let items = plan(&shard.cluster, &fetchable);
    let bytes = request.client_id().len() as u64 + kept_bytes(&items);
    let kept = shard.admission().for_waits().try_acquire(bytes);
    let limits = if kept.is_some() { limits } else { limits.waiting_at_most(WAIT_WITHOUT_MEMORY) };
    let stay = if kept.is_some() { Duration::MAX } else { STAY_WITHOUT_MEMORY };
    request.keep_of_frame(bytes, kept);
    request.end_turn();
    // Nothing is read for one whose client does not even take the answers before it.
    rt::timeout(stay, request.until_next()).await.ok()?;
    let (reads, held) = read_at_owners(&shard, &items, limits).await;
    request.hold(held);
    Some(respond(&shard, &fetchable, &items, trimmed(reads, limits.max_bytes), read_committed))
}

/// How much is to be answered, and how long to wait for how much.
#[derive(Clone, Copy)]
struct Limits {
    min_bytes: u64,
    max_bytes: usize,
    wait: Duration,
}

impl Limits {
    fn of(body: &FetchRequest, most: usize) -> Self {
        let max_bytes = (body.max_bytes.max(0) as usize).min(most);
        let min_bytes = (body.min_bytes.max(0) as u64).min(max_bytes as u64);
        let wait = Duration::from_millis(u64::try_from(body.max_wait_ms).unwrap_or(0));
        Limits { min_bytes, max_bytes, wait }
    }

    fn waiting_at_most(self, most: Duration) -> Self {
        Limits { wait: self.wait.min(most), ..self }
    }
}

/// Takes the request in. Of its frame nothing is kept.
fn begin(shard: &KafkaShard, version: i16, body: FetchRequest) -> Result<Fetchable, ErrorCode> {
    let asked = Asked { id: body.session_id, epoch: if version < 7 { -1 } else { body.session_epoch } };
    let new_id = || (rt::random_u64() & i32::MAX as u64) as i32;
    let (wishes, forgotten) = wishes(&body, version >= 13);
    shard.sessions.borrow_mut().begin(asked, wishes, &forgotten, rt::now(), new_id)
}

/// The names of the wishes are no slices of the frame; those that are forgotten are soon gone.
fn wishes(body: &FetchRequest, by_id: bool) -> (Vec<(Key, Wish)>, Vec<Key>) {
    let topic_key = |name: Str, id: TopicId| if by_id { TopicKey::Id(id) } else { TopicKey::Name(name) };
    let mut wishes = Vec::new();
    for topic in &body.topics {
        let topic_key = topic_key(topic.topic.detached(), topic.topic_id);
        wishes.extend(topic.partitions.iter().map(|partition| {
            let wish = Wish {
                offset: partition.fetch_offset,
                max_bytes: partition.partition_max_bytes,
                current_leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
            };
            ((topic_key.clone(), partition.partition), wish)
        }));
    }
    let forgotten = body.forgotten_topics_data.iter().flat_map(|topic| {
        let topic_key = topic_key(topic.topic.clone(), topic.topic_id);
        topic.partitions.iter().map(move |partition| (topic_key.clone(), *partition))
    });
    (wishes, forgotten.collect())
}

/// What a fetch of these keeps while it waits.
fn kept_bytes(items: &[Item]) -> u64 {
    let mut last = None;
    let bytes = |item: &Item| {
        // The partitions of a topic share its name.
        let name = match &item.key.0 {
            TopicKey::Name(name) if last.replace(name.as_ptr()) != Some(name.as_ptr()) => name.len(),
            TopicKey::Name(_) | TopicKey::Id(_) => 0,
        };
        KEPT_PER_PARTITION + name as u64
    };
    items.iter().map(bytes).sum()
}

fn plan(cluster: &Cluster, fetchable: &Fetchable) -> Vec<Item> {
    let state = cluster.state();
    let item = |(key, wish): &(Key, Wish)| {
        let (topic, unknown) = match &key.0 {
            TopicKey::Name(name) => (state.topic(name), ErrorCode::UnknownTopicOrPartition),
            TopicKey::Id(id) => (state.topic_by_id(*id), ErrorCode::UnknownTopicId),
        };
        let target = match topic {
            None => Err(unknown),
            Some(topic) if !(0..topic.partitions.len() as i32).contains(&key.1) => {
                Err(ErrorCode::UnknownTopicOrPartition)
            }
            Some(topic) => Ok(topic.partition(PartitionId(key.1))),
        };
        Item { key: key.clone(), target, wish: *wish }
    };
    fetchable.partitions.iter().map(item).collect()
}

/// The places of the items that each shard owns.
fn by_owner(cluster: &Cluster, items: &[Item]) -> BTreeMap<ShardId, Vec<usize>> {
    let mut owners: BTreeMap<ShardId, Vec<usize>> = BTreeMap::new();
    for (place, item) in items.iter().enumerate() {
        if let Ok(target) = item.target {
            // Without an owner yet, the shard at hand answers that it does not lead it.
            let owner = cluster.shard_of(target).unwrap_or_else(rt::this_shard);
            owners.entry(owner).or_default().push(place);
        }
    }
    owners
}

async fn read_at_owners(
    shard: &Rc<KafkaShard>,
    items: &[Item],
    limits: Limits,
) -> (Vec<PartitionRead>, Vec<Foreign<Permit>>) {
    let refused = |item: &Item| item.target.err().unwrap_or(ErrorCode::NotLeaderOrFollower);
    let mut reads: Vec<PartitionRead> = items.iter().map(|item| PartitionRead::failed(refused(item))).collect();
    let owners = by_owner(&shard.cluster, items);
    // Something to tell already: nobody waits.
    let Limits { mut min_bytes, max_bytes, mut wait } = limits;
    if items.iter().any(|item| item.target.is_err()) {
        wait = Duration::ZERO;
    }
    if owners.is_empty() {
        // A session without partitions still waits as long as it said, or its client would ask without pause.
        rt::sleep(wait).await;
        return (reads, Vec::new());
    }
    if owners.len() > 1 && min_bytes > 1 {
        let deadline = rt::now() + wait;
        wait_at_owners(shard, items, &owners, min_bytes, deadline).await;
        (min_bytes, wait) = (1, deadline - rt::now());
    }
    let call = |(owner, places): (&ShardId, &Vec<usize>)| {
        let max_bytes = share_of(max_bytes, places.len(), items.len());
        let fetch = OwnerFetch { partitions: wanted(items, places), min_bytes, max_bytes, wait };
        let read = move |owner: Rc<KafkaShard>, waiting: Rc<Waiting>| async move {
            owner::fetch_here(&owner, fetch, &waiting).await
        };
        OwnerCall::start(shard, *owner, read)
    };
    let got = first_ends_the_others(owners.iter().map(call).collect()).await;
    let mut held = Vec::new();
    for (places, read) in owners.into_values().zip(got) {
        held.extend(read.held);
        for (place, read) in places.into_iter().zip(read.partitions) {
            reads[place] = read;
        }
    }
    (reads, held)
}

/// What is wanted of the partitions at `places`.
fn wanted(items: &[Item], places: &[usize]) -> Vec<(TopicIdPartition, Wish)> {
    let wanted = |place: &usize| (items[*place].target.expect("owned ones have a target"), items[*place].wish);
    places.iter().map(wanted).collect()
}

/// Waits until all owners together have `min_bytes`, or one has something to tell, until `deadline`.
async fn wait_at_owners(
    shard: &Rc<KafkaShard>,
    items: &[Item],
    owners: &BTreeMap<ShardId, Vec<usize>>,
    min_bytes: u64,
    deadline: Instant,
) {
    let count = owners.len() as u64;
    let mut floors = vec![min_bytes.div_ceil(count); owners.len()];
    loop {
        let call = |((owner, places), floor): ((&ShardId, &Vec<usize>), &u64)| {
            let partitions = wanted(items, places);
            let fetch = OwnerFetch { partitions, min_bytes: *floor, max_bytes: 0, wait: deadline - rt::now() };
            let look = move |owner: Rc<KafkaShard>, waiting: Rc<Waiting>| async move {
                owner::wait_here(&owner.cluster, fetch, &waiting).await
            };
            OwnerCall::start(shard, *owner, look)
        };
        let got = first_ends_the_others(owners.iter().zip(&floors).map(call).collect()).await;
        let available: u64 = got.iter().map(|standing| standing.available).sum();
        if available >= min_bytes || rt::now() >= deadline || got.iter().any(|standing| standing.urgent) {
            return;
        }
        // One owner had its share, all together do not: each waits for its part of what is missing.
        let missing = (min_bytes - available).div_ceil(count);
        floors = got.iter().map(|standing| standing.available + missing).collect();
    }
}

/// An owner's part of the limit, by its part of the partitions.
fn share_of(limit: usize, partitions: usize, all: usize) -> usize {
    if partitions == all { limit } else { (limit as u128 * partitions as u128 / all as u128) as usize }
}

/// A call to one owner; ends the owner's wait when it is dropped before it is answered.
struct OwnerCall<R> {
    shard: Rc<KafkaShard>,
    owner: ShardId,
    key: WaitKey,
    call: Option<rt::Call<R>>,
}

impl<R> OwnerCall<R> {
    /// Carries out `work` at the owner, with a wait that can be ended from here.
    fn start<F: Future<Output = R> + 'static>(
        shard: &Rc<KafkaShard>,
        owner: ShardId,
        work: impl FnOnce(Rc<KafkaShard>, Rc<Waiting>) -> F + Send + 'static,
    ) -> Self
    where
        R: Send + 'static,
    {
        let key = (rt::this_shard(), shard.next_wait());
        let body = move |owner: Rc<KafkaShard>| async move {
            let answer = work(owner.clone(), owner.enter_wait(key)).await;
            owner.leave_wait(key);
            answer
        };
        let call = shard.sharded().on_async(owner, Lane::Kafka, body);
        OwnerCall { shard: shard.clone(), owner, key, call: Some(call) }
    }

    fn end_wait(&self) {
        let key = self.key;
        let _nothing_to_wait_for =
            self.shard.sharded().on(self.owner, Lane::Kafka, move |owner: &Rc<KafkaShard>| owner.end_wait(key));
    }

    async fn answer(&mut self) -> R {
        let answer = self.call.as_mut().expect("answered once").await;
        self.call = None;
        answer
    }
}

impl<R> Drop for OwnerCall<R> {
    fn drop(&mut self) {
        if self.call.is_some() {
            self.end_wait();
        }
    }
}

/// Waits for all owners; as soon as one has answered, the others answer with what they have.
async fn first_ends_the_others<R>(mut calls: Vec<OwnerCall<R>>) -> Vec<R> {
    if let [call] = &mut calls[..] {
        return vec![call.answer().await];
    }
    let mut answers: Vec<Option<R>> = calls.iter().map(|_| None).collect();
    let mut ended = false;
    std::future::poll_fn(|context| {
        for (place, call) in calls.iter_mut().enumerate() {
            let Some(pending) = call.call.as_mut() else { continue };
            if let std::task::Poll::Ready(answer) = std::pin::Pin::new(pending).poll(context) {
                answers[place] = Some(answer);
                call.call = None;
            }
        }
        if !ended && calls.iter().any(|call| call.call.is_none()) {
            ended = true;
            calls.iter().filter(|call| call.call.is_some()).for_each(OwnerCall::end_wait);
        }
        match calls.iter().all(|call| call.call.is_none()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    answers.into_iter().map(|answer| answer.expect("all have answered")).collect()
}

/// Keeps the answer within `limit`, in the order of the request: owners read side by side, each within its share, but a
/// first batch may exceed a share. The very first batches stay, however large.
fn trimmed(mut reads: Vec<PartitionRead>, limit: usize) -> Vec<PartitionRead> {
    let mut total = 0;
    for read in &mut reads {
        let bytes: usize = read.batches.iter().map(|batch| batch.len()).sum();
        if total > 0 && total + bytes > limit {
            read.batches.clear();
        } else {
            total += bytes;
        }
    }
    reads
}

fn respond(
    shard: &KafkaShard,
    fetchable: &Fetchable,
    items: &[Item],
    reads: Vec<PartitionRead>,
    read_committed: bool,
) -> FetchResponse {
    let mut response = FetchResponse { session_id: fetchable.session, ..Default::default() };
    let mut sessions = shard.sessions.borrow_mut();
    let mut got_records = Vec::new();
    for (item, read) in items.iter().zip(reads) {
        let told = Told { high_watermark: read.high_watermark, log_start: read.log_start };
        let told = (!read.error.is_error()).then_some(told);
        let news = fetchable.session != 0 && sessions.is_news(fetchable.session, &item.key, told);
        let has_records = !read.batches.is_empty();
        if has_records {
            got_records.push(&item.key);
        }
        if !fetchable.incremental || news || has_records || read.diverging.is_some() || read.error.is_error() {
            push(&mut response, &item.key, partition_data(item.key.1, read, read_committed));
        }
    }
    if fetchable.session != 0 && !got_records.is_empty() {
        let got_records: ailurus_base::HashSet<&Key> = got_records.into_iter().collect();
        sessions.served(fetchable.session, |key| got_records.contains(key));
    }
    response
}

fn push(response: &mut FetchResponse, key: &Key, data: PartitionData) {
    let same_topic = |topic: &FetchableTopicResponse| match &key.0 {
        TopicKey::Name(name) => topic.topic == *name,
        TopicKey::Id(id) => topic.topic_id == *id,
    };
    match response.responses.last_mut().filter(|topic| same_topic(topic)) {
        Some(topic) => topic.partitions.push(data),
        None => {
            let (topic, topic_id) = match &key.0 {
                TopicKey::Name(name) => (name.clone(), TopicId::NONE),
                TopicKey::Id(id) => (Str::new(), *id),
            };
            response.responses.push(FetchableTopicResponse { topic, topic_id, partitions: vec![data] });
        }
    }
}

fn partition_data(partition_index: i32, read: PartitionRead, read_committed: bool) -> PartitionData {
    let diverging = |(epoch, end_offset)| EpochEndOffset { epoch, end_offset };
    PartitionData {
        partition_index,
        error_code: read.error,
        high_watermark: read.high_watermark,
        // Without transactions everything that is committed is stable.
        last_stable_offset: read.high_watermark,
        log_start_offset: read.log_start,
        diverging_epoch: read.diverging.map(diverging).unwrap_or_default(),
        aborted_transactions: read_committed.then(Vec::<AbortedTransaction>::new),
        records: Some(Records::from(read.batches)),
        ..Default::default()
    }
}
