//! What the controller's log consists of: changes to the state of the cluster, decided once, applied alike everywhere.
//!
//! One command gives one [`Delta`]: all of its changes or none. Its bytes are the value of the one record of a v2 batch
//! in the log of group 0: a format version, then the delta in postcard's encoding (`docs/formats/controller.md`).
//! Variants are only ever added at the end; a changed one is a new one.

use ailurus_model::{GroupId, NodeId, PartitionId, TopicId, TopicIdPartition};
use serde::{Deserialize, Serialize};

/// Version of the bytes.
const FORMAT_VERSION: u8 = 1;

/// All changes of one command. Applied whole: a reader sees the state before or after, never between.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Delta {
    /// In this order.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// A broker is part of the cluster.
    NodeRegistered {
        /// Its id.
        node: i32,
    },
    /// A topic exists.
    TopicCreated {
        /// Its id; never used before.
        id: u128,
        /// Its name; no other topic has it.
        name: String,
        /// Its own settings, by Kafka's names.
        configs: Vec<(String, String)>,
    },
    /// A partition exists. Partitions of a topic are created in order from 0.
    PartitionCreated {
        /// Its topic.
        topic: u128,
        /// Which one.
        partition: i32,
        /// The log's group; never used before.
        group: u64,
        /// Who holds a copy; the first leads by preference.
        replicas: Vec<i32>,
    },
    /// A topic is gone, with all its partitions and settings.
    TopicDeleted {
        /// Its id.
        id: u128,
    },
    /// A setting of a topic got a value (`None`: it fell back to what stands behind it).
    TopicConfigSet {
        /// The topic.
        topic: u128,
        /// Kafka's name of the setting.
        name: String,
        /// The value as text.
        value: Option<String>,
    },
    /// A setting of one broker, or of all of them, got a value.
    BrokerConfigSet {
        /// The broker; `None` for the default of all (Kafka's dynamic default).
        node: Option<i32>,
        /// Kafka's name of the setting.
        name: String,
        /// The value as text.
        value: Option<String>,
    },
    /// Producer ids below this are given away; they are never given again.
    ProducerIdsReserved {
        /// The first that is still free.
        upto: i64,
    },
}

impl Delta {
    /// As stored.
    pub fn encode(&self) -> Vec<u8> {
        let body = postcard::to_allocvec(self).expect("a delta is plain data, and memory is there");
        let mut bytes = vec![FORMAT_VERSION];
        bytes.extend(body);
        bytes
    }

    /// Reads what [`Delta::encode`] wrote.
    ///
    /// # Errors
    /// Another version, or bytes that are none.
    pub fn decode(bytes: &[u8]) -> Result<Delta, DecodeError> {
        match bytes.split_first() {
            Some((&FORMAT_VERSION, body)) => postcard::from_bytes(body).map_err(|_| DecodeError::Malformed),
            Some((&version, _)) => Err(DecodeError::Version(version)),
            None => Err(DecodeError::Malformed),
        }
    }
}

/// A record of the controller's log that cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a version that we do not know.
    #[error("the controller's log has records of format {0}, this version reads {FORMAT_VERSION}")]
    Version(u8),
    /// No delta.
    #[error("a record of the controller's log is malformed")]
    Malformed,
}

/// The group of the controller's own log.
pub const CONTROLLER_GROUP: GroupId = GroupId(0);

/// The topic id under which the controller's log lies on disk, no topic that users see has it; and its only partition.
pub const CONTROLLER: TopicIdPartition = TopicIdPartition { topic: TopicId(1), partition: PartitionId(0) };

/// Node ids as the model has them.
pub(crate) fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_comes_back() {
        let delta = Delta {
            changes: vec![
                Change::NodeRegistered { node: 3 },
                Change::TopicCreated { id: 9, name: "a".into(), configs: vec![("retention.ms".into(), "1".into())] },
                Change::PartitionCreated { topic: 9, partition: 0, group: 2, replicas: vec![3] },
                Change::TopicConfigSet { topic: 9, name: "retention.ms".into(), value: None },
                Change::BrokerConfigSet { node: None, name: "log.retention.ms".into(), value: Some("5".into()) },
                Change::ProducerIdsReserved { upto: 1000 },
                Change::TopicDeleted { id: 9 },
            ],
        };
        assert_eq!(Delta::decode(&delta.encode()), Ok(delta));
    }

    #[test]
    fn another_version_is_named() {
        assert_eq!(Delta::decode(&[9, 0]), Err(DecodeError::Version(9)));
        assert_eq!(Delta::decode(&[]), Err(DecodeError::Malformed));
        assert_eq!(Delta::decode(&[1, 77]), Err(DecodeError::Malformed));
    }
}
