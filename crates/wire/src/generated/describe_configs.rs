//! DescribeConfigs (API 32), versions 1 to 4.
//!
//! Made by `cargo xtask codegen` from `messages/describe_configs.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for DescribeConfigsRequest {
    const API: ApiKey = ApiKey::DescribeConfigs;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DescribeConfigsRequest {
    type Response = DescribeConfigsResponse;
}

/// Reads the configurations of topics, brokers and groups.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeConfigsRequest {
    /// Whose configurations.
    pub resources: Vec<DescribeConfigsResource>,
    /// Whether to say where else a value could come from.
    pub include_synonyms: bool,
    /// Whether to send the documentation. (From version 3.)
    pub include_documentation: bool,
}

impl DescribeConfigsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.resources = r.array(3, |r| DescribeConfigsResource::read_fields(r, version))?;
        m.include_synonyms = r.bool()?;
        if version >= 3 {
            m.include_documentation = r.bool()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.resources, |w, x| x.write_fields(w, version));
        w.bool(self.include_synonyms);
        if version >= 3 {
            w.bool(self.include_documentation);
        } else if self.include_documentation {
            w.not_in_version("DescribeConfigsRequest.include_documentation", version);
        }
        w.tags(0);
    }
}

/// Whose configurations.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsResource {
    /// 2 = topic, 4 = broker, 8 = broker logger, 16 = client metrics, 32 = group.
    pub resource_type: i8,
    /// The topic's name, the broker's id or whatever names a resource of that type.
    pub resource_name: Str,
    /// Which ones; null = all.
    pub configuration_keys: Option<Vec<Str>>,
}

impl Default for DescribeConfigsResource {
    fn default() -> Self {
        Self { resource_type: 0, resource_name: Str::new(), configuration_keys: Some(Vec::new()) }
    }
}

impl DescribeConfigsResource {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.resource_type = r.i8()?;
        m.resource_name = r.str()?;
        m.configuration_keys = r.opt_array(1, |r| r.str())?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i8(self.resource_type);
        w.str(&self.resource_name);
        w.opt_array(&self.configuration_keys, |w, x| w.str(x));
        w.tags(0);
    }
}

impl Message for DescribeConfigsResponse {
    const API: ApiKey = ApiKey::DescribeConfigs;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DescribeConfigsResponse {}

/// The answer to [`DescribeConfigsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeConfigsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One result per thing asked for.
    pub results: Vec<DescribeConfigsResult>,
}

impl DescribeConfigsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.results = r.array(6, |r| DescribeConfigsResult::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.results, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One result per thing asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsResult {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
    /// 2 = topic, 4 = broker, 8 = broker logger, 16 = client metrics, 32 = group.
    pub resource_type: i8,
    /// The topic's name, the broker's id or whatever names a resource of that type.
    pub resource_name: Str,
    /// Configurations.
    pub configs: Vec<DescribeConfigsResourceResult>,
}

impl Default for DescribeConfigsResult {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            error_message: Some(Str::new()),
            resource_type: 0,
            resource_name: Str::new(),
            configs: Vec::new(),
        }
    }
}

impl DescribeConfigsResult {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        m.resource_type = r.i8()?;
        m.resource_name = r.str()?;
        m.configs = r.array(6, |r| DescribeConfigsResourceResult::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.i8(self.resource_type);
        w.str(&self.resource_name);
        w.array(&self.configs, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// Configurations.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsResourceResult {
    /// The configuration's name.
    pub name: Str,
    /// The value; null deletes or means unset.
    pub value: Option<Str>,
    /// Whether it cannot be changed.
    pub read_only: bool,
    /// 1 = topic, 2 = broker dynamic, 3 = cluster dynamic, 4 = static, 5 = default.
    pub config_source: i8,
    /// Whether the value is withheld.
    pub is_sensitive: bool,
    /// Where the value could come from, first the one in force.
    pub synonyms: Vec<DescribeConfigsSynonym>,
    /// 1 = boolean, 2 = string, 3 = int, 4 = short, 5 = long, 6 = double, 7 = list, 8 = class, 9 = password. (From
    /// version 3; else dropped.)
    pub config_type: i8,
    /// What it does. (From version 3; else dropped.)
    pub documentation: Option<Str>,
}

impl Default for DescribeConfigsResourceResult {
    fn default() -> Self {
        Self {
            name: Str::new(),
            value: Some(Str::new()),
            read_only: false,
            config_source: -1,
            is_sensitive: false,
            synonyms: Vec::new(),
            config_type: 0,
            documentation: Some(Str::new()),
        }
    }
}

impl DescribeConfigsResourceResult {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.value = r.opt_str()?;
        m.read_only = r.bool()?;
        m.config_source = r.i8()?;
        m.is_sensitive = r.bool()?;
        m.synonyms = r.array(3, |r| DescribeConfigsSynonym::read_fields(r, version))?;
        if version >= 3 {
            m.config_type = r.i8()?;
            m.documentation = r.opt_str()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.name);
        w.opt_str(&self.value);
        w.bool(self.read_only);
        w.i8(self.config_source);
        w.bool(self.is_sensitive);
        w.array(&self.synonyms, |w, x| x.write_fields(w, version));
        if version >= 3 {
            w.i8(self.config_type);
        }
        if version >= 3 {
            w.opt_str(&self.documentation);
        }
        w.tags(0);
    }
}

/// Where the value could come from, first the one in force.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsSynonym {
    /// The synonym's name.
    pub name: Str,
    /// The value; null deletes or means unset.
    pub value: Option<Str>,
    /// As `config_source`.
    pub source: i8,
}

impl Default for DescribeConfigsSynonym {
    fn default() -> Self {
        Self { name: Str::new(), value: Some(Str::new()), source: 0 }
    }
}

impl DescribeConfigsSynonym {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.value = r.opt_str()?;
        m.source = r.i8()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.opt_str(&self.value);
        w.i8(self.source);
        w.tags(0);
    }
}
