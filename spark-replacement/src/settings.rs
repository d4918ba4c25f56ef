//! From a checked configuration to what the engine runs: programs compiled, clients made. No connection is opened.

use crate::config::{Config, PipelineConfig, TableConfig};
use crate::engine::{PipelineSettings, Plan, Settings, TablePlan, ValueFormat};
use millstream_pipeline::kafka::consumer::ConsumerConfig;
use millstream_pipeline::registry::{RegistryClient, RegistryConfig, RegistryError};
use millstream_pipeline::remap::{CompileError, Program};
use millstream_pipeline::sink::cassandra::CassandraConfig;
use std::sync::Arc;
use std::time::Duration;

/// Why a configuration that reads well cannot run. Permanent.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A program does not compile.
    #[error("{key}: {error}")]
    Program {
        /// The key that gives the program.
        key: String,
        /// The compiler's words.
        error: CompileError,
    },
    /// The registry's client cannot be made.
    #[error("schema_registry: {0}")]
    Registry(#[from] RegistryError),
}

/// Makes the engine's settings, or says everything that keeps it from running.
pub fn compile(config: &Config, until_end: bool) -> Result<Settings, Vec<SettingsError>> {
    let mut errors = Vec::new();
    let mut pipelines = Vec::new();
    for pipeline in &config.pipelines {
        match compile_pipeline(config, pipeline, until_end) {
            Ok(compiled) => pipelines.push(compiled),
            Err(mut found) => errors.append(&mut found),
        }
    }
    let registry = registry(config).unwrap_or_else(|error| {
        errors.push(error.into());
        None
    });
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Settings {
        bootstrap_servers: config.kafka.bootstrap_servers.join(","),
        client_id: config.kafka.client_id.clone(),
        kafka_properties: config.kafka.properties.expose(),
        registry,
        cassandra: cassandra(config),
        dead_letter_topic: config.dead_letter.topic.clone(),
        drain: config.lifecycle.drain,
        pipelines,
    })
}

/// How to reach the cluster.
pub fn cassandra(config: &Config) -> CassandraConfig {
    let section = &config.cassandra;
    CassandraConfig {
        contact_points: section.contact_points.clone(),
        local_datacenter: section.local_datacenter.clone(),
        username: section.username.clone(),
        password: section.password.clone(),
        consistency: section.consistency,
        request_timeout: section.request_timeout,
        ca_file: section.ca_file.clone(),
        client_certificate: section.cert_file.clone().zip(section.key_file.clone()),
    }
}

/// The same for looking at the cluster: any node may answer, within `timeout`.
pub fn looking_cassandra(config: &Config, timeout: Duration) -> CassandraConfig {
    CassandraConfig {
        // With a datacenter that does not exist no node would be asked, and nobody could say which ones there are.
        local_datacenter: None,
        request_timeout: timeout,
        ..cassandra(config)
    }
}

/// A client that asks Kafka about topics and creates them: the connection's settings and none of the consumer's.
pub fn kafka_admin(config: &Config) -> rdkafka::ClientConfig {
    let mut client = rdkafka::ClientConfig::new();
    for (name, value) in config.kafka.properties.expose() {
        let connection = [
            "security.",
            "ssl.",
            "sasl.",
            "enable.ssl",
            "socket.",
            "broker.address",
        ];
        if connection.iter().any(|prefix| name.starts_with(prefix)) {
            client.set(name, value);
        }
    }
    client
        .set(
            "bootstrap.servers",
            config.kafka.bootstrap_servers.join(","),
        )
        .set("client.id", &config.kafka.client_id);
    client
}

/// The registry's client, where a pipeline needs one.
pub fn registry(config: &Config) -> Result<Option<RegistryClient>, RegistryError> {
    let needed = config
        .pipelines
        .iter()
        .any(|pipeline| pipeline.value_format == ValueFormat::Avro);
    let Some(section) = config.schema_registry.as_ref().filter(|_| needed) else {
        return Ok(None);
    };
    RegistryClient::new(RegistryConfig {
        url: section.url.clone(),
        username: section.username.clone(),
        password: section.password.clone(),
        bearer_token: None,
        ca_file: section.ca_file.clone(),
        request_timeout: section.request_timeout,
    })
    .map(Some)
}

fn compile_pipeline(
    config: &Config,
    pipeline: &PipelineConfig,
    until_end: bool,
) -> Result<PipelineSettings, Vec<SettingsError>> {
    let mut errors = Vec::new();
    let mut compiled = |key: &str, result: Option<Result<Program, CompileError>>| match result? {
        Ok(program) => Some(Arc::new(program)),
        Err(error) => {
            let key = format!("pipelines.{}.{key}", pipeline.name);
            errors.push(SettingsError::Program { key, error });
            None
        }
    };
    let filter = pipeline.filter.as_ref();
    let filter = filter.map(|source| Program::compile_condition(&source.name, &source.text));
    let filter = compiled("filter", filter);
    let remap = pipeline.remap.as_ref();
    let remap = remap.map(|source| Program::compile(&source.name, &source.text));
    let remap = compiled("remap", remap);
    if !errors.is_empty() {
        return Err(errors);
    }
    let hashes = [filter.as_deref(), remap.as_deref()];
    let hashes: Vec<_> = hashes.into_iter().flatten().map(Program::hash).collect();
    Ok(PipelineSettings {
        consumer: ConsumerConfig {
            topics: pipeline.topics.subscription(),
            group_id: pipeline.group_id.clone(),
            start: pipeline.start,
            max_in_flight: config.cassandra.max_in_flight,
            max_in_flight_bytes: config.limits.max_in_flight_bytes,
            max_settled_ahead: config.limits.max_settled_ahead,
            program_hash: hashes.join("+"),
            until_end,
            drain: config.lifecycle.drain,
        },
        plan: Plan {
            name: pipeline.name.clone(),
            group_id: pipeline.group_id.clone(),
            value_format: pipeline.value_format,
            filter,
            program: remap,
            tables: pipeline.tables.iter().map(table_plan).collect(),
            tombstones: pipeline.tombstones,
            isolate_after: pipeline.isolate_after,
            max_record_bytes: config.limits.max_record_bytes,
        },
    })
}

fn table_plan(table: &TableConfig) -> TablePlan {
    let columns = table.columns.iter();
    TablePlan {
        name: table.name.clone(),
        columns: columns
            .map(|(column, path)| (column.clone(), path.clone()))
            .collect(),
        row: table.row,
        nulls: table.null,
        write_timestamp: table.write_timestamp.clone(),
        write_revision: i64::from(table.write_revision),
        ttl: table.ttl,
    }
}
