//! `validate` against servers that are there, not there, and not as they should be.

use std::time::{Duration, Instant};

use millstream_testkit::live;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::program::{Names, Program, free_port};
use crate::rig::Rig;

/// A dead-letter topic as it should be.
async fn dead_letters() -> String {
    let topic = live::fresh("dead");
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", live::address("MILLSTREAM_KAFKA"))
        .create()
        .unwrap();
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1))
        .set("max.message.bytes", "2000000")
        .set("message.timestamp.type", "LogAppendTime");
    for created in admin
        .create_topics(&[new], &AdminOptions::new())
        .await
        .unwrap()
    {
        created.unwrap();
    }
    topic
}

#[tokio::test]
async fn what_is_as_it_should_be_is_ok_line_by_line() {
    let rig = Rig::new().await;
    for id in ["a", "b", "c"] {
        rig.produce(id, Some(&format!(r#"{{"id":"{id}"}}"#))).await;
    }
    let dead_letters = dead_letters().await;
    let mut names = Names::of(&rig);
    names.dead_letters = &dead_letters;
    let registry = live::address("MILLSTREAM_REGISTRY");
    let avro = format!(
        "[schema_registry]\nurl = \"{registry}\"\n[pipelines.avro]\ntopic_pattern = '^{}$'\nvalue_format = \"avro\"\n[[pipelines.avro.tables]]\ntable = \"{}\"\ncolumns = {{ id = \"id\" }}",
        rig.topic, rig.table
    );
    let program = Program::new(&names.config("", &avro));
    let ran = program.run(&["validate"]).await;
    assert_eq!(ran.code, 0, "{}", ran.out);
    let (topic, table) = (&rig.topic, &rig.table);
    ran.assert_line("ok kafka", "1 broker: ");
    ran.assert_line(&format!("ok topic {topic} of users"), "2 partitions");
    ran.assert_line(&format!("ok topics ^{topic}$ of avro"), topic);
    ran.assert_line(
        &format!("ok dead-letter topic {dead_letters}"),
        "takes records of 2000000 bytes, LogAppendTime",
    );
    ran.assert_line(&format!("ok group {} of users", rig.group), "new");
    ran.assert_line("ok cassandra", "datacenter");
    ran.assert_line(
        &format!("ok table {table} of users"),
        "3 columns, primary key id",
    );
    ran.assert_line(
        &format!("ok order of {topic} -> {table}"),
        "in the last 3 records",
    );
    // The same records are no Avro.
    ran.assert_line(
        &format!("skip order of {topic} -> {table}"),
        "none of the last 3 records makes a row",
    );
    assert!(ran.out.contains("schema_registry"), "{}", ran.out);
    assert!(!ran.out.contains('\x1b'), "{}", ran.out);
    assert_eq!(ran.err, "");

    // What was asked left no trace: the group is as new as before.
    let again = program.run(&["validate", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(json["exit_code"], 0);
    assert_eq!(json["checks"][0]["verdict"], "ok");
    assert_eq!(rig.committed().0, 0);
}

#[tokio::test]
async fn every_fault_is_told_in_one_go() {
    let rig = Rig::new().await;
    live::cql(
        &rig.session,
        &format!("ALTER TABLE {} DROP name", rig.table),
    )
    .await;
    live::cql(
        &rig.session,
        &format!("ALTER TABLE {} WITH default_time_to_live = 60", rig.table),
    )
    .await;
    let keyspace = rig.table.keyspace();
    live::cql(
        &rig.session,
        &format!("CREATE TABLE {keyspace}.counted (id text PRIMARY KEY, n counter)"),
    )
    .await;
    let dead_letters = live::fresh("nowhere");
    let missing = live::fresh("nowhere");
    let mut names = Names::of(&rig);
    names.dead_letters = &dead_letters;
    let more = format!(
        "[pipelines.more]\ntopics = [\"{missing}\"]\nvalue_format = \"json\"\nremap = '.x = '\n\
         [[pipelines.more.tables]]\ntable = \"{keyspace}.nothing\"\ncolumns = {{ id = \"id\" }}\n\
         [[pipelines.more.tables]]\ntable = \"nowhere.at_all\"\ncolumns = {{ id = \"id\" }}\n\
         [[pipelines.more.tables]]\ntable = \"{keyspace}.counted\"\ncolumns = {{ id = \"id\", n = \"n\" }}"
    );
    let program = Program::new(&names.config("", &more).replace(
        "[dead_letter]",
        "local_datacenter = \"mars\"\n[dead_letter]",
    ));
    let ran = program.run(&["validate"]).await;
    assert_eq!(ran.code, 78, "{}", ran.out);
    ran.assert_line("FAIL pipelines.more.remap", "1:");
    ran.assert_line(&format!("FAIL topic {missing} of more"), "does not exist");
    ran.assert_line("skip group millstream-more of more", "none of its topics");
    ran.assert_line(
        &format!("FAIL dead-letter topic {dead_letters}"),
        "max.message.bytes=1114112 or more",
    );
    ran.assert_line(
        "FAIL cassandra.local_datacenter",
        "no node is in mars; known: ",
    );
    ran.assert_line("FAIL keyspace nowhere", "tables apply");
    ran.assert_line(&format!("FAIL table {keyspace}.nothing"), "tables apply");
    ran.assert_line(
        &format!("FAIL table {} of users", rig.table),
        "column name does not exist",
    );
    ran.assert_line(
        &format!("FAIL table {} of users", rig.table),
        "default_time_to_live = 60",
    );
    ran.assert_line(
        &format!("FAIL table {keyspace}.counted of more"),
        "holds counters",
    );
    // A topic of broker defaults is too small for the dead letters of 1 MiB records.
    names.dead_letters = &rig.dead_letters;
    let ran = Program::new(&names.config("", "")).run(&["validate"]).await;
    let what = format!("dead-letter topic {}", rig.dead_letters);
    ran.assert_line(&format!("FAIL {what}"), "set it to 1114124 or more");
    ran.assert_line(&format!("warn {what}"), "CreateTime");
}

#[tokio::test]
async fn servers_that_are_not_there_are_waited_for_as_long_as_was_said() {
    let rig = Rig::new().await;
    let mut names = Names::of(&rig);
    names.kafka = format!("127.0.0.1:{}", free_port());
    names.cassandra = format!("127.0.0.1:{}", free_port());
    let front = format!(
        "[schema_registry]\nurl = \"http://127.0.0.1:{}\"",
        free_port()
    );
    let config = names
        .config(&front, "")
        .replace("value_format = \"json\"", "value_format = \"avro\"");
    let program = Program::new(&config);
    let began = Instant::now();
    let ran = program.run(&["validate", "--timeout", "2s"]).await;
    assert_eq!(ran.code, 69, "{}", ran.out);
    assert!(began.elapsed() < Duration::from_secs(20));
    ran.assert_line("FAIL kafka", "check kafka.bootstrap_servers");
    ran.assert_line("skip topics and groups", "");
    ran.assert_line("FAIL schema_registry", "check schema_registry.url");
    ran.assert_line("FAIL cassandra", "check cassandra.contact_points");
    ran.assert_line("skip table", "");
    let ran = program.run(&["validate", "--offline"]).await;
    assert_eq!(ran.code, 0, "{}", ran.out);
}

#[tokio::test]
async fn handshakes_that_fail_have_their_codes() {
    let rig = Rig::new().await;
    let names = Names::of(&rig);
    let tls = "[kafka.properties]\n\"security.protocol\" = \"ssl\"";
    let ran = Program::new(&names.config(tls, ""))
        .run(&["validate"])
        .await;
    assert_eq!(ran.code, 76, "{}", ran.out);
    ran.assert_line("FAIL kafka", "check security.protocol");

    let sasl = "[kafka.properties]\n\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"u\"\n\"sasl.password\" = \"s3cr3t-canary\"";
    let ran = Program::new(&names.config(sasl, ""))
        .run(&["validate"])
        .await;
    assert_eq!(ran.code, 77, "{}", ran.out);
    ran.assert_line("FAIL kafka", "check sasl.username and sasl.password");
    assert!(!ran.out.contains("s3cr3t-canary"), "{}", ran.out);

    let config = names
        .config("", "")
        .replace("[dead_letter]", "ca_file = \"ca.pem\"\n[dead_letter]");
    let program = Program::new(&config);
    let authority = rcgen::generate_simple_self_signed(["test".to_owned()]).unwrap();
    program.file("ca.pem", &authority.cert.pem());
    let ran = program.run(&["tables", "plan", "--timeout", "10s"]).await;
    assert_eq!(ran.code, 76, "{ran:?}");
}

#[tokio::test]
async fn records_without_a_key_are_warned_of() {
    let rig = Rig::new().await;
    let dead_letters = dead_letters().await;
    rig.produce("other", Some(r#"{"id":"a"}"#)).await;
    let mut names = Names::of(&rig);
    names.dead_letters = &dead_letters;
    let program = Program::new(&names.config("", ""));
    let ran = program.run(&["validate"]).await;
    assert_eq!(ran.code, 0, "{}", ran.out);
    ran.assert_line("warn order", "is no key column of the row");
    let strict = program.run(&["validate", "--strict"]).await;
    assert_eq!(strict.code, 78, "{}", strict.out);
}

#[tokio::test]
async fn commits_of_others_are_warned_of_and_those_of_a_newer_build_refused() {
    let rig = Rig::new().await;
    let dead_letters = dead_letters().await;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", live::address("MILLSTREAM_KAFKA"))
        .set("group.id", &rig.group)
        .create()
        .unwrap();
    let commit = |partition, metadata: &str| {
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(&rig.topic, partition);
        element.set_offset(Offset::Offset(0)).unwrap();
        element.set_metadata(metadata);
        consumer.commit(&list, CommitMode::Sync).unwrap();
    };
    let mut names = Names::of(&rig);
    names.dead_letters = &dead_letters;
    let program = Program::new(&names.config("", ""));
    let group = format!("group {} of users", rig.group);
    commit(0, "somebody else's");
    let ran = program.run(&["validate"]).await;
    assert_eq!(ran.code, 0, "{}", ran.out);
    ran.assert_line(
        &format!("warn {group}"),
        "1 of 1 commits are another program's",
    );
    commit(1, r#"{"v":99,"lw":1,"first":0}"#);
    let ran = program.run(&["validate"]).await;
    assert_eq!(ran.code, 78, "{}", ran.out);
    ran.assert_line(&format!("FAIL {group}"), "has version 99");
}

#[tokio::test]
async fn no_secret_is_shown() {
    let rig = Rig::new().await;
    let canary = "s3cr3t-canary";
    let names = Names::of(&rig);
    let front = format!(
        "[kafka.properties]\n\"ssl.key.password\" = \"{canary}\"\n[schema_registry]\nurl = \"http://127.0.0.1:1\"\nusername = \"u\"\npassword = \"{canary}\""
    );
    let config = names.config(&front, "").replace(
        "[dead_letter]",
        &format!("username = \"u\"\npassword = \"{canary}\"\n[dead_letter]"),
    );
    let program = Program::new(&config);
    let args = [
        "validate",
        "--show",
        "--log-level",
        "trace",
        "--timeout",
        "5s",
    ];
    let ran = program.run(&args).await;
    assert!(ran.out.contains("password = \"***\""), "{}", ran.out);
    assert!(!ran.out.contains(canary), "{}", ran.out);
    assert!(!ran.err.contains(canary), "{}", ran.err);
    assert!(!ran.err.is_empty());
}
