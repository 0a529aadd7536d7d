//! IncrementalAlterConfigs and AlterConfigs, case by case.

use ailurus_settings::{
    AlterError, Alteration, BrokerSettings, Brokers, Operation, Texts, TopicOverrides, alter_broker, alter_topic,
    replace_broker, replace_topic,
};

/// `retention.ms=5` sets, `-retention.ms` deletes, `cleanup.policy+=x` appends, `cleanup.policy-=x` subtracts,
/// `retention.ms=!` sets to nothing.
fn changes(text: &str) -> Vec<Alteration> {
    let one = |text: &str| {
        let (name, operation, value) = match text.split_once('=') {
            None => (&text[1..], Operation::Delete, None),
            Some((name, value)) => match name.strip_suffix(['+', '-']) {
                None => (name, Operation::Set, Some(value)),
                Some(bare) if name.ends_with('+') => (bare, Operation::Append, Some(value)),
                Some(bare) => (bare, Operation::Subtract, Some(value)),
            },
        };
        Alteration { name: name.into(), operation, value: value.filter(|v| *v != "!").map(str::to_owned) }
    };
    text.split_whitespace().map(one).collect()
}

fn show(texts: &Texts) -> String {
    texts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

fn topic(current: &str, change: &str) -> Result<String, (i16, String)> {
    let pairs: Vec<_> = current.split_whitespace().map(|pair| pair.split_once('=').expect("a pair")).collect();
    let current = TopicOverrides::parse(pairs).expect("valid ones");
    let altered = alter_topic(&current, &changes(change), &BrokerSettings::default());
    altered.map(|overrides| show(overrides.texts())).map_err(|error| (error.code(), error.to_string()))
}

#[test]
fn topics_change_as_asked() {
    let cases = [
        ("", "retention.ms=5", "retention.ms=5"),
        ("retention.ms=5", "retention.ms=6 segment.bytes=2000", "retention.ms=6 segment.bytes=2000"),
        ("retention.ms=5", "-retention.ms", ""),
        ("", "-retention.ms", ""),
        ("", "cleanup.policy+=compact", "cleanup.policy=delete,compact"),
        ("cleanup.policy=compact", "cleanup.policy+=compact", "cleanup.policy=compact"),
        ("cleanup.policy=compact,delete", "cleanup.policy-=delete", "cleanup.policy=compact"),
        ("", "cleanup.policy-=delete", "cleanup.policy="),
        ("", "leader.replication.throttled.replicas+=0:1,1:2", "leader.replication.throttled.replicas=0:1,1:2"),
        ("", "compression.type=zstd message.format.version=3.0", "compression.type=zstd message.format.version=3.0"),
        (
            "",
            "message.timestamp.type=LogAppendTime write.caching=TRUE",
            "message.timestamp.type=LogAppendTime write.caching=true",
        ),
    ];
    for (current, change, expected) in cases {
        assert_eq!(topic(current, change).as_deref(), Ok(expected), "{current:?} {change:?}");
    }
}

#[test]
fn topics_refuse_with_kafkas_errors_and_change_nothing() {
    let cases = [
        ("retention.ms=-2", 40, "Invalid value -2 for configuration retention.ms: must be at least -1"),
        ("retention.ms=soon", 40, "Invalid value soon for configuration retention.ms: not a number of type LONG"),
        ("retention.ms=7d", 40, "Invalid value 7d for configuration retention.ms: not a number of type LONG"),
        (
            "segment.bytes=3000000000",
            40,
            "Invalid value 3000000000 for configuration segment.bytes: not a number of type INT",
        ),
        (
            "cleanup.policy=shred",
            40,
            "Invalid value shred for configuration cleanup.policy: must be one of compact, delete",
        ),
        (
            "cleanup.policy+=shred",
            40,
            "Invalid value delete,shred for configuration cleanup.policy: must be one of compact, delete",
        ),
        (
            "compression.gzip.level=0",
            40,
            "Invalid value 0 for configuration compression.gzip.level: must be -1, or from 1 to 9",
        ),
        (
            "min.cleanable.dirty.ratio=NaN",
            40,
            "Invalid value NaN for configuration min.cleanable.dirty.ratio: must be from 0 to 1",
        ),
        (
            "remote.storage.enable=true",
            40,
            "Invalid value true for configuration remote.storage.enable: must be one of false",
        ),
        (
            "retenton.ms=1",
            40,
            "Invalid value 1 for configuration retenton.ms: unknown topic config; did you mean retention.ms?",
        ),
        (
            "-retenton.ms",
            40,
            "Invalid value null for configuration retenton.ms: unknown topic config; did you mean retention.ms?",
        ),
        ("retention.ms+=1", 40, "Can't Append to retention.ms because its type is not LIST"),
        ("retention.ms=!", 42, "Null value not supported for retention.ms"),
        ("retention.ms=1 -retention.ms", 42, "retention.ms is named more than once"),
        (
            "max.compaction.lag.ms=5 min.compaction.lag.ms=6",
            40,
            "Invalid value 6 for configuration min.compaction.lag.ms: is above max.compaction.lag.ms, which is 5",
        ),
    ];
    for (change, code, message) in cases {
        assert_eq!(topic("", change), Err((code, message.to_owned())), "{change:?}");
    }
    assert_eq!(Operation::from_code(2), Ok(Operation::Append));
    assert!(matches!(Operation::from_code(4), Err(AlterError::InvalidRequest(_))));
}

#[test]
fn replacing_forgets_what_is_not_named() {
    let broker = BrokerSettings::default();
    let pair = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
    let replaced = replace_topic(&[pair("retention.ms", Some("1"))], &broker).unwrap();
    assert_eq!(show(replaced.texts()), "retention.ms=1");
    assert_eq!(replace_topic(&[pair("retention.ms", None)], &broker).unwrap_err().code(), 42);
    assert_eq!(
        show(&replace_broker(Brokers::This, &[pair("max.connections", Some("9"))], &broker).unwrap()),
        "max.connections=9"
    );
}

#[test]
fn brokers_change_what_is_live() {
    let mut broker = BrokerSettings::default();
    broker.set_pair("log.cleanup.policy=compact").unwrap();
    let altered =
        alter_broker(Brokers::This, &Texts::new(), &changes("max.connections=5 log.cleanup.policy+=delete"), &broker)
            .unwrap();
    assert_eq!(show(&altered), "log.cleanup.policy=compact,delete max.connections=5");
    assert_eq!(
        show(&alter_broker(Brokers::All, &altered, &changes("-log.cleanup.policy"), &broker).unwrap()),
        "max.connections=5"
    );

    let refused = |change: &str| alter_broker(Brokers::This, &Texts::new(), &changes(change), &broker).unwrap_err();
    let error = refused("num.partitions=5");
    assert_eq!(
        (error.code(), error.to_string()),
        (42, "Cannot update num.partitions without a restart of the broker".into())
    );
    assert_eq!(refused("max.connections=-5").code(), 40);
    assert_eq!(
        refused("max.conections=5").to_string(),
        "Unknown broker config name max.conections; did you mean max.connections?"
    );
    assert_eq!(refused("log.cleaner.max.compaction.lag.ms=5 log.cleaner.min.compaction.lag.ms=6").code(), 40);
}

#[test]
fn what_is_for_all_brokers_must_go_with_what_one_has_for_itself() {
    let mut broker = BrokerSettings::default();
    let own = Texts::from([("log.cleaner.max.compaction.lag.ms".to_owned(), "1000".to_owned())]);
    assert!(broker.set_dynamic(&Texts::new(), &own).is_empty());
    let all = |change: &str| alter_broker(Brokers::All, &Texts::new(), &changes(change), &broker);
    assert_eq!(all("log.cleaner.min.compaction.lag.ms=2000").unwrap_err().code(), 40);
    assert_eq!(show(&all("log.cleaner.min.compaction.lag.ms=999").unwrap()), "log.cleaner.min.compaction.lag.ms=999");
    // What this broker has for itself counts here, whatever all have.
    assert!(all("log.cleaner.max.compaction.lag.ms=5 log.cleaner.min.compaction.lag.ms=6").is_ok());

    let own = Texts::from([("log.cleanup.policy".to_owned(), "compact".to_owned())]);
    broker.set_dynamic(&Texts::new(), &own);
    let appended = |brokers, current: &Texts| {
        show(&alter_broker(brokers, current, &changes("log.cleanup.policy+=compact"), &broker).unwrap())
    };
    assert_eq!(appended(Brokers::All, &Texts::new()), "log.cleanup.policy=delete,compact");
    assert_eq!(appended(Brokers::This, &own), "log.cleanup.policy=compact");
}

#[test]
fn long_texts_cost_little_and_are_not_kept() {
    let broker = BrokerSettings::default();
    let change = |name: &str, operation, value: String| {
        let change = Alteration { name: name.to_owned(), operation, value: Some(value) };
        let of_broker = alter_broker(Brokers::This, &Texts::new(), std::slice::from_ref(&change), &broker);
        let of_topic = alter_topic(&TopicOverrides::default(), &[change], &broker);
        (of_topic.map(|overrides| show(overrides.texts())), of_broker)
    };
    let is_short_refusal = |error: &AlterError| error.code() == 40 && error.to_string().len() < 1_000;
    let name = "x".repeat(20 << 20);
    let (topic, all) = change(&name, Operation::Set, "1".to_owned());
    assert!(is_short_refusal(&topic.unwrap_err()) && is_short_refusal(&all.unwrap_err()));

    let throttled = "leader.replication.throttled.replicas";
    let parts: String = (0..1 << 20).map(|part| format!("{part}:0,")).collect();
    for operation in [Operation::Append, Operation::Set] {
        assert!(is_short_refusal(&change(throttled, operation, parts.clone()).0.unwrap_err()), "{operation:?}");
    }
    assert_eq!(change(throttled, Operation::Subtract, parts).0.unwrap(), format!("{throttled}="));

    let longest = "1:2,".repeat(8192);
    assert!(change(throttled, Operation::Set, longest[..32767].to_owned()).0.is_ok());
    assert!(change(throttled, Operation::Set, "\u{e4}".repeat(16384)).0.is_err());
}
