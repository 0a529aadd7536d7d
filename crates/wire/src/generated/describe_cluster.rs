//! DescribeCluster (API 60), versions 0 to 2.
//!
//! Made by `cargo xtask codegen` from `messages/describe_cluster.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for DescribeClusterRequest {
    const API: ApiKey = ApiKey::DescribeCluster;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DescribeClusterRequest {
    type Response = DescribeClusterResponse;
}

/// Who the brokers (or controllers) are (KIP-700).
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeClusterRequest {
    /// Whether to say what the client may do to the cluster.
    pub include_cluster_authorized_operations: bool,
    /// 1 = brokers, 2 = controllers. (From version 1.)
    pub endpoint_type: i8,
    /// Whether to list fenced brokers too. (From version 2.)
    pub include_fenced_brokers: bool,
}

impl Default for DescribeClusterRequest {
    fn default() -> Self {
        Self { include_cluster_authorized_operations: false, endpoint_type: 1, include_fenced_brokers: false }
    }
}

impl DescribeClusterRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.include_cluster_authorized_operations = r.bool()?;
        if version >= 1 {
            m.endpoint_type = r.i8()?;
        }
        if version >= 2 {
            m.include_fenced_brokers = r.bool()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.bool(self.include_cluster_authorized_operations);
        if version >= 1 {
            w.i8(self.endpoint_type);
        } else if self.endpoint_type != 1 {
            w.not_in_version("DescribeClusterRequest.endpoint_type", version);
        }
        if version >= 2 {
            w.bool(self.include_fenced_brokers);
        } else if self.include_fenced_brokers {
            w.not_in_version("DescribeClusterRequest.include_fenced_brokers", version);
        }
        w.tags(0);
    }
}

impl Message for DescribeClusterResponse {
    const API: ApiKey = ApiKey::DescribeCluster;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DescribeClusterResponse {}

/// The answer to [`DescribeClusterRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeClusterResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
    /// 1 = brokers, 2 = controllers. (From version 1.)
    pub endpoint_type: i8,
    /// The cluster's id.
    pub cluster_id: Str,
    /// The controller's node id, or -1.
    pub controller_id: i32,
    /// The brokers alive.
    pub brokers: Vec<DescribeClusterBroker>,
    /// Bits by ACL operation; `i32::MIN` if not asked for.
    pub cluster_authorized_operations: i32,
}

impl Default for DescribeClusterResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::None,
            error_message: None,
            endpoint_type: 1,
            cluster_id: Str::new(),
            controller_id: -1,
            brokers: Vec::new(),
            cluster_authorized_operations: i32::MIN,
        }
    }
}

impl DescribeClusterResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        if version >= 1 {
            m.endpoint_type = r.i8()?;
        }
        m.cluster_id = r.str()?;
        m.controller_id = r.i32()?;
        m.brokers = r.array(10, |r| DescribeClusterBroker::read_fields(r, version))?;
        m.cluster_authorized_operations = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        if version >= 1 {
            w.i8(self.endpoint_type);
        } else if self.endpoint_type != 1 {
            w.not_in_version("DescribeClusterResponse.endpoint_type", version);
        }
        w.str(&self.cluster_id);
        w.i32(self.controller_id);
        w.array(&self.brokers, |w, x| x.write_fields(w, version));
        w.i32(self.cluster_authorized_operations);
        w.tags(0);
    }
}

/// The brokers alive.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeClusterBroker {
    /// The broker's node id.
    pub broker_id: i32,
    /// Where the broker can be dialled: host name or address.
    pub host: Str,
    /// Where the broker can be dialled: port.
    pub port: i32,
    /// The broker's rack, or null.
    pub rack: Option<Str>,
    /// Whether the broker is fenced. (From version 2.)
    pub is_fenced: bool,
}

impl DescribeClusterBroker {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.broker_id = r.i32()?;
        m.host = r.str()?;
        m.port = r.i32()?;
        m.rack = r.opt_str()?;
        if version >= 2 {
            m.is_fenced = r.bool()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.broker_id);
        w.str(&self.host);
        w.i32(self.port);
        w.opt_str(&self.rack);
        if version >= 2 {
            w.bool(self.is_fenced);
        } else if self.is_fenced {
            w.not_in_version("DescribeClusterBroker.is_fenced", version);
        }
        w.tags(0);
    }
}
