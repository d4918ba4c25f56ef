//! Avro: values to bytes, by union, default and conversion, and every error with its path.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use millstream_codec::avro::AvroSchema;
use millstream_codec::{ObjectMap, Value, json};

fn schema(text: &str) -> AvroSchema {
    AvroSchema::parse(text, &[]).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn value(text: &str) -> Value {
    json::decode(text.as_bytes()).unwrap()
}

fn encode(schema: &AvroSchema, value: &Value) -> Result<Vec<u8>, String> {
    let mut out = b"kept".to_vec();
    match schema.encode(value, &mut out) {
        Ok(()) => Ok(out.split_off(4)),
        Err(error) => {
            assert_eq!(out, b"kept", "an error must leave nothing behind");
            Err(error.to_string())
        }
    }
}

/// What a value reads as after it was written.
fn round(schema_text: &str, value_text: &str) -> String {
    let schema = schema(schema_text);
    let datum =
        encode(&schema, &value(value_text)).unwrap_or_else(|error| panic!("{value_text}: {error}"));
    let mut out = Vec::new();
    json::encode(&schema.decode(&datum).unwrap(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn defaults_fill_missing_fields() {
    let text = r#"{"type":"record","name":"R","fields":[
        {"name":"n","type":"null","default":null},
        {"name":"b","type":"boolean","default":true},
        {"name":"i","type":"int","default":-3},
        {"name":"f","type":"float","default":1},
        {"name":"d","type":"double","default":2.5},
        {"name":"y","type":"bytes","default":"\u00ff\u0001"},
        {"name":"x","type":{"type":"fixed","name":"X","size":2},"default":"ab"},
        {"name":"s","type":"string","default":"q"},
        {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]},"default":"B"},
        {"name":"a","type":{"type":"array","items":"int"},"default":[1,2]},
        {"name":"m","type":{"type":"map","values":"int"},"default":{"k":1}},
        {"name":"r","type":{"type":"record","name":"I","fields":[{"name":"p","type":"int","default":9},{"name":"q","type":"string"}]},"default":{"q":"z"}},
        {"name":"u","type":["null","string"],"default":null},
        {"name":"v","type":["string","null"],"default":"w"},
        {"name":"w","type":["null","int"],"default":7},
        {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"},"default":0},
        {"name":"c","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2},"default":"\u0001\u0000"}
    ]}"#;
    let schema = schema(text);
    let datum = encode(&schema, &Value::Object(ObjectMap::new())).unwrap();
    let Value::Object(map) = schema.decode(&datum).unwrap() else {
        panic!("a record is an object");
    };
    assert_eq!(map["y"], Value::Bytes(vec![0xff, 1].into()));
    let rest: ObjectMap = map
        .into_iter()
        .filter(|(name, _)| name.as_str() != "y")
        .collect();
    let mut out = Vec::new();
    json::encode(&Value::Object(rest), &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"a":[1,2],"b":true,"c":"2.56","d":2.5,"e":"B","f":1.0,"i":-3,"m":{"k":1},"n":null,"r":{"p":9,"q":"z"},"s":"q","t":"1970-01-01T00:00:00Z","u":null,"v":"w","w":7,"x":"ab"}"#
    );
}

#[test]
fn a_field_without_a_default_must_be_there() {
    let text = r#"{"type":"record","name":"R","fields":[{"name":"o","type":{"type":"record","name":"I","fields":[
        {"name":"s","type":["null","string"]},{"name":"t","type":"int","default":"x"}]}}]}"#;
    let schema = schema(text);
    for (given, error) in [
        ("{}", "o: is missing and the schema gives no default"),
        (
            r#"{"o":{"t":1}}"#,
            "o.s: is missing and the schema gives no default",
        ),
        (
            r#"{"o":{"s":null}}"#,
            "o.t: is missing and the schema's default is not of its type",
        ),
        (
            r#"{"o":{"s":null,"t":1,"u":1}}"#,
            "o.u: is no field of record I",
        ),
        (
            r#"{"o":{"a":null,"s":null,"t":1}}"#,
            "o.a: is no field of record I",
        ),
        (
            r#"{"o":{"s":null,"t":1},"p q":2}"#,
            "\"p q\": is no field of record R",
        ),
    ] {
        assert_eq!(
            encode(&schema, &value(given)).unwrap_err(),
            error,
            "{given}"
        );
    }
    assert!(encode(&schema, &value(r#"{"o":{"s":null,"t":1}}"#)).is_ok());
}

#[test]
fn records_of_any_width_find_their_fields() {
    for width in [1, 31, 32, 33, 100] {
        let fields: Vec<String> = (0..width)
            .rev()
            .map(|n| format!(r#"{{"name":"f{n}","type":"int"}}"#))
            .collect();
        let schema = schema(&format!(
            r#"{{"type":"record","name":"R","fields":[{}]}}"#,
            fields.join(",")
        ));
        let map: ObjectMap = (0..width)
            .map(|n| (format!("f{n}").into(), Value::Integer(n)))
            .collect();
        let datum = encode(&schema, &Value::Object(map.clone())).unwrap();
        assert_eq!(
            schema.decode(&datum).unwrap(),
            Value::Object(map),
            "{width}"
        );
    }
}

#[test]
fn unions_take_the_branch_of_the_values_type() {
    let point = r#"{"type":"record","name":"P","fields":[{"name":"x","type":"int"},{"name":"y","type":"int","default":0}]}"#;
    let size = r#"{"type":"record","name":"S","fields":[{"name":"w","type":"int"}]}"#;
    let stamp = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#;
    for (union, given, branch) in [
        (r#"["null","string"]"#.to_owned(), "null", 0),
        (r#"["string","null"]"#.to_owned(), "null", 1),
        (r#"["string","null"]"#.to_owned(), "\"a\"", 0),
        (r#"["int","long"]"#.to_owned(), "1", 0),
        (r#"["int","long"]"#.to_owned(), "5000000000", 1),
        (r#"["float","double"]"#.to_owned(), "0.5", 0),
        (r#"["float","double"]"#.to_owned(), "0.1", 1),
        (r#"["string","long","double"]"#.to_owned(), "1", 1),
        (r#"["string","long","double"]"#.to_owned(), "1.5", 2),
        (r#"["string","double"]"#.to_owned(), "1", 1),
        (r#"["null","boolean","string"]"#.to_owned(), "true", 1),
        (format!(r#"["null",{point},{size}]"#), r#"{"x":1}"#, 1),
        (format!(r#"["null",{point},{size}]"#), r#"{"w":1}"#, 2),
        (
            format!(r#"[{size},{{"type":"map","values":"int"}}]"#),
            r#"{"z":1}"#,
            1,
        ),
        (
            format!(r#"["null",{stamp},"string"]"#),
            "\"2024-01-01T00:00:00Z\"",
            2,
        ),
        (
            format!(r#"["null","boolean",{stamp}]"#),
            "\"2024-01-01T00:00:00Z\"",
            2,
        ),
        (format!(r#"["null","boolean",{decimal}]"#), "1.25", 2),
        (format!(r#"["null","boolean",{decimal}]"#), "\"1.25\"", 2),
        (
            r#"["null",{"type":"enum","name":"E","symbols":["A"]},"string"]"#.to_owned(),
            "\"A\"",
            1,
        ),
        (
            r#"["null",{"type":"enum","name":"E","symbols":["A"]},"string"]"#.to_owned(),
            "\"B\"",
            2,
        ),
        (
            r#"["null","boolean",{"type":"array","items":"int"}]"#.to_owned(),
            "[1]",
            2,
        ),
    ] {
        let datum = encode(&schema(&union), &value(given))
            .unwrap_or_else(|error| panic!("{union} {given}: {error}"));
        assert_eq!(i32::from(datum[0]), branch * 2, "{union} {given}");
    }
    let instant = Value::Timestamp(chrono::DateTime::from_timestamp(0, 0).unwrap());
    let datum = encode(&schema(&format!(r#"["null","string",{stamp}]"#)), &instant).unwrap();
    assert_eq!(datum, [4, 0]);
}

#[test]
fn values_become_what_the_schema_asks_where_it_is_exact() {
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}"#;
    let fixed =
        r#"{"type":"fixed","name":"D","size":3,"logicalType":"decimal","precision":6,"scale":2}"#;
    let of =
        |base: &str, logical: &str| format!(r#"{{"type":"{base}","logicalType":"{logical}"}}"#);
    for (text, given, read) in [
        (decimal.to_owned(), "\"12.3\"", "\"12.30\""),
        (decimal.to_owned(), "\"-0.05\"", "\"-0.05\""),
        (decimal.to_owned(), "\"+1.2300e1\"", "\"12.30\""),
        (decimal.to_owned(), "\".5\"", "\"0.50\""),
        (decimal.to_owned(), "\"5.\"", "\"5.00\""),
        (decimal.to_owned(), "\"1e3\"", "\"1000.00\""),
        (decimal.to_owned(), "\"1200e-4\"", "\"0.12\""),
        (decimal.to_owned(), "\"0e999999999\"", "\"0.00\""),
        (decimal.to_owned(), "7", "\"7.00\""),
        (decimal.to_owned(), "19.99", "\"19.99\""),
        (fixed.to_owned(), "\"-9999.99\"", "\"-9999.99\""),
        (r#""double""#.to_owned(), "3", "3.0"),
        (r#""float""#.to_owned(), "0.1", "0.10000000149011612"),
        (of("int", "date"), "\"2024-02-29\"", "\"2024-02-29\""),
        (of("int", "date"), "0", "\"1970-01-01\""),
        (of("int", "date"), "\"-0001-01-01\"", "\"-0001-01-01\""),
        (
            of("int", "time-millis"),
            "\"23:59:59.999\"",
            "\"23:59:59.999\"",
        ),
        (of("long", "time-micros"), "1", "\"00:00:00.000001\""),
        (
            of("long", "timestamp-millis"),
            "\"2024-01-01T01:00:00.5+01:00\"",
            "\"2024-01-01T00:00:00.500Z\"",
        ),
        (
            of("long", "timestamp-micros"),
            "1",
            "\"1970-01-01T00:00:00.000001Z\"",
        ),
        (
            of("long", "timestamp-nanos"),
            "\"1970-01-01T00:00:00.000000001Z\"",
            "\"1970-01-01T00:00:00.000000001Z\"",
        ),
        (
            of("long", "local-timestamp-millis"),
            "\"2024-01-01T01:00:00.5\"",
            "\"2024-01-01T01:00:00.500\"",
        ),
        (
            of("string", "uuid"),
            "\"7A0EED16-9430-4D68-901F-C0D4C1C3BF00\"",
            "\"7a0eed16-9430-4d68-901f-c0d4c1c3bf00\"",
        ),
        (r#""bytes""#.to_owned(), "\"ü\"", "\"ü\""),
    ] {
        assert_eq!(round(&text, given), read, "{text} {given}");
    }
    let string = schema(r#""string""#);
    assert_eq!(
        encode(&string, &Value::Bytes("ü".into())).unwrap(),
        encode(&string, &Value::from("ü")).unwrap()
    );
}

#[test]
fn what_does_not_fit_is_refused_with_its_reason() {
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#;
    let small =
        r#"{"type":"fixed","name":"D","size":1,"logicalType":"decimal","precision":4,"scale":2}"#;
    let of =
        |base: &str, logical: &str| format!(r#"{{"type":"{base}","logicalType":"{logical}"}}"#);
    for (text, given, detail) in [
        (
            r#""int""#.to_owned(),
            "2147483648",
            "2147483648 is beyond an int's 32 bits",
        ),
        (
            r#""int""#.to_owned(),
            "\"1\"",
            "expected int, found a string",
        ),
        (r#""int""#.to_owned(), "1.0", "expected int, found a float"),
        (
            r#""long""#.to_owned(),
            "9223372036854775808",
            "expected long, found a string",
        ),
        (r#""long""#.to_owned(), "null", "expected long, found null"),
        (
            r#""null""#.to_owned(),
            "1",
            "expected null, found an integer",
        ),
        (
            r#""boolean""#.to_owned(),
            "1",
            "expected boolean, found an integer",
        ),
        (
            r#""string""#.to_owned(),
            "1",
            "expected string, found an integer",
        ),
        (
            r#""double""#.to_owned(),
            "9007199254740993",
            "not exact in a double",
        ),
        (
            r#""double""#.to_owned(),
            "9223372036854775807",
            "not exact in a double",
        ),
        (r#""float""#.to_owned(), "16777217", "not exact in a float"),
        (r#""float""#.to_owned(), "1e300", "beyond a float's 32 bits"),
        (
            r#"{"type":"fixed","name":"F","size":2}"#.to_owned(),
            "\"abc\"",
            "expected fixed of 2 bytes",
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A"]}"#.to_owned(),
            "\"B\"",
            "\"B\" is no symbol of enum E",
        ),
        (
            r#"{"type":"array","items":"int"}"#.to_owned(),
            "[1,\"x\"]",
            "[1]: expected int",
        ),
        (
            r#"{"type":"array","items":{"type":"map","values":"int"}}"#.to_owned(),
            r#"[{"a b":null}]"#,
            "[0].\"a b\": expected int",
        ),
        (
            r#"{"type":"map","values":"int"}"#.to_owned(),
            "[]",
            "expected map, found an array",
        ),
        (
            r#"["null","string"]"#.to_owned(),
            "1",
            "expected string, found an integer",
        ),
        (
            r#"["int","string"]"#.to_owned(),
            "null",
            "expected one of [int, string], found null",
        ),
        (
            r#"["null","int","boolean"]"#.to_owned(),
            "\"x\"",
            "expected one of [null, int, boolean], found a string",
        ),
        (
            decimal.to_owned(),
            "\"1.234\"",
            "more than 2 digits after the point",
        ),
        (decimal.to_owned(), "\"123.45\"", "more than the 4 digits"),
        (
            decimal.to_owned(),
            "\"1e99999999999\"",
            "expected a decimal number",
        ),
        (
            decimal.to_owned(),
            "\"1e999999999\"",
            "more than the 4 digits",
        ),
        (
            decimal.to_owned(),
            "\"1e-999999999\"",
            "more than 2 digits after the point",
        ),
        (decimal.to_owned(), "\"\"", "expected a decimal number"),
        (decimal.to_owned(), "\"-\"", "expected a decimal number"),
        (decimal.to_owned(), "\"1.2.3\"", "expected a decimal number"),
        (decimal.to_owned(), "\"NaN\"", "expected a decimal number"),
        (decimal.to_owned(), "\"１\"", "expected a decimal number"),
        (decimal.to_owned(), "1e300", "more than the 4 digits"),
        (
            decimal.to_owned(),
            "true",
            "expected decimal(4, 2), found a boolean",
        ),
        (small.to_owned(), "\"12.34\"", "does not fit into 1 bytes"),
        (of("string", "uuid"), "\"x\"", "\"x\" is no uuid"),
        (of("int", "date"), "\"2023-02-29\"", "expected YYYY-MM-DD"),
        (of("int", "date"), "\"2023-2-9\"", "expected YYYY-MM-DD"),
        (of("int", "date"), "2147483647", "out of range for date"),
        (
            of("int", "time-millis"),
            "\"24:00:00\"",
            "expected HH:MM:SS",
        ),
        (of("int", "time-millis"), "\"23:59:60\"", "leap second"),
        (
            of("int", "time-millis"),
            "\"00:00:00.0001\"",
            "finer digits",
        ),
        (
            of("int", "time-millis"),
            "86400000",
            "out of range for time-millis",
        ),
        (
            of("long", "timestamp-millis"),
            "\"2024-01-01T00:00:00\"",
            "RFC 3339",
        ),
        (
            of("long", "timestamp-millis"),
            "\"2024-01-01T00:00:00.0001Z\"",
            "finer digits",
        ),
        (
            of("long", "timestamp-nanos"),
            "\"2600-01-01T00:00:00Z\"",
            "1677 to 2262",
        ),
        (
            of("long", "timestamp-millis"),
            "9223372036854775807",
            "out of range for timestamp-millis",
        ),
        (
            of("long", "local-timestamp-micros"),
            "\"2024-01-01T00:00:00Z\"",
            "without a zone",
        ),
    ] {
        let error = encode(&schema(&text), &value(given)).unwrap_err();
        assert!(error.contains(detail), "{text} {given}: {error}");
        assert!(!error.contains('\n'));
    }
    let error = encode(&schema(r#""string""#), &Value::Bytes(vec![0xff].into())).unwrap_err();
    assert!(error.contains("not UTF-8"), "{error}");
    let long = format!("\"{}\"", "x".repeat(1_000_000));
    let error = encode(
        &schema(r#"{"type":"enum","name":"E","symbols":["A"]}"#),
        &value(&long),
    )
    .unwrap_err();
    assert!(error.len() < 200, "a value must not fill the message");
}

/// Confluent's `AvroSerializer`, for this schema under id 1, wrote these bytes.
#[test]
fn golden_bytes_of_a_framed_record() {
    let schema = schema(
        r#"{"type":"record","name":"User","namespace":"spark_streams","fields":[
            {"name":"id","type":"string"},{"name":"age","type":["null","int"],"default":null},{"name":"tags","type":{"type":"array","items":"string"}}]}"#,
    );
    let mut out = Vec::new();
    millstream_codec::frame::write_header(1, &mut out);
    schema
        .encode(&value(r#"{"id":"u1","age":42,"tags":["a"]}"#), &mut out)
        .unwrap();
    assert_eq!(out, b"\x00\x00\x00\x00\x01\x04u1\x02\x54\x02\x02a\x00");
    let (id, datum) = millstream_codec::frame::split(&out).unwrap();
    assert_eq!(id, 1);
    assert_eq!(
        schema.decode(datum).unwrap(),
        value(r#"{"id":"u1","age":42,"tags":["a"]}"#)
    );
}
