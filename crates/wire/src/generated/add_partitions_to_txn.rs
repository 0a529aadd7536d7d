//! AddPartitionsToTxn (API 24), versions 0 to 5.
//!
//! Made by `cargo xtask codegen` from `messages/add_partitions_to_txn.txt`.

use crate::{ApiKey, ErrorCode, Message, Reader, Request, Response, Str, WireError, Writer};

impl Message for AddPartitionsToTxnRequest {
    const API: ApiKey = ApiKey::AddPartitionsToTxn;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Request for AddPartitionsToTxnRequest {
    type Response = AddPartitionsToTxnResponse;
}

/// Makes partitions part of a transaction. Versions 4 and 5 are for brokers, which verify many transactions at
/// once (KIP-890).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnRequest {
    /// Several transactions. (From version 4.)
    pub transactions: Vec<AddPartitionsToTxnTransaction>,
    /// The transactional id. (Up to version 3.)
    pub v3_and_below_transactional_id: Str,
    /// The producer id. (Up to version 3.)
    pub v3_and_below_producer_id: i64,
    /// The producer's epoch. (Up to version 3.)
    pub v3_and_below_producer_epoch: i16,
    /// One entry per topic. (Up to version 3.)
    pub v3_and_below_topics: Vec<AddPartitionsToTxnTopic>,
}

impl AddPartitionsToTxnRequest {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 4 {
            m.transactions = r.array(13, |r| AddPartitionsToTxnTransaction::read_fields(r, version))?;
        }
        if version <= 3 {
            m.v3_and_below_transactional_id = r.str()?;
            m.v3_and_below_producer_id = r.i64()?;
            m.v3_and_below_producer_epoch = r.i16()?;
            m.v3_and_below_topics = r.array(2, |r| AddPartitionsToTxnTopic::read_fields(r, version))?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        if version >= 4 {
            w.array(&self.transactions, |w, x| x.write_fields(w, version));
        } else if !self.transactions.is_empty() {
            w.not_in_version("AddPartitionsToTxnRequest.transactions", version);
        }
        if version <= 3 {
            w.str(&self.v3_and_below_transactional_id);
        } else if !self.v3_and_below_transactional_id.is_empty() {
            w.not_in_version("AddPartitionsToTxnRequest.v3_and_below_transactional_id", version);
        }
        if version <= 3 {
            w.i64(self.v3_and_below_producer_id);
        } else if self.v3_and_below_producer_id != 0 {
            w.not_in_version("AddPartitionsToTxnRequest.v3_and_below_producer_id", version);
        }
        if version <= 3 {
            w.i16(self.v3_and_below_producer_epoch);
        } else if self.v3_and_below_producer_epoch != 0 {
            w.not_in_version("AddPartitionsToTxnRequest.v3_and_below_producer_epoch", version);
        }
        if version <= 3 {
            w.array(&self.v3_and_below_topics, |w, x| x.write_fields(w, version));
        } else if !self.v3_and_below_topics.is_empty() {
            w.not_in_version("AddPartitionsToTxnRequest.v3_and_below_topics", version);
        }
        w.tags(0);
    }
}

/// Several transactions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnTransaction {
    /// The transactional id.
    pub transactional_id: Str,
    /// The producer id, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// Only say whether the partitions are part of it.
    pub verify_only: bool,
    /// One entry per topic.
    pub topics: Vec<AddPartitionsToTxnTopic>,
}

impl AddPartitionsToTxnTransaction {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_id = r.str()?;
        m.producer_id = r.i64()?;
        m.producer_epoch = r.i16()?;
        m.verify_only = r.bool()?;
        m.topics = r.array(2, |r| AddPartitionsToTxnTopic::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.transactional_id);
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        w.bool(self.verify_only);
        w.array(&self.topics, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One entry per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnTopic {
    /// The topic's name.
    pub name: Str,
    /// Partition numbers.
    pub partitions: Vec<i32>,
}

impl AddPartitionsToTxnTopic {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.partitions = r.array(4, |r| r.i32())?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.str(&self.name);
        w.array(&self.partitions, |w, x| w.i32(*x));
        w.tags(0);
    }
}

impl Message for AddPartitionsToTxnResponse {
    const API: ApiKey = ApiKey::AddPartitionsToTxn;

    fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        Self::read_fields(r, version)
    }

    fn write(&self, w: &mut Writer, version: i16) {
        self.write_fields(w, version);
    }
}

impl Response for AddPartitionsToTxnResponse {}

/// The answer to [`AddPartitionsToTxnRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnResponse {
    /// How long the request was held back by a quota, in ms.
    pub throttle_time_ms: i32,
    /// What went wrong, or `None`. (From version 4; else dropped.)
    pub error_code: ErrorCode,
    /// One result per transaction. (From version 4.)
    pub results_by_transaction: Vec<AddPartitionsToTxnResult>,
    /// One result per topic. (Up to version 3.)
    pub results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult>,
}

impl AddPartitionsToTxnResponse {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        if version >= 4 {
            m.error_code = r.error_code()?;
            m.results_by_transaction = r.array(2, |r| AddPartitionsToTxnResult::read_fields(r, version))?;
        }
        if version <= 3 {
            m.results_by_topic_v3_and_below = r.array(2, |r| AddPartitionsToTxnTopicResult::read_fields(r, version))?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        if version >= 4 {
            w.error_code(self.error_code);
        }
        if version >= 4 {
            w.array(&self.results_by_transaction, |w, x| x.write_fields(w, version));
        } else if !self.results_by_transaction.is_empty() {
            w.not_in_version("AddPartitionsToTxnResponse.results_by_transaction", version);
        }
        if version <= 3 {
            w.array(&self.results_by_topic_v3_and_below, |w, x| x.write_fields(w, version));
        } else if !self.results_by_topic_v3_and_below.is_empty() {
            w.not_in_version("AddPartitionsToTxnResponse.results_by_topic_v3_and_below", version);
        }
        w.tags(0);
    }
}

/// One result per transaction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnResult {
    /// The transactional id.
    pub transactional_id: Str,
    /// One result per topic.
    pub topic_results: Vec<AddPartitionsToTxnTopicResult>,
}

impl AddPartitionsToTxnResult {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_id = r.str()?;
        m.topic_results = r.array(2, |r| AddPartitionsToTxnTopicResult::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.transactional_id);
        w.array(&self.topic_results, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One result per topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnTopicResult {
    /// The topic's name.
    pub name: Str,
    /// One result per partition.
    pub results_by_partition: Vec<AddPartitionsToTxnPartitionResult>,
}

impl AddPartitionsToTxnTopicResult {
    fn read_fields(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = r.str()?;
        m.results_by_partition = r.array(6, |r| AddPartitionsToTxnPartitionResult::read_fields(r, version))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, version: i16) {
        w.str(&self.name);
        w.array(&self.results_by_partition, |w, x| x.write_fields(w, version));
        w.tags(0);
    }
}

/// One result per partition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnPartitionResult {
    /// The partition's number.
    pub partition_index: i32,
    /// What went wrong, or `None`.
    pub partition_error_code: ErrorCode,
}

impl AddPartitionsToTxnPartitionResult {
    fn read_fields(r: &mut Reader, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.partition_error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn write_fields(&self, w: &mut Writer, _version: i16) {
        w.i32(self.partition_index);
        w.error_code(self.partition_error_code);
        w.tags(0);
    }
}
