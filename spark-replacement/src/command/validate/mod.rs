//! `validate`: the file, the programs, and everything they name, each as one line.
//!
//! What it asks changes nothing: no group is joined, no offset is committed, no row is written. So it cannot know whether
//! we may write to a table or a topic; `run` says that at the first row.

mod cassandra;
mod client;
mod kafka;
mod report;
mod row_key;
mod sample;

use super::{Exit, complain, load, say, small_runtime};
use crate::cli::{Cli, LogLevel, ValidateArgs};
use crate::config::{Config, EnvSource, Overrides};
use crate::engine::Settings;
use crate::logging;
use crate::settings::{self, SettingsError};
use cassandra::Cluster;
use kafka::Kafka;
use millstream_pipeline::registry::{RegistryClient, RegistryError};
use millstream_pipeline::telemetry::Cause;
use report::{Line, Report};
use std::io::IsTerminal;
use std::time::Duration;

pub(super) fn run(cli: &Cli, args: &ValidateArgs, env: &dyn EnvSource) -> Exit {
    let config = match load(cli, env, &Overrides::default()) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    if matches!(cli.log_level, LogLevel::Debug | LogLevel::Trace) {
        // Otherwise the lines below say it all, and the clients would say it again.
        logging::start(cli.log_format, cli.log_level);
    }
    if args.show {
        say(&format!("{config}\n"));
    }
    let mut report = Report::default();
    let settings = file(&config, &mut report);
    if !args.offline {
        let runtime = match small_runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                complain(&format!("cannot start threads: {error}"));
                return Exit::Internal;
            }
        };
        let looking = servers(&config, settings.as_ref(), args.timeout);
        report.lines.append(&mut runtime.block_on(looking));
        runtime.shutdown_background();
    }
    if args.json {
        say(&report.json(args.strict));
    } else {
        let no_color = env.var("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = std::io::stdout().is_terminal() && !no_color;
        say(&report.text(colour));
    }
    report.exit(args.strict)
}

/// The file's warnings and the programs. Its faults were told before.
fn file(config: &Config, report: &mut Report) -> Option<Settings> {
    let count = config.pipelines.len();
    let noun = if count == 1 { "pipeline" } else { "pipelines" };
    let what = format!("config {}", config.path.display());
    report.lines.push(Line::ok(what, format!("{count} {noun}")));
    for warning in &config.warnings {
        report.lines.push(Line::warn(&warning.key, &warning.rule));
    }
    match settings::compile(config, false) {
        Ok(settings) => {
            for pipeline in &settings.pipelines {
                let programs = [
                    ("filter", &pipeline.plan.filter),
                    ("remap", &pipeline.plan.program),
                ];
                for (key, _) in programs.iter().filter(|(_, program)| program.is_some()) {
                    let what = format!("pipelines.{}.{key}", pipeline.plan.name);
                    report.lines.push(Line::ok(what, "compiles"));
                }
            }
            Some(settings)
        }
        Err(errors) => {
            let lines = errors.into_iter().map(|error| match error {
                // Without a file of its own the program's name is the key again.
                SettingsError::Program { key, error } if error.name == key => {
                    Line::wrong(key, error.summary)
                }
                SettingsError::Program { key, error } => Line::wrong(key, error.to_string()),
                SettingsError::Registry(error) => Line::wrong("schema_registry", error.to_string()),
            });
            report.lines.extend(lines);
            None
        }
    }
}

/// Everything that the configuration names out there. The three are asked at once; each answer is waited for `timeout`.
async fn servers(config: &Config, settings: Option<&Settings>, timeout: Duration) -> Vec<Line> {
    let for_kafka = config.clone();
    let kafka = tokio::task::spawn_blocking(move || kafka::check(&for_kafka, timeout));
    let client = settings.and_then(|settings| settings.registry.as_ref());
    let (kafka, registry, cluster) = tokio::join!(
        kafka,
        registry(client, timeout),
        cassandra::check(config, timeout)
    );
    let kafka = kafka.unwrap_or_else(|error| Kafka {
        lines: vec![Line::fail(Cause::Unavailable, "kafka", error.to_string())],
        ..Kafka::default()
    });
    let order = order(settings, &kafka, &cluster, timeout).await;
    let parts = [kafka.lines, registry, cluster.lines, order];
    parts.into_iter().flatten().collect()
}

async fn registry(client: Option<&RegistryClient>, timeout: Duration) -> Vec<Line> {
    let Some(client) = client else {
        return Vec::new();
    };
    let what = "schema_registry";
    let line = match tokio::time::timeout(timeout, client.subjects()).await {
        Ok(Ok(subjects)) if subjects.is_empty() => Line::warn(
            what,
            "answers, but has no schema: records that name one would be dead letters; register the schemas, or check schema_registry.url",
        ),
        Ok(Ok(subjects)) if subjects.len() == 1 => Line::ok(what, "1 subject"),
        Ok(Ok(subjects)) => Line::ok(what, format!("{} subjects", subjects.len())),
        Ok(Err(error)) => {
            let cause = match &error {
                RegistryError::Refused { .. } => Cause::Authentication,
                RegistryError::Unavailable { .. } => Cause::Unavailable,
                _ => Cause::Configuration,
            };
            let advice = match cause {
                Cause::Unavailable => "; check schema_registry.url",
                _ => "",
            };
            Line::fail(cause, what, format!("{error}{advice}"))
        }
        Err(_) => {
            let seconds = timeout.as_secs_f32();
            let reason = format!("no answer within {seconds} s; check schema_registry.url");
            Line::fail(Cause::Unavailable, what, reason)
        }
    };
    vec![line]
}

/// Whether rows keep to their partitions, for each topic and table that is there.
async fn order(
    settings: Option<&Settings>,
    kafka: &Kafka,
    cluster: &Cluster,
    timeout: Duration,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let Some(settings) = settings else {
        return lines;
    };
    for pipeline in &settings.pipelines {
        let plan = &pipeline.plan;
        let topics = kafka.topics.get(&plan.name).into_iter().flatten();
        for topic in topics {
            let samples = kafka.samples.get(&topic.0).map_or(&[][..], Vec::as_slice);
            for table in &plan.tables {
                let Some(there) = cluster.tables.get(&table.name.to_string()) else {
                    continue;
                };
                let registry = settings.registry.as_ref();
                let looking = row_key::check(plan, registry, table, there, topic, samples);
                let line = tokio::time::timeout(timeout, looking).await;
                lines.push(line.unwrap_or_else(|_| {
                    let what = format!("order of {} -> {}", topic.0, table.name);
                    Line::skip(what, "the registry did not answer")
                }));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A configuration of one pipeline, with lines added to its table and, before that, to the pipeline.
    pub(super) fn config(lines: &str) -> Config {
        let (pipeline, table) = if lines.starts_with("ttl") {
            ("", lines)
        } else {
            (lines, "")
        };
        let text = format!(
            "[kafka]\nbootstrap_servers = [\"localhost:9092\"]\n[cassandra]\ncontact_points = [\"localhost:9042\"]\n[pipelines.users]\ntopics = [\"t\"]\nvalue_format = \"json\"\n{pipeline}\n[[pipelines.users.tables]]\ntable = \"ks.t\"\ncolumns = {{ id = \"id\", name = \"name\" }}\n{table}\n"
        );
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("consumer.toml");
        std::fs::write(&path, text).expect("a file");
        let env: BTreeMap<String, String> = BTreeMap::new();
        Config::load(&path, &env, &Overrides::default()).expect("a configuration")
    }

    #[test]
    fn programs_that_do_not_compile_are_all_told() {
        let mut report = Report::default();
        let settings = file(&config("remap = '.a = '\nfilter = 'now()'"), &mut report);
        assert!(settings.is_none());
        let told: Vec<_> = report.lines.iter().map(|line| line.what.as_str()).collect();
        assert_eq!(
            told[1..],
            ["pipelines.users.filter", "pipelines.users.remap"]
        );
        assert_eq!(report.exit(false), Exit::Config);
    }

    #[test]
    fn programs_that_compile_are_said_to() {
        let mut report = Report::default();
        assert!(file(&config("remap = '.a = 1'"), &mut report).is_some());
        assert_eq!(report.lines[1].what, "pipelines.users.remap");
        assert_eq!(report.exit(true), Exit::Ok);
    }
}
