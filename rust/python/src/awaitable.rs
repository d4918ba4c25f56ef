//! Awaitables for asyncio, on the runtime of this process.
//!
//! pyo3-async-runtimes' generic half spawns where it is told to: here on the per-process runtime, so that there is no
//! second one, and a forked child spawns on its own.

use crate::{log, runtime, settling};
use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt, JoinError, Runtime};
use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll};

tokio::task_local! {
    static LOCALS: TaskLocals;
}

/// What a future gives, as an `asyncio.Future` of the running loop. Cancelling that drops the Rust future.
///
/// The future runs on native threads and must not attach to the interpreter: its output is turned into a Python object, or
/// an exception, where that is done.
pub(crate) fn awaitable<F>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future + Send + 'static,
    F::Output: for<'py> IntoPyObject<'py> + Send + 'static,
{
    settling::end_with_python(py)?;
    let runtime = runtime::of_process(py)?;
    let _entered = runtime.enter();
    generic::future_into_py::<ProcessRuntime, _, _>(py, async { Ok(future.await) })
}

/// The runtime that the calling thread has entered; tasks on it are inside of it already.
struct ProcessRuntime;

impl Runtime for ProcessRuntime {
    type JoinError = Broken;
    type JoinHandle = Joining;

    fn spawn<F>(future: F) -> Joining
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Joining(tokio::spawn(future))
    }

    /// Called with what attaches to the interpreter in order to settle a Python future, and with nothing else.
    fn spawn_blocking<F>(settle: F) -> Joining
    where
        F: FnOnce() + Send + 'static,
    {
        Joining(tokio::task::spawn_blocking(|| {
            // Attaching inside of it cannot fail.
            settling::attached(|py| {
                log::drain(py);
                settle();
            });
        }))
    }
}

impl ContextExt for ProcessRuntime {
    fn scope<F, R>(locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(LOCALS.scope(locals, future))
    }

    fn get_task_locals() -> Option<TaskLocals> {
        LOCALS.try_with(Clone::clone).ok()
    }
}

/// A task's end.
struct Joining(tokio::task::JoinHandle<()>);

impl Future for Joining {
    type Output = Result<(), Broken>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(Broken)
    }
}

/// A task that panicked or was dropped with its runtime.
struct Broken(tokio::task::JoinError);

impl JoinError for Broken {
    fn is_panic(&self) -> bool {
        self.0.is_panic()
    }

    fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        self.0.into_panic()
    }
}
