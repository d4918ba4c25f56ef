//! The producer against librdkafka's mock cluster: every record ends delivered, not sent or unknown.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails by a panic says where"
)]

use millstream_codec::Value;
use millstream_pipeline::kafka::producer::{
    Cause, Header, ProduceError, Producer, Record, Serializer, Undelivered,
};
use millstream_pipeline::kafka::{ConfigError, Properties};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::time::{Duration, Instant};

const TOPIC: &str = "users";

fn cluster(partitions: i32) -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, partitions, 1).unwrap();
    cluster
}

fn producer(brokers: &str, properties: &[(&str, &str)]) -> Producer {
    let all = [("bootstrap.servers", brokers)]
        .into_iter()
        .chain(properties.iter().copied());
    Producer::new(&Properties::new(all)).unwrap()
}

fn texts(count: usize) -> Vec<Value> {
    (0..count)
        .map(|index| Value::from(format!("record {index}")))
        .collect()
}

fn never() -> impl FnMut() -> bool {
    || false
}

/// Reads a partition from its beginning until `count` messages came.
fn read(brokers: &str, partition: i32, count: usize) -> Vec<rdkafka::message::OwnedMessage> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "reader")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(TOPIC, partition, Offset::Beginning)
        .unwrap();
    consumer.assign(&assignment).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut messages = Vec::new();
    while messages.len() < count {
        assert!(
            Instant::now() < deadline,
            "only {} of {count} messages came",
            messages.len()
        );
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            messages.push(message.detach());
        }
    }
    messages
}

#[tokio::test]
async fn send_gives_partition_and_offset_and_keeps_the_record_whole() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    let headers = [
        Header {
            name: "x-dlq-code",
            value: Some(b"bad_json"),
        },
        Header {
            name: "empty",
            value: Some(b""),
        },
        Header {
            name: "null",
            value: None,
        },
        Header {
            name: "x-dlq-code",
            value: Some(b"again"),
        },
    ];
    let first = producer
        .send(
            TOPIC,
            Some(b"k"),
            Some(b"v"),
            &headers,
            Some(1_700_000_000_000),
        )
        .await;
    let second = producer.send(TOPIC, None, None, &[], None).await;
    assert_eq!((first, second), (Ok((0, 0)), Ok((0, 1))));

    let messages = read(&cluster.bootstrap_servers(), 0, 2);
    assert_eq!(messages[0].key(), Some(&b"k"[..]));
    assert_eq!(messages[0].payload(), Some(&b"v"[..]));
    assert_eq!(messages[0].timestamp().to_millis(), Some(1_700_000_000_000));
    let seen: Vec<_> = messages[0]
        .headers()
        .unwrap()
        .iter()
        .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
        .collect();
    let sent: Vec<_> = headers
        .iter()
        .map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec)))
        .collect();
    assert_eq!(seen, sent);
    assert_eq!((messages[1].key(), messages[1].payload()), (None, None));
}

#[tokio::test]
async fn many_sends_at_once_all_end() {
    let cluster = cluster(3);
    let producer = producer(
        &cluster.bootstrap_servers(),
        &[("queue.buffering.max.messages", "50")],
    );
    let sends = (0..500).map(|number: u32| {
        let producer = &producer;
        async move {
            let key = number.to_string();
            producer
                .send(TOPIC, Some(key.as_bytes()), Some(b"v"), &[], None)
                .await
        }
    });
    let outcomes = futures::future::join_all(sends).await;
    let mut places: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 500);
}

#[test]
fn a_batch_reports_what_was_delivered_where() {
    let cluster = cluster(4);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    let records = texts(5_000);
    let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
    assert!(batch.enqueue(&records[..2_000], &mut never()));
    assert!(batch.enqueue(&records[2_000..], &mut never()));
    let report = batch.finish(&mut never()).unwrap();

    assert_eq!(report.delivered, 5_000);
    let bytes: usize = records
        .iter()
        .map(|record| record.as_bytes().unwrap().len())
        .sum();
    assert_eq!(report.bytes, bytes as u64);
    let ranged: i64 = report
        .offsets
        .values()
        .map(|(first, last)| last - first + 1)
        .sum();
    assert_eq!(ranged, 5_000);
    assert!(report.seconds > 0.0);
    assert!(report.is_complete());
}

#[test]
fn a_full_queue_is_waited_for() {
    let cluster = cluster(1);
    let producer = producer(
        &cluster.bootstrap_servers(),
        &[("queue.buffering.max.messages", "10")],
    );
    let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
    assert!(batch.enqueue(&texts(1_000), &mut never()));
    assert_eq!(batch.finish(&mut never()).unwrap().delivered, 1_000);
    let values: Vec<_> = read(&cluster.bootstrap_servers(), 0, 1_000)
        .into_iter()
        .map(|message| String::from_utf8(message.payload().unwrap().to_vec()).unwrap())
        .collect();
    let expected: Vec<_> = (0..1_000).map(|index| format!("record {index}")).collect();
    assert_eq!(values, expected, "order is kept");
}

#[test]
fn without_a_broker_records_are_not_sent_and_the_error_says_why() {
    // Port 9 (discard) is closed on the loopback interface.
    let producer = producer("127.0.0.1:9", &[("message.timeout.ms", "1000")]);
    let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
    batch.enqueue(&texts(10), &mut never());
    let error = batch.finish(&mut never()).unwrap_err();
    assert_eq!(error.report.delivered, 0);
    assert_eq!(
        error.report.not_sent.iter().collect::<Vec<_>>(),
        (0..10).collect::<Vec<_>>()
    );
    assert!(error.cause.retryable());
    let text = error.to_string();
    assert!(
        text.starts_with("record 0: topic users: not_sent: "),
        "{text}"
    );
    assert!(text.contains("Connection refused"), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn two_flushes_at_once_tell_of_the_same_lost_record() {
    let producer = producer("127.0.0.1:9", &[("message.timeout.ms", "1000")]);
    let record = Record {
        value: Some(b"lost"),
        ..Record::default()
    };
    producer.enqueue(TOPIC, &record, &mut never()).unwrap();
    let told = std::thread::scope(|scope| {
        let flushes = [(); 2].map(|()| scope.spawn(|| producer.flush(None, &mut never()).unwrap()));
        flushes.map(|flush| flush.join().unwrap().not_sent.len())
    });
    assert_eq!(told, [1, 1]);
    let afterwards = producer.flush(None, &mut never()).unwrap();
    assert!(afterwards.not_sent.is_empty());
}

#[test]
fn a_lost_acknowledgement_is_unknown() {
    let cluster = cluster(1);
    let producer = producer(
        &cluster.bootstrap_servers(),
        &[("message.timeout.ms", "3000")],
    );
    let errors = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT; 1_000];
    cluster.request_errors(RDKafkaApiKey::Produce, &errors);
    let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
    batch.enqueue(&texts(3), &mut never());
    let error = batch.finish(&mut never()).unwrap_err();
    assert_eq!(error.report.unknown.iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert!(error.report.not_sent.is_empty());
    let Cause::Delivery { index: 0, failure } = &error.cause else {
        panic!("{error}");
    };
    assert_eq!(failure.outcome, Undelivered::Unknown);
}

#[test]
fn retried_errors_lose_and_repeat_nothing() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        ],
    );
    let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
    batch.enqueue(&texts(4_000), &mut never());
    let report = batch.finish(&mut never()).unwrap();
    assert_eq!(report.delivered, 4_000);
    assert_eq!(report.offsets.get(&0), Some(&(0, 3_999)));
}

#[test]
fn an_interrupted_batch_returns_at_once_and_accounts_for_every_record() {
    let producer = producer("127.0.0.1:9", &[]);
    let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
    batch.enqueue(&texts(1_000), &mut never());
    let started = Instant::now();
    let error = batch.finish(&mut || true).unwrap_err();
    assert!(
        started.elapsed() < Duration::from_millis(500),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(error.cause, Cause::Cancelled);
    assert_eq!(error.report.not_sent.len(), 1_000);
}

#[test]
fn an_interruption_is_seen_while_the_queue_is_full() {
    let producer = producer("127.0.0.1:9", &[("queue.buffering.max.messages", "10")]);
    let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
    assert!(!batch.enqueue(&texts(1_000), &mut || true));
    let error = batch.finish(&mut || true).unwrap_err();
    assert_eq!(error.cause, Cause::Cancelled);
    assert_eq!(
        error.report.not_sent.len() + error.report.unknown.len(),
        1_000
    );
}

/// A record that takes a broker's thread long to compress: text that repeats itself, but not soon.
fn slow_to_compress(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = move || {
        // Numbers that look random and are the same each time (Knuth's MMIX).
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let words: Vec<String> = (0..5_000).map(|_| format!("{:x} ", next())).collect();
    let mut text = Vec::new();
    while text.len() < bytes {
        let at = usize::try_from(next() % 5_000).unwrap();
        text.extend_from_slice(words[at].as_bytes());
    }
    text
}

const SLOW: [(&str, &str); 4] = [
    ("compression.type", "zstd"),
    ("compression.level", "12"),
    ("message.max.bytes", "20000000"),
    ("linger.ms", "0"),
];

#[test]
fn an_interruption_does_not_wait_for_a_thread_that_is_elsewhere() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap_servers(), &SLOW);
    let mut connecting = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
    connecting.enqueue(&texts(1), &mut never());
    connecting.finish(&mut never()).unwrap();

    let large = [Value::from(bytes::Bytes::from(slow_to_compress(
        15_000_000,
    )))];
    let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
    batch.enqueue(&large, &mut never());
    // The broker's thread begins at once.
    std::thread::sleep(Duration::from_millis(50));
    let started = Instant::now();
    let error = batch.finish(&mut || true).unwrap_err();
    let passed = started.elapsed();
    let report = &error.report;
    assert_eq!((report.delivered, report.not_sent.len()), (0, 0));
    assert_eq!(report.unknown.len() + report.unaccounted, 1);
    // What comes after it waits for that thread instead, and is not purged with it.
    let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
    batch.enqueue(&texts(1), &mut never());
    assert_eq!(batch.finish(&mut never()).unwrap().delivered, 1);
    assert!(
        passed < started.elapsed() / 2,
        "{passed:?} of {:?}",
        started.elapsed()
    );
}

#[test]
fn a_purge_that_ends_late_takes_no_later_record_along() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap_servers(), &SLOW);
    let send = |count| {
        let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
        assert!(batch.enqueue(&texts(count), &mut never()));
        batch
    };
    // Connected from now on.
    assert_eq!(send(1).finish(&mut never()).unwrap().delivered, 1);
    let large = slow_to_compress(3_000_000);
    for milliseconds in [0, 1, 2, 4, 8, 16, 32] {
        // The broker's thread is at this one when the purge comes, sooner or later in it.
        let record = Record {
            value: Some(&large),
            ..Record::default()
        };
        producer.enqueue(TOPIC, &record, &mut never()).unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        let error = send(5).finish(&mut || true).map(drop);
        let Err(error) = error else {
            // Too fast for a cancellation: nothing was purged.
            producer.flush(None, &mut never()).unwrap();
            continue;
        };
        assert_eq!(error.cause, Cause::Cancelled);
        let again = send(5).finish(&mut never());
        assert_eq!(again.map(|report| report.delivered), Ok(5));
        producer.flush(None, &mut never()).unwrap();
    }
}

#[test]
fn a_record_that_is_too_large_stops_what_would_come_after_it() {
    let cluster = cluster(1);
    let producer = producer(
        &cluster.bootstrap_servers(),
        &[("message.max.bytes", "2000")],
    );
    let mut records = texts(10);
    records[4] = Value::from("x".repeat(3_000));
    let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
    batch.enqueue(&records, &mut never());
    let error = batch.finish(&mut never()).unwrap_err();
    assert_eq!(error.report.delivered, 4);
    assert_eq!(
        error.report.not_sent.iter().collect::<Vec<_>>(),
        [4, 5, 6, 7, 8, 9]
    );
    assert!(!error.cause.retryable());
    assert!(error.to_string().contains("message.max.bytes"), "{error}");
}

#[test]
fn a_missing_topic_is_said_within_the_propagation_time() {
    let cluster = MockCluster::new(1).unwrap();
    cluster
        .topic_error(
            "nowhere",
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        )
        .unwrap();
    let properties = [("topic.metadata.propagation.max.ms", "500")];
    let producer = producer(&cluster.bootstrap_servers(), &properties);
    let started = Instant::now();
    let mut batch = producer.batch("nowhere", Serializer::Bytes, None).unwrap();
    batch.enqueue(&texts(2), &mut never());
    let error = batch.finish(&mut never()).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(error.report.not_sent.len(), 2);
    assert!(!error.cause.retryable());
    assert!(error.to_string().contains("create the topic"), "{error}");
}

#[test]
fn flush_tells_about_the_records_that_were_enqueued() {
    let cluster = cluster(1);
    let producer = producer(
        &cluster.bootstrap_servers(),
        &[("message.max.bytes", "2000")],
    );
    for _ in 0..3 {
        let record = Record {
            value: Some(b"v"),
            ..Record::default()
        };
        producer.enqueue(TOPIC, &record, &mut never()).unwrap();
    }
    let large = vec![b'x'; 3_000];
    let record = Record {
        value: Some(&large),
        ..Record::default()
    };
    let refused = producer.enqueue(TOPIC, &record, &mut never()).unwrap_err();
    assert!(matches!(&refused, ProduceError::Delivery(failure)
        if failure.code == RDKafkaErrorCode::MessageSizeTooLarge));
    let tally = producer.flush(None, &mut never()).unwrap();
    assert_eq!(tally.delivered, 3);
    let nothing = producer.flush(None, &mut never()).unwrap();
    assert_eq!(nothing.delivered, 0);
}

#[test]
fn a_flush_that_runs_out_of_time_keeps_the_records() {
    let producer = producer("127.0.0.1:9", &[("message.timeout.ms", "1000")]);
    let record = Record {
        value: Some(b"v"),
        ..Record::default()
    };
    producer.enqueue(TOPIC, &record, &mut never()).unwrap();
    assert_eq!(
        producer
            .flush(Some(Duration::from_millis(10)), &mut never())
            .unwrap_err(),
        1
    );
    assert_eq!(producer.flush(None, &mut || true).unwrap_err(), 1);
    let tally = producer.flush(None, &mut never()).unwrap();
    assert_eq!((tally.delivered, tally.not_sent.len()), (0, 1));
}

#[test]
fn long_lingering_is_cut_short_when_somebody_waits() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap_servers(), &[("linger.ms", "30000")]);
    let started = Instant::now();
    let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
    batch.enqueue(&texts(3), &mut never());
    assert_eq!(batch.finish(&mut never()).unwrap().delivered, 3);
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn batches_of_many_threads_do_not_mix() {
    let cluster = cluster(4);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (1..=8)
            .map(|worker| {
                let producer = &producer;
                scope.spawn(move || {
                    for round in 0..20 {
                        let count = worker * 10 + round;
                        let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
                        batch.enqueue(&texts(count), &mut never());
                        assert_eq!(batch.finish(&mut never()).unwrap().delivered, count as u64);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

#[test]
fn a_dropped_batch_disturbs_no_later_one() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    for _ in 0..50 {
        let mut dropped = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
        dropped.enqueue(&texts(5), &mut never());
        drop(dropped);
        let mut batch = producer.batch(TOPIC, Serializer::Bytes, None).unwrap();
        batch.enqueue(&texts(7), &mut never());
        assert_eq!(batch.finish(&mut never()).unwrap().delivered, 7);
    }
}

#[test]
fn what_librdkafka_refuses_is_a_configuration_error() {
    for (key, value) in [
        ("boostrap.servers", "a:1"),
        ("linger.ms", "soon"),
        ("sasl.mechanism", "CARRIER-PIGEON"),
        ("security.protocol", "SASL_PLAIN"),
    ] {
        let properties = Properties::new([("bootstrap.servers", "a:1"), (key, value)]);
        let error = Producer::new(&properties).unwrap_err();
        assert!(matches!(error, ConfigError::Refused { .. }), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn a_nul_byte_in_a_property_is_refused_without_showing_a_secret() {
    for key in ["client.id", "sasl.password"] {
        let properties = Properties::new([("bootstrap.servers", "a:1"), (key, "canary\0")]);
        let error = Producer::new(&properties).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[test]
fn tls_sasl_and_the_compressions_are_compiled_in() {
    const LOGIN: [(&str, &str); 2] = [("sasl.username", "u"), ("sasl.password", "p")];
    const OIDC: [(&str, &str); 4] = [
        ("sasl.oauthbearer.method", "oidc"),
        ("sasl.oauthbearer.client.id", "a"),
        ("sasl.oauthbearer.client.secret", "b"),
        (
            "sasl.oauthbearer.token.endpoint.url",
            "https://127.0.0.1:9/token",
        ),
    ];
    let sasl = |protocol, mechanism, more: &[(&'static str, &'static str)]| {
        let mut all = vec![
            ("security.protocol", protocol),
            ("sasl.mechanism", mechanism),
        ];
        all.extend_from_slice(more);
        all
    };
    for properties in [
        sasl("SASL_SSL", "PLAIN", &LOGIN),
        sasl("SASL_PLAINTEXT", "SCRAM-SHA-512", &LOGIN),
        sasl("SASL_SSL", "SCRAM-SHA-256", &LOGIN),
        sasl("SASL_SSL", "OAUTHBEARER", &OIDC),
        vec![("security.protocol", "SSL")],
        vec![("compression.type", "lz4")],
        vec![("compression.type", "zstd")],
        vec![("compression.type", "gzip")],
        vec![("compression.type", "snappy")],
    ] {
        let all = [("bootstrap.servers", "127.0.0.1:9")];
        let made = Producer::new(&Properties::new(
            all.into_iter().chain(properties.iter().copied()),
        ));
        assert!(made.is_ok(), "{properties:?}: {made:?}");
    }
}
