//! (being built)

#[cfg(any(test, feature = "sim"))]
pub mod sim;
