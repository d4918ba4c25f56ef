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
//! - A program is bounded: 64 KiB of source, 64 levels of brackets; a record: 1,000,000 steps, where copying eight
//!   values is one more step, 256 levels of nesting, 10,000 rows. Reading a value copies it, so a loop that adds to an
//!   array item by item takes some 4,000 items; `map_values` and `filter` copy each item once. The program is the
//!   operator's own and trusted; the record is not: a function that panics on one refuses that record only.

mod closures;
mod compile_error;
mod facts;
pub mod functions;
mod meter;
mod parse_json;
mod reject;
mod scan;
mod uuid_v5;

use meter::{Excess, Meter, MeteredTarget, Steps};
use millstream_codec::{Value, id::NAMESPACE};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use vrl::compiler::runtime::{Runtime, Terminate};
use vrl::compiler::{CompileConfig, ExpressionError, TargetValue, TimeZone, compile_with_external};
use vrl::path::{OwnedTargetPath, PathPrefix};
use vrl::value::Secrets;

pub use compile_error::CompileError;
pub use facts::KafkaFacts;

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
        let compiled = compile_with_external(
            source,
            &functions::allowed(source),
            &facts::environment(),
            config,
        )
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
        let meter = Meter::new();
        let mut target = MeteredTarget {
            inner: TargetValue {
                value: record,
                metadata,
                secrets: Secrets::new(),
            },
            meter: Rc::clone(&meter),
        };
        let ran = catch_unwind(AssertUnwindSafe(|| {
            Runtime::default().resolve_with_control(
                &mut target,
                &self.compiled,
                &self.time_zone,
                &mut Steps(meter),
            )
        }));
        match ran {
            // What the last expression did is noticed by none after it.
            Ok(Ok(_)) => match target.excess() {
                Some(excess) => Err(runtime(&excess.to_string())),
                None => result(target.inner.value),
            },
            Ok(Err(ended)) => Err(self.rejection(ended, &target)),
            // A function of the library met a value it was not written for.
            Err(_) => Err(runtime(
                "a function failed on this record without saying why",
            )),
        }
    }

    fn rejection(&self, ended: Terminate, target: &MeteredTarget) -> Rejection {
        match ended {
            Terminate::Interrupted => match (reject::taken(target), target.excess()) {
                (Some(rejected), _) => rejected,
                (None, excess) => runtime(&excess.unwrap_or(Excess::Steps).to_string()),
            },
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

/// The value's type as a message names it; what a program writes as a text is bytes to VRL.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Bytes(_) => "a string",
        other => millstream_codec::kind(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn record(items: i64) -> Value {
        Value::from_iter([(
            "a".to_owned(),
            (0..items).map(Value::from).collect::<Value>(),
        )])
    }

    /// Runs on a stack as small as a runtime's worker may have, and answers within the time a consumer can spare.
    fn refused(source: &'static str, items: i64) -> String {
        let run = move || {
            let program = Program::compile("a.vrl", source).unwrap();
            let record = record(items);
            let started = Instant::now();
            let outcome = program.run(record, None);
            (outcome, started.elapsed())
        };
        let (outcome, took) = std::thread::Builder::new()
            .stack_size(2 * 1024 * 1024)
            .spawn(run)
            .unwrap()
            .join()
            .unwrap();
        // Far above what it takes on an idle machine, far below what it took without the meter.
        assert!(took < Duration::from_secs(5), "{source}: {took:?}");
        match outcome {
            Err(Rejection::Runtime { message }) => message,
            other => panic!("{source}: {:?}", other.map(|_| "rows")),
        }
    }

    #[test]
    fn copies_in_a_loop_are_bounded_whatever_is_copied() {
        for source in [
            "out = []\nfor_each(array!(.a)) -> |_i, v| { out = push(out, v) }\n. = {\"n\": out}",
            "out = []\nfor_each(array!(.a)) -> |_i, v| { out = [out, v, out] }\n. = {\"n\": length(out)}",
            ".n = []\nfor_each(array!(.a)) -> |_i, v| { .n = push(array!(.n), v) }",
            "n = 0\nfor_each(array!(.a)) -> |_i, v| { n = n + length(array!(.a)) }\n.n = n",
            "s = \"0123456789\"\nfor_each(array!(.a)) -> |_i, v| { s = \"{{ s }}{{ s }}\" }\n.n = length(s)",
            "b = array!(.a)\n. = {\"n\": map_values(array!(.a)) -> |v| { length(b) }}",
            "b = array!(.a)\n. = {\"n\": filter(array!(.a)) -> |_i, v| { length(b) == 1 }}",
            "b = array!(.a)\nt = join(map_values(array!(.a)) -> |_v| { \"x\" }, \"\") ?? \"\"\n\
             .t = replace_with(t, r'x') -> |_m| { to_string(length(b)) }",
        ] {
            let message = refused(source, 60_000);
            assert!(message.contains("1000000 steps"), "{source}: {message}");
        }
    }

    #[test]
    fn nesting_is_bounded_before_it_ends_the_stack() {
        for source in [
            ".x = null\nfor_each(array!(.a)) -> |_i, _v| { .x = {\"n\": .x} }",
            "x = {}\nfor_each(array!(.a)) -> |_i, _v| { x = {\"n\": x} }\n.x = x",
            "x = {\"y\": null}\nfor_each(array!(.a)) -> |_i, _v| { x.y = [x.y] }\n.x = x",
        ] {
            let message = refused(source, 8_000);
            assert!(message.contains("256 levels"), "{source}: {message}");
        }
        // The last expression has no step after it.
        let wrap = format!(".x = {}1{}", "[".repeat(60), "]".repeat(60));
        let deeper = format!("{}\n.y = {}.x{}", wrap, "[".repeat(60), "]".repeat(60));
        let more = ".y = [[[[[[[[[[.y]]]]]]]]]]\n".repeat(14);
        let program = Program::compile("a.vrl", &format!("{deeper}\n{more}")).unwrap();
        let outcome = program.run(record(0), None);
        assert!(
            matches!(outcome, Err(Rejection::Runtime { message }) if message.contains("levels"))
        );
    }

    #[test]
    fn functions_with_a_closure_do_what_the_librarys_do() {
        for (source, expected) in [
            (
                "n = 0\nfor_each([1, 2, 3]) -> |i, v| { n = n + i * v }\n. = {\"r\": n}",
                "8",
            ),
            (
                "n = 0\nfor_each([1, 2, 3]) -> |_i, v| { if v == 2 { break }\nn = n + v }\n. = {\"r\": n}",
                "1",
            ),
            (
                "n = \"\"\nfor_each({\"a\": 1, \"b\": 2}) -> |k, _v| { n = n + k }\n. = {\"r\": n}",
                "\"ab\"",
            ),
            (". = {\"r\": map_values([1, 2]) -> |v| { v + 1 }}", "[2, 3]"),
            (
                ". = {\"r\": map_values({\"a\": {\"b\": 1}}, recursive: true) -> |v| { if is_object(v) { v } else { 7 } }}",
                "{ \"a\": { \"b\": 7 } }",
            ),
            (
                ". = {\"r\": map_keys({\"a\": 1}) -> |k| { upcase(k) }}",
                "{ \"A\": 1 }",
            ),
            (
                ". = {\"r\": filter([1, 2, 3]) -> |_i, v| { v > 1 }}",
                "[2, 3]",
            ),
            (
                ". = {\"r\": filter({\"a\": 1, \"b\": 2}) -> |k, _v| { k == \"b\" }}",
                "{ \"b\": 2 }",
            ),
            (
                ". = {\"r\": replace_with(\"a1b2\", r'(?P<d>[0-9])') -> |m| { \"<\" + string!(m.string) + string!(m.d) + string!(m.captures[0]) + \">\" }}",
                "\"a<111>b<222>\"",
            ),
            (
                ". = {\"r\": replace_with(\"aaa\", r'a', count: 2) -> |_m| { \"b\" }}",
                "\"bba\"",
            ),
            (
                ". = {\"r\": replace_with(\"aaa\", r'a', count: 0) -> |_m| { \"b\" }}",
                "\"aaa\"",
            ),
        ] {
            let program = Program::compile("a.vrl", source).unwrap();
            let Ok(Remapped::One(row)) = program.run(record(0), None) else {
                panic!("{source} gave no row");
            };
            assert_eq!(
                row.to_string(),
                format!("{{ \"r\": {expected} }}"),
                "{source}"
            );
        }
    }

    #[test]
    fn a_loop_over_some_hundred_items_of_a_record_runs() {
        let source = "out = []\nfor_each(array!(.a)) -> |_i, v| { out = push(out, {\"v\": v, \"n\": length(array!(.a))}) }\n. = out";
        let program = Program::compile("a.vrl", source).unwrap();
        let Ok(Remapped::Many(rows)) = program.run(record(800), None) else {
            panic!("refused");
        };
        assert_eq!(rows.len(), 800);
    }

    #[test]
    fn the_project_s_own_program_runs() {
        let program =
            Program::compile("users.vrl", include_str!("../../../../dags/users.vrl")).unwrap();
        let login = Value::from_iter([("uuid".to_owned(), Value::from("u"))]);
        let name = Value::from_iter([
            ("first".to_owned(), Value::from("A")),
            ("last".to_owned(), Value::from("B")),
        ]);
        let user = Value::from_iter([("login".to_owned(), login), ("name".to_owned(), name)]);
        assert!(matches!(program.run(user, None), Ok(Remapped::One(_))));
    }
}
