//! Avro: schemas as registries give them, and those that cannot be used.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use millstream_codec::avro::AvroSchema;
use millstream_codec::{Code, Value};

fn refused(text: &str, references: &[&str]) -> (Code, String) {
    let error =
        AvroSchema::parse(text, references).expect_err(&text.chars().take(200).collect::<String>());
    assert!(!error.to_string().contains('\n'));
    assert!(error.detail.len() < 500, "{error}");
    (error.code, error.detail)
}

#[test]
fn names_follow_their_namespaces() {
    let schema = AvroSchema::parse(
        r#"{"type":"record","name":"User","namespace":"a.b","fields":[
            {"name":"same","type":{"type":"fixed","name":"F","size":1}},
            {"name":"other","type":{"type":"fixed","name":"F","namespace":"c","size":2}},
            {"name":"full","type":{"type":"fixed","name":"d.F","size":3}},
            {"name":"none","type":{"type":"fixed","name":"G","namespace":"","size":4}},
            {"name":"r1","type":"F"},{"name":"r2","type":"c.F"},{"name":"r3","type":"d.F"},{"name":"r4","type":"G"},
            {"name":"nested","type":{"type":"record","name":"c.N","fields":[{"name":"f","type":"F"}]}}
        ]}"#,
        &[],
    )
    .unwrap();
    assert_eq!(schema.name(), Some("a.b.User"));
    // 1+2+3+4, again by name, and c.F within c.N.
    assert!(schema.decode(&[7; 22]).is_ok());
    assert_eq!(
        schema.decode(&[7; 21]).unwrap_err().code,
        Code::AvroTruncated
    );
    assert_eq!(AvroSchema::parse(r#""string""#, &[]).unwrap().name(), None);
    assert_eq!(
        AvroSchema::parse(r#"["null","int"]"#, &[]).unwrap().name(),
        None
    );
    assert_eq!(
        AvroSchema::parse(r#"{"type":"enum","name":"E","symbols":["A"]}"#, &[])
            .unwrap()
            .name(),
        Some("E")
    );
}

#[test]
fn references_are_found_in_any_order_and_within_others() {
    let country = r#"{"type":"enum","name":"geo.Country","symbols":["DE","FR"]}"#;
    let address = r#"{"type":"record","name":"Address","namespace":"geo","fields":[
        {"name":"country","type":"Country"},{"name":"zip","type":{"type":"fixed","name":"Zip","size":1}}]}"#;
    let user = r#"{"type":"record","name":"User","fields":[
        {"name":"zip","type":"geo.Zip"},{"name":"home","type":"geo.Address"},{"name":"work","type":["null","geo.Address"]}]}"#;
    for references in [[country, address, country], [address, country, address]] {
        let schema = AvroSchema::parse(user, &references).unwrap();
        let value = schema.decode(&[b'9', 2, b'1', 2, 0, b'2']).unwrap();
        let mut out = Vec::new();
        millstream_codec::json::encode(&value, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"home":{"country":"FR","zip":"1"},"work":{"country":"DE","zip":"2"},"zip":"9"}"#
        );
    }
    let (code, detail) = refused(user, &[address]);
    assert_eq!(code, Code::SchemaUnsupported);
    assert!(detail.contains("geo.Country is not known"), "{detail}");
    // A reference nobody names is not even parsed.
    assert!(AvroSchema::parse(r#""int""#, &[r#"{"type":"nonsense"}"#]).is_ok());
    assert_eq!(
        refused(r#""int""#, &["nonsense"]).0,
        Code::SchemaUnsupported
    );
}

#[test]
fn recursion_is_refused_however_it_comes_about() {
    let a = r#"{"type":"record","name":"A","fields":[{"name":"b","type":"B"}]}"#;
    let b = r#"{"type":"record","name":"B","fields":[{"name":"a","type":["null","A"]}]}"#;
    for (text, references) in [
        (
            r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#,
            vec![],
        ),
        (
            r#"{"type":"record","name":"n.L","fields":[{"name":"next","type":{"type":"array","items":"n.L"}}]}"#,
            vec![],
        ),
        (
            r#"{"type":"record","name":"L","fields":[{"name":"next","type":{"type":"map","values":{"type":"L"}}}]}"#,
            vec![],
        ),
        (a, vec![b]),
        (r#"["null","A"]"#, vec![a, b]),
    ] {
        let (code, detail) = refused(text, &references);
        assert_eq!(code, Code::SchemaRecursive, "{text}: {detail}");
        assert!(detail.contains("contains itself"), "{detail}");
    }
    // Using a type twice side by side is none.
    let twice = r#"{"type":"record","name":"R","fields":[
        {"name":"a","type":{"type":"record","name":"P","fields":[]}},{"name":"b","type":"P"},{"name":"c","type":["null","P"]}]}"#;
    assert!(AvroSchema::parse(twice, &[]).is_ok());
}

#[test]
fn what_cannot_be_used_is_said() {
    for (text, detail) in [
        ("", "0 bytes"),
        ("{", "EOF"),
        ("not json", "expected a value"),
        ("12", "a type cannot be an integer"),
        ("null", "a type cannot be null"),
        ("\"nope\"", "type nope is not known"),
        ("[]", "a union needs a branch"),
        (r#"["null",["int"]]"#, "union directly within a union"),
        ("{}", "without the attribute \"type\""),
        (r#"{"type":"array"}"#, "array without \"items\""),
        (r#"{"type":"map"}"#, "map without \"values\""),
        (
            r#"{"type":"record","name":"R"}"#,
            "a record without \"fields\"",
        ),
        (
            r#"{"type":"record","name":"R","fields":{}}"#,
            "expected an array",
        ),
        (
            r#"{"type":"record","name":"R","fields":["int"]}"#,
            "a field is a string",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"type":"int"}]}"#,
            "a field without a name",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a"}]}"#,
            "a: a field without \"type\"",
        ),
        (
            r#"{"type":"record","fields":[]}"#,
            "a named type without a name",
        ),
        (
            r#"{"type":"record","name":"","fields":[]}"#,
            "a named type without a name",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#,
            "has field \"a\" twice",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"fixed","name":"R","size":1}}]}"#,
            "a: type R is defined twice",
        ),
        (
            r#"{"type":"enum","name":"E"}"#,
            "an enum without \"symbols\"",
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A","A"]}"#,
            "symbol \"A\" twice",
        ),
        (
            r#"{"type":"enum","name":"E","symbols":[1]}"#,
            "a symbol of enum E is an integer",
        ),
        (r#"{"type":"fixed","name":"F"}"#, "a fixed without \"size\""),
        (
            r#"{"type":"fixed","name":"F","size":-1}"#,
            "\"size\" of fixed F",
        ),
        (
            r#"{"type":"fixed","name":"F","size":1.5}"#,
            "\"size\" of fixed F",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"o","type":{"type":"record","name":"I","fields":[{"name":"i","type":"strin"}]}}]}"#,
            "o.i: type strin is not known",
        ),
    ] {
        let (code, found) = refused(text, &[]);
        assert_eq!(code, Code::SchemaUnsupported, "{text}");
        assert!(found.contains(detail), "{text}: {found}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |levels: usize| {
        format!(
            "{}\"int\"{}",
            r#"{"type":"array","items":"#.repeat(levels),
            "}".repeat(levels)
        )
    };
    assert!(AvroSchema::parse(&nested(100), &[]).is_ok());
    for levels in [200, 1000, 100_000] {
        assert_eq!(refused(&nested(levels), &[]).0, Code::SchemaUnsupported);
    }
    // Deeper than any one text by references.
    let chain: Vec<String> = (0..5000)
        .map(|n| {
            format!(
                r#"{{"type":"record","name":"C{n}","fields":[{{"name":"f","type":"C{}"}}]}}"#,
                n + 1
            )
        })
        .collect();
    let references: Vec<&str> = chain.iter().map(String::as_str).collect();
    let (code, detail) = refused("\"C0\"", &references);
    assert_eq!(code, Code::SchemaUnsupported);
    assert!(detail.contains("127 levels"), "{detail}");
    // A schema of a mebibyte is a schema.
    let fields: Vec<String> = (0..20_000)
        .map(|n| format!(r#"{{"name":"field_{n:05}","type":["null","string"],"default":null}}"#))
        .collect();
    let big = format!(
        r#"{{"type":"record","name":"R","fields":[{}]}}"#,
        fields.join(",")
    );
    assert!(big.len() > 1024 * 1024);
    let schema = AvroSchema::parse(&big, &[]).unwrap();
    let mut out = Vec::new();
    schema
        .encode(&Value::Object(millstream_codec::ObjectMap::new()), &mut out)
        .unwrap();
    assert_eq!(out, vec![0; 20_000]);
    let (_, detail) = refused(&format!("\"{}\"", "x".repeat(9 * 1024 * 1024)), &[]);
    assert!(detail.contains("at most 8388608"), "{detail}");
}

#[test]
fn wild_schemas_are_taken() {
    for text in [
        // Wrapped types, unknown attributes, names no parser but ours would take, a default of the wrong type.
        r#"{"type":{"type":"string","avro.java.string":"String"}}"#,
        r#"{"type":{"type":["null",{"type":"int"}]}}"#,
        r#"{"type":"record","name":"R","doc":"x","aliases":["Q"],"connect.name":"y","fields":[{"name":"first-name","type":"string","order":"ignore"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","string"],"default":"null"}]}"#,
        r#"{"type":"error","name":"Oops","fields":[]}"#,
        r#"{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}"#,
        r#""string""#,
        r#"{"type":"string"}"#,
    ] {
        assert!(AvroSchema::parse(text, &[]).is_ok(), "{text}");
    }
}
