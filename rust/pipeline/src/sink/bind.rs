//! Cells to CQL values: each exact or an error with its column, never rounded.
//!
//! | column | takes |
//! | --- | --- |
//! | text, ascii | text; numbers, booleans, UUIDs, dates and times as their text |
//! | tinyint .. bigint, varint | integers in range, also as decimal text; floats without a fraction |
//! | float, double | numbers, also as text; `float` takes the nearest 32-bit value |
//! | decimal | integers, decimals, also as text |
//! | boolean | booleans |
//! | uuid, timeuuid | UUIDs, also as text |
//! | timestamp | timestamps (cut to Cassandra's milliseconds), RFC 3339 text, integers as milliseconds since 1970 |
//! | date, time | dates and times, also as text (`2026-01-31`, `12:30:00.5`) |
//! | inet, blob | address text; bytes or text |
//!
//! Other types (collections, user types, durations, counters) are refused when the table is opened.

use std::net::IpAddr;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, Timelike};
use millstream_codec::Cell;
use num_bigint::BigInt;
use scylla::frame::response::result::{ColumnType, NativeType};

use super::table::TableShape;

/// Largest key part that Cassandra takes, in bytes.
const MAX_KEY_PART: usize = 65_535;

/// What a null or absent value does to its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NullMode {
    /// UNSET: the column keeps what it has.
    #[default]
    Unset,
    /// Null: the column is deleted (a tombstone).
    Write,
}

/// What a row does to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Each column keeps its newest value.
    Insert,
    /// The row is deleted just below the stamp and inserted at it, in one batch of one partition.
    Replace,
    /// The row is deleted; only the key's cells count.
    Delete,
}

/// A row whose values are checked and encoded: nothing about it can fail any more but the write itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundRow {
    /// What the row does.
    pub change: Change,
    /// `USING TIMESTAMP` in microseconds.
    pub stamp: i64,
    /// `USING TTL` in seconds, above zero; only for a table opened with one.
    pub ttl: Option<i32>,
    cells: Vec<u8>,
}

/// One encoded cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundCell<'a> {
    /// A value's bytes.
    Value(&'a [u8]),
    /// Null.
    Null,
    /// Not set.
    Unset,
}

/// A value that its column cannot take. A record fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {detail}")]
pub struct BindError {
    /// The dead-letter code.
    pub code: &'static str,
    /// The column.
    pub column: String,
    /// What is wrong.
    pub detail: String,
}

/// Length marks of the CQL protocol (native protocol v4, section 3).
const NULL: i32 = -1;
const UNSET: i32 = -2;

impl BoundRow {
    /// Encodes one row. `cells[i]` belongs to `shape.columns[i]`; `None` is absent and counts as null.
    pub fn bind(
        shape: &TableShape,
        cells: &[Option<Cell<'_>>],
        nulls: NullMode,
        change: Change,
        stamp: i64,
        ttl: Option<i32>,
    ) -> Result<Self, BindError> {
        let mut out = Vec::with_capacity(32 * shape.columns.len());
        for (column, cell) in shape.columns.iter().zip(cells) {
            let fail = |code, detail| BindError {
                code,
                column: column.name.clone(),
                detail,
            };
            let cell = match cell {
                None | Some(Cell::Null) => None,
                Some(cell) => Some(cell),
            };
            if change == Change::Delete && !column.primary_key {
                out.extend_from_slice(&UNSET.to_be_bytes());
                continue;
            }
            let Some(cell) = cell else {
                if column.primary_key {
                    return Err(fail(
                        "validation:key_missing",
                        "is part of the primary key and has no value".to_owned(),
                    ));
                }
                let mark = if nulls == NullMode::Write {
                    NULL
                } else {
                    UNSET
                };
                out.extend_from_slice(&mark.to_be_bytes());
                continue;
            };
            let start = out.len();
            out.extend_from_slice(&[0; 4]);
            encode(&column.column_type, cell, &mut out)
                .map_err(|detail| fail("type_mismatch", detail))?;
            let len = out.len() - start - 4;
            if column.primary_key && len > MAX_KEY_PART {
                return Err(fail(
                    "validation:key_too_long",
                    format!("a key part has {len} bytes, at most {MAX_KEY_PART}"),
                ));
            }
            if column.partition_key && len == 0 {
                return Err(fail(
                    "validation:key_empty",
                    "is part of the partition key and is empty".to_owned(),
                ));
            }
            let mark = i32::try_from(len).map_err(|_| {
                fail(
                    "type_mismatch",
                    format!("a value of {len} bytes is beyond CQL's 2 GiB"),
                )
            })?;
            out[start..start + 4].copy_from_slice(&mark.to_be_bytes());
        }
        Ok(Self {
            change,
            stamp,
            ttl,
            cells: out,
        })
    }

    /// The cells in the order of the table's columns.
    pub fn cells(&self) -> impl Iterator<Item = BoundCell<'_>> {
        let mut rest = self.cells.as_slice();
        std::iter::from_fn(move || {
            let (mark, after) = rest.split_first_chunk::<4>()?;
            let mark = i32::from_be_bytes(*mark);
            let (cell, after) = match usize::try_from(mark) {
                Ok(len) => {
                    let (value, after) = after.split_at_checked(len)?;
                    (BoundCell::Value(value), after)
                }
                Err(_) if mark == NULL => (BoundCell::Null, after),
                Err(_) => (BoundCell::Unset, after),
            };
            rest = after;
            Some(cell)
        })
    }

    /// Size of the encoded cells in bytes.
    pub fn size(&self) -> usize {
        self.cells.len()
    }

    /// The encoded primary key: equal for two rows of one table exactly when they are the same row.
    pub fn key_bytes(&self, shape: &TableShape) -> Vec<u8> {
        let cells: Vec<_> = self.cells().collect();
        let mut key = Vec::new();
        for &index in &shape.key {
            if let Some(BoundCell::Value(value)) = cells.get(index) {
                key.extend_from_slice(
                    &u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes(),
                );
                key.extend_from_slice(value);
            }
        }
        key
    }
}

/// Whether `encode` knows the type; checked when a table is opened.
pub fn is_supported(column_type: &ColumnType<'_>) -> bool {
    match column_type {
        ColumnType::Native(native) => !matches!(native, NativeType::Counter | NativeType::Duration),
        _ => false,
    }
}

type Encoded = Result<(), String>;

fn encode(column_type: &ColumnType<'_>, cell: &Cell<'_>, out: &mut Vec<u8>) -> Encoded {
    let ColumnType::Native(native) = column_type else {
        return Err(format!("type {column_type:?} is not supported"));
    };
    match native {
        NativeType::Text | NativeType::Ascii => text(native, cell, out),
        NativeType::Boolean => match cell {
            Cell::Bool(value) => put(out, &[u8::from(*value)]),
            _ => Err(mismatch("boolean", cell)),
        },
        NativeType::TinyInt => {
            integer::<i8>("tinyint", cell).and_then(|v| put(out, &v.to_be_bytes()))
        }
        NativeType::SmallInt => {
            integer::<i16>("smallint", cell).and_then(|v| put(out, &v.to_be_bytes()))
        }
        NativeType::Int => integer::<i32>("int", cell).and_then(|v| put(out, &v.to_be_bytes())),
        NativeType::BigInt => {
            integer::<i64>("bigint", cell).and_then(|v| put(out, &v.to_be_bytes()))
        }
        NativeType::Varint => big_integer(cell).and_then(|v| put(out, &v.to_signed_bytes_be())),
        NativeType::Decimal => decimal(cell, out),
        NativeType::Double => float("double", cell).and_then(|v| put(out, &v.to_be_bytes())),
        NativeType::Float => float("float", cell).and_then(|v| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "documented: float takes the nearest 32-bit value"
            )]
            let narrow = v as f32;
            if narrow.is_infinite() && v.is_finite() {
                return Err(format!("{v} is beyond float"));
            }
            put(out, &narrow.to_be_bytes())
        }),
        NativeType::Uuid => uuid("uuid", cell).and_then(|v| put(out, v.as_bytes())),
        NativeType::Timeuuid => uuid("timeuuid", cell).and_then(|v| {
            if v.get_version_num() == 1 {
                put(out, v.as_bytes())
            } else {
                Err(format!("{v} is not a version 1 UUID"))
            }
        }),
        NativeType::Timestamp => timestamp_ms(cell).and_then(|v| put(out, &v.to_be_bytes())),
        NativeType::Date => date(cell).and_then(|v| put(out, &v.to_be_bytes())),
        NativeType::Time => time(cell).and_then(|v| put(out, &v.to_be_bytes())),
        NativeType::Inet => match cell {
            Cell::Text(value) => match IpAddr::from_str(value) {
                Ok(IpAddr::V4(v4)) => put(out, &v4.octets()),
                Ok(IpAddr::V6(v6)) => put(out, &v6.octets()),
                Err(_) => Err(mismatch("inet", cell)),
            },
            _ => Err(mismatch("inet", cell)),
        },
        NativeType::Blob => match cell {
            Cell::Bytes(value) => put(out, value),
            Cell::Text(value) => put(out, value.as_bytes()),
            _ => Err(mismatch("blob", cell)),
        },
        other => Err(format!("type {other:?} is not supported")),
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the arms above all end the same way"
)]
fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Encoded {
    out.extend_from_slice(bytes);
    Ok(())
}

/// One line that names the kind of value and never the value itself.
fn mismatch(wanted: &str, cell: &Cell<'_>) -> String {
    let kind = match cell {
        Cell::Null => "null",
        Cell::Bool(_) => "a boolean",
        Cell::Int(_) => "an integer",
        Cell::BigInt(_) => "an integer beyond 64 bits",
        Cell::Float(_) => "a float",
        Cell::Text(_) => "a text",
        Cell::Bytes(_) => "bytes",
        Cell::Uuid(_) => "a UUID",
        Cell::Decimal { .. } => "a decimal",
        Cell::Date(_) => "a date",
        Cell::Time(_) => "a time",
        Cell::Timestamp(_) => "a timestamp",
        Cell::Tree(_) => "an array or an object",
    };
    format!("{wanted} cannot take {kind} of this record")
}

fn text(native: &NativeType, cell: &Cell<'_>, out: &mut Vec<u8>) -> Encoded {
    let start = out.len();
    match cell {
        Cell::Text(value) | Cell::BigInt(value) => out.extend_from_slice(value.as_bytes()),
        Cell::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Cell::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Cell::Float(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Cell::Uuid(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Cell::Decimal { unscaled, scale } => {
            out.extend_from_slice(decimal_text(unscaled, *scale).as_bytes());
        }
        Cell::Date(days) => match date_text(*days) {
            Some(value) => out.extend_from_slice(value.as_bytes()),
            None => return Err("the date is out of range".to_owned()),
        },
        Cell::Time(micros) => match time_text(*micros) {
            Some(value) => out.extend_from_slice(value.as_bytes()),
            None => return Err("the time is out of range".to_owned()),
        },
        Cell::Timestamp(micros) => match DateTime::from_timestamp_micros(*micros) {
            Some(value) => out.extend_from_slice(
                value
                    .to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
                    .as_bytes(),
            ),
            None => return Err("the timestamp is out of range".to_owned()),
        },
        Cell::Null | Cell::Bytes(_) | Cell::Tree(_) => return Err(mismatch("text", cell)),
    }
    if matches!(native, NativeType::Ascii) && !out[start..].is_ascii() {
        return Err("ascii cannot take a text with other characters".to_owned());
    }
    Ok(())
}

fn date_text(days: i32) -> Option<String> {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let date = epoch.checked_add_signed(chrono::TimeDelta::try_days(i64::from(days))?)?;
    Some(date.format("%Y-%m-%d").to_string())
}

fn time_text(micros: i64) -> Option<String> {
    let seconds = u32::try_from(micros.div_euclid(1_000_000)).ok()?;
    let nanos = u32::try_from(micros.rem_euclid(1_000_000)).ok()? * 1000;
    Some(
        NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos)?
            .format("%H:%M:%S%.f")
            .to_string(),
    )
}

fn decimal_text(unscaled: &BigInt, scale: u32) -> String {
    let scale = scale as usize;
    if scale == 0 {
        return unscaled.to_string();
    }
    let negative = unscaled.sign() == num_bigint::Sign::Minus;
    let digits = format!(
        "{:0>width$}",
        unscaled.magnitude().to_string(),
        width = scale + 1
    );
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{}{whole}.{fraction}", if negative { "-" } else { "" })
}

/// Integers that a float holds without loss.
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole and below 2^53"
)]
fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
}

fn integer<T: TryFrom<i64>>(wanted: &str, cell: &Cell<'_>) -> Result<T, String> {
    let value = match cell {
        Cell::Int(value) => Some(*value),
        Cell::Float(value) => whole(*value),
        Cell::Text(value) => value.parse().ok(),
        Cell::Decimal { unscaled, scale: 0 } => i64::try_from(unscaled).ok(),
        _ => None,
    };
    let value = value.ok_or_else(|| mismatch(wanted, cell))?;
    T::try_from(value).map_err(|_| format!("{value} is out of range for {wanted}"))
}

fn big_integer(cell: &Cell<'_>) -> Result<BigInt, String> {
    match cell {
        Cell::Int(value) => Some(BigInt::from(*value)),
        Cell::Float(value) => whole(*value).map(BigInt::from),
        Cell::BigInt(value) | Cell::Text(value) if value.len() <= 4096 => value.parse().ok(),
        Cell::Decimal { unscaled, scale: 0 } => Some(unscaled.clone()),
        _ => None,
    }
    .ok_or_else(|| mismatch("varint", cell))
}

/// CQL decimal: scale as i32, then the unscaled value as a varint.
fn decimal(cell: &Cell<'_>, out: &mut Vec<u8>) -> Encoded {
    let (unscaled, scale) = match cell {
        Cell::Decimal { unscaled, scale } => Some((unscaled.clone(), i64::from(*scale))),
        Cell::Int(value) => Some((BigInt::from(*value), 0)),
        Cell::BigInt(value) | Cell::Text(value) if value.len() <= 4096 => parse_decimal(value),
        _ => None,
    }
    .ok_or_else(|| {
        mismatch(
            "decimal (a float is not exact: send text or a decimal)",
            cell,
        )
    })?;
    let scale =
        i32::try_from(scale).map_err(|_| "the decimal's scale is out of range".to_owned())?;
    put(out, &scale.to_be_bytes())?;
    put(out, &unscaled.to_signed_bytes_be())
}

fn parse_decimal(text: &str) -> Option<(BigInt, i64)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !fraction.chars().all(|c| c.is_ascii_digit()) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let unscaled = BigInt::from_str(&format!("{whole}{fraction}")).ok()?;
    Some((
        unscaled,
        i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?,
    ))
}

#[expect(clippy::cast_precision_loss, reason = "checked to come back the same")]
fn float(wanted: &str, cell: &Cell<'_>) -> Result<f64, String> {
    match cell {
        Cell::Float(value) => Some(*value),
        Cell::Int(value) => whole(*value as f64)
            .filter(|back| back == value)
            .map(|_| *value as f64),
        Cell::Text(value) => value.parse().ok(),
        Cell::Decimal { unscaled, scale } => decimal_text(unscaled, *scale).parse().ok(),
        _ => None,
    }
    .ok_or_else(|| mismatch(wanted, cell))
}

fn uuid(wanted: &str, cell: &Cell<'_>) -> Result<uuid::Uuid, String> {
    match cell {
        Cell::Uuid(value) => Some(*value),
        Cell::Text(value) => uuid::Uuid::try_parse(value).ok(),
        _ => None,
    }
    .ok_or_else(|| mismatch(wanted, cell))
}

fn timestamp_ms(cell: &Cell<'_>) -> Result<i64, String> {
    match cell {
        Cell::Timestamp(micros) => Some(micros.div_euclid(1000)),
        Cell::Int(value) => Some(*value),
        Cell::Text(value) => DateTime::parse_from_rfc3339(value)
            .ok()
            .map(|value| value.timestamp_millis()),
        _ => None,
    }
    .ok_or_else(|| mismatch("timestamp", cell))
}

/// CQL date: days with 1970-01-01 at 2^31.
fn date(cell: &Cell<'_>) -> Result<u32, String> {
    let days = match cell {
        Cell::Date(days) => Some(i64::from(*days)),
        Cell::Text(value) => NaiveDate::from_str(value)
            .ok()
            .zip(NaiveDate::from_ymd_opt(1970, 1, 1))
            .map(|(date, epoch)| date.signed_duration_since(epoch).num_days()),
        _ => None,
    };
    days.and_then(|days| u32::try_from(days + (1 << 31)).ok())
        .ok_or_else(|| mismatch("date", cell))
}

/// CQL time: nanoseconds since midnight.
fn time(cell: &Cell<'_>) -> Result<i64, String> {
    match cell {
        Cell::Time(micros) => micros
            .checked_mul(1000)
            .filter(|nanos| (0..86_400_000_000_000).contains(nanos)),
        Cell::Text(value) => NaiveTime::from_str(value).ok().map(|time| {
            i64::from(time.num_seconds_from_midnight()) * 1_000_000_000
                + i64::from(time.nanosecond())
        }),
        _ => None,
    }
    .ok_or_else(|| mismatch("time", cell))
}
