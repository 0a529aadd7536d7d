//! Every row is sound, and says what Kafka says.

use ailurus_settings::registry::{broker_settings, topic, topic_settings};
use ailurus_settings::{
    BrokerSettings, Kind, Profile, Setting, TopicOverrides, describe_broker, describe_topic, reference,
};
use proptest::prelude::*;

const TOPICS: &str = include_str!("../../testdata/kafka-4-topic-configs.txt");
const BROKERS: &str = include_str!("../../testdata/kafka-4-broker-configs.txt");
/// What this broker has and Kafka does not.
const OURS: [&str; 1] = ["write.caching"];

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split_whitespace().collect())
}

#[test]
fn topics_have_kafkas_names_types_and_defaults() {
    let described = describe_topic(&TopicOverrides::default(), &BrokerSettings::default(), None);
    let names: Vec<_> = described.iter().map(|entry| entry.name).filter(|name| !OURS.contains(name)).collect();
    assert_eq!(names, lines(TOPICS).map(|columns| columns[0]).collect::<Vec<_>>());
    for columns in lines(TOPICS) {
        let entry = described.iter().find(|entry| entry.name == columns[0]).unwrap();
        let default = if columns[2] == "-" { "" } else { columns[2] };
        assert_eq!(entry.kind.to_string(), columns[1], "{}", entry.name);
        assert_eq!(entry.value.as_deref(), Some(default), "{}", entry.name);
        let behind: Vec<_> = topic(entry.name).unwrap().broker.iter().map(|(name, _)| *name).collect();
        assert_eq!(behind, columns[3..], "{}", entry.name);
    }
}

#[test]
fn brokers_have_kafkas_types_and_defaults() {
    let described = describe_broker(&BrokerSettings::default(), None);
    for columns in lines(BROKERS) {
        let entry = described.iter().find(|entry| entry.name == columns[0]).unwrap_or_else(|| panic!("{}", columns[0]));
        assert_eq!(entry.kind.to_string(), columns[1], "{}", entry.name);
        match columns[2] {
            "." => {}
            "-" => assert_eq!(entry.value.as_deref(), Some("")),
            default => assert_eq!(entry.value.as_deref(), Some(default), "{}", entry.name),
        }
    }
}

#[test]
fn every_row_is_sound() {
    for row in topic_settings().chain(broker_settings()) {
        let name = row.name;
        assert!(
            name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.'),
            "{name}: as a variable"
        );
        assert!(row.doc.len() > 10 && row.doc.ends_with('.'), "{name}: text");
        if let Some(default) = row.default {
            assert_eq!(row.check(default).as_deref(), Ok(default), "{name}: default");
        }
        if !row.example.is_empty() {
            assert_eq!(row.check(row.example).as_deref(), Ok(row.example), "{name}: example");
        }
    }
    // Each name stands in one table once: the maps would hide a second row.
    use ailurus_settings::table::{accepted, broker, topic};
    for tables in [[topic::TOPIC, accepted::TOPIC_ACCEPTED], [broker::BROKER, accepted::BROKER_ACCEPTED]] {
        let mut names: Vec<_> = tables.concat().iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1]));
    }
}

#[test]
fn the_typed_views_read_every_default() {
    let broker = BrokerSettings::new(Profile::Production).config();
    assert_eq!((broker.num_partitions, broker.offsets_topic_num_partitions), (1, 50));
    assert_eq!((broker.listeners[0].host.as_str(), broker.listeners[0].port), ("", 9092));
    assert!(broker.advertised_listeners.is_empty() && broker.storage_max_bytes.is_none());
    let topic = TopicOverrides::default().config(&BrokerSettings::default());
    assert_eq!((topic.retention_ms, topic.max_message_bytes), (604_800_000, 1_048_588));
    assert!(topic.cleanup_policy.delete && !topic.cleanup_policy.compact);
}

#[test]
fn the_reference_page_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/settings.md");
    #[allow(clippy::disallowed_methods, reason = "a test: the repository is its input")]
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(page == reference::page(), "docs/reference/settings.md is stale: run `cargo xtask docs`");
}

fn any_row() -> impl Strategy<Value = &'static Setting> {
    prop::sample::select(topic_settings().chain(broker_settings()).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn a_checked_text_is_a_fixed_point(row in any_row(), text in "\\PC{0,20}|-?[0-9]{1,20}|[a-z,]{0,20}|true|FALSE") {
        if let Ok(kept) = row.check(&text) {
            prop_assert_eq!(row.check(&kept), Ok(kept.clone()));
            let numeric = matches!(row.kind, Kind::Int | Kind::Long | Kind::Short);
            prop_assert!(!numeric || kept.parse::<i64>().is_ok());
        }
        let _ = row.check_human(&text);
    }
}
