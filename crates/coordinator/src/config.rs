//! The settings that group decisions depend on, already parsed.

/// Knobs of group coordination; the fields carry Kafka's names. `Default` is Kafka's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits for more members. 0 = no wait.
    pub initial_rebalance_delay_ms: u64,
    /// `group.max.size`: members per group.
    pub max_size: usize,
    /// What the members of all groups of a shard may take in memory, in bytes: `memory.bytes` has a part for it. A join or an
    /// assignment beyond is refused.
    pub members_bytes_max: u64,
    /// How long a JoinGroup of a new member may stay parked (ms). Such a member does not know its id yet and cannot
    /// heartbeat, and a client that retries would leave one more behind each time.
    pub new_member_join_timeout_ms: u64,
    /// `offset.metadata.max.bytes`: length of the string a client stores with an offset, counted in UTF-16 units as Kafka does.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`: how often expired offsets are looked for.
    pub offsets_retention_check_interval_ms: u64,
}

impl Default for GroupConfig {
    fn default() -> Self {
        GroupConfig {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            max_size: i32::MAX as usize,
            members_bytes_max: 256 << 20,
            new_member_join_timeout_ms: 300_000,
            offset_metadata_max: 4096,
            offsets_retention_ms: 7 * 24 * 3600 * 1000,
            offsets_retention_check_interval_ms: 600_000,
        }
    }
}
