//! A small Kafka client on `rt`: what the command line and the simulator need, one shard, one thread, no tokio.
//!
//! It is not a client library for applications: no security yet, no transactions, no interceptors, and a simple
//! batching of its own. What it does, it does as the protocol wants it: it negotiates versions with each broker, routes
//! to leaders and coordinators, retries what Kafka calls retriable until a deadline, and produces idempotently.
//!
//! What always holds: every operation ends by [`ClientConfig::timeout`], but a join of a group by its rebalance timeout and
//! a poll of the fetcher, which asks anew once, by twice the timeout; every error says what was asked and of whom;
//! a connection whose answers do not fit is closed, never read on; at most one batch per partition is under way, so
//! that retries cannot reorder.
//!
//! Reading order: [`error`], [`address`], `connection` (one socket, many requests), [`client`] (which socket, and
//! again), [`metadata`]; then what is asked: [`offsets`], [`producer`] with [`partitioner`], [`fetcher`], [`admin`],
//! [`groups`] (from outside), [`member`] with [`assignor`] (from inside a group).

pub mod address;
pub mod admin;
pub mod assignor;
pub mod client;
mod connection;
pub mod error;
pub mod fetcher;
pub mod groups;
pub mod member;
pub mod metadata;
pub mod offsets;
pub mod partitioner;
pub mod producer;

pub use client::{Client, ClientConfig, Target};
pub use error::ClientError;
pub use fetcher::{Fetched, Fetcher, FetcherConfig, Isolation};
pub use member::{Member, MemberConfig, Sign};
pub use metadata::{Broker, Metadata, PartitionMetadata, TopicMetadata};
pub use offsets::{FoundOffset, When};
pub use producer::{Delivered, Producer, ProducerConfig, ProducerRecord, no_partition};
