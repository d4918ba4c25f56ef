//! Many records at once, for an event loop that must not wait.

use crate::convert::{self, Refusal};
use crate::errors::Failure;
use crate::interrupt::Pulse;
use crate::producer_batch::{add_note, report_to_py};
use crate::records::{Records, look_at_signals};
use crate::serializers::{Choice, Unregistered};
use millstream_codec::{EncodeError, Path, Value};
use millstream_pipeline::kafka::producer::{BatchError, Producer, Report, Serializer};
use pyo3::prelude::*;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Batches of one process that are sent at the same time. Each holds a thread of the pool whose other threads settle
/// futures: batches that wait for their brokers must not take all of them.
pub(crate) const SENDS_AT_ONCE: usize = 64;

/// A batch that needs Python no more.
pub(crate) struct Delivery {
    pub(crate) client: Arc<Producer>,
    pub(crate) sending: Sending,
    pub(crate) sends: Arc<Semaphore>,
    pub(crate) topic: String,
    pub(crate) key: Option<Path>,
    pub(crate) rows: Rows,
}

impl Delivery {
    /// Sends the records on a thread that may block. Dropping the future cancels the batch: what is queued is purged.
    pub(crate) async fn run(self, choice: Choice) -> Outcome {
        let state = Arc::clone(&self.sending.0);
        let sent = tokio::select! {
            biased;
            // Before it has a thread the batch has nothing queued.
            () = state.batches.closed() => return Outcome::failed(Failure::Closed("producer")),
            sent = self.prepare(choice) => sent,
        };
        let (prepared, learned) = match sent {
            Ok(prepared) => prepared,
            Err(failure) => return Outcome::failed(failure),
        };
        let awaited = state.awaited();
        let sent = tokio::task::spawn_blocking(move || prepared.send()).await;
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

    async fn prepare(
        self,
        choice: Choice,
    ) -> Result<(Prepared, Option<(Unregistered, u32)>), Failure> {
        let (serializer, learned) = match choice {
            Choice::Ready(serializer) => (serializer, None),
            Choice::Unregistered(avro) => {
                let id = avro.ask().await.map_err(Failure::Registry)?;
                (avro.serializer(id), Some((avro, id)))
            }
        };
        // The semaphore is never closed, so a permit always comes.
        let turn = Arc::clone(&self.sends).acquire_owned().await.ok();
        self.sending.0.batches.none_cancelled().await;
        let prepared = Prepared {
            delivery: self,
            serializer,
            _turn: turn,
        };
        Ok((prepared, learned))
    }
}

/// A batch whose turn it is.
struct Prepared {
    delivery: Delivery,
    serializer: Serializer,
    _turn: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl Prepared {
    fn send(self) -> Result<Report, Failure> {
        let Delivery {
            client,
            sending,
            topic,
            key,
            rows,
            ..
        } = self.delivery;
        let cancelled = &mut || sending.is_cancelled();
        let mut batch = client
            .batch(&topic, self.serializer, key)
            .map_err(Failure::Produce)?;
        if cancelled() {
            // Nothing is queued, and finishing would purge what other batches have there.
            return Err(Failure::Closed("producer"));
        }
        batch.enqueue(&rows.values[rows.range], cancelled);
        if let Some(error) = rows.refused {
            batch.refuse(error);
        }
        let result = batch.finish(cancelled);
        sending.ended(&result);
        // The client goes first, so that whoever waits for the batch finds nobody else to hold it.
        drop(client);
        result.map_err(Failure::Batch)
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
        let mut pulse = Pulse::attached();
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
            if let Err(error) = look_at_signals(records.py(), &mut pulse) {
                return Err(nothing_sent(topic, records, error)?);
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

/// The awaited batches of a producer.
///
/// A cancelled batch empties the queue, which is the whole producer's: the next one waits until that is done, or a
/// repetition right after a timeout would be purged with what it repeats. And who closes the producer waits for all.
pub(crate) struct Batches(watch::Sender<Counts>);

#[derive(Default)]
struct Counts {
    /// Not yet ended.
    under_way: usize,
    /// Cancelled and not yet ended.
    cancelled: usize,
    /// The producer was closed by an exception: no batch goes on.
    closed: bool,
    /// What became of the records of those that were under way by then.
    outcomes: Outcomes,
}

/// How many records ended how.
#[derive(Default, Clone, Copy)]
pub(crate) struct Outcomes {
    pub(crate) delivered: u64,
    pub(crate) not_sent: u64,
    pub(crate) unknown: u64,
}

impl Batches {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Counts::default()))
    }

    /// Takes a batch up.
    pub(crate) fn begin(self: &Arc<Self>) -> Sending {
        self.0.send_modify(|counts| counts.under_way += 1);
        Sending(Arc::new(State {
            batches: Arc::clone(self),
            cancelled: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }))
    }

    /// No batch goes on from now on.
    pub(crate) fn close(&self) {
        self.0.send_modify(|counts| counts.closed = true);
    }

    /// Whether batches are under way.
    pub(crate) fn are_under_way(&self) -> bool {
        self.0.borrow().under_way > 0
    }

    /// What became of the records of the batches that [`Batches::close`] ended.
    pub(crate) fn outcomes(&self) -> Outcomes {
        self.0.borrow().outcomes
    }

    /// Waits until no batch is under way; asks `cancelled` meanwhile. False when that says so.
    pub(crate) fn wait(&self, every: Duration, cancelled: &mut dyn FnMut() -> bool) -> bool {
        while self.are_under_way() {
            if cancelled() {
                return false;
            }
            // Rare and short: the channel has no wait for a thread outside of the runtime.
            std::thread::sleep(every);
        }
        true
    }

    async fn none_cancelled(&self) {
        self.until(|counts| counts.cancelled == 0).await;
    }

    async fn closed(&self) {
        self.until(|counts| counts.closed).await;
    }

    async fn until(&self, condition: impl FnMut(&Counts) -> bool) {
        // The sender is here, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(condition).await;
    }
}

/// The flags change together with the counts only, under their lock.
struct State {
    batches: Arc<Batches>,
    cancelled: AtomicBool,
    ended: AtomicBool,
}

impl State {
    fn awaited(self: &Arc<Self>) -> Awaited {
        Awaited(Arc::clone(self))
    }
}

/// What the event loop holds of a batch that is sent. Dropped before the batch has ended, it cancels it.
struct Awaited(Arc<State>);

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.batches.0.send_modify(|counts| {
            if !self.0.ended.load(Ordering::Relaxed) {
                self.0.cancelled.store(true, Ordering::Relaxed);
                counts.cancelled += 1;
            }
        });
    }
}

/// What goes with the records. Dropped when the batch has ended.
pub(crate) struct Sending(Arc<State>);

impl Sending {
    fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed) || self.0.batches.0.borrow().closed
    }

    fn ended(&self, result: &Result<Report, BatchError>) {
        let report = match result {
            Ok(report) => report,
            Err(error) => &error.report,
        };
        self.0.batches.0.send_modify(|counts| {
            if counts.closed {
                counts.outcomes.delivered += report.delivered;
                counts.outcomes.not_sent += report.not_sent.len();
                counts.outcomes.unknown += report.unknown.len() + report.unaccounted;
            }
        });
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.batches.0.send_modify(|counts| {
            self.0.ended.store(true, Ordering::Relaxed);
            counts.under_way -= 1;
            if self.0.cancelled.load(Ordering::Relaxed) {
                counts.cancelled -= 1;
            }
        });
    }
}
