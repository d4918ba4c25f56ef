//! The settled watermark of one partition.

use std::collections::VecDeque;

use super::metadata::{Counts, Metadata};

/// Why a record was left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    /// The program made nothing of it, or the `filter` rule was false.
    Rule,
    /// A null value.
    Tombstone,
    /// Older than the TTL of its tables.
    Expired,
}

/// How a record ended. Each of these is final: the record is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every effect acknowledged by the sink.
    Stored,
    /// Acknowledged by the dead-letter topic.
    Dead,
    /// Left out on purpose.
    Filtered(Filter),
}

#[derive(Debug)]
struct InFlight {
    offset: i64,
    /// The write stamp after this record.
    lw: i64,
    outcome: Option<Outcome>,
}

/// What may be committed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storable {
    /// The offset to commit: everything below it is settled.
    pub offset: i64,
    /// What the commit says.
    pub metadata: Metadata,
}

/// The records of one partition between being read and being settled, in offset order.
#[derive(Debug)]
pub struct SettledOffsets {
    in_flight: VecDeque<InFlight>,
    /// The lowest offset that is not settled.
    watermark: i64,
    last_read: Option<i64>,
    metadata: Metadata,
}

impl SettledOffsets {
    /// Continues at `position` with what the last commit said.
    pub fn resume(position: i64, metadata: Metadata) -> Self {
        Self {
            in_flight: VecDeque::new(),
            watermark: position,
            last_read: None,
            metadata,
        }
    }

    /// Notes that the record at `offset` was read; `lw` is the partition's write stamp after it.
    ///
    /// Offsets come in rising order. Returns false, and notes nothing, for one that does not: the log was read before.
    pub fn read(&mut self, offset: i64, lw: i64) -> bool {
        if offset < self.watermark || self.last_read.is_some_and(|last| offset <= last) {
            return false;
        }
        self.last_read = Some(offset);
        self.in_flight.push_back(InFlight {
            offset,
            lw,
            outcome: None,
        });
        true
    }

    /// Notes how the record at `offset` ended. Offsets that are not in flight are ignored.
    pub fn settle(&mut self, offset: i64, outcome: Outcome) {
        let Ok(index) = self
            .in_flight
            .binary_search_by_key(&offset, |slot| slot.offset)
        else {
            return;
        };
        self.in_flight[index].outcome.get_or_insert(outcome);
        #[cfg(feature = "fault-offsets-past-hole")]
        {
            // For the negative control alone: what a consumer does that commits the newest settled offset.
            for slot in self.in_flight.range_mut(..index) {
                slot.outcome.get_or_insert(outcome);
            }
        }
        while let Some(slot) = self.in_flight.front()
            && let Some(outcome) = slot.outcome
        {
            self.metadata.n.gap += u64::try_from(slot.offset - self.watermark).unwrap_or(0);
            self.metadata.n.add(outcome);
            self.metadata.lw = slot.lw;
            self.watermark = slot.offset + 1;
            self.in_flight.pop_front();
        }
    }

    /// Notes that the log was read up to `position` and holds no record from the watermark on: what lies there are
    /// transaction markers. Only while nothing is in flight; else the next record tells.
    pub fn pass(&mut self, position: i64) {
        if self.in_flight.is_empty() && position > self.watermark {
            self.metadata.n.gap += u64::try_from(position - self.watermark).unwrap_or(0);
            self.watermark = position;
        }
    }

    /// What may be committed now. `clean` is set where nothing is in flight and the caller stops here.
    pub fn storable(&self, stopping: bool) -> Storable {
        let mut metadata = self.metadata.clone();
        metadata.clean = stopping && self.in_flight.is_empty();
        Storable {
            offset: self.watermark,
            metadata,
        }
    }

    /// The lowest offset that is not settled.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Records read and not below the watermark: what `max_settled_ahead` bounds.
    pub fn ahead(&self) -> usize {
        self.in_flight.len()
    }

    /// How the records ended so far.
    pub fn counts(&self) -> Counts {
        self.metadata.n
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome(kind: u8) -> Outcome {
        match kind % 5 {
            0 => Outcome::Stored,
            1 => Outcome::Dead,
            2 => Outcome::Filtered(Filter::Rule),
            3 => Outcome::Filtered(Filter::Tombstone),
            _ => Outcome::Filtered(Filter::Expired),
        }
    }

    #[test]
    fn a_hole_holds_the_watermark() {
        let mut offsets = SettledOffsets::resume(10, Metadata::new(10, 0, ""));
        for offset in 10..13 {
            assert!(offsets.read(offset, offset * 8));
        }
        offsets.settle(11, Outcome::Stored);
        offsets.settle(12, Outcome::Stored);
        assert_eq!(offsets.storable(false).offset, 10);
        offsets.settle(10, Outcome::Dead);
        let storable = offsets.storable(true);
        assert_eq!(
            (
                storable.offset,
                storable.metadata.lw,
                storable.metadata.clean
            ),
            (13, 96, true)
        );
        assert_eq!(
            (storable.metadata.n.stored, storable.metadata.n.dead),
            (2, 1)
        );
    }

    #[test]
    fn markers_at_the_end_are_passed_and_counted_as_a_gap() {
        let mut offsets = SettledOffsets::resume(0, Metadata::new(0, 0, ""));
        assert!(offsets.read(0, 8));
        offsets.pass(2);
        assert_eq!(offsets.watermark(), 0, "a record is in flight");
        offsets.settle(0, Outcome::Stored);
        offsets.pass(2);
        offsets.pass(1);
        assert_eq!(offsets.watermark(), 2);
        assert!(offsets.read(2, 16));
        offsets.settle(2, Outcome::Stored);
        assert_eq!((offsets.counts().stored, offsets.counts().gap), (2, 1));
    }

    #[test]
    fn an_offset_is_read_once() {
        let mut offsets = SettledOffsets::resume(5, Metadata::new(5, 0, ""));
        assert!(!offsets.read(4, 8));
        assert!(offsets.read(7, 8));
        assert!(!offsets.read(7, 16));
        assert!(!offsets.read(6, 16));
    }

    #[test]
    fn the_first_outcome_counts() {
        let mut offsets = SettledOffsets::resume(0, Metadata::new(0, 0, ""));
        assert!(offsets.read(0, 8) && offsets.read(1, 16));
        offsets.settle(1, Outcome::Dead);
        offsets.settle(1, Outcome::Stored);
        offsets.settle(0, Outcome::Stored);
        assert_eq!((offsets.counts().stored, offsets.counts().dead), (1, 1));
    }

    proptest! {
        /// Against a model that keeps every record in a list and looks at all of them each time.
        #[test]
        fn the_watermark_is_the_lowest_unsettled_offset(
            gaps in prop::collection::vec(1i64..4, 1..60),
            order in prop::collection::vec((0usize..60, 0u8..5), 0..120),
        ) {
            let start = 100;
            let mut offset = start - 1;
            let log: Vec<i64> = gaps.iter().map(|gap| { offset += gap; offset }).collect();
            let mut offsets = SettledOffsets::resume(start, Metadata::new(start, 7, "h"));
            for (index, &offset) in log.iter().enumerate() {
                prop_assert!(offsets.read(offset, i64::try_from(index).unwrap() * 8 + 8));
            }
            let mut settled: Vec<Option<Outcome>> = vec![None; log.len()];
            for (index, kind) in order {
                let index = index % log.len();
                offsets.settle(log[index], outcome(kind));
                settled[index].get_or_insert(outcome(kind));

                let done = settled.iter().take_while(|outcome| outcome.is_some()).count();
                let expected = if done == 0 { start } else { log[done - 1] + 1 };
                let storable = offsets.storable(true);
                prop_assert_eq!(storable.offset, expected);
                prop_assert_eq!(storable.metadata.clean, done == log.len());
                let lw = if done == 0 { 7 } else { i64::try_from(done).unwrap() * 8 };
                prop_assert_eq!(storable.metadata.lw, lw);
                // The reconciliation anybody can do from outside.
                prop_assert_eq!(u64::try_from(storable.offset - start).unwrap(), storable.metadata.n.total());
                let mut counts = Counts::default();
                settled[..done].iter().flatten().for_each(|outcome| counts.add(*outcome));
                counts.gap = storable.metadata.n.gap;
                prop_assert_eq!(counts, storable.metadata.n);
                prop_assert_eq!(offsets.ahead(), log.len() - done);
            }
        }
    }
}
