//! The native threads that are attached to the interpreter, and the end of that when the interpreter ends.
//!
//! `CPython` before 3.14 ends a thread that attaches while the interpreter is finalizing, in the middle of its stack, and that
//! aborts the process. `atexit` runs before that point: from then on no thread begins to attach, and those that did are
//! waited for.

use millstream_pipeline::kafka::producer::wait_ended;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What settling a future may take at the end: it waits for the GIL, which the ending thread lets go.
const LONGEST: Duration = Duration::from_secs(10);

/// What Kafka clients that were let go may take to end: what OpenSSL cleans up at the end must not be in use by then.
const CLIENTS_END_WITHIN: Duration = Duration::from_secs(1);

const CLOSED: u64 = 1 << 31;

/// The process id in the upper half (a forked child has none of these threads), [`CLOSED`], and how many are attached.
static THREADS: AtomicU64 = AtomicU64::new(0);

/// Changes the lower half, which is zero in a process that sees the word for the first time.
fn change(change: impl Fn(u64) -> Option<u64>) -> bool {
    let pid = u64::from(std::process::id()) << 32;
    THREADS
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let own = if word >> 32 == pid >> 32 {
                word & u64::from(u32::MAX)
            } else {
                0
            };
            change(own).map(|own| pid | own)
        })
        .is_ok()
}

/// Whether the interpreter is ending: nothing that is awaited would be settled.
pub(crate) fn is_closed() -> bool {
    !change(|own| (own & CLOSED == 0).then_some(own))
}

/// Runs it attached to the interpreter, or not at all when the interpreter is ending.
pub(crate) fn attached(run: impl FnOnce(Python<'_>)) {
    if !change(|own| (own & CLOSED == 0).then_some(own + 1)) {
        return;
    }
    let _leaving = Leaving;
    Python::try_attach(run);
}

/// Even a panic leaves.
struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        change(|own| Some(own - 1));
    }
}

/// Has Python call [`end`] when it ends. A forked child inherits that.
pub(crate) fn end_with_python(py: Python<'_>) -> PyResult<()> {
    static REGISTERED: PyOnceLock<()> = PyOnceLock::new();
    REGISTERED
        .get_or_try_init(py, || {
            let end = wrap_pyfunction!(end, py)?;
            py.import("atexit")?.call_method1("register", (end,))?;
            Ok(())
        })
        .copied()
}

#[pyfunction]
fn end(py: Python<'_>) {
    change(|own| Some(own | CLOSED));
    py.detach(|| {
        let deadline = Instant::now() + LONGEST;
        while THREADS.load(Ordering::Acquire) & (CLOSED - 1) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        // One that looks up a name may take longer; then it is as it would be without this.
        let _ = wait_ended(CLIENTS_END_WITHIN);
    });
}
