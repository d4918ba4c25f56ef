//! The polling thread.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::Offset;
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use super::assignment::{self, Assignment, Completion};
use super::client::ConsumerConfig;
use super::context::{Context, lock, now_ms};
use super::intake::Intake;
use super::record::Record;
use crate::kafka::offsets::{Outcome, UnknownVersion};
use crate::telemetry::{Condition, PipelineTelemetry};

/// How often commits are sent when something moved.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How long one poll waits for a record.
const POLL: Duration = Duration::from_millis(100);
/// After this long without room all partitions are paused, and polling goes on.
const PAUSE_AFTER: Duration = Duration::from_secs(1);

/// What becomes of a record.
pub trait Handler: Send + Sync + 'static {
    /// Sees one record through to its end: its effects acknowledged, its dead letter acknowledged, or filtered.
    /// Waits as long as that takes. `None`: given up because the process stops; the record is not settled.
    fn handle(
        self: Arc<Self>,
        record: Record,
    ) -> impl Future<Output = Option<Outcome>> + Send + 'static;

    /// Whether the sink cannot be reached at the moment.
    fn sink_down(&self) -> bool;
}

/// How a pipeline's reading ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Stopped or at the end: everything that was read is settled and committed.
    Clean,
    /// Stopped at the deadline with records in flight; they come again after the next start.
    Undrained {
        /// Records that were not settled.
        records: usize,
    },
    /// The commit metadata is of a newer build.
    Refused(UnknownVersion),
    /// The client cannot go on.
    Fatal(String),
}

struct Poll<H> {
    consumer: BaseConsumer<Context>,
    handler: Arc<H>,
    runtime: Handle,
    intake: Intake,
    done: Sender<Completion>,
    /// Records that were read and wait for room.
    held: VecDeque<(usize, Record)>,
    held_since: Option<Instant>,
    topics: HashMap<String, Arc<str>>,
    /// With `until_end`: where each partition ended when we started.
    ends: HashMap<(String, i32), i64>,
}

/// Reads until `stopping` is set or, with `until_end`, until everything that was there is settled. Blocks its thread.
pub fn run<H: Handler>(
    client: &ClientConfig,
    config: ConsumerConfig,
    handler: Arc<H>,
    runtime: Handle,
    telemetry: Arc<PipelineTelemetry>,
    kafka: Condition,
    stopping: Arc<AtomicBool>,
) -> Result<Ended, KafkaError> {
    let (done, completions) = channel();
    let down = handler.clone();
    let context = Context {
        assignment: Mutex::new(Assignment::default()),
        completions: Mutex::new(completions),
        telemetry,
        kafka,
        all_paused: AtomicBool::new(false),
        committing: AtomicBool::new(false),
        stopping,
        sink_down: Box::new(move || down.sink_down()),
        refused: Mutex::new(None),
        config,
    };
    let intake = Intake::new(
        context.config.max_in_flight,
        context.config.max_in_flight_bytes,
    );
    let consumer: BaseConsumer<Context> = client.create_with_context(context)?;
    let topics: Vec<_> = consumer
        .context()
        .config
        .topics
        .iter()
        .map(String::as_str)
        .collect();
    consumer.subscribe(&topics)?;
    let mut poll = Poll {
        handler,
        runtime,
        intake,
        done,
        held: VecDeque::new(),
        held_since: None,
        topics: HashMap::new(),
        ends: HashMap::new(),
        consumer,
    };
    Ok(poll.run())
}

impl<H: Handler> Poll<H> {
    fn context(&self) -> &Arc<Context> {
        self.consumer.context()
    }

    fn run(&mut self) -> Ended {
        if self.context().config.until_end && !self.note_ends() {
            return Ended::Clean;
        }
        let mut last_commit = Instant::now();
        loop {
            if self.context().stopping.load(Ordering::Relaxed) {
                return self.stop();
            }
            if let Some(unknown) = lock(&self.context().refused).take() {
                error!(%unknown, "the committed offsets cannot be used");
                return Ended::Refused(unknown);
            }
            self.take_completions();
            self.admit_held();
            if let Some(fatal) = self.poll_once() {
                return Ended::Fatal(fatal);
            }
            if last_commit.elapsed() >= COMMIT_EVERY {
                last_commit = Instant::now();
                self.limit_ahead();
                self.commit();
                if self.context().config.until_end && self.at_end() {
                    info!("everything that was there at the start is settled");
                    return self.stop();
                }
            }
        }
    }

    /// One poll, or a wait for room while records are held and nothing is paused yet.
    fn poll_once(&mut self) -> Option<String> {
        if !self.held.is_empty() && !self.context().all_paused.load(Ordering::Relaxed) {
            let completion = lock(&self.context().completions).recv_timeout(POLL);
            if let Ok(completion) = completion {
                lock(&self.context().assignment).complete(&completion);
            }
            return None;
        }
        let read = match self.consumer.poll(POLL) {
            None => None,
            Some(Ok(message)) => Self::read(&self.consumer, &mut self.topics, &message),
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => return Some(code.to_string()),
            Some(Err(error)) => {
                self.context().note_error(&error, &error.to_string());
                None
            }
        };
        if let Some((key, record)) = read {
            self.admit(key, record);
        }
        None
    }

    /// Notes a message in its partition's order and copies it.
    fn read(
        consumer: &BaseConsumer<Context>,
        topics: &mut HashMap<String, Arc<str>>,
        message: &BorrowedMessage<'_>,
    ) -> Option<(usize, Record)> {
        let context = consumer.context();
        let topic = match topics.get(message.topic()) {
            Some(topic) => topic.clone(),
            None => topics
                .entry(message.topic().to_owned())
                .or_insert_with(|| Arc::from(message.topic()))
                .clone(),
        };
        let mut assignment = lock(&context.assignment);
        let mut key = assignment.key(&topic, message.partition())?;
        let offset = message.offset();
        if offset < assignment.get_mut(key)?.position {
            warn!(topic = %topic, partition = message.partition(), offset, "topic re-created: reading it from its beginning");
            context.telemetry.topic_recreated();
            key = assignment.restart(key, offset)?;
        }
        let partition = assignment.get_mut(key)?;
        if offset > partition.position {
            context
                .telemetry
                .offset_gap(u64::try_from(offset - partition.position).unwrap_or(0));
        }
        partition.position = offset + 1;
        let stamp = partition
            .stamp
            .next(message.timestamp().to_millis().unwrap_or(0), now_ms());
        partition.offsets.read(offset, partition.stamp.last());
        let record = Record::copy(message, topic, stamp);
        context.telemetry.received(record.size());
        #[cfg(feature = "fault-commit-before-acknowledgement")]
        partition.offsets.settle(offset, Outcome::Stored);
        Some((key, record))
    }

    /// Starts a record's handling if there is room, else holds it.
    fn admit(&mut self, key: usize, record: Record) {
        if !self.held.is_empty() {
            self.held.push_back((key, record));
            return;
        }
        if let Some(record) = self.start(key, record) {
            self.held_since = Some(Instant::now());
            self.held.push_back((key, record));
        }
    }

    /// Gives the record back when there is no room for it.
    fn start(&mut self, key: usize, record: Record) -> Option<Record> {
        let Some(room) = self.intake.try_take(record.size()) else {
            return Some(record);
        };
        let offset = record.offset;
        let done = self.done.clone();
        let handling = self.handler.clone().handle(record);
        self.runtime.spawn(async move {
            let outcome = handling.await;
            drop(room);
            // The receiver is gone only when the pipeline has ended.
            let _ = done.send(Completion {
                partition: key,
                offset,
                outcome,
            });
        });
        None
    }

    /// Admits held records as room allows; pauses all partitions when there was none for a second.
    fn admit_held(&mut self) {
        while let Some((key, record)) = self.held.pop_front() {
            if let Some(record) = self.start(key, record) {
                self.held.push_front((key, record));
                break;
            }
            self.held_since = Some(Instant::now());
        }
        let paused = self.context().all_paused.load(Ordering::Relaxed);
        if self.held.is_empty() {
            self.held_since = None;
            if paused {
                self.set_paused(false);
            }
        } else if !paused
            && self
                .held_since
                .is_some_and(|since| since.elapsed() >= PAUSE_AFTER)
        {
            self.set_paused(true);
        }
    }

    fn set_paused(&self, pause: bool) {
        let context = self.context();
        context.all_paused.store(pause, Ordering::Relaxed);
        let assignment = lock(&context.assignment);
        let list = assignment::list(
            assignment
                .iter()
                .filter(|partition| pause || !partition.ahead_paused)
                .map(|partition| (&*partition.topic, partition.id)),
        );
        context
            .telemetry
            .set_partitions(assignment.len(), if pause { assignment.len() } else { 0 });
        drop(assignment);
        let result = if pause {
            self.consumer.pause(&list)
        } else {
            self.consumer.resume(&list)
        };
        if let Err(error) = result {
            warn!(%error, pause, "pausing partitions");
        }
    }

    /// Pauses partitions that ran too far ahead of their lowest record in flight, and resumes those that caught up.
    fn limit_ahead(&self) {
        let context = self.context();
        let limit = context.config.max_settled_ahead;
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for partition in lock(&context.assignment).iter_mut() {
            let ahead = partition.offsets.ahead();
            if !partition.ahead_paused && ahead >= limit {
                partition.ahead_paused = true;
                pause.push((partition.topic.clone(), partition.id));
            } else if partition.ahead_paused && ahead <= limit / 2 {
                partition.ahead_paused = false;
                resume.push((partition.topic.clone(), partition.id));
            }
        }
        let list = |names: &[(Arc<str>, i32)]| {
            assignment::list(names.iter().map(|(topic, id)| (&**topic, *id)))
        };
        if !pause.is_empty()
            && let Err(error) = self.consumer.pause(&list(&pause))
        {
            warn!(%error, "pausing partitions");
        }
        if !resume.is_empty()
            && !context.all_paused.load(Ordering::Relaxed)
            && let Err(error) = self.consumer.resume(&list(&resume))
        {
            warn!(%error, "resuming partitions");
        }
    }

    fn take_completions(&self) {
        let context = self.context();
        let completions = lock(&context.completions);
        let mut assignment = lock(&context.assignment);
        while let Ok(completion) = completions.try_recv() {
            assignment.complete(&completion);
        }
    }

    fn commit(&self) {
        let context = self.context();
        if context.committing.load(Ordering::Relaxed) {
            return;
        }
        let Some(list) = lock(&context.assignment).commits(false) else {
            return;
        };
        context.committing.store(true, Ordering::Relaxed);
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            context.committing.store(false, Ordering::Relaxed);
            warn!(%error, "commit");
        }
    }

    /// The end of every partition of our topics as it is now. False when the process stops before the broker answers.
    fn note_ends(&mut self) -> bool {
        loop {
            match self.ask_ends() {
                Ok(ends) => {
                    self.ends = ends;
                    return true;
                }
                Err(error) => self.context().note_error(&error, &error.to_string()),
            }
            if self.context().stopping.load(Ordering::Relaxed) {
                return false;
            }
            // Not a poll: a record handed out here would be lost to the count.
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn ask_ends(&self) -> Result<HashMap<(String, i32), i64>, KafkaError> {
        let timeout = Duration::from_secs(5);
        let mut ends = HashMap::new();
        for topic in &self.context().config.topics {
            let metadata = self.consumer.fetch_metadata(Some(topic), timeout)?;
            for found in metadata.topics() {
                if let Some(code) = found.error() {
                    return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::from(code)));
                }
                for partition in found.partitions() {
                    let (_, high) =
                        self.consumer
                            .fetch_watermarks(found.name(), partition.id(), timeout)?;
                    ends.insert((found.name().to_owned(), partition.id()), high);
                }
            }
        }
        Ok(ends)
    }

    /// Whether every partition that is ours has passed the end it had at the start, with nothing in flight.
    fn at_end(&self) -> bool {
        let context = self.context();
        let positions = self.consumer.position().ok();
        let assignment = lock(&context.assignment);
        assignment.len() > 0
            && assignment.iter().all(|partition| {
                let end = self
                    .ends
                    .get(&(partition.topic.to_string(), partition.id))
                    .copied()
                    .unwrap_or(0);
                // The client's own position also passes transaction markers, which are never handed out.
                let seen = positions
                    .as_ref()
                    .and_then(|list| list.find_partition(&partition.topic, partition.id))
                    .and_then(|element| match element.offset() {
                        Offset::Offset(offset) => Some(offset),
                        _ => None,
                    })
                    .unwrap_or(partition.position);
                seen.max(partition.position) >= end && partition.offsets.ahead() == 0
            })
    }

    /// Drains, commits, leaves the group.
    fn stop(&mut self) -> Ended {
        let context = self.context().clone();
        context.stopping.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + context.config.drain;
        // Held records never started: they are read again after the next start.
        let held: Vec<_> = self.held.drain(..).collect();
        self.drain_started(deadline, held.len());
        let records: usize = lock(&context.assignment)
            .iter()
            .map(|partition| partition.offsets.ahead())
            .sum();
        let commits = lock(&context.assignment).commits(true);
        let committed = match commits.map(|list| self.consumer.commit(&list, CommitMode::Sync)) {
            None | Some(Ok(())) => true,
            Some(Err(error)) => {
                warn!(%error, "the last commit failed; records come again after the next start, none is lost");
                false
            }
        };
        *lock(&context.assignment) = Assignment::default();
        self.consumer.unsubscribe();
        if committed && records <= held.len() {
            Ended::Clean
        } else {
            Ended::Undrained { records }
        }
    }

    /// Waits for the records that were started; `held` ones were not and never end.
    fn drain_started(&self, deadline: Instant, held: usize) {
        let context = self.context();
        let completions = lock(&context.completions);
        loop {
            let waiting: usize = lock(&context.assignment)
                .iter()
                .map(|partition| partition.offsets.ahead())
                .sum();
            let left = deadline.saturating_duration_since(Instant::now());
            if waiting <= held || left.is_zero() || (context.sink_down)() {
                return;
            }
            if let Ok(completion) = completions.recv_timeout(left.min(Duration::from_millis(50))) {
                lock(&context.assignment).complete(&completion);
            }
        }
    }
}
