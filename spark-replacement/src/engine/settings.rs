//! From the configuration to what a run needs: programs compiled, names resolved.

use std::sync::Arc;
use std::time::Duration;

use millstream_pipeline::kafka::consumer::ConsumerConfig;
use millstream_pipeline::registry::{RegistryClient, RegistryConfig};
use millstream_pipeline::remap::Program;
use millstream_pipeline::sink::cassandra::CassandraConfig;

use super::plan::{Plan, TablePlan};
use super::supervise::{PipelineSettings, Settings};
use crate::config::{Config, PipelineConfig, ProgramSource};

impl Settings {
    /// Compiles the programs and makes the registry's client; no IO. Gives all faults at once, one line each.
    pub fn new(config: &Config, until_end: bool) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let mut pipelines = Vec::new();
        for pipeline in &config.pipelines {
            if let Some(settings) = pipeline_settings(config, pipeline, until_end, &mut faults) {
                pipelines.push(settings);
            }
        }
        let registry = registry(config, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let cassandra = &config.cassandra;
        Ok(Self {
            bootstrap_servers: config.kafka.bootstrap_servers.join(","),
            client_id: config.kafka.client_id.clone(),
            kafka_properties: config.kafka.properties.expose(),
            registry,
            cassandra: CassandraConfig {
                contact_points: cassandra.contact_points.clone(),
                local_datacenter: cassandra.local_datacenter.clone(),
                username: cassandra.username.clone(),
                password: cassandra.password.clone(),
                consistency: cassandra.consistency,
                request_timeout: cassandra.request_timeout,
                ca_file: cassandra.ca_file.clone(),
            },
            dead_letter_topic: config.dead_letter.topic.clone(),
            drain: config.lifecycle.drain,
            pipelines,
        })
    }
}

fn registry(config: &Config, faults: &mut Vec<String>) -> Option<RegistryClient> {
    let section = config.schema_registry.as_ref()?;
    let client = RegistryClient::new(RegistryConfig {
        url: section.url.clone(),
        username: section.username.clone(),
        password: section.password.clone(),
        bearer_token: None,
        ca_file: section.ca_file.clone(),
        request_timeout: section.request_timeout.max(Duration::from_millis(100)),
    });
    client
        .map_err(|error| faults.push(format!("schema_registry: {error}")))
        .ok()
}

fn pipeline_settings(
    config: &Config,
    pipeline: &PipelineConfig,
    until_end: bool,
    faults: &mut Vec<String>,
) -> Option<PipelineSettings> {
    let mut compile = |source: &Option<ProgramSource>| match source {
        None => Some(None),
        Some(source) => match Program::compile(&source.name, &source.text) {
            Ok(program) => Some(Some(Arc::new(program))),
            Err(error) => {
                faults.push(format!("pipelines.{}: {error}", pipeline.name));
                None
            }
        },
    };
    let (program, filter) = (compile(&pipeline.remap), compile(&pipeline.filter));
    let (program, filter) = (program?, filter?);
    let hashes: Vec<_> = [&filter, &program]
        .into_iter()
        .flatten()
        .map(|program| program.hash())
        .collect();
    let program_hash = hashes.join("+");
    let tables = pipeline.tables.iter().map(|table| TablePlan {
        name: table.name.clone(),
        columns: table
            .columns
            .iter()
            .map(|(column, path)| (column.clone(), path.clone()))
            .collect(),
        row: table.row,
        nulls: table.null,
        write_timestamp: table.write_timestamp.clone(),
        write_revision: i64::from(table.write_revision),
        ttl: table.ttl,
    });
    Some(PipelineSettings {
        consumer: ConsumerConfig {
            topics: pipeline.topics.subscription(),
            group_id: pipeline.group_id.clone(),
            start: pipeline.start,
            max_in_flight: config.cassandra.max_in_flight,
            max_in_flight_bytes: config.limits.max_in_flight_bytes,
            max_settled_ahead: config.limits.max_settled_ahead,
            program_hash,
            until_end,
            drain: config.lifecycle.drain,
        },
        plan: Plan {
            name: pipeline.name.clone(),
            group_id: pipeline.group_id.clone(),
            value_format: pipeline.value_format,
            tables: tables.collect(),
            tombstones: pipeline.tombstones,
            isolate_after: pipeline.isolate_after,
            max_record_bytes: config.limits.max_record_bytes,
            filter,
            program,
        },
    })
}
