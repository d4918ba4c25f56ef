//! The partitions that are ours, and what is known of each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::offsets::{Outcome, SettledOffsets, Storable};
use crate::kafka::stamp::WriteStamp;
use crate::telemetry::PartitionTelemetry;

/// A record that ended; `None` when its handler did not survive it, which is a fault of ours.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) partition: usize,
    pub(super) offset: i64,
    pub(super) outcome: Option<Outcome>,
}

/// One assigned partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) topic: Arc<str>,
    pub(super) id: i32,
    pub(super) stamp: WriteStamp,
    /// The clock as a stamp, for `write_timestamp = "now"`.
    pub(super) clock: WriteStamp,
    pub(super) offsets: SettledOffsets,
    /// The next offset that we expect to read.
    pub(super) position: i64,
    /// Paused because too much waits for its lowest record.
    pub(super) ahead_paused: bool,
    /// How far the last write stamp was ahead of its record's timestamp.
    pub(super) stamp_ahead: Duration,
    /// Records below this were read before, in an earlier assignment.
    pub(super) seen_to: i64,
    /// A record was read since the assignment.
    pub(super) started: bool,
    /// The offset that a commit was last sent for.
    pub(super) sent: i64,
    pub(super) telemetry: PartitionTelemetry,
}

/// The assignment. Each partition has a key that is never used again, so that completions of an earlier assignment (or of
/// a log that was re-created) find nothing.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    partitions: HashMap<usize, Partition>,
    by_name: HashMap<(Arc<str>, i32), usize>,
    next_key: usize,
    /// Where earlier assignments of this process stopped reading.
    seen_to: HashMap<(Arc<str>, i32), i64>,
    broken: bool,
}

impl Assignment {
    pub(super) fn insert(&mut self, mut partition: Partition) -> usize {
        partition.seen_to = self
            .seen_to
            .remove(&(partition.topic.clone(), partition.id))
            .unwrap_or(partition.seen_to);
        let key = self.next_key;
        self.next_key += 1;
        self.by_name
            .insert((partition.topic.clone(), partition.id), key);
        self.partitions.insert(key, partition);
        key
    }

    pub(super) fn remove(&mut self, topic: &str, id: i32) -> Option<Partition> {
        let key = self.by_name.remove(&(Arc::from(topic), id))?;
        let partition = self.partitions.remove(&key)?;
        self.seen_to
            .insert((partition.topic.clone(), id), partition.position);
        Some(partition)
    }

    pub(super) fn key(&self, topic: &Arc<str>, id: i32) -> Option<usize> {
        self.by_name.get(&(topic.clone(), id)).copied()
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Partition> {
        self.partitions.get_mut(&key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.partitions.values_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Starts a partition's log again from `offset` under a new key: the topic was re-created. The stamp goes on.
    pub(super) fn restart(&mut self, key: usize, offset: i64) -> Option<usize> {
        let mut partition = self.partitions.remove(&key)?;
        let last = partition.offsets.storable(false).metadata;
        let mut metadata = crate::kafka::offsets::Metadata::new(
            offset,
            partition.stamp.last(),
            &last.program_hash,
        );
        metadata.lw = partition.stamp.last();
        partition.offsets = SettledOffsets::resume(offset, metadata);
        partition.position = offset;
        partition.seen_to = offset;
        partition.sent = -1;
        Some(self.insert(partition))
    }

    pub(super) fn complete(&mut self, completion: &Completion) {
        let Some(partition) = self.partitions.get_mut(&completion.partition) else {
            return;
        };
        match completion.outcome {
            Some(outcome) => partition.offsets.settle(completion.offset, outcome),
            None => self.broken = true,
        }
    }

    /// Whether a record's handler did not survive it.
    pub(super) fn broken(&self) -> bool {
        self.broken
    }

    /// Commits that move something; marks them as sent.
    pub(super) fn commits(&mut self, stopping: bool) -> Option<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for partition in self.partitions.values_mut() {
            let storable = partition.offsets.storable(stopping);
            if storable.offset != partition.sent || storable.metadata.clean {
                partition.sent = storable.offset;
                add(&mut list, &partition.topic, partition.id, &storable);
            }
        }
        (list.count() > 0).then_some(list)
    }
}

/// Adds one commit to a list.
pub(super) fn add(list: &mut TopicPartitionList, topic: &str, id: i32, storable: &Storable) {
    let mut element = list.add_partition(topic, id);
    // A storable offset is never negative, the only thing that is refused here.
    let _ = element.set_offset(Offset::Offset(storable.offset));
    element.set_metadata(storable.metadata.to_text());
}

/// A list of partitions without offsets.
pub(super) fn list<'a>(partitions: impl IntoIterator<Item = (&'a str, i32)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, id) in partitions {
        list.add_partition(topic, id);
    }
    list
}
