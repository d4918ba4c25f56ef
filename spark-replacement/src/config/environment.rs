//! Environment variables in a configuration: `${VAR}` in its strings, and `MILLSTREAM__SECTION__KEY` over its keys.

use super::document::{Node, Value};
use super::fault::{Fault, FaultList, Origin, shown};
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Variables that begin with this replace keys; `__` separates the levels of the key.
pub const OVERRIDE_PREFIX: &str = "MILLSTREAM__";

/// Texts under these keys are programs or patterns: nothing is replaced in them.
const VERBATIM: [&str; 3] = ["remap", "filter", "topic_pattern"];

/// Where variables come from: the process, or a map in tests.
pub trait EnvSource {
    /// The variable's value, if it is set.
    fn var(&self, name: &str) -> Option<OsString>;
    /// All variables.
    fn vars(&self) -> Vec<(OsString, OsString)>;
}

/// The environment of this process: the only place that reads it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl EnvSource for ProcessEnv {
    fn var(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn vars(&self) -> Vec<(OsString, OsString)> {
        std::env::vars_os().collect()
    }
}

impl EnvSource for BTreeMap<String, String> {
    fn var(&self, name: &str) -> Option<OsString> {
        self.get(name).map(OsString::from)
    }

    fn vars(&self) -> Vec<(OsString, OsString)> {
        let pairs = self.iter();
        pairs
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }
}

/// Replaces `${VAR}` and `${VAR:-default}` in every string of the tree but programs. `$${` stands for `${`.
pub(super) fn interpolate(root: &mut Node, env: &dyn EnvSource, faults: &FaultList) {
    visit(root, "", env, faults);
}

fn visit(node: &mut Node, path: &str, env: &dyn EnvSource, faults: &FaultList) {
    match &mut node.value {
        Value::Text(text) => {
            if text.contains("${") {
                match expand(text, env) {
                    Ok(expanded) => {
                        *text = expanded;
                        node.interpolated = true;
                    }
                    Err(problem) => faults.unresolved(Fault {
                        origin: node.origin.clone(),
                        key: path.to_owned(),
                        value: None,
                        rule: problem,
                    }),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                visit(item, &format!("{path}[{index}]"), env, faults);
            }
        }
        Value::Table(table) => {
            for (key, child) in table {
                let verbatim = path.starts_with("pipelines.") && VERBATIM.contains(&key.as_str());
                if !verbatim {
                    visit(child, &join(path, key), env, faults);
                }
            }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

fn expand(text: &str, env: &dyn EnvSource) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let end = inner
            .find('}')
            .ok_or("`${` without `}`; write `$${` for the characters themselves")?;
        out.push_str(&look_up(&inner[..end], env)?);
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn look_up(inner: &str, env: &dyn EnvSource) -> Result<String, String> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let named = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !named {
        return Err(format!(
            "`${{{inner}}}` names no variable; write `${{NAME}}` or `${{NAME:-default}}`"
        ));
    }
    let value = env.var(name);
    match (value, default) {
        (Some(value), default) => {
            let value = value
                .into_string()
                .map_err(|_| format!("environment variable {name} is not UTF-8"))?;
            // As in a shell, `:-` also stands in for an empty value.
            Ok(match default {
                Some(default) if value.is_empty() => default.to_owned(),
                _ => value,
            })
        }
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!(
            "environment variable {name} not set; set it or write `${{{name}:-default}}`"
        )),
    }
}

/// Puts the values of `MILLSTREAM__…` variables over the tree. Two variables for one key are a fault.
pub(super) fn apply_overrides(root: &mut Node, env: &dyn EnvSource, faults: &FaultList) {
    let mut overrides: BTreeMap<Vec<String>, (String, String)> = BTreeMap::new();
    for (name, value) in env.vars() {
        let name = name.to_string_lossy().into_owned();
        let Some(rest) = strip_prefix_ignoring_case(&name, OVERRIDE_PREFIX) else {
            continue;
        };
        let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        let refuse = |rule: String| {
            faults.push(Fault {
                origin: Origin::Environment(name.clone()),
                key: path.join("."),
                value: None,
                rule,
            });
        };
        let Ok(value) = value.into_string() else {
            refuse("its value is not UTF-8".to_owned());
            continue;
        };
        if path.iter().any(String::is_empty) {
            refuse("names no key; write MILLSTREAM__SECTION__KEY".to_owned());
            continue;
        }
        let path = property_name(path.clone());
        if let Some((other, _)) = overrides.get(&path) {
            refuse(format!("{other} sets the same key; unset one of them"));
            continue;
        }
        overrides.insert(path, (name.clone(), value));
    }
    // In the order of the map a table comes before the keys inside it, so the longer name wins.
    for (path, (name, value)) in overrides {
        if let Err(rule) = put(root, &path, &name, value) {
            faults.push(Fault {
                origin: Origin::Environment(name),
                key: path.join("."),
                value: None,
                rule,
            });
        }
    }
}

/// librdkafka's names have dots, which a variable cannot have: `KAFKA__PROPERTIES__SSL_CA_LOCATION`.
fn property_name(mut path: Vec<String>) -> Vec<String> {
    if let [section, table, name] = path.as_mut_slice()
        && section == "kafka"
        && table == "properties"
    {
        *name = name.replace('_', ".");
    }
    path
}

fn strip_prefix_ignoring_case<'n>(name: &'n str, prefix: &str) -> Option<&'n str> {
    let head = name.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &name[prefix.len()..])
}

fn put(node: &mut Node, path: &[String], name: &str, value: String) -> Result<(), String> {
    let Some((key, rest)) = path.split_first() else {
        *node = from_variable(name, value, false);
        return Ok(());
    };
    match &mut node.value {
        Value::Table(table) => {
            if rest.is_empty() {
                let verbatim = VERBATIM.contains(&key.as_str()) || super::reader::is_secret(key);
                table.insert(key.clone(), from_variable(name, value, verbatim));
                return Ok(());
            }
            let child = table.entry(key.clone()).or_insert_with(|| {
                Node::new(
                    Value::Table(BTreeMap::new()),
                    Origin::Environment(name.to_owned()),
                )
            });
            put(child, rest, name, value)
        }
        Value::Array(items) => {
            let length = items.len();
            let item = key.parse::<usize>().ok().and_then(|at| items.get_mut(at));
            let item = item.ok_or_else(|| {
                format!(
                    "{key:?} is not the number of an entry; the list has {length}, counted from 0"
                )
            })?;
            put(item, rest, name, value)
        }
        _ => Err(format!(
            "goes below {}, which has no keys",
            shown(&path.join("."))
        )),
    }
}

/// A variable's text. Lists and tables are JSON; what looks like JSON and is none stays a text.
fn from_variable(name: &str, text: String, verbatim: bool) -> Node {
    let origin = Origin::Environment(name.to_owned());
    if !verbatim
        && text.trim_start().starts_with(['[', '{'])
        && let Ok(json) = serde_json::from_str::<serde_json::Value>(&text)
    {
        return from_json(json, &origin);
    }
    let mut node = Node::new(Value::Text(text), origin);
    node.interpolated = true;
    node
}

fn from_json(json: serde_json::Value, origin: &Origin) -> Node {
    let value = match json {
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Bool(value) => Value::Boolean(value),
        serde_json::Value::Number(number) if number.is_f64() => Value::Float(number.to_string()),
        serde_json::Value::Number(number) => Value::Integer(number.to_string()),
        serde_json::Value::Null => Value::Text(String::new()),
        serde_json::Value::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| from_json(item, origin))
                .collect(),
        ),
        serde_json::Value::Object(map) => {
            let entries = map.into_iter();
            Value::Table(
                entries
                    .map(|(key, item)| (key, from_json(item, origin)))
                    .collect(),
            )
        }
    };
    let mut node = Node::new(value, origin.clone());
    node.interpolated = true;
    node
}

/// A key below a path.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let key = if bare {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}
