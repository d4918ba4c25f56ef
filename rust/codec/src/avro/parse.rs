//! A schema's text to a plan.
//!
//! Our own rather than the `apache-avro` crate's: that one drops fields that are no objects, lets a second definition
//! silently replace a name, resolves references in an order that differs from run to run, and logs what it ignores.
//! It stays the oracle of the tests, which it could not be if it parsed for both sides.

use super::default;
use super::plan::{Decimal, Enum, Field, Kind, NoDefault, Node, NodeId, Plan, Record, Union, Unit};
use crate::value_kind::{MAX_DEPTH, kind};
use crate::{Code, ObjectMap, SchemaError, Value, json};
use std::collections::{HashMap, HashSet};

/// Longest text of a schema and its references together, in bytes.
const MAX_TEXT: usize = 8 * 1024 * 1024;

/// Most digits of a decimal. Java's and Cassandra's own limits are far higher, a schema's never is.
const MAX_PRECISION: i64 = 4300;

pub(super) fn parse(text: &str, references: &[&str]) -> Result<Plan, SchemaError> {
    let length = references
        .iter()
        .fold(text.len(), |sum, text| sum.saturating_add(text.len()));
    if length > MAX_TEXT {
        return Err(SchemaError::unsupported(format!(
            "the schema has {length} bytes, at most {MAX_TEXT} are read"
        )));
    }
    let mut parser = Parser::default();
    let mut seen = HashSet::new();
    for reference in references {
        // Two subjects may both bring a third one along.
        if seen.insert(*reference) {
            parser.references.push(Some(json_text(reference)?));
        }
    }
    let root = parser.schema(&json_text(text)?, "")?;
    Ok(Plan {
        nodes: parser.nodes,
        root,
    })
}

fn json_text(text: &str) -> Result<Value, SchemaError> {
    json::decode(text.as_bytes())
        .map_err(|error| SchemaError::unsupported(format!("the schema's text: {}", error.detail)))
}

#[derive(Default)]
struct Parser {
    nodes: Vec<Node>,
    names: HashMap<String, NodeId>,
    /// Records whose fields are being parsed: naming one of them is recursion.
    open: HashSet<String>,
    /// Referenced schemas that no name has asked for yet.
    references: Vec<Option<Value>>,
    /// The fields on the way to where the parser is, for messages.
    path: Vec<String>,
    level: usize,
}

type Parsed<T> = Result<T, SchemaError>;

impl Parser {
    fn error(&self, detail: impl std::fmt::Display) -> SchemaError {
        let separator = if self.path.is_empty() { "" } else { ": " };
        SchemaError::unsupported(format!("{}{separator}{detail}", self.path.join(".")))
    }

    fn schema(&mut self, schema: &Value, namespace: &str) -> Parsed<NodeId> {
        // Twice, because a type may be wrapped in an object of its own.
        if self.level > 2 * MAX_DEPTH {
            return Err(self.error(format!("more than {MAX_DEPTH} levels of types")));
        }
        self.level += 1;
        let parsed = match schema {
            Value::String(name) => self.named(name, namespace),
            Value::Array(branches) => self.union(branches, namespace),
            Value::Object(map) => self.complex(map, namespace),
            other => Err(self.error(format!("a type cannot be {}", kind(other)))),
        };
        self.level -= 1;
        parsed
    }

    /// A type by its name alone.
    fn named(&mut self, name: &str, namespace: &str) -> Parsed<NodeId> {
        if let Some(primitive) = primitive(name) {
            return self.add(primitive);
        }
        let full = full_name(name, namespace);
        if let Some(id) = self.known(&full, name)? {
            return Ok(id);
        }
        self.read_references(&full)?;
        match self.known(&full, name)? {
            Some(id) => Ok(id),
            None => Err(self.error(format!(
                "type {full} is not known; give the schema it is defined in as a reference"
            ))),
        }
    }

    /// A type that has been defined; a name without a namespace may also be meant as it is.
    fn known(&self, full: &str, name: &str) -> Parsed<Option<NodeId>> {
        for candidate in [full, name] {
            if self.open.contains(candidate) {
                return Err(SchemaError {
                    code: Code::SchemaRecursive,
                    detail: self
                        .error(format!("record {candidate} contains itself"))
                        .detail,
                });
            }
            if let Some(id) = self.names.get(candidate) {
                return Ok(Some(*id));
            }
        }
        Ok(None)
    }

    /// Parses the reference that defines the name or, as it may stand inside one, all that are left.
    fn read_references(&mut self, full: &str) -> Parsed<()> {
        let defines = |reference: &Option<Value>| matches!(reference, Some(Value::Object(map)) if defined_name(map, "").as_deref() == Some(full));
        if let Some(reference) = self
            .references
            .iter_mut()
            .find(|reference| defines(reference))
        {
            let schema = reference.take();
            return self.reference(schema);
        }
        for place in 0..self.references.len() {
            let schema = self.references[place].take();
            self.reference(schema)?;
        }
        Ok(())
    }

    fn reference(&mut self, schema: Option<Value>) -> Parsed<()> {
        match schema {
            Some(schema) => self.schema(&schema, "").map(drop),
            None => Ok(()),
        }
    }

    fn union(&mut self, branches: &[Value], namespace: &str) -> Parsed<NodeId> {
        if branches.is_empty() {
            return Err(self.error("a union needs a branch"));
        }
        let branches = branches
            .iter()
            .map(|branch| self.schema(branch, namespace))
            .collect::<Parsed<Vec<_>>>()?;
        let kind = |id: &NodeId| &self.nodes[id.0].kind;
        if branches.iter().any(|id| matches!(kind(id), Kind::Union(_))) {
            return Err(self.error("a union directly within a union"));
        }
        let null = branches
            .iter()
            .position(|id| matches!(kind(id), Kind::Null));
        self.add(Kind::Union(Union { branches, null }))
    }

    fn complex(&mut self, map: &ObjectMap, namespace: &str) -> Parsed<NodeId> {
        let name = match map.get("type") {
            Some(Value::String(name)) => name,
            Some(wrapped) => return self.schema(wrapped, namespace),
            None => return Err(self.error("a type without the attribute \"type\"")),
        };
        match &**name {
            "record" | "error" => self.record(map, namespace),
            "enum" => self.enumeration(map, namespace),
            "fixed" => self.fixed(map, namespace),
            "array" => {
                let items = self.attribute(map, "items", "array")?;
                let item = self.schema(items, namespace)?;
                self.add(Kind::Array(item))
            }
            "map" => {
                let values = self.attribute(map, "values", "map")?;
                let value = self.schema(values, namespace)?;
                self.add(Kind::Map(value))
            }
            name => match primitive(name) {
                Some(base) => {
                    let logical = logical(&base, map);
                    self.add(logical.unwrap_or(base))
                }
                None => self.named(name, namespace),
            },
        }
    }

    fn attribute<'m>(&self, map: &'m ObjectMap, name: &str, of: &str) -> Parsed<&'m Value> {
        map.get(name)
            .ok_or_else(|| self.error(format!("{of} without {name:?}")))
    }

    fn attribute_list<'m>(&self, map: &'m ObjectMap, name: &str, of: &str) -> Parsed<&'m [Value]> {
        match self.attribute(map, name, of)? {
            Value::Array(items) => Ok(items),
            other => Err(self.error(format!(
                "{name:?} of {of} is {}, expected an array",
                kind(other)
            ))),
        }
    }

    /// The full name a named type defines.
    fn defines(&self, map: &ObjectMap, namespace: &str) -> Parsed<String> {
        let name = defined_name(map, namespace)
            .ok_or_else(|| self.error("a named type without a name"))?;
        if self.names.contains_key(&name) || self.open.contains(&name) {
            return Err(self.error(format!("type {name} is defined twice")));
        }
        Ok(name)
    }

    fn record(&mut self, map: &ObjectMap, namespace: &str) -> Parsed<NodeId> {
        let name = self.defines(map, namespace)?;
        let listed = self.attribute_list(map, "fields", "a record")?;
        self.open.insert(name.clone());
        let inner_namespace = name.rsplit_once('.').map_or("", |(space, _)| space);
        let mut fields = Vec::with_capacity(listed.len());
        for field in listed {
            fields.push(self.field(field, inner_namespace)?);
        }
        let mut sorted: Vec<usize> = (0..fields.len()).collect();
        sorted.sort_by(|a, b| fields[*a].name.cmp(&fields[*b].name));
        if let Some(twice) = sorted
            .windows(2)
            .find(|pair| fields[pair[0]].name == fields[pair[1]].name)
        {
            return Err(self.error(format!(
                "record {name} has field {:?} twice",
                fields[twice[0]].name
            )));
        }
        self.open.remove(&name);
        let id = self.add(Kind::Record(Record {
            name: name.clone(),
            fields,
            sorted,
        }))?;
        self.names.insert(name, id);
        Ok(id)
    }

    fn field(&mut self, field: &Value, namespace: &str) -> Parsed<Field> {
        let Value::Object(map) = field else {
            return Err(self.error(format!("a field is {}, expected an object", kind(field))));
        };
        let name = match map.get("name") {
            Some(Value::String(name)) if !name.is_empty() => name.to_string(),
            _ => return Err(self.error("a field without a name")),
        };
        self.path.push(name.clone());
        let schema = self.attribute(map, "type", "a field")?;
        let node = self.schema(schema, namespace)?;
        let default = match map.get("default") {
            None => Err(NoDefault::Absent),
            Some(value) => default::encode(&self.nodes, node, value).ok_or(NoDefault::Unusable),
        };
        self.path.pop();
        Ok(Field {
            name,
            node,
            default,
        })
    }

    fn enumeration(&mut self, map: &ObjectMap, namespace: &str) -> Parsed<NodeId> {
        let name = self.defines(map, namespace)?;
        let listed = self.attribute_list(map, "symbols", "an enum")?;
        let mut by_symbol = HashMap::with_capacity(listed.len());
        for (index, symbol) in listed.iter().enumerate() {
            let Value::String(text) = symbol else {
                return Err(self.error(format!("a symbol of enum {name} is {}", kind(symbol))));
            };
            if by_symbol.insert(text.to_string(), index).is_some() {
                return Err(self.error(format!("enum {name} has symbol {text:?} twice")));
            }
        }
        let id = self.add(Kind::Enum(Enum {
            name: name.clone(),
            symbols: listed.to_vec(),
            by_symbol,
        }))?;
        self.names.insert(name, id);
        Ok(id)
    }

    fn fixed(&mut self, map: &ObjectMap, namespace: &str) -> Parsed<NodeId> {
        let name = self.defines(map, namespace)?;
        let size = match self.attribute(map, "size", "a fixed")? {
            Value::Integer(size) => u32::try_from(*size).ok(),
            _ => None,
        };
        let Some(size) = size else {
            return Err(self.error(format!(
                "\"size\" of fixed {name} is no number from 0 to 4294967295"
            )));
        };
        let base = Kind::Fixed {
            name: name.clone(),
            size: size as usize,
        };
        let logical = logical(&base, map);
        let id = self.add(logical.unwrap_or(base))?;
        self.names.insert(name, id);
        Ok(id)
    }

    fn add(&mut self, kind: Kind) -> Parsed<NodeId> {
        let (min_size, inner_depth) = self.measure(&kind);
        let depth = inner_depth + 1;
        if depth > MAX_DEPTH {
            return Err(self.error(format!("more than {MAX_DEPTH} levels of types")));
        }
        self.nodes.push(Node {
            kind,
            min_size,
            depth,
        });
        Ok(NodeId(self.nodes.len() - 1))
    }

    /// The fewest bytes a value takes, and how deep its parts are.
    fn measure(&self, kind: &Kind) -> (usize, usize) {
        let node = |id: &NodeId| &self.nodes[id.0];
        let deepest = |ids: &mut dyn Iterator<Item = &NodeId>| {
            ids.map(|id| node(id).depth).max().unwrap_or(0)
        };
        match kind {
            Kind::Null => (0, 0),
            Kind::Float => (4, 0),
            Kind::Double => (8, 0),
            Kind::UuidFixed => (16, 0),
            Kind::Duration => (12, 0),
            Kind::Fixed { size, .. }
            | Kind::Decimal(Decimal {
                fixed: Some(size), ..
            }) => (*size, 0),
            Kind::Array(item) | Kind::Map(item) => (1, node(item).depth),
            Kind::Union(union) => {
                let smallest = union
                    .branches
                    .iter()
                    .map(|id| node(id).min_size)
                    .min()
                    .unwrap_or(0);
                (
                    smallest.saturating_add(1),
                    deepest(&mut union.branches.iter()),
                )
            }
            Kind::Record(record) => (
                record.fields.iter().fold(0, |sum, field| {
                    sum.saturating_add(node(&field.node).min_size)
                }),
                deepest(&mut record.fields.iter().map(|field| &field.node)),
            ),
            _ => (1, 0),
        }
    }
}

fn primitive(name: &str) -> Option<Kind> {
    Some(match name {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        _ => return None,
    })
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

/// The full name that a named type's object gives; its own namespace goes before the enclosing one.
fn defined_name(map: &ObjectMap, enclosing: &str) -> Option<String> {
    let Some(Value::String(name)) = map.get("name") else {
        return None;
    };
    let namespace = match map.get("namespace") {
        Some(Value::String(namespace)) => namespace,
        _ => enclosing,
    };
    (!name.is_empty()).then(|| full_name(name, namespace))
}

/// The logical type an object asks for. An unknown one, or one that does not fit its base, is ignored, as the
/// specification wants it.
fn logical(base: &Kind, map: &ObjectMap) -> Option<Kind> {
    let Some(Value::String(logical)) = map.get("logicalType") else {
        return None;
    };
    Some(match (base, &**logical) {
        (Kind::Bytes, "decimal") => Kind::Decimal(decimal(map, None)?),
        (Kind::Fixed { size, .. }, "decimal") => Kind::Decimal(decimal(map, Some(*size))?),
        (Kind::String, "uuid") => Kind::UuidString,
        (Kind::Fixed { size: 16, .. }, "uuid") => Kind::UuidFixed,
        (Kind::Fixed { size: 12, .. }, "duration") => Kind::Duration,
        (Kind::Int, "date") => Kind::Date,
        (Kind::Int, "time-millis") => Kind::TimeMillis,
        (Kind::Long, "time-micros") => Kind::TimeMicros,
        (Kind::Long, "timestamp-millis") => Kind::Timestamp(Unit::Millis),
        (Kind::Long, "timestamp-micros") => Kind::Timestamp(Unit::Micros),
        (Kind::Long, "timestamp-nanos") => Kind::Timestamp(Unit::Nanos),
        (Kind::Long, "local-timestamp-millis") => Kind::LocalTimestamp(Unit::Millis),
        (Kind::Long, "local-timestamp-micros") => Kind::LocalTimestamp(Unit::Micros),
        (Kind::Long, "local-timestamp-nanos") => Kind::LocalTimestamp(Unit::Nanos),
        _ => return None,
    })
}

fn decimal(map: &ObjectMap, fixed: Option<usize>) -> Option<Decimal> {
    let precision = map.get("precision")?.as_integer()?;
    let scale = map.get("scale").map_or(Some(0), Value::as_integer)?;
    let fits = (1..=MAX_PRECISION).contains(&precision) && (0..=precision).contains(&scale);
    fits.then_some(Decimal {
        precision: u32::try_from(precision).ok()?,
        scale: u32::try_from(scale).ok()?,
        fixed,
    })
}
