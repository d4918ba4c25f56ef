//! Kafka to Cassandra in the place of the Spark job.

pub mod cli;
pub mod command;
pub mod config;
pub mod engine;
pub mod exit;
pub mod http;
pub mod logging;
pub mod settings;
