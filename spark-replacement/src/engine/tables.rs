//! The pipeline's open tables; opened at first use and again when the sink refuses a row.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use millstream_pipeline::sink::{Sink, SinkError};
use tokio::sync::Mutex;

use super::plan::TablePlan;

/// One table of the plan.
pub(super) struct TableSlot<S: Sink> {
    columns: Vec<String>,
    open: RwLock<Option<Arc<S::Table>>>,
    opening: Mutex<()>,
    successes: AtomicU64,
}

impl<S: Sink> TableSlot<S> {
    pub(super) fn new(plan: &TablePlan) -> Self {
        Self {
            columns: plan
                .columns
                .iter()
                .map(|(column, _)| column.clone())
                .collect(),
            open: RwLock::new(None),
            opening: Mutex::new(()),
            successes: AtomicU64::new(0),
        }
    }

    /// How many rows of this table were written.
    pub(super) fn successes(&self) -> u64 {
        self.successes.load(Ordering::Relaxed)
    }

    pub(super) fn succeeded(&self) {
        self.successes.fetch_add(1, Ordering::Relaxed);
    }

    fn current(&self) -> Option<Arc<S::Table>> {
        self.open
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The open table; looked up once however many ask.
    pub(super) async fn get(&self, sink: &S, plan: &TablePlan) -> Result<Arc<S::Table>, SinkError> {
        match self.current() {
            Some(table) => Ok(table),
            None => Box::pin(self.open(sink, plan, None)).await,
        }
    }

    /// Opens the table again unless somebody did since `old`.
    pub(super) async fn reopen(
        &self,
        sink: &S,
        plan: &TablePlan,
        old: &Arc<S::Table>,
    ) -> Result<Arc<S::Table>, SinkError> {
        self.open(sink, plan, Some(old)).await
    }

    async fn open(
        &self,
        sink: &S,
        plan: &TablePlan,
        old: Option<&Arc<S::Table>>,
    ) -> Result<Arc<S::Table>, SinkError> {
        let _one_at_a_time = self.opening.lock().await;
        if let Some(table) = self.current()
            && old.is_none_or(|old| !Arc::ptr_eq(old, &table))
        {
            return Ok(table);
        }
        let table = Arc::new(
            sink.open(&plan.name, &self.columns, plan.ttl.is_some())
                .await?,
        );
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(table.clone());
        Ok(table)
    }
}
