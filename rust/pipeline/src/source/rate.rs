//! No more requests per second than asked for.

use crate::http::Fault;
use std::time::Duration;
use tokio::time::Instant;

/// A limit of the requests of one source, as a token bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Requests per second in the long run; above 0, fractions allowed (`0.1` is one in ten seconds).
    pub per_second: f64,
    /// How many may follow each other at once after a pause; at least 1. Default 1: evenly spaced.
    pub burst: u32,
}

impl RateLimit {
    /// Evenly spaced requests.
    pub fn per_second(per_second: f64) -> Self {
        Self {
            per_second,
            burst: 1,
        }
    }

    pub(super) fn check(self) -> Result<(), Fault> {
        let invalid = |detail: String| Fault::InvalidSetting {
            name: "rate_limit",
            detail,
        };
        // The bounds keep the interval a number of nanoseconds above zero and below a day.
        if !(1e-4..=1e6).contains(&self.per_second) {
            return Err(invalid(format!(
                "per_second is {}; it must lie between 0.0001 and 1000000",
                self.per_second
            )));
        }
        if self.burst == 0 {
            return Err(invalid("burst is 0; the least is 1".to_owned()));
        }
        Ok(())
    }

    fn interval(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.per_second)
    }
}

/// The bucket, kept as the time at which it is full again (the "generic cell rate algorithm").
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    limit: RateLimit,
    full_at: Option<Instant>,
}

impl Bucket {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            full_at: None,
        }
    }

    /// Takes one token and says when it may be used.
    pub(super) fn take(&mut self, now: Instant) -> Instant {
        let interval = self.limit.interval();
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        self.full_at = Some(full_at + interval);
        let saved = interval.saturating_mul(self.limit.burst - 1);
        full_at.checked_sub(saved).map_or(now, |at| at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(limit: RateLimit, pauses: &[u64]) -> Vec<u128> {
        let start = Instant::now();
        let mut bucket = Bucket::new(limit);
        let mut now = start;
        pauses
            .iter()
            .map(|pause| {
                now += Duration::from_millis(*pause);
                now = bucket.take(now);
                (now - start).as_millis()
            })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_spaced_and_bursts_bounded() {
        assert_eq!(
            starts(RateLimit::per_second(5.0), &[0; 4]),
            [0, 200, 400, 600]
        );
        // A pause saves up no more than the burst.
        assert_eq!(
            starts(RateLimit::per_second(5.0), &[0, 5_000, 0]),
            [0, 5_000, 5_200]
        );
        let burst = RateLimit {
            per_second: 10.0,
            burst: 3,
        };
        assert_eq!(starts(burst, &[0, 0, 0, 0, 0]), [0, 0, 0, 100, 200]);
        assert_eq!(starts(RateLimit::per_second(0.5), &[0, 0]), [0, 2_000]);
    }

    #[test]
    fn limits_that_mean_nothing_are_refused() {
        for per_second in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9] {
            assert!(
                RateLimit::per_second(per_second).check().is_err(),
                "{per_second}"
            );
        }
        assert!(
            RateLimit {
                per_second: 1.0,
                burst: 0
            }
            .check()
            .is_err()
        );
        assert!(
            RateLimit {
                per_second: 1e6,
                burst: u32::MAX
            }
            .check()
            .is_ok()
        );
    }
}
