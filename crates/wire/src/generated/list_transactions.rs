//! ListTransactions (API 66), versions 0 to 2.
//!
//! Made by `cargo xtask codegen` from `messages/list_transactions.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for ListTransactionsRequest {
    const API: ApiKey = ApiKey::ListTransactions;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for ListTransactionsRequest {
    type Response = ListTransactionsResponse;
}

/// Lists the transactions that this broker coordinates.
#[derive(Debug, Clone, PartialEq)]
pub struct ListTransactionsRequest {
    /// Only those in one of these states; empty = all.
    pub state_filters: Vec<Str>,
    /// Only those of these producers; empty = all.
    pub producer_id_filters: Vec<i64>,
    /// Only those running longer than so many ms; negative = all (KIP-994). (From version 1.)
    pub duration_filter: i64,
    /// Only those whose id matches this regular expression (KIP-1152). (From version 2.)
    pub transactional_id_pattern: Option<Str>,
}

impl Default for ListTransactionsRequest {
    fn default() -> Self {
        Self {
            state_filters: Vec::new(),
            producer_id_filters: Vec::new(),
            duration_filter: -1,
            transactional_id_pattern: None,
        }
    }
}

impl ListTransactionsRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.state_filters = r.array(1, |r| r.str())?;
        m.producer_id_filters = r.array(8, |r| r.i64())?;
        if version >= 1 {
            m.duration_filter = r.i64()?;
        }
        if version >= 2 {
            m.transactional_id_pattern = r.opt_str()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.array(&self.state_filters, |w, x| w.str(x));
        w.array(&self.producer_id_filters, |w, x| w.i64(*x));
        if version >= 1 {
            w.i64(self.duration_filter);
        } else if self.duration_filter != -1 {
            w.not_in_version("ListTransactionsRequest.duration_filter", version);
        }
        if version >= 2 {
            w.opt_str(&self.transactional_id_pattern);
        } else if self.transactional_id_pattern.is_some() {
            w.not_in_version("ListTransactionsRequest.transactional_id_pattern", version);
        }
        w.tags(0);
    }
}

impl Message for ListTransactionsResponse {
    const API: ApiKey = ApiKey::ListTransactions;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for ListTransactionsResponse {}

/// The answer to [`ListTransactionsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListTransactionsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The states asked for that do not exist.
    pub unknown_state_filters: Vec<Str>,
    /// The transactions.
    pub transaction_states: Vec<TransactionState>,
}

impl ListTransactionsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.error_code()?;
        m.unknown_state_filters = r.array(1, |r| r.str())?;
        m.transaction_states = r.array(10, |r| TransactionState::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.array(&self.unknown_state_filters, |w, x| w.str(x));
        w.array(&self.transaction_states, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The transactions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TransactionState {
    /// The transactional id.
    pub transactional_id: Str,
    /// The producer id, or -1.
    pub producer_id: i64,
    /// `Empty`, `Ongoing`, `PrepareCommit` and so on.
    pub transaction_state: Str,
}

impl TransactionState {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_id = r.str()?;
        m.producer_id = r.i64()?;
        m.transaction_state = r.str()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.transactional_id);
        w.i64(self.producer_id);
        w.str(&self.transaction_state);
        w.tags(0);
    }
}
