//! The functions that take a closure, with a meter before each turn.
//!
//! The language copies a value whenever it reads one, and its own step counter sees neither the size of a copy nor the
//! variables. So what a turn may copy is weighed before it: every variable whose name stands in the call's text.

use super::meter;
use std::collections::BTreeSet;
use std::sync::Arc;
use vrl::compiler::prelude::*;
use vrl::compiler::state::{TypeInfo, TypeState};
use vrl::parser::ast::Ident;

/// Which function it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Filter,
    ForEach,
    MapKeys,
    MapValues,
    ReplaceWith,
}

impl Form {
    /// The function of the library that has this name, if it takes a closure.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "filter" => Self::Filter,
            "for_each" => Self::ForEach,
            "map_keys" => Self::MapKeys,
            "map_values" => Self::MapValues,
            "replace_with" => Self::ReplaceWith,
            _ => return None,
        })
    }
}

/// A call of such a function: the library says its types, this says how it runs.
#[derive(Debug, Clone)]
pub(super) struct Metered {
    form: Form,
    library: Box<dyn Expression>,
    value: Box<dyn Expression>,
    recursive: Option<Box<dyn Expression>>,
    pattern: Option<Box<dyn Expression>>,
    count: Option<Box<dyn Expression>>,
    closure: Closure,
    /// What may be a variable that a turn reads or writes.
    names: Arc<[Ident]>,
}

impl Metered {
    /// `text` is the call's own, `library` what the library made of the same arguments.
    pub(super) fn new(
        form: Form,
        text: &str,
        arguments: &ArgumentList,
        library: Box<dyn Expression>,
    ) -> Result<Self, function::Error> {
        Ok(Self {
            form,
            library,
            value: arguments.required("value"),
            recursive: arguments.optional("recursive"),
            pattern: arguments.optional("pattern"),
            count: arguments.optional("count"),
            closure: arguments.required_closure()?,
            names: names(text),
        })
    }
}

/// Every word, be it in a path or in a template: one too many costs a look-up, one too few would go unweighed.
fn names(text: &str) -> Arc<[Ident]> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(Ident::new)
        .collect()
}

impl Expression for Metered {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let recursive = match &self.recursive {
            Some(recursive) => recursive.resolve(ctx)?.try_boolean()?,
            None => false,
        };
        let value = self.value.resolve(ctx)?;
        let runner = closure::Runner::new(&self.closure.variables, |ctx: &mut Context| {
            meter::weigh(ctx, &self.names)?;
            self.closure.block.resolve(ctx)
        });
        match self.form {
            Form::Filter => filter(value, ctx, &runner),
            Form::ForEach => for_each(value, ctx, &runner),
            Form::MapKeys => map_keys(value, recursive, ctx, &runner),
            Form::MapValues => map_values(value, recursive, ctx, &runner),
            Form::ReplaceWith => self.replace_with(&value, ctx, &runner),
        }
    }

    fn type_info(&self, state: &TypeState) -> TypeInfo {
        self.library.type_info(state)
    }
}

type Turn<'a, T> = closure::Runner<'a, T>;

fn filter<T>(value: Value, ctx: &mut Context, turn: &Turn<'_, T>) -> Resolved
where
    T: Fn(&mut Context) -> Resolved,
{
    match value {
        Value::Object(object) => {
            let mut kept = ObjectMap::new();
            for (key, value) in object {
                if turn.run_key_value(ctx, &key, &value)?.try_boolean()? {
                    kept.insert(key, value);
                }
            }
            Ok(kept.into())
        }
        Value::Array(array) => {
            let mut kept = Vec::new();
            for (index, value) in array.into_iter().enumerate() {
                if turn.run_index_value(ctx, index, &value)?.try_boolean()? {
                    kept.push(value);
                }
            }
            Ok(kept.into())
        }
        _ => Err("function requires collection types as input".into()),
    }
}

fn for_each<T>(value: Value, ctx: &mut Context, turn: &Turn<'_, T>) -> Resolved
where
    T: Fn(&mut Context) -> Resolved,
{
    let mut turns = turn.scoped_loop(ctx);
    let ended = match value {
        Value::Array(array) => array
            .into_iter()
            .enumerate()
            .try_for_each(|(index, value)| turns.run_index_value(index, value).map(drop)),
        Value::Object(object) => object
            .into_iter()
            .try_for_each(|(key, value)| turns.run_key_value(key, value).map(drop)),
        _ => Ok(()),
    };
    match ended {
        Ok(()) | Err(ExpressionError::Break { .. }) => Ok(Value::Null),
        Err(error) => Err(error),
    }
}

fn map_keys<T>(value: Value, recursive: bool, ctx: &mut Context, turn: &Turn<'_, T>) -> Resolved
where
    T: Fn(&mut Context) -> Resolved,
{
    let mut items = value.into_iter(recursive);
    for item in items.by_ref() {
        if let IterItem::KeyValue(key, _) = item {
            turn.map_key(ctx, key)?;
        }
    }
    Ok(items.into())
}

fn map_values<T>(value: Value, recursive: bool, ctx: &mut Context, turn: &Turn<'_, T>) -> Resolved
where
    T: Fn(&mut Context) -> Resolved,
{
    let mut items = value.into_iter(recursive);
    for item in items.by_ref() {
        let (IterItem::KeyValue(_, value)
        | IterItem::IndexValue(_, value)
        | IterItem::Value(value)) = item;
        turn.map_value(ctx, value)?;
    }
    Ok(items.into())
}

impl Metered {
    fn replace_with<T>(&self, value: &Value, ctx: &mut Context, turn: &Turn<'_, T>) -> Resolved
    where
        T: Fn(&mut Context) -> Resolved,
    {
        let pattern = self
            .pattern
            .as_ref()
            .map_or(Ok(Value::Null), |pattern| pattern.resolve(ctx))?;
        let pattern = pattern
            .as_regex()
            .ok_or_else(|| ExpressionError::from("the pattern is no regular expression"))?;
        if pattern
            .capture_names()
            .flatten()
            .any(|name| matches!(name, "string" | "captures"))
        {
            return Err(r#"a capture group cannot be named "string" or "captures""#.into());
        }
        let count = match &self.count {
            Some(count) => count.resolve(ctx)?.try_integer()?,
            None => -1,
        };
        // A negative count replaces every match.
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let text = value.try_bytes_utf8_lossy()?;
        let mut replaced = String::with_capacity(text.len());
        let mut passed = 0;
        for captures in pattern.captures_iter(&text).take(count) {
            let whole = captures.get_match();
            let group = |index| {
                captures
                    .get(index)
                    .map_or(Value::Null, |group| group.as_str().into())
            };
            let mut found = ObjectMap::new();
            found.insert("string".into(), whole.as_str().into());
            for (index, name) in pattern.capture_names().enumerate().skip(1) {
                if let Some(name) = name {
                    found.insert(name.into(), group(index));
                }
            }
            let groups: Vec<Value> = (1..captures.len()).map(group).collect();
            found.insert("captures".into(), groups.into());
            let mut found = Value::Object(found);
            turn.map_value(ctx, &mut found)?;
            replaced.push_str(&text[passed..whole.start()]);
            replaced.push_str(&found.try_bytes_utf8_lossy()?);
            passed = whole.end();
        }
        replaced.push_str(&text[passed..]);
        Ok(replaced.into())
    }
}
