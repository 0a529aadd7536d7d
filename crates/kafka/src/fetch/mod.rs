//! Fetch: plan by shard, one crossing each, wait at the owners, answer head and batch slices in one vectored write.
//!
//! With one owner, the owner waits. With several, each waits for its share and the first that has something ends the
//! wait of the others, so nobody polls and nobody answers late.

pub(crate) mod owner;
pub(crate) mod session;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ailurus_cluster::Cluster;
use ailurus_model::{PartitionId, ShardId, TopicIdPartition};
use ailurus_rt::{self as rt, Foreign, Lane, Permit};
use ailurus_wire::fetch::{
    AbortedTransaction, EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use ailurus_wire::{ErrorCode, Records, Str, TopicId};

use crate::dispatch::Request;
use crate::server::KafkaShard;
use owner::{OwnerFetch, OwnerRead, PartitionRead};
use session::{Asked, Fetchable, Key, Told, TopicKey, Wish};

/// read_committed
const READ_COMMITTED: i8 = 1;

/// One partition of the plan.
struct Item {
    key: Key,
    target: Result<TopicIdPartition, ErrorCode>,
    wish: Wish,
}

/// A part of a fetch that waits at another shard, known there by who asked and a number of his.
pub(crate) type WaitKey = (ShardId, u64);

pub(crate) async fn fetch(request: &mut Request, body: FetchRequest) -> FetchResponse {
    let shard = request.shard.clone();
    let by_id = request.version() >= 13;
    let asked = Asked { id: body.session_id, epoch: if request.version() < 7 { -1 } else { body.session_epoch } };
    let new_id = || (rt::random_u64() & i32::MAX as u64) as i32;
    let (wishes, forgotten) = wishes(&body, by_id);
    let begun = shard.sessions.borrow_mut().begin(asked, wishes, &forgotten, rt::now(), new_id);
    let fetchable = match begun {
        Ok(fetchable) => fetchable,
        Err(error_code) => return FetchResponse { error_code, ..Default::default() },
    };
    let items = plan(&shard.cluster, &fetchable);
    let limit = (body.max_bytes.max(0) as usize).min(shard.settings().fetch_max_bytes as usize);
    let wait = Duration::from_millis(u64::try_from(body.max_wait_ms).unwrap_or(0));
    let min_bytes = (body.min_bytes.max(0) as u64).min(limit as u64);
    request.let_go_of_frame();
    request.end_turn();
    // Nothing is read for one whose client does not even take the answers before it.
    request.until_next().await;
    let (reads, held) = read_at_owners(&shard, &items, min_bytes, limit, wait).await;
    request.hold(held);
    respond(&shard, &fetchable, &items, trimmed(reads, limit), body.isolation_level == READ_COMMITTED)
}

fn wishes(body: &FetchRequest, by_id: bool) -> (Vec<(Key, Wish)>, Vec<Key>) {
    let topic_key = |name: &Str, id: TopicId| if by_id { TopicKey::Id(id) } else { TopicKey::Name(name.clone()) };
    let mut wishes = Vec::new();
    for topic in &body.topics {
        let topic_key = topic_key(&topic.topic, topic.topic_id);
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
        let topic_key = topic_key(&topic.topic, topic.topic_id);
        topic.partitions.iter().map(move |partition| (topic_key.clone(), *partition))
    });
    (wishes, forgotten.collect())
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
    min_bytes: u64,
    limit: usize,
    wait: Duration,
) -> (Vec<PartitionRead>, Vec<Foreign<Permit>>) {
    let refused = |item: &Item| item.target.err().unwrap_or(ErrorCode::NotLeaderOrFollower);
    let mut reads: Vec<PartitionRead> = items.iter().map(|item| PartitionRead::failed(refused(item))).collect();
    let owners = by_owner(&shard.cluster, items);
    // Something to tell already: nobody waits.
    let wait = if items.iter().any(|item| item.target.is_err()) { Duration::ZERO } else { wait };
    if owners.is_empty() {
        // A session without partitions still waits as long as it said, or its client would ask without pause.
        rt::sleep(wait).await;
        return (reads, Vec::new());
    }
    let deadline = rt::now() + wait;
    let count = owners.len() as u64;
    let mut floors = vec![min_bytes.div_ceil(count); owners.len()];
    loop {
        let calls = owners.iter().zip(&floors).map(|((owner, places), floor)| {
            let wanted = |place: &usize| (items[*place].target.expect("owned ones have a target"), items[*place].wish);
            let fetch = OwnerFetch {
                partitions: places.iter().map(wanted).collect(),
                min_bytes: *floor,
                max_bytes: share_of(limit, places.len(), items.len()),
                wait: deadline - rt::now(),
            };
            OwnerCall::start(shard, *owner, fetch)
        });
        let got = first_ends_the_others(calls.collect()).await;
        let available: u64 = got.iter().map(|read| read.available).sum();
        if available < min_bytes && rt::now() < deadline && !got.iter().any(|read| read.urgent) {
            // One owner had its share, all together do not: each waits for its part of what is missing.
            let missing = (min_bytes - available).div_ceil(count);
            floors = got.iter().map(|read| read.available + missing).collect();
            continue;
        }
        let mut held = Vec::new();
        for (places, read) in owners.into_values().zip(got) {
            held.extend(read.held);
            for (place, read) in places.into_iter().zip(read.partitions) {
                reads[place] = read;
            }
        }
        return (reads, held);
    }
}

/// An owner's part of the limit, by its part of the partitions.
fn share_of(limit: usize, partitions: usize, all: usize) -> usize {
    if partitions == all { limit } else { (limit as u128 * partitions as u128 / all as u128) as usize }
}

/// A call to one owner; ends the owner's wait when it is dropped before it is answered.
struct OwnerCall {
    shard: Rc<KafkaShard>,
    owner: ShardId,
    key: WaitKey,
    call: Option<rt::Call<OwnerRead>>,
}

impl OwnerCall {
    fn start(shard: &Rc<KafkaShard>, owner: ShardId, fetch: OwnerFetch) -> Self {
        let key = (rt::this_shard(), shard.next_wait());
        let read = move |owner: Rc<KafkaShard>| async move {
            let waiting = owner.enter_wait(key);
            let read = owner::fetch_here(&owner, fetch, &waiting).await;
            owner.leave_wait(key);
            read
        };
        let call = shard.sharded().on_async(owner, Lane::Kafka, read);
        OwnerCall { shard: shard.clone(), owner, key, call: Some(call) }
    }

    fn end_wait(&self) {
        let key = self.key;
        let _nothing_to_wait_for =
            self.shard.sharded().on(self.owner, Lane::Kafka, move |owner: &Rc<KafkaShard>| owner.end_wait(key));
    }

    async fn answer(&mut self) -> OwnerRead {
        let read = self.call.as_mut().expect("answered once").await;
        self.call = None;
        read
    }
}

impl Drop for OwnerCall {
    fn drop(&mut self) {
        if self.call.is_some() {
            self.end_wait();
        }
    }
}

/// Waits for all owners; as soon as one has answered, the others answer with what they have.
async fn first_ends_the_others(mut calls: Vec<OwnerCall>) -> Vec<OwnerRead> {
    if calls.len() < 2 {
        let mut reads = Vec::new();
        for call in &mut calls {
            reads.push(call.answer().await);
        }
        return reads;
    }
    let mut reads: Vec<Option<OwnerRead>> = calls.iter().map(|_| None).collect();
    let mut ended = false;
    std::future::poll_fn(|context| {
        for (place, call) in calls.iter_mut().enumerate() {
            let Some(pending) = call.call.as_mut() else { continue };
            if let std::task::Poll::Ready(read) = std::pin::Pin::new(pending).poll(context) {
                reads[place] = Some(read);
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
    reads.into_iter().map(|read| read.expect("all have answered")).collect()
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
