//! DescribeTransactions (API 65), versions 0 to 0.
//!
//! Made by `cargo xtask codegen` from `messages/describe_transactions.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for DescribeTransactionsRequest {
    const API: ApiKey = ApiKey::DescribeTransactions;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for DescribeTransactionsRequest {
    type Response = DescribeTransactionsResponse;
}

/// Describes transactions by their ids.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeTransactionsRequest {
    /// The transactional ids.
    pub transactional_ids: Vec<Str>,
}

impl DescribeTransactionsRequest {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_ids = r.array(1, |r| r.str())?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.array(&self.transactional_ids, |w, x| w.str(x));
        w.tags(0);
    }
}

impl Message for DescribeTransactionsResponse {
    const API: ApiKey = ApiKey::DescribeTransactions;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for DescribeTransactionsResponse {}

/// The answer to [`DescribeTransactionsRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeTransactionsResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// The transactions.
    pub transaction_states: Vec<TransactionState>,
}

impl DescribeTransactionsResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.transaction_states = r.array(27, |r| TransactionState::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        w.array(&self.transaction_states, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// The transactions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TransactionState {
    /// What went wrong, or `None`.
    pub error_code: ErrorCode,
    /// The transactional id.
    pub transactional_id: Str,
    /// `Empty`, `Ongoing`, `PrepareCommit` and so on.
    pub transaction_state: Str,
    /// How long the transaction may stay idle.
    pub transaction_timeout_ms: i32,
    /// When it began, or -1.
    pub transaction_start_time_ms: i64,
    /// The producer id, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// One entry per topic.
    pub topics: Vec<TopicData>,
}

impl TransactionState {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.transactional_id = r.str()?;
        m.transaction_state = r.str()?;
        m.transaction_timeout_ms = r.i32()?;
        m.transaction_start_time_ms = r.i64()?;
        m.producer_id = r.i64()?;
        m.producer_epoch = r.i16()?;
        m.topics = r.array(2, |r| TopicData::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.error_code(self.error_code);
        w.str(&self.transactional_id);
        w.str(&self.transaction_state);
        w.i32(self.transaction_timeout_ms);
        w.i64(self.transaction_start_time_ms);
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicData {
    /// The topic's name.
    pub topic: Str,
    /// Partition numbers.
    pub partitions: Vec<i32>,
}

impl TopicData {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.topic = r.str()?;
        m.partitions = r.array(4, |r| r.i32())?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.topic);
        w.array(&self.partitions, |w, x| w.i32(*x));
        w.tags(0);
    }
}
