//! Back-pressure: how many records, and how many of their bytes, may be in flight.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per permit of the byte semaphore, so that limits beyond 4 GiB fit too.
const UNIT: usize = 256;

/// The bound. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Intake {
    rows: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    max_rows: usize,
    max_units: u32,
}

/// Room for one record; given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    _row: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Intake {
    pub(super) fn new(rows: usize, bytes: usize) -> Self {
        let max_units = u32::try_from((bytes / UNIT).max(1)).unwrap_or(u32::MAX);
        let max_rows = rows.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            rows: Arc::new(Semaphore::new(max_rows)),
            bytes: Arc::new(Semaphore::new(max_units as usize)),
            max_rows,
            max_units,
        }
    }

    /// Records that hold room, and about how many bytes they hold.
    pub(super) fn in_flight(&self) -> (usize, usize) {
        let units = (self.max_units as usize).saturating_sub(self.bytes.available_permits());
        (
            self.max_rows.saturating_sub(self.rows.available_permits()),
            units * UNIT,
        )
    }

    /// Room for a record of `size` bytes, if there is any. One larger than the whole bound waits until it is alone.
    pub(super) fn try_take(&self, size: usize) -> Option<Room> {
        let units = u32::try_from(size.div_ceil(UNIT).max(1))
            .unwrap_or(u32::MAX)
            .min(self.max_units);
        let row = self.rows.clone().try_acquire_owned().ok()?;
        let bytes = self.bytes.clone().try_acquire_many_owned(units).ok()?;
        Some(Room {
            _row: row,
            _bytes: bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_bytes_are_both_bounded() {
        let intake = Intake::new(2, 1024);
        let first = intake.try_take(600).unwrap();
        assert!(intake.try_take(600).is_none());
        let second = intake.try_take(100).unwrap();
        assert!(intake.try_take(1).is_none());
        assert_eq!(intake.in_flight(), (2, 1024));
        drop((first, second));
        assert!(intake.try_take(1 << 40).is_some());
    }
}
