//! Addresses and fresh names for tests against real servers.
//!
//! A missing address fails the test; nothing is skipped in silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

/// The address in an environment variable that `python -m millstream.devstack env` prints.
///
/// # Panics
/// When it is not set: the servers are part of the test.
#[must_use]
pub fn address(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: start the servers with `make up` and load `python -m millstream.devstack env`")
    })
}

/// A name that no other test and no earlier run uses.
#[must_use]
pub fn fresh(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "{prefix}_{:x}_{}",
        since.as_micros(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// A session on the cluster of `MILLSTREAM_CASSANDRA`.
///
/// # Panics
/// When the cluster does not answer.
pub async fn session() -> Arc<Session> {
    let session = SessionBuilder::new()
        .known_node(address("MILLSTREAM_CASSANDRA"))
        .build()
        .await;
    Arc::new(session.unwrap_or_else(|error| panic!("Cassandra: {error}")))
}

/// Runs a statement that takes no values.
///
/// # Panics
/// When the server refuses it.
pub async fn cql(session: &Session, statement: &str) {
    if let Err(error) = session.query_unpaged(statement, ()).await {
        panic!("{statement}: {error}");
    }
}

/// A fresh keyspace.
///
/// # Panics
/// When it cannot be created.
pub async fn keyspace(session: &Session) -> String {
    let name = fresh("test");
    cql(
        session,
        &format!("CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"),
    )
    .await;
    name
}
