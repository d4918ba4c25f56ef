//! The producer: every record ends delivered, not sent, or unknown; nothing else is ever reported.
//!
//! Promise: at least once, in order per partition, without repeats from librdkafka's own retries (idempotence).
//! `Producer::send` awaits one record, [`Batch`] encodes and enqueues many and blocks until each has its outcome,
//! `Producer::enqueue` and `Producer::flush` split the two.
//!
//! librdkafka's queue is the only queue: when it is full the caller waits (back-pressure). rdkafka's `FutureProducer` is
//! not used because it drops the message status, which alone tells a record that was never sent from one that may be there.

pub mod batch;
mod broker_errors;
mod client;
mod context;
pub mod delivery;
mod ending;
pub mod error;
mod native;
pub mod partition;
mod polled;
mod purging;
pub mod serializer;

pub use batch::{Batch, BatchError};
pub use broker_errors::Rejection;
pub use client::{CHECK_EVERY, Header, Producer, Record};
pub use delivery::{Report, Tally};
pub use ending::wait_ended;
pub use error::{Cause, DeliveryFailure, ProduceError, Undelivered};
pub use serializer::Serializer;
