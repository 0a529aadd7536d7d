//! The reactor as its users see it, on the real machine and on the simulated one.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests stand outside the reactor")]

mod real;
mod simulated;
