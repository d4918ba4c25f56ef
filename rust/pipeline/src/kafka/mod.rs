//! Kafka: producing with an outcome per record, reading with offsets that mean something, and the stamp that keeps the
//! newest record on top.

pub mod config;
pub mod producer;

pub mod consumer;
pub mod offsets;
pub mod stamp;

pub use config::{ConfigError, Properties};
