//! Metadata (API 3), versions 0 to 13.
//!
//! Made by `cargo xtask codegen` from `messages/metadata.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, TopicId, WireError, Writer};

impl Message for MetadataRequest {
    const API: ApiKey = ApiKey::Metadata;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for MetadataRequest {
    type Response = MetadataResponse;
}

/// Who the brokers are, and where the partitions of some or all topics live.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataRequest {
    /// Which topics: null = all, empty = none; in version 0 empty = all.
    pub topics: Option<Vec<MetadataRequestTopic>>,
    /// Whether missing topics may be created. (From version 4.)
    pub allow_auto_topic_creation: bool,
    /// Whether to say what the client may do to the cluster. (Versions 8 to 10.)
    pub include_cluster_authorized_operations: bool,
    /// Whether to say what the client may do to each topic. (From version 8.)
    pub include_topic_authorized_operations: bool,
}

impl Default for MetadataRequest {
    fn default() -> Self {
        Self {
            topics: Some(Vec::new()),
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
        }
    }
}

impl MetadataRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topics = if version >= 1 {
            r.opt_array(1, |r| MetadataRequestTopic::read_fields(r, version))?
        } else {
            Some(r.array(1, |r| MetadataRequestTopic::read_fields(r, version))?)
        };
        if version >= 4 {
            m.allow_auto_topic_creation = r.bool()?;
        }
        if (8..=10).contains(&version) {
            m.include_cluster_authorized_operations = r.bool()?;
        }
        if version >= 8 {
            m.include_topic_authorized_operations = r.bool()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if self.topics.is_none() && version < 1 {
            w.null_field("MetadataRequest.topics", version);
        }
        w.opt_array(&self.topics, |w, x| x.write_fields(w, version));
        if version >= 4 {
            w.bool(self.allow_auto_topic_creation);
        } else if !self.allow_auto_topic_creation {
            w.not_in_version("MetadataRequest.allow_auto_topic_creation", version);
        }
        if (8..=10).contains(&version) {
            w.bool(self.include_cluster_authorized_operations);
        } else if self.include_cluster_authorized_operations {
            w.not_in_version("MetadataRequest.include_cluster_authorized_operations", version);
        }
        if version >= 8 {
            w.bool(self.include_topic_authorized_operations);
        } else if self.include_topic_authorized_operations {
            w.not_in_version("MetadataRequest.include_topic_authorized_operations", version);
        }
        w.tags(0);
    }
}

/// Which topics: null = all, empty = none; in version 0 empty = all.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataRequestTopic {
    /// The topic's id. (From version 10; else dropped.)
    pub topic_id: TopicId,
    /// The topic's name, or null when asked for by id.
    pub name: Option<Str>,
}

impl Default for MetadataRequestTopic {
    fn default() -> Self {
        Self { topic_id: TopicId::NONE, name: Some(Str::new()) }
    }
}

impl MetadataRequestTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 10 {
            m.topic_id = r.topic_id()?;
        }
        m.name = if version >= 10 { r.opt_str()? } else { Some(r.str()?) };
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 10 {
            w.topic_id(self.topic_id);
        }
        if self.name.is_none() && version < 10 {
            w.null_field("MetadataRequestTopic.name", version);
        }
        w.opt_str(&self.name);
        w.tags(0);
    }
}

impl Message for MetadataResponse {
    const API: ApiKey = ApiKey::Metadata;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for MetadataResponse {}

/// The answer to [`MetadataRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataResponse {
    /// How long the request was held back by a quota, in ms. (From version 3; else dropped.)
    pub throttle_time_ms: i32,
    /// The brokers alive.
    pub brokers: Vec<MetadataResponseBroker>,
    /// The cluster's id. (From version 2; else dropped.)
    pub cluster_id: Option<Str>,
    /// The controller's node id, or -1. (From version 1; else dropped.)
    pub controller_id: i32,
    /// One entry per topic.
    pub topics: Vec<MetadataResponseTopic>,
    /// Bits by ACL operation; `i32::MIN` if not asked for. (Versions 8 to 10.)
    pub cluster_authorized_operations: i32,
    /// REBOOTSTRAP_REQUIRED if the client has to start over (KIP-1102). (From version 13; else dropped.)
    pub error_code: ErrorCode,
}

impl Default for MetadataResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            brokers: Vec::new(),
            cluster_id: None,
            controller_id: -1,
            topics: Vec::new(),
            cluster_authorized_operations: i32::MIN,
            error_code: ErrorCode::None,
        }
    }
}

impl MetadataResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 3 {
            m.throttle_time_ms = r.i32()?;
        }
        m.brokers = r.array(9, |r| MetadataResponseBroker::read_fields(r, version))?;
        if version >= 2 {
            m.cluster_id = r.opt_str()?;
        }
        if version >= 1 {
            m.controller_id = r.i32()?;
        }
        m.topics = r.array(4, |r| MetadataResponseTopic::read_fields(r, version))?;
        if (8..=10).contains(&version) {
            m.cluster_authorized_operations = r.i32()?;
        }
        if version >= 13 {
            m.error_code = r.error_code()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 3 {
            w.i32(self.throttle_time_ms);
        }
        w.array(&self.brokers, |w, x| x.write_fields(w, version));
        if version >= 2 {
            w.opt_str(&self.cluster_id);
        }
        if version >= 1 {
            w.i32(self.controller_id);
        }
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        if (8..=10).contains(&version) {
            w.i32(self.cluster_authorized_operations);
        } else if self.cluster_authorized_operations != i32::MIN {
            w.not_in_version("MetadataResponse.cluster_authorized_operations", version);
        }
        if version >= 13 {
            w.error_code(self.error_code);
        }
        w.tags(0);
    }
}

/// The brokers alive.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetadataResponseBroker {
    /// The broker's node id.
    pub node_id: i32,
    /// Where the broker can be dialled: host name or address.
    pub host: Str,
    /// Where the broker can be dialled: port.
    pub port: i32,
    /// The broker's rack, or null. (From version 1; else dropped.)
    pub rack: Option<Str>,
}

impl MetadataResponseBroker {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.node_id = r.i32()?;
        m.host = r.str()?;
        m.port = r.i32()?;
        if version >= 1 {
            m.rack = r.opt_str()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.node_id);
        w.str(&self.host);
        w.i32(self.port);
        if version >= 1 {
            w.opt_str(&self.rack);
        }
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataResponseTopic {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The topic's name, or null when the id is unknown.
    pub name: Option<Str>,
    /// The topic's id. (From version 10; else dropped.)
    pub topic_id: TopicId,
    /// Whether the topic is the broker's own. (From version 1; else dropped.)
    pub is_internal: bool,
    /// One entry per partition.
    pub partitions: Vec<MetadataResponsePartition>,
    /// Bits by ACL operation; `i32::MIN` if not asked for. (From version 8.)
    pub topic_authorized_operations: i32,
}

impl Default for MetadataResponseTopic {
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

impl MetadataResponseTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.name = if version >= 12 { r.opt_str()? } else { Some(r.str()?) };
        if version >= 10 {
            m.topic_id = r.topic_id()?;
        }
        if version >= 1 {
            m.is_internal = r.bool()?;
        }
        m.partitions = r.array(12, |r| MetadataResponsePartition::read_fields(r, version))?;
        if version >= 8 {
            m.topic_authorized_operations = r.i32()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.error_code(self.error_code);
        if self.name.is_none() && version < 12 {
            w.null_field("MetadataResponseTopic.name", version);
        }
        w.opt_str(&self.name);
        if version >= 10 {
            w.topic_id(self.topic_id);
        }
        if version >= 1 {
            w.bool(self.is_internal);
        }
        w.array(&self.partitions, |w, x| x.write_fields(w, version));
        if version >= 8 {
            w.i32(self.topic_authorized_operations);
        } else if self.topic_authorized_operations != i32::MIN {
            w.not_in_version("MetadataResponseTopic.topic_authorized_operations", version);
        }
        w.tags(0);
    }
}

/// One entry per partition.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataResponsePartition {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The partition's number.
    pub partition_index: i32,
    /// The leader's node id, or -1.
    pub leader_id: i32,
    /// The leader epoch, or -1 if unknown. (From version 7; else dropped.)
    pub leader_epoch: i32,
    /// All replicas, by node id; the first is the preferred leader.
    pub replica_nodes: Vec<i32>,
    /// The replicas in sync.
    pub isr_nodes: Vec<i32>,
    /// The replicas that are offline. (From version 5; else dropped.)
    pub offline_replicas: Vec<i32>,
}

impl Default for MetadataResponsePartition {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            offline_replicas: Vec::new(),
        }
    }
}

impl MetadataResponsePartition {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.partition_index = r.i32()?;
        m.leader_id = r.i32()?;
        if version >= 7 {
            m.leader_epoch = r.i32()?;
        }
        m.replica_nodes = r.array(4, |r| r.i32())?;
        m.isr_nodes = r.array(4, |r| r.i32())?;
        if version >= 5 {
            m.offline_replicas = r.array(4, |r| r.i32())?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.error_code(self.error_code);
        w.i32(self.partition_index);
        w.i32(self.leader_id);
        if version >= 7 {
            w.i32(self.leader_epoch);
        }
        w.array(&self.replica_nodes, |w, x| w.i32(*x));
        w.array(&self.isr_nodes, |w, x| w.i32(*x));
        if version >= 5 {
            w.array(&self.offline_replicas, |w, x| w.i32(*x));
        }
        w.tags(0);
    }
}
