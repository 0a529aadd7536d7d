//! The nouns that every floor shares: plain values, so that a shard is never taken for a partition or an index for an offset.
//!
//! What always holds: they are as small as their numbers and order as these do. No behaviour beyond arithmetic and display.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

number!(
    /// A broker, as clients know it. Kafka's `node.id`; 0 or above.
    NodeId(i32)
);
number!(
    /// A shard (core) of this process, counted from 0.
    ShardId(u16)
);
number!(
    /// A partition of a topic, counted from 0. Kafka's partition index.
    PartitionId(i32)
);
number!(
    /// A Kafka offset: the number of a record in its partition. Users see these.
    Offset(i64)
);
number!(
    /// A log index: Kafka offset + the number of control entries before it. Consensus and storage count in these.
    Index(i64)
);
number!(
    /// A Raft term, which is the Kafka leader epoch. 0 before the first election; never falls.
    Term(i32)
);
number!(
    /// One incarnation of one replica. Never reused; names its directory and its journal entries.
    GroupId(u64)
);
number!(
    /// The position of a command in the controller's log at which something became so.
    Revision(u64)
);
number!(
    /// How often a partition has been taken over by a shard of this node. Rises durably before the first append there.
    OwnerEpoch(u32)
);

macro_rules! position {
    ($name:ident) => {
        impl $name {
            /// The first position of an empty log.
            pub const ZERO: $name = $name(0);

            /// The position behind this one.
            pub fn next(self) -> Self {
                self.plus(1)
            }

            /// The position `count` further.
            pub fn plus(self, count: i64) -> Self {
                $name(self.0.checked_add(count).expect("positions stay below 2^63"))
            }

            /// How far this one is past `earlier`; negative if it is before it.
            pub fn since(self, earlier: Self) -> i64 {
                self.0 - earlier.0
            }
        }
    };
}
position!(Offset);
position!(Index);

/// The id of one incarnation of a topic (KIP-516). Never all zero for a topic that exists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub u128);

impl TopicId {
    /// "No id": what clients send when they name the topic instead.
    pub const NONE: TopicId = TopicId(0);

    /// The 16 bytes as they go over the wire (big endian).
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// From the 16 bytes of the wire.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        TopicId(u128::from_be_bytes(bytes))
    }
}

/// As Kafka prints it: URL-safe base64 without padding, 22 characters.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        // 128 bits are 21 digits of six bits and one of two, which base64 fills up with zeros on the right.
        for place in 0..21 {
            let digit = (self.0 >> (122 - 6 * place)) & 63;
            write!(f, "{}", DIGITS[digit as usize] as char)?;
        }
        write!(f, "{}", DIGITS[((self.0 & 3) << 4) as usize] as char)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

/// A partition by topic id: what the inside of the broker speaks of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicIdPartition {
    /// Which incarnation of which topic.
    pub topic: TopicId,
    /// Which of its partitions.
    pub partition: PartitionId,
}

impl fmt::Display for TopicIdPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// What a producer waits for before it is answered. Kafka's `acks`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// 0: no answer at all.
    None,
    /// 1: the leader's journal write has returned.
    Leader,
    /// -1 ("all"): a majority has it flushed (or in memory, for a topic with `write.caching`).
    All,
}

impl Acks {
    /// From the number on the wire; anything else is Kafka's INVALID_REQUIRED_ACKS.
    pub fn from_wire(acks: i16) -> Option<Self> {
        match acks {
            0 => Some(Acks::None),
            1 => Some(Acks::Leader),
            -1 => Some(Acks::All),
            _ => None,
        }
    }
}

/// Which way a topic's timestamps come to be. Kafka's `message.timestamp.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampType {
    /// The producer's.
    #[default]
    CreateTime,
    /// The broker's, at append.
    LogAppendTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_prints_as_kafka_prints_it() {
        assert_eq!(TopicId(0).to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(TopicId(1).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(TopicId(u128::MAX).to_string(), "_____________________w");
    }
}
