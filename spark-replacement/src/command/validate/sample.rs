//! Some last records of a topic. Nothing is committed and no group is joined.

use super::client::Client;
use millstream_pipeline::remap::KafkaFacts;
use rdkafka::consumer::Consumer;
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// Records that are looked at.
const RECORDS: usize = 24;
/// Partitions that they come from.
const PARTITIONS: i32 = 12;
/// Last records of each partition.
const TAIL: i64 = 4;
/// How long they are waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// One record.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) facts: KafkaFacts,
    pub(super) value: Vec<u8>,
}

/// Takes a look; what cannot be read is no fault of the configuration, so it is left out.
pub(super) fn take(client: &Client, topic: &str, partitions: i32) -> Vec<Sample> {
    let consumer = client.consumer();
    let mut list = TopicPartitionList::new();
    let mut open = 0;
    for partition in 0..partitions.min(PARTITIONS) {
        if list
            .add_partition_offset(topic, partition, Offset::OffsetTail(TAIL))
            .is_ok()
        {
            open += 1;
        }
    }
    let mut samples = Vec::new();
    if consumer.assign(&list).is_err() {
        return samples;
    }
    let deadline = Instant::now() + PATIENCE;
    while open > 0 && samples.len() < RECORDS && Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => open -= 1,
            // Whatever else it is: the deadline bounds it.
            None | Some(Err(_)) => {}
            Some(Ok(message)) => samples.extend(read(&message)),
        }
    }
    // The next topic replaces the assignment; at the end the client goes with it.
    let _ = consumer.unassign();
    samples
}

/// `None` for a tombstone: it has no row key to compare.
fn read(message: &impl Message) -> Option<Sample> {
    let value = message.payload()?.to_vec();
    let headers = message.headers().map(|headers| {
        let headers = headers.iter();
        headers
            .map(|header| {
                let value = header.value.map(|value| value.to_vec().into());
                (header.key.to_owned(), value)
            })
            .collect()
    });
    Some(Sample {
        facts: KafkaFacts {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
            key: message.key().map(|key| key.to_vec().into()),
            headers: headers.unwrap_or_default(),
        },
        value,
    })
}
