//! Records that live in Rust.

use crate::convert::{self, Refusal};
use crate::errors::Failure;
use crate::interrupt::{Interrupt, Pulse};
use crate::remap::{Rejected, Remap};
use millstream_codec::{EncodeError, ObjectMap, Path, Value};
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySlice, PyString};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

/// See `_core.pyi`.
#[pyclass(module = "millstream", frozen, sequence)]
pub(crate) struct Records {
    rows: Arc<Vec<Value>>,
    /// A slice shares the rows.
    range: Range<usize>,
    rejected: Arc<Vec<Rejected>>,
}

impl Records {
    pub(crate) fn new(rows: Vec<Value>) -> Self {
        Self::with_rejected(rows, Arc::default())
    }

    /// Rows that somebody else holds too.
    pub(crate) fn share(rows: Arc<Vec<Value>>) -> Self {
        Self {
            range: 0..rows.len(),
            rows,
            rejected: Arc::default(),
        }
    }

    pub(crate) fn with_rejected(rows: Vec<Value>, rejected: Arc<Vec<Rejected>>) -> Self {
        Self {
            range: 0..rows.len(),
            rows: Arc::new(rows),
            rejected,
        }
    }

    pub(crate) fn rows(&self) -> &[Value] {
        &self.rows[self.range.clone()]
    }

    /// The rows for a thread that is not attached.
    pub(crate) fn shared(&self) -> (Arc<Vec<Value>>, Range<usize>) {
        (Arc::clone(&self.rows), self.range.clone())
    }

    fn get<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        row_to_py(py, &self.rows()[index], index)
    }
}

/// A row as a Python object; what has no counterpart names the row.
pub(crate) fn row_to_py<'py>(
    py: Python<'py>,
    row: &Value,
    index: usize,
) -> PyResult<Bound<'py, PyAny>> {
    convert::to_py(py, row)?.map_err(|error| {
        Failure::Encode {
            index: Some(index as u64),
            error,
        }
        .into()
    })
}

/// A Python object as a row.
fn row_from_py(item: &Bound<'_, PyAny>, index: u64) -> PyResult<Value> {
    convert::from_py(item).map_err(|refusal| refused(refusal, Some(index)))
}

/// A Python object that is a record by itself, so that no index says anything.
pub(crate) fn value_from_py(item: &Bound<'_, PyAny>) -> PyResult<Value> {
    convert::from_py(item).map_err(|refusal| refused(refusal, None))
}

fn refused(refusal: Refusal, index: Option<u64>) -> PyErr {
    match refusal {
        Refusal::Raised(error) => error,
        Refusal::Value(error) => Failure::Encode { index, error }.into(),
    }
}

#[pymethods]
impl Records {
    #[staticmethod]
    fn from_pylist(rows: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = rows.py();
        let mut pulse = Pulse::attached();
        let rows = convert::iterate("rows", rows)?
            .enumerate()
            .map(|(index, row)| {
                look_at_signals(py, &mut pulse)?;
                row_from_py(&row?, index as u64)
            })
            .collect::<PyResult<Vec<_>>>()?;
        Ok(Self::new(rows))
    }

    fn to_pylist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        let mut pulse = Pulse::attached();
        for index in 0..self.range.len() {
            look_at_signals(py, &mut pulse)?;
            list.append(self.get(py, index)?)?;
        }
        Ok(list)
    }

    fn select(&self, py: Python<'_>, columns: &Bound<'_, PyAny>) -> PyResult<Self> {
        let columns = columns_from_py(columns)?;
        let mut interrupt = Interrupt::new();
        let rows = py.detach(|| select_rows(self.rows(), &columns, &mut interrupt));
        match rows {
            Some(rows) => Ok(Self::new(rows)),
            None => Err(interrupt.into_error()),
        }
    }

    fn remap(&self, py: Python<'_>, remap: &Remap) -> PyResult<Self> {
        remap.run(py, self.rows())
    }

    fn filter(&self, py: Python<'_>, condition: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(condition) = condition.extract::<String>() {
            return Remap::condition(&condition)?.run(py, self.rows());
        }
        callable("condition is a VRL expression or", condition)?;
        let mut kept = Vec::new();
        let mut pulse = Pulse::attached();
        for (index, row) in self.rows().iter().enumerate() {
            look_at_signals(py, &mut pulse)?;
            if condition
                .call1((row_to_py(py, row, index)?,))?
                .is_truthy()?
            {
                kept.push(row.clone());
            }
        }
        Ok(Self::new(kept))
    }

    fn map(&self, py: Python<'_>, function: &Bound<'_, PyAny>) -> PyResult<Self> {
        callable("function is", function)?;
        let mut rows = Vec::with_capacity(self.range.len());
        let mut pulse = Pulse::attached();
        for (index, row) in self.rows().iter().enumerate() {
            look_at_signals(py, &mut pulse)?;
            let mapped = function.call1((row_to_py(py, row, index)?,))?;
            // A forgotten `return` must not become a topic full of nulls.
            if mapped.is_none() {
                let detail =
                    "the function returned None; return the record, or leave it out with filter()";
                return Err(Failure::Encode {
                    index: Some(index as u64),
                    error: EncodeError::new(detail),
                }
                .into());
            }
            rows.push(row_from_py(&mapped, index as u64)?);
        }
        Ok(Self::new(rows))
    }

    #[getter]
    fn rejected<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let class = py.import("millstream.reports")?.getattr("Rejection")?;
        let list = PyList::empty(py);
        let mut pulse = Pulse::attached();
        for rejected in self.rejected.iter() {
            look_at_signals(py, &mut pulse)?;
            let record = row_to_py(py, &rejected.record, rejected.index)?;
            list.append(class.call1((
                rejected.index,
                &rejected.code,
                &rejected.message,
                record,
            ))?)?;
        }
        Ok(list)
    }

    fn __len__(&self) -> usize {
        self.range.len()
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        index: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(slice) = index.cast::<PySlice>() {
            return Ok(self.slice(slice)?.into_pyobject(py)?.into_any());
        }
        let length = self.range.len().cast_signed();
        let index: isize = index.extract()?;
        let index = if index < 0 { index + length } else { index };
        if !(0..length).contains(&index) {
            return Err(PyIndexError::new_err("Records index out of range"));
        }
        self.get(py, index.cast_unsigned())
    }

    fn __iter__(slf: Py<Self>) -> RecordsIterator {
        RecordsIterator {
            records: slf,
            next: 0,
        }
    }

    fn __repr__(&self) -> String {
        const SHOWN: usize = 12;
        let mut text = format!("<Records: {} records", self.range.len());
        if !self.rejected.is_empty() {
            let _ = write!(text, ", {} rejected", self.rejected.len());
        }
        // Field names only: a log must not show people.
        if let Some(Value::Object(first)) = self.rows().first() {
            let names: Vec<&str> = first.keys().take(SHOWN).map(|name| &**name).collect();
            let more = if first.len() > SHOWN { ", ..." } else { "" };
            let _ = write!(text, "; {}{more}", names.join(", "));
        }
        text.push('>');
        text
    }
}

impl Records {
    fn slice(&self, slice: &Bound<'_, PySlice>) -> PyResult<Self> {
        let indices = slice.indices(self.range.len().cast_signed())?;
        let rejected = Arc::default();
        if indices.step == 1 {
            let start = self.range.start + indices.start.cast_unsigned();
            return Ok(Self {
                rows: Arc::clone(&self.rows),
                range: start..start + indices.slicelength,
                rejected,
            });
        }
        let rows = self.rows();
        let picked = (0..indices.slicelength.cast_signed())
            .map(|at| rows[(indices.start + at * indices.step).cast_unsigned()].clone())
            .collect();
        Ok(Self::with_rejected(picked, rejected))
    }
}

/// Python looks at its signals, and lets other threads run, between its own instructions: a native loop has none.
pub(crate) fn look_at_signals(py: Python<'_>, pulse: &mut Pulse) -> PyResult<()> {
    if pulse.is_due() {
        py.detach(|| ());
        py.check_signals()?;
    }
    Ok(())
}

fn callable(what: &str, object: &Bound<'_, PyAny>) -> PyResult<()> {
    if object.is_callable() {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "{what} a function, not {}",
        object.get_type().name()?
    )))
}

/// A dict of name -> path, or an iterable of paths that name themselves.
fn columns_from_py(columns: &Bound<'_, PyAny>) -> PyResult<Vec<(String, Path)>> {
    let path = |text: &str| Path::parse(text).map_err(|error| PyErr::from(Failure::Path(error)));
    if columns.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(
            "columns is a dict of name -> path, or a list of field names",
        ));
    }
    if let Ok(columns) = columns.cast::<PyDict>() {
        return columns
            .iter()
            .map(|(name, text)| Ok((name.extract()?, path(&text.extract::<String>()?)?)))
            .collect();
    }
    columns
        .try_iter()?
        .map(|name| {
            let name: String = name?.extract()?;
            let path = path(&name)?;
            Ok((name, path))
        })
        .collect()
}

/// `None` when a signal handler raised.
fn select_rows(
    rows: &[Value],
    columns: &[(String, Path)],
    interrupt: &mut Interrupt,
) -> Option<Vec<Value>> {
    let mut selected = Vec::with_capacity(rows.len());
    let mut pulse = Pulse::detached();
    for row in rows {
        if pulse.is_due() && interrupt.check() {
            return None;
        }
        let fields: ObjectMap = columns
            .iter()
            .map(|(name, path)| {
                (
                    name.as_str().into(),
                    path.get(row).cloned().unwrap_or(Value::Null),
                )
            })
            .collect();
        selected.push(Value::Object(fields));
    }
    Some(selected)
}

/// Walks over records one dict at a time.
#[pyclass(module = "millstream._core")]
pub(crate) struct RecordsIterator {
    records: Py<Records>,
    next: usize,
}

#[pymethods]
impl RecordsIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let records = self.records.get();
        if self.next >= records.range.len() {
            return Ok(None);
        }
        let index = self.next;
        self.next += 1;
        records.get(py, index).map(Some)
    }

    fn __length_hint__(&self) -> usize {
        self.records.get().range.len().saturating_sub(self.next)
    }
}
