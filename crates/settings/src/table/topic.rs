//! Settings of a topic.

use ailurus_model::TimestampType;

use super::settings;
use crate::setting::{Scope, Unit::*, Valid::*};
use crate::value::CleanupPolicy;

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

settings! {
    /// What holds for one topic: its overrides over the broker's defaults. Values are within the bounds of their rows.
    TopicConfig, TOPIC, Scope::Topic;

    "What becomes of old records: `delete` removes them by age and size, `compact` keeps the last record of each key, both do both; an empty list keeps everything."
    cleanup_policy: CleanupPolicy = "cleanup.policy" {
        default: Some("delete"), valid: OneOf(&["compact", "delete"]), broker: &[("log.cleanup.policy", 1)], example: "compact,delete",
    }
    "How long a record is kept at least, counted from its timestamp, where the policy deletes. -1: for ever."
    retention_ms: i64 = "retention.ms" {
        unit: Milliseconds, default: Some("604800000"), valid: AtLeast(-1), example: "86400000",
        broker: &[("log.retention.ms", 1), ("log.retention.minutes", MINUTE), ("log.retention.hours", HOUR)],
    }
    "Size from which the oldest segments of a partition go, where the policy deletes. -1: no limit."
    retention_bytes: i64 = "retention.bytes" {
        unit: Bytes, default: Some("-1"), valid: AtLeast(-1), broker: &[("log.retention.bytes", 1)], example: "10737418240",
    }
    "Size from which a new segment file is begun; only closed segments are deleted and compacted. Kafka 4 asks for at least 1 MiB; here, as in Kafka 3, less is allowed."
    segment_bytes: i32 = "segment.bytes" {
        unit: Bytes, default: Some("1073741824"), valid: AtLeast(14), broker: &[("log.segment.bytes", 1)], example: "268435456",
    }
    "Age from which a segment is closed although it is not full, so that retention and compaction come to it."
    segment_ms: i64 = "segment.ms" {
        unit: Milliseconds, default: Some("604800000"), valid: AtLeast(1), example: "86400000",
        broker: &[("log.roll.ms", 1), ("log.roll.hours", HOUR)],
    }
    "Bytes between two entries of the offset index."
    index_interval_bytes: i32 = "index.interval.bytes" {
        unit: Bytes, default: Some("4096"), valid: AtLeast(0), broker: &[("log.index.interval.bytes", 1)], example: "32768",
    }
    "Largest batch taken, compressed as it is and with its header."
    max_message_bytes: i32 = "max.message.bytes" {
        unit: Bytes, default: Some("1048588"), valid: AtLeast(0), broker: &[("message.max.bytes", 1)], example: "10485760",
    }
    "Whose the timestamps are: the producer's (CreateTime) or the broker's at the append (LogAppendTime)."
    message_timestamp_type: TimestampType = "message.timestamp.type" {
        default: Some("CreateTime"), valid: OneOf(&["CreateTime", "LogAppendTime"]), broker: &[("log.message.timestamp.type", 1)], example: "LogAppendTime",
    }
    "How far before the broker's clock a producer's timestamp may lie. Not looked at with LogAppendTime."
    message_timestamp_before_max_ms: i64 = "message.timestamp.before.max.ms" {
        unit: Milliseconds, default: Some("9223372036854775807"), valid: AtLeast(0), broker: &[("log.message.timestamp.before.max.ms", 1)], example: "86400000",
    }
    "How far behind the broker's clock, in its future, a producer's timestamp may lie. Not looked at with LogAppendTime."
    message_timestamp_after_max_ms: i64 = "message.timestamp.after.max.ms" {
        unit: Milliseconds, default: Some("3600000"), valid: AtLeast(0), broker: &[("log.message.timestamp.after.max.ms", 1)], example: "9223372036854775807",
    }
    "How many replicas must be in sync for a produce with acks=all to be taken. What is acknowledged is on a majority in any case."
    min_insync_replicas: i32 = "min.insync.replicas" {
        default: Some("1"), valid: AtLeast(1), broker: &[("min.insync.replicas", 1)], example: "2",
    }
    "How long a tombstone stays after compaction has come by it, for consumers that are behind."
    delete_retention_ms: i64 = "delete.retention.ms" {
        unit: Milliseconds, default: Some("86400000"), valid: AtLeast(0), broker: &[("log.cleaner.delete.retention.ms", 1)], example: "3600000",
    }
    "How long a record is safe from compaction."
    min_compaction_lag_ms: i64 = "min.compaction.lag.ms" {
        unit: Milliseconds, default: Some("0"), valid: AtLeast(0), broker: &[("log.cleaner.min.compaction.lag.ms", 1)], example: "60000",
    }
    "After how long a record is compacted although little of the log is dirty."
    max_compaction_lag_ms: i64 = "max.compaction.lag.ms" {
        unit: Milliseconds, default: Some("9223372036854775807"), valid: AtLeast(1), broker: &[("log.cleaner.max.compaction.lag.ms", 1)], example: "604800000",
    }
    "Share of the log that must have come since the last compaction before the next is worth it."
    min_cleanable_dirty_ratio: f64 = "min.cleanable.dirty.ratio" {
        default: Some("0.5"), valid: Between(0, 1), broker: &[("log.cleaner.min.cleanable.ratio", 1)], example: "0.1",
    }
    "Whether appends are acknowledged (acks=1 and acks=all) and shown to consumers from memory on a majority, and flushed in the background. A power cut, a crash of the system and also the end of the broker's process (kill -9, a second signal that cuts its stop short, a failed disk) then lose what was acknowledged last: what came within `flush.ms` and the time of up to two flushes, and never more than `storage.write.caching.max.bytes` of a shard. What is lost is always the end of a log, and committed group offsets may then lie behind it. A clean stop loses nothing, as long as the disk has room. When it is set to false, what is in memory is flushed at once, and the next acknowledgement waits for that. Without effect for `__consumer_offsets` and the broker's other own topics. Ailurus's own; Redpanda has it too."
    write_caching: bool = "write.caching" {
        default: Some("false"), broker: &[("write.caching", 1)], example: "true",
    }
    "Where `write.caching` is true: how long after an append its flush begins at the latest, if the disk keeps up. At Kafka's default, which leaves it to the operating system, 100 ms. Otherwise without effect: what is acknowledged has been flushed."
    flush_ms: i64 = "flush.ms" {
        unit: Milliseconds, default: Some("9223372036854775807"), valid: AtLeast(0), example: "1000",
        broker: &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)],
    }
    "Where `write.caching` is true: from so many records of a partition on that are not flushed, an append is flushed before it is acknowledged; 1 flushes each, as without `write.caching`. Otherwise without effect: what is acknowledged has been flushed."
    flush_messages: i64 = "flush.messages" {
        default: Some("9223372036854775807"), valid: AtLeast(1), broker: &[("log.flush.interval.messages", 1)], example: "10000",
    }
}
