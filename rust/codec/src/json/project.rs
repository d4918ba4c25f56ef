//! One document to the cells of a projection, without a value tree.

use super::decode;
use super::reader::{Number, Reader};
use crate::projection::{Cells, NodeId, ROOT};
use crate::{Cell, Code, DecodeError, Projection};
use jiter::Peek;
use std::borrow::Cow;

/// Picks the projection's paths from one JSON document without building a tree; the whole document is checked.
/// The document must be an object (`not_an_object`). `None`: the path leads nowhere.
pub fn project<'a>(
    bytes: &'a [u8],
    projection: &Projection,
) -> Result<Vec<Option<Cell<'a>>>, DecodeError> {
    let mut walk = Walk {
        reader: Reader::new(bytes)?,
        projection,
        cells: projection.empty_cells(),
    };
    let peek = walk.reader.peek()?;
    walk.value(ROOT, peek, 1)?;
    walk.reader.finish()?;
    if peek != Peek::Object {
        return Err(not_an_object(peek));
    }
    Ok(walk.cells)
}

/// A document that is JSON, but not a record.
fn not_an_object(peek: Peek) -> DecodeError {
    let kind = match peek {
        Peek::Array => "an array",
        Peek::String => "a string",
        Peek::Null => "null",
        Peek::True | Peek::False => "a boolean",
        _ => "a number",
    };
    DecodeError::new(
        Code::NotAnObject,
        format!("the record is {kind}, expected an object"),
    )
}

struct Walk<'a, 'p> {
    reader: Reader<'a>,
    projection: &'p Projection,
    cells: Cells<'a>,
}

impl<'a> Walk<'a, '_> {
    fn value(&mut self, id: NodeId, peek: Peek, depth: usize) -> Result<(), DecodeError> {
        let node = self.projection.node(id);
        if node.is_leaf() {
            if node.is_wanted() {
                let cell = Self::cell(&mut self.reader, peek, depth)?;
                node.fill(cell, &mut self.cells);
                return Ok(());
            }
            return self.reader.skip(peek, depth);
        }
        node.clear(&mut self.cells);
        if node.is_wanted() {
            // Read twice, for the whole and for its parts: cells of parts keep what a tree has lost.
            let whole = Self::cell(&mut self.reader.clone(), peek, depth)?;
            node.fill(whole, &mut self.cells);
        }
        match peek {
            Peek::Object if node.has_fields() => self.object(id, depth),
            Peek::Array if node.has_indices() => self.array(id, depth),
            _ => self.reader.skip(peek, depth),
        }
    }

    fn object(&mut self, id: NodeId, depth: usize) -> Result<(), DecodeError> {
        self.reader.check_depth(depth)?;
        let node = self.projection.node(id);
        let mut hint = 0;
        let mut key = self.reader.first_key(|name| node.child(name, &mut hint))?;
        while let Some(child) = key {
            let peek = self.reader.peek()?;
            match child {
                Some(child) => self.value(child, peek, depth + 1)?,
                None => self.reader.skip(peek, depth + 1)?,
            }
            key = self.reader.next_key(|name| node.child(name, &mut hint))?;
        }
        Ok(())
    }

    fn array(&mut self, id: NodeId, depth: usize) -> Result<(), DecodeError> {
        self.reader.check_depth(depth)?;
        let node = self.projection.node(id);
        let mut item = self.reader.first_item()?;
        let mut index = 0;
        while let Some(peek) = item {
            match node.child_at(index) {
                Some(child) => self.value(child, peek, depth + 1)?,
                None => self.reader.skip(peek, depth + 1)?,
            }
            index += 1;
            item = self.reader.next_item()?;
        }
        Ok(())
    }

    fn cell(reader: &mut Reader<'a>, peek: Peek, depth: usize) -> Result<Cell<'a>, DecodeError> {
        Ok(match peek {
            Peek::String => Cell::Text(reader.string()?),
            Peek::Null => {
                reader.null()?;
                Cell::Null
            }
            Peek::True | Peek::False => Cell::Bool(reader.boolean(peek)?),
            Peek::Object | Peek::Array => {
                Cell::Tree(Cow::Owned(decode::value(reader, peek, depth)?))
            }
            _ => match reader.number(peek)? {
                Number::Int(number) => Cell::Int(number),
                Number::Big(digits) => Cell::BigInt(Cow::Borrowed(digits)),
                Number::Float(number) => Cell::Float(number),
            },
        })
    }
}
