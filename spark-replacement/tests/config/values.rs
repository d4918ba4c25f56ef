//! Values that cannot be.

use crate::folder::{assert_fault, replaced, with, with_table};
use millstream_consumer::config::Topics;

#[test]
fn b05_addresses() {
    let bad = [
        "",
        "host",
        "host:",
        "host:99999",
        "host:0",
        "host:+9",
        ":9092",
        "http://h:9092",
        "SSL://h:1",
        "a b:1",
        "::1:9092",
        "[::1:9092",
        "[x]:1",
    ];
    for address in bad {
        let folder = replaced("\"localhost:9092\"", &format!("{address:?}, \"good:1\""));
        assert_fault(
            &folder,
            &["kafka.bootstrap_servers[0]", &format!("{address:?}")],
        );
        let folder = replaced("\"localhost:9042\"", &format!("{address:?}"));
        assert_fault(&folder, &["cassandra.contact_points[0]"]);
    }
    assert_fault(
        &replaced("[\"localhost:9092\"]", "[]"),
        &["kafka.bootstrap_servers: empty"],
    );
    assert_fault(
        &replaced("[\"localhost:9092\"]", "\"a:1,b:2\""),
        &["kafka.bootstrap_servers", "a string where a list"],
    );
    for url in ["registry:8081", "ftp://h/", "http://", "http://u:pw@h:1/"] {
        let folder = with("schema_registry", &format!("url = {url:?}"));
        assert_fault(&folder, &["schema_registry.url"]);
        assert!(!folder.fault().contains("pw"), "{}", folder.fault());
    }
    replaced(
        "\"localhost:9092\"",
        "\"[::1]:9092\", \"10.0.0.1:1\", \"a-b.c_d:65535\"",
    )
    .config();
}

#[test]
fn b06_durations_and_sizes() {
    for value in [
        "5",
        "\"5\"",
        "\"0s\"",
        "\"-5s\"",
        "\"1e9d\"",
        "\"5 parsecs\"",
        "\"\"",
        "\"99999999999999999999s\"",
        "\"30d\"",
        "5.5",
        "true",
        "2026-01-01",
    ] {
        assert_fault(
            &with("cassandra", &format!("request_timeout = {value}")),
            &["cassandra.request_timeout"],
        );
        assert_fault(
            &with("shutdown", &format!("drain = {value}")),
            &["shutdown.drain"],
        );
        assert_fault(
            &with("startup", &format!("timeout = {value}")),
            &["startup.timeout"],
        );
    }
    for value in [
        "5",
        "\"5\"",
        "\"0B\"",
        "\"-5MiB\"",
        "\"1TiB\"",
        "\"99999999999999999999GiB\"",
    ] {
        assert_fault(
            &with("limits", &format!("max_in_flight_bytes = {value}")),
            &["limits.max_in_flight_bytes"],
        );
    }
    for value in ["0", "-1", "1e3", "\"256\"", "99999999999999999999", "true"] {
        assert_fault(
            &with("cassandra", &format!("max_in_flight = {value}")),
            &["cassandra.max_in_flight"],
        );
    }
    assert_fault(
        &with_table("ttl = \"0s\""),
        &["pipelines.users.tables[0].ttl"],
    );
    assert_fault(
        &with_table("ttl = \"7301d\""),
        &["pipelines.users.tables[0].ttl", "not from 1s to 7300d"],
    );
    assert_fault(
        &with_table("write_revision = 8"),
        &["write_revision", "from 0 to 7"],
    );
    assert_fault(
        &with("pipelines.users", "isolate_after = \"never\""),
        &["isolate_after", "\"off\""],
    );
}

#[test]
fn b07_timeouts_that_contradict_each_other() {
    let properties = |text: &str| with("kafka.properties", text);
    assert_fault(
        &properties("\"session.timeout.ms\" = 300000"),
        &["session.timeout.ms", "less than max.poll.interval.ms"],
    );
    assert_fault(
        &properties("\"max.poll.interval.ms\" = \"30000\"\n\"session.timeout.ms\" = 30000\n"),
        &["must be less than"],
    );
    assert_fault(
        &properties("\"heartbeat.interval.ms\" = 5000"),
        &["heartbeat.interval.ms", "a third of session.timeout.ms"],
    );
    assert_fault(
        &with("shutdown", "drain = \"5m\""),
        &["shutdown.drain", "less than max.poll.interval.ms"],
    );
    assert_fault(
        &with("limits", "max_record_bytes = \"64MiB\""),
        &["max_record_bytes must not be greater"],
    );
}

#[test]
fn b09_identifiers() {
    let long = "a".repeat(49);
    for name in [
        "t; DROP TABLE x",
        "a\\\"b",
        &long,
        "tést",
        "",
        "1a",
        "_a",
        "a-b",
    ] {
        let rule = "not a CQL identifier: ^[a-zA-Z][a-zA-Z0-9_]{0,47}$";
        assert_fault(
            &replaced("spark_streams.created_users", &format!("ks.{name}")),
            &["tables[0].table", rule],
        );
        assert_fault(
            &replaced("spark_streams.created_users", &format!("{name}.t")),
            &["tables[0].table", rule],
        );
        assert_fault(
            &replaced("{ id =", &format!("{{ \"{name}\" =")),
            &["tables[0].columns", rule],
        );
    }
    assert_fault(
        &replaced("spark_streams.created_users", "created_users"),
        &["not keyspace.table"],
    );
    assert_fault(
        &replaced("spark_streams.created_users", "a.b.c"),
        &["not a CQL identifier"],
    );
    assert_fault(
        &replaced("\"name.first\"", "\"name..first\""),
        &["columns.first_name"],
    );
    assert_fault(
        &replaced("\"name.first\"", "\".name\""),
        &["columns.first_name", "leading dot"],
    );
    assert_fault(
        &replaced("\"name.first\"", "7"),
        &["columns.first_name", "an integer where a path"],
    );
    assert_fault(
        &replaced("{ id = \"id\", first_name = \"name.first\" }", "{}"),
        &["columns: empty"],
    );
}

#[test]
fn b09_one_table_twice_in_a_pipeline() {
    let twice = with_table(
        "[[pipelines.users.tables]]\ntable = \"spark_streams.created_users\"\ncolumns = { id = \"id\" }",
    );
    assert_fault(&twice, &["pipelines.users.tables", "a second time"]);
}

#[test]
fn b10_topics() {
    let long = "a".repeat(250);
    for topic in ["a b", "a/b", &long, ".", "..", "", "ü"] {
        assert_fault(
            &replaced("\"users_created\"", &format!("{topic:?}")),
            &["pipelines.users.topics[0]", "not a topic name"],
        );
        assert_fault(
            &with("dead_letter", &format!("topic = {topic:?}")),
            &["dead_letter.topic", "not a topic name"],
        );
    }
    assert_fault(
        &replaced("\"users_created\"", "\"error_events\""),
        &["pipelines.users.topics", "dead-letter topic"],
    );
    assert_fault(
        &replaced("\"users_created\"", "\"a\", \"a\""),
        &["a stands in the list twice"],
    );
    assert_fault(
        &replaced("topics = [\"users_created\"]", ""),
        &["pipelines.users.topics: missing"],
    );
}

#[test]
fn b11_topic_pattern() {
    let pattern = |pattern: &str| {
        replaced(
            "topics = [\"users_created\"]",
            &format!("topic_pattern = '{pattern}'"),
        )
    };
    assert_fault(
        &pattern("^["),
        &["topic_pattern", "not a regular expression"],
    );
    assert_fault(&pattern("users_.*"), &["topic_pattern", "begins with ^"]);
    assert_fault(
        &pattern("^.*_events$"),
        &[
            "topic_pattern",
            "matches the dead-letter topic error_events",
        ],
    );
    assert_fault(
        &with("pipelines.users", "topic_pattern = '^a'"),
        &["topic_pattern", "not both"],
    );
    let config = pattern("^users_.*$").config();
    assert_eq!(
        config.pipelines[0].topics,
        Topics::Pattern("^users_.*$".to_owned())
    );
}

#[test]
fn b13_consistency() {
    assert_fault(
        &with("cassandra", "consistency = \"QUORAM\""),
        &[
            "cassandra.consistency",
            "LOCAL_QUORUM",
            "did you mean QUORUM?",
        ],
    );
    assert_fault(
        &with("cassandra", "consistency = \"ANY\""),
        &["a hint is no acknowledged row"],
    );
    assert_fault(
        &with("cassandra", "consistency = \"SERIAL\""),
        &["without transactions"],
    );
}

#[test]
fn b17_listen_address() {
    for listen in [
        "127.0.0.1:70000",
        "127.0.0.1:0",
        "127.0.0.1:-1",
        "localhost:9090",
        "9090",
        ":9090",
        "",
    ] {
        assert_fault(
            &with("http", &format!("listen = {listen:?}")),
            &["http.listen", "not an address to listen on"],
        );
    }
    assert_eq!(with("http", "listen = \"off\"").config().http.listen, None);
    let address = with("http", "listen = \"[::1]:9090\"").config().http.listen;
    assert_eq!(address.map(|address| address.port()), Some(9090));
}
