//! Rust's `tracing` events reach Python's `logging`.
//!
//! Native threads must not wait for the GIL, so they only put lines into a bounded buffer; the Python threads that call
//! into this package take them out, at least every 25 ms while a call lasts. While something is awaited, a thread that may
//! wait does, every 100 ms if there are any. When the buffer is full, lines are counted and dropped.

use pyo3::prelude::*;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Lines that wait at most; one is some 200 bytes.
const CAPACITY: usize = 1_000;

struct Line {
    level: Level,
    target: &'static str,
    text: String,
}

struct Buffer {
    pid: u32,
    lines: Mutex<Lines>,
    /// A thread waits for the interpreter to hand the lines over.
    drains: AtomicBool,
}

#[derive(Default)]
struct Lines {
    waiting: VecDeque<Line>,
    dropped: u64,
}

impl Lines {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.dropped == 0
    }
}

/// Replaced, not locked, after a fork: another thread of the parent may have held the lock at that moment.
static BUFFER: AtomicPtr<Buffer> = AtomicPtr::new(std::ptr::null_mut());

fn buffer() -> &'static Buffer {
    let pid = std::process::id();
    let current = BUFFER.load(Ordering::Acquire);
    // SAFETY: the pointer is null or came from Box::into_raw below; a published buffer is never freed.
    if let Some(buffer) = unsafe { current.as_ref() }
        && buffer.pid == pid
    {
        return buffer;
    }
    let fresh = Box::into_raw(Box::new(Buffer {
        pid,
        lines: Mutex::default(),
        drains: AtomicBool::new(false),
    }));
    match BUFFER.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: we just made it, and published it for good.
        Ok(_) => unsafe { &*fresh },
        Err(other) => {
            // SAFETY: `fresh` was not published, so we own it alone; `other` was published by another thread of this
            // process, hence is never freed.
            unsafe {
                drop(Box::from_raw(fresh));
                &*other
            }
        }
    }
}

/// Makes this module the receiver of this library's events. Starts nothing.
pub(crate) fn install() {
    let subscriber = tracing_subscriber::registry().with(ToPython);
    // A second import (a subinterpreter) finds it set: the same buffer serves both.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct ToPython;

impl<S: Subscriber> Layer<S> for ToPython {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // What libraries tell in detail concerns their authors; ours is Python's to filter.
        *metadata.level() <= Level::INFO
            || (*metadata.level() <= Level::DEBUG && metadata.target().starts_with("millstream"))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let line = Line {
            level: *event.metadata().level(),
            target: event.metadata().target(),
            text: text.finish(),
        };
        let mut lines = buffer()
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if lines.waiting.len() < CAPACITY {
            lines.waiting.push_back(line);
        } else {
            lines.dropped += 1;
        }
    }
}

/// The message, then `name=value` for each field.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn finish(mut self) -> String {
        self.message.push_str(&self.fields);
        self.message
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

/// Has `spawn` hand the waiting lines over on a thread that may wait for the interpreter; one at a time is enough.
pub(crate) fn drain_in_turn(spawn: impl FnOnce(Box<dyn FnOnce(Python<'_>) + Send>)) {
    let buffer = buffer();
    let is_empty = buffer
        .lines
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_empty();
    if is_empty || buffer.drains.swap(true, Ordering::AcqRel) {
        return;
    }
    let turn = Turn(buffer);
    spawn(Box::new(move |py| {
        drain(py);
        drop(turn);
    }));
}

/// Given back when the lines were handed over, or when nobody will.
struct Turn(&'static Buffer);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.drains.store(false, Ordering::Release);
    }
}

/// Hands the waiting lines to `logging`.
pub(crate) fn drain(py: Python<'_>) {
    let (waiting, dropped) = {
        let mut lines = buffer()
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return;
        }
        (
            std::mem::take(&mut lines.waiting),
            std::mem::take(&mut lines.dropped),
        )
    };
    let result = (|| -> PyResult<()> {
        let logging = py.import("logging")?;
        let emit = |target: &str, level: u8, text: &str| -> PyResult<()> {
            let logger = logging.call_method1("getLogger", (logger_name(target),))?;
            logger.call_method1("log", (level, "%s", text))?;
            Ok(())
        };
        for line in &waiting {
            emit(line.target, python_level(line.level), &line.text)?;
        }
        if dropped > 0 {
            emit(
                "millstream",
                30,
                &format!("{dropped} log lines were dropped: too many at once"),
            )?;
        }
        Ok(())
    })();
    if let Err(error) = result {
        // A handler that raises is the application's own affair; it must not fail a delivery.
        error.write_unraisable(py, None);
    }
}

fn python_level(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG | Level::TRACE => 10,
    }
}

/// `millstream_pipeline::source::fetch` and `millstream::kafka` are `millstream.source.fetch` and `millstream.kafka`.
fn logger_name(target: &str) -> String {
    let mut parts = target.split("::");
    let first = parts.next().unwrap_or_default();
    let first = if first.starts_with("millstream") {
        "millstream"
    } else {
        first
    };
    std::iter::once(first)
        .chain(parts)
        .collect::<Vec<_>>()
        .join(".")
}
