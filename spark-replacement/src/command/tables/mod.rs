//! `tables plan` and `tables apply`: the CQL between what the pipelines need and what is there.
//!
//! A table's definition is the `CREATE TABLE` of a file given by `--cql`, else the shipped one (`cql/`). Only tables that a
//! pipeline writes to are looked at. What is missing is created or added; nothing is ever dropped or changed. Options behind
//! `WITH` are used when a table is created and never compared.

mod definition;
mod difference;
mod token;

use super::{Exit, complain, load, say, small_runtime};
use crate::cli::{Cli, CqlArgs, TablesAction, TablesArgs};
use crate::config::{Config, EnvSource, Overrides};
use crate::settings;
use definition::Definitions;
use difference::{Difference, Found, difference, needed};
use millstream_pipeline::sink::SinkError;
use millstream_pipeline::sink::cassandra::{connect, schema};
use scylla::client::session::Session;
use std::time::Duration;

/// The definitions that come with the program, by the names of their files.
const SHIPPED: [(&str, &str); 1] = [(
    "cql/spark_streams.cql (shipped)",
    include_str!("../../../cql/spark_streams.cql"),
)];

/// How often the difference is taken again when a statement fails: another process may have run it first.
const ROUNDS: usize = 3;

pub(super) fn run(cli: &Cli, args: &TablesArgs, env: &dyn EnvSource) -> Exit {
    let (TablesAction::Plan(cql) | TablesAction::Apply(cql)) = &args.action;
    let definitions = match definitions(cql) {
        Ok(definitions) => definitions,
        Err(faults) => {
            for fault in faults {
                complain(&fault);
            }
            return Exit::Config;
        }
    };
    let config = match load(cli, env, &Overrides::default()) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let runtime = match small_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start threads: {error}"));
            return Exit::Internal;
        }
    };
    let session = match runtime.block_on(open(&config, cql.timeout)) {
        Ok(session) => session,
        Err(failure) => return failure.tell(),
    };
    let outcome = match args.action {
        TablesAction::Plan(_) => runtime.block_on(plan(&config, &definitions, &session)),
        TablesAction::Apply(_) => runtime.block_on(apply(&config, &definitions, &session)),
    };
    outcome.unwrap_or_else(Failure::tell)
}

/// Why the cluster could not be asked or changed.
struct Failure {
    exit: Exit,
    text: String,
}

impl Failure {
    fn tell(self) -> Exit {
        complain(&format!("tables: {}", self.text));
        self.exit
    }
}

impl From<SinkError> for Failure {
    fn from(error: SinkError) -> Self {
        Self {
            exit: Exit::of_cause(super::cause_of(&error)),
            text: error.to_string(),
        }
    }
}

fn definitions(args: &CqlArgs) -> Result<Definitions, Vec<String>> {
    let mut given = Definitions::default();
    let mut faults = Vec::new();
    for path in &args.cql {
        let file = path.display().to_string();
        match crate::config::read_bounded(path) {
            Ok(text) => {
                if let Err(error) = given.read(&file, &text) {
                    faults.push(format!("cql: {error}"));
                }
            }
            Err(error) => faults.push(format!("cql: {error}")),
        }
    }
    let mut shipped = Definitions::default();
    for (file, text) in SHIPPED {
        if let Err(error) = shipped.read(file, text) {
            faults.push(format!("cql: {error}"));
        }
    }
    given.fall_back_on(shipped);
    if faults.is_empty() {
        Ok(given)
    } else {
        Err(faults)
    }
}

async fn open(config: &Config, timeout: Duration) -> Result<std::sync::Arc<Session>, Failure> {
    let cassandra = settings::looking_cassandra(config, timeout);
    let nodes = config.cassandra.contact_points.join(", ");
    match tokio::time::timeout(timeout, connect(&cassandra)).await {
        Ok(session) => Ok(session?),
        Err(_) => Err(Failure {
            exit: Exit::Unavailable,
            text: format!("Cassandra at {nodes} did not answer within --timeout"),
        }),
    }
}

async fn look(config: &Config, session: &Session) -> Result<Found, Failure> {
    let mut found = Found {
        keyspaces: schema::keyspaces(session).await?,
        ..Found::default()
    };
    for table in needed(&config.pipelines) {
        if let Some(there) = schema::describe(session, &table.name).await? {
            found.tables.insert(table.name.to_string(), there);
        }
    }
    Ok(found)
}

async fn take(
    config: &Config,
    definitions: &Definitions,
    session: &Session,
) -> Result<Difference, Failure> {
    let found = look(config, session).await?;
    Ok(difference(&needed(&config.pipelines), definitions, &found))
}

async fn plan(
    config: &Config,
    definitions: &Definitions,
    session: &Session,
) -> Result<Exit, Failure> {
    let difference = take(config, definitions, session).await?;
    for statement in &difference.statements {
        say(&format!("{statement};\n"));
    }
    Ok(conclude(&difference, "nothing to do"))
}

/// Runs the difference; nothing is run while a fault is left. Safe beside another process that does the same.
async fn apply(
    config: &Config,
    definitions: &Definitions,
    session: &Session,
) -> Result<Exit, Failure> {
    let mut failure: Option<Failure> = None;
    let mut ran = false;
    for _ in 0..ROUNDS {
        let difference = take(config, definitions, session).await?;
        if !difference.faults.is_empty() || difference.statements.is_empty() {
            let done = if ran {
                "done: all nodes agree on the schema"
            } else {
                "nothing to do"
            };
            return Ok(conclude(&difference, done));
        }
        failure = None;
        for statement in &difference.statements {
            if let Err(error) = schema::change(session, statement).await {
                let mut refused = Failure::from(error);
                refused.text = format!("{} (while running {statement};)", refused.text);
                failure = Some(refused);
                break;
            }
            ran = true;
            say(&format!("{statement};\n"));
        }
    }
    Err(failure.unwrap_or_else(|| Failure {
        exit: Exit::Temporary,
        text: "the tables still differ after what was run; run it again".to_owned(),
    }))
}

/// Says how it ended: faults on standard error, the rest as a CQL comment.
fn conclude(difference: &Difference, done: &str) -> Exit {
    for fault in &difference.faults {
        complain(&format!("tables: {fault}"));
    }
    if !difference.faults.is_empty() {
        return Exit::Config;
    }
    if difference.statements.is_empty() {
        say(&format!("-- {done}\n"));
    }
    Exit::Ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_definitions_can_be_read() {
        let args = CqlArgs {
            cql: Vec::new(),
            timeout: Duration::from_secs(1),
        };
        let definitions = definitions(&args).expect("definitions");
        let users = &definitions.tables["spark_streams.created_users"];
        assert_eq!(users.partition_key, ["id"]);
        assert_eq!(users.columns.len(), 12);
        assert!(definitions.keyspaces.contains_key("spark_streams"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let args = CqlArgs {
            cql: vec!["/nowhere/t.cql".into()],
            timeout: Duration::from_secs(1),
        };
        let faults = definitions(&args).expect_err("a fault");
        assert!(
            faults[0].contains("cannot read /nowhere/t.cql"),
            "{faults:?}"
        );
    }
}
