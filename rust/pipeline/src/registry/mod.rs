//! A client of any Schema Registry that speaks Confluent's API v7.

use millstream_codec::avro::AvroSchema;
use std::sync::Arc;

/// Settings of the client. `url` may carry a path (`/apis/ccompat/v7`).
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    pub url: String,
    pub username: Option<String>,
    pub password: Option<crate::Secret>,
    pub bearer_token: Option<crate::Secret>,
    pub ca_file: Option<std::path::PathBuf>,
    pub request_timeout: std::time::Duration,
}

/// Why the registry gave no schema.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    /// 404 / error_code 40403 after three tries over 5 s; kept for 60 s. A record fault (`schema_not_found`).
    #[error("schema {id} is not in the registry at {url}")]
    NotFound { id: u32, url: String },
    /// The schema is there but cannot be used (Protobuf, recursive ...): `schema_type_unsupported`, `schema_unsupported`, `schema_recursive`. A record fault.
    #[error("schema {id}: {error}")]
    Unusable {
        id: u32,
        error: millstream_codec::SchemaError,
    },
    /// 401, 403: a configuration fault.
    #[error("registry {url} refuses us: {detail}; check schema_registry.username and password")]
    Refused { url: String, detail: String },
    /// Not reachable, 429, 5xx, an answer that is not the registry's: transient.
    #[error("registry {url}: {detail}")]
    Unavailable { url: String, detail: String },
    /// The subject or the schema sent is refused (409, 422): permanent for this call.
    #[error("registry {url} refuses the schema for subject {subject}: {detail}")]
    Incompatible {
        url: String,
        subject: String,
        detail: String,
    },
}
impl RegistryError {
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// The client: cache bounded, single flight per id. Clone shares.
#[derive(Debug, Clone)]
pub struct RegistryClient {/* private Arc */}

impl RegistryClient {
    /// No IO.
    pub fn new(_config: RegistryConfig) -> Result<Self, RegistryError> {
        todo!()
    }
    /// From the cache alone; `None` means `avro_schema` must be awaited.
    pub fn cached(&self, _id: u32) -> Option<Arc<AvroSchema>> {
        todo!()
    }
    /// The compiled Avro schema of an id. One request however many wait.
    pub async fn avro_schema(&self, _id: u32) -> Result<Arc<AvroSchema>, RegistryError> {
        todo!()
    }
    /// Registers (idempotent: the same schema gives the same id) and returns the id.
    pub async fn register(&self, _subject: &str, _schema: &str) -> Result<u32, RegistryError> {
        todo!()
    }
    /// The id of a schema that must already be there under the subject.
    pub async fn lookup(&self, _subject: &str, _schema: &str) -> Result<u32, RegistryError> {
        todo!()
    }
    /// GET /subjects: for `validate` and readiness.
    pub async fn subjects(&self) -> Result<Vec<String>, RegistryError> {
        todo!()
    }
}
