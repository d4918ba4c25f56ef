//! Every failure of the crates below, as the exception class that Python's side has for it.
//!
//! No match here has a wildcard arm: a new variant must be given its class before it compiles.

use crate::producer_batch::report_to_py;
use millstream_codec::path::PathError;
use millstream_codec::{DecodeError, EncodeError, SchemaError};
use millstream_pipeline::kafka;
use millstream_pipeline::kafka::producer::{BatchError, Cause, ProduceError, Rejection, Report};
use millstream_pipeline::registry::RegistryError;
use millstream_pipeline::remap::CompileError;
use millstream_pipeline::source::FetchError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// What can end a call.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An argument cannot be used; the text names it and says what to do.
    Setting(String),
    /// The tokio runtime could not be started.
    Runtime(String),
    Kafka(kafka::ConfigError),
    Path(PathError),
    Schema(SchemaError),
    Decode(DecodeError),
    Encode {
        index: Option<u64>,
        error: EncodeError,
    },
    Fetch(FetchError),
    Registry(RegistryError),
    Compile(CompileError),
    Produce(ProduceError),
    Batch(BatchError),
    /// Records given one by one were not delivered.
    Flush(Box<Report>),
    /// The time given to `flush` passed with so many records under way, perhaps because the brokers refuse us.
    FlushTimeout {
        outstanding: u64,
        rejection: Option<Rejection>,
    },
    Closed(&'static str),
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        Python::attach(|py| to_exception(py, failure).unwrap_or_else(|error| error))
    }
}

fn to_exception(py: Python<'_>, failure: Failure) -> PyResult<PyErr> {
    let facts = PyDict::new(py);
    let (class, message) = match failure {
        Failure::Setting(text) => ("ConfigError", text),
        Failure::Runtime(text) => {
            facts.set_item("retryable", true)?;
            (
                "MillstreamError",
                format!("threads could not be started: {text}"),
            )
        }
        Failure::Kafka(error) => ("ConfigError", error.to_string()),
        Failure::Path(error) => ("ConfigError", error.to_string()),
        Failure::Schema(error) => {
            facts.set_item("code", error.code.as_str())?;
            ("SchemaError", error.to_string())
        }
        Failure::Decode(error) => {
            facts.set_item("code", error.code.as_str())?;
            ("DecodeError", error.to_string())
        }
        Failure::Encode { index, error } => {
            encode_facts(&facts, index, &error)?;
            let text = match index {
                Some(index) => format!("record {index}: {error}"),
                None => error.to_string(),
            };
            ("EncodeError", text)
        }
        Failure::Fetch(error) => {
            facts.set_item("retryable", error.retryable())?;
            facts.set_item("kind", error.kind.name())?;
            facts.set_item("url", &error.url)?;
            facts.set_item("status", error.status())?;
            facts.set_item("attempts", error.attempts)?;
            (fetch_class(&error), error.to_string())
        }
        Failure::Registry(error) => {
            facts.set_item("retryable", error.retryable())?;
            (registry_class(&error), error.to_string())
        }
        Failure::Compile(error) => {
            facts.set_item("details", &error.report)?;
            ("RemapError", error.to_string())
        }
        Failure::Produce(error) => {
            facts.set_item("retryable", error.retryable())?;
            produce_facts(&facts, &error)?
        }
        Failure::Batch(error) => {
            let class = batch_facts(py, &facts, &error)?;
            (class, error.to_string())
        }
        Failure::Flush(report) => flush_facts(py, &facts, &report)?,
        Failure::FlushTimeout {
            outstanding,
            rejection,
        } => {
            facts.set_item("retryable", rejection.is_none())?;
            let text = match rejection {
                None => "flush again".to_owned(),
                Some(rejection) => {
                    facts.set_item("code", format!("{:?}", rejection.code))?;
                    rejection.to_string()
                }
            };
            (
                "ProduceError",
                format!("{outstanding} records are still under way after the timeout; {text}"),
            )
        }
        Failure::Closed(what) => (
            "ClosedError",
            format!("the {what} is closed; make a new one"),
        ),
    };
    raise(py, class, &message, &facts)
}

fn raise(py: Python<'_>, class: &str, message: &str, facts: &Bound<'_, PyDict>) -> PyResult<PyErr> {
    let class = py.import("millstream.exceptions")?.getattr(class)?;
    Ok(PyErr::from_value(class.call((message,), Some(facts))?))
}

fn encode_facts(
    facts: &Bound<'_, PyDict>,
    index: Option<u64>,
    error: &EncodeError,
) -> PyResult<()> {
    facts.set_item("index", index)?;
    if !error.path.is_empty() {
        facts.set_item("path", &error.path)?;
    }
    Ok(())
}

/// Settings are settings, wherever they were noticed.
fn fetch_class(error: &FetchError) -> &'static str {
    match error.kind.name() {
        "invalid_setting" | "invalid_url" => "ConfigError",
        _ => "FetchError",
    }
}

fn registry_class(error: &RegistryError) -> &'static str {
    match error {
        RegistryError::InvalidConfig { .. } => "ConfigError",
        RegistryError::NotFound { .. }
        | RegistryError::Unusable { .. }
        | RegistryError::Refused { .. }
        | RegistryError::Unavailable { .. }
        | RegistryError::Incompatible { .. } => "RegistryError",
    }
}

fn produce_facts(
    facts: &Bound<'_, PyDict>,
    error: &ProduceError,
) -> PyResult<(&'static str, String)> {
    let class = match error {
        ProduceError::Delivery(failure) => {
            facts.set_item("code", format!("{:?}", failure.code))?;
            "ProduceError"
        }
        ProduceError::Topic { .. } => "ConfigError",
        ProduceError::Cancelled { .. } => "ProduceError",
        ProduceError::Closed => "ClosedError",
    };
    Ok((class, error.to_string()))
}

fn batch_facts(
    py: Python<'_>,
    facts: &Bound<'_, PyDict>,
    error: &BatchError,
) -> PyResult<&'static str> {
    facts.set_item("retryable", error.retryable())?;
    facts.set_item("report", report_to_py(py, &error.report)?)?;
    Ok(match &error.cause {
        Cause::Delivery { index, failure } => {
            facts.set_item("index", index)?;
            facts.set_item("code", format!("{:?}", failure.code))?;
            "ProduceError"
        }
        Cause::Encode { index, error } => {
            encode_facts(facts, Some(*index), error)?;
            "EncodeError"
        }
        Cause::Cancelled | Cause::Source => "ProduceError",
    })
}

fn flush_facts(
    py: Python<'_>,
    facts: &Bound<'_, PyDict>,
    report: &Report,
) -> PyResult<(&'static str, String)> {
    facts.set_item("report", report_to_py(py, report)?)?;
    let unknown = report.unknown.len() + report.unaccounted;
    let counts = format!(
        "{} delivered, {} not sent, {unknown} unknown",
        report.delivered,
        report.not_sent.len()
    );
    // One record that can never be delivered is enough: sending all of them again fails again.
    facts.set_item("retryable", report.retryable())?;
    let message = match report.failures.iter().next() {
        Some((index, failure)) => {
            facts.set_item("index", index)?;
            facts.set_item("code", format!("{:?}", failure.code))?;
            format!("record {index}: {failure} ({counts})")
        }
        None => counts,
    };
    Ok(("ProduceError", message))
}
