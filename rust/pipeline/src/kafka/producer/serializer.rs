//! How a record becomes the bytes of a message's value, and a field of it the key.

use millstream_codec::avro::AvroSchema;
use millstream_codec::{EncodeError, Path, Value, frame, json, kind};
use std::sync::Arc;

/// The format of a message's value.
#[derive(Debug, Clone)]
pub enum Serializer {
    /// Compact JSON.
    Json,
    /// Avro behind the registry's wire frame.
    Avro {
        /// The writer schema's id in the registry.
        schema_id: u32,
        /// The compiled writer schema.
        schema: Arc<AvroSchema>,
    },
    /// The record is the value: text or bytes, unchanged.
    Bytes,
}

impl Serializer {
    /// Appends the record's encoding to `out`; on an error `out` may hold a part of it.
    pub fn encode(&self, record: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Json => json::encode(record, out),
            Self::Avro { schema_id, schema } => {
                frame::write_header(*schema_id, out);
                schema.encode(record, out)
            }
            Self::Bytes => match text_or_bytes(record) {
                Some(bytes) => {
                    out.extend_from_slice(bytes);
                    Ok(())
                }
                None => Err(EncodeError {
                    path: String::new(),
                    detail: format!(
                        "the record is {}, not text or bytes; give a value serializer",
                        kind(record)
                    ),
                }),
            },
        }
    }
}

/// Appends the key that stands at `path`: text and bytes as they are, integers as decimal text.
///
/// A record without its key is refused: without one it would go to any partition, and the order of its key would end.
pub fn encode_key(path: &Path, record: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let refuse = |detail: String| {
        Err(EncodeError {
            path: path.to_string(),
            detail,
        })
    };
    match path.get(record) {
        None => refuse("the key is missing".to_owned()),
        Some(Value::Null) => refuse("the key is null".to_owned()),
        Some(Value::Integer(number)) => {
            out.extend_from_slice(number.to_string().as_bytes());
            Ok(())
        }
        Some(other) => match text_or_bytes(other) {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            None => refuse(format!("a key is text or an integer, not {}", kind(other))),
        },
    }
}

fn text_or_bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::String(text) => Some(text.as_bytes()),
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}
