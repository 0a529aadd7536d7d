//! EndTxn (API 26), versions 0 to 5.
//!
//! Made by `cargo xtask codegen` from `messages/end_txn.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for EndTxnRequest {
    const API: ApiKey = ApiKey::EndTxn;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for EndTxnRequest {
    type Response = EndTxnResponse;
}

/// Commits or aborts a transaction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EndTxnRequest {
    /// The transactional id.
    pub transactional_id: Str,
    /// The producer id, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// Commit, or else abort.
    pub committed: bool,
}

impl EndTxnRequest {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_id = r.str()?;
        m.producer_id = r.i64()?;
        m.producer_epoch = r.i16()?;
        m.committed = r.bool()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.transactional_id);
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        w.bool(self.committed);
        w.tags(0);
    }
}

impl Message for EndTxnResponse {
    const API: ApiKey = ApiKey::EndTxn;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for EndTxnResponse {}

/// The answer to [`EndTxnRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct EndTxnResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The producer id, or -1. (From version 5; else dropped.)
    pub producer_id: i64,
    /// The producer's epoch, or -1. (From version 5; else dropped.)
    pub producer_epoch: i16,
}

impl Default for EndTxnResponse {
    fn default() -> Self {
        Self { throttle_time_ms: 0, error_code: ErrorCode::None, producer_id: -1, producer_epoch: -1 }
    }
}

impl EndTxnResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.error_code()?;
        if version >= 5 {
            m.producer_id = r.i64()?;
            m.producer_epoch = r.i16()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        if version >= 5 {
            w.i64(self.producer_id);
        }
        if version >= 5 {
            w.i16(self.producer_epoch);
        }
        w.tags(0);
    }
}
