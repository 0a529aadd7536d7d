//! The cluster: which brokers, topics and settings there are, which shard owns which partition, and the loop that makes
//! it so.
//!
//! Commands go up to one log, the controller's on shard 0; deltas come down from it to every shard, in order; each shard
//! applies them to its own copy of the state and takes the steps that are then missing. Today the controller's log has
//! one member; with more, only what is below `replica` changes.
//!
//! What always holds: a shard sees a delta whole or not at all; what it sees is committed; group, topic and producer ids
//! are never given twice.
//!
//! It does not know Kafka's protocol, nor what is in a partition.
//!
//! Reading order: [`state`] and [`change`] (what there is, and how it changes), [`plan`] and [`command`] (deciding, pure),
//! [`controller`] (the log), [`placement`] (partitions to shards, pure), [`cluster`] (a shard's view), `reconciler` (from
//! the wish to the thing), [`node`] (up and down), [`identity`].

pub mod change;
pub mod cluster;
pub mod command;
pub mod controller;
pub mod identity;
pub mod node;
pub mod placement;
pub mod plan;
mod reconciler;
pub mod state;

pub use cluster::{Cluster, ClusterOptions};
pub use identity::Identity;

/// Kafka's topic of group state and committed offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
