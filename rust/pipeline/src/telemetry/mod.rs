//! What the running process says about itself: metrics, readiness, liveness.
//!
//! Every series is named in [`Metric`]. Code on the hot path holds a [`PipelineTelemetry`], a [`TableTelemetry`] or a
//! [`PartitionTelemetry`], whose counters were looked up once; counting a record is one atomic addition.

mod families;
mod metric;
mod partition;
mod pipeline;
mod process;
mod readiness;

pub use metric::{Kind, Metric, Unit};
pub use partition::PartitionTelemetry;
pub use pipeline::{
    Breaker, CommitResult, Outcome, PipelineTelemetry, Progress, Rebalance, TableTelemetry,
};
pub use readiness::{Cause, Condition, ConditionReport, Report, State, Status};

use families::Families;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// All telemetry of one process. Cheap to share by `Arc`; there is no global one.
#[derive(Debug)]
pub struct Telemetry {
    families: Arc<Families>,
    status: Status,
    pipelines: Mutex<BTreeMap<String, Arc<PipelineTelemetry>>>,
}

impl Telemetry {
    /// `version` stands in `millstream_build_info`; `clock` gives the times in the readiness report and the start time
    /// of the process (pass [`SystemTime::now`]).
    pub fn new(version: &str, clock: fn() -> SystemTime) -> Self {
        Self {
            families: Arc::new(Families::new(version, clock())),
            status: Status::new(clock),
            pipelines: Mutex::default(),
        }
    }

    /// The handle of a pipeline, made at the first call. The name is the label `pipeline`.
    pub fn pipeline(&self, name: &str) -> Arc<PipelineTelemetry> {
        let mut pipelines = self
            .pipelines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = pipelines.get(name) {
            return Arc::clone(found);
        }
        let made = Arc::new(PipelineTelemetry::new(name, Arc::clone(&self.families)));
        pipelines.insert(name.to_owned(), Arc::clone(&made));
        made
    }

    /// What is ready, what is waited for, and whether the process is stopping.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// All series in the `OpenMetrics` text format ([`Self::CONTENT_TYPE`]).
    pub fn render(&self) -> String {
        self.families.render()
    }

    /// Content type of [`Self::render`].
    pub const CONTENT_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

#[cfg(test)]
mod tests;
