//! The segments of a log against a model, under random operations with tiny limits, on a simulated disk that forgets.

mod compaction;
mod corpus;
mod faults;
mod model;
mod random;
mod together;
