//! `ailurus topic`: create, list, describe, alter, delete, add-partitions, trim.

use std::collections::BTreeMap;

use ailurus_client::admin::{ConfigEntry, ConfigSource, NewTopic, Resource};
use ailurus_client::{ClientError, Isolation, TopicMetadata};
use ailurus_wire::ErrorCode;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::parse_pair;
use crate::config::{Change, alter};
use crate::fault::Fault;
use crate::position::Position;
use crate::report::Section;
use crate::resolve::{Bounds, TopicPartition, bounds, partitions_of, resolve};
use crate::session::{Session, show_outcomes};

/// The verbs for topics.
#[derive(Debug, Subcommand)]
pub(crate) enum Topic {
    /// Create topics.
    Create(Create),
    /// List topics.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show partitions, offsets and configuration of topics.
    Describe(Describe),
    /// Change the configuration of topics.
    #[command(visible_alias = "alter-config")]
    Alter(Alter),
    /// Delete topics with all their records.
    #[command(visible_alias = "rm")]
    Delete(Delete),
    /// Give a topic more partitions.
    AddPartitions(AddPartitions),
    /// Delete the records before a position.
    #[command(visible_alias = "trim-prefix", visible_alias = "delete-records")]
    Trim(Trim),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Partitions of each; the broker's num.partitions if left out.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Replicas of each partition; the broker's default.replication.factor if left out.
    #[arg(short, long, visible_alias = "replication-factor", value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replicas: Option<i16>,
    /// Configuration, as in -c retention.ms=3600000; may be repeated.
    #[arg(short, long = "config", visible_alias = "topic-config", value_name = "NAME=VALUE", value_parser = parse_pair)]
    configs: Vec<(String, String)>,
    /// A topic that is there already is no error.
    #[arg(long)]
    if_not_exists: bool,
    /// Only say whether they could be created.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only topics whose name matches; `*` stands for anything.
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Also those that belong to the broker itself, like __consumer_offsets.
    #[arg(short, long)]
    internal: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// Names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// All of the configuration, not only what was set.
    #[arg(short, long)]
    all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Alter {
    /// Names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// A topic that is not there is no error.
    #[arg(long)]
    if_exists: bool,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("count").required(true).args(["add", "partitions"])))]
pub(crate) struct AddPartitions {
    /// Name of the topic.
    topic: String,
    /// How many to add.
    #[arg(short = 'n', long, visible_alias = "num", value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    add: Option<i32>,
    /// How many there shall be in the end.
    #[arg(short, long, visible_alias = "total", value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Only say whether that could be done.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Trim {
    /// Name of the topic.
    topic: String,
    /// Only these partitions.
    #[arg(short, long = "partition", value_name = "N", value_delimiter = ',')]
    partitions: Vec<i32>,
    /// Where the topic shall begin: an offset, @TIME, or latest.
    #[arg(short, long, value_name = "POSITION", allow_hyphen_values = true)]
    offset: String,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
}

impl Topic {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Fault> {
        match self {
            Topic::Create(create) => create.run(session).await,
            Topic::List(list) => list.run(session).await,
            Topic::Describe(describe) => describe.run(session).await,
            Topic::Alter(change) => {
                let topics = change.topics.into_iter().map(Resource::Topic).collect();
                alter(session, topics, &change.change).await
            }
            Topic::Delete(delete) => delete.run(session).await,
            Topic::AddPartitions(add) => add.run(session).await,
            Topic::Trim(trim) => trim.run(session).await,
        }
    }
}

impl Create {
    async fn run(self, session: &Session) -> Result<(), Fault> {
        let new = |name: &String| NewTopic {
            name: name.clone(),
            partitions: self.partitions.unwrap_or(-1),
            replicas: self.replicas.unwrap_or(-1),
            configs: self.configs.clone(),
        };
        let topics: Vec<NewTopic> = self.topics.iter().map(new).collect();
        let outcomes = session.client.create_topics(&topics, self.dry_run).await?;
        let outcomes = outcomes.into_iter().map(|(name, outcome)| {
            let mut value = json!({ "topic": name });
            let outcome = match outcome {
                Ok(created) => {
                    value["partitions"] = json!(created.partitions);
                    value["replicas"] = json!(created.replicas);
                    let verb = if self.dry_run { "could create" } else { "created" };
                    let size = size(created.partitions, created.replicas);
                    Ok(format!("{verb} topic {name}{size}"))
                }
                Err(error) if self.if_not_exists && error.code() == Some(ErrorCode::TopicAlreadyExists) => {
                    Ok(format!("topic {name} is there already"))
                }
                Err(error) => Err(error.into()),
            };
            (value, outcome)
        });
        show_outcomes(session.output, outcomes.collect())
    }
}

fn size(partitions: i32, replicas: i16) -> String {
    if partitions < 0 {
        return String::new();
    }
    let plural = |count: i32| if count == 1 { "" } else { "s" };
    format!(" with {partitions} partition{}, {replicas} replica{} each", plural(partitions), plural(replicas.into()))
}

impl List {
    async fn run(self, session: &Session) -> Result<(), Fault> {
        let metadata = session.client.metadata(None, false).await?;
        let wanted = |topic: &&TopicMetadata| {
            let named = self.patterns.iter().any(|pattern| glob(pattern, &topic.name));
            named || (self.patterns.is_empty() && (self.internal || !topic.internal))
        };
        let topics: Vec<TopicMetadata> = metadata.topics.iter().filter(wanted).cloned().collect();
        let (json, sections) = list_report(&topics);
        session.output.show(&json, &sections)
    }
}

fn list_report(topics: &[TopicMetadata]) -> (Value, Vec<Section>) {
    let replicas = |topic: &TopicMetadata| topic.partitions.first().map_or(0, |first| first.replicas.len());
    let json = topics.iter().map(|topic| {
        json!({
            "topic": topic.name, "id": topic.id.to_string(), "internal": topic.internal,
            "partitions": topic.partitions.len(), "replicas": replicas(topic),
        })
    });
    let rows = topics
        .iter()
        .map(|topic| vec![topic.name.clone(), topic.partitions.len().to_string(), replicas(topic).to_string()]);
    let table = Section::Table { headings: vec!["TOPIC", "#PARTITIONS", "#REPLICAS"], rows: rows.collect() };
    let sections = if topics.is_empty() { vec![Section::line("no topics")] } else { vec![table] };
    (json.collect(), sections)
}

/// Whether `name` matches `pattern`, in which `*` stands for any characters.
fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            let ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
            ends.into_iter().any(|at| glob(rest, &tail[at..]))
        }),
    }
}

impl Describe {
    async fn run(self, session: &Session) -> Result<(), Fault> {
        let metadata = session.client.metadata(Some(&self.topics), false).await?;
        let mut values = Vec::new();
        let mut sections = Vec::new();
        let mut fault = None;
        for topic in &metadata.topics {
            if topic.error.is_error() {
                let what = format!("topic {}", topic.name);
                fault = Some(Fault::from(ailurus_client::ClientError::refused(what, topic.error, None)));
                continue;
            }
            let led = topic.partitions.iter().filter(|partition| partition.leader >= 0);
            let led: Vec<TopicPartition> = led.map(|p| (topic.name.clone(), p.partition)).collect();
            let bounds = bounds(&session.client, &led, Isolation::ReadUncommitted).await?;
            let configs = session.client.describe_configs(&Resource::Topic(topic.name.clone()), false).await?;
            let (value, page) = describe_report(topic, &bounds, &configs, self.all);
            values.push(value);
            sections.extend(page);
        }
        session.output.show(&Value::Array(values), &sections)?;
        fault.map_or(Ok(()), Err)
    }
}

fn describe_report(
    topic: &TopicMetadata,
    bounds: &Bounds,
    configs: &[ConfigEntry],
    all: bool,
) -> (Value, Vec<Section>) {
    let set = |config: &&ConfigEntry| all || config.source == ConfigSource::Topic;
    let configs: Vec<&ConfigEntry> = configs.iter().filter(set).collect();
    let offset =
        |offsets: &BTreeMap<TopicPartition, i64>, partition| offsets.get(&(topic.name.clone(), partition)).copied();
    let partitions = topic.partitions.iter().map(|p| {
        json!({
            "partition": p.partition, "leader": p.leader, "leader_epoch": p.leader_epoch, "replicas": p.replicas,
            "isr": p.isr, "offline": p.offline, "start": offset(&bounds.start, p.partition),
            "end": offset(&bounds.end, p.partition),
        })
    });
    let json = json!({
        "topic": topic.name, "id": topic.id.to_string(), "internal": topic.internal,
        "configs": configs.iter().map(|c| (c.name.clone(), json!(c.value))).collect::<serde_json::Map<_, _>>(),
        "partitions": partitions.collect::<Vec<_>>(),
    });
    let shown = |offset: Option<i64>| offset.map_or("-".to_owned(), |offset| offset.to_string());
    let rows = topic.partitions.iter().map(|p| {
        let (start, end) = (offset(&bounds.start, p.partition), offset(&bounds.end, p.partition));
        vec![
            p.partition.to_string(),
            if p.leader < 0 { "none".to_owned() } else { p.leader.to_string() },
            p.leader_epoch.to_string(),
            list(&p.replicas),
            list(&p.isr),
            shown(start),
            shown(end),
            shown(start.zip(end).map(|(start, end)| end - start)),
        ]
    });
    let headings = vec!["#PARTITION", "#LEADER", "#EPOCH", "REPLICAS", "IN-SYNC", "#START", "#END", "#RECORDS"];
    let mut facts = vec![
        ("topic", topic.name.clone()),
        ("id", topic.id.to_string()),
        ("partitions", topic.partitions.len().to_string()),
    ];
    if topic.internal {
        facts.push(("internal", "yes".to_owned()));
    }
    let mut sections = vec![Section::Facts(facts)];
    if !configs.is_empty() {
        let row = |config: &&ConfigEntry| {
            vec![config.name.clone(), config.value.clone().unwrap_or_default(), config.source.name().to_owned()]
        };
        let rows = configs.iter().map(row).collect();
        sections.push(Section::Table { headings: vec!["CONFIG", "VALUE", "SOURCE"], rows });
    }
    sections.push(Section::Table { headings, rows: rows.collect() });
    (json, sections)
}

fn list(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl Delete {
    async fn run(self, session: &Session) -> Result<(), Fault> {
        let outcomes = session.client.delete_topics(&self.topics).await?;
        let outcomes = outcomes.into_iter().map(|(name, outcome)| {
            let outcome = match outcome {
                Ok(()) => Ok(format!("deleted topic {name}")),
                Err(error) if self.if_exists && error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {
                    Ok(format!("topic {name} is not there"))
                }
                Err(error) => Err(error.into()),
            };
            (json!({ "topic": name }), outcome)
        });
        show_outcomes(session.output, outcomes.collect())
    }
}

impl AddPartitions {
    async fn run(self, session: &Session) -> Result<(), Fault> {
        let now = session.client.topic(&self.topic, false).await?.partitions.len() as i32;
        let total = self.partitions.unwrap_or_else(|| now.saturating_add(self.add.unwrap_or(0)));
        let outcomes = session.client.create_partitions(&[(self.topic.clone(), total)], self.dry_run).await?;
        let verb = if self.dry_run { "could have" } else { "has" };
        let outcomes = outcomes.into_iter().map(|(name, outcome)| {
            let line = format!("topic {name} {verb} {total} partitions now, {now} before");
            (json!({ "topic": name, "before": now, "partitions": total }), outcome.map(|()| line).map_err(Fault::from))
        });
        show_outcomes(session.output, outcomes.collect())
    }
}

impl Trim {
    async fn run(self, session: &Session) -> Result<(), Fault> {
        let position = Position::parse(&self.offset, ailurus_rt::unix_ms()).map_err(Fault::usage)?;
        if position == Position::Committed {
            return Err(Fault::usage("a topic has no committed offset; groups have"));
        }
        let chosen = Some(&self.partitions[..]).filter(|chosen| !chosen.is_empty());
        let partitions = partitions_of(&session.client, &self.topic, chosen, false).await?;
        let isolation = Isolation::ReadUncommitted;
        let bounds = bounds(&session.client, &partitions, isolation).await?;
        let goals = match position {
            // As it was said: taken for the end, a number that is too large would delete everything.
            Position::Offset(offset) => partitions.iter().map(|place| (place.clone(), offset)).collect(),
            _ => resolve(&session.client, &bounds, position, &BTreeMap::new(), isolation).await?,
        };
        let outcomes = match self.dry_run {
            true => {
                goals.into_iter().map(|(place, offset)| (place.clone(), would_begin(&bounds, &place, offset))).collect()
            }
            false => session.client.delete_records(&goals).await?,
        };
        let outcomes = outcomes.into_iter().map(|((topic, partition), outcome)| {
            let verb = if self.dry_run { "would begin" } else { "begins" };
            let line = |start: &i64| format!("{topic} partition {partition} {verb} at offset {start}");
            let value = json!({ "topic": topic, "partition": partition, "start": outcome.as_ref().ok() });
            (value, outcome.as_ref().map(line).map_err(|error| Fault::from(error.clone())))
        });
        show_outcomes(session.output, outcomes.collect())
    }
}

/// What the broker would say to a wish where a partition is to begin.
fn would_begin(bounds: &Bounds, place: &TopicPartition, offset: i64) -> Result<i64, ClientError> {
    let what = || format!("{} partition {}", place.0, place.1);
    match offset > bounds.end[place] {
        true => Err(ClientError::refused(what(), ErrorCode::OffsetOutOfRange, None)),
        false => Ok(offset.max(bounds.start[place])),
    }
}

#[cfg(test)]
mod tests {
    use ailurus_client::PartitionMetadata;
    use ailurus_model::TopicId;

    use super::*;
    use crate::report::render;

    fn topic() -> TopicMetadata {
        let partition = |partition, leader| PartitionMetadata {
            partition,
            leader,
            leader_epoch: 4,
            replicas: vec![1, 2],
            isr: vec![1],
            offline: vec![],
            error: ErrorCode::None,
        };
        TopicMetadata {
            name: "orders".into(),
            id: TopicId(1),
            internal: false,
            error: ErrorCode::None,
            partitions: vec![partition(0, 1), partition(1, -1)],
        }
    }

    #[test]
    fn describe_shows_what_is_known_and_a_dash_for_what_is_not() {
        let place = ("orders".to_owned(), 0);
        let bounds = Bounds { start: [(place.clone(), 5)].into(), end: [(place, 105)].into() };
        let config = |name: &str, source| ConfigEntry {
            name: name.into(),
            value: Some("1".into()),
            source,
            read_only: false,
            sensitive: false,
            documentation: None,
        };
        let configs = [config("retention.ms", ConfigSource::Topic), config("segment.ms", ConfigSource::Default)];
        let (json, sections) = describe_report(&topic(), &bounds, &configs, false);
        let expected = "\
topic       orders
id          AAAAAAAAAAAAAAAAAAAAAQ
partitions  2

CONFIG        VALUE  SOURCE
retention.ms  1      DYNAMIC_TOPIC_CONFIG

PARTITION  LEADER  EPOCH  REPLICAS  IN-SYNC  START  END  RECORDS
        0       1      4  1,2       1            5  105      100
        1    none      4  1,2       1            -    -        -
";
        assert_eq!(render(&sections, false), expected);
        assert_eq!(json["partitions"][0]["end"], 105);
        assert_eq!(json["partitions"][1]["end"], Value::Null);
        assert_eq!(json["configs"], json!({ "retention.ms": "1" }));
    }

    #[test]
    fn list_is_a_table() {
        let expected = "\
TOPIC   PARTITIONS  REPLICAS
orders           2         2
";
        assert_eq!(render(&list_report(&[topic()]).1, false), expected);
        assert_eq!(render(&list_report(&[]).1, false), "no topics\n");
    }

    #[test]
    fn globs() {
        for (pattern, name, matches) in [
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c*", "abcd", true),
            ("abc", "abcd", false),
            ("*", "", true),
            ("a*b", "a", false),
        ] {
            assert_eq!(glob(pattern, name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn sizes_are_spoken() {
        assert_eq!(size(1, 1), " with 1 partition, 1 replica each");
        assert_eq!(size(12, 3), " with 12 partitions, 3 replicas each");
        assert_eq!(size(-1, -1), "");
    }
}
