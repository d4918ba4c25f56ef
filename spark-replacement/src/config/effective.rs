//! The configuration as it is in force: defaults filled in, secrets masked. It is TOML again.

use super::pipeline::{PipelineConfig, TableConfig, Topics};
use super::units::{format_duration, format_size};
use super::{Config, SchemaRegistryConfig};
use crate::engine::{RowMode, Tombstones, ValueFormat, WriteTimestamp};
use millstream_pipeline::Secret;
use millstream_pipeline::kafka::consumer::StartPosition;
use millstream_pipeline::sink::NullMode;
use std::fmt;
use std::path::PathBuf;
use toml::{Table, Value};

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = toml::to_string(&table(self)).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

fn table(config: &Config) -> Table {
    let mut root = Table::new();
    root.insert("kafka".into(), kafka(config).into());
    if let Some(registry) = &config.schema_registry {
        root.insert("schema_registry".into(), schema_registry(registry).into());
    }
    root.insert("cassandra".into(), cassandra(config).into());
    let mut dead_letter = Table::new();
    put(&mut dead_letter, "topic", config.dead_letter.topic.clone());
    put(
        &mut dead_letter,
        "auto_create",
        config.dead_letter.auto_create,
    );
    root.insert("dead_letter".into(), dead_letter.into());
    let mut http = Table::new();
    let listen = config
        .http
        .listen
        .map_or_else(|| "off".to_owned(), |address| address.to_string());
    put(&mut http, "listen", listen);
    root.insert("http".into(), http.into());
    if let Some(timeout) = config.lifecycle.startup_timeout {
        let mut startup = Table::new();
        put(&mut startup, "timeout", format_duration(timeout));
        root.insert("startup".into(), startup.into());
    }
    let mut shutdown = Table::new();
    put(
        &mut shutdown,
        "drain",
        format_duration(config.lifecycle.drain),
    );
    root.insert("shutdown".into(), shutdown.into());
    root.insert("limits".into(), limits(config).into());
    let pipelines = config.pipelines.iter();
    let pipelines: Table = pipelines
        .map(|pipeline| (pipeline.name.clone(), self::pipeline(pipeline).into()))
        .collect();
    root.insert("pipelines".into(), pipelines.into());
    root
}

fn put(table: &mut Table, key: &str, value: impl Into<Value>) {
    table.insert(key.to_owned(), value.into());
}

fn put_some(table: &mut Table, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        put(table, key, value);
    }
}

fn put_count(table: &mut Table, key: &str, value: usize) {
    put(table, key, i64::try_from(value).unwrap_or(i64::MAX));
}

fn masked(secret: Option<&Secret>) -> Option<String> {
    secret.map(ToString::to_string)
}

fn file(path: Option<&PathBuf>) -> Option<String> {
    path.map(|path| path.display().to_string())
}

fn kafka(config: &Config) -> Table {
    let mut section = Table::new();
    put(
        &mut section,
        "bootstrap_servers",
        config.kafka.bootstrap_servers.clone(),
    );
    put(&mut section, "client_id", config.kafka.client_id.clone());
    let masked = config.kafka.properties.masked();
    let properties: Table = masked
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    if !properties.is_empty() {
        put(&mut section, "properties", properties);
    }
    section
}

fn schema_registry(registry: &SchemaRegistryConfig) -> Table {
    let mut section = Table::new();
    put(&mut section, "url", registry.url.clone());
    put_some(&mut section, "username", registry.username.clone());
    put_some(&mut section, "password", masked(registry.password.as_ref()));
    put_some(&mut section, "ca_file", file(registry.ca_file.as_ref()));
    put(
        &mut section,
        "request_timeout",
        format_duration(registry.request_timeout),
    );
    section
}

fn cassandra(config: &Config) -> Table {
    let cassandra = &config.cassandra;
    let mut section = Table::new();
    put(
        &mut section,
        "contact_points",
        cassandra.contact_points.clone(),
    );
    put_some(
        &mut section,
        "local_datacenter",
        cassandra.local_datacenter.clone(),
    );
    put_some(&mut section, "username", cassandra.username.clone());
    put_some(
        &mut section,
        "password",
        masked(cassandra.password.as_ref()),
    );
    put_some(&mut section, "ca_file", file(cassandra.ca_file.as_ref()));
    put_some(
        &mut section,
        "cert_file",
        file(cassandra.cert_file.as_ref()),
    );
    put_some(&mut section, "key_file", file(cassandra.key_file.as_ref()));
    put(
        &mut section,
        "consistency",
        super::sections::consistency_name(cassandra.consistency),
    );
    put(
        &mut section,
        "request_timeout",
        format_duration(cassandra.request_timeout),
    );
    put_count(&mut section, "max_in_flight", cassandra.max_in_flight);
    section
}

fn limits(config: &Config) -> Table {
    let limits = &config.limits;
    let mut section = Table::new();
    put(
        &mut section,
        "max_in_flight_bytes",
        format_size(limits.max_in_flight_bytes),
    );
    put_count(&mut section, "max_settled_ahead", limits.max_settled_ahead);
    put(
        &mut section,
        "max_record_bytes",
        format_size(limits.max_record_bytes),
    );
    put_count(&mut section, "worker_threads", limits.worker_threads);
    section
}

fn pipeline(pipeline: &PipelineConfig) -> Table {
    let mut section = Table::new();
    match &pipeline.topics {
        Topics::Named(topics) => put(&mut section, "topics", topics.clone()),
        Topics::Pattern(pattern) => put(&mut section, "topic_pattern", pattern.clone()),
    }
    put(&mut section, "group_id", pipeline.group_id.clone());
    let format = match pipeline.value_format {
        ValueFormat::Json => "json",
        ValueFormat::Avro => "avro",
    };
    put(&mut section, "value_format", format);
    let start = match pipeline.start {
        StartPosition::Earliest => "earliest",
        StartPosition::Latest => "latest",
    };
    put(&mut section, "start", start);
    put_some(
        &mut section,
        "remap",
        pipeline.remap.as_ref().map(|program| program.text.clone()),
    );
    put_some(
        &mut section,
        "filter",
        pipeline.filter.as_ref().map(|program| program.text.clone()),
    );
    let tombstones = match pipeline.tombstones {
        Tombstones::Filter => "filter",
        Tombstones::Delete => "delete",
        Tombstones::DeadLetter => "dead_letter",
    };
    put(&mut section, "tombstones", tombstones);
    let isolate_after = pipeline
        .isolate_after
        .map_or_else(|| "off".to_owned(), format_duration);
    put(&mut section, "isolate_after", isolate_after);
    let tables: Vec<Value> = pipeline
        .tables
        .iter()
        .map(|table| self::sink(table).into())
        .collect();
    put(&mut section, "tables", tables);
    section
}

fn sink(table: &TableConfig) -> Table {
    let mut section = Table::new();
    put(&mut section, "table", table.name.to_string());
    let columns = table.columns.iter();
    let columns: Table = columns
        .map(|(column, path)| (column.clone(), path.to_string().into()))
        .collect();
    put(&mut section, "columns", columns);
    let row = match table.row {
        RowMode::Merge => "merge",
        RowMode::Replace => "replace",
    };
    put(&mut section, "row", row);
    let null = match table.null {
        NullMode::Unset => "unset",
        NullMode::Write => "write",
    };
    put(&mut section, "null", null);
    let write_timestamp = match &table.write_timestamp {
        WriteTimestamp::Record => "record".to_owned(),
        WriteTimestamp::Field(path) => format!("field:{path}"),
        WriteTimestamp::Now => "now".to_owned(),
    };
    put(&mut section, "write_timestamp", write_timestamp);
    put(
        &mut section,
        "write_revision",
        i64::from(table.write_revision),
    );
    put_some(&mut section, "ttl", table.ttl.map(format_duration));
    section
}
