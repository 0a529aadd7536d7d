//! `ailurus cluster`: brokers, partitions, log directories, served APIs.

use ailurus_client::admin::LogDir;
use ailurus_client::{Broker, Metadata};
use ailurus_wire::ApiKey;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::report::Section;
use crate::session::Session;
use crate::units::show_bytes;

/// The verbs for clusters.
#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// Show the cluster and its brokers.
    #[command(visible_alias = "describe")]
    Info,
    /// Show all brokers, topics and partitions.
    Metadata,
    /// Show how large the logs on the brokers' disks are.
    #[command(visible_alias = "logdirs")]
    LogDirs(LogDirs),
    /// Show which APIs a broker serves in which versions.
    #[command(visible_alias = "api-versions")]
    Versions,
}

#[derive(Debug, Args)]
pub(crate) struct LogDirs {
    /// Only this broker.
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// Each partition by itself, largest first.
    #[arg(short, long)]
    partitions: bool,
}

impl Cluster {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Fault> {
        let (json, sections) = match self {
            Cluster::Info => info_report(&session.client.metadata(Some(&[]), false).await?),
            Cluster::Metadata => metadata_report(&session.client.metadata(None, false).await?),
            Cluster::LogDirs(which) => which.report(session).await?,
            Cluster::Versions => {
                let (peer, versions) = session.client.broker_versions().await?;
                let versions: Vec<(i16, i16, i16)> =
                    versions.into_iter().map(|(key, range)| (key, *range.start(), *range.end())).collect();
                versions_report(&peer, &versions)
            }
        };
        session.output.show(&json, &sections)
    }
}

fn info_report(metadata: &Metadata) -> (Value, Vec<Section>) {
    let broker =
        |broker: &Broker| json!({ "id": broker.id, "host": broker.host, "port": broker.port, "rack": broker.rack });
    let json = json!({
        "cluster_id": metadata.cluster_id, "controller": metadata.controller,
        "brokers": metadata.brokers.iter().map(broker).collect::<Vec<_>>(),
    });
    let row = |broker: &Broker| {
        let controller = if broker.id == metadata.controller { "yes" } else { "" };
        let address = format!("{}:{}", broker.host, broker.port);
        vec![broker.id.to_string(), address, broker.rack.clone().unwrap_or_default(), controller.to_owned()]
    };
    let rows = metadata.brokers.iter().map(row).collect();
    let facts = Section::Facts(vec![
        ("cluster", metadata.cluster_id.clone().unwrap_or_else(|| "(unnamed)".to_owned())),
        ("brokers", metadata.brokers.len().to_string()),
    ]);
    (json, vec![facts, Section::Table { headings: vec!["#ID", "ADDRESS", "RACK", "CONTROLLER"], rows }])
}

fn metadata_report(metadata: &Metadata) -> (Value, Vec<Section>) {
    let (mut json, mut sections) = info_report(metadata);
    let mut rows = Vec::new();
    let mut topics = Vec::new();
    for topic in &metadata.topics {
        let ids = |ids: &[i32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        rows.extend(topic.partitions.iter().map(|p| {
            vec![topic.name.clone(), p.partition.to_string(), p.leader.to_string(), ids(&p.replicas), ids(&p.isr)]
        }));
        let partitions = topic
            .partitions
            .iter()
            .map(|p| json!({ "partition": p.partition, "leader": p.leader, "replicas": p.replicas, "isr": p.isr }));
        topics.push(json!({
            "topic": topic.name, "id": topic.id.to_string(), "internal": topic.internal,
            "partitions": partitions.collect::<Vec<_>>(),
        }));
    }
    json["topics"] = topics.into();
    sections.push(if rows.is_empty() {
        Section::line("no topics")
    } else {
        Section::Table { headings: vec!["TOPIC", "#PARTITION", "#LEADER", "REPLICAS", "IN-SYNC"], rows }
    });
    (json, sections)
}

impl LogDirs {
    async fn report(self, session: &Session) -> Result<(Value, Vec<Section>), Fault> {
        let brokers = match self.broker {
            Some(id) => vec![id],
            None => session.client.metadata(Some(&[]), false).await?.brokers.iter().map(|broker| broker.id).collect(),
        };
        let mut dirs = Vec::new();
        for broker in brokers {
            dirs.extend(session.client.describe_log_dirs(broker).await?);
        }
        Ok(log_dirs_report(&dirs, self.partitions))
    }
}

fn log_dirs_report(dirs: &[LogDir], by_partition: bool) -> (Value, Vec<Section>) {
    let used = |dir: &LogDir| dir.partitions.iter().map(|(_, _, size)| *size).sum::<i64>();
    let json = dirs.iter().map(|dir| {
        let partitions = dir.partitions.iter();
        let partitions = partitions.map(|(t, p, size)| json!({ "topic": t, "partition": p, "bytes": size }));
        json!({
            "broker": dir.broker, "path": dir.path, "error": dir.error.is_error().then(|| dir.error.name()),
            "bytes": used(dir), "usable_bytes": dir.usable, "total_bytes": dir.total,
            "partitions": partitions.collect::<Vec<_>>(),
        })
    });
    let bytes = |bytes: i64| u64::try_from(bytes).map_or("?".to_owned(), show_bytes);
    let summary = dirs.iter().map(|dir| {
        let state = if dir.error.is_error() { dir.error.name() } else { "online" };
        vec![
            dir.broker.to_string(),
            dir.path.clone(),
            state.to_owned(),
            dir.partitions.len().to_string(),
            bytes(used(dir)),
            bytes(dir.usable),
            bytes(dir.total),
        ]
    });
    let headings = vec!["#BROKER", "DIRECTORY", "STATE", "#PARTITIONS", "#USED", "#FREE", "#VOLUME"];
    let mut sections = vec![Section::Table { headings, rows: summary.collect() }];
    if by_partition {
        let mut all: Vec<(i32, &(String, i32, i64))> =
            dirs.iter().flat_map(|dir| dir.partitions.iter().map(|partition| (dir.broker, partition))).collect();
        all.sort_by_key(|(_, (topic, partition, size))| (-size, topic.clone(), *partition));
        let row = |(broker, (topic, partition, size)): &(i32, &(String, i32, i64))| {
            vec![broker.to_string(), topic.clone(), partition.to_string(), bytes(*size)]
        };
        let headings = vec!["#BROKER", "TOPIC", "#PARTITION", "#SIZE"];
        sections.push(Section::Table { headings, rows: all.iter().map(row).collect() });
    }
    (json.collect(), sections)
}

fn versions_report(peer: &str, versions: &[(i16, i16, i16)]) -> (Value, Vec<Section>) {
    let name = |key: i16| ApiKey::from_code(key).map_or_else(|| format!("(key {key})"), |api| api.to_string());
    let json = versions.iter().map(|(key, min, max)| json!({ "key": key, "api": name(*key), "min": min, "max": max }));
    let rows =
        versions.iter().map(|(key, min, max)| vec![key.to_string(), name(*key), min.to_string(), max.to_string()]);
    let table = Section::Table { headings: vec!["#KEY", "API", "#FROM", "#TO"], rows: rows.collect() };
    (
        json!({ "broker": peer, "apis": json.collect::<Vec<_>>() }),
        vec![Section::Facts(vec![("broker", peer.to_owned())]), table],
    )
}

#[cfg(test)]
mod tests {
    use ailurus_wire::ErrorCode;

    use super::*;
    use crate::report::render;

    #[test]
    fn info_names_the_controller() {
        let broker = |id, port| Broker { id, host: "127.0.0.1".into(), port, rack: None };
        let metadata = Metadata {
            cluster_id: Some("abc".into()),
            controller: 2,
            brokers: vec![broker(1, 9092), broker(2, 9093)],
            topics: vec![],
        };
        let expected = "\
cluster  abc
brokers  2

ID  ADDRESS         RACK  CONTROLLER
 1  127.0.0.1:9092
 2  127.0.0.1:9093        yes
";
        assert_eq!(render(&info_report(&metadata).1, false), expected);
    }

    #[test]
    fn log_dirs_sum_up() {
        let dir = LogDir {
            broker: 1,
            path: "/data".into(),
            error: ErrorCode::None,
            total: -1,
            usable: 1 << 30,
            partitions: vec![("a".into(), 0, 1024), ("b".into(), 3, 4096)],
        };
        let expected = "\
BROKER  DIRECTORY  STATE   PARTITIONS     USED     FREE  VOLUME
     1  /data      online           2  5.0 KiB  1.0 GiB       ?

BROKER  TOPIC  PARTITION     SIZE
     1  b              3  4.0 KiB
     1  a              0  1.0 KiB
";
        assert_eq!(render(&log_dirs_report(&[dir], true).1, false), expected);
    }
}
