//! The command line: what clap reads. What the verbs do stands in one module per family.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::report::Format;
use crate::{cluster, config, consume, doctor, group, produce, start, topic, units};

/// A Kafka-compatible event-streaming broker, one pinned reactor per core, and its command line.
#[derive(Debug, Parser)]
#[command(name = "ailurus", version, about, propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every verb that talks to a broker understands.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Brokers to ask first, as host:port, separated by commas.
    #[arg(
        short = 'b',
        long,
        visible_aliases = ["brokers", "bootstrap-server"],
        env = "AILURUS_BOOTSTRAP",
        default_value = "127.0.0.1:9092",
        value_delimiter = ',',
        value_name = "HOST:PORT",
        global = true,
        help_heading = "Connection"
    )]
    pub(crate) bootstrap: Vec<String>,
    /// How long one operation may take, retries included.
    #[arg(
        long,
        default_value = "30s",
        value_parser = units::parse_duration,
        value_name = "TIME",
        global = true,
        help_heading = "Connection"
    )]
    pub(crate) timeout: Duration,
    /// How reports are written.
    #[arg(long, value_enum, default_value = "table", global = true, help_heading = "Output")]
    pub(crate) format: Format,
    /// Log what happens on the way to standard error; twice for more. AILURUS_LOG takes a filter like `info,ailurus_rt=debug`.
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = "Output")]
    pub(crate) verbose: u8,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a broker.
    Start(Box<start::Start>),
    /// Create, list, describe, change and delete topics.
    #[command(subcommand, visible_alias = "topics")]
    Topic(topic::Topic),
    /// List, describe and delete consumer groups, move their offsets.
    #[command(subcommand, visible_alias = "groups")]
    Group(group::Group),
    /// Write records from standard input or a file to a topic.
    Produce(produce::Produce),
    /// Read records of topics, alone or as a member of a group.
    Consume(consume::Consume),
    /// Show brokers, partitions and log directories.
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Show and change settings of topics and brokers.
    #[command(subcommand, visible_alias = "configs")]
    Config(config::Config),
    /// Look at this machine as a broker would: I/O backend, limits, disk, clock, addresses.
    Doctor(doctor::Doctor),
}

/// `NAME=VALUE`, as in `--set retention.ms=60000`.
pub(crate) fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err(format!("\"{text}\" is not NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_may_stand_behind_the_verb() {
        let cli = Cli::try_parse_from(["ailurus", "topic", "list", "-b", "a:1,b:2", "--format", "json"]).unwrap();
        assert_eq!(cli.global.bootstrap, ["a:1", "b:2"]);
        assert_eq!(cli.global.format, Format::Json);
    }

    #[test]
    fn pairs() {
        assert_eq!(parse_pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_pair("a="), Ok(("a".into(), String::new())));
        assert!(parse_pair("a").is_err());
        assert!(parse_pair("=b").is_err());
    }
}
