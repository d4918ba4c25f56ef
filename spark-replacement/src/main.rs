//! The `millstream-consumer` binary: Kafka to Cassandra in the place of the Spark job.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use clap::{Parser, Subcommand};
use millstream_consumer::config::{Config, Overrides, ProcessEnv};
use millstream_consumer::engine::{self, ExitReason, RunOptions, Settings};
use millstream_pipeline::telemetry::{Cause, Telemetry};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

// Records are many small, short-lived allocations on several threads; the system's allocator keeps far more memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Kafka to Cassandra in the place of the Spark job.
#[derive(Debug, Parser)]
#[command(name = "millstream-consumer", version)]
struct Arguments {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        env = "MILLSTREAM_CONFIG",
        default_value = "consumer.toml"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read the pipelines' topics and write their tables until stopped (SIGTERM drains and exits 0).
    Run {
        /// Take what is there and exit 0 (Spark's `availableNow`).
        #[arg(long)]
        until_end: bool,
        /// With --until-end: give up after this many seconds, exit 75.
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
        /// Only these pipelines.
        #[arg(long, value_name = "NAME")]
        pipeline: Vec<String>,
    },
    /// Check the configuration and its programs without connecting to anything.
    Validate,
}

/// Exit codes as in sysexits.h.
mod exit {
    pub(super) const UNAVAILABLE: u8 = 69;
    pub(super) const FATAL: u8 = 70;
    pub(super) const NOT_COMMITTED: u8 = 75;
    pub(super) const PROTOCOL: u8 = 76;
    pub(super) const AUTHENTICATION: u8 = 77;
    pub(super) const CONFIGURATION: u8 = 78;
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .init();
    let (until_end, timeout, pipelines) = match &arguments.command {
        Command::Run {
            until_end,
            timeout,
            pipeline,
        } => (*until_end, *timeout, pipeline.clone()),
        Command::Validate => (false, None, Vec::new()),
    };
    let config = match Config::load(&arguments.config, &ProcessEnv, &Overrides { pipelines }) {
        Ok(config) => config,
        Err(faults) => {
            error!("{faults}");
            return exit::CONFIGURATION.into();
        }
    };
    for warning in &config.warnings {
        warn!(key = warning.key, "{}", warning.rule);
    }
    let settings = match Settings::new(&config, until_end) {
        Ok(settings) => settings,
        Err(faults) => {
            for fault in faults {
                error!("{fault}");
            }
            return exit::CONFIGURATION.into();
        }
    };
    if matches!(arguments.command, Command::Validate) {
        info!(
            pipelines = settings.pipelines.len(),
            "the configuration has no faults"
        );
        return ExitCode::SUCCESS;
    }
    let options = RunOptions {
        startup_timeout: config.lifecycle.startup_timeout,
        timeout: timeout.map(std::time::Duration::from_secs),
    };
    run(settings, options, config.limits.worker_threads)
}

fn run(settings: Settings, options: RunOptions, worker_threads: usize) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads.max(1))
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "the runtime cannot start");
            return exit::FATAL.into();
        }
    };
    let telemetry = Arc::new(Telemetry::new(env!("CARGO_PKG_VERSION"), SystemTime::now));
    let reason = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        if let Err(error) = stop_on_signals(&shutdown) {
            return ExitReason::Fatal(format!("signals: {error}"));
        }
        engine::run(settings, options, shutdown, telemetry).await
    });
    // A pipeline that did not stop in time holds a thread; it must not hold the process.
    runtime.shutdown_background();
    let code = match &reason {
        ExitReason::Done => 0,
        ExitReason::NotCommitted(_) => exit::NOT_COMMITTED,
        ExitReason::StartupTimeout(Cause::Unavailable, _) => exit::UNAVAILABLE,
        ExitReason::StartupTimeout(Cause::Authentication, _) => exit::AUTHENTICATION,
        ExitReason::StartupTimeout(Cause::Protocol, _) => exit::PROTOCOL,
        ExitReason::StartupTimeout(Cause::Configuration, _) | ExitReason::Configuration(_) => {
            exit::CONFIGURATION
        }
        ExitReason::Fatal(_) => exit::FATAL,
    };
    match reason {
        ExitReason::Done => info!("stopped: everything that was read is settled and committed"),
        ExitReason::NotCommitted(text)
        | ExitReason::StartupTimeout(_, text)
        | ExitReason::Configuration(text)
        | ExitReason::Fatal(text) => {
            error!("{text}");
        }
    }
    code.into()
}

/// The first SIGTERM or SIGINT drains; a second one ends the process at once (128 + its number).
fn stop_on_signals(shutdown: &CancellationToken) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        loop {
            let code = tokio::select! {
                _ = terminate.recv() => 143,
                _ = interrupt.recv() => 130,
            };
            if shutdown.is_cancelled() {
                std::process::exit(code);
            }
            shutdown.cancel();
        }
    });
    Ok(())
}
