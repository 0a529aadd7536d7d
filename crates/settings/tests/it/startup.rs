//! Layers and where mistakes are said to be.

use ailurus_settings::{BrokerSettings, Endpoint, Invalid, IoBackend, Layer, Profile, Texts};
use proptest::prelude::*;

fn file(text: &str) -> Result<BrokerSettings, String> {
    let mut settings = BrokerSettings::default();
    settings.load_file("ailurus.toml", text.as_bytes()).map(|()| settings).map_err(|error| error.to_string())
}

#[test]
fn later_layers_go_first() {
    let mut settings = BrokerSettings::new(Profile::Dev);
    let mut seen = Vec::new();
    let mut look = |settings: &BrokerSettings| seen.push(settings.config().group_initial_rebalance_delay_ms);
    look(&BrokerSettings::default());
    look(&settings);
    settings.load_file("f", b"group.initial.rebalance.delay.ms = 1").unwrap();
    look(&settings);
    let variable = ("AILURUS_GROUP_INITIAL_REBALANCE_DELAY_MS".to_owned(), "2s".to_owned());
    settings.load_environment([variable], &[]).unwrap();
    look(&settings);
    settings.set_pair("group.initial.rebalance.delay.ms=3").unwrap();
    look(&settings);
    assert_eq!(seen, [3000, 0, 1, 2000, 3]);
}

#[test]
fn dynamic_settings_go_before_all_others_and_unknown_ones_are_named() {
    let mut settings = BrokerSettings::default();
    settings.set_pair("message.max.bytes=1").unwrap();
    let texts =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Texts>();
    let cluster = texts(&[("message.max.bytes", "2"), ("log.retention.ms", "5"), ("gone.by.now", "1")]);
    let refused = settings.set_dynamic(&cluster, &texts(&[("message.max.bytes", "3"), ("log.segment.bytes", "none")]));
    assert_eq!(refused, ["gone.by.now", "log.segment.bytes"]);
    assert_eq!(settings.get("message.max.bytes").as_deref(), Some("3"));
    assert_eq!(settings.get("log.retention.ms").as_deref(), Some("5"));
    settings.set_dynamic(&Texts::new(), &Texts::new());
    assert_eq!(settings.get("message.max.bytes").as_deref(), Some("1"));
}

#[test]
fn a_file_may_say_it_in_every_way_of_toml() {
    let settings = file(
        r#"
        num.partitions = 4
        "auto.create.topics.enable" = false
        listeners = ["PLAINTEXT://127.0.0.1:9092", "LAN://[::1]:0"]
        io.backend = "epoll"
        storage.min.free.bytes = "2GiB"
        journal = { file.bytes = 0x800000 }
        max.connections.per.ip = 7
        [log]
        retention.hours = 2
        cleaner.min.cleanable.ratio = 0.25
        cleanup.policy = ["compact", "delete"]
        "#,
    )
    .unwrap();
    let config = settings.config();
    assert_eq!((config.num_partitions, config.auto_create_topics_enable), (4, false));
    let endpoint = |listener: &str, host: &str, port| Endpoint { listener: listener.into(), host: host.into(), port };
    assert_eq!(config.listeners, [endpoint("PLAINTEXT", "127.0.0.1", 9092), endpoint("LAN", "::1", 0)]);
    assert_eq!(config.listeners[1].to_string(), "LAN://[::1]:0");
    assert_eq!((config.io_backend, config.storage_min_free_bytes), (IoBackend::Epoll, 2 << 30));
    assert_eq!((config.journal_file_bytes, config.max_connections_per_ip), (8 << 20, 7));
    let topic = ailurus_settings::TopicOverrides::default().config(&settings);
    assert_eq!((topic.retention_ms, topic.min_cleanable_dirty_ratio), (7_200_000, 0.25));
    assert!(topic.cleanup_policy.compact && topic.cleanup_policy.delete);
}

#[test]
fn mistakes_are_said_with_their_place() {
    let cases = [
        ("\n\nnum.partitons = 4", "ailurus.toml:3: unknown setting num.partitons; did you mean num.partitions?"),
        (
            "[num]\npartitions = 1\n[logs]\ndirs = 1",
            "ailurus.toml:4: unknown setting logs.dirs; did you mean log.dirs?",
        ),
        ("[listener]", "ailurus.toml:1: unknown setting listener; did you mean listeners?"),
        ("xyzzy.plugh.twisty = 1", "ailurus.toml:1: unknown setting xyzzy.plugh.twisty"),
        (
            "retention.ms = 1",
            "ailurus.toml:1: unknown setting retention.ms; topics have it, the broker's default for it is log.retention.ms",
        ),
        (
            "num.partitions = \"four\"",
            "ailurus.toml:1: Invalid value four for configuration num.partitions: not a number of type INT",
        ),
        (
            "num.partitions = true",
            "ailurus.toml:1: Invalid value true for configuration num.partitions: not a number of type INT",
        ),
        ("a = 1\n\nnum.partitions = 0", "ailurus.toml:1: unknown setting a"),
        ("num.partitions = 0", "ailurus.toml:1: Invalid value 0 for configuration num.partitions: must be at least 1"),
        (
            "num.partitions = 2147483648",
            "ailurus.toml:1: Invalid value 2147483648 for configuration num.partitions: not a number of type INT",
        ),
        ("num.partitions = 1979-05-27", "ailurus.toml:1: num.partitions cannot be a date"),
        ("io.direct = 1", "ailurus.toml:1: Invalid value 1 for configuration io.direct: must be true or false"),
        (
            "io.backend = \"kqueue\"",
            "ailurus.toml:1: Invalid value kqueue for configuration io.backend: must be one of auto, uring, epoll",
        ),
        (
            "listeners = \"localhost\"",
            "ailurus.toml:1: Invalid value localhost for configuration listeners: \"localhost\" is not of the form NAME://host:port",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(file(text).unwrap_err(), expected);
    }
    let clash = file("max.connections = 1\nmax.connections.per.ip = 2").unwrap_err();
    assert!(clash.starts_with("ailurus.toml:2: ") && clash.ends_with("\"max.connections\" = 100"), "{clash}");
    let quoted = file("\"max.connections\" = 1\n\"max.connections.per.ip\" = 2").unwrap().config();
    assert_eq!((quoted.max_connections, quoted.max_connections_per_ip), (1, 2));
    assert!(file("num.partitions = ").unwrap_err().starts_with("ailurus.toml:1: "));

    let mut settings = BrokerSettings::default();
    settings
        .load_file("f", b"num.partitions = 1\n\xff")
        .unwrap_err()
        .to_string()
        .strip_prefix("f:2: not UTF-8")
        .unwrap();
    let variables = [("AILURUS_NUM_PARTITION", "3"), ("PATH", "/bin"), ("AILURUS_LOG", "debug")];
    let variables = || variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    let strangers = |settings: &mut BrokerSettings, others: &[&str]| -> Vec<String> {
        settings.load_environment(variables(), others).unwrap().iter().map(ToString::to_string).collect()
    };
    let found = strangers(&mut settings, &["AILURUS_NUM_PARTITION"]);
    assert!(found.len() == 1 && found[0].starts_with("AILURUS_LOG: unknown setting log"), "{found:?}");
    let found = strangers(&mut settings, &["AILURUS_LOG"]);
    assert_eq!(found, ["AILURUS_NUM_PARTITION: unknown setting num.partition; did you mean num.partitions?"]);
    let injected = ["SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_9092_TCP", "PORT_9092_TCP_ADDR"];
    let injected = injected.map(|name| (format!("AILURUS_{name}"), "tcp://10.0.0.7:9092".to_owned()));
    assert_eq!(settings.load_environment(injected, &[]).unwrap().len(), 5);
    let wrong = [("AILURUS_NUM_PARTITIONS".to_owned(), "four".to_owned())];
    let error = settings.load_environment(wrong, &[]).unwrap_err().to_string();
    assert!(error.starts_with("AILURUS_NUM_PARTITIONS: Invalid value four"), "{error}");
    assert_eq!(
        settings.set_pair("num.partitions").unwrap_err().to_string(),
        "\"num.partitions\" is not of the form NAME=VALUE"
    );
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let mut settings = BrokerSettings::default();
    assert_eq!(settings.check(), Ok(()));
    settings.set(Layer::Flags, "group.min.session.timeout.ms", "1h").unwrap();
    assert!(settings.check().is_err());
    let mut settings = BrokerSettings::default();
    settings.set(Layer::Flags, "log.cleaner.max.compaction.lag.ms", "5").unwrap();
    settings.set(Layer::Flags, "log.cleaner.min.compaction.lag.ms", "6").unwrap();
    let Err(ailurus_settings::StartupError::Invalid(Invalid { name, .. })) = settings.check() else { panic!() };
    assert_eq!(name, "min.compaction.lag.ms");
}

#[test]
fn older_names_count_where_the_newer_is_not_set() {
    let mut settings = BrokerSettings::default();
    settings.set_pair("broker.id=5").unwrap();
    assert_eq!(settings.config().node_id, 5);
    settings.set_pair("node.id=6").unwrap();
    assert_eq!(settings.config().node_id, 6);
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "[a-z.\"=0-9\\[\\]\n{} ]{0,60}") {
        let _ = BrokerSettings::default().load_file("f", &bytes);
        let _ = file(&text);
        let _ = file(&format!("log = {{ {text} }}"));
    }
}
