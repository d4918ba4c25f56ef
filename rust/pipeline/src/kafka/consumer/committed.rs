//! What a group committed, read without trusting it: metadata is whatever bytes a client sent.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// One partition's committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Where the group goes on; [`Offset::Invalid`] where it never committed.
    pub offset: Offset,
    /// Bytes that are not UTF-8 are replaced: then it is not ours.
    pub metadata: String,
}

/// Asks for the commits of a list of partitions. A partition that could not be answered for is an error of the whole: its
/// offset reads as if the group had never committed there.
pub(super) fn ask<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: TopicPartitionList,
    timeout: Duration,
) -> KafkaResult<TopicPartitionList> {
    let answer = consumer.committed_offsets(partitions, timeout)?;
    for element in answer.elements() {
        element.error()?;
    }
    Ok(answer)
}

/// Reads the broker's answer. rdkafka's own `metadata()` panics on bytes that are not UTF-8.
pub fn read(list: &TopicPartitionList) -> Vec<CommittedOffset> {
    let elements = list.elements();
    elements
        .iter()
        .enumerate()
        .map(|(index, element)| CommittedOffset {
            topic: element.topic().to_owned(),
            partition: element.partition(),
            offset: element.offset(),
            metadata: String::from_utf8_lossy(&metadata(list, index)).into_owned(),
        })
        .collect()
}

fn metadata(list: &TopicPartitionList, index: usize) -> Vec<u8> {
    if index >= list.count() {
        return Vec::new();
    }
    // SAFETY: the list is alive for as long as the answer borrows it, and has more than `index` elements (checked above);
    // librdkafka keeps `elems` as an array of `cnt` of them. `metadata` is null or points to `metadata_size` bytes that
    // belong to the element. The bytes are copied before anything else can touch the list.
    unsafe {
        let element = &*(*list.ptr()).elems.add(index);
        if element.metadata.is_null() {
            return Vec::new();
        }
        let bytes =
            std::slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size);
        bytes.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_any_bytes_is_read() {
        let mut list = TopicPartitionList::new();
        list.add_partition("users", 0).set_metadata("ours");
        list.add_partition("users", 1).set_metadata("?x");
        list.add_partition("users", 2);
        // SAFETY: element 1 was added above and owns the two bytes it was given; nothing else looks at them now.
        unsafe { *(*(*list.ptr()).elems.add(1)).metadata.cast::<u8>() = 0xff };
        let read: Vec<_> = read(&list).into_iter().map(|one| one.metadata).collect();
        assert_eq!(read, ["ours", "\u{fffd}x", ""]);
    }
}
