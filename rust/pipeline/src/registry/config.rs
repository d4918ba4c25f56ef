//! What a registry client is told.

use crate::Secret;
use crate::http::mask::{masked_text, masked_url};
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the client.
#[derive(Clone)]
pub struct RegistryConfig {
    /// Base URL; may carry a path (`http://localhost:8081/apis/ccompat/v7`). `user:password@` in it works as
    /// `username` and `password` do, which win over it.
    pub url: String,
    /// For basic authentication, with `password`.
    pub username: Option<String>,
    /// For basic authentication, with `username`.
    pub password: Option<Secret>,
    /// Sent as `Authorization: Bearer`; not together with `username`.
    pub bearer_token: Option<Secret>,
    /// PEM file of the CAs to trust in place of the system's store.
    pub ca_file: Option<PathBuf>,
    /// For one request as a whole. Default 5 s; of it at most 2 s for connecting.
    pub request_timeout: Duration,
}

impl RegistryConfig {
    /// The defaults for a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            username: None,
            password: None,
            bearer_token: None,
            ca_file: None,
            request_timeout: Duration::from_secs(5),
        }
    }
}

impl std::fmt::Debug for RegistryConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // `user:password@` may stand in the URL.
        let url = match reqwest::Url::parse(&self.url) {
            Ok(url) => masked_url(&url),
            Err(_) => masked_text(&self.url),
        };
        f.debug_struct("RegistryConfig")
            .field("url", &url)
            .field("username", &self.username)
            .field("password", &self.password)
            .field("bearer_token", &self.bearer_token)
            .field("ca_file", &self.ca_file)
            .field("request_timeout", &self.request_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_credential() {
        let config = RegistryConfig {
            password: Some(Secret::new("s3cr3t")),
            bearer_token: Some(Secret::new("s3cr3t")),
            ..RegistryConfig::new("http://ada:s3cr3t@h.example/")
        };
        let shown = format!("{config:?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
        let broken = RegistryConfig::new("htp//ada:s3cr3t@h");
        assert!(!format!("{broken:?}").contains("s3cr3t"));
    }
}
