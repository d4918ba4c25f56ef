//! The producer itself: one librdkafka client with its polling thread.

use super::broker_errors::Rejection;
use super::context::{Account, Context, SendOutcome};
use super::delivery::Tally;
use super::error::{DeliveryFailure, ProduceError, Undelivered};
use super::native::{self, Topic};
use super::polled::Native;
use super::purging::What;
use super::{Batch, Serializer};
use crate::kafka::config::{ConfigError, Properties};
use millstream_codec::Path;
use rdkafka::types::RDKafkaErrorCode;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// A blocking call asks its caller at least this often whether to go on.
pub const CHECK_EVERY: Duration = Duration::from_millis(25);

/// How long a full queue is left alone before the next try; at a million records a second some 2,000 have left it.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(2);

/// What an interrupted call gives to requests that are on the wire before it calls their outcome unknown.
const IN_FLIGHT_GRACE: Duration = Duration::from_millis(30);

/// What an interrupted call gives to a broker's thread that does not come to its purge, because it looks up a name or
/// compresses: with [`CHECK_EVERY`] and the end of the client it stays within 100 ms.
const PURGE_BEGINS_WITHIN: Duration = Duration::from_millis(60);

/// The reports of what was purged come from memory; this is only the bound.
const PURGE_REPORTED_WITHIN: Duration = Duration::from_secs(5);

/// How often it is seen whether reports still come.
const PURGE_LOOK: Duration = Duration::from_millis(10);

/// How long records wait for the purge of earlier ones to end: a name's resolver gives up by then. Only in a process that
/// was forked in the middle of a lookup it never does.
const PURGE_ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Longer lingering than this is cut short when somebody waits.
const LINGER_TO_HURRY: Duration = Duration::from_millis(50);

/// How long the number of a topic's partitions may take to come.
const METADATA_WAIT: Duration = Duration::from_secs(5);

/// Awaited records that may be under way at once; far below the queue's own bound.
const MAX_AWAITED: usize = 10_000;

/// Topic handles kept; a program that writes to more topics than this looks them up again.
const MAX_TOPICS: usize = 1_000;

/// A header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name; names may repeat.
    pub name: &'a str,
    /// Its value; `None` is Kafka's null, not an empty one.
    pub value: Option<&'a [u8]>,
}

/// One message as it is handed over.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// `None` is Kafka's null key: any partition will do.
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: &'a [Header<'a>],
    /// Milliseconds since 1970; `None` (and 0) is now.
    pub timestamp_ms: Option<i64>,
    /// `None` leaves the choice to the partitioner.
    pub partition: Option<i32>,
}

/// Why librdkafka did not take a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Code(RDKafkaErrorCode),
    Cancelled,
}

/// Asks the caller whether to go on, at most every [`CHECK_EVERY`].
pub(super) struct Pulse<'c> {
    cancelled: &'c mut dyn FnMut() -> bool,
    next: Instant,
}

impl<'c> Pulse<'c> {
    pub(super) fn new(cancelled: &'c mut dyn FnMut() -> bool) -> Self {
        Self {
            cancelled,
            next: Instant::now() + CHECK_EVERY,
        }
    }

    /// True when the caller wants to stop; asks only when it is time.
    pub(super) fn says_stop(&mut self) -> bool {
        let now = Instant::now();
        if now < self.next {
            return false;
        }
        self.next = now + CHECK_EVERY;
        (self.cancelled)()
    }
}

/// A Kafka producer. Cheap to share by `Arc`; all methods take `&self`.
///
/// Dropping it purges what is still queued: call [`Producer::flush`] first.
pub struct Producer {
    native: Arc<Native>,
    topics: Mutex<HashMap<String, Arc<Topic>>>,
    /// Records given by [`Producer::enqueue`] since the last flush.
    loose: Arc<Account>,
    loose_slot: usize,
    awaited: Semaphore,
    hurries: bool,
    places_keys_as_java: bool,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}

impl Producer {
    /// Makes the client and its threads; connects in the background, so a broker that is down is no error here.
    ///
    /// Defaults are those of [`Properties::for_producer`].
    pub fn new(properties: &Properties) -> Result<Self, ConfigError> {
        let properties = properties.for_producer()?;
        let native = Arc::new(Native::new(&properties.client_config())?);
        let loose = Arc::new(Account::default());
        let loose_slot = native.client().context().open(Arc::clone(&loose));
        let linger = properties
            .get("linger.ms")
            .and_then(|linger| linger.parse::<f64>().ok())
            .unwrap_or_default();
        Ok(Self {
            native,
            topics: Mutex::default(),
            loose,
            loose_slot,
            awaited: Semaphore::new(MAX_AWAITED),
            hurries: linger / 1000.0 > LINGER_TO_HURRY.as_secs_f64(),
            places_keys_as_java: properties
                .get("partitioner")
                .is_some_and(|name| name.starts_with("murmur2")),
        })
    }

    /// Sends one record and waits for its acknowledgement: partition and offset.
    ///
    /// Waits while the queue is full. The order of two records of one partition is that of the calls only if the second
    /// starts after the first was polled once. A dropped future does not take its record back.
    pub async fn send(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
        timestamp_ms: Option<i64>,
    ) -> Result<(i32, i64), ProduceError> {
        let topic = self.topic(topic)?;
        // The semaphore is never closed, so an error cannot come; if it did, the bound would merely be missing.
        let _permit = self.awaited.acquire().await;
        let record = Record {
            key,
            value,
            headers,
            timestamp_ms,
            partition: None,
        };
        let context = self.native.client().context();
        let (opaque, outcome) = context.await_one();
        let purge_ends = Instant::now() + PURGE_ENDS_WITHIN;
        loop {
            if !self.native.purging().is_over() && Instant::now() < purge_ends {
                tokio::time::sleep(QUEUE_FULL_PAUSE).await;
                continue;
            }
            match topic.produce(&record, opaque) {
                Ok(()) => break,
                Err(RDKafkaErrorCode::QueueFull) if !context.is_fatal() => {
                    tokio::time::sleep(QUEUE_FULL_PAUSE).await;
                }
                Err(code) => {
                    context.forget_one(opaque);
                    return Err(ProduceError::Delivery(self.refusal(
                        topic.name(),
                        None,
                        code,
                    )));
                }
            }
        }
        let outcome: Result<SendOutcome, _> = outcome.await;
        // The sender goes without an answer only when the client itself goes.
        outcome.unwrap_or(Err(ProduceError::Closed))
    }

    /// Puts one record into the queue, in order. Its outcome comes with the next [`Producer::flush`].
    ///
    /// Waits while the queue is full (back-pressure), and asks `cancelled` meanwhile.
    /// Errors: a record that librdkafka refuses at once (too large, unknown partition); such a record is not sent.
    pub fn enqueue(
        &self,
        topic: &str,
        record: &Record<'_>,
        cancelled: &mut dyn FnMut() -> bool,
    ) -> Result<(), ProduceError> {
        let topic = self.topic(topic)?;
        let index = self.loose.expect_next();
        let opaque = Context::opaque(self.loose_slot, index);
        match self.produce(
            &topic,
            record,
            &self.loose,
            opaque,
            &mut Pulse::new(cancelled),
        ) {
            Ok(()) => Ok(()),
            Err(Refusal::Cancelled) => Err(ProduceError::Cancelled {
                not_sent: 1,
                unknown: 0,
            }),
            Err(Refusal::Code(code)) => Err(ProduceError::Delivery(self.refusal(
                topic.name(),
                record.partition,
                code,
            ))),
        }
    }

    /// Waits until every record given by [`Producer::enqueue`] has its outcome, and gives the account of them.
    ///
    /// Of several that wait at once each gets the same account. Indexes count from the last flush. `Err` means that
    /// `cancelled` said so or that `timeout` passed: nothing was purged, the number is how many records are still under
    /// way, and the next flush tells about all of them.
    pub fn flush(
        &self,
        timeout: Option<Duration>,
        cancelled: &mut dyn FnMut() -> bool,
    ) -> Result<Tally, u64> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let round = self.loose.round();
        loop {
            let left = deadline.map_or(CHECK_EVERY, |deadline| {
                deadline
                    .saturating_duration_since(Instant::now())
                    .min(CHECK_EVERY)
            });
            let left = self.hurry(&self.loose, left);
            if let Some(tally) = self.loose.wait_taken(&round, left) {
                return Ok(Arc::unwrap_or_clone(tally));
            }
            if cancelled() || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(self.loose.outstanding());
            }
        }
    }

    /// Whether the name can be a topic's; asks nobody.
    pub fn check_topic(&self, topic: &str) -> Result<(), ProduceError> {
        self.topic(topic).map(drop)
    }

    /// Starts a batch: see [`Batch`].
    pub fn batch(
        &self,
        topic: &str,
        serializer: Serializer,
        key: Option<Path>,
    ) -> Result<Batch<'_>, ProduceError> {
        Ok(Batch::new(self, self.topic(topic)?, serializer, key))
    }

    /// Throws away what is queued, gives requests on the wire up to `grace` to be answered, and gives the rest up.
    ///
    /// Every record of every batch under way gets its outcome: not sent if it was queued, unknown if it was on the wire, or
    /// if the thread that has it does not say in time. Records given from then on wait until the purge is over everywhere.
    /// The account returned is that of the records given by [`Producer::enqueue`].
    pub fn purge(&self, grace: Duration) -> Tally {
        self.purge_for(&self.loose, grace);
        Arc::unwrap_or_clone(self.loose.take())
    }

    /// Records given by [`Producer::enqueue`] that have no outcome yet.
    pub fn outstanding(&self) -> u64 {
        self.loose.outstanding()
    }

    /// What the brokers refuse this client, if they do: then waiting for records under way, or sending them again, is in
    /// vain until somebody mends the configuration or gives the right.
    pub fn rejection(&self) -> Option<Rejection> {
        self.native.client().context().rejection()
    }

    fn purge_for(&self, account: &Account, grace: Duration) {
        let started = Instant::now();
        self.native.purge(What::Queued);
        if account.wait_settled(grace) {
            return;
        }
        self.native.purge(What::AlsoSent);
        let mut left = account.outstanding();
        while !account.wait_settled(PURGE_LOOK) {
            let before = std::mem::replace(&mut left, account.outstanding());
            let on_their_way = self.native.purging().is_over() || left < before;
            let bound = if on_their_way {
                PURGE_REPORTED_WITHIN
            } else {
                PURGE_BEGINS_WITHIN
            };
            if started.elapsed() >= bound {
                return;
            }
        }
    }

    pub(super) fn purge_interrupted(&self, account: &Account) {
        self.purge_for(account, IN_FLIGHT_GRACE);
    }

    pub(super) fn wait_settled(&self, account: &Account, wait: Duration) -> bool {
        let left = self.hurry(account, wait);
        account.wait_settled(left)
    }

    /// Cuts lingering short where there is much of it, and gives what is left of `wait`.
    fn hurry(&self, account: &Account, wait: Duration) -> Duration {
        if !self.hurries || account.outstanding() == 0 {
            return wait;
        }
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        native::hurry(&self.native, wait_ms);
        Duration::ZERO
    }

    pub(super) fn open(&self, account: Arc<Account>) -> usize {
        self.native.client().context().open(account)
    }

    pub(super) fn close(&self, slot: usize) {
        self.native.client().context().close(slot);
    }

    /// Hands a record over that the account expects; waits while the queue is full. A refusal takes the count back.
    pub(super) fn produce(
        &self,
        topic: &Topic,
        record: &Record<'_>,
        account: &Account,
        opaque: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<(), Refusal> {
        let refusal = loop {
            if let Err(refusal) = self.wait_for_purge(pulse) {
                break refusal;
            }
            match topic.produce(record, opaque) {
                Ok(()) => return Ok(()),
                Err(RDKafkaErrorCode::QueueFull) => {
                    if self.native.client().context().is_fatal() {
                        break Refusal::Code(RDKafkaErrorCode::Fatal);
                    }
                    if pulse.says_stop() {
                        break Refusal::Cancelled;
                    }
                    std::thread::sleep(QUEUE_FULL_PAUSE);
                }
                Err(code) => break Refusal::Code(code),
            }
        };
        account.unexpect_one();
        Err(refusal)
    }

    /// Waits until the purge of earlier records can take no later one along.
    fn wait_for_purge(&self, pulse: &mut Pulse<'_>) -> Result<(), Refusal> {
        let purging = self.native.purging();
        if purging.is_over() {
            return Ok(());
        }
        let deadline = Instant::now() + PURGE_ENDS_WITHIN;
        while !purging.wait(CHECK_EVERY) {
            if pulse.says_stop() {
                return Err(Refusal::Cancelled);
            }
            if Instant::now() >= deadline {
                return Err(Refusal::Code(RDKafkaErrorCode::TimedOutQueue));
            }
        }
        Ok(())
    }

    /// The failure of a record that librdkafka did not take.
    pub(super) fn refusal(
        &self,
        topic: &str,
        partition: Option<i32>,
        code: RDKafkaErrorCode,
    ) -> DeliveryFailure {
        let (code, hint) = self.native.client().context().explain(code);
        DeliveryFailure {
            topic: topic.to_owned(),
            partition,
            outcome: Undelivered::NotSent,
            code,
            hint,
        }
    }

    /// How many partitions the topic has, when keys are placed the way we can compute; `None` when that is not known.
    pub(super) fn partition_count(&self, topic: &str, pulse: &mut Pulse<'_>) -> Option<u32> {
        if !self.places_keys_as_java {
            return None;
        }
        // The request blocks inside librdkafka; on a thread of its own the caller can still be interrupted.
        let (answer, counts) = mpsc::sync_channel(1);
        let native = Arc::clone(&self.native);
        let name = topic.to_owned();
        std::thread::spawn(move || {
            let count = native
                .client()
                .fetch_metadata(Some(&name), METADATA_WAIT)
                .ok()
                .and_then(|metadata| {
                    let topic = metadata
                        .topics()
                        .iter()
                        .find(|topic| topic.name() == name)?;
                    u32::try_from(topic.partitions().len()).ok()
                });
            // The caller may be gone.
            let _ = answer.send(count);
        });
        loop {
            match counts.recv_timeout(CHECK_EVERY) {
                Ok(count) => return count.filter(|count| *count > 0),
                Err(mpsc::RecvTimeoutError::Timeout) if !pulse.says_stop() => {}
                Err(_) => return None,
            }
        }
    }

    fn topic(&self, name: &str) -> Result<Arc<Topic>, ProduceError> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(name) {
            return Ok(Arc::clone(topic));
        }
        let refused = || ProduceError::Topic {
            topic: name.to_owned(),
        };
        if !is_topic_name(name) {
            return Err(refused());
        }
        let topic = Arc::new(Topic::new(&self.native, name).ok_or_else(refused)?);
        if topics.len() >= MAX_TOPICS {
            topics.clear();
        }
        topics.insert(name.to_owned(), Arc::clone(&topic));
        Ok(topic)
    }
}

fn is_topic_name(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && !matches!(name, "." | "..")
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_are_kafkas() {
        for good in ["a", "users_created", "a.b-c", &"x".repeat(249)] {
            assert!(is_topic_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", "a\0b", &"x".repeat(250)] {
            assert!(!is_topic_name(bad), "{bad}");
        }
    }
}
