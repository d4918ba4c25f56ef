//! Kafka: producing with an outcome per record, reading with offsets that mean something, and the stamp that keeps the
//! newest record on top.

pub mod config;
pub mod producer;

pub mod consumer;
pub mod offsets;
pub mod stamp;

pub use config::{ConfigError, Properties};

/// What librdkafka was built with: its version and the names of its features (`ssl`, `sasl_scram`, `zstd`, ...).
pub fn library() -> (String, Vec<String>) {
    let (_, version) = rdkafka::util::get_rdkafka_version();
    let features = rdkafka::ClientConfig::new()
        .create_native_config()
        .and_then(|config| config.get("builtin.features"))
        .unwrap_or_default();
    let features = features.split(',').map(|name| name.trim().to_owned());
    (version, features.filter(|name| !name.is_empty()).collect())
}
