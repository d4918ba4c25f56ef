//! What can be wrong with bytes, records and schemas.

use std::fmt;

/// The stable code of a record fault, as it stands in the `x-dlq-code` header and the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// Zero bytes where a record was promised (a null value is a tombstone, not this).
    EmptyValue,
    /// The frame's first byte is not 0.
    BadMagic,
    /// Magic byte 0, but fewer than the header's five bytes.
    HeaderTruncated,
    /// A schema id of zero or below: the registry never gives one, so it is not asked.
    InvalidSchemaId,
    /// The registry does not know the id.
    SchemaNotFound,
    /// The schema is of another kind than the pipeline reads, e.g. Protobuf.
    SchemaTypeUnsupported,
    /// The schema cannot be parsed or uses what is not supported.
    SchemaUnsupported,
    /// The schema contains itself.
    SchemaRecursive,
    /// The writer's schema does not fit the reader's.
    SchemaIncompatible,
    /// Not JSON text.
    BadJson,
    /// Nested deeper than 127 levels.
    TooDeep,
    /// JSON, but not an object.
    NotAnObject,
    /// The datum ends before its schema does.
    AvroTruncated,
    /// The schema ends before the datum does.
    AvroTrailingBytes,
    /// A length or count that the datum cannot hold.
    AvroAllocLimit,
    /// Bytes the schema does not allow: a bad index, boolean, UTF-8 or logical value.
    AvroInvalid,
    /// The record's key cannot be decoded.
    KeyDecode,
}

impl Code {
    /// Every code, for tables in documentation and tests.
    pub const ALL: [Self; 17] = [
        Self::EmptyValue,
        Self::BadMagic,
        Self::HeaderTruncated,
        Self::InvalidSchemaId,
        Self::SchemaNotFound,
        Self::SchemaTypeUnsupported,
        Self::SchemaUnsupported,
        Self::SchemaRecursive,
        Self::SchemaIncompatible,
        Self::BadJson,
        Self::TooDeep,
        Self::NotAnObject,
        Self::AvroTruncated,
        Self::AvroTrailingBytes,
        Self::AvroAllocLimit,
        Self::AvroInvalid,
        Self::KeyDecode,
    ];

    /// The code's text, e.g. `bad_json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EmptyValue => "empty_value",
            Self::BadMagic => "bad_magic",
            Self::HeaderTruncated => "header_truncated",
            Self::InvalidSchemaId => "invalid_schema_id",
            Self::SchemaNotFound => "schema_not_found",
            Self::SchemaTypeUnsupported => "schema_type_unsupported",
            Self::SchemaUnsupported => "schema_unsupported",
            Self::SchemaRecursive => "schema_recursive",
            Self::SchemaIncompatible => "schema_incompatible",
            Self::BadJson => "bad_json",
            Self::TooDeep => "too_deep",
            Self::NotAnObject => "not_an_object",
            Self::AvroTruncated => "avro_truncated",
            Self::AvroTrailingBytes => "avro_trailing_bytes",
            Self::AvroAllocLimit => "avro_alloc_limit",
            Self::AvroInvalid => "avro_invalid",
            Self::KeyDecode => "key_decode",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bytes that are not the record they should be. Permanent: the same bytes fail again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct DecodeError {
    /// What kind of fault it is.
    pub code: Code,
    /// One line: what is wrong, where (byte offset, line and column, or field path), what it looks like.
    pub detail: String,
}

impl DecodeError {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

/// A record that cannot be written in the asked format. Permanent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{detail}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct EncodeError {
    /// Where in the record, e.g. `name.first`; empty for the record itself.
    pub path: String,
    /// One line: what was expected and what stood there.
    pub detail: String,
}

impl EncodeError {
    /// An error of the record itself.
    pub fn new(detail: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            detail: detail.into(),
        }
    }

    /// Puts a field in front of the path, on the way out of a recursion.
    #[must_use]
    pub fn under_field(mut self, field: &str) -> Self {
        crate::path::prepend_field(&mut self.path, field);
        self
    }

    /// Puts an index in front of the path.
    #[must_use]
    pub fn under_index(mut self, index: usize) -> Self {
        crate::path::prepend_index(&mut self.path, index);
        self
    }
}

/// A schema that cannot be used. Permanent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct SchemaError {
    /// What kind of fault it is.
    pub code: Code,
    /// One line: which part of the schema, and what is wrong with it.
    pub detail: String,
}

impl SchemaError {
    pub(crate) fn unsupported(detail: impl Into<String>) -> Self {
        Self {
            code: Code::SchemaUnsupported,
            detail: detail.into(),
        }
    }
}
