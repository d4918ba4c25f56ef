//! What a table looks like, asked of the server itself rather than of the driver's cache, and its statements.

use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;

use super::error::classify;
use crate::sink::bind::is_supported;
use crate::sink::{ColumnShape, SinkError, TableName, TableShape};

/// A column of the primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyColumn {
    pub(super) name: String,
    pub(super) partition: bool,
}

/// The primary key of a table in its own order. A table that is not there is a configuration fault.
pub(super) async fn primary_key(
    session: &Session,
    name: &TableName,
) -> Result<Vec<KeyColumn>, SinkError> {
    let result = session
        .query_unpaged(
            "SELECT column_name, kind, position FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?",
            (name.keyspace(), name.table()),
        )
        .await
        .map_err(|error| classify(&error))?;
    let rows = result
        .into_rows_result()
        .map_err(|error| SinkError::Transient(error.to_string()))?;
    let rows = rows
        .rows::<(String, String, i32)>()
        .map_err(|error| SinkError::Transient(error.to_string()))?;
    let mut key = Vec::new();
    let mut any = false;
    for row in rows {
        let (column, kind, position) =
            row.map_err(|error| SinkError::Transient(error.to_string()))?;
        any = true;
        if kind == "partition_key" || kind == "clustering" {
            let partition = kind == "partition_key";
            key.push((
                !partition,
                position,
                KeyColumn {
                    name: column,
                    partition,
                },
            ));
        }
    }
    if !any {
        return Err(SinkError::Configuration(format!(
            "table {name} does not exist; create it, or run `millstream-consumer tables apply`"
        )));
    }
    key.sort_by_key(|a| (a.0, a.1));
    Ok(key.into_iter().map(|(_, _, column)| column).collect())
}

/// The CQL of one table. INSERT, never UPDATE: a row of null columns stays alive.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statements {
    pub(super) insert: String,
    pub(super) delete: String,
}

impl Statements {
    /// `columns` are checked identifiers.
    pub(super) fn new(
        name: &TableName,
        columns: &[String],
        key: &[KeyColumn],
        with_ttl: bool,
    ) -> Result<Self, SinkError> {
        for part in key {
            if !columns.contains(&part.name) {
                return Err(SinkError::Configuration(format!(
                    "table {name}: the primary key column {} has no path in columns",
                    part.name
                )));
            }
        }
        let quoted = |name: &String| format!("\"{name}\"");
        let names: Vec<_> = columns.iter().map(quoted).collect();
        let markers = vec!["?"; columns.len()].join(", ");
        let ttl = if with_ttl { " AND TTL ?" } else { "" };
        let wheres: Vec<_> = key
            .iter()
            .map(|part| format!("\"{}\" = ?", part.name))
            .collect();
        Ok(Self {
            insert: format!(
                "INSERT INTO {} ({}) VALUES ({markers}) USING TIMESTAMP ?{ttl}",
                name.quoted(),
                names.join(", ")
            ),
            delete: format!(
                "DELETE FROM {} USING TIMESTAMP ? WHERE {}",
                name.quoted(),
                wheres.join(" AND ")
            ),
        })
    }
}

/// The shape of the wanted columns, with the types that the server gave for the insert's markers.
pub(super) fn shape(
    name: &TableName,
    columns: &[String],
    key: &[KeyColumn],
    insert: &PreparedStatement,
) -> Result<TableShape, SinkError> {
    let specs = insert.get_variable_col_specs();
    let mut shapes = Vec::with_capacity(columns.len());
    for (column, spec) in columns.iter().zip(specs.iter()) {
        let column_type = spec.typ().clone().into_owned();
        if !is_supported(&column_type) {
            return Err(SinkError::Configuration(format!(
                "table {name}: column {column} has a type that cannot be written yet ({column_type:?})"
            )));
        }
        let part = key.iter().find(|part| part.name == *column);
        shapes.push(ColumnShape {
            name: column.clone(),
            column_type,
            partition_key: part.is_some_and(|part| part.partition),
            primary_key: part.is_some(),
        });
    }
    let key = key
        .iter()
        .filter_map(|part| columns.iter().position(|column| *column == part.name))
        .collect();
    Ok(TableShape {
        name: name.clone(),
        columns: shapes,
        key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_quote_every_name_and_bind_every_value() {
        let name = TableName::parse("ks.Users").unwrap();
        let key = [
            KeyColumn {
                name: "day".to_owned(),
                partition: true,
            },
            KeyColumn {
                name: "at".to_owned(),
                partition: false,
            },
        ];
        let columns = ["at".to_owned(), "day".to_owned(), "v".to_owned()];
        let statements = Statements::new(&name, &columns, &key, true).unwrap();
        assert_eq!(
            statements.insert,
            r#"INSERT INTO "ks"."Users" ("at", "day", "v") VALUES (?, ?, ?) USING TIMESTAMP ? AND TTL ?"#
        );
        assert_eq!(
            statements.delete,
            r#"DELETE FROM "ks"."Users" USING TIMESTAMP ? WHERE "day" = ? AND "at" = ?"#
        );
        assert!(matches!(
            Statements::new(&name, &columns[..1], &key, false),
            Err(SinkError::Configuration(_))
        ));
    }
}
