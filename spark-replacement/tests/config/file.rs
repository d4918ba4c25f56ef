//! The file as a whole: read, printed, refused line by line.

use crate::folder::{Folder, GOOD, assert_fault, with, with_table};
use millstream_consumer::config::{Config, Origin, Overrides};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

#[test]
fn defaults_are_filled_in() {
    let config = Folder::new(GOOD).config();
    let expected = r#"[kafka]
bootstrap_servers = ["localhost:9092"]
client_id = "millstream"

[cassandra]
contact_points = ["localhost:9042"]
consistency = "LOCAL_QUORUM"
request_timeout = "5s"
max_in_flight = 256

[dead_letter]
topic = "error_events"
auto_create = false

[http]
listen = "127.0.0.1:9090"

[shutdown]
drain = "25s"

[limits]
max_in_flight_bytes = "32MiB"
max_settled_ahead = 50000
max_record_bytes = "1MiB"
worker_threads = 2

[pipelines.users]
topics = ["users_created"]
group_id = "millstream-users"
value_format = "json"
start = "earliest"
tombstones = "filter"
isolate_after = "5m"

[[pipelines.users.tables]]
table = "spark_streams.created_users"
row = "merge"
null = "unset"
write_timestamp = "record"
write_revision = 0

[pipelines.users.tables.columns]
first_name = "name.first"
id = "id"
"#;
    let shown = sorted(&config.to_string());
    assert_eq!(shown, sorted(expected));
}

/// TOML text with its keys in order, so that tests do not depend on the printer's.
fn sorted(text: &str) -> toml::Table {
    text.parse()
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn what_is_printed_can_be_loaded_again() {
    let config = with(
        "pipelines.users",
        "remap = '''.id = \"${X}\"'''\nisolate_after = \"off\"",
    )
    .config();
    let again = Folder::new(&config.to_string()).config();
    assert_eq!(config.to_string(), again.to_string());
}

#[test]
fn the_shipped_configuration_loads() {
    let shipped = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/consumer.toml");
    let config = Config::load(&shipped, &BTreeMap::new(), &Overrides::default());
    let config = config.unwrap_or_else(|faults| panic!("{faults}"));
    let names: Vec<_> = config
        .pipelines
        .iter()
        .map(|pipeline| pipeline.name.as_str())
        .collect();
    assert_eq!(names, ["users", "users_avro"]);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn b01_file_missing_directory_or_unreadable() {
    let folder = Folder::new(GOOD);
    let missing = folder.dir.path().join("nothing.toml");
    let overrides = Overrides::default();
    let faults = Config::load(&missing, &folder.env, &overrides).expect_err("missing");
    let text = faults.to_string();
    assert!(
        text.starts_with("config: ")
            && text.contains("cannot read")
            && text.contains("No such file"),
        "{text}"
    );
    let faults = Config::load(folder.dir.path(), &folder.env, &overrides).expect_err("a folder");
    assert!(faults.to_string().contains("directory"), "{faults}");
    fs::write(folder.path(), b"\xff\xfe").expect("writing");
    assert!(folder.faults().to_string().contains("is not UTF-8"));
    fs::write(folder.path(), vec![b'#'; (1 << 20) + 1]).expect("writing");
    assert!(folder.faults().to_string().contains("larger than 1 MiB"));
}

#[test]
fn b02_syntax_error_with_line_and_column() {
    let folder = Folder::new("[kafka]\nbootstrap_servers = [\"a:1\"\n[cassandra\n");
    let faults = folder.faults();
    assert!(
        faults
            .faults
            .iter()
            .any(|fault| fault.origin == Origin::Line(3)),
        "{faults}"
    );
    assert!(
        faults.faults[0].rule.starts_with("not TOML at column "),
        "{faults}"
    );
    let twice = Folder::new(&format!("{GOOD}\n[kafka]\nclient_id = \"x\"\n"));
    assert!(
        twice.faults().to_string().contains("duplicate key"),
        "{}",
        twice.faults()
    );
}

#[test]
fn b03_unknown_key() {
    assert_fault(
        &with("kafka", "boostrap = [\"a:1\"]"),
        &[
            "kafka.boostrap: unknown key",
            "did you mean bootstrap_servers?",
        ],
    );
    assert_fault(
        &with("pipelines.users", "topicz = []"),
        &["pipelines.users.topicz: unknown key", "topics"],
    );
    assert_fault(
        &with_table("colums = {}"),
        &["pipelines.users.tables[0].colums: unknown key", "columns"],
    );
    assert_fault(
        &with("monitoring", "topic = \"m\""),
        &["monitoring: unknown key"],
    );
    assert_fault(
        &with("pipelines.users", "windows = {}"),
        &["unknown key", "known here: "],
    );
}

#[test]
fn b03_every_fault_comes_at_once_in_the_order_of_the_file() {
    let folder = Folder::new(
        "[kafka]\nbootstrap_servers = [\"localhost:\", \"a:1\", \"b\"]\nfoo = 1\n[cassandra]\nrequest_timeout = 5\n[pipelines.U]\nvalue_format = \"xml\"\n",
    );
    let faults = folder.faults();
    let lines: Vec<String> = faults
        .to_string()
        .lines()
        .map(|line| {
            line.rsplit("consumer.toml")
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    let begins = [
        ":2: kafka.bootstrap_servers[0] = \"localhost:\": the port",
        ":2: kafka.bootstrap_servers[2] = \"b\": no port",
        ":3: kafka.foo: unknown key",
        ":4: cassandra.contact_points: missing",
        ":5: cassandra.request_timeout = 5: an integer where a string with a unit",
        ":6: pipelines.U: not a pipeline name",
        ":6: pipelines.U.topics: missing",
        ":6: pipelines.U.tables: missing",
        ":7: pipelines.U.value_format = \"xml\": not one of",
    ];
    for begin in begins {
        assert!(
            lines.iter().any(|line| line.starts_with(begin)),
            "{begin}\n{faults}"
        );
    }
    assert_eq!(lines.len(), begins.len(), "{faults}");
    let order: Vec<_> = faults
        .faults
        .iter()
        .map(|fault| fault.origin.clone())
        .collect();
    assert!(order.is_sorted(), "{order:?}");
}

mod any_text {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn is_refused_without_a_panic(text in "(?s).{0,200}") {
            let folder = Folder::new(&text);
            prop_assert!(folder.load().is_err());
        }

        #[test]
        fn in_place_of_any_line_is_refused_or_loaded(line in 0_usize..12, text in "[ -~]{0,60}") {
            let mut lines: Vec<&str> = GOOD.lines().collect();
            let at = line.min(lines.len() - 1);
            lines[at] = &text;
            let _ = Folder::new(&lines.join("\n")).load();
        }
    }
}
