//! The list of all metrics: name, kind, unit, labels, meaning. Dashboards and alerts may use only these names.

/// How a series moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts of observations in buckets.
    Histogram,
}

/// What a series is counted in. Prometheus' base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things; the name says which.
    Count,
    /// Seconds, with fractions.
    Seconds,
    /// Bytes.
    Bytes,
}

macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $variant:ident = $name:literal, $kind:ident, $unit:ident, [$($label:literal),*];)+) => {
        /// A metric. The doc comment of each is its help text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric { $($(#[doc = $help])+ $variant,)+ }

        impl Metric {
            /// Every metric, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name as it is scraped; a counter's ends in `_total`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
            /// How the series moves.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)+ }
            }
            /// What it is counted in.
            pub const fn unit(self) -> Unit {
                match self { $(Self::$variant => Unit::$unit,)+ }
            }
            /// The labels of every series of this metric, in order.
            pub const fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($label),*],)+ }
            }
            /// One sentence for `# HELP`.
            pub fn help(self) -> String {
                let text: &[&str] = match self { $(Self::$variant => &[$($help),+],)+ };
                let text: Vec<&str> = text.iter().map(|line| line.trim()).collect();
                text.join(" ").trim_end_matches('.').to_owned()
            }
        }
    };
}

metrics! {
    /// Records taken from Kafka, redeliveries included.
    Received = "millstream_received_total", Counter, Count, ["pipeline"];
    /// Bytes of keys and values taken from Kafka.
    ReceivedBytes = "millstream_received_bytes_total", Counter, Bytes, ["pipeline"];
    /// Records settled, by outcome: stored, dead, filtered, tombstone, expired.
    Records = "millstream_records_total", Counter, Count, ["pipeline", "outcome"];
    /// Records seen again after a restart or a rebalance, below an offset this process had already read.
    Redelivered = "millstream_redelivered_total", Counter, Count, ["pipeline"];
    /// Records acknowledged by the dead-letter topic, by code.
    DeadLetters = "millstream_dead_letters_total", Counter, Count, ["pipeline", "code"];
    /// Offsets that were gone from the log before they could be read.
    OffsetGap = "millstream_offset_gap_records_total", Counter, Count, ["pipeline"];
    /// Topics found deleted and created again while the pipeline ran.
    TopicRecreated = "millstream_topic_recreated_total", Counter, Count, ["pipeline"];
    /// Rows acknowledged by the sink.
    Rows = "millstream_rows_total", Counter, Count, ["pipeline", "table"];
    /// Rows refused by the sink for good.
    RowsRefused = "millstream_rows_refused_total", Counter, Count, ["pipeline", "table"];
    /// Attempts to write a row after the first one.
    Retries = "millstream_retries_total", Counter, Count, ["pipeline", "table"];
    /// Time from sending a row to its acknowledgement, retries included.
    WriteSeconds = "millstream_write_seconds", Histogram, Seconds, ["pipeline", "table"];
    /// Time from a record's Kafka timestamp to the acknowledgement of its last effect.
    EndToEndSeconds = "millstream_end_to_end_seconds", Histogram, Seconds, ["pipeline"];
    /// Records taken and not yet settled.
    InFlightRecords = "millstream_in_flight_records", Gauge, Count, ["pipeline"];
    /// Bytes of records taken and not yet settled.
    InFlightBytes = "millstream_in_flight_bytes", Gauge, Bytes, ["pipeline"];
    /// Circuit breaker before the sink: 0 closed, 1 half-open, 2 open.
    Breaker = "millstream_breaker_state", Gauge, Count, ["pipeline"];
    /// Partitions assigned to this process.
    AssignedPartitions = "millstream_assigned_partitions", Gauge, Count, ["pipeline"];
    /// Assigned partitions that are paused because the sink does not keep up.
    PausedPartitions = "millstream_paused_partitions", Gauge, Count, ["pipeline"];
    /// Records between the committed offset and the end of the partition.
    Lag = "millstream_lag_records", Gauge, Count, ["pipeline", "topic", "partition"];
    /// Next offset to read after a restart: everything below it is settled.
    CommittedOffset = "millstream_committed_offset", Gauge, Count, ["pipeline", "topic", "partition"];
    /// Next offset to take from Kafka.
    PositionOffset = "millstream_position_offset", Gauge, Count, ["pipeline", "topic", "partition"];
    /// How far the partition's last write stamp is ahead of its records' timestamps.
    WriteStampAhead = "millstream_write_stamp_ahead_seconds", Gauge, Seconds, ["pipeline", "topic", "partition"];
    /// Offset commits, by result: ok, failed.
    Commits = "millstream_commits_total", Counter, Count, ["pipeline", "result"];
    /// Changes of the assignment, by kind: assigned, revoked, lost.
    Rebalances = "millstream_rebalances_total", Counter, Count, ["pipeline", "kind"];
    /// Version of the running program; always 1.
    BuildInfo = "millstream_build_info", Gauge, Count, ["version"];
    /// CPU time used by the process.
    ProcessCpuSeconds = "process_cpu_seconds_total", Counter, Seconds, [];
    /// Resident memory of the process.
    ProcessResidentMemory = "process_resident_memory_bytes", Gauge, Bytes, [];
    /// Open file descriptors.
    ProcessOpenFds = "process_open_fds", Gauge, Count, [];
    /// Threads of the process.
    ProcessThreads = "process_threads", Gauge, Count, [];
    /// Start of the process in seconds since 1970.
    ProcessStartTime = "process_start_time_seconds", Gauge, Seconds, [];
}
