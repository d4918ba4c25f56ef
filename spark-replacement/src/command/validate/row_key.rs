//! Whether the records of one row come in one partition: only there does the newest record win by its offset.
//!
//! A configuration cannot tell, since columns are picked from values and the producer chooses the Kafka key. So the last
//! records are looked at: where the Kafka key is one of the row's key columns, a row's records share their partition.

use super::report::Line;
use super::sample::Sample;
use crate::engine::{Plan, TablePlan, ValueFormat};
use millstream_codec::{Cell, Projection, Value, frame, json};
use millstream_pipeline::registry::RegistryClient;
use millstream_pipeline::remap::Remapped;
use millstream_pipeline::sink::cassandra::schema::{ColumnKind, TableDescription};

/// What the last records of one topic say about one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    /// Rows that were made of them.
    rows: usize,
    /// Rows whose record has no key.
    keyless: usize,
    /// Rows one of whose key columns is the record's key.
    matching: usize,
}

/// Looks at the last records of one topic.
pub(super) async fn check(
    plan: &Plan,
    registry: Option<&RegistryClient>,
    table: &TablePlan,
    there: &TableDescription,
    topic: &(String, i32),
    samples: &[Sample],
) -> Line {
    let (name, partitions) = topic;
    let what = format!("order of {name} -> {}", table.name);
    if *partitions == 1 {
        return Line::ok(what, "one partition: newer records have higher offsets");
    }
    if samples.is_empty() {
        return Line::skip(what, "no record to look at yet");
    }
    let mut names = there.names(ColumnKind::PartitionKey);
    names.extend(there.names(ColumnKind::Clustering));
    let columns = table.columns.iter();
    let paths: Vec<_> = columns
        .filter(|(column, _)| names.contains(&column.as_str()))
        .map(|(_, path)| path.clone())
        .collect();
    let projection = Projection::new(&paths);
    let mut seen = Seen::default();
    for sample in samples {
        for value in rows(plan, registry, sample).await {
            seen.add(
                &projection.project_value(&value),
                sample.facts.key.as_deref(),
            );
        }
    }
    seen.judge(what, samples.len())
}

/// The rows of a record; none where it would be a dead letter or is filtered.
async fn rows(plan: &Plan, registry: Option<&RegistryClient>, sample: &Sample) -> Vec<Value> {
    let value = match plan.value_format {
        ValueFormat::Json => json::decode(&sample.value).ok(),
        ValueFormat::Avro => match (frame::split(&sample.value), registry) {
            (Ok((id, datum)), Some(registry)) => match registry.avro_schema(id).await {
                Ok(schema) => schema.decode(datum).ok(),
                Err(_) => None,
            },
            _ => None,
        },
    };
    let Some(value) = value.filter(Value::is_object) else {
        return Vec::new();
    };
    let facts = Some(&sample.facts);
    if let Some(filter) = &plan.filter
        && !matches!(filter.run(value.clone(), facts), Ok(Remapped::One(_)))
    {
        return Vec::new();
    }
    let Some(program) = &plan.program else {
        return vec![value];
    };
    match program.run(value, facts) {
        Ok(Remapped::One(value)) => vec![value],
        Ok(Remapped::Many(values)) => values,
        Ok(Remapped::Filtered) | Err(_) => Vec::new(),
    }
}

impl Seen {
    fn add(&mut self, cells: &[Option<Cell<'_>>], key: Option<&[u8]>) {
        self.rows += 1;
        let Some(key) = key.map(String::from_utf8_lossy) else {
            self.keyless += 1;
            return;
        };
        // A key that was written as JSON text has quotes around it.
        let key = key.trim_matches('"');
        let mut texts = cells.iter().flatten().filter_map(text);
        if texts.any(|text| text.eq_ignore_ascii_case(key)) {
            self.matching += 1;
        }
    }

    fn judge(self, what: String, records: usize) -> Line {
        let Self {
            rows,
            keyless,
            matching,
        } = self;
        let why = "rows whose records come in several partitions keep the newest by timestamp instead of by offset";
        if rows == 0 {
            let reason = format!("none of the last {records} records makes a row");
            Line::skip(what, reason)
        } else if keyless > 0 {
            let reason = format!(
                "{keyless} of the last {rows} rows come from records without a key: {why}; let the producer set the row key as key"
            );
            Line::warn(what, reason)
        } else if matching < rows {
            let other = rows - matching;
            let reason = format!(
                "the key of {other} of the last {rows} records is no key column of the row: unless it follows from them, {why}"
            );
            Line::warn(what, reason)
        } else {
            let reason = format!("the key is a key column of the row in the last {rows} records");
            Line::ok(what, reason)
        }
    }
}

/// A key column as a producer would write it.
fn text(cell: &Cell<'_>) -> Option<String> {
    match cell {
        Cell::Text(text) | Cell::BigInt(text) => Some(text.to_string()),
        Cell::Int(number) => Some(number.to_string()),
        Cell::Uuid(uuid) => Some(uuid.to_string()),
        Cell::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;
    use crate::command::validate::tests::config;
    use millstream_pipeline::remap::KafkaFacts;
    use millstream_pipeline::sink::cassandra::schema::ColumnDescription;

    fn verdict(lines: &str, partitions: i32, records: &[(Option<&str>, &str)]) -> Verdict {
        let settings = crate::settings::compile(&config(lines), false).expect("settings");
        let plan = &settings.pipelines[0].plan;
        let there = TableDescription {
            columns: vec![ColumnDescription {
                name: "id".to_owned(),
                kind: ColumnKind::PartitionKey,
                cql_type: "text".to_owned(),
            }],
            default_ttl: 0,
            view: false,
        };
        let records = records.iter();
        let samples: Vec<_> = records
            .map(|(key, value)| Sample {
                facts: KafkaFacts {
                    key: key.map(|key| key.as_bytes().to_vec().into()),
                    ..KafkaFacts::default()
                },
                value: value.as_bytes().to_vec(),
            })
            .collect();
        let topic = ("t".to_owned(), partitions);
        let checking = check(plan, None, &plan.tables[0], &there, &topic, &samples);
        futures::executor::block_on(checking).verdict
    }

    #[test]
    fn the_last_records_tell_whether_a_row_stays_in_its_partition() {
        let good = (Some("a"), r#"{"id":"a"}"#);
        assert_eq!(
            verdict("", 6, &[good, (Some("\"7\""), r#"{"id":7}"#)]),
            Verdict::Ok
        );
        assert_eq!(
            verdict("", 6, &[good, (None, r#"{"id":"a"}"#)]),
            Verdict::Warn
        );
        assert_eq!(
            verdict("", 6, &[good, (Some("x"), r#"{"id":"a"}"#)]),
            Verdict::Warn
        );
        assert_eq!(verdict("", 6, &[]), Verdict::Skip);
        assert_eq!(
            verdict("", 6, &[(Some("a"), "{"), (None, "[1]")]),
            Verdict::Skip
        );
        assert_eq!(verdict("", 1, &[(None, r#"{"id":"a"}"#)]), Verdict::Ok);
    }

    #[test]
    fn rows_of_programs_are_looked_at_too() {
        let remap = "remap = '.id = string!(%kafka.key)'";
        assert_eq!(verdict(remap, 6, &[(Some("a"), "{}")]), Verdict::Ok);
        let filter = "filter = '.n == 1'";
        let records = [
            (Some("a"), r#"{"id":"a","n":1}"#),
            (None, r#"{"id":"b","n":2}"#),
        ];
        assert_eq!(verdict(filter, 6, &records), Verdict::Ok);
    }
}
