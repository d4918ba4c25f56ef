//! `run`: the pipelines until a signal, or until their end.

use super::signals::Signals;
use super::{complain, dead_letter, load};
use crate::cli::{Cli, RunArgs};
use crate::config::{Config, EnvSource, Overrides};
use crate::engine::{self, ExitReason, RunOptions};
use crate::exit::Exit;
use crate::logging::{self, LeftOut};
use crate::{http, settings};
use millstream_pipeline::telemetry::Telemetry;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How often left-out log lines are owned up to.
const LEFT_OUT_EVERY: Duration = Duration::from_secs(10);

pub(super) fn run(cli: &Cli, args: &RunArgs, env: &dyn EnvSource) -> Exit {
    let overrides = Overrides {
        pipelines: args.pipelines.clone(),
    };
    let config = match load(cli, env, &overrides) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let left_out = logging::start(cli.log_format, cli.log_level);
    for warning in &config.warnings {
        warn!("config: {warning}");
    }
    let settings = match settings::compile(&config, args.until_end) {
        Ok(settings) => settings,
        Err(errors) => {
            for error in errors {
                complain(&format!("config: {}: {error}", config.path.display()));
            }
            return Exit::Config;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.limits.worker_threads)
        .thread_name("millstream")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start threads: {error}"));
            return Exit::Internal;
        }
    };
    let options = RunOptions {
        startup_timeout: config.lifecycle.startup_timeout,
        timeout: args.timeout,
    };
    let exit = runtime.block_on(drive(&config, settings, options, left_out));
    if exit != Exit::Ok {
        // A client that could not reach its broker may have left threads that never end.
        exit.now();
    }
    runtime.shutdown_background();
    exit
}

async fn drive(
    config: &Config,
    settings: engine::Settings,
    options: RunOptions,
    left_out: LeftOut,
) -> Exit {
    let telemetry = Arc::new(Telemetry::new(env!("CARGO_PKG_VERSION"), SystemTime::now));
    let shutdown = CancellationToken::new();
    let http_shutdown = CancellationToken::new();
    match Signals::listen() {
        Ok(signals) => drop(tokio::spawn(signals.stop(shutdown.clone()))),
        Err(error) => {
            error!(%error, "signals cannot be listened to");
            return Exit::Internal;
        }
    }
    if let Some(address) = config.http.listen {
        let listener = match http::bind(address).await {
            Ok(listener) => listener,
            Err(error) => {
                error!("{error}");
                return Exit::Unavailable;
            }
        };
        info!(%address, "serving /livez, /readyz and /metrics");
        tokio::spawn(http::serve(
            listener,
            http::router(telemetry.clone()),
            http_shutdown.clone(),
        ));
    }
    tokio::spawn(own_up(left_out));
    if config.dead_letter.auto_create {
        tokio::spawn(dead_letter::create_when_missing(
            config.clone(),
            shutdown.clone(),
        ));
    }
    let reason = engine::run(settings, options, shutdown, telemetry).await;
    http_shutdown.cancel();
    let exit = Exit::of_run(&reason);
    match reason {
        ExitReason::Done => info!("done: everything that was read is settled and committed"),
        ExitReason::NotCommitted(reason) => warn!(code = exit.code(), "{reason}"),
        ExitReason::StartupTimeout(_, reason) => {
            error!(code = exit.code(), "gave up waiting: {reason}");
        }
        ExitReason::Configuration(reason) | ExitReason::Fatal(reason) => {
            error!(code = exit.code(), "{reason}");
        }
    }
    exit
}

/// Says how many log lines were left out.
async fn own_up(left_out: LeftOut) {
    let mut interval = tokio::time::interval(LEFT_OUT_EVERY);
    loop {
        interval.tick().await;
        let lines = left_out.take();
        if lines > 0 {
            warn!(lines, "log lines were left out: one place wrote too many");
        }
    }
}
