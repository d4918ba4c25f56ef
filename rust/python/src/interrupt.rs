//! Ctrl-C, Airflow's timeouts and every other signal handler, seen from inside of a long call.

use crate::log;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

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
