//! Numbers of the Kafka face, plain and per shard; gathered when they are scraped.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use ailurus_rt::Histogram;
use ailurus_wire::ApiKey;

/// What one shard has counted since start.
#[derive(Default)]
pub struct KafkaStats {
    /// Bytes of requests, lengths included.
    pub bytes_in: Cell<u64>,
    /// Bytes of records that were fetched.
    pub bytes_fetched: Cell<u64>,
    /// Connections closed because of what they sent.
    pub refused_connections: Cell<u64>,
    requests: RefCell<BTreeMap<ApiKey, Histogram>>,
}

impl KafkaStats {
    /// A request was answered `time` after it had been read.
    pub(crate) fn count(&self, api: ApiKey, time: Duration) {
        self.requests.borrow_mut().entry(api).or_default().record(time.as_nanos() as u64);
    }

    /// Requests by API, with their times from read to answer.
    pub fn requests(&self) -> BTreeMap<ApiKey, Histogram> {
        self.requests.borrow().clone()
    }
}
