//! The registry's wire frame: magic byte 0, schema id as big-endian u32, datum (Confluent wire format).

use crate::{Code, DecodeError};

/// Length of the frame's header in bytes.
pub const HEADER_LEN: usize = 5;

/// Splits a framed value into its schema id and datum. Errors: `empty_value`, `bad_magic` (says what the bytes look
/// like), `header_truncated`, `invalid_schema_id` (zero or below as i32, which no registry gives).
pub fn split(bytes: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    match bytes {
        [] => Err(DecodeError::new(Code::EmptyValue, "the value has 0 bytes")),
        [0, a, b, c, d, datum @ ..] => {
            let id = u32::from_be_bytes([*a, *b, *c, *d]);
            if id == 0 || i32::try_from(id).is_err() {
                return Err(DecodeError::new(
                    Code::InvalidSchemaId,
                    format!(
                        "schema id {} in the frame; ids start at 1",
                        id.cast_signed()
                    ),
                ));
            }
            Ok((id, datum))
        }
        [0, ..] => Err(DecodeError::new(
            Code::HeaderTruncated,
            format!(
                "{} bytes, the frame's header needs {HEADER_LEN}",
                bytes.len()
            ),
        )),
        [first, ..] => Err(DecodeError::new(
            Code::BadMagic,
            format!(
                "first byte 0x{first:02x} instead of 0x00; {}",
                appearance(bytes)
            ),
        )),
    }
}

/// Appends the header. Not checked: an id of 0 is written as it is, and refused by [`split`].
pub fn write_header(schema_id: u32, out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&schema_id.to_be_bytes());
}

/// What bytes without the magic byte look like, and what to do about it.
fn appearance(bytes: &[u8]) -> &'static str {
    const SIGNATURES: [(&[u8], &str); 6] = [
        (
            &[0x1f, 0x8b],
            "looks like gzip: compress by compression.type, not in the value",
        ),
        (
            &[0x28, 0xb5, 0x2f, 0xfd],
            "looks like zstd: compress by compression.type, not in the value",
        ),
        (
            &[0x04, 0x22, 0x4d, 0x18],
            "looks like lz4: compress by compression.type, not in the value",
        ),
        (
            b"Obj\x01",
            "looks like an Avro container file: send single records",
        ),
        (
            &[0xc3, 0x01],
            "looks like Avro's single-object encoding: not supported",
        ),
        (
            &[0xef, 0xbb, 0xbf],
            "looks like text with a byte order mark",
        ),
    ];
    if let Some((_, text)) = SIGNATURES
        .iter()
        .find(|(signature, _)| bytes.starts_with(signature))
    {
        return text;
    }
    let start = &bytes[..bytes.len().min(512)];
    let is_text = match std::str::from_utf8(start) {
        Ok(text) => printable(text),
        // A character cut by the 512 is no fault of the text.
        Err(error) => {
            error.error_len().is_none()
                && std::str::from_utf8(&start[..error.valid_up_to()]).is_ok_and(printable)
        }
    };
    let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(b'{' | b'[') if is_text => "looks like JSON: set value_format = \"json\"",
        _ if is_text => "looks like text",
        _ => "looks like bare Avro or another binary format: only registry-framed values are read",
    }
}

fn printable(text: &str) -> bool {
    text.chars()
        .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let mut out = vec![0xAA];
        write_header(1, &mut out);
        write_header(0x0102_0304, &mut out);
        assert_eq!(out, [0xAA, 0, 0, 0, 0, 1, 0, 1, 2, 3, 4]);
        // What Confluent's AvroSerializer writes for {"f": "hi"} under id 42.
        let framed = [0x00, 0x00, 0x00, 0x00, 0x2A, 0x04, b'h', b'i'];
        assert_eq!(split(&framed), Ok((42, &framed[5..])));
        assert_eq!(
            split(&[0, 0x7f, 0xff, 0xff, 0xff]),
            Ok((0x7fff_ffff, &[][..]))
        );
    }

    #[test]
    fn every_fault_has_its_code() {
        for (bytes, code, detail) in [
            (&b""[..], Code::EmptyValue, "0 bytes"),
            (&[0], Code::HeaderTruncated, "1 bytes"),
            (&[0, 0, 0, 1], Code::HeaderTruncated, "4 bytes"),
            (&[0, 0, 0, 0, 0, 9], Code::InvalidSchemaId, "schema id 0"),
            (
                &[0, 0xff, 0xff, 0xff, 0xff],
                Code::InvalidSchemaId,
                "schema id -1",
            ),
            (
                &[0, 0x80, 0, 0, 0],
                Code::InvalidSchemaId,
                "schema id -2147483648",
            ),
            (b" {\"a\":1}", Code::BadMagic, "looks like JSON"),
            (b"[1]", Code::BadMagic, "looks like JSON"),
            (b"hello", Code::BadMagic, "looks like text"),
            (&[0x1f, 0x8b, 8], Code::BadMagic, "looks like gzip"),
            (&[0x28, 0xb5, 0x2f, 0xfd], Code::BadMagic, "looks like zstd"),
            (b"Obj\x01xx", Code::BadMagic, "container file"),
            (&[0xc3, 0x01, 1], Code::BadMagic, "single-object"),
            (&[4, b'h', b'i', 0], Code::BadMagic, "looks like bare Avro"),
            (&[0xef, 0xbb, 0xbf, b'{'], Code::BadMagic, "byte order mark"),
        ] {
            let error = split(bytes).unwrap_err();
            assert_eq!(error.code, code, "{bytes:?}");
            assert!(error.detail.contains(detail), "{error}");
        }
        let long = "ü".repeat(400);
        assert!(
            split(format!("a{long}").as_bytes())
                .unwrap_err()
                .detail
                .contains("looks like text")
        );
    }

    proptest! {
        #[test]
        fn split_undoes_write(id in 1..=0x7fff_ffffu32, datum: Vec<u8>) {
            let mut out = Vec::new();
            write_header(id, &mut out);
            out.extend_from_slice(&datum);
            prop_assert_eq!(split(&out), Ok((id, &datum[..])));
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>) {
            let _ = split(&bytes);
        }
    }
}
