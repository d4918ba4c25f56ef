//! Many records at once, for an event loop that must not wait.

use crate::convert::{self, Refusal};
use crate::errors::Failure;
use crate::interrupt::Interrupt;
use crate::producer_batch::{add_note, report_to_py};
use crate::records::Records;
use crate::serializers::{Choice, Unregistered};
use millstream_codec::{EncodeError, Path, Value};
use millstream_pipeline::kafka::producer::{Producer, Report, Serializer};
use pyo3::prelude::*;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// Python objects that are turned into records between two looks at the signals.
const OBJECTS_PER_LOOK: usize = 512;

/// A batch that needs Python no more.
pub(crate) struct Delivery {
    pub(crate) client: Arc<Producer>,
    pub(crate) purges: Arc<Purges>,
    pub(crate) topic: String,
    pub(crate) key: Option<Path>,
    pub(crate) rows: Rows,
}

impl Delivery {
    /// Sends the records on a thread that may block. Dropping the future cancels the batch: what is queued is purged.
    pub(crate) async fn run(self, choice: Choice) -> Outcome {
        let (serializer, learned) = match choice {
            Choice::Ready(serializer) => (serializer, None),
            Choice::Unregistered(avro) => match avro.ask().await {
                Ok(id) => (avro.serializer(id), Some((avro, id))),
                Err(error) => return Outcome::failed(Failure::Registry(error)),
            },
        };
        self.purges.none_under_way().await;
        let (awaited, sending) = self.purges.cancellable();
        let sent = tokio::task::spawn_blocking(move || self.send(serializer, &sending)).await;
        drop(awaited);
        match sent {
            Ok(result) => Outcome { result, learned },
            Err(error) => match error.try_into_panic() {
                // As a panic in a call that waits: it becomes an exception further up.
                Ok(panic) => resume_unwind(panic),
                Err(error) => Outcome::failed(Failure::Runtime(error.to_string())),
            },
        }
    }

    fn send(self, serializer: Serializer, sending: &Sending) -> Result<Report, Failure> {
        let cancelled = &mut || sending.is_cancelled();
        let mut batch = self
            .client
            .batch(&self.topic, serializer, self.key)
            .map_err(Failure::Produce)?;
        if cancelled() {
            // Nothing is queued, and finishing would purge what other batches have there.
            return Err(Failure::Closed("batch"));
        }
        batch.enqueue(&self.rows.values[self.rows.range], cancelled);
        if let Some(error) = self.rows.refused {
            batch.refuse(error);
        }
        batch.finish(cancelled).map_err(Failure::Batch)
    }
}

/// The records of a batch, and why the one after them is none.
pub(crate) struct Rows {
    values: Arc<Vec<Value>>,
    range: Range<usize>,
    refused: Option<EncodeError>,
}

impl Rows {
    /// Shares what lives in Rust; reads an iterable up to its end or to the first object that is no record.
    pub(crate) fn take(topic: &str, records: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(records) = records.cast::<Records>() {
            let (values, range) = records.get().shared();
            return Ok(Self {
                values,
                range,
                refused: None,
            });
        }
        let (mut values, mut refused) = (Vec::new(), None);
        let mut interrupt = Interrupt::new();
        for item in convert::iterate("records", records)? {
            let value = item
                .map_err(Refusal::Raised)
                .and_then(|item| convert::from_py(&item));
            match value {
                Ok(value) => values.push(value),
                Err(Refusal::Value(error)) => {
                    refused = Some(error);
                    break;
                }
                Err(Refusal::Raised(error)) => return Err(nothing_sent(topic, records, error)?),
            }
            if values.len().is_multiple_of(OBJECTS_PER_LOOK) && interrupt.check() {
                return Err(nothing_sent(topic, records, interrupt.into_error())?);
            }
        }
        Ok(Self {
            range: 0..values.len(),
            values: Arc::new(values),
            refused,
        })
    }
}

fn nothing_sent(topic: &str, records: &Bound<'_, PyAny>, error: PyErr) -> PyResult<PyErr> {
    let note = format!("aproduce_batch to {topic}: nothing was sent");
    add_note(error.value(records.py()).as_any(), &note)?;
    Ok(error)
}

/// How a batch ended, and the id that was asked for on its way.
pub(crate) struct Outcome {
    result: Result<Report, Failure>,
    learned: Option<(Unregistered, u32)>,
}

impl Outcome {
    fn failed(failure: Failure) -> Self {
        Self {
            result: Err(failure),
            learned: None,
        }
    }
}

impl<'py> IntoPyObject<'py> for Outcome {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some((avro, id)) = self.learned {
            avro.remember(py, id);
        }
        report_to_py(py, &self.result?)
    }
}

/// Cancelled batches of a producer that still end.
///
/// Such a batch empties the queue, which is the whole producer's: the next batch waits until that is done, or a repetition
/// right after a timeout would be purged with what it repeats.
pub(crate) struct Purges(watch::Sender<usize>);

impl Purges {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    async fn none_under_way(&self) {
        // The sender is here, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }

    /// The two ends of a batch: what the event loop holds, and what the sending thread holds.
    fn cancellable(self: &Arc<Self>) -> (Awaited, Sending) {
        let batch = Arc::new(State {
            purges: Arc::clone(self),
            cancelled: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        (Awaited(Arc::clone(&batch)), Sending(batch))
    }
}

/// The flags change together with the count only, under its lock.
struct State {
    purges: Arc<Purges>,
    cancelled: AtomicBool,
    ended: AtomicBool,
}

/// Dropped before the batch has ended, it cancels it.
struct Awaited(Arc<State>);

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.purges.0.send_modify(|count| {
            if !self.0.ended.load(Ordering::Relaxed) {
                self.0.cancelled.store(true, Ordering::Relaxed);
                *count += 1;
            }
        });
    }
}

/// Dropped when the batch has ended.
struct Sending(Arc<State>);

impl Sending {
    fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.purges.0.send_modify(|count| {
            self.0.ended.store(true, Ordering::Relaxed);
            if self.0.cancelled.load(Ordering::Relaxed) {
                *count -= 1;
            }
        });
    }
}
