//! One value on the direct path, borrowed from the record's bytes where it can be.
//!
//! What each type of a format becomes, as a [`Value`] (what a program sees), as a [`Cell`] (what a column gets on the
//! direct path) and as JSON (what [`crate::json::encode`] writes for the value):
//!
//! | type | `Value` | `Cell` | JSON |
//! | --- | --- | --- | --- |
//! | null, boolean, string | the same | the same | the same |
//! | Avro int, long; JSON integer within i64 | integer | `Int` | number |
//! | JSON integer beyond i64 | string of its digits | `BigInt` | string |
//! | Avro float, double; other JSON number | float (NaN is refused) | `Float` (NaN kept) | number (infinity is refused) |
//! | Avro bytes, fixed | bytes | `Bytes` | string if UTF-8, else refused |
//! | Avro enum | string | `Text` | string |
//! | Avro array, map, record | array, object | `Tree` | array, object |
//! | Avro union | the branch's value, not wrapped | the branch's | the branch's |
//! | decimal | string with `scale` digits after the point | `Decimal` | string |
//! | uuid (string, fixed 16) | string, lower case with hyphens | `Uuid` | string |
//! | date | string `YYYY-MM-DD` | `Date` | string |
//! | time-millis, time-micros | string `HH:MM:SS[.fraction]` | `Time` | string |
//! | timestamp-millis, -micros, -nanos | timestamp | `Timestamp` (whole microseconds, rounded down) | RFC 3339 string with `Z` |
//! | local-timestamp-millis, -micros, -nanos | string `YYYY-MM-DDTHH:MM:SS[.fraction]`: it has no zone, so it is no instant | `Text`, the same | string |
//! | duration | object `months`, `days`, `milliseconds` | `Tree` | object |
//! | unknown or malformed logical type | as its base type (Avro specification, "Logical Types") | the same | the same |
//!
//! A float is the nearest one to the JSON number's text, as everywhere; one that overflows is refused. A timestamp's
//! nanoseconds are whole in a `Value` and cut to microseconds in a `Cell`, the finest unit of any sink here.

use crate::Value;
use std::borrow::Cow;

/// What a path picked from a record. The sink turns it into the column's type.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// A null that stands in the record; a path that leads nowhere is `None` around the cell.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer within i64.
    Int(i64),
    /// An integer beyond i64, as its decimal text.
    BigInt(Cow<'a, str>),
    /// A float; may be NaN or infinite when it comes from Avro.
    Float(f64),
    /// Text. From a value tree also numbers and UUIDs that crossed as text: the column's type decides.
    Text(Cow<'a, str>),
    /// Bytes. From a value tree they may be text that a program decoded: a text column takes them if they are UTF-8.
    Bytes(Cow<'a, [u8]>),
    /// A UUID.
    Uuid(uuid::Uuid),
    /// unscaled * 10^-scale
    Decimal {
        /// The digits as one integer.
        unscaled: num_bigint::BigInt,
        /// How many of the digits stand after the point.
        scale: u32,
    },
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// An array or an object.
    Tree(Cow<'a, Value>),
}

impl<'a> Cell<'a> {
    /// The cell of a value in a tree.
    pub fn from_value(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Boolean(flag) => Self::Bool(*flag),
            Value::Integer(number) => Self::Int(*number),
            Value::Float(number) => Self::Float(number.into_inner()),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Self::Bytes(Cow::Borrowed(bytes)),
            Value::Timestamp(instant) => Self::Timestamp(instant.timestamp_micros()),
            Value::Regex(_) | Value::Object(_) | Value::Array(_) => {
                Self::Tree(Cow::Borrowed(value))
            }
        }
    }

    /// The same cell, owning what it borrowed.
    pub fn into_owned(self) -> Cell<'static> {
        match self {
            Self::Null => Cell::Null,
            Self::Bool(flag) => Cell::Bool(flag),
            Self::Int(number) => Cell::Int(number),
            Self::BigInt(digits) => Cell::BigInt(Cow::Owned(digits.into_owned())),
            Self::Float(number) => Cell::Float(number),
            Self::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Cell::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Uuid(uuid) => Cell::Uuid(uuid),
            Self::Decimal { unscaled, scale } => Cell::Decimal { unscaled, scale },
            Self::Date(days) => Cell::Date(days),
            Self::Time(micros) => Cell::Time(micros),
            Self::Timestamp(micros) => Cell::Timestamp(micros),
            Self::Tree(value) => Cell::Tree(Cow::Owned(value.into_owned())),
        }
    }
}
