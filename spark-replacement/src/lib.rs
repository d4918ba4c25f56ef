//! Kafka to Cassandra in the place of the Spark job.

pub mod config;
pub mod engine;
