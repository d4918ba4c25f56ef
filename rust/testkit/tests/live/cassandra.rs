//! The Cassandra sink passes the contract suite.

use std::sync::Arc;

use millstream_codec::Cell;
use millstream_pipeline::sink::cassandra::CassandraSink;
use millstream_pipeline::sink::{BoundRow, Change, NullMode, Sink, SinkError, TableName};
use millstream_testkit::live;
use millstream_testkit::sink_contract::{self, Rows, Subject};
use scylla::client::session::Session;

struct Live {
    sink: CassandraSink,
    table: TableName,
}

async fn fresh(session: &Arc<Session>, keyspace: &str) -> Live {
    let table = TableName::parse(&format!("{keyspace}.{}", live::fresh("t"))).unwrap();
    live::cql(
        session,
        &format!("CREATE TABLE {table} (k text, c int, a text, b text, PRIMARY KEY (k, c))"),
    )
    .await;
    Live {
        sink: CassandraSink::new(session.clone()),
        table,
    }
}

impl Subject for Live {
    type Sink = CassandraSink;

    fn sink(&self) -> &CassandraSink {
        &self.sink
    }

    fn table(&self) -> &TableName {
        &self.table
    }

    async fn rows(&self) -> Rows {
        let result = self
            .sink
            .session()
            .query_unpaged(format!("SELECT k, c, a, b FROM {}", self.table), ())
            .await
            .unwrap();
        let result = result.into_rows_result().unwrap();
        let rows = result
            .rows::<(String, i32, Option<String>, Option<String>)>()
            .unwrap();
        rows.map(|row| row.unwrap())
            .map(|(k, c, a, b)| ((k, c), (a, b)))
            .collect()
    }
}

#[tokio::test]
async fn newest_stamp_wins() {
    let session = live::session().await;
    let keyspace = live::keyspace(&session).await;
    // Creating a table is the slow part; each case has one of its own.
    sink_contract::newest_stamp_wins(|| fresh(&session, &keyspace), 10).await;
}

#[tokio::test]
async fn missing_things_are_configuration_faults() {
    let session = live::session().await;
    let keyspace = live::keyspace(&session).await;
    sink_contract::missing_things_are_configuration_faults(&fresh(&session, &keyspace).await).await;
}

#[tokio::test]
async fn a_dropped_table_is_refused_by_the_write_and_missing_at_the_next_open() {
    let session = live::session().await;
    let keyspace = live::keyspace(&session).await;
    let subject = fresh(&session, &keyspace).await;
    let columns = ["k".to_owned(), "c".to_owned()];
    let table = subject
        .sink
        .open(&subject.table, &columns, false)
        .await
        .unwrap();
    let cells = [Some(Cell::Text("k".into())), Some(Cell::Int(1))];
    let row = BoundRow::bind(
        CassandraSink::shape(&table),
        &cells,
        NullMode::Unset,
        Change::Insert,
        1,
        None,
    )
    .unwrap();
    subject.sink.write(&table, &row).await.unwrap();
    live::cql(&session, &format!("DROP TABLE {}", subject.table)).await;
    let error = subject.sink.write(&table, &row).await.unwrap_err();
    assert!(
        matches!(error, SinkError::Refused(_) | SinkError::Configuration(_)),
        "{error:?}"
    );
    let error = subject
        .sink
        .open(&subject.table, &columns, false)
        .await
        .unwrap_err();
    assert!(matches!(error, SinkError::Configuration(_)), "{error:?}");
}

#[tokio::test]
async fn collections_are_refused_when_the_table_is_opened() {
    let session = live::session().await;
    let keyspace = live::keyspace(&session).await;
    let name = TableName::parse(&format!("{keyspace}.lists")).unwrap();
    live::cql(
        &session,
        &format!("CREATE TABLE {name} (k text PRIMARY KEY, l list<text>)"),
    )
    .await;
    let sink = CassandraSink::new(session);
    let error = sink
        .open(&name, &["k".to_owned(), "l".to_owned()], false)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, SinkError::Configuration(text) if text.contains("column l")),
        "{error:?}"
    );
}
