//! Records to bytes and back, one at a time or as the value serializer of a producer.

use crate::convert;
use crate::errors::Failure;
use crate::records::value_from_py;
use crate::registry::SchemaRegistryClient;
use millstream_codec::avro::AvroSchema;
use millstream_codec::frame;
use millstream_pipeline::kafka::producer::Serializer;
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
        Ok(Serializer::Avro {
            schema_id: self.schema_id(py, subject)?,
            schema: Arc::clone(&self.schema),
        })
    }

    fn schema_id(&self, py: Python<'_>, subject: &str) -> PyResult<u32> {
        let known = self.ids().get(subject).copied();
        if let Some(id) = known {
            return Ok(id);
        }
        let registry = self.registry.get();
        let id = if self.auto_register {
            registry.register(py, subject, &self.text)?
        } else {
            registry.lookup(py, subject, &self.text)?
        };
        let mut ids = self.ids();
        if ids.len() >= MAX_SUBJECTS {
            ids.clear();
        }
        ids.insert(subject.to_owned(), id);
        Ok(id)
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
    let Some(serializer) = serializer else {
        return Ok(Serializer::Bytes);
    };
    if serializer.is_instance_of::<JSONSerializer>() {
        return Ok(Serializer::Json);
    }
    if let Ok(avro) = serializer.cast::<AvroSerializer>() {
        return avro.get().serializer(py, &format!("{topic}-value"));
    }
    Err(PyTypeError::new_err(format!(
        "value_serializer is a JSONSerializer, an AvroSerializer or None, not {}",
        serializer.get_type().name()?
    )))
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
