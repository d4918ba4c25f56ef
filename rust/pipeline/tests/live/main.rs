//! Tests against real servers, whose addresses come from `MILLSTREAM_*` variables; without them the tests fail.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails by a panic says where"
)]

mod registry;
