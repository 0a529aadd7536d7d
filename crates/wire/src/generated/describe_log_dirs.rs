//! DescribeLogDirs (API 35), versions 1 to 4.
//!
//! Made by `cargo xtask codegen` from `messages/describe_log_dirs.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for DescribeLogDirsRequest {
    const API: ApiKey = ApiKey::DescribeLogDirs;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DescribeLogDirsRequest {
    type Response = DescribeLogDirsResponse;
}

/// How large the logs on a broker's disks are.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeLogDirsRequest {
    /// Which topics; null = all.
    pub topics: Option<Vec<DescribableLogDirTopic>>,
}

impl Default for DescribeLogDirsRequest {
    fn default() -> Self {
        Self { topics: Some(Vec::new()) }
    }
}

impl DescribeLogDirsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topics = r.opt_array(2, |r| DescribableLogDirTopic::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.opt_array(&self.topics, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// Which topics; null = all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribableLogDirTopic {
    /// The topic's name.
    pub topic: Str,
    /// Which partitions.
    pub partitions: Vec<i32>,
}

impl DescribableLogDirTopic {
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

impl Message for DescribeLogDirsResponse {
    const API: ApiKey = ApiKey::DescribeLogDirs;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DescribeLogDirsResponse {}

/// The answer to [`DescribeLogDirsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeLogDirsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`. (From version 3; else dropped.)
    pub error_code: ErrorCode,
    /// One entry per log directory.
    pub results: Vec<DescribeLogDirsResult>,
}

impl DescribeLogDirsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        if version >= 3 {
            m.error_code = r.error_code()?;
        }
        m.results = r.array(4, |r| DescribeLogDirsResult::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        if version >= 3 {
            w.error_code(self.error_code);
        }
        w.array(&self.results, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per log directory.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeLogDirsResult {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The directory's path.
    pub log_dir: Str,
    /// One entry per topic.
    pub topics: Vec<DescribeLogDirsTopic>,
    /// The size of the volume, or -1. (From version 4; else dropped.)
    pub total_bytes: i64,
    /// What is free on the volume, or -1. (From version 4; else dropped.)
    pub usable_bytes: i64,
}

impl Default for DescribeLogDirsResult {
    fn default() -> Self {
        Self { error_code: ErrorCode::None, log_dir: Str::new(), topics: Vec::new(), total_bytes: -1, usable_bytes: -1 }
    }
}

impl DescribeLogDirsResult {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.log_dir = r.str()?;
        m.topics = r.array(2, |r| DescribeLogDirsTopic::read_fields(r, version))?;
        if version >= 4 {
            m.total_bytes = r.i64()?;
            m.usable_bytes = r.i64()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.error_code(self.error_code);
        w.str(&self.log_dir);
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        if version >= 4 {
            w.i64(self.total_bytes);
        }
        if version >= 4 {
            w.i64(self.usable_bytes);
        }
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeLogDirsTopic {
    /// The topic's name.
    pub name: Str,
    /// One entry per partition.
    pub partitions: Vec<DescribeLogDirsPartition>,
}

impl DescribeLogDirsTopic {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.partitions = r.array(21, |r| DescribeLogDirsPartition::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.name);
        w.array(&self.partitions, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per partition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeLogDirsPartition {
    /// The partition's number.
    pub partition_index: i32,
    /// Bytes on disk.
    pub partition_size: i64,
    /// How far the log is behind the high watermark.
    pub offset_lag: i64,
    /// Whether it is a copy that will replace the current one.
    pub is_future_key: bool,
}

impl DescribeLogDirsPartition {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.partition_size = r.i64()?;
        m.offset_lag = r.i64()?;
        m.is_future_key = r.bool()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.partition_index);
        w.i64(self.partition_size);
        w.i64(self.offset_lag);
        w.bool(self.is_future_key);
        w.tags(0);
    }
}
