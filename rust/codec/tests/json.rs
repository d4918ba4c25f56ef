//! JSON: what is read, what is refused with which place, and that both ways of reading agree.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use millstream_codec::{Cell, Code, Path, Projection, Value, json};
use proptest::prelude::*;
use std::borrow::Cow;

fn paths(texts: &[&str]) -> Vec<Path> {
    texts
        .iter()
        .map(|text| Path::parse(text).unwrap())
        .collect()
}

fn project<'a>(document: &'a str, texts: &[&str]) -> Vec<Option<Cell<'a>>> {
    json::project(document.as_bytes(), &Projection::new(&paths(texts))).unwrap()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands beside cells that are none"
)]
fn text(text: &str) -> Option<Cell<'_>> {
    Some(Cell::Text(Cow::Borrowed(text)))
}

#[test]
fn integers_are_exact_whatever_their_size() {
    let document = r#"{"a":9223372036854775807,"b":-9223372036854775808,"c":9223372036854775808,"d":-123456789012345678901234567890,"e":-0}"#;
    let value = json::decode(document.as_bytes()).unwrap();
    let map = value.as_object().unwrap();
    assert_eq!(map["a"], Value::Integer(i64::MAX));
    assert_eq!(map["b"], Value::Integer(i64::MIN));
    assert_eq!(map["c"], Value::from("9223372036854775808"));
    assert_eq!(map["d"], Value::from("-123456789012345678901234567890"));
    assert_eq!(map["e"], Value::Integer(0));
    assert_eq!(
        project(document, &["c", "a"]),
        [
            Some(Cell::BigInt(Cow::Borrowed("9223372036854775808"))),
            Some(Cell::Int(i64::MAX)),
        ]
    );
}

#[test]
fn strings_are_borrowed_unless_they_have_escapes() {
    let document = r#"{"plain":"größe","escaped":"a\nb","slash":"\\","pair":"\ud83d\ude00"}"#;
    let cells = project(document, &["plain", "escaped", "slash", "pair"]);
    assert!(matches!(
        &cells[0],
        Some(Cell::Text(Cow::Borrowed("größe")))
    ));
    assert_eq!(cells[1], text("a\nb"));
    assert_eq!(cells[2], text("\\"));
    assert_eq!(cells[3], text("😀"));
}

#[test]
fn the_last_of_two_equal_fields_wins() {
    let document = r#"{"a":{"b":1,"c":2},"x":1,"a":{"c":3},"x":2}"#;
    let cells = project(document, &["a.b", "a.c", "x"]);
    assert_eq!(cells, [None, Some(Cell::Int(3)), Some(Cell::Int(2))]);
    let cells = project(r#"{"a":{"b":1},"a":5}"#, &["a", "a.b"]);
    assert_eq!(cells, [Some(Cell::Int(5)), None]);
    let value = json::decode(document.as_bytes()).unwrap();
    assert_eq!(Path::parse("a.b").unwrap().get(&value), None);
}

#[test]
fn a_path_may_repeat_and_may_prefix_another() {
    let document = r#"{"a":{"b":[1,{"c":"x\ty"}]},"n":null}"#;
    let cells = project(
        document,
        &["a.b[1].c", "a", "a.b[1].c", "n", "n.x", "a.b[0]", "a.b[7]"],
    );
    assert_eq!(cells[0], text("x\ty"));
    assert_eq!(cells[2], cells[0]);
    assert_eq!(cells[3], Some(Cell::Null));
    assert_eq!(cells[4], None);
    assert_eq!(cells[5], Some(Cell::Int(1)));
    assert_eq!(cells[6], None);
    let tree = json::decode(br#"{"b":[1,{"c":"x\ty"}]}"#).unwrap();
    assert_eq!(cells[1], Some(Cell::Tree(Cow::Owned(tree))));
}

#[test]
fn many_columns_go_through_the_map() {
    let names: Vec<String> = (0..100).map(|n| format!("field_{n}")).collect();
    let fields: Vec<String> = names
        .iter()
        .rev()
        .map(|name| format!("\"{name}\":\"{name}\""))
        .collect();
    let document = format!("{{{}}}", fields.join(","));
    let wanted: Vec<Path> = names
        .iter()
        .map(|name| Path::parse(name).unwrap())
        .collect();
    let cells = json::project(document.as_bytes(), &Projection::new(&wanted)).unwrap();
    for (cell, name) in cells.iter().zip(&names) {
        assert_eq!(*cell, text(name));
    }
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for (document, code, detail) in [
        (&b""[..], Code::EmptyValue, "0 bytes"),
        (b"  ", Code::BadJson, "EOF while parsing a value at 1:3"),
        (b"{\"a\":1} x", Code::BadJson, "trailing characters at 1:9"),
        (b"{} {}", Code::BadJson, "trailing characters at 1:4"),
        (b"\xef\xbb\xbf{}", Code::BadJson, "byte order mark at 1:1"),
        (b"{\"a\":NaN}", Code::BadJson, "expected a value at 1:6"),
        (
            b"{\"a\":Infinity}",
            Code::BadJson,
            "expected a value at 1:6",
        ),
        (b"{\"a\":-Infinity}", Code::BadJson, "at 1:7"),
        (b"{\"a\":\"\\ud800\"}", Code::BadJson, "hex escape at 1:13"),
        (b"{\"a\":\"\\udc00\"}", Code::BadJson, "surrogate"),
        (b"{\"a\":\n \"\xff\"}", Code::BadJson, "not UTF-8 at 2:3"),
        (
            b"{\"skipped\":\"\xc3\"}",
            Code::BadJson,
            "not UTF-8 at 1:13",
        ),
        (
            b"{\"a\":1e999}",
            Code::BadJson,
            "number beyond a double at 1:6",
        ),
        (b"{\"a\":01}", Code::BadJson, "at 1:7"),
        (b"{\"a\":+1}", Code::BadJson, "expected a value"),
        (b"{\"a\":1.}", Code::BadJson, "at 1:8"),
        (b"{\"a\":.5}", Code::BadJson, "expected a value"),
        (b"{\"a\":0x10}", Code::BadJson, "at 1:7"),
        (b"{'a':1}", Code::BadJson, "key must be a string at 1:2"),
        (b"{\"a\":1,}", Code::BadJson, "trailing comma"),
        (b"[1,]", Code::BadJson, "trailing comma"),
        (b"{\"a\" 1}", Code::BadJson, "expected `:`"),
        (b"{\"a\":\"\x01\"}", Code::BadJson, "control character"),
        (b"{\"a\":tru}", Code::BadJson, "expected a value"),
        (b"{\"a\":\"\\x\"}", Code::BadJson, "invalid escape"),
        (b"{\"a\":1 // no\n}", Code::BadJson, "expected `,` or `}`"),
        (
            b"{\n \"gr\xc3\xb6\":x}",
            Code::BadJson,
            "expected a value at 2:8",
        ),
    ] {
        let shown = String::from_utf8_lossy(document);
        let error = json::decode(document).unwrap_err();
        assert_eq!(error.code, code, "{shown}: {error}");
        assert!(error.detail.contains(detail), "{shown}: {error}");
        assert!(!error.to_string().contains('\n'));
        // Passing over a value checks it as reading does.
        for path in ["a", "other"] {
            let projected = json::project(document, &Projection::new(&paths(&[path]))).unwrap_err();
            assert_eq!(projected, error, "{shown}");
        }
    }
}

#[test]
fn digits_are_bounded() {
    let long = "1".repeat(4301);
    assert_eq!(
        json::decode(long.as_bytes()).unwrap_err().code,
        Code::BadJson
    );
    let fits = "1".repeat(4300);
    assert_eq!(
        json::decode(fits.as_bytes()),
        Ok(Value::from(fits.as_str()))
    );
}

#[test]
fn depth_is_bounded_at_127_levels() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(json::decode(nested(127).as_bytes()).is_ok());
    for levels in [128, 1000, 1_000_000] {
        let error = json::decode(nested(levels).as_bytes()).unwrap_err();
        assert_eq!(error.code, Code::TooDeep, "{levels}");
        assert!(error.detail.contains("at 1:128"), "{error}");
    }
    // Within an object the array may be one level less deep, read or passed over.
    for (levels, fits) in [(126, true), (127, false)] {
        let document = format!("{{\"a\":{}}}", nested(levels));
        for path in ["a", "a[0]", "other"] {
            let result = json::project(document.as_bytes(), &Projection::new(&paths(&[path])));
            assert_eq!(result.is_ok(), fits, "{levels} {path}");
        }
        assert_eq!(json::decode(document.as_bytes()).is_ok(), fits);
    }
    let objects = format!("{}1{}", "{\"a\":".repeat(128), "}".repeat(128));
    assert_eq!(
        json::decode(objects.as_bytes()).unwrap_err().code,
        Code::TooDeep
    );
}

#[test]
fn a_record_is_an_object() {
    let projection = Projection::new(&paths(&["a"]));
    for (document, kind) in [
        ("null", "null"),
        ("[]", "an array"),
        ("[{\"a\":1}]", "an array"),
        ("\"x\"", "a string"),
        ("12", "a number"),
        ("true", "a boolean"),
    ] {
        let error = json::project(document.as_bytes(), &projection).unwrap_err();
        assert_eq!(error.code, Code::NotAnObject);
        assert!(error.detail.contains(kind), "{error}");
        assert!(json::decode(document.as_bytes()).is_ok());
    }
    assert_eq!(json::project(b"{}", &projection), Ok(vec![None]));
    assert_eq!(
        json::project(b"[1", &projection).unwrap_err().code,
        Code::BadJson
    );
    let none = Projection::new(&[]);
    assert_eq!(json::project(b"{\"a\":[1]}", &none), Ok(vec![]));
    assert_eq!(
        json::project(b"3", &none).unwrap_err().code,
        Code::NotAnObject
    );
}

#[test]
fn writes_compact_json() {
    let instant = chrono::DateTime::from_timestamp(1, 500_000_000).unwrap();
    let mut map = millstream_codec::ObjectMap::new();
    map.insert("t".into(), Value::Timestamp(instant));
    map.insert("b".into(), Value::Bytes("ok".into()));
    map.insert("f".into(), Value::from_f64_or_zero(1.0));
    map.insert("s".into(), Value::from("\"\\\n\u{1}\u{7f}ü/\u{2028}"));
    map.insert(
        "e".into(),
        Value::Object(millstream_codec::ObjectMap::new()),
    );
    map.insert(
        "a".into(),
        Value::Array(vec![Value::Null, Value::Boolean(true), Value::Integer(-5)]),
    );
    let mut out = b"x".to_vec();
    json::encode(&Value::Object(map), &mut out).unwrap();
    let expected = "x{\"a\":[null,true,-5],\"b\":\"ok\",\"e\":{},\"f\":1.0,\"s\":\"\\\"\\\\\\n\\u0001\u{7f}ü/\u{2028}\",\"t\":\"1970-01-01T00:00:01.500Z\"}";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn what_has_no_json_is_refused_with_its_path() {
    let bad_bytes = Value::Bytes(vec![0xff].into());
    let infinite = Value::from_f64_or_zero(f64::INFINITY);
    for (bad, detail) in [(bad_bytes, "not UTF-8"), (infinite, "inf")] {
        let mut inner = millstream_codec::ObjectMap::new();
        inner.insert("c d".into(), bad);
        let mut outer = millstream_codec::ObjectMap::new();
        outer.insert(
            "a".into(),
            Value::Array(vec![Value::Null, Value::Object(inner)]),
        );
        let mut out = b"kept".to_vec();
        let error = json::encode(&Value::Object(outer), &mut out).unwrap_err();
        assert_eq!(error.path, "a[1].\"c d\"");
        assert!(error.to_string().contains(detail), "{error}");
        assert_eq!(out, b"kept");
    }
    let mut deep = Value::Null;
    for _ in 0..128 {
        deep = Value::Array(vec![deep]);
    }
    assert!(
        json::encode(&deep, &mut Vec::new())
            .unwrap_err()
            .detail
            .contains("127 levels")
    );
}

/// Values that JSON can hold and give back as they were.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(Value::from_f64_or_zero),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::btree_map("[a-c]|.{0,3}", inner, 0..6).prop_map(|map| {
                Value::Object(
                    map.into_iter()
                        .map(|(name, value)| (name.into(), value))
                        .collect(),
                )
            }),
        ]
    })
}

fn any_path() -> impl Strategy<Value = Path> {
    let step = prop_oneof![Just("a"), Just("b"), Just("c"), Just("[0]"), Just("[1]")];
    proptest::collection::vec(step, 1..4).prop_map(|steps| {
        let text = steps.iter().fold(String::new(), |mut text, step| {
            if !text.is_empty() && !step.starts_with('[') {
                text.push('.');
            }
            text.push_str(step);
            text
        });
        Path::parse(&text).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn decode_undoes_encode(value in json_value()) {
        let mut out = Vec::new();
        json::encode(&value, &mut out).unwrap();
        prop_assert_eq!(json::decode(&out), Ok(value));
        // An independent reader takes it too.
        let _: serde_json::Value = serde_json::from_slice(&out).unwrap();
    }

    #[test]
    fn project_is_decode_and_get(value in json_value(), wanted in proptest::collection::vec(any_path(), 0..6)) {
        let record = Value::Object([("a".into(), value.clone()), ("b".into(), value)].into());
        let mut out = Vec::new();
        json::encode(&record, &mut out).unwrap();
        let projection = Projection::new(&wanted);
        let expected: Vec<_> = wanted.iter().map(|path| path.get(&record).map(Cell::from_value)).collect();
        prop_assert_eq!(json::project(&out, &projection).unwrap(), expected.clone());
        prop_assert_eq!(projection.project_value(&record), expected);
    }

    #[test]
    fn cut_or_flipped_bytes_never_panic(value in json_value(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let record = Value::Object([("a".into(), value)].into());
        let mut out = Vec::new();
        json::encode(&record, &mut out).unwrap();
        let projection = Projection::new(&paths(&["a", "a[0].b", "b"]));
        for end in 0..out.len() {
            prop_assert!(json::decode(&out[..end]).is_err());
            prop_assert!(json::project(&out[..end], &projection).is_err());
        }
        let at = at.index(out.len());
        out[at] ^= 1 << bit;
        let decoded = json::decode(&out);
        let projected = json::project(&out, &projection);
        if let Err(error) = decoded {
            prop_assert_eq!(projected.unwrap_err(), error);
        }
    }

    #[test]
    fn any_text_is_read_as_serde_json_reads_it(document in "[\\[\\]{}:,\" 0-9.eE+\\-truefalsn\\\\u]{0,24}") {
        let theirs = serde_json::from_str::<serde_json::Value>(&document);
        let ours = json::decode(document.as_bytes());
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
    }
}
