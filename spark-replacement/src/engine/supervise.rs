//! Starting the pipelines, waiting for what they need, stopping them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use millstream_pipeline::dead_letter::DeadLetterQueue;
use millstream_pipeline::kafka::consumer::{self, ConsumerConfig, Ended, client_config};
use millstream_pipeline::registry::RegistryClient;
use millstream_pipeline::retry::{Backoff, Breaker, FloodGate};
use millstream_pipeline::sink::SinkError;
use millstream_pipeline::sink::cassandra::{CassandraConfig, CassandraSink, connect};
use millstream_pipeline::telemetry::{Cause, Telemetry};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::plan::{Plan, Slots};
use super::processor::Processor;
use super::tables::TableSlot;
use super::watchdog;

/// Time that a pipeline gets beyond its drain deadline before the process ends without it: a client that cannot reach a
/// broker may hang in its last commit.
const GRACE: Duration = Duration::from_secs(4);

/// What a run with an end says that was stopped before.
const BEFORE_END: &str =
    "stopped before the end was reached; the next start goes on from what is committed";

/// What a run needs, checked and compiled.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Kafka's `host:port` list.
    pub bootstrap_servers: String,
    /// The client id.
    pub client_id: String,
    /// librdkafka's own settings.
    pub kafka_properties: BTreeMap<String, String>,
    /// The registry, where a pipeline needs one.
    pub registry: Option<RegistryClient>,
    /// The cluster.
    pub cassandra: CassandraConfig,
    /// The dead-letter topic.
    pub dead_letter_topic: String,
    /// How long a stop waits for records in flight.
    pub drain: Duration,
    /// The pipelines.
    pub pipelines: Vec<PipelineSettings>,
}

/// One pipeline.
#[derive(Debug, Clone)]
pub struct PipelineSettings {
    /// Its rules.
    pub plan: Plan,
    /// What it reads.
    pub consumer: ConsumerConfig,
}

/// How the run is bounded.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunOptions {
    /// Gives up with an exit code when what the start needs is not there by then; waits for ever when not given.
    pub startup_timeout: Option<Duration>,
    /// Gives up by then (for `--until-end`).
    pub timeout: Option<Duration>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitReason {
    /// Everything that was read is settled and committed.
    Done,
    /// Some records were in flight at the deadline; they come again.
    NotCommitted(String),
    /// What the start needs was not there in time.
    StartupTimeout(Cause, String),
    /// The configuration cannot be used with what is out there.
    Configuration(String),
    /// A fault that a restart may mend.
    Fatal(String),
}

impl ExitReason {
    /// Whether this ends the other pipelines too.
    fn is_failure(&self) -> bool {
        self.severity() >= 2
    }

    fn severity(&self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotCommitted(_) => 1,
            Self::StartupTimeout(..) => 2,
            Self::Configuration(_) => 3,
            Self::Fatal(_) => 4,
        }
    }

    /// The one of two that matters more; the first of equals.
    fn worse(self, other: Self) -> Self {
        if other.severity() > self.severity() {
            other
        } else {
            self
        }
    }
}

impl std::fmt::Display for ExitReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Done => f.write_str("all that was read is settled and committed"),
            Self::NotCommitted(text)
            | Self::StartupTimeout(_, text)
            | Self::Configuration(text)
            | Self::Fatal(text) => f.write_str(text),
        }
    }
}

/// Runs all pipelines until `shutdown`, or until their end.
pub async fn run(
    settings: Settings,
    options: RunOptions,
    shutdown: CancellationToken,
    telemetry: Arc<Telemetry>,
) -> ExitReason {
    let began = Instant::now();
    let session = {
        let connecting = connect_when_there(&settings.cassandra, &telemetry);
        let give_up = options
            .startup_timeout
            .or(options.timeout)
            .map(|timeout| began + timeout);
        tokio::select! {
            session = connecting => session,
            () = shutdown.cancelled() => return stopped_early(&settings),
            () = at(give_up) => return startup_timeout(&telemetry),
        }
    };
    let stopping = Arc::new(AtomicBool::new(false));
    // The polling threads end with this run, also when nobody waits for it any more.
    let _stop = StopOnDrop(stopping.clone());
    let mut running = FuturesUnordered::new();
    for pipeline in settings.pipelines.clone() {
        match start(
            &settings,
            pipeline,
            CassandraSink::new(session.clone()),
            &telemetry,
            &stopping,
        ) {
            Ok(pipeline) => running.push(pipeline),
            Err(reason) => {
                stopping.store(true, Ordering::Relaxed);
                return ExitReason::Configuration(reason);
            }
        }
    }
    telemetry.status().started();
    info!(pipelines = running.len(), "running");
    let watched = settings.pipelines.iter();
    let watched = watched.map(|pipeline| telemetry.pipeline(&pipeline.plan.name));
    let watching = tokio::spawn(watchdog::watch(telemetry.clone(), watched.collect()));
    let never_ready = never_ready(
        &telemetry,
        options.startup_timeout.map(|timeout| began + timeout),
    );
    let deadline = at(options.timeout.map(|timeout| began + timeout));
    tokio::pin!(never_ready, deadline);
    let mut worst = ExitReason::Done;
    let stop = loop {
        tokio::select! {
            end = running.next() => {
                let Some(end) = end else { return worst };
                worst = worst.worse(reason(end, false));
                if worst.is_failure() {
                    // The others are stopped in order: a process that does half of its work looks as if it did all.
                    error!("a pipeline ended: {worst}");
                    break Stop::Failed;
                }
            }
            () = shutdown.cancelled() => break Stop::Asked,
            () = &mut deadline => break Stop::TimedOut,
            reason = &mut never_ready => break Stop::NeverReady(reason),
        }
    };
    watching.abort();
    telemetry.status().draining();
    info!(
        deadline_seconds = settings.drain.as_secs(),
        "stopping: draining what is in flight"
    );
    stopping.store(true, Ordering::Relaxed);
    let too_late = sleep(settings.drain + GRACE);
    tokio::pin!(too_late);
    loop {
        tokio::select! {
            end = running.next() => match end {
                Some(end) => worst = worst.worse(reason(end, matches!(stop, Stop::TimedOut))),
                None => break,
            },
            () = &mut too_late => {
                let late = "a pipeline did not stop within the drain deadline".to_owned();
                worst = worst.worse(ExitReason::NotCommitted(late));
                break;
            }
        }
    }
    match stop {
        Stop::NeverReady(reason) if !worst.is_failure() => reason,
        _ => worst,
    }
}

/// Stopped before anything was read: a run with an end has not reached it.
fn stopped_early(settings: &Settings) -> ExitReason {
    let mut pipelines = settings.pipelines.iter();
    if pipelines.any(|pipeline| pipeline.consumer.until_end) {
        ExitReason::NotCommitted(BEFORE_END.to_owned())
    } else {
        ExitReason::Done
    }
}

/// Stops the pipelines when the run is dropped.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Why the pipelines are stopped.
enum Stop {
    Asked,
    Failed,
    TimedOut,
    NeverReady(ExitReason),
}

/// Ends at the deadline if the process was not ready once until then, else never.
async fn never_ready(telemetry: &Telemetry, deadline: Option<Instant>) -> ExitReason {
    let mut ready = telemetry.status().watch_ready();
    tokio::select! {
        // An error means that the status is gone, and with it whoever would hear of this.
        () = async { drop(ready.wait_for(|ready| *ready).await) } => std::future::pending().await,
        () = at(deadline) => startup_timeout(telemetry),
    }
}

fn startup_timeout(telemetry: &Telemetry) -> ExitReason {
    let waiting = telemetry.status().waiting().into_iter().next();
    let (_, cause, reason) = waiting.unwrap_or_else(|| {
        let reason = "a dependency is not there".to_owned();
        (String::new(), Cause::Unavailable, reason)
    });
    ExitReason::StartupTimeout(cause, reason)
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn connect_when_there(
    config: &CassandraConfig,
    telemetry: &Telemetry,
) -> Arc<scylla::client::session::Session> {
    let condition = telemetry.status().condition("cassandra");
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(2));
    loop {
        match connect(config).await {
            Ok(session) => {
                condition.ok();
                return session;
            }
            Err(error) => {
                let cause = match &error {
                    SinkError::Configuration(reason) if reason.contains("authentication") => {
                        Cause::Authentication
                    }
                    SinkError::Configuration(_) | SinkError::Refused(_) => Cause::Configuration,
                    SinkError::Transient(_) => Cause::Unavailable,
                };
                if backoff.attempts() == 0 {
                    warn!(%error, "waiting for Cassandra");
                }
                condition.waiting(cause, error.to_string());
                sleep(backoff.next(rand::random())).await;
            }
        }
    }
}

type Running = tokio::task::JoinHandle<Result<Ended, String>>;

fn start(
    settings: &Settings,
    pipeline: PipelineSettings,
    sink: CassandraSink,
    telemetry: &Telemetry,
    stopping: &Arc<AtomicBool>,
) -> Result<Running, String> {
    let PipelineSettings { plan, consumer } = pipeline;
    let name = plan.name.clone();
    let client = client_config(
        &settings.bootstrap_servers,
        &settings.client_id,
        &settings.kafka_properties,
        &plan.group_id,
    );
    let producer = producer_config(settings);
    let dead_letters = DeadLetterQueue::new(&producer, &settings.dead_letter_topic)
        .map_err(|error| format!("pipelines.{name}: the dead-letter producer: {error}"))?;
    let status = telemetry.status();
    let pipeline_telemetry = telemetry.pipeline(&name);
    let condition = |what: &str| status.condition(format!("{what}/{name}"));
    let kafka = condition("kafka");
    let processor = Arc::new(Processor {
        slots: Slots::new(&plan.tables),
        registry: settings.registry.clone(),
        sink,
        tables: plan.tables.iter().map(TableSlot::new).collect(),
        breaker: Breaker::default(),
        rows: tokio::sync::Semaphore::new(consumer.max_in_flight.max(1)),
        flooded_at_sink: AtomicBool::new(false),
        flood: FloodGate::default(),
        dead_letters,
        table_telemetry: plan
            .tables
            .iter()
            .map(|table| pipeline_telemetry.table(&table.name.to_string()))
            .collect(),
        telemetry: pipeline_telemetry.clone(),
        sink_condition: condition("sink"),
        registry_condition: condition("registry"),
        dead_letter_condition: condition("dead_letter"),
        flood_condition: condition("pipeline"),
        plan,
    });
    processor.flood_condition.ok();
    let stopping = stopping.clone();
    let runtime = tokio::runtime::Handle::current();
    // What the first record will need is looked for now, so that the process is ready only when it is.
    tokio::spawn(prepare(processor.clone()));
    Ok(tokio::task::spawn_blocking(move || {
        consumer::run(
            &client,
            consumer,
            processor,
            runtime,
            pipeline_telemetry,
            kafka,
            stopping,
        )
        .map_err(|error| format!("pipelines.{name}: {error}"))
    }))
}

/// Waits for the tables and the dead-letter topic; says what is missing.
async fn prepare(processor: Arc<Processor<CassandraSink>>) {
    tokio::join!(
        processor.open_tables_at_start(),
        processor.find_dead_letter_topic(),
        processor.find_registry()
    );
}

/// The producing client takes the connection's settings and none of the consumer's.
fn producer_config(settings: &Settings) -> rdkafka::ClientConfig {
    let mut config = rdkafka::ClientConfig::new();
    for (name, value) in &settings.kafka_properties {
        let shared = [
            "security.",
            "ssl.",
            "sasl.",
            "enable.ssl",
            "socket.",
            "broker.address",
        ];
        if shared.iter().any(|prefix| name.starts_with(prefix)) {
            config.set(name, value);
        }
    }
    config
        .set("bootstrap.servers", &settings.bootstrap_servers)
        .set("client.id", &settings.client_id)
        .set("topic.metadata.propagation.max.ms", "10000");
    config
}

/// How one pipeline's end looks from outside.
fn reason(
    end: Result<Result<Ended, String>, tokio::task::JoinError>,
    timed_out: bool,
) -> ExitReason {
    match end {
        Ok(Ok(Ended::Clean)) => ExitReason::Done,
        Ok(Ok(Ended::BeforeEnd)) if timed_out => {
            ExitReason::NotCommitted("the end was not reached within --timeout".to_owned())
        }
        Ok(Ok(Ended::BeforeEnd)) => ExitReason::NotCommitted(BEFORE_END.to_owned()),
        Ok(Ok(Ended::Undrained { records })) => ExitReason::NotCommitted(format!(
            "{records} records in flight at the deadline come again after the next start"
        )),
        Ok(Ok(Ended::Uncommitted)) => ExitReason::NotCommitted(
            "the last commit did not reach the broker; some records come again after the next start, none is lost".to_owned(),
        ),
        Ok(Ok(Ended::Refused(unknown))) => ExitReason::Configuration(unknown.to_string()),
        Ok(Ok(Ended::Fatal(text)) | Err(text)) => ExitReason::Fatal(text),
        Err(error) => ExitReason::Fatal(error.to_string()),
    }
}
