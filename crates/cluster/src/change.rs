//! What the controller's log consists of: changes to the state of the cluster, decided once, applied alike everywhere.
//!
//! One command gives one [`Delta`]: all of its changes or none. Now and then a [`Snapshot`] of the whole state follows, and
//! the history before it goes. A delta's bytes are the value of the one record of a v2 batch
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
    /// The whole state as it is here; stands alone in its delta. What was written before it counts no more.
    Snapshot(Box<Snapshot>),
}

/// The whole state of the cluster. What [`crate::state::ClusterState::snapshot`] gives.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// How many deltas made it.
    pub revision: u64,
    /// The brokers, by id.
    pub nodes: Vec<i32>,
    /// The topics, by name.
    pub topics: Vec<TopicSnapshot>,
    /// Settings of brokers (`None`: of all of them): broker, Kafka's name, value.
    pub broker_configs: Vec<(Option<i32>, String, String)>,
    /// The group id that the next partition gets, if it is not one of the broker's own.
    pub next_group: u64,
    /// The first producer id that is still free.
    pub next_producer_id: i64,
}

/// One topic in a [`Snapshot`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TopicSnapshot {
    /// Its id.
    pub id: u128,
    /// Its name.
    pub name: String,
    /// Its own settings, by Kafka's names.
    pub configs: Vec<(String, String)>,
    /// Its partitions; the place is the partition's id.
    pub partitions: Vec<PartitionSnapshot>,
}

/// One partition in a [`Snapshot`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartitionSnapshot {
    /// The log's group.
    pub group: u64,
    /// Who holds a copy; the first leads by preference.
    pub replicas: Vec<i32>,
    /// The revision at which it was created or last changed.
    pub revision: u64,
}

impl Delta {
    /// The state that it is, if it is a snapshot.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        match &self.changes[..] {
            [Change::Snapshot(snapshot)] => Some(snapshot),
            _ => None,
        }
    }

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
            Some((&FORMAT_VERSION, body)) => {
                let delta: Delta = postcard::from_bytes(body).map_err(|_| DecodeError::Malformed)?;
                let snapshot = delta.changes.iter().any(|change| matches!(change, Change::Snapshot(_)));
                if snapshot && delta.changes.len() > 1 { Err(DecodeError::Malformed) } else { Ok(delta) }
            }
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

    fn snapshot() -> Snapshot {
        let partitions = vec![PartitionSnapshot { group: 16, replicas: vec![1], revision: 2 }];
        let configs = vec![("a".into(), "b".into())];
        Snapshot {
            revision: 3,
            nodes: vec![1],
            topics: vec![TopicSnapshot { id: 9, name: "t".into(), configs, partitions }],
            broker_configs: vec![(None, "c".into(), "d".into()), (Some(1), "e".into(), "f".into())],
            next_group: 17,
            next_producer_id: 1000,
        }
    }

    /// These bytes are on disks. A change of the types that moves them is a change of the format.
    #[test]
    fn a_snapshot_has_the_bytes_that_its_page_says() {
        let delta = Delta { changes: vec![Change::Snapshot(Box::new(snapshot()))] };
        let topic = [&[9, 1, b't', 1, 1, b'a', 1, b'b'][..], &[1, 16, 1, 2, 2]].concat();
        let configs = [2, 0, 1, b'c', 1, b'd', 1, 2, 1, b'e', 1, b'f'];
        let bytes = [&[1, 1, 7, 3, 1, 2, 1][..], &topic, &configs, &[17, 0xd0, 0x0f]].concat();
        assert_eq!(delta.encode(), bytes);
        assert_eq!(Delta::decode(&bytes), Ok(delta));
    }

    #[test]
    fn a_snapshot_stands_alone() {
        let both = vec![Change::NodeRegistered { node: 1 }, Change::Snapshot(Box::default())];
        assert_eq!(Delta::decode(&Delta { changes: both }.encode()), Err(DecodeError::Malformed));
    }

    #[test]
    fn another_version_is_named() {
        assert_eq!(Delta::decode(&[9, 0]), Err(DecodeError::Version(9)));
        assert_eq!(Delta::decode(&[]), Err(DecodeError::Malformed));
        assert_eq!(Delta::decode(&[1, 77]), Err(DecodeError::Malformed));
    }
}
