//! A purge of librdkafka, from its beginning to its end.
//!
//! librdkafka purges in two steps: what waits for a broker's thread is thrown away at once, and each of those threads throws
//! away what it has itself when it comes to it. One that compresses, or looks up a name, comes to it late, and takes what was
//! queued since along. Who queues records therefore waits until every thread has been there.

use rdkafka::producer::PurgeConfig;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// What no request holds yet.
    Queued,
    /// And what is on the wire.
    AlsoSent,
}

impl What {
    pub(super) fn config(self) -> PurgeConfig {
        let queued = PurgeConfig::default().queue();
        match self {
            Self::Queued => queued,
            Self::AlsoSent => queued.inflight(),
        }
    }
}

/// The purges of one client, which run one after the other.
#[derive(Debug, Default)]
pub(super) struct Purging {
    state: Mutex<State>,
    over: Condvar,
    /// As the state's, for those who ask once a record.
    runs: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    runs: bool,
    asked: Option<What>,
}

impl Purging {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Two plain fields: a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a purge; true when the caller is to have somebody [run](Self::run) it.
    pub(super) fn ask(&self, what: What) -> bool {
        let mut state = self.lock();
        state.asked = state.asked.max(Some(what));
        let first = !std::mem::replace(&mut state.runs, true);
        self.runs.store(true, Ordering::Release);
        first
    }

    /// Runs what was asked for, and what is asked for meanwhile.
    pub(super) fn run(&self, mut purge: impl FnMut(What)) {
        while let Some(what) = self.next() {
            purge(what);
        }
    }

    fn next(&self) -> Option<What> {
        let mut state = self.lock();
        let next = state.asked.take();
        if next.is_none() {
            state.runs = false;
            self.runs.store(false, Ordering::Release);
            self.over.notify_all();
        }
        next
    }

    /// Whether none is under way; costs one load.
    pub(super) fn is_over(&self) -> bool {
        !self.runs.load(Ordering::Acquire)
    }

    /// Waits until none is under way, at most `wait`; true when that is so.
    pub(super) fn wait(&self, wait: Duration) -> bool {
        let (state, _) = self
            .over
            .wait_timeout_while(self.lock(), wait, |state| state.runs)
            .unwrap_or_else(PoisonError::into_inner);
        !state.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_during_a_purge_is_run_by_it() {
        let purging = Purging::default();
        assert!(purging.is_over());
        assert!(purging.ask(What::Queued));
        assert!(!purging.ask(What::AlsoSent));
        assert!(!purging.is_over());
        let mut seen = Vec::new();
        purging.run(|what| {
            seen.push(what);
            if seen.len() == 1 {
                assert!(!purging.ask(What::Queued));
            }
            assert!(!purging.wait(Duration::ZERO));
        });
        assert_eq!(seen, [What::AlsoSent, What::Queued]);
        assert!(purging.is_over() && purging.wait(Duration::ZERO));
        assert!(purging.ask(What::Queued));
    }
}
