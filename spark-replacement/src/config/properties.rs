//! librdkafka's own settings, passed through, but for those that our promises or typed keys own.

use super::document::Value;
use super::reader::{Reader, is_secret};
use millstream_pipeline::Secret;
use rdkafka::ClientConfig;
use std::collections::BTreeMap;
use std::fmt;

/// Settings that are refused, each with what to do instead. Names as in librdkafka's CONFIGURATION.md.
const RESERVED: &[(&str, &str)] = &[
    ("bootstrap.servers", "set kafka.bootstrap_servers"),
    ("metadata.broker.list", "set kafka.bootstrap_servers"),
    ("client.id", "set kafka.client_id"),
    ("group.id", "set pipelines.NAME.group_id"),
    ("auto.offset.reset", "set pipelines.NAME.start"),
    (
        "enable.auto.commit",
        "reserved: offsets are committed when their records are settled",
    ),
    (
        "auto.commit.interval.ms",
        "reserved: offsets are committed when their records are settled",
    ),
    (
        "auto.commit.enable",
        "reserved: offsets are committed when their records are settled",
    ),
    (
        "enable.auto.offset.store",
        "reserved: offsets are stored when their records are settled",
    ),
    (
        "offset.store.method",
        "reserved: offsets live in the consumer group",
    ),
    (
        "offset.store.path",
        "reserved: offsets live in the consumer group",
    ),
    (
        "enable.partition.eof",
        "reserved: the end of a partition is found by its end offset",
    ),
    (
        "partition.assignment.strategy",
        "reserved: cooperative-sticky, so that a rebalance stops only what moves",
    ),
    ("group.protocol", "reserved: the classic protocol"),
    ("group.remote.assignor", "reserved: the classic protocol"),
    (
        "allow.auto.create.topics",
        "reserved: a missing topic is waited for, never created by reading",
    ),
    (
        "enable.idempotence",
        "reserved: the dead-letter producer is idempotent",
    ),
    (
        "acks",
        "reserved: a dead letter is acknowledged by all in-sync replicas",
    ),
    (
        "request.required.acks",
        "reserved: a dead letter is acknowledged by all in-sync replicas",
    ),
    (
        "message.timeout.ms",
        "reserved: a dead letter is never given up",
    ),
    (
        "delivery.timeout.ms",
        "reserved: a dead letter is never given up",
    ),
    ("retries", "reserved: a dead letter is never given up"),
    (
        "message.send.max.retries",
        "reserved: a dead letter is never given up",
    ),
    ("max.in.flight", "reserved: it keeps dead letters in order"),
    (
        "max.in.flight.requests.per.connection",
        "reserved: it keeps dead letters in order",
    ),
    ("transactional.id", "reserved: no transactions are used"),
    ("message.max.bytes", "set limits.max_record_bytes"),
    (
        "delivery.report.only.error",
        "reserved: every delivery report is needed",
    ),
    (
        "plugin.library.paths",
        "reserved: no code is loaded at run time",
    ),
    ("opaque", "reserved"),
];

/// Mechanisms that are compiled in.
const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];

/// librdkafka settings by name. Prints secrets as `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, Secret>);

impl Properties {
    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose)
    }

    /// All settings as librdkafka takes them, secrets in clear.
    pub fn expose(&self) -> BTreeMap<String, String> {
        let pairs = self.0.iter();
        pairs
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect()
    }

    /// Names and values that may be shown.
    pub fn masked(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| {
            let value = if is_secret(name) {
                "***"
            } else {
                value.expose()
            };
            (name.as_str(), value)
        })
    }

    fn milliseconds(&self, name: &str, default: u64) -> u64 {
        self.get(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.masked()).finish()
    }
}

/// Reads `[kafka.properties]`. `drain` is checked against the poll interval.
pub(super) fn read(reader: &Reader<'_>, drain: std::time::Duration) -> Properties {
    let mut properties = Properties::default();
    for (name, node) in reader.entries() {
        let text = match &node.value {
            Value::Text(text) | Value::Integer(text) | Value::Float(text) => text.clone(),
            Value::Boolean(value) => value.to_string(),
            Value::Table(_) => {
                let rule =
                    format!("a table where a value belongs; quote the name: \"{name}.…\" = …");
                reader.fault(name, rule);
                continue;
            }
            Value::Array(_) | Value::Datetime(_) => {
                reader.fault(name, "not a string, a number, true or false");
                continue;
            }
        };
        if let Some((_, instead)) = RESERVED.iter().find(|(reserved, _)| reserved == name) {
            let prefix = if instead.starts_with("reserved") {
                ""
            } else {
                "reserved; "
            };
            reader.fault(name, format!("{prefix}{instead}"));
            continue;
        }
        if let Err(rule) = known_to_librdkafka(name, &text) {
            reader.fault(name, rule);
            continue;
        }
        if is_secret(name) && !node.interpolated {
            reader.note_secret_in_file(name);
        }
        properties.0.insert(name.clone(), Secret::new(text));
    }
    check_timeouts(reader, &properties, drain);
    check_security(reader, &properties);
    properties
}

/// Lets librdkafka itself look at one setting: it knows the names and what each takes.
fn known_to_librdkafka(name: &str, value: &str) -> Result<(), String> {
    if name.contains('\0') || value.contains('\0') {
        return Err("holds a NUL character".to_owned());
    }
    let mut config = ClientConfig::new();
    config.set(name, value);
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(rdkafka::error::KafkaError::ClientConfig(_, description, _, _)) => {
            if description.starts_with("No such configuration property") {
                return Err("librdkafka knows no such setting".to_owned());
            }
            let rule = if is_secret(name) {
                String::new()
            } else {
                format!(": {}", description.trim())
            };
            Err(format!("librdkafka refuses the value{rule}"))
        }
        Err(error) => Err(format!("librdkafka refuses it: {error}")),
    }
}

fn check_timeouts(reader: &Reader<'_>, properties: &Properties, drain: std::time::Duration) {
    let session = properties.milliseconds("session.timeout.ms", 10_000);
    let heartbeat = properties.milliseconds("heartbeat.interval.ms", 3_000);
    let poll = properties.milliseconds("max.poll.interval.ms", 300_000);
    if session >= poll {
        reader.fault(
            if reader.has("session.timeout.ms") {
                "session.timeout.ms"
            } else {
                "max.poll.interval.ms"
            },
            format!(
                "session.timeout.ms ({session}) must be less than max.poll.interval.ms ({poll})"
            ),
        );
    }
    if heartbeat.saturating_mul(3) > session {
        reader.fault(
            if reader.has("heartbeat.interval.ms") { "heartbeat.interval.ms" } else { "session.timeout.ms" },
            format!("heartbeat.interval.ms ({heartbeat}) must be at most a third of session.timeout.ms ({session})"),
        );
    }
    if drain.as_millis() >= u128::from(poll) {
        reader.faults().cross(
            "shutdown.drain",
            format!("must be less than max.poll.interval.ms ({poll} ms): a member that drains longer is thrown out"),
        );
    }
}

fn check_security(reader: &Reader<'_>, properties: &Properties) {
    let mechanism_key = ["sasl.mechanism", "sasl.mechanisms"]
        .into_iter()
        .find(|key| reader.has(key));
    if let Some(key) = mechanism_key
        && let Some(mechanism) = properties.get(key)
        && !MECHANISMS.contains(&mechanism)
    {
        let why = if mechanism == "GSSAPI" {
            "Kerberos is not compiled in; "
        } else {
            ""
        };
        reader.fault(key, format!("{why}not one of {}", MECHANISMS.join(", ")));
    }
    let protocol = properties
        .get("security.protocol")
        .unwrap_or("plaintext")
        .to_ascii_lowercase();
    let sasl = ["sasl.username", "sasl.password", "sasl.oauthbearer.config"].into_iter();
    let sasl = sasl.chain(mechanism_key).find(|key| reader.has(key));
    if let Some(key) = sasl
        && !protocol.starts_with("sasl_")
    {
        reader.fault(
            key,
            format!("has no effect with security.protocol = {protocol:?}; set it to \"sasl_ssl\" (or \"sasl_plaintext\")"),
        );
    }
    if protocol.starts_with("sasl_") && mechanism_key.is_none() {
        reader.fault(
            "security.protocol",
            format!("needs sasl.mechanism, one of {}", MECHANISMS.join(", ")),
        );
    }
    let certificate = reader.has("ssl.certificate.location") || reader.has("ssl.certificate.pem");
    let key = reader.has("ssl.key.location") || reader.has("ssl.key.pem");
    if certificate != key {
        let (given, missing) = if certificate {
            ("ssl.certificate", "ssl.key")
        } else {
            ("ssl.key", "ssl.certificate")
        };
        let at = if reader.has(&format!("{given}.location")) {
            "location"
        } else {
            "pem"
        };
        reader.fault(
            &format!("{given}.{at}"),
            format!("needs {missing}.{at} too"),
        );
    }
}
