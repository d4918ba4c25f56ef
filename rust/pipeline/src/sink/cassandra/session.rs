//! Opening a session.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::NewSessionError;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::FallthroughRetryPolicy;

pub use scylla::frame::types::Consistency;

use crate::Secret;
use crate::sink::SinkError;

/// How to reach a cluster.
#[derive(Debug, Clone)]
pub struct CassandraConfig {
    /// `host:port` of some nodes; the rest is found.
    pub contact_points: Vec<String>,
    /// Only nodes of this datacenter coordinate; all when not given.
    pub local_datacenter: Option<String>,
    /// Name for password authentication.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Consistency of the writes.
    pub consistency: Consistency,
    /// How long one attempt may take.
    pub request_timeout: Duration,
    /// PEM file with the authority that signed the nodes' certificates: turns TLS on.
    pub ca_file: Option<PathBuf>,
    /// PEM files with our certificate and its private key, for nodes that ask for one. Needs `ca_file`.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

/// Opens a session; one attempt, the caller waits and tries again.
pub async fn connect(config: &CassandraConfig) -> Result<Arc<Session>, SinkError> {
    let mut balancing = DefaultPolicy::builder().token_aware(true);
    if let Some(datacenter) = &config.local_datacenter {
        balancing = balancing.prefer_datacenter(datacenter.clone());
    }
    let profile = ExecutionProfile::builder()
        .consistency(config.consistency)
        .request_timeout(Some(config.request_timeout))
        .load_balancing_policy(balancing.build())
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.contact_points)
        .default_execution_profile_handle(profile.into_handle())
        .connection_timeout(Duration::from_secs(5))
        .keepalive_interval(Duration::from_secs(5))
        .keepalive_timeout(Duration::from_secs(5))
        .tcp_nodelay(true);
    if let (Some(username), Some(password)) = (&config.username, &config.password) {
        builder = builder.user(username, password.expose());
    }
    if let Some(ca_file) = &config.ca_file {
        builder = builder.tls_context(Some(tls(ca_file, config.client_certificate.as_ref())?));
    }
    let session = builder
        .build()
        .await
        .map_err(|error| classify_session(&error, config))?;
    Ok(Arc::new(session))
}

fn tls(
    ca_file: &Path,
    client: Option<&(PathBuf, PathBuf)>,
) -> Result<Arc<rustls::ClientConfig>, SinkError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates("ca_file", ca_file)? {
        roots
            .add(certificate)
            .map_err(|error| broken("ca_file", ca_file, error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| broken("ca_file", ca_file, error))?
        .with_root_certificates(roots);
    let Some((cert_file, key_file)) = client else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let chain = certificates("cert_file", cert_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|error| broken("key_file", key_file, error))?;
    let config = builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| broken("key_file", key_file, error))?;
    Ok(Arc::new(config))
}

/// The certificates of a PEM file; at least one.
fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, SinkError> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = found.map_err(|error| broken(key, path, error))?;
    if found.is_empty() {
        return Err(broken(key, path, "holds no certificate"));
    }
    Ok(found)
}

fn broken(key: &str, path: &Path, detail: impl std::fmt::Display) -> SinkError {
    SinkError::Configuration(format!("cassandra.{key} {}: {detail}", path.display()))
}

fn classify_session(error: &NewSessionError, config: &CassandraConfig) -> SinkError {
    let text = error
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let nodes = config.contact_points.join(", ");
    let lower = text.to_lowercase();
    if lower.contains("authenticat") || lower.contains("credentials") {
        let user = config.username.as_deref().unwrap_or("(none)");
        return SinkError::Configuration(format!(
            "authentication failed for user {user} at {nodes}; check cassandra.username and password"
        ));
    }
    // The driver tells the way to the fault, and the fault last.
    let fault = text.rsplit("failed with: ").next().unwrap_or(&text);
    SinkError::Transient(format!("Cassandra at {nodes} is not reachable: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn fault(result: Result<Arc<rustls::ClientConfig>, SinkError>) -> String {
        match result {
            Err(SinkError::Configuration(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_tls_file_that_cannot_be_used_is_named() {
        let folder = tempfile::TempDir::new().unwrap();
        let (one, other) = ["a.test", "b.test"]
            .map(|name| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap())
            .into();
        let ca = file(&folder, "ca.pem", &one.cert.pem());
        let cert = file(&folder, "cert.pem", &one.cert.pem());
        let key = file(&folder, "key.pem", &one.signing_key.serialize_pem());
        let wrong_key = file(&folder, "wrong.pem", &other.signing_key.serialize_pem());
        let garbage = file(&folder, "garbage.pem", "x");
        assert!(tls(&ca, None).is_ok());
        assert!(tls(&ca, Some(&(cert.clone(), key.clone()))).is_ok());
        let text = fault(tls(&garbage, None));
        assert!(
            text.contains("ca_file") && text.contains("no certificate"),
            "{text}"
        );
        let text = fault(tls(&ca, Some(&(garbage.clone(), key))));
        assert!(
            text.contains("cert_file") && text.contains("no certificate"),
            "{text}"
        );
        let text = fault(tls(&ca, Some(&(cert.clone(), garbage))));
        assert!(text.contains("key_file"), "{text}");
        let text = fault(tls(&ca, Some(&(cert, wrong_key))));
        assert!(text.contains("key_file"), "{text}");
    }
}
