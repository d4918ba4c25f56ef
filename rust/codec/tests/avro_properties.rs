//! Avro: generated schemas and values, with the `apache-avro` crate as the oracle in both directions.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "random bits"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Theirs;
use apache_avro::writer::datum::GenericDatumWriter;
use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta};
use millstream_codec::avro::AvroSchema;
use millstream_codec::{Cell, Code, ObjectMap, Path, Projection, Value};
use num_bigint::BigInt;
use proptest::prelude::*;
use serde_json::json;

/// `SplitMix64`: the same seed gives the same schema and value.
struct Source(u64);

impl Source {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn text(&mut self) -> String {
        const CHARS: [char; 8] = ['a', 'b', 'Z', '0', ' ', 'ü', '😀', '"'];
        let length = if self.below(20) == 0 {
            200
        } else {
            self.below(8)
        };
        (0..length).map(|_| CHARS[self.below(8) as usize]).collect()
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Small and huge numbers alike.
    fn long(&mut self) -> i64 {
        let shift = self.below(64);
        self.next().cast_signed() >> shift
    }
}

/// A generated type: its JSON, and what to draw its values from.
enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(u64),
    Enum(u64),
    Array(Box<Shape>),
    Map(Box<Shape>),
    Union(Vec<Shape>),
    Record(Vec<(String, Shape)>),
    Decimal { precision: u32, scale: u32 },
    Uuid,
    Date,
    Time { nanos: i64 },
    Timestamp { nanos: i64 },
    Local { nanos: i64 },
    Duration,
}

struct Generator {
    source: Source,
    names: u64,
}

impl Generator {
    fn name(&mut self) -> String {
        self.names += 1;
        let namespace = ["", "n.", "n.m."][self.source.below(3) as usize];
        format!("{namespace}T{}", self.names)
    }

    fn record(&mut self, depth: u64) -> (serde_json::Value, Shape) {
        let name = self.name();
        let mut fields = Vec::new();
        let mut shapes = Vec::new();
        for place in 0..self.source.below(7) {
            // Not in the order of the alphabet.
            let field = format!("{}{place}", ["z", "a", "m"][self.source.below(3) as usize]);
            let (schema, shape) = self.shape(depth + 1);
            fields.push(json!({"name": field, "type": schema}));
            shapes.push((field, shape));
        }
        (
            json!({"type": "record", "name": name, "fields": fields}),
            Shape::Record(shapes),
        )
    }

    fn shape(&mut self, depth: u64) -> (serde_json::Value, Shape) {
        let logical = |base: &str, name: &str| json!({"type": base, "logicalType": name});
        let kinds = if depth > 4 { 20 } else { 26 };
        match self.source.below(kinds) {
            0 => (json!("null"), Shape::Null),
            1 => (json!("boolean"), Shape::Boolean),
            2 => (json!("int"), Shape::Int),
            3 => (json!({"type": "long"}), Shape::Long),
            4 => (json!("float"), Shape::Float),
            5 => (json!("double"), Shape::Double),
            6 => (json!("bytes"), Shape::Bytes),
            7 | 8 => (json!("string"), Shape::Text),
            9 => {
                let size = 1 + self.source.below(6);
                (
                    json!({"type": "fixed", "name": self.name(), "size": size}),
                    Shape::Fixed(size),
                )
            }
            10 => {
                let count = 1 + self.source.below(4);
                let symbols: Vec<String> = (0..count).map(|n| format!("S{n}")).collect();
                (
                    json!({"type": "enum", "name": self.name(), "symbols": symbols}),
                    Shape::Enum(count),
                )
            }
            11 => {
                let precision = 1 + self.source.below(30) as u32;
                let scale = self.source.below(u64::from(precision) + 1) as u32;
                let schema = if self.source.below(2) == 0 {
                    json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
                } else {
                    json!({"type": "fixed", "name": self.name(), "size": 16, "logicalType": "decimal", "precision": precision, "scale": scale})
                };
                (schema, Shape::Decimal { precision, scale })
            }
            12 => (logical("string", "uuid"), Shape::Uuid),
            13 => (logical("int", "date"), Shape::Date),
            14 => (
                logical("int", "time-millis"),
                Shape::Time { nanos: 1_000_000 },
            ),
            15 => (logical("long", "time-micros"), Shape::Time { nanos: 1_000 }),
            16 => (
                logical("long", "timestamp-millis"),
                Shape::Timestamp { nanos: 1_000_000 },
            ),
            17 => (
                logical("long", "timestamp-micros"),
                Shape::Timestamp { nanos: 1_000 },
            ),
            18 => (
                logical("long", "timestamp-nanos"),
                Shape::Timestamp { nanos: 1 },
            ),
            19 => match self.source.below(3) {
                0 => (
                    logical("long", "local-timestamp-millis"),
                    Shape::Local { nanos: 1_000_000 },
                ),
                1 => (
                    logical("long", "local-timestamp-micros"),
                    Shape::Local { nanos: 1_000 },
                ),
                _ => (
                    json!({"type": "fixed", "name": self.name(), "size": 12, "logicalType": "duration"}),
                    Shape::Duration,
                ),
            },
            20 | 21 => {
                let (schema, shape) = self.shape(depth + 1);
                (
                    json!({"type": "array", "items": schema}),
                    Shape::Array(Box::new(shape)),
                )
            }
            22 => {
                let (schema, shape) = self.shape(depth + 1);
                (
                    json!({"type": "map", "values": schema}),
                    Shape::Map(Box::new(shape)),
                )
            }
            23 => self.union(depth),
            _ => self.record(depth),
        }
    }

    /// A union whose branches cannot be taken for each other.
    fn union(&mut self, depth: u64) -> (serde_json::Value, Shape) {
        let mut branches = vec![(json!("null"), Shape::Null)];
        if self.source.below(2) == 0 {
            branches.push((json!("string"), Shape::Text));
        }
        if self.source.below(2) == 0 {
            branches.push((json!("long"), Shape::Long));
        }
        if self.source.below(2) == 0 {
            branches.push((json!("double"), Shape::Double));
        }
        if self.source.below(2) == 0 {
            branches.push((json!("boolean"), Shape::Boolean));
        }
        if self.source.below(2) == 0 {
            branches.push(self.record(depth + 1));
        }
        let turn = self.source.below(branches.len() as u64) as usize;
        branches.rotate_left(turn);
        let (schemas, shapes) = branches.into_iter().unzip();
        (serde_json::Value::Array(schemas), Shape::Union(shapes))
    }

    fn value(&mut self, shape: &Shape) -> Value {
        let source = &mut self.source;
        match shape {
            Shape::Null => Value::Null,
            Shape::Boolean => Value::Boolean(source.below(2) == 0),
            Shape::Int => Value::Integer(i64::from(source.long() as i32)),
            Shape::Long => Value::Integer(source.long()),
            Shape::Float => {
                let float = f32::from_bits(source.next() as u32);
                Value::from_f64_or_zero(if float.is_nan() {
                    0.0
                } else {
                    f64::from(float)
                })
            }
            Shape::Double => Value::from_f64_or_zero(f64::from_bits(source.next())),
            Shape::Bytes => {
                let length = source.below(9);
                Value::Bytes(source.bytes(length).into())
            }
            Shape::Text => Value::from(source.text()),
            Shape::Fixed(size) => Value::Bytes(source.bytes(*size).into()),
            Shape::Enum(count) => Value::from(format!("S{}", source.below(*count))),
            Shape::Array(item) => {
                let length = self.source.below(4);
                Value::Array((0..length).map(|_| self.value(item)).collect())
            }
            Shape::Map(item) => {
                let length = self.source.below(4);
                let entries = (0..length).map(|_| (self.source.text().into(), self.value(item)));
                Value::Object(entries.collect())
            }
            Shape::Union(branches) => {
                let chosen = self.source.below(branches.len() as u64) as usize;
                self.value(&branches[chosen])
            }
            Shape::Record(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, shape)| (name.as_str().into(), self.value(shape)));
                Value::Object(fields.collect())
            }
            Shape::Decimal { precision, scale } => {
                let digits = 1 + source.below(u64::from(*precision));
                let number: String = (0..digits)
                    .map(|_| char::from(b'0' + source.below(10) as u8))
                    .collect();
                let mut unscaled: BigInt = number.parse().unwrap();
                if source.below(2) == 0 {
                    unscaled = -unscaled;
                }
                Value::from(decimal_text(&unscaled, *scale))
            }
            Shape::Uuid => {
                Value::from(uuid::Uuid::from_u64_pair(source.next(), source.next()).to_string())
            }
            Shape::Date => Value::from(date_text((source.long() % 2_000_000) as i32)),
            Shape::Time { nanos } => Value::from(time_text(
                source.below(86_400_000_000_000) as i64 / nanos * nanos,
            )),
            Shape::Timestamp { nanos } => Value::Timestamp(DateTime::from_timestamp_nanos(
                source.long() / nanos * nanos,
            )),
            Shape::Local { nanos } => Value::from(local_text(DateTime::from_timestamp_nanos(
                source.long() / nanos * nanos,
            ))),
            Shape::Duration => duration(
                source.next() as u32,
                source.next() as u32,
                source.next() as u32,
            ),
        }
    }
}

// The texts of logical types, written a second time and by other means than the codec's.

fn decimal_text(unscaled: &BigInt, scale: u32) -> String {
    let divisor = BigInt::from(10u8).pow(scale);
    let whole = unscaled.magnitude() / divisor.magnitude();
    let rest = unscaled.magnitude() % divisor.magnitude();
    let sign = if *unscaled < BigInt::ZERO { "-" } else { "" };
    match scale {
        0 => format!("{sign}{whole}"),
        _ => format!(
            "{sign}{whole}.{:0>width$}",
            rest.to_string(),
            width = scale as usize
        ),
    }
}

fn date_text(days: i32) -> String {
    let date = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + TimeDelta::days(i64::from(days));
    date.format("%Y-%m-%d").to_string()
}

fn time_text(nanos: i64) -> String {
    (NaiveTime::MIN + TimeDelta::nanoseconds(nanos))
        .format("%H:%M:%S%.f")
        .to_string()
}

fn local_text(instant: DateTime<chrono::Utc>) -> String {
    instant
        .to_rfc3339_opts(SecondsFormat::AutoSi, true)
        .trim_end_matches('Z')
        .to_owned()
}

fn duration(months: u32, days: u32, millis: u32) -> Value {
    Value::Object(ObjectMap::from([
        ("months".into(), Value::Integer(months.into())),
        ("days".into(), Value::Integer(days.into())),
        ("milliseconds".into(), Value::Integer(millis.into())),
    ]))
}

/// What the oracle read, in our words. Decimals come without their scale, so the shape is walked along.
fn ours(value: Theirs, shape: &Shape) -> Value {
    match (value, shape) {
        (Theirs::Union(index, inner), Shape::Union(branches)) => {
            ours(*inner, &branches[index as usize])
        }
        (Theirs::Null, _) => Value::Null,
        (Theirs::Boolean(flag), _) => Value::Boolean(flag),
        (Theirs::Int(number), _) => Value::Integer(number.into()),
        (Theirs::Long(number), _) => Value::Integer(number),
        (Theirs::Float(number), _) => Value::from_f64_or_zero(number.into()),
        (Theirs::Double(number), _) => Value::from_f64_or_zero(number),
        (Theirs::Bytes(bytes) | Theirs::Fixed(_, bytes), _) => Value::Bytes(bytes.into()),
        (Theirs::String(text) | Theirs::Enum(_, text), _) => Value::from(text),
        (Theirs::Array(items), Shape::Array(item)) => {
            Value::Array(items.into_iter().map(|value| ours(value, item)).collect())
        }
        (Theirs::Map(entries), Shape::Map(item)) => Value::Object(
            entries
                .into_iter()
                .map(|(key, value)| (key.into(), ours(value, item)))
                .collect(),
        ),
        (Theirs::Record(fields), Shape::Record(shapes)) => Value::Object(
            fields
                .into_iter()
                .zip(shapes)
                .map(|((name, value), (_, shape))| (name.into(), ours(value, shape)))
                .collect(),
        ),
        (Theirs::Decimal(decimal), Shape::Decimal { scale, .. }) => {
            let bytes = <Vec<u8>>::try_from(&decimal).unwrap();
            Value::from(decimal_text(&BigInt::from_signed_bytes_be(&bytes), *scale))
        }
        (Theirs::Uuid(uuid), _) => Value::from(uuid.to_string()),
        (Theirs::Date(days), _) => Value::from(date_text(days)),
        (Theirs::TimeMillis(number), _) => Value::from(time_text(i64::from(number) * 1_000_000)),
        (Theirs::TimeMicros(number), _) => Value::from(time_text(number * 1_000)),
        (Theirs::TimestampMillis(number), _) => {
            Value::Timestamp(DateTime::from_timestamp_millis(number).unwrap())
        }
        (Theirs::TimestampMicros(number), _) => {
            Value::Timestamp(DateTime::from_timestamp_micros(number).unwrap())
        }
        (Theirs::TimestampNanos(number), _) => {
            Value::Timestamp(DateTime::from_timestamp_nanos(number))
        }
        (Theirs::LocalTimestampMillis(number), _) => {
            Value::from(local_text(DateTime::from_timestamp_millis(number).unwrap()))
        }
        (Theirs::LocalTimestampMicros(number), _) => {
            Value::from(local_text(DateTime::from_timestamp_micros(number).unwrap()))
        }
        (Theirs::Duration(d), _) => duration(d.months().into(), d.days().into(), d.millis().into()),
        (value, _) => panic!("no mapping for {value:?}"),
    }
}

/// Every field's and some items' paths of a value.
fn paths_of(value: &Value, prefix: &Path, out: &mut Vec<Path>) {
    out.push(prefix.clone());
    let deeper: Vec<(String, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| (format!("{prefix}.{}", quoted(name)), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .take(2)
            .enumerate()
            .map(|(i, value)| (format!("{prefix}[{i}]"), value))
            .collect(),
        _ => vec![],
    };
    for (text, value) in deeper {
        paths_of(value, &Path::parse(&text).unwrap(), out);
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A typed cell as the value a tree would hold at its place.
fn as_value(cell: Cell<'_>) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(flag) => Value::Boolean(flag),
        Cell::Int(number) => Value::Integer(number),
        Cell::BigInt(text) | Cell::Text(text) => Value::from(text),
        Cell::Float(number) => Value::from_f64_or_zero(number),
        Cell::Bytes(bytes) => Value::Bytes(bytes.into_owned().into()),
        Cell::Uuid(uuid) => Value::from(uuid.to_string()),
        Cell::Decimal { unscaled, scale } => Value::from(decimal_text(&unscaled, scale)),
        Cell::Date(days) => Value::from(date_text(days)),
        Cell::Time(micros) => Value::from(time_text(micros * 1_000)),
        Cell::Timestamp(micros) => {
            Value::Timestamp(DateTime::from_timestamp_micros(micros).unwrap())
        }
        Cell::Tree(value) => value.into_owned(),
    }
}

fn cut_to_micros(value: &Value) -> Value {
    match value {
        Value::Timestamp(instant) => {
            Value::Timestamp(DateTime::from_timestamp_micros(instant.timestamp_micros()).unwrap())
        }
        other => other.clone(),
    }
}

struct Case {
    text: String,
    shape: Shape,
    value: Value,
}

fn case(seed: u64) -> Case {
    let mut generator = Generator {
        source: Source(seed),
        names: 0,
    };
    let (schema, shape) = generator.record(0);
    let value = generator.value(&shape);
    Case {
        text: schema.to_string(),
        shape,
        value,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn what_we_write_we_read(seed: u64) {
        let Case { text, value, .. } = case(seed);
        let schema = AvroSchema::parse(&text, &[]).unwrap();
        let mut datum = Vec::new();
        schema.encode(&value, &mut datum).unwrap();
        prop_assert_eq!(schema.decode(&datum).unwrap(), value, "{}", text);
    }

    #[test]
    fn the_oracle_reads_what_we_write_and_we_what_it_writes(seed: u64, block in prop::option::of(1..4usize)) {
        let Case { text, shape, value } = case(seed);
        let schema = AvroSchema::parse(&text, &[]).unwrap();
        let oracle = apache_avro::Schema::parse_str(&text).unwrap();
        let mut datum = Vec::new();
        schema.encode(&value, &mut datum).unwrap();
        let reader = GenericDatumReader::builder(&oracle).build().unwrap();
        let read = reader.read_value(&mut &datum[..]).unwrap();
        prop_assert_eq!(ours(read.clone(), &shape), value.clone(), "{}", text);
        let writer = GenericDatumWriter::builder(&oracle).maybe_target_block_size(block).build().unwrap();
        let mut theirs = Vec::new();
        writer.write_value(&mut theirs, read).unwrap();
        prop_assert_eq!(schema.decode(&theirs).unwrap(), value, "{}", text);
    }

    #[test]
    fn project_is_decode_and_get(seed: u64, start in any::<prop::sample::Index>()) {
        let Case { text, value, .. } = case(seed);
        let schema = AvroSchema::parse(&text, &[]).unwrap();
        let mut datum = Vec::new();
        schema.encode(&value, &mut datum).unwrap();
        let mut paths = Vec::new();
        for (name, inner) in value.as_object().unwrap() {
            paths_of(inner, &Path::parse(&quoted(name)).unwrap(), &mut paths);
        }
        paths.push(Path::parse("nowhere.x[0]").unwrap());
        // Any part of them: a path is then sometimes the prefix of another, sometimes alone.
        let start = start.index(paths.len());
        paths.drain(..start);
        let cells = schema.project(&datum, &Projection::new(&paths)).unwrap();
        for (cell, path) in cells.into_iter().zip(&paths) {
            let expected = path.get(&value).map(cut_to_micros);
            prop_assert_eq!(cell.map(as_value), expected, "{} in {}", path, text);
        }
    }

    #[test]
    fn a_cut_datum_is_truncated_at_every_byte(seed: u64) {
        let Case { text, value, .. } = case(seed);
        let schema = AvroSchema::parse(&text, &[]).unwrap();
        let mut datum = Vec::new();
        schema.encode(&value, &mut datum).unwrap();
        let projection = Projection::new(&[Path::parse("a1").unwrap(), Path::parse("z0.a0").unwrap()]);
        for end in 0..datum.len() {
            prop_assert_eq!(schema.decode(&datum[..end]).unwrap_err().code, Code::AvroTruncated, "{}", text);
            prop_assert_eq!(schema.project(&datum[..end], &projection).unwrap_err().code, Code::AvroTruncated, "{}", text);
        }
        datum.push(0);
        prop_assert_eq!(schema.decode(&datum).unwrap_err().code, Code::AvroTrailingBytes);
        prop_assert_eq!(schema.project(&datum, &projection).unwrap_err().code, Code::AvroTrailingBytes);
    }

    #[test]
    fn flipped_bits_and_noise_never_panic(seed: u64, at in any::<prop::sample::Index>(), bit in 0..8u8, noise: Vec<u8>) {
        let Case { text, value, .. } = case(seed);
        let schema = AvroSchema::parse(&text, &[]).unwrap();
        let projection = Projection::new(&[Path::parse("a1").unwrap(), Path::parse("z0.a0").unwrap()]);
        let mut datum = Vec::new();
        schema.encode(&value, &mut datum).unwrap();
        if !datum.is_empty() {
            let at = at.index(datum.len());
            datum[at] ^= 1 << bit;
        }
        for datum in [datum, noise] {
            let projected = schema.project(&datum, &projection);
            match schema.decode(&datum) {
                // What reads can be written, and reads the same again.
                Ok(read) => {
                    prop_assert!(projected.is_ok());
                    let mut again = Vec::new();
                    schema.encode(&read, &mut again).unwrap();
                    prop_assert_eq!(schema.decode(&again).unwrap(), read, "{}", text);
                }
                Err(error) => prop_assert!(!error.to_string().contains('\n')),
            }
        }
    }

    #[test]
    fn any_text_is_a_schema_or_refused(text in "[\\[\\]{}:,\" a-f0-9.]{0,60}") {
        if let Err(error) = AvroSchema::parse(&text, &[&text]) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn a_schema_with_a_flipped_bit_never_panics(seed: u64, at in any::<prop::sample::Index>(), bit in 0..7u8) {
        let Case { text, value, .. } = case(seed);
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(schema) = AvroSchema::parse(&text, &[])
        {
            let _ = schema.encode(&value, &mut Vec::new());
        }
    }
}
