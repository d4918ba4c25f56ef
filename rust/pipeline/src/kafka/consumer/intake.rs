//! Back-pressure: how many records, and how many of their bytes, may be in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bound, kept by the polling thread, the only one that takes.
#[derive(Debug)]
pub(super) struct Intake {
    taken: Arc<Taken>,
    max_rows: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Taken {
    rows: AtomicUsize,
    bytes: AtomicUsize,
}

/// Room for one record; given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    taken: Arc<Taken>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.rows.fetch_sub(1, Ordering::Relaxed);
        self.taken.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Intake {
    pub(super) fn new(rows: usize, bytes: usize) -> Self {
        Self {
            taken: Arc::default(),
            max_rows: rows.max(1),
            max_bytes: bytes,
        }
    }

    /// Records that hold room, and how many bytes they hold.
    pub(super) fn in_flight(&self) -> (usize, usize) {
        let Taken { rows, bytes } = &*self.taken;
        (rows.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed))
    }

    /// Room for a record of `bytes`, if there is any. One larger than the whole bound waits until it is alone.
    pub(super) fn try_take(&mut self, bytes: usize) -> Option<Room> {
        let (rows, held) = self.in_flight();
        // Others only give back in between, so that what is free now stays free.
        if rows >= self.max_rows || (rows > 0 && held.saturating_add(bytes) > self.max_bytes) {
            return None;
        }
        self.taken.rows.fetch_add(1, Ordering::Relaxed);
        self.taken.bytes.fetch_add(bytes, Ordering::Relaxed);
        Some(Room {
            taken: self.taken.clone(),
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_bytes_are_both_bounded() {
        let mut intake = Intake::new(2, 1024);
        let first = intake.try_take(600).unwrap();
        assert!(intake.try_take(600).is_none());
        let second = intake.try_take(100).unwrap();
        assert!(intake.try_take(1).is_none());
        assert_eq!(intake.in_flight(), (2, 700));
        drop(second);
        assert_eq!(intake.in_flight(), (1, 600));
        drop(first);
        assert_eq!(intake.in_flight(), (0, 0));
    }

    #[test]
    fn a_record_larger_than_the_bound_waits_until_it_is_alone() {
        let mut intake = Intake::new(2, 1024);
        let first = intake.try_take(1).unwrap();
        assert!(intake.try_take(1 << 40).is_none());
        drop(first);
        let large = intake.try_take(1 << 40).unwrap();
        assert!(intake.try_take(1).is_none());
        drop(large);
        assert!(intake.try_take(1).is_some());
    }
}
