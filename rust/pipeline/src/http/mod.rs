//! The HTTP client below the source and the registry: trust, proxies, address guard, redirects and bounds in one place.
//!
//! It behaves as users of Python's `requests` expect: `HTTPS_PROXY` and `NO_PROXY` count, the system's trust store is
//! used unless a CA file replaces it, redirects are followed. What it never does: wait without a limit, keep more of
//! an answer than it was allowed, send credentials to another origin, go from https to http, or talk to a cloud's
//! metadata address.

pub mod address;
pub mod client;
pub mod fault;
pub mod mask;
pub mod proxy;
pub mod retry;

pub use address::Guard;
pub use client::{Answer, Client, Options, Request};
pub use fault::Fault;
pub use proxy::Proxies;
pub use retry::Retry;
