//! Variables in texts and in place of keys.

use crate::folder::{Folder, GOOD, assert_fault, replaced, with};
use millstream_consumer::config::{Config, EnvSource, Overrides, Topics};
use std::ffi::OsString;

#[test]
fn b04_environment_variable_not_set() {
    let text = "\"sasl.password\" = \"${KAFKA_PASSWORD}\"\n\"sasl.username\" = \"u\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"security.protocol\" = \"sasl_ssl\"";
    let folder = with("kafka.properties", text);
    let fault = folder.fault();
    assert_eq!(
        fault,
        "kafka.properties.\"sasl.password\": environment variable KAFKA_PASSWORD not set; set it or write `${KAFKA_PASSWORD:-default}`"
    );
    let config = folder.env("KAFKA_PASSWORD", "s3cr3t").config();
    assert_eq!(config.kafka.properties.get("sasl.password"), Some("s3cr3t"));
}

#[test]
fn b04_what_follows_from_a_missing_variable_is_not_told() {
    assert_fault(
        &replaced("\"localhost:9092\"", "\"${KAFKA_SERVERS}\""),
        &["kafka.bootstrap_servers[0]", "KAFKA_SERVERS not set"],
    );
    assert_fault(
        &with("cassandra", "request_timeout = \"${TIMEOUT}\""),
        &["cassandra.request_timeout", "TIMEOUT not set"],
    );
}

#[test]
fn b04_variables_are_replaced_in_texts_but_never_in_programs() {
    let folder = with(
        "pipelines.users",
        "group_id = \"${A}-${B:-b}-$${C}\"\nremap = '.x = \"${A}\"'\nfilter = '.y == \"${A}\"'",
    )
    .env("A", "a");
    let config = folder.config();
    let users = &config.pipelines[0];
    assert_eq!(users.group_id, "a-b-${C}");
    assert_eq!(
        users.remap.as_ref().map(|program| program.text.as_str()),
        Some(".x = \"${A}\"")
    );
    assert_eq!(
        users.filter.as_ref().map(|program| program.text.as_str()),
        Some(".y == \"${A}\"")
    );
    assert_fault(
        &with("kafka", "client_id = \"${A\""),
        &["kafka.client_id", "`${` without `}`"],
    );
    assert_fault(
        &with("kafka", "client_id = \"${1-2}\""),
        &["kafka.client_id", "names no variable"],
    );
}

#[test]
fn b18_overrides_by_environment() {
    let config = Folder::new(GOOD)
        .env("MILLSTREAM__PIPELINES__USERS__TOPICS", r#"["a","b"]"#)
        .env("MILLSTREAM__CASSANDRA__MAX_IN_FLIGHT", "17")
        .env("MILLSTREAM__CASSANDRA__REQUEST_TIMEOUT", "7s")
        .env("MILLSTREAM__DEAD_LETTER__AUTO_CREATE", "true")
        .env("MILLSTREAM__KAFKA__PROPERTIES__SOCKET_TIMEOUT_MS", "5000")
        .env(
            "MILLSTREAM__PIPELINES__USERS__TABLES__0__COLUMNS",
            r#"{"id":"uid"}"#,
        )
        .env("MILLSTREAM__PIPELINES__USERS__REMAP", "[1] ${X}")
        .config();
    let users = &config.pipelines[0];
    assert_eq!(
        users.topics,
        Topics::Named(vec!["a".to_owned(), "b".to_owned()])
    );
    assert_eq!(config.cassandra.max_in_flight, 17);
    assert_eq!(config.cassandra.request_timeout.as_secs(), 7);
    assert!(config.dead_letter.auto_create);
    assert_eq!(
        config.kafka.properties.get("socket.timeout.ms"),
        Some("5000")
    );
    assert_eq!(users.tables[0].columns["id"].to_string(), "uid");
    assert_eq!(
        users.remap.as_ref().map(|program| program.text.as_str()),
        Some("[1] ${X}")
    );
}

#[test]
fn b18_overrides_that_cannot_be() {
    let env = |name: &str, value: &str| Folder::new(GOOD).env(name, value);
    assert_fault(
        &env("MILLSTREAM__KAFKA__BOOSTRAP", "x"),
        &["kafka.boostrap: unknown key"],
    );
    assert_fault(
        &env("MILLSTREAM__PIPELINES__USERS__TOPICS", "a,b"),
        &["pipelines.users.topics", "lists are JSON"],
    );
    assert_fault(
        &env("MILLSTREAM__CASSANDRA__MAX_IN_FLIGHT", "many"),
        &["cassandra.max_in_flight = \"many\""],
    );
    assert_fault(
        &env("MILLSTREAM__PIPELINES__USERS__TABLES__7__TTL", "1d"),
        &["the list has 1"],
    );
    assert_fault(
        &env("MILLSTREAM__KAFKA__BOOTSTRAP_SERVERS__0__X", "1"),
        &["which has no keys"],
    );
    assert_fault(&env("MILLSTREAM__", "1"), &["names no key"]);
    let twice = env("MILLSTREAM__KAFKA__CLIENT_ID", "a").env("MILLSTREAM__Kafka__Client_Id", "b");
    assert_fault(&twice, &["kafka.client_id", "sets the same key"]);
    let faults = env("MILLSTREAM__CASSANDRA__PASSWORD", "s3cr3t")
        .faults()
        .to_string();
    assert!(
        faults.contains("(from MILLSTREAM__CASSANDRA__PASSWORD)") && !faults.contains("s3cr3t"),
        "{faults}"
    );
    assert_fault(
        &replaced(
            "[pipelines.users]",
            "[pipelines.a__b]\ntopics = [\"t\"]\nvalue_format = \"json\"\n[[pipelines.a__b.tables]]\ntable = \"a.b\"\ncolumns = { id = \"id\" }\n[pipelines.users]",
        ),
        &["pipelines.a__b", "separates the levels"],
    );
}

/// An environment with a value that is not UTF-8.
struct NotUtf8(&'static str);

impl EnvSource for NotUtf8 {
    fn var(&self, name: &str) -> Option<OsString> {
        self.vars()
            .into_iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value)
    }

    fn vars(&self) -> Vec<(OsString, OsString)> {
        use std::os::unix::ffi::OsStringExt;
        vec![(self.0.into(), OsString::from_vec(vec![0xff]))]
    }
}

#[test]
fn b18_variables_that_are_not_utf8() {
    let folder = Folder::new(GOOD);
    let faults = Config::load(
        &folder.path(),
        &NotUtf8("MILLSTREAM__KAFKA__CLIENT_ID"),
        &Overrides::default(),
    );
    assert!(
        faults
            .expect_err("a fault")
            .to_string()
            .contains("not UTF-8")
    );
    let folder = with("kafka", "client_id = \"${NAME}\"");
    let faults = Config::load(&folder.path(), &NotUtf8("NAME"), &Overrides::default());
    assert!(
        faults
            .expect_err("a fault")
            .to_string()
            .contains("environment variable NAME is not UTF-8")
    );
}
