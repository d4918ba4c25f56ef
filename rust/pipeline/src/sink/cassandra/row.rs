//! A bound row as the driver's statement values: the cells are already encoded, here they are only copied.

use scylla::errors::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::{CellWriter, RowWriter};

use crate::sink::bind::BoundCell;
use crate::sink::{BoundRow, TableShape};

#[derive(Debug, thiserror::Error)]
#[error("a row of {row} values does not fit a statement of {statement} markers")]
struct WrongCount {
    row: usize,
    statement: usize,
}

fn check_count(
    row: usize,
    context: &RowSerializationContext<'_>,
) -> Result<(), SerializationError> {
    let statement = context.columns().len();
    if row == statement {
        Ok(())
    } else {
        Err(SerializationError::new(WrongCount { row, statement }))
    }
}

fn write(writer: CellWriter<'_>, cell: BoundCell<'_>) -> Result<(), SerializationError> {
    match cell {
        BoundCell::Value(bytes) => {
            writer.set_value(bytes).map_err(SerializationError::new)?;
        }
        BoundCell::Null => {
            writer.set_null();
        }
        BoundCell::Unset => {
            writer.set_unset();
        }
    }
    Ok(())
}

/// All cells, the stamp, the time to live.
pub(super) struct InsertValues<'a> {
    pub(super) row: &'a BoundRow,
    pub(super) with_ttl: bool,
}

impl SerializeRow for InsertValues<'_> {
    fn serialize(
        &self,
        context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        let mut count = 1;
        for cell in self.row.cells() {
            write(writer.make_cell_writer(), cell)?;
            count += 1;
        }
        write(
            writer.make_cell_writer(),
            BoundCell::Value(&self.row.stamp.to_be_bytes()),
        )?;
        if self.with_ttl {
            // UNSET leaves the table's own default in force.
            let ttl = self.row.ttl.map(i32::to_be_bytes);
            write(
                writer.make_cell_writer(),
                ttl.as_ref()
                    .map_or(BoundCell::Unset, |ttl| BoundCell::Value(ttl)),
            )?;
            count += 1;
        }
        check_count(count, context)
    }

    fn is_empty(&self) -> bool {
        false
    }
}

/// The stamp, then the key's cells in the key's order.
pub(super) struct DeleteValues<'a> {
    pub(super) row: &'a BoundRow,
    pub(super) shape: &'a TableShape,
    pub(super) stamp: i64,
}

impl SerializeRow for DeleteValues<'_> {
    fn serialize(
        &self,
        context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        write(
            writer.make_cell_writer(),
            BoundCell::Value(&self.stamp.to_be_bytes()),
        )?;
        let cells: Vec<_> = self.row.cells().collect();
        for &index in &self.shape.key {
            write(
                writer.make_cell_writer(),
                cells.get(index).copied().unwrap_or(BoundCell::Null),
            )?;
        }
        check_count(self.shape.key.len() + 1, context)
    }

    fn is_empty(&self) -> bool {
        false
    }
}
