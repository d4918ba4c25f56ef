//! Pipelines from a real Kafka to a real Cassandra (the servers of `python -m millstream.devstack`).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails by a panic says where"
)]

mod pipeline;
mod process;
mod program;
mod rig;
mod running;
mod tables;
mod validate;
