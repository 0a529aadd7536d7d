//! The page for people: every setting, from the rows.

use std::fmt::Write;

use crate::registry::{broker_settings, topic_settings};
use crate::setting::{Scope, Setting};
use crate::table::topic::TOPIC;
use crate::{Profile, setting};

const HEAD: &str = "\
<!-- Written by `cargo xtask docs` from crates/settings. Change the rows there. -->

# Settings

Names, types and defaults are Kafka's where Kafka has the setting. A setting comes from the first of these that has it:

1. the topic's own (topics only): `ailurus topic create --config retention.ms=86400000`, or any Kafka tool;
2. what was set over the API on this broker, then for all brokers (only settings marked *live*);
3. `--set NAME=VALUE` and the flags of `ailurus start`;
4. the environment: `AILURUS_NUM_PARTITIONS=4` is `num.partitions`;
5. the file after `--config`, in TOML: `num.partitions = 4`;
6. the profile after `--mode`;
7. the default.

In 3 to 5, sizes and times may carry units: `64MiB`, `2GiB`, `500ms`, `7d`. In the file, quote names of which one begins
the other: `\"max.connections\" = 1000`.
";

/// The whole page, in Markdown.
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    profile(&mut out);
    let behind: Vec<_> = topic_settings().flat_map(|row| row.broker).map(|(name, _)| *name).collect();
    let is_behind = |row: &&'static Setting| behind.contains(&row.name);
    section(&mut out, "Topics", "Set per topic, at once.", topic_settings().filter(|row| row.active));
    let broker = broker_settings().filter(|row| row.active && !is_behind(row));
    section(
        &mut out,
        "Brokers",
        "*Live* ones can be changed over the API, at once; the others at the next start.",
        broker,
    );
    defaults(&mut out);
    let text =
        "Kafka's tools set and read these. They are checked, stored and shown, and nothing here depends on them.";
    section(&mut out, "Accepted without effect: topics", text, topic_settings().filter(|row| !row.active));
    let broker = broker_settings().filter(|row| !row.active && !is_behind(row));
    section(&mut out, "Accepted without effect: brokers", text, broker);
    out
}

fn profile(out: &mut String) {
    let pairs = Profile::Dev.settings().iter().map(|(name, value)| format!("`{name}={value}`"));
    let pairs = pairs.collect::<Vec<_>>().join(", ");
    line(out, format_args!("\n`--mode dev` sets {pairs}. It is as durable as any other."));
}

fn section(out: &mut String, title: &str, text: &str, rows: impl Iterator<Item = &'static Setting>) {
    line(out, format_args!("\n## {title}\n\n{text}\n"));
    line(out, format_args!("| name | type | default | allowed | what it does |\n|---|---|---|---|---|"));
    for row in rows {
        line(out, format_args!("{}", Row(row)));
    }
}

/// The broker's defaults behind topics: named, not repeated.
fn defaults(out: &mut String) {
    let text = "Each stands for all topics that do not set their own. Of several names the first that is set counts; it \
                is the one that can be changed live.";
    line(out, format_args!("\n## Defaults for topics\n\n{text}\n\n| topic | broker |\n|---|---|"));
    for row in topic_settings().filter(|row| !row.broker.is_empty()) {
        let names = row.broker.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let effect = if TOPIC.iter().any(|active| active.name == row.name) { "" } else { " (no effect)" };
        line(out, format_args!("| `{}`{effect} | {names} |", row.name));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("text grows");
}

/// One line of a table.
struct Row(&'static Setting);

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Setting { name, kind, unit, valid, scope, example, doc, .. } = self.0;
        let live = if *scope == Scope::BrokerDynamic { " *live*" } else { "" };
        let unit = if *unit == setting::Unit::None { String::new() } else { format!(", {}", unit.name()) };
        let default = match self.0.default {
            None => "unset".to_owned(),
            Some("") => "empty".to_owned(),
            Some(text) => format!("`{text}`"),
        };
        let example = if example.is_empty() { String::new() } else { format!(" Example: `{example}`.") };
        write!(f, "| `{name}`{live} | {kind}{unit} | {default} | {valid} | {doc}{example} |")
    }
}
