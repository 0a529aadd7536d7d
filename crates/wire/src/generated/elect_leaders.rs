//! ElectLeaders (API 43), versions 0 to 2.
//!
//! Made by `cargo xtask codegen` from `messages/elect_leaders.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for ElectLeadersRequest {
    const API: ApiKey = ApiKey::ElectLeaders;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for ElectLeadersRequest {
    type Response = ElectLeadersResponse;
}

/// Elects leaders anew.
#[derive(Debug, Clone, PartialEq)]
pub struct ElectLeadersRequest {
    /// 0 = the preferred replica, 1 = any that is alive. (From version 1.)
    pub election_type: i8,
    /// Which partitions; null = all.
    pub topic_partitions: Option<Vec<TopicPartitions>>,
    /// How long the broker may take, in ms.
    pub timeout_ms: i32,
}

impl Default for ElectLeadersRequest {
    fn default() -> Self {
        Self { election_type: 0, topic_partitions: Some(Vec::new()), timeout_ms: 60000 }
    }
}

impl ElectLeadersRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 1 {
            m.election_type = r.i8()?;
        }
        m.topic_partitions = r.opt_array(2, |r| TopicPartitions::read_fields(r, version))?;
        m.timeout_ms = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 1 {
            w.i8(self.election_type);
        } else if self.election_type != 0 {
            w.not_in_version("ElectLeadersRequest.election_type", version);
        }
        w.opt_array(&self.topic_partitions, |w, x| x.write_fields(w, version));
        w.i32(self.timeout_ms);
        w.tags(0);
    }
}

/// Which partitions; null = all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicPartitions {
    /// The topic's name.
    pub topic: Str,
    /// Partition numbers.
    pub partitions: Vec<i32>,
}

impl TopicPartitions {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topic = r.str()?;
        m.partitions = r.array(4, |r| r.i32())?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.topic);
        w.array(&self.partitions, |w, x| w.i32(*x));
        w.tags(0);
    }
}

impl Message for ElectLeadersResponse {
    const API: ApiKey = ApiKey::ElectLeaders;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for ElectLeadersResponse {}

/// The answer to [`ElectLeadersRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ElectLeadersResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`. (From version 1.)
    pub error_code: ErrorCode,
    /// The results by topic.
    pub replica_election_results: Vec<ReplicaElectionResult>,
}

impl ElectLeadersResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        if version >= 1 {
            m.error_code = r.error_code()?;
        }
        m.replica_election_results = r.array(2, |r| ReplicaElectionResult::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        if version >= 1 {
            w.error_code(self.error_code);
        } else if self.error_code.is_error() {
            w.not_in_version("ElectLeadersResponse.error_code", version);
        }
        w.array(&self.replica_election_results, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The results by topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReplicaElectionResult {
    /// The topic's name.
    pub topic: Str,
    /// The results by partition.
    pub partition_result: Vec<PartitionResult>,
}

impl ReplicaElectionResult {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topic = r.str()?;
        m.partition_result = r.array(7, |r| PartitionResult::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.topic);
        w.array(&self.partition_result, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The results by partition.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionResult {
    /// The partition's number.
    pub partition_id: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
}

impl Default for PartitionResult {
    fn default() -> Self {
        Self { partition_id: 0, error_code: ErrorCode::None, error_message: Some(Str::new()) }
    }
}

impl PartitionResult {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_id = r.i32()?;
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.partition_id);
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.tags(0);
    }
}
