//! `[pipelines.NAME]`: what is read, what is made of it, where it goes.

use super::document::Value;
use super::names;
use super::reader::{Reader, not_empty};
use crate::engine::{RowMode, Tombstones, ValueFormat, WriteTimestamp};
use millstream_codec::Path;
use millstream_pipeline::kafka::consumer::StartPosition;
use millstream_pipeline::sink::{NullMode, TableName};
use std::collections::BTreeMap;
use std::time::Duration;

/// Where a pipeline's records come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topics {
    /// `topics`: these.
    Named(Vec<String>),
    /// `topic_pattern`: every topic that matches; it begins with `^`.
    Pattern(String),
}

impl Topics {
    /// The list a subscription takes.
    pub fn subscription(&self) -> Vec<String> {
        match self {
            Self::Named(topics) => topics.clone(),
            Self::Pattern(pattern) => vec![pattern.clone()],
        }
    }
}

/// A program with the name it has in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramSource {
    /// A file's name, or `pipelines.NAME.remap`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// One pipeline.
#[derive(Debug, Clone)]
pub struct PipelineConfig {
    /// The name: metric label, `--pipeline` argument.
    pub name: String,
    /// `topics` or `topic_pattern`. One of them is required.
    pub topics: Topics,
    /// Consumer group. Default `millstream-NAME`.
    pub group_id: String,
    /// Encoding of the values. Required.
    pub value_format: ValueFormat,
    /// Where a new group starts. Default `earliest`.
    pub start: StartPosition,
    /// `remap` or `remap_file`: a VRL program that makes the rows. Default: none, columns are picked from the record.
    pub remap: Option<ProgramSource>,
    /// A VRL condition; records for which it is false are left out. It sees the record before `remap`. Default: none.
    pub filter: Option<ProgramSource>,
    /// What a record without a value does. Default `filter`.
    pub tombstones: Tombstones,
    /// How long one row may keep failing while others of its table succeed before it becomes a dead letter.
    /// Default 5 min; `"off"` never.
    pub isolate_after: Option<Duration>,
    /// At least one.
    pub tables: Vec<TableConfig>,
}

/// One table a pipeline writes to.
#[derive(Debug, Clone)]
pub struct TableConfig {
    /// Keyspace and table. Names are taken as they stand, as if quoted. Required.
    pub name: TableName,
    /// Column to path, in the order of the columns' names. Required.
    pub columns: BTreeMap<String, Path>,
    /// Default `merge`.
    pub row: RowMode,
    /// Default `unset`.
    pub null: NullMode,
    /// Default `record`.
    pub write_timestamp: WriteTimestamp,
    /// Added to the stamp, 0 to 7; raise it when the program changed and history is replayed. Default 0.
    pub write_revision: u8,
    /// Time to live, counted from the record's timestamp. Default: none.
    pub ttl: Option<Duration>,
}

/// Cassandra's limit of a time to live: 20 years.
const MAX_TTL: Duration = Duration::from_hours(175_200);
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn read(reader: &Reader<'_>, name: &str) -> PipelineConfig {
    let formats = [("json", ValueFormat::Json), ("avro", ValueFormat::Avro)];
    let starts = [
        ("earliest", StartPosition::Earliest),
        ("latest", StartPosition::Latest),
    ];
    let tombstones = [
        ("filter", Tombstones::Filter),
        ("delete", Tombstones::Delete),
        ("dead_letter", Tombstones::DeadLetter),
    ];
    if !reader.has("value_format") {
        reader.fault("value_format", "missing; \"json\" or \"avro\"");
    }
    let tombstones = reader.choice("tombstones", &tombstones).unwrap_or_default();
    let tables = read_tables(reader);
    let by_field = |table: &TableConfig| matches!(table.write_timestamp, WriteTimestamp::Field(_));
    if tombstones == Tombstones::Delete && tables.iter().any(by_field) {
        reader.fault(
            "tombstones",
            "\"delete\" cannot be used with write_timestamp = \"field:...\": a tombstone has no field, and its delete would hide older versions that come later",
        );
    }
    PipelineConfig {
        name: name.to_owned(),
        topics: read_topics(reader),
        group_id: reader
            .parsed("group_id", names::group)
            .unwrap_or_else(|| format!("millstream-{name}")),
        value_format: reader
            .choice("value_format", &formats)
            .unwrap_or(ValueFormat::Json),
        start: reader.choice("start", &starts).unwrap_or_default(),
        remap: read_program(reader, name),
        filter: reader
            .parsed("filter", not_empty)
            .map(|text| ProgramSource {
                name: format!("pipelines.{name}.filter"),
                text,
            }),
        tombstones,
        isolate_after: read_isolation(reader),
        tables,
    }
}

fn read_tables(reader: &Reader<'_>) -> Vec<TableConfig> {
    if !reader.has("tables") {
        reader.fault(
            "tables",
            "missing; give at least one [[pipelines.NAME.tables]]",
        );
    }
    let mut tables: Vec<TableConfig> = Vec::new();
    for (path, node) in reader.tables("tables") {
        let nested = reader.child(node, &path);
        let table = read_table(&nested);
        nested.finish();
        let Some(table) = table else { continue };
        if tables.iter().any(|other| other.name == table.name) {
            let rule = format!(
                "{path} writes to {} a second time; one record must make one row of a key",
                table.name
            );
            reader.fault("tables", rule);
        }
        tables.push(table);
    }
    tables
}

fn read_topics(reader: &Reader<'_>) -> Topics {
    let named = reader.list("topics", names::topic);
    let pattern = reader.parsed("topic_pattern", |text| {
        if !text.starts_with('^') {
            return Err("a pattern begins with ^".to_owned());
        }
        let problem = |error: regex::Error| {
            // The last line says what is wrong; those before it draw the place.
            let text = error.to_string();
            let last = text
                .lines()
                .last()
                .unwrap_or_default()
                .trim()
                .trim_start_matches("error: ")
                .to_owned();
            format!("not a regular expression: {last}")
        };
        regex::Regex::new(text).map_err(problem)?;
        Ok(text.to_owned())
    });
    match (reader.has("topics"), reader.has("topic_pattern")) {
        (true, true) => reader.fault("topic_pattern", "give topics or topic_pattern, not both"),
        (false, false) => reader.fault(
            "topics",
            "missing; for example topics = [\"users_created\"]",
        ),
        _ => {}
    }
    if let Some(topics) = &named {
        for (index, topic) in topics.iter().enumerate() {
            if topics[..index].contains(topic) {
                reader.fault("topics", format!("{topic} stands in the list twice"));
            }
        }
    }
    match (named, pattern) {
        (_, Some(pattern)) => Topics::Pattern(pattern),
        (named, None) => Topics::Named(named.unwrap_or_default()),
    }
}

fn read_program(reader: &Reader<'_>, name: &str) -> Option<ProgramSource> {
    let given = reader.parsed("remap", not_empty);
    let path = reader.file("remap_file");
    if reader.has("remap") && reader.has("remap_file") {
        reader.fault("remap_file", "give remap or remap_file, not both");
        return None;
    }
    if let Some(text) = given {
        return Some(ProgramSource {
            name: format!("pipelines.{name}.remap"),
            text,
        });
    }
    let path = path?;
    let text = reader.read("remap_file", &path)?;
    let name = path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    );
    Some(ProgramSource { name, text })
}

fn read_isolation(reader: &Reader<'_>) -> Option<Duration> {
    let five_minutes = Some(300 * SECOND);
    let read = reader.parsed("isolate_after", |text| {
        if text == "off" {
            return Ok(None);
        }
        let duration =
            super::units::parse_duration(text).map_err(|rule| format!("{rule}, or \"off\""))?;
        if duration < SECOND || duration > 24 * 3600 * SECOND {
            return Err("not from 1s to 1d, or \"off\"".to_owned());
        }
        Ok(Some(duration))
    });
    read.unwrap_or(five_minutes)
}

/// `None` when the table's name is a fault; the other keys are read all the same, so that their faults come too.
fn read_table(reader: &Reader<'_>) -> Option<TableConfig> {
    let name = reader.required("table", "table = \"keyspace.table\"", names::table);
    let columns = read_columns(reader);
    let rows = [("merge", RowMode::Merge), ("replace", RowMode::Replace)];
    let row = reader.choice("row", &rows).unwrap_or_default();
    let nulls = [("unset", NullMode::Unset), ("write", NullMode::Write)];
    let null = reader.choice("null", &nulls).unwrap_or_default();
    let write_timestamp = reader
        .parsed("write_timestamp", write_timestamp)
        .unwrap_or_default();
    let write_revision = reader.integer("write_revision", 0, 0..=7);
    let ttl = reader.optional_duration("ttl", SECOND..=MAX_TTL);
    Some(TableConfig {
        name: name?,
        columns,
        row,
        null,
        write_timestamp,
        write_revision: u8::try_from(write_revision).unwrap_or_default(),
        ttl,
    })
}

fn read_columns(reader: &Reader<'_>) -> BTreeMap<String, Path> {
    let mut columns = BTreeMap::new();
    let Some(node) = reader.node("columns") else {
        reader.fault(
            "columns",
            "missing; for example columns = { id = \"id\", first_name = \"name.first\" }",
        );
        return columns;
    };
    let nested = reader.child(node, &reader.key("columns"));
    for (column, node) in nested.entries() {
        if let Err(rule) = names::identifier(column) {
            nested.fault(column, rule);
            continue;
        }
        let Value::Text(text) = &node.value else {
            nested.fault(
                column,
                format!("{} where a path belongs, like \"name.first\"", node.kind()),
            );
            continue;
        };
        match Path::parse(text) {
            Ok(path) => {
                columns.insert(column.clone(), path);
            }
            Err(error) => nested.fault(column, error.detail),
        }
    }
    if matches!(&node.value, Value::Table(entries) if entries.is_empty()) {
        reader.fault(
            "columns",
            "empty; give at least the columns of the primary key",
        );
    }
    columns
}

fn write_timestamp(text: &str) -> Result<WriteTimestamp, String> {
    match text {
        "record" => Ok(WriteTimestamp::Record),
        "now" => Ok(WriteTimestamp::Now),
        text => match text.strip_prefix("field:") {
            Some(path) => Path::parse(path)
                .map(WriteTimestamp::Field)
                .map_err(|error| error.detail),
            None => Err("not \"record\", \"field:<path>\" or \"now\"".to_owned()),
        },
    }
}
