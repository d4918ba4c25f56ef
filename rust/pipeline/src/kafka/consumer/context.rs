//! The callbacks of the consuming client. They run on the polling thread, inside `poll` and `close`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::bindings::rd_kafka_resp_err_t as RespErr;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tracing::{error, info, warn};

use super::assignment::{self, Assignment, Completion, Partition};
use super::client::{ConsumerConfig, REVOKE_DRAIN, StartPosition};
use super::committed::{self, CommittedOffset};
use super::committer::commit;
use super::ends;
use super::record::Record;
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
    /// Records that were read and wait for room, by the key of their partition.
    pub(super) held: Mutex<VecDeque<(usize, Record)>>,
    pub(super) telemetry: Arc<PipelineTelemetry>,
    pub(super) kafka: Condition,
    /// Everything is paused because the sink does not take more; new partitions are paused too.
    pub(super) all_paused: AtomicBool,
    /// Set by the owner when the process stops; shared by all pipelines.
    pub(super) stopping: Arc<AtomicBool>,
    /// This pipeline stops by itself.
    pub(super) ending: AtomicBool,
    /// A configuration fault of the topics or rights that Kafka told once.
    pub(super) fault: Mutex<Option<KafkaFault>>,
    /// The group gave us partitions, or none, at least once.
    pub(super) joined: AtomicBool,
    /// True while the sink cannot be reached: then there is no use in draining.
    pub(super) sink_down: Box<dyn Fn() -> bool + Send + Sync>,
    /// A commit by a newer build was found; the pipeline ends.
    pub(super) refused: Mutex<Option<UnknownVersion>>,
}

/// What Kafka tells once and does not take back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KafkaFault {
    /// A topic is missing. Its metadata says when it is there.
    Topic,
    /// A right is missing. The next record says that it was given.
    Rights,
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
        if up && self.joined.load(Ordering::Relaxed) {
            self.fine();
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
            partition
                .telemetry
                .set_write_stamp_ahead(partition.stamp_ahead);
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
}

impl Context {
    /// Whether the process or this pipeline stops.
    pub(super) fn stops(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) || self.ending.load(Ordering::Relaxed)
    }

    /// Kafka answers; what is wrong with a topic or a right stands until that is mended.
    pub(super) fn fine(&self) {
        if lock(&self.fault).is_none() {
            self.kafka.ok();
        }
    }

    /// A fault of the configuration is gone.
    pub(super) fn mended(&self, fault: KafkaFault) {
        let mut held = lock(&self.fault);
        if *held == Some(fault) {
            *held = None;
            self.kafka.ok();
        }
    }

    /// Kafka cannot be reached: before the first assignment nothing works without it, later it comes back.
    fn unreachable(&self, reason: String) {
        if self.joined.load(Ordering::Relaxed) {
            self.kafka.degraded(reason);
        } else {
            self.kafka.waiting(Cause::Unavailable, reason);
        }
    }

    /// Errors between polls: a missing topic and a broker that is away are reasons to wait, not to stop.
    pub(super) fn note_error(&self, error: &KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                let topics = self.config.topics.join(", ");
                *lock(&self.fault) = Some(KafkaFault::Topic);
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
                *lock(&self.fault) = Some(KafkaFault::Rights);
                self.kafka.waiting(
                    Cause::Configuration,
                    format!("Kafka refuses us: {reason}; check rights and credentials"),
                );
            }
            Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::OperationTimedOut) => {
                self.unreachable(
                    "no broker can be reached; waiting for one of kafka.bootstrap_servers"
                        .to_owned(),
                );
            }
            _ => warn!(%error, reason, "Kafka client"),
        }
    }

    /// Notes how a commit ended.
    pub(super) fn commit_ended(&self, result: &KafkaResult<()>) {
        let Err(error) = result else {
            self.telemetry.committed(CommitResult::Ok);
            return;
        };
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
                Err(error) if self.stops() => {
                    warn!(%error, what, "given up: stopping");
                    return None;
                }
                Err(error) => {
                    self.unreachable(format!("asking for {what}: {error}"));
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        }
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        self.telemetry.rebalanced(Rebalance::Assigned);
        if list.count() == 0 {
            // A member without partitions stands by for those that have some.
            self.joined.store(true, Ordering::Relaxed);
            self.fine();
            return consumer.incremental_assign(list);
        }
        let Some(committed) = self.ask("committed offsets", || {
            committed::ask(consumer, list.clone(), ASK)
        }) else {
            return consumer.incremental_assign(list);
        };
        let mut known_group = None;
        let mut positions = TopicPartitionList::new();
        let mut initial = TopicPartitionList::new();
        for CommittedOffset {
            topic,
            partition: id,
            offset,
            metadata,
        } in committed::read(&committed)
        {
            let Some((position, metadata, fresh)) =
                self.start(consumer, &topic, id, offset, &metadata, &mut known_group)
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
                clock: WriteStamp::after(0),
                offsets,
                position,
                ahead_paused: false,
                stamp_ahead: Duration::ZERO,
                seen_to: position,
                started: false,
                sent: position,
                telemetry,
            });
        }
        info!(partitions = positions.count(), "partitions assigned");
        consumer.incremental_assign(&positions)?;
        // librdkafka keeps a partition's pause over revoke and assign.
        if self.all_paused.load(Ordering::Relaxed) {
            consumer.pause(&positions)?;
        } else {
            consumer.resume(&positions)?;
        }
        if initial.count() > 0 {
            // At once, so that `latest` means the same place after a crash; a failure sends it again with the next commit.
            self.commit_ended(&commit(consumer, &initial));
        }
        self.joined.store(true, Ordering::Relaxed);
        self.fine();
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
        known_group: &mut Option<bool>,
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
            StartPosition::Latest => {
                // A partition that came to a group that has run before is new: all of it came between.
                let known = match *known_group {
                    Some(known) => known,
                    None => self.ask("the group's commits", || ends::has_commits(consumer))?,
                };
                *known_group = Some(known);
                if known { low } else { high }
            }
        };
        Some((position, Metadata::new(position, 0, hash), true))
    }

    fn revoke(
        &self,
        consumer: &BaseConsumer<Self>,
        revoked: &TopicPartitionList,
    ) -> KafkaResult<()> {
        let lost = consumer.assignment_lost();
        self.telemetry.rebalanced(if lost {
            Rebalance::Lost
        } else {
            Rebalance::Revoked
        });
        let names: Vec<_> = revoked
            .elements()
            .iter()
            .map(|element| (element.topic().to_owned(), element.partition()))
            .collect();
        let held = self.drop_held(&names);
        if !lost {
            self.drain(
                &names,
                held,
                Instant::now()
                    + if self.stops() {
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
            self.commit_ended(&commit(consumer, &commits));
        }
        info!(partitions = names.len(), lost, "partitions revoked");
        consumer.incremental_unassign(revoked)
    }

    /// Drops records of these partitions that were not started: they are read again by the next owner. Returns how many.
    fn drop_held(&self, names: &[(String, i32)]) -> usize {
        let mut held = lock(&self.held);
        let before = held.len();
        held.retain(|(_, record)| {
            !names
                .iter()
                .any(|(topic, id)| **topic == *record.topic && *id == record.partition)
        });
        before - held.len()
    }

    /// Waits for the records in flight of these partitions (all but `held`, which were never started), until `deadline` or
    /// while the sink answers.
    fn drain(&self, names: &[(String, i32)], held: usize, deadline: Instant) {
        let completions = lock(&self.completions);
        loop {
            let ours = |partition: &&Partition| {
                names
                    .iter()
                    .any(|(topic, id)| **topic == *partition.topic && *id == partition.id)
            };
            let waiting: usize = lock(&self.assignment)
                .iter()
                .filter(ours)
                .map(|partition| partition.offsets.ahead())
                .sum();
            let left = deadline.saturating_duration_since(Instant::now());
            if waiting <= held || left.is_zero() || (self.sink_down)() {
                return;
            }
            if let Ok(completion) = completions.recv_timeout(left.min(Duration::from_millis(50))) {
                lock(&self.assignment).complete(&completion);
            }
        }
    }
}
