//! One record from its bytes to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use millstream_pipeline::dead_letter::{DeadLetter, DeadLetterError, DeadLetterQueue, Stage};
use millstream_pipeline::kafka::consumer::{Handler, Record};
use millstream_pipeline::kafka::offsets::{Filter, Outcome};
use millstream_pipeline::registry::{RegistryClient, RegistryError};
use millstream_pipeline::retry::{Backoff, Breaker, FloodGate, Verdict};
use millstream_pipeline::sink::{Sink, TableShape};
use millstream_pipeline::telemetry::{
    Cause, Condition, Outcome as Counted, PipelineTelemetry, TableTelemetry,
};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::error;

use super::dead::{Dead, Fault, Planned};
use super::deliver::{LOOK_AGAIN, RowEnd};
use super::effects::{self, Effect};
use super::plan::{Plan, Slots, Tombstones, ValueFormat};
use super::{decode, tables::TableSlot};

/// Rows of one record that are written at the same time.
const ROWS_AT_ONCE: usize = 32;

/// The handler of a pipeline's records.
pub(super) struct Processor<S: Sink> {
    pub(super) plan: Plan,
    pub(super) slots: Slots,
    pub(super) registry: Option<RegistryClient>,
    pub(super) sink: S,
    pub(super) tables: Vec<TableSlot<S>>,
    pub(super) breaker: Breaker,
    /// Room for the rows of records that became many.
    pub(super) rows: Semaphore,
    /// The last configuration-like fault was the sink's, so that a record which never reached it proves nothing.
    pub(super) flooded_at_sink: AtomicBool,
    pub(super) flood: FloodGate,
    pub(super) dead_letters: DeadLetterQueue,
    pub(super) telemetry: Arc<PipelineTelemetry>,
    pub(super) table_telemetry: Vec<Arc<TableTelemetry>>,
    pub(super) sink_condition: Condition,
    pub(super) registry_condition: Condition,
    pub(super) dead_letter_condition: Condition,
    pub(super) flood_condition: Condition,
}

/// The wall clock in milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The pipeline's tables in the plan's order.
pub(super) type Opened<S> = Vec<Arc<<S as Sink>::Table>>;

impl<S: Sink> Handler for Processor<S> {
    async fn handle(self: Arc<Self>, record: Record) -> Option<Outcome> {
        let outcome = self.settle(&record).await?;
        self.telemetry.settled(match outcome {
            Outcome::Stored => Counted::Stored,
            Outcome::Dead => Counted::Dead,
            Outcome::Filtered(Filter::Rule) => Counted::Filtered,
            Outcome::Filtered(Filter::Tombstone) => Counted::Tombstone,
            Outcome::Filtered(Filter::Expired) => Counted::Expired,
        });
        if outcome == Outcome::Stored
            && let Some(age) = record
                .timestamp_ms
                .and_then(|timestamp| u64::try_from(now_ms().saturating_sub(timestamp)).ok())
        {
            self.telemetry.end_to_end(Duration::from_millis(age));
        }
        Some(outcome)
    }

    fn sink_down(&self) -> bool {
        self.breaker.is_open()
    }
}

impl<S: Sink> Processor<S> {
    /// Sees a record through to its end; waits as long as that takes.
    async fn settle(&self, record: &Record) -> Option<Outcome> {
        let mut waited = false;
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            let opened = self.open_tables().await;
            let planned = self.plan_effects(record, &opened).await;
            if waited && !matches!(planned, Err(Fault::Wait { .. })) {
                self.registry_condition.ok();
            }
            let fault = match planned {
                Ok(Err(filter)) => {
                    // A tombstone was looked at by nobody; what the program left out was decoded, and no more.
                    if filter != Filter::Tombstone && !self.flooded_at_sink.load(Ordering::Relaxed)
                    {
                        self.succeeded();
                    }
                    return Some(Outcome::Filtered(filter));
                }
                Ok(Ok(effects)) => match self.run(&effects, &opened).await {
                    Ran::Stored => {
                        self.succeeded();
                        return Some(Outcome::Stored);
                    }
                    Ran::Rebind => continue,
                    Ran::Refused(dead, letter) => {
                        if Box::pin(self.hold(&dead)).await {
                            continue;
                        }
                        return Box::pin(self.bury(record, letter)).await;
                    }
                },
                Err(fault) => fault,
            };
            match fault {
                Fault::Dead(dead) => {
                    if Box::pin(self.hold(&dead)).await {
                        continue;
                    }
                    let letter = DeadLetter {
                        code: dead.code.into_owned(),
                        stage: dead.stage,
                        message: dead.message,
                        attempts: 1,
                        targets: Vec::new(),
                    };
                    return Box::pin(self.bury(record, letter)).await;
                }
                Fault::Wait {
                    configuration,
                    reason,
                } => {
                    let cause = if configuration {
                        Cause::Configuration
                    } else {
                        Cause::Unavailable
                    };
                    waited = true;
                    self.registry_condition.waiting(cause, reason);
                    let delay = if configuration {
                        LOOK_AGAIN
                    } else {
                        backoff.next(rand::random())
                    };
                    sleep(delay).await;
                }
            }
        }
    }

    fn succeeded(&self) {
        if self.flood.holds() {
            self.flood_condition.ok();
        }
        self.flood.success();
    }

    /// Whether the record is kept: too many configuration-like faults in a row. Returns when it is its turn again.
    async fn hold(&self, dead: &Dead) -> bool {
        if !dead.configuration_like {
            return false;
        }
        self.flooded_at_sink
            .store(dead.stage == Stage::Sink, Ordering::Relaxed);
        if self.flood.fault() == Verdict::DeadLetter {
            return false;
        }
        let reason = format!(
            "paused after 200 records in a row with {}: {}",
            dead.code, dead.message
        );
        self.flood_condition.waiting(Cause::Configuration, reason);
        self.flood.turn().await;
        // The success that let this record go on may have been said before the line above.
        if !self.flood.holds() {
            self.flood_condition.ok();
        }
        true
    }

    /// Opens the tables before the first record needs them.
    pub(super) async fn open_tables_at_start(&self) {
        self.open_tables().await;
        self.sink_condition.ok();
    }

    /// Waits until the registry answers, where the pipeline needs one.
    pub(super) async fn find_registry(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let needed = self.plan.value_format == ValueFormat::Avro;
        if let Some(registry) = self.registry.as_ref().filter(|_| needed) {
            while let Err(error) = registry.subjects().await {
                let cause = match error {
                    RegistryError::Refused { .. } => Cause::Authentication,
                    RegistryError::InvalidConfig { .. } => Cause::Configuration,
                    _ => Cause::Unavailable,
                };
                self.registry_condition.waiting(cause, error.to_string());
                sleep(backoff.next(rand::random())).await;
            }
        }
        self.registry_condition.ok();
    }

    /// Waits until the dead-letter topic is there.
    pub(super) async fn find_dead_letter_topic(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        while let Err(error) = self.dead_letters.look().await {
            self.dead_letter_trouble(&error);
            sleep(backoff.next(rand::random())).await;
        }
        self.dead_letter_condition.ok();
    }

    fn dead_letter_trouble(&self, error: &DeadLetterError) {
        let cause = match error {
            DeadLetterError::Configuration { .. } => Cause::Configuration,
            DeadLetterError::Transient { .. } | DeadLetterError::Fatal { .. } => Cause::Unavailable,
        };
        self.dead_letter_condition.waiting(cause, error.to_string());
    }

    /// The open tables; waits until they are there.
    pub(super) async fn open_tables(&self) -> Opened<S> {
        let mut opened = Vec::with_capacity(self.tables.len());
        let mut waited = false;
        for (slot, plan) in self.tables.iter().zip(&self.plan.tables) {
            let table = loop {
                match slot.get(&self.sink, plan).await {
                    Ok(table) => break table,
                    Err(error) => {
                        waited = true;
                        Box::pin(self.wait_for_table(&error)).await;
                    }
                }
            };
            opened.push(table);
        }
        if waited {
            self.sink_condition.ok();
        }
        opened
    }

    /// Everything the record does, bound and encoded, before any of it is done.
    async fn plan_effects(&self, record: &Record, opened: &Opened<S>) -> Planned<Vec<Effect>> {
        let stamp = match record.stamp {
            Ok(stamp) => stamp,
            Err(future) => {
                return Err(Dead::new("timestamp_future", Stage::Read, future.to_string()).into());
            }
        };
        let shapes: Vec<&TableShape> = opened.iter().map(|table| S::shape(table)).collect();
        let Some(value) = &record.value else {
            return match self.plan.tombstones {
                Tombstones::Filter => Ok(Err(Filter::Tombstone)),
                Tombstones::DeadLetter => Err(Dead::new(
                    "tombstone",
                    Stage::Read,
                    "a null value, and tombstones are dead letters here",
                )
                .into()),
                Tombstones::Delete => {
                    effects::bind_deletes(&self.plan, &shapes, record, stamp).map(Ok)
                }
            };
        };
        if record.size() > self.plan.max_record_bytes {
            let message = format!(
                "the record has {} bytes, limits.max_record_bytes is {}",
                record.size(),
                self.plan.max_record_bytes
            );
            return Err(Dead::new("too_large", Stage::Read, message).into());
        }
        if value.is_empty() {
            return Err(Dead::new(
                "empty_value",
                Stage::Decode,
                "the value has no bytes (it is not null)",
            )
            .into());
        }
        let payload = decode::open(&self.plan, self.registry.as_ref(), value).await?;
        if self.plan.program.is_none() && self.plan.filter.is_none() {
            let row = payload.project(&self.slots)?;
            return effects::bind(
                &self.plan,
                &self.slots,
                &shapes,
                record,
                stamp,
                now_ms(),
                &[row],
            );
        }
        let rows = match payload.remap(&self.plan, record)? {
            Ok(rows) => rows,
            Err(filter) => return Ok(Err(filter)),
        };
        let cells: Vec<_> = rows
            .iter()
            .map(|row| self.slots.projection.project_value(row))
            .collect();
        effects::bind(
            &self.plan,
            &self.slots,
            &shapes,
            record,
            stamp,
            now_ms(),
            &cells,
        )
    }

    /// Runs all effects; each ends written or refused.
    async fn run(&self, effects: &[Effect], opened: &Opened<S>) -> Ran {
        let ends = if let [effect] = effects {
            let write = self.write(effect.table, &opened[effect.table], &effect.row);
            vec![write.await]
        } else {
            // Few at a time: what one record became must not crowd out all others.
            let writes: Vec<_> = effects
                .iter()
                .map(|effect| async {
                    // One row of a record has its room since it was read; the others ask for theirs here. The
                    // semaphore is never closed, and an error would mean no bound and nothing worse.
                    let _room = self.rows.acquire().await;
                    self.write(effect.table, &opened[effect.table], &effect.row)
                        .await
                })
                .collect();
            futures::stream::iter(writes)
                .buffered(ROWS_AT_ONCE)
                .collect()
                .await
        };
        if ends.contains(&RowEnd::Rebind) {
            return Ran::Rebind;
        }
        let mut letter: Option<DeadLetter> = None;
        for (effect, end) in effects.iter().zip(ends) {
            if let RowEnd::Refused {
                code,
                message,
                attempts,
            } = end
            {
                let target = self.plan.tables[effect.table].name.to_string();
                let letter = letter.get_or_insert_with(|| DeadLetter {
                    code: code.to_owned(),
                    stage: Stage::Sink,
                    message,
                    attempts,
                    targets: Vec::new(),
                });
                if !letter.targets.contains(&target) {
                    letter.targets.push(target);
                }
            }
        }
        match letter {
            None => Ran::Stored,
            Some(letter) => {
                let dead = Dead::new(letter.code.clone(), Stage::Sink, letter.message.clone());
                let dead = if letter.code == "sink_refused" {
                    dead.configuration_like()
                } else {
                    dead
                };
                Ran::Refused(dead, letter)
            }
        }
    }

    /// Sends the dead letter; returns when its delivery is reported. `None`: the producer can never send again.
    async fn bury(&self, record: &Record, letter: DeadLetter) -> Option<Outcome> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            match self
                .dead_letters
                .send(record, &letter, &self.plan.name, &self.plan.group_id)
                .await
            {
                Ok(()) => {
                    if backoff.attempts() > 0 {
                        self.dead_letter_condition.ok();
                    }
                    self.telemetry.dead_letter(&letter.code);
                    return Some(Outcome::Dead);
                }
                Err(error @ DeadLetterError::Fatal { .. }) => {
                    error!(%error, "the pipeline ends; the record comes again after the next start");
                    return None;
                }
                Err(error) => self.dead_letter_trouble(&error),
            }
            sleep(backoff.next(rand::random())).await;
        }
    }
}

/// How the effects of a record ended.
enum Ran {
    Stored,
    Rebind,
    Refused(Dead, DeadLetter),
}
