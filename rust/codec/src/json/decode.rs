//! One document to a value tree.

use super::reader::{Number, Reader};
use crate::{DecodeError, KeyString, ObjectMap, Value};
use jiter::Peek;

/// Decodes one JSON document. Errors: `empty_value`, `bad_json` with line and column, `too_deep` beyond 127 levels.
pub fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut reader = Reader::new(bytes)?;
    let peek = reader.peek()?;
    let value = value(&mut reader, peek, 1)?;
    reader.finish()?;
    Ok(value)
}

/// Reads the value at the cursor; an array or object opens level `depth`.
pub(super) fn value(
    reader: &mut Reader<'_>,
    peek: Peek,
    depth: usize,
) -> Result<Value, DecodeError> {
    Ok(match peek {
        Peek::Object => Value::Object(object(reader, depth)?),
        Peek::Array => Value::Array(array(reader, depth)?),
        Peek::String => Value::from(reader.string()?),
        Peek::Null => {
            reader.null()?;
            Value::Null
        }
        Peek::True | Peek::False => Value::Boolean(reader.boolean(peek)?),
        _ => match reader.number(peek)? {
            Number::Int(number) => Value::Integer(number),
            Number::Big(digits) => Value::from(digits),
            // The reader gives finite floats only, so nothing becomes zero here.
            Number::Float(number) => Value::from_f64_or_zero(number),
        },
    })
}

fn object(reader: &mut Reader<'_>, depth: usize) -> Result<ObjectMap, DecodeError> {
    reader.check_depth(depth)?;
    let mut map = ObjectMap::new();
    let mut key = reader.first_key(|name| KeyString::from(name))?;
    while let Some(name) = key {
        let peek = reader.peek()?;
        map.insert(name, value(reader, peek, depth + 1)?);
        key = reader.next_key(|name| KeyString::from(name))?;
    }
    Ok(map)
}

fn array(reader: &mut Reader<'_>, depth: usize) -> Result<Vec<Value>, DecodeError> {
    reader.check_depth(depth)?;
    let mut items = Vec::new();
    let mut item = reader.first_item()?;
    while let Some(peek) = item {
        items.push(value(reader, peek, depth + 1)?);
        item = reader.next_item()?;
    }
    Ok(items)
}
