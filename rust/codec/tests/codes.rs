//! The codes are an interface: alerts and redrives are written against them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use millstream_codec::Code;
use std::collections::BTreeSet;

#[test]
fn code_texts_are_stable_and_unique() {
    let texts: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let expected = [
        "empty_value",
        "bad_magic",
        "header_truncated",
        "invalid_schema_id",
        "schema_not_found",
        "schema_type_unsupported",
        "schema_unsupported",
        "schema_recursive",
        "schema_incompatible",
        "bad_json",
        "too_deep",
        "not_an_object",
        "avro_truncated",
        "avro_trailing_bytes",
        "avro_alloc_limit",
        "avro_invalid",
        "key_decode",
    ];
    assert_eq!(texts, expected);
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len());
}
