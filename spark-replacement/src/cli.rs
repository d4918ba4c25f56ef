//! The command line.

use crate::config::units::parse_duration;
use crate::exit::Exit;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "Examples:
  millstream-consumer --config consumer.toml tables apply    create what is missing in Cassandra
  millstream-consumer --config consumer.toml validate        check everything the configuration names
  millstream-consumer --config consumer.toml run             run until SIGTERM or Ctrl-C
  millstream-consumer run --until-end --timeout 10m          take what is there now, then exit 0

Exit codes: 0 done, 1 not ready (healthcheck), 2 usage, 64 bad value, 69 a dependency is not there, 70 internal, 75 stopped before all was
committed, 76 TLS or protocol, 77 credentials or rights, 78 configuration, 130 and 143 second Ctrl-C or SIGTERM.";

const RUN: &str = "Examples:
  millstream-consumer run                                    until SIGTERM or Ctrl-C; a second one ends at once
  millstream-consumer run --pipeline users                   one pipeline of the file
  millstream-consumer run --until-end --timeout 10m          what is there now; exit 75 when 10 minutes are not enough
  millstream-consumer run --log-format json 2> run.log       a JSON object a line

What is not there (Kafka, Cassandra, a topic, a table) is waited for, unless startup.timeout is set. While it runs,
http.listen answers /livez, /readyz and /metrics.";

const VALIDATE: &str = "Examples:
  millstream-consumer validate                               all of it
  millstream-consumer validate --offline --strict            in CI, without servers; warnings fail
  millstream-consumer validate --show                        the configuration in force too, secrets as ***
  millstream-consumer validate --json | jq '.checks[]'       for programs

Each check is one line: ok; warn (works, but look at it); skip (not looked at, or not to be known from here); FAIL (`run`
would wait or stop). Nothing is written or committed. The exit code is that of the fault a person must mend first:
78, 77, 76, then 69.";

const TABLES: &str = "Examples:
  millstream-consumer tables plan                            the CQL that is missing; changes nothing
  millstream-consumer tables apply                           runs it; run again, it has nothing to do
  millstream-consumer tables apply --cql orders.cql          with definitions of your own

A table is defined by its CREATE TABLE in a file given by --cql, else by the shipped file cql/spark_streams.cql. Only
tables that a pipeline writes to are looked at. Missing keyspaces, tables and columns are added. Nothing is dropped or
changed: where a type or the primary key differs, nothing is run and the exit code is 78.";

const HEALTHCHECK: &str = "Examples:
  millstream-consumer healthcheck                            is the process behind http.listen ready
  millstream-consumer healthcheck --live                     is it alive, or would a restart help
  HEALTHCHECK CMD [\"/millstream-consumer\", \"healthcheck\"]    in a Dockerfile

It reads the same configuration as `run` and asks /readyz (with --live /livez) at http.listen, on loopback where that
is an address of all interfaces. One line says what was found, with the reason when it is not ready. Exit codes: 0
ready, 1 not ready, 69 no answer, 78 the configuration has faults or http.listen is \"off\".";

/// Kafka to Cassandra: decode, remap, write; what cannot be stored goes to a dead-letter topic.
#[derive(Debug, Parser)]
#[command(name = "millstream-consumer", version, about, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true, infer_subcommands = false)]
pub struct Cli {
    /// The configuration file
    #[arg(
        long,
        short,
        global = true,
        help_heading = "Options of every command",
        env = "MILLSTREAM_CONFIG",
        value_name = "FILE",
        default_value = "consumer.toml"
    )]
    pub config: PathBuf,

    /// How log lines are written to standard error
    #[arg(
        long,
        global = true,
        help_heading = "Options of every command",
        env = "MILLSTREAM_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "pretty"
    )]
    pub log_format: LogFormat,

    /// The least severe lines to write
    #[arg(
        long,
        global = true,
        help_heading = "Options of every command",
        env = "MILLSTREAM_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub log_level: LogLevel,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Looks of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

/// Severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Something is lost or a person is needed.
    Error,
    /// Recovered, nothing lost.
    Warn,
    /// Starts, stops, changes of state.
    Info,
    /// What the clients do.
    Debug,
    /// Everything.
    Trace,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the pipelines
    #[command(after_help = RUN)]
    Run(RunArgs),
    /// Check the configuration and what it names
    #[command(after_help = VALIDATE)]
    Validate(ValidateArgs),
    /// Compare Cassandra with the tables that the pipelines need
    #[command(after_help = TABLES)]
    Tables(TablesArgs),
    /// Ask the running process whether it is ready
    #[command(after_help = HEALTHCHECK)]
    Healthcheck(HealthcheckArgs),
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Take what is there at the start, then exit 0
    #[arg(long)]
    pub until_end: bool,

    /// Give up after this time (exit code 75), e.g. 10m
    #[arg(long, value_name = "DURATION", requires = "until_end", value_parser = duration)]
    pub timeout: Option<Duration>,

    /// Only this pipeline; may be repeated
    #[arg(long = "pipeline", value_name = "NAME")]
    pub pipelines: Vec<String>,
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of a command line, each on its own"
)]
pub struct ValidateArgs {
    /// Open no connection: check the file and the programs only
    #[arg(long)]
    pub offline: bool,

    /// Warnings fail, too (exit code 78)
    #[arg(long)]
    pub strict: bool,

    /// Print the configuration as it is in force, secrets masked
    #[arg(long)]
    pub show: bool,

    /// Print the checks as JSON
    #[arg(long)]
    pub json: bool,

    /// Wait at most this long for each answer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub timeout: Duration,
}

/// Arguments of `healthcheck`.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// Ask whether it is alive instead: work goes on, or is known to wait
    #[arg(long)]
    pub live: bool,

    /// Wait at most this long for the answer
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration)]
    pub timeout: Duration,
}

/// Arguments of `tables`.
#[derive(Debug, Args)]
pub struct TablesArgs {
    /// Show or run
    #[command(subcommand)]
    pub action: TablesAction,
}

/// What `tables` does.
#[derive(Debug, Subcommand)]
pub enum TablesAction {
    /// Print the CQL that is missing; change nothing
    #[command(after_help = TABLES)]
    Plan(CqlArgs),
    /// Run the CQL that is missing
    #[command(after_help = TABLES)]
    Apply(CqlArgs),
}

/// Where the wanted tables are described.
#[derive(Debug, Args)]
pub struct CqlArgs {
    /// CQL file with CREATE KEYSPACE and CREATE TABLE statements; may be repeated. Goes before the shipped definitions
    #[arg(long, value_name = "FILE")]
    pub cql: Vec<PathBuf>,

    /// Wait at most this long for each answer of Cassandra
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("must be more than zero".to_owned()),
        duration => Ok(duration),
    }
}

/// Parses arguments, or gives the text to show, whether it belongs on standard output, and the exit code.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, (String, bool, Exit)> {
    Cli::try_parse_from(args).map_err(|error| {
        let exit = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok,
            // An option without its value is not a bad value.
            ErrorKind::InvalidValue if no_value(&error) => Exit::Usage,
            ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::InvalidUtf8 => {
                Exit::Value
            }
            _ => Exit::Usage,
        };
        (error.render().to_string(), !error.use_stderr(), exit)
    })
}

fn no_value(error: &clap::Error) -> bool {
    match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => value.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(args: &str) -> (String, bool, Exit) {
        let args = args.split_whitespace().map(OsString::from);
        parse(std::iter::once("millstream-consumer".into()).chain(args)).expect_err("refused")
    }

    #[test]
    fn b59_mistakes_on_the_command_line_have_their_codes_and_a_hint() {
        for (args, exit, part) in [
            ("", Exit::Usage, "Usage:"),
            (
                "vaildate",
                Exit::Usage,
                "similar subcommand exists: 'validate'",
            ),
            (
                "run --pipline x",
                Exit::Usage,
                "similar argument exists: '--pipeline'",
            ),
            ("run --timeout 5s", Exit::Usage, "--until-end"),
            ("run --until-end --timeout 5", Exit::Value, "like \"30s\""),
            (
                "run --until-end --timeout 0s",
                Exit::Value,
                "more than zero",
            ),
            (
                "run --log-level loud",
                Exit::Value,
                "possible values: error, warn",
            ),
            ("healthcheck --timeout 3", Exit::Value, "like \"30s\""),
            ("run --config", Exit::Usage, "a value is required"),
            ("run --config a --config b", Exit::Usage, "multiple times"),
            ("tables", Exit::Usage, "plan"),
            (
                "tables aply",
                Exit::Usage,
                "similar subcommand exists: 'apply'",
            ),
        ] {
            let (text, on_stdout, found) = refused(args);
            assert_eq!(found, exit, "{args}: {text}");
            assert!(text.contains(part), "{args}: {text}");
            assert!(!on_stdout, "{args}");
        }
    }

    #[test]
    fn b59_help_goes_to_standard_output_and_has_examples() {
        for args in [
            "--help",
            "run --help",
            "validate -h",
            "tables --help",
            "tables plan --help",
            "tables apply --help",
            "healthcheck --help",
        ] {
            let (text, on_stdout, exit) = refused(args);
            assert!(on_stdout && exit == Exit::Ok, "{args}");
            assert!(text.contains("Examples:\n  millstream-consumer "), "{text}");
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(170), "{args}: {widest:?}");
        }
        let (text, on_stdout, exit) = refused("--version");
        assert!(on_stdout && exit == Exit::Ok && text.starts_with("millstream-consumer "));
    }
}
