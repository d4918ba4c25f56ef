use super::*;
use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

fn clock() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn exercised() -> (Telemetry, PartitionTelemetry) {
    let telemetry = Telemetry::new("1.2.3", clock);
    let pipeline = telemetry.pipeline("users");
    pipeline.received(450);
    pipeline.settled(Outcome::Stored);
    pipeline.dead_letter("bad_json");
    pipeline.end_to_end(Duration::from_millis(20));
    pipeline.set_in_flight(3, 1350);
    pipeline.set_breaker(Breaker::Open);
    pipeline.table("ks.t").written(Duration::from_millis(3));
    let partition = pipeline.partition("users_created", 4);
    partition.set_lag(17);
    partition.set_write_stamp_ahead(Duration::from_millis(1500));
    (telemetry, partition)
}

fn names(text: &str) -> BTreeSet<String> {
    let series = text.lines().filter(|line| !line.starts_with('#'));
    series
        .map(|line| {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let name = name
                .trim_end_matches("_bucket")
                .trim_end_matches("_sum")
                .trim_end_matches("_count");
            name.to_owned()
        })
        .collect()
}

#[test]
fn every_metric_of_the_list_is_scraped_and_nothing_else() {
    let (telemetry, _partition) = exercised();
    let scraped = names(&telemetry.render());
    let listed: BTreeSet<String> = Metric::ALL.iter().map(|m| m.name().to_owned()).collect();
    assert_eq!(scraped, listed);
}

#[test]
fn names_follow_the_conventions() {
    for metric in Metric::ALL {
        let name = metric.name();
        assert_eq!(
            name.ends_with("_total"),
            metric.kind() == Kind::Counter,
            "{name}"
        );
        let stem = name.trim_end_matches("_total");
        match metric.unit() {
            Unit::Seconds => assert!(stem.ends_with("_seconds"), "{name}"),
            Unit::Bytes => assert!(stem.ends_with("_bytes"), "{name}"),
            Unit::Count => assert!(!stem.ends_with("_seconds") && !stem.ends_with("_bytes")),
        }
        assert!(!metric.help().is_empty());
    }
}

#[test]
fn values_and_labels_reach_the_scrape() {
    let (telemetry, _partition) = exercised();
    let text = telemetry.render();
    for line in [
        r#"millstream_received_bytes_total{pipeline="users"} 450"#,
        r#"millstream_records_total{pipeline="users",outcome="stored"} 1"#,
        r#"millstream_records_total{pipeline="users",outcome="expired"} 0"#,
        r#"millstream_dead_letters_total{pipeline="users",code="bad_json"} 1"#,
        r#"millstream_rows_total{pipeline="users",table="ks.t"} 1"#,
        r#"millstream_lag_records{pipeline="users",topic="users_created",partition="4"} 17"#,
        r#"millstream_breaker_state{pipeline="users"} 2"#,
        r#"millstream_build_info{version="1.2.3"} 1"#,
        "process_start_time_seconds 1700000000.0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let ahead = "millstream_write_stamp_ahead_seconds";
    assert!(text.contains(&format!(
        r#"{ahead}{{pipeline="users",topic="users_created",partition="4"}} 1.5"#
    )));
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_partition_given_back_leaves_the_scrape() {
    let (telemetry, partition) = exercised();
    drop(partition);
    assert!(!telemetry.render().contains("partition=\"4\""));
}

#[test]
fn hostile_label_values_are_escaped() {
    let telemetry = Telemetry::new("1", clock);
    telemetry.pipeline("users").dead_letter("a\"b\nc\\");
    assert!(telemetry.render().contains(r#"code="a\"b\nc\\""#));
}

#[test]
fn codes_beyond_the_bound_are_counted_as_other() {
    let telemetry = Telemetry::new("1", clock);
    let pipeline = telemetry.pipeline("users");
    for code in 0..1000 {
        pipeline.dead_letter(&format!("validation:{code}"));
    }
    let text = telemetry.render();
    let series = text
        .lines()
        .filter(|line| line.starts_with("millstream_dead_letters_total{"));
    assert_eq!(series.count(), 65);
    assert!(text.contains(r#"code="other"} 936"#));
}

#[test]
fn the_same_pipeline_and_table_give_the_same_handle() {
    let telemetry = Telemetry::new("1", clock);
    let (one, two) = (telemetry.pipeline("users"), telemetry.pipeline("users"));
    assert!(Arc::ptr_eq(&one, &two));
    assert!(Arc::ptr_eq(&one.table("a.b"), &two.table("a.b")));
}

#[test]
fn ready_only_when_started_and_nothing_waits() {
    let telemetry = Telemetry::new("1", clock);
    let status = telemetry.status();
    let ready = status.watch_ready();
    let (kafka, cassandra) = (status.condition("kafka"), status.condition("cassandra"));
    assert_eq!(status.report().phase, "starting");
    status.started();
    kafka.ok();
    assert_eq!(status.report().phase, "waiting");
    assert!(!*ready.borrow());
    cassandra.waiting(Cause::Authentication, "authentication failed for user x");
    assert_eq!(
        status.waiting(),
        [(
            "cassandra".to_owned(),
            Cause::Authentication,
            "authentication failed for user x".to_owned()
        )]
    );
    cassandra.degraded("one node of three is down");
    assert!(*ready.borrow());
    let report = status.report();
    assert!(report.ready);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(
        json,
        r#"{"ready":true,"phase":"running","conditions":[{"name":"cassandra","state":"degraded","reason":"one node of three is down","since":1700000000},{"name":"kafka","state":"ok","since":1700000000}]}"#
    );
    status.draining();
    assert!(!*ready.borrow());
    assert_eq!(status.report().phase, "draining");
}

#[test]
fn a_removed_condition_holds_nothing_back() {
    let telemetry = Telemetry::new("1", clock);
    let status = telemetry.status();
    let kafka = status.condition("kafka/users");
    status.started();
    assert!(!status.report().ready);
    kafka.remove();
    assert!(status.report().ready);
}

#[test]
fn trouble_is_anything_that_is_not_fine() {
    let telemetry = Telemetry::new("1", clock);
    let kafka = telemetry.status().condition("kafka");
    assert!(telemetry.status().troubled());
    kafka.ok();
    assert!(!telemetry.status().troubled());
    kafka.degraded("slow");
    assert!(telemetry.status().troubled() && telemetry.status().waiting().is_empty());
    kafka.ok();
    telemetry.status().draining();
    assert!(telemetry.status().troubled());
}

#[test]
fn a_stall_is_said_and_taken_back() {
    let telemetry = Telemetry::new("1", clock);
    let status = telemetry.status();
    assert_eq!(status.stall(), None);
    status.stalled(Some("no progress for 120 s".to_owned()));
    assert_eq!(status.stall().as_deref(), Some("no progress for 120 s"));
    status.stalled(None);
    assert_eq!(status.stall(), None);
}
