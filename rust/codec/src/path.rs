//! Paths into a record, in VRL's syntax without the leading dot: `name.first`, `results[0].id`, `"a b".c`.

use std::fmt;

use crate::Value;
pub use crate::projection::Projection;
use crate::value_kind::MAX_DEPTH;

/// Longest path text in bytes.
const MAX_TEXT: usize = 4096;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A field of an object.
    Field(String),
    /// An element of an array, counted from 0.
    Index(usize),
}

/// A parsed path: at least one segment, at most 127.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    segments: Vec<Segment>,
}

/// Why a path text cannot be parsed: one line with the position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path {text:?}: {detail}")]
pub struct PathError {
    /// The path as it was given.
    pub text: String,
    /// What is wrong and at which character, counted from 1.
    pub detail: String,
}

impl Path {
    /// Parses a path. A field is written bare (letters, digits, `_`, `@`) or in double quotes with `\"` and `\\`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        Parser::new(text)
            .and_then(Parser::path)
            .map_err(|detail| PathError {
                text: text.chars().take(MAX_TEXT).collect(),
                detail,
            })
    }

    /// The steps from the record inwards.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The value the path leads to, `None` where it leads nowhere.
    pub fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.segments
            .iter()
            .try_fold(value, |value, segment| match (segment, value) {
                (Segment::Field(name), Value::Object(map)) => map.get(name.as_str()),
                (Segment::Index(index), Value::Array(items)) => items.get(*index),
                _ => None,
            })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Field(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    write_field(&mut text, name);
                }
                Segment::Index(index) => text.extend(["[", &index.to_string(), "]"]),
            }
        }
        f.write_str(&text)
    }
}

impl std::str::FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Whether a character may stand in a field that is not quoted.
fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '@'
}

/// Writes a field as a path shows it: bare where it can be, quoted where it must.
pub(crate) fn write_field(out: &mut String, name: &str) {
    if !name.is_empty() && name.chars().all(is_bare) {
        out.push_str(name);
        return;
    }
    out.push('"');
    for c in name.chars() {
        if c == '"' || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// Puts a field in front of a path, on the way out of a recursion: the good way pays nothing for it.
///
/// Such a path is for people: a name that holds line breaks (a map's key is data) keeps the message on one line.
pub(crate) fn prepend_field(path: &mut String, field: &str) {
    let mut written = String::with_capacity(field.len());
    write_field(&mut written, field);
    let mut longer = String::with_capacity(written.len() + 1 + path.len());
    for c in written.chars() {
        if c.is_control() {
            longer.extend(c.escape_default());
        } else {
            longer.push(c);
        }
    }
    prepend(path, longer);
}

/// Puts an index in front of a path.
pub(crate) fn prepend_index(path: &mut String, index: usize) {
    prepend(path, format!("[{index}]"));
}

fn prepend(path: &mut String, mut head: String) {
    if !path.is_empty() && !path.starts_with('[') {
        head.push('.');
    }
    head.push_str(path);
    *path = head;
}

struct Parser<'t> {
    chars: std::iter::Peekable<std::iter::Enumerate<std::str::Chars<'t>>>,
    length: usize,
    segments: Vec<Segment>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty; name a field".into());
        }
        if text.len() > MAX_TEXT {
            return Err(format!("is longer than {MAX_TEXT} bytes"));
        }
        if text.starts_with('.') {
            return Err("write it without the leading dot".into());
        }
        Ok(Self {
            chars: text.chars().enumerate().peekable(),
            length: text.chars().count(),
            segments: Vec::new(),
        })
    }

    fn path(mut self) -> Result<Path, String> {
        while let Some((at, c)) = self.next() {
            let segment = match c {
                '[' => self.index()?,
                '.' if at > 1 => {
                    let (at, c) = self
                        .next()
                        .ok_or_else(|| format!("ends with a dot at {at}; name a field"))?;
                    self.field(at, c)?
                }
                _ if at == 1 => self.field(at, c)?,
                _ => return Err(format!("expected `.` or `[` at {at}, found {c:?}")),
            };
            if self.segments.len() == MAX_DEPTH {
                return Err(format!("has more than {MAX_DEPTH} segments"));
            }
            self.segments.push(segment);
        }
        Ok(Path {
            segments: self.segments,
        })
    }

    /// The next character with its place, counted from 1.
    fn next(&mut self) -> Option<(usize, char)> {
        self.chars.next().map(|(at, c)| (at + 1, c))
    }

    fn field(&mut self, at: usize, first: char) -> Result<Segment, String> {
        if first == '"' {
            return self.quoted(at);
        }
        if !is_bare(first) {
            return Err(format!(
                "expected a field at {at}, found {first:?}; quote names like \"a b\""
            ));
        }
        let mut name = String::from(first);
        while let Some((_, c)) = self.chars.next_if(|(_, c)| is_bare(*c)) {
            name.push(c);
        }
        match self.chars.peek() {
            Some((at, c)) if !matches!(c, '.' | '[') => Err(format!(
                "found {c:?} at {} in a bare field; quote names like \"a b\"",
                at + 1
            )),
            _ => Ok(Segment::Field(name)),
        }
    }

    fn quoted(&mut self, opened: usize) -> Result<Segment, String> {
        let mut name = String::new();
        while let Some((at, c)) = self.next() {
            match c {
                '"' => return Ok(Segment::Field(name)),
                '\\' => match self.next() {
                    Some((_, c @ ('"' | '\\'))) => name.push(c),
                    _ => return Err(format!("bad escape at {at}; only \\\" and \\\\ are known")),
                },
                c => name.push(c),
            }
        }
        Err(format!("the quote opened at {opened} is not closed"))
    }

    fn index(&mut self) -> Result<Segment, String> {
        let mut digits = String::new();
        while let Some((at, c)) = self.next() {
            match c {
                ']' => {
                    return digits
                        .parse()
                        .map(Segment::Index)
                        .map_err(|_| format!("expected a number from 0 before the `]` at {at}"));
                }
                '0'..='9' => digits.push(c),
                '-' => {
                    return Err(format!(
                        "negative index at {at}; indices count from the front, from 0"
                    ));
                }
                c => return Err(format!("expected a digit or `]` at {at}, found {c:?}")),
            }
        }
        Err(format!("expected `]` at {}", self.length + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(name: &str) -> Segment {
        Segment::Field(name.into())
    }

    #[test]
    fn a_path_in_a_message_stays_on_one_line() {
        let mut path = "x".to_owned();
        prepend_field(&mut path, "a\nb\u{7}");
        assert_eq!(path, "\"a\\nb\\u{7}\".x");
    }

    #[test]
    fn parses_the_forms_of_the_syntax() {
        for (text, segments) in [
            ("id", vec![field("id")]),
            ("name.first", vec![field("name"), field("first")]),
            (
                "results[0].id",
                vec![field("results"), Segment::Index(0), field("id")],
            ),
            (
                "[2][10].x",
                vec![Segment::Index(2), Segment::Index(10), field("x")],
            ),
            (r#""a b".c"#, vec![field("a b"), field("c")]),
            (
                r#"x."q\"\\"[1]"#,
                vec![field("x"), field("q\"\\"), Segment::Index(1)],
            ),
            (r#""""#, vec![field("")]),
            ("@timestamp.0", vec![field("@timestamp"), field("0")]),
            ("\"größe\"", vec![field("größe")]),
        ] {
            let path = Path::parse(text).unwrap();
            assert_eq!(path.segments(), segments, "{text}");
            assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn refuses_with_the_place() {
        for (text, detail) in [
            ("", "is empty"),
            (".id", "without the leading dot"),
            ("a.", "ends with a dot at 2"),
            ("a..b", "expected a field at 3, found '.'"),
            ("a b", "found ' ' at 2 in a bare field"),
            ("first-name", "found '-' at 6"),
            ("a[", "expected `]` at 3"),
            ("a[]", "expected a number from 0 before the `]` at 3"),
            ("a[-1]", "negative index at 3"),
            ("a[x]", "expected a digit or `]` at 3, found 'x'"),
            ("a[99999999999999999999]", "expected a number from 0"),
            ("a[0]b", "expected `.` or `[` at 5"),
            (r#""ab"#, "the quote opened at 1 is not closed"),
            (r#""a\n""#, "bad escape at 3"),
            ("größe", "found 'ö' at 3"),
        ] {
            let error = Path::parse(text).unwrap_err().to_string();
            assert!(error.contains(detail), "{text}: {error}");
            assert!(!error.contains('\n'));
        }
        assert!(Path::parse(&"a.".repeat(128)).is_err());
        assert!(Path::parse(&["a"; 127].join(".")).is_ok());
        assert!(Path::parse(&["a"; 128].join(".")).is_err());
        assert!(Path::parse(&"a".repeat(5000)).is_err());
    }

    #[test]
    fn get_follows_fields_and_indices() {
        let value = crate::json::decode(br#"{"a":[{"b":1},null],"c":{"d e":"x"}}"#).unwrap();
        let get = |text: &str| Path::parse(text).unwrap().get(&value).cloned();
        assert_eq!(get("a[0].b"), Some(Value::Integer(1)));
        assert_eq!(get("a[1]"), Some(Value::Null));
        assert_eq!(get("c.\"d e\""), Some(Value::from("x")));
        assert_eq!(get("a[2]"), None);
        assert_eq!(get("a.b"), None);
        assert_eq!(get("c[0]"), None);
        assert_eq!(get("a[1].x"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,40}") {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(Path::parse(&path.to_string()).unwrap(), path);
            }
        }

        #[test]
        fn any_field_survives_display(names in proptest::collection::vec(".{0,8}", 1..5)) {
            let path = Path { segments: names.into_iter().map(Segment::Field).collect() };
            prop_assert_eq!(Path::parse(&path.to_string()).unwrap(), path);
        }
    }
}
