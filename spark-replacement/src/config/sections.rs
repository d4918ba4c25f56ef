//! The sections that all pipelines share, each field with its default.

use super::document::Node;
use super::hint::{closest, did_you_mean};
use super::names;
use super::properties::{self, Properties};
use super::reader::Reader;
use millstream_pipeline::Secret;
use millstream_pipeline::sink::cassandra::Consistency;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// `[kafka]`.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// Brokers to begin with, `host:port`. Required.
    pub bootstrap_servers: Vec<String>,
    /// Name of this client in the brokers' logs and quotas. Default `millstream`.
    pub client_id: String,
    /// librdkafka's own settings under `[kafka.properties]`. Default: none.
    pub properties: Properties,
}

/// `[schema_registry]`: any that speaks Confluent's API.
#[derive(Debug, Clone)]
pub struct SchemaRegistryConfig {
    /// Base address, with a path where the API has one (`/apis/ccompat/v7`). Required.
    pub url: String,
    /// Name for basic authentication. Default: none.
    pub username: Option<String>,
    /// Its password (`password` or `password_file`). Default: none.
    pub password: Option<Secret>,
    /// PEM file with the authority that signed the registry's certificate. Default: the system's trust store.
    pub ca_file: Option<PathBuf>,
    /// Limit of one request. Default 5 s.
    pub request_timeout: Duration,
}

/// `[cassandra]`.
#[derive(Debug, Clone)]
pub struct CassandraSection {
    /// Nodes to begin with, `host:port`. Required.
    pub contact_points: Vec<String>,
    /// Datacenter whose nodes coordinate the writes. Default: all.
    pub local_datacenter: Option<String>,
    /// Name for password authentication. Default: none.
    pub username: Option<String>,
    /// Its password (`password` or `password_file`). Default: none.
    pub password: Option<Secret>,
    /// PEM file with the authority that signed the nodes' certificates; turns TLS on. Default: no TLS.
    pub ca_file: Option<PathBuf>,
    /// PEM file with our certificate for mutual TLS. Default: none.
    pub cert_file: Option<PathBuf>,
    /// PEM file with its private key. Default: none.
    pub key_file: Option<PathBuf>,
    /// Consistency of every write. Default `LOCAL_QUORUM`.
    pub consistency: Consistency,
    /// Limit of one attempt to write. Default 5 s.
    pub request_timeout: Duration,
    /// Records of one pipeline taken and not yet settled; as many rows are written at the same time. Default 256.
    pub max_in_flight: usize,
}

/// `[dead_letter]`.
#[derive(Debug, Clone)]
pub struct DeadLetterConfig {
    /// Topic for records that cannot be stored. Default `error_events`.
    pub topic: String,
    /// Whether to create it (6 partitions, the broker's replication factor, `LogAppendTime`) when it is missing. Default false.
    pub auto_create: bool,
}

/// `[http]`.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Address of `/livez`, `/readyz` and `/metrics`. Default `127.0.0.1:9090`; `"off"` opens none.
    pub listen: Option<SocketAddr>,
}

/// `[startup]` and `[shutdown]`.
#[derive(Debug, Clone)]
pub struct LifecycleConfig {
    /// `startup.timeout`: how long to wait until everything is ready before giving up. Default: for ever.
    pub startup_timeout: Option<Duration>,
    /// `shutdown.drain`: how long a stop waits for what is in flight. Default 25 s.
    pub drain: Duration,
}

/// `[limits]`.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// Bytes of records of one pipeline taken and not yet settled. Default 32 MiB.
    pub max_in_flight_bytes: usize,
    /// Records a partition may run ahead of the lowest one that is not settled. Default 50,000.
    pub max_settled_ahead: usize,
    /// Largest record (key and value) that is decoded; a larger one is a dead letter. Default 1 MiB.
    pub max_record_bytes: usize,
    /// Threads that decode and write. Default 2.
    pub worker_threads: usize,
}

pub(super) fn kafka(root: &Reader<'_>, empty: &Node, drain: Duration) -> KafkaConfig {
    let reader = root.table("kafka", empty);
    if !reader.has("bootstrap_servers") {
        reader.fault(
            "bootstrap_servers",
            "missing; for example bootstrap_servers = [\"localhost:9092\"]",
        );
    }
    let nested = reader.table("properties", empty);
    let section = KafkaConfig {
        bootstrap_servers: reader
            .list("bootstrap_servers", names::host_port)
            .unwrap_or_default(),
        client_id: reader
            .text("client_id")
            .unwrap_or_else(|| "millstream".to_owned()),
        properties: properties::read(&nested, drain),
    };
    reader.finish();
    section
}

pub(super) fn schema_registry(root: &Reader<'_>) -> Option<SchemaRegistryConfig> {
    let node = root.node("schema_registry")?;
    let reader = root.child(node, "schema_registry");
    let section = SchemaRegistryConfig {
        url: reader
            .required("url", "url = \"http://localhost:8081\"", names::http_url)
            .unwrap_or_default(),
        username: reader.text("username"),
        password: reader.secret("password", "password_file"),
        ca_file: reader.file("ca_file"),
        request_timeout: reader.duration("request_timeout", 5 * SECOND, SECOND / 10..=300 * SECOND),
    };
    check_credentials(
        &reader,
        section.username.as_ref(),
        section.password.as_ref(),
    );
    reader.finish();
    Some(section)
}

pub(super) fn cassandra(root: &Reader<'_>, empty: &Node) -> CassandraSection {
    let reader = root.table("cassandra", empty);
    if !reader.has("contact_points") {
        reader.fault(
            "contact_points",
            "missing; for example contact_points = [\"localhost:9042\"]",
        );
    }
    let section = CassandraSection {
        contact_points: reader
            .list("contact_points", names::host_port)
            .unwrap_or_default(),
        local_datacenter: reader.text("local_datacenter"),
        username: reader.text("username"),
        password: reader.secret("password", "password_file"),
        ca_file: reader.file("ca_file"),
        cert_file: reader.file("cert_file"),
        key_file: reader.file("key_file"),
        consistency: reader
            .parsed("consistency", consistency)
            .unwrap_or(Consistency::LocalQuorum),
        request_timeout: reader.duration("request_timeout", 5 * SECOND, SECOND / 10..=300 * SECOND),
        max_in_flight: reader.integer("max_in_flight", 256, 1..=65_536),
    };
    check_credentials(
        &reader,
        section.username.as_ref(),
        section.password.as_ref(),
    );
    super::tls::check(&reader, &section);
    reader.finish();
    section
}

fn check_credentials(reader: &Reader<'_>, username: Option<&String>, password: Option<&Secret>) {
    let password_given = reader.has("password") || reader.has("password_file");
    if username.is_some() && !password_given {
        reader.fault("username", "needs password or password_file too");
    }
    if password.is_some() && !reader.has("username") {
        let key = if reader.has("password") {
            "password"
        } else {
            "password_file"
        };
        reader.fault(key, "needs username too");
    }
}

/// Levels a write may ask for.
const LEVELS: [(&str, Consistency); 8] = [
    ("ONE", Consistency::One),
    ("TWO", Consistency::Two),
    ("THREE", Consistency::Three),
    ("QUORUM", Consistency::Quorum),
    ("ALL", Consistency::All),
    ("LOCAL_QUORUM", Consistency::LocalQuorum),
    ("EACH_QUORUM", Consistency::EachQuorum),
    ("LOCAL_ONE", Consistency::LocalOne),
];

/// A level's name in the configuration.
pub(super) fn consistency_name(level: Consistency) -> &'static str {
    let found = LEVELS.iter().find(|(_, other)| *other == level);
    found.map_or("unknown", |(name, _)| name)
}

fn consistency(text: &str) -> Result<Consistency, String> {
    if let Some((_, level)) = LEVELS.iter().find(|(name, _)| *name == text) {
        return Ok(*level);
    }
    let names: Vec<_> = LEVELS.iter().map(|(name, _)| *name).collect();
    let why = match text {
        "ANY" => "a hint is no acknowledged row; ",
        "SERIAL" | "LOCAL_SERIAL" => "rows are written without transactions; ",
        _ => "",
    };
    let hint = did_you_mean(closest(text, names.iter().copied()));
    Err(format!("{why}not one of {}{hint}", names.join(", ")))
}

pub(super) fn dead_letter(root: &Reader<'_>, empty: &Node) -> DeadLetterConfig {
    let reader = root.table("dead_letter", empty);
    let section = DeadLetterConfig {
        topic: reader
            .parsed("topic", names::topic)
            .unwrap_or_else(|| "error_events".to_owned()),
        auto_create: reader.boolean("auto_create", false),
    };
    reader.finish();
    section
}

pub(super) fn http(root: &Reader<'_>, empty: &Node) -> HttpConfig {
    let reader = root.table("http", empty);
    let listen = reader.parsed("listen", |text| match text {
        "off" => Ok(None),
        text => names::listen(text).map(Some),
    });
    let section = HttpConfig {
        listen: listen.unwrap_or(Some(SocketAddr::from(([127, 0, 0, 1], 9090)))),
    };
    reader.finish();
    section
}

pub(super) fn lifecycle(root: &Reader<'_>, empty: &Node) -> LifecycleConfig {
    let (startup, shutdown) = (root.table("startup", empty), root.table("shutdown", empty));
    let section = LifecycleConfig {
        startup_timeout: startup.optional_duration("timeout", SECOND..=DAY),
        drain: shutdown.duration("drain", 25 * SECOND, SECOND..=3600 * SECOND),
    };
    startup.finish();
    shutdown.finish();
    section
}

pub(super) fn limits(root: &Reader<'_>, empty: &Node) -> LimitsConfig {
    let reader = root.table("limits", empty);
    let section = LimitsConfig {
        max_in_flight_bytes: reader.size("max_in_flight_bytes", 32 << 20, 1 << 20..=16 << 30),
        max_settled_ahead: reader.integer("max_settled_ahead", 50_000, 1..=10_000_000),
        max_record_bytes: reader.size("max_record_bytes", 1 << 20, 1 << 10..=256 << 20),
        worker_threads: reader.integer("worker_threads", 2, 1..=256),
    };
    if section.max_record_bytes > section.max_in_flight_bytes {
        let key = if reader.has("max_record_bytes") {
            "max_record_bytes"
        } else {
            "max_in_flight_bytes"
        };
        reader.fault(
            key,
            "max_record_bytes must not be greater than max_in_flight_bytes",
        );
    }
    reader.finish();
    section
}
