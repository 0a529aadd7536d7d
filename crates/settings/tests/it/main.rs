//! The tables against Kafka's, and what is made of them.

mod alter;
mod describe;
mod rows;
mod startup;
