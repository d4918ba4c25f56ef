//! The encoding of a field's default, made once when the schema is parsed.

use super::encode::{double, single, write_bytes, write_index, write_long};
use super::plan::{Decimal, Kind, Node, NodeId, Union};
use crate::Value;

/// Longest encoding of a default, in bytes: defaults of types within types can double at every level.
const MAX_SIZE: usize = 64 * 1024;

/// Most values looked at for one default: branches of unions within unions can double at every level too.
const MAX_STEPS: usize = 64 * 1024;

/// The encoding of a default as the schema's JSON gives it: bytes as text of code points 0 to 255, logical types as
/// their base. `None` if it is not of the type.
pub(super) fn encode(nodes: &[Node], id: NodeId, default: &Value) -> Option<Vec<u8>> {
    let mut writer = Writer {
        nodes,
        steps: 0,
        out: Vec::new(),
    };
    writer.write(id, default)?;
    Some(writer.out)
}

struct Writer<'n> {
    nodes: &'n [Node],
    steps: usize,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn write(&mut self, id: NodeId, default: &Value) -> Option<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS || self.out.len() > MAX_SIZE {
            return None;
        }
        let node = &self.nodes[id.0];
        let out = &mut self.out;
        match (&node.kind, default) {
            (Kind::Null, Value::Null) => {}
            (Kind::Boolean, Value::Boolean(flag)) => out.push(u8::from(*flag)),
            (Kind::Int | Kind::Date | Kind::TimeMillis, Value::Integer(number)) => {
                write_long(i64::from(i32::try_from(*number).ok()?), out);
            }
            (
                Kind::Long | Kind::TimeMicros | Kind::Timestamp(_) | Kind::LocalTimestamp(_),
                Value::Integer(number),
            ) => write_long(*number, out),
            (Kind::Float, _) => out.extend_from_slice(&single(default).ok()?.to_le_bytes()),
            (Kind::Double, _) => out.extend_from_slice(&double(default).ok()?.to_le_bytes()),
            (Kind::String | Kind::UuidString, Value::String(text)) => {
                write_bytes(text.as_bytes(), out);
            }
            (Kind::Bytes | Kind::Decimal(Decimal { fixed: None, .. }), Value::String(text)) => {
                write_bytes(&latin1(text)?, out);
            }
            (
                Kind::Fixed { .. } | Kind::Decimal(_) | Kind::UuidFixed | Kind::Duration,
                Value::String(text),
            ) => {
                let bytes = latin1(text)?;
                if bytes.len() != node.min_size {
                    return None;
                }
                out.extend_from_slice(&bytes);
            }
            (Kind::Enum(symbols), Value::String(text)) => {
                write_index(*symbols.by_symbol.get(&**text)?, out);
            }
            (Kind::Array(item), Value::Array(items)) => {
                self.count(items.len());
                for value in items {
                    self.write(*item, value)?;
                }
                self.out.push(0);
            }
            (Kind::Map(item), Value::Object(map)) => {
                self.count(map.len());
                for (key, value) in map {
                    write_bytes(key.as_bytes(), &mut self.out);
                    self.write(*item, value)?;
                }
                self.out.push(0);
            }
            (Kind::Record(record), Value::Object(map)) => {
                for field in &record.fields {
                    match map.get(field.name.as_str()) {
                        Some(value) => self.write(field.node, value)?,
                        None => self.out.extend_from_slice(field.default.as_ref().ok()?),
                    }
                }
            }
            (Kind::Union(union), _) => self.union(union, default)?,
            _ => return None,
        }
        (self.out.len() <= MAX_SIZE).then_some(())
    }

    /// The count of a block, if there are items for one.
    fn count(&mut self, items: usize) {
        if items > 0 {
            write_index(items, &mut self.out);
        }
    }

    /// A union's default belongs to the first branch it fits.
    fn union(&mut self, union: &Union, default: &Value) -> Option<()> {
        let start = self.out.len();
        for (index, branch) in union.branches.iter().enumerate() {
            write_index(index, &mut self.out);
            if self.write(*branch, default).is_some() {
                return Some(());
            }
            self.out.truncate(start);
        }
        None
    }
}

/// Bytes written as the text of their code points.
fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect()
}
