//! What the polling thread hands a record to, how it hears of its end, and how a pipeline's reading ends.

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::assignment::Completion;
use super::record::Record;
use crate::kafka::offsets::{Outcome, UnknownVersion};

/// What becomes of a record.
pub trait Handler: Send + Sync + 'static {
    /// Sees one record through to its end: its effects acknowledged, its dead letter acknowledged, or filtered.
    /// Waits as long as that takes. `None`: it never can be in this process, which has to end.
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
    /// Stopped in order, but before everything that was there at the start was read.
    BeforeEnd,
    /// Stopped with all settled, but the broker did not take the last commit; what it would have said comes again.
    Uncommitted,
    /// The commit metadata is of a newer build.
    Refused(UnknownVersion),
    /// The client cannot go on.
    Fatal(String),
}

/// Sends a record's completion when dropped, so that a handler that panics is heard of too.
pub(super) struct Report {
    pub(super) done: Sender<Completion>,
    pub(super) partition: usize,
    pub(super) offset: i64,
    pub(super) outcome: Option<Outcome>,
}

impl Report {
    pub(super) fn ended(mut self, outcome: Option<Outcome>) {
        self.outcome = outcome;
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        // The receiver is gone only when the pipeline has ended.
        let _ = self.done.send(Completion {
            partition: self.partition,
            offset: self.offset,
            outcome: self.outcome,
        });
    }
}
