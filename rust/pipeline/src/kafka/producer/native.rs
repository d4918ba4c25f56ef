//! The two calls of librdkafka that rdkafka does not offer: a held topic handle and a message's status.

use super::client::{Header, Record};
use super::error::Undelivered;
use super::polled::Native;
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;
use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::Arc;

/// A topic of one producer, looked up once: a record then costs no search by name and no copy of it.
pub(super) struct Topic {
    handle: ptr::NonNull<sys::rd_kafka_topic_t>,
    name: String,
    // Dropped after `handle`'s destructor ran (fields drop after `Drop::drop`): the handle must not outlive its client.
    native: Arc<Native>,
}

// SAFETY: a topic handle is reference counted and locked inside librdkafka, whose API is thread safe; we only pass it to
// rd_kafka_producev and, once, to rd_kafka_topic_destroy.
unsafe impl Send for Topic {}
// SAFETY: as above; no method changes the Rust side.
unsafe impl Sync for Topic {}

impl Topic {
    /// `None` when librdkafka refuses the name.
    pub(super) fn new(native: &Arc<Native>, name: &str) -> Option<Self> {
        let c_name = CString::new(name).ok()?;
        // SAFETY: the client pointer is valid while `native` lives, and we hold an Arc of it; the name is a C string that
        // librdkafka copies; a null configuration asks for the client's default topic configuration.
        let handle = unsafe {
            sys::rd_kafka_topic_new(
                native.client().native_ptr(),
                c_name.as_ptr(),
                ptr::null_mut(),
            )
        };
        Some(Self {
            handle: ptr::NonNull::new(handle)?,
            name: name.to_owned(),
            native: Arc::clone(native),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Puts one message into librdkafka's queue; key, value and headers are copied. Never blocks.
    pub(super) fn produce(
        &self,
        record: &Record<'_>,
        opaque: usize,
    ) -> Result<(), RDKafkaErrorCode> {
        let (value, value_len) = pointer(record.value);
        let (key, key_len) = pointer(record.key);
        let headers = NativeHeaders::new(record.headers)?;
        // SAFETY: every vtype is followed by exactly the arguments rdkafka.h documents for it, with their C types (RKT: a
        // pointer; PARTITION: int32; MSGFLAGS: int; VALUE and KEY: pointer and size_t; OPAQUE: pointer; TIMESTAMP: int64;
        // HEADERS: pointer or null), and the list ends with END. The handle is valid until `drop`. Value and key live
        // through the call and are only read, because of RD_KAFKA_MSG_F_COPY. The opaque is a number, never followed.
        let error = unsafe {
            sys::rd_kafka_producev(
                self.native.client().native_ptr(),
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT,
                self.handle.as_ptr(),
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION,
                record.partition.unwrap_or(rdkafka::producer::PARTITION_UA),
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
                sys::RD_KAFKA_MSG_F_COPY,
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
                value,
                value_len,
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY,
                key,
                key_len,
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE,
                ptr::without_provenance_mut::<c_void>(opaque),
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP,
                record.timestamp_ms.unwrap_or(0),
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS,
                headers.0,
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
            )
        };
        let code = RDKafkaErrorCode::from(error);
        if code == RDKafkaErrorCode::NoError {
            // librdkafka owns the headers now.
            std::mem::forget(headers);
            Ok(())
        } else {
            Err(code)
        }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the handle came from rd_kafka_topic_new, is destroyed only here, and its client still lives in `native`.
        unsafe { sys::rd_kafka_topic_destroy(self.handle.as_ptr()) }
    }
}

/// A message's headers on librdkafka's side; null when there are none.
struct NativeHeaders(*mut sys::rd_kafka_headers_t);

impl NativeHeaders {
    fn new(headers: &[Header<'_>]) -> Result<Self, RDKafkaErrorCode> {
        if headers.is_empty() {
            return Ok(Self(ptr::null_mut()));
        }
        // SAFETY: no argument but a capacity hint.
        let native = Self(unsafe { sys::rd_kafka_headers_new(headers.len()) });
        for header in headers {
            let (value, value_len) = pointer(header.value);
            // SAFETY: the header list was just made and is not shared; the name is given with its length and the value with
            // its own (a null pointer means a null value); librdkafka copies both. A slice is at most isize::MAX long.
            let error = unsafe {
                sys::rd_kafka_header_add(
                    native.0,
                    header.name.as_ptr().cast(),
                    header.name.len().cast_signed(),
                    value,
                    value_len.cast_signed(),
                )
            };
            if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(error.into());
            }
        }
        Ok(native)
    }
}

impl Drop for NativeHeaders {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: we made the list and librdkafka did not take it (else `forget` was called).
            unsafe { sys::rd_kafka_headers_destroy(self.0) }
        }
    }
}

fn pointer(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| {
        (bytes.as_ptr().cast(), bytes.len())
    })
}

/// Whether a message whose report names an error may be in Kafka.
pub(super) fn undelivered(message: &BorrowedMessage<'_>) -> Undelivered {
    // SAFETY: the message belongs to the delivery report event that rdkafka holds for as long as `message` is borrowed, and
    // rd_kafka_message_status only reads it.
    let status = unsafe { sys::rd_kafka_message_status(message.ptr()) };
    match status {
        sys::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED => Undelivered::NotSent,
        // PERSISTED with an error is not documented; it must not be called not sent.
        sys::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED
        | sys::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_PERSISTED => Undelivered::Unknown,
    }
}

/// Makes librdkafka send what waits for `linger.ms`, and waits up to `wait_ms` for its queue to be empty.
pub(super) fn hurry(native: &Native, wait_ms: i32) {
    // SAFETY: the client pointer is valid while `native` is borrowed. With delivery reports as events this call serves no
    // queue and runs no callback; the polling thread does.
    unsafe {
        sys::rd_kafka_flush(native.client().native_ptr(), wait_ms);
    }
}
