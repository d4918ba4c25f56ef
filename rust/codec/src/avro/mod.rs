//! Avro's binary encoding by a compiled schema: bounded, refuses recursive schemas and trailing bytes, never panics.
//!
//! The schema's text is compiled once into an arena of nodes in which every name is resolved; decoding, projecting and
//! encoding walk that arena. What each type becomes is a table in [`crate::cell`].
//!
//! Reading (Avro 1.12 specification, "Binary encoding"): lengths and counts are checked against the bytes that are
//! left before anything is allocated, and at most 65,536 values of one datum may take no bytes at all (an array of
//! nulls would otherwise be of any size in six bytes).
//!
//! Writing: a missing field takes its default, an unknown field is an error. In a union, null takes the null branch;
//! any other value takes the first branch of its own type, else the first it can be written to without loss; among
//! records the first whose fields it has. Beyond its own type a value is also written where its meaning is exact: text
//! to bytes and UTF-8 bytes to string (programs do not keep the two apart), an integer to float or double if it is
//! exact there, and to decimal; a float to decimal by its shortest text; text to decimal, uuid, date, time, timestamp
//! (RFC 3339) and local timestamp (no zone); an integer to date, time and timestamp as the schema's own raw number.
//! A decimal with more digits than the schema has, or a timestamp finer than its unit, is an error, never rounded.
//!
//! Differences from the Java library, on purpose: names may hold any characters (schemas in the wild do); a recursive
//! schema is refused, because a record of unknown depth fits no row; aliases are not used, as the writer's schema is
//! the only one.

mod decode;
mod default;
mod encode;
mod logical;
mod parse;
mod plan;
mod project;
mod reader;

use crate::{Cell, DecodeError, EncodeError, Projection, SchemaError, Value};
use plan::Plan;

/// A parsed and compiled Avro schema; cheap to clone by `Arc`.
#[derive(Debug)]
pub struct AvroSchema {
    plan: Plan,
}

impl AvroSchema {
    /// Parses a schema with the schemas it refers to, in any order. Errors: `schema_unsupported`, `schema_recursive`.
    pub fn parse(text: &str, references: &[&str]) -> Result<Self, SchemaError> {
        parse::parse(text, references).map(|plan| Self { plan })
    }

    /// Full name of the record, e.g. `spark_streams.User`; None if the schema is not named.
    pub fn name(&self) -> Option<&str> {
        self.plan.name()
    }

    /// Decodes one datum; all bytes must be used up. Errors: `avro_truncated`, `avro_trailing_bytes`,
    /// `avro_alloc_limit`, `avro_invalid`, each with the field's path and the byte offset.
    pub fn decode(&self, datum: &[u8]) -> Result<Value, DecodeError> {
        decode::decode(&self.plan, datum)
    }

    /// Picks the projection's paths without building a tree; skipped fields are still checked for bounds, not for
    /// their contents. `None`: the path leads nowhere. Errors as for [`Self::decode`].
    pub fn project<'a>(
        &self,
        datum: &'a [u8],
        projection: &Projection,
    ) -> Result<Vec<Option<Cell<'a>>>, DecodeError> {
        project::project(&self.plan, datum, projection)
    }

    /// Appends the value's encoding. A missing field takes its default, else it is an error with its path; an unknown
    /// field is an error. On an error nothing is appended.
    pub fn encode(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        encode::encode(&self.plan, value, out)
    }
}
