//! The compiled schema: an arena of nodes with every name resolved. No node contains itself.

use crate::Value;
use std::collections::HashMap;

/// A node's place in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(pub(super) usize);

/// A whole schema.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) root: NodeId,
}

/// One type of the schema.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The fewest bytes a value of this type takes.
    pub(super) min_size: usize,
    /// Levels of types from here inwards, this one included.
    pub(super) depth: usize,
}

/// What a type is. Units are those of the logical type's name.
#[derive(Debug)]
pub(super) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed { name: String, size: usize },
    Enum(Enum),
    Array(NodeId),
    Map(NodeId),
    Union(Union),
    Record(Record),
    Decimal(Decimal),
    UuidString,
    UuidFixed,
    Date,
    TimeMillis,
    TimeMicros,
    Timestamp(Unit),
    LocalTimestamp(Unit),
    Duration,
}

#[derive(Debug)]
pub(super) struct Enum {
    pub(super) name: String,
    /// The symbols as values, made once: a clone shares the text.
    pub(super) symbols: Vec<Value>,
    pub(super) by_symbol: HashMap<String, usize>,
}

#[derive(Debug)]
pub(super) struct Union {
    pub(super) branches: Vec<NodeId>,
    /// The branch that is null.
    pub(super) null: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
    /// The fields' places by name, in the order in which a value's map has its fields.
    pub(super) sorted: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) node: NodeId,
    /// The default's own encoding, made once, or why there is none.
    pub(super) default: Result<Vec<u8>, NoDefault>,
}

/// Why a missing field cannot be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoDefault {
    /// The schema gives none.
    Absent,
    /// The schema's default is not of the field's type. Reading does not need it, so the schema is taken.
    Unusable,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    /// Digits at most.
    pub(super) precision: u32,
    /// Digits after the point.
    pub(super) scale: u32,
    /// The size of the fixed it stands on; bytes if none.
    pub(super) fixed: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Plan {
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    pub(super) fn kind(&self, id: NodeId) -> &Kind {
        &self.nodes[id.0].kind
    }

    pub(super) fn name(&self) -> Option<&str> {
        match self.kind(self.root) {
            Kind::Record(record) => Some(&record.name),
            Kind::Enum(symbols) => Some(&symbols.name),
            Kind::Fixed { name, .. } => Some(name),
            _ => None,
        }
    }
}

impl Kind {
    /// The type as a message names it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Boolean => "boolean".into(),
            Self::Int => "int".into(),
            Self::Long => "long".into(),
            Self::Float => "float".into(),
            Self::Double => "double".into(),
            Self::Bytes => "bytes".into(),
            Self::String => "string".into(),
            Self::Fixed { size, .. } => format!("fixed of {size} bytes"),
            Self::Enum(symbols) => format!("enum {}", symbols.name),
            Self::Array(_) => "array".into(),
            Self::Map(_) => "map".into(),
            Self::Union(_) => "union".into(),
            Self::Record(record) => format!("record {}", record.name),
            Self::Decimal(decimal) => format!("decimal({}, {})", decimal.precision, decimal.scale),
            Self::UuidString | Self::UuidFixed => "uuid".into(),
            Self::Date => "date".into(),
            Self::TimeMillis => "time-millis".into(),
            Self::TimeMicros => "time-micros".into(),
            Self::Timestamp(unit) => format!("timestamp-{}", unit.name()),
            Self::LocalTimestamp(unit) => format!("local-timestamp-{}", unit.name()),
            Self::Duration => "duration".into(),
        }
    }
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Millis => "millis",
            Self::Micros => "micros",
            Self::Nanos => "nanos",
        }
    }

    /// Nanoseconds in one of the unit.
    pub(super) fn nanos(self) -> u32 {
        match self {
            Self::Millis => 1_000_000,
            Self::Micros => 1_000,
            Self::Nanos => 1,
        }
    }
}
