//! One topic, one table, one group of their own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use millstream_codec::Path;
use millstream_consumer::engine::{
    ExitReason, PipelineSettings, Plan, RowMode, RunOptions, Settings, TablePlan, Tombstones,
    ValueFormat, WriteTimestamp, run,
};
use millstream_pipeline::kafka::consumer::{ConsumerConfig, StartPosition};
use millstream_pipeline::sink::cassandra::{CassandraConfig, Consistency};
use millstream_pipeline::sink::{NullMode, TableName};
use millstream_pipeline::telemetry::Telemetry;
use millstream_testkit::live;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use scylla::client::session::Session;
use tokio_util::sync::CancellationToken;

pub(crate) struct Rig {
    pub session: Arc<Session>,
    pub topic: String,
    pub dead_letters: String,
    pub group: String,
    pub table: TableName,
    producer: FutureProducer,
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", live::address("MILLSTREAM_KAFKA"));
    config
}

impl Rig {
    /// A rig whose table is `(id text PRIMARY KEY, name text, n int)` and whose topic has two partitions.
    pub(crate) async fn new() -> Self {
        let session = live::session().await;
        let keyspace = live::keyspace(&session).await;
        let table = TableName::parse(&format!("{keyspace}.users")).unwrap();
        live::cql(
            &session,
            &format!("CREATE TABLE {table} (id text PRIMARY KEY, name text, n int)"),
        )
        .await;
        let topic = live::fresh("source");
        let dead_letters = live::fresh("dead");
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        let topics =
            [&topic, &dead_letters].map(|name| NewTopic::new(name, 2, TopicReplication::Fixed(1)));
        for created in admin
            .create_topics(&topics, &AdminOptions::new())
            .await
            .unwrap()
        {
            created.unwrap();
        }
        let producer = client().set("linger.ms", "1").create().unwrap();
        Self {
            session,
            group: live::fresh("group"),
            topic,
            dead_letters,
            table,
            producer,
        }
    }

    pub(crate) async fn produce(&self, key: &str, value: Option<&str>) {
        let mut record = FutureRecord::to(&self.topic).key(key);
        if let Some(value) = value {
            record = record.payload(value);
        }
        self.producer
            .send(record, Duration::from_secs(10))
            .await
            .unwrap();
    }

    pub(crate) fn plan(&self) -> Plan {
        Plan {
            name: "users".to_owned(),
            group_id: self.group.clone(),
            value_format: ValueFormat::Json,
            filter: None,
            program: None,
            tables: vec![TablePlan {
                name: self.table.clone(),
                columns: ["id", "name", "n"]
                    .map(|name| (name.to_owned(), Path::parse(name).unwrap()))
                    .to_vec(),
                row: RowMode::Merge,
                nulls: NullMode::Unset,
                write_timestamp: WriteTimestamp::Record,
                write_revision: 0,
                ttl: None,
            }],
            tombstones: Tombstones::Filter,
            isolate_after: None,
            max_record_bytes: 1 << 20,
        }
    }

    pub(crate) fn settings(&self, plan: Plan) -> Settings {
        Settings {
            bootstrap_servers: live::address("MILLSTREAM_KAFKA"),
            client_id: "test".to_owned(),
            kafka_properties: BTreeMap::new(),
            registry: None,
            cassandra: CassandraConfig {
                contact_points: vec![live::address("MILLSTREAM_CASSANDRA")],
                local_datacenter: None,
                username: None,
                password: None,
                consistency: Consistency::LocalQuorum,
                request_timeout: Duration::from_secs(5),
                ca_file: None,
                client_certificate: None,
            },
            dead_letter_topic: self.dead_letters.clone(),
            drain: Duration::from_secs(10),
            pipelines: vec![PipelineSettings {
                consumer: ConsumerConfig {
                    topics: vec![self.topic.clone()],
                    group_id: plan.group_id.clone(),
                    start: StartPosition::Earliest,
                    max_in_flight: 64,
                    max_in_flight_bytes: 1 << 20,
                    max_settled_ahead: 1000,
                    program_hash: String::new(),
                    until_end: true,
                    drain: Duration::from_secs(10),
                },
                plan,
            }],
        }
    }

    /// Takes what is there and ends.
    pub(crate) async fn drain(&self, plan: Plan) -> ExitReason {
        let options = RunOptions {
            startup_timeout: None,
            timeout: Some(Duration::from_mins(1)),
        };
        run(
            self.settings(plan),
            options,
            CancellationToken::new(),
            telemetry(),
        )
        .await
    }

    pub(crate) async fn rows(&self) -> BTreeMap<String, (Option<String>, Option<i32>)> {
        let result = self
            .session
            .query_unpaged(format!("SELECT id, name, n FROM {}", self.table), ())
            .await
            .unwrap();
        let result = result.into_rows_result().unwrap();
        result
            .rows::<(String, Option<String>, Option<i32>)>()
            .unwrap()
            .map(|row| row.unwrap())
            .map(|(id, name, n)| (id, (name, n)))
            .collect()
    }

    /// The sum of committed offsets and of each count in the commits' metadata.
    pub(crate) fn committed(&self) -> (i64, BTreeMap<String, u64>) {
        let consumer: BaseConsumer = client().set("group.id", &self.group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.topic, 0, 1);
        let committed = consumer
            .committed_offsets(list, Duration::from_secs(10))
            .unwrap();
        let (mut offsets, mut counts) = (0, BTreeMap::new());
        for element in committed.elements() {
            if let Offset::Offset(offset) = element.offset() {
                let metadata: serde_json::Value = serde_json::from_str(element.metadata()).unwrap();
                offsets += offset - metadata["first"].as_i64().unwrap();
                for (name, count) in metadata["n"].as_object().unwrap() {
                    *counts.entry(name.clone()).or_insert(0) += count.as_u64().unwrap();
                }
            }
        }
        (offsets, counts)
    }

    pub(crate) fn dead(&self) -> Vec<OwnedMessage> {
        let consumer: BaseConsumer = client()
            .set("group.id", "reader")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..2 {
            list.add_partition_offset(&self.dead_letters, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut found, mut ends) = (Vec::new(), 0);
        while ends < 2 {
            match consumer
                .poll(Duration::from_secs(10))
                .expect("the dead-letter topic answers")
            {
                Ok(message) => found.push(message.detach()),
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ends += 1,
                Err(error) => panic!("{error}"),
            }
        }
        found
    }
}

pub(crate) fn telemetry() -> Arc<Telemetry> {
    Arc::new(Telemetry::new("test", SystemTime::now))
}
