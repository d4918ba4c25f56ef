//! Starting the pipelines, waiting for what they need, stopping them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millstream_pipeline::dead_letter::DeadLetterQueue;
use millstream_pipeline::kafka::consumer::{self, ConsumerConfig, Ended, client_config};
use millstream_pipeline::registry::RegistryClient;
use millstream_pipeline::retry::{Backoff, Breaker, FloodGate};
use millstream_pipeline::sink::SinkError;
use millstream_pipeline::sink::cassandra::{CassandraConfig, CassandraSink, connect};
use millstream_pipeline::telemetry::{Cause, Telemetry};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::plan::{Plan, Slots};
use super::processor::Processor;
use super::tables::TableSlot;

/// Time that a pipeline gets beyond its drain deadline before the process ends without it: a client that cannot reach a
/// broker may hang in its last commit.
const GRACE: Duration = Duration::from_secs(4);

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
            () = shutdown.cancelled() => return ExitReason::Done,
            () = at(give_up) => {
                let (_, cause, reason) = telemetry.status().waiting().into_iter().next()
                    .unwrap_or_else(|| (String::new(), Cause::Unavailable, "a dependency is not there".to_owned()));
                return ExitReason::StartupTimeout(cause, reason);
            }
        }
    };
    let stopping = Arc::new(AtomicBool::new(false));
    let breaker = Arc::new(Breaker::default());
    let mut running = Vec::new();
    for pipeline in settings.pipelines.clone() {
        match start(
            &settings,
            pipeline,
            CassandraSink::new(session.clone()),
            breaker.clone(),
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
    let all = futures::future::join_all(running);
    tokio::pin!(all);
    let timed_out = tokio::select! {
        ends = &mut all => return reason(ends),
        () = shutdown.cancelled() => false,
        () = at(options.timeout.map(|timeout| began + timeout)) => true,
    };
    telemetry.status().draining();
    info!(
        deadline_seconds = settings.drain.as_secs(),
        "stopping: draining what is in flight"
    );
    stopping.store(true, Ordering::Relaxed);
    tokio::select! {
        ends = &mut all => match reason(ends) {
            ExitReason::Done if timed_out => ExitReason::NotCommitted("the end was not reached within --timeout".to_owned()),
            other => other,
        },
        () = sleep(settings.drain + GRACE) => ExitReason::NotCommitted("a pipeline did not stop within the drain deadline".to_owned()),
    }
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
    breaker: Arc<Breaker>,
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
    let dead_letters = DeadLetterQueue::new(
        &producer,
        &settings.dead_letter_topic,
        plan.max_record_bytes,
    )
    .map_err(|error| format!("pipelines.{name}: the dead-letter producer: {error}"))?;
    let status = telemetry.status();
    let pipeline_telemetry = telemetry.pipeline(&name);
    let condition = |what: &str| status.condition(format!("{what}/{name}"));
    let kafka = condition("kafka");
    kafka.waiting(Cause::Unavailable, "no partitions assigned yet");
    let processor = Arc::new(Processor {
        slots: Slots::new(&plan.tables),
        registry: settings.registry.clone(),
        sink,
        tables: plan.tables.iter().map(TableSlot::new).collect(),
        breaker,
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
    let stopping = stopping.clone();
    let runtime = tokio::runtime::Handle::current();
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

fn reason(ends: Vec<Result<Result<Ended, String>, tokio::task::JoinError>>) -> ExitReason {
    let mut reason = ExitReason::Done;
    for end in ends {
        match end {
            Ok(Ok(Ended::Clean)) => {}
            Ok(Ok(Ended::Undrained { records })) => {
                reason = ExitReason::NotCommitted(format!(
                    "{records} records in flight at the deadline come again after the next start"
                ));
            }
            Ok(Ok(Ended::Refused(unknown))) => {
                return ExitReason::Configuration(unknown.to_string());
            }
            Ok(Ok(Ended::Fatal(text)) | Err(text)) => return ExitReason::Fatal(text),
            Err(error) => return ExitReason::Fatal(error.to_string()),
        }
    }
    reason
}
