//! The Python binding. Each function has four steps: extract, detach, call, map the error.
//!
//! Invariants: this is the only crate that names pyo3; a native thread waits for the GIL only to settle a future of
//! asyncio, or to hand log lines over while one is awaited, and holds nothing meanwhile; whatever owns threads or sockets
//! is made at first use and belongs to one process id.

mod awaitable;
mod convert;
mod errors;
mod features;
mod interrupt;
mod log;
mod per_process;
mod producer;
mod producer_async;
mod producer_batch;
mod records;
mod registry;
mod remap;
mod runtime;
mod serializers;
mod settling;
mod source;
mod source_async;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// Free-threaded Python: the per-process cells rest on the GIL, so it is asked for.
#[pyo3::pymodule(gil_used = true)]
mod _core {
    use pyo3::exceptions::PyRuntimeWarning;
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::features::features;
    #[pymodule_export]
    use crate::producer::Producer;
    #[pymodule_export]
    use crate::records::{Records, RecordsIterator};
    #[pymodule_export]
    use crate::registry::SchemaRegistryClient;
    #[pymodule_export]
    use crate::remap::Remap;
    #[pymodule_export]
    use crate::serializers::{AvroDeserializer, AvroSerializer, JSONSerializer};
    #[pymodule_export]
    use crate::source::{HttpSource, PageIterator, PageNumberPaginator, RateLimit, Retry};
    #[pymodule_export]
    use crate::source_async::AsyncPageIterator;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        crate::log::install();
        if cfg!(debug_assertions) {
            let warning = module.py().get_type::<PyRuntimeWarning>();
            let text = c"millstream was built without optimisation and is many times slower; build it with --release";
            PyErr::warn(module.py(), &warning, text, 1)?;
        }
        Ok(())
    }
}
