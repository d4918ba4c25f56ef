//! Exponential backoff with full jitter.

use std::time::Duration;

/// The delays between attempts: a random part of `base * 2^attempt`, at most `cap`.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempts: u32,
}

impl Backoff {
    /// Delays from `base` up to `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap,
            attempts: 0,
        }
    }

    /// How many delays were given.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The next delay. `chance` is in 0..1; never shorter than a tenth of the bound, so that a loop cannot spin.
    pub fn next(&mut self, chance: f64) -> Duration {
        let bound = self
            .base
            .saturating_mul(1 << self.attempts.min(20))
            .min(self.cap);
        self.attempts = self.attempts.saturating_add(1);
        bound.mul_f64(0.1 + 0.9 * chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_never_vanish() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let delays: Vec<_> = (0..7).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert!(backoff.next(0.0) >= Duration::from_millis(200));
    }
}
