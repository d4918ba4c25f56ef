//! Log lines on standard error, bounded in number: one source of lines cannot drown the rest.

use crate::cli::{LogFormat, LogLevel};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Lines that one place in the code may write in a [`WINDOW`].
const BURST: u32 = 20;
/// Length of the window.
const WINDOW: Duration = Duration::from_secs(10);

/// Counts the lines that were left out since it was last asked.
#[derive(Debug, Clone, Default)]
pub struct LeftOut(Arc<AtomicU64>);

impl LeftOut {
    /// The number of lines left out since the last call.
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Sends `tracing` events to standard error. Called once, by the binary.
pub fn start(format: LogFormat, level: LogLevel) -> LeftOut {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let left_out = LeftOut::default();
    let limit = RateLimit::new(left_out.clone());
    // The clients tell at INFO what only their authors need.
    let clients = if level == LevelFilter::INFO {
        LevelFilter::WARN
    } else {
        level
    };
    let targets = Targets::new()
        .with_default(clients)
        .with_target("millstream", level);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        LogFormat::Pretty => layer
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    // A subscriber that is there already (a test's) stays.
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(targets.and(limit)))
        .try_init();
    left_out
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    lines: u32,
}

/// Lets [`BURST`] lines per place and [`WINDOW`] through. The places are those in the code, so the map is bounded.
#[derive(Debug)]
struct RateLimit {
    windows: Mutex<HashMap<Identifier, Window>>,
    left_out: LeftOut,
}

impl RateLimit {
    fn new(left_out: LeftOut) -> Self {
        Self {
            windows: Mutex::default(),
            left_out,
        }
    }

    fn allow(&self, place: Identifier, now: Instant) -> bool {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Window {
            began: now,
            lines: 0,
        };
        let window = windows.entry(place).or_insert(fresh);
        if now.duration_since(window.began) >= WINDOW {
            *window = fresh;
        }
        window.lines = window.lines.saturating_add(1);
        let allowed = window.lines <= BURST;
        if !allowed {
            self.left_out.0.fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }
}

impl<S: Subscriber> Filter<S> for RateLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.allow(event.metadata().callsite(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Identifier {
        struct Place;
        impl tracing::Callsite for Place {
            fn set_interest(&self, _: tracing::subscriber::Interest) {}
            fn metadata(&self) -> &Metadata<'_> {
                unreachable!("only its address is used")
            }
        }
        static PLACE: Place = Place;
        tracing::callsite::Identifier(&PLACE)
    }

    #[test]
    fn lines_beyond_the_burst_are_left_out_and_counted_until_the_window_ends() {
        let left_out = LeftOut::default();
        let limit = RateLimit::new(left_out.clone());
        let now = Instant::now();
        let allowed = (0..50).filter(|_| limit.allow(place(), now)).count();
        assert_eq!(allowed, BURST as usize);
        assert_eq!(left_out.take(), 30);
        assert_eq!(left_out.take(), 0);
        assert!(limit.allow(place(), now + WINDOW));
    }
}
