//! From an answer's bytes to its records.

use super::FetchErrorKind;
use crate::http::Fault;
use crate::http::fault::one_line;
use millstream_codec::path::Segment;
use millstream_codec::{Path, Value, json};

/// Takes the records out of a successful answer. Pure.
pub(super) fn records(
    body: &[u8],
    status: u16,
    content_type: Option<&str>,
    selector: Option<&Path>,
) -> Result<Vec<Value>, FetchErrorKind> {
    if status == 204 {
        return Ok(Vec::new());
    }
    // Some servers put a byte order mark before their JSON; `requests` reads over it too.
    let text = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let document =
        json::decode(text).map_err(|error| not_json(text, status, content_type, &error.detail))?;
    select(document, selector).map_err(|detail| FetchErrorKind::Selector {
        selector: selector.map(ToString::to_string).unwrap_or_default(),
        detail,
        status,
    })
}

fn not_json(body: &[u8], status: u16, content_type: Option<&str>, why: &str) -> FetchErrorKind {
    if is_cut_json(body) {
        // Where the connection's end is the body's end, HTTP itself cannot tell a cut body from a whole one.
        return Fault::Truncated {
            detail: format!("the JSON ends in the middle ({why})"),
        }
        .into();
    }
    let content_type = content_type.map_or_else(
        || "no content type".to_owned(),
        |t| format!("content type {}", one_line(t)),
    );
    FetchErrorKind::NotJson {
        detail: format!("{} ({content_type}): {why}", looks_like(body)),
        status,
    }
}

fn is_cut_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err_and(|error| error.is_eof())
}

/// What the bytes look like to a person.
fn looks_like(body: &[u8]) -> &'static str {
    let start = body.trim_ascii_start();
    let begins = |mark: &str| {
        start
            .get(..mark.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(mark.as_bytes()))
    };
    if start.is_empty() {
        "the body is empty"
    } else if begins("<!doctype html") || begins("<html") {
        "it looks like an HTML page"
    } else if start.starts_with(b"<") {
        "it looks like XML"
    } else if start.starts_with(b"\x1f\x8b") {
        "it looks like gzip that was not announced, or was packed twice"
    } else if start.starts_with(b"PK\x03\x04") {
        "it looks like a zip file"
    } else if matches!(start[0], b'{' | b'[') {
        "it begins like JSON"
    } else if std::str::from_utf8(&start[..start.len().min(64)])
        .map_or_else(|e| e.error_len().is_none(), |_| true)
    {
        "it looks like text"
    } else {
        "it looks like binary"
    }
}

/// Follows the path and takes what is there: an array's items, or one object.
fn select(document: Value, selector: Option<&Path>) -> Result<Vec<Value>, String> {
    let mut found = document;
    for (depth, segment) in selector
        .map(Path::segments)
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        found = step(found, segment).map_err(|there| format!("step {}: {there}", depth + 1))?;
    }
    match found {
        Value::Array(records) => Ok(records),
        record @ Value::Object(_) => Ok(vec![record]),
        other => Err(format!(
            "leads to {}; records are an array or an object",
            describe(&other)
        )),
    }
}

fn step(value: Value, segment: &Segment) -> Result<Value, String> {
    match (segment, value) {
        (Segment::Field(name), Value::Object(mut fields)) => match fields.remove(name.as_str()) {
            Some(found) => Ok(found),
            None => Err(format!(
                "no field {name:?} in {}",
                describe(&Value::Object(fields))
            )),
        },
        (Segment::Index(index), Value::Array(mut items)) => {
            if *index < items.len() {
                Ok(items.swap_remove(*index))
            } else {
                Err(format!(
                    "no item {index} in {}",
                    describe(&Value::Array(items))
                ))
            }
        }
        (Segment::Field(name), other) => Err(format!(
            "no field {name:?}, because it is {}",
            describe(&other)
        )),
        (Segment::Index(index), other) => Err(format!(
            "no item {index}, because it is {}",
            describe(&other)
        )),
    }
}

/// What a value is, by kind and field names; never its content.
fn describe(value: &Value) -> String {
    const SHOWN: usize = 8;
    match value {
        Value::Object(fields) if fields.is_empty() => "an empty object".to_owned(),
        Value::Object(fields) => {
            let names: Vec<String> = fields
                .keys()
                .take(SHOWN)
                .map(|name| name.chars().take(40).collect())
                .collect();
            let more = if fields.len() > SHOWN { ", ..." } else { "" };
            one_line(&format!(
                "an object with the fields {}{more}",
                names.join(", ")
            ))
        }
        Value::Array(items) => format!("an array of {} items", items.len()),
        Value::Null => "null".to_owned(),
        Value::Boolean(_) => "a boolean".to_owned(),
        Value::Integer(_) | Value::Float(_) => "a number".to_owned(),
        _ => "a text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(body: &str, selector: Option<&str>) -> Result<usize, FetchErrorKind> {
        let path = selector.map(|text| Path::parse(text).unwrap());
        records(
            body.as_bytes(),
            200,
            Some("application/json"),
            path.as_ref(),
        )
        .map(|r| r.len())
    }

    #[test]
    fn records_are_an_array_or_one_object() {
        assert_eq!(
            get(
                r#"{"results":[{"a":1},{"a":2}],"info":{}}"#,
                Some("results")
            ),
            Ok(2)
        );
        assert_eq!(get("[{},{},{}]", None), Ok(3));
        assert_eq!(get(r#"{"a":1}"#, None), Ok(1));
        assert_eq!(get(r#"{"a":[{"b":{"c":[1]}}]}"#, Some("a[0].b")), Ok(1));
        assert_eq!(get(r#"{"results":[]}"#, Some("results")), Ok(0));
        assert_eq!(get("\u{feff}[1]", None), Ok(1));
        assert_eq!(records(b"", 204, None, None), Ok(vec![]));
    }

    #[test]
    fn a_selector_that_leads_nowhere_says_what_is_there() {
        for (body, selector, expected) in [
            (
                r#"{"error":"Uh oh"}"#,
                "results",
                r#"data_selector "results": step 1: no field "results" in an object with the fields error"#,
            ),
            (
                r#"{"results":"none"}"#,
                "results",
                "leads to a text; records are an array or an object",
            ),
            (r#"{"results":null}"#, "results", "leads to null"),
            (
                r#"{"data":{"items":{}}}"#,
                "data.items[0]",
                "step 3: no item 0, because it is an empty object",
            ),
            ("[1]", "results", "because it is an array of 1 items"),
            ("[1]", "[3]", "no item 3 in an array of 1 items"),
        ] {
            let error = get(body, Some(selector)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!((error.retryable(), error.status()), (false, Some(200)));
        }
    }

    #[test]
    fn what_is_not_json_says_what_it_looks_like() {
        for (body, expected) in [
            (&b""[..], "the body is empty"),
            (b"<!DOCTYPE html><html>", "an HTML page"),
            (b"<?xml version='1.0'?>", "XML"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"Service unavailable", "text"),
            (b"\xff\xfe\x00", "binary"),
            (b"{\"a\": nope}", "begins like JSON"),
            (b"[1] [2]", "begins like JSON"),
        ] {
            let error = records(body, 200, Some("text/x"), None).unwrap_err();
            assert!(matches!(error, FetchErrorKind::NotJson { .. }), "{error:?}");
            let text = error.to_string();
            assert!(
                text.contains(expected) && text.contains("content type text/x"),
                "{text}"
            );
        }
    }

    #[test]
    fn json_that_ends_in_the_middle_is_truncated() {
        for body in [r#"{"results":[{"a":1},"#, "[", r#"{"a":"b"#] {
            let error = get(body, None).unwrap_err();
            assert!(
                matches!(&error, FetchErrorKind::Http(Fault::Truncated { .. })),
                "{error:?}"
            );
            assert!(error.retryable());
        }
    }
}
