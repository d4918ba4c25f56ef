//! The Kafka producer.

use crate::awaitable::awaitable;
use crate::errors::Failure;
use crate::interrupt::Interrupt;
use crate::log;
use crate::per_process::PerProcess;
use crate::producer_async::{Batches, Delivery, Outcomes, Rows};
use crate::producer_batch::{add_note, counts, send_held, send_iterable};
use crate::records::Records;
use crate::runtime;
use crate::serializers::{choose_serializer, serializer_for};
use crate::settling;
use crate::source::seconds;
use millstream_codec::Path;
use millstream_pipeline::kafka::Properties;
use millstream_pipeline::kafka::producer::{self, Header, ProduceError, Record, Report, Tally};
use pyo3::exceptions::{PyResourceWarning, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyString, PyType};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What leaving the `with` block by an exception gives to requests on the wire.
const EXIT_GRACE: Duration = Duration::from_millis(30);

/// What leaving it so gives to batches that are awaited: they notice within 25 ms, and their records were purged.
const BATCHES_END_WITHIN: Duration = Duration::from_millis(70);

/// How often it is seen whether batches have ended.
const BATCHES_LOOK: Duration = Duration::from_millis(2);

/// See `_core.pyi`.
#[pyclass(module = "millstream", frozen)]
pub(crate) struct Producer {
    properties: Properties,
    client: PerProcess<producer::Producer>,
    batches: PerProcess<Batches>,
    closed: AtomicBool,
}

#[pymethods]
impl Producer {
    #[new]
    fn new(config: &Bound<'_, PyDict>) -> PyResult<Self> {
        let properties = properties_from_py(config)?;
        properties.check_producer().map_err(Failure::Kafka)?;
        Ok(Self {
            properties,
            client: PerProcess::new(),
            batches: PerProcess::new(),
            closed: AtomicBool::new(false),
        })
    }

    #[pyo3(
        signature = (topic, value = None, key = None, partition = -1, *, timestamp = 0, headers = None),
        // What pyo3 derives shows a negative default as an ellipsis.
        text_signature = "($self, topic, value=None, key=None, partition=-1, *, timestamp=0, headers=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "Confluent's signature")]
    fn produce(
        &self,
        py: Python<'_>,
        topic: &str,
        value: Option<&Bound<'_, PyAny>>,
        key: Option<&Bound<'_, PyAny>>,
        partition: i32,
        timestamp: i64,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let client = self.client(py)?;
        let value = value
            .map(|value| bytes_from_py("value", value))
            .transpose()?;
        let key = key.map(|key| bytes_from_py("key", key)).transpose()?;
        let headers = headers
            .map(headers_from_py)
            .transpose()?
            .unwrap_or_default();
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_deref(),
            })
            .collect();
        let record = Record {
            key: key.as_deref(),
            value: value.as_deref(),
            headers: &headers,
            timestamp_ms: (timestamp != 0).then_some(timestamp),
            partition: (partition >= 0).then_some(partition),
        };
        let mut interrupt = Interrupt::new();
        let result = py.detach(|| client.enqueue(topic, &record, &mut || interrupt.check()));
        log::drain(py);
        match result {
            Ok(()) => Ok(()),
            Err(ProduceError::Cancelled { .. }) => Err(interrupt.into_error()),
            Err(error) => Err(Failure::Produce(error).into()),
        }
    }

    #[pyo3(signature = (timeout = None))]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<usize> {
        let client = self.client(py)?;
        // As librdkafka has it: below zero is for ever. NaN is no time at all and goes on to be refused.
        let timeout = timeout.filter(|timeout| timeout.is_nan() || *timeout >= 0.0);
        let timeout = timeout
            .map(|timeout| seconds("timeout", timeout))
            .transpose()?;
        self.flush_client(py, &client, timeout)?;
        Ok(0)
    }

    #[pyo3(signature = (topic, records, *, key_field = None, value_serializer = None))]
    fn produce_batch<'py>(
        &self,
        py: Python<'py>,
        topic: &str,
        records: &Bound<'py, PyAny>,
        key_field: Option<&str>,
        value_serializer: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let client = self.client(py)?;
        let key = key_path(key_field)?;
        // The name is checked before the registry is asked about its subject.
        client.check_topic(topic).map_err(Failure::Produce)?;
        let serializer = serializer_for(py, value_serializer, topic)?;
        let batch = client
            .batch(topic, serializer, key)
            .map_err(Failure::Produce)?;
        let outcome = match records.cast::<Records>() {
            Ok(records) => send_held(py, batch, records.get().rows()),
            Err(_) => send_iterable(py, batch, records)?,
        };
        log::drain(py);
        outcome.into_result(py)
    }

    #[pyo3(signature = (topic, records, *, key_field = None, value_serializer = None))]
    fn aproduce_batch<'py>(
        &self,
        py: Python<'py>,
        topic: String,
        records: &Bound<'py, PyAny>,
        key_field: Option<&str>,
        value_serializer: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let client = self.client(py)?;
        let key = key_path(key_field)?;
        client.check_topic(&topic).map_err(Failure::Produce)?;
        let choice = choose_serializer(py, value_serializer, &topic)?;
        let rows = Rows::take(&topic, records)?;
        // The iterable's own code, or another thread meanwhile, may have closed it.
        self.check_open()?;
        let Ok(batches) = self
            .batches
            .get_or_make(py, || Ok::<_, Infallible>(Batches::new()));
        let delivery = Delivery {
            client,
            sending: batches.begin(),
            sends: runtime::sends(py),
            key,
            rows,
            topic,
        };
        awaitable(py, delivery.run(choice))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.closed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let Some(client) = self.client.take(py) else {
            return Ok(());
        };
        if let Err(error) = self.wait_for_batches(py) {
            self.abandon(py, client, Some(error.value(py).as_any()))?;
            return Err(error);
        }
        match self.flush_client(py, &client, None) {
            // A signal ended the wait.
            Err(error) if client.outstanding() > 0 => {
                self.abandon(py, client, Some(error.value(py).as_any()))?;
                Err(error)
            }
            flushed => {
                py.detach(|| drop(client));
                log::drain(py);
                flushed
            }
        }
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyResult<PyRef<'_, Self>> {
        slf.check_open()?;
        Ok(slf)
    }

    #[pyo3(signature = (exc_type = None, exc_value = None, traceback = None))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: Option<&Bound<'_, PyType>>,
        exc_value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let _ = traceback;
        if exc_type.is_none() {
            self.close(py)?;
            return Ok(false);
        }
        self.closed.store(true, Ordering::Relaxed);
        if let Some(client) = self.client.take(py) {
            self.abandon(py, client, exc_value)?;
        }
        Ok(false)
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        let outstanding = self.client.get(py).map_or(0, |client| client.outstanding());
        usize::try_from(outstanding).unwrap_or(usize::MAX)
    }

    // `len()` is how many records are under way; an idle producer is not false for that.
    #[expect(clippy::unused_self, reason = "a Python method")]
    fn __bool__(&self) -> bool {
        true
    }

    fn __repr__(&self) -> String {
        let brokers = self.properties.get("bootstrap.servers").unwrap_or("mock");
        let state = if self.closed.load(Ordering::Relaxed) {
            ", closed"
        } else {
            ""
        };
        format!("<Producer {brokers}{state}>")
    }
}

impl Producer {
    fn check_open(&self) -> PyResult<()> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Failure::Closed("producer").into());
        }
        Ok(())
    }

    fn client(&self, py: Python<'_>) -> PyResult<Arc<producer::Producer>> {
        self.check_open()?;
        settling::end_with_python(py)?;
        self.client
            .get_or_make(py, || producer::Producer::new(&self.properties))
            .map_err(|error| Failure::Kafka(error).into())
    }

    #[expect(clippy::unused_self, reason = "reads as an operation of the producer")]
    fn flush_client(
        &self,
        py: Python<'_>,
        client: &producer::Producer,
        timeout: Option<Duration>,
    ) -> PyResult<()> {
        let mut interrupt = Interrupt::new();
        let started = Instant::now();
        let result = py.detach(|| client.flush(timeout, &mut || interrupt.check()));
        log::drain(py);
        match result {
            Ok(tally) if tally.is_complete() => Ok(()),
            Ok(tally) => Err(Failure::Flush(Box::new(loose_report(tally, started))).into()),
            Err(outstanding) => Err(interrupt.take().unwrap_or_else(|| {
                Failure::FlushTimeout {
                    outstanding,
                    rejection: client.rejection(),
                }
                .into()
            })),
        }
    }
}

impl Producer {
    /// Waits until the batches that are awaited have ended; a signal raises.
    fn wait_for_batches(&self, py: Python<'_>) -> PyResult<()> {
        let Some(batches) = self.batches.get(py) else {
            return Ok(());
        };
        let mut interrupt = Interrupt::new();
        if py.detach(|| batches.wait(BATCHES_LOOK, &mut || interrupt.check())) {
            return Ok(());
        }
        Err(interrupt.into_error())
    }

    /// Purges what is queued, ends the client, and notes on the exception what became of the records.
    fn abandon(
        &self,
        py: Python<'_>,
        client: Arc<producer::Producer>,
        exception: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let batches = self.batches.get(py);
        let any_awaited = batches
            .as_ref()
            .is_some_and(|batches| batches.are_under_way());
        if let Some(batches) = &batches {
            // Before the purge: nothing is to be queued behind it.
            batches.close();
        }
        let (tally, all_ended) = py.detach(|| {
            let deadline = Instant::now() + BATCHES_END_WITHIN;
            let tally = client.purge(EXIT_GRACE);
            let all_ended = batches.as_ref().is_none_or(|batches| {
                batches.wait(BATCHES_LOOK, &mut || Instant::now() >= deadline)
            });
            drop(client);
            (tally, all_ended)
        });
        log::drain(py);
        let Some(exception) = exception else {
            return Ok(());
        };
        let unknown = tally.unknown.len() + tally.unaccounted;
        let sent = counts(tally.delivered, tally.not_sent.len(), unknown);
        add_note(
            exception,
            &format!("producer: of the records given to produce(), {sent}"),
        )?;
        if let Some(batches) = batches.filter(|_| any_awaited) {
            add_note(exception, &awaited_note(batches.outcomes(), all_ended))?;
        }
        Ok(())
    }
}

fn awaited_note(outcomes: Outcomes, all_ended: bool) -> String {
    let sent = counts(outcomes.delivered, outcomes.not_sent, outcomes.unknown);
    let rest = if all_ended {
        ""
    } else {
        "; some batches have not ended, and their records are unknown"
    };
    format!("producer: of the records given to aproduce_batch() and under way, {sent}{rest}")
}

impl Drop for Producer {
    fn drop(&mut self) {
        // Nothing to do when the interpreter is gone: the process is ending.
        Python::try_attach(|py| {
            let Some(client) = self.client.take(py) else {
                return;
            };
            let outstanding = client.outstanding();
            if outstanding > 0 {
                let text = format!(
                    "a producer was dropped with {outstanding} records under way, which are lost; use `with` or flush()"
                );
                if let Ok(text) = std::ffi::CString::new(text)
                    && let Err(error) =
                        PyErr::warn(py, &py.get_type::<PyResourceWarning>(), &text, 1)
                {
                    error.write_unraisable(py, None);
                }
            }
            py.detach(|| drop(client));
        });
    }
}

/// The report of records given one by one: they may have gone to several topics, so offsets would say nothing.
fn loose_report(mut tally: Tally, started: Instant) -> Report {
    tally.offsets.clear();
    tally.report("", started.elapsed().as_secs_f64())
}

fn bytes_from_py(what: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_str()?.as_bytes().to_vec());
    }
    Err(PyTypeError::new_err(format!(
        "{what} is bytes, str or None, not {}",
        value.get_type().name()?
    )))
}

type OwnedHeaders = Vec<(String, Option<Vec<u8>>)>;

/// A dict or a list of pairs; a value is bytes, str or None.
fn headers_from_py(headers: &Bound<'_, PyAny>) -> PyResult<OwnedHeaders> {
    let header = |name: Bound<'_, PyAny>, value: Bound<'_, PyAny>| {
        let value = (!value.is_none())
            .then(|| bytes_from_py("a header's value", &value))
            .transpose()?;
        Ok((name.extract()?, value))
    };
    if let Ok(headers) = headers.cast::<PyDict>() {
        return headers
            .iter()
            .map(|(name, value)| header(name, value))
            .collect();
    }
    headers
        .try_iter()?
        .map(|pair| {
            let (name, value) = pair?.extract()?;
            header(name, value)
        })
        .collect()
}

fn key_path(key_field: Option<&str>) -> Result<Option<Path>, Failure> {
    key_field
        .map(Path::parse)
        .transpose()
        .map_err(Failure::Path)
}

fn properties_from_py(config: &Bound<'_, PyDict>) -> PyResult<Properties> {
    let pairs = config
        .iter()
        .map(|(key, value)| {
            let key: String = key.extract()?;
            let text = property_text(&key, &value)?;
            Ok((key, text))
        })
        .collect::<PyResult<Vec<_>>>()?;
    Ok(Properties::new(pairs))
}

fn property_text(key: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(if flag.is_true() { "true" } else { "false" }.to_owned());
    }
    let plain = value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyInt>()
        || value.is_instance_of::<PyFloat>();
    if plain {
        return value.str()?.extract();
    }
    // Callbacks of confluent-kafka (error_cb, on_delivery ...) end up here: outcomes are reported by the calls themselves.
    Err(Failure::Setting(format!(
        "property {key:?} must be text, a number, True or False"
    ))
    .into())
}
