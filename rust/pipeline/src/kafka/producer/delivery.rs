//! The account of many records' outcomes: pure, one per batch, without memory per delivered record.

use super::error::{Cause, DeliveryFailure, Undelivered};
use std::collections::BTreeMap;

/// How many failures keep their reason; of the others the outcome is kept, not the text.
pub const DETAILED_FAILURES: usize = 100;

/// A set of record indexes: one bit each, and no memory while it is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexSet {
    words: Vec<u64>,
    len: u64,
}

impl IndexSet {
    /// Adds an index; false if it was there.
    pub fn insert(&mut self, index: u64) -> bool {
        let word = usize::try_from(index / 64).unwrap_or(usize::MAX);
        if word >= self.words.len() {
            self.words.resize(word.saturating_add(1), 0);
        }
        let bit = 1_u64 << (index % 64);
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += u64::from(fresh);
        fresh
    }

    /// How many indexes are in the set.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no index is in the set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the index is in the set.
    pub fn contains(&self, index: u64) -> bool {
        usize::try_from(index / 64)
            .ok()
            .and_then(|word| self.words.get(word))
            .is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// The indexes in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            (0..64)
                .filter(move |bit| word & (1_u64 << bit) != 0)
                .map(move |bit| at as u64 * 64 + bit)
        })
    }
}

/// Running account of outcomes.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Records that were handed to librdkafka and have their delivery report.
    pub settled: u64,
    /// Records acknowledged by Kafka.
    pub delivered: u64,
    /// Bytes of the keys and values of the delivered records, before compression.
    pub bytes: u64,
    /// Partition to the lowest and the highest offset that was acknowledged.
    pub offsets: BTreeMap<i32, (i64, i64)>,
    /// Records that are certainly not in Kafka.
    pub not_sent: IndexSet,
    /// Records that may be in Kafka.
    pub unknown: IndexSet,
    /// Records whose outcome did not come even after a purge: unknown, and without an index. In practice 0.
    pub unaccounted: u64,
    /// The failures with the lowest indexes with their reasons, at most [`DETAILED_FAILURES`].
    pub failures: BTreeMap<u64, DeliveryFailure>,
    /// Partitions in which a record failed for good.
    pub failed_partitions: Vec<i32>,
    /// Some failure would come again, also one whose reason is not kept.
    pub hopeless: bool,
}

impl Tally {
    /// Counts an acknowledged record.
    pub fn record_delivered(&mut self, partition: i32, offset: i64, bytes: u64) {
        self.settled += 1;
        self.delivered += 1;
        self.bytes += bytes;
        self.offsets
            .entry(partition)
            .and_modify(|(first, last)| {
                *first = (*first).min(offset);
                *last = (*last).max(offset);
            })
            .or_insert((offset, offset));
    }

    /// Counts a record whose delivery report names an error.
    pub fn record_failed(&mut self, index: u64, failure: DeliveryFailure) {
        self.settled += 1;
        self.record_refused(index, failure);
    }

    /// Counts a record that librdkafka did not take: it has no delivery report.
    pub fn record_refused(&mut self, index: u64, failure: DeliveryFailure) {
        self.mark(index, failure.outcome);
        self.hopeless |= !failure.retryable();
        if let Some(partition) = failure.partition
            && !self.failed_partitions.contains(&partition)
        {
            self.failed_partitions.push(partition);
        }
        self.failures.insert(index, failure);
        // The lowest indexes are the ones a reader looks for.
        if self.failures.len() > DETAILED_FAILURES {
            self.failures.pop_last();
        }
    }

    /// Counts a record that was never tried because another one failed before it.
    pub fn record_held_back(&mut self, index: u64) {
        self.mark(index, Undelivered::NotSent);
    }

    fn mark(&mut self, index: u64, outcome: Undelivered) {
        match outcome {
            Undelivered::NotSent => self.not_sent.insert(index),
            Undelivered::Unknown => self.unknown.insert(index),
        };
    }

    /// Whether every record was delivered.
    pub fn is_complete(&self) -> bool {
        self.not_sent.is_empty() && self.unknown.is_empty() && self.unaccounted == 0
    }

    /// The account as the caller sees it.
    pub fn report(self, topic: &str, seconds: f64) -> Report {
        Report {
            topic: topic.to_owned(),
            delivered: self.delivered,
            bytes: self.bytes,
            seconds,
            offsets: self.offsets,
            not_sent: self.not_sent,
            unknown: self.unknown,
            unaccounted: self.unaccounted,
            failures: self.failures,
            hopeless: self.hopeless,
        }
    }
}

/// What became of a batch. Every record of it is delivered, in `not_sent`, or in `unknown`.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The topic.
    pub topic: String,
    /// Records acknowledged by Kafka.
    pub delivered: u64,
    /// Bytes of the keys and values of the delivered records, before compression.
    pub bytes: u64,
    /// Wall time from the first record to the last outcome.
    pub seconds: f64,
    /// Partition to the first and last offset that was acknowledged (both inclusive).
    pub offsets: BTreeMap<i32, (i64, i64)>,
    /// Indexes of the records that are certainly not in Kafka.
    pub not_sent: IndexSet,
    /// Indexes of the records that may be in Kafka.
    pub unknown: IndexSet,
    /// Records whose outcome did not come even after a purge: unknown, and without an index. In practice 0.
    pub unaccounted: u64,
    /// Reasons of the failures with the lowest indexes, at most [`DETAILED_FAILURES`].
    pub failures: BTreeMap<u64, DeliveryFailure>,
    /// Some failure would come again, also one whose reason is not kept.
    pub hopeless: bool,
}

impl Report {
    /// Whether sending all of the records again may succeed: one that can never be delivered is enough for false.
    pub fn retryable(&self) -> bool {
        !self.hopeless
    }

    /// Whether every record was delivered.
    pub fn is_complete(&self) -> bool {
        self.not_sent.is_empty() && self.unknown.is_empty() && self.unaccounted == 0
    }

    /// The failure with the lowest index, as the cause of the batch's end.
    pub fn first_failure(&self) -> Option<Cause> {
        self.failures
            .iter()
            .next()
            .map(|(index, failure)| Cause::Delivery {
                index: *index,
                failure: failure.clone(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::BatchError;
    use super::*;
    use proptest::prelude::*;
    use rdkafka::types::RDKafkaErrorCode;
    use std::collections::BTreeSet;

    fn failure(partition: i32, outcome: Undelivered) -> DeliveryFailure {
        DeliveryFailure {
            topic: "t".to_owned(),
            partition: Some(partition),
            outcome,
            code: RDKafkaErrorCode::MessageTimedOut,
            hint: None,
        }
    }

    #[test]
    fn offsets_are_ranges_per_partition() {
        let mut tally = Tally::default();
        for (partition, offset) in [(0, 7), (1, 3), (0, 5), (0, 9), (1, 4)] {
            tally.record_delivered(partition, offset, 10);
        }
        let report = tally.report("t", 1.0);
        assert_eq!(report.offsets, BTreeMap::from([(0, (5, 9)), (1, (3, 4))]));
        assert_eq!((report.delivered, report.bytes), (5, 50));
        assert!(report.is_complete());
    }

    #[test]
    fn the_lowest_failures_keep_their_reason_and_all_keep_their_outcome() {
        let mut tally = Tally::default();
        for index in (0..500).rev() {
            tally.record_failed(index, failure(1, Undelivered::Unknown));
        }
        assert_eq!(tally.failures.len(), DETAILED_FAILURES);
        assert_eq!(tally.failures.keys().next_back(), Some(&99));
        assert_eq!(tally.unknown.len(), 500);
        assert_eq!(tally.failed_partitions, [1]);
        let report = tally.report("t", 0.0);
        assert!(!report.is_complete());
        assert!(matches!(
            report.first_failure(),
            Some(Cause::Delivery { index: 0, .. })
        ));
    }

    #[test]
    fn one_failure_for_good_among_many_makes_sending_again_hopeless() {
        let mut tally = Tally::default();
        for index in 0..200 {
            tally.record_failed(index, failure(1, Undelivered::NotSent));
        }
        assert!(tally.clone().report("t", 0.0).retryable());
        let too_large = DeliveryFailure {
            code: RDKafkaErrorCode::MessageSizeTooLarge,
            ..failure(1, Undelivered::NotSent)
        };
        tally.record_failed(200, too_large);
        assert!(!tally.failures.contains_key(&200), "its reason is not kept");
        let report = tally.report("t", 0.0);
        let cause = report.first_failure().unwrap();
        assert!(cause.retryable(), "the first failure alone would be");
        let error = BatchError {
            cause,
            report: Box::new(report),
        };
        assert!(!error.retryable());
    }

    proptest! {
        #[test]
        fn index_set_is_a_set(indexes in proptest::collection::vec(0_u64..2000, 0..200)) {
            let mut ours = IndexSet::default();
            let mut model = BTreeSet::new();
            for index in indexes {
                prop_assert_eq!(ours.insert(index), model.insert(index));
            }
            prop_assert_eq!(ours.len(), model.len() as u64);
            prop_assert_eq!(ours.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            for index in 0..2100 {
                prop_assert_eq!(ours.contains(index), model.contains(&index));
            }
        }

        #[test]
        fn every_record_has_exactly_one_outcome(outcomes in proptest::collection::vec(0_u8..4, 0..300)) {
            let mut tally = Tally::default();
            for (index, outcome) in (0_u64..).zip(&outcomes) {
                match outcome {
                    0 => tally.record_delivered(0, index.cast_signed(), 1),
                    1 => tally.record_failed(index, failure(0, Undelivered::NotSent)),
                    2 => tally.record_failed(index, failure(0, Undelivered::Unknown)),
                    _ => tally.record_held_back(index),
                }
            }
            let total = tally.delivered + tally.not_sent.len() + tally.unknown.len();
            prop_assert_eq!(total, outcomes.len() as u64);
            let held_back = outcomes.iter().map(|outcome| u64::from(*outcome == 3)).sum::<u64>();
            prop_assert_eq!(tally.settled + held_back, outcomes.len() as u64);
        }
    }
}
