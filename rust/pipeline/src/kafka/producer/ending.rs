//! The clients of this process that were let go and still end, on threads that nobody waits for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The process id in the upper half (a forked child has none of these threads), and how many clients end.
static ENDING: AtomicU64 = AtomicU64::new(0);

fn change(change: impl Fn(u64) -> u64) {
    let pid = u64::from(std::process::id()) << 32;
    // The closure always gives a value, so this cannot fail.
    let _ = ENDING.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
        Some(pid | change(own(word)))
    });
}

fn own(word: u64) -> u64 {
    if word >> 32 == u64::from(std::process::id()) {
        word & u64::from(u32::MAX)
    } else {
        0
    }
}

/// Waits until every client that was dropped has ended, at most `wait`; true when all have.
///
/// For the end of a process: what a library cleans up there must not be in use by a client's threads.
pub fn wait_ended(wait: Duration) -> bool {
    let deadline = Instant::now() + wait;
    while own(ENDING.load(Ordering::Acquire)) > 0 {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Counts a client from when it is let go until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Ending(AtomicBool);

impl Ending {
    pub(super) fn begin(&self) {
        if !self.0.swap(true, Ordering::Relaxed) {
            change(|count| count + 1);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if *self.0.get_mut() {
            change(|count| count.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_was_let_go_is_waited_for() {
        let client = Ending::default();
        assert!(wait_ended(Duration::ZERO));
        client.begin();
        client.begin();
        assert!(!wait_ended(Duration::ZERO));
        drop(client);
        assert!(wait_ended(Duration::ZERO));
    }
}
