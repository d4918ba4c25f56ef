//! `run` as a process: its ports, its signals, its exit codes.

use std::time::{Duration, Instant};

use millstream_testkit::live;

use crate::program::{Names, Program, free_port, get, wait_for};
use crate::rig::Rig;

const LIMIT: Duration = Duration::from_secs(40);

fn listening(port: u16) -> String {
    format!("[http]\nlisten = \"127.0.0.1:{port}\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_answers_its_probes_and_drains_at_the_first_signal() {
    let rig = Rig::new().await;
    rig.produce("a", Some(r#"{"id":"a","n":1}"#)).await;
    let port = free_port();
    let program = Program::new(&Names::of(&rig).config(&listening(port), ""));
    let mut running = program.start(&["run", "--log-format", "json"]);
    wait_for("/readyz", LIMIT, || {
        get(port, "/readyz").is_some_and(|(status, _)| status == 200)
    });
    let (status, body) = get(port, "/livez").unwrap();
    assert_eq!((status, body.trim()), (200, r#"{"alive":true}"#));
    wait_for("the row in /metrics", LIMIT, || {
        get(port, "/metrics").is_some_and(|(status, body)| {
            assert!(body.ends_with("# EOF\n"), "{body}");
            status == 200
                && body.lines().any(|line| {
                    line.starts_with("millstream_rows_total{")
                        && line.contains(&rig.table.to_string())
                        && line.ends_with(" 1")
                })
        })
    });
    assert_eq!(get(port, "/nothing").unwrap().0, 404);
    for (args, said) in [
        (&["healthcheck"][..], "ready\n"),
        (&["healthcheck", "--live"], "alive\n"),
    ] {
        let ran = program.run(args).await;
        assert_eq!((ran.code, ran.out.as_str()), (0, said), "{}", ran.err);
    }
    running.signal("-TERM");
    assert_eq!(running.ended(LIMIT).code(), Some(0), "{}", program.log());
    assert_eq!(rig.committed().0, 1);
    for line in program.log().lines() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            json["message"].is_string() && json["level"].is_string(),
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    let rig = Rig::new().await;
    // A record that waits for its table keeps the drain from ending.
    live::cql(&rig.session, &format!("DROP TABLE {}", rig.table)).await;
    rig.produce("a", Some(r#"{"id":"a","n":1}"#)).await;
    let port = free_port();
    let program = Program::new(&Names::of(&rig).config(&listening(port), ""));
    let mut running = program.start(&["run"]);
    wait_for("the missing table", LIMIT, || {
        get(port, "/readyz")
            .is_some_and(|(status, body)| status == 503 && body.contains("does not exist"))
    });
    let ran = program.run(&["healthcheck"]).await;
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.starts_with("not ready (waiting): "), "{}", ran.out);
    assert!(ran.out.contains("does not exist"), "{}", ran.out);
    running.signal("-TERM");
    wait_for("draining", LIMIT, || {
        program.log().contains("a second signal ends at once")
    });
    let began = Instant::now();
    running.signal("-INT");
    assert_eq!(running.ended(LIMIT).code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(rig.committed().1.get("stored").copied().unwrap_or(0), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_end_ends_with_an_empty_topic_and_with_a_full_one() {
    let rig = Rig::new().await;
    let port = free_port();
    let program = Program::new(&Names::of(&rig).config(&listening(port), ""));
    let args = ["run", "--until-end", "--timeout", "1m"];
    let empty = program.run(&args).await;
    assert_eq!(empty.code, 0, "{}", empty.err);
    for n in 0..50 {
        let value = format!(r#"{{"id":"k{n}","n":{n}}}"#);
        rig.produce(&format!("k{n}"), Some(&value)).await;
    }
    let full = program.run(&args).await;
    assert_eq!(full.code, 0, "{}", full.err);
    assert_eq!(rig.rows().await.len(), 50);
    assert!(full.err.contains("settled and committed"), "{}", full.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_pipelines_asked_for_run() {
    let rig = Rig::new().await;
    rig.produce("a", Some(r#"{"id":"a","n":1}"#)).await;
    let more = format!(
        "[pipelines.more]\ntopics = [\"{}\"]\ngroup_id = \"{}\"\nvalue_format = \"json\"\n[[pipelines.more.tables]]\ntable = \"nowhere.at_all\"\ncolumns = {{ id = \"id\" }}",
        rig.topic,
        live::fresh("group")
    );
    let config = Names::of(&rig).config("[http]\nlisten = \"off\"", &more);
    let program = Program::new(&config);
    let args = [
        "run",
        "--until-end",
        "--timeout",
        "1m",
        "--pipeline",
        "users",
    ];
    let ran = program.run(&args).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(rig.rows().await.len(), 1);
    let ran = program.run(&["run", "--pipeline", "user"]).await;
    assert_eq!(ran.code, 78);
    assert!(ran.err.contains("did you mean users?"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_topic_is_created_where_that_is_asked_for() {
    let rig = Rig::new().await;
    let dead_letters = live::fresh("dead");
    let mut names = Names::of(&rig);
    names.dead_letters = &dead_letters;
    let front = "auto_create = true\n[http]\nlisten = \"off\"";
    let program = Program::new(&names.config(front, ""));
    let before = program.run(&["validate"]).await;
    assert_eq!(before.code, 0, "{}", before.out);
    before.assert_line(
        &format!("ok dead-letter topic {dead_letters}"),
        "`run` creates it",
    );
    rig.produce("a", Some("{")).await;
    let ran = program
        .run(&["run", "--until-end", "--timeout", "1m"])
        .await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(rig.committed().1["dead"], 1);
    let after = program.run(&["validate"]).await;
    after.assert_line(
        &format!("ok dead-letter topic {dead_letters}"),
        "LogAppendTime",
    );
}
