//! Opening a session.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
        builder = builder.tls_context(Some(tls(ca_file)?));
    }
    let session = builder
        .build()
        .await
        .map_err(|error| classify_session(&error, config))?;
    Ok(Arc::new(session))
}

fn tls(ca_file: &PathBuf) -> Result<Arc<rustls::ClientConfig>, SinkError> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let broken = |detail: String| {
        SinkError::Configuration(format!("cassandra.ca_file {}: {detail}", ca_file.display()))
    };
    let mut roots = rustls::RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(ca_file).map_err(|error| broken(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| broken(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| broken(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(broken("holds no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
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
    SinkError::Transient(format!("Cassandra at {nodes} is not reachable: {text}"))
}
