//! The write stamp: `USING TIMESTAMP` of every cell, a pure function of a partition's records in offset order.
//!
//! ```text
//! ts   = record timestamp in ms, 0 if negative
//! w(o) = max(ts * 1000, lw + 8);  lw = w(o)        # microseconds
//! ```
//!
//! The last stamp travels in the commit's metadata, so that a restart, a rebalance and a zombie compute the same stamps,
//! and a replay changes nothing.

/// Distance between two stamps of a partition in microseconds: room for a write revision (0..=7) and a row delete below it.
pub const STEP: i64 = 8;

/// How far ahead of the clock a record's timestamp may be, in milliseconds: one hour. A cell written further ahead could
/// not be overwritten until then.
pub const MAX_AHEAD_MS: i64 = 3_600_000;

/// The stamps of one partition, in offset order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteStamp {
    last: i64,
}

/// A record whose timestamp is more than [`MAX_AHEAD_MS`] ahead of the clock: dead letter `timestamp_future`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "record timestamp {timestamp_ms} ms is more than one hour ahead of the clock; check the producer's clock"
)]
pub struct FutureTimestamp {
    /// The record's timestamp in milliseconds.
    pub timestamp_ms: i64,
}

impl WriteStamp {
    /// Continues after `last`, the stamp of the last record below the position; 0 for a new group.
    pub fn after(last: i64) -> Self {
        Self { last }
    }

    /// The stamp given last.
    pub fn last(self) -> i64 {
        self.last
    }

    /// The stamp of the next record in offset order.
    ///
    /// A record from the future gets none and leaves the stamps as they were.
    pub fn next(&mut self, timestamp_ms: i64, now_ms: i64) -> Result<i64, FutureTimestamp> {
        let timestamp_ms = timestamp_ms.max(0);
        if timestamp_ms > now_ms.saturating_add(MAX_AHEAD_MS) {
            return Err(FutureTimestamp { timestamp_ms });
        }
        let stamp = timestamp_ms
            .saturating_mul(1000)
            .max(self.last.saturating_add(STEP));
        self.last = stamp;
        Ok(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_from_the_future_leaves_the_stamps_alone() {
        let mut stamp = WriteStamp::after(100);
        assert!(stamp.next(MAX_AHEAD_MS + 1, 0).is_err());
        assert_eq!(stamp.last(), 100);
        assert_eq!(stamp.next(MAX_AHEAD_MS, 0), Ok(MAX_AHEAD_MS * 1000));
    }

    #[test]
    fn a_missing_timestamp_counts_as_zero() {
        assert_eq!(WriteStamp::after(0).next(-1, 0), Ok(STEP));
    }

    fn all(last: i64, timestamps: &[i64]) -> Vec<i64> {
        let mut stamp = WriteStamp::after(last);
        timestamps
            .iter()
            .map(|&ts| stamp.next(ts, 4_000_000_000_000).unwrap())
            .collect()
    }

    proptest! {
        #[test]
        fn stamps_rise_by_at_least_a_step(timestamps in prop::collection::vec(-5i64..4_000_000_000_000, 1..200)) {
            let stamps = all(0, &timestamps);
            prop_assert!(stamps.windows(2).all(|pair| pair[1] >= pair[0] + STEP));
        }

        #[test]
        fn a_stamp_is_never_behind_its_record(timestamps in prop::collection::vec(-5i64..4_000_000_000_000, 1..200)) {
            let stamps = all(0, &timestamps);
            prop_assert!(stamps.iter().zip(&timestamps).all(|(stamp, ts)| *stamp >= ts.max(&0) * 1000));
        }

        #[test]
        fn a_restart_anywhere_computes_the_same_stamps(
            timestamps in prop::collection::vec(-5i64..4_000_000_000_000, 2..200),
            cut in 0usize..200,
        ) {
            let whole = all(0, &timestamps);
            let cut = cut % timestamps.len();
            let last = if cut == 0 { 0 } else { whole[cut - 1] };
            prop_assert_eq!(&all(last, &timestamps[cut..]), &whole[cut..]);
        }
    }
}
