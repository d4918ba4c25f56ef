//! The HTTP source and the registry client against servers that misbehave on purpose, all on 127.0.0.1.
//!
//! Real sockets and real time, so waits are short here; the long ones are tested with a paused clock beside the code.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails by a panic says where"
)]

mod proxy;
mod redirects;
mod registry;
mod source;
mod stub;
mod tls;
mod transport;
