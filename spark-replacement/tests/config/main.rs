//! Bad configurations, row by row, and what a good one becomes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails by a panic says where"
)]

mod environment;
mod file;
mod folder;
mod kafka_properties;
mod pipelines;
mod secrets;
mod values;
