//! FindCoordinator (API 10), versions 0 to 6.
//!
//! Made by `cargo xtask codegen` from `messages/find_coordinator.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for FindCoordinatorRequest {
    const API: ApiKey = ApiKey::FindCoordinator;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for FindCoordinatorRequest {
    type Response = FindCoordinatorResponse;
}

/// Which broker coordinates a group, a transactional id or (from version 6) a share group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FindCoordinatorRequest {
    /// The group or transactional id. (Up to version 3.)
    pub key: Str,
    /// 0 = group, 1 = transaction, 2 = share group. (From version 1.)
    pub key_type: i8,
    /// Several ids of one type. (From version 4.)
    pub coordinator_keys: Vec<Str>,
}

impl FindCoordinatorRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version <= 3 {
            m.key = r.str()?;
        }
        if version >= 1 {
            m.key_type = r.i8()?;
        }
        if version >= 4 {
            m.coordinator_keys = r.array(1, |r| r.str())?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version <= 3 {
            w.str(&self.key);
        } else if !self.key.is_empty() {
            w.not_in_version("FindCoordinatorRequest.key", version);
        }
        if version >= 1 {
            w.i8(self.key_type);
        } else if self.key_type != 0 {
            w.not_in_version("FindCoordinatorRequest.key_type", version);
        }
        if version >= 4 {
            w.array(&self.coordinator_keys, |w, x| w.str(x));
        } else if !self.coordinator_keys.is_empty() {
            w.not_in_version("FindCoordinatorRequest.coordinator_keys", version);
        }
        w.tags(0);
    }
}

impl Message for FindCoordinatorResponse {
    const API: ApiKey = ApiKey::FindCoordinator;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for FindCoordinatorResponse {}

/// The answer to [`FindCoordinatorRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct FindCoordinatorResponse {
    /// How long the request was held back by a quota, in ms. (From version 1; else dropped.)
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`. (Up to version 3.)
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did. (Versions 1 to 3; else dropped.)
    pub error_message: Option<Str>,
    /// The broker's node id. (Up to version 3.)
    pub node_id: i32,
    /// Where the broker can be dialled: host name or address. (Up to version 3.)
    pub host: Str,
    /// Where the broker can be dialled: port. (Up to version 3.)
    pub port: i32,
    /// One answer per id asked for. (From version 4.)
    pub coordinators: Vec<Coordinator>,
}

impl Default for FindCoordinatorResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::None,
            error_message: Some(Str::new()),
            node_id: 0,
            host: Str::new(),
            port: 0,
            coordinators: Vec::new(),
        }
    }
}

impl FindCoordinatorResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        if version <= 3 {
            m.error_code = r.error_code()?;
        }
        if (1..=3).contains(&version) {
            m.error_message = r.opt_str()?;
        }
        if version <= 3 {
            m.node_id = r.i32()?;
            m.host = r.str()?;
            m.port = r.i32()?;
        }
        if version >= 4 {
            m.coordinators = r.array(13, |r| Coordinator::read_fields(r, version))?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        if version <= 3 {
            w.error_code(self.error_code);
        } else if self.error_code.is_error() {
            w.not_in_version("FindCoordinatorResponse.error_code", version);
        }
        if (1..=3).contains(&version) {
            w.opt_str(&self.error_message);
        }
        if version <= 3 {
            w.i32(self.node_id);
        } else if self.node_id != 0 {
            w.not_in_version("FindCoordinatorResponse.node_id", version);
        }
        if version <= 3 {
            w.str(&self.host);
        } else if !self.host.is_empty() {
            w.not_in_version("FindCoordinatorResponse.host", version);
        }
        if version <= 3 {
            w.i32(self.port);
        } else if self.port != 0 {
            w.not_in_version("FindCoordinatorResponse.port", version);
        }
        if version >= 4 {
            w.array(&self.coordinators, |w, x| x.write_fields(w, version));
        } else if !self.coordinators.is_empty() {
            w.not_in_version("FindCoordinatorResponse.coordinators", version);
        }
        w.tags(0);
    }
}

/// One answer per id asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Coordinator {
    /// The id asked for.
    pub key: Str,
    /// The broker's node id.
    pub node_id: i32,
    /// Where the broker can be dialled: host name or address.
    pub host: Str,
    /// Where the broker can be dialled: port.
    pub port: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
}

impl Coordinator {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.key = r.str()?;
        m.node_id = r.i32()?;
        m.host = r.str()?;
        m.port = r.i32()?;
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.key);
        w.i32(self.node_id);
        w.str(&self.host);
        w.i32(self.port);
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.tags(0);
    }
}
