//! Logical types: their raw numbers and bytes, and the text or instant they stand for.

use super::plan::{Decimal, Unit};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};
use num_bigint::{BigInt, Sign};

/// Days from the common era's first to 1970-01-01.
const EPOCH_DAYS: i32 = 719_163;

/// 1970-01-01 is day 0.
pub(super) fn date(days: i32) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(days.checked_add(EPOCH_DAYS)?)
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
pub(super) fn days(text: &str) -> Option<i32> {
    use chrono::Datelike;
    let date: NaiveDate = text.parse().ok()?;
    // The parser also takes `2024-1-1`; one date has one text here.
    (date.to_string() == text).then(|| date.num_days_from_ce() - EPOCH_DAYS)
}

/// A time of day of `number` units.
pub(super) fn time(number: i64, unit: Unit) -> Option<NaiveTime> {
    let nanos = u64::try_from(number)
        .ok()?
        .checked_mul(u64::from(unit.nanos()))?;
    let seconds = u32::try_from(nanos / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
    NaiveTime::from_num_seconds_from_midnight_opt(seconds, rest)
}

/// Microseconds since midnight.
pub(super) fn time_micros(time: NaiveTime) -> i64 {
    i64::from(time.num_seconds_from_midnight()) * 1_000_000 + i64::from(time.nanosecond() / 1_000)
}

/// Units since midnight of `HH:MM:SS[.fraction]`. Finer digits than the unit has are an error.
pub(super) fn time_units(text: &str, unit: Unit) -> Result<i64, &'static str> {
    let time: NaiveTime = text.parse().map_err(|_| "expected HH:MM:SS[.fraction]")?;
    if time.nanosecond() >= 1_000_000_000 {
        return Err("a leap second has no place in a time of day");
    }
    let nanos =
        i64::from(time.num_seconds_from_midnight()) * 1_000_000_000 + i64::from(time.nanosecond());
    exact_units(nanos, unit)
}

fn exact_units(nanos: i64, unit: Unit) -> Result<i64, &'static str> {
    let size = i64::from(unit.nanos());
    if nanos % size != 0 {
        return Err("has finer digits than the schema's unit; truncate it in the program");
    }
    Ok(nanos / size)
}

/// The instant of a raw number; `None` beyond what a timestamp can hold (about 262,000 years).
pub(super) fn instant(number: i64, unit: Unit) -> Option<DateTime<Utc>> {
    match unit {
        Unit::Millis => DateTime::from_timestamp_millis(number),
        Unit::Micros => DateTime::from_timestamp_micros(number),
        Unit::Nanos => Some(DateTime::from_timestamp_nanos(number)),
    }
}

/// The raw number of an instant. Finer digits than the unit has are an error.
pub(super) fn instant_units(instant: DateTime<Utc>, unit: Unit) -> Result<i64, &'static str> {
    if !instant
        .timestamp_subsec_nanos()
        .is_multiple_of(unit.nanos())
    {
        return Err("has finer digits than the schema's unit; truncate it in the program");
    }
    match unit {
        Unit::Millis => Ok(instant.timestamp_millis()),
        Unit::Micros => Ok(instant.timestamp_micros()),
        Unit::Nanos => instant
            .timestamp_nanos_opt()
            .ok_or("is beyond the years 1677 to 2262 that timestamp-nanos can hold"),
    }
}

/// A local timestamp as text: ISO 8601 without a zone, fraction only when there is one.
pub(super) fn local_text(instant: DateTime<Utc>) -> String {
    instant
        .naive_utc()
        .format("%Y-%m-%dT%H:%M:%S%.f")
        .to_string()
}

/// The instant a local timestamp would be in UTC.
pub(super) fn local_instant(text: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
        .ok()
        .map(|local| local.and_utc())
}

/// Bytes that hold any number of so many digits, with its sign.
fn bytes_for(precision: u32) -> usize {
    // 0.41525 bytes a digit, log256(10) rounded up.
    (precision as usize * 41_525).div_ceil(100_000) + 1
}

/// A big-endian two's complement number. `None` if it has more digits than the schema says.
pub(super) fn unscaled(bytes: &[u8], decimal: Decimal) -> Option<BigInt> {
    let significant = strip_sign_bytes(bytes);
    // Checked before any arithmetic: turning megabytes into digits takes minutes.
    if significant.len() > bytes_for(decimal.precision) {
        return None;
    }
    let number = BigInt::from_signed_bytes_be(significant);
    (digits(&number) <= decimal.precision as usize).then_some(number)
}

/// Without the leading bytes that only repeat the sign.
fn strip_sign_bytes(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [first, second, ..] = rest {
        let repeats = (*first == 0 && second & 0x80 == 0) || (*first == 0xff && second & 0x80 != 0);
        if !repeats {
            break;
        }
        rest = &rest[1..];
    }
    rest
}

fn digits(number: &BigInt) -> usize {
    match i64::try_from(number) {
        Ok(0) => 1,
        Ok(small) => small.unsigned_abs().ilog10() as usize + 1,
        Err(_) => number.magnitude().to_string().len(),
    }
}

/// A decimal as text, with exactly `scale` digits after the point.
pub(super) fn decimal_text(unscaled: &BigInt, scale: u32) -> String {
    let scale = scale as usize;
    let digits = unscaled.magnitude().to_string();
    let sign = if unscaled.sign() == Sign::Minus {
        "-"
    } else {
        ""
    };
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// The unscaled number of a decimal text such as `-12.30`, `.5` or `1.2e3`.
pub(super) fn decimal_units(text: &str, decimal: Decimal) -> Result<BigInt, String> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()),
        None => (text, Some(0)),
    };
    let (negative, unsigned) = match mantissa.as_bytes().first() {
        Some(b'-') => (true, &mantissa[1..]),
        Some(b'+') => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all_digits = format!("{whole}{fraction}");
    let (Some(exponent), false) = (exponent, all_digits.is_empty()) else {
        return Err("expected a decimal number such as -12.30".into());
    };
    if !all_digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("expected a decimal number such as -12.30".into());
    }
    let significant = all_digits.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(BigInt::ZERO);
    }
    // value = significant * 10^shift units of 10^-scale
    let fraction_digits = i64::try_from(fraction.len()).unwrap_or(i64::MAX / 2);
    let shift = i64::from(exponent) - fraction_digits + i64::from(decimal.scale);
    let too_long = || {
        format!(
            "has more than the {} digits of the schema",
            decimal.precision
        )
    };
    let units = if let Ok(drop) = usize::try_from(-shift) {
        let kept = significant.len().saturating_sub(drop);
        if significant[kept..].bytes().any(|byte| byte != b'0') {
            return Err(format!(
                "has more than {} digits after the point",
                decimal.scale
            ));
        }
        significant[..kept].to_owned()
    } else {
        let zeros = usize::try_from(shift).unwrap_or(usize::MAX);
        if significant.len().saturating_add(zeros) > decimal.precision as usize {
            return Err(too_long());
        }
        format!("{significant}{}", "0".repeat(zeros))
    };
    if units.len() > decimal.precision as usize {
        return Err(too_long());
    }
    let magnitude: BigInt = units.parse().map_err(|_| too_long())?;
    Ok(if negative { -magnitude } else { magnitude })
}

/// The number's bytes as its type wants them: as few as can be, or sign-extended to the fixed's size.
pub(super) fn decimal_bytes(unscaled: &BigInt, decimal: Decimal) -> Option<Vec<u8>> {
    let bytes = unscaled.to_signed_bytes_be();
    let Some(size) = decimal.fixed else {
        return Some(bytes);
    };
    let missing = size.checked_sub(bytes.len())?;
    let sign = if unscaled.sign() == Sign::Minus {
        0xff
    } else {
        0
    };
    let mut padded = vec![sign; missing];
    padded.extend_from_slice(&bytes);
    Some(padded)
}
