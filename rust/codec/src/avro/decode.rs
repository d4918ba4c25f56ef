//! One datum to a value tree.

use super::logical;
use super::plan::{Kind, NodeId, Plan, Record, Unit};
use super::reader::{Fault, Outcome, Reader};
use crate::{DecodeError, KeyString, ObjectMap, Value};

pub(super) fn decode(plan: &Plan, datum: &[u8]) -> Result<Value, DecodeError> {
    let mut reader = Reader::new(datum);
    let read = value(plan, plan.root, &mut reader).and_then(|value| {
        reader.finish()?;
        Ok(value)
    });
    read.map_err(Fault::into_error)
}

/// Reads a value of the node's type.
pub(super) fn value(plan: &Plan, id: NodeId, reader: &mut Reader<'_>) -> Outcome<Value> {
    Ok(match plan.kind(id) {
        Kind::Null => {
            reader.empty_value(1)?;
            Value::Null
        }
        Kind::Boolean => Value::Boolean(reader.boolean()?),
        Kind::Int => Value::Integer(i64::from(reader.int()?)),
        Kind::Long => Value::Integer(reader.long()?),
        Kind::Float => float(f64::from(f32::from_le_bytes(reader.array()?)), reader)?,
        Kind::Double => float(f64::from_le_bytes(reader.array()?), reader)?,
        Kind::Bytes => Value::from(reader.bytes()?),
        Kind::String => Value::from(reader.string()?),
        Kind::Fixed { size, .. } => Value::from(fixed(*size, reader)?),
        Kind::Enum(symbols) => symbols.symbols[symbol(symbols.symbols.len(), reader)?].clone(),
        Kind::Array(item) => Value::Array(array(plan, *item, reader)?),
        Kind::Map(value) => Value::Object(map(plan, *value, reader)?),
        Kind::Union(union) => match branch(union.branches.len(), reader)? {
            null if union.null == Some(null) => Value::Null,
            chosen => value(plan, union.branches[chosen], reader)?,
        },
        Kind::Record(fields) => Value::Object(record(plan, fields, reader)?),
        Kind::Decimal(decimal) => {
            let unscaled = read_decimal(*decimal, reader)?;
            Value::from(logical::decimal_text(&unscaled, decimal.scale))
        }
        Kind::UuidString | Kind::UuidFixed => {
            let id = read_uuid(plan.kind(id), reader)?;
            let mut text = uuid::Uuid::encode_buffer();
            Value::from(&*id.hyphenated().encode_lower(&mut text))
        }
        Kind::Date => Value::from(read_date(reader)?.to_string()),
        Kind::TimeMillis => Value::from(read_time(Unit::Millis, reader)?.to_string()),
        Kind::TimeMicros => Value::from(read_time(Unit::Micros, reader)?.to_string()),
        Kind::Timestamp(unit) => Value::Timestamp(read_instant(*unit, reader)?),
        Kind::LocalTimestamp(unit) => {
            Value::from(logical::local_text(read_instant(*unit, reader)?))
        }
        Kind::Duration => Value::Object(duration(reader.array()?)),
    })
}

fn float(number: f64, reader: &Reader<'_>) -> Outcome<Value> {
    if number.is_nan() {
        return Err(reader.invalid("NaN, which a program cannot hold,"));
    }
    Ok(Value::from_f64_or_zero(number))
}

pub(super) fn fixed<'a>(size: usize, reader: &mut Reader<'a>) -> Outcome<&'a [u8]> {
    if size == 0 {
        reader.empty_value(1)?;
    }
    reader.take(size)
}

pub(super) fn symbol(symbols: usize, reader: &mut Reader<'_>) -> Outcome<usize> {
    index("enum symbol", symbols, reader)
}

pub(super) fn branch(branches: usize, reader: &mut Reader<'_>) -> Outcome<usize> {
    index("union branch", branches, reader)
}

fn index(what: &str, count: usize, reader: &mut Reader<'_>) -> Outcome<usize> {
    let number = reader.long()?;
    match usize::try_from(number) {
        Ok(index) if index < count => Ok(index),
        _ => Err(reader.invalid(format_args!("{what} {number} of {count}"))),
    }
}

fn array(plan: &Plan, item: NodeId, reader: &mut Reader<'_>) -> Outcome<Vec<Value>> {
    let item_size = plan.node(item).min_size;
    let mut blocks = Reader::blocks();
    let mut items = Vec::new();
    while reader.next_item(&mut blocks, item_size)? {
        if items.capacity() == items.len() {
            items.reserve(blocks.room());
        }
        let index = items.len();
        items.push(value(plan, item, reader).map_err(|fault| fault.under_index(index))?);
    }
    Ok(items)
}

fn map(plan: &Plan, item: NodeId, reader: &mut Reader<'_>) -> Outcome<ObjectMap> {
    let item_size = plan.node(item).min_size.saturating_add(1);
    let mut blocks = Reader::blocks();
    let mut entries = ObjectMap::new();
    while reader.next_item(&mut blocks, item_size)? {
        let key = reader.string()?;
        let value = value(plan, item, reader).map_err(|fault| fault.under_field(key))?;
        entries.insert(KeyString::from(key), value);
    }
    Ok(entries)
}

fn record(plan: &Plan, record: &Record, reader: &mut Reader<'_>) -> Outcome<ObjectMap> {
    if record.fields.is_empty() {
        reader.empty_value(1)?;
    }
    let mut map = ObjectMap::new();
    for field in &record.fields {
        let value =
            value(plan, field.node, reader).map_err(|fault| fault.under_field(&field.name))?;
        map.insert(KeyString::from(field.name.as_str()), value);
    }
    Ok(map)
}

pub(super) fn read_decimal(
    decimal: super::plan::Decimal,
    reader: &mut Reader<'_>,
) -> Outcome<num_bigint::BigInt> {
    let bytes = match decimal.fixed {
        Some(size) => fixed(size, reader)?,
        None => reader.bytes()?,
    };
    logical::unscaled(bytes, decimal).ok_or_else(|| {
        reader.invalid(format_args!(
            "decimal of more than {} digits",
            decimal.precision
        ))
    })
}

pub(super) fn read_uuid(kind: &Kind, reader: &mut Reader<'_>) -> Outcome<uuid::Uuid> {
    if matches!(kind, Kind::UuidFixed) {
        return Ok(uuid::Uuid::from_bytes(reader.array()?));
    }
    let text = reader.bytes()?;
    uuid::Uuid::try_parse_ascii(text).map_err(|_| reader.invalid("uuid that is none"))
}

pub(super) fn read_date(reader: &mut Reader<'_>) -> Outcome<chrono::NaiveDate> {
    let days = reader.int()?;
    logical::date(days).ok_or_else(|| reader.invalid(format_args!("date of day {days}")))
}

pub(super) fn read_time(unit: Unit, reader: &mut Reader<'_>) -> Outcome<chrono::NaiveTime> {
    let number = match unit {
        Unit::Millis => i64::from(reader.int()?),
        Unit::Micros | Unit::Nanos => reader.long()?,
    };
    logical::time(number, unit)
        .ok_or_else(|| reader.invalid(format_args!("{number} {} in a time of day", unit.name())))
}

pub(super) fn read_instant(
    unit: Unit,
    reader: &mut Reader<'_>,
) -> Outcome<chrono::DateTime<chrono::Utc>> {
    let number = reader.long()?;
    logical::instant(number, unit)
        .ok_or_else(|| reader.invalid(format_args!("timestamp of {number} {}", unit.name())))
}

/// Months, days and milliseconds, each a little-endian u32.
pub(super) fn duration(bytes: [u8; 12]) -> ObjectMap {
    let part = |at: usize| {
        let number = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        Value::Integer(i64::from(u32::from_le_bytes(number)))
    };
    ObjectMap::from([
        ("months".into(), part(0)),
        ("days".into(), part(4)),
        ("milliseconds".into(), part(8)),
    ])
}
