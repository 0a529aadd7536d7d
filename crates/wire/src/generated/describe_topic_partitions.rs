//! DescribeTopicPartitions (API 75), versions 0 to 0.
//!
//! Made by `cargo xtask codegen` from `messages/describe_topic_partitions.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, TopicId, WireError, Writer};

impl Message for DescribeTopicPartitionsRequest {
    const API: ApiKey = ApiKey::DescribeTopicPartitions;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DescribeTopicPartitionsRequest {
    type Response = DescribeTopicPartitionsResponse;
}

/// Topics and partitions, page by page (KIP-966).
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeTopicPartitionsRequest {
    /// Which topics; empty = all.
    pub topics: Vec<TopicRequest>,
    /// At most this many partitions.
    pub response_partition_limit: i32,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}

impl Default for DescribeTopicPartitionsRequest {
    fn default() -> Self {
        Self { topics: Vec::new(), response_partition_limit: 2000, cursor: None }
    }
}

impl DescribeTopicPartitionsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topics = r.array(1, |r| TopicRequest::read_fields(r, version))?;
        m.response_partition_limit = r.i32()?;
        m.cursor = if r.present()? { Some(Cursor::read_fields(r, version)?) } else { None };
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        w.i32(self.response_partition_limit);
        w.present(self.cursor.is_some());
        if let Some(x) = &self.cursor {
            x.write_fields(w, version);
        }
        w.tags(0);
    }
}

/// Which topics; empty = all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicRequest {
    /// The topic's name.
    pub name: Str,
}

impl TopicRequest {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.tags(0);
    }
}

/// Where the last page ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cursor {
    /// The first topic of the page.
    pub topic_name: Str,
    /// Its first partition of the page.
    pub partition_index: i32,
}

impl Cursor {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topic_name = r.str()?;
        m.partition_index = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.topic_name);
        w.i32(self.partition_index);
        w.tags(0);
    }
}

impl Message for DescribeTopicPartitionsResponse {
    const API: ApiKey = ApiKey::DescribeTopicPartitions;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DescribeTopicPartitionsResponse {}

/// The answer to [`DescribeTopicPartitionsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeTopicPartitionsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One entry per topic.
    pub topics: Vec<DescribeTopicPartitionsResponseTopic>,
    /// Where the next page begins, or null after the last.
    pub next_cursor: Option<Cursor>,
}

impl DescribeTopicPartitionsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.topics = r.array(25, |r| DescribeTopicPartitionsResponseTopic::read_fields(r, version))?;
        m.next_cursor = if r.present()? { Some(Cursor::read_fields(r, version)?) } else { None };
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        w.present(self.next_cursor.is_some());
        if let Some(x) = &self.next_cursor {
            x.write_fields(w, version);
        }
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeTopicPartitionsResponseTopic {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The topic's name.
    pub name: Option<Str>,
    /// The topic's id.
    pub topic_id: TopicId,
    /// Whether the topic is the broker's own.
    pub is_internal: bool,
    /// One entry per partition.
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    /// Bits by ACL operation; `i32::MIN` if not asked for.
    pub topic_authorized_operations: i32,
}

impl Default for DescribeTopicPartitionsResponseTopic {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            name: Some(Str::new()),
            topic_id: TopicId::NONE,
            is_internal: false,
            partitions: Vec::new(),
            topic_authorized_operations: i32::MIN,
        }
    }
}

impl DescribeTopicPartitionsResponseTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.name = r.opt_str()?;
        m.topic_id = r.topic_id()?;
        m.is_internal = r.bool()?;
        m.partitions = r.array(19, |r| DescribeTopicPartitionsResponsePartition::read_fields(r, version))?;
        m.topic_authorized_operations = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.error_code(self.error_code);
        w.opt_str(&self.name);
        w.topic_id(self.topic_id);
        w.bool(self.is_internal);
        w.array(&self.partitions, |w, x| x.write_fields(w, version));
        w.i32(self.topic_authorized_operations);
        w.tags(0);
    }
}

/// One entry per partition.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeTopicPartitionsResponsePartition {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The partition's number.
    pub partition_index: i32,
    /// The leader's node id, or -1.
    pub leader_id: i32,
    /// The leader epoch, or -1 if unknown.
    pub leader_epoch: i32,
    /// All replicas, by node id; the first is the preferred leader.
    pub replica_nodes: Vec<i32>,
    /// The replicas in sync.
    pub isr_nodes: Vec<i32>,
    /// Replicas fit to lead though out of sync (KIP-966), or null.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// The last known leaders eligible (KIP-966), or null.
    pub last_known_elr: Option<Vec<i32>>,
    /// The replicas that are offline.
    pub offline_replicas: Vec<i32>,
}

impl Default for DescribeTopicPartitionsResponsePartition {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            offline_replicas: Vec::new(),
        }
    }
}

impl DescribeTopicPartitionsResponsePartition {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.partition_index = r.i32()?;
        m.leader_id = r.i32()?;
        m.leader_epoch = r.i32()?;
        m.replica_nodes = r.array(4, |r| r.i32())?;
        m.isr_nodes = r.array(4, |r| r.i32())?;
        m.eligible_leader_replicas = r.opt_array(4, |r| r.i32())?;
        m.last_known_elr = r.opt_array(4, |r| r.i32())?;
        m.offline_replicas = r.array(4, |r| r.i32())?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.error_code(self.error_code);
        w.i32(self.partition_index);
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.array(&self.replica_nodes, |w, x| w.i32(*x));
        w.array(&self.isr_nodes, |w, x| w.i32(*x));
        w.opt_array(&self.eligible_leader_replicas, |w, x| w.i32(*x));
        w.opt_array(&self.last_known_elr, |w, x| w.i32(*x));
        w.array(&self.offline_replicas, |w, x| w.i32(*x));
        w.tags(0);
    }
}
