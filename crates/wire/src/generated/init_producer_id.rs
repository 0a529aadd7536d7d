//! InitProducerId (API 22), versions 0 to 5.
//!
//! Made by `cargo xtask codegen` from `messages/init_producer_id.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for InitProducerIdRequest {
    const API: ApiKey = ApiKey::InitProducerId;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for InitProducerIdRequest {
    type Response = InitProducerIdResponse;
}

/// Gives a producer its id and epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct InitProducerIdRequest {
    /// The transactional id, or null outside transactions.
    pub transactional_id: Option<Str>,
    /// How long a transaction may stay idle.
    pub transaction_timeout_ms: i32,
    /// The id the producer had, to raise its epoch; else -1. (From version 3.)
    pub producer_id: i64,
    /// The producer's epoch, or -1. (From version 3.)
    pub producer_epoch: i16,
}

impl Default for InitProducerIdRequest {
    fn default() -> Self {
        Self { transactional_id: Some(Str::new()), transaction_timeout_ms: 0, producer_id: -1, producer_epoch: -1 }
    }
}

impl InitProducerIdRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_id = r.opt_str()?;
        m.transaction_timeout_ms = r.i32()?;
        if version >= 3 {
            m.producer_id = r.i64()?;
            m.producer_epoch = r.i16()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.opt_str(&self.transactional_id);
        w.i32(self.transaction_timeout_ms);
        if version >= 3 {
            w.i64(self.producer_id);
        } else if self.producer_id != -1 {
            w.not_in_version("InitProducerIdRequest.producer_id", version);
        }
        if version >= 3 {
            w.i16(self.producer_epoch);
        } else if self.producer_epoch != -1 {
            w.not_in_version("InitProducerIdRequest.producer_epoch", version);
        }
        w.tags(0);
    }
}

impl Message for InitProducerIdResponse {
    const API: ApiKey = ApiKey::InitProducerId;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for InitProducerIdResponse {}

/// The answer to [`InitProducerIdRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct InitProducerIdResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The producer id, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
}

impl Default for InitProducerIdResponse {
    fn default() -> Self {
        Self { throttle_time_ms: 0, error_code: ErrorCode::None, producer_id: -1, producer_epoch: 0 }
    }
}

impl InitProducerIdResponse {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.error_code()?;
        m.producer_id = r.i64()?;
        m.producer_epoch = r.i16()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        w.tags(0);
    }
}
