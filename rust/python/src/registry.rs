//! The Schema Registry's client.

use crate::errors::Failure;
use crate::per_process::PerProcess;
use crate::runtime::block_on;
use crate::source::positive_seconds;
use millstream_codec::avro::AvroSchema;
use millstream_pipeline::Secret;
use millstream_pipeline::registry::{RegistryClient, RegistryConfig};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// See `_core.pyi`.
#[pyclass(module = "millstream", frozen)]
pub(crate) struct SchemaRegistryClient {
    config: RegistryConfig,
    client: PerProcess<RegistryClient>,
}

#[pymethods]
impl SchemaRegistryClient {
    #[new]
    fn new(py: Python<'_>, conf: &Bound<'_, PyDict>) -> PyResult<Self> {
        let registry = Self {
            config: config_from_py(conf)?,
            client: PerProcess::new(),
        };
        // A wrong setting is told here; no request is made.
        registry.client(py)?;
        Ok(registry)
    }

    fn register_schema(
        &self,
        py: Python<'_>,
        subject_name: &str,
        schema: &Bound<'_, PyAny>,
    ) -> PyResult<u32> {
        let (client, text) = (self.client(py)?, schema_text(schema)?);
        Ok(block_on(py, || client.register(subject_name, &text))?.map_err(Failure::Registry)?)
    }

    fn lookup_schema(
        &self,
        py: Python<'_>,
        subject_name: &str,
        schema: &Bound<'_, PyAny>,
    ) -> PyResult<u32> {
        let (client, text) = (self.client(py)?, schema_text(schema)?);
        Ok(block_on(py, || client.lookup(subject_name, &text))?.map_err(Failure::Registry)?)
    }

    fn get_subjects(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let client = self.client(py)?;
        Ok(block_on(py, || client.subjects())?.map_err(Failure::Registry)?)
    }

    fn __repr__(&self) -> String {
        format!("<{:?}>", self.config).replacen("RegistryConfig", "SchemaRegistryClient", 1)
    }
}

impl SchemaRegistryClient {
    /// The client of this process.
    pub(crate) fn client(&self, py: Python<'_>) -> PyResult<Arc<RegistryClient>> {
        self.client
            .get_or_make(py, || RegistryClient::new(self.config.clone()))
            .map_err(|error| Failure::Registry(error).into())
    }

    /// The schema an id stands for, from the cache where it is there.
    pub(crate) fn schema(&self, py: Python<'_>, id: u32) -> PyResult<Arc<AvroSchema>> {
        let client = self.client(py)?;
        if let Some(schema) = client.cached(id) {
            return Ok(schema);
        }
        Ok(block_on(py, || client.avro_schema(id))?.map_err(Failure::Registry)?)
    }
}

/// A text, or an object that carries one as Confluent's `Schema` does.
fn schema_text(schema: &Bound<'_, PyAny>) -> PyResult<String> {
    match schema.extract::<String>() {
        Ok(text) => Ok(text),
        Err(_) => schema.getattr("schema_str")?.extract(),
    }
}

/// A setting's text. What stands there instead is not shown: it may be a secret.
fn text(key: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    value
        .extract()
        .map_err(|_| Failure::Setting(format!("the registry's `{key}` is text")).into())
}

fn config_from_py(conf: &Bound<'_, PyDict>) -> PyResult<RegistryConfig> {
    let setting = |text: String| -> PyErr { Failure::Setting(text).into() };
    let mut config: Option<RegistryConfig> = None;
    if let Some(url) = conf.get_item("url")? {
        config = Some(RegistryConfig::new(text("url", &url)?));
    }
    let mut config = config.ok_or_else(|| setting("the registry's `url` is not set".to_owned()))?;
    for (key, value) in conf.iter() {
        match key.extract::<String>()?.as_str() {
            "url" => {}
            "basic.auth.user.info" => {
                let info = text("basic.auth.user.info", &value)?;
                let (user, password) = info.split_once(':').ok_or_else(|| {
                    setting("`basic.auth.user.info` is not `user:password`".to_owned())
                })?;
                config.username = Some(user.to_owned());
                config.password = Some(Secret::new(password));
            }
            "bearer.auth.token" => {
                config.bearer_token = Some(Secret::new(text("bearer.auth.token", &value)?));
            }
            "ssl.ca.location" => config.ca_file = Some(value.extract()?),
            "timeout" => config.request_timeout = positive_seconds("timeout", value.extract()?)?,
            other => {
                return Err(setting(format!(
                    "the registry has no setting {other:?}; there are url, basic.auth.user.info, bearer.auth.token, \
                     ssl.ca.location and timeout"
                )));
            }
        }
    }
    Ok(config)
}
