//! Where rows go. A sink answers for each row; it never decides what may be committed.

pub mod bind;
pub mod cassandra;
pub mod memory;
pub mod table;

use std::future::Future;

pub use bind::{BindError, BoundRow, Change, NullMode};
pub use table::{ColumnShape, TableName, TableShape};

/// Why a sink did not take a row. The class decides what happens next (record, configuration or transient fault).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The sink looked at this statement and refused it. It may be the row's fault or the table's.
    #[error("refused: {0}")]
    Refused(String),
    /// The table, a column or a right is missing: every row would fail. Wait until somebody mends it.
    #[error("{0}")]
    Configuration(String),
    /// Not reachable, too slow, overloaded. The row may have been written: write it again, with the same stamp.
    #[error("{0}")]
    Transient(String),
}

impl SinkError {
    /// Whether the same row may succeed later without anybody changing anything.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Transient(_))
    }
}

/// A store of rows with a stamp per cell: the greater stamp wins, whatever the order of the writes.
///
/// Promise: `write` returns `Ok` only when the row is acknowledged at the asked consistency. It may be called again with
/// the same row and stamp any number of times.
pub trait Sink: Send + Sync + 'static {
    /// A table that was looked up and is ready for rows.
    type Table: Send + Sync + 'static;

    /// Looks a table up and prepares its statements. `columns` are the wanted columns in the order of the cells;
    /// `with_ttl` says whether rows carry a time to live.
    fn open(
        &self,
        name: &TableName,
        columns: &[String],
        with_ttl: bool,
    ) -> impl Future<Output = Result<Self::Table, SinkError>> + Send;

    /// The open table's columns and key.
    fn shape(table: &Self::Table) -> &TableShape;

    /// Writes one row.
    fn write(
        &self,
        table: &Self::Table,
        row: &BoundRow,
    ) -> impl Future<Output = Result<(), SinkError>> + Send;
}
