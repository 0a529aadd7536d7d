//! The Kafka face: from sockets to requests, from requests to the domain, and back.
//!
//! It translates. What a request means is decided below: `partition` appends and reads, `cluster` knows what exists,
//! `coordinator` runs groups. Here are versions, error codes, the order of replies, and the bounds that keep one client
//! from harming another.
//!
//! What always holds: replies leave in the order of the requests; memory for a frame is granted before it is read; what
//! is not served is not advertised; no input makes this crate panic.
//!
//! Reading order: [`server`] (what a shard's connections share), [`nodes`] (what clients are told of the shards), `admission` (who may take how much memory), `connection`
//! (frames in, replies out), `dispatch` (who answers what), `entries` (what a request names twice), `owners`
//! (who is asked about many partitions), then a module per family of APIs: `produce`, `fetch`, `list_offsets`, `metadata`, `topics`, `configs`,
//! `describe`, `reassign`, `producer_id`, `groups`, `offsets`, `api_versions`; [`stats`];
//! [`in_process`] (requests without sockets).

mod admission;
mod api_versions;
mod configs;
mod connection;
mod describe;
mod dispatch;
mod entries;
mod fetch;
mod groups;
pub mod in_process;
mod list_offsets;
mod metadata;
pub mod nodes;
mod offsets;
mod owners;
mod produce;
mod producer_id;
mod reassign;
pub mod server;
pub mod stats;
#[cfg(test)]
mod tests;
mod topics;

pub use nodes::{Endpoint, Nodes};
pub use server::{KafkaServer, KafkaShard};
