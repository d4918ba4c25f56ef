//! Waiting for what is down, and telling a bad record from a bad configuration.

mod backoff;
mod breaker;
mod flood;

pub use backoff::Backoff;
pub use breaker::Breaker;
pub use flood::{Flood, FloodGate, Verdict};
