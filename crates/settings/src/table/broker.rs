//! Settings of a broker that are not defaults of topics.

use super::settings;
use crate::setting::{Scope, Unit::*, Valid::*};
use crate::value::{Endpoint, IoBackend};

const LIVE: Scope = Scope::BrokerDynamic;

settings! {
    /// What holds for this broker, all layers taken together. Values are within the bounds of their rows.
    BrokerConfig, BROKER, Scope::BrokerStatic;

    "This broker's number in its cluster. -1: the number that its data directory was made with."
    node_id: i32 = "node.id" { default: Some("-1"), valid: AtLeast(-1), synonyms: &[("broker.id", 1)], example: "1" }
    "Where this broker stands, for clients that read from the nearest replica."
    broker_rack: Option<String> = "broker.rack" { example: "eu-west-1a" }
    "Where the broker listens for Kafka clients. An empty host means all addresses, of IPv6 and of IPv4; port 0 any free one."
    listeners: Vec<Endpoint> = "listeners" { default: Some("PLAINTEXT://:9092"), valid: Listeners, example: "PLAINTEXT://0.0.0.0:9092" }
    "What the broker tells clients to connect to; unset, what it listens on."
    advertised_listeners: Vec<Endpoint> = "advertised.listeners" { valid: Listeners, example: "PLAINTEXT://broker-1.example.net:9092" }
    "Where metrics, health and the admin interface are served over HTTP; empty for nowhere."
    admin_listener: Option<String> = "admin.listener" { default: Some("127.0.0.1:9644"), example: "0.0.0.0:9644" }
    "The data directory. One; several disks belong below one file system."
    log_dirs: String = "log.dirs" { default: Some("ailurus-data"), valid: NotEmpty, synonyms: &[("log.dir", 1)], example: "/var/lib/ailurus" }

    "Shards, one per core: 0 for the CPUs this process may use. Any number works on any data directory."
    shards: i32 = "shards" { default: Some("0"), valid: Between(0, 1024), example: "4" }
    "Whether each shard is bound to a CPU. Only where there are as many shards as CPUs, and no quota: else others use them too."
    shard_pin: bool = "shard.pin" { default: Some("true"), example: "false" }
    "Whether each shard has a port of its own and is shown to clients as a broker of its own, so that they connect straight to the core that owns a partition. Shard S listens at the port of `listeners` + S, is advertised with the port of `advertised.listeners` + S, and has the id `node.id` * 1000 + S. Such an id names the whole broker where settings or replicas are meant."
    shard_direct: bool = "shard.direct" { default: Some("false"), example: "true" }
    "Memory that requests in progress may take, of all shards together; unset, at most a quarter of what the machine or its container has. Members of groups may take a quarter as much besides."
    memory_bytes: i64 = "memory.bytes" { unit: Bytes, default: Some("1073741824"), valid: AtLeast(1 << 24), example: "4294967296" }
    "The I/O driver: `auto` takes the best the kernel grants, and the start banner says which."
    io_backend: IoBackend = "io.backend" { default: Some("auto"), valid: OneOf(&["auto", "uring", "epoll"]), example: "epoll" }
    "Whether files of the log are read and written past the page cache where the file system can."
    io_direct: bool = "io.direct" { default: Some("true"), example: "false" }

    "Free disk space below which produces of clients are refused, while the rest goes on; at most a quarter of `storage.max.bytes`."
    storage_min_free_bytes: i64 = "storage.min.free.bytes" { unit: Bytes, default: Some("268435456"), valid: AtLeast(0), example: "5368709120" }
    "Disk space that the data directory may take, whatever the disk has; unset for all of it."
    storage_max_bytes: Option<i64> = "storage.max.bytes" { unit: Bytes, valid: AtLeast(1 << 24), example: "107374182400" }
    "Memory for batches that consumers read again, per shard."
    storage_cache_bytes: i64 = "storage.cache.bytes" { unit: Bytes, default: Some("33554432"), valid: AtLeast(0), example: "268435456" }
    "Appends that wait to be moved from the journal to their segments, per shard; beyond it producers wait."
    storage_tail_max_bytes: i64 = "storage.tail.max.bytes" { unit: Bytes, default: Some("100663296"), valid: AtLeast(1 << 20), example: "268435456" }
    "Appends to topics with `write.caching` are acknowledged from memory while no more than this of the shard waits for its flush, and after their flush otherwise. It bounds what a crash may lose. A quarter of it is flushed without waiting for `flush.ms`."
    storage_write_caching_max_bytes: i64 = "storage.write.caching.max.bytes" { unit: Bytes, default: Some("16777216"), valid: AtLeast(1 << 16), example: "4194304" }
    "Segment files open at a time, per shard."
    storage_handles_max: i32 = "storage.handles.max" { default: Some("1024"), valid: AtLeast(16), example: "4096" }
    "Size of a journal file; they are written once and then used in turn."
    journal_file_bytes: i64 = "journal.file.bytes" { unit: Bytes, default: Some("67108864"), valid: AtLeast(1 << 20), example: "134217728" }
    "Size of a shard's journal from which its oldest file is emptied into the segments. Bounds the time of recovery."
    journal_max_bytes: i64 = "journal.max.bytes" { unit: Bytes, default: Some("268435456"), valid: AtLeast(1 << 22), example: "1073741824" }
    "How often retention and rolling by age are looked at, at the least: as often as `log.cleaner.backoff.ms` where that is shorter and compaction is on."
    log_retention_check_interval_ms: i64 = "log.retention.check.interval.ms" { unit: Milliseconds, default: Some("300000"), valid: AtLeast(1), example: "30000" }
    "Whether topics with `cleanup.policy=compact` are compacted."
    log_cleaner_enable: bool = "log.cleaner.enable" { default: Some("true"), example: "false" }
    "How long compaction rests when nothing was to be compacted."
    log_cleaner_backoff_ms: i64 = "log.cleaner.backoff.ms" { unit: Milliseconds, default: Some("15000"), valid: AtLeast(0), example: "1000" }
    "Memory for the keys that compaction has seen, of all shards together; larger sets of keys are compacted in several passes."
    log_cleaner_dedupe_buffer_size: i64 = "log.cleaner.dedupe.buffer.size" { unit: Bytes, default: Some("134217728"), valid: AtLeast(1 << 20), example: "33554432" }

    "Largest request taken; a longer one closes its connection before any of it is read."
    socket_request_max_bytes: i32 = "socket.request.max.bytes" { unit: Bytes, default: Some("104857600"), valid: AtLeast(1), example: "209715200" }
    "Connections of all listeners together."
    max_connections: i32 = "max.connections" { scope: LIVE, default: Some("2147483647"), valid: AtLeast(0), example: "20000" }
    "Kafka's limit of connections from one address. They are not counted by address here: the value is stored and has no effect, and a broker that is started with a limit says so in its log."
    max_connections_per_ip: i32 = "max.connections.per.ip" { active: false, default: Some("2147483647"), valid: AtLeast(0), example: "1000" }
    "After how long without a byte from its client, or to it, a connection is closed. -1: never."
    connections_max_idle_ms: i64 = "connections.max.idle.ms" { unit: Milliseconds, default: Some("600000"), valid: AtLeast(-1), example: "60000" }

    "Partitions of a topic that is created without saying how many."
    num_partitions: i32 = "num.partitions" { default: Some("1"), valid: AtLeast(1), example: "4" }
    "Replicas of a topic that is created without saying how many."
    default_replication_factor: i32 = "default.replication.factor" { default: Some("1"), valid: AtLeast(1), example: "3" }
    "Whether a topic is created when a client asks for one that is not there."
    auto_create_topics_enable: bool = "auto.create.topics.enable" { default: Some("true"), example: "false" }
    "Whether topics can be deleted."
    delete_topic_enable: bool = "delete.topic.enable" { default: Some("true"), example: "false" }

    "Most that one fetch returns, but for a first batch that is larger."
    fetch_max_bytes: i32 = "fetch.max.bytes" { unit: Bytes, default: Some("57671680"), valid: AtLeast(1024), example: "104857600" }
    "Fetch sessions (KIP-227) kept at a time."
    max_incremental_fetch_session_cache_slots: i32 = "max.incremental.fetch.session.cache.slots" { default: Some("1000"), valid: AtLeast(0), example: "10000" }

    "Shortest session timeout a member may ask for."
    group_min_session_timeout_ms: i32 = "group.min.session.timeout.ms" { unit: Milliseconds, default: Some("6000"), valid: AtLeast(1), example: "1000" }
    "Longest session timeout a member may ask for."
    group_max_session_timeout_ms: i32 = "group.max.session.timeout.ms" { unit: Milliseconds, default: Some("1800000"), valid: AtLeast(1), example: "300000" }
    "How long the first join of an empty group waits for more members."
    group_initial_rebalance_delay_ms: i32 = "group.initial.rebalance.delay.ms" { unit: Milliseconds, default: Some("3000"), valid: AtLeast(0), example: "0" }
    "Members of one group. What the members of all groups say of themselves and are assigned takes at most a quarter of `memory.bytes` besides; a join beyond is refused like one into a full group."
    group_max_size: i32 = "group.max.size" { default: Some("2147483647"), valid: AtLeast(1), example: "1000" }

    "Partitions of `__consumer_offsets`; fixed once the topic is there. At most as many as one request may create."
    offsets_topic_num_partitions: i32 = "offsets.topic.num.partitions" { default: Some("50"), valid: Between(1, 10_000), example: "16" }
    "Replicas of `__consumer_offsets` when it is created; as many as there are brokers if those are fewer."
    offsets_topic_replication_factor: i16 = "offsets.topic.replication.factor" { default: Some("3"), valid: AtLeast(1), example: "1" }
    "Segment size of `__consumer_offsets`: small, so that compaction and loading are quick."
    offsets_topic_segment_bytes: i32 = "offsets.topic.segment.bytes" { unit: Bytes, default: Some("104857600"), valid: AtLeast(14), example: "16777216" }
    "How long the offsets of a group without members are kept."
    offsets_retention_minutes: i32 = "offsets.retention.minutes" { unit: Minutes, default: Some("10080"), valid: AtLeast(1), example: "43200" }
    "How often expired offsets are looked for."
    offsets_retention_check_interval_ms: i64 = "offsets.retention.check.interval.ms" { unit: Milliseconds, default: Some("600000"), valid: AtLeast(1), example: "60000" }
    "Longest metadata text of a committed offset."
    offset_metadata_max_bytes: i32 = "offset.metadata.max.bytes" { unit: Bytes, default: Some("4096"), valid: AtLeast(0), example: "8192" }

    "How long the sequence of an idempotent producer is remembered after its last batch."
    producer_id_expiration_ms: i32 = "producer.id.expiration.ms" { unit: Milliseconds, scope: LIVE, default: Some("86400000"), valid: AtLeast(1), example: "3600000" }
}
