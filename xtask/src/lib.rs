//! The project's own chores, as a library, so that tests can hold their results against what is checked in.
//!
//! - [`bench`]: the measurement beside Apache Kafka.
//! - [`codegen`]: the message table and the Rust made from it.
//! - [`docs`]: the reference pages.
//! - [`prove`]: the long proof.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "programs and tests beside the broker: their disk and clock are the developer's"
)]

pub mod bench;
pub mod codegen;
pub mod docs;
pub mod prove;
