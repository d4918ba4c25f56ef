//! Reads typed values out of a table, notes every fault, and knows afterwards which keys nobody asked for.

use super::document::{Node, Value};
use super::environment::join;
use super::fault::{Fault, FaultList, Origin};
use super::file::{read_bounded, readable_by_all};
use super::hint::{closest, did_you_mean};
use super::units::{format_duration, format_size, parse_duration, parse_size};
use millstream_pipeline::Secret;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whether a key holds a secret: its value is never shown.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    if key.ends_with("_file") || key.ends_with(".location") || key.ends_with("_location") {
        return false;
    }
    let parts = [
        "password",
        "secret",
        "token",
        "private",
        ".pem",
        "oauthbearer.config",
    ];
    parts.iter().any(|part| key.contains(part))
        && !key.contains("token.endpoint")
        && !key.contains("endpoint.url")
}

/// One table of the configuration while it is read.
pub(super) struct Reader<'d> {
    path: String,
    entries: Option<&'d BTreeMap<String, Node>>,
    origin: Origin,
    known: RefCell<Vec<&'static str>>,
    faults: &'d FaultList,
    folder: &'d Path,
}

impl<'d> Reader<'d> {
    /// A reader of `node`, which is a fault if it is no table. `folder` is what relative files are relative to.
    pub(super) fn new(node: &'d Node, path: &str, faults: &'d FaultList, folder: &'d Path) -> Self {
        let entries = match &node.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        };
        let reader = Self {
            path: path.to_owned(),
            entries,
            origin: node.origin.clone(),
            known: RefCell::default(),
            faults,
            folder,
        };
        if entries.is_none() {
            reader.wrong_kind(node, path, "a table");
        }
        reader
    }

    pub(super) fn faults(&self) -> &'d FaultList {
        self.faults
    }

    /// The full path of a key of this table.
    pub(super) fn key(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Where a key was given; where the table begins if it was not.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.entries
            .and_then(|entries| entries.get(key))
            .map_or_else(|| self.origin.clone(), |node| node.origin.clone())
    }

    /// A fault at one key of this table, with its value.
    pub(super) fn fault(&self, key: &str, rule: impl Into<String>) {
        let node = self.entries.and_then(|entries| entries.get(key));
        self.faults.push(Fault {
            origin: self.origin(key),
            key: self.key(key),
            value: node.and_then(|node| {
                if is_secret(key) {
                    Some("***".to_owned())
                } else {
                    node.shown()
                }
            }),
            rule: rule.into(),
        });
    }

    /// Marks a key as known and gives its node.
    pub(super) fn node(&self, key: &'static str) -> Option<&'d Node> {
        self.known.borrow_mut().push(key);
        self.entries?.get(key)
    }

    /// Whether a key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries
            .is_some_and(|entries| entries.contains_key(key))
    }

    /// All entries, for a table whose keys are the user's own.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'d String, &'d Node)> + use<'d> {
        self.entries.into_iter().flatten()
    }

    /// A table below this one; empty when it is missing.
    pub(super) fn table(&self, key: &'static str, empty: &'d Node) -> Reader<'d> {
        let node = self.node(key).unwrap_or(empty);
        Reader::new(node, &self.key(key), self.faults, self.folder)
    }

    /// A reader of some node with the same faults and folder.
    pub(super) fn child(&self, node: &'d Node, path: &str) -> Reader<'d> {
        Reader::new(node, path, self.faults, self.folder)
    }

    /// A text that passes `parse`.
    pub(super) fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.node(key)?;
        let Value::Text(text) = &node.value else {
            self.wrong_kind(node, &self.key(key), "a string");
            return None;
        };
        parse(text).map_err(|rule| self.fault(key, rule)).ok()
    }

    /// A text that is not empty.
    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        self.parsed(key, not_empty)
    }

    /// A text that passes `parse` and must be there.
    pub(super) fn required<T>(
        &self,
        key: &'static str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.fault(key, format!("missing; for example {example}"));
        }
        self.parsed(key, parse)
    }

    /// One of a list of words.
    pub(super) fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        self.parsed(key, |text| {
            let found = choices.iter().find(|(word, _)| *word == text);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<_> = choices
                    .iter()
                    .map(|(word, _)| format!("{word:?}"))
                    .collect();
                let hint = closest(text, choices.iter().map(|(word, _)| *word));
                format!("not one of {}{}", words.join(", "), did_you_mean(hint))
            })
        })
    }

    /// A duration within bounds, or the default.
    pub(super) fn duration(
        &self,
        key: &'static str,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        self.optional_duration(key, bounds).unwrap_or(default)
    }

    /// A duration within bounds.
    pub(super) fn optional_duration(
        &self,
        key: &'static str,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.with_unit(
            key,
            |text| {
                let duration = parse_duration(text)?;
                if bounds.contains(&duration) {
                    return Ok(duration);
                }
                let (low, high) = (
                    format_duration(*bounds.start()),
                    format_duration(*bounds.end()),
                );
                Err(format!("not from {low} to {high}"))
            },
            "a string with a unit, like \"30s\"",
        )
    }

    /// A size within bounds, or the default.
    pub(super) fn size(
        &self,
        key: &'static str,
        default: usize,
        bounds: RangeInclusive<usize>,
    ) -> usize {
        let size = self.with_unit(
            key,
            |text| {
                let size = parse_size(text)?;
                if bounds.contains(&size) {
                    return Ok(size);
                }
                let (low, high) = (format_size(*bounds.start()), format_size(*bounds.end()));
                Err(format!("not from {low} to {high}"))
            },
            "a string with a unit, like \"64MiB\"",
        );
        size.unwrap_or(default)
    }

    fn with_unit<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
        wanted: &str,
    ) -> Option<T> {
        let node = self.node(key)?;
        if let Value::Text(text) = &node.value {
            parse(text).map_err(|rule| self.fault(key, rule)).ok()
        } else {
            self.wrong_kind(node, &self.key(key), wanted);
            None
        }
    }

    /// A whole number within bounds, or the default.
    pub(super) fn integer(
        &self,
        key: &'static str,
        default: usize,
        bounds: RangeInclusive<usize>,
    ) -> usize {
        let Some(node) = self.node(key) else {
            return default;
        };
        let ((Value::Integer(text), _) | (Value::Text(text), Origin::Environment(_))) =
            (&node.value, &node.origin)
        else {
            self.wrong_kind(node, &self.key(key), "a whole number");
            return default;
        };
        match text.replace('_', "").parse::<usize>() {
            Ok(number) if bounds.contains(&number) => number,
            _ => {
                let (low, high) = (bounds.start(), bounds.end());
                self.fault(key, format!("not a whole number from {low} to {high}"));
                default
            }
        }
    }

    /// True or false, or the default.
    pub(super) fn boolean(&self, key: &'static str, default: bool) -> bool {
        let Some(node) = self.node(key) else {
            return default;
        };
        match (&node.value, &node.origin) {
            (Value::Boolean(value), _) => *value,
            (Value::Text(text), Origin::Environment(_)) if text == "true" => true,
            (Value::Text(text), Origin::Environment(_)) if text == "false" => false,
            _ => {
                self.wrong_kind(node, &self.key(key), "true or false");
                default
            }
        }
    }

    /// A list of texts that each pass `parse`; every bad entry is a fault of its own. `None` if the key is missing.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let node = self.node(key)?;
        let Value::Array(items) = &node.value else {
            self.wrong_kind(node, &self.key(key), "a list, like [\"a\", \"b\"]");
            return None;
        };
        if items.is_empty() {
            self.fault(key, "empty; give at least one entry");
        }
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", self.key(key));
            let Value::Text(text) = &item.value else {
                self.wrong_kind(item, &path, "a string");
                continue;
            };
            match parse(text) {
                Ok(value) => values.push(value),
                Err(rule) => self.faults.push(Fault {
                    origin: item.origin.clone(),
                    key: path,
                    value: item.shown(),
                    rule,
                }),
            }
        }
        Some(values)
    }

    /// The nodes of a list of tables with their paths.
    pub(super) fn tables(&self, key: &'static str) -> Vec<(String, &'d Node)> {
        let Some(node) = self.node(key) else {
            return Vec::new();
        };
        let Value::Array(items) = &node.value else {
            self.wrong_kind(node, &self.key(key), "a list of tables");
            return Vec::new();
        };
        if items.is_empty() {
            self.fault(key, "empty; give at least one entry");
        }
        let key = self.key(key);
        let paths = items.iter().enumerate();
        paths
            .map(|(index, item)| (format!("{key}[{index}]"), item))
            .collect()
    }

    /// A secret under `key`, or in the file named by `file_key`.
    pub(super) fn secret(&self, key: &'static str, file_key: &'static str) -> Option<Secret> {
        let given = self.text(key);
        let file = self.file(file_key);
        match (given, file) {
            (Some(_), Some(_)) => {
                self.fault(key, format!("given twice; remove it or {file_key}"));
                None
            }
            (Some(text), None) => {
                if self.node(key).is_some_and(|node| !node.interpolated) {
                    self.note_secret_in_file(key);
                }
                Some(Secret::new(text))
            }
            (None, Some(path)) => {
                self.note_readable_by_all(file_key, &path);
                let text = self.read(file_key, &path)?;
                let text = text.trim_end_matches(['\r', '\n']);
                if text.is_empty() {
                    self.fault(file_key, "the file is empty");
                    return None;
                }
                Some(Secret::new(text))
            }
            (None, None) => None,
        }
    }

    /// A secret stands in the configuration itself: `load` checks who may read that file.
    pub(super) fn note_secret_in_file(&self, key: &str) {
        self.faults.secret_in_file(self.key(key));
    }

    /// A file's path, relative to the configuration's folder; the file is there and can be opened.
    pub(super) fn file(&self, key: &'static str) -> Option<PathBuf> {
        let path = self.folder.join(self.text(key)?);
        match std::fs::File::open(&path).and_then(|file| file.metadata()) {
            Ok(found) if found.is_dir() => {
                self.fault(
                    key,
                    format!("cannot read {}: is a directory", path.display()),
                );
                None
            }
            Ok(_) => Some(path),
            Err(error) => {
                self.fault(key, format!("cannot read {}: {error}", path.display()));
                None
            }
        }
    }

    /// The text of a file, at most 1 MiB.
    pub(super) fn read(&self, key: &str, path: &Path) -> Option<String> {
        read_bounded(path)
            .map_err(|rule| self.fault(key, rule))
            .ok()
    }

    /// Warns when everybody on the machine may read a file that holds a secret.
    pub(super) fn note_readable_by_all(&self, key: &str, path: &Path) {
        if readable_by_all(path) {
            let rule = format!(
                "{} can be read by everybody; run `chmod o-r` on it",
                path.display()
            );
            self.faults.warn(&self.key(key), rule);
        }
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        for (key, node) in self.entries() {
            if known.contains(&key.as_str()) {
                continue;
            }
            let hint = did_you_mean(closest(key, known.iter().copied()));
            let hint = if hint.is_empty() {
                let mut known = known.clone();
                known.sort_unstable();
                format!("; known here: {}", known.join(", "))
            } else {
                hint
            };
            self.faults.push(Fault {
                origin: node.origin.clone(),
                key: self.key(key),
                value: None,
                rule: format!("unknown key{hint}"),
            });
        }
    }

    fn wrong_kind(&self, node: &Node, path: &str, wanted: &str) {
        let last = path.rsplit('.').next().unwrap_or_default();
        self.faults.push(Fault {
            origin: node.origin.clone(),
            key: path.to_owned(),
            value: if is_secret(last) {
                Some("***".to_owned())
            } else {
                node.shown()
            },
            rule: match &node.origin {
                Origin::Environment(_) if wanted.starts_with("a list") => {
                    "not a list; in a variable lists are JSON, like [\"a\", \"b\"]".to_owned()
                }
                _ => format!("{} where {wanted} belongs", node.kind()),
            },
        });
    }
}

/// Any text that is not empty.
pub(super) fn not_empty(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("empty".to_owned());
    }
    Ok(text.to_owned())
}
