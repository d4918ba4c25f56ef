//! A checked cursor over one JSON document.

use crate::value_kind::MAX_DEPTH;
use crate::{Code, DecodeError};
use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, Peek};
use std::borrow::Cow;

/// The cursor. The text is known to be UTF-8 as a whole, so that skipped strings are checked too and picked ones can
/// be borrowed.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    text: &'a str,
    jiter: Jiter<'a>,
}

/// A JSON number without loss.
pub(super) enum Number<'a> {
    Int(i64),
    /// The digits of an integer beyond i64.
    Big(&'a str),
    Float(f64),
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.is_empty() {
            return Err(DecodeError::new(Code::EmptyValue, "the value has 0 bytes"));
        }
        if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
            return Err(DecodeError::new(
                Code::BadJson,
                "byte order mark at 1:1; write UTF-8 without one",
            ));
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let place = Place::of(bytes, error.valid_up_to());
                return Err(DecodeError::new(
                    Code::BadJson,
                    format!("not UTF-8 at {place}"),
                ));
            }
        };
        Ok(Self {
            text,
            jiter: Jiter::new(bytes),
        })
    }

    pub(super) fn peek(&mut self) -> Result<Peek, DecodeError> {
        self.jiter.peek().map_err(|error| fault(self.text, &error))
    }

    /// Nothing but white space may follow.
    pub(super) fn finish(&mut self) -> Result<(), DecodeError> {
        self.jiter
            .finish()
            .map_err(|error| fault(self.text, &error))
    }

    pub(super) fn null(&mut self) -> Result<(), DecodeError> {
        self.jiter
            .known_null()
            .map_err(|error| fault(self.text, &error))
    }

    pub(super) fn boolean(&mut self, peek: Peek) -> Result<bool, DecodeError> {
        self.jiter
            .known_bool(peek)
            .map_err(|error| fault(self.text, &error))
    }

    /// The string at the cursor, borrowed from the document unless it has escapes.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let start = self.jiter.current_index() + 1;
        let decoded = self
            .jiter
            .known_str()
            .map_err(|error| fault(self.text, &error))?;
        Ok(match self.text.get(start..start + decoded.len()) {
            Some(raw) if raw == decoded => Cow::Borrowed(raw),
            _ => Cow::Owned(decoded.to_owned()),
        })
    }

    pub(super) fn number(&mut self, peek: Peek) -> Result<Number<'a>, DecodeError> {
        let start = self.jiter.current_index();
        let digits = match self.jiter.known_number_bytes(peek) {
            Ok(bytes) => &self.text[start..start + bytes.len()],
            Err(error) => return Err(fault(self.text, &error)),
        };
        let is_integer = digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-');
        if is_integer {
            return Ok(digits.parse().map_or(Number::Big(digits), Number::Int));
        }
        match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Number::Float(number)),
            _ => Err(DecodeError::new(
                Code::BadJson,
                format!(
                    "number beyond a double at {}",
                    Place::of(self.text.as_bytes(), start)
                ),
            )),
        }
    }

    /// Enters an object: its first key, if any, is handed to `on_key`.
    pub(super) fn first_key<T>(
        &mut self,
        on_key: impl FnOnce(&str) -> T,
    ) -> Result<Option<T>, DecodeError> {
        match self.jiter.known_object() {
            Ok(key) => Ok(key.map(on_key)),
            Err(error) => Err(fault(self.text, &error)),
        }
    }

    pub(super) fn next_key<T>(
        &mut self,
        on_key: impl FnOnce(&str) -> T,
    ) -> Result<Option<T>, DecodeError> {
        match self.jiter.next_key() {
            Ok(key) => Ok(key.map(on_key)),
            Err(error) => Err(fault(self.text, &error)),
        }
    }

    pub(super) fn first_item(&mut self) -> Result<Option<Peek>, DecodeError> {
        self.jiter
            .known_array()
            .map_err(|error| fault(self.text, &error))
    }

    pub(super) fn next_item(&mut self) -> Result<Option<Peek>, DecodeError> {
        self.jiter
            .array_step()
            .map_err(|error| fault(self.text, &error))
    }

    /// Refuses an array or object that opens `depth` levels deep, counted from 1.
    pub(super) fn check_depth(&self, depth: usize) -> Result<(), DecodeError> {
        if depth <= MAX_DEPTH {
            return Ok(());
        }
        let place = Place::of(self.text.as_bytes(), self.jiter.current_index());
        Err(DecodeError::new(
            Code::TooDeep,
            format!("more than {MAX_DEPTH} levels of arrays and objects at {place}"),
        ))
    }

    /// Passes over a value, checking it as if it were read.
    pub(super) fn skip(&mut self, peek: Peek, depth: usize) -> Result<(), DecodeError> {
        match peek {
            Peek::Array => {
                self.check_depth(depth)?;
                let mut item = self.first_item()?;
                while let Some(peek) = item {
                    self.skip(peek, depth + 1)?;
                    item = self.next_item()?;
                }
                Ok(())
            }
            Peek::Object => {
                self.check_depth(depth)?;
                let mut key = self.first_key(|_| ())?;
                while key.is_some() {
                    let peek = self.peek()?;
                    self.skip(peek, depth + 1)?;
                    key = self.next_key(|_| ())?;
                }
                Ok(())
            }
            Peek::String => self
                .jiter
                .known_bytes()
                .map(drop)
                .map_err(|error| fault(self.text, &error)),
            Peek::Null => self.null(),
            Peek::True | Peek::False => self.boolean(peek).map(drop),
            _ => self.number(peek).map(drop),
        }
    }
}

/// A place in the text as an editor shows it.
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    fn of(bytes: &[u8], index: usize) -> Self {
        let before = &bytes[..index.min(bytes.len())];
        let line_start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let is_char_start = |byte: &&u8| (**byte & 0xC0) != 0x80;
        Self {
            line: before.split(|byte| *byte == b'\n').count(),
            column: before[line_start..].iter().filter(is_char_start).count() + 1,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The library's error in our words: its kind and place, never the text itself.
#[cold]
fn fault(text: &str, error: &JiterError) -> DecodeError {
    let place = Place::of(text.as_bytes(), error.index);
    let kind = match &error.error_type {
        JiterErrorType::WrongType { .. }
        | JiterErrorType::JsonError(
            JsonErrorType::ExpectedSomeIdent | JsonErrorType::ExpectedSomeValue,
        ) => "expected a value".to_owned(),
        JiterErrorType::JsonError(JsonErrorType::NumberOutOfRange) => {
            "number of more than 4300 digits".to_owned()
        }
        JiterErrorType::JsonError(kind) => kind.to_string(),
    };
    DecodeError::new(Code::BadJson, format!("{kind} at {place}"))
}
