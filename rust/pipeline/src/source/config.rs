//! What an HTTP source is told.

use super::{Paginator, RateLimit};
use crate::Secret;
use crate::http::mask::{is_secret_name, masked_text};
use crate::http::{Guard, Proxies, Retry};
use std::path::PathBuf;
use std::time::Duration;

/// Settings of an [`HttpSource`](super::HttpSource).
#[derive(Clone)]
pub struct HttpSourceConfig {
    /// An http or https URL. `user:password@` in it is sent as basic authentication and never printed.
    pub url: String,
    /// Added to the URL's query, in this order.
    pub params: Vec<(String, String)>,
    /// Sent with each request to the URL's own origin. A redirect to another origin takes along only `Accept`,
    /// `Accept-Language` and `User-Agent`.
    pub headers: Vec<(String, Secret)>,
    /// For one try as a whole: connecting, redirects, the body's last byte. Default 30 s.
    pub timeout: Duration,
    /// For name lookup, TCP and TLS of one connection. Default 10 s.
    pub connect_timeout: Duration,
    /// The longest silence of the server. Default 10 s.
    pub read_timeout: Duration,
    /// The most bytes of one page, decompressed. Default 64 MiB.
    pub max_body: usize,
    /// Path to the records in each answer, in VRL's syntax without the leading dot (`results`, `data.items`). It must
    /// lead to an array, whose items are the records, or to an object, which is one record. Default: the whole document.
    pub data_selector: Option<String>,
    /// How the next page is asked for. Default: there is only one.
    pub paginator: Paginator,
    /// When and how often a request is repeated.
    pub retry: Retry,
    /// The most requests per second, repeated ones included. Default: no limit.
    pub rate_limit: Option<RateLimit>,
    /// PEM file of the CAs to trust in place of the system's store. Default: the system's store
    /// (`SSL_CERT_FILE` and `SSL_CERT_DIR` count).
    pub ca_file: Option<PathBuf>,
    /// Default: as the environment says.
    pub proxies: Proxies,
    /// Which addresses may be talked to. Behind a proxy only hosts that are written as an address can be checked:
    /// names are resolved by the proxy.
    pub guard: Guard,
}

impl HttpSourceConfig {
    /// The defaults for a URL; reads the proxy variables of the environment.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            params: Vec::new(),
            headers: Vec::new(),
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(10),
            max_body: 64 << 20,
            data_selector: None,
            paginator: Paginator::SinglePage,
            retry: Retry::default(),
            rate_limit: None,
            ca_file: None,
            proxies: Proxies::from_environment(),
            guard: Guard::default(),
        }
    }
}

impl std::fmt::Debug for HttpSourceConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = match reqwest::Url::parse(&self.url) {
            Ok(url) => crate::http::mask::masked_url(&url),
            Err(_) => masked_text(&self.url),
        };
        let params: Vec<(&str, &str)> = self
            .params
            .iter()
            .map(|(name, value)| {
                let value = if is_secret_name(name) { "***" } else { value };
                (name.as_str(), value)
            })
            .collect();
        f.debug_struct("HttpSourceConfig")
            .field("url", &url)
            .field("params", &params)
            .field("headers", &self.headers)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("max_body", &self.max_body)
            .field("data_selector", &self.data_selector)
            .field("paginator", &self.paginator)
            .field("retry", &self.retry)
            .field("rate_limit", &self.rate_limit)
            .field("ca_file", &self.ca_file)
            .field("proxies", &self.proxies)
            .field("guard", &self.guard)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_credential() {
        let config = HttpSourceConfig {
            params: vec![
                ("api_key".into(), "s3cr3t".into()),
                ("page".into(), "2".into()),
            ],
            headers: vec![("X-Any".into(), Secret::new("s3cr3t"))],
            ..HttpSourceConfig::new("https://user:s3cr3t@h.example/")
        };
        let shown = format!("{config:?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
        assert!(shown.contains(r#"("page", "2")"#), "{shown}");
        let broken = HttpSourceConfig::new("htp//user:s3cr3t@h");
        assert!(!format!("{broken:?}").contains("s3cr3t"));
    }
}
