//! The callbacks of the consuming client. They run on the polling thread, inside `poll` and `close`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::bindings::rd_kafka_resp_err_t as RespErr;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tracing::{error, info, warn};

use super::assignment::{self, Assignment, Completion, Partition};
use super::client::{ConsumerConfig, REVOKE_DRAIN, StartPosition};
use crate::kafka::offsets::{Committed, Metadata, SettledOffsets, UnknownVersion};
use crate::kafka::stamp::WriteStamp;
use crate::telemetry::{Cause, CommitResult, Condition, PipelineTelemetry, Rebalance};

/// How long one question to the broker may take inside a callback; it is asked again until the process stops.
const ASK: Duration = Duration::from_secs(5);

/// What the callbacks and the polling thread share. The locks are never contended: both run on one thread.
pub(super) struct Context {
    pub(super) config: ConsumerConfig,
    pub(super) assignment: Mutex<Assignment>,
    pub(super) completions: Mutex<Receiver<Completion>>,
    pub(super) telemetry: Arc<PipelineTelemetry>,
    pub(super) kafka: Condition,
    /// Everything is paused because the sink does not take more; new partitions are paused too.
    pub(super) all_paused: AtomicBool,
    /// A commit is under way.
    pub(super) committing: AtomicBool,
    /// Set by the owner when the process stops.
    pub(super) stopping: Arc<AtomicBool>,
    /// True while the sink cannot be reached: then there is no use in draining.
    pub(super) sink_down: Box<dyn Fn() -> bool + Send + Sync>,
    /// A commit by a newer build was found; the pipeline ends.
    pub(super) refused: Mutex<Option<UnknownVersion>>,
}

/// Takes a lock; a panic elsewhere does not make the state behind it wrong.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wall clock in milliseconds since 1970; 0 before.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        self.note_error(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let up = statistics
            .brokers
            .values()
            .any(|broker| broker.state == "UP");
        if up && lock(&self.assignment).len() > 0 {
            self.kafka.ok();
        }
        for partition in lock(&self.assignment).iter() {
            let found = statistics
                .topics
                .get(&*partition.topic)
                .and_then(|topic| topic.partitions.get(&partition.id));
            if let Some(high) = found.map(|found| found.hi_offset).filter(|high| *high >= 0) {
                partition
                    .telemetry
                    .set_lag((high - partition.offsets.watermark()).max(0));
            }
            partition.telemetry.set_committed(partition.sent.max(0));
            partition.telemetry.set_position(partition.position);
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RespErr,
        list: &mut TopicPartitionList,
    ) {
        let result = match err {
            RespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            RespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoke(consumer, list),
            other => {
                error!(error = %RDKafkaErrorCode::from(other), "rebalance failed; the group takes the partitions back");
                consumer.unassign()
            }
        };
        if let Err(error) = result {
            warn!(%error, "rebalance: the client refused; the group tries again");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        self.committing.store(false, Ordering::Relaxed);
        match result {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {
                self.telemetry.committed(CommitResult::Ok)
            }
            Err(error) => self.commit_failed(&error),
        }
    }
}

impl Context {
    /// Errors between polls: a missing topic and a broker that is away are reasons to wait, not to stop.
    pub(super) fn note_error(&self, error: &KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                let topics = self.config.topics.join(", ");
                self.kafka.waiting(
                    Cause::Configuration,
                    format!("a topic of {topics} does not exist; create it"),
                );
            }
            Some(
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::SaslAuthenticationFailed
                | Code::Authentication,
            ) => {
                self.kafka.waiting(
                    Cause::Configuration,
                    format!("Kafka refuses us: {reason}; check rights and credentials"),
                );
            }
            Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::OperationTimedOut) => {
                self.kafka.degraded(
                    "no broker can be reached; waiting for one of kafka.bootstrap_servers",
                );
            }
            _ => warn!(%error, reason, "Kafka client"),
        }
    }

    fn commit_failed(&self, error: &KafkaError) {
        self.telemetry.committed(CommitResult::Failed);
        // What was sent may not be there: send it again with the next commit.
        for partition in lock(&self.assignment).iter_mut() {
            partition.sent = -1;
        }
        warn!(%error, "commit failed; it is sent again (records may come twice after a restart, none is lost)");
    }

    /// Asks the broker until it answers or the process stops.
    fn ask<T>(&self, what: &str, question: impl Fn() -> KafkaResult<T>) -> Option<T> {
        loop {
            match question() {
                Ok(answer) => return Some(answer),
                Err(error) if self.stopping.load(Ordering::Relaxed) => {
                    warn!(%error, what, "given up: stopping");
                    return None;
                }
                Err(error) => {
                    self.kafka.degraded(format!("asking for {what}: {error}"));
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        }
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        self.telemetry.rebalanced(Rebalance::Assigned);
        if list.count() == 0 {
            return consumer.incremental_assign(list);
        }
        let Some(committed) = self.ask("committed offsets", || {
            consumer.committed_offsets(list.clone(), ASK)
        }) else {
            return consumer.incremental_assign(list);
        };
        let mut positions = TopicPartitionList::new();
        let mut initial = TopicPartitionList::new();
        for element in committed.elements() {
            let (topic, id) = (element.topic().to_owned(), element.partition());
            let Some((position, metadata, fresh)) =
                self.start(consumer, &topic, id, element.offset(), element.metadata())
            else {
                continue;
            };
            let offsets = SettledOffsets::resume(position, metadata.clone());
            if fresh {
                assignment::add(&mut initial, &topic, id, &offsets.storable(false));
            }
            positions.add_partition_offset(&topic, id, Offset::Offset(position))?;
            let telemetry = self.telemetry.partition(&topic, id);
            lock(&self.assignment).insert(Partition {
                topic: Arc::from(topic),
                id,
                stamp: WriteStamp::after(metadata.lw),
                offsets,
                position,
                ahead_paused: false,
                sent: position,
                telemetry,
            });
        }
        info!(partitions = positions.count(), "partitions assigned");
        consumer.incremental_assign(&positions)?;
        if self.all_paused.load(Ordering::Relaxed) {
            consumer.pause(&positions)?;
        }
        if initial.count() > 0 {
            consumer.commit(&initial, CommitMode::Async)?;
        }
        self.kafka.ok();
        Ok(())
    }

    /// Position, metadata, and whether that is to be committed at once.
    fn start(
        &self,
        consumer: &BaseConsumer<Self>,
        topic: &str,
        id: i32,
        offset: Offset,
        metadata: &str,
    ) -> Option<(i64, Metadata, bool)> {
        let hash = &self.config.program_hash;
        if let Offset::Offset(offset) = offset {
            return match Metadata::parse(metadata) {
                Ok(Committed::Ours(mut metadata)) => {
                    metadata.program_hash.clone_from(hash);
                    metadata.clean = false;
                    Some((offset, metadata, false))
                }
                // There is no stamp to go on from; the clock is the only one that is not behind what was written.
                Ok(Committed::Foreign) => Some((
                    offset,
                    Metadata::new(offset, now_ms().saturating_mul(1000), hash),
                    true,
                )),
                Err(unknown) => {
                    lock(&self.refused).get_or_insert(unknown);
                    None
                }
            };
        }
        let (low, high) = self.ask("the log's offsets", || {
            consumer.fetch_watermarks(topic, id, ASK)
        })?;
        let position = match self.config.start {
            StartPosition::Earliest => low,
            StartPosition::Latest => high,
        };
        Some((position, Metadata::new(position, 0, hash), true))
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let lost = consumer.assignment_lost();
        self.telemetry.rebalanced(if lost {
            Rebalance::Lost
        } else {
            Rebalance::Revoked
        });
        let names: Vec<_> = list
            .elements()
            .iter()
            .map(|element| (element.topic().to_owned(), element.partition()))
            .collect();
        if !lost {
            self.drain(
                &names,
                Instant::now()
                    + if self.stopping.load(Ordering::Relaxed) {
                        self.config.drain
                    } else {
                        REVOKE_DRAIN
                    },
            );
        }
        let mut commits = TopicPartitionList::new();
        for (topic, id) in &names {
            if let Some(partition) = lock(&self.assignment).remove(topic, *id) {
                assignment::add(&mut commits, topic, *id, &partition.offsets.storable(true));
            }
        }
        if !lost && commits.count() > 0 {
            match consumer.commit(&commits, CommitMode::Sync) {
                Ok(()) => self.telemetry.committed(CommitResult::Ok),
                Err(error) => {
                    self.telemetry.committed(CommitResult::Failed);
                    warn!(%error, "commit of revoked partitions failed; their records come again, none is lost");
                }
            }
        }
        info!(partitions = names.len(), lost, "partitions revoked");
        consumer.incremental_unassign(list)
    }

    /// Waits for the records in flight of these partitions, until `deadline` or while the sink answers.
    pub(super) fn drain(&self, names: &[(String, i32)], deadline: Instant) {
        let completions = lock(&self.completions);
        loop {
            let waiting = lock(&self.assignment).iter().any(|partition| {
                partition.offsets.ahead() > 0
                    && names
                        .iter()
                        .any(|(topic, id)| **topic == *partition.topic && *id == partition.id)
            });
            let left = deadline.saturating_duration_since(Instant::now());
            if !waiting || left.is_zero() || (self.sink_down)() {
                return;
            }
            if let Ok(completion) = completions.recv_timeout(left.min(Duration::from_millis(50))) {
                lock(&self.assignment).complete(&completion);
            }
        }
    }
}
