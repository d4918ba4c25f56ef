//! HTTP sources for an event loop: each page reaches one awaiter, whatever is cancelled meanwhile.

use crate::awaitable::awaitable_by;
use crate::errors::Failure;
use crate::records::Records;
use crate::source::check_process;
use millstream_codec::Value;
use millstream_pipeline::source::{FetchError, HttpSource};
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// The pages of one walk through a source, for an event loop.
#[pyclass(module = "millstream._core", frozen)]
pub(crate) struct AsyncPageIterator {
    // Tokio's: those who ask at the same time get their pages one after the other.
    walk: Arc<Mutex<Walk>>,
    pid: u32,
}

impl AsyncPageIterator {
    pub(crate) fn new(source: HttpSource) -> Self {
        Self {
            walk: Arc::new(Mutex::new(Walk {
                source,
                given: Vec::new(),
            })),
            pid: std::process::id(),
        }
    }
}

#[pymethods]
impl AsyncPageIterator {
    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        check_process(self.pid, "apages()")?;
        let (walk, claim) = (Arc::clone(&self.walk), Arc::<Claim>::default());
        let handle = PageClaim(Arc::clone(&claim));
        let future = |event_loop: &Bound<'py, PyAny>| {
            let options = PyDict::new(py);
            options.set_item("loop", event_loop)?;
            py.import("millstream.futures")?
                .getattr("PageFuture")?
                .call((handle,), Some(&options))
        };
        // Cancelling drops the request under way; the next call asks for that page again.
        awaitable_by(py, future, async move {
            Page(walk.lock().await.next(claim).await)
        })
    }
}

/// The source's own place, and the pages that it gave and nobody has for certain.
///
/// A page that was fetched has a way to go: a thread attaches to the interpreter, the loop takes its turn, a task wakes.
/// Whatever is cancelled on that way, the page is here, and the next call has it.
struct Walk {
    source: HttpSource,
    given: Vec<Given>,
}

struct Given {
    rows: Arc<Vec<Value>>,
    claim: Arc<Claim>,
}

impl Walk {
    async fn next(&mut self, claim: Arc<Claim>) -> Result<Option<Arc<Vec<Value>>>, FetchError> {
        self.given.retain(|given| !given.claim.is_told());
        if claim.is_given_back() {
            // Cancelled while it waited for its turn: nobody hears what this gives.
            return Ok(None);
        }
        for given in &mut self.given {
            if given.claim.moves() {
                given.claim = claim;
                return Ok(Some(Arc::clone(&given.rows)));
            }
        }
        let Some(rows) = self.source.next_page(&CancellationToken::new()).await? else {
            return Ok(None);
        };
        let rows = Arc::new(rows);
        self.given.push(Given {
            rows: Arc::clone(&rows),
            claim,
        });
        Ok(Some(rows))
    }
}

/// Whether somebody has the page of one call.
///
/// An atomic and no lock: it is changed wherever Python drops a future, in a forked child too.
#[derive(Default)]
struct Claim(AtomicU8);

/// Under way, or in a future that nobody has looked at.
const OPEN: u8 = 0;
/// Somebody has it.
const TOLD: u8 = 1;
/// Whoever asked for it does not get it.
const GIVEN_BACK: u8 = 2;
/// Another call's claim is on it.
const MOVED: u8 = 3;

impl Claim {
    fn is_told(&self) -> bool {
        self.0.load(Ordering::Acquire) == TOLD
    }

    fn is_given_back(&self) -> bool {
        self.0.load(Ordering::Acquire) == GIVEN_BACK
    }

    /// True when the page was given back and is the next call's from now on.
    fn moves(&self) -> bool {
        self.change(&[GIVEN_BACK], MOVED)
    }

    fn change(&self, from: &[u8], to: u8) -> bool {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                from.contains(&state).then_some(to)
            })
            .is_ok()
    }
}

/// What `PageFuture` has of a claim.
#[pyclass(frozen)]
struct PageClaim(Arc<Claim>);

#[pymethods]
impl PageClaim {
    /// False when the page went to another call meanwhile.
    fn told(&self) -> bool {
        self.0.change(&[OPEN, TOLD, GIVEN_BACK], TOLD)
    }

    fn give_back(&self) {
        self.0.change(&[OPEN, TOLD], GIVEN_BACK);
    }
}

impl Drop for PageClaim {
    fn drop(&mut self) {
        // The future is gone, and nobody has looked at it.
        self.0.change(&[OPEN], GIVEN_BACK);
    }
}

/// A page as Python has it; after the last one the iteration's end.
struct Page(Result<Option<Arc<Vec<Value>>>, FetchError>);

impl<'py> IntoPyObject<'py> for Page {
    type Target = Records;
    type Output = Bound<'py, Records>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, Records>> {
        match self.0.map_err(Failure::Fetch)? {
            Some(rows) => Bound::new(py, Records::share(rows)),
            None => Err(PyStopAsyncIteration::new_err(())),
        }
    }
}
