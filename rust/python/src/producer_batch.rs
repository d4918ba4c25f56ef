//! Many records at once, for the caller that waits.

use crate::convert::{self, Refusal};
use crate::errors::Failure;
use crate::interrupt::Interrupt;
use millstream_codec::Value;
use millstream_pipeline::kafka::producer::{Batch, BatchError, CHECK_EVERY, Report};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::time::{Duration, Instant};

/// Python objects that are turned into records before the GIL is let go to send them.
const CHUNK: usize = 512;

/// A slow iterable must not hold back what it has already given.
const CHUNK_TIME: Duration = CHECK_EVERY;

/// How a batch ended, and what Python raised on the way.
pub(crate) struct BatchOutcome {
    result: Result<Report, BatchError>,
    raised: Option<PyErr>,
}

impl BatchOutcome {
    /// What Python raised goes on as it is, with a note about the records; else our own error or the report.
    pub(crate) fn into_result(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let report = match &self.result {
            Ok(report) => report,
            Err(error) => &*error.report,
        };
        if let Some(raised) = self.raised {
            let sent = counts(
                report.delivered,
                report.not_sent.len(),
                report.unknown.len() + report.unaccounted,
            );
            add_note(
                raised.value(py).as_any(),
                &format!("produce_batch to {}: {sent}", report.topic),
            )?;
            return Err(raised);
        }
        match self.result {
            Ok(report) => report_to_py(py, &report),
            Err(error) => Err(Failure::Batch(error).into()),
        }
    }
}

/// Sends records that live in Rust: the GIL is let go once for all of them.
pub(crate) fn send_held(py: Python<'_>, mut batch: Batch<'_>, rows: &[Value]) -> BatchOutcome {
    let mut interrupt = Interrupt::new();
    let result = py.detach(|| {
        batch.enqueue(rows, &mut || interrupt.check());
        batch.finish(&mut || interrupt.check())
    });
    BatchOutcome {
        result,
        raised: interrupt.take(),
    }
}

/// Sends what an iterable gives, chunk by chunk.
pub(crate) fn send_iterable(
    py: Python<'_>,
    mut batch: Batch<'_>,
    records: &Bound<'_, PyAny>,
) -> PyResult<BatchOutcome> {
    let mut items = convert::iterate("records", records)?;
    let mut interrupt = Interrupt::new();
    let mut raised = None;
    loop {
        let (chunk, end) = next_chunk(&mut items);
        // An iterator that is native itself, such as a list's, gives Python no chance to look at its signals.
        if interrupt.check() {
            batch.cancel();
        }
        let goes_on = py.detach(|| batch.enqueue(&chunk, &mut || interrupt.check()));
        match end {
            ChunkEnd::More if goes_on => continue,
            ChunkEnd::More | ChunkEnd::Last => {}
            ChunkEnd::Refused(Refusal::Value(error)) => batch.refuse(error),
            ChunkEnd::Refused(Refusal::Raised(error)) => {
                // Ctrl-C and a timeout want to leave at once; of any other error the records before it are no part.
                if error.is_instance_of::<PyException>(py) {
                    batch.end_early();
                } else {
                    batch.cancel();
                }
                raised = Some(error);
            }
        }
        break;
    }
    let result = py.detach(|| batch.finish(&mut || interrupt.check()));
    Ok(BatchOutcome {
        result,
        raised: interrupt.take().or(raised),
    })
}

pub(crate) enum ChunkEnd {
    More,
    Last,
    Refused(Refusal),
}

pub(crate) fn next_chunk(items: &mut Bound<'_, pyo3::types::PyIterator>) -> (Vec<Value>, ChunkEnd) {
    let mut chunk = Vec::with_capacity(CHUNK);
    let started = Instant::now();
    while chunk.len() < CHUNK && started.elapsed() < CHUNK_TIME {
        match items.next() {
            None => return (chunk, ChunkEnd::Last),
            Some(Err(error)) => return (chunk, ChunkEnd::Refused(Refusal::Raised(error))),
            Some(Ok(item)) => match convert::from_py(&item) {
                Ok(value) => chunk.push(value),
                Err(refusal) => return (chunk, ChunkEnd::Refused(refusal)),
            },
        }
    }
    (chunk, ChunkEnd::More)
}

/// Python's `ProduceReport`.
pub(crate) fn report_to_py<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyAny>> {
    let class = py.import("millstream.reports")?.getattr("ProduceReport")?;
    let offsets = PyDict::new(py);
    for (partition, (first, last)) in &report.offsets {
        offsets.set_item(partition, (first, last))?;
    }
    let errors = PyDict::new(py);
    for (index, failure) in &report.failures {
        errors.set_item(index, failure.to_string())?;
    }
    class.call1((
        &report.topic,
        report.delivered,
        report.bytes,
        report.seconds,
        offsets,
        PyTuple::new(py, report.not_sent.iter().collect::<Vec<_>>())?,
        PyTuple::new(py, report.unknown.iter().collect::<Vec<_>>())?,
        errors,
        report.unaccounted,
    ))
}

pub(crate) fn counts(delivered: u64, not_sent: u64, unknown: u64) -> String {
    format!("{delivered} delivered, {not_sent} not sent, {unknown} unknown")
}

/// Notes exist from Python 3.11 on; on 3.10 the exception goes on without.
pub(crate) fn add_note(exception: &Bound<'_, PyAny>, note: &str) -> PyResult<()> {
    if exception.hasattr("add_note")? {
        exception.call_method1("add_note", (note,))?;
    }
    Ok(())
}
