//! The running pipelines: what becomes of a record between Kafka and Cassandra.

mod dead;
mod decode;
mod deliver;
mod effects;
mod plan;
mod processor;
mod supervise;
mod tables;
mod watchdog;

pub use plan::{Plan, RowMode, TablePlan, Tombstones, ValueFormat, WriteTimestamp};
pub use supervise::{ExitReason, PipelineSettings, RunOptions, Settings, run};
