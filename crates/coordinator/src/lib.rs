//! Group coordination: classic consumer groups and committed offsets, kept in the partitions of `__consumer_offsets`.
//!
//! What it is: the decisions (pure, on facts and `now`) and the driver that gives them requests, time and a log.
//! What it is not: the Kafka protocol; requests come as plain structs without versions, and authorization, the existence of
//! topics and the wording of old versions are the caller's. Transactions and the newer group protocols are not here yet.
//!
//! What always holds:
//! - A group belongs to one slice (one partition of `__consumer_offsets`), and a slice to the shard on which that partition leads.
//! - What was answered is in the log, committed: generations that became Stable, offsets, deletions. A slice that is loaded
//!   from its log equals the one that wrote it, except for who is in the middle of a rebalance.
//! - Decisions never wait and never look at a clock; every parked request is answered exactly once.
//!
//! In reading order:
//! - [`request`]: what is asked and answered; [`error`]: with which refusals; [`config`]: under which settings
//! - [`format`]: the records of `__consumer_offsets`; `subscription`: the topics in a member's metadata
//! - [`group`]: one group, decided and replayed
//! - [`slice`]: all groups of a partition, with one timer
//! - `slice_log`, `driver`: a slice at work on its log; `coordinator`: the slices of a shard
//! - [`groups`]: what the faces use

pub mod clock;
pub mod config;
mod coordinator;
mod driver;
pub mod error;
pub mod format;
pub mod group;
pub mod groups;
pub mod request;
pub mod slice;
mod slice_log;
mod subscription;

pub use clock::{Now, Tick};
pub use config::GroupConfig;
pub use coordinator::Coordinator;
pub use error::GroupError;
pub use group::{Answer, Effects, Token};
pub use groups::{Groups, ListReply};
pub use request::*;
pub use slice::{Slice, slice_of};
