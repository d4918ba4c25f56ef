//! Records to bytes and back, one at a time or as the value serializer of a producer.

use crate::convert;
use crate::errors::Failure;
use crate::records::value_from_py;
use crate::registry::SchemaRegistryClient;
use crate::runtime::block_on;
use millstream_codec::avro::AvroSchema;
use millstream_codec::frame;
use millstream_pipeline::kafka::producer::Serializer;
use millstream_pipeline::registry::{RegistryClient, RegistryError};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Ids kept by subject; a program with more topics than this asks the registry again.
const MAX_SUBJECTS: usize = 1_000;

/// See `_core.pyi`.
#[pyclass(module = "millstream", frozen)]
pub(crate) struct JSONSerializer;

#[pymethods]
impl JSONSerializer {
    #[new]
    fn new() -> Self {
        Self
    }

    #[pyo3(signature = (obj, ctx = None))]
    #[expect(clippy::unused_self, reason = "a Python method")]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        obj: &Bound<'py, PyAny>,
        ctx: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let _ = ctx;
        encode_one(py, &Serializer::Json, obj)
    }

    #[expect(clippy::unused_self, reason = "a Python method")]
    fn __repr__(&self) -> &'static str {
        "JSONSerializer()"
    }
}

/// See `_core.pyi`.
#[pyclass(module = "millstream", frozen)]
pub(crate) struct AvroSerializer {
    registry: Py<SchemaRegistryClient>,
    text: String,
    schema: Arc<AvroSchema>,
    auto_register: bool,
    // Taken only while attached and without detaching, as in `per_process`. Ids are plain facts: a child may keep them.
    ids: Mutex<HashMap<String, u32>>,
}

#[pymethods]
impl AvroSerializer {
    #[new]
    // Confluent's third argument in order is `to_dict`: by name alone, the two cannot be mistaken for one another.
    #[pyo3(signature = (schema_registry_client, schema_str, *, conf = None))]
    fn new(
        schema_registry_client: Py<SchemaRegistryClient>,
        schema_str: String,
        conf: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let schema = AvroSchema::parse(&schema_str, &[]).map_err(Failure::Schema)?;
        Ok(Self {
            registry: schema_registry_client,
            text: schema_str,
            schema: Arc::new(schema),
            auto_register: auto_register_from_py(conf)?,
            ids: Mutex::default(),
        })
    }

    fn __call__<'py>(
        &self,
        py: Python<'py>,
        obj: &Bound<'py, PyAny>,
        ctx: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        if obj.is_none() {
            return Ok(None);
        }
        encode_one(py, &self.serializer(py, &subject(ctx)?)?, obj)
    }

    fn __repr__(&self) -> String {
        format!(
            "<AvroSerializer {}>",
            self.schema.name().unwrap_or("unnamed schema")
        )
    }
}

impl AvroSerializer {
    fn serializer(&self, py: Python<'_>, subject: &str) -> PyResult<Serializer> {
        Ok(self.with_id(self.schema_id(py, subject)?))
    }

    fn with_id(&self, schema_id: u32) -> Serializer {
        Serializer::Avro {
            schema_id,
            schema: Arc::clone(&self.schema),
        }
    }

    fn schema_id(&self, py: Python<'_>, subject: &str) -> PyResult<u32> {
        if let Some(id) = self.known_id(py, subject) {
            return Ok(id);
        }
        let registry = self.registry.get().client(py)?;
        let id = block_on(py, || self.ask(&registry, subject))?.map_err(Failure::Registry)?;
        self.remember(py, subject, id);
        Ok(id)
    }

    async fn ask(&self, registry: &RegistryClient, subject: &str) -> Result<u32, RegistryError> {
        if self.auto_register {
            registry.register(subject, &self.text).await
        } else {
            registry.lookup(subject, &self.text).await
        }
    }

    fn known_id(&self, _attached: Python<'_>, subject: &str) -> Option<u32> {
        self.ids().get(subject).copied()
    }

    fn remember(&self, _attached: Python<'_>, subject: &str, id: u32) {
        let mut ids = self.ids();
        if ids.len() >= MAX_SUBJECTS {
            ids.clear();
        }
        ids.insert(subject.to_owned(), id);
    }

    fn ids(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See `_core.pyi`.
#[pyclass(module = "millstream", frozen)]
pub(crate) struct AvroDeserializer {
    registry: Py<SchemaRegistryClient>,
}

#[pymethods]
impl AvroDeserializer {
    #[new]
    fn new(schema_registry_client: Py<SchemaRegistryClient>) -> Self {
        Self {
            registry: schema_registry_client,
        }
    }

    #[pyo3(signature = (data, ctx = None))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        data: Option<&Bound<'py, PyBytes>>,
        ctx: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let _ = ctx;
        let Some(data) = data else {
            return Ok(None);
        };
        let (id, datum) = frame::split(data.as_bytes()).map_err(Failure::Decode)?;
        let schema = self.registry.get().schema(py, id)?;
        let value = schema.decode(datum).map_err(Failure::Decode)?;
        let object =
            convert::to_py(py, &value)?.map_err(|error| Failure::Encode { index: None, error })?;
        Ok(Some(object))
    }
}

/// What a producer is to encode with: None takes text and bytes as they are.
pub(crate) fn serializer_for(
    py: Python<'_>,
    serializer: Option<&Bound<'_, PyAny>>,
    topic: &str,
) -> PyResult<Serializer> {
    match choose_serializer(py, serializer, topic)? {
        Choice::Ready(serializer) => Ok(serializer),
        Choice::Unregistered(avro) => avro.avro.get().serializer(py, &avro.subject),
    }
}

/// As [`serializer_for`], for a caller that must not wait: the registry is not asked yet.
pub(crate) fn choose_serializer(
    py: Python<'_>,
    serializer: Option<&Bound<'_, PyAny>>,
    topic: &str,
) -> PyResult<Choice> {
    let Some(serializer) = serializer else {
        return Ok(Choice::Ready(Serializer::Bytes));
    };
    if serializer.is_instance_of::<JSONSerializer>() {
        return Ok(Choice::Ready(Serializer::Json));
    }
    if let Ok(avro) = serializer.cast::<AvroSerializer>() {
        let subject = format!("{topic}-value");
        if let Some(id) = avro.get().known_id(py, &subject) {
            return Ok(Choice::Ready(avro.get().with_id(id)));
        }
        return Ok(Choice::Unregistered(Unregistered {
            registry: avro.get().registry.get().client(py)?,
            avro: avro.clone().unbind(),
            subject,
        }));
    }
    Err(PyTypeError::new_err(format!(
        "value_serializer is a JSONSerializer, an AvroSerializer or None, not {}",
        serializer.get_type().name()?
    )))
}

/// A serializer, or what is missing for it.
pub(crate) enum Choice {
    Ready(Serializer),
    Unregistered(Unregistered),
}

/// An Avro serializer that has not asked for its schema's id under this subject.
pub(crate) struct Unregistered {
    avro: Py<AvroSerializer>,
    registry: Arc<RegistryClient>,
    subject: String,
}

impl Unregistered {
    /// The id from the registry. Needs no attached thread.
    pub(crate) async fn ask(&self) -> Result<u32, RegistryError> {
        self.avro.get().ask(&self.registry, &self.subject).await
    }

    pub(crate) fn serializer(&self, id: u32) -> Serializer {
        self.avro.get().with_id(id)
    }

    /// Later batches need not ask.
    pub(crate) fn remember(&self, py: Python<'_>, id: u32) {
        self.avro.get().remember(py, &self.subject, id);
    }
}

fn encode_one<'py>(
    py: Python<'py>,
    serializer: &Serializer,
    object: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    if object.is_none() {
        return Ok(None);
    }
    let value = value_from_py(object)?;
    let mut bytes = Vec::new();
    serializer
        .encode(&value, &mut bytes)
        .map_err(|error| Failure::Encode { index: None, error })?;
    Ok(Some(PyBytes::new(py, &bytes)))
}

/// The subject by Confluent's `TopicNameStrategy`, from a topic's name or a `SerializationContext`.
fn subject(ctx: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(topic) = ctx.cast::<PyString>() {
        return Ok(format!("{topic}-value"));
    }
    let topic: String = ctx.getattr("topic")?.extract()?;
    let field: String = ctx.getattr("field")?.extract()?;
    Ok(format!("{topic}-{field}"))
}

fn auto_register_from_py(conf: Option<&Bound<'_, PyDict>>) -> PyResult<bool> {
    let mut auto_register = true;
    for (key, value) in conf.into_iter().flat_map(pyo3::types::PyDictMethods::iter) {
        match key.extract::<String>()?.as_str() {
            "auto.register.schemas" => auto_register = value.extract()?,
            other => {
                let text = format!(
                    "AvroSerializer has no setting {other:?}; there is auto.register.schemas"
                );
                return Err(Failure::Setting(text).into());
            }
        }
    }
    Ok(auto_register)
}
