//! What the brokers say about topics' settings.

use rdkafka::admin::{AdminClient, AdminOptions, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use std::collections::HashMap;
use std::time::Duration;

/// Room in the dead-letter topic for the headers that are appended to a record.
pub(super) const DEAD_LETTER_ROOM: usize = 64 << 10;

/// What matters of a topic's settings; `None` where the broker does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TopicSettings {
    /// Largest batch of records, in bytes.
    pub(super) max_message_bytes: Option<usize>,
    /// `CreateTime` or `LogAppendTime`.
    pub(super) timestamp_type: Option<String>,
}

/// Settings by topic. A topic that is not there, or whose settings we may not see, is left out; an error only when that
/// leaves none.
pub(super) async fn settings(
    client: &rdkafka::ClientConfig,
    topics: &[&str],
    timeout: Duration,
) -> Result<HashMap<String, TopicSettings>, KafkaError> {
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let wanted: Vec<_> = topics
        .iter()
        .map(|topic| ResourceSpecifier::Topic(topic))
        .collect();
    let options = AdminOptions::new().request_timeout(Some(timeout));
    let mut found = HashMap::new();
    let mut refused = None;
    for answer in admin.describe_configs(&wanted, &options).await? {
        let resource = match answer {
            Ok(resource) => resource,
            Err(code) => {
                refused = Some(KafkaError::AdminOp(code));
                continue;
            }
        };
        let value = |name: &str| resource.get(name).and_then(|entry| entry.value.clone());
        let settings = TopicSettings {
            max_message_bytes: value("max.message.bytes").and_then(|text| text.parse().ok()),
            timestamp_type: value("message.timestamp.type"),
        };
        if let OwnedResourceSpecifier::Topic(name) = resource.specifier {
            found.insert(name, settings);
        }
    }
    match refused {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

/// Size that the dead-letter topic must take: the largest record of any source, and the headers.
pub(super) fn dead_letter_bytes(
    limit: usize,
    sources: impl IntoIterator<Item = TopicSettings>,
) -> usize {
    let sources = sources.into_iter();
    let largest = sources.filter_map(|source| source.max_message_bytes).max();
    largest.unwrap_or_default().max(limit) + DEAD_LETTER_ROOM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_source_or_the_limit_decides_the_size_of_dead_letters() {
        let source = |bytes| TopicSettings {
            max_message_bytes: bytes,
            timestamp_type: None,
        };
        assert_eq!(dead_letter_bytes(1000, []), 1000 + 65_536);
        let sources = [source(Some(10)), source(None), source(Some(5000))];
        assert_eq!(dead_letter_bytes(1000, sources), 5000 + 65_536);
    }
}
