//! Settings of the consuming client.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;

/// Where a group without a committed offset starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartPosition {
    /// At the beginning of the log.
    #[default]
    Earliest,
    /// At its end as it is at the first assignment; the position is committed at once, so that what comes between two
    /// starts is not lost.
    Latest,
}

/// What one pipeline reads and how far it may run ahead.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// Topics, or one pattern that starts with `^`.
    pub topics: Vec<String>,
    /// The consumer group.
    pub group_id: String,
    /// Where a new group starts.
    pub start: StartPosition,
    /// Records in flight in this pipeline.
    pub max_in_flight: usize,
    /// Their bytes.
    pub max_in_flight_bytes: usize,
    /// Records of one partition that may be read past the lowest one that is not settled.
    pub max_settled_ahead: usize,
    /// Hash of the program, for the commit's metadata.
    pub program_hash: String,
    /// Ends when everything that was there at the start is settled.
    pub until_end: bool,
    /// How long a stop waits for records in flight.
    pub drain: Duration,
}

/// How long a revoked partition's records are waited for.
pub(super) const REVOKE_DRAIN: Duration = Duration::from_secs(10);

/// The client's settings: our defaults, then what the user passes through, then what the promises need.
pub fn client_config(
    bootstrap_servers: &str,
    client_id: &str,
    properties: &BTreeMap<String, String>,
    group_id: &str,
) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "3000")
        .set("max.poll.interval.ms", "300000")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .set("socket.timeout.ms", "10000")
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.max.ms", "5000")
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("statistics.interval.ms", "5000")
        // Reading is never the limit; a small prefetch keeps memory flat, a short back-off keeps it fast.
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.max.bytes", "8388608")
        .set("fetch.queue.backoff.ms", "10")
        .set("ssl.ca.location", "probe");
    for (name, value) in properties {
        config.set(name, value);
    }
    config
        .set("bootstrap.servers", bootstrap_servers)
        .set("client.id", client_id)
        .set("group.id", group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false");
    config
}
