//! What a value is called in messages, and how deep one may be.

use crate::Value;

/// Deepest nesting of arrays and objects, in JSON texts, Avro schemas and records that are written.
pub const MAX_DEPTH: usize = 127;

/// The value's type as a message names it, with its article.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Bytes(_) => "bytes",
        Value::String(_) => "a string",
        Value::Regex(_) => "a regular expression",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a float",
        Value::Boolean(_) => "a boolean",
        Value::Timestamp(_) => "a timestamp",
        Value::Object(_) => "an object",
        Value::Array(_) => "an array",
        Value::Null => "null",
    }
}
