//! AlterConfigs (API 33), versions 0 to 2.
//!
//! Made by `cargo xtask codegen` from `messages/alter_configs.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for AlterConfigsRequest {
    const API: ApiKey = ApiKey::AlterConfigs;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for AlterConfigsRequest {
    type Response = AlterConfigsResponse;
}

/// Replaces all configurations of a resource by the ones given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlterConfigsRequest {
    /// Whose configurations.
    pub resources: Vec<AlterConfigsResource>,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

impl AlterConfigsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.resources = r.array(3, |r| AlterConfigsResource::read_fields(r, version))?;
        m.validate_only = r.bool()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.resources, |w, x| x.write_fields(w, version));
        w.bool(self.validate_only);
        w.tags(0);
    }
}

/// Whose configurations.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlterConfigsResource {
    /// 2 = topic, 4 = broker, 8 = broker logger, 16 = client metrics, 32 = group.
    pub resource_type: i8,
    /// The topic's name, the broker's id or whatever names a resource of that type.
    pub resource_name: Str,
    /// Configurations.
    pub configs: Vec<AlterableConfig>,
}

impl AlterConfigsResource {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.resource_type = r.i8()?;
        m.resource_name = r.str()?;
        m.configs = r.array(2, |r| AlterableConfig::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i8(self.resource_type);
        w.str(&self.resource_name);
        w.array(&self.configs, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// Configurations.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterableConfig {
    /// The configuration's name.
    pub name: Str,
    /// The value; null deletes or means unset.
    pub value: Option<Str>,
}

impl Default for AlterableConfig {
    fn default() -> Self {
        Self { name: Str::new(), value: Some(Str::new()) }
    }
}

impl AlterableConfig {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.value = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.opt_str(&self.value);
        w.tags(0);
    }
}

impl Message for AlterConfigsResponse {
    const API: ApiKey = ApiKey::AlterConfigs;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for AlterConfigsResponse {}

/// The answer to [`AlterConfigsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlterConfigsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One result per thing asked for.
    pub responses: Vec<AlterConfigsResourceResponse>,
}

impl AlterConfigsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.responses = r.array(5, |r| AlterConfigsResourceResponse::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.responses, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One result per thing asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterConfigsResourceResponse {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
    /// 2 = topic, 4 = broker, 8 = broker logger, 16 = client metrics, 32 = group.
    pub resource_type: i8,
    /// The topic's name, the broker's id or whatever names a resource of that type.
    pub resource_name: Str,
}

impl Default for AlterConfigsResourceResponse {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            error_message: Some(Str::new()),
            resource_type: 0,
            resource_name: Str::new(),
        }
    }
}

impl AlterConfigsResourceResponse {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        m.resource_type = r.i8()?;
        m.resource_name = r.str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.i8(self.resource_type);
        w.str(&self.resource_name);
        w.tags(0);
    }
}
