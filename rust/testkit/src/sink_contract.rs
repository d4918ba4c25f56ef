//! What every sink promises, checked on the memory double and on Cassandra by the same code.
//!
//! The table is `(k text, c int, a text, b text, PRIMARY KEY (k, c))`.

use std::collections::BTreeMap;
use std::future::Future;

use millstream_codec::Cell;
use millstream_pipeline::sink::{BoundRow, Change, NullMode, Sink, SinkError, TableName};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Key (k, c) to the visible values (a, b).
pub type Rows = BTreeMap<(String, i32), (Option<String>, Option<String>)>;

/// A sink with the contract's table, freshly empty, and a way to read it that is not the sink's.
pub trait Subject {
    /// The sink.
    type Sink: Sink;
    /// The sink.
    fn sink(&self) -> &Self::Sink;
    /// The table.
    fn table(&self) -> &TableName;
    /// What a reader sees.
    fn rows(&self) -> impl Future<Output = Rows>;
}

/// One write of the suite.
#[derive(Debug, Clone)]
struct Write {
    key: u8,
    change: Change,
    a: Option<String>,
    b: Option<String>,
    nulls: NullMode,
    stamp: i64,
}

fn columns() -> Vec<String> {
    ["a", "c", "k", "b"].map(str::to_owned).to_vec()
}

fn bind<S: Sink>(table: &S::Table, write: &Write) -> BoundRow {
    let text = |value: &Option<String>| value.clone().map(|value| Cell::Text(value.into()));
    let cells = [
        text(&write.a),
        Some(Cell::Int(i64::from(write.key))),
        Some(Cell::Text("k".into())),
        text(&write.b),
    ];
    BoundRow::bind(
        S::shape(table),
        &cells,
        write.nulls,
        write.change,
        write.stamp,
        None,
    )
    .expect("the suite's rows bind")
}

/// The model: what the newest stamp says, column by column.
fn model(writes: &[Write]) -> Rows {
    let mut rows = Rows::new();
    let keys: std::collections::BTreeSet<u8> = writes.iter().map(|write| write.key).collect();
    for key in keys {
        let own: Vec<_> = writes.iter().filter(|write| write.key == key).collect();
        let deleted = own
            .iter()
            .filter_map(|write| match write.change {
                Change::Delete => Some(write.stamp),
                Change::Replace => Some(write.stamp - 1),
                Change::Insert => None,
            })
            .max()
            .unwrap_or(i64::MIN);
        let newest = |pick: fn(&Write) -> &Option<String>| {
            own.iter()
                .filter(|write| write.change != Change::Delete && write.stamp > deleted)
                .filter(|write| pick(write).is_some() || write.nulls == NullMode::Write)
                .max_by_key(|write| write.stamp)
                .and_then(|write| pick(write).clone())
        };
        let alive = own
            .iter()
            .any(|write| write.change != Change::Delete && write.stamp > deleted);
        if alive {
            rows.insert(
                ("k".to_owned(), i32::from(key)),
                (newest(|write| &write.a), newest(|write| &write.b)),
            );
        }
    }
    rows
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let value = || prop::option::weighted(0.7, "[a-z]{1,6}");
    let change = prop_oneof![4 => Just(Change::Insert), 2 => Just(Change::Replace), 1 => Just(Change::Delete)];
    let one = (
        0u8..4,
        change,
        value(),
        value(),
        prop_oneof![Just(NullMode::Unset), Just(NullMode::Write)],
    );
    prop::collection::vec(one, 1..24).prop_map(|writes| {
        writes
            .into_iter()
            .enumerate()
            .map(|(index, (key, change, a, b, nulls))| Write {
                key,
                change,
                a,
                b,
                nulls,
                stamp: 1_000 + 8 * i64::try_from(index).unwrap_or(0),
            })
            .collect()
    })
}

/// The newest stamp wins, column by column, in whatever order the writes arrive and however often each is repeated.
///
/// # Panics
/// When the sink breaks its promise.
pub async fn newest_stamp_wins<T: Subject, F: Future<Output = T>>(
    fresh: impl Fn() -> F,
    cases: u32,
) {
    let mut runner = TestRunner::default();
    for _ in 0..cases {
        let subject = fresh().await;
        let written = writes().new_tree(&mut runner).expect("a case").current();
        let order = Just(written.clone())
            .prop_shuffle()
            .new_tree(&mut runner)
            .expect("an order")
            .current();
        let table = subject
            .sink()
            .open(subject.table(), &columns(), false)
            .await
            .expect("the table opens");
        for write in order.iter().chain(order.iter().step_by(2)) {
            subject
                .sink()
                .write(&table, &bind::<T::Sink>(&table, write))
                .await
                .expect("acknowledged");
        }
        assert_eq!(
            subject.rows().await,
            model(&written),
            "writes in this order: {order:#?}"
        );
    }
}

/// What is missing is said as a configuration fault.
///
/// # Panics
/// When the sink breaks its promise.
pub async fn missing_things_are_configuration_faults<T: Subject>(subject: &T) {
    let sink = subject.sink();
    let nowhere =
        TableName::parse(&format!("{}.nowhere", subject.table().keyspace())).expect("a name");
    let open = async |name: &TableName, columns: &[&str]| {
        let columns: Vec<_> = columns.iter().map(|&column| column.to_owned()).collect();
        sink.open(name, &columns, false).await.err()
    };
    for (error, said) in [
        (open(&nowhere, &["k"]).await, "nowhere"),
        (
            open(subject.table(), &["k", "c", "nothing"]).await,
            "nothing",
        ),
        (open(subject.table(), &["k", "a"]).await, "c"),
    ] {
        match error {
            Some(SinkError::Configuration(text)) => assert!(text.contains(said), "{text}"),
            other => panic!("wanted a configuration fault that names {said}, got {other:?}"),
        }
    }
}
