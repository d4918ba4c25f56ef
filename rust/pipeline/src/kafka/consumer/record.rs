//! One record, owned: it keeps nothing of librdkafka's fetch buffers alive.

use std::sync::Arc;

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Message};

use super::headers::RecordHeaders;
use crate::kafka::stamp::FutureTimestamp;

/// A record as it was read.
#[derive(Debug, Clone)]
pub struct Record {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Its timestamp in milliseconds since 1970, where it has one.
    pub timestamp_ms: Option<i64>,
    /// The key; `None` is null, which is not the same as empty.
    pub key: Option<Bytes>,
    /// The value; `None` is null (a tombstone).
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: RecordHeaders,
    /// Its write stamp.
    pub stamp: Result<i64, FutureTimestamp>,
    /// The clock when it was read, in microseconds, rising with the offset: the stamp of `write_timestamp = "now"`.
    pub read_stamp: i64,
}

impl Record {
    /// Copies a message. Key and value share one allocation.
    pub(super) fn copy(
        message: &BorrowedMessage<'_>,
        topic: Arc<str>,
        stamp: Result<i64, FutureTimestamp>,
        read_stamp: i64,
    ) -> Self {
        let key = message.key();
        let value = message.payload();
        let split = key.map_or(0, <[u8]>::len);
        let mut buffer = Vec::with_capacity(split + value.map_or(0, <[u8]>::len));
        buffer.extend_from_slice(key.unwrap_or_default());
        buffer.extend_from_slice(value.unwrap_or_default());
        let buffer = Bytes::from(buffer);
        Self {
            topic,
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: key.map(|_| buffer.slice(..split)),
            value: value.map(|_| buffer.slice(split..)),
            headers: RecordHeaders::copy(message),
            stamp,
            read_stamp,
        }
    }

    /// Bytes that this record holds.
    pub fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
            + self.headers.size()
    }
}
