//! Whether the cluster is there and its tables can take what the pipelines write.

use super::report::Line;
use crate::command::cause_of;
use crate::config::{Config, PipelineConfig, TableConfig};
use crate::settings;
use millstream_pipeline::sink::cassandra::schema::{self, ColumnKind, TableDescription, writable};
use millstream_pipeline::sink::cassandra::{CassandraSink, connect};
use millstream_pipeline::sink::{Sink, SinkError, TableName};
use millstream_pipeline::telemetry::Cause;
use scylla::client::session::Session;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const MENDING: &str = "create it, or run `millstream-consumer tables apply`";

/// What was found, and the tables that are there, by `keyspace.table`.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) lines: Vec<Line>,
    pub(super) tables: BTreeMap<String, TableDescription>,
}

/// Looks at the cluster. Every question is given up after `timeout`.
pub(super) async fn check(config: &Config, timeout: Duration) -> Cluster {
    let mut cluster = Cluster::default();
    let nodes = config.cassandra.contact_points.join(", ");
    let what = format!("cassandra {nodes}");
    let looking = settings::looking_cassandra(config, timeout);
    let session = match within(timeout, connect(&looking)).await {
        Ok(session) => session,
        Err(error) => {
            let reason = format!("{error}; check cassandra.contact_points");
            cluster
                .lines
                .push(Line::fail(cause_of(&error), what, reason));
            for table in tables(config) {
                let what = format!("table {table}");
                cluster
                    .lines
                    .push(Line::skip(what, "Cassandra is not there"));
            }
            return cluster;
        }
    };
    cluster
        .lines
        .push(datacenters(config, &session, timeout, what).await);
    if let Err(error) = cluster.look(config, &session, timeout).await {
        cluster.lines.push(Line::fail(
            cause_of(&error),
            "tables",
            format!("the schema cannot be read: {error}"),
        ));
    }
    cluster
}

async fn within<T>(
    timeout: Duration,
    question: impl Future<Output = Result<T, SinkError>>,
) -> Result<T, SinkError> {
    let late = || {
        let seconds = timeout.as_secs_f32();
        SinkError::Transient(format!("no answer within {seconds} s"))
    };
    tokio::time::timeout(timeout, question)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// All tables, each once, in the order of the file.
fn tables(config: &Config) -> Vec<TableName> {
    let mut names: Vec<TableName> = Vec::new();
    for table in config.pipelines.iter().flat_map(|one| &one.tables) {
        if !names.contains(&table.name) {
            names.push(table.name.clone());
        }
    }
    names
}

async fn datacenters(config: &Config, session: &Session, timeout: Duration, what: String) -> Line {
    let known = match within(timeout, schema::datacenters(session)).await {
        Ok(known) => known,
        Err(error) => return Line::fail(cause_of(&error), what, error.to_string()),
    };
    let names = known.iter().cloned().collect::<Vec<_>>().join(", ");
    match &config.cassandra.local_datacenter {
        Some(local) if !known.contains(local) => Line::wrong(
            "cassandra.local_datacenter",
            format!("no node is in {local}; known: {names}"),
        ),
        _ => Line::ok(what, format!("datacenter {names}")),
    }
}

impl Cluster {
    async fn look(
        &mut self,
        config: &Config,
        session: &Arc<Session>,
        timeout: Duration,
    ) -> Result<(), SinkError> {
        let keyspaces = within(timeout, schema::keyspaces(session)).await?;
        let names = tables(config);
        let mut missing: Vec<&str> = Vec::new();
        for name in names.iter().map(TableName::keyspace) {
            if !keyspaces.contains(name) && !missing.contains(&name) {
                missing.push(name);
                let reason = format!("does not exist; {MENDING}");
                self.lines
                    .push(Line::wrong(format!("keyspace {name}"), reason));
            }
        }
        for name in names
            .iter()
            .filter(|name| !missing.contains(&name.keyspace()))
        {
            let Some(table) = within(timeout, schema::describe(session, name)).await? else {
                let reason = format!("does not exist; {MENDING}");
                let what = format!("table {name}");
                self.lines.push(Line::wrong(what, reason));
                continue;
            };
            self.tables.insert(name.to_string(), table);
        }
        let sink = CassandraSink::new(session.clone());
        for pipeline in &config.pipelines {
            for table in &pipeline.tables {
                let Some(there) = self.tables.get(&table.name.to_string()) else {
                    continue;
                };
                let mut found = check_table(pipeline, table, there);
                if found.is_empty() {
                    found.push(prepare(&sink, pipeline, table, there, timeout).await);
                }
                self.lines.append(&mut found);
            }
        }
        Ok(())
    }
}

fn title(pipeline: &PipelineConfig, table: &TableConfig) -> String {
    format!("table {} of {}", table.name, pipeline.name)
}

/// Everything about a table that keeps a pipeline from writing to it.
fn check_table(
    pipeline: &PipelineConfig,
    table: &TableConfig,
    there: &TableDescription,
) -> Vec<Line> {
    let what = title(pipeline, table);
    let mut lines = Vec::new();
    let mut wrong = |reason: String| lines.push(Line::wrong(what.clone(), reason));
    if there.view {
        wrong("is a materialized view; write to its base table".to_owned());
    }
    if there.counters() {
        wrong(
            "holds counters, which a replay would count twice; use a table without them".to_owned(),
        );
    }
    if there.default_ttl > 0 && table.ttl.is_none() {
        wrong(format!(
            "has default_time_to_live = {}, which counts from the writing, so a replay would keep rows longer; set ttl = \"{}s\" in pipelines.{}, which counts from the record, or set the table's to 0",
            there.default_ttl, there.default_ttl, pipeline.name
        ));
    }
    for column in there.columns.iter().filter(|column| {
        matches!(
            column.kind,
            ColumnKind::PartitionKey | ColumnKind::Clustering
        )
    }) {
        if !table.columns.contains_key(&column.name) {
            wrong(format!(
                "column {} is part of the primary key and has no path in columns; add one",
                column.name
            ));
        }
    }
    for name in table.columns.keys() {
        match there.column(name) {
            None => wrong(format!(
                "column {name} does not exist; {}",
                advice(name, there)
            )),
            // Said once for the whole table.
            Some(column) if column.cql_type == "counter" => {}
            Some(column) if !writable(&column.cql_type) => wrong(format!(
                "column {name} has type {}, which cannot be written; use a text column or leave it out",
                column.cql_type
            )),
            Some(_) => {}
        }
    }
    lines
}

/// The name as the table has it, where only its case differs: unquoted names are lower case in CQL.
fn advice(name: &str, there: &TableDescription) -> String {
    let same = there
        .columns
        .iter()
        .find(|column| column.name.eq_ignore_ascii_case(name));
    match same {
        Some(column) => format!("did you mean {}?", column.name),
        None => "add it, or run `millstream-consumer tables apply`".to_owned(),
    }
}

/// Lets the server look at the statements that `run` would send. Whether we may write is seen at the first row only.
async fn prepare(
    sink: &CassandraSink,
    pipeline: &PipelineConfig,
    table: &TableConfig,
    there: &TableDescription,
    timeout: Duration,
) -> Line {
    let what = title(pipeline, table);
    let columns: Vec<String> = table.columns.keys().cloned().collect();
    let opening = sink.open(&table.name, &columns, table.ttl.is_some());
    match within(timeout, opening).await {
        Ok(_) => {
            let mut key = there.names(ColumnKind::PartitionKey);
            key.extend(there.names(ColumnKind::Clustering));
            let (columns, key) = (columns.len(), key.join(", "));
            let noun = if columns == 1 { "column" } else { "columns" };
            Line::ok(what, format!("{columns} {noun}, primary key {key}"))
        }
        Err(SinkError::Refused(reason)) => Line::fail(Cause::Configuration, what, reason),
        Err(error) => Line::fail(cause_of(&error), what, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::validate::tests::config;
    use millstream_pipeline::sink::cassandra::schema::ColumnDescription;

    fn table(columns: &[(&str, ColumnKind, &str)]) -> TableDescription {
        let columns = columns.iter();
        TableDescription {
            columns: columns
                .map(|(name, kind, cql_type)| ColumnDescription {
                    name: (*name).to_owned(),
                    kind: *kind,
                    cql_type: (*cql_type).to_owned(),
                })
                .collect(),
            default_ttl: 0,
            view: false,
        }
    }

    const ID: (&str, ColumnKind, &str) = ("id", ColumnKind::PartitionKey, "uuid");
    const NAME: (&str, ColumnKind, &str) = ("name", ColumnKind::Regular, "text");

    fn reasons(lines: &str, there: &TableDescription) -> Vec<String> {
        let config = config(lines);
        let pipeline = &config.pipelines[0];
        let lines = check_table(pipeline, &pipeline.tables[0], there);
        lines.into_iter().map(|line| line.reason).collect()
    }

    #[test]
    fn a_table_that_fits_has_no_fault() {
        assert_eq!(reasons("", &table(&[ID, NAME])), Vec::<String>::new());
    }

    #[test]
    fn all_faults_of_a_table_are_found() {
        let there = table(&[
            ("day", ColumnKind::PartitionKey, "date"),
            ("id", ColumnKind::Clustering, "duration"),
            ("Name", ColumnKind::Regular, "text"),
        ]);
        let found = reasons("", &there);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("column day is part of the primary key"));
        assert!(found[1].starts_with("column id has type duration"));
        assert_eq!(found[2], "column name does not exist; did you mean Name?");
    }

    #[test]
    fn counters_views_and_a_table_wide_time_to_live_are_refused() {
        let counters = table(&[ID, ("name", ColumnKind::Regular, "counter")]);
        assert!(reasons("", &counters)[0].starts_with("holds counters"));
        assert_eq!(reasons("", &counters).len(), 1);
        let mut view = table(&[ID, NAME]);
        view.view = true;
        assert!(reasons("", &view)[0].starts_with("is a materialized view"));
        let mut mortal = table(&[ID, NAME]);
        mortal.default_ttl = 60;
        assert!(reasons("", &mortal)[0].contains("set ttl = \"60s\" in pipelines.users"));
        assert_eq!(reasons("ttl = \"1d\"", &mortal), Vec::<String>::new());
    }
}
