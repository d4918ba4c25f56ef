//! Trying again: how often, how long to wait, and when to give up.

use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// How often and how patiently a request is repeated.
///
/// The waits are AWS's "full jitter": a random part of `base * 2^n`, so that many clients do not come back together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Tries in all, the first included; at least 1. Default 5.
    pub max_attempts: u32,
    /// The longest first wait. Default 100 ms.
    pub base: Duration,
    /// The longest wait by backoff. Default 30 s.
    pub cap: Duration,
    /// The longest wait a server may ask for by `Retry-After`; a longer one is cut to this. Default 60 s.
    pub retry_after_cap: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(30),
            retry_after_cap: Duration::from_mins(1),
        }
    }
}

impl Retry {
    /// The wait after the `attempt`-th try (from 1) failed. `unit` is a random number in 0..1.
    ///
    /// A wait the server asked for is kept as it is; one of zero says nothing and falls back to the backoff.
    pub fn wait(&self, attempt: u32, asked: Option<Duration>, unit: f64) -> Duration {
        if let Some(asked) = asked.filter(|asked| !asked.is_zero()) {
            return asked.min(self.retry_after_cap);
        }
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.base
            .saturating_mul(doubled)
            .min(self.cap)
            .mul_f64(unit.clamp(0.0, 1.0))
    }
}

/// Whether a status is worth another try: 408, 425, 429 and the server's own faults.
pub fn is_retried_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

/// Reads a `Retry-After` header (RFC 9110 section 10.2.3): seconds, or a date, seen from `now`.
///
/// `None` for anything else, negative numbers included; zero for a date that has passed.
pub fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a u64 holds still mean "very long".
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// One try that failed.
#[derive(Debug)]
pub(crate) struct Failure<E> {
    pub(crate) error: E,
    pub(crate) again: bool,
    pub(crate) asked: Option<Duration>,
}

/// Why there is no result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GaveUp<E> {
    /// The caller asked to stop.
    Stopped { attempts: u32 },
    /// The last try's error, and how many there were.
    Failed { error: E, attempts: u32 },
}

/// Runs `attempt` until it succeeds, fails for good, or the tries are used up; returns at once when `stop` is cancelled.
///
/// `before_wait` is told why a try failed, its number (from 1), and how long the wait for the next one is.
/// A try that is under way is dropped on stop: only for requests that may be repeated.
pub(crate) async fn run<T, E, F>(
    retry: &Retry,
    mut jitter: impl FnMut() -> f64,
    stop: &CancellationToken,
    mut attempt: impl FnMut() -> F,
    mut before_wait: impl FnMut(&E, u32, Duration),
) -> Result<T, GaveUp<E>>
where
    F: Future<Output = Result<T, Failure<E>>>,
{
    let mut attempts = 0;
    loop {
        attempts += 1;
        let failure = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(GaveUp::Stopped { attempts: attempts - 1 }),
            result = attempt() => match result {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            },
        };
        if !failure.again || attempts >= retry.max_attempts {
            let error = failure.error;
            return Err(GaveUp::Failed { error, attempts });
        }
        let wait = retry.wait(attempts, failure.asked, jitter());
        before_wait(&failure.error, attempts, wait);
        tokio::select! {
            biased;
            () = stop.cancelled() => return Err(GaveUp::Stopped { attempts }),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::time::Instant;

    fn failing(asked: Option<u64>, again: bool) -> Result<(), Failure<&'static str>> {
        Err(Failure {
            error: "no",
            again,
            asked: asked.map(Duration::from_secs),
        })
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (value, expected) in [
            ("3", Some(3)),
            (" 0 ", Some(0)),
            ("1000000000", Some(1_000_000_000)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("Sun, 99 Nov 1994 08:49:07 GMT", None),
        ] {
            assert_eq!(
                parse_retry_after(value, now),
                expected.map(Duration::from_secs),
                "{value:?}"
            );
        }
    }

    #[test]
    fn the_retried_statuses() {
        let retried: Vec<u16> = (100..600).filter(|&s| is_retried_status(s)).collect();
        let expected: Vec<u16> = [408, 425, 429].into_iter().chain(500..600).collect();
        assert_eq!(retried, expected);
    }

    proptest! {
        #[test]
        fn waits_stay_within_their_caps(attempt: u32, asked: Option<u64>, unit in 0.0..1.0) {
            let retry = Retry::default();
            let asked = asked.map(Duration::from_secs);
            let wait = retry.wait(attempt, asked, unit);
            prop_assert!(wait <= retry.cap.max(retry.retry_after_cap));
            if asked.is_none() {
                prop_assert!(wait <= retry.cap);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_the_tries_end() {
        let (retry, stop) = (Retry::default(), CancellationToken::new());
        let start = Instant::now();
        let (mut times, mut told) = (Vec::new(), Vec::new());
        let result = run(
            &retry,
            || 1.0,
            &stop,
            || {
                times.push(start.elapsed().as_millis());
                async { failing(None, true) }
            },
            |error, attempt, wait| told.push((*error, attempt, wait.as_millis())),
        )
        .await;
        assert_eq!(
            result,
            Err(GaveUp::Failed {
                error: "no",
                attempts: 5
            })
        );
        assert_eq!(times, [0, 100, 300, 700, 1500]);
        // The last try has no wait behind it: it is the error itself.
        let waits = [(1, 100), (2, 200), (3, 400), (4, 800)];
        assert_eq!(told, waits.map(|(attempt, wait)| ("no", attempt, wait)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_may_ask_for_a_bounded_wait() {
        let (retry, stop) = (Retry::default(), CancellationToken::new());
        for (asked, waited) in [(7, 7), (1_000_000_000, 60)] {
            let (start, mut tries) = (Instant::now(), 0);
            let result = run(
                &retry,
                || 0.0,
                &stop,
                || {
                    tries += 1;
                    let result = if tries == 1 {
                        failing(Some(asked), true)
                    } else {
                        Ok(())
                    };
                    async { result }
                },
                |_, _, _| (),
            )
            .await;
            assert_eq!(result, Ok(()));
            assert_eq!(start.elapsed().as_secs(), waited);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_failure_is_not_repeated() {
        let stop = CancellationToken::new();
        let result = run(
            &Retry::default(),
            || 1.0,
            &stop,
            || async { failing(None, false) },
            |_, _, _| (),
        )
        .await;
        assert_eq!(
            result,
            Err(GaveUp::Failed {
                error: "no",
                attempts: 1
            })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn stop_ends_a_wait_and_a_try_at_once() {
        let stop = CancellationToken::new();
        let start = Instant::now();
        let asked = Retry {
            max_attempts: 2,
            ..Retry::default()
        };
        let (result, ()) = tokio::join!(
            run(
                &asked,
                || 1.0,
                &stop,
                || async { failing(Some(50), true) },
                |_, _, _| ()
            ),
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                stop.cancel();
            }
        );
        assert_eq!(result, Err(GaveUp::Stopped { attempts: 1 }));
        assert_eq!(start.elapsed().as_secs(), 1);
        let never = run(
            &asked,
            || 1.0,
            &stop,
            || async { failing(None, true) },
            |_, _, _| (),
        )
        .await;
        assert_eq!(never, Err(GaveUp::Stopped { attempts: 0 }));
    }
}
