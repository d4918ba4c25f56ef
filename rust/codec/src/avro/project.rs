//! One datum to the cells of a projection, without a value tree.

use super::plan::{Kind, NodeId, Plan, Record, Unit};
use super::reader::{Fault, Outcome, Reader};
use super::{decode, logical};
use crate::projection::{self, Cells, ROOT};
use crate::{Cell, DecodeError, Projection};
use std::borrow::Cow;

pub(super) fn project<'a>(
    plan: &Plan,
    datum: &'a [u8],
    projection: &Projection,
) -> Result<Cells<'a>, DecodeError> {
    let mut walk = Walk {
        plan,
        projection,
        reader: Reader::new(datum),
        cells: projection.empty_cells(),
    };
    let read = walk
        .value(plan.root, ROOT)
        .and_then(|()| walk.reader.finish());
    read.map_err(Fault::into_error)?;
    Ok(walk.cells)
}

struct Walk<'a, 'p> {
    plan: &'p Plan,
    projection: &'p Projection,
    reader: Reader<'a>,
    cells: Cells<'a>,
}

impl<'p> Walk<'_, 'p> {
    fn value(&mut self, id: NodeId, wanted: projection::NodeId) -> Outcome<()> {
        let node = self.projection.node(wanted);
        if node.is_leaf() {
            if !node.is_wanted() {
                return skip(self.plan, id, &mut self.reader);
            }
            let cell = cell(self.plan, id, &mut self.reader)?;
            node.fill(cell, &mut self.cells);
            return Ok(());
        }
        node.clear(&mut self.cells);
        if node.is_wanted() {
            // Read twice, for the whole and for its parts: cells of parts keep what a tree has lost.
            let whole = cell(self.plan, id, &mut self.reader.clone())?;
            node.fill(whole, &mut self.cells);
        }
        self.parts(id, wanted)
    }

    /// Goes into what the paths below `wanted` are about.
    fn parts(&mut self, id: NodeId, wanted: projection::NodeId) -> Outcome<()> {
        let node = self.projection.node(wanted);
        match self.plan.kind(id) {
            Kind::Record(record) if node.has_fields() => self.record(record, node),
            Kind::Map(value) if node.has_fields() => self.map(*value, node),
            Kind::Array(item) if node.has_indices() => self.array(*item, node),
            Kind::Union(union) => match decode::branch(union.branches.len(), &mut self.reader)? {
                null if union.null == Some(null) => Ok(()),
                chosen => self.parts(union.branches[chosen], wanted),
            },
            Kind::Duration if node.has_fields() => {
                let parts = decode::duration(self.reader.array()?);
                for name in ["months", "days", "milliseconds"] {
                    if let (Some(child), Some(part)) = (node.child(name, &mut 0), parts.get(name)) {
                        self.projection
                            .node(child)
                            .fill(Cell::from_value(part).into_owned(), &mut self.cells);
                    }
                }
                Ok(())
            }
            _ => skip(self.plan, id, &mut self.reader),
        }
    }

    fn record(&mut self, record: &'p Record, node: &'p projection::Node) -> Outcome<()> {
        if record.fields.is_empty() {
            self.reader.empty_value(1)?;
        }
        let mut hint = 0;
        for field in &record.fields {
            match node.child(&field.name, &mut hint) {
                Some(child) => self.value(field.node, child),
                None => skip(self.plan, field.node, &mut self.reader),
            }
            .map_err(|fault| fault.under_field(&field.name))?;
        }
        Ok(())
    }

    fn map(&mut self, item: NodeId, node: &'p projection::Node) -> Outcome<()> {
        let item_size = self.plan.node(item).min_size.saturating_add(1);
        let mut blocks = Reader::blocks();
        let mut hint = 0;
        while self.reader.next_item(&mut blocks, item_size)? {
            let key = self.reader.string()?;
            match node.child(key, &mut hint) {
                Some(child) => self.value(item, child),
                None => skip(self.plan, item, &mut self.reader),
            }
            .map_err(|fault| fault.under_field(key))?;
        }
        Ok(())
    }

    fn array(&mut self, item: NodeId, node: &'p projection::Node) -> Outcome<()> {
        let item_size = self.plan.node(item).min_size;
        let mut blocks = Reader::blocks();
        let mut index = 0;
        while self.reader.next_item(&mut blocks, item_size)? {
            match node.child_at(index) {
                Some(child) => self.value(item, child),
                None => skip(self.plan, item, &mut self.reader),
            }
            .map_err(|fault| fault.under_index(index))?;
            index += 1;
        }
        Ok(())
    }
}

fn cell<'a>(plan: &Plan, id: NodeId, reader: &mut Reader<'a>) -> Outcome<Cell<'a>> {
    Ok(match plan.kind(id) {
        Kind::Null => {
            reader.empty_value(1)?;
            Cell::Null
        }
        Kind::Boolean => Cell::Bool(reader.boolean()?),
        Kind::Int => Cell::Int(i64::from(reader.int()?)),
        Kind::Long => Cell::Int(reader.long()?),
        Kind::Float => Cell::Float(f64::from(f32::from_le_bytes(reader.array()?))),
        Kind::Double => Cell::Float(f64::from_le_bytes(reader.array()?)),
        Kind::Bytes => Cell::Bytes(Cow::Borrowed(reader.bytes()?)),
        Kind::String => Cell::Text(Cow::Borrowed(reader.string()?)),
        Kind::Fixed { size, .. } => Cell::Bytes(Cow::Borrowed(decode::fixed(*size, reader)?)),
        Kind::Enum(symbols) => {
            let symbol = &symbols.symbols[decode::symbol(symbols.symbols.len(), reader)?];
            Cell::from_value(symbol).into_owned()
        }
        Kind::Union(union) => match decode::branch(union.branches.len(), reader)? {
            null if union.null == Some(null) => Cell::Null,
            chosen => cell(plan, union.branches[chosen], reader)?,
        },
        Kind::Decimal(decimal) => Cell::Decimal {
            unscaled: decode::read_decimal(*decimal, reader)?,
            scale: decimal.scale,
        },
        kind @ (Kind::UuidString | Kind::UuidFixed) => Cell::Uuid(decode::read_uuid(kind, reader)?),
        Kind::Date => {
            let mut ahead = reader.clone();
            decode::read_date(reader)?;
            Cell::Date(ahead.int()?)
        }
        Kind::TimeMillis => Cell::Time(logical::time_micros(decode::read_time(
            Unit::Millis,
            reader,
        )?)),
        Kind::TimeMicros => Cell::Time(logical::time_micros(decode::read_time(
            Unit::Micros,
            reader,
        )?)),
        Kind::Timestamp(unit) => {
            Cell::Timestamp(decode::read_instant(*unit, reader)?.timestamp_micros())
        }
        Kind::LocalTimestamp(unit) => Cell::Text(Cow::Owned(logical::local_text(
            decode::read_instant(*unit, reader)?,
        ))),
        Kind::Array(_) | Kind::Map(_) | Kind::Record(_) | Kind::Duration => {
            Cell::Tree(Cow::Owned(decode::value(plan, id, reader)?))
        }
    })
}

/// Passes over a value. Its bounds are checked, its contents are not.
fn skip(plan: &Plan, id: NodeId, reader: &mut Reader<'_>) -> Outcome<()> {
    match plan.kind(id) {
        Kind::Null => reader.empty_value(1),
        Kind::Boolean => reader.take(1).map(drop),
        Kind::Int | Kind::Date | Kind::TimeMillis | Kind::Long | Kind::TimeMicros => {
            reader.long().map(drop)
        }
        Kind::Timestamp(_) | Kind::LocalTimestamp(_) => reader.long().map(drop),
        Kind::Float => reader.take(4).map(drop),
        Kind::Double => reader.take(8).map(drop),
        Kind::Bytes | Kind::String | Kind::UuidString => reader.bytes().map(drop),
        Kind::Fixed { size, .. } => decode::fixed(*size, reader).map(drop),
        Kind::Decimal(decimal) => match decimal.fixed {
            Some(size) => decode::fixed(size, reader).map(drop),
            None => reader.bytes().map(drop),
        },
        Kind::UuidFixed => reader.take(16).map(drop),
        Kind::Duration => reader.take(12).map(drop),
        Kind::Enum(symbols) => decode::symbol(symbols.symbols.len(), reader).map(drop),
        Kind::Union(union) => match decode::branch(union.branches.len(), reader)? {
            null if union.null == Some(null) => Ok(()),
            chosen => skip(plan, union.branches[chosen], reader),
        },
        Kind::Array(item) => {
            let item_size = plan.node(*item).min_size;
            let mut blocks = Reader::blocks();
            while reader.next_item(&mut blocks, item_size)? {
                skip(plan, *item, reader)?;
            }
            Ok(())
        }
        Kind::Map(item) => {
            let item_size = plan.node(*item).min_size.saturating_add(1);
            let mut blocks = Reader::blocks();
            while reader.next_item(&mut blocks, item_size)? {
                reader.bytes()?;
                skip(plan, *item, reader)?;
            }
            Ok(())
        }
        Kind::Record(record) => {
            if record.fields.is_empty() {
                reader.empty_value(1)?;
            }
            for field in &record.fields {
                skip(plan, field.node, reader).map_err(|fault| fault.under_field(&field.name))?;
            }
            Ok(())
        }
    }
}
