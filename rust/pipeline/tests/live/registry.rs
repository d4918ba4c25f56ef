//! The registry client against a real registry: `MILLSTREAM_REGISTRY` is its URL with the path.

use millstream_pipeline::registry::{RegistryClient, RegistryConfig, RegistryError};
use std::time::{Duration, Instant};

fn client() -> RegistryClient {
    let url = std::env::var("MILLSTREAM_REGISTRY").expect(
        "MILLSTREAM_REGISTRY must name a registry, e.g. http://127.0.0.1:8081/apis/ccompat/v7",
    );
    RegistryClient::new(RegistryConfig::new(url)).unwrap()
}

/// A subject and a record name no other run has used.
fn fresh(word: &str) -> (String, String) {
    let id = rand::random::<u64>();
    (format!("live {word}/{id}-value"), format!("Live{id}"))
}

fn record(name: &str, field: &str, kind: &str) -> String {
    format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"{field}","type":{kind}}}]}}"#)
}

#[tokio::test]
async fn a_schema_is_registered_looked_up_and_read_back() {
    let (client, (subject, name)) = (client(), fresh("round trip"));
    let schema = record(&name, "id", "\"string\"");
    let missing = client.lookup(&subject, &schema).await.unwrap_err();
    assert!(
        matches!(missing, RegistryError::Incompatible { .. }),
        "{missing}"
    );
    let id = client.register(&subject, &schema).await.unwrap();
    assert_eq!(
        client.register(&subject, &schema).await.unwrap(),
        id,
        "idempotent"
    );
    assert_eq!(client.lookup(&subject, &schema).await.unwrap(), id);
    assert_eq!(
        client.avro_schema(id).await.unwrap().name(),
        Some(name.as_str())
    );
    assert!(client.subjects().await.unwrap().contains(&subject));
}

#[tokio::test]
async fn an_id_that_is_not_there_is_believed_missing_after_five_seconds() {
    let (client, start) = (client(), Instant::now());
    let error = client.avro_schema(i32::MAX as u32).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    assert!(start.elapsed() >= Duration::from_secs(5));
    let start = Instant::now();
    assert!(client.avro_schema(i32::MAX as u32).await.is_err());
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "kept for a minute"
    );
}

#[tokio::test]
async fn a_schema_that_is_none_is_refused() {
    let error = client()
        .register(&fresh("invalid").0, r#"{"type":"nonsense"}"#)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::Incompatible { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_path_is_an_outage_and_no_missing_schema() {
    let url = std::env::var("MILLSTREAM_REGISTRY").expect("MILLSTREAM_REGISTRY");
    let wrong = url.replace("/apis/ccompat/v7", "/apis/nowhere");
    assert_ne!(
        url, wrong,
        "the registry under test is reached under Apicurio's path"
    );
    let client = RegistryClient::new(RegistryConfig::new(wrong)).unwrap();
    let error = client.avro_schema(1).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Unavailable { .. }),
        "{error}"
    );
}
