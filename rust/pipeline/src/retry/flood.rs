//! The flood pause: one bad record goes to the dead letters, two hundred in a row are a bad configuration.
//!
//! A registry that came back empty, a table that refuses everything, a program with a bug: each would send the whole topic
//! to the dead letters. After [`LIMIT`] configuration-like faults with no success between them the pipeline holds, and one
//! record is tried every [`PROBE_EVERY`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// Configuration-like faults in a row after which the pipeline holds.
pub(super) const LIMIT: u32 = 200;
/// Time between two probes of a pipeline that holds.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(30);

/// What to do with a record that failed in a configuration-like way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it to the dead letters.
    DeadLetter,
    /// Keep it and try again when it is its turn.
    Hold,
}

/// The pure rule.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Flood {
    in_a_row: u32,
}

impl Flood {
    /// A record succeeded.
    pub fn success(&mut self) {
        self.in_a_row = 0;
    }

    /// A record failed in a configuration-like way.
    pub fn fault(&mut self) -> Verdict {
        if self.in_a_row >= LIMIT {
            return Verdict::Hold;
        }
        self.in_a_row += 1;
        Verdict::DeadLetter
    }

    /// Whether the pipeline holds.
    pub fn holds(&self) -> bool {
        self.in_a_row >= LIMIT
    }
}

/// The rule shared by the records in flight, with the waiting.
#[derive(Debug)]
pub struct FloodGate {
    flood: Mutex<Flood>,
    /// There was a fault since the last success. Changed under the lock of `flood`, read without it.
    faulty: AtomicBool,
    holding: watch::Sender<bool>,
    probe: tokio::sync::Mutex<()>,
}

impl Default for FloodGate {
    fn default() -> Self {
        Self {
            flood: Mutex::default(),
            faulty: AtomicBool::new(false),
            holding: watch::Sender::new(false),
            probe: tokio::sync::Mutex::new(()),
        }
    }
}

impl FloodGate {
    /// Whether the pipeline holds.
    pub fn holds(&self) -> bool {
        // The usual case takes no lock: without a fault nothing is held.
        self.faulty.load(Ordering::Relaxed) && *self.holding.borrow()
    }

    /// A record succeeded: whatever was held may go on.
    pub fn success(&self) {
        if !self.faulty.load(Ordering::Relaxed) {
            return;
        }
        let mut flood = self.flood.lock().unwrap_or_else(PoisonError::into_inner);
        flood.success();
        self.faulty.store(false, Ordering::Relaxed);
        self.holding
            .send_if_modified(|holding| std::mem::replace(holding, false));
    }

    /// A record failed in a configuration-like way.
    pub fn fault(&self) -> Verdict {
        let mut flood = self.flood.lock().unwrap_or_else(PoisonError::into_inner);
        self.faulty.store(true, Ordering::Relaxed);
        let verdict = flood.fault();
        if verdict == Verdict::Hold {
            self.holding
                .send_if_modified(|holding| !std::mem::replace(holding, true));
        }
        verdict
    }

    /// Waits until a held record may be tried again: as the probe, or because another one succeeded.
    pub async fn turn(&self) {
        let mut state = self.holding.subscribe();
        let probe = async {
            let _probing = self.probe.lock().await;
            sleep(PROBE_EVERY).await;
        };
        tokio::select! {
            () = probe => {}
            _ = state.wait_for(|holding| !holding) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    proptest! {
        #[test]
        fn never_more_than_the_limit_in_a_row_reach_the_dead_letters(events in prop::collection::vec(prop::bool::weighted(0.99), 0..1500)) {
            let mut flood = Flood::default();
            let mut dead = 0;
            for fault in events {
                if fault {
                    let verdict = flood.fault();
                    prop_assert_eq!(verdict == Verdict::Hold, dead == LIMIT);
                    dead += u32::from(verdict == Verdict::DeadLetter);
                } else {
                    flood.success();
                    dead = 0;
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn held_records_go_on_after_one_success() {
        let gate = Arc::new(FloodGate::default());
        for _ in 0..LIMIT {
            assert_eq!(gate.fault(), Verdict::DeadLetter);
        }
        assert_eq!(gate.fault(), Verdict::Hold);
        assert!(gate.holds());
        let held = tokio::spawn({
            let gate = gate.clone();
            async move { gate.turn().await }
        });
        tokio::task::yield_now().await;
        gate.success();
        held.await.unwrap();
        assert!(!gate.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn one_record_is_tried_every_thirty_seconds() {
        let gate = Arc::new(FloodGate::default());
        for _ in 0..=LIMIT {
            gate.fault();
        }
        let start = tokio::time::Instant::now();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let gate = gate.clone();
                tokio::spawn(async move {
                    gate.turn().await;
                    tokio::time::Instant::now() - start
                })
            })
            .collect();
        let mut turns = Vec::new();
        for task in tasks {
            turns.push(task.await.unwrap().as_secs());
        }
        turns.sort_unstable();
        assert_eq!(turns, [30, 60, 90]);
    }
}
