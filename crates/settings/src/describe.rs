//! DescribeConfigs (KIP-133, KIP-226, KIP-569): every setting with its value, where it came from, and what stands
//! behind it.

use crate::broker::chain;
use crate::registry;
use crate::setting::{Kind, Scope, Setting};
use crate::{BrokerSettings, TopicOverrides};

/// Where a value came from. The numbers are those of the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic = 1,
    /// Set over the API on this broker.
    DynamicBroker = 2,
    /// Set over the API for all brokers.
    DynamicDefaultBroker = 3,
    /// Set by profile, file, environment or flags.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
}

impl ConfigSource {
    /// The number on the wire.
    pub fn code(self) -> i8 {
        self as i8
    }
}

/// A value that counts where those before it are not set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigSynonym {
    /// The name it was set by: `log.retention.hours` behind `retention.ms`.
    pub name: String,
    /// The value in that name's units; none if it is a secret.
    pub value: Option<String>,
    /// Who set it.
    pub source: ConfigSource,
}

/// One setting as DescribeConfigs answers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigEntry {
    /// Its name.
    pub name: &'static str,
    /// What holds; none if nothing is set and there is no default, or if it is a secret.
    pub value: Option<String>,
    /// Where `value` came from.
    pub source: ConfigSource,
    /// Whether it can only be set at the start.
    pub read_only: bool,
    /// Whether it is a secret.
    pub sensitive: bool,
    /// All values that say something about it, best first; the first is what holds.
    pub synonyms: Vec<ConfigSynonym>,
    /// Its type.
    pub kind: Kind,
    /// Its text.
    pub documentation: &'static str,
}

/// The settings of a topic, by name; only those in `names`, if given. Unknown names are left out, as Kafka does.
pub fn describe_topic(overrides: &TopicOverrides, broker: &BrokerSettings, names: Option<&[&str]>) -> Vec<ConfigEntry> {
    registry::topic_settings()
        .filter(|row| is_wanted(row, names))
        .filter(|row| !row.legacy || overrides.texts().contains_key(row.name))
        .map(|row| entry(row, overrides.synonyms(row, broker)))
        .collect()
}

/// The settings of this broker, by name; only those in `names`, if given.
pub fn describe_broker(broker: &BrokerSettings, names: Option<&[&str]>) -> Vec<ConfigEntry> {
    let values = |row| broker.candidates(&chain(row)).into_iter().map(|c| (c.synonym, c.value)).collect();
    registry::broker_settings().filter(|row| is_wanted(row, names)).map(|row| entry(row, values(row))).collect()
}

/// What has been set for all brokers over the API: what DescribeConfigs of the broker named "" answers.
pub fn describe_cluster(broker: &BrokerSettings, names: Option<&[&str]>) -> Vec<ConfigEntry> {
    let is_cluster = |entry: &ConfigSynonym| entry.source == ConfigSource::DynamicDefaultBroker;
    let values = |row: &'static Setting| {
        let all = broker.candidates(&[(row, 1)]).into_iter();
        all.map(|c| (c.synonym, c.value)).filter(|(synonym, _)| is_cluster(synonym)).collect()
    };
    registry::broker_settings()
        .filter(|row| broker.cluster().contains_key(row.name) && is_wanted(row, names))
        .map(|row| entry(row, values(row)))
        .collect()
}

fn is_wanted(row: &Setting, names: Option<&[&str]>) -> bool {
    names.is_none_or(|names| names.contains(&row.name))
}

fn entry(row: &'static Setting, values: Vec<(ConfigSynonym, String)>) -> ConfigEntry {
    let first = values.first();
    ConfigEntry {
        name: row.name,
        value: first.map(|(_, value)| value.clone()).filter(|_| !row.is_sensitive()),
        source: first.map_or(ConfigSource::Default, |(synonym, _)| synonym.source),
        read_only: row.scope == Scope::BrokerStatic,
        sensitive: row.is_sensitive(),
        synonyms: values.into_iter().map(|(synonym, _)| synonym).collect(),
        kind: row.kind,
        documentation: row.doc,
    }
}
