//! Writing one row until it is acknowledged or refused.

use std::sync::Arc;
use std::time::Duration;

use millstream_pipeline::retry::Backoff;
use millstream_pipeline::sink::{BoundRow, Sink, SinkError};
use millstream_pipeline::telemetry::{Breaker, Cause};
use tokio::time::{Instant, sleep};

use super::processor::Processor;

/// Time between two looks at a configuration fault.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Attempts before a row that keeps timing out may be isolated.
const ISOLATE_ATTEMPTS: u32 = 10;

/// Whether a row fails while others of its table succeed: between each two of its failures another row must have been
/// written, else it is the table or the cluster that fails, and the count begins again.
#[derive(Debug, Default)]
struct Alone {
    since: Option<Instant>,
    successes: u64,
    attempts: u32,
}

impl Alone {
    /// Notes a failure of an attempt that began at `started`, and returns for how long the row has failed alone.
    fn failed(&mut self, started: Instant, successes: u64) -> Duration {
        if self.since.is_none() || successes == self.successes {
            self.since = Some(started);
            self.attempts = 0;
        }
        self.successes = successes;
        self.attempts += 1;
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// How a row ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowEnd {
    /// Acknowledged.
    Written,
    /// The sink refused it, alone and with a fresh statement.
    Refused {
        code: &'static str,
        message: String,
        attempts: u32,
    },
    /// The table looks different now: bind the record again.
    Rebind,
}

impl<S: Sink> Processor<S> {
    /// Writes one row; waits as long as the sink is away.
    pub(super) async fn write(
        &self,
        index: usize,
        opened: &Arc<S::Table>,
        row: &BoundRow,
    ) -> RowEnd {
        let slot = &self.tables[index];
        let telemetry = &self.table_telemetry[index];
        let mut table = opened.clone();
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let mut refused = false;
        let mut attempts = 0;
        let mut alone = Alone::default();
        let mut misconfigured = false;
        loop {
            // What happens once in a long while is boxed here and below: a future that is a part of a record's task is
            // copied with it, also when it never runs.
            if self.breaker.is_open() {
                Box::pin(self.breaker.permit()).await;
            }
            attempts += 1;
            let started = Instant::now();
            match self.sink.write(&table, row).await {
                Ok(()) => {
                    slot.succeeded();
                    telemetry.written(started.elapsed());
                    self.sink_answered();
                    if misconfigured {
                        self.sink_condition.ok();
                    }
                    return RowEnd::Written;
                }
                Err(SinkError::Transient(reason)) => {
                    telemetry.retried();
                    self.sink_failed(&reason);
                    let failing = alone.failed(started, slot.successes());
                    if self
                        .plan
                        .isolate_after
                        .is_some_and(|after| failing >= after)
                        && alone.attempts >= ISOLATE_ATTEMPTS
                    {
                        return RowEnd::Refused {
                            code: "sink_poison",
                            message: reason,
                            attempts,
                        };
                    }
                    sleep(backoff.next(rand::random())).await;
                    continue;
                }
                Err(SinkError::Refused(message)) => {
                    self.sink_answered();
                    if misconfigured {
                        // The table answers for this row again, so what is left is the row's own fault.
                        misconfigured = false;
                        self.sink_condition.ok();
                    }
                    if refused {
                        telemetry.refused();
                        return RowEnd::Refused {
                            code: "sink_refused",
                            message,
                            attempts,
                        };
                    }
                    refused = true;
                }
                Err(SinkError::Configuration(reason)) => {
                    self.sink_answered();
                    misconfigured = true;
                    self.sink_condition.waiting(Cause::Configuration, reason);
                    sleep(LOOK_AGAIN).await;
                }
            }
            // Refused or misconfigured: look at the table again. What it says then tells the row's fault from the table's.
            let (fresh, waited) = Box::pin(self.reopen(index, &table)).await;
            misconfigured |= waited;
            if S::shape(&fresh) != S::shape(opened) {
                if misconfigured {
                    self.sink_condition.ok();
                }
                return RowEnd::Rebind;
            }
            table = fresh;
        }
    }

    /// Opens a table again; waits until that succeeds, and says whether it had to. Whether the table also takes rows is
    /// known when one was written: until then what was said of it stands.
    async fn reopen(&self, index: usize, old: &Arc<S::Table>) -> (Arc<S::Table>, bool) {
        let mut waited = false;
        loop {
            match self.tables[index]
                .reopen(&self.sink, &self.plan.tables[index], old)
                .await
            {
                Ok(table) => return (table, waited),
                Err(error) => {
                    waited |= !matches!(error, SinkError::Transient(_));
                    self.wait_for_table(&error).await;
                }
            }
        }
    }

    /// One wait after a table could not be opened.
    pub(super) async fn wait_for_table(&self, error: &SinkError) {
        match error {
            SinkError::Transient(reason) => {
                self.sink_failed(reason);
                sleep(Duration::from_millis(500)).await;
                self.breaker.permit().await;
            }
            SinkError::Configuration(reason) | SinkError::Refused(reason) => {
                self.sink_condition
                    .waiting(Cause::Configuration, reason.clone());
                sleep(LOOK_AGAIN).await;
            }
        }
    }

    fn sink_answered(&self) {
        self.breaker.success(|| {
            self.sink_condition.ok();
            self.telemetry.set_breaker(Breaker::Closed);
        });
    }

    fn sink_failed(&self, reason: &str) {
        self.breaker.failure(|| {
            self.sink_condition.waiting(
                Cause::Unavailable,
                format!("Cassandra does not answer: {reason}"),
            );
            self.telemetry.set_breaker(Breaker::Open);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_time_in_which_others_succeed_isolates_a_row() {
        let minute = Duration::from_mins(1);
        let mut alone = Alone::default();
        let begun = Instant::now();
        for successes in 1..=5 {
            tokio::time::advance(minute).await;
            alone.failed(begun, successes);
        }
        assert_eq!((alone.attempts, begun.elapsed()), (5, 5 * minute));
        // Nobody else was written since: a full outage.
        let started = Instant::now();
        tokio::time::advance(minute).await;
        assert_eq!(alone.failed(started, 5), minute);
        assert_eq!(alone.attempts, 1);
    }
}
