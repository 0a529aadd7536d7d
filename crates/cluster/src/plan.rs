//! Deciding about commands: pure functions from the state to the changes, or to the reason why not.

use std::collections::BTreeMap;

use ailurus_model::{NodeId, TopicId};
use ailurus_settings::{BrokerConfig, BrokerSettings, Invalid, TopicOverrides};

use crate::change::Change;
use crate::state::{ClusterState, Topic};

/// Kafka's limit of partitions that one request may create; its POLICY_VIOLATION beyond.
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// The longest name of a topic, as in Kafka: it and a suffix must fit a file name.
pub const TOPIC_NAME_MAX: usize = 249;

/// A topic that somebody wants.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` for the broker's default.
    pub partitions: Option<i32>,
    /// How many copies; `None` for the broker's default.
    pub replication_factor: Option<i16>,
    /// Copies by hand, by partition; empty if the broker chooses.
    pub assignments: Vec<(i32, Vec<i32>)>,
    /// Settings.
    pub configs: BTreeMap<String, String>,
}

/// What the broker's settings put in where a topic leaves something open. Resolved once for all topics of a command.
pub struct Defaults<'a> {
    settings: &'a BrokerSettings,
    broker: BrokerConfig,
    /// Whether a topic without settings of its own has settings that go together.
    plain: Result<(), Invalid>,
}

impl<'a> Defaults<'a> {
    /// As `settings` say.
    pub fn new(settings: &'a BrokerSettings) -> Self {
        let plain = TopicOverrides::default().check_with(settings);
        Defaults { settings, broker: settings.config(), plain }
    }

    /// A topic's settings, checked, alone and with what stands behind them.
    fn checked(&self, configs: &BTreeMap<String, String>) -> Result<TopicOverrides, Invalid> {
        if configs.is_empty() {
            return self.plain.clone().map(|()| TopicOverrides::default());
        }
        let overrides = TopicOverrides::parse(configs)?;
        overrides.check_with(self.settings)?;
        Ok(overrides)
    }
}

/// Why a topic was not created, extended or deleted. The text is for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TopicRefusal {
    /// TOPIC_ALREADY_EXISTS
    Exists,
    /// INVALID_TOPIC_EXCEPTION
    InvalidName(String),
    /// INVALID_PARTITIONS
    InvalidPartitions(String),
    /// INVALID_REPLICATION_FACTOR
    InvalidReplicationFactor(String),
    /// INVALID_REPLICA_ASSIGNMENT
    InvalidAssignment(String),
    /// INVALID_CONFIG
    InvalidConfig(String),
    /// INVALID_REQUEST
    InvalidRequest(String),
    /// POLICY_VIOLATION
    PolicyViolation(String),
    /// UNKNOWN_TOPIC_OR_PARTITION
    UnknownTopic,
    /// UNKNOWN_TOPIC_ID
    UnknownTopicId,
    /// NOT_CONTROLLER or a controller that could not write: try again.
    Unavailable,
}

/// Checks a topic's name by Kafka's rules.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        Err("a topic's name must not be empty".into())
    } else if name == "." || name == ".." {
        Err("a topic cannot be named '.' or '..'".into())
    } else if name.len() > TOPIC_NAME_MAX {
        Err(format!("a topic's name has at most {TOPIC_NAME_MAX} characters, this one has {}", name.len()))
    } else if !name.chars().all(legal) {
        Err(format!("'{name}' has characters other than ASCII letters, digits, '.', '_' and '-'"))
    } else {
        Ok(())
    }
}

/// The changes that create `topic` under `id`.
///
/// # Errors
/// [`TopicRefusal`].
pub fn create_topic(
    state: &ClusterState,
    topic: &NewTopic,
    id: TopicId,
    defaults: &Defaults<'_>,
) -> Result<Vec<Change>, TopicRefusal> {
    check_name(&topic.name).map_err(TopicRefusal::InvalidName)?;
    if state.topic(&topic.name).is_some() {
        return Err(TopicRefusal::Exists);
    }
    if let Some(other) = state.colliding(&topic.name) {
        let text = format!("topic '{}' collides with existing topic '{}' in metric names", topic.name, other.name);
        return Err(TopicRefusal::InvalidName(text));
    }
    let replicas = if topic.assignments.is_empty() {
        let partitions = topic.partitions.unwrap_or(defaults.broker.num_partitions);
        let factor = topic.replication_factor.map_or(defaults.broker.default_replication_factor, i32::from);
        choose_replicas(state, partitions, factor)?
    } else {
        assigned_replicas(state, topic)?
    };
    let invalid = |invalid: Invalid| TopicRefusal::InvalidConfig(invalid.to_string());
    let overrides = defaults.checked(&topic.configs).map_err(invalid)?;
    let configs = overrides.texts().clone().into_iter().collect();
    let mut changes = vec![Change::TopicCreated { id: id.0, name: topic.name.clone(), configs }];
    changes.extend(partitions_created(state, id, 0, replicas));
    Ok(changes)
}

/// The changes that bring the topic to `count` partitions, with copies by hand where `assignments` gives them.
///
/// # Errors
/// [`TopicRefusal`].
pub fn create_partitions(
    state: &ClusterState,
    name: &str,
    count: i32,
    assignments: Option<&[Vec<i32>]>,
) -> Result<Vec<Change>, TopicRefusal> {
    let topic = state.topic(name).ok_or(TopicRefusal::UnknownTopic)?;
    if topic.is_internal() {
        // Keys of such a topic go to the partition that their hash and the count say: with another count what was
        // committed would be looked for elsewhere.
        let text =
            format!("the partitions of '{name}' are counted on by what is in it: their number cannot be changed");
        return Err(TopicRefusal::InvalidRequest(text));
    }
    let existing = topic.partitions.len();
    let wanted = usize::try_from(count).unwrap_or(0);
    if wanted <= existing {
        let text =
            format!("the topic has {existing} partitions already, which is not fewer than the {count} asked for");
        return Err(TopicRefusal::InvalidPartitions(text));
    }
    let added = wanted - existing;
    bound_partitions(added)?;
    let replicas = match assignments {
        Some(sets) if sets.len() != added => {
            let text = format!("{added} partitions are to be added, but {} assignments are given", sets.len());
            return Err(TopicRefusal::InvalidAssignment(text));
        }
        Some(sets) => checked_sets(state, sets.iter())?,
        None => {
            let factor = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
            choose_replicas(state, added as i32, factor as i32)?
        }
    };
    Ok(partitions_created(state, topic.id, existing, replicas))
}

/// The changes that delete a topic.
pub fn delete_topic(topic: &Topic) -> Vec<Change> {
    vec![Change::TopicDeleted { id: topic.id.0 }]
}

/// The changes that give away `count` producer ids, and the first of them.
pub fn reserve_producer_ids(state: &ClusterState, count: i64) -> (i64, Vec<Change>) {
    let first = state.next_producer_id();
    (first, vec![Change::ProducerIdsReserved { upto: first + count }])
}

fn partitions_created(state: &ClusterState, topic: TopicId, first: usize, replicas: Vec<Vec<i32>>) -> Vec<Change> {
    let groups = state.next_group().0..;
    let numbered = replicas.into_iter().zip(groups).enumerate();
    numbered
        .map(|(place, (replicas, group))| Change::PartitionCreated {
            topic: topic.0,
            partition: (first + place) as i32,
            group,
            replicas,
        })
        .collect()
}

/// Spreads copies over the members, each partition beginning one further.
fn choose_replicas(state: &ClusterState, partitions: i32, factor: i32) -> Result<Vec<Vec<i32>>, TopicRefusal> {
    if partitions <= 0 {
        let text = format!("the number of partitions must be above 0, not {partitions}");
        return Err(TopicRefusal::InvalidPartitions(text));
    }
    if factor <= 0 {
        let text = format!("the replication factor must be above 0, not {factor}");
        return Err(TopicRefusal::InvalidReplicationFactor(text));
    }
    let (nodes, factor) = (state.nodes(), factor as usize);
    if factor > nodes.len() {
        let text = format!("replication factor {factor} cannot be reached: {} broker(s) are there", nodes.len());
        return Err(TopicRefusal::InvalidReplicationFactor(text));
    }
    bound_partitions(partitions as usize)?;
    let copies = |first: usize| (0..factor).map(|copy| nodes[(first + copy) % nodes.len()].0).collect();
    Ok((0..partitions as usize).map(copies).collect())
}

/// Refuses `count` partitions in one request if they are more than Kafka creates.
///
/// # Errors
/// [`TopicRefusal::PolicyViolation`].
pub fn bound_partitions(count: usize) -> Result<(), TopicRefusal> {
    if count > PARTITIONS_PER_REQUEST_MAX {
        let text = format!("at most {PARTITIONS_PER_REQUEST_MAX} partitions are created by one request, not {count}");
        return Err(TopicRefusal::PolicyViolation(text));
    }
    Ok(())
}

fn assigned_replicas(state: &ClusterState, topic: &NewTopic) -> Result<Vec<Vec<i32>>, TopicRefusal> {
    if topic.partitions.is_some() || topic.replication_factor.is_some() {
        let text =
            "replicas are assigned by hand: partition count and replication factor must be left open".to_string();
        return Err(TopicRefusal::InvalidRequest(text));
    }
    bound_partitions(topic.assignments.len())?;
    let by_partition: BTreeMap<i32, &Vec<i32>> = topic.assignments.iter().map(|(id, set)| (*id, set)).collect();
    let consecutive = by_partition.keys().copied().eq(0..topic.assignments.len() as i32);
    if !consecutive {
        let text = "assignments must name each partition from 0 on once".to_string();
        return Err(TopicRefusal::InvalidAssignment(text));
    }
    let sets = checked_sets(state, by_partition.into_values())?;
    if sets.windows(2).any(|pair| pair[0].len() != pair[1].len()) {
        let text = "all partitions of a topic have the same number of copies".to_string();
        return Err(TopicRefusal::InvalidAssignment(text));
    }
    Ok(sets)
}

fn checked_sets<'a>(
    state: &ClusterState,
    sets: impl Iterator<Item = &'a Vec<i32>>,
) -> Result<Vec<Vec<i32>>, TopicRefusal> {
    sets.map(|set| {
        check_replicas(state, set).map_err(TopicRefusal::InvalidAssignment)?;
        Ok(set.clone())
    })
    .collect()
}

/// Checks a set of copies: not empty, no broker twice, only brokers that are there.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check_replicas(state: &ClusterState, replicas: &[i32]) -> Result<(), String> {
    if replicas.is_empty() {
        return Err("a partition needs at least one replica".into());
    }
    for (place, replica) in replicas.iter().enumerate() {
        if replicas[..place].contains(replica) {
            return Err(format!("broker {replica} is named twice"));
        }
        if !state.nodes().contains(&NodeId(*replica)) {
            return Err(format!("there is no broker {replica}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Delta;
    use ailurus_settings::Layer;

    fn state() -> ClusterState {
        let mut state = ClusterState::default();
        state.apply(&Delta { changes: vec![Change::NodeRegistered { node: 1 }, Change::NodeRegistered { node: 2 }] });
        state
    }

    fn create(state: &ClusterState, topic: NewTopic) -> Result<Vec<Change>, TopicRefusal> {
        let mut settings = BrokerSettings::default();
        settings.set(Layer::Flags, "num.partitions", "3").expect("a legal value");
        create_topic(state, &topic, TopicId(7), &Defaults::new(&settings))
    }

    fn named(name: &str) -> NewTopic {
        NewTopic { name: name.into(), ..NewTopic::default() }
    }

    fn replicas(changes: &[Change]) -> Vec<Vec<i32>> {
        let of = |change: &Change| match change {
            Change::PartitionCreated { replicas, .. } => Some(replicas.clone()),
            _ => None,
        };
        changes.iter().filter_map(of).collect()
    }

    #[test]
    fn what_is_left_open_comes_from_the_defaults() {
        let changes = create(&state(), named("a")).expect("legal");
        assert_eq!(replicas(&changes), [[1], [2], [1]]);
    }

    #[test]
    fn a_created_topic_applies_and_cannot_be_created_again() {
        let mut state = state();
        let changes = create(&state, named("a")).expect("legal");
        state.apply(&Delta { changes });
        assert_eq!(create(&state, named("a")), Err(TopicRefusal::Exists));
        let added = create_partitions(&state, "a", 5, None).expect("more than before");
        assert_eq!(added.len(), 2);
        state.apply(&Delta { changes: added });
        let groups: Vec<_> = state.topic("a").expect("created").partitions.iter().map(|p| p.group.0).collect();
        assert_eq!(groups, [16, 17, 18, 19, 20]);
    }

    #[test]
    fn names_follow_kafkas_rules() {
        for name in ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)] {
            assert!(matches!(create(&state(), named(name)), Err(TopicRefusal::InvalidName(_))), "{name}");
        }
        for name in ["a", "A.b_c-9", &"x".repeat(249)] {
            assert!(create(&state(), named(name)).is_ok(), "{name}");
        }
    }

    #[test]
    fn numbers_are_bounded() {
        let with = |partitions, factor| NewTopic {
            partitions: Some(partitions),
            replication_factor: Some(factor),
            ..named("a")
        };
        let refused = |partitions, factor| create(&state(), with(partitions, factor)).expect_err("out of bounds");
        assert!(matches!(refused(0, 1), TopicRefusal::InvalidPartitions(_)));
        assert!(matches!(refused(-5, 1), TopicRefusal::InvalidPartitions(_)));
        assert!(matches!(refused(10_001, 1), TopicRefusal::PolicyViolation(_)));
        assert!(matches!(refused(1, 0), TopicRefusal::InvalidReplicationFactor(_)));
        assert!(matches!(refused(1, 3), TopicRefusal::InvalidReplicationFactor(_)));
    }

    #[test]
    fn assignments_are_checked() {
        let with = |assignments: &[(i32, &[i32])]| NewTopic {
            assignments: assignments.iter().map(|(id, set)| (*id, set.to_vec())).collect(),
            ..named("a")
        };
        let legal = create(&state(), with(&[(1, &[2, 1]), (0, &[1, 2])])).expect("legal");
        assert_eq!(replicas(&legal), [[1, 2], [2, 1]]);
        for sets in [&[(0, &[9][..])][..], &[(0, &[1, 1])], &[(1, &[1])], &[(0, &[])], &[(0, &[1]), (1, &[1, 2])]] {
            assert!(matches!(create(&state(), with(sets)), Err(TopicRefusal::InvalidAssignment(_))), "{sets:?}");
        }
        let both = NewTopic { partitions: Some(1), ..with(&[(0, &[1])]) };
        assert!(matches!(create(&state(), both), Err(TopicRefusal::InvalidRequest(_))));
    }

    #[test]
    fn settings_are_checked() {
        for (name, value) in [("retention.m", "1"), ("retention.ms", "soon"), ("cleanup.policy", "keep")] {
            let topic = NewTopic { configs: [(name.to_string(), value.to_string())].into(), ..named("a") };
            assert!(matches!(create(&state(), topic), Err(TopicRefusal::InvalidConfig(_))), "{name}={value}");
        }
    }

    #[test]
    fn partitions_only_grow() {
        let mut state = state();
        let changes = create(&state, named("a")).expect("legal");
        state.apply(&Delta { changes });
        let refused = |count, sets: Option<&[Vec<i32>]>| create_partitions(&state, "a", count, sets);
        assert!(matches!(refused(3, None), Err(TopicRefusal::InvalidPartitions(_))));
        assert!(matches!(refused(-1, None), Err(TopicRefusal::InvalidPartitions(_))));
        assert!(matches!(refused(5, Some(&[vec![1]])), Err(TopicRefusal::InvalidAssignment(_))));
        assert!(refused(4, Some(&[vec![2]])).is_ok());
        assert_eq!(create_partitions(&state, "b", 4, None), Err(TopicRefusal::UnknownTopic));
    }

    #[test]
    fn topics_of_the_brokers_own_keep_their_partitions() {
        let mut state = state();
        let changes = create(&state, named(crate::OFFSETS_TOPIC)).expect("legal");
        state.apply(&Delta { changes });
        let refused = create_partitions(&state, crate::OFFSETS_TOPIC, 9, None);
        assert!(matches!(refused, Err(TopicRefusal::InvalidRequest(_))), "{refused:?}");
    }

    #[test]
    fn producer_ids_are_never_given_twice() {
        let mut state = state();
        let (first, changes) = reserve_producer_ids(&state, 1000);
        state.apply(&Delta { changes });
        let (second, _) = reserve_producer_ids(&state, 1000);
        assert_eq!((first, second), (0, 1000));
    }
}
