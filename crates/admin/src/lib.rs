//! The face for operators: HTTP beside the Kafka port. Today `/metrics` for Prometheus and `/healthz` for whoever restarts things.
//!
//! It is a shell: one ordinary thread with a tokio current-thread runtime, never a shard. What it shows comes from
//! closures that the binary hands over ([`Sources`]); they reach the shards through `rt::Outside`, whose bounded
//! queues protect the data path from a scraper gone wild. It is not a second way to change the broker.
//!
//! What always holds: a request is answered by [`answer`], a pure function of the request and of what was gathered
//! for it; a shard that does not reply in time makes a 503, never a hanging connection; nothing is gathered for a
//! request that does not need it; metrics are plain numbers per shard, made into text at the scrape.
//!
//! Reading order: [`metric`] (what a source gives), [`text`] (how it is written down), [`http`] (request to response),
//! [`server`] (the thread).

pub mod http;
pub mod metric;
pub mod server;
pub mod text;

pub use http::{Facts, Need, Request, Response, answer, need};
pub use metric::{Family, Histogram, Kind, Number, Sample};
pub use server::{Admin, AdminError, Bound, Gather, Health, Source, Sources, Unanswered};
