//! From a request to its answer: which handler takes it, and what is done with what no handler can take.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use ailurus_base::sync::oneshot;
use ailurus_rt::{self as rt, Foreign, Instant, Permit};
use ailurus_wire::{ApiKey, ErrorCode, Message, Reader, RequestHeader, Response, WireError, encode_response};
use bytes::Bytes;

use crate::api_versions::not_served;
use crate::connection::Turn;
use crate::server::KafkaShard;
use crate::{
    api_versions, configs, describe, fetch, groups, list_offsets, metadata, offsets, produce, producer_id, reassign,
    topics,
};

/// What becomes of a request.
pub(crate) enum Answer {
    /// A whole response frame, with the memory at other shards that it holds until it is written.
    Send(Vec<Bytes>, Vec<Foreign<Permit>>),
    /// Nothing is sent (`acks=0`).
    Silence,
    /// The connection is closed: the request cannot be understood, or the protocol says so.
    Close,
}

/// A request on its way through a handler.
pub(crate) struct Request {
    pub(crate) shard: Rc<KafkaShard>,
    pub(crate) header: RequestHeader,
    pub(crate) body: Bytes,
    /// Memory that is granted for the frame, or for what is kept of it.
    pub(crate) permit: Option<Permit>,
    /// Memory for what the frame was decoded into and what is made of that, as far as it is more than the frame.
    pub(crate) decoded: Option<Permit>,
    pub(crate) turn: Option<Turn>,
    /// Ends when all answers before this one are sent.
    pub(crate) next: oneshot::Receiver<()>,
    pub(crate) received: Instant,
    pub(crate) client_host: std::net::IpAddr,
    pub(crate) held: Vec<Foreign<Permit>>,
}

impl Answer {
    /// Bytes that it holds until it is sent.
    pub(crate) fn len(&self) -> usize {
        match self {
            Answer::Send(parts, _) => parts.iter().map(Bytes::len).sum(),
            Answer::Silence | Answer::Close => 0,
        }
    }
}

impl Request {
    /// The layout of the body.
    pub(crate) fn version(&self) -> i16 {
        self.header.api_version
    }

    /// What the client calls itself; "" if it does not.
    pub(crate) fn client_id(&self) -> &str {
        self.header.client_id.as_deref().unwrap_or_default()
    }

    /// Only waiting is left, and what had to keep its order has it: the next request may be read.
    pub(crate) fn end_turn(&mut self) {
        self.turn = None;
    }

    /// Waits until all answers before this one are sent.
    pub(crate) async fn until_next(&mut self) {
        let _dropped_is_the_message = (&mut self.next).await;
    }

    /// Nothing of the frame is needed any more: what the waiting waits for may need its memory.
    pub(crate) fn let_go_of_frame(&mut self) {
        self.keep_of_frame(0, None);
    }

    /// Lets go of the frame while `bytes` of what was in it are still needed, for which `kept` was granted; if nothing
    /// was, as much of what was granted for the frame is kept.
    pub(crate) fn keep_of_frame(&mut self, bytes: u64, kept: Option<Permit>) {
        self.body = Bytes::new();
        self.decoded = None;
        self.header.client_id = self.header.client_id.take().map(|id| id.detached());
        self.permit = match (kept, self.permit.take()) {
            (Some(kept), _) => Some(kept),
            (None, Some(mut frame)) => Some(frame.split(bytes.min(frame.bytes()))),
            (None, None) => None,
        };
    }

    /// For those at other shards who hold parts of the frame: its memory counts as taken until the last of them lets go. The
    /// handler uses nothing of it any more.
    pub(crate) fn hand_over_permit(&mut self) -> Option<Arc<Foreign<Permit>>> {
        // What was decoded is on its way, and little beside its records.
        self.decoded = None;
        self.header.client_id = self.header.client_id.take().map(|id| id.detached());
        self.permit.take().map(|permit| Arc::new(Foreign::new(permit)))
    }

    /// What the request was decoded into is gone; what the handler keeps of it takes no more than the frame did.
    pub(crate) fn let_go_of_decoded(&mut self) {
        self.decoded = None;
    }

    /// Memory that the answer needs until it is written.
    pub(crate) fn hold(&mut self, held: Vec<Foreign<Permit>>) {
        self.held.extend(held);
    }

    /// The request itself. Memory is granted before it is decoded, and decoding takes no more than was granted.
    async fn take<M: Message>(&mut self) -> Result<M, WireError> {
        let mut body = std::mem::take(&mut self.body);
        let (len, most) = (body.len() as u64, Reader::budget_for(body.len()) as u64);
        let memory = self.shard.admission().for_decoded(most);
        let mut permit = memory.acquire(most.min(memory.largest())).await;
        let (message, spent) = M::decode_within(&mut body, self.header.api_version, permit.bytes() as usize)?;
        // Handlers copy what they need of it once more; the frame's own memory is granted already.
        let held = (2 * spent as u64).saturating_sub(len).min(permit.bytes());
        self.decoded = Some(permit.split(held));
        Ok(message)
    }

    fn reply<R: Response>(&mut self, response: &R) -> Result<Answer, WireError> {
        let parts = encode_response(self.header.correlation_id, self.header.api_version, response)?;
        Ok(Answer::Send(parts, std::mem::take(&mut self.held)))
    }
}

/// Drives `work` until it waits, by which it has its place in whatever order it must keep; then the request's turn ends,
/// and the rest of `work` is waited for.
pub(crate) async fn enqueued<F: Future>(request: &mut Request, work: F) -> F::Output {
    let mut work = pin!(work);
    let first = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    request.end_turn();
    match first {
        Poll::Ready(answer) => answer,
        Poll::Pending => work.await,
    }
}

/// Finds the handler and carries its answer out. Never fails: what cannot be understood closes the connection.
pub(crate) async fn answer(mut request: Request) -> Answer {
    let Some(api) = served_api(&request.header) else { return unsupported(&request) };
    let (received, shard) = (request.received, request.shard.clone());
    let answer = handle(api, &mut request).await.unwrap_or_else(|error| {
        tracing::debug!(api = api.name(), version = request.version(), client = request.client_id(), %error, "a request is malformed");
        Answer::Close
    });
    shard.stats.count(api, rt::now() - received);
    answer
}

/// The API, if this version of it is served: the message table can decode some newer ones that nobody has promised.
fn served_api(header: &RequestHeader) -> Option<ApiKey> {
    header.supported_api().filter(|api| header.api_version <= *api.advertised().end())
}

/// KIP-511: a client that asks for our versions in a version that we do not know gets them in version 0, with an error.
/// Every other unknown request closes the connection, because we cannot know how its answer would look.
fn unsupported(request: &Request) -> Answer {
    if request.header.api() != Some(ApiKey::ApiVersions) {
        tracing::debug!(
            api = request.header.api_key,
            version = request.header.api_version,
            "a request of an API or version that is not served"
        );
        return Answer::Close;
    }
    let response = api_versions::unsupported_version();
    let encoded = encode_response(request.header.correlation_id, 0, &response);
    encoded.map_or(Answer::Close, |parts| Answer::Send(parts, Vec::new()))
}

async fn handle(api: ApiKey, request: &mut Request) -> Result<Answer, WireError> {
    macro_rules! handle {
        ($handler:path) => {{
            let body = request.take().await?;
            let response = $handler(request, body).await;
            request.reply(&response)
        }};
    }
    match api {
        ApiKey::Produce => {
            let body = request.take().await?;
            match produce::produce(request, body).await {
                produce::Produced::Reply(response) => request.reply(&response),
                produce::Produced::Silence => Ok(Answer::Silence),
                produce::Produced::Close => Ok(Answer::Close),
            }
        }
        ApiKey::Fetch => {
            let body = request.take().await?;
            match fetch::fetch(request, body).await {
                Some(response) => request.reply(&response),
                None => Ok(Answer::Close),
            }
        }
        ApiKey::ListOffsets => handle!(list_offsets::list_offsets),
        ApiKey::OffsetForLeaderEpoch => handle!(list_offsets::offset_for_leader_epoch),
        ApiKey::Metadata => handle!(metadata::metadata),
        ApiKey::DescribeTopicPartitions => handle!(metadata::describe_topic_partitions),
        ApiKey::DescribeCluster => handle!(metadata::describe_cluster),
        ApiKey::ApiVersions => handle!(api_versions::api_versions),
        ApiKey::InitProducerId => handle!(producer_id::init_producer_id),
        ApiKey::CreateTopics => handle!(topics::create_topics),
        ApiKey::DeleteTopics => handle!(topics::delete_topics),
        ApiKey::CreatePartitions => handle!(topics::create_partitions),
        ApiKey::DeleteRecords => handle!(topics::delete_records),
        ApiKey::DescribeConfigs => handle!(configs::describe_configs),
        ApiKey::AlterConfigs => handle!(configs::alter_configs),
        ApiKey::IncrementalAlterConfigs => handle!(configs::incremental_alter_configs),
        ApiKey::DescribeLogDirs => handle!(describe::describe_log_dirs),
        ApiKey::DescribeProducers => handle!(describe::describe_producers),
        ApiKey::ElectLeaders => handle!(reassign::elect_leaders),
        ApiKey::AlterPartitionReassignments => handle!(reassign::alter_partition_reassignments),
        ApiKey::ListPartitionReassignments => handle!(reassign::list_partition_reassignments),
        ApiKey::FindCoordinator => handle!(groups::find_coordinator),
        ApiKey::JoinGroup => handle!(groups::join_group),
        ApiKey::SyncGroup => handle!(groups::sync_group),
        ApiKey::Heartbeat => handle!(groups::heartbeat),
        ApiKey::LeaveGroup => handle!(groups::leave_group),
        ApiKey::DescribeGroups => handle!(groups::describe_groups),
        ApiKey::ListGroups => handle!(groups::list_groups),
        ApiKey::DeleteGroups => handle!(groups::delete_groups),
        ApiKey::OffsetCommit => handle!(offsets::offset_commit),
        ApiKey::OffsetFetch => handle!(offsets::offset_fetch),
        ApiKey::OffsetDelete => handle!(offsets::offset_delete),
        // The message table knows more than is served yet; what is not advertised is answered like what is not known. No
        // other API may fall through to here: what has no arm is to be named there, or this does not compile.
        not_served!() => {
            tracing::debug!(api = api.name(), error = ErrorCode::UnsupportedVersion.name(), "not served");
            Ok(Answer::Close)
        }
    }
}
