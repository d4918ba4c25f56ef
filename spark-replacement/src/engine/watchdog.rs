//! The stall watchdog: a process that lives but does nothing, and nothing explains why, should be restarted.

use std::sync::Arc;
use std::time::Duration;

use millstream_pipeline::telemetry::{PipelineTelemetry, Progress, Telemetry};
use tokio::time::{Instant, interval};

/// How long nothing may move. Longer than any wait that is meant (a sink's request, a drain, a commit without coordinator).
const STALL: Duration = Duration::from_mins(2);
/// Time between two looks.
const LOOK: Duration = Duration::from_secs(5);

/// One pipeline's watch. Pure: time and facts are given.
#[derive(Debug)]
struct Watch {
    seen: Progress,
    polled: Instant,
    settled: Instant,
}

impl Watch {
    fn new(now: Instant) -> Self {
        Self {
            seen: Progress::default(),
            polled: now,
            settled: now,
        }
    }

    /// Why the pipeline counts as stalled, if it does. Time that something explains (a dependency that is down, a pause, a
    /// fault in the configuration) does not count.
    fn look(&mut self, now: Instant, progress: Progress, explained: bool) -> Option<String> {
        if explained || progress.polls != self.seen.polls {
            self.polled = now;
        }
        if explained || progress.settled != self.seen.settled || progress.in_flight == 0 {
            self.settled = now;
        }
        self.seen = progress;
        let seconds = |since: Instant| now.duration_since(since).as_secs();
        if now.duration_since(self.polled) >= STALL {
            return Some(format!("no poll for {} s", seconds(self.polled)));
        }
        (now.duration_since(self.settled) >= STALL).then(|| {
            format!(
                "{} records in flight and none settled for {} s",
                progress.in_flight,
                seconds(self.settled)
            )
        })
    }
}

/// Watches all pipelines until dropped; says what it finds to `/livez`.
pub(super) async fn watch(telemetry: Arc<Telemetry>, pipelines: Vec<Arc<PipelineTelemetry>>) {
    let now = Instant::now();
    let mut watches: Vec<_> = pipelines
        .into_iter()
        .map(|pipeline| (pipeline, Watch::new(now)))
        .collect();
    let mut looks = interval(LOOK);
    loop {
        looks.tick().await;
        let now = Instant::now();
        let explained = telemetry.status().troubled();
        let stalled = watches.iter_mut().filter_map(|(pipeline, watch)| {
            let reason = watch.look(now, pipeline.progress(), explained)?;
            Some(format!("pipeline {}: {reason}", pipeline.name()))
        });
        let stalled: Vec<_> = stalled.collect();
        telemetry
            .status()
            .stalled((!stalled.is_empty()).then(|| stalled.join("; ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(polls: u64, settled: u64, in_flight: u64) -> Progress {
        Progress {
            polls,
            settled,
            in_flight,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_time_that_nothing_explains_counts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watch = Watch::new(start);
        assert_eq!(watch.look(at(60), progress(1, 0, 3), false), None);
        assert_eq!(watch.look(at(119), progress(2, 0, 3), false), None);
        let reason = watch.look(at(180), progress(3, 0, 3), false);
        assert_eq!(
            reason.as_deref(),
            Some("3 records in flight and none settled for 180 s")
        );
        assert_eq!(watch.look(at(200), progress(4, 0, 3), true), None);
        assert_eq!(watch.look(at(300), progress(5, 0, 3), false), None);
        assert_eq!(watch.look(at(301), progress(6, 1, 3), false), None);
        assert_eq!(watch.look(at(500), progress(7, 1, 0), false), None);
        let reason = watch.look(at(620), progress(7, 1, 0), false);
        assert_eq!(reason.as_deref(), Some("no poll for 120 s"));
    }
}
