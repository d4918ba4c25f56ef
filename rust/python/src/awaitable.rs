//! Awaitables for asyncio, on the runtime of this process.
//!
//! pyo3-async-runtimes' generic half spawns where it is told to: here on the per-process runtime, so that there is no
//! second one, and a forked child spawns on its own.

use crate::{log, runtime, settling};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt, JoinError, Runtime};
use std::any::Any;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// How long a log line waits while something is awaited.
const LOG_EVERY: Duration = Duration::from_millis(100);

/// What a future gives, as an `asyncio.Future` of the running loop. Cancelling that drops the Rust future.
///
/// The future runs on native threads and must not attach to the interpreter: its output is turned into a Python object, or
/// an exception, where that is done.
pub(crate) fn awaitable<F>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future + Send + 'static,
    F::Output: for<'py> IntoPyObject<'py> + Send + 'static,
{
    awaitable_by(
        py,
        |event_loop| event_loop.call_method0("create_future"),
        future,
    )
}

/// As [`awaitable`], with a future that `make_future` makes for the loop it is given.
pub(crate) fn awaitable_by<'py, F>(
    py: Python<'py>,
    make_future: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
    future: F,
) -> PyResult<Bound<'py, PyAny>>
where
    F: Future + Send + 'static,
    F::Output: for<'any> IntoPyObject<'any> + Send + 'static,
{
    let running = TaskLocals::with_running_loop(py)?.event_loop(py);
    if settling::is_closed() {
        let text = "the interpreter is ending, and nothing that is awaited would come; use produce_batch() or pages()";
        return Err(PyRuntimeError::new_err(text));
    }
    let event_loop = EventLoop {
        future: make_future(&running)?.unbind(),
        running: running.unbind(),
    };
    let locals = TaskLocals::new(Bound::new(py, event_loop)?.into_any());
    settling::end_with_python(py)?;
    let runtime = runtime::of_process(py)?;
    let _entered = runtime.enter();
    generic::future_into_py_with_locals::<ProcessRuntime, _, _>(py, locals, async {
        Ok(logging(future).await)
    })
}

/// Runs a future, and has log lines handed over meanwhile: nobody is attached who would.
async fn logging<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        tokio::select! {
            biased;
            output = &mut future => return output,
            () = tokio::time::sleep(LOG_EVERY) => log::drain_in_turn(|drain| {
                tokio::task::spawn_blocking(move || settling::attached(drain));
            }),
        }
    }
}

/// What of an event loop is needed to settle one future, when there may be no loop any more.
///
/// A loop that was closed meanwhile refuses what is handed to it, which would be printed: but nobody waits for it.
#[pyclass(frozen)]
struct EventLoop {
    running: Py<PyAny>,
    future: Py<PyAny>,
}

#[pymethods]
impl EventLoop {
    fn create_future(&self, py: Python<'_>) -> Py<PyAny> {
        self.future.clone_ref(py)
    }

    #[pyo3(signature = (*arguments, **options))]
    fn call_soon_threadsafe(
        &self,
        py: Python<'_>,
        arguments: &Bound<'_, PyTuple>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let event_loop = self.running.bind(py);
        match event_loop.call_method("call_soon_threadsafe", arguments, options) {
            Err(error) if !event_loop.call_method0("is_closed")?.is_truthy()? => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
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
        Joining(tokio::spawn(OfProcess::new(future)))
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

/// Nothing that runs here asks for the loop it was begun in.
impl ContextExt for ProcessRuntime {
    fn scope<F, R>(_: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(future)
    }

    fn get_task_locals() -> Option<TaskLocals> {
        None
    }
}

/// A task that a forked child cannot wake.
///
/// The child has a copy of the parent's Python futures. When it drops or cancels one, the task behind it is woken, which
/// takes the locks of the parent's runtime: one that a thread held at the fork stays locked in the child for ever.
struct OfProcess<F> {
    future: Pin<Box<F>>,
    waker: Option<Arc<ProcessWaker>>,
}

impl<F> OfProcess<F> {
    fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            waker: None,
        }
    }
}

impl<F: Future> Future for OfProcess<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let known = self.waker.take();
        let waker = known
            .filter(|waker| waker.wakes(context.waker()))
            .unwrap_or_else(|| Arc::new(ProcessWaker::new(context.waker().clone())));
        self.waker = Some(Arc::clone(&waker));
        let waker = Waker::from(waker);
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

/// Wakes in the process it was made in, and nowhere else.
struct ProcessWaker {
    pid: u32,
    /// None only once it is dropped.
    inner: Option<Waker>,
}

impl ProcessWaker {
    fn new(inner: Waker) -> Self {
        Self {
            pid: std::process::id(),
            inner: Some(inner),
        }
    }

    fn is_at_home(&self) -> bool {
        self.pid == std::process::id()
    }

    fn wakes(&self, other: &Waker) -> bool {
        self.inner
            .as_ref()
            .is_some_and(|inner| inner.will_wake(other))
    }
}

impl Wake for ProcessWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(inner) = self.inner.as_ref().filter(|_| self.is_at_home()) {
            inner.wake_by_ref();
        }
    }
}

impl Drop for ProcessWaker {
    fn drop(&mut self) {
        if !self.is_at_home() {
            // The task that it belongs to is the parent's, and may end with it.
            std::mem::forget(self.inner.take());
        }
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
