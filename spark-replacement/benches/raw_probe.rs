//! The least that can be done: read, parse and write, with the consumer's own tuning and nothing else. No commits, no
//! retries, no order, no dead letters. What `millstream-consumer` costs beyond it is the price of its promises.
//!
//! `raw_probe KAFKA TOPIC CASSANDRA KEYSPACE.TABLE` takes what is in the topic and ends. It is a program and not a
//! criterion bench because it is measured from outside, beside the consumer: wall clock, CPU, peak memory.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot run must not go on"
)]

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use millstream_pipeline::kafka::consumer::client_config;
use millstream_pipeline::sink::cassandra::{CassandraConfig, Consistency, connect};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use scylla::SerializeRow;
use serde::Deserialize;
use tokio::sync::Semaphore;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As in the shipped configuration.
const IN_FLIGHT: usize = 256;
const WORKERS: usize = 2;

#[derive(Deserialize)]
struct Parsed<'a> {
    id: uuid::Uuid,
    #[serde(borrow)]
    first_name: Cow<'a, str>,
    #[serde(borrow)]
    last_name: Cow<'a, str>,
    #[serde(borrow)]
    gender: Cow<'a, str>,
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    post_code: Cow<'a, str>,
    #[serde(borrow)]
    email: Cow<'a, str>,
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow)]
    dob: Cow<'a, str>,
    #[serde(borrow)]
    registered_date: Cow<'a, str>,
    #[serde(borrow)]
    phone: Cow<'a, str>,
    #[serde(borrow)]
    picture: Cow<'a, str>,
}

#[derive(SerializeRow)]
struct Row<'a> {
    id: uuid::Uuid,
    first_name: &'a str,
    last_name: &'a str,
    gender: &'a str,
    address: &'a str,
    post_code: &'a str,
    email: &'a str,
    username: &'a str,
    dob: &'a str,
    registered_date: &'a str,
    phone: &'a str,
    picture: &'a str,
}

impl<'a> From<&'a Parsed<'_>> for Row<'a> {
    fn from(user: &'a Parsed<'_>) -> Self {
        Self {
            id: user.id,
            first_name: &user.first_name,
            last_name: &user.last_name,
            gender: &user.gender,
            address: &user.address,
            post_code: &user.post_code,
            email: &user.email,
            username: &user.username,
            dob: &user.dob,
            registered_date: &user.registered_date,
            phone: &user.phone,
            picture: &user.picture,
        }
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut arg = || args.next();
    let (Some(kafka), Some(topic), Some(cassandra), Some(table)) = (arg(), arg(), arg(), arg())
    else {
        // `cargo test --benches` and `cargo bench` start it without arguments: then there is nothing to measure.
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(drain(&kafka, &topic, cassandra, &table));
}

async fn drain(kafka: &str, topic: &str, cassandra: String, table: &str) {
    let session = connect(&CassandraConfig {
        contact_points: vec![cassandra],
        local_datacenter: None,
        username: None,
        password: None,
        consistency: Consistency::LocalQuorum,
        request_timeout: Duration::from_secs(5),
        ca_file: None,
        client_certificate: None,
    })
    .await
    .unwrap();
    let columns = "id, first_name, last_name, gender, address, post_code, email, username, dob, registered_date, phone, picture";
    let insert = format!("INSERT INTO {table} ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)");
    let insert = Arc::new(session.prepare(insert).await.unwrap());

    let consumer: BaseConsumer = client_config(kafka, "raw-probe", &BTreeMap::new(), "raw-probe")
        .create()
        .unwrap();
    let mut left = ends(&consumer, topic);
    let mut list = TopicPartitionList::new();
    for partition in left.keys() {
        list.add_partition_offset(topic, *partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();

    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let runtime = tokio::runtime::Handle::current();
    let writing = room.clone();
    tokio::task::spawn_blocking(move || {
        while !left.is_empty() {
            let Some(message) = consumer.poll(Duration::from_millis(100)) else {
                continue;
            };
            let message = message.unwrap();
            if left
                .get(&message.partition())
                .is_some_and(|end| message.offset() + 1 >= *end)
            {
                left.remove(&message.partition());
            }
            let value = message.payload().unwrap().to_vec();
            let permit = runtime.block_on(writing.clone().acquire_owned()).unwrap();
            let (session, insert) = (session.clone(), insert.clone());
            runtime.spawn(async move {
                let user: Parsed<'_> = serde_json::from_slice(&value).unwrap();
                session
                    .execute_unpaged(&insert, Row::from(&user))
                    .await
                    .unwrap();
                drop(permit);
            });
        }
    })
    .await
    .unwrap();
    drop(
        room.acquire_many(u32::try_from(IN_FLIGHT).unwrap())
            .await
            .unwrap(),
    );
}

/// End offsets of the partitions that hold something.
fn ends(consumer: &BaseConsumer, topic: &str) -> HashMap<i32, i64> {
    let timeout = Duration::from_secs(10);
    let metadata = consumer.fetch_metadata(Some(topic), timeout).unwrap();
    metadata.topics()[0]
        .partitions()
        .iter()
        .map(|partition| {
            let (_, high) = consumer
                .fetch_watermarks(topic, partition.id(), timeout)
                .unwrap();
            (partition.id(), high)
        })
        .filter(|(_, high)| *high > 0)
        .collect()
}
