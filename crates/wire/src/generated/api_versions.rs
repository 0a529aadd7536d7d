//! ApiVersions (API 18), versions 0 to 4.
//!
//! Made by `cargo xtask codegen` from `messages/api_versions.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for ApiVersionsRequest {
    const API: ApiKey = ApiKey::ApiVersions;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for ApiVersionsRequest {
    type Response = ApiVersionsResponse;
}

/// Which APIs and versions this broker serves. The header of the answer is never flexible.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ApiVersionsRequest {
    /// Letters, digits, dots and dashes (KIP-511). (From version 3; else dropped.)
    pub client_software_name: Str,
    /// Letters, digits, dots and dashes (KIP-511). (From version 3; else dropped.)
    pub client_software_version: Str,
}

impl ApiVersionsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 3 {
            m.client_software_name = r.str()?;
            m.client_software_version = r.str()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 3 {
            w.str(&self.client_software_name);
        }
        if version >= 3 {
            w.str(&self.client_software_version);
        }
        w.tags(0);
    }
}

impl Message for ApiVersionsResponse {
    const API: ApiKey = ApiKey::ApiVersions;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for ApiVersionsResponse {}

/// The answer to [`ApiVersionsRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct ApiVersionsResponse {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The APIs served.
    pub api_keys: Vec<ApiVersion>,
    /// How long the request was held back by a quota, in ms. (From version 1; else dropped.)
    pub throttle_time_ms: i32,
    /// Feature levels that this broker can run (KIP-584). (From version 3; else dropped.)
    pub supported_features: Vec<SupportedFeatureKey>,
    /// Rises with each change of the finalized features; -1 if unknown. (From version 3; else dropped.)
    pub finalized_features_epoch: i64,
    /// Feature levels that the cluster runs. (From version 3; else dropped.)
    pub finalized_features: Vec<FinalizedFeatureKey>,
    /// Set by KRaft controllers that take over from ZooKeeper. (From version 3; else dropped.)
    pub zk_migration_ready: bool,
}

impl Default for ApiVersionsResponse {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            api_keys: Vec::new(),
            throttle_time_ms: 0,
            supported_features: Vec::new(),
            finalized_features_epoch: -1,
            finalized_features: Vec::new(),
            zk_migration_ready: false,
        }
    }
}

impl ApiVersionsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.api_keys = r.array(6, |r| ApiVersion::read_fields(r, version))?;
        if version >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        let mut tags = r.tags()?;
        while let Some(tag) = tags.next(r)? {
            match tag {
                0 => m.supported_features = r.array(5, |r| SupportedFeatureKey::read_fields(r, version))?,
                1 => m.finalized_features_epoch = r.i64()?,
                2 => m.finalized_features = r.array(5, |r| FinalizedFeatureKey::read_fields(r, version))?,
                3 => m.zk_migration_ready = r.bool()?,
                _ => tags.skip(r),
            }
        }
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.error_code(self.error_code);
        w.array(&self.api_keys, |w, x| x.write_fields(w, version));
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        let tag0 = version >= 3 && !self.supported_features.is_empty();
        let tag1 = version >= 3 && self.finalized_features_epoch != -1;
        let tag2 = version >= 3 && !self.finalized_features.is_empty();
        let tag3 = version >= 3 && self.zk_migration_ready;
        w.tags(u32::from(tag0) + u32::from(tag1) + u32::from(tag2) + u32::from(tag3));
        if tag0 {
            w.tag(0, |w| {
                w.array(&self.supported_features, |w, x| x.write_fields(w, version));
            });
        }
        if tag1 {
            w.tag(1, |w| {
                w.i64(self.finalized_features_epoch);
            });
        }
        if tag2 {
            w.tag(2, |w| {
                w.array(&self.finalized_features, |w, x| x.write_fields(w, version));
            });
        }
        if tag3 {
            w.tag(3, |w| {
                w.bool(self.zk_migration_ready);
            });
        }
    }
}

/// The APIs served.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ApiVersion {
    /// The API's number.
    pub api_key: i16,
    /// The first version served.
    pub min_version: i16,
    /// The last version served.
    pub max_version: i16,
}

impl ApiVersion {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.api_key = r.i16()?;
        m.min_version = r.i16()?;
        m.max_version = r.i16()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i16(self.api_key);
        w.i16(self.min_version);
        w.i16(self.max_version);
        w.tags(0);
    }
}

/// Feature levels that this broker can run (KIP-584).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SupportedFeatureKey {
    /// The feature's name.
    pub name: Str,
    /// The lowest level.
    pub min_version: i16,
    /// The highest level.
    pub max_version: i16,
}

impl SupportedFeatureKey {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.min_version = r.i16()?;
        m.max_version = r.i16()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.i16(self.min_version);
        w.i16(self.max_version);
        w.tags(0);
    }
}

/// Feature levels that the cluster runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FinalizedFeatureKey {
    /// The feature's name.
    pub name: Str,
    /// The highest level in force.
    pub max_version_level: i16,
    /// The lowest level in force.
    pub min_version_level: i16,
}

impl FinalizedFeatureKey {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.max_version_level = r.i16()?;
        m.min_version_level = r.i16()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.i16(self.max_version_level);
        w.i16(self.min_version_level);
        w.tags(0);
    }
}
