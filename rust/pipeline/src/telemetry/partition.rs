//! The gauges of one assigned partition.

use super::families::{Families, FloatGauge};
use super::metric::Metric;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use std::time::Duration;

const METRICS: [Metric; 4] = [
    Metric::Lag,
    Metric::CommittedOffset,
    Metric::PositionOffset,
    Metric::WriteStampAhead,
];

/// Gauges of a partition, scraped from the moment they are first set until the handle is dropped.
#[derive(Debug)]
pub struct PartitionTelemetry {
    labels: [String; 3],
    families: Arc<Families>,
    lag: Gauge,
    committed: Gauge,
    position: Gauge,
    ahead: FloatGauge,
}

impl PartitionTelemetry {
    pub(super) fn new(
        pipeline: &str,
        topic: &str,
        partition: i32,
        families: Arc<Families>,
    ) -> Self {
        let labels = [pipeline.to_owned(), topic.to_owned(), partition.to_string()];
        let values = labels.each_ref().map(String::as_str);
        Self {
            lag: families.gauge(Metric::Lag, &values),
            committed: families.gauge(Metric::CommittedOffset, &values),
            position: families.gauge(Metric::PositionOffset, &values),
            ahead: families.float_gauge(Metric::WriteStampAhead, &values),
            labels,
            families,
        }
    }

    /// Records between the committed offset and the partition's end.
    pub fn set_lag(&self, records: i64) {
        self.lag.set(records);
    }

    /// The committed offset.
    pub fn set_committed(&self, offset: i64) {
        self.committed.set(offset);
    }

    /// The next offset to take.
    pub fn set_position(&self, offset: i64) {
        self.position.set(offset);
    }

    /// How far the last write stamp is ahead of its record's timestamp.
    pub fn set_write_stamp_ahead(&self, ahead: Duration) {
        self.ahead.set(ahead.as_secs_f64());
    }
}

impl Drop for PartitionTelemetry {
    fn drop(&mut self) {
        let values = self.labels.each_ref().map(String::as_str);
        for metric in METRICS {
            self.families.remove(metric, &values);
        }
    }
}
