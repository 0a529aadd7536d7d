//! Fetch (API 1), versions 4 to 18.
//!
//! Made by `cargo xtask codegen` from `messages/fetch.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Records, Request, Response, Str, TopicId, WireError, Writer};

impl Message for FetchRequest {
    const API: ApiKey = ApiKey::Fetch;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for FetchRequest {
    type Response = FetchResponse;
}

/// Reads record batches from partitions, waiting for them if need be.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchRequest {
    /// The cluster that the asker believes to be in (brokers only). (From version 12; else dropped.)
    pub cluster_id: Option<Str>,
    /// The asking broker, -1 for clients, -2 for debugging clients. (Up to version 14.)
    pub replica_id: i32,
    /// Who asks, if it is a broker. (From version 15.)
    pub replica_state: ReplicaState,
    /// How long to wait for `min_bytes`.
    pub max_wait_ms: i32,
    /// Answer as soon as there is this much.
    pub min_bytes: i32,
    /// Answer with at most this much, one batch excepted.
    pub max_bytes: i32,
    /// 0 = read_uncommitted, 1 = read_committed.
    pub isolation_level: i8,
    /// The fetch session (KIP-227), 0 for none. (From version 7; else dropped.)
    pub session_id: i32,
    /// -1 = no session, 0 = make one, else the next epoch of this one. (From version 7; else dropped.)
    pub session_epoch: i32,
    /// What to read; in a session, only what changed.
    pub topics: Vec<FetchTopic>,
    /// What the session is to forget. (From version 7.)
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    /// The consumer's rack (KIP-392). (From version 11; else dropped.)
    pub rack_id: Str,
}

impl Default for FetchRequest {
    fn default() -> Self {
        Self {
            cluster_id: None,
            replica_id: -1,
            replica_state: ReplicaState::default(),
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: i32::MAX,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Vec::new(),
            forgotten_topics_data: Vec::new(),
            rack_id: Str::new(),
        }
    }
}

impl FetchRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 14 {
            m.replica_id = r.i32()?;
        }
        m.max_wait_ms = r.i32()?;
        m.min_bytes = r.i32()?;
        m.max_bytes = r.i32()?;
        m.isolation_level = r.i8()?;
        if version >= 7 {
            m.session_id = r.i32()?;
            m.session_epoch = r.i32()?;
        }
        m.topics = r.array(1, |r| FetchTopic::read_fields(r, version))?;
        if version >= 7 {
            m.forgotten_topics_data = r.array(1, |r| ForgottenTopic::read_fields(r, version))?;
        }
        if version >= 11 {
            m.rack_id = r.str()?;
        }
        let mut tags = r.tags()?;
        while let Some(tag) = tags.next(r)? {
            match tag {
                0 => m.cluster_id = r.opt_str()?,
                1 if version >= 15 => m.replica_state = ReplicaState::read_fields(r, version)?,
                _ => tags.skip(r),
            }
        }
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version <= 14 {
            w.i32(self.replica_id);
        } else if self.replica_id != -1 {
            w.not_in_version("FetchRequest.replica_id", version);
        }
        w.i32(self.max_wait_ms);
        w.i32(self.min_bytes);
        w.i32(self.max_bytes);
        w.i8(self.isolation_level);
        if version >= 7 {
            w.i32(self.session_id);
        }
        if version >= 7 {
            w.i32(self.session_epoch);
        }
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        if version >= 7 {
            w.array(&self.forgotten_topics_data, |w, x| x.write_fields(w, version));
        } else if !self.forgotten_topics_data.is_empty() {
            w.not_in_version("FetchRequest.forgotten_topics_data", version);
        }
        if version >= 11 {
            w.str(&self.rack_id);
        }
        let tag0 = version >= 12 && self.cluster_id.is_some();
        let tag1 = version >= 15 && self.replica_state != ReplicaState::default();
        w.tags(u32::from(tag0) + u32::from(tag1));
        if tag0 {
            w.tag(0, |w| {
                w.opt_str(&self.cluster_id);
            });
        }
        if tag1 {
            w.tag(1, |w| {
                self.replica_state.write_fields(w, version);
            });
        } else if self.replica_state != ReplicaState::default() {
            w.not_in_version("FetchRequest.replica_state", version);
        }
    }
}

/// Who asks, if it is a broker.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaState {
    /// The asking broker, -1 for clients, -2 for debugging clients.
    pub replica_id: i32,
    /// That broker's epoch.
    pub replica_epoch: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self { replica_id: -1, replica_epoch: -1 }
    }
}

impl ReplicaState {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.replica_id = r.i32()?;
        m.replica_epoch = r.i64()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.replica_id);
        w.i64(self.replica_epoch);
        w.tags(0);
    }
}

/// What to read; in a session, only what changed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchTopic {
    /// The topic's name. (Up to version 12; else dropped.)
    pub topic: Str,
    /// The topic's id. (From version 13; else dropped.)
    pub topic_id: TopicId,
    /// One entry per partition.
    pub partitions: Vec<FetchPartition>,
}

impl FetchTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 12 {
            m.topic = r.str()?;
        }
        if version >= 13 {
            m.topic_id = r.topic_id()?;
        }
        m.partitions = r.array(16, |r| FetchPartition::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version <= 12 {
            w.str(&self.topic);
        }
        if version >= 13 {
            w.topic_id(self.topic_id);
        }
        w.array(&self.partitions, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per partition.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchPartition {
    /// The partition's number.
    pub partition: i32,
    /// The leader epoch that the client knows; -1 skips the check (KIP-320). (From version 9; else dropped.)
    pub current_leader_epoch: i32,
    /// The first offset wanted.
    pub fetch_offset: i64,
    /// The epoch of the last record the asker has; a mismatch is answered with `diverging_epoch`. (From version
    /// 12.)
    pub last_fetched_epoch: i32,
    /// A follower's own log start. (From version 5; else dropped.)
    pub log_start_offset: i64,
    /// At most this much from this partition, one batch excepted.
    pub partition_max_bytes: i32,
    /// A follower's log directory. (From version 17; else dropped.)
    pub replica_directory_id: u128,
    /// The high watermark that a follower knows. (From version 18; else dropped.)
    pub high_watermark: i64,
}

impl Default for FetchPartition {
    fn default() -> Self {
        Self {
            partition: 0,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 0,
            replica_directory_id: 0,
            high_watermark: i64::MAX,
        }
    }
}

impl FetchPartition {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition = r.i32()?;
        if version >= 9 {
            m.current_leader_epoch = r.i32()?;
        }
        m.fetch_offset = r.i64()?;
        if version >= 12 {
            m.last_fetched_epoch = r.i32()?;
        }
        if version >= 5 {
            m.log_start_offset = r.i64()?;
        }
        m.partition_max_bytes = r.i32()?;
        let mut tags = r.tags()?;
        while let Some(tag) = tags.next(r)? {
            match tag {
                0 if version >= 17 => m.replica_directory_id = r.uuid()?,
                1 if version >= 18 => m.high_watermark = r.i64()?,
                _ => tags.skip(r),
            }
        }
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.partition);
        if version >= 9 {
            w.i32(self.current_leader_epoch);
        }
        w.i64(self.fetch_offset);
        if version >= 12 {
            w.i32(self.last_fetched_epoch);
        } else if self.last_fetched_epoch != -1 {
            w.not_in_version("FetchPartition.last_fetched_epoch", version);
        }
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        w.i32(self.partition_max_bytes);
        let tag0 = version >= 17 && self.replica_directory_id != 0;
        let tag1 = version >= 18 && self.high_watermark != i64::MAX;
        w.tags(u32::from(tag0) + u32::from(tag1));
        if tag0 {
            w.tag(0, |w| {
                w.uuid(self.replica_directory_id);
            });
        }
        if tag1 {
            w.tag(1, |w| {
                w.i64(self.high_watermark);
            });
        }
    }
}

/// What the session is to forget.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ForgottenTopic {
    /// The topic's name. (Up to version 12; else dropped.)
    pub topic: Str,
    /// The topic's id. (From version 13; else dropped.)
    pub topic_id: TopicId,
    /// Partition numbers.
    pub partitions: Vec<i32>,
}

impl ForgottenTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 12 {
            m.topic = r.str()?;
        }
        if version >= 13 {
            m.topic_id = r.topic_id()?;
        }
        m.partitions = r.array(4, |r| r.i32())?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version <= 12 {
            w.str(&self.topic);
        }
        if version >= 13 {
            w.topic_id(self.topic_id);
        }
        w.array(&self.partitions, |w, x| w.i32(*x));
        w.tags(0);
    }
}

impl Message for FetchResponse {
    const API: ApiKey = ApiKey::Fetch;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for FetchResponse {}

/// The answer to [`FetchRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// An error of the session as a whole. (From version 7; else dropped.)
    pub error_code: ErrorCode,
    /// The fetch session, 0 for none. (From version 7.)
    pub session_id: i32,
    /// One result per thing asked for.
    pub responses: Vec<FetchableTopicResponse>,
    /// The addresses of the leaders named above (KIP-951). (From version 16; else dropped.)
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl FetchResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        if version >= 7 {
            m.error_code = r.error_code()?;
            m.session_id = r.i32()?;
        }
        m.responses = r.array(1, |r| FetchableTopicResponse::read_fields(r, version))?;
        let mut tags = r.tags()?;
        while let Some(tag) = tags.next(r)? {
            match tag {
                0 if version >= 16 => m.node_endpoints = r.array(10, |r| NodeEndpoint::read_fields(r, version))?,
                _ => tags.skip(r),
            }
        }
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        if version >= 7 {
            w.error_code(self.error_code);
        }
        if version >= 7 {
            w.i32(self.session_id);
        } else if self.session_id != 0 {
            w.not_in_version("FetchResponse.session_id", version);
        }
        w.array(&self.responses, |w, x| x.write_fields(w, version));
        let tag0 = version >= 16 && !self.node_endpoints.is_empty();
        w.tags(u32::from(tag0));
        if tag0 {
            w.tag(0, |w| {
                w.array(&self.node_endpoints, |w, x| x.write_fields(w, version));
            });
        }
    }
}

/// One result per thing asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchableTopicResponse {
    /// The topic's name. (Up to version 12; else dropped.)
    pub topic: Str,
    /// The topic's id. (From version 13; else dropped.)
    pub topic_id: TopicId,
    /// One entry per partition.
    pub partitions: Vec<PartitionData>,
}

impl FetchableTopicResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 12 {
            m.topic = r.str()?;
        }
        if version >= 13 {
            m.topic_id = r.topic_id()?;
        }
        m.partitions = r.array(24, |r| PartitionData::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version <= 12 {
            w.str(&self.topic);
        }
        if version >= 13 {
            w.topic_id(self.topic_id);
        }
        w.array(&self.partitions, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per partition.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionData {
    /// The partition's number.
    pub partition_index: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// Everything below is committed.
    pub high_watermark: i64,
    /// Everything below has its transactions decided.
    pub last_stable_offset: i64,
    /// The first offset still there, or -1 if unknown. (From version 5; else dropped.)
    pub log_start_offset: i64,
    /// Where the asker's log and ours part. (From version 12; else dropped.)
    pub diverging_epoch: EpochEndOffset,
    /// With an error of leadership: where to go. (From version 12; else dropped.)
    pub current_leader: LeaderIdAndEpoch,
    /// Where a follower of the metadata log has to start over. (From version 12; else dropped.)
    pub snapshot_id: SnapshotId,
    /// Whose records in this range to skip; null under read_uncommitted.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// A closer replica to read from, or -1. (From version 11.)
    pub preferred_read_replica: i32,
    /// Whole batches; the first may begin before the offset asked for.
    pub records: Option<Records>,
}

impl Default for PartitionData {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: ErrorCode::None,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: EpochEndOffset::default(),
            current_leader: LeaderIdAndEpoch::default(),
            snapshot_id: SnapshotId::default(),
            aborted_transactions: Some(Vec::new()),
            preferred_read_replica: -1,
            records: None,
        }
    }
}

impl PartitionData {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.error_code = r.error_code()?;
        m.high_watermark = r.i64()?;
        m.last_stable_offset = r.i64()?;
        if version >= 5 {
            m.log_start_offset = r.i64()?;
        }
        m.aborted_transactions = r.opt_array(16, |r| AbortedTransaction::read_fields(r, version))?;
        if version >= 11 {
            m.preferred_read_replica = r.i32()?;
        }
        m.records = r.opt_records()?;
        let mut tags = r.tags()?;
        while let Some(tag) = tags.next(r)? {
            match tag {
                0 => m.diverging_epoch = EpochEndOffset::read_fields(r, version)?,
                1 => m.current_leader = LeaderIdAndEpoch::read_fields(r, version)?,
                2 => m.snapshot_id = SnapshotId::read_fields(r, version)?,
                _ => tags.skip(r),
            }
        }
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.partition_index);
        w.error_code(self.error_code);
        w.i64(self.high_watermark);
        w.i64(self.last_stable_offset);
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        w.opt_array(&self.aborted_transactions, |w, x| x.write_fields(w, version));
        if version >= 11 {
            w.i32(self.preferred_read_replica);
        } else if self.preferred_read_replica != -1 {
            w.not_in_version("PartitionData.preferred_read_replica", version);
        }
        w.opt_records(&self.records);
        let tag0 = version >= 12 && self.diverging_epoch != EpochEndOffset::default();
        let tag1 = version >= 12 && self.current_leader != LeaderIdAndEpoch::default();
        let tag2 = version >= 12 && self.snapshot_id != SnapshotId::default();
        w.tags(u32::from(tag0) + u32::from(tag1) + u32::from(tag2));
        if tag0 {
            w.tag(0, |w| {
                self.diverging_epoch.write_fields(w, version);
            });
        }
        if tag1 {
            w.tag(1, |w| {
                self.current_leader.write_fields(w, version);
            });
        }
        if tag2 {
            w.tag(2, |w| {
                self.snapshot_id.write_fields(w, version);
            });
        }
    }
}

/// Where the asker's log and ours part.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochEndOffset {
    /// The epoch.
    pub epoch: i32,
    /// The end offset.
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self { epoch: -1, end_offset: -1 }
    }
}

impl EpochEndOffset {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.epoch = r.i32()?;
        m.end_offset = r.i64()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.epoch);
        w.i64(self.end_offset);
        w.tags(0);
    }
}

/// With an error of leadership: where to go.
#[derive(Debug, Clone, PartialEq)]
pub struct LeaderIdAndEpoch {
    /// The leader's node id, or -1.
    pub leader_id: i32,
    /// The leader epoch, or -1 if unknown.
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1 }
    }
}

impl LeaderIdAndEpoch {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.leader_id = r.i32()?;
        m.leader_epoch = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.tags(0);
    }
}

/// Where a follower of the metadata log has to start over.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotId {
    /// The end offset.
    pub end_offset: i64,
    /// The epoch.
    pub epoch: i32,
}

impl Default for SnapshotId {
    fn default() -> Self {
        Self { end_offset: -1, epoch: -1 }
    }
}

impl SnapshotId {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.end_offset = r.i64()?;
        m.epoch = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i64(self.end_offset);
        w.i32(self.epoch);
        w.tags(0);
    }
}

/// Whose records in this range to skip; null under read_uncommitted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AbortedTransaction {
    /// The producer id, or -1.
    pub producer_id: i64,
    /// The first offset of that transaction.
    pub first_offset: i64,
}

impl AbortedTransaction {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.producer_id = r.i64()?;
        m.first_offset = r.i64()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i64(self.producer_id);
        w.i64(self.first_offset);
        w.tags(0);
    }
}

/// The addresses of the leaders named above (KIP-951).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeEndpoint {
    /// The broker's node id.
    pub node_id: i32,
    /// Where the broker can be dialled: host name or address.
    pub host: Str,
    /// Where the broker can be dialled: port.
    pub port: i32,
    /// The broker's rack, or null.
    pub rack: Option<Str>,
}

impl NodeEndpoint {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.node_id = r.i32()?;
        m.host = r.str()?;
        m.port = r.i32()?;
        m.rack = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.node_id);
        w.str(&self.host);
        w.i32(self.port);
        w.opt_str(&self.rack);
        w.tags(0);
    }
}
