//! The source itself: asks for pages until there are no more.

use super::paginator::{Position, Step, Walk, body_hash};
use super::rate::Bucket;
use super::{FetchError, FetchErrorKind, HttpSourceConfig, page};
use crate::http::mask::{Secrets, is_secret_name, masked_text, masked_url};
use crate::http::retry::{self, Failure, GaveUp, is_retried_status, parse_retry_after};
use crate::http::{Answer, Client, Fault, Options, Request, Retry};
use base64::Engine;
use millstream_codec::{Path, Value};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a source has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FetchStats {
    /// Pages given.
    pub pages: u64,
    /// Records given.
    pub records: u64,
    /// Requests begun, repeated ones included.
    pub requests: u64,
    /// Bytes of the pages, decompressed.
    pub bytes: u64,
}

/// An HTTP API as a sequence of pages. Makes no request before the first page is asked for.
///
/// At most one request is under way. A page that failed is asked for again by the next call: no page is left out.
#[derive(Debug)]
pub struct HttpSource {
    shared: Arc<Shared>,
    walk: Walk,
    bucket: Option<Bucket>,
    stats: FetchStats,
}

/// What does not change while pages are fetched.
#[derive(Debug)]
struct Shared {
    client: Client,
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
    max_body: usize,
    selector: Option<Path>,
    retry: Retry,
    secrets: Secrets,
}

/// A page before the walk has judged it.
struct Fetched {
    records: Vec<Value>,
    bytes: u64,
    hash: u64,
}

impl HttpSource {
    /// Checks every setting; reads the CA file and the trust store, makes no request.
    pub fn new(config: HttpSourceConfig) -> Result<Self, FetchError> {
        let shown = masked_text(&config.url);
        let failed = |fault: Fault, url: &str| FetchError {
            kind: fault.into(),
            url: url.to_owned(),
            attempts: 0,
        };
        let url = Url::parse(&config.url).map_err(|error| {
            let detail = format!("{error}; write http://host/path or https://host/path");
            failed(Fault::InvalidUrl { detail }, &shown)
        })?;
        let shown = masked_url(&url);
        Self::build(config, url).map_err(|fault| failed(fault, &shown))
    }

    fn build(config: HttpSourceConfig, mut url: Url) -> Result<Self, Fault> {
        crate::http::address::check_url(&url, config.guard)?;
        check_limits(&config)?;
        config.paginator.check()?;
        let selector = match &config.data_selector {
            Some(text) => Some(Path::parse(text).map_err(|error| Fault::InvalidSetting {
                name: "data_selector",
                detail: error.to_string(),
            })?),
            None => None,
        };
        let mut headers = headers(&config)?;
        if let Some(basic) = take_basic_auth(&mut url) {
            headers.insert(header::AUTHORIZATION, basic);
        }
        let secrets = secrets(&config, &headers);
        url.set_fragment(None);
        if !config.params.is_empty() {
            url.query_pairs_mut().extend_pairs(&config.params);
        }
        let client = Client::new(&Options {
            connect_timeout: config.connect_timeout,
            read_timeout: config.read_timeout,
            ca_file: config.ca_file,
            guard: config.guard,
            proxies: config.proxies,
        })?;
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                url,
                headers,
                timeout: config.timeout,
                max_body: config.max_body,
                selector,
                retry: config.retry,
                secrets,
            }),
            walk: Walk::new(config.paginator),
            bucket: config.rate_limit.map(Bucket::new),
            stats: FetchStats::default(),
        })
    }

    /// The same source at its first page. Shares the connections; the rate limit goes on from where this one is.
    #[must_use]
    pub fn restarted(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            walk: self.walk.restarted(),
            bucket: self.bucket.clone(),
            stats: FetchStats::default(),
        }
    }

    /// What has been done so far.
    pub fn stats(&self) -> FetchStats {
        self.stats
    }

    /// Fetches the next page; `None` after the last one. A page without records ends a [`Paginator`](super::Paginator)
    /// that stops on empty pages, and is not given.
    ///
    /// Retries as configured. When `stop` is cancelled the request under way is dropped and the error is
    /// [`FetchErrorKind::Stopped`]. After an error the position stays where it was.
    pub async fn next_page(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<Option<Vec<Value>>, FetchError> {
        if matches!(self.walk.position(), Position::End) {
            return Ok(None);
        }
        let shared = &self.shared;
        let url = page_url(&shared.url, self.walk.param());
        let failed = |kind, attempts| FetchError {
            kind,
            url: masked_url(&url),
            attempts,
        };
        let (bucket, requests) = (&mut self.bucket, &mut self.stats.requests);
        let result = retry::run(
            &shared.retry,
            rand::random::<f64>,
            stop,
            || {
                let start = bucket.as_mut().map(|bucket| bucket.take(Instant::now()));
                *requests += 1;
                shared.fetch(&url, start)
            },
            |cause, attempt, wait| shared.tell_of_retry(&url, cause, attempt, wait),
        )
        .await;
        let fetched = result.map_err(|gave_up| match gave_up {
            GaveUp::Stopped { attempts } => failed(FetchErrorKind::Stopped, attempts),
            GaveUp::Failed { error, attempts } => failed(error, attempts),
        })?;
        let next = self
            .walk
            .advance(fetched.records.len(), fetched.hash)
            .map_err(|detail| failed(FetchErrorKind::Paginator { detail }, 1))?;
        if next == Step::End {
            return Ok(None);
        }
        self.stats.pages += 1;
        self.stats.records += fetched.records.len() as u64;
        self.stats.bytes += fetched.bytes;
        Ok(Some(fetched.records))
    }
}

impl Shared {
    /// One try, not before `start`: request, status, decoding.
    async fn fetch(
        &self,
        url: &Url,
        start: Option<Instant>,
    ) -> Result<Fetched, Failure<FetchErrorKind>> {
        if let Some(start) = start {
            tokio::time::sleep_until(start).await;
        }
        let request = Request {
            method: Method::GET,
            url: url.clone(),
            headers: self.headers.clone(),
            body: None,
            timeout: self.timeout,
            max_body: self.max_body,
        };
        let answer = self.client.send(request).await.map_err(|fault| Failure {
            again: fault.retryable(),
            error: fault.into(),
            asked: None,
        })?;
        if !answer.status.is_success() {
            return Err(self.refused(&answer));
        }
        self.decode(answer).await.map_err(|error| Failure {
            again: error.retryable(),
            error,
            asked: None,
        })
    }

    /// A line for whoever wonders where the time goes; at most `max_attempts - 1` of them for a page.
    fn tell_of_retry(&self, url: &Url, cause: &FetchErrorKind, attempt: u32, wait: Duration) {
        tracing::warn!(
            target: "millstream::source",
            "{}: {cause}; attempt {attempt} of {}, the next in {:.1} s",
            masked_url(url),
            self.retry.max_attempts,
            wait.as_secs_f64(),
        );
    }

    fn refused(&self, answer: &Answer) -> Failure<FetchErrorKind> {
        // The server's own clock is the better one to read its date with.
        let now = answer
            .header(header::DATE)
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .unwrap_or_else(SystemTime::now);
        let asked = answer
            .header(header::RETRY_AFTER)
            .and_then(|value| parse_retry_after(value, now));
        let status = answer.status.as_u16();
        let error = if status == 429 {
            FetchErrorKind::RateLimited { retry_after: asked }
        } else {
            let detail = self.secrets.hide(&String::from_utf8_lossy(&answer.body));
            FetchErrorKind::Status { status, detail }
        };
        Failure {
            error,
            again: is_retried_status(status),
            asked,
        }
    }

    /// Decodes away from the runtime's threads: a page may be tens of megabytes.
    async fn decode(&self, answer: Answer) -> Result<Fetched, FetchErrorKind> {
        let selector = self.selector.clone();
        let decoding = tokio::task::spawn_blocking(move || {
            let content_type = answer.header(header::CONTENT_TYPE);
            let status = answer.status.as_u16();
            let records = page::records(&answer.body, status, content_type, selector.as_ref())?;
            Ok(Fetched {
                records,
                bytes: answer.body.len() as u64,
                hash: body_hash(&answer.body),
            })
        });
        // The task neither panics nor is it aborted: it fails to run only when the runtime is going down.
        decoding.await.unwrap_or(Err(FetchErrorKind::Stopped))
    }
}

fn page_url(url: &Url, param: Option<(&str, u64)>) -> Url {
    let mut url = url.clone();
    let Some((name, number)) = param else {
        return url;
    };
    if url.query_pairs().any(|(given, _)| given == name) {
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(given, _)| given != name)
            .map(|(given, value)| (given.into_owned(), value.into_owned()))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(kept);
    }
    url.query_pairs_mut().append_pair(name, &number.to_string());
    url
}

fn check_limits(config: &HttpSourceConfig) -> Result<(), Fault> {
    let invalid = |name, detail: &str| {
        Err(Fault::InvalidSetting {
            name,
            detail: detail.to_owned(),
        })
    };
    for (name, duration) in [
        ("timeout", config.timeout),
        ("connect_timeout", config.connect_timeout),
        ("read_timeout", config.read_timeout),
    ] {
        if duration.is_zero() || duration > Duration::from_hours(24) {
            return invalid(name, "must be above 0 and at most a day");
        }
    }
    if config.max_body == 0 {
        return invalid("max_body", "must be above 0");
    }
    if config.retry.max_attempts == 0 {
        return invalid("retry", "max_attempts must be at least 1");
    }
    match config.rate_limit {
        Some(limit) => limit.check(),
        None => Ok(()),
    }
}

fn headers(config: &HttpSourceConfig) -> Result<HeaderMap, Fault> {
    let invalid = |detail: String| Fault::InvalidSetting {
        name: "headers",
        detail,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| invalid(format!("{name:?} is not a header name")))?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
            invalid(format!(
                "the value of {name} holds a line break or another control character"
            ))
        })?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    headers
        .entry(header::ACCEPT)
        .or_insert(HeaderValue::from_static("application/json"));
    Ok(headers)
}

/// Takes user and password out of the URL; `requests` gives them precedence over an `Authorization` header, so does this.
fn take_basic_auth(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let plain = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let mut pair = plain(url.username());
    pair.push(b':');
    pair.extend(plain(url.password().unwrap_or_default()));
    // Either call fails only for URLs without a host, which were refused before.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Every credential we send, for hiding it where the server echoes it.
fn secrets(config: &HttpSourceConfig, headers: &HeaderMap) -> Secrets {
    let from_url = Url::parse(&config.url).ok();
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let password = from_url.as_ref().and_then(Url::password).map(decoded);
    let in_url = from_url.iter().flat_map(|url| {
        url.query_pairs()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect::<Vec<_>>()
    });
    let params = in_url
        .chain(config.params.iter().cloned())
        .filter(|(name, _)| is_secret_name(name))
        .map(|(_, value)| value);
    let sent = headers
        .iter()
        .filter(|(name, _)| *name != header::ACCEPT && *name != header::USER_AGENT)
        .filter_map(|(_, value)| value.to_str().ok())
        // A scheme word such as "Bearer" may be left out where the value is echoed.
        .flat_map(|value| value.split(' ').chain([value]).map(str::to_owned));
    Secrets::new(sent.chain(params).chain(password))
}
