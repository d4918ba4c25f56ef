//! What each command does: the edge between the process and the library.

mod dead_letter;
mod healthcheck;
mod run;
mod signals;
mod tables;
mod topics;
mod validate;

use crate::cli::{self, Cli, Command};
use crate::config::{Config, EnvSource, Overrides};
use crate::exit::Exit;
use millstream_pipeline::sink::SinkError;
use millstream_pipeline::telemetry::Cause;
use std::ffi::OsString;
use std::io::Write;

/// Runs the program. Results go to standard output, everything else to standard error.
pub fn main(args: impl IntoIterator<Item = OsString>, env: &dyn EnvSource) -> Exit {
    let cli = match cli::parse(args) {
        Ok(cli) => cli,
        Err((text, on_stdout, exit)) => {
            if on_stdout {
                say(&text);
            } else {
                complain(text.trim_end());
            }
            return exit;
        }
    };
    match &cli.command {
        Command::Run(args) => run::run(&cli, args, env),
        Command::Validate(args) => validate::run(&cli, args, env),
        Command::Tables(args) => tables::run(&cli, args, env),
        Command::Healthcheck(args) => healthcheck::run(&cli, args, env),
    }
}

/// The configuration, or every fault on standard error.
fn load(cli: &Cli, env: &dyn EnvSource, overrides: &Overrides) -> Result<Config, Exit> {
    Config::load(&cli.config, env, overrides).map_err(|faults| {
        complain(&faults.to_string());
        Exit::Config
    })
}

/// What stands in the driver's words when a TLS handshake fails.
const TLS_WORDS: [&str; 4] = ["certificate", "corrupt message", "handshake", "TLS"];

/// Whose fault an error of Cassandra is.
fn cause_of(error: &SinkError) -> Cause {
    match error {
        SinkError::Transient(text) if TLS_WORDS.iter().any(|word| text.contains(word)) => {
            Cause::Protocol
        }
        SinkError::Transient(_) => Cause::Unavailable,
        SinkError::Configuration(text)
            if text.starts_with("authentication") || text.starts_with("no right") =>
        {
            Cause::Authentication
        }
        SinkError::Configuration(_) | SinkError::Refused(_) => Cause::Configuration,
    }
}

/// Writes to standard output. A reader that went away is no fault of ours.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line to standard error.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Threads of the commands that only ask questions.
fn small_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}
