//! VRL programs over records.

use crate::errors::Failure;
use crate::interrupt::{Interrupt, Pulse};
use crate::records::Records;
use millstream_codec::Value;
use millstream_pipeline::remap::{Program, Rejection, Remapped};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// A row that the program refused.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) index: usize,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) record: Value,
}

/// See `_core.pyi`.
#[pyclass(module = "millstream", frozen)]
pub(crate) struct Remap {
    name: String,
    program: Arc<Program>,
}

#[pymethods]
impl Remap {
    #[new]
    #[pyo3(signature = (source, *, name = "program"))]
    fn new(source: &str, name: &str) -> PyResult<Self> {
        let program = Program::compile(name, source).map_err(Failure::Compile)?;
        Ok(Self {
            name: name.to_owned(),
            program: Arc::new(program),
        })
    }

    #[staticmethod]
    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn from_file(path: PathBuf) -> PyResult<Self> {
        let shown = path.display().to_string();
        let source = std::fs::read_to_string(&path).map_err(|error| {
            Failure::Setting(format!("cannot read the program {shown}: {error}"))
        })?;
        let name = path
            .file_name()
            .map_or(shown, |name| name.to_string_lossy().into_owned());
        Self::new(&source, &name)
    }

    fn __repr__(&self) -> String {
        format!("<Remap {}>", self.name)
    }
}

impl Remap {
    /// A VRL boolean expression; records for which it is false are left out.
    pub(crate) fn condition(text: &str) -> PyResult<Self> {
        let program = Program::compile_condition("condition", text).map_err(Failure::Compile)?;
        Ok(Self {
            name: "condition".to_owned(),
            program: Arc::new(program),
        })
    }

    /// Runs the program on every row.
    pub(crate) fn run(&self, py: Python<'_>, rows: &[Value]) -> PyResult<Records> {
        let mut interrupt = Interrupt::new();
        let result = py.detach(|| remap_rows(&self.program, rows, &mut interrupt));
        match result {
            Some((kept, rejected)) => Ok(Records::with_rejected(kept, Arc::new(rejected))),
            None => Err(interrupt.into_error()),
        }
    }
}

/// `None` when a signal handler raised.
fn remap_rows(
    program: &Program,
    rows: &[Value],
    interrupt: &mut Interrupt,
) -> Option<(Vec<Value>, Vec<Rejected>)> {
    let mut kept = Vec::with_capacity(rows.len());
    let mut rejected = Vec::new();
    let mut pulse = Pulse::detached();
    for (index, row) in rows.iter().enumerate() {
        if pulse.is_due() && interrupt.check() {
            return None;
        }
        match program.run(row.clone(), None) {
            Ok(Remapped::One(value)) => kept.push(value),
            Ok(Remapped::Many(values)) => kept.extend(values),
            Ok(Remapped::Filtered) => {}
            Err(rejection) => {
                let (code, message) = reason(rejection);
                rejected.push(Rejected {
                    index,
                    code,
                    message,
                    record: row.clone(),
                });
            }
        }
    }
    Some((kept, rejected))
}

fn reason(rejection: Rejection) -> (String, String) {
    match rejection {
        Rejection::Rejected { code, message } => (format!("validation:{code}"), message),
        Rejection::Aborted { message } => ("aborted".to_owned(), message),
        Rejection::Runtime { message } => ("program_error".to_owned(), message),
    }
}
