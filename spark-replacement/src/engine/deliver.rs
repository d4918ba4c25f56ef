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
        let mut failing_since: Option<(Instant, u64)> = None;
        loop {
            self.breaker.permit().await;
            attempts += 1;
            let started = Instant::now();
            match self.sink.write(&table, row).await {
                Ok(()) => {
                    slot.succeeded();
                    telemetry.written(started.elapsed());
                    self.sink_answered();
                    return RowEnd::Written;
                }
                Err(SinkError::Transient(reason)) => {
                    telemetry.retried();
                    self.sink_failed(&reason);
                    let (since, successes) =
                        *failing_since.get_or_insert((started, slot.successes()));
                    let alone = slot.successes() > successes;
                    let long = self
                        .plan
                        .isolate_after
                        .is_some_and(|after| since.elapsed() >= after);
                    if alone && long && attempts >= ISOLATE_ATTEMPTS {
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
                    self.breaker.success();
                    self.sink_condition.waiting(Cause::Configuration, reason);
                    sleep(LOOK_AGAIN).await;
                }
            }
            // Refused or misconfigured: look at the table again. What it says then tells the row's fault from the table's.
            let fresh = self.reopen(index, &table).await;
            if S::shape(&fresh) != S::shape(opened) {
                return RowEnd::Rebind;
            }
            table = fresh;
        }
    }

    /// Opens a table again; waits until that succeeds.
    async fn reopen(&self, index: usize, old: &Arc<S::Table>) -> Arc<S::Table> {
        loop {
            match self.tables[index]
                .reopen(&self.sink, &self.plan.tables[index], old)
                .await
            {
                Ok(table) => {
                    self.sink_condition.ok();
                    return table;
                }
                Err(error) => self.wait_for_table(&error).await,
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
        let was_open = self.breaker.is_open();
        self.breaker.success();
        if was_open {
            self.sink_condition.ok();
            self.telemetry.set_breaker(Breaker::Closed);
        }
    }

    fn sink_failed(&self, reason: &str) {
        if self.breaker.failure() {
            self.sink_condition.waiting(
                Cause::Unavailable,
                format!("Cassandra does not answer: {reason}"),
            );
            self.telemetry.set_breaker(Breaker::Open);
        }
    }
}
