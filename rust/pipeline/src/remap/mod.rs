//! VRL programs: compiled once, type-checked at start, run on one record at a time.
//!
//! The language is the Vector Remap Language (<https://vrl.dev>). Here it is held to what a replay needs: the same
//! record gives the same rows, on any machine, at any time.
//!
//! - Functions are an allow-list ([`functions`]): none reads the clock, randomness, the network, the environment or
//!   the host. A time zone is a literal and never the machine's; a timestamp without a zone is UTC. Added are
//!   `uuid_v5(namespace, name)` and `reject(code, message)`; `parse_json` keeps every digit of an integer.
//! - `.` is the record and, in the end, the result: an object is one row, an array of objects several, `[]` filters
//!   the record. Anything else is an error of the program.
//! - `%kafka.topic`, `.partition`, `.offset`, `.timestamp`, `.key` and `.headers` are the record's Kafka facts, read
//!   only; outside Kafka each of them is null. Of two headers with one name the last is seen.
//! - `reject` cannot be caught. `abort` refuses the record too, but `??` catches it inside a closure.
//! - `return` is refused: in VRL it leaves `.` as it is, which is never what its writer means. Assign to `.`.
//! - A program is bounded: 64 KiB of source, 64 levels of brackets, 1,000,000 steps a record, 10,000 rows a record. It is the
//!   operator's own and trusted; the record is not: a function that panics on one refuses that record only.

mod compile_error;
mod facts;
pub mod functions;
mod parse_json;
mod reject;
mod scan;
mod uuid_v5;

use millstream_codec::{Value, id::NAMESPACE};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use vrl::compiler::runtime::{ExecutionControl, Runtime, Terminate};
use vrl::compiler::{CompileConfig, ExpressionError, TargetValue, TimeZone, compile_with_external};
use vrl::path::{OwnedTargetPath, PathPrefix};
use vrl::value::Secrets;

pub use compile_error::CompileError;
pub use facts::KafkaFacts;

/// Steps a program may take on one record. A step is an expression of a closure's body or of the program.
const MAX_STEPS: u32 = 1_000_000;

/// Rows a record may become.
const MAX_ROWS: usize = 10_000;

/// Longest message of a rejection, in characters.
const MAX_MESSAGE: usize = 512;

/// A compiled program. `Send + Sync`; clone by `Arc`.
pub struct Program {
    name: String,
    hash: String,
    source: String,
    compiled: vrl::compiler::Program,
    /// Whether the program reads `%`, so that the facts need not be built for those that do not.
    reads_facts: bool,
    time_zone: TimeZone,
}

/// What a program made of one record.
#[derive(Debug, Clone, PartialEq)]
pub enum Remapped {
    /// One row.
    One(Value),
    /// Several rows, or the one of an array of one.
    Many(Vec<Value>),
    /// `. = []`: filtered on purpose.
    Filtered,
}

/// Why a record was refused by the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// `reject("code", "message")`; the dead-letter code is `validation:<code>`.
    #[error("{code}: {message}")]
    Rejected {
        /// The literal in the program, of the form `[a-z][a-z0-9_]*`.
        code: String,
        /// One line, at most 512 characters.
        message: String,
    },
    /// `abort`, with its message if it has one.
    #[error("aborted: {message}")]
    Aborted {
        /// One line, at most 512 characters.
        message: String,
    },
    /// A runtime error: configuration-like (semantics section 5).
    #[error("{message}")]
    Runtime {
        /// One line, at most 512 characters, with line:column where the program says it.
        message: String,
    },
}

impl Program {
    /// Compiles `source`; `name` (a file's name) stands in messages.
    pub fn compile(name: &str, source: &str) -> Result<Self, CompileError> {
        // A compiler is as good as its worst input: a panic in it must not end a process that validates others.
        catch_unwind(|| Self::compile_unguarded(name, source))
            .unwrap_or_else(|_| Err(CompileError::internal(name)))
    }

    /// Compiles a boolean expression as the program that filters every record for which it is false.
    ///
    /// The text stays on its lines, so that the compiler's line numbers are the writer's; it is a block of its own, so
    /// that it may end in a comment.
    pub fn compile_condition(name: &str, condition: &str) -> Result<Self, CompileError> {
        Self::compile(name, &format!("if !({{{condition}\n}}) {{ . = [] }}"))
    }

    fn compile_unguarded(name: &str, source: &str) -> Result<Self, CompileError> {
        scan::check(source).map_err(|fault| CompileError::at(name, source, &fault))?;
        let mut config = CompileConfig::default();
        config.set_read_only_path(OwnedTargetPath::metadata_root(), true);
        let compiled =
            compile_with_external(source, &functions::allowed(), &facts::environment(), config)
                .map_err(|diagnostics| CompileError::from_diagnostics(name, source, diagnostics))?
                .program;
        let reads_facts = compiled
            .info()
            .target_queries
            .iter()
            .any(|path| path.prefix == PathPrefix::Metadata);
        let Some(time_zone) = TimeZone::parse("UTC") else {
            return Err(CompileError::internal(name));
        };
        Ok(Self {
            name: name.to_owned(),
            hash: uuid::Uuid::new_v5(&NAMESPACE, source.as_bytes())
                .simple()
                .to_string(),
            source: source.to_owned(),
            compiled,
            reads_facts,
            time_zone,
        })
    }

    /// Stable hash of the source (32 hex digits), for the commit metadata's `program_hash`.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Runs the program on one record, which must be an object. The same record and facts give the same answer.
    pub fn run(&self, record: Value, facts: Option<&KafkaFacts>) -> Result<Remapped, Rejection> {
        if !record.is_object() {
            return Err(runtime(&format!(
                "the record is {}, expected an object",
                kind(&record)
            )));
        }
        let metadata = if self.reads_facts {
            facts::metadata(facts)
        } else {
            Value::Null
        };
        let mut target = TargetValue {
            value: record,
            metadata,
            secrets: Secrets::new(),
        };
        let mut budget = Budget(MAX_STEPS);
        let ran = catch_unwind(AssertUnwindSafe(|| {
            Runtime::default().resolve_with_control(
                &mut target,
                &self.compiled,
                &self.time_zone,
                &mut budget,
            )
        }));
        match ran {
            Ok(Ok(_)) => result(target.value),
            Ok(Err(ended)) => Err(self.rejection(ended, &target)),
            // A function of the library met a value it was not written for.
            Err(_) => Err(runtime(
                "a function failed on this record without saying why",
            )),
        }
    }

    fn rejection(&self, ended: Terminate, target: &TargetValue) -> Rejection {
        match ended {
            Terminate::Interrupted => reject::taken(target).unwrap_or_else(|| {
                runtime(&format!(
                    "the program took more than {MAX_STEPS} steps on one record"
                ))
            }),
            Terminate::Abort(ExpressionError::Abort { message, .. }) => Rejection::Aborted {
                message: one_line(&message.unwrap_or_default()),
            },
            Terminate::Abort(error) | Terminate::Error(error) => self.runtime_error(error),
        }
    }

    fn runtime_error(&self, error: ExpressionError) -> Rejection {
        match error {
            ExpressionError::Error {
                message, labels, ..
            } => {
                let place = labels
                    .first()
                    .map(|label| scan::place(&self.source, label.span.start()))
                    .map_or_else(String::new, |place| format!(":{place}"));
                runtime(&format!("{}{place}: {message}", self.name))
            }
            other => runtime(&format!("{}: {other}", self.name)),
        }
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("name", &self.name)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

/// Counts steps, so that no record holds a thread for ever.
struct Budget(u32);

impl ExecutionControl for Budget {
    fn checkpoint(&mut self) -> ControlFlow<()> {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }
    }
}

/// What `.` says when the program has ended.
fn result(value: Value) -> Result<Remapped, Rejection> {
    match value {
        Value::Object(_) => Ok(Remapped::One(value)),
        Value::Array(rows) if rows.is_empty() => Ok(Remapped::Filtered),
        Value::Array(rows) if rows.len() > MAX_ROWS => Err(runtime(&format!(
            "the program made {} rows of one record, at most {MAX_ROWS} are taken",
            rows.len()
        ))),
        Value::Array(rows) => match rows.iter().position(|row| !row.is_object()) {
            None => Ok(Remapped::Many(rows)),
            Some(index) => Err(runtime(&format!(
                "the program left .[{index}] as {}, expected an object",
                kind(&rows[index])
            ))),
        },
        other => Err(runtime(&format!(
            "the program left . as {}, expected an object, or an array of objects",
            kind(&other)
        ))),
    }
}

fn runtime(message: &str) -> Rejection {
    Rejection::Runtime {
        message: one_line(message),
    }
}

/// A message that a header and a log line can take.
fn one_line(message: &str) -> String {
    message
        .chars()
        .take(MAX_MESSAGE)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Bytes(_) | Value::String(_) => "a string",
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
