//! HTTP sources: pages of records.

use crate::errors::Failure;
use crate::per_process::PerProcess;
use crate::records::Records;
use crate::runtime::block_on;
use crate::source_async::AsyncPageIterator;
use millstream_pipeline::Secret;
use millstream_pipeline::http::{self, Guard};
use millstream_pipeline::source::{self, FetchError, HttpSourceConfig, PageNumber, Paginator};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// See `_core.pyi`.
#[pyclass(module = "millstream", frozen, get_all)]
pub(crate) struct PageNumberPaginator {
    page_param: String,
    base_page: u64,
    maximum_page: Option<u64>,
    stop_after_empty_page: bool,
}

#[pymethods]
impl PageNumberPaginator {
    #[new]
    #[pyo3(signature = (base_page = 1, *, page_param = "page", maximum_page = None, stop_after_empty_page = true))]
    fn new(
        base_page: u64,
        page_param: &str,
        maximum_page: Option<u64>,
        stop_after_empty_page: bool,
    ) -> Self {
        Self {
            page_param: page_param.to_owned(),
            base_page,
            maximum_page,
            stop_after_empty_page,
        }
    }

    fn __repr__(&self) -> String {
        let last = self
            .maximum_page
            .map_or_else(|| "None".to_owned(), |last| last.to_string());
        format!(
            "PageNumberPaginator({}, page_param={:?}, maximum_page={last})",
            self.base_page, self.page_param
        )
    }
}

/// See `_core.pyi`.
#[pyclass(module = "millstream", frozen, get_all)]
pub(crate) struct RateLimit {
    per_second: f64,
    burst: u32,
}

#[pymethods]
impl RateLimit {
    #[new]
    #[pyo3(signature = (per_second, *, burst = 1))]
    fn new(per_second: f64, burst: u32) -> Self {
        Self { per_second, burst }
    }

    fn __repr__(&self) -> String {
        format!("RateLimit({:?}, burst={})", self.per_second, self.burst)
    }
}

/// See `_core.pyi`.
#[pyclass(module = "millstream", frozen, get_all)]
#[expect(
    clippy::struct_field_names,
    reason = "`retry_after_cap` caps the header Retry-After"
)]
pub(crate) struct Retry {
    max_attempts: u32,
    backoff_base: f64,
    backoff_cap: f64,
    retry_after_cap: f64,
}

#[pymethods]
impl Retry {
    #[new]
    #[pyo3(signature = (max_attempts = 5, *, backoff_base = 0.1, backoff_cap = 30.0, retry_after_cap = 60.0))]
    fn new(
        max_attempts: u32,
        backoff_base: f64,
        backoff_cap: f64,
        retry_after_cap: f64,
    ) -> PyResult<Self> {
        if max_attempts == 0 {
            return Err(Failure::Setting(
                "max_attempts is 0; the least is 1, which is no retry".to_owned(),
            )
            .into());
        }
        for (name, value) in [
            ("backoff_base", backoff_base),
            ("backoff_cap", backoff_cap),
            ("retry_after_cap", retry_after_cap),
        ] {
            seconds(name, value)?;
        }
        Ok(Self {
            max_attempts,
            backoff_base,
            backoff_cap,
            retry_after_cap,
        })
    }

    fn __repr__(&self) -> String {
        format!("Retry({})", self.max_attempts)
    }
}

impl Retry {
    fn to_rust(&self) -> PyResult<http::Retry> {
        Ok(http::Retry {
            max_attempts: self.max_attempts,
            base: seconds("backoff_base", self.backoff_base)?,
            cap: seconds("backoff_cap", self.backoff_cap)?,
            retry_after_cap: seconds("retry_after_cap", self.retry_after_cap)?,
        })
    }
}

/// A duration given in seconds; the bound keeps arithmetic on it far from overflow.
pub(crate) fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    const LONGEST: f64 = 86_400.0 * 365.0;
    if value.is_finite() && (0.0..=LONGEST).contains(&value) {
        return Ok(Duration::from_secs_f64(value));
    }
    Err(Failure::Setting(format!(
        "{name} is {value}; give seconds between 0 and a year"
    ))
    .into())
}

/// As [`seconds`], and above zero.
pub(crate) fn positive_seconds(name: &str, value: f64) -> PyResult<Duration> {
    match seconds(name, value)? {
        Duration::ZERO => {
            Err(Failure::Setting(format!("{name} is 0; give seconds above 0")).into())
        }
        duration => Ok(duration),
    }
}

/// See `_core.pyi`.
#[pyclass(module = "millstream", frozen)]
pub(crate) struct HttpSource {
    config: HttpSourceConfig,
    source: PerProcess<source::HttpSource>,
}

#[pymethods]
impl HttpSource {
    #[new]
    #[pyo3(signature = (
        url, *, params = None, headers = None, data_selector = None, paginator = None, rate_limit = None, retry = None,
        timeout = 30.0, connect_timeout = 10.0, read_timeout = 10.0, max_body = 67_108_864, verify = None, guard = None
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword options are how this call is read"
    )]
    fn new(
        py: Python<'_>,
        url: &str,
        params: Option<&Bound<'_, PyAny>>,
        headers: Option<&Bound<'_, PyDict>>,
        data_selector: Option<String>,
        paginator: Option<&PageNumberPaginator>,
        rate_limit: Option<&RateLimit>,
        retry: Option<&Retry>,
        timeout: f64,
        connect_timeout: f64,
        read_timeout: f64,
        max_body: usize,
        verify: Option<&Bound<'_, PyAny>>,
        guard: Option<&str>,
    ) -> PyResult<Self> {
        let config = HttpSourceConfig {
            params: params.map(params_from_py).transpose()?.unwrap_or_default(),
            headers: headers
                .map(headers_from_py)
                .transpose()?
                .unwrap_or_default(),
            timeout: positive_seconds("timeout", timeout)?,
            connect_timeout: positive_seconds("connect_timeout", connect_timeout)?,
            read_timeout: positive_seconds("read_timeout", read_timeout)?,
            max_body,
            data_selector,
            paginator: paginator.map_or(Paginator::SinglePage, |pages| {
                Paginator::PageNumber(PageNumber {
                    page_param: pages.page_param.clone(),
                    base_page: pages.base_page,
                    maximum_page: pages.maximum_page,
                    stop_after_empty_page: pages.stop_after_empty_page,
                })
            }),
            retry: retry.map(Retry::to_rust).transpose()?.unwrap_or_default(),
            rate_limit: rate_limit.map(|limit| source::RateLimit {
                per_second: limit.per_second,
                burst: limit.burst,
            }),
            ca_file: verify.map(ca_file_from_py).transpose()?.flatten(),
            guard: guard_from_py(guard)?,
            ..HttpSourceConfig::new(url)
        };
        let source = Self {
            config,
            source: PerProcess::new(),
        };
        // A wrong setting is told here and not at the first page; no request is made.
        source.shared(py)?;
        Ok(source)
    }

    fn pages(&self, py: Python<'_>) -> PyResult<PageIterator> {
        Ok(PageIterator {
            pages: Mutex::new(self.shared(py)?.restarted()),
            pid: std::process::id(),
        })
    }

    fn apages(&self, py: Python<'_>) -> PyResult<AsyncPageIterator> {
        Ok(AsyncPageIterator::new(self.shared(py)?.restarted()))
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<PageIterator> {
        self.pages(py)
    }

    fn __repr__(&self) -> String {
        format!("<{:?}>", self.config).replacen("HttpSourceConfig", "HttpSource", 1)
    }
}

impl HttpSource {
    fn shared(&self, py: Python<'_>) -> PyResult<Arc<source::HttpSource>> {
        self.source
            .get_or_make(py, || source::HttpSource::new(self.config.clone()))
            .map_err(|error: FetchError| Failure::Fetch(error).into())
    }
}

/// The pages of one walk through a source.
#[pyclass(module = "millstream._core", frozen)]
pub(crate) struct PageIterator {
    pages: Mutex<source::HttpSource>,
    pid: u32,
}

#[pymethods]
impl PageIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Records>> {
        check_process(self.pid, "pages()")?;
        let mut pages = match self.pages.try_lock() {
            Ok(pages) => pages,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(PyValueError::new_err(
                    "another thread is fetching a page of this iterator",
                ));
            }
        };
        let pages = &mut *pages;
        let stop = &CancellationToken::new();
        let page = block_on(py, move || pages.next_page(stop))?;
        Ok(page.map_err(Failure::Fetch)?.map(Records::new))
    }
}

/// The walk's connections and its place are those of the process that began it.
pub(crate) fn check_process(pid: u32, method: &str) -> PyResult<()> {
    if pid == std::process::id() {
        return Ok(());
    }
    Err(Failure::Setting(format!(
        "these pages belong to the process that was forked; call {method} in this one"
    ))
    .into())
}

/// As requests takes them: a dict or pairs; a list gives a parameter several times, None leaves it out.
fn params_from_py(params: &Bound<'_, PyAny>) -> PyResult<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut add = |name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>| -> PyResult<()> {
        let name = name.extract::<String>()?;
        if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
            for item in value.try_iter()? {
                pairs.push((name.clone(), item?.str()?.extract()?));
            }
        } else if !value.is_none() {
            pairs.push((name, value.str()?.extract()?));
        }
        Ok(())
    };
    if let Ok(params) = params.cast::<PyDict>() {
        for (name, value) in params.iter() {
            add(&name, &value)?;
        }
    } else {
        for pair in params.try_iter()? {
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair?.extract()?;
            add(&name, &value)?;
        }
    }
    Ok(pairs)
}

fn headers_from_py(headers: &Bound<'_, PyDict>) -> PyResult<Vec<(String, Secret)>> {
    headers
        .iter()
        .map(|(name, value)| Ok((name.extract()?, Secret::new(value.extract::<String>()?))))
        .collect()
}

fn ca_file_from_py(verify: &Bound<'_, PyAny>) -> PyResult<Option<PathBuf>> {
    if let Ok(flag) = verify.cast::<PyBool>() {
        if flag.is_true() {
            return Ok(None);
        }
        let text = "verify=False would accept any server; give the path of a PEM file with the CA to trust";
        return Err(Failure::Setting(text.to_owned()).into());
    }
    if verify.is_none() {
        return Ok(None);
    }
    if verify.is_instance_of::<PyString>() || verify.hasattr("__fspath__")? {
        return Ok(Some(verify.extract()?));
    }
    Err(PyTypeError::new_err(
        "verify is True or the path of a PEM file",
    ))
}

fn guard_from_py(guard: Option<&str>) -> PyResult<Guard> {
    match guard {
        None => Ok(Guard::default()),
        Some("public") => Ok(Guard::Public),
        Some(other) => {
            Err(Failure::Setting(format!("guard is {other:?}; it is \"public\" or None")).into())
        }
    }
}
