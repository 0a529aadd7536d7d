//! The rules of the house that no compiler knows, held against the whole repository.
//!
//! - [`floors`]: who may import whom (`layers.toml`), and who may name which outside crate.
//! - [`sources`]: where `unsafe` may stand, how long a file may be, what must not be left behind.
//! - [`documents`]: what the pages name exists.
//! - [`licences`]: what comes with the dependencies may be given on (`deny.toml`).
#![allow(clippy::disallowed_methods, reason = "a test of the repository: its disk is the developer's")]

mod documents;
mod floors;
mod licences;
mod repository;
mod sources;
