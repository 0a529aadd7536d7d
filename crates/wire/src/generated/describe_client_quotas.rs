//! DescribeClientQuotas (API 48), versions 0 to 1.
//!
//! Made by `cargo xtask codegen` from `messages/describe_client_quotas.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for DescribeClientQuotasRequest {
    const API: ApiKey = ApiKey::DescribeClientQuotas;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DescribeClientQuotasRequest {
    type Response = DescribeClientQuotasResponse;
}

/// Reads the quotas of clients.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeClientQuotasRequest {
    /// What the entities must look like.
    pub components: Vec<ComponentData>,
    /// Leave out entities that have components besides these.
    pub strict: bool,
}

impl DescribeClientQuotasRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.components = r.array(3, |r| ComponentData::read_fields(r, version))?;
        m.strict = r.bool()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.components, |w, x| x.write_fields(w, version));
        w.bool(self.strict);
        w.tags(0);
    }
}

/// What the entities must look like.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentData {
    /// `user`, `client-id` or `ip`.
    pub entity_type: Str,
    /// 0 = exact name, 1 = the default entity, 2 = any named one.
    pub match_type: i8,
    /// The name, for an exact match; Kafka calls it `match`.
    pub match_name: Option<Str>,
}

impl Default for ComponentData {
    fn default() -> Self {
        Self { entity_type: Str::new(), match_type: 0, match_name: Some(Str::new()) }
    }
}

impl ComponentData {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.entity_type = r.str()?;
        m.match_type = r.i8()?;
        m.match_name = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.entity_type);
        w.i8(self.match_type);
        w.opt_str(&self.match_name);
        w.tags(0);
    }
}

impl Message for DescribeClientQuotasResponse {
    const API: ApiKey = ApiKey::DescribeClientQuotas;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DescribeClientQuotasResponse {}

/// The answer to [`DescribeClientQuotasRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeClientQuotasResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
    /// The entities and their quotas, or null with an error.
    pub entries: Option<Vec<EntryData>>,
}

impl Default for DescribeClientQuotasResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::None,
            error_message: Some(Str::new()),
            entries: Some(Vec::new()),
        }
    }
}

impl DescribeClientQuotasResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        m.entries = r.opt_array(2, |r| EntryData::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.opt_array(&self.entries, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The entities and their quotas, or null with an error.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EntryData {
    /// The entity's components.
    pub entity: Vec<EntityData>,
    /// Its quotas.
    pub values: Vec<ValueData>,
}

impl EntryData {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.entity = r.array(2, |r| EntityData::read_fields(r, version))?;
        m.values = r.array(9, |r| ValueData::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.entity, |w, x| x.write_fields(w, version));
        w.array(&self.values, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The entity's components.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityData {
    /// `user`, `client-id` or `ip`.
    pub entity_type: Str,
    /// The entity's name, or null for the default of its type.
    pub entity_name: Option<Str>,
}

impl Default for EntityData {
    fn default() -> Self {
        Self { entity_type: Str::new(), entity_name: Some(Str::new()) }
    }
}

impl EntityData {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.entity_type = r.str()?;
        m.entity_name = r.opt_str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.entity_type);
        w.opt_str(&self.entity_name);
        w.tags(0);
    }
}

/// Its quotas.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ValueData {
    /// The quota, such as `producer_byte_rate`.
    pub key: Str,
    /// The limit.
    pub value: f64,
}

impl ValueData {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.key = r.str()?;
        m.value = r.f64()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.key);
        w.f64(self.value);
        w.tags(0);
    }
}
