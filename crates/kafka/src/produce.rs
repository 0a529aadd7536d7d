//! Produce: verify here, append at the owners, answer when the promise holds.
//!
//! One crossing per owner shard. The calls are made before the turn ends, and calls between two shards start in the
//! order in which they were made, so the appends of a connection keep the order of its requests.
//!
//! Memory granted for the frame is given back when the last of its batches is appended or refused, whatever has become
//! of the request by then: what waits at an owner is never more than what was granted.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ailurus_cluster::Cluster;
use ailurus_model::{Acks, PartitionId, ShardId, TopicId, TopicIdPartition};
use ailurus_partition::append::Origin;
use ailurus_partition::{AppendOutcome, Appended, Partition, Refusal};
use ailurus_record::{Codec, Limits, RecordError, VerifiedBatch, records, verify_with_pauses};
use ailurus_replica::Settlement;
use ailurus_rt::{self as rt, Foreign, Instant, Lane, Permit};
use ailurus_wire::ErrorCode;
use ailurus_wire::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};
use bytes::Bytes;

use crate::dispatch::Request;

/// What becomes of the connection.
pub(crate) enum Produced {
    Reply(ProduceResponse),
    /// `acks=0` and all went well.
    Silence,
    /// `acks=0` and something failed: the only way to tell.
    Close,
}

/// One partition of the request on its way.
struct Item {
    topic: usize,
    partition: usize,
    target: TopicIdPartition,
    batch: VerifiedBatch,
}

/// What the owner says about one item.
struct Outcome {
    base_offset: i64,
    log_append_time: i64,
    log_start: i64,
}

type ItemResult = Result<Outcome, Failure>;

/// What a partition is answered if its batch was not taken.
struct Failure {
    code: ErrorCode,
    message: Option<String>,
    /// The records at fault, counted from 0; none if it is the batch as a whole.
    records: Vec<i32>,
}

impl Failure {
    fn of(code: ErrorCode) -> Self {
        Failure { code, message: None, records: Vec::new() }
    }

    fn because(code: ErrorCode, message: impl Into<String>) -> Self {
        Failure { code, message: Some(message.into()), records: Vec::new() }
    }
}

pub(crate) async fn produce(request: &mut Request, body: ProduceRequest) -> Produced {
    let acks = Acks::from_wire(body.acks);
    let mut response = blank_response(&body);
    let timeout = Duration::from_millis(u64::try_from(body.timeout_ms).unwrap_or(0));
    let items = accept(request, body, acks, &mut response).await;
    // As in Kafka, only acks=all has a time: what the others promise is done or will be.
    let deadline = (acks == Some(Acks::All)).then(|| rt::now() + timeout);
    let terms = Terms { acks: acks.unwrap_or(Acks::None), deadline };
    let permit = request.hand_over_permit();
    let calls = send_to_owners(&request.shard.cluster, items, terms, permit);
    request.end_turn();
    for (places, call) in calls {
        match before(deadline, call).await {
            Some(results) => fill(&mut response, places.into_iter().zip(results)),
            None => fill(&mut response, places.into_iter().map(|place| (place, Err(late())))),
        }
    }
    match acks {
        // Nobody waits for an answer; only a failure is of interest.
        Some(Acks::None) if errors(&response).any(|code| code.is_error()) => Produced::Close,
        Some(Acks::None) => Produced::Silence,
        _ => Produced::Reply(response),
    }
}

/// What an append promises, and by when.
#[derive(Clone, Copy)]
struct Terms {
    acks: Acks,
    deadline: Option<Instant>,
}

/// What `work` gives, unless `deadline` passes before.
async fn before<F: Future>(deadline: Option<Instant>, work: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => rt::timeout(deadline - rt::now(), work).await.ok(),
        None => Some(work.await),
    }
}

fn late() -> Failure {
    Failure::of(ErrorCode::RequestTimedOut)
}

/// A response with a place for each partition, in the order of the request.
fn blank_response(body: &ProduceRequest) -> ProduceResponse {
    let partition = |data: &PartitionProduceData| PartitionProduceResponse {
        index: data.index,
        base_offset: -1,
        ..Default::default()
    };
    let topics = body.topic_data.iter().map(|topic| TopicProduceResponse {
        // Not a slice of the frame: that one goes when the batches are appended, long before they are flushed.
        name: topic.name.detached(),
        topic_id: topic.topic_id,
        partition_responses: topic.partition_data.iter().map(partition).collect(),
    });
    ProduceResponse { responses: topics.collect(), ..Default::default() }
}

/// Proves every batch; what is refused here is answered in `response` and does not travel.
async fn accept(
    request: &Request,
    body: ProduceRequest,
    acks: Option<Acks>,
    response: &mut ProduceResponse,
) -> Vec<Item> {
    let cluster = &request.shard.cluster;
    let mut items = Vec::new();
    for (topic, data) in body.topic_data.into_iter().enumerate() {
        let found = topic_for(cluster, request, &data.name);
        for (partition, data) in data.partition_data.into_iter().enumerate() {
            let accepted = match acks {
                None => Err(Failure::of(ErrorCode::InvalidRequiredAcks)),
                Some(_) => accept_batch(request.version(), &found, data.index, data.records).await,
            };
            match accepted {
                Ok((target, batch)) => items.push(Item { topic, partition, target, batch }),
                Err(failure) => fill(response, [((topic, partition), Err(failure))]),
            }
            // A request of a megabyte may hold gigabytes to unfold: others have their turns between its batches.
            rt::yield_if_needed().await;
        }
    }
    items
}

/// What must be known of the topic that is meant.
struct Target {
    topic: TopicId,
    partitions: usize,
    /// `max.message.bytes`.
    bytes_max: usize,
}

fn topic_for(cluster: &Cluster, request: &Request, name: &str) -> Result<Target, ErrorCode> {
    let state = cluster.state();
    let topic = state.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    // Kafka's own tools may write to internal topics under this client id, and nobody else.
    if topic.is_internal() && request.client_id() != "__admin_client" {
        return Err(ErrorCode::InvalidTopicException);
    }
    let bytes_max = cluster.topic_config(topic).max_message_bytes as usize;
    Ok(Target { topic: topic.id, partitions: topic.partitions.len(), bytes_max })
}

async fn accept_batch(
    version: i16,
    found: &Result<Target, ErrorCode>,
    index: i32,
    records: Option<Bytes>,
) -> Result<(TopicIdPartition, VerifiedBatch), Failure> {
    let Target { topic, partitions, bytes_max } = found.as_ref().map_err(|code| Failure::of(*code))?;
    if !(0..*partitions as i32).contains(&index) {
        return Err(Failure::of(ErrorCode::UnknownTopicOrPartition));
    }
    let records = records.filter(|records| !records.is_empty());
    let records = records.ok_or_else(|| Failure::because(ErrorCode::InvalidRecord, "there is no record batch"))?;
    // Before any of it is unfolded: the owner would refuse it all the same.
    if records.len() > *bytes_max {
        return Err(too_large(records.len(), *bytes_max));
    }
    let batch = verify_with_pauses(records, &Limits::PRODUCE, rt::yield_if_needed).await.map_err(record_failure)?;
    if batch.header.is_transactional() {
        return Err(Failure::because(ErrorCode::InvalidTxnState, "transactions are not served yet"));
    }
    if version < 7 && batch.codec == Codec::Zstd {
        return Err(Failure::because(ErrorCode::UnsupportedCompressionType, "zstd needs Produce version 7 or above"));
    }
    Ok((TopicIdPartition { topic: *topic, partition: PartitionId(index) }, batch))
}

fn too_large(size: usize, max: usize) -> Failure {
    let message = format!("the batch has {size} bytes, the topic's max.message.bytes is {max}");
    Failure::because(ErrorCode::MessageTooLarge, message)
}

fn record_failure(error: RecordError) -> Failure {
    let code = ErrorCode::from_code(error.kind().code());
    Failure { code, message: Some(error.to_string()), records: error.record_index().into_iter().collect() }
}

type Place = (usize, usize);

/// Batches for one owner, each with its place in the request.
#[derive(Default)]
struct Share {
    places: Vec<Place>,
    batches: Vec<(TopicIdPartition, VerifiedBatch)>,
}

/// Makes one call per owner shard. The order of a shard's items is the order of the request.
fn send_to_owners(
    cluster: &Rc<Cluster>,
    items: Vec<Item>,
    terms: Terms,
    permit: Option<Arc<Foreign<Permit>>>,
) -> Vec<(Vec<Place>, rt::Call<Vec<ItemResult>>)> {
    let mut shares: BTreeMap<ShardId, Share> = BTreeMap::new();
    for item in items {
        // A partition that has no owner yet is answered by the shard at hand, which does not lead it.
        let owner = cluster.shard_of(item.target).unwrap_or_else(rt::this_shard);
        let share = shares.entry(owner).or_default();
        share.places.push((item.topic, item.partition));
        share.batches.push((item.target, item.batch));
    }
    let call = |(owner, share): (ShardId, Share)| {
        let permit = permit.clone();
        let append = move |owner: Rc<Cluster>| append_all(owner, share.batches, terms, permit);
        (share.places, cluster.sharded().on_async(owner, Lane::Kafka, append))
    };
    shares.into_iter().map(call).collect()
}

/// At the owner: appends all in one step, then waits for the promises. What finds no room in time is not appended.
async fn append_all(
    owner: Rc<Cluster>,
    batches: Vec<(TopicIdPartition, VerifiedBatch)>,
    terms: Terms,
    permit: Option<Arc<Foreign<Permit>>>,
) -> Vec<ItemResult> {
    if before(terms.deadline, owner.until_room()).await.is_none() {
        return batches.iter().map(|_| Err(late())).collect();
    }
    let acks = terms.acks;
    let now = rt::unix_ms();
    let append = |(target, batch): (TopicIdPartition, VerifiedBatch)| {
        let partition = owner.partition(target).ok_or_else(|| Failure::of(ErrorCode::NotLeaderOrFollower))?;
        let in_sync = partition.replica().member_count();
        if acks == Acks::All && (partition.config().min_insync_replicas as usize) > in_sync {
            return Err(Failure::of(ErrorCode::NotEnoughReplicas));
        }
        let appended = match partition.append(&batch, Origin::Client, now) {
            AppendOutcome::Appended(appended) | AppendOutcome::Duplicate(appended) => appended,
            AppendOutcome::Refused(refusal) => return Err(refusal_failure(refusal, &batch)),
        };
        Ok((partition, appended))
    };
    // The frames go home here: the tail has its own copy.
    let appended: Vec<Result<(Rc<Partition>, Appended), Failure>> = batches.into_iter().map(append).collect();
    drop(permit);
    let mut results = Vec::with_capacity(appended.len());
    for appended in appended {
        results.push(match appended {
            Ok((partition, appended)) => settle(&partition, appended, acks).await,
            Err(failure) => Err(failure),
        });
    }
    results
}

async fn settle(partition: &Partition, appended: Appended, acks: Acks) -> ItemResult {
    match partition.settled(appended.receipt, acks).await {
        Settlement::Kept => Ok(Outcome {
            base_offset: appended.receipt.base.0,
            log_append_time: appended.log_append_time.unwrap_or(-1),
            log_start: partition.log_start().0,
        }),
        Settlement::Truncated => Err(Failure::of(ErrorCode::NotLeaderOrFollower)),
        // The batch may or may not survive: the error that says so. An idempotent producer sends it again.
        Settlement::Unknown => Err(Failure::of(ErrorCode::RequestTimedOut)),
    }
}

fn refusal_failure(refusal: Refusal, batch: &VerifiedBatch) -> Failure {
    match refusal {
        Refusal::TooLarge { size, max } => too_large(size, max),
        Refusal::InvalidRecord(reason) => Failure::because(ErrorCode::InvalidRecord, reason),
        Refusal::KeyMissing { .. } => Failure {
            code: ErrorCode::InvalidRecord,
            message: Some("a compacted topic needs a key in every record".into()),
            records: without_key(batch),
        },
        Refusal::InvalidTimestamp { timestamp } => Failure::because(
            ErrorCode::InvalidTimestamp,
            format!(
                "timestamp {timestamp} is outside message.timestamp.before.max.ms and message.timestamp.after.max.ms"
            ),
        ),
        Refusal::OutOfOrderSequence { expected, got } => {
            Failure::because(ErrorCode::OutOfOrderSequenceNumber, format!("sequence {expected} comes next, not {got}"))
        }
        Refusal::ProducerFenced { current } => {
            Failure::because(ErrorCode::InvalidProducerEpoch, format!("the producer's epoch is {current} now"))
        }
        Refusal::NotLeader => Failure::of(ErrorCode::NotLeaderOrFollower),
        Refusal::DiskFull => Failure::because(
            ErrorCode::KafkaStorageError,
            "the disk has less than storage.min.free.bytes left; appends resume when there is room",
        ),
        Refusal::Offline => Failure::of(ErrorCode::KafkaStorageError),
    }
}

/// All records at fault: a client fails those it is told of for good and may send the others again.
fn without_key(batch: &VerifiedBatch) -> Vec<i32> {
    let records = records(&batch.bytes, &Limits::PRODUCE).into_iter().flatten();
    (0..)
        .zip(records)
        .filter(|(_, record)| record.as_ref().is_ok_and(|record| record.key.is_none()))
        .map(|(n, _)| n)
        .collect()
}

fn fill(response: &mut ProduceResponse, results: impl IntoIterator<Item = (Place, ItemResult)>) {
    for ((topic, partition), result) in results {
        let answer = &mut response.responses[topic].partition_responses[partition];
        match result {
            Ok(outcome) => {
                answer.base_offset = outcome.base_offset;
                answer.log_append_time_ms = outcome.log_append_time;
                answer.log_start_offset = outcome.log_start;
            }
            Err(failure) => {
                answer.error_code = failure.code;
                answer.record_errors = failure.records.into_iter().map(record_error).collect();
                answer.error_message = failure.message.map(Into::into);
            }
        }
    }
}

fn record_error(batch_index: i32) -> BatchIndexAndErrorMessage {
    BatchIndexAndErrorMessage { batch_index, ..Default::default() }
}

fn errors(response: &ProduceResponse) -> impl Iterator<Item = ErrorCode> + '_ {
    response.responses.iter().flat_map(|topic| &topic.partition_responses).map(|partition| partition.error_code)
}
