//! The handles a pipeline and its tables count with.

use super::families::Families;
use super::metric::Metric;
use super::partition::PartitionTelemetry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// More codes of one pipeline than this are counted as `other`: a program may invent codes, a scrape must stay small.
const MAX_CODES: usize = 64;

/// How a record was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every effect was acknowledged.
    Stored,
    /// It stands in the dead-letter topic.
    Dead,
    /// The program or the filter left it out.
    Filtered,
    /// A record without a value, left out.
    Tombstone,
    /// Its time to live had passed.
    Expired,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [
        Self::Stored,
        Self::Dead,
        Self::Filtered,
        Self::Tombstone,
        Self::Expired,
    ];

    /// The value of the label `outcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Dead => "dead",
            Self::Filtered => "filtered",
            Self::Tombstone => "tombstone",
            Self::Expired => "expired",
        }
    }
}

/// State of the circuit breaker before the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// Writes go through.
    Closed,
    /// One probe is under way.
    HalfOpen,
    /// Writes wait.
    Open,
}

/// How a commit of offsets ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitResult {
    /// Acknowledged by the coordinator.
    Ok,
    /// Not acknowledged; the next commit carries it.
    Failed,
}

/// A change of the assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebalance {
    /// Partitions came.
    Assigned,
    /// Partitions were given back after a drain.
    Revoked,
    /// Partitions were taken without a chance to commit.
    Lost,
}

/// Counters of one pipeline. All methods are cheap and may be called from any task.
#[derive(Debug)]
pub struct PipelineTelemetry {
    name: String,
    families: Arc<Families>,
    received: Counter,
    received_bytes: Counter,
    records: [Counter; Outcome::ALL.len()],
    redelivered: Counter,
    offset_gap: Counter,
    topic_recreated: Counter,
    end_to_end: Histogram,
    in_flight_records: Gauge,
    in_flight_bytes: Gauge,
    breaker: Gauge,
    assigned_partitions: Gauge,
    paused_partitions: Gauge,
    commits: [Counter; 2],
    rebalances: [Counter; 3],
    codes: Mutex<BTreeMap<String, Counter>>,
    tables: Mutex<BTreeMap<String, Arc<TableTelemetry>>>,
    polls: AtomicU64,
}

/// What shows that a pipeline lives, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rounds of the polling loop.
    pub polls: u64,
    /// Records settled.
    pub settled: u64,
    /// Records taken and not settled.
    pub in_flight: u64,
}

impl PipelineTelemetry {
    pub(super) fn new(name: &str, families: Arc<Families>) -> Self {
        let counter = |metric| families.counter(metric, &[name]);
        let gauge = |metric| families.gauge(metric, &[name]);
        Self {
            name: name.to_owned(),
            received: counter(Metric::Received),
            received_bytes: counter(Metric::ReceivedBytes),
            records: Outcome::ALL
                .map(|outcome| families.counter(Metric::Records, &[name, outcome.as_str()])),
            redelivered: counter(Metric::Redelivered),
            offset_gap: counter(Metric::OffsetGap),
            topic_recreated: counter(Metric::TopicRecreated),
            end_to_end: families.histogram(Metric::EndToEndSeconds, &[name]),
            in_flight_records: gauge(Metric::InFlightRecords),
            in_flight_bytes: gauge(Metric::InFlightBytes),
            breaker: gauge(Metric::Breaker),
            assigned_partitions: gauge(Metric::AssignedPartitions),
            paused_partitions: gauge(Metric::PausedPartitions),
            commits: ["ok", "failed"]
                .map(|result| families.counter(Metric::Commits, &[name, result])),
            rebalances: ["assigned", "revoked", "lost"]
                .map(|kind| families.counter(Metric::Rebalances, &[name, kind])),
            codes: Mutex::default(),
            tables: Mutex::default(),
            polls: AtomicU64::new(0),
            families,
        }
    }

    /// The pipeline's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A record was taken from Kafka; `bytes` of key and value.
    pub fn received(&self, bytes: usize) {
        self.received.inc();
        self.received_bytes.inc_by(bytes as u64);
    }

    /// A record was settled. Exactly once per received record.
    pub fn settled(&self, outcome: Outcome) {
        self.records[outcome as usize].inc();
    }

    /// The polling loop came round.
    pub fn polled(&self) {
        self.polls.fetch_add(1, Ordering::Relaxed);
    }

    /// What a watchdog compares.
    pub fn progress(&self) -> Progress {
        Progress {
            polls: self.polls.load(Ordering::Relaxed),
            settled: self.records.iter().map(Counter::get).sum(),
            in_flight: u64::try_from(self.in_flight_records.get()).unwrap_or(0),
        }
    }

    /// Records settled so far with this outcome.
    pub fn settled_count(&self, outcome: Outcome) -> u64 {
        self.records[outcome as usize].get()
    }

    /// The dead-letter topic acknowledged a record with this code. Takes a lock; not for the hot path.
    pub fn dead_letter(&self, code: &str) {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = codes.get(code) {
            counter.inc();
            return;
        }
        let code = if codes.len() < MAX_CODES {
            code
        } else {
            "other"
        };
        let made = || {
            self.families
                .counter(Metric::DeadLetters, &[&self.name, code])
        };
        codes.entry(code.to_owned()).or_insert_with(made).inc();
    }

    /// Records were read that this process or a former owner had read before.
    pub fn redelivered(&self, records: u64) {
        self.redelivered.inc_by(records);
    }

    /// Offsets were gone from the log before they could be read.
    pub fn offset_gap(&self, records: u64) {
        self.offset_gap.inc_by(records);
    }

    /// A topic was found deleted and created again.
    pub fn topic_recreated(&self) {
        self.topic_recreated.inc();
    }

    /// Every effect of a record is acknowledged, this long after its Kafka timestamp (zero if that lies ahead).
    pub fn end_to_end(&self, since_record: Duration) {
        self.end_to_end.observe(since_record.as_secs_f64());
    }

    /// What is taken and not settled: records, and their bytes.
    pub fn set_in_flight(&self, records: usize, bytes: usize) {
        self.in_flight_records.set(clamp(records));
        self.in_flight_bytes.set(clamp(bytes));
    }

    /// The breaker moved.
    pub fn set_breaker(&self, state: Breaker) {
        self.breaker.set(state as i64);
    }

    /// The assignment changed.
    pub fn set_partitions(&self, assigned: usize, paused: usize) {
        self.assigned_partitions.set(clamp(assigned));
        self.paused_partitions.set(clamp(paused));
    }

    /// A commit ended.
    pub fn committed(&self, result: CommitResult) {
        self.commits[result as usize].inc();
    }

    /// A rebalance reached this process.
    pub fn rebalanced(&self, kind: Rebalance) {
        self.rebalances[kind as usize].inc();
    }

    /// The handle of a table (`keyspace.table`), made at the first call; keep it.
    pub fn table(&self, table: &str) -> Arc<TableTelemetry> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = tables.get(table) {
            return Arc::clone(found);
        }
        let made = Arc::new(TableTelemetry::new(&self.name, table, &self.families));
        tables.insert(table.to_owned(), Arc::clone(&made));
        made
    }

    /// The gauges of an assigned partition; they leave the scrape when the handle is dropped. Keep one per partition.
    pub fn partition(&self, topic: &str, partition: i32) -> PartitionTelemetry {
        PartitionTelemetry::new(&self.name, topic, partition, Arc::clone(&self.families))
    }
}

/// Counters of one table of one pipeline.
#[derive(Debug)]
pub struct TableTelemetry {
    rows: Counter,
    refused: Counter,
    retries: Counter,
    write: Histogram,
}

impl TableTelemetry {
    fn new(pipeline: &str, table: &str, families: &Families) -> Self {
        let labels = [pipeline, table];
        Self {
            rows: families.counter(Metric::Rows, &labels),
            refused: families.counter(Metric::RowsRefused, &labels),
            retries: families.counter(Metric::Retries, &labels),
            write: families.histogram(Metric::WriteSeconds, &labels),
        }
    }

    /// A row was acknowledged this long after it was first sent.
    pub fn written(&self, took: Duration) {
        self.rows.inc();
        self.write.observe(took.as_secs_f64());
    }

    /// A row was refused for good.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// A write is tried again.
    pub fn retried(&self) {
        self.retries.inc();
    }
}

fn clamp(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
