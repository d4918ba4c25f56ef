//! Cassandra: one prepared statement a row, idempotent, stamped, acknowledged at the asked consistency.
//!
//! The driver retries nothing here; our own retry around each write does (see [`crate::retry`]), because on one node the
//! driver has nobody else to ask.

mod error;
mod row;
pub mod schema;
mod session;
mod tables;

use std::sync::Arc;

use scylla::client::session::Session;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;

pub use error::classify;
pub use session::{CassandraConfig, Consistency, connect};

use self::row::{DeleteValues, InsertValues};
use super::{BoundRow, Change, Sink, SinkError, TableName, TableShape};

/// The sink. Cloning shares the session.
#[derive(Debug, Clone)]
pub struct CassandraSink {
    session: Arc<Session>,
}

/// A table with its prepared statements.
pub struct CassandraTable {
    shape: TableShape,
    insert: PreparedStatement,
    delete: PreparedStatement,
    replace: Batch,
    with_ttl: bool,
}

impl std::fmt::Debug for CassandraTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CassandraTable")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl CassandraSink {
    /// A sink on an open session.
    pub fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    async fn prepare(&self, cql: String) -> Result<PreparedStatement, SinkError> {
        let mut prepared = self
            .session
            .prepare(cql)
            .await
            .map_err(|error| error::classify_prepare(&error))?;
        prepared.set_is_idempotent(true);
        Ok(prepared)
    }
}

impl Sink for CassandraSink {
    type Table = CassandraTable;

    async fn open(
        &self,
        name: &TableName,
        columns: &[String],
        with_ttl: bool,
    ) -> Result<CassandraTable, SinkError> {
        let key = Box::pin(tables::primary_key(&self.session, name)).await?;
        let statements = tables::Statements::new(name, columns, &key, with_ttl)?;
        let insert = Box::pin(self.prepare(statements.insert)).await?;
        let delete = Box::pin(self.prepare(statements.delete)).await?;
        let shape = tables::shape(name, columns, &key, &insert)?;
        let mut replace = Batch::new(BatchType::Unlogged);
        replace.append_statement(delete.clone());
        replace.append_statement(insert.clone());
        replace.set_is_idempotent(true);
        Ok(CassandraTable {
            shape,
            insert,
            delete,
            replace,
            with_ttl,
        })
    }

    fn shape(table: &CassandraTable) -> &TableShape {
        &table.shape
    }

    async fn write(&self, table: &CassandraTable, row: &BoundRow) -> Result<(), SinkError> {
        let insert = InsertValues {
            row,
            with_ttl: table.with_ttl,
        };
        // The driver's futures have almost 4 KiB each. Boxed here they are moved once; unboxed they would be a part of every
        // future above, up to the record's task, and be copied with each: a tenth of the CPU of a row.
        let result = match row.change {
            Change::Insert => Box::pin(self.session.execute_unpaged(&table.insert, insert)).await,
            Change::Delete => {
                let delete = DeleteValues {
                    row,
                    shape: &table.shape,
                    stamp: row.stamp,
                };
                Box::pin(self.session.execute_unpaged(&table.delete, delete)).await
            }
            Change::Replace => {
                let delete = DeleteValues {
                    row,
                    shape: &table.shape,
                    stamp: row.stamp - 1,
                };
                Box::pin(self.session.batch(&table.replace, (delete, insert))).await
            }
        };
        result.map(drop).map_err(|error| classify(&error))
    }
}
