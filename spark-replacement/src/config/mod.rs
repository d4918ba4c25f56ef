//! One TOML file, checked as a whole: every fault comes at once, with its key, value, line, rule and remedy.
//!
//! - Durations and sizes are texts with units: `"30s"`, `"64MiB"`.
//! - `${VAR}` and `${VAR:-default}` are replaced in texts, but never in `remap`, `filter` and `topic_pattern`;
//!   `$${` stands for `${`.
//! - A variable `MILLSTREAM__PIPELINES__USERS__TOPICS` replaces the key `pipelines.users.topics`. Lists and tables are
//!   JSON. An entry of a list is named by its number (`…__TABLES__0__TTL`). Under `KAFKA__PROPERTIES__` an underscore
//!   stands for a dot.
//! - `password_file` and `remap_file` name files, relative to the configuration's folder.

mod document;
mod effective;
mod environment;
mod fault;
mod file;
mod hint;
mod names;
mod pipeline;
mod properties;
mod reader;
mod sections;
mod tls;
pub mod units;

pub use environment::{EnvSource, OVERRIDE_PREFIX, ProcessEnv};
pub use fault::{ConfigFaults, Fault, Origin, Warning};
pub use pipeline::{PipelineConfig, ProgramSource, TableConfig, Topics};
pub use properties::Properties;
pub use sections::{
    CassandraSection, DeadLetterConfig, HttpConfig, KafkaConfig, LifecycleConfig, LimitsConfig,
    SchemaRegistryConfig,
};

pub(crate) use file::read_bounded;
pub(crate) use hint::{closest, did_you_mean};

use crate::engine::ValueFormat;
use document::Node;
use fault::FaultList;
use reader::Reader;
use std::path::{Path, PathBuf};

/// What the command line changes about a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Only these pipelines; all of them when empty.
    pub pipelines: Vec<String>,
}

/// A configuration without faults. `Display` prints it as TOML with defaults filled in and secrets masked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// `[kafka]`.
    pub kafka: KafkaConfig,
    /// `[schema_registry]`; there when a pipeline reads Avro.
    pub schema_registry: Option<SchemaRegistryConfig>,
    /// `[cassandra]`.
    pub cassandra: CassandraSection,
    /// `[dead_letter]`.
    pub dead_letter: DeadLetterConfig,
    /// `[http]`.
    pub http: HttpConfig,
    /// `[startup]` and `[shutdown]`.
    pub lifecycle: LifecycleConfig,
    /// `[limits]`.
    pub limits: LimitsConfig,
    /// `[pipelines.NAME]`, by name; at least one.
    pub pipelines: Vec<PipelineConfig>,
    /// What works but should not stay as it is.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// Reads and checks a configuration. Opens no connection.
    ///
    /// All pipelines are checked, also those that `overrides` leaves out.
    pub fn load(
        path: &Path,
        env: &dyn EnvSource,
        overrides: &Overrides,
    ) -> Result<Self, ConfigFaults> {
        let text = file::read_bounded(path).map_err(|rule| {
            let advice = if path.exists() {
                ""
            } else {
                "; name the file by --config FILE or MILLSTREAM_CONFIG"
            };
            ConfigFaults::of_file(path, Origin::Nowhere, format!("{rule}{advice}"))
        })?;
        let mut root = document::parse(path, &text)?;
        let faults = FaultList::default();
        environment::interpolate(&mut root, env, &faults);
        environment::apply_overrides(&mut root, env, &faults);
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut config = read(path, &root, &faults, folder);
        check_across(&config, &faults);
        select(&mut config, overrides, &faults);
        if file::readable_by_all(path) {
            faults.warn_of_secrets_in(path);
        }
        faults.locate(&root);
        config.warnings = faults.finish(path)?;
        Ok(config)
    }
}

fn read(path: &Path, root: &Node, faults: &FaultList, folder: &Path) -> Config {
    let empty = Node::empty();
    let reader = Reader::new(root, "", faults, folder);
    let lifecycle = sections::lifecycle(&reader, &empty);
    let config = Config {
        path: path.to_owned(),
        kafka: sections::kafka(&reader, &empty, lifecycle.drain),
        schema_registry: sections::schema_registry(&reader),
        cassandra: sections::cassandra(&reader, &empty),
        dead_letter: sections::dead_letter(&reader, &empty),
        http: sections::http(&reader, &empty),
        limits: sections::limits(&reader, &empty),
        lifecycle,
        pipelines: read_pipelines(&reader, &empty),
        warnings: Vec::new(),
    };
    reader.finish();
    config
}

fn read_pipelines(root: &Reader<'_>, empty: &Node) -> Vec<PipelineConfig> {
    let reader = root.table("pipelines", empty);
    let mut pipelines = Vec::new();
    for (name, node) in reader.entries() {
        if let Err(rule) = names::pipeline(name) {
            reader.fault(name, rule);
        }
        let nested = reader.child(node, &reader.key(name));
        pipelines.push(pipeline::read(&nested, name));
        nested.finish();
    }
    if pipelines.is_empty() {
        reader
            .faults()
            .cross("pipelines", "missing; give at least one [pipelines.NAME]");
    }
    pipelines
}

/// Rules over several sections.
fn check_across(config: &Config, faults: &FaultList) {
    let dead_letters = &config.dead_letter.topic;
    for (index, pipeline) in config.pipelines.iter().enumerate() {
        let key = |key: &str| format!("pipelines.{}.{key}", pipeline.name);
        match &pipeline.topics {
            Topics::Named(topics) if topics.contains(dead_letters) => {
                let rule = format!(
                    "reads the dead-letter topic {dead_letters}: its own dead letters would come back for ever"
                );
                faults.cross(key("topics"), rule);
            }
            Topics::Pattern(pattern)
                if regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(dead_letters)) =>
            {
                let rule = format!(
                    "matches the dead-letter topic {dead_letters}: its own dead letters would come back for ever"
                );
                faults.cross(key("topic_pattern"), rule);
            }
            Topics::Named(_) | Topics::Pattern(_) => {}
        }
        if pipeline.value_format == ValueFormat::Avro && config.schema_registry.is_none() {
            faults.cross(
                key("value_format"),
                "\"avro\" needs [schema_registry] with its url",
            );
        }
        let twin = config.pipelines[..index]
            .iter()
            .find(|other| other.group_id == pipeline.group_id);
        if let Some(twin) = twin {
            let rule = format!(
                "is the group of pipelines.{} too; each pipeline needs its own",
                twin.name
            );
            faults.cross(key("group_id"), rule);
        }
    }
}

/// Keeps the pipelines that were asked for.
fn select(config: &mut Config, overrides: &Overrides, faults: &FaultList) {
    if overrides.pipelines.is_empty() {
        return;
    }
    for name in &overrides.pipelines {
        if !config
            .pipelines
            .iter()
            .any(|pipeline| pipeline.name == *name)
        {
            let known = config
                .pipelines
                .iter()
                .map(|pipeline| pipeline.name.as_str());
            let hint = hint::did_you_mean(hint::closest(name, known));
            faults.cross(
                format!("pipelines.{name}"),
                format!("asked for by --pipeline, but not in the file{hint}"),
            );
        }
    }
    config
        .pipelines
        .retain(|pipeline| overrides.pipelines.contains(&pipeline.name));
}
