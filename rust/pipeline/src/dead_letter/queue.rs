//! The dead-letter topic.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::util::Timeout;

use super::headers::{DeadLetter, headers};
use crate::kafka::consumer::Record;

/// How long one question about the topic may take.
const LOOK: Duration = Duration::from_secs(5);

/// Why a dead letter is not in its topic. None of these loses the record: its offset is not committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeadLetterError {
    /// The topic is missing, too small or closed to us.
    #[error("dead-letter topic {topic}: {detail}")]
    Configuration {
        /// The topic.
        topic: String,
        /// What is wrong and what to do.
        detail: String,
    },
    /// The producer broke for good (fenced, or the broker lost what it had acknowledged); only a new one can go on.
    #[error("dead-letter topic {topic}: {detail}")]
    Fatal {
        /// The topic.
        topic: String,
        /// The client's own words.
        detail: String,
    },
    /// The broker cannot be reached.
    #[error("dead-letter topic {topic}: {detail}")]
    Transient {
        /// The topic.
        topic: String,
        /// The client's own words.
        detail: String,
    },
}

/// Sends dead letters. Cloning shares the producer.
#[derive(Clone)]
pub struct DeadLetterQueue {
    producer: FutureProducer,
    topic: String,
}

impl std::fmt::Debug for DeadLetterQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeadLetterQueue")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl DeadLetterQueue {
    /// A queue on `topic`; `client` holds bootstrap servers and security settings.
    pub fn new(client: &ClientConfig, topic: &str) -> Result<Self, KafkaError> {
        let mut config = client.clone();
        config
            .set("enable.idempotence", "true")
            // Settled waits for the report, and nothing else may go ahead: never give up by time.
            .set("message.timeout.ms", "0")
            .set("linger.ms", "5")
            // What could be fetched can be sent on: the topic's own limit decides, and says so. One fetch is at most 100 MB
            // (`receive.message.max.bytes`), and what is in flight bounds the queue long before this does.
            .set("message.max.bytes", "1000000000")
            .set("queue.buffering.max.kbytes", "131072");
        Ok(Self {
            producer: config.create()?,
            topic: topic.to_owned(),
        })
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Sends one dead letter and waits for its delivery report.
    ///
    /// Key, value and headers are the record's own bytes (a null stays a null); the timestamp is the broker's append time.
    pub async fn send(
        &self,
        record: &Record,
        letter: &DeadLetter,
        pipeline: &str,
        group: &str,
    ) -> Result<(), DeadLetterError> {
        let mut message: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(&self.topic).headers(headers(record, letter, pipeline, group));
        if let Some(key) = &record.key {
            message = message.key(key);
        }
        if let Some(value) = &record.value {
            message = message.payload(value);
        }
        match self.producer.send(message, Timeout::Never).await {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(self.classify(&error)),
        }
    }

    /// Asks whether the topic is there.
    pub async fn look(&self) -> Result<(), DeadLetterError> {
        let queue = self.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let found = queue
                .producer
                .client()
                .fetch_metadata(Some(&queue.topic), LOOK)?;
            match found.topics().first().and_then(MetadataTopic::error) {
                Some(code) => Err(KafkaError::MetadataFetch(code.into())),
                None => Ok(()),
            }
        });
        match looked.await {
            Ok(answer) => answer.map_err(|error| self.classify(&error)),
            Err(error) => Err(DeadLetterError::Transient {
                topic: self.topic.clone(),
                detail: error.to_string(),
            }),
        }
    }

    fn classify(&self, error: &KafkaError) -> DeadLetterError {
        use RDKafkaErrorCode as Code;
        let topic = self.topic.clone();
        let advice = match error.rdkafka_error_code() {
            Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
                "does not exist; create it"
            }
            Some(Code::MessageSizeTooLarge) => {
                "takes only smaller records; raise its max.message.bytes"
            }
            Some(Code::TopicAuthorizationFailed) => "is closed to us; allow Write",
            Some(Code::Fatal) => {
                let fatal = self.producer.client().fatal_error();
                let detail = fatal.map_or_else(|| error.to_string(), |(_, text)| text);
                return DeadLetterError::Fatal { topic, detail };
            }
            _ => {
                return DeadLetterError::Transient {
                    topic,
                    detail: error.to_string(),
                };
            }
        };
        DeadLetterError::Configuration {
            topic,
            detail: advice.to_owned(),
        }
    }
}
