//! What goes into a log and how a log is named.

use ailurus_model::{GroupId, NodeId, OwnerEpoch, Term, TopicIdPartition};
use ailurus_record::BatchHeader;
use bytes::Bytes;

/// The names of one log: one incarnation of one replica of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogId {
    /// The incarnation; never reused.
    pub group: GroupId,
    /// Which partition of which incarnation of a topic it replicates.
    pub topic: TopicIdPartition,
    /// How often a shard of this node has taken the log over. Storage raises it; a caller who creates
    /// a log gives 1.
    pub owner_epoch: OwnerEpoch,
}

/// What is appended.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A Kafka v2 batch. Its first index is the log's end; its base offset must be the log's end offset.
    Batch {
        /// The header as it is to be stored: offset, epoch and time stamped. It is written over the first 61 bytes of
        /// the storage's own copy, so that stamping costs no copy of its own.
        header: BatchHeader,
        /// The whole batch as it came; its first 61 bytes are not looked at.
        bytes: Bytes,
    },
    /// An entry of consensus's own: one index wide, no offset, never fetched.
    Control {
        /// Its bytes.
        payload: Bytes,
    },
}

/// What consensus must not forget (S11): the term it is in and for whom it voted there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HardState {
    /// The largest term seen.
    pub term: Term,
    /// The candidate this replica voted for in that term.
    pub vote: Option<NodeId>,
}

/// A place in a log's own order of journal entries; see [`crate::Log::settled`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(pub(crate) u64);

impl Ticket {
    /// For what was not taken.
    pub(crate) const NEVER: Ticket = Ticket(u64::MAX);
}
