//! The polling thread.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::Offset;
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use super::assignment::{self, Assignment, Completion};
use super::client::ConsumerConfig;
use super::committer::{Committer, commit};
use super::context::{Context, KafkaFault, lock, now_ms};
use super::ends::{self, Ends};
use super::handler::{Ended, Handler, Report};
use super::intake::Intake;
use super::record::Record;
use crate::telemetry::{Condition, PipelineTelemetry};

/// How often commits are sent when something moved.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How long one poll waits for a record.
const POLL: Duration = Duration::from_millis(100);
/// After this long without room all partitions are paused, and polling goes on.
const PAUSE_AFTER: Duration = Duration::from_secs(1);

struct Poll<H> {
    /// Dropped before the consumer: closing it belongs to this thread.
    committer: Committer,
    consumer: Arc<BaseConsumer<Context>>,
    handler: Arc<H>,
    runtime: Handle,
    intake: Intake,
    done: Sender<Completion>,
    held_since: Option<Instant>,
    topics: HashMap<String, Arc<str>>,
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
        held: Mutex::new(VecDeque::new()),
        telemetry,
        kafka,
        all_paused: AtomicBool::new(false),
        stopping,
        ending: AtomicBool::new(false),
        fault: Mutex::new(None),
        joined: AtomicBool::new(false),
        sink_down: Box::new(move || down.sink_down()),
        refused: Mutex::new(None),
        config,
    };
    let intake = Intake::new(
        context.config.max_in_flight,
        context.config.max_in_flight_bytes,
    );
    let consumer: Arc<BaseConsumer<Context>> = Arc::new(client.create_with_context(context)?);
    let topics: Vec<_> = consumer
        .context()
        .config
        .topics
        .iter()
        .map(String::as_str)
        .collect();
    consumer.subscribe(&topics)?;
    let committer = Committer::start(consumer.clone())
        .map_err(|error| KafkaError::ClientCreation(format!("a thread for commits: {error}")))?;
    let mut poll = Poll {
        committer,
        handler,
        runtime,
        intake,
        done,
        held_since: None,
        topics: HashMap::new(),
        consumer,
    };
    Ok(poll.run())
}

impl<H: Handler> Poll<H> {
    fn context(&self) -> &Arc<Context> {
        self.consumer.context()
    }

    fn run(&mut self) -> Ended {
        let ends = match self
            .context()
            .config
            .until_end
            .then(|| Ends::ask(&self.consumer))
        {
            Some(None) => return Ended::BeforeEnd,
            asked => asked.flatten(),
        };
        let mut last_commit = Instant::now();
        loop {
            if self.context().stops() {
                return match self.stop() {
                    Ended::Clean if ends.is_some() => Ended::BeforeEnd,
                    ended => ended,
                };
            }
            if let Some(unknown) = lock(&self.context().refused).take() {
                error!(%unknown, "the committed offsets cannot be used");
                return Ended::Refused(unknown);
            }
            self.context().telemetry.polled();
            self.take_completions();
            if lock(&self.context().assignment).broken() {
                return Ended::Fatal("a record could not be seen through to its end".to_owned());
            }
            self.admit_held();
            if let Some(fatal) = self.poll_once() {
                return Ended::Fatal(fatal);
            }
            if last_commit.elapsed() >= COMMIT_EVERY {
                last_commit = Instant::now();
                self.limit_ahead();
                self.report();
                ends::look_for_topics(&self.consumer);
                self.commit();
                if ends
                    .as_ref()
                    .is_some_and(|ends| ends.passed(&lock(&self.context().assignment)))
                {
                    info!("everything that was there at the start is settled");
                    return self.stop();
                }
            }
        }
    }

    /// One poll, or a wait for room while records are held and nothing is paused yet.
    fn poll_once(&mut self) -> Option<String> {
        if !lock(&self.context().held).is_empty()
            && !self.context().all_paused.load(Ordering::Relaxed)
        {
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
            // librdkafka goes on behind a batch that it cannot read, and what was in it would count as a gap. A new start
            // fetches it again: bits that flipped on the way are whole then.
            Some(Err(KafkaError::MessageConsumption(
                code @ (RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::BadCompression),
            ))) => return Some(format!("a batch of records cannot be read: {code}")),
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
            let gap = u64::try_from(offset - partition.position).unwrap_or(0);
            context.telemetry.offset_gap(gap);
            if !partition.started {
                let from = partition.position;
                warn!(topic = %topic, partition = message.partition(), from, to = offset, gap,
                    "no records between the committed offset and the first one there: compacted, or deleted by retention before they were read");
            }
        }
        if offset < partition.seen_to {
            context.telemetry.redelivered(1);
        }
        partition.started = true;
        partition.position = offset + 1;
        let timestamp = message.timestamp().to_millis().unwrap_or(0);
        let now = now_ms();
        let stamp = partition.stamp.next(timestamp, now);
        let read_stamp = partition.clock.next(now, now).unwrap_or(i64::MAX);
        if let Ok(stamp) = stamp {
            let ahead = stamp - timestamp.max(0).saturating_mul(1000);
            partition.stamp_ahead = Duration::from_micros(u64::try_from(ahead).unwrap_or(0));
        }
        partition.offsets.read(offset, partition.stamp.last());
        let record = Record::copy(message, topic, stamp, read_stamp);
        context.mended(KafkaFault::Rights);
        context.telemetry.received(record.size());
        #[cfg(feature = "fault-commit-before-acknowledgement")]
        partition
            .offsets
            .settle(offset, crate::kafka::offsets::Outcome::Stored);
        Some((key, record))
    }

    /// Starts a record's handling if there is room, else holds it.
    fn admit(&mut self, key: usize, record: Record) {
        let context = self.consumer.context().clone();
        let mut held = lock(&context.held);
        if !held.is_empty() {
            held.push_back((key, record));
        } else if let Some(record) = self.start(key, record) {
            self.held_since = Some(Instant::now());
            held.push_back((key, record));
        }
    }

    /// Gives the record back when there is no room for it.
    fn start(&mut self, key: usize, record: Record) -> Option<Record> {
        let Some(room) = self.intake.try_take(record.size()) else {
            return Some(record);
        };
        let report = Report {
            done: self.done.clone(),
            partition: key,
            offset: record.offset,
            outcome: None,
        };
        let handling = self.handler.clone().handle(record);
        self.runtime.spawn(async move {
            let outcome = handling.await;
            drop(room);
            report.ended(outcome);
        });
        None
    }

    /// Admits held records as room allows; pauses all partitions when there was none for a second.
    fn admit_held(&mut self) {
        let context = self.consumer.context().clone();
        let mut held = lock(&context.held);
        while let Some((key, record)) = held.pop_front() {
            if let Some(record) = self.start(key, record) {
                held.push_front((key, record));
                break;
            }
            self.held_since = Some(Instant::now());
        }
        let empty = held.is_empty();
        drop(held);
        let paused = context.all_paused.load(Ordering::Relaxed);
        if empty {
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

    /// Sets the gauges that change with every record once a second.
    fn report(&self) {
        let context = self.context();
        let (records, bytes) = self.intake.in_flight();
        context.telemetry.set_in_flight(records, bytes);
        let assignment = lock(&context.assignment);
        let paused = if context.all_paused.load(Ordering::Relaxed) {
            assignment.len()
        } else {
            let ahead = assignment.iter();
            ahead.filter(|partition| partition.ahead_paused).count()
        };
        context.telemetry.set_partitions(assignment.len(), paused);
    }

    /// Sends a commit of what moved, unless the last one is still under way.
    fn commit(&mut self) {
        if let Some(result) = self.committer.ended() {
            self.consumer.context().commit_ended(&result);
        }
        self.pass_markers();
        if self.committer.idle()
            && let Some(list) = lock(&self.consumer.context().assignment).commits(false)
        {
            self.committer.send(list);
        }
    }

    /// The client's own position also passes transaction markers, which are never handed out.
    fn pass_markers(&self) {
        let Ok(positions) = self.consumer.position() else {
            return;
        };
        for partition in lock(&self.context().assignment).iter_mut() {
            let found = positions.find_partition(&partition.topic, partition.id);
            if let Some(Offset::Offset(position)) = found.map(|element| element.offset()) {
                partition.offsets.pass(position);
                partition.position = partition.position.max(position);
            }
        }
    }

    /// Drains, commits, leaves the group.
    fn stop(&mut self) -> Ended {
        let context = self.context().clone();
        context.ending.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + context.config.drain;
        // Held records never started: they are read again after the next start.
        let held = std::mem::take(&mut *lock(&context.held)).len();
        self.drain_started(deadline, held);
        let records: usize = lock(&context.assignment)
            .iter()
            .map(|partition| partition.offsets.ahead())
            .sum();
        let committed = self.commit_last(deadline);
        *lock(&context.assignment) = Assignment::default();
        self.consumer.unsubscribe();
        match records.saturating_sub(held) {
            0 if committed => Ended::Clean,
            0 => Ended::Uncommitted,
            records => Ended::Undrained { records },
        }
    }

    /// Commits what is settled. A rebalance refuses commits until the group has settled, so it is let through.
    fn commit_last(&self, deadline: Instant) -> bool {
        use RDKafkaErrorCode::{IllegalGeneration, RebalanceInProgress};
        let context = self.context();
        loop {
            let commits = lock(&context.assignment).commits(true);
            let Some(list) = commits else {
                return true;
            };
            let result = commit(&self.consumer, &list);
            context.commit_ended(&result);
            let Err(error) = result else {
                return true;
            };
            let rebalancing = matches!(
                error.rdkafka_error_code(),
                Some(RebalanceInProgress | IllegalGeneration)
            );
            if !rebalancing || Instant::now() >= deadline {
                return false;
            }
            // A record that comes now was not noted, so nothing counts it; it is read again by the next owner.
            drop(self.consumer.poll(POLL));
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
