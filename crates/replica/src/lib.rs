//! One Raft replica of one log: what is above sees a replicated log, what is below is [`ailurus_storage::Log`].
//!
//! Today a group has one member, so the driver is short: an entry is committed once it is durable here, or, in a topic with
//! `write.caching`, once it is in memory here. The surface is the one of a group with many members (terms persisted before
//! they are used, a control entry that opens each term, a high watermark that others watch, `Truncated` as an event), so
//! that consensus later replaces the inside and nothing above.
//!
//! What always holds: the term rises with every [`Replica::open`] and is durable before the first entry of that term
//! is; the high watermark never falls while the process lives (nor after, without `write.caching`); nothing past it is
//! readable above.
//!
//! It does not know records beyond their offsets, nor producers, nor Kafka.

mod replica;

pub use replica::{OnTruncated, OpenError, Proposal, Receipt, Refused, Replica, Role, Settlement};
