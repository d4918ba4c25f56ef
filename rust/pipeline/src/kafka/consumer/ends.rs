//! Where the log ended when a run `until_end` began.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use regex::Regex;

use super::assignment::{self, Assignment};
use super::committed;
use super::context::{Context, KafkaFault, lock};

/// How long one question to the broker may take.
const ASK: Duration = Duration::from_secs(5);
/// Time between two tries.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// The end offset of every partition of the topics, taken once.
#[derive(Debug)]
pub(super) struct Ends {
    offsets: HashMap<(String, i32), i64>,
}

impl Ends {
    /// Asks until the broker answers and every topic is there; `None` when the process stops before that.
    pub(super) fn ask(consumer: &BaseConsumer<Context>) -> Option<Self> {
        let context = consumer.context();
        loop {
            match ask(consumer) {
                Ok(offsets) => return Some(Self { offsets }),
                Err(error) => context.note_error(&error, &error.to_string()),
            }
            if context.stops() {
                return None;
            }
            // Not a poll: a record handed out here would be lost to the count.
            context.telemetry.polled();
            std::thread::sleep(ASK_AGAIN);
        }
    }

    /// Whether every partition that is ours was read past its end and all of it is settled. Partitions that were not there
    /// at the start have no end to reach.
    pub(super) fn passed(&self, assignment: &Assignment) -> bool {
        assignment.len() > 0
            && assignment.iter().all(|partition| {
                let end = self
                    .offsets
                    .get(&(partition.topic.to_string(), partition.id));
                partition.position >= end.copied().unwrap_or(0) && partition.offsets.ahead() == 0
            })
    }
}

fn ask(consumer: &BaseConsumer<Context>) -> Result<HashMap<(String, i32), i64>, KafkaError> {
    let mut ends = HashMap::new();
    for (topic, partition) in partitions(consumer)? {
        let (_, high) = consumer.fetch_watermarks(&topic, partition, ASK)?;
        ends.insert((topic, partition), high);
    }
    Ok(ends)
}

/// Whether the group has committed anything in our topics.
pub(super) fn has_commits(consumer: &BaseConsumer<Context>) -> Result<bool, KafkaError> {
    let partitions = partitions(consumer)?;
    let named = partitions.iter().map(|(topic, id)| (topic.as_str(), *id));
    let committed = committed::ask(consumer, assignment::list(named), ASK)?;
    Ok(committed::read(&committed)
        .iter()
        .any(|one| matches!(one.offset, Offset::Offset(_))))
}

/// Looks whether topics that were missing are there now; does nothing while none is.
pub(super) fn look_for_topics(consumer: &BaseConsumer<Context>) {
    let context = consumer.context();
    if *lock(&context.fault) == Some(KafkaFault::Topic) && partitions(consumer).is_ok() {
        context.mended(KafkaFault::Topic);
    }
}

/// Every partition of our topics; an error when one of them is not there.
fn partitions(consumer: &BaseConsumer<Context>) -> Result<Vec<(String, i32)>, KafkaError> {
    let mut partitions = Vec::new();
    for topic in &consumer.context().config.topics {
        let pattern = topic.starts_with('^').then(|| Regex::new(topic));
        let named = pattern.is_none().then_some(topic.as_str());
        let metadata = consumer.fetch_metadata(named, ASK)?;
        for found in metadata.topics() {
            // The configuration was refused if the pattern were none.
            if matches!(&pattern, Some(Ok(pattern)) if !pattern.is_match(found.name())) {
                continue;
            }
            if let Some(code) = found.error() {
                return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::from(code)));
            }
            for partition in found.partitions() {
                partitions.push((found.name().to_owned(), partition.id()));
            }
        }
    }
    Ok(partitions)
}
