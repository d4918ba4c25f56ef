//! What stands in a cluster: keyspaces, tables, columns. For looking before running, and for creating what is missing.

use std::collections::BTreeSet;

use scylla::client::session::Session;
use scylla::frame::response::result::{ColumnType, NativeType};

use super::error::classify;
use crate::sink::bind::is_supported;
use crate::sink::{SinkError, TableName};

/// What a column is in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColumnKind {
    /// Part of the partition key.
    PartitionKey,
    /// Part of the primary key behind the partition key.
    Clustering,
    /// One value for all rows of a partition.
    Static,
    /// Anything else.
    Regular,
}

/// A column as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDescription {
    /// The name, in its own case.
    pub name: String,
    /// Its place in the table.
    pub kind: ColumnKind,
    /// The type as CQL writes it: `text`, `map<text, int>`.
    pub cql_type: String,
}

/// A table as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDescription {
    /// Primary key first, in its own order; the rest by name.
    pub columns: Vec<ColumnDescription>,
    /// Seconds after which a row written without a time to live is gone; 0 for never.
    pub default_ttl: i32,
    /// A materialized view: nobody writes to it but Cassandra.
    pub view: bool,
}

impl TableDescription {
    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&ColumnDescription> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The names of the columns of one kind, in the table's order.
    pub fn names(&self, kind: ColumnKind) -> Vec<&str> {
        let columns = self.columns.iter();
        columns
            .filter(|column| column.kind == kind)
            .map(|column| column.name.as_str())
            .collect()
    }

    /// Whether it holds counters: they are added to, not set, so a replay would count twice.
    pub fn counters(&self) -> bool {
        self.columns
            .iter()
            .any(|column| column.cql_type == "counter")
    }
}

/// Whether values can be written to a column of this type, given as CQL writes it.
pub fn writable(cql_type: &str) -> bool {
    let native = match cql_type {
        "ascii" => NativeType::Ascii,
        "bigint" => NativeType::BigInt,
        "blob" => NativeType::Blob,
        "boolean" => NativeType::Boolean,
        "date" => NativeType::Date,
        "decimal" => NativeType::Decimal,
        "double" => NativeType::Double,
        "duration" => NativeType::Duration,
        "float" => NativeType::Float,
        "inet" => NativeType::Inet,
        "int" => NativeType::Int,
        "smallint" => NativeType::SmallInt,
        "text" | "varchar" => NativeType::Text,
        "time" => NativeType::Time,
        "timestamp" => NativeType::Timestamp,
        "timeuuid" => NativeType::Timeuuid,
        "tinyint" => NativeType::TinyInt,
        "uuid" => NativeType::Uuid,
        "varint" => NativeType::Varint,
        _ => return false,
    };
    is_supported(&ColumnType::Native(native))
}

/// The names of all keyspaces.
pub async fn keyspaces(session: &Session) -> Result<BTreeSet<String>, SinkError> {
    names(session, "SELECT keyspace_name FROM system_schema.keyspaces").await
}

/// The datacenters that the cluster's nodes are in.
pub async fn datacenters(session: &Session) -> Result<BTreeSet<String>, SinkError> {
    let mut found = names(session, "SELECT data_center FROM system.local").await?;
    found.extend(names(session, "SELECT data_center FROM system.peers").await?);
    Ok(found)
}

/// Describes a table; `None` when there is none of that name.
pub async fn describe(
    session: &Session,
    name: &TableName,
) -> Result<Option<TableDescription>, SinkError> {
    let mut columns = columns(session, name).await?;
    if columns.is_empty() {
        return Ok(None);
    }
    columns.sort_by(|(a, at), (b, bt)| (a.kind, at, &a.name).cmp(&(b.kind, bt, &b.name)));
    let answer = session
        .query_unpaged(
            "SELECT default_time_to_live FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?",
            (name.keyspace(), name.table()),
        )
        .await
        .map_err(|error| classify(&error))?;
    let rows = answer.into_rows_result().map_err(unreadable)?;
    let table = rows.maybe_first_row::<(i32,)>().map_err(unreadable)?;
    Ok(Some(TableDescription {
        columns: columns.into_iter().map(|(column, _)| column).collect(),
        default_ttl: table.map_or(0, |(ttl,)| ttl),
        // Views have columns like tables, but stand in a list of their own.
        view: table.is_none(),
    }))
}

/// Runs one statement that changes the schema and waits until all nodes agree on it.
///
/// Running it again is safe only where the statement says so (`IF NOT EXISTS`).
pub async fn change(session: &Session, statement: &str) -> Result<(), SinkError> {
    session
        .query_unpaged(statement, ())
        .await
        .map_err(|error| classify(&error))?;
    session
        .await_schema_agreement()
        .await
        .map_err(|error| SinkError::Transient(error.to_string()))?;
    Ok(())
}

async fn columns(
    session: &Session,
    name: &TableName,
) -> Result<Vec<(ColumnDescription, i32)>, SinkError> {
    let answer = session
        .query_unpaged(
            "SELECT column_name, kind, position, type FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?",
            (name.keyspace(), name.table()),
        )
        .await
        .map_err(|error| classify(&error))?;
    let rows = answer.into_rows_result().map_err(unreadable)?;
    let rows = rows
        .rows::<(String, String, i32, String)>()
        .map_err(unreadable)?;
    rows.map(|row| {
        let (name, kind, position, cql_type) = row.map_err(unreadable)?;
        let kind = match kind.as_str() {
            "partition_key" => ColumnKind::PartitionKey,
            "clustering" => ColumnKind::Clustering,
            "static" => ColumnKind::Static,
            _ => ColumnKind::Regular,
        };
        let column = ColumnDescription {
            name,
            kind,
            cql_type,
        };
        Ok((column, position))
    })
    .collect()
}

async fn names(session: &Session, query: &str) -> Result<BTreeSet<String>, SinkError> {
    let answer = session
        .query_unpaged(query, ())
        .await
        .map_err(|error| classify(&error))?;
    let rows = answer.into_rows_result().map_err(unreadable)?;
    let rows = rows.rows::<(Option<String>,)>().map_err(unreadable)?;
    let mut found = BTreeSet::new();
    for row in rows {
        // A node that is just joining has no datacenter yet.
        found.extend(row.map_err(unreadable)?.0);
    }
    Ok(found)
}

fn unreadable(error: impl std::fmt::Display) -> SinkError {
    SinkError::Transient(format!("the schema's tables cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_can_be_written_are_known_by_name() {
        for cql_type in ["text", "uuid", "decimal", "timestamp", "inet"] {
            assert!(writable(cql_type), "{cql_type}");
        }
        for cql_type in ["counter", "duration", "list<int>", "frozen<t>", ""] {
            assert!(!writable(cql_type), "{cql_type}");
        }
    }
}
