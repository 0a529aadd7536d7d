//! Settings that Kafka's tools set and read and nothing here depends on: checked, stored, shown.

use crate::Setting;
use crate::setting::{Kind::*, Scope, Unit::*, Valid::*};

const TOPIC_ROW: Setting = Setting { active: false, ..Setting::blank(Scope::Topic) };
const LEGACY_ROW: Setting = Setting { active: false, legacy: true, ..Setting::blank(Scope::Topic) };
const LIVE_ROW: Setting = Setting { active: false, ..Setting::blank(Scope::BrokerDynamic) };
const FIXED_ROW: Setting = Setting { active: false, ..Setting::blank(Scope::BrokerStatic) };

const NOT_TIERED: &str = "Tiered storage is not there yet: the value is stored and has no effect.";
const TIERED_OFF: &str = "Tiered storage is not there yet: only false is taken.";
const AS_PRODUCED: &str = "Batches are kept as their producers compressed them, whatever stands here.";
const THROTTLE: &str = "Kafka's throttle of replication: stored, no effect.";

/// Topic settings without effect.
pub const TOPIC_ACCEPTED: &[Setting] = &[
    Setting {
        name: "compression.type",
        kind: String,
        default: Some("producer"),
        valid: OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        broker: &[("compression.type", 1)],
        example: "zstd",
        doc: "Batches are kept as their producers compressed them: `producer` says so, and other values are taken because tools set them, but nothing is compressed again.",
        ..TOPIC_ROW
    },
    Setting {
        name: "compression.gzip.level",
        kind: Int,
        default: Some("-1"),
        valid: ExactlyOrBetween(-1, 1, 9),
        broker: &[("compression.gzip.level", 1)],
        example: "6",
        doc: AS_PRODUCED,
        ..TOPIC_ROW
    },
    Setting {
        name: "compression.lz4.level",
        kind: Int,
        default: Some("9"),
        valid: Between(1, 17),
        broker: &[("compression.lz4.level", 1)],
        example: "9",
        doc: AS_PRODUCED,
        ..TOPIC_ROW
    },
    Setting {
        name: "compression.zstd.level",
        kind: Int,
        default: Some("3"),
        valid: Between(-131_072, 22),
        broker: &[("compression.zstd.level", 1)],
        example: "3",
        doc: AS_PRODUCED,
        ..TOPIC_ROW
    },
    Setting {
        name: "file.delete.delay.ms",
        kind: Long,
        unit: Milliseconds,
        default: Some("60000"),
        valid: AtLeast(0),
        broker: &[("log.segment.delete.delay.ms", 1)],
        example: "60000",
        doc: "Files go when nothing reads them any more; the value is stored and has no effect.",
        ..TOPIC_ROW
    },
    Setting {
        name: "preallocate",
        kind: Boolean,
        default: Some("false"),
        broker: &[("log.preallocate", 1)],
        example: "true",
        doc: "Segments grow in steps; the value is stored and has no effect.",
        ..TOPIC_ROW
    },
    Setting {
        name: "segment.jitter.ms",
        kind: Long,
        unit: Milliseconds,
        default: Some("0"),
        valid: AtLeast(0),
        broker: &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3_600_000)],
        example: "0",
        doc: "Segments of many partitions do not roll together here; the value is stored and has no effect.",
        ..TOPIC_ROW
    },
    Setting {
        name: "segment.index.bytes",
        kind: Int,
        unit: Bytes,
        default: Some("10485760"),
        valid: AtLeast(4),
        broker: &[("log.index.size.max.bytes", 1)],
        example: "10485760",
        doc: "Indexes are as large as they need to be; the value is stored and has no effect.",
        ..TOPIC_ROW
    },
    Setting {
        name: "unclean.leader.election.enable",
        kind: Boolean,
        default: Some("false"),
        broker: &[("unclean.leader.election.enable", 1)],
        example: "false",
        doc: "A replica without all that was acknowledged never leads; the value is stored and has no effect.",
        ..TOPIC_ROW
    },
    Setting {
        name: "leader.replication.throttled.replicas",
        kind: List,
        default: Some(""),
        example: "0:1,1:2",
        doc: THROTTLE,
        ..TOPIC_ROW
    },
    Setting {
        name: "follower.replication.throttled.replicas",
        kind: List,
        default: Some(""),
        example: "0:1,1:2",
        doc: THROTTLE,
        ..TOPIC_ROW
    },
    Setting {
        name: "remote.storage.enable",
        kind: Boolean,
        default: Some("false"),
        valid: OneOf(&["false"]),
        example: "false",
        doc: TIERED_OFF,
        ..TOPIC_ROW
    },
    Setting {
        name: "remote.log.copy.disable",
        kind: Boolean,
        default: Some("false"),
        example: "false",
        doc: NOT_TIERED,
        ..TOPIC_ROW
    },
    Setting {
        name: "remote.log.delete.on.disable",
        kind: Boolean,
        default: Some("false"),
        example: "false",
        doc: NOT_TIERED,
        ..TOPIC_ROW
    },
    Setting {
        name: "local.retention.ms",
        kind: Long,
        unit: Milliseconds,
        default: Some("-2"),
        valid: AtLeast(-2),
        broker: &[("log.local.retention.ms", 1)],
        example: "-2",
        doc: NOT_TIERED,
        ..TOPIC_ROW
    },
    Setting {
        name: "local.retention.bytes",
        kind: Long,
        unit: Bytes,
        default: Some("-2"),
        valid: AtLeast(-2),
        broker: &[("log.local.retention.bytes", 1)],
        example: "-2",
        doc: NOT_TIERED,
        ..TOPIC_ROW
    },
    Setting {
        name: "message.format.version",
        kind: String,
        example: "3.0",
        doc: "There is one message format, v2; the value is stored and has no effect.",
        ..LEGACY_ROW
    },
    Setting {
        name: "message.downconversion.enable",
        kind: Boolean,
        example: "true",
        doc: "There is one message format, v2; the value is stored and has no effect.",
        ..LEGACY_ROW
    },
    Setting {
        name: "message.timestamp.difference.max.ms",
        kind: Long,
        unit: Milliseconds,
        valid: AtLeast(0),
        example: "3600000",
        doc: "Kafka 4 has `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms` instead; the value is stored and has no effect.",
        ..LEGACY_ROW
    },
];

const FOR_TOOLS: &str = "Read by tools; not changeable.";
const THREADS: &str = "Work runs on shards, not on thread pools; the value is stored and has no effect.";
const TRANSACTIONS: &str = "Transactions are not there yet: the value has no effect.";
const KERBEROS: &str = "There is no Kerberos here; the value is stored and has no effect.";

/// Broker settings without effect. The dynamic ones can be altered, as tools and tests of clients do.
pub const BROKER_ACCEPTED: &[Setting] = &[
    Setting {
        name: "inter.broker.protocol.version",
        kind: String,
        default: Some("4.0-IV3"),
        example: "4.0-IV3",
        doc: "The version of Kafka whose protocol this broker speaks, as tools read it. Has no other effect.",
        ..FIXED_ROW
    },
    Setting {
        name: "process.roles",
        kind: List,
        default: Some("broker,controller"),
        example: "broker,controller",
        doc: FOR_TOOLS,
        ..FIXED_ROW
    },
    Setting {
        name: "authorizer.class.name",
        kind: Class,
        default: Some(""),
        valid: OneOf(&[""]),
        example: "",
        doc: "ACLs are not there yet: empty, as tools read it.",
        ..FIXED_ROW
    },
    Setting {
        name: "transaction.max.timeout.ms",
        kind: Int,
        unit: Milliseconds,
        default: Some("900000"),
        valid: AtLeast(1),
        example: "900000",
        doc: TRANSACTIONS,
        ..FIXED_ROW
    },
    Setting {
        name: "transaction.state.log.num.partitions",
        kind: Int,
        default: Some("50"),
        valid: AtLeast(1),
        example: "50",
        doc: TRANSACTIONS,
        ..FIXED_ROW
    },
    Setting {
        name: "transaction.state.log.replication.factor",
        kind: Short,
        default: Some("3"),
        valid: AtLeast(1),
        example: "3",
        doc: TRANSACTIONS,
        ..FIXED_ROW
    },
    Setting {
        name: "transaction.state.log.min.isr",
        kind: Int,
        default: Some("2"),
        valid: AtLeast(1),
        example: "2",
        doc: TRANSACTIONS,
        ..FIXED_ROW
    },
    Setting {
        name: "transactional.id.expiration.ms",
        kind: Int,
        unit: Milliseconds,
        default: Some("604800000"),
        valid: AtLeast(1),
        example: "604800000",
        doc: TRANSACTIONS,
        ..FIXED_ROW
    },
    Setting {
        name: "background.threads",
        kind: Int,
        default: Some("10"),
        valid: AtLeast(1),
        example: "10",
        doc: THREADS,
        ..LIVE_ROW
    },
    Setting {
        name: "log.cleaner.threads",
        kind: Int,
        default: Some("1"),
        valid: AtLeast(0),
        example: "1",
        doc: THREADS,
        ..LIVE_ROW
    },
    Setting {
        name: "num.io.threads",
        kind: Int,
        default: Some("8"),
        valid: AtLeast(1),
        example: "8",
        doc: THREADS,
        ..LIVE_ROW
    },
    Setting {
        name: "num.network.threads",
        kind: Int,
        default: Some("3"),
        valid: AtLeast(1),
        example: "3",
        doc: THREADS,
        ..LIVE_ROW
    },
    Setting {
        name: "num.recovery.threads.per.data.dir",
        kind: Int,
        default: Some("2"),
        valid: AtLeast(1),
        example: "2",
        doc: THREADS,
        ..LIVE_ROW
    },
    Setting {
        name: "num.replica.fetchers",
        kind: Int,
        default: Some("1"),
        valid: AtLeast(1),
        example: "1",
        doc: THREADS,
        ..LIVE_ROW
    },
    Setting {
        name: "leader.replication.throttled.rate",
        kind: Long,
        unit: Bytes,
        valid: AtLeast(0),
        example: "10485760",
        doc: THROTTLE,
        ..LIVE_ROW
    },
    Setting {
        name: "follower.replication.throttled.rate",
        kind: Long,
        unit: Bytes,
        valid: AtLeast(0),
        example: "10485760",
        doc: THROTTLE,
        ..LIVE_ROW
    },
    Setting {
        name: "sasl.kerberos.min.time.before.relogin",
        kind: Long,
        unit: Milliseconds,
        default: Some("60000"),
        valid: AtLeast(0),
        example: "60000",
        doc: KERBEROS,
        ..LIVE_ROW
    },
    Setting {
        name: "sasl.kerberos.kinit.cmd",
        kind: String,
        default: Some("/usr/bin/kinit"),
        example: "/usr/bin/kinit",
        doc: KERBEROS,
        ..LIVE_ROW
    },
];
