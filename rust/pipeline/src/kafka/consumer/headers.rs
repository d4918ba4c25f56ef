//! A message's headers, read without trusting them: Kafka does not check that a name is UTF-8, and rdkafka's own reader
//! panics where it is not.

use std::ptr;

use bytes::Bytes;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message, OwnedHeaders};
use rdkafka_sys as sys;

/// A record's headers in their order.
#[derive(Debug, Clone, Default)]
pub struct RecordHeaders {
    /// Names and values; bytes of a name that are not UTF-8 are replaced.
    pub named: Vec<(String, Option<Bytes>)>,
    /// The same, byte for byte, to be sent on.
    pub original: Option<OwnedHeaders>,
}

impl RecordHeaders {
    pub(super) fn copy(message: &BorrowedMessage<'_>) -> Self {
        let Some(headers) = message.headers() else {
            return Self::default();
        };
        Self {
            named: (0..).map_while(|index| header(message, index)).collect(),
            original: Some(BorrowedHeaders::detach(headers)),
        }
    }

    /// Bytes that they hold.
    pub fn size(&self) -> usize {
        let sizes = self
            .named
            .iter()
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, Bytes::len));
        sizes.sum()
    }
}

/// The header at `index`; `None` past the last.
fn header(message: &BorrowedMessage<'_>, index: usize) -> Option<(String, Option<Bytes>)> {
    let mut headers = ptr::null_mut();
    let mut name = ptr::null();
    let mut value = ptr::null();
    let mut size = 0;
    // SAFETY: the message is alive while `message` is borrowed, and so are its headers and the memory of their names and
    // values, which librdkafka owns and nobody changes. rd_kafka_header_get_all is given only a list that
    // rd_kafka_message_headers just reported without an error, checks the index itself, and on success sets `name` to a
    // C string and `value` to null or to `size` bytes. Both are copied before this block ends.
    unsafe {
        let none = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        if sys::rd_kafka_message_headers(message.ptr(), &raw mut headers) != none
            || sys::rd_kafka_header_get_all(
                headers,
                index,
                &raw mut name,
                &raw mut value,
                &raw mut size,
            ) != none
        {
            return None;
        }
        let name = std::ffi::CStr::from_ptr(name)
            .to_string_lossy()
            .into_owned();
        let value = (!value.is_null())
            .then(|| Bytes::copy_from_slice(std::slice::from_raw_parts(value.cast::<u8>(), size)));
        Some((name, value))
    }
}
