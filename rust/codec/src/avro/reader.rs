//! A bounded cursor over one datum: nothing is allocated that the bytes left cannot hold.

use crate::{Code, DecodeError, path};

/// Lengths and counts beyond this are a lie, not a record that was cut: no broker takes such a message.
const MAX_LENGTH: u64 = 64 * 1024 * 1024;

/// How many items to make room for at once.
const MAX_ROOM: usize = 1024;

/// How many values of one datum may take no bytes.
const MAX_EMPTY_VALUES: u64 = 65_536;

/// A fault on its way out of the recursion, gathering its path. Boxed, so that the good way carries one word.
#[derive(Debug)]
pub(super) struct Fault(Box<Facts>);

#[derive(Debug)]
struct Facts {
    code: Code,
    detail: String,
    path: String,
}

pub(super) type Outcome<T> = Result<T, Fault>;

impl Fault {
    #[cold]
    fn new(code: Code, detail: String) -> Self {
        Self(Box::new(Facts {
            code,
            detail,
            path: String::new(),
        }))
    }

    pub(super) fn under_field(mut self, field: &str) -> Self {
        path::prepend_field(&mut self.0.path, field);
        self
    }

    pub(super) fn under_index(mut self, index: usize) -> Self {
        path::prepend_index(&mut self.0.path, index);
        self
    }

    pub(super) fn into_error(self) -> DecodeError {
        let Facts { code, detail, path } = *self.0;
        let separator = if path.is_empty() { "" } else { ": " };
        DecodeError {
            code,
            detail: format!("{path}{separator}{detail}"),
        }
    }
}

/// The cursor. Copied to read a part twice.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    datum: &'a [u8],
    at: usize,
    empty_values: u64,
}

/// The blocks of an array or map, read one after the other.
pub(super) struct Blocks {
    /// Items left in the block.
    items: u64,
    /// Where the block must end, if it says so.
    end: Option<usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(datum: &'a [u8]) -> Self {
        Self {
            datum,
            at: 0,
            empty_values: 0,
        }
    }

    fn left(&self) -> usize {
        self.datum.len() - self.at
    }

    #[cold]
    pub(super) fn invalid(&self, detail: impl std::fmt::Display) -> Fault {
        Fault::new(
            Code::AvroInvalid,
            format!("{detail} before byte {}", self.at),
        )
    }

    #[cold]
    fn truncated(&self, needed: u64) -> Fault {
        let detail = format!(
            "{needed} more bytes needed at byte {}, {} left",
            self.at,
            self.left()
        );
        Fault::new(Code::AvroTruncated, detail)
    }

    #[cold]
    fn over_limit(&self, detail: impl std::fmt::Display) -> Fault {
        Fault::new(
            Code::AvroAllocLimit,
            format!("{detail} before byte {}", self.at),
        )
    }

    /// All bytes must be used up.
    pub(super) fn finish(&self) -> Outcome<()> {
        if self.left() == 0 {
            return Ok(());
        }
        let detail = format!(
            "{} bytes after the record's end at byte {}",
            self.left(),
            self.at
        );
        Err(Fault::new(Code::AvroTrailingBytes, detail))
    }

    /// Counts values that take no bytes.
    pub(super) fn empty_value(&mut self, count: u64) -> Outcome<()> {
        self.empty_values = self.empty_values.saturating_add(count);
        if self.empty_values > MAX_EMPTY_VALUES {
            return Err(self.over_limit(format_args!(
                "more than {MAX_EMPTY_VALUES} values that take no bytes"
            )));
        }
        Ok(())
    }

    pub(super) fn take(&mut self, size: usize) -> Outcome<&'a [u8]> {
        match self.datum[self.at..].get(..size) {
            Some(bytes) => {
                self.at += size;
                Ok(bytes)
            }
            None => Err(self.truncated(size as u64)),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        match self.datum[self.at..].first_chunk() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(self.truncated(N as u64)),
        }
    }

    pub(super) fn boolean(&mut self) -> Outcome<bool> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [byte] => Err(self.invalid(format_args!("boolean of byte 0x{byte:02x}"))),
        }
    }

    pub(super) fn long(&mut self) -> Outcome<i64> {
        match self.varint()? {
            Some(number) => Ok(number),
            None => Err(self.invalid("number of more than 64 bits")),
        }
    }

    pub(super) fn int(&mut self) -> Outcome<i32> {
        let number = self.long()?;
        i32::try_from(number).map_err(|_| self.invalid(format_args!("{number} in an int")))
    }

    /// A zigzag number in base 128, low digits first; `None` if it has more than 64 bits.
    fn varint(&mut self) -> Outcome<Option<i64>> {
        let bytes = &self.datum[self.at..];
        let mut number = 0u64;
        for (place, byte) in bytes.iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.at += place + 1;
                if place == 9 && *byte > 1 {
                    return Ok(None);
                }
                return Ok(Some(
                    (number >> 1).cast_signed() ^ -(number & 1).cast_signed(),
                ));
            }
        }
        if bytes.len() < 10 {
            return Err(self.truncated(1 + bytes.len() as u64));
        }
        self.at += 10;
        Ok(None)
    }

    /// A length or size in bytes, which must be there.
    fn length(&mut self) -> Outcome<usize> {
        let Some(length) = self.varint()? else {
            return Err(self.over_limit("length of more than 64 bits"));
        };
        match u64::try_from(length) {
            Err(_) => Err(self.over_limit(format_args!("negative length {length}"))),
            Ok(length) if length > MAX_LENGTH => {
                Err(self.over_limit(format_args!("length {length}")))
            }
            Ok(length) if length > self.left() as u64 => Err(self.truncated(length)),
            Ok(length) => usize::try_from(length).map_err(|_| self.over_limit("length")),
        }
    }

    pub(super) fn bytes(&mut self) -> Outcome<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    pub(super) fn string(&mut self) -> Outcome<&'a str> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.invalid("string that is not UTF-8"))
    }

    pub(super) fn blocks() -> Blocks {
        Blocks {
            items: 0,
            end: None,
        }
    }

    /// Steps to the next item; false after the last one. `item_size` is the fewest bytes an item takes.
    pub(super) fn next_item(&mut self, blocks: &mut Blocks, item_size: usize) -> Outcome<bool> {
        if blocks.items == 0 && !self.next_block(blocks, item_size)? {
            return Ok(false);
        }
        blocks.items -= 1;
        Ok(true)
    }

    fn next_block(&mut self, blocks: &mut Blocks, item_size: usize) -> Outcome<bool> {
        if let Some(end) = blocks.end.take()
            && end != self.at
        {
            return Err(self.invalid(format_args!("block that says it ends at byte {end}")));
        }
        let Some(count) = self.varint()? else {
            return Err(self.over_limit("item count of more than 64 bits"));
        };
        if count == 0 {
            return Ok(false);
        }
        blocks.items = count.unsigned_abs();
        if blocks.items > MAX_LENGTH {
            return Err(self.over_limit(format_args!("item count {count}")));
        }
        if count < 0 {
            let size = self.length()?;
            blocks.end = Some(self.at + size);
        }
        let needed = blocks.items.saturating_mul(item_size as u64);
        if needed > self.left() as u64 {
            return Err(self.truncated(needed));
        }
        if item_size == 0 {
            // Counted before they are read, so that a huge count costs nothing.
            let already = self.empty_values;
            self.empty_value(blocks.items)?;
            self.empty_values = already;
        }
        Ok(true)
    }
}

impl Blocks {
    /// How many items to make room for: those announced, but few, as arrays within arrays may each announce all bytes.
    pub(super) fn room(&self) -> usize {
        usize::try_from(self.items).map_or(MAX_ROOM, |items| items.min(MAX_ROOM)) + 1
    }
}
