//! Cells to bound rows: everything that can be wrong with a record is found here, before any IO.

use std::collections::HashSet;
use std::time::Duration;

use millstream_codec::{Cell, Path, Value, json};
use millstream_pipeline::dead_letter::Stage;
use millstream_pipeline::kafka::consumer::Record;
use millstream_pipeline::kafka::offsets::Filter;
use millstream_pipeline::sink::{BoundRow, Change, TableShape};

use super::dead::{Dead, Fault, Planned};
use super::plan::{Plan, RowMode, Slots, TablePlan, TableSlots, WriteTimestamp};

/// Longest TTL that Cassandra takes: 20 years.
const MAX_TTL_SECONDS: u64 = 630_720_000;

/// One row for one table of the plan.
#[derive(Debug)]
pub(super) struct Effect {
    pub(super) table: usize,
    pub(super) row: BoundRow,
}

/// Binds the rows of one record. `rows` are the cells of each row in the slots' order.
pub(super) fn bind(
    plan: &Plan,
    slots: &Slots,
    shapes: &[&TableShape],
    record: &Record,
    stamp: i64,
    now_ms: i64,
    rows: &[Vec<Option<Cell<'_>>>],
) -> Planned<Vec<Effect>> {
    let mut effects = Vec::with_capacity(rows.len() * plan.tables.len());
    for (index, (table, place)) in plan.tables.iter().zip(&slots.tables).enumerate() {
        let Some(ttl) = ttl_left(table.ttl, record.timestamp_ms, now_ms) else {
            continue;
        };
        for cells in rows {
            let row_stamp = row_stamp(table, *place, cells, stamp, record.read_stamp)?;
            let change = match table.row {
                RowMode::Merge => Change::Insert,
                RowMode::Replace => Change::Replace,
            };
            let own = &cells[place.start..place.start + place.len];
            let row = BoundRow::bind(shapes[index], own, table.nulls, change, row_stamp, ttl)?;
            effects.push(Effect { table: index, row });
        }
    }
    if effects.is_empty() {
        return Ok(Err(if rows.is_empty() {
            Filter::Rule
        } else {
            Filter::Expired
        }));
    }
    if rows.len() > 1 {
        refuse_duplicates(&effects, shapes)?;
    }
    Ok(Ok(effects))
}

/// `None`: expired. `Some(None)`: the table has no TTL.
#[expect(clippy::option_option, reason = "the three cases are distinct")]
fn ttl_left(ttl: Option<Duration>, timestamp_ms: Option<i64>, now_ms: i64) -> Option<Option<i32>> {
    let Some(ttl) = ttl else { return Some(None) };
    let age = timestamp_ms.map_or(0, |timestamp| {
        now_ms.saturating_sub(timestamp).max(0) / 1000
    });
    let seconds = i64::try_from(ttl.as_secs().min(MAX_TTL_SECONDS))
        .unwrap_or(i64::MAX)
        .saturating_sub(age);
    (seconds > 0).then(|| Some(i32::try_from(seconds).unwrap_or(i32::MAX)))
}

fn row_stamp(
    table: &TablePlan,
    place: TableSlots,
    cells: &[Option<Cell<'_>>],
    stamp: i64,
    read_stamp: i64,
) -> Result<i64, Fault> {
    match table.write_timestamp {
        WriteTimestamp::Record => Ok(stamp.saturating_add(table.write_revision)),
        WriteTimestamp::Now => Ok(read_stamp),
        WriteTimestamp::Field(_) => match place.write_timestamp.and_then(|slot| cells[slot].as_ref()) {
            Some(Cell::Int(micros) | Cell::Timestamp(micros)) if *micros > 0 => Ok(*micros),
            _ => Err(Dead::new(
                "validation:write_timestamp",
                Stage::Bind,
                format!("table {}: write_timestamp needs microseconds above zero or a timestamp in the field", table.name),
            )
            .into()),
        },
    }
}

fn refuse_duplicates(effects: &[Effect], shapes: &[&TableShape]) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for effect in effects {
        if !seen.insert((effect.table, effect.row.key_bytes(shapes[effect.table]))) {
            let message = format!(
                "two rows of this record have the same key in {}",
                shapes[effect.table].name
            );
            return Err(Dead::new("duplicate_row", Stage::Bind, message).into());
        }
    }
    Ok(())
}

/// The deletes of a tombstone: the whole primary key comes from the record's key, a JSON object with the key's columns or,
/// for a key of one column, its text.
pub(super) fn bind_deletes(
    plan: &Plan,
    shapes: &[&TableShape],
    record: &Record,
    stamp: i64,
) -> Result<Vec<Effect>, Fault> {
    let bad = |detail: String| Fault::from(Dead::new("key_decode", Stage::Bind, detail));
    let key = record
        .key
        .as_ref()
        .ok_or_else(|| bad("a tombstone without a key names no row".to_owned()))?;
    let tree = json::decode(key).ok().filter(Value::is_object);
    let text =
        std::str::from_utf8(key).map_err(|_| bad("the key is neither JSON nor text".to_owned()))?;
    let mut effects = Vec::with_capacity(plan.tables.len());
    for (index, table) in plan.tables.iter().enumerate() {
        let shape = shapes[index];
        let mut cells: Vec<Option<Cell<'_>>> = vec![None; shape.columns.len()];
        match &tree {
            Some(tree) => {
                let paths: Result<Vec<_>, _> = shape
                    .key
                    .iter()
                    .map(|&at| Path::parse(&shape.columns[at].name))
                    .collect();
                let paths = paths.map_err(|error| bad(error.to_string()))?;
                let found = millstream_codec::Projection::new(&paths).project_value(tree);
                for (&at, cell) in shape.key.iter().zip(found) {
                    cells[at] = cell;
                }
            }
            None if shape.key.len() == 1 => cells[shape.key[0]] = Some(Cell::Text(text.into())),
            None => {
                return Err(bad(format!(
                    "the primary key of {} has several columns: the key must be a JSON object",
                    table.name
                )));
            }
        }
        // Just below what an insert of this record would carry, as the delete of a row that is replaced.
        let stamp = match table.write_timestamp {
            WriteTimestamp::Now => record.read_stamp,
            // With a field of the record there is none to take: the configuration refuses the two together.
            WriteTimestamp::Record | WriteTimestamp::Field(_) => {
                stamp.saturating_add(table.write_revision)
            }
        }
        .saturating_sub(1);
        let row = BoundRow::bind(shape, &cells, table.nulls, Change::Delete, stamp, None)?;
        effects.push(Effect { table: index, row });
    }
    Ok(effects)
}
