//! AlterClientQuotas (API 49), versions 0 to 1.
//!
//! Made by `cargo xtask codegen` from `messages/alter_client_quotas.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for AlterClientQuotasRequest {
    const API: ApiKey = ApiKey::AlterClientQuotas;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for AlterClientQuotasRequest {
    type Response = AlterClientQuotasResponse;
}

/// Sets and removes the quotas of clients.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlterClientQuotasRequest {
    /// The entities and what to change.
    pub entries: Vec<EntryData>,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

impl AlterClientQuotasRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.entries = r.array(2, |r| EntryData::read_fields(r, version))?;
        m.validate_only = r.bool()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.entries, |w, x| x.write_fields(w, version));
        w.bool(self.validate_only);
        w.tags(0);
    }
}

/// The entities and what to change.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EntryData {
    /// The entity's components.
    pub entity: Vec<EntityData>,
    /// The changes.
    pub ops: Vec<OpData>,
}

impl EntryData {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.entity = r.array(2, |r| EntityData::read_fields(r, version))?;
        m.ops = r.array(10, |r| OpData::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.entity, |w, x| x.write_fields(w, version));
        w.array(&self.ops, |w, x| x.write_fields(w, version));
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

/// The changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OpData {
    /// The quota, such as `producer_byte_rate`.
    pub key: Str,
    /// The limit.
    pub value: f64,
    /// Remove the quota instead.
    pub remove: bool,
}

impl OpData {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.key = r.str()?;
        m.value = r.f64()?;
        m.remove = r.bool()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.key);
        w.f64(self.value);
        w.bool(self.remove);
        w.tags(0);
    }
}

impl Message for AlterClientQuotasResponse {
    const API: ApiKey = ApiKey::AlterClientQuotas;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for AlterClientQuotasResponse {}

/// The answer to [`AlterClientQuotasRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlterClientQuotasResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// One result per entity; Kafka calls it `EntryData` too.
    pub entries: Vec<EntryResult>,
}

impl AlterClientQuotasResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.entries = r.array(4, |r| EntryResult::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.entries, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One result per entity; Kafka calls it `EntryData` too.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryResult {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// What went wrong, for people; null if nothing did.
    pub error_message: Option<Str>,
    /// The entity's components.
    pub entity: Vec<EntityData>,
}

impl Default for EntryResult {
    fn default() -> Self {
        Self { error_code: ErrorCode::None, error_message: Some(Str::new()), entity: Vec::new() }
    }
}

impl EntryResult {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.error_message = r.opt_str()?;
        m.entity = r.array(2, |r| EntityData::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.error_code(self.error_code);
        w.opt_str(&self.error_message);
        w.array(&self.entity, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}
