//! The client: what is asked of the registry, and what is made of its answers.

use super::cache::Cache;
use super::resolve::{Unresolved, check_type, references};
use super::wire::{self, CONTENT_TYPE, IdDocument, Said, SchemaDocument, SchemaRequest, Trouble};
use super::{RegistryConfig, RegistryError};
use crate::http::mask::{masked_text, masked_url};
use crate::http::retry::{self, Failure, GaveUp, parse_retry_after};
use crate::http::{Client, Fault, Guard, Options, Proxies, Request, Retry};
use base64::Engine;
use millstream_codec::avro::AvroSchema;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// A schema and its references are at most this large each.
const MAX_SCHEMA: usize = 1 << 20;
/// The list of subjects grows with the registry, not with one schema.
const MAX_SUBJECTS: usize = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Waits between the three tries of an id the registry says it does not have: it may have been registered just now,
/// on another node.
const NOT_FOUND_WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// Short hiccups are ridden out here; longer outages are the caller's to wait for.
const RETRY: Retry = Retry {
    max_attempts: 3,
    base: Duration::from_millis(100),
    cap: Duration::from_secs(1),
    retry_after_cap: Duration::from_secs(5),
};

/// The client: cache bounded (1,000 schemas, 1,000 verdicts of 60 s), one request per id at a time. Clone shares.
#[derive(Clone)]
pub struct RegistryClient {
    inner: Arc<Inner>,
}

struct Inner {
    http: Client,
    base: Url,
    headers: HeaderMap,
    timeout: Duration,
    not_found_waits: Vec<Duration>,
    /// Masked, for messages.
    shown: String,
    cache: Arc<Cache>,
}

impl std::fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryClient")
            .field("url", &self.inner.shown)
            .finish_non_exhaustive()
    }
}

impl RegistryClient {
    /// Checks the settings, reads the CA file and the proxy variables; no network.
    pub fn new(config: RegistryConfig) -> Result<Self, RegistryError> {
        Self::with_not_found_waits(config, NOT_FOUND_WAITS.to_vec())
    }

    /// As [`new`](Self::new), with another schedule for ids the registry does not have: one more try than waits.
    pub fn with_not_found_waits(
        config: RegistryConfig,
        not_found_waits: Vec<Duration>,
    ) -> Result<Self, RegistryError> {
        let invalid = |shown: &str, detail: String| RegistryError::InvalidConfig {
            url: shown.to_owned(),
            detail,
        };
        let mut base = Url::parse(&config.url)
            .map_err(|error| invalid(&masked_text(&config.url), format!("url: {error}")))?;
        let shown = masked_url(&base);
        crate::http::address::check_url(&base, Guard::Metadata)
            .map_err(|fault| invalid(&shown, format!("url: {fault}")))?;
        if config.request_timeout.is_zero() {
            return Err(invalid(
                &shown,
                "request_timeout must be above 0".to_owned(),
            ));
        }
        let headers = headers(&config, &base).map_err(|detail| invalid(&shown, detail))?;
        let http = Client::new(&Options {
            connect_timeout: CONNECT_TIMEOUT.min(config.request_timeout),
            read_timeout: config.request_timeout,
            ca_file: config.ca_file,
            guard: Guard::Metadata,
            proxies: Proxies::from_environment(),
        })
        .map_err(|fault| invalid(&shown, fault.to_string()))?;
        // Either call fails only for URLs without a host, which were refused above.
        let _ = base.set_password(None);
        let _ = base.set_username("");
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                base,
                headers,
                timeout: config.request_timeout,
                not_found_waits,
                shown,
                cache: Arc::new(Cache::new()),
            }),
        })
    }

    /// From the cache alone; `None` means `avro_schema` must be awaited.
    pub fn cached(&self, id: u32) -> Option<Arc<AvroSchema>> {
        self.inner.cache.schema(id)
    }

    /// The compiled Avro schema of an id. One request however many wait; safe to drop at any await.
    ///
    /// Takes at most three requests' timeouts and the waits between them; an id that is not there takes 5 s to be
    /// believed missing, and then 60 s go by before the registry is asked again.
    pub async fn avro_schema(&self, id: u32) -> Result<Arc<AvroSchema>, RegistryError> {
        // The registry's ids are positive 32-bit signed integers.
        if id == 0 || i32::try_from(id).is_err() {
            return Err(self.inner.not_found(id));
        }
        let inner = Arc::clone(&self.inner);
        self.inner
            .cache
            .get(id, move || async move { inner.fetch(id).await })
            .await
    }

    /// Registers (idempotent: the same schema gives the same id) and returns the id.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        self.inner
            .post_schema(&["subjects", subject, "versions"], subject, schema)
            .await
    }

    /// The id of a schema that must already be there under the subject.
    pub async fn lookup(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        self.inner
            .post_schema(&["subjects", subject], subject, schema)
            .await
    }

    /// GET /subjects: for `validate` and readiness.
    pub async fn subjects(&self) -> Result<Vec<String>, RegistryError> {
        let said = self.inner.get(&["subjects"], MAX_SUBJECTS).await?;
        self.inner.expect_found(said)
    }
}

impl Inner {
    /// Asks for an id and all it refers to.
    async fn fetch(&self, id: u32) -> Result<Arc<AvroSchema>, RegistryError> {
        let unusable = |error| RegistryError::Unusable { id, error };
        let document = self.document(id).await?;
        check_type(&document).map_err(unusable)?;
        let texts = references(&document, |reference| async move {
            let version = reference.version.to_string();
            let path = ["subjects", &reference.subject, "versions", &version];
            match self.get(&path, MAX_SCHEMA).await? {
                Said::Found(found) => Ok(Some(found)),
                Said::Missing(_) => Ok(None),
                Said::Rejected(words) => Err(self.unavailable(format!("answered {words}"))),
            }
        })
        .await
        .map_err(|unresolved| match unresolved {
            Unresolved::Unusable(error) => unusable(error),
            Unresolved::Failed(error) => error,
        })?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        AvroSchema::parse(&document.schema, &texts)
            .map(Arc::new)
            .map_err(unusable)
    }

    async fn document(&self, id: u32) -> Result<SchemaDocument, RegistryError> {
        let text = id.to_string();
        let mut waits = self.not_found_waits.iter();
        loop {
            match self.get(&["schemas", "ids", &text], MAX_SCHEMA).await? {
                Said::Missing(_) => match waits.next() {
                    Some(wait) => tokio::time::sleep(*wait).await,
                    None => return Err(self.not_found(id)),
                },
                said => return self.expect_found(said),
            }
        }
    }

    async fn post_schema(
        &self,
        path: &[&str],
        subject: &str,
        schema: &str,
    ) -> Result<u32, RegistryError> {
        let body = serde_json::to_vec(&SchemaRequest { schema }).map_err(|error| {
            // Texts always serialize; should that change, the schema is what cannot be sent.
            self.incompatible(subject, error.to_string())
        })?;
        let request = self.request(Method::POST, path, Some(body.into()), MAX_SCHEMA)?;
        match self.ask::<IdDocument>(request).await? {
            Said::Found(IdDocument { id }) => Ok(id),
            Said::Missing(words) | Said::Rejected(words) => Err(self.incompatible(subject, words)),
        }
    }

    async fn get<T: for<'de> serde::Deserialize<'de>>(
        &self,
        path: &[&str],
        max_body: usize,
    ) -> Result<Said<T>, RegistryError> {
        self.ask(self.request(Method::GET, path, None, max_body)?)
            .await
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        body: Option<bytes::Bytes>,
        max_body: usize,
    ) -> Result<Request, RegistryError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| self.unavailable("the URL cannot carry a path".to_owned()))?
            .pop_if_empty()
            .extend(path);
        let mut headers = self.headers.clone();
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        }
        Ok(Request {
            method,
            url,
            headers,
            body,
            timeout: self.timeout,
            max_body,
        })
    }

    /// Sends a request, which the registry answers the same however often it is asked.
    async fn ask<T: for<'de> serde::Deserialize<'de>>(
        &self,
        request: Request,
    ) -> Result<Said<T>, RegistryError> {
        let never = CancellationToken::new();
        let result = retry::run(
            &RETRY,
            rand::random::<f64>,
            &never,
            || async {
                let answer = self
                    .http
                    .send(request.clone())
                    .await
                    .map_err(|fault| of_fault(&fault))?;
                let asked = answer
                    .header(header::RETRY_AFTER)
                    .and_then(|value| parse_retry_after(value, SystemTime::now()));
                wire::read(&answer).map_err(|trouble| Failure {
                    again: matches!(trouble, Trouble::Unavailable { again: true, .. }),
                    error: trouble,
                    asked,
                })
            },
            |_, _, _| (),
        )
        .await;
        result.map_err(|gave_up| match gave_up {
            GaveUp::Failed {
                error: Trouble::Refused(detail),
                ..
            } => RegistryError::Refused {
                url: self.shown.clone(),
                detail,
            },
            GaveUp::Failed {
                error: Trouble::Unavailable { detail, .. },
                ..
            } => self.unavailable(detail),
            // Nobody holds the token.
            GaveUp::Stopped { .. } => self.unavailable("stopped".to_owned()),
        })
    }

    /// For requests whose answer can only be there: anything else is not a registry's answer.
    fn expect_found<T>(&self, said: Said<T>) -> Result<T, RegistryError> {
        match said {
            Said::Found(found) => Ok(found),
            Said::Missing(words) | Said::Rejected(words) => {
                Err(self.unavailable(format!("answered {words}")))
            }
        }
    }

    fn not_found(&self, id: u32) -> RegistryError {
        RegistryError::NotFound {
            id,
            url: self.shown.clone(),
        }
    }

    fn unavailable(&self, detail: String) -> RegistryError {
        RegistryError::Unavailable {
            url: self.shown.clone(),
            detail,
        }
    }

    fn incompatible(&self, subject: &str, detail: String) -> RegistryError {
        RegistryError::Incompatible {
            url: self.shown.clone(),
            subject: subject.to_owned(),
            detail,
        }
    }
}

/// Whatever keeps an answer away is an outage here: settings were checked, and the registry's name may move.
fn of_fault(fault: &Fault) -> Failure<Trouble> {
    Failure {
        again: fault.retryable(),
        error: Trouble::Unavailable {
            detail: fault.to_string(),
            again: fault.retryable(),
        },
        asked: None,
    }
}

fn headers(config: &RegistryConfig, base: &Url) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let accept = "application/vnd.schemaregistry.v1+json, application/json; q=0.9";
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    if let Some(text) = authorization(config, base)? {
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| "bearer_token holds a character that no header can carry".to_owned())?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(headers)
}

fn authorization(config: &RegistryConfig, base: &Url) -> Result<Option<String>, String> {
    let plain = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let (user, password) = match (&config.username, &config.password) {
        (None, Some(_)) => return Err("password without username; set both".to_owned()),
        (Some(user), password) => (
            user.clone(),
            password.as_ref().map_or("", |p| p.expose()).to_owned(),
        ),
        (None, None) => (
            plain(base.username()),
            plain(base.password().unwrap_or_default()),
        ),
    };
    let basic = !user.is_empty() || !password.is_empty();
    match &config.bearer_token {
        Some(_) if basic => Err("bearer_token and username; set one of them".to_owned()),
        Some(token) => Ok(Some(format!("Bearer {}", token.expose()))),
        None if basic => {
            let pair = format!("{user}:{password}");
            let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
            Ok(Some(format!("Basic {encoded}")))
        }
        None => Ok(None),
    }
}
