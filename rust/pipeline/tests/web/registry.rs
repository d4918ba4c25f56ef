//! A registry that answers, one that answers badly, and one that is not a registry.

use crate::stub::{Raw, Seen, Stub, answer, answer_with, raw};
use axum::response::Response;
use millstream_codec::Code;
use millstream_pipeline::Secret;
use millstream_pipeline::registry::{RegistryClient, RegistryConfig, RegistryError};
use std::time::{Duration, Instant};

const USER: &str = r#"{"schema":"{\"type\":\"record\",\"name\":\"User\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}"}"#;
const MISSING: &str = r#"{"error_code":40403,"message":"Schema not found"}"#;

fn client(config: RegistryConfig) -> RegistryClient {
    let waits = vec![Duration::from_millis(1), Duration::from_millis(4)];
    RegistryClient::with_not_found_waits(config, waits).unwrap()
}

fn at(url: &str) -> RegistryClient {
    client(RegistryConfig::new(format!("{url}/apis/ccompat/v7")))
}

async fn always(status: u16, body: &'static str) -> Stub {
    Stub::start(move |_, _| answer(status, body)).await
}

#[tokio::test]
async fn a_schema_is_asked_for_once_however_many_wait() {
    let stub = always(200, USER).await;
    let client = at(&stub.url);
    assert!(client.cached(7).is_none());
    let schemas = futures::future::join_all((0..20).map(|_| client.avro_schema(7))).await;
    for schema in schemas {
        assert_eq!(schema.unwrap().name(), Some("User"));
    }
    assert!(
        client.clone().cached(7).is_some(),
        "a clone shares the cache"
    );
    assert!(client.avro_schema(7).await.is_ok());
    assert_eq!(stub.lines(), ["GET /apis/ccompat/v7/schemas/ids/7"]);
}

#[tokio::test]
async fn an_id_is_missing_after_three_tries_and_stays_so_for_a_while() {
    let stub = always(404, MISSING).await;
    let client = at(&stub.url);
    for _ in 0..3 {
        let error = client.avro_schema(7).await.unwrap_err();
        assert!(
            matches!(error, RegistryError::NotFound { id: 7, .. }),
            "{error}"
        );
        assert!(!error.retryable());
    }
    assert_eq!(stub.seen().len(), 3);
}

#[tokio::test]
async fn an_id_that_appears_meanwhile_is_found() {
    let stub = Stub::start(|n, _| match n {
        0 | 1 => answer(404, MISSING),
        _ => answer(200, USER),
    })
    .await;
    assert!(at(&stub.url).avro_schema(7).await.is_ok());
}

#[tokio::test]
async fn ids_no_registry_gives_are_not_asked_for() {
    let stub = always(200, USER).await;
    for id in [0, 1 << 31, u32::MAX] {
        let error = at(&stub.url).avro_schema(id).await.unwrap_err();
        assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    }
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn what_is_not_the_registrys_word_is_an_outage_and_is_asked_again() {
    let large: &'static str = Box::leak(format!("{:?}", "x".repeat(2 << 20)).into_boxed_str());
    for (status, body) in [
        (404, "<html>404 Not Found</html>"),
        (404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#),
        (200, "<html>Please log in</html>"),
        (200, "{}"),
        (200, large),
        (302, ""),
        (409, r#"{"error_code":409,"message":"?"}"#),
    ] {
        let stub = always(status, body).await;
        let client = at(&stub.url);
        for asked in 1..=2 {
            let error = client.avro_schema(7).await.unwrap_err();
            assert!(
                matches!(error, RegistryError::Unavailable { .. }),
                "{status}: {error}"
            );
            assert!(error.retryable());
            assert_eq!(
                stub.seen().len(),
                asked,
                "{status}: neither repeated nor remembered"
            );
        }
    }
}

#[tokio::test]
async fn short_faults_are_ridden_out_and_long_ones_reported() {
    for status in [429, 500, 503] {
        let recovering = Stub::start(move |n, _| match n {
            0 | 1 => answer(status, "x"),
            _ => answer(200, USER),
        })
        .await;
        assert!(at(&recovering.url).avro_schema(7).await.is_ok());
        let broken = always(status, "x").await;
        let error = at(&broken.url).avro_schema(7).await.unwrap_err();
        assert!(
            error.to_string().ends_with(&format!("answered {status}")),
            "{error}"
        );
        assert!(matches!(error, RegistryError::Unavailable { .. }) && error.retryable());
        assert_eq!(broken.seen().len(), 3);
    }
}

#[tokio::test]
async fn a_wait_the_registry_asks_for_is_kept() {
    let stub = Stub::start(|n, _| match n {
        0 => answer_with(429, &[("retry-after", "1")], ""),
        _ => answer(200, USER),
    })
    .await;
    let start = Instant::now();
    assert!(at(&stub.url).avro_schema(7).await.is_ok());
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_registry_that_is_not_there_or_hangs_is_unavailable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let hangs = raw(vec![Raw::Hang(Vec::new())]).await;
    for url in [format!("http://127.0.0.1:{port}"), hangs] {
        let client = client(RegistryConfig {
            request_timeout: Duration::from_millis(100),
            ..RegistryConfig::new(url)
        });
        let error = client.avro_schema(7).await.unwrap_err();
        assert!(
            matches!(error, RegistryError::Unavailable { .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_a_configuration_fault_and_not_remembered() {
    for status in [401, 403] {
        let stub = Stub::start(move |n, _| match n {
            0 => answer(status, r#"{"error_code":40101,"message":"Unauthorized"}"#),
            _ => answer(200, USER),
        })
        .await;
        let client = at(&stub.url);
        let error = client.avro_schema(7).await.unwrap_err();
        assert!(matches!(error, RegistryError::Refused { .. }), "{error}");
        assert!(!error.retryable());
        assert!(client.avro_schema(7).await.is_ok());
    }
}

#[tokio::test]
async fn schemas_that_cannot_be_used_are_verdicts() {
    for (body, code) in [
        (
            r#"{"schema":"syntax = \"proto3\";","schemaType":"PROTOBUF"}"#,
            Code::SchemaTypeUnsupported,
        ),
        (
            r#"{"schema":"{}","schemaType":"JSON"}"#,
            Code::SchemaTypeUnsupported,
        ),
        (
            r#"{"schema":"{\"type\":\"nonsense\"}"}"#,
            Code::SchemaUnsupported,
        ),
        (
            r#"{"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"R\"]}]}"}"#,
            Code::SchemaRecursive,
        ),
    ] {
        let stub = always(200, body).await;
        let client = at(&stub.url);
        for _ in 0..2 {
            let error = client.avro_schema(7).await.unwrap_err();
            let RegistryError::Unusable { id: 7, error } = &error else {
                panic!("{error}")
            };
            assert_eq!(error.code, code, "{error}");
        }
        assert_eq!(stub.seen().len(), 1, "the verdict is kept");
    }
}

fn with_references(_: usize, seen: &Seen) -> Response {
    let schema = |text: &str, references: &[&str]| {
        let references: Vec<String> = references
            .iter()
            .map(|subject| format!(r#"{{"name":"n","subject":"{subject}","version":2}}"#))
            .collect();
        let body = format!(
            r#"{{"schema":{text:?},"references":[{}]}}"#,
            references.join(",")
        );
        answer(200, body)
    };
    let record = |name: &str, fields: &str| {
        format!(r#"{{"type":"record","name":"{name}","namespace":"x","fields":[{fields}]}}"#)
    };
    match seen.line.as_str() {
        "GET /schemas/ids/7" => {
            let fields = r#"{"name":"b","type":"x.B"},{"name":"c","type":"x.C"}"#;
            schema(&record("A", fields), &["b", "c/slash"])
        }
        "GET /subjects/b/versions/2" => {
            schema(&record("B", r#"{"name":"c","type":"x.C"}"#), &["c/slash"])
        }
        "GET /subjects/c%2Fslash/versions/2" => {
            schema(&record("C", r#"{"name":"i","type":"int"}"#), &[])
        }
        "GET /schemas/ids/8" => schema(&record("D", r#"{"name":"i","type":"x.E"}"#), &["gone"]),
        _ => answer(404, r#"{"error_code":40401,"message":"Subject not found"}"#),
    }
}

#[tokio::test]
async fn references_are_fetched_once_each() {
    let stub = Stub::start(with_references).await;
    let client = client(RegistryConfig::new(format!("{}/", stub.url)));
    let schema = client.avro_schema(7).await.unwrap();
    assert_eq!(schema.name(), Some("x.A"));
    assert_eq!(stub.seen().len(), 3, "{:?}", stub.lines());
    let error = client.avro_schema(8).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains(r#"refers to subject "gone" version 2"#),
        "{error}"
    );
    assert!(matches!(error, RegistryError::Unusable { .. }));
}

#[tokio::test]
async fn a_schema_is_registered_and_looked_up() {
    let stub = always(200, r#"{"id":42,"version":1}"#).await;
    let client = at(&stub.url);
    let schema = r#"{"type":"string"}"#;
    assert_eq!(
        client
            .register("users created-value", schema)
            .await
            .unwrap(),
        42
    );
    assert_eq!(
        client.lookup("users_created-value", schema).await.unwrap(),
        42
    );
    assert_eq!(
        stub.lines(),
        [
            "POST /apis/ccompat/v7/subjects/users%20created-value/versions",
            "POST /apis/ccompat/v7/subjects/users_created-value",
        ]
    );
    for seen in stub.seen() {
        assert_eq!(seen.body, r#"{"schema":"{\"type\":\"string\"}"}"#);
        assert_eq!(
            seen.header("content-type"),
            Some("application/vnd.schemaregistry.v1+json")
        );
        assert!(
            seen.header("accept")
                .unwrap()
                .contains("application/vnd.schemaregistry.v1+json")
        );
    }
}

#[tokio::test]
async fn a_schema_the_registry_does_not_take_is_permanent() {
    for (status, body) in [
        (
            409,
            r#"{"error_code":409,"message":"Schema being registered is incompatible"}"#,
        ),
        (422, r#"{"error_code":42201,"message":"Invalid schema"}"#),
        (404, r#"{"error_code":40401,"message":"Subject not found"}"#),
        (404, MISSING),
    ] {
        let stub = always(status, body).await;
        let error = at(&stub.url).lookup("s", "{}").await.unwrap_err();
        assert!(matches!(&error, RegistryError::Incompatible { subject, .. } if subject == "s"));
        assert!(!error.retryable());
        assert_eq!(stub.seen().len(), 1);
    }
}

#[tokio::test]
async fn subjects_are_listed() {
    let stub = always(200, r#"["a-value","b-value"]"#).await;
    assert_eq!(
        at(&stub.url).subjects().await.unwrap(),
        ["a-value", "b-value"]
    );
    assert_eq!(stub.lines(), ["GET /apis/ccompat/v7/subjects"]);
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let stub = Stub::start(|_, _| answer(401, "")).await;
    let with_user = stub.url.replace("http://", "http://anna:s3cr3t@");
    for (config, sent) in [
        (RegistryConfig::new(with_user), "Basic YW5uYTpzM2NyM3Q="),
        (
            RegistryConfig {
                username: Some("anna".into()),
                password: Some(Secret::new("s3cr3t")),
                ..RegistryConfig::new(&stub.url)
            },
            "Basic YW5uYTpzM2NyM3Q=",
        ),
        (
            RegistryConfig {
                bearer_token: Some(Secret::new("s3cr3t")),
                ..RegistryConfig::new(&stub.url)
            },
            "Bearer s3cr3t",
        ),
    ] {
        let client = client(config);
        let error = client.subjects().await.unwrap_err();
        let seen = stub.seen();
        assert_eq!(seen.last().unwrap().header("authorization"), Some(sent));
        let shown = format!("{error} {error:?} {client:?}");
        assert!(
            !shown.contains("s3cr3t") && !shown.contains("YW5u"),
            "{shown}"
        );
    }
}

#[test]
fn settings_that_cannot_be_used() {
    let config = RegistryConfig::new("http://127.0.0.1:1");
    let secret = || Some(Secret::new("s3cr3t"));
    for (config, expected) in [
        (RegistryConfig::new("127.0.0.1:8081"), "url"),
        (RegistryConfig::new("registry"), "url"),
        (RegistryConfig::new("file:///x"), "url"),
        (
            RegistryConfig::new("http://u:s3cr3t@169.254.169.254/"),
            "url: forbidden address",
        ),
        (
            RegistryConfig {
                password: secret(),
                ..config.clone()
            },
            "password without username",
        ),
        (
            RegistryConfig {
                bearer_token: secret(),
                username: Some("u".into()),
                ..config.clone()
            },
            "bearer_token and username",
        ),
        (
            RegistryConfig {
                bearer_token: Some(Secret::new("s3cr3t\n")),
                ..config.clone()
            },
            "bearer_token",
        ),
        (
            RegistryConfig {
                request_timeout: Duration::ZERO,
                ..config.clone()
            },
            "request_timeout",
        ),
        (
            RegistryConfig {
                ca_file: Some("/nonexistent.pem".into()),
                ..config
            },
            "verify: CA file",
        ),
    ] {
        let error = RegistryClient::new(config).unwrap_err();
        assert!(matches!(error, RegistryError::InvalidConfig { .. }));
        assert!(
            error.to_string().contains(expected) && !error.retryable(),
            "{error}"
        );
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
    }
}
