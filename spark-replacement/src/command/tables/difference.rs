//! What is missing between the tables that pipelines need and those that are there.

use super::definition::{ColumnDefinition, Definitions, TableDefinition, canonical_type};
use crate::config::PipelineConfig;
use millstream_pipeline::sink::TableName;
use millstream_pipeline::sink::cassandra::schema::{ColumnKind, TableDescription};
use std::collections::{BTreeMap, BTreeSet};

/// A table that pipelines write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) name: TableName,
    /// Each column with the first pipeline that fills it.
    pub(super) columns: BTreeMap<String, String>,
}

/// The tables of all pipelines, each once.
pub(super) fn needed(pipelines: &[PipelineConfig]) -> Vec<Needed> {
    let mut tables: Vec<Needed> = Vec::new();
    for pipeline in pipelines {
        for table in &pipeline.tables {
            let at = tables.iter().position(|other| other.name == table.name);
            let at = at.unwrap_or_else(|| {
                tables.push(Needed {
                    name: table.name.clone(),
                    columns: BTreeMap::new(),
                });
                tables.len() - 1
            });
            for column in table.columns.keys() {
                let columns = &mut tables[at].columns;
                columns
                    .entry(column.clone())
                    .or_insert_with(|| pipeline.name.clone());
            }
        }
    }
    tables
}

/// What is there.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub(super) keyspaces: BTreeSet<String>,
    /// By `keyspace.table`.
    pub(super) tables: BTreeMap<String, TableDescription>,
}

/// What to run, and what nothing here can mend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// In the order in which they must run, without semicolons.
    pub(super) statements: Vec<String>,
    /// One line each.
    pub(super) faults: Vec<String>,
}

/// Compares. Creates and adds, never drops or changes: a type or a key that differs is a fault.
pub(super) fn difference(
    needed: &[Needed],
    definitions: &Definitions,
    found: &Found,
) -> Difference {
    let mut difference = Difference::default();
    for table in needed {
        let name = table.name.to_string();
        let definition = definitions.tables.get(&name);
        match (found.tables.get(&name), definition) {
            (None, None) => difference.faults.push(format!(
                "table {name} does not exist, and no CREATE TABLE for it was given; write one and give it by --cql FILE"
            )),
            (None, Some(definition)) => {
                difference.check_paths(table, definition);
                difference.keyspace(table, definitions, found);
                difference.statements.push(definition.statement.clone());
            }
            (Some(there), definition) => difference.compare(table, definition, there),
        }
    }
    difference
}

impl Difference {
    fn keyspace(&mut self, table: &Needed, definitions: &Definitions, found: &Found) {
        let name = table.name.keyspace();
        if found.keyspaces.contains(name) {
            return;
        }
        let Some(keyspace) = definitions.keyspaces.get(name) else {
            self.faults.push(format!(
                "keyspace {name} does not exist, and no CREATE KEYSPACE for it was given; its replication is yours to choose: write one and give it by --cql FILE"
            ));
            return;
        };
        if !self.statements.contains(&keyspace.statement) {
            self.statements.push(keyspace.statement.clone());
        }
    }

    /// A column that a pipeline fills and the definition does not have.
    fn check_paths(&mut self, table: &Needed, definition: &TableDefinition) {
        for (column, pipeline) in &table.columns {
            if !definition.columns.iter().any(|known| known.name == *column) {
                self.faults.push(format!(
                    "table {}: pipelines.{pipeline} fills column {column}, which {} does not define; add it there",
                    table.name, definition.place
                ));
            }
        }
    }

    fn compare(
        &mut self,
        table: &Needed,
        definition: Option<&TableDefinition>,
        there: &TableDescription,
    ) {
        let name = &table.name;
        if there.view {
            self.faults.push(format!(
                "{name} is a materialized view; write to its base table"
            ));
            return;
        }
        if let Some(definition) = definition {
            self.compare_key(name, definition, there);
            for column in &definition.columns {
                self.compare_column(name, definition, column, there);
            }
        }
        for (column, pipeline) in &table.columns {
            let defined =
                definition.is_some_and(|table| table.columns.iter().any(|one| one.name == *column));
            if !defined && there.column(column).is_none() {
                self.faults.push(format!(
                    "table {name}: pipelines.{pipeline} fills column {column}, which does not exist, and no definition gives its type; write the CREATE TABLE with it and give it by --cql FILE"
                ));
            }
        }
    }

    fn compare_key(
        &mut self,
        name: &TableName,
        definition: &TableDefinition,
        there: &TableDescription,
    ) {
        let partition_key = there.names(ColumnKind::PartitionKey);
        let clustering = there.names(ColumnKind::Clustering);
        if definition.partition_key != partition_key || definition.clustering != clustering {
            self.faults.push(format!(
                "table {name} has the primary key {}, {} defines {}; a key cannot be changed: use another table, or the same key",
                key(&partition_key, &clustering),
                definition.place,
                key(&definition.partition_key, &definition.clustering),
            ));
        }
    }

    fn compare_column(
        &mut self,
        name: &TableName,
        definition: &TableDefinition,
        column: &ColumnDefinition,
        there: &TableDescription,
    ) {
        let in_key = definition.partition_key.contains(&column.name)
            || definition.clustering.contains(&column.name);
        let Some(known) = there.column(&column.name) else {
            // A key that differs is said once, for the whole key.
            if !in_key {
                let is_static = if column.is_static { " static" } else { "" };
                self.statements.push(format!(
                    "ALTER TABLE {} ADD \"{}\" {}{is_static}",
                    name.quoted(),
                    column.name,
                    column.cql_type
                ));
            }
            return;
        };
        let type_there = canonical_type(&known.cql_type);
        if type_there != column.cql_type {
            self.faults.push(format!(
                "table {name}: column {} has type {type_there}, {} defines {}; a type cannot be changed: use another column, or the same type",
                column.name, definition.place, column.cql_type
            ));
        }
        if !in_key && column.is_static != (known.kind == ColumnKind::Static) {
            self.faults.push(format!(
                "table {name}: column {} is static in one of table and {}, and not in the other; that cannot be changed",
                column.name, definition.place
            ));
        }
    }
}

fn key(partition: &[impl AsRef<str>], clustering: &[impl AsRef<str>]) -> String {
    let join = |names: &[String]| names.join(", ");
    let partition: Vec<_> = partition
        .iter()
        .map(|name| name.as_ref().to_owned())
        .collect();
    let mut all = vec![format!("({})", join(&partition))];
    all.extend(clustering.iter().map(|name| name.as_ref().to_owned()));
    format!("({})", join(&all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_pipeline::sink::cassandra::schema::ColumnDescription;

    const FILE: &str = "CREATE KEYSPACE ks WITH replication = {};
        CREATE TABLE ks.t (id uuid, at timestamp, name varchar, tags list<text>, PRIMARY KEY (id, at));";

    fn definitions(text: &str) -> Definitions {
        let mut definitions = Definitions::default();
        definitions.read("f.cql", text).expect("CQL");
        definitions
    }

    fn need(columns: &[&str]) -> Vec<Needed> {
        let columns = columns.iter();
        vec![Needed {
            name: TableName::parse("ks.t").expect("a name"),
            columns: columns
                .map(|name| ((*name).to_owned(), "users".to_owned()))
                .collect(),
        }]
    }

    fn found(columns: &[(&str, ColumnKind, &str)]) -> Found {
        let columns = columns.iter();
        let table = TableDescription {
            columns: columns
                .map(|(name, kind, cql_type)| ColumnDescription {
                    name: (*name).to_owned(),
                    kind: *kind,
                    cql_type: (*cql_type).to_owned(),
                })
                .collect(),
            default_ttl: 0,
            view: false,
        };
        Found {
            keyspaces: BTreeSet::from(["ks".to_owned()]),
            tables: BTreeMap::from([("ks.t".to_owned(), table)]),
        }
    }

    const KEY: [(&str, ColumnKind, &str); 2] = [
        ("id", ColumnKind::PartitionKey, "uuid"),
        ("at", ColumnKind::Clustering, "timestamp"),
    ];

    #[track_caller]
    fn assert_faults(difference: &Difference, parts: &[&str]) {
        assert_eq!(
            difference.faults.len(),
            parts.len(),
            "{:?}",
            difference.faults
        );
        for (fault, part) in difference.faults.iter().zip(parts) {
            assert!(fault.contains(part), "{part:?} is not in {fault:?}");
        }
    }

    #[test]
    fn an_empty_cluster_gets_keyspace_then_table() {
        let nothing = Found::default();
        let found = difference(&need(&["id", "at"]), &definitions(FILE), &nothing);
        assert_eq!(found.faults, Vec::<String>::new());
        assert_eq!(found.statements.len(), 2);
        assert!(found.statements[0].starts_with("CREATE KEYSPACE IF NOT EXISTS ks"));
        assert!(found.statements[1].starts_with("CREATE TABLE IF NOT EXISTS ks.t"));
    }

    #[test]
    fn missing_columns_are_added_and_more_columns_are_left_alone() {
        let mut columns = KEY.to_vec();
        columns.push(("extra", ColumnKind::Regular, "int"));
        columns.push(("name", ColumnKind::Regular, "text"));
        let found = difference(&need(&["id", "at"]), &definitions(FILE), &found(&columns));
        assert_eq!(
            found.statements,
            [r#"ALTER TABLE "ks"."t" ADD "tags" list<text>"#]
        );
        assert_eq!(found.faults, Vec::<String>::new());
    }

    #[test]
    fn the_same_table_needs_nothing() {
        let mut columns = KEY.to_vec();
        columns.push(("name", ColumnKind::Regular, "text"));
        columns.push(("tags", ColumnKind::Regular, "list<text>"));
        let found = difference(&need(&["id", "at"]), &definitions(FILE), &found(&columns));
        assert_eq!(found, Difference::default());
    }

    #[test]
    fn a_type_or_a_key_that_differs_is_a_fault() {
        let columns = [
            ("id", ColumnKind::PartitionKey, "text"),
            ("at", ColumnKind::PartitionKey, "timestamp"),
            ("name", ColumnKind::Static, "text"),
            ("tags", ColumnKind::Regular, "list<text>"),
        ];
        let found = difference(&need(&["id"]), &definitions(FILE), &found(&columns));
        assert_faults(
            &found,
            &[
                "has the primary key ((id, at)), f.cql:2 defines ((id), at)",
                "column id has type text, f.cql:2 defines uuid",
                "column name is static",
            ],
        );
        assert_eq!(found.statements, Vec::<String>::new());
    }

    #[test]
    fn what_nobody_defines_is_a_fault() {
        let none = Definitions::default();
        assert_faults(
            &difference(&need(&["id"]), &none, &Found::default()),
            &["table ks.t does not exist, and no CREATE TABLE"],
        );
        assert_faults(
            &difference(&need(&["id", "new"]), &none, &found(&KEY)),
            &["pipelines.users fills column new, which does not exist"],
        );
        let without_keyspace = definitions("CREATE TABLE ks.t (id uuid PRIMARY KEY)");
        assert_faults(
            &difference(&need(&["id", "new"]), &without_keyspace, &Found::default()),
            &[
                "fills column new, which f.cql:1 does not define",
                "keyspace ks does not exist, and no CREATE KEYSPACE",
            ],
        );
    }

    #[test]
    fn a_view_is_not_written_to() {
        let mut view = found(&KEY);
        if let Some(table) = view.tables.get_mut("ks.t") {
            table.view = true;
        }
        assert_faults(
            &difference(&need(&["id"]), &definitions(FILE), &view),
            &["ks.t is a materialized view"],
        );
    }
}
