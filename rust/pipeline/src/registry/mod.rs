//! A client of any Schema Registry that speaks Confluent's API v7.
//!
//! Ids are immutable, so a compiled schema is kept for as long as it is in use. What decides between a dead letter and
//! waiting is drawn here: only the registry's own word (error code 40403, three times over 5 s) makes a schema
//! missing. A 404 of another sort, a page of HTML or a closed port is an outage, and an outage is waited out.

mod cache;
mod client;
mod config;
mod error;
mod resolve;
mod wire;

pub use client::RegistryClient;
pub use config::RegistryConfig;
pub use error::RegistryError;
