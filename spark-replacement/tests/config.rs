//! Bad configurations, row by row, and what a good one becomes.

use millstream_consumer::config::{Config, ConfigFaults, EnvSource, Origin, Overrides, Topics};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

const GOOD: &str = r#"
[kafka]
bootstrap_servers = ["localhost:9092"]
[cassandra]
contact_points = ["localhost:9042"]
[pipelines.users]
topics = ["users_created"]
value_format = "json"
[[pipelines.users.tables]]
table = "spark_streams.created_users"
columns = { id = "id", first_name = "name.first" }
"#;

/// A folder with a configuration in it.
struct Folder {
    dir: TempDir,
    env: BTreeMap<String, String>,
}

impl Folder {
    fn new(text: &str) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let folder = Self {
            dir,
            env: BTreeMap::new(),
        };
        folder.file("consumer.toml", text);
        folder
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("consumer.toml")
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("writing a file");
        self.mode(name, 0o600);
    }

    fn mode(&self, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.dir.path().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("setting a mode");
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn load(&self) -> Result<Config, ConfigFaults> {
        Config::load(&self.path(), &self.env, &Overrides::default())
    }

    fn config(&self) -> Config {
        self.load().unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn faults(&self) -> ConfigFaults {
        self.load().expect_err("faults")
    }

    /// The only fault, as `KEY = VALUE: RULE`.
    fn fault(&self) -> String {
        let faults = self.faults();
        assert_eq!(faults.faults.len(), 1, "{faults}");
        let fault = &faults.faults[0];
        let value = fault.value.as_ref().map(|value| format!(" = {value}"));
        format!("{}{}: {}", fault.key, value.unwrap_or_default(), fault.rule)
    }
}

/// `GOOD` with lines added to a section (`""`: at the top level, in front).
fn with(section: &str, lines: &str) -> Folder {
    let header = format!("[{section}]");
    let text = if GOOD.contains(&header) {
        GOOD.replacen(&header, &format!("{header}\n{lines}"), 1)
    } else {
        format!("{GOOD}\n{header}\n{lines}\n")
    };
    Folder::new(&text)
}

/// `GOOD` with lines added to its table.
fn with_table(lines: &str) -> Folder {
    Folder::new(&format!("{GOOD}{lines}\n"))
}

fn replaced(from: &str, to: &str) -> Folder {
    assert!(GOOD.contains(from), "{from}");
    Folder::new(&GOOD.replace(from, to))
}

#[track_caller]
fn assert_fault(folder: &Folder, parts: &[&str]) {
    let fault = folder.fault();
    for part in parts {
        assert!(fault.contains(part), "{part:?} is not in {fault:?}");
    }
    assert!(!fault.contains('\n'), "{fault:?}");
}

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
fn b08_reserved_properties() {
    for (property, remedy) in [
        ("enable.auto.commit", "reserved"),
        ("enable.auto.offset.store", "reserved"),
        ("acks", "reserved"),
        ("enable.idempotence", "reserved"),
        ("group.id", "set pipelines.NAME.group_id"),
        ("bootstrap.servers", "set kafka.bootstrap_servers"),
        ("client.id", "set kafka.client_id"),
        ("auto.offset.reset", "set pipelines.NAME.start"),
        ("plugin.library.paths", "reserved"),
    ] {
        let folder = with("kafka.properties", &format!("\"{property}\" = \"1\""));
        assert_fault(&folder, &["kafka.properties.", property, remedy]);
    }
}

#[test]
fn b08_properties_that_librdkafka_does_not_take() {
    let properties = |text: &str| with("kafka.properties", text);
    assert_fault(
        &properties("\"fetch.mix.bytes\" = 1"),
        &["librdkafka knows no such setting"],
    );
    assert_fault(
        &properties("\"fetch.max.bytes\" = -1"),
        &["librdkafka refuses the value"],
    );
    assert_fault(
        &properties("\"isolation.level\" = \"read_some\""),
        &["librdkafka refuses the value"],
    );
    assert_fault(
        &properties("ssl.ca.location = \"x\""),
        &["kafka.properties.ssl", "quote the name"],
    );
    assert_fault(&properties("\"debug\" = [\"a\"]"), &["not a string"]);
    let config = properties("\"fetch.max.bytes\" = 1_000_000\n\"check.crcs\" = true").config();
    assert_eq!(config.kafka.properties.get("check.crcs"), Some("true"));
    assert_eq!(
        config.kafka.properties.get("fetch.max.bytes"),
        Some("1000000")
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
fn b14_secrets_that_everybody_may_read() {
    let folder = with("cassandra", "username = \"u\"\npassword = \"s3cr3t\"");
    assert!(folder.config().warnings.is_empty());
    folder.mode("consumer.toml", 0o644);
    let warnings = folder.config().warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].key, "cassandra.password");
    assert!(warnings[0].rule.contains("chmod o-r") && !warnings[0].rule.contains("s3cr3t"));
    let folder = with("cassandra", "username = \"u\"\npassword = \"${P}\"").env("P", "x");
    folder.mode("consumer.toml", 0o644);
    assert!(folder.config().warnings.is_empty());
    let folder = with("cassandra", "username = \"u\"\npassword_file = \"secret\"");
    folder.file("secret", "s3cr3t\n");
    let config = folder.config();
    assert!(config.warnings.is_empty());
    assert_eq!(
        config
            .cassandra
            .password
            .as_ref()
            .map(|secret| secret.expose()),
        Some("s3cr3t")
    );
    folder.mode("secret", 0o644);
    assert_eq!(folder.config().warnings[0].key, "cassandra.password_file");
}

#[test]
fn b14_secrets_are_never_shown() {
    let canary = "s3cr3t-canary";
    let text = format!(
        "username = \"u\"\npassword = \"{canary}\"\n[kafka.properties]\n\"sasl.password\" = \"{canary}\"\n\"sasl.username\" = \"u\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"security.protocol\" = \"SASL_SSL\"\n\"ssl.key.password\" = \"{canary}\"\n[schema_registry]\nurl = \"http://r:1\"\nusername = \"u\"\npassword = \"{canary}\"\n[x]\n"
    );
    let folder = with("cassandra", &text);
    let faults = folder.faults();
    assert!(!format!("{faults} {faults:?}").contains(canary));
    let folder = with("cassandra", text.trim_end_matches("[x]\n"));
    // The rest of the section moved below other headers: put it back.
    let text = fs::read_to_string(folder.path()).expect("reading");
    let text = text
        .replace("contact_points = [\"localhost:9042\"]\n", "")
        .replace(
            "[cassandra]\n",
            "[cassandra]\ncontact_points = [\"localhost:9042\"]\n",
        );
    let folder = Folder::new(&text);
    let config = folder.config();
    assert!(!format!("{config} {config:?}").contains(canary));
    assert_eq!(config.to_string().matches("***").count(), 4, "{config}");
    let wrong = with(
        "cassandra",
        &format!("username = \"u\"\npassword = [\"{canary}\"]"),
    )
    .faults();
    assert!(!format!("{wrong} {wrong:?}").contains(canary));
}

#[test]
fn b15_tls_files() {
    let folder = with("cassandra", "ca_file = \"ca.pem\"");
    assert_fault(
        &folder,
        &["cassandra.ca_file", "cannot read", "No such file"],
    );
    folder.file("cert.pem", "x");
    folder.file("ca.pem", "x");
    let lone = with(
        "cassandra",
        "ca_file = \"ca.pem\"\ncert_file = \"cert.pem\"",
    );
    lone.file("cert.pem", "x");
    lone.file("ca.pem", "x");
    assert!(
        lone.faults()
            .to_string()
            .contains("cert_file = \"cert.pem\": needs key_file too"),
        "{}",
        lone.faults()
    );
    assert_fault(
        &with(
            "kafka.properties",
            "\"ssl.certificate.location\" = \"c.pem\"",
        ),
        &["needs ssl.key.location too"],
    );
}

#[test]
fn b16_sasl_that_contradicts_the_protocol() {
    let properties = |text: &str| with("kafka.properties", text);
    assert_fault(
        &properties("\"sasl.username\" = \"u\""),
        &["sasl.username", "no effect with security.protocol"],
    );
    assert_fault(
        &properties("\"sasl.mechanism\" = \"PLAIN\"\n\"security.protocol\" = \"PLAINTEXT\""),
        &["sasl.mechanism", "no effect"],
    );
    assert_fault(
        &properties("\"sasl.mechanism\" = \"PLANE\"\n\"security.protocol\" = \"sasl_ssl\""),
        &["sasl.mechanism", "not one of PLAIN, SCRAM-SHA-256"],
    );
    assert_fault(
        &properties("\"sasl.mechanism\" = \"GSSAPI\"\n\"security.protocol\" = \"sasl_ssl\""),
        &["Kerberos is not compiled in"],
    );
    assert_fault(
        &properties("\"security.protocol\" = \"sasl_ssl\""),
        &["needs sasl.mechanism"],
    );
    assert_fault(
        &with("cassandra", "username = \"u\""),
        &["cassandra.username", "needs password"],
    );
    assert_fault(
        &with("cassandra", "password = \"p\""),
        &["cassandra.password = ***: needs username"],
    );
    assert_fault(
        &with("cassandra", "username = \"u\"\npassword = \"\""),
        &["cassandra.password = ***: empty"],
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

#[test]
fn pipelines_keep_their_own_groups_and_formats() {
    let two = |lines: &str| {
        with_table(&format!(
            "[pipelines.more]\ntopics = [\"t\"]\n{lines}\n[[pipelines.more.tables]]\ntable = \"a.b\"\ncolumns = {{ id = \"id\" }}"
        ))
    };
    assert_fault(
        &two("value_format = \"avro\""),
        &["pipelines.more.value_format", "needs [schema_registry]"],
    );
    let same = two("value_format = \"json\"\ngroup_id = \"millstream-users\"");
    let fault = same.fault();
    assert!(fault.contains("each pipeline needs its own"), "{fault}");
    assert_fault(
        &two("value_format = \"protobuf\""),
        &["not one of \"json\", \"avro\""],
    );
}

#[test]
fn only_the_pipelines_asked_for_are_kept() {
    let folder = with_table(
        "[pipelines.more]\ntopics = [\"t\"]\nvalue_format = \"json\"\n[[pipelines.more.tables]]\ntable = \"a.b\"\ncolumns = { id = \"id\" }",
    );
    let only = |names: &[&str]| {
        let pipelines = names.iter().map(|&name| name.to_owned()).collect();
        Config::load(&folder.path(), &folder.env, &Overrides { pipelines })
    };
    let config = only(&["more"]).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.pipelines.len(), 1);
    assert_eq!(config.pipelines[0].name, "more");
    let faults = only(&["user"])
        .expect_err("an unknown pipeline")
        .to_string();
    assert!(faults.contains("did you mean users?"), "{faults}");
}

#[test]
fn programs_come_inline_or_from_a_file() {
    let folder = with("pipelines.users", "remap_file = \"users.vrl\"");
    assert_fault(&folder, &["pipelines.users.remap_file", "cannot read"]);
    folder.file("users.vrl", ".a = 1 # ${NOT_SET}");
    let config = folder.config();
    let program = config.pipelines[0].remap.as_ref().expect("a program");
    assert_eq!(
        (program.name.as_str(), program.text.as_str()),
        ("users.vrl", ".a = 1 # ${NOT_SET}")
    );
    let both = with(
        "pipelines.users",
        "remap = '.a = 1'\nremap_file = \"users.vrl\"",
    );
    both.file("users.vrl", "");
    assert_fault(&both, &["not both"]);
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
