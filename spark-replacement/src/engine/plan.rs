//! A pipeline's rules, checked and compiled.

use std::sync::Arc;
use std::time::Duration;

use millstream_codec::{Path, Projection};
use millstream_pipeline::remap::Program;
use millstream_pipeline::sink::{NullMode, TableName};

/// How values are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueFormat {
    /// One JSON object.
    Json,
    /// Avro in the registry's wire frame; each value is decoded by the schema it was written with.
    Avro,
}

/// What a null value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tombstones {
    /// Nothing; counted.
    #[default]
    Filter,
    /// The row named by the record's key is deleted.
    Delete,
    /// A fault: dead letter `tombstone`.
    DeadLetter,
}

/// What writing a row does to the values that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowMode {
    /// Each column keeps its newest value.
    #[default]
    Merge,
    /// The row is replaced as a whole.
    Replace,
}

/// Where the cells' stamps come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WriteTimestamp {
    /// The record's write stamp: newest record of a partition wins, replays change nothing.
    #[default]
    Record,
    /// A field of the record, in microseconds since 1970 or as a timestamp: the source's own version.
    Field(Path),
    /// The clock: for loading again over rows that were deleted by hand.
    Now,
}

/// One table of a pipeline.
#[derive(Debug, Clone)]
pub struct TablePlan {
    /// The table.
    pub name: TableName,
    /// Columns and the paths they are filled from.
    pub columns: Vec<(String, Path)>,
    /// What writing a row does.
    pub row: RowMode,
    /// What an absent value does.
    pub nulls: NullMode,
    /// Where the stamps come from.
    pub write_timestamp: WriteTimestamp,
    /// Added to the record's stamp, 0..=7.
    pub write_revision: i64,
    /// Time to live, from the record's timestamp on.
    pub ttl: Option<Duration>,
}

/// A pipeline.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Its consumer group.
    pub group_id: String,
    /// How values are encoded.
    pub value_format: ValueFormat,
    /// Records for which this is false are filtered.
    pub filter: Option<Arc<Program>>,
    /// Makes rows of a record.
    pub program: Option<Arc<Program>>,
    /// Where the rows go.
    pub tables: Vec<TablePlan>,
    /// What a null value means.
    pub tombstones: Tombstones,
    /// A row that keeps timing out this long while others of its table succeed is a dead letter; never when not given.
    pub isolate_after: Option<Duration>,
    /// Larger records are dead letters.
    pub max_record_bytes: usize,
}

/// All paths of all tables in one projection, so that one pass over a record fills every row.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) projection: Projection,
    /// Per table: where its columns start, how many there are, and the slot of its write timestamp.
    pub(super) tables: Vec<TableSlots>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct TableSlots {
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) write_timestamp: Option<usize>,
}

impl Slots {
    pub(super) fn new(tables: &[TablePlan]) -> Self {
        let mut paths = Vec::new();
        let mut slots = Vec::new();
        for table in tables {
            let start = paths.len();
            paths.extend(table.columns.iter().map(|(_, path)| path.clone()));
            let len = paths.len() - start;
            let write_timestamp = match &table.write_timestamp {
                WriteTimestamp::Field(path) => {
                    paths.push(path.clone());
                    Some(paths.len() - 1)
                }
                WriteTimestamp::Record | WriteTimestamp::Now => None,
            };
            slots.push(TableSlots {
                start,
                len,
                write_timestamp,
            });
        }
        Self {
            projection: Projection::new(&paths),
            tables: slots,
        }
    }
}
