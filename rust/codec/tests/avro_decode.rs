//! Avro: bytes to values and cells, and every way in which bytes can be wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use millstream_codec::avro::AvroSchema;
use millstream_codec::{Cell, Code, DecodeError, Path, Projection, Value, json};
use std::borrow::Cow;
use std::time::{Duration, Instant};

fn schema(text: &str) -> AvroSchema {
    AvroSchema::parse(text, &[]).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn record(fields: &str) -> AvroSchema {
    schema(&format!(
        r#"{{"type":"record","name":"R","fields":[{fields}]}}"#
    ))
}

fn project<'a>(
    schema: &AvroSchema,
    datum: &'a [u8],
    paths: &[&str],
) -> Result<Vec<Option<Cell<'a>>>, DecodeError> {
    let paths: Vec<Path> = paths
        .iter()
        .map(|path| Path::parse(path).unwrap())
        .collect();
    schema.project(datum, &Projection::new(&paths))
}

fn json_of(value: &Value) -> String {
    let mut out = Vec::new();
    json::encode(value, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The examples of the specification's "Binary encoding".
#[test]
fn golden_bytes_of_the_specification() {
    for (text, datum, expected) in [
        (r#""long""#, &[0x00][..], "0"),
        (r#""long""#, &[0x01], "-1"),
        (r#""long""#, &[0x02], "1"),
        (r#""long""#, &[0x03], "-2"),
        (r#""long""#, &[0x7f], "-64"),
        (r#""long""#, &[0x80, 0x01], "64"),
        (r#""string""#, b"\x06foo", "\"foo\""),
        (
            r#"{"type":"array","items":"long"}"#,
            &[0x04, 0x06, 0x36, 0x00],
            "[3,27]",
        ),
        (r#"["null","string"]"#, &[0x00], "null"),
        (r#"["null","string"]"#, b"\x02\x02a", "\"a\""),
        (
            r#"{"type":"record","name":"test","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}"#,
            b"\x36\x06foo",
            r#"{"a":27,"b":"foo"}"#,
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A","B","C","D"]}"#,
            &[0x06],
            "\"D\"",
        ),
        (
            r#"{"type":"map","values":"int"}"#,
            b"\x02\x02k\x04\x00",
            r#"{"k":2}"#,
        ),
    ] {
        let schema = schema(text);
        let value = schema.decode(datum).unwrap();
        assert_eq!(json_of(&value), expected, "{text}");
        let mut out = Vec::new();
        schema.encode(&value, &mut out).unwrap();
        assert_eq!(out, datum, "{text}");
    }
    let long = schema(r#""long""#);
    assert_eq!(
        long.decode(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        Ok(Value::Integer(i64::MIN))
    );
}

/// The table in the documentation of `cell`, row by row: bytes, value as JSON, cell.
#[test]
fn logical_types_become_what_the_table_says() {
    let text = |text: &'static str| Cell::Text(Cow::Borrowed(text));
    let decimal = |unscaled: i64, scale| Cell::Decimal {
        unscaled: unscaled.into(),
        scale,
    };
    let uuid = "7a0eed16-9430-4d68-901f-c0d4c1c3bf00";
    let parsed = uuid.parse().unwrap();
    let mut uuid_text = vec![72];
    uuid_text.extend_from_slice(uuid.to_uppercase().as_bytes());
    let long = |number: i64| {
        let mut out = Vec::new();
        schema(r#""long""#)
            .encode(&Value::Integer(number), &mut out)
            .unwrap();
        out
    };
    let rows: Vec<(&str, Vec<u8>, &str, Cell<'_>)> = vec![
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}"#,
            vec![4, 0x30, 0x39],
            "\"123.45\"",
            decimal(12345, 2),
        ),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}"#,
            vec![2, 0xff],
            "\"-0.01\"",
            decimal(-1, 2),
        ),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}"#,
            vec![0],
            "\"0.00\"",
            decimal(0, 2),
        ),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":6}"#,
            vec![8, 0xff, 0xff, 0xff, 0x85],
            "\"-123\"",
            decimal(-123, 0),
        ),
        (
            r#"{"type":"fixed","name":"F","size":4,"logicalType":"decimal","precision":6,"scale":3}"#,
            vec![0, 0, 0x30, 0x39],
            "\"12.345\"",
            decimal(12345, 3),
        ),
        (
            r#"{"type":"string","logicalType":"uuid"}"#,
            uuid_text,
            "\"7a0eed16-9430-4d68-901f-c0d4c1c3bf00\"",
            Cell::Uuid(parsed),
        ),
        (
            r#"{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}"#,
            parsed.as_bytes().to_vec(),
            "\"7a0eed16-9430-4d68-901f-c0d4c1c3bf00\"",
            Cell::Uuid(parsed),
        ),
        (
            r#"{"type":"int","logicalType":"date"}"#,
            long(19_723),
            "\"2024-01-01\"",
            Cell::Date(19_723),
        ),
        (
            r#"{"type":"int","logicalType":"date"}"#,
            long(-1),
            "\"1969-12-31\"",
            Cell::Date(-1),
        ),
        (
            r#"{"type":"int","logicalType":"time-millis"}"#,
            long(45_296_789),
            "\"12:34:56.789\"",
            Cell::Time(45_296_789_000),
        ),
        (
            r#"{"type":"long","logicalType":"time-micros"}"#,
            long(45_296_000_001),
            "\"12:34:56.000001\"",
            Cell::Time(45_296_000_001),
        ),
        (
            r#"{"type":"long","logicalType":"timestamp-millis"}"#,
            long(-1),
            "\"1969-12-31T23:59:59.999Z\"",
            Cell::Timestamp(-1000),
        ),
        (
            r#"{"type":"long","logicalType":"timestamp-micros"}"#,
            long(1_700_000_000_000_001),
            "\"2023-11-14T22:13:20.000001Z\"",
            Cell::Timestamp(1_700_000_000_000_001),
        ),
        (
            r#"{"type":"long","logicalType":"timestamp-nanos"}"#,
            long(-1),
            "\"1969-12-31T23:59:59.999999999Z\"",
            Cell::Timestamp(-1),
        ),
        (
            r#"{"type":"long","logicalType":"local-timestamp-millis"}"#,
            long(1500),
            "\"1970-01-01T00:00:01.500\"",
            text("1970-01-01T00:00:01.500"),
        ),
        (
            r#"{"type":"long","logicalType":"local-timestamp-micros"}"#,
            long(0),
            "\"1970-01-01T00:00:00\"",
            text("1970-01-01T00:00:00"),
        ),
        (
            r#"{"type":"long","logicalType":"local-timestamp-nanos"}"#,
            long(1),
            "\"1970-01-01T00:00:00.000000001\"",
            text("1970-01-01T00:00:00.000000001"),
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
            vec![2],
            "\"B\"",
            text("B"),
        ),
        (
            r#"{"type":"fixed","name":"F","size":2}"#,
            b"ab".to_vec(),
            "\"ab\"",
            Cell::Bytes(Cow::Borrowed(b"ab")),
        ),
        (
            r#"["null","double"]"#,
            vec![2, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f],
            "1.5",
            Cell::Float(1.5),
        ),
        // A logical type that is unknown, or does not fit its base, is its base.
        (
            r#"{"type":"long","logicalType":"fortnight"}"#,
            vec![6],
            "3",
            Cell::Int(3),
        ),
        (
            r#"{"type":"string","logicalType":"date"}"#,
            vec![2, b'x'],
            "\"x\"",
            text("x"),
        ),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":0}"#,
            vec![2, b'x'],
            "\"x\"",
            Cell::Bytes(Cow::Borrowed(b"x")),
        ),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":3}"#,
            vec![2, b'x'],
            "\"x\"",
            Cell::Bytes(Cow::Borrowed(b"x")),
        ),
        (
            r#"{"type":"fixed","name":"F","size":2,"logicalType":"uuid"}"#,
            b"ab".to_vec(),
            "\"ab\"",
            Cell::Bytes(Cow::Borrowed(b"ab")),
        ),
    ];
    for (text, datum, expected, cell) in rows {
        let schema = record(&format!(r#"{{"name":"f","type":{text}}}"#));
        let value = schema
            .decode(&datum)
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(json_of(&value), format!("{{\"f\":{expected}}}"), "{text}");
        assert_eq!(
            project(&schema, &datum, &["f"]).unwrap(),
            [Some(cell)],
            "{text}"
        );
        // Passed over, a value ends where it ends when read.
        assert_eq!(
            project(&schema, &datum, &["other"]),
            Ok(vec![None]),
            "{text}"
        );
        let mut out = Vec::new();
        schema
            .encode(&value, &mut out)
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(schema.decode(&out).unwrap(), value, "{text}");
    }
}

#[test]
fn durations_are_objects() {
    let schema = record(
        r#"{"name":"d","type":{"type":"fixed","name":"D","size":12,"logicalType":"duration"}}"#,
    );
    let datum = [1, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    let value = schema.decode(&datum).unwrap();
    assert_eq!(
        json_of(&value),
        r#"{"d":{"days":2,"milliseconds":4294967295,"months":1}}"#
    );
    let cells = project(&schema, &datum, &["d.days", "d", "d.hours"]).unwrap();
    assert_eq!(cells[0], Some(Cell::Int(2)));
    assert!(matches!(&cells[1], Some(Cell::Tree(_))));
    assert_eq!(cells[2], None);
    let mut out = Vec::new();
    schema.encode(&value, &mut out).unwrap();
    assert_eq!(out, datum);
}

#[test]
fn wrong_bytes_have_their_code_and_path() {
    let int = r#"{"name":"n","type":"int"}"#;
    let rows: Vec<(AvroSchema, Vec<u8>, Code, &str)> = vec![
        (
            record(int),
            vec![],
            Code::AvroTruncated,
            "n: 1 more bytes needed at byte 0",
        ),
        (
            record(int),
            vec![0x80],
            Code::AvroTruncated,
            "n: 2 more bytes",
        ),
        (
            record(int),
            vec![2, 0],
            Code::AvroTrailingBytes,
            "1 bytes after the record's end at byte 1",
        ),
        (
            record(int),
            vec![0x80, 0x80, 0x80, 0x80, 0x10],
            Code::AvroInvalid,
            "n: 2147483648 in an int",
        ),
        (
            record(int),
            vec![0xff; 11],
            Code::AvroInvalid,
            "more than 64 bits",
        ),
        (
            record(int),
            [vec![0xff; 9], vec![0x02]].concat(),
            Code::AvroInvalid,
            "more than 64 bits",
        ),
        (
            schema(r#""boolean""#),
            vec![2],
            Code::AvroInvalid,
            "boolean of byte 0x02",
        ),
        (
            schema(r#""string""#),
            vec![4, b'a'],
            Code::AvroTruncated,
            "2 more bytes",
        ),
        (
            schema(r#""string""#),
            vec![2, 0xff],
            Code::AvroInvalid,
            "not UTF-8",
        ),
        (
            schema(r#""string""#),
            vec![1],
            Code::AvroAllocLimit,
            "negative length -1",
        ),
        (
            schema(r#""bytes""#),
            vec![0xfe, 0xff, 0xff, 0xff, 0x0f],
            Code::AvroAllocLimit,
            "length 2147483647",
        ),
        (
            schema(r#""bytes""#),
            vec![0xff; 11],
            Code::AvroAllocLimit,
            "length of more than 64 bits",
        ),
        (
            schema(r#""float""#),
            vec![0, 0, 0],
            Code::AvroTruncated,
            "4 more bytes",
        ),
        (
            schema(r#""double""#),
            vec![0; 7],
            Code::AvroTruncated,
            "8 more bytes",
        ),
        (
            schema(r#""double""#),
            f64::NAN.to_le_bytes().to_vec(),
            Code::AvroInvalid,
            "NaN",
        ),
        (
            schema(r#"["null","int"]"#),
            vec![4],
            Code::AvroInvalid,
            "union branch 2 of 2",
        ),
        (
            schema(r#"["null","int"]"#),
            vec![1],
            Code::AvroInvalid,
            "union branch -1 of 2",
        ),
        (
            schema(r#"{"type":"enum","name":"E","symbols":["A"]}"#),
            vec![2],
            Code::AvroInvalid,
            "enum symbol 1 of 1",
        ),
        (
            schema(r#"{"type":"fixed","name":"F","size":3}"#),
            vec![1, 2],
            Code::AvroTruncated,
            "3 more bytes",
        ),
        (
            schema(r#"{"type":"array","items":"int"}"#),
            vec![4, 2],
            Code::AvroTruncated,
            "2 more bytes needed at byte 1, 1 left",
        ),
        (
            schema(r#"{"type":"array","items":"int"}"#),
            vec![0x80, 0x80, 0x80, 0x80, 0x10, 1],
            Code::AvroAllocLimit,
            "item count",
        ),
        // i64::MIN has no positive twin.
        (
            schema(r#"{"type":"array","items":"int"}"#),
            [vec![0xff; 9], vec![1]].concat(),
            Code::AvroAllocLimit,
            "item count -9223372036854775808",
        ),
        (
            schema(r#"{"type":"array","items":"int"}"#),
            vec![0xff; 11],
            Code::AvroAllocLimit,
            "more than 64 bits",
        ),
        (
            schema(r#"{"type":"array","items":"int"}"#),
            vec![1, 1, 0],
            Code::AvroAllocLimit,
            "negative length -1",
        ),
        (
            schema(r#"{"type":"array","items":"int"}"#),
            vec![1, 4, 6, 0],
            Code::AvroInvalid,
            "block that says it ends at byte 4",
        ),
        (
            schema(r#"{"type":"map","values":"int"}"#),
            b"\x02\x04k".to_vec(),
            Code::AvroTruncated,
            "bytes needed",
        ),
        (
            schema(r#"{"type":"map","values":"boolean"}"#),
            b"\x02\x02k\x07\x00".to_vec(),
            Code::AvroInvalid,
            "k: boolean",
        ),
        (
            schema(r#"{"type":"string","logicalType":"uuid"}"#),
            b"\x04no".to_vec(),
            Code::AvroInvalid,
            "uuid",
        ),
        (
            schema(r#"{"type":"int","logicalType":"date"}"#),
            vec![0xfe, 0xff, 0xff, 0xff, 0x0f],
            Code::AvroInvalid,
            "date of day 2147483647",
        ),
        (
            schema(r#"{"type":"int","logicalType":"time-millis"}"#),
            vec![0x80, 0xf0, 0xb2, 0x52],
            Code::AvroInvalid,
            "time of day",
        ),
        (
            schema(r#"{"type":"long","logicalType":"time-micros"}"#),
            vec![1],
            Code::AvroInvalid,
            "-1 micros in a time of day",
        ),
        (
            schema(r#"{"type":"long","logicalType":"timestamp-millis"}"#),
            [vec![0xfe], vec![0xff; 8], vec![1]].concat(),
            Code::AvroInvalid,
            "timestamp of 9223372036854775807 millis",
        ),
        (
            schema(r#"{"type":"bytes","logicalType":"decimal","precision":2}"#),
            vec![2, 100],
            Code::AvroInvalid,
            "more than 2 digits",
        ),
        (
            schema(r#"{"type":"bytes","logicalType":"decimal","precision":2}"#),
            vec![10, 1, 1, 1, 1, 1],
            Code::AvroInvalid,
            "more than 2 digits",
        ),
    ];
    for (schema, datum, code, detail) in rows {
        let error = schema.decode(&datum).unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.detail.contains(detail), "{detail} <> {error}");
    }
}

#[test]
fn a_fault_names_the_path_through_everything() {
    let schema = record(
        r#"{"name":"a","type":{"type":"array","items":{"type":"map","values":["null",{"type":"record","name":"I","fields":[{"name":"x y","type":"boolean"}]}]}}}"#,
    );
    let datum = [4, 0, 2, 2, b'k', 2, 9, 0, 0];
    let error = schema.decode(&datum).unwrap_err();
    assert!(
        error
            .detail
            .starts_with("a[1].k.\"x y\": boolean of byte 0x09"),
        "{error}"
    );
    let error = project(&schema, &datum, &["a[1].k.\"x y\""]).unwrap_err();
    assert!(
        error
            .detail
            .starts_with("a[1].k.\"x y\": boolean of byte 0x09"),
        "{error}"
    );
}

#[test]
fn huge_counts_cost_nothing() {
    let nulls = schema(r#"{"type":"array","items":"null"}"#);
    let empties = schema(r#"{"type":"array","items":{"type":"record","name":"E","fields":[]}}"#);
    let zero = schema(r#"{"type":"array","items":{"type":"fixed","name":"Z","size":0}}"#);
    // 200,000,000 items in six bytes.
    let datum = [0x80, 0x88, 0xde, 0xbe, 0x01, 0x00];
    let started = Instant::now();
    for schema in [&nulls, &empties, &zero] {
        assert_eq!(
            schema.decode(&datum).unwrap_err().code,
            Code::AvroAllocLimit
        );
        assert_eq!(
            project(schema, &datum, &["[0]"]).unwrap_err().code,
            Code::AvroAllocLimit
        );
    }
    assert!(
        started.elapsed() < Duration::from_millis(10),
        "{:?}",
        started.elapsed()
    );
    // Many small blocks add up to the same limit, as do nulls in a row of records.
    let block = [0x80, 0x80, 0x02];
    assert!(nulls.decode(&[&block[..], &[0]].concat()).is_ok());
    let blocks = [block.repeat(5), vec![0]].concat();
    assert_eq!(
        nulls.decode(&blocks).unwrap_err().code,
        Code::AvroAllocLimit
    );
    let fields: Vec<String> = (0..1000)
        .map(|n| format!(r#"{{"name":"n{n}","type":"null"}}"#))
        .collect();
    let wide = schema(&format!(
        r#"{{"type":"array","items":{{"type":"record","name":"W","fields":[{{"name":"b","type":"boolean"}},{}]}}}}"#,
        fields.join(",")
    ));
    let datum = [vec![0xc8, 0x01], vec![1; 100], vec![0]].concat();
    assert_eq!(wide.decode(&datum).unwrap_err().code, Code::AvroAllocLimit);
    // Nulls of a union take a byte each and are not counted.
    let nullable = schema(r#"{"type":"array","items":["null","int"]}"#);
    let datum = [vec![0x80, 0xb5, 0x18], vec![0; 200_000], vec![0]].concat();
    assert_eq!(
        nullable.decode(&datum).unwrap().as_array().unwrap().len(),
        200_000
    );
}

#[test]
fn types_that_double_at_every_level_are_bounded() {
    let mut references =
        vec![r#"{"type":"record","name":"T0","fields":[{"name":"n","type":"null"}]}"#.to_owned()];
    for level in 1..60 {
        let inner = level - 1;
        references.push(format!(
            r#"{{"type":"record","name":"T{level}","fields":[{{"name":"a","type":"T{inner}","default":{{}}}},{{"name":"b","type":"T{inner}","default":{{}}}}]}}"#
        ));
    }
    let references: Vec<&str> = references.iter().map(String::as_str).collect();
    let started = Instant::now();
    let schema = AvroSchema::parse(r#""T59""#, &references).unwrap();
    assert_eq!(schema.decode(&[]).unwrap_err().code, Code::AvroAllocLimit);
    assert_eq!(
        project(&schema, &[], &["a.b"]).unwrap_err().code,
        Code::AvroAllocLimit
    );
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn arrays_in_arrays_reserve_little() {
    let mut text = r#""int""#.to_owned();
    for _ in 0..40 {
        text = format!(r#"{{"type":"array","items":{text}}}"#);
    }
    // Every level announces as many items as there are bytes left.
    let mut datum = Vec::new();
    for _ in 0..40 {
        datum.extend_from_slice(&[0x80, 0x89, 0x7a]);
    }
    datum.resize(1_000_120, 0xff);
    let error = schema(&text).decode(&datum).unwrap_err();
    assert_eq!(error.code, Code::AvroInvalid, "{error}");
}

#[test]
fn projections_go_through_records_maps_arrays_and_unions() {
    let schema = record(
        r#"{"name":"id","type":{"type":"string","logicalType":"uuid"}},
           {"name":"tags","type":{"type":"map","values":{"type":"array","items":"string"}}},
           {"name":"address","type":["null",{"type":"record","name":"A","fields":[{"name":"city","type":"string"},{"name":"day","type":{"type":"int","logicalType":"date"}}]}]},
           {"name":"tail","type":"long"}"#,
    );
    let value = json::decode(
        br#"{"id":"7a0eed16-9430-4d68-901f-c0d4c1c3bf00","tags":{"x":["1","2"],"y":[]},"address":{"city":"Bonn","day":"2024-01-01"},"tail":5}"#,
    )
    .unwrap();
    let mut datum = Vec::new();
    schema.encode(&value, &mut datum).unwrap();
    assert_eq!(schema.decode(&datum).unwrap(), value);
    let cells = project(
        &schema,
        &datum,
        &[
            "tail",
            "tags.x[1]",
            "address.city",
            "address.day",
            "address",
            "id",
            "tags.z",
            "tags.y[0]",
            "id.x",
            "tail",
        ],
    )
    .unwrap();
    assert_eq!(cells[0], Some(Cell::Int(5)));
    assert_eq!(cells[1], Some(Cell::Text(Cow::Borrowed("2"))));
    assert!(matches!(&cells[2], Some(Cell::Text(Cow::Borrowed("Bonn")))));
    // Typed, although the whole address is asked for too.
    assert_eq!(cells[3], Some(Cell::Date(19_723)));
    assert!(matches!(&cells[4], Some(Cell::Tree(_))));
    assert!(matches!(&cells[5], Some(Cell::Uuid(_))));
    assert_eq!(cells[6..9], [None, None, None]);
    assert_eq!(cells[9], cells[0]);
    // A null address leads nowhere, itself it is null.
    let value = json::decode(
        br#"{"id":"7a0eed16-9430-4d68-901f-c0d4c1c3bf00","tags":{},"address":null,"tail":5}"#,
    )
    .unwrap();
    let mut datum = Vec::new();
    schema.encode(&value, &mut datum).unwrap();
    let cells = project(&schema, &datum, &["address", "address.city"]).unwrap();
    assert_eq!(cells, [Some(Cell::Null), None]);
}

#[test]
fn blocks_with_a_size_are_read() {
    // Two items in a block of two bytes, then one in a block without a size.
    let datum = [0x03, 0x04, 0x02, 0x04, 0x02, 0x06, 0x00];
    let array = schema(r#"{"type":"array","items":"int"}"#);
    assert_eq!(json_of(&array.decode(&datum).unwrap()), "[1,2,3]");
    assert_eq!(
        project(&array, &datum, &["[2]"]).unwrap(),
        [Some(Cell::Int(3))]
    );
    let twice = schema(r#"{"type":"map","values":"int"}"#);
    // Of two equal keys the last wins.
    let datum = b"\x04\x02k\x02\x02k\x04\x00";
    assert_eq!(json_of(&twice.decode(datum).unwrap()), r#"{"k":2}"#);
    assert_eq!(
        project(&twice, datum, &["k"]).unwrap(),
        [Some(Cell::Int(2))]
    );
}
