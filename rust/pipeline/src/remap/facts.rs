//! The record's Kafka facts, as the program sees them under `%kafka`.

use bytes::Bytes;
use millstream_codec::{ObjectMap, Value};
use vrl::compiler::state::ExternalEnv;
use vrl::value::Kind;
use vrl::value::kind::Collection;

/// The record's Kafka facts, readable as `%kafka.topic` and so on.
#[derive(Debug, Clone, Default)]
pub struct KafkaFacts {
    /// `%kafka.topic`: string.
    pub topic: String,
    /// `%kafka.partition`: integer.
    pub partition: i32,
    /// `%kafka.offset`: integer.
    pub offset: i64,
    /// `%kafka.timestamp`: timestamp; null when negative, which is Kafka's "none". Milliseconds.
    pub timestamp_ms: i64,
    /// `%kafka.key`: string, or bytes when it is not UTF-8, or null.
    pub key: Option<Bytes>,
    /// `%kafka.headers`: object of names; values as the key's. Of two with one name the last is seen.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// The types a program is checked against: the record is an object, each fact may be null.
pub(super) fn environment() -> ExternalEnv {
    let facts = [
        ("topic", Kind::bytes()),
        ("partition", Kind::integer()),
        ("offset", Kind::integer()),
        ("timestamp", Kind::timestamp()),
        ("key", Kind::bytes()),
        (
            "headers",
            Kind::object(Collection::from_unknown(Kind::bytes().or_null())),
        ),
    ];
    let kafka: Collection<_> = facts
        .into_iter()
        .map(|(name, kind)| (name.into(), kind.or_null()))
        .collect::<std::collections::BTreeMap<_, _>>()
        .into();
    let metadata = std::collections::BTreeMap::from([("kafka".into(), Kind::object(kafka))]);
    ExternalEnv::new_with_kind(
        Kind::object(Collection::any()),
        Kind::object(Collection::from(metadata)),
    )
}

/// The values of `%`.
pub(super) fn metadata(facts: Option<&KafkaFacts>) -> Value {
    let kafka = match facts {
        None => [
            "topic",
            "partition",
            "offset",
            "timestamp",
            "key",
            "headers",
        ]
        .into_iter()
        .map(|name| (name.into(), Value::Null))
        .collect(),
        Some(facts) => ObjectMap::from([
            ("topic".into(), Value::from(facts.topic.as_str())),
            (
                "partition".into(),
                Value::Integer(i64::from(facts.partition)),
            ),
            ("offset".into(), Value::Integer(facts.offset)),
            ("timestamp".into(), timestamp(facts.timestamp_ms)),
            ("key".into(), text_or_bytes(facts.key.as_ref())),
            ("headers".into(), headers(&facts.headers)),
        ]),
    };
    Value::Object(ObjectMap::from([("kafka".into(), Value::Object(kafka))]))
}

fn timestamp(millis: i64) -> Value {
    match chrono::DateTime::from_timestamp_millis(millis) {
        Some(instant) if millis >= 0 => Value::Timestamp(instant),
        _ => Value::Null,
    }
}

fn headers(headers: &[(String, Option<Bytes>)]) -> Value {
    let named = headers
        .iter()
        .map(|(name, value)| (name.as_str().into(), text_or_bytes(value.as_ref())));
    Value::Object(named.collect())
}

fn text_or_bytes(bytes: Option<&Bytes>) -> Value {
    match bytes {
        None => Value::Null,
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(_) => Value::Bytes(bytes.clone()),
        },
    }
}
