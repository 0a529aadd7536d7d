//! What changes and describes topics, partitions, configurations and log directories.
//!
//! Requests for many things are answered thing by thing: the outer error means that nothing was answered.

use std::collections::BTreeMap;

use ailurus_wire::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use ailurus_wire::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use ailurus_wire::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use ailurus_wire::delete_topics::DeleteTopicsRequest;
use ailurus_wire::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use ailurus_wire::describe_log_dirs::DescribeLogDirsRequest;
use ailurus_wire::incremental_alter_configs::{AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest};
use ailurus_wire::{ApiKey, ErrorCode};

use crate::client::incomplete;
use crate::error::check;
use crate::offsets::TopicPartition;
use crate::{Client, ClientError, Target};

/// A topic to be made. `-1` leaves a number to the broker.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas each.
    pub replicas: i16,
    /// Names and values that differ from the broker's.
    pub configs: Vec<(String, String)>,
}

/// What a thing is called, and what became of it.
pub type Outcome<T> = (String, Result<T, ClientError>);

/// A topic that was made (or would have been).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// How many partitions it got; -1 if the broker does not say.
    pub partitions: i32,
    /// How many replicas each; -1 if the broker does not say.
    pub replicas: i16,
}

/// Whose configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A topic's.
    Topic(String),
    /// A broker's, by id.
    Broker(i32),
    /// What holds for all brokers.
    Brokers,
    /// A consumer group's.
    Group(String),
}

impl Resource {
    fn wire(&self) -> (i8, String) {
        match self {
            Resource::Topic(name) => (2, name.clone()),
            Resource::Broker(id) => (4, id.to_string()),
            Resource::Brokers => (4, String::new()),
            Resource::Group(name) => (32, name.clone()),
        }
    }

    /// A broker's own configuration is known to that broker only.
    fn target(&self) -> Target<'_> {
        match self {
            Resource::Broker(id) => Target::Node(*id),
            _ => Target::Any,
        }
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Resource::Topic(name) => write!(f, "topic {name}"),
            Resource::Broker(id) => write!(f, "broker {id}"),
            Resource::Brokers => write!(f, "all brokers"),
            Resource::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// Where a value comes from. Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on this broker while it ran.
    DynamicBroker,
    /// Set on all brokers while they ran.
    DynamicDefault,
    /// From the broker's file, environment or command line.
    Static,
    /// Nobody set it.
    Default,
    /// Something newer than this client.
    Other(i8),
}

impl ConfigSource {
    fn from_wire(source: i8) -> Self {
        match source {
            1 => ConfigSource::Topic,
            2 => ConfigSource::DynamicBroker,
            3 => ConfigSource::DynamicDefault,
            4 => ConfigSource::Static,
            5 => ConfigSource::Default,
            other => ConfigSource::Other(other),
        }
    }

    /// As Kafka's tools print it.
    pub fn name(self) -> &'static str {
        match self {
            ConfigSource::Topic => "DYNAMIC_TOPIC_CONFIG",
            ConfigSource::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            ConfigSource::DynamicDefault => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            ConfigSource::Static => "STATIC_BROKER_CONFIG",
            ConfigSource::Default => "DEFAULT_CONFIG",
            ConfigSource::Other(_) => "UNKNOWN",
        }
    }
}

/// One configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` if it is withheld or absent.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed while the broker runs.
    pub read_only: bool,
    /// Whether its value is withheld.
    pub sensitive: bool,
    /// What it does, if the broker says.
    pub documentation: Option<String>,
}

/// A change of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Give it this value.
    Set(String, String),
    /// Let it be what it is without being set.
    Delete(String),
    /// Add this to a list.
    Append(String, String),
    /// Take this out of a list.
    Subtract(String, String),
}

/// One log directory of one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDir {
    /// The broker's node id.
    pub broker: i32,
    /// The directory.
    pub path: String,
    /// What is wrong with it.
    pub error: ErrorCode,
    /// The size of its volume in bytes; -1 if unknown.
    pub total: i64,
    /// What is free on it in bytes; -1 if unknown.
    pub usable: i64,
    /// Topic, partition, bytes.
    pub partitions: Vec<(String, i32, i64)>,
}

/// Whether a request about something that must exist may succeed later. A topic that is not there is not about to come:
/// nobody creates it by asking for its configuration.
fn may_pass(error: &ClientError) -> bool {
    error.is_retriable() && error.code() != Some(ErrorCode::UnknownTopicOrPartition)
}

impl Client {
    /// Makes topics; with `validate_only`, only says whether they could be made.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<Outcome<Created>>, ClientError> {
        let timeout_ms = self.config().timeout.as_millis() as i32;
        let topics = topics.iter().map(creatable).collect();
        let request = CreateTopicsRequest { topics, timeout_ms, validate_only };
        let response = self.retry("creating topics", async || self.call(Target::Controller, &request).await).await?;
        let outcomes = response.topics.iter().map(|topic| {
            let what = || format!("topic {}", topic.name);
            let outcome = check(what, topic.error_code, topic.error_message.as_deref());
            let created = Created { partitions: topic.num_partitions, replicas: topic.replication_factor };
            (topic.name.to_string(), outcome.map(|()| created))
        });
        Ok(outcomes.collect())
    }

    /// Deletes topics by name.
    pub async fn delete_topics(&self, names: &[String]) -> Result<Vec<Outcome<()>>, ClientError> {
        let timeout_ms = self.config().timeout.as_millis() as i32;
        let topic_names = names.iter().map(Into::into).collect();
        let request = DeleteTopicsRequest { topic_names, timeout_ms, ..Default::default() };
        // Up to version 5 topics go by name alone.
        let response =
            self.retry("deleting topics", async || self.call_in(Target::Controller, 1..=5, &request).await).await?;
        let outcomes = response.responses.iter().map(|topic| {
            let name = topic.name.as_deref().unwrap_or_default().to_owned();
            let outcome = check(|| format!("topic {name}"), topic.error_code, topic.error_message.as_deref());
            (name, outcome)
        });
        Ok(outcomes.collect())
    }

    /// Gives topics more partitions: names with the number that they shall have.
    pub async fn create_partitions(
        &self,
        totals: &[(String, i32)],
        validate_only: bool,
    ) -> Result<Vec<Outcome<()>>, ClientError> {
        let timeout_ms = self.config().timeout.as_millis() as i32;
        let topic = |(name, count): &(String, i32)| CreatePartitionsTopic {
            name: name.into(),
            count: *count,
            assignments: None,
        };
        let topics = totals.iter().map(topic).collect();
        let request = CreatePartitionsRequest { topics, timeout_ms, validate_only };
        let response = self.retry("adding partitions", async || self.call(Target::Controller, &request).await).await?;
        let outcomes = response.results.iter().map(|topic| {
            let what = || format!("topic {}", topic.name);
            (topic.name.to_string(), check(what, topic.error_code, topic.error_message.as_deref()))
        });
        Ok(outcomes.collect())
    }

    /// Moves the beginning of partitions to these offsets (-1: the end); gives where they begin now.
    pub async fn delete_records(
        &self,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<Vec<(TopicPartition, Result<i64, ClientError>)>, ClientError> {
        let timeout_ms = self.config().timeout.as_millis() as i32;
        let mut outcomes = Vec::new();
        for ((topic, partition), offset) in offsets {
            let partitions = vec![DeleteRecordsPartition { partition_index: *partition, offset: *offset }];
            let topics = vec![DeleteRecordsTopic { name: topic.into(), partitions }];
            let request = DeleteRecordsRequest { topics, timeout_ms };
            let what = format!("{topic} partition {partition}");
            let outcome = self.retry(&what, async || {
                let response = self.call(Target::Leader(topic, *partition), &request).await?;
                let answer = response.topics.first().and_then(|topic| topic.partitions.first());
                let answer = answer.ok_or_else(|| incomplete(ApiKey::DeleteRecords, &what))?;
                check(|| what.clone(), answer.error_code, None)?;
                Ok(answer.low_watermark)
            });
            outcomes.push(((topic.clone(), *partition), outcome.await));
        }
        Ok(outcomes)
    }

    /// All configurations of something.
    pub async fn describe_configs(&self, of: &Resource, documentation: bool) -> Result<Vec<ConfigEntry>, ClientError> {
        let (resource_type, name) = of.wire();
        let resource = DescribeConfigsResource { resource_type, resource_name: name.into(), configuration_keys: None };
        let request = DescribeConfigsRequest {
            resources: vec![resource],
            include_synonyms: false,
            include_documentation: documentation,
        };
        // Documentation came with version 3; it must not be asked for before.
        let versions = if documentation { 3..=4 } else { 1..=4 };
        let what = format!("the configuration of {of}");
        self.retry_if(&what, may_pass, async || {
            let mut response = self.call_in(of.target(), versions.clone(), &request).await?;
            let result = response.results.pop().ok_or_else(|| incomplete(ApiKey::DescribeConfigs, &what))?;
            check(|| of.to_string(), result.error_code, result.error_message.as_deref())?;
            let entry = |config: ailurus_wire::describe_configs::DescribeConfigsResourceResult| ConfigEntry {
                name: config.name.into(),
                value: config.value.map(String::from),
                source: ConfigSource::from_wire(config.config_source),
                read_only: config.read_only,
                sensitive: config.is_sensitive,
                documentation: config.documentation.map(String::from),
            };
            Ok(result.configs.into_iter().map(entry).collect())
        })
        .await
    }

    /// Changes some configurations of something and leaves the others (KIP-339).
    pub async fn alter_configs(
        &self,
        of: &Resource,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let (resource_type, name) = of.wire();
        let configs = changes.iter().map(alterable).collect();
        let resource = AlterConfigsResource { resource_type, resource_name: name.into(), configs };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only };
        let what = format!("changing the configuration of {of}");
        self.retry_if(&what, may_pass, async || {
            let response = self.call(of.target(), &request).await?;
            let result =
                response.responses.first().ok_or_else(|| incomplete(ApiKey::IncrementalAlterConfigs, &what))?;
            check(|| of.to_string(), result.error_code, result.error_message.as_deref())
        })
        .await
    }

    /// The log directories of one broker with all that lies in them.
    pub async fn describe_log_dirs(&self, broker: i32) -> Result<Vec<LogDir>, ClientError> {
        let request = DescribeLogDirsRequest { topics: None };
        let what = format!("the log directories of broker {broker}");
        self.retry(&what, async || {
            let response = self.call(Target::Node(broker), &request).await?;
            check(|| what.clone(), response.error_code, None)?;
            let dir = |dir: &ailurus_wire::describe_log_dirs::DescribeLogDirsResult| {
                let topics = dir.topics.iter();
                let partitions = topics.flat_map(|topic| {
                    let sized = topic.partitions.iter().map(|p| (p.partition_index, p.partition_size));
                    sized.map(|(partition, size)| (topic.name.to_string(), partition, size))
                });
                LogDir {
                    broker,
                    path: dir.log_dir.to_string(),
                    error: dir.error_code,
                    total: dir.total_bytes,
                    usable: dir.usable_bytes,
                    partitions: partitions.collect(),
                }
            };
            Ok(response.results.iter().map(dir).collect())
        })
        .await
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let config =
        |(name, value): &(String, String)| CreatableTopicConfig { name: name.into(), value: Some(value.into()) };
    CreatableTopic {
        name: (&topic.name).into(),
        num_partitions: topic.partitions,
        replication_factor: topic.replicas,
        assignments: Vec::new(),
        configs: topic.configs.iter().map(config).collect(),
    }
}

fn alterable(change: &ConfigChange) -> AlterableConfig {
    let (name, config_operation, value) = match change {
        ConfigChange::Set(name, value) => (name, 0, Some(value.into())),
        ConfigChange::Delete(name) => (name, 1, None),
        ConfigChange::Append(name, value) => (name, 2, Some(value.into())),
        ConfigChange::Subtract(name, value) => (name, 3, Some(value.into())),
    };
    AlterableConfig { name: name.into(), config_operation, value }
}
