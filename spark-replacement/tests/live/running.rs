//! A pipeline that goes on: commits while it runs, members that come and go, topics by pattern, what a start waits for.

use std::sync::Arc;
use std::time::Duration;

use millstream_consumer::engine::{ExitReason, RunOptions, run};
use millstream_pipeline::kafka::consumer::StartPosition;
use millstream_pipeline::telemetry::{Cause, Telemetry};
use millstream_testkit::live;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, Message};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::rig::{Rig, telemetry};

/// A pipeline in the background.
struct Running {
    task: JoinHandle<ExitReason>,
    shutdown: CancellationToken,
    telemetry: Arc<Telemetry>,
}

impl Running {
    fn start(rig: &Rig) -> Self {
        let mut settings = rig.settings(rig.plan());
        settings.pipelines[0].consumer.until_end = false;
        let (shutdown, telemetry) = (CancellationToken::new(), telemetry());
        let options = RunOptions::default();
        let task = tokio::spawn(run(settings, options, shutdown.clone(), telemetry.clone()));
        Self {
            task,
            shutdown,
            telemetry,
        }
    }

    async fn ready(&self) {
        let mut ready = self.telemetry.status().watch_ready();
        let became = timeout(Duration::from_secs(30), ready.wait_for(|ready| *ready)).await;
        assert!(became.is_ok(), "{:?}", self.telemetry.status().report());
    }

    async fn stop(self) -> ExitReason {
        self.shutdown.cancel();
        timeout(Duration::from_secs(30), self.task)
            .await
            .expect("stops within its deadline")
            .unwrap()
    }
}

async fn committed_to(rig: &Rig, offsets: i64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while rig.committed().0 != offsets {
        assert!(
            Instant::now() < deadline,
            "committed {:?}, not {offsets}",
            rig.committed()
        );
        sleep(Duration::from_millis(50)).await;
    }
}

async fn produce(rig: &Rig, numbers: std::ops::Range<u32>) {
    for n in numbers {
        rig.produce(
            &format!("k{n}"),
            Some(&format!(r#"{{"id":"k{n}","n":{n}}}"#)),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_follow_while_it_runs() {
    let rig = Rig::new().await;
    let running = Running::start(&rig);
    running.ready().await;
    for round in 0..3 {
        produce(&rig, round * 10..round * 10 + 10).await;
        committed_to(&rig, i64::from(round) * 10 + 10).await;
    }
    assert_eq!(running.stop().await, ExitReason::Done);
    assert_eq!(rig.rows().await.len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_and_the_counts_add_up() {
    let rig = Rig::new().await;
    let first = Running::start(&rig);
    first.ready().await;
    produce(&rig, 0..300).await;
    let second = Running::start(&rig);
    produce(&rig, 300..600).await;
    second.ready().await;
    produce(&rig, 600..900).await;
    assert_eq!(first.stop().await, ExitReason::Done);
    produce(&rig, 900..1200).await;
    committed_to(&rig, 1200).await;
    assert_eq!(second.stop().await, ExitReason::Done);

    let (offsets, counts) = rig.committed();
    assert_eq!((offsets, counts["stored"], counts["gap"]), (1200, 1200, 0));
    let rows = rig.rows().await;
    assert_eq!(rows.len(), 1200);
    assert_eq!(rows["k1199"], (None, Some(1199)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_by_pattern_end_where_they_ended() {
    let rig = Rig::new().await;
    produce(&rig, 0..20).await;
    let mut settings = rig.settings(rig.plan());
    settings.pipelines[0].consumer.topics = vec![format!("^{}$", rig.topic)];
    let options = RunOptions {
        startup_timeout: None,
        timeout: Some(Duration::from_mins(1)),
    };
    let ended = run(settings, options, CancellationToken::new(), telemetry()).await;
    assert_eq!(ended, ExitReason::Done);
    assert_eq!(rig.rows().await.len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_its_dead_letter_topic_waits_and_says_so() {
    let rig = Rig::new().await;
    let mut settings = rig.settings(rig.plan());
    settings.dead_letter_topic = live::fresh("nowhere");
    settings.pipelines[0].consumer.until_end = false;
    let options = RunOptions {
        startup_timeout: Some(Duration::from_secs(5)),
        timeout: None,
    };
    let ended = run(settings, options, CancellationToken::new(), telemetry()).await;
    let ExitReason::StartupTimeout(cause, reason) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(cause, Cause::Configuration);
    assert!(
        reason.starts_with("dead-letter topic nowhere") && reason.ends_with("create it"),
        "{reason}"
    );
}

/// Lets the rig's topics take records of up to 8 MB.
async fn take_large_records(rig: &Rig) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", live::address("MILLSTREAM_KAFKA"))
        .create()
        .unwrap();
    let resources = [&rig.topic, &rig.dead_letters].map(|topic| {
        AlterConfig::new(ResourceSpecifier::Topic(topic)).set("max.message.bytes", "8000000")
    });
    for altered in admin
        .alter_configs(&resources, &AdminOptions::new())
        .await
        .unwrap()
    {
        altered.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_far_over_the_limit_is_a_dead_letter_and_stops_nothing() {
    let rig = Rig::new().await;
    take_large_records(&rig).await;
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", live::address("MILLSTREAM_KAFKA"))
        .set("message.max.bytes", "8000000")
        .create()
        .unwrap();
    let large = vec![b'x'; 3_000_000];
    let record = FutureRecord::to(&rig.topic).key("large").payload(&large);
    producer
        .send(record, Duration::from_secs(10))
        .await
        .unwrap();
    rig.produce("a", Some(r#"{"id":"a","n":1}"#)).await;
    assert_eq!(rig.drain(rig.plan()).await, ExitReason::Done);
    assert_eq!(rig.rows().await["a"], (None, Some(1)));
    let dead = rig.dead();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].payload(), Some(large.as_slice()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_comes_back_after_a_pause_is_read_again() {
    let rig = Rig::new().await;
    let first = Running::start(&rig);
    first.ready().await;
    // Without its table nothing is written: what is in flight fills up, and the first member pauses its partitions.
    live::cql(&rig.session, &format!("DROP TABLE {}", rig.table)).await;
    produce(&rig, 0..400).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while !first
        .telemetry
        .render()
        .contains("millstream_paused_partitions{pipeline=\"users\"} 2")
    {
        assert!(Instant::now() < deadline, "{}", first.telemetry.render());
        sleep(Duration::from_millis(50)).await;
    }
    // One of them moves to a second member while it is paused, and comes back when that one leaves.
    let second = Running::start(&rig);
    while !first
        .telemetry
        .render()
        .contains("millstream_assigned_partitions{pipeline=\"users\"} 1")
    {
        assert!(Instant::now() < deadline + Duration::from_secs(30));
        sleep(Duration::from_millis(50)).await;
    }
    live::cql(
        &rig.session,
        &format!(
            "CREATE TABLE {} (id text PRIMARY KEY, name text, n int)",
            rig.table
        ),
    )
    .await;
    committed_to(&rig, 400).await;
    assert_eq!(second.stop().await, ExitReason::Done);
    produce(&rig, 400..600).await;
    committed_to(&rig, 600).await;
    assert_eq!(first.stop().await, ExitReason::Done);
    assert_eq!(rig.rows().await.len(), 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_two_pipelines_reaches_its_own_end() {
    let (small, large) = (Rig::new().await, Rig::new().await);
    small.produce("a", Some(r#"{"id":"a","n":1}"#)).await;
    produce(&large, 0..3000).await;
    let mut settings = small.settings(small.plan());
    let mut other = large.settings(large.plan()).pipelines.remove(0);
    other.plan.name = "large".to_owned();
    settings.pipelines.push(other);
    let options = RunOptions {
        startup_timeout: None,
        timeout: Some(Duration::from_mins(1)),
    };
    let ended = run(settings, options, CancellationToken::new(), telemetry()).await;
    assert_eq!(ended, ExitReason::Done);
    assert_eq!(
        (small.rows().await.len(), large.rows().await.len()),
        (1, 3000)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_with_an_end_that_is_stopped_before_it_says_so() {
    let rig = Rig::new().await;
    live::cql(&rig.session, &format!("DROP TABLE {}", rig.table)).await;
    rig.produce("a", Some(r#"{"id":"a","n":1}"#)).await;
    let mut settings = rig.settings(rig.plan());
    settings.drain = Duration::from_secs(1);
    settings.pipelines[0].consumer.drain = settings.drain;
    let options = RunOptions {
        startup_timeout: None,
        timeout: Some(Duration::from_secs(5)),
    };
    let ended = run(settings, options, CancellationToken::new(), telemetry()).await;
    assert!(matches!(ended, ExitReason::NotCommitted(_)), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_that_cannot_go_on_ends_the_others_and_the_run() {
    let (good, newer) = (Rig::new().await, Rig::new().await);
    // A commit of a newer build: going on would lose what it says.
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", live::address("MILLSTREAM_KAFKA"))
        .set("group.id", &newer.group)
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(&newer.topic, 0);
    element.set_offset(Offset::Offset(0)).unwrap();
    element.set_metadata(r#"{"v":99,"first":0,"lw":0}"#);
    client.commit(&list, CommitMode::Sync).unwrap();

    let mut settings = good.settings(good.plan());
    settings.pipelines[0].consumer.until_end = false;
    let mut other = newer.settings(newer.plan()).pipelines.remove(0);
    other.plan.name = "newer".to_owned();
    settings.pipelines.push(other);
    let running = run(
        settings,
        RunOptions::default(),
        CancellationToken::new(),
        telemetry(),
    );
    let ended = timeout(Duration::from_secs(40), running).await.unwrap();
    let ExitReason::Configuration(reason) = ended else {
        panic!("{ended:?}");
    };
    assert!(reason.contains("version 99"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_reads_all_of_a_partition_that_came_later() {
    let rig = Rig::new().await;
    let mut settings = rig.settings(rig.plan());
    settings.pipelines[0].consumer.start = StartPosition::Latest;
    produce(&rig, 0..10).await;
    let options = || RunOptions {
        startup_timeout: None,
        timeout: Some(Duration::from_mins(1)),
    };
    let ended = run(
        settings.clone(),
        options(),
        CancellationToken::new(),
        telemetry(),
    )
    .await;
    assert_eq!((ended, rig.rows().await.len()), (ExitReason::Done, 0));

    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", live::address("MILLSTREAM_KAFKA"))
        .create()
        .unwrap();
    let more = [NewPartitions::new(&rig.topic, 3)];
    for created in admin
        .create_partitions(&more, &AdminOptions::new())
        .await
        .unwrap()
    {
        created.unwrap();
    }
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", live::address("MILLSTREAM_KAFKA"))
        .create()
        .unwrap();
    let record = FutureRecord::to(&rig.topic).key("late").partition(2);
    let record = record.payload(r#"{"id":"late","n":1}"#);
    producer
        .send(record, Duration::from_secs(20))
        .await
        .unwrap();
    let ended = run(settings, options(), CancellationToken::new(), telemetry()).await;
    assert_eq!(ended, ExitReason::Done);
    assert_eq!(rig.rows().await.into_keys().collect::<Vec<_>>(), ["late"]);
}
