//! What DescribeConfigs answers.

use ailurus_settings::{
    BrokerSettings, ConfigEntry, Texts, TopicOverrides, describe_broker, describe_cluster, describe_topic,
};

/// `name=value source [read-only] <- name=value source, ...`
fn show(entry: &ConfigEntry) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or("null".into());
    let synonyms = entry.synonyms.iter().map(|s| format!("{}={} {:?}", s.name, value(&s.value), s.source));
    let synonyms = synonyms.collect::<Vec<_>>().join(", ");
    let read_only = if entry.read_only { " read-only" } else { "" };
    format!("{}={} {:?}{read_only} <- {synonyms}", entry.name, value(&entry.value), entry.source)
}

fn texts(pairs: &[(&str, &str)]) -> Texts {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn a_topic_shows_all_that_stands_behind_a_value() {
    let mut broker = BrokerSettings::default();
    let mut overrides = TopicOverrides::default();
    let show_one = |overrides: &TopicOverrides, broker: &BrokerSettings| {
        show(&describe_topic(overrides, broker, Some(&["retention.ms"]))[0])
    };
    assert_eq!(show_one(&overrides, &broker), "retention.ms=604800000 Default <- log.retention.hours=168 Default");

    broker.set_pair("log.retention.minutes=2").unwrap();
    assert_eq!(
        show_one(&overrides, &broker),
        "retention.ms=120000 StaticBroker <- log.retention.minutes=2 StaticBroker, log.retention.hours=168 Default"
    );

    broker.set_dynamic(&texts(&[("log.retention.ms", "7")]), &texts(&[("log.retention.ms", "-1")]));
    overrides.set("retention.ms", "9").unwrap();
    assert_eq!(
        show_one(&overrides, &broker),
        "retention.ms=9 DynamicTopic <- retention.ms=9 DynamicTopic, log.retention.ms=-1 DynamicBroker, \
         log.retention.ms=7 DynamicDefaultBroker, log.retention.minutes=2 StaticBroker, log.retention.hours=168 Default"
    );
    overrides.remove("retention.ms");
    assert_eq!(overrides.config(&broker).retention_ms, -1);
}

#[test]
fn a_broker_shows_what_can_be_changed() {
    let mut broker = BrokerSettings::default();
    broker.set_pair("num.partitions=3").unwrap();
    let names = ["num.partitions", "message.max.bytes", "advertised.listeners", "log.retention.hours", "no.such"];
    let shown: Vec<_> = describe_broker(&broker, Some(&names)).iter().map(show).collect();
    assert_eq!(
        shown,
        [
            "advertised.listeners=null Default read-only <- ",
            "log.retention.hours=168 Default read-only <- log.retention.hours=168 Default",
            "message.max.bytes=1048588 Default <- message.max.bytes=1048588 Default",
            "num.partitions=3 StaticBroker read-only <- num.partitions=3 StaticBroker, num.partitions=1 Default",
        ]
    );
}

#[test]
fn the_broker_without_a_name_shows_only_what_is_set_for_all() {
    let mut broker = BrokerSettings::default();
    assert!(describe_cluster(&broker, None).is_empty());
    broker.set_dynamic(&texts(&[("max.connections", "5")]), &texts(&[("max.connections", "6")]));
    let shown: Vec<_> = describe_cluster(&broker, None).iter().map(show).collect();
    assert_eq!(shown, ["max.connections=5 DynamicDefaultBroker <- max.connections=5 DynamicDefaultBroker"]);
}

#[test]
fn what_kafka_4_no_longer_has_is_shown_where_it_is_set() {
    let broker = BrokerSettings::default();
    let overrides = TopicOverrides::parse([("message.downconversion.enable", "False")]).unwrap();
    let find = |overrides: &TopicOverrides| {
        let all = describe_topic(overrides, &broker, None);
        all.iter().find(|entry| entry.name == "message.downconversion.enable").map(show)
    };
    assert_eq!(find(&TopicOverrides::default()), None);
    let expected =
        "message.downconversion.enable=false DynamicTopic <- message.downconversion.enable=false DynamicTopic";
    assert_eq!(find(&overrides).as_deref(), Some(expected));
}
