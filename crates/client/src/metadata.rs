//! What brokers say about brokers, topics and partitions, as plain values.

use ailurus_base::HashMap;
use ailurus_model::TopicId;
use ailurus_wire::ErrorCode;
use ailurus_wire::metadata::{MetadataResponse, MetadataResponsePartition, MetadataResponseTopic};

/// One broker as it wants to be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its node id.
    pub id: i32,
    /// The advertised host.
    pub host: String,
    /// The advertised port.
    pub port: i32,
    /// Where it stands, if it says.
    pub rack: Option<String>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Its number.
    pub partition: i32,
    /// The leader's node id; -1 if there is none.
    pub leader: i32,
    /// The leader's epoch; -1 if the broker is too old to say.
    pub leader_epoch: i32,
    /// Node ids, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those that are in sync.
    pub isr: Vec<i32>,
    /// Those that are offline.
    pub offline: Vec<i32>,
    /// What is wrong with it.
    pub error: ErrorCode,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Its name.
    pub name: String,
    /// Its id; [`TopicId::NONE`] if the broker is too old to say.
    pub id: TopicId,
    /// Whether it belongs to Kafka itself.
    pub internal: bool,
    /// What is wrong with it.
    pub error: ErrorCode,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionMetadata>,
}

/// Everything that one answer said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The cluster's id, if the broker says one.
    pub cluster_id: Option<String>,
    /// The controller's node id; -1 if unknown.
    pub controller: i32,
    /// The brokers, by id.
    pub brokers: Vec<Broker>,
    /// The topics asked for, by name.
    pub topics: Vec<TopicMetadata>,
}

impl Metadata {
    /// The broker of this id.
    pub fn broker(&self, id: i32) -> Option<&Broker> {
        self.brokers.iter().find(|broker| broker.id == id)
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&TopicMetadata> {
        self.topics.iter().find(|topic| topic.name == name)
    }
}

impl From<MetadataResponse> for Metadata {
    fn from(response: MetadataResponse) -> Self {
        let mut brokers: Vec<Broker> = response.brokers.iter().map(broker).collect();
        brokers.sort_by_key(|broker| broker.id);
        let mut topics: Vec<TopicMetadata> = response.topics.iter().map(topic).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        let cluster_id = response.cluster_id.map(String::from);
        Metadata { cluster_id, controller: response.controller_id, brokers, topics }
    }
}

fn broker(from: &ailurus_wire::metadata::MetadataResponseBroker) -> Broker {
    let rack = from.rack.as_ref().map(ToString::to_string);
    Broker { id: from.node_id, host: from.host.to_string(), port: from.port, rack }
}

fn topic(from: &MetadataResponseTopic) -> TopicMetadata {
    let mut partitions: Vec<PartitionMetadata> = from.partitions.iter().map(partition).collect();
    partitions.sort_by_key(|partition| partition.partition);
    TopicMetadata {
        name: from.name.as_ref().map(ToString::to_string).unwrap_or_default(),
        id: from.topic_id,
        internal: from.is_internal,
        error: from.error_code,
        partitions,
    }
}

fn partition(from: &MetadataResponsePartition) -> PartitionMetadata {
    PartitionMetadata {
        partition: from.partition_index,
        leader: from.leader_id,
        leader_epoch: from.leader_epoch,
        replicas: from.replica_nodes.clone(),
        isr: from.isr_nodes.clone(),
        offline: from.offline_replicas.clone(),
        error: from.error_code,
    }
}

/// What we believe until somebody says otherwise: brokers by id, topics by name.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    pub(crate) brokers: HashMap<i32, Broker>,
    pub(crate) controller: i32,
    pub(crate) topics: HashMap<String, TopicMetadata>,
}

impl Cache {
    pub(crate) fn learn(&mut self, metadata: &Metadata) {
        self.controller = metadata.controller;
        self.brokers = metadata.brokers.iter().map(|broker| (broker.id, broker.clone())).collect();
        for topic in &metadata.topics {
            match topic.error.is_none() {
                true => self.topics.insert(topic.name.clone(), topic.clone()),
                false => self.topics.remove(&topic.name),
            };
        }
    }

    /// The leader's node id, if one is known.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Option<(i32, i32)> {
        let known = self.topics.get(topic)?.partitions.iter().find(|known| known.partition == partition)?;
        (known.leader >= 0).then_some((known.leader, known.leader_epoch))
    }
}
