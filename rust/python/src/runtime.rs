//! One tokio runtime per process id, and waiting on it without holding up Python.

use crate::errors::Failure;
use crate::interrupt::Interrupt;
use crate::per_process::PerProcess;
use crate::producer_async::SENDS_AT_ONCE;
use millstream_pipeline::kafka::producer::CHECK_EVERY;
use pyo3::prelude::*;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

static RUNTIME: PerProcess<Runtime> = PerProcess::new();

/// Turns on the runtime's pool of threads that may block.
static SENDS: PerProcess<Semaphore> = PerProcess::new();

/// The runtime of this process, made by the first use.
pub(crate) fn of_process(py: Python<'_>) -> PyResult<Arc<Runtime>> {
    RUNTIME
        .get_or_make(py, || {
            Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("millstream")
                .enable_all()
                .build()
        })
        .map_err(|error| Failure::Runtime(error.to_string()).into())
}

/// What bounds the batches that are sent at once.
pub(crate) fn sends(py: Python<'_>) -> Arc<Semaphore> {
    let Ok(sends) = SENDS.get_or_make(py, || Ok::<_, Infallible>(Semaphore::new(SENDS_AT_ONCE)));
    sends
}

/// Runs a future to its end, detached from the interpreter; a signal drops it and raises.
///
/// The future is made inside of the detached part: it stays on this thread, so it need not be `Send`.
pub(crate) fn block_on<M, F>(py: Python<'_>, make: M) -> PyResult<F::Output>
where
    M: FnOnce() -> F + Send,
    F: Future,
    F::Output: Send,
{
    let runtime = of_process(py)?;
    let mut interrupt = Interrupt::new();
    let output = py.detach(|| {
        runtime.block_on(async {
            let mut future = pin!(make());
            loop {
                tokio::select! {
                    biased;
                    output = &mut future => return Some(output),
                    () = tokio::time::sleep(CHECK_EVERY) => {
                        if interrupt.check() {
                            return None;
                        }
                    }
                }
            }
        })
    });
    crate::log::drain(py);
    match output {
        Some(output) => Ok(output),
        None => Err(interrupt.into_error()),
    }
}
