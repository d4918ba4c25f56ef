//! Many records at once: encode, enqueue in order, and an outcome for each.

use super::client::{Producer, Pulse, Record, Refusal};
use super::context::{Account, Context};
use super::delivery::Report;
use super::error::{Cause, DeliveryFailure};
use super::native::Topic;
use super::partition;
use super::serializer::{Serializer, encode_key};
use millstream_codec::{EncodeError, Path, Value};
use rdkafka::types::RDKafkaErrorCode;
use std::sync::Arc;
use std::time::Instant;

/// Records between two looks at the clock: a small one costs about a microsecond.
const RECORDS_PER_LOOK: u64 = 16;

/// A record of more bytes than this is followed by a look of its own.
const LARGE_RECORD: usize = 65_536;

/// Records on their way to one topic. [`Batch::enqueue`] as often as there are records, then [`Batch::finish`].
///
/// Once a record of a partition has failed for good, no later record of that partition is enqueued. The same holds for
/// the whole batch where the partition of later records cannot be known: records without a key, another partitioner than
/// murmur2, no metadata. Records behind the failed one that librdkafka had in its queue by then may still be delivered:
/// the report tells. A record that cannot be encoded ends the batch before it.
///
/// Dropping a batch without `finish` leaves its queued records to their fate and tells nobody.
pub struct Batch<'p> {
    producer: &'p Producer,
    topic: Arc<Topic>,
    serializer: Serializer,
    key: Option<Path>,
    account: Arc<Account>,
    slot: usize,
    next_index: u64,
    started: Instant,
    ended_by: Option<Cause>,
    placement: Placement,
    value_buffer: Vec<u8>,
    key_buffer: Vec<u8>,
}

/// What is known about where keys go, once a partition has failed.
#[derive(Debug, Clone, Copy)]
enum Placement {
    NotAsked,
    Unknown,
    Partitions(u32),
}

/// A batch of which some record was not delivered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "{cause} (topic {}: {} delivered, {} not sent, {} unknown)",
    report.topic, report.delivered, report.not_sent.len(), report.unknown.len() + report.unaccounted
)]
pub struct BatchError {
    /// What ended it.
    pub cause: Cause,
    /// The outcome of every record that was handed over.
    pub report: Box<Report>,
}

impl BatchError {
    /// Whether the whole batch may succeed when it is sent again.
    pub fn retryable(&self) -> bool {
        self.cause.retryable() && self.report.retryable()
    }
}

impl<'p> Batch<'p> {
    pub(super) fn new(
        producer: &'p Producer,
        topic: Arc<Topic>,
        serializer: Serializer,
        key: Option<Path>,
    ) -> Self {
        let account = Arc::new(Account::default());
        let slot = producer.open(Arc::clone(&account));
        Self {
            producer,
            topic,
            serializer,
            key,
            account,
            slot,
            next_index: 0,
            started: Instant::now(),
            ended_by: None,
            placement: Placement::NotAsked,
            value_buffer: Vec::with_capacity(1024),
            key_buffer: Vec::with_capacity(64),
        }
    }

    /// Encodes and enqueues records in order. False once the batch has ended: what comes after is not sent.
    ///
    /// `cancelled` is asked at least every [`CHECK_EVERY`](super::CHECK_EVERY).
    pub fn enqueue(&mut self, records: &[Value], cancelled: &mut dyn FnMut() -> bool) -> bool {
        let mut pulse = Pulse::new(cancelled);
        for record in records {
            let index = self.next_index;
            self.next_index += 1;
            if self.ended_by.is_none()
                && (index.is_multiple_of(RECORDS_PER_LOOK)
                    || self.value_buffer.len() > LARGE_RECORD)
                && pulse.says_stop()
            {
                self.ended_by = Some(Cause::Cancelled);
            }
            if self.ended_by.is_some() {
                self.account
                    .with_tally(|tally| tally.record_held_back(index));
                continue;
            }
            self.enqueue_one(index, record, &mut pulse);
        }
        self.ended_by.is_none()
    }

    /// Ends the batch because its source failed: what was enqueued is still waited for.
    pub fn end_early(&mut self) {
        self.ended_by.get_or_insert(Cause::Source);
    }

    /// Ends the batch because the caller was interrupted: what is under way is purged.
    pub fn cancel(&mut self) {
        self.ended_by = Some(Cause::Cancelled);
    }

    /// Ends the batch at a record that its source could not turn into one.
    pub fn refuse(&mut self, error: EncodeError) {
        let index = self.next_index;
        self.next_index += 1;
        self.account
            .with_tally(|tally| tally.record_held_back(index));
        self.ended_by.get_or_insert(Cause::Encode { index, error });
    }

    /// Waits until every record has its outcome. `Ok` only if all were delivered.
    pub fn finish(mut self, cancelled: &mut dyn FnMut() -> bool) -> Result<Report, BatchError> {
        let interrupted = matches!(self.ended_by, Some(Cause::Cancelled)) || !self.wait(cancelled);
        if interrupted {
            self.ended_by = Some(Cause::Cancelled);
            self.producer.purge_interrupted(&self.account);
        }
        let tally = Arc::unwrap_or_clone(self.account.take());
        let report = tally.report(self.topic.name(), self.started.elapsed().as_secs_f64());
        match self.ended_by.take().or_else(|| report.first_failure()) {
            None => Ok(report),
            Some(cause) => Err(BatchError {
                cause,
                report: Box::new(report),
            }),
        }
    }

    fn wait(&self, cancelled: &mut dyn FnMut() -> bool) -> bool {
        while !self
            .producer
            .wait_settled(&self.account, super::CHECK_EVERY)
        {
            if cancelled() {
                return false;
            }
        }
        true
    }

    fn enqueue_one(&mut self, index: u64, record: &Value, pulse: &mut Pulse<'_>) {
        if let Err(error) = self.encode(record) {
            self.account
                .with_tally(|tally| tally.record_held_back(index));
            self.ended_by = Some(Cause::Encode { index, error });
            return;
        }
        if self.account.has_failures() && self.is_blocked(pulse) {
            self.account
                .with_tally(|tally| tally.record_held_back(index));
            return;
        }
        let message = Record {
            key: self.key.is_some().then_some(self.key_buffer.as_slice()),
            value: Some(&self.value_buffer),
            ..Record::default()
        };
        let opaque = Context::opaque(self.slot, index);
        self.account.expect_one();
        match self
            .producer
            .produce(&self.topic, &message, &self.account, opaque, pulse)
        {
            Ok(()) => {}
            Err(Refusal::Cancelled) => {
                self.account
                    .with_tally(|tally| tally.record_held_back(index));
                self.ended_by = Some(Cause::Cancelled);
            }
            Err(Refusal::Code(code)) => self.refused(index, code, pulse),
        }
    }

    fn encode(&mut self, record: &Value) -> Result<(), EncodeError> {
        if let Some(path) = &self.key {
            self.key_buffer.clear();
            encode_key(path, record, &mut self.key_buffer)?;
        }
        self.value_buffer.clear();
        self.serializer.encode(record, &mut self.value_buffer)
    }

    /// librdkafka did not take the record at hand: its partition fails with it.
    fn refused(&mut self, index: u64, code: RDKafkaErrorCode, pulse: &mut Pulse<'_>) {
        let failure = DeliveryFailure {
            partition: self.partition(pulse),
            ..self.producer.refusal(self.topic.name(), None, code)
        };
        self.account
            .with_tally(|tally| tally.record_refused(index, failure));
    }

    /// Whether the record at hand belongs behind one that failed.
    fn is_blocked(&mut self, pulse: &mut Pulse<'_>) -> bool {
        let Some(partition) = self.partition(pulse) else {
            return true;
        };
        self.account.with_tally(|tally| {
            // A failure without a partition could have been meant for any of them.
            tally
                .failures
                .values()
                .any(|failure| failure.partition.is_none())
                || tally.failed_partitions.contains(&partition)
        })
    }

    /// The partition of the record whose key is in the buffer.
    fn partition(&mut self, pulse: &mut Pulse<'_>) -> Option<i32> {
        self.key.as_ref()?;
        if matches!(self.placement, Placement::NotAsked) {
            self.placement = self
                .producer
                .partition_count(self.topic.name(), pulse)
                .map_or(Placement::Unknown, Placement::Partitions);
        }
        match self.placement {
            Placement::Partitions(count) => partition::of_key(Some(&self.key_buffer), count),
            Placement::NotAsked | Placement::Unknown => None,
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.producer.close(self.slot);
    }
}
