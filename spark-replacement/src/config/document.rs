//! The configuration file as a tree that remembers where each value was given.

use super::fault::{ConfigFaults, Fault, Origin};
use std::collections::BTreeMap;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value with its origin.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
    /// Whether an environment variable took part in the text.
    pub(super) interpolated: bool,
}

/// Scalars keep the text they were written as, so that a fault can show it.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Integer(String),
    Float(String),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Node {
    pub(super) fn new(value: Value, origin: Origin) -> Self {
        Self {
            value,
            origin,
            interpolated: false,
        }
    }

    /// An empty table that nobody wrote.
    pub(super) fn empty() -> Self {
        Self::new(Value::Table(BTreeMap::new()), Origin::Nowhere)
    }

    /// Where a key was given, or the innermost table around it that somebody wrote.
    pub(super) fn locate(&self, key: &str) -> Origin {
        let mut node = self;
        let mut origin = Origin::Nowhere;
        for part in key.split('.') {
            let (name, indexes) = part.split_once('[').unwrap_or((part, ""));
            let Value::Table(entries) = &node.value else {
                break;
            };
            let Some(child) = entries.get(name) else {
                break;
            };
            node = child;
            for index in indexes
                .split(['[', ']'])
                .filter_map(|index| index.parse::<usize>().ok())
            {
                let Value::Array(items) = &node.value else {
                    break;
                };
                let Some(item) = items.get(index) else { break };
                node = item;
            }
            origin = node.origin.clone();
        }
        origin
    }

    /// What kind of value it is, as a fault says it.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Boolean(_) => "a boolean",
            Value::Datetime(_) => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// The value as a fault shows it; `None` for lists and tables.
    pub(super) fn shown(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) => Some(super::fault::shown(text)),
            Value::Integer(text) | Value::Float(text) | Value::Datetime(text) => Some(text.clone()),
            Value::Boolean(value) => Some(value.to_string()),
            Value::Array(_) | Value::Table(_) => None,
        }
    }
}

/// Parses TOML. All syntax errors come together, each with line and column.
pub(super) fn parse(path: &Path, text: &str) -> Result<Node, ConfigFaults> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let lines = Lines::new(text);
        return Ok(Node::new(
            convert_table(table.get_ref(), &lines),
            Origin::Line(1),
        ));
    }
    let lines = Lines::new(text);
    let faults = errors.iter().map(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let (line, column) = lines.position(at);
        // The parser's message may run over several lines; a fault is one.
        let message = error.message().split_whitespace().collect::<Vec<_>>();
        Fault {
            origin: Origin::Line(line),
            key: String::new(),
            value: None,
            rule: format!("not TOML at column {column}: {}", message.join(" ")),
        }
    });
    Err(ConfigFaults {
        path: path.to_owned(),
        faults: faults.collect(),
    })
}

fn convert(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    let origin = Origin::Line(lines.position(value.span().start).0);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => Value::Integer(decimal(&integer.to_string())),
        DeValue::Float(float) => Value::Float(float.to_string()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(value) => Value::Datetime(value.to_string()),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| convert(item, lines)).collect())
        }
        DeValue::Table(table) => convert_table(table, lines),
    };
    Node::new(value, origin)
}

/// TOML's `0x`, `0o` and `0b` integers as decimal text; anything else as it is.
fn decimal(text: &str) -> String {
    let parsed = match text.get(..2) {
        Some("0x") => i64::from_str_radix(&text[2..], 16),
        Some("0o") => i64::from_str_radix(&text[2..], 8),
        Some("0b") => i64::from_str_radix(&text[2..], 2),
        _ => return text.to_owned(),
    };
    parsed.map_or_else(|_| text.to_owned(), |number| number.to_string())
}

fn convert_table(table: &DeTable<'_>, lines: &Lines<'_>) -> Value {
    let entries = table.iter().map(|(key, value)| {
        let mut node = convert(value, lines);
        // The key's line is where a reader looks, also for a table that begins with its header.
        node.origin = Origin::Line(lines.position(key.span().start).0);
        (key.get_ref().to_string(), node)
    });
    Value::Table(entries.collect())
}

/// Byte offsets to lines and columns.
struct Lines<'t> {
    text: &'t str,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Self { text }
    }

    /// Line and column of a byte, both counted from 1.
    fn position(&self, at: usize) -> (usize, usize) {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.text[..at];
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line, before[start..].chars().count() + 1)
    }
}
