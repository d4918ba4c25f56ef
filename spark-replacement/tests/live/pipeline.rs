//! What becomes of good, bad, repeated and deleted records.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_consumer::engine::{ExitReason, RowMode, RunOptions, Tombstones, run};
use millstream_testkit::live;
use rdkafka::message::{Headers, Message};
use tokio_util::sync::CancellationToken;

use crate::rig::{Rig, telemetry};

fn header<'a>(message: &'a rdkafka::message::OwnedMessage, name: &str) -> &'a str {
    let headers = message.headers().unwrap();
    headers
        .iter()
        .find(|header| header.key == name)
        .and_then(|header| header.value)
        .map_or("", |value| std::str::from_utf8(value).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_rows_are_stored_bad_ones_are_dead_letters_and_the_counts_add_up() {
    let rig = Rig::new().await;
    for n in 0..200 {
        rig.produce(
            &format!("k{n}"),
            Some(&format!(r#"{{"id":"k{n}","name":"N{n}","n":{n}}}"#)),
        )
        .await;
    }
    let bad = [
        ("nojson", "{", "bad_json"),
        ("array", "[1]", "not_an_object"),
        ("empty", "", "empty_value"),
        ("type", r#"{"id":"type","n":"many"}"#, "type_mismatch"),
        ("nokey", r#"{"name":"x"}"#, "validation:key_missing"),
    ];
    for (key, value, _) in bad {
        rig.produce(key, Some(value)).await;
    }
    rig.produce("gone", None).await;

    assert_eq!(rig.drain(rig.plan()).await, ExitReason::Done);

    let rows = rig.rows().await;
    assert_eq!(rows.len(), 200);
    assert_eq!(rows["k7"], (Some("N7".to_owned()), Some(7)));
    let (offsets, counts) = rig.committed();
    assert_eq!(
        (
            offsets,
            counts["stored"],
            counts["dead"],
            counts["tombstone"]
        ),
        (206, 200, 5, 1)
    );
    let dead: BTreeMap<_, _> = rig
        .dead()
        .into_iter()
        .map(|message| (message.key().unwrap().to_vec(), message))
        .collect();
    assert_eq!(dead.len(), bad.len());
    for (key, value, code) in bad {
        let letter = &dead[key.as_bytes()];
        assert_eq!(letter.payload(), Some(value.as_bytes()));
        assert_eq!(header(letter, "x-dlq-code"), code);
        assert_eq!(header(letter, "__connect.errors.topic"), rig.topic);
    }

    // A second run finds nothing to do.
    assert_eq!(rig.drain(rig.plan()).await, ExitReason::Done);
    assert_eq!(rig.committed(), (offsets, counts));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_record_of_a_key_wins_and_replace_forgets_the_rest() {
    let rig = Rig::new().await;
    for n in 0..50 {
        rig.produce("a", Some(&format!(r#"{{"id":"a","n":{n}}}"#)))
            .await;
        rig.produce("a", Some(&format!(r#"{{"id":"a","name":"v{n}"}}"#)))
            .await;
    }
    assert_eq!(rig.drain(rig.plan()).await, ExitReason::Done);
    assert_eq!(rig.rows().await["a"], (Some("v49".to_owned()), Some(49)));

    let mut plan = rig.plan();
    plan.tables[0].row = RowMode::Replace;
    rig.produce("a", Some(r#"{"id":"a","name":"last"}"#)).await;
    assert_eq!(rig.drain(plan).await, ExitReason::Done);
    assert_eq!(rig.rows().await["a"], (Some("last".to_owned()), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tombstone_deletes_the_row_of_its_key() {
    let rig = Rig::new().await;
    let mut plan = rig.plan();
    plan.tombstones = Tombstones::Delete;
    rig.produce("a", Some(r#"{"id":"a","n":1}"#)).await;
    rig.produce("b", Some(r#"{"id":"b","n":1}"#)).await;
    rig.produce("a", None).await;
    assert_eq!(rig.drain(plan).await, ExitReason::Done);
    assert_eq!(rig.rows().await.into_keys().collect::<Vec<_>>(), ["b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_topic_ends_at_once() {
    let rig = Rig::new().await;
    assert_eq!(rig.drain(rig.plan()).await, ExitReason::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_table_is_waited_for_and_no_record_is_a_dead_letter() {
    let rig = Rig::new().await;
    live::cql(&rig.session, &format!("DROP TABLE {}", rig.table)).await;
    rig.produce("a", Some(r#"{"id":"a","n":1}"#)).await;
    let shutdown = CancellationToken::new();
    let telemetry = telemetry();
    let running = tokio::spawn(run(
        rig.settings(rig.plan()),
        RunOptions::default(),
        shutdown.clone(),
        telemetry.clone(),
    ));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !telemetry
        .status()
        .waiting()
        .iter()
        .any(|(name, _, reason)| name == "sink/users" && reason.contains("does not exist"))
    {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{:?}",
            telemetry.status().waiting()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    live::cql(
        &rig.session,
        &format!(
            "CREATE TABLE {} (id text PRIMARY KEY, name text, n int)",
            rig.table
        ),
    )
    .await;
    assert_eq!(running.await.unwrap(), ExitReason::Done);
    assert_eq!(rig.rows().await["a"], (None, Some(1)));
    assert!(rig.dead().is_empty());
    shutdown.cancel();
}
