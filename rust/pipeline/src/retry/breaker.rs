//! One circuit breaker per dependency: when it is down, one caller asks and the others wait.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// Transient failures in a row after which the breaker opens.
const OPEN_AFTER: u32 = 5;
/// Longest time between two probes of an open breaker.
const PROBE_CAP: Duration = Duration::from_secs(5);
/// Shortest time between two probes.
const PROBE_BASE: Duration = Duration::from_millis(250);

/// Closed: everybody may try. Open: one probe at a time, with growing distance.
#[derive(Debug)]
pub struct Breaker {
    /// Failures in a row. Changed only under `change`, as `open` is: a success and a failure at the same time must not
    /// leave it open with nothing counted, which no later success would close.
    failures: AtomicU32,
    change: Mutex<()>,
    open: watch::Sender<bool>,
    probe: tokio::sync::Mutex<()>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: AtomicU32::new(0),
            change: Mutex::new(()),
            open: watch::Sender::new(false),
            probe: tokio::sync::Mutex::new(()),
        }
    }
}

impl Breaker {
    /// Whether the dependency counts as down.
    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Waits until the caller may try. Returns at once while closed.
    pub async fn permit(&self) {
        if !self.is_open() {
            return;
        }
        let mut state = self.open.subscribe();
        tokio::select! {
            // The one that holds the probe lock tries after its delay; the lock is free again for the next probe.
            () = self.turn() => {}
            // An error means that the breaker is gone, and then nobody is left to wait for.
            _ = state.wait_for(|open| !open) => {}
        }
    }

    async fn turn(&self) {
        let _probing = self.probe.lock().await;
        let failures = self
            .failures
            .load(Ordering::Relaxed)
            .saturating_sub(OPEN_AFTER);
        sleep(
            PROBE_BASE
                .saturating_mul(1 << failures.min(8))
                .min(PROBE_CAP),
        )
        .await;
    }

    /// The dependency answered (a refusal is an answer too). `closed` runs when this closed the breaker, before anybody
    /// can open it again.
    pub fn success(&self, closed: impl FnOnce()) {
        // The usual case takes no lock: nothing failed, so it is closed.
        if self.failures.load(Ordering::Relaxed) == 0 {
            return;
        }
        let _change = self.change();
        self.failures.store(0, Ordering::Relaxed);
        if self
            .open
            .send_if_modified(|open| std::mem::replace(open, false))
        {
            closed();
        }
    }

    /// The dependency did not answer. `opened` runs when this opened the breaker, before anybody can close it.
    pub fn failure(&self, opened: impl FnOnce()) {
        let _change = self.change();
        let failures = self.failures.load(Ordering::Relaxed).saturating_add(1);
        self.failures.store(failures, Ordering::Relaxed);
        if failures >= OPEN_AFTER
            && self
                .open
                .send_if_modified(|open| !std::mem::replace(open, true))
        {
            opened();
        }
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn an_open_breaker_lets_one_through_at_a_time() {
        let breaker = Arc::new(Breaker::default());
        for _ in 0..4 {
            breaker.failure(|| panic!("opened too early"));
        }
        breaker.permit().await;
        breaker.failure(|| {});
        assert!(breaker.is_open());

        let start = Instant::now();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let breaker = breaker.clone();
                tokio::spawn(async move {
                    breaker.permit().await;
                    Instant::now() - start
                })
            })
            .collect();
        let mut delays = Vec::new();
        for task in waiting {
            delays.push(task.await.unwrap());
        }
        delays.sort();
        assert_eq!(delays, [250, 500, 750].map(Duration::from_millis));
    }

    #[tokio::test(start_paused = true)]
    async fn one_success_lets_everybody_through() {
        let breaker = Arc::new(Breaker::default());
        for _ in 0..6 {
            breaker.failure(|| {});
        }
        let waiting = tokio::spawn({
            let breaker = breaker.clone();
            async move { breaker.permit().await }
        });
        tokio::task::yield_now().await;
        breaker.success(|| {});
        waiting.await.unwrap();
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn probes_come_at_most_five_seconds_apart() {
        let breaker = Breaker::default();
        for _ in 0..40 {
            breaker.failure(|| {});
        }
        let start = Instant::now();
        breaker.permit().await;
        assert_eq!(Instant::now() - start, PROBE_CAP);
    }

    /// Successes and failures from many threads: whatever their order, one success closes it.
    #[test]
    fn a_success_closes_it_whatever_happened_at_the_same_time() {
        for _ in 0..200 {
            let breaker = Breaker::default();
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let breaker = &breaker;
                    scope.spawn(move || {
                        for _ in 0..20 {
                            if thread % 2 == 0 {
                                breaker.failure(|| {});
                            } else {
                                breaker.success(|| {});
                            }
                        }
                    });
                }
            });
            breaker.success(|| {});
            assert!(!breaker.is_open());
        }
    }
}
