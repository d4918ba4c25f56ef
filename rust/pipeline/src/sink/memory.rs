//! The sink's double for tests: cells with stamps in memory, merged as Cassandra merges them.
//!
//! It passes the same contract suite as the real one. Merging: the greater stamp wins; at equal stamps a deletion beats a
//! value and the greater value beats the lesser one (Cassandra's reconciliation).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use super::bind::BoundCell;
use super::{BoundRow, Change, Sink, SinkError, TableName, TableShape};

/// One stored cell: its stamp, then its bytes; `None` is a tombstone.
type StoredCell = (i64, Option<Vec<u8>>);

#[derive(Debug, Default)]
struct StoredRow {
    /// Stamp of the newest row delete.
    deleted: Option<i64>,
    /// Stamp of the newest insert (the row marker that keeps a row of null columns alive).
    inserted: Option<i64>,
    cells: BTreeMap<String, StoredCell>,
}

/// Rows in memory.
#[derive(Debug, Default)]
pub struct MemorySink {
    shapes: HashMap<TableName, TableShape>,
    rows: Mutex<HashMap<(TableName, Vec<u8>), StoredRow>>,
}

/// A row as a reader sees it: column to bytes.
pub type VisibleRow = BTreeMap<String, Vec<u8>>;

impl MemorySink {
    /// A sink with these tables; `shape.columns` are all columns of the table.
    pub fn new(shapes: impl IntoIterator<Item = TableShape>) -> Self {
        Self {
            shapes: shapes
                .into_iter()
                .map(|shape| (shape.name.clone(), shape))
                .collect(),
            rows: Mutex::default(),
        }
    }

    /// The rows that a reader sees, by encoded primary key.
    pub fn rows(&self, table: &TableName) -> BTreeMap<Vec<u8>, VisibleRow> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter()
            .filter(|((name, _), _)| name == table)
            .filter_map(|((_, key), row)| {
                let alive = |stamp: i64| row.deleted.is_none_or(|deleted| stamp > deleted);
                let visible: VisibleRow = row
                    .cells
                    .iter()
                    .filter(|(_, (stamp, _))| alive(*stamp))
                    .filter_map(|(name, (_, value))| Some((name.clone(), value.clone()?)))
                    .collect();
                (row.inserted.is_some_and(alive) || !visible.is_empty())
                    .then_some((key.clone(), visible))
            })
            .collect()
    }
}

impl Sink for MemorySink {
    type Table = TableShape;

    async fn open(
        &self,
        name: &TableName,
        columns: &[String],
        _with_ttl: bool,
    ) -> Result<TableShape, SinkError> {
        let whole = self
            .shapes
            .get(name)
            .ok_or_else(|| SinkError::Configuration(format!("table {name} does not exist")))?;
        let mut shape = TableShape {
            name: name.clone(),
            columns: Vec::new(),
            key: Vec::new(),
        };
        for column in columns {
            let found = whole
                .columns
                .iter()
                .find(|candidate| candidate.name == *column);
            shape.columns.push(found.cloned().ok_or_else(|| {
                SinkError::Configuration(format!("table {name} has no column {column}"))
            })?);
        }
        for &index in &whole.key {
            let key = &whole.columns[index].name;
            let position = columns.iter().position(|column| column == key);
            shape.key.push(position.ok_or_else(|| {
                SinkError::Configuration(format!(
                    "table {name}: the key column {key} is not mapped"
                ))
            })?);
        }
        Ok(shape)
    }

    fn shape(table: &TableShape) -> &TableShape {
        table
    }

    async fn write(&self, table: &TableShape, row: &BoundRow) -> Result<(), SinkError> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = rows
            .entry((table.name.clone(), row.key_bytes(table)))
            .or_default();
        match row.change {
            Change::Delete => stored.deleted = stored.deleted.max(Some(row.stamp)),
            Change::Replace => stored.deleted = stored.deleted.max(Some(row.stamp - 1)),
            Change::Insert => {}
        }
        if row.change == Change::Delete {
            return Ok(());
        }
        stored.inserted = stored.inserted.max(Some(row.stamp));
        for (column, cell) in table.columns.iter().zip(row.cells()) {
            let value = match cell {
                BoundCell::Unset => continue,
                BoundCell::Null => None,
                BoundCell::Value(bytes) => Some(bytes.to_vec()),
            };
            // At equal stamps a tombstone wins, then the greater value.
            let rank = |(stamp, value): &StoredCell| (*stamp, value.is_none(), value.clone());
            let new = (row.stamp, value);
            let current = stored
                .cells
                .entry(column.name.clone())
                .or_insert_with(|| new.clone());
            if rank(&new) > rank(current) {
                *current = new;
            }
        }
        Ok(())
    }
}
