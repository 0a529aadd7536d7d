//! `ailurus config`: what topics and brokers are set to, and how to change it.

use ailurus_client::admin::{ConfigChange, ConfigEntry, ConfigSource, Resource};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::cli::parse_pair;
use crate::fault::Fault;
use crate::report::{Section, print};
use crate::session::{Session, show_outcomes};

/// The verbs for configurations.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show the configuration of a topic or broker.
    #[command(visible_alias = "get")]
    Describe(Describe),
    /// Change the configuration of a topic or broker while it runs.
    #[command(visible_alias = "set")]
    Alter(Alter),
    /// Explain every setting of this version, as Markdown; asks no broker.
    Reference,
}

/// Whose configuration.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// A topic, by name.
    #[value(alias = "topics")]
    Topic,
    /// A broker, by node id; `all` for what holds for all brokers.
    #[value(alias = "brokers")]
    Broker,
    /// A consumer group, by name.
    #[value(alias = "groups")]
    Group,
}

#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// Whose.
    kind: Kind,
    /// Which one; of brokers the controller if left out.
    name: Option<String>,
    /// Only names that contain this.
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// Only what somebody set.
    #[arg(long)]
    set: bool,
    /// With a sentence about each.
    #[arg(short, long)]
    docs: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Alter {
    /// Whose.
    kind: Kind,
    /// Which one; `all` for all brokers.
    name: String,
    #[command(flatten)]
    change: Change,
}

/// What is to be changed; for topics, brokers and groups alike.
#[derive(Clone, Debug, Args)]
#[command(group(clap::ArgGroup::new("changes").required(true).multiple(true).args(["set", "delete", "append", "subtract"])))]
pub(crate) struct Change {
    /// Give a configuration a value.
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    set: Vec<(String, String)>,
    /// Let a configuration be what it is without being set.
    #[arg(short, long, visible_alias = "unset", value_name = "NAME")]
    delete: Vec<String>,
    /// Add to a configuration that is a list.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    append: Vec<(String, String)>,
    /// Take out of a configuration that is a list.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    subtract: Vec<(String, String)>,
    /// Only say whether that could be done.
    #[arg(long)]
    dry_run: bool,
}

impl Change {
    fn changes(&self) -> Vec<ConfigChange> {
        let pairs = |pairs: &[(String, String)], make: fn(String, String) -> ConfigChange| {
            pairs.iter().map(|(name, value)| make(name.clone(), value.clone())).collect::<Vec<_>>()
        };
        let mut changes = pairs(&self.set, ConfigChange::Set);
        changes.extend(self.delete.iter().cloned().map(ConfigChange::Delete));
        changes.extend(pairs(&self.append, ConfigChange::Append));
        changes.extend(pairs(&self.subtract, ConfigChange::Subtract));
        changes
    }
}

impl Config {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Fault> {
        match self {
            Config::Describe(describe) => describe.run(session).await,
            Config::Reference => {
                // What stands above the title is for those who read the sources.
                let page = ailurus_settings::reference::page();
                print(&page.as_bytes()[page.find("# ").unwrap_or(0)..])
            }
            Config::Alter(change) => {
                let resource = resource(change.kind, &change.name)?;
                alter(session, vec![resource], &change.change).await
            }
        }
    }
}

fn resource(kind: Kind, name: &str) -> Result<Resource, Fault> {
    Ok(match (kind, name) {
        (Kind::Topic, name) => Resource::Topic(name.to_owned()),
        (Kind::Group, name) => Resource::Group(name.to_owned()),
        (Kind::Broker, "all") => Resource::Brokers,
        (Kind::Broker, id) => {
            let bad =
                |_| Fault::usage(format!("\"{id}\" is no node id")).hint("`ailurus cluster info` shows the brokers");
            Resource::Broker(id.parse().map_err(bad)?)
        }
    })
}

/// Changes the configuration of several things, each by itself.
pub(crate) async fn alter(session: &Session, of: Vec<Resource>, change: &Change) -> Result<(), Fault> {
    let changes = change.changes();
    let verb = if change.dry_run { "could change" } else { "changed" };
    let mut outcomes = Vec::new();
    for resource in of {
        let outcome = session.client.alter_configs(&resource, &changes, change.dry_run).await;
        let line = format!("{verb} {} of {resource}", count(changes.len()));
        outcomes.push((json!({ "resource": resource.to_string() }), outcome.map(|()| line).map_err(Fault::from)));
    }
    show_outcomes(session.output, outcomes)
}

fn count(changes: usize) -> String {
    if changes == 1 { "1 setting".to_owned() } else { format!("{changes} settings") }
}

impl Describe {
    async fn run(self, session: &Session) -> Result<(), Fault> {
        let name = match (self.kind, self.name) {
            (_, Some(name)) => name,
            (Kind::Broker, None) => {
                let metadata = session.client.metadata(Some(&[]), false).await?;
                metadata.controller.to_string()
            }
            (_, None) => return Err(Fault::usage("which one? the name is missing")),
        };
        let resource = resource(self.kind, &name)?;
        let entries = session.client.describe_configs(&resource, self.docs).await?;
        let filter = self.filter.unwrap_or_default();
        let wanted =
            |entry: &&ConfigEntry| entry.name.contains(&filter) && (!self.set || entry.source != ConfigSource::Default);
        let entries: Vec<ConfigEntry> = entries.iter().filter(wanted).cloned().collect();
        let (json, sections) = report(&resource, &entries, self.docs);
        session.output.show(&json, &sections)
    }
}

fn report(resource: &Resource, entries: &[ConfigEntry], docs: bool) -> (Value, Vec<Section>) {
    let json = json!({
        "resource": resource.to_string(),
        "configs": entries.iter().map(|entry| {
            let mut value = json!({
                "name": entry.name, "value": entry.value, "source": entry.source.name(),
                "read_only": entry.read_only, "sensitive": entry.sensitive,
            });
            if let Some(text) = &entry.documentation {
                value["documentation"] = json!(text);
            }
            value
        }).collect::<Vec<_>>(),
    });
    if entries.is_empty() {
        return (json, vec![Section::line(format!("nothing of that kind is set for {resource}"))]);
    }
    let value = |entry: &ConfigEntry| match &entry.value {
        _ if entry.sensitive => "(withheld)".to_owned(),
        value => value.clone().unwrap_or_default(),
    };
    let rows = entries.iter().map(|entry| {
        let live = if entry.read_only { "restart" } else { "live" };
        let mut row = vec![entry.name.clone(), value(entry), entry.source.name().to_owned(), live.to_owned()];
        if docs {
            row.push(entry.documentation.clone().unwrap_or_default());
        }
        row
    });
    let mut headings = vec!["CONFIG", "VALUE", "SOURCE", "CHANGES"];
    if docs {
        headings.push("WHAT IT DOES");
    }
    (json, vec![Section::Table { headings, rows: rows.collect() }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::render;

    #[test]
    fn describe_is_a_table_with_sources() {
        let entry = |name: &str, value: Option<&str>, source, read_only, sensitive| ConfigEntry {
            name: name.into(),
            value: value.map(Into::into),
            source,
            read_only,
            sensitive,
            documentation: None,
        };
        let entries = [
            entry("num.partitions", Some("4"), ConfigSource::Static, true, false),
            entry("retention.ms", Some("60000"), ConfigSource::DynamicBroker, false, false),
            entry("ssl.key", None, ConfigSource::Default, false, true),
        ];
        let expected = "\
CONFIG          VALUE       SOURCE                 CHANGES
num.partitions  4           STATIC_BROKER_CONFIG   restart
retention.ms    60000       DYNAMIC_BROKER_CONFIG  live
ssl.key         (withheld)  DEFAULT_CONFIG         live
";
        let (json, sections) = report(&Resource::Broker(1), &entries, false);
        assert_eq!(render(&sections, false), expected);
        assert_eq!(json["configs"][0]["value"], "4");
    }

    #[test]
    fn resources() {
        assert_eq!(resource(Kind::Broker, "7").unwrap(), Resource::Broker(7));
        assert_eq!(resource(Kind::Broker, "all").unwrap(), Resource::Brokers);
        assert!(resource(Kind::Broker, "x").is_err());
    }
}
