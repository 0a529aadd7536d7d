//! What can be asked of the controller, and what it answers.

use ailurus_model::{NodeId, TopicId};
use ailurus_settings::{AlterError, Alteration, BrokerSettings, Brokers, Texts};

use crate::change::Change;
use crate::plan::{self, Defaults, NewTopic, TopicRefusal};
use crate::state::{ClusterState, Topic};

/// A request to the controller. Plain data: it may come from another shard or, later, another broker.
#[derive(Clone, Debug)]
pub enum Command {
    /// Take part as this broker.
    RegisterNode(NodeId),
    /// Create topics; each is decided on its own.
    CreateTopics(Vec<NewTopic>),
    /// Delete topics; each is decided on its own.
    DeleteTopics(Vec<TopicRef>),
    /// Add partitions to topics; each is decided on its own.
    CreatePartitions(Vec<MorePartitions>),
    /// Change settings; each resource is decided on its own, and changed whole or not at all.
    AlterConfigs(Vec<ConfigChange>),
    /// Give away producer ids.
    ReserveProducerIds(i64),
}

/// A topic, by what the client knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicRef {
    /// By name.
    Name(String),
    /// By id.
    Id(TopicId),
}

/// A wish for more partitions.
#[derive(Clone, Debug)]
pub struct MorePartitions {
    /// The topic.
    pub name: String,
    /// How many it shall have then.
    pub count: i32,
    /// Copies of each new one by hand.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// A wish for other settings of one resource.
#[derive(Clone, Debug)]
pub struct ConfigChange {
    /// Whose.
    pub resource: ConfigResource,
    /// How.
    pub how: HowToAlter,
}

/// The two ways in which clients alter settings.
#[derive(Clone, Debug)]
pub enum HowToAlter {
    /// IncrementalAlterConfigs: what is not named stays.
    Incremental(Vec<Alteration>),
    /// AlterConfigs: what is not named goes.
    Replace(Vec<(String, Option<String>)>),
}

/// Who has settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic.
    Topic(String),
    /// A broker; `None` for the default of all.
    Broker(Option<NodeId>),
}

/// The answer to a [`Command`], in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To `RegisterNode`.
    Done,
    /// To commands about topics.
    Topics(Vec<Result<TopicId, TopicRefusal>>),
    /// To `AlterConfigs`.
    Configs(Vec<Result<(), ConfigRefusal>>),
    /// To `ReserveProducerIds`: the first of them.
    ProducerIds(i64),
}

/// Why settings were not altered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigRefusal {
    /// UNKNOWN_TOPIC_OR_PARTITION
    UnknownTopic,
    /// What is asked for is none, or is no value.
    Refused(AlterError),
    /// The controller could not write: try again.
    Unavailable,
}

/// Decides `command` against `head`, which becomes the state in which it has been carried out.
///
/// The changes are those that `head` has taken; if they cannot be logged, the caller throws `head` away.
pub fn decide(
    head: &mut ClusterState,
    command: Command,
    settings: &BrokerSettings,
    new_id: &mut dyn FnMut() -> TopicId,
) -> (Reply, Vec<Change>) {
    let mut changes = Vec::new();
    let mut take = |head: &mut ClusterState, new: Vec<Change>| {
        head.stage(&new);
        changes.extend(new);
    };
    let reply = match command {
        Command::RegisterNode(node) => {
            if !head.nodes().contains(&node) {
                take(head, vec![Change::NodeRegistered { node: node.0 }]);
            }
            Reply::Done
        }
        Command::CreateTopics(topics) => {
            let defaults = Defaults::new(settings);
            each_topic(topics, |topic| {
                let id = new_id();
                let created = plan::create_topic(head, &topic, id, &defaults)?;
                take(head, created);
                Ok(id)
            })
        }
        Command::DeleteTopics(topics) => each_topic(topics, |topic| {
            let topic = find(head, &topic)?;
            let (id, deleted) = (topic.id, plan::delete_topic(topic));
            take(head, deleted);
            Ok(id)
        }),
        Command::CreatePartitions(topics) => each_topic(topics, |more| {
            let created = plan::create_partitions(head, &more.name, more.count, more.assignments.as_deref())?;
            take(head, created);
            Ok(head.topic(&more.name).expect("it was just extended").id)
        }),
        Command::AlterConfigs(resources) => {
            let mut alter = |change| {
                let altered = alter_configs(head, settings, change)?;
                take(head, altered);
                Ok(())
            };
            Reply::Configs(resources.into_iter().map(&mut alter).collect())
        }
        Command::ReserveProducerIds(count) => {
            let (first, reserved) = plan::reserve_producer_ids(head, count);
            take(head, reserved);
            Reply::ProducerIds(first)
        }
    };
    if !changes.is_empty() {
        head.seal();
    }
    (reply, changes)
}

fn each_topic<T>(items: Vec<T>, decide: impl FnMut(T) -> Result<TopicId, TopicRefusal>) -> Reply {
    Reply::Topics(items.into_iter().map(decide).collect())
}

fn find<'a>(state: &'a ClusterState, topic: &TopicRef) -> Result<&'a Topic, TopicRefusal> {
    match topic {
        TopicRef::Name(name) => state.topic(name).ok_or(TopicRefusal::UnknownTopic),
        TopicRef::Id(id) => state.topic_by_id(*id).ok_or(TopicRefusal::UnknownTopicId),
    }
}

/// The changes that alter one resource. Only what differs from now becomes one, so repeating an alteration costs nothing.
///
/// # Errors
/// [`ConfigRefusal`].
pub fn alter_configs(
    state: &ClusterState,
    settings: &BrokerSettings,
    change: ConfigChange,
) -> Result<Vec<Change>, ConfigRefusal> {
    match change.resource {
        ConfigResource::Topic(name) => {
            let topic = state.topic(&name).ok_or(ConfigRefusal::UnknownTopic)?;
            let altered = match &change.how {
                HowToAlter::Incremental(changes) => {
                    ailurus_settings::alter_topic(&topic.overrides(), changes, settings)
                }
                HowToAlter::Replace(pairs) => ailurus_settings::replace_topic(pairs, settings),
            };
            let altered = altered.map_err(ConfigRefusal::Refused)?;
            let change = |(name, value)| Change::TopicConfigSet { topic: topic.id.0, name, value };
            Ok(differences(&topic.configs, altered.texts()).map(change).collect())
        }
        ConfigResource::Broker(node) => {
            let now = state.broker_configs(node);
            let brokers = if node.is_some() { Brokers::This } else { Brokers::All };
            let altered = match &change.how {
                HowToAlter::Incremental(changes) => ailurus_settings::alter_broker(brokers, &now, changes, settings),
                HowToAlter::Replace(pairs) => ailurus_settings::replace_broker(brokers, pairs, settings),
            };
            let altered = altered.map_err(ConfigRefusal::Refused)?;
            let change = |(name, value)| Change::BrokerConfigSet { node: node.map(|node| node.0), name, value };
            Ok(differences(&now, &altered).map(change).collect())
        }
    }
}

/// What must be set, and what taken away, to get from one to the other.
fn differences<'a>(now: &'a Texts, then: &'a Texts) -> impl Iterator<Item = (String, Option<String>)> + 'a {
    let set = then.iter().filter(|(name, value)| now.get(*name) != Some(value));
    let gone = now.keys().filter(|name| !then.contains_key(*name));
    let set = set.map(|(name, value)| (name.clone(), Some(value.clone())));
    set.chain(gone.map(|name| (name.clone(), None)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ailurus_settings::Operation;

    fn decided(head: &mut ClusterState, command: Command) -> (Reply, usize) {
        let mut next = head.topics().len() as u128;
        let mut new_id = || {
            next += 1;
            TopicId(next)
        };
        let (reply, changes) = decide(head, command, &BrokerSettings::default(), &mut new_id);
        (reply, changes.len())
    }

    fn head() -> ClusterState {
        let mut head = ClusterState::default();
        assert_eq!(decided(&mut head, Command::RegisterNode(NodeId(1))), (Reply::Done, 1));
        head
    }

    fn topic(name: &str) -> NewTopic {
        NewTopic { name: name.into(), ..NewTopic::default() }
    }

    #[test]
    fn one_command_decides_each_topic_on_its_own() {
        let mut head = head();
        let create = Command::CreateTopics(vec![topic("a"), topic("a"), topic("b")]);
        let ok = |id| Ok(TopicId(id));
        let expected = Reply::Topics(vec![ok(1), Err(TopicRefusal::Exists), ok(3)]);
        assert_eq!(decided(&mut head, create), (expected, 4));
        let delete = Command::DeleteTopics(vec![TopicRef::Name("a".into()), TopicRef::Id(TopicId(9))]);
        let expected = Reply::Topics(vec![ok(1), Err(TopicRefusal::UnknownTopicId)]);
        assert_eq!(decided(&mut head, delete), (expected, 1));
    }

    #[test]
    fn what_changes_nothing_writes_nothing() {
        let mut head = head();
        let revision = head.revision();
        assert_eq!(decided(&mut head, Command::RegisterNode(NodeId(1))), (Reply::Done, 0));
        assert_eq!(head.revision(), revision);
    }

    #[test]
    fn repeating_a_setting_is_no_change() {
        let mut head = head();
        decided(&mut head, Command::CreateTopics(vec![topic("a")]));
        let alter = |operation, value: Option<&str>| {
            let name = "retention.ms".to_string();
            let alteration = Alteration { name, operation, value: value.map(Into::into) };
            Command::AlterConfigs(vec![ConfigChange {
                resource: ConfigResource::Topic("a".into()),
                how: HowToAlter::Incremental(vec![alteration]),
            }])
        };
        let ok = Reply::Configs(vec![Ok(())]);
        assert_eq!(decided(&mut head, alter(Operation::Set, Some("5"))), (ok.clone(), 1));
        assert_eq!(decided(&mut head, alter(Operation::Set, Some("5"))), (ok.clone(), 0));
        assert_eq!(decided(&mut head, alter(Operation::Delete, None)), (ok, 1));
        let (reply, count) = decided(&mut head, alter(Operation::Set, Some("soon")));
        assert!(matches!(reply, Reply::Configs(results) if matches!(results[0], Err(ConfigRefusal::Refused(_)))));
        assert_eq!(count, 0);
    }

    #[test]
    fn replacing_takes_away_what_is_not_named() {
        let mut head = head();
        let configs = [("retention.ms", "5"), ("segment.bytes", "1000")];
        let configs = configs.map(|(name, value)| (name.to_string(), value.to_string())).into();
        decided(&mut head, Command::CreateTopics(vec![NewTopic { configs, ..topic("a") }]));
        let replace = Command::AlterConfigs(vec![ConfigChange {
            resource: ConfigResource::Topic("a".into()),
            how: HowToAlter::Replace(vec![("retention.ms".into(), Some("6".into()))]),
        }]);
        decided(&mut head, replace);
        let configs = &head.topic("a").expect("created").configs;
        assert_eq!(configs.iter().collect::<Vec<_>>(), [(&"retention.ms".to_string(), &"6".to_string())]);
    }
}
