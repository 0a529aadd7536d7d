//! A fetch at the owner of its partitions: wait until there is enough, then read.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use ailurus_cluster::Cluster;
use ailurus_model::{Offset, Term, TopicIdPartition};
use ailurus_partition::{Bell, EpochMismatch, Partition, ReadError, Subscription};
use ailurus_rt::{self as rt, Foreign, Instant, Permit};
use ailurus_wire::ErrorCode;
use bytes::Bytes;

use super::session::Wish;
use crate::server::KafkaShard;

/// One answer takes at most this part of what the shard may grant to one.
const ANSWER_SHARE: u64 = 8;

/// What is read when that memory is taken: little enough to be held by every connection there may be.
const MEAGRE_BYTES: usize = 64 << 10;

/// What the owner is asked for.
pub(crate) struct OwnerFetch {
    pub(crate) partitions: Vec<(TopicIdPartition, Wish)>,
    pub(crate) min_bytes: u64,
    pub(crate) max_bytes: usize,
    pub(crate) wait: Duration,
}

/// What one partition gives.
pub(crate) struct PartitionRead {
    pub(crate) error: ErrorCode,
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
    /// KIP-595: the epoch and end at which the client's log and ours part.
    pub(crate) diverging: Option<(i32, i64)>,
    pub(crate) batches: Vec<Bytes>,
}

/// What an owner gives, in the order of the request, with the memory that it takes.
pub(crate) struct OwnerRead {
    pub(crate) partitions: Vec<PartitionRead>,
    /// Something must be told at once, whatever there is to read.
    pub(crate) urgent: bool,
    pub(crate) held: Option<Foreign<Permit>>,
}

/// How a fetch stands at its owner.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    /// Bytes that can be read, within the limits of the partitions but the first that has any, or that look so.
    pub(crate) available: u64,
    /// Something must be told at once, whatever there is to read.
    pub(crate) urgent: bool,
}

/// A fetch that waits here; whoever asked may end the wait early.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) bell: Rc<Bell>,
    pub(crate) ended: Cell<bool>,
}

impl PartitionRead {
    pub(crate) fn failed(error: ErrorCode) -> Self {
        PartitionRead { error, high_watermark: -1, log_start: -1, diverging: None, batches: Vec::new() }
    }
}

impl OwnerRead {
    /// Nothing was found, and there is nothing to tell either.
    fn in_vain(&self) -> bool {
        let silent =
            |read: &PartitionRead| read.batches.is_empty() && read.diverging.is_none() && !read.error.is_error();
        !self.urgent && self.partitions.iter().all(silent)
    }
}

/// Waits until `min_bytes` can be read, something must be told, the time is over, or `waiting` is ended; then reads.
pub(crate) async fn fetch_here(shard: &KafkaShard, fetch: OwnerFetch, waiting: &Waiting) -> OwnerRead {
    let deadline = rt::now() + fetch.wait;
    let mut hung = None;
    loop {
        let standing = until_enough(&shard.cluster, &fetch, waiting, deadline, &mut hung).await;
        let read = read_all(shard, &fetch, standing).await;
        let over = waiting.ended.get() || rt::now() >= deadline;
        if over || fetch.min_bytes == 0 || !read.in_vain() {
            return read;
        }
        // Compaction may have removed all that is left of the log, which a cheap look does not see. Whoever reads there
        // waits like anybody at the end: answered at once he would ask again at once, for ever.
        match hung {
            Some(_) => _ = rt::timeout(deadline - rt::now(), waiting.bell.rung()).await,
            None => hung = Some(hang(&shard.cluster, &fetch, &waiting.bell)),
        }
    }
}

/// The same wait without a read: how it stands then.
pub(crate) async fn wait_here(cluster: &Cluster, fetch: OwnerFetch, waiting: &Waiting) -> Standing {
    until_enough(cluster, &fetch, waiting, rt::now() + fetch.wait, &mut None).await
}

/// Hangs the bell on every partition: nothing that happens from then on goes unheard.
fn hang(cluster: &Cluster, fetch: &OwnerFetch, bell: &Rc<Bell>) -> Vec<Subscription> {
    let open = fetch.partitions.iter().filter_map(|(target, _)| cluster.partition(*target));
    open.map(|partition| partition.hang(bell)).collect()
}

async fn until_enough(
    cluster: &Cluster,
    fetch: &OwnerFetch,
    waiting: &Waiting,
    deadline: Instant,
    hung: &mut Option<Vec<Subscription>>,
) -> Standing {
    let enough = |standing: Standing| standing.urgent || standing.available >= fetch.min_bytes;
    let mut standing = look(cluster, &fetch.partitions);
    if !enough(standing) {
        hung.get_or_insert_with(|| hang(cluster, fetch, &waiting.bell));
        standing = look(cluster, &fetch.partitions);
        while !enough(standing) && !waiting.ended.get() && rt::now() < deadline {
            let _rung_or_late = rt::timeout(deadline - rt::now(), waiting.bell.rung()).await;
            standing = look(cluster, &fetch.partitions);
        }
    }
    standing
}

fn look(cluster: &Cluster, partitions: &[(TopicIdPartition, Wish)]) -> Standing {
    let mut standing = Standing { available: 0, urgent: false };
    for (target, wish) in partitions {
        match cluster.partition(*target) {
            Some(partition) if check(&partition, wish).is_ok() => {
                let readable = partition.readable_bytes(Offset(wish.offset));
                // The first that has something gives its first batch whole, however large. How large is not cheaply known:
                // all that is readable is taken for it. Where it is less, an answer comes sooner than it need, with as
                // much as its partition's limit allows, and never with nothing.
                let most = if standing.available == 0 { readable } else { wish.max_bytes.max(0) as u64 };
                standing.available += readable.min(most);
            }
            _ => standing.urgent = true,
        }
    }
    standing
}

async fn read_all(shard: &KafkaShard, fetch: &OwnerFetch, standing: Standing) -> OwnerRead {
    let memory = shard.admission().for_answers();
    let wanted = (fetch.max_bytes as u64).min(memory.largest() / ANSWER_SHARE);
    let mut permit = memory.try_acquire(wanted);
    let mut room = if permit.is_some() { wanted as usize } else { fetch.max_bytes.min(MEAGRE_BYTES) };
    let mut partitions = Vec::with_capacity(fetch.partitions.len());
    let mut total = 0;
    for (target, wish) in &fetch.partitions {
        // The first partition that has something gives at least one batch, however large.
        let read = read_one(&shard.cluster, *target, wish, room, total == 0).await;
        let bytes: usize = read.batches.iter().map(Bytes::len).sum();
        total += bytes;
        room = room.saturating_sub(bytes);
        partitions.push(read);
    }
    if let Some(permit) = &mut permit {
        drop(permit.split(permit.bytes().saturating_sub(total as u64)));
    }
    shard.stats.bytes_fetched.set(shard.stats.bytes_fetched.get() + total as u64);
    let held = permit.filter(|_| total > 0).map(Foreign::new);
    OwnerRead { partitions, urgent: standing.urgent, held }
}

async fn read_one(
    cluster: &Cluster,
    target: TopicIdPartition,
    wish: &Wish,
    room: usize,
    at_least_one: bool,
) -> PartitionRead {
    let Some(partition) = cluster.partition(target) else {
        return PartitionRead::failed(ErrorCode::NotLeaderOrFollower);
    };
    if let Err(read) = check(&partition, wish) {
        return read;
    }
    let max_bytes = room.min(wish.max_bytes.max(0) as usize);
    match partition.read(Offset(wish.offset), max_bytes, at_least_one).await {
        Ok(read) => PartitionRead {
            error: ErrorCode::None,
            high_watermark: read.high_watermark.0,
            log_start: read.log_start.0,
            diverging: None,
            batches: read.batches,
        },
        Err(error) => PartitionRead::failed(read_error(error)),
    }
}

pub(crate) fn read_error(error: ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::NotLeader => ErrorCode::NotLeaderOrFollower,
        ReadError::Storage => ErrorCode::KafkaStorageError,
    }
}

pub(crate) fn epoch_error(mismatch: EpochMismatch) -> ErrorCode {
    match mismatch {
        EpochMismatch::Fenced => ErrorCode::FencedLeaderEpoch,
        EpochMismatch::Unknown => ErrorCode::UnknownLeaderEpoch,
    }
}

/// What must be said instead of records.
fn check(partition: &Partition, wish: &Wish) -> Result<(), PartitionRead> {
    let failed = |error| Err(PartitionRead::failed(error));
    if !partition.is_leader() {
        return failed(ErrorCode::NotLeaderOrFollower);
    }
    if let Err(mismatch) = partition.check_epoch(wish.current_leader_epoch) {
        return failed(epoch_error(mismatch));
    }
    let offset = Offset(wish.offset);
    if offset < partition.log_start() {
        return failed(ErrorCode::OffsetOutOfRange);
    }
    // Before the upper bound: a log that was cut behind the client's back tells where, so the client need not start anew.
    if wish.last_fetched_epoch >= 0 {
        match diverging(partition, Term(wish.last_fetched_epoch), offset) {
            Ok(None) => {}
            Ok(diverging) => {
                return Err(PartitionRead {
                    error: ErrorCode::None,
                    high_watermark: partition.high_watermark().0,
                    log_start: partition.log_start().0,
                    diverging,
                    batches: Vec::new(),
                });
            }
            Err(error) => return failed(error),
        }
    }
    if offset > partition.replica().next_offset() {
        return failed(ErrorCode::OffsetOutOfRange);
    }
    Ok(())
}

/// Where a client whose last record has `epoch` and whose log ends at `offset` parts from ours, if it does. An epoch that
/// the log has not reached cannot be compared: Kafka says OFFSET_OUT_OF_RANGE.
fn diverging(partition: &Partition, epoch: Term, offset: Offset) -> Result<Option<(i32, i64)>, ErrorCode> {
    let (known, end) = partition.replica().epoch_end(epoch).ok_or(ErrorCode::OffsetOutOfRange)?;
    Ok((known < epoch || end < offset).then_some((known.0, end.0)))
}
