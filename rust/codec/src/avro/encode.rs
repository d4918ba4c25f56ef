//! A value tree to one datum.

use super::logical;
use super::plan::{Decimal, Kind, NoDefault, NodeId, Plan, Record, Union, Unit};
use crate::value_kind::kind;
use crate::{EncodeError, ObjectMap, Value};

/// Records up to this many fields are put in order without an allocation.
const INLINE_FIELDS: usize = 32;

pub(super) fn encode(plan: &Plan, value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    write(plan, plan.root, value, out).inspect_err(|_| out.truncate(start))
}

fn write(plan: &Plan, id: NodeId, value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let node = plan.kind(id);
    match (node, value) {
        (Kind::String | Kind::Bytes, Value::String(text)) => write_bytes(text.as_bytes(), out),
        (Kind::Union(union), _) => {
            let chosen = choose(plan, union, value).ok_or_else(|| no_branch(plan, union, value))?;
            write_index(chosen, out);
            return write(plan, union.branches[chosen], value, out);
        }
        (Kind::Record(record), Value::Object(map)) => return write_record(plan, record, map, out),
        (Kind::Null, Value::Null) => {}
        (Kind::Boolean, Value::Boolean(flag)) => out.push(u8::from(*flag)),
        (Kind::Int, Value::Integer(number)) => {
            let number = i32::try_from(*number)
                .map_err(|_| EncodeError::new(format!("{number} is beyond an int's 32 bits")))?;
            write_long(i64::from(number), out);
        }
        (Kind::Long, Value::Integer(number)) => write_long(*number, out),
        (Kind::Float, _) => out.extend_from_slice(&single(value)?.to_le_bytes()),
        (Kind::Double, _) => out.extend_from_slice(&double(value)?.to_le_bytes()),
        (Kind::Bytes, Value::Bytes(bytes)) => write_bytes(bytes, out),
        (Kind::String, Value::Bytes(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => write_bytes(text.as_bytes(), out),
            Err(_) => {
                return Err(EncodeError::new(
                    "expected a string, found bytes that are not UTF-8",
                ));
            }
        },
        (Kind::Fixed { size, .. }, Value::Bytes(bytes)) if bytes.len() == *size => {
            out.extend_from_slice(bytes);
        }
        (Kind::Fixed { size, .. }, Value::String(text)) if text.len() == *size => {
            out.extend_from_slice(text.as_bytes());
        }
        (Kind::Enum(symbols), Value::String(text)) => match symbols.by_symbol.get(&**text) {
            Some(index) => write_index(*index, out),
            None => {
                return Err(EncodeError::new(format!(
                    "{:?} is no symbol of enum {}",
                    shortened(text),
                    symbols.name
                )));
            }
        },
        (Kind::Array(item), Value::Array(items)) => return write_array(plan, *item, items, out),
        (Kind::Map(item), Value::Object(map)) => return write_map(plan, *item, map, out),
        (Kind::Decimal(decimal), _) => write_decimal(*decimal, value, out)?,
        (Kind::UuidString, _) => {
            let mut text = uuid::Uuid::encode_buffer();
            write_bytes(
                uuid_of(value)?
                    .hyphenated()
                    .encode_lower(&mut text)
                    .as_bytes(),
                out,
            );
        }
        (Kind::UuidFixed, _) => out.extend_from_slice(uuid_of(value)?.as_bytes()),
        (Kind::Date, Value::Integer(number)) => {
            let days = i32::try_from(*number)
                .ok()
                .filter(|days| logical::date(*days).is_some());
            write_long(days.ok_or_else(|| out_of_range(node, *number))?.into(), out);
        }
        (Kind::Date, Value::String(text)) => {
            let days =
                logical::days(text).ok_or_else(|| EncodeError::new("expected YYYY-MM-DD"))?;
            write_long(i64::from(days), out);
        }
        (Kind::TimeMillis, _) => write_long(time_of(node, Unit::Millis, value)?, out),
        (Kind::TimeMicros, _) => write_long(time_of(node, Unit::Micros, value)?, out),
        (Kind::Timestamp(unit), _) => write_long(instant_of(node, *unit, value)?, out),
        (Kind::LocalTimestamp(unit), _) => write_long(local_of(node, *unit, value)?, out),
        (Kind::Duration, Value::Object(map)) => write_duration(map, out)?,
        _ => return Err(mismatch(node, value)),
    }
    Ok(())
}

#[cold]
fn mismatch(node: &Kind, value: &Value) -> EncodeError {
    EncodeError::new(format!(
        "expected {}, found {}",
        node.describe(),
        kind(value)
    ))
}

#[cold]
fn out_of_range(node: &Kind, number: i64) -> EncodeError {
    EncodeError::new(format!("{number} is out of range for {}", node.describe()))
}

/// A value's own text in a message, short enough for one line.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

pub(super) fn write_long(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

/// A length, count or index: never beyond i64, as it counts something in memory.
pub(super) fn write_index(number: usize, out: &mut Vec<u8>) {
    write_long(i64::try_from(number).unwrap_or(i64::MAX), out);
}

pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_index(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn write_array(
    plan: &Plan,
    item: NodeId,
    items: &[Value],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if !items.is_empty() {
        write_index(items.len(), out);
    }
    for (index, value) in items.iter().enumerate() {
        write(plan, item, value, out).map_err(|error| error.under_index(index))?;
    }
    out.push(0);
    Ok(())
}

fn write_map(
    plan: &Plan,
    item: NodeId,
    map: &ObjectMap,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if !map.is_empty() {
        write_index(map.len(), out);
    }
    for (key, value) in map {
        write_bytes(key.as_bytes(), out);
        write(plan, item, value, out).map_err(|error| error.under_field(key))?;
    }
    out.push(0);
    Ok(())
}

/// Both the map and the record's sorted fields are in the order of their names: one walk over the two finds every
/// field's value and every name that is no field.
fn write_record(
    plan: &Plan,
    record: &Record,
    map: &ObjectMap,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let count = record.fields.len();
    let mut inline = [None; INLINE_FIELDS];
    let mut heap = Vec::new();
    let values: &mut [Option<&Value>] = if count <= INLINE_FIELDS {
        &mut inline[..count]
    } else {
        heap.resize(count, None);
        &mut heap
    };
    let mut sorted = record.sorted.iter().copied();
    for (key, value) in map {
        let field = sorted.find(|field| record.fields[*field].name.as_str() >= key.as_str());
        match field {
            Some(field) if record.fields[field].name == key.as_str() => values[field] = Some(value),
            _ => {
                let error = EncodeError::new(format!("is no field of record {}", record.name));
                return Err(error.under_field(key));
            }
        }
    }
    for (field, value) in record.fields.iter().zip(values) {
        match (value, &field.default) {
            (Some(value), _) => {
                write(plan, field.node, value, out)
                    .map_err(|error| error.under_field(&field.name))?;
            }
            (None, Ok(default)) => out.extend_from_slice(default),
            (None, Err(why)) => return Err(missing(*why).under_field(&field.name)),
        }
    }
    Ok(())
}

#[cold]
fn missing(why: NoDefault) -> EncodeError {
    EncodeError::new(match why {
        NoDefault::Absent => "is missing and the schema gives no default",
        NoDefault::Unusable => "is missing and the schema's default is not of its type",
    })
}

/// The branch a value is written to: of its own type first, then what it can be turned into without loss.
fn choose(plan: &Plan, union: &Union, value: &Value) -> Option<usize> {
    if matches!(value, Value::Null) {
        return union.null;
    }
    if let (Some(null), 2) = (union.null, union.branches.len()) {
        return Some(1 - null);
    }
    let first =
        |fits: &dyn Fn(&Kind) -> bool| union.branches.iter().position(|id| fits(plan.kind(*id)));
    first(&|kind| is_own_type(kind, value))
        .or_else(|| first(&|kind| can_become(kind, value)))
        // The only record there is, so that the error names the field at fault.
        .or_else(|| first(&|kind| matches!((kind, value), (Kind::Record(_), Value::Object(_)))))
}

#[cold]
fn no_branch(plan: &Plan, union: &Union, value: &Value) -> EncodeError {
    let branches: Vec<String> = union
        .branches
        .iter()
        .take(16)
        .map(|id| plan.kind(*id).describe())
        .collect();
    EncodeError::new(format!(
        "expected one of [{}], found {}",
        branches.join(", "),
        kind(value)
    ))
}

fn is_own_type(kind: &Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Boolean, Value::Boolean(_))
        | (Kind::Long, Value::Integer(_))
        | (Kind::Double, Value::Float(_))
        | (Kind::String, Value::String(_))
        | (Kind::Bytes, Value::Bytes(_))
        | (Kind::Array(_), Value::Array(_))
        | (Kind::Map(_), Value::Object(_)) => true,
        (Kind::Int, Value::Integer(number)) => i32::try_from(*number).is_ok(),
        (Kind::Float, Value::Float(number)) => {
            f64::from(nearest_single(**number)).to_bits() == number.to_bits()
        }
        (Kind::Enum(symbols), Value::String(text)) => symbols.by_symbol.contains_key(&**text),
        (Kind::Fixed { size, .. }, Value::Bytes(bytes)) => bytes.len() == *size,
        (Kind::Timestamp(unit), Value::Timestamp(instant)) => {
            logical::instant_units(*instant, *unit).is_ok()
        }
        (Kind::Record(record), Value::Object(map)) => has_the_fields(record, map),
        (Kind::Duration, Value::Object(map)) => map.len() == 3 && map.contains_key("milliseconds"),
        _ => false,
    }
}

/// Whether a value can be written to a type that is not its own. Containers are never asked, so this cannot recurse.
fn can_become(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Float => single(value).is_ok(),
        Kind::Double => double(value).is_ok(),
        Kind::Bytes => matches!(value, Value::String(_)),
        Kind::String => matches!(value, Value::Bytes(bytes) if std::str::from_utf8(bytes).is_ok()),
        Kind::Fixed { size, .. } => matches!(value, Value::String(text) if text.len() == *size),
        Kind::Decimal(decimal) => decimal_of(*decimal, value).is_ok(),
        Kind::UuidString | Kind::UuidFixed => uuid_of(value).is_ok(),
        Kind::Date => match value {
            Value::String(text) => logical::days(text).is_some(),
            Value::Integer(number) => {
                i32::try_from(*number).is_ok_and(|days| logical::date(days).is_some())
            }
            _ => false,
        },
        Kind::TimeMillis => time_of(kind, Unit::Millis, value).is_ok(),
        Kind::TimeMicros => time_of(kind, Unit::Micros, value).is_ok(),
        Kind::Timestamp(unit) => instant_of(kind, *unit, value).is_ok(),
        Kind::LocalTimestamp(unit) => local_of(kind, *unit, value).is_ok(),
        _ => false,
    }
}

/// Whether the map names only the record's fields, and every one that cannot be filled by a default.
fn has_the_fields(record: &Record, map: &ObjectMap) -> bool {
    let present = record
        .fields
        .iter()
        .filter(|field| map.contains_key(field.name.as_str()))
        .count();
    let needed = |field: &&super::plan::Field| field.default.is_err();
    present == map.len()
        && record
            .fields
            .iter()
            .filter(needed)
            .all(|field| map.contains_key(field.name.as_str()))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the schema asks for 32 bits"
)]
fn nearest_single(number: f64) -> f32 {
    number as f32
}

/// The integer as a float, if `mantissa` bits hold all its digits.
#[expect(clippy::cast_precision_loss, reason = "checked bit by bit before")]
fn exact_double(number: i64, mantissa: u32) -> Option<f64> {
    let digits = number.unsigned_abs();
    let width = u64::BITS - digits.leading_zeros() - digits.trailing_zeros().min(63);
    (digits == 0 || width <= mantissa).then_some(number as f64)
}

pub(super) fn double(value: &Value) -> Result<f64, EncodeError> {
    match value {
        Value::Float(number) => Ok(number.into_inner()),
        Value::Integer(number) => exact_double(*number, f64::MANTISSA_DIGITS)
            .ok_or_else(|| EncodeError::new(format!("{number} is not exact in a double"))),
        other => Err(mismatch(&Kind::Double, other)),
    }
}

/// A float of 32 bits is the nearest one, as the schema asks for that precision; an integer must be exact.
pub(super) fn single(value: &Value) -> Result<f32, EncodeError> {
    match value {
        Value::Float(number) => {
            let single = nearest_single(**number);
            if single.is_infinite() && number.is_finite() {
                return Err(EncodeError::new(format!(
                    "{number} is beyond a float's 32 bits"
                )));
            }
            Ok(single)
        }
        Value::Integer(number) => exact_double(*number, f32::MANTISSA_DIGITS)
            .map(nearest_single)
            .ok_or_else(|| EncodeError::new(format!("{number} is not exact in a float"))),
        other => Err(mismatch(&Kind::Float, other)),
    }
}

fn decimal_of(decimal: Decimal, value: &Value) -> Result<num_bigint::BigInt, EncodeError> {
    let units = match value {
        Value::String(text) => logical::decimal_units(text, decimal),
        Value::Integer(number) => logical::decimal_units(&number.to_string(), decimal),
        Value::Float(number) => logical::decimal_units(&number.to_string(), decimal),
        other => return Err(mismatch(&Kind::Decimal(decimal), other)),
    };
    units.map_err(EncodeError::new)
}

fn write_decimal(decimal: Decimal, value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let unscaled = decimal_of(decimal, value)?;
    match (decimal.fixed, logical::decimal_bytes(&unscaled, decimal)) {
        (None, Some(bytes)) => write_bytes(&bytes, out),
        (Some(_), Some(bytes)) => out.extend_from_slice(&bytes),
        (fixed, None) => {
            let size = fixed.unwrap_or(0);
            return Err(EncodeError::new(format!("does not fit into {size} bytes")));
        }
    }
    Ok(())
}

fn uuid_of(value: &Value) -> Result<uuid::Uuid, EncodeError> {
    match value {
        Value::String(text) => uuid::Uuid::try_parse(text)
            .map_err(|_| EncodeError::new(format!("{:?} is no uuid", shortened(text)))),
        other => Err(mismatch(&Kind::UuidString, other)),
    }
}

fn time_of(node: &Kind, unit: Unit, value: &Value) -> Result<i64, EncodeError> {
    match value {
        Value::String(text) => logical::time_units(text, unit).map_err(EncodeError::new),
        Value::Integer(number) if logical::time(*number, unit).is_some() => Ok(*number),
        Value::Integer(number) => Err(out_of_range(node, *number)),
        other => Err(mismatch(node, other)),
    }
}

fn instant_of(node: &Kind, unit: Unit, value: &Value) -> Result<i64, EncodeError> {
    match value {
        Value::Timestamp(instant) => {
            logical::instant_units(*instant, unit).map_err(EncodeError::new)
        }
        Value::String(text) => {
            let instant = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| {
                EncodeError::new("expected an RFC 3339 timestamp such as 2026-01-31T12:00:00Z")
            })?;
            logical::instant_units(instant.to_utc(), unit).map_err(EncodeError::new)
        }
        Value::Integer(number) if logical::instant(*number, unit).is_some() => Ok(*number),
        Value::Integer(number) => Err(out_of_range(node, *number)),
        other => Err(mismatch(node, other)),
    }
}

fn local_of(node: &Kind, unit: Unit, value: &Value) -> Result<i64, EncodeError> {
    match value {
        Value::String(text) => {
            let instant = logical::local_instant(text).ok_or_else(|| {
                EncodeError::new("expected a timestamp without a zone such as 2026-01-31T12:00:00")
            })?;
            logical::instant_units(instant, unit).map_err(EncodeError::new)
        }
        Value::Integer(number) if logical::instant(*number, unit).is_some() => Ok(*number),
        Value::Integer(number) => Err(out_of_range(node, *number)),
        other => Err(mismatch(node, other)),
    }
}

fn write_duration(map: &ObjectMap, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    const PARTS: [&str; 3] = ["months", "days", "milliseconds"];
    if let Some(unknown) = map.keys().find(|key| !PARTS.contains(&key.as_str())) {
        return Err(EncodeError::new("is no part of a duration").under_field(unknown));
    }
    for part in PARTS {
        let number = map
            .get(part)
            .and_then(Value::as_integer)
            .and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or_else(|| {
            EncodeError::new("expected a number from 0 to 4294967295").under_field(part)
        })?;
        out.extend_from_slice(&number.to_le_bytes());
    }
    Ok(())
}
