//! A value tree to compact JSON.

use crate::value_kind::{MAX_DEPTH, kind};
use crate::{EncodeError, Value};
use chrono::SecondsFormat;

/// Appends the value as compact JSON. Bytes that are not UTF-8, NaN and infinities are errors with their path.
/// Timestamps are RFC 3339 with Z. On an error nothing is appended.
pub fn encode(value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    write(value, 1, out).inspect_err(|_| out.truncate(start))
}

fn write(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Integer(number) => scalar(number, out)?,
        Value::Float(number) if number.is_finite() => scalar(&number.into_inner(), out)?,
        Value::Float(number) => {
            return Err(EncodeError::new(format!(
                "JSON has no {number}; replace it in the program"
            )));
        }
        Value::String(text) => string(text, out),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => string(text, out),
            Err(_) => {
                return Err(EncodeError::new(
                    "bytes that are not UTF-8; use encode_base64 in the program",
                ));
            }
        },
        Value::Timestamp(instant) => {
            string(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true), out);
        }
        Value::Object(map) => {
            check_depth(depth)?;
            let mut separator = b'{';
            for (name, value) in map {
                out.push(separator);
                separator = b',';
                string(name, out);
                out.push(b':');
                write(value, depth + 1, out).map_err(|error| error.under_field(name))?;
            }
            if separator == b'{' {
                out.push(b'{');
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            check_depth(depth)?;
            out.push(b'[');
            for (index, value) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(value, depth + 1, out).map_err(|error| error.under_index(index))?;
            }
            out.push(b']');
        }
        Value::Regex(_) => return Err(EncodeError::new(format!("{} has no JSON", kind(value)))),
    }
    Ok(())
}

fn check_depth(depth: usize) -> Result<(), EncodeError> {
    if depth > MAX_DEPTH {
        return Err(EncodeError::new(format!(
            "more than {MAX_DEPTH} levels of arrays and objects"
        )));
    }
    Ok(())
}

fn scalar<T: serde::Serialize>(number: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    serde_json::to_writer(&mut *out, number).map_err(|error| EncodeError::new(error.to_string()))
}

/// Which bytes cannot stand in a JSON string as they are.
const ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

/// Appends a string in quotes. Runs without an escape, which most strings are as a whole, are copied at once.
fn string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if !ESCAPED[usize::from(*byte)] {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        let short = match byte {
            b'"' | b'\\' => *byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            control => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 0xF)]);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}
