//! Bytes to records and back: JSON, Avro, and the registry's wire frame.
//!
//! Pure: no socket, clock, environment, task or Python. A record is a [`Value`] (the Vector Remap Language's own value
//! type), or, on the direct path that builds no tree, a row of [`Cell`]s picked by a [`Projection`]. What each type
//! becomes is a table in [`cell`].

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod avro;
pub mod cell;
pub mod error;
pub mod frame;
pub mod id;
pub mod json;
pub mod path;
mod projection;
mod value_kind;

pub use cell::Cell;
pub use error::{Code, DecodeError, EncodeError, SchemaError};
pub use path::{Path, Projection};
pub use value_kind::{MAX_DEPTH, kind};
pub use vrl::value::{KeyString, ObjectMap, Value};
