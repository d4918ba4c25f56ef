//! Certificates that are right, and all the ways in which they are not.

use crate::source::{config, first};
use crate::stub::{Raw, Stub, answer, play};
use millstream_pipeline::source::{FetchError, HttpSourceConfig};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]";

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
    _dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            file,
            _dir: dir,
        }
    }

    /// A server whose certificate is for `name` and valid in these years.
    async fn serve(&self, name: &str, years: (i32, i32), answer: &str) -> String {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let (acceptor, answer) = (TlsAcceptor::from(Arc::new(config)), answer.to_owned());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that refuses the certificate ends the handshake.
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(play(stream, Raw::Close(answer.clone().into_bytes())));
                }
            }
        });
        format!("https://localhost:{port}/")
    }

    async fn fetch(&self, url: String) -> Result<Option<usize>, FetchError> {
        first(HttpSourceConfig {
            ca_file: Some(self.file.clone()),
            ..config(url)
        })
        .await
    }
}

#[tokio::test]
async fn a_ca_file_is_believed() {
    let ca = Authority::new();
    let url = ca.serve("localhost", (2020, 2100), WHOLE).await;
    assert_eq!(ca.fetch(url).await.unwrap(), Some(1));
}

#[tokio::test]
async fn certificates_that_are_refused_say_why_and_are_not_tried_again() {
    let (ca, other) = (Authority::new(), Authority::new());
    for (url, expected) in [
        (
            ca.serve("localhost", (2000, 2020), WHOLE).await,
            "certificate expired",
        ),
        (
            ca.serve("localhost", (2090, 2100), WHOLE).await,
            "not valid yet",
        ),
        (
            ca.serve("elsewhere.example", (2020, 2100), WHOLE).await,
            "for another host",
        ),
        (
            other.serve("localhost", (2020, 2100), WHOLE).await,
            "not signed by a trusted CA",
        ),
    ] {
        let error = ca.fetch(url).await.unwrap_err();
        assert_eq!((error.kind.name(), error.attempts), ("tls", 1), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.retryable());
    }
}

#[tokio::test]
async fn without_the_ca_file_a_private_ca_is_not_believed() {
    let url = Authority::new()
        .serve("localhost", (2020, 2100), WHOLE)
        .await;
    let error = first(config(url)).await.unwrap_err();
    assert_eq!(error.kind.name(), "tls", "{error}");
}

#[tokio::test]
async fn a_plain_port_is_not_fallen_back_to() {
    let stub = Stub::start(|_, _| answer(200, "[1]")).await;
    let error = first(config(stub.url.replace("http:", "https:")))
        .await
        .unwrap_err();
    assert_eq!(error.kind.name(), "tls", "{error}");
    assert!(error.to_string().contains("is it http?"), "{error}");
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn https_is_not_left_for_http() {
    let plain = Stub::start(|_, _| answer(200, "[1]")).await;
    let ca = Authority::new();
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        plain.url
    );
    let url = ca.serve("localhost", (2020, 2100), &redirect).await;
    let error = ca.fetch(url).await.unwrap_err();
    assert_eq!(error.kind.name(), "redirect", "{error}");
    assert!(error.to_string().contains("from https to http"), "{error}");
    assert!(plain.seen().is_empty());
}
