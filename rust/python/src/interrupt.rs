//! Ctrl-C, Airflow's timeouts and every other signal handler, seen from inside of a long call.

use crate::log;
use millstream_pipeline::kafka::producer::CHECK_EVERY;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use std::time::{Duration, Instant};

/// Rows between two looks at the clock where they are small: a look costs 30 ns, the smallest row 120.
const MOST_ROWS_PER_LOOK: u32 = 16;

/// What rows between two looks may take together; larger ones are followed by a look each.
const ROWS_TAKE: Duration = Duration::from_micros(100);

/// Says when a loop over rows is to look at its signals: by the clock, as one row may cost a million times another.
pub(crate) struct Pulse {
    every: Duration,
    next: Instant,
    looked: Instant,
    /// Rows from one look at the clock to the next, by what the last ones took.
    stride: u32,
    rows: u32,
}

impl Pulse {
    /// For a loop that lets go of the interpreter: attaching to it may mean waiting for other threads.
    pub(crate) fn detached() -> Self {
        Self::every(CHECK_EVERY)
    }

    /// For a loop that holds the interpreter, and with it every other thread of Python.
    pub(crate) fn attached() -> Self {
        Self::every(Duration::from_millis(10))
    }

    fn every(every: Duration) -> Self {
        let now = Instant::now();
        Self {
            every,
            next: now + every,
            looked: now,
            stride: 1,
            rows: 0,
        }
    }

    /// To be asked for each row.
    pub(crate) fn is_due(&mut self) -> bool {
        self.rows += 1;
        if self.rows < self.stride {
            return false;
        }
        let now = Instant::now();
        let took = now.saturating_duration_since(self.looked) / self.rows;
        self.stride = if took * MOST_ROWS_PER_LOOK < ROWS_TAKE {
            MOST_ROWS_PER_LOOK
        } else {
            1
        };
        (self.looked, self.rows) = (now, 0);
        let due = now >= self.next;
        if due {
            self.next = now + self.every;
        }
        due
    }
}

/// Lets Python run its signal handlers, and keeps what they raised.
///
/// Python runs handlers in its main thread only; in any other thread this just lets log lines through.
pub(crate) struct Interrupt {
    error: Option<PyErr>,
}

impl Interrupt {
    pub(crate) fn new() -> Self {
        Self { error: None }
    }

    /// True when a handler raised, now or before: the call must end.
    pub(crate) fn check(&mut self) -> bool {
        if self.error.is_some() {
            return true;
        }
        // No interpreter any more: it is shutting down, and nobody waits for this call.
        Python::try_attach(|py| {
            log::drain(py);
            self.error = py.check_signals().err();
            self.error.is_some()
        })
        .unwrap_or(true)
    }

    /// What the handler raised.
    pub(crate) fn into_error(self) -> PyErr {
        self.error
            .unwrap_or_else(|| PyKeyboardInterrupt::new_err("the interpreter is shutting down"))
    }

    /// What the handler raised, if one did.
    pub(crate) fn take(&mut self) -> Option<PyErr> {
        self.error.take()
    }
}
