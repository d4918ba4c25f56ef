//! VRL programs: compiled once, type-checked at start, run on one record at a time.

use millstream_codec::Value;

/// A compiled program. `Send + Sync`; clone by `Arc`.
#[derive(Debug)]
pub struct Program {/* private */}

/// A program that does not compile: `summary` is one line (first error with line:column and advice), `report` the compiler's own multi-line text.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{name}: {summary}")]
pub struct CompileError {
    pub name: String,
    pub summary: String,
    pub report: String,
}

/// The record's Kafka facts, readable as `%kafka.topic` and so on.
#[derive(Debug, Clone, Default)]
pub struct KafkaFacts {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<bytes::Bytes>,
    pub headers: Vec<(String, Option<bytes::Bytes>)>,
}

/// What a program made of one record.
#[derive(Debug, Clone, PartialEq)]
pub enum Remapped {
    One(Value),
    Many(Vec<Value>),
    /* `. = []` */ Filtered,
}

/// Why a record was refused by the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// `reject("code", "message")`; the dead-letter code is `validation:<code>`.
    #[error("{code}: {message}")]
    Rejected { code: String, message: String },
    #[error("aborted: {message}")]
    Aborted { message: String },
    /// A runtime error: configuration-like (semantics section 5).
    #[error("{message}")]
    Runtime { message: String },
}

impl Program {
    /// Compiles `source`; `name` (a file's name) stands in messages.
    pub fn compile(_name: &str, _source: &str) -> Result<Self, CompileError> {
        todo!()
    }
    /// Stable hash of the source (hex), for the commit metadata's `program_hash`.
    pub fn hash(&self) -> &str {
        todo!()
    }
    pub fn run(&self, _record: Value, _facts: Option<&KafkaFacts>) -> Result<Remapped, Rejection> {
        todo!()
    }
}
