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
    asked: Mutex<Option<What>>,
    over: Condvar,
    /// Changed under the lock of `asked`, read without it by those who ask once a record.
    runs: AtomicBool,
}

impl Purging {
    fn lock(&self) -> MutexGuard<'_, Option<What>> {
        // A plain value: a panic elsewhere leaves nothing half done.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a purge; true when the caller is to have somebody [run](Self::run) it.
    pub(super) fn ask(&self, what: What) -> bool {
        let mut asked = self.lock();
        *asked = (*asked).max(Some(what));
        !self.runs.swap(true, Ordering::AcqRel)
    }

    /// Runs what was asked for, and what is asked for meanwhile.
    pub(super) fn run(&self, mut purge: impl FnMut(What)) {
        while let Some(what) = self.next() {
            purge(what);
        }
    }

    fn next(&self) -> Option<What> {
        let mut asked = self.lock();
        let next = asked.take();
        if next.is_none() {
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
        let _waited = self
            .over
            .wait_timeout_while(self.lock(), wait, |_| !self.is_over())
            .unwrap_or_else(PoisonError::into_inner);
        self.is_over()
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
