//! The memory sink passes the contract suite.

use std::collections::BTreeMap;

use millstream_pipeline::sink::memory::MemorySink;
use millstream_pipeline::sink::{ColumnShape, TableName, TableShape};
use millstream_testkit::sink_contract::{self, Rows, Subject};
use scylla::frame::response::result::{ColumnType, NativeType};

struct Memory {
    sink: MemorySink,
    table: TableName,
}

fn fresh() -> Memory {
    let table = TableName::parse("test.contract").unwrap();
    let column = |name: &str, native, partition_key, primary_key| ColumnShape {
        name: name.to_owned(),
        column_type: ColumnType::Native(native),
        partition_key,
        primary_key,
    };
    let columns = vec![
        column("k", NativeType::Text, true, true),
        column("c", NativeType::Int, false, true),
        column("a", NativeType::Text, false, false),
        column("b", NativeType::Text, false, false),
    ];
    Memory {
        sink: MemorySink::new([TableShape {
            name: table.clone(),
            columns,
            key: vec![0, 1],
        }]),
        table,
    }
}

impl Subject for Memory {
    type Sink = MemorySink;

    fn sink(&self) -> &MemorySink {
        &self.sink
    }

    fn table(&self) -> &TableName {
        &self.table
    }

    async fn rows(&self) -> Rows {
        let text = |row: &BTreeMap<String, Vec<u8>>, name: &str| {
            row.get(name)
                .map(|value| String::from_utf8(value.clone()).unwrap())
        };
        self.sink
            .rows(&self.table)
            .into_values()
            .map(|row| {
                let c = i32::from_be_bytes(row["c"].as_slice().try_into().unwrap());
                (
                    (text(&row, "k").unwrap(), c),
                    (text(&row, "a"), text(&row, "b")),
                )
            })
            .collect()
    }
}

#[tokio::test]
async fn newest_stamp_wins() {
    sink_contract::newest_stamp_wins(|| async { fresh() }, 300).await;
}

#[tokio::test]
async fn missing_things_are_configuration_faults() {
    sink_contract::missing_things_are_configuration_faults(&fresh()).await;
}
