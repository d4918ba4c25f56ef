//! What is known about schema ids, and who is asking for them right now.

use super::RegistryError;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use lru::LruCache;
use millstream_codec::avro::AvroSchema;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Schemas kept, and verdicts kept: each the least recently used one goes first.
pub(super) const CAPACITY: NonZeroUsize = NonZeroUsize::new(1_000).expect("is above zero");
/// How long "not there" and "cannot be used" are believed: long enough to spare the registry, short enough for a
/// schema that is registered late.
pub(super) const NEGATIVE_FOR: Duration = Duration::from_mins(1);

pub(super) type Outcome = Result<Arc<AvroSchema>, RegistryError>;
type Flight = Shared<BoxFuture<'static, Outcome>>;

/// Bounded, with one request per id at a time.
pub(super) struct Cache {
    known: Mutex<Known>,
    /// Weak, so that a request nobody waits for any more is dropped, and not resumed much later.
    flights: Mutex<HashMap<u32, WeakShared<BoxFuture<'static, Outcome>>>>,
}

struct Known {
    schemas: LruCache<u32, Arc<AvroSchema>>,
    verdicts: LruCache<u32, (Instant, RegistryError)>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            known: Mutex::new(Known {
                schemas: LruCache::new(CAPACITY),
                verdicts: LruCache::new(CAPACITY),
            }),
            flights: Mutex::new(HashMap::new()),
        }
    }

    /// The schema, if it is known.
    pub(super) fn schema(&self, id: u32) -> Option<Arc<AvroSchema>> {
        lock(&self.known).schemas.get(&id).cloned()
    }

    /// What is known: the schema, or a verdict that is still believed.
    fn outcome(&self, id: u32) -> Option<Outcome> {
        let mut known = lock(&self.known);
        if let Some(schema) = known.schemas.get(&id) {
            return Some(Ok(Arc::clone(schema)));
        }
        let (since, verdict) = known.verdicts.get(&id)?;
        if since.elapsed() < NEGATIVE_FOR {
            return Some(Err(verdict.clone()));
        }
        known.verdicts.pop(&id);
        None
    }

    fn remember(&self, id: u32, outcome: &Outcome) {
        let mut known = lock(&self.known);
        match outcome {
            Ok(schema) => {
                known.schemas.put(id, Arc::clone(schema));
            }
            Err(verdict @ (RegistryError::NotFound { .. } | RegistryError::Unusable { .. })) => {
                known.verdicts.put(id, (Instant::now(), verdict.clone()));
            }
            // What may be different in a moment, and what is not about the id, is asked again.
            Err(_) => {}
        }
    }

    /// What is known, or what `fetch` finds out: one call of it at a time for each id, however many wait.
    pub(super) async fn get<F>(self: &Arc<Self>, id: u32, fetch: impl FnOnce() -> F) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        if let Some(outcome) = self.outcome(id) {
            return outcome;
        }
        self.flight(id, fetch).await
    }

    fn flight<F>(self: &Arc<Self>, id: u32, fetch: impl FnOnce() -> F) -> Flight
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(&id).and_then(WeakShared::upgrade) {
            return flight;
        }
        let (cache, fetching) = (Arc::clone(self), fetch());
        let flight = async move {
            let outcome = fetching.await;
            cache.remember(id, &outcome);
            lock(&cache.flights).remove(&id);
            outcome
        }
        .boxed()
        .shared();
        // Flights that were given up leave dead entries; sweeping them here bounds the map by the callers alive.
        flights.retain(|_, other| other.upgrade().is_some());
        if let Some(weak) = flight.downgrade() {
            flights.insert(id, weak);
        }
        flight
    }
}

/// The state is whole between any two statements, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn missing(id: u32) -> Outcome {
        Err(RegistryError::NotFound {
            id,
            url: String::new(),
        })
    }

    fn unavailable() -> Outcome {
        Err(RegistryError::Unavailable {
            url: String::new(),
            detail: String::new(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_make_one_request() {
        let (cache, calls) = (Arc::new(Cache::new()), Arc::new(AtomicUsize::new(0)));
        let get = || {
            let calls = Arc::clone(&calls);
            cache.get(7, move || async move {
                calls.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                unavailable()
            })
        };
        let outcomes = futures::future::join_all((0..50).map(|_| get())).await;
        assert!(outcomes.iter().all(Result::is_err));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert!(lock(&cache.flights).is_empty());
        // An outage is not remembered.
        let _ = get().await;
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn verdicts_are_believed_for_a_minute() {
        let (cache, calls) = (Arc::new(Cache::new()), Arc::new(AtomicUsize::new(0)));
        let get = || {
            let calls = Arc::clone(&calls);
            cache.get(7, move || async move {
                calls.fetch_add(1, Ordering::SeqCst);
                missing(7)
            })
        };
        for (pause, expected) in [(0, 1), (59, 1), (2, 2), (0, 2)] {
            tokio::time::advance(Duration::from_secs(pause)).await;
            assert!(get().await.is_err());
            assert_eq!(calls.load(Ordering::SeqCst), expected, "after {pause} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn verdicts_are_bounded() {
        let cache = Arc::new(Cache::new());
        for id in 0..5_000 {
            let _ = cache.get(id, move || async move { missing(id) }).await;
        }
        assert_eq!(lock(&cache.known).verdicts.len(), CAPACITY.get());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_leaves_does_not_stop_the_others_and_leaves_nothing_behind() {
        let (cache, calls) = (Arc::new(Cache::new()), Arc::new(AtomicUsize::new(0)));
        let get = || {
            let calls = Arc::clone(&calls);
            cache.get(7, move || async move {
                calls.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(2)).await;
                missing(7)
            })
        };
        let second = Duration::from_secs(1);
        let (left, stayed) = tokio::join!(tokio::time::timeout(second, get()), get());
        assert!(left.is_err() && stayed.is_err());
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        // When all leave, the next caller begins anew.
        tokio::time::advance(NEGATIVE_FOR).await;
        assert!(tokio::time::timeout(second, get()).await.is_err());
        assert!(get().await.is_err());
        assert_eq!(calls.load(Ordering::SeqCst), 3);
    }
}
