//! IO on tokio, in data-flow order. Knows no Python.

pub mod http;
pub mod source;

pub mod remap;

pub mod registry;

pub mod kafka;

pub mod sink;

pub mod dead_letter;

pub mod retry;

pub mod secret;

pub mod telemetry;

pub use secret::Secret;
