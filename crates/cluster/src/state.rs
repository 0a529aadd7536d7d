//! The state of the cluster: what the controller's log says, as plain values. Every shard has its own copy, made by
//! applying the same deltas in the same order.
//!
//! What always holds: a name belongs to one topic, and so does what Kafka's metrics make of it; a topic's partitions are numbered from 0 without gaps; group ids,
//! topic ids and producer ids are never given twice.

use std::collections::BTreeMap;
use std::rc::Rc;

use ailurus_base::HashMap;
use ailurus_model::{GroupId, NodeId, PartitionId, Revision, TopicId, TopicIdPartition};
use ailurus_settings::TopicOverrides;

use crate::change::{Change, Delta, PartitionSnapshot, Snapshot, TopicSnapshot, nodes};

/// The first group id that a partition may have; those below are the broker's own.
const GROUPS_FROM: u64 = 16;

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: Rc<str>,
    /// Its partitions; the place is the partition's id.
    pub partitions: Vec<PartitionState>,
    /// Its own settings, by name.
    pub configs: BTreeMap<String, String>,
}

/// One partition, as the cluster wishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// The group of its log.
    pub group: GroupId,
    /// Who holds a copy; the first leads by preference.
    pub replicas: Vec<NodeId>,
    /// When it was created or last changed.
    pub revision: Revision,
}

/// The whole state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterState {
    revision: Revision,
    nodes: Vec<NodeId>,
    topics: BTreeMap<Rc<str>, Topic>,
    names: HashMap<TopicId, Rc<str>>,
    /// The topics whose names have a `.` or `_`, by their [`folded`] names.
    folded: HashMap<String, Rc<str>>,
    broker_configs: BTreeMap<(Option<NodeId>, String), String>,
    next_group: u64,
    next_producer_id: i64,
}

impl Topic {
    /// True for the topics that the broker keeps for itself.
    pub fn is_internal(&self) -> bool {
        is_internal(&self.name)
    }

    /// Its own settings, checked. One that this version does not know any more is as if it were not set.
    pub fn overrides(&self) -> TopicOverrides {
        let mut overrides = TopicOverrides::default();
        for (name, value) in &self.configs {
            if let Err(invalid) = overrides.set(name, value) {
                tracing::warn!(topic = %self.name, %invalid, "a stored setting does not count");
            }
        }
        overrides
    }

    /// Its partitions with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (TopicIdPartition, &PartitionState)> + '_ {
        self.partitions.iter().enumerate().map(|(place, state)| (self.partition(PartitionId(place as i32)), state))
    }

    fn snapshot(&self) -> TopicSnapshot {
        let partition = |partition: &PartitionState| PartitionSnapshot {
            group: partition.group.0,
            replicas: partition.replicas.iter().map(|node| node.0).collect(),
            revision: partition.revision.0,
        };
        TopicSnapshot {
            id: self.id.0,
            name: self.name.to_string(),
            configs: self.configs.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            partitions: self.partitions.iter().map(partition).collect(),
        }
    }

    /// The id of one of its partitions.
    pub fn partition(&self, partition: PartitionId) -> TopicIdPartition {
        TopicIdPartition { topic: self.id, partition }
    }
}

/// What the names that Kafka's metrics cannot tell apart have in common; nothing for a name that is never mistaken.
fn folded(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}

/// True for the names of topics that the broker keeps for itself.
pub fn is_internal(name: &str) -> bool {
    matches!(name, crate::OFFSETS_TOPIC | "__transaction_state" | "__share_group_state")
}

impl ClusterState {
    /// The delta that was applied last.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The members, by id.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Topic> {
        self.topics.values()
    }

    /// The topic of that name.
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    /// The topic of that id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(self.names.get(&id)?)
    }

    /// One partition.
    pub fn partition(&self, partition: TopicIdPartition) -> Option<&PartitionState> {
        self.topic_by_id(partition.topic)?.partitions.get(usize::try_from(partition.partition.0).ok()?)
    }

    /// The settings that were altered at run time for one broker, or (`None`) for all.
    pub fn broker_configs(&self, node: Option<NodeId>) -> BTreeMap<String, String> {
        let of_node = self.broker_configs.iter().filter(|((of, _), _)| *of == node);
        of_node.map(|((_, name), value)| (name.clone(), value.clone())).collect()
    }

    /// The group id that the next partition gets.
    pub fn next_group(&self) -> GroupId {
        GroupId(self.next_group.max(GROUPS_FROM))
    }

    /// The first producer id that is still free.
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// A topic whose name differs only in `.` and `_`: Kafka's metrics cannot tell the two apart.
    pub fn colliding(&self, name: &str) -> Option<&Topic> {
        let other = self.folded.get(&folded(name)?)?;
        self.topics.get(other).filter(|topic| *topic.name != *name)
    }

    /// Applies all changes of `delta`. A snapshot takes the place of all there was.
    pub fn apply(&mut self, delta: &Delta) {
        if let Some(snapshot) = delta.snapshot() {
            *self = ClusterState::restore(snapshot);
            return;
        }
        self.stage(&delta.changes);
        self.seal();
    }

    /// All of it, to be written down; [`ClusterState::apply`] reads it.
    pub fn snapshot(&self) -> Snapshot {
        let configs = self.broker_configs.iter();
        Snapshot {
            revision: self.revision.0,
            nodes: self.nodes.iter().map(|node| node.0).collect(),
            topics: self.topics.values().map(Topic::snapshot).collect(),
            broker_configs: configs
                .map(|((node, name), value)| (node.map(|node| node.0), name.clone(), value.clone()))
                .collect(),
            next_group: self.next_group,
            next_producer_id: self.next_producer_id,
        }
    }

    fn restore(snapshot: &Snapshot) -> ClusterState {
        let configs = snapshot.broker_configs.iter();
        let mut state = ClusterState {
            revision: Revision(snapshot.revision),
            nodes: nodes(&snapshot.nodes),
            broker_configs: configs
                .map(|(node, name, value)| ((node.map(NodeId), name.clone()), value.clone()))
                .collect(),
            next_group: snapshot.next_group,
            next_producer_id: snapshot.next_producer_id,
            ..ClusterState::default()
        };
        for topic in &snapshot.topics {
            state.create_topic(TopicId(topic.id), &topic.name, &topic.configs);
            let partition = |partition: &PartitionSnapshot| PartitionState {
                group: GroupId(partition.group),
                replicas: nodes(&partition.replicas),
                revision: Revision(partition.revision),
            };
            state.topic_mut(TopicId(topic.id)).partitions = topic.partitions.iter().map(partition).collect();
        }
        state
    }

    /// Applies part of the delta that is being decided; [`ClusterState::seal`] ends it.
    pub(crate) fn stage(&mut self, changes: &[Change]) {
        for change in changes {
            self.apply_change(change);
        }
    }

    /// Ends the delta that was staged.
    pub(crate) fn seal(&mut self) {
        self.revision = Revision(self.revision.0 + 1);
    }

    fn apply_change(&mut self, change: &Change) {
        match change {
            Change::NodeRegistered { node } => {
                if let Err(place) = self.nodes.binary_search(&NodeId(*node)) {
                    self.nodes.insert(place, NodeId(*node));
                }
            }
            Change::TopicCreated { id, name, configs } => self.create_topic(TopicId(*id), name, configs),
            Change::PartitionCreated { topic, partition, group, replicas } => {
                let revision = Revision(self.revision.0 + 1);
                self.next_group = self.next_group.max(group + 1);
                let topic = self.topic_mut(TopicId(*topic));
                assert_eq!(*partition as usize, topic.partitions.len(), "partitions are created in order");
                topic.partitions.push(PartitionState { group: GroupId(*group), replicas: nodes(replicas), revision });
            }
            Change::TopicDeleted { id } => {
                let name = self.names.remove(&TopicId(*id)).expect("only a topic that exists is deleted");
                self.topics.remove(&name);
                if let Some(folded) = folded(&name) {
                    self.folded.remove(&folded);
                }
            }
            Change::TopicConfigSet { topic, name, value } => {
                set(&mut self.topic_mut(TopicId(*topic)).configs, name.clone(), value.clone());
            }
            Change::BrokerConfigSet { node, name, value } => {
                set(&mut self.broker_configs, (node.map(NodeId), name.clone()), value.clone());
            }
            Change::ProducerIdsReserved { upto } => self.next_producer_id = self.next_producer_id.max(*upto),
            Change::Snapshot(_) => unreachable!("a snapshot stands alone in its delta, and is no decision"),
        }
    }

    fn create_topic(&mut self, id: TopicId, name: &str, configs: &[(String, String)]) {
        let name: Rc<str> = name.into();
        if let Some(folded) = folded(&name) {
            self.folded.insert(folded, name.clone());
        }
        let configs = configs.iter().cloned().collect();
        let topic = Topic { id, name: name.clone(), partitions: Vec::new(), configs };
        assert!(self.topics.insert(name.clone(), topic).is_none(), "a name belongs to one topic");
        assert!(self.names.insert(id, name).is_none(), "a topic id is never given twice");
    }

    fn topic_mut(&mut self, id: TopicId) -> &mut Topic {
        let name = self.names.get(&id).expect("a change names a topic that exists");
        self.topics.get_mut(name).expect("names and topics agree")
    }
}

fn set<K: Ord>(map: &mut BTreeMap<K, String>, key: K, value: Option<String>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(changes: Vec<Change>) -> ClusterState {
        let mut state = ClusterState::default();
        state.apply(&Delta { changes });
        state
    }

    fn topic(id: u128, name: &str) -> Change {
        Change::TopicCreated { id, name: name.into(), configs: vec![] }
    }

    #[test]
    fn a_topic_is_found_by_name_and_id_until_it_is_deleted() {
        let mut state = applied(vec![
            topic(7, "a"),
            Change::PartitionCreated { topic: 7, partition: 0, group: 16, replicas: vec![1] },
        ]);
        let partition = TopicIdPartition { topic: TopicId(7), partition: PartitionId(0) };
        assert_eq!(state.topic_by_id(TopicId(7)).map(|topic| &*topic.name), Some("a"));
        assert_eq!(state.partition(partition).map(|state| state.group), Some(GroupId(16)));
        assert_eq!(state.next_group(), GroupId(17));
        state.apply(&Delta { changes: vec![Change::TopicDeleted { id: 7 }] });
        assert!(state.topic("a").is_none() && state.partition(partition).is_none());
        assert_eq!(state.next_group(), GroupId(17), "a group id is never used again");
        assert_eq!(state.revision(), Revision(2));
    }

    #[test]
    fn names_that_differ_in_dots_and_underscores_collide() {
        let state = applied(vec![topic(7, "a.b_c")]);
        assert!(state.colliding("a_b.c").is_some());
        assert!(state.colliding("a.b_c").is_none(), "the same name is another matter");
        assert!(state.colliding("abc").is_none());
        let mut state = state;
        state.apply(&Delta { changes: vec![Change::TopicDeleted { id: 7 }] });
        assert!(state.colliding("a_b.c").is_none());
    }

    #[test]
    fn an_unset_config_falls_away() {
        let set = |value: Option<&str>| Change::TopicConfigSet {
            topic: 7,
            name: "retention.ms".into(),
            value: value.map(Into::into),
        };
        let mut state = applied(vec![topic(7, "a"), set(Some("5"))]);
        assert_eq!(state.topic("a").expect("created").configs["retention.ms"], "5");
        state.apply(&Delta { changes: vec![set(None)] });
        assert!(state.topic("a").expect("created").configs.is_empty());
    }
}
