//! What is written about a dead letter.

use rdkafka::message::{Header, OwnedHeaders};

use crate::kafka::consumer::Record;

/// Longest error text in a header, in bytes.
const MAX_TEXT: usize = 2048;

/// Where in the pipeline a record failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before its bytes were looked at (its timestamp, its size).
    Read,
    /// Its bytes are not the record they should be.
    Decode,
    /// The program refused it or failed.
    Remap,
    /// A column cannot take its value.
    Bind,
    /// The sink refused a row.
    Sink,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Decode => "VALUE_CONVERTER",
            Self::Remap => "TRANSFORMATION",
            Self::Bind => "BIND",
            Self::Sink => "TASK_PUT",
        }
    }
}

/// Why a record is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The stable code, e.g. `bad_json` or `validation:email`.
    pub code: String,
    /// Where it failed.
    pub stage: Stage,
    /// One line; never the record's own content.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The tables that did not get their row; empty when nothing was written.
    pub targets: Vec<String>,
}

/// A text cut to the header's bound at a character's border.
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

/// The record's own headers as they were, then ours.
pub(super) fn headers(
    record: &Record,
    letter: &DeadLetter,
    pipeline: &str,
    group: &str,
) -> OwnedHeaders {
    let mut headers = record
        .headers
        .original
        .clone()
        .unwrap_or_else(|| OwnedHeaders::new_with_capacity(15));
    let mut ours = vec![
        ("__connect.errors.topic", record.topic.to_string()),
        ("__connect.errors.partition", record.partition.to_string()),
        ("__connect.errors.offset", record.offset.to_string()),
        ("__connect.errors.connector.name", pipeline.to_owned()),
        ("__connect.errors.task.id", "0".to_owned()),
        ("__connect.errors.stage", letter.stage.as_str().to_owned()),
        ("__connect.errors.class.name", "millstream".to_owned()),
        ("__connect.errors.exception.class.name", letter.code.clone()),
        (
            "__connect.errors.exception.message",
            bounded(&letter.message).to_owned(),
        ),
        ("x-dlq-code", letter.code.clone()),
        ("x-dlq-group", group.to_owned()),
        ("x-dlq-attempts", letter.attempts.to_string()),
        ("x-dlq-targets", letter.targets.join(",")),
    ];
    if let Some(timestamp) = record.timestamp_ms {
        ours.push(("x-dlq-timestamp", timestamp.to_string()));
    }
    if let Ok(stamp) = record.stamp {
        ours.push(("x-millstream-w", stamp.to_string()));
    }
    for (key, value) in &ours {
        headers = headers.insert(Header {
            key,
            value: Some(value),
        });
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::consumer::RecordHeaders;
    use rdkafka::message::Headers;

    #[test]
    fn the_records_own_headers_come_first_and_unchanged() {
        let record = Record {
            topic: "t".into(),
            partition: 3,
            offset: 7,
            timestamp_ms: Some(5),
            key: None,
            value: None,
            headers: RecordHeaders {
                named: Vec::new(),
                original: Some(
                    OwnedHeaders::new()
                        .insert(Header {
                            key: "x-dlq-code",
                            value: Some(b"\xff".as_slice()),
                        })
                        .insert::<[u8]>(Header {
                            key: "n",
                            value: None,
                        }),
                ),
            },
            stamp: Ok(5000),
            read_stamp: 0,
        };
        let letter = DeadLetter {
            code: "bad_json".to_owned(),
            stage: Stage::Decode,
            message: "\u{e9}".repeat(3000),
            attempts: 1,
            targets: vec![],
        };
        let headers = headers(&record, &letter, "users", "millstream-users");
        assert_eq!(
            (headers.get(0).key, headers.get(0).value),
            ("x-dlq-code", Some(b"\xff".as_slice()))
        );
        assert_eq!((headers.get(1).key, headers.get(1).value), ("n", None));
        let find = |key| {
            headers
                .iter()
                .filter(|header| header.key == key)
                .filter_map(|header| header.value)
                .last()
        };
        assert_eq!(find("x-dlq-code"), Some(b"bad_json".as_slice()));
        assert_eq!(find("x-millstream-w"), Some(b"5000".as_slice()));
        assert_eq!(find("__connect.errors.offset"), Some(b"7".as_slice()));
        assert_eq!(
            find("__connect.errors.exception.message").map(<[u8]>::len),
            Some(MAX_TEXT)
        );
    }
}
