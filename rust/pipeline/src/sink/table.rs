//! A table's name and shape.

use std::fmt;

use scylla::frame::response::result::ColumnType;

/// A name that is not a CQL identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not keyspace.table with CQL identifiers (^[a-zA-Z][a-zA-Z0-9_]{{0,47}}$)")]
pub struct BadTableName(pub String);

/// Whether a text is a CQL identifier that we take: a letter, then letters, digits and underscores, 48 in all.
///
/// Names are quoted wherever they enter a statement; this check comes first.
pub fn is_identifier(text: &str) -> bool {
    text.len() <= 48
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A table's keyspace and name, both checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableName {
    keyspace: String,
    table: String,
}

impl TableName {
    /// Parses `keyspace.table`.
    pub fn parse(text: &str) -> Result<Self, BadTableName> {
        match text.split_once('.') {
            Some((keyspace, table)) if is_identifier(keyspace) && is_identifier(table) => {
                Ok(Self {
                    keyspace: keyspace.to_owned(),
                    table: table.to_owned(),
                })
            }
            _ => Err(BadTableName(text.to_owned())),
        }
    }

    /// The keyspace's name.
    pub fn keyspace(&self) -> &str {
        &self.keyspace
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The name as it stands in a statement: `"keyspace"."table"`.
    pub fn quoted(&self) -> String {
        format!("\"{}\".\"{}\"", self.keyspace, self.table)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.keyspace, self.table)
    }
}

/// One wanted column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnShape {
    /// The column's name.
    pub name: String,
    /// Its CQL type.
    pub column_type: ColumnType<'static>,
    /// Whether it belongs to the partition key.
    pub partition_key: bool,
    /// Whether it belongs to the primary key.
    pub primary_key: bool,
}

/// The wanted columns of a table in the order of a row's cells.
#[derive(Debug, Clone, PartialEq)]
pub struct TableShape {
    /// The table.
    pub name: TableName,
    /// The wanted columns.
    pub columns: Vec<ColumnShape>,
    /// Positions in `columns` of the primary key, in the key's own order.
    pub key: Vec<usize>,
}
