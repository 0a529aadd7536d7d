//! The Kafka face without sockets, for tests and benches on the simulated machine, which has no network: a frame goes in
//! where a connection would hand it over, an answer comes out where the connection would write it.
//!
//! What a connection does besides (reading frames, the order of replies, sweeping) is not here.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;

use ailurus_base::sync::oneshot;
use ailurus_cluster::Cluster;
use ailurus_coordinator::Groups;
use ailurus_rt::{self as rt, Permit, Sharded};
use ailurus_wire::{LENGTH_BYTES, RequestHeader};
use bytes::Bytes;

use crate::dispatch::{self, Answer, Request};
use crate::nodes::{Endpoint, Nodes};
use crate::server::{KafkaShard, start_shards};

/// The shards' Kafka faces, which nobody can connect to; called on shard 0.
pub async fn start(cluster: Sharded<Cluster>, groups: Groups) -> Sharded<KafkaShard> {
    let endpoint = |shard| Endpoint { host: "localhost".into(), port: 9092 + shard };
    let broker = cluster.local().node();
    let nodes = match cluster.local().settings().shard_direct {
        true => Nodes::per_shard(broker, (0..rt::shard_count()).map(endpoint).collect()),
        false => Nodes::one(broker, endpoint(0)),
    };
    start_shards(cluster, groups, Arc::new(nodes)).await
}

/// What `shard` answers to a request: a frame with its length in front, in parts. Nothing if it would be silent or close
/// the connection. Memory for the frame is granted before, and the handler is a task, as with a connection.
///
/// # Panics
/// If the frame has no request header.
pub async fn answer(shard: Rc<KafkaShard>, frame: Bytes) -> Option<Vec<Bytes>> {
    let length = frame.len() - LENGTH_BYTES;
    let memory = shard.admission().for_frame(length as u64).clone();
    let permit = memory.acquire((rt::net::footprint(length) as u64).min(memory.largest())).await;
    match rt::spawn(rt::Group::Kafka, ask(shard, frame, Some(permit))).await {
        Answer::Send(parts, _held) => Some(parts),
        Answer::Silence | Answer::Close => None,
    }
}

/// What becomes of a request for whose frame this was granted.
pub(crate) async fn ask(shard: Rc<KafkaShard>, frame: Bytes, permit: Option<Permit>) -> Answer {
    let mut body = frame.slice(LENGTH_BYTES..);
    drop(frame);
    let header = RequestHeader::decode(&mut body).expect("whoever asks here made the frame");
    let (answers_before, next) = oneshot::channel();
    let request = Request {
        shard,
        header,
        body,
        permit,
        decoded: None,
        turn: None,
        next,
        received: rt::now(),
        client_host: Ipv4Addr::LOCALHOST.into(),
        held: Vec::new(),
    };
    drop(answers_before);
    dispatch::answer(request).await
}
