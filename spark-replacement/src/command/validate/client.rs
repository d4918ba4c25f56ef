//! Questions to Kafka, each given up after a time, with what the client heard meanwhile as the reason.

use crate::command::topics::{self, TopicSettings};
use crate::config::Config;
use crate::settings;
use millstream_pipeline::kafka::consumer::client_config;
use millstream_pipeline::kafka::consumer::committed::{self, CommittedOffset};
use millstream_pipeline::telemetry::Cause;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::TopicPartitionList;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the client is asked before its errors are listened to.
const SLICE: Duration = Duration::from_millis(500);

/// Pause before the same question is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Why Kafka gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) cause: Cause,
    /// What happened and what to do.
    pub(super) reason: String,
}

impl Trouble {
    pub(super) fn of(error: &KafkaError) -> Self {
        let code = error.rdkafka_error_code();
        let cause = code.map_or(Cause::Configuration, cause);
        let advice = match code {
            Some(
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed,
            ) => "; allow Describe and Read",
            _ => advice(cause),
        };
        Self {
            cause,
            reason: format!("{error}{advice}"),
        }
    }
}

/// Whose fault an error is.
fn cause(code: Code) -> Cause {
    match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed => Cause::Authentication,
        Code::SSL | Code::UnsupportedSASLMechanism | Code::IllegalSASLState => Cause::Protocol,
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::InvalidTopic
        | Code::InvalidArgument => Cause::Configuration,
        _ => Cause::Unavailable,
    }
}

const fn advice(cause: Cause) -> &'static str {
    match cause {
        Cause::Unavailable => "; check kafka.bootstrap_servers",
        Cause::Authentication => "; check sasl.username and sasl.password",
        Cause::Protocol => "; check security.protocol and the ssl. keys of kafka.properties",
        Cause::Configuration => "",
    }
}

/// What the client said on its own.
#[derive(Debug, Default)]
struct Ears {
    last: Mutex<Option<(Cause, String)>>,
}

impl Ears {
    fn hear(&self, cause: Cause, reason: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // A refusal is not pushed aside by "all brokers are down", which follows from it.
        if cause != Cause::Unavailable || last.is_none() {
            *last = Some((cause, reason.to_owned()));
        }
    }
}

impl ClientContext for Ears {
    fn error(&self, error: KafkaError, reason: &str) {
        let cause = error.rdkafka_error_code().map_or(Cause::Unavailable, cause);
        self.hear(cause, reason);
    }

    /// Some handshakes that fail are told here only.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, "librdkafka: {message}");
        if message.contains("SSL handshake failed") {
            // The thread's name comes first.
            let words = message.split_once("]: ").map_or(message, |(_, rest)| rest);
            self.hear(Cause::Protocol, words);
        }
    }
}

impl ConsumerContext for Ears {}

/// A client that reads and joins no group.
pub(super) struct Client {
    consumer: BaseConsumer<Ears>,
    admin: rdkafka::ClientConfig,
    timeout: Duration,
}

impl Client {
    pub(super) fn new(config: &Config, group: &str, timeout: Duration) -> Result<Self, Trouble> {
        let mut client = client_config(
            &config.kafka.bootstrap_servers.join(","),
            &config.kafka.client_id,
            &config.kafka.properties.expose(),
            group,
        );
        client
            .set("enable.partition.eof", "true")
            .set("queued.max.messages.kbytes", "1024");
        Ok(Self {
            consumer: client.create_with_context(Ears::default())?,
            admin: settings::kafka_admin(config),
            timeout,
        })
    }

    pub(super) fn consumer(&self) -> &BaseConsumer<impl ConsumerContext + use<>> {
        &self.consumer
    }

    /// The brokers' own addresses, and the names of all topics that we may see.
    pub(super) fn brokers(&self) -> Result<(Vec<String>, Vec<String>), Trouble> {
        let metadata = self.metadata(None)?;
        let brokers = metadata.brokers().iter();
        let brokers = brokers.map(|broker| format!("{}:{}", broker.host(), broker.port()));
        let topics = metadata.topics().iter();
        let topics = topics.map(|topic| topic.name().to_owned());
        Ok((brokers.collect(), topics.collect()))
    }

    /// How many partitions a topic has; `None` when it does not exist.
    pub(super) fn partitions(&self, topic: &str) -> Result<Option<i32>, Trouble> {
        let metadata = self.metadata(Some(topic))?;
        let Some(found) = metadata.topics().iter().find(|one| one.name() == topic) else {
            return Ok(None);
        };
        match found.error().map(Code::from) {
            None => Ok(i32::try_from(found.partitions().len()).ok()),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
            Some(code) => Err(Trouble::of(&KafkaError::MetadataFetch(code))),
        }
    }

    fn metadata(&self, topic: Option<&str>) -> Result<Metadata, Trouble> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match self.consumer.fetch_metadata(topic, left.min(SLICE)) {
                Ok(metadata) => return Ok(metadata),
                Err(error) => error,
            };
            // Serves what the client has to say; there is no record to be read.
            while self.consumer.poll(Duration::ZERO).is_some() {}
            let ears = self.consumer.context();
            let heard = ears.last.lock().unwrap_or_else(PoisonError::into_inner);
            match &*heard {
                Some((cause, reason)) if *cause != Cause::Unavailable => {
                    return Err(Trouble {
                        cause: *cause,
                        reason: format!("{reason}{}", advice(*cause)),
                    });
                }
                _ if left > SLICE => {}
                Some((cause, reason)) => {
                    let seconds = self.timeout.as_secs_f32();
                    return Err(Trouble {
                        cause: *cause,
                        reason: format!("no answer within {seconds} s: {reason}{}", advice(*cause)),
                    });
                }
                None => return Err(Trouble::of(&error)),
            }
        }
    }

    /// Settings of topics by name; a topic whose settings we may not see is left out.
    pub(super) fn topic_settings(
        &self,
        topics: &[&str],
    ) -> Result<HashMap<String, TopicSettings>, Trouble> {
        let asking = topics::settings(&self.admin, topics, self.timeout);
        Ok(futures::executor::block_on(asking)?)
    }

    /// What this client's group committed.
    pub(super) fn committed(
        &self,
        topics: &[(String, i32)],
    ) -> Result<Vec<CommittedOffset>, Trouble> {
        let mut list = TopicPartitionList::new();
        for (topic, partitions) in topics {
            for partition in 0..*partitions {
                list.add_partition(topic, partition);
            }
        }
        let deadline = Instant::now() + self.timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.consumer.committed_offsets(list.clone(), left) {
                Ok(list) => return Ok(committed::read(&list)),
                // A new cluster has to find a coordinator first.
                Err(error) => {
                    let trouble = Trouble::of(&error);
                    if trouble.cause != Cause::Unavailable || left < SLICE {
                        return Err(trouble);
                    }
                }
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_cause_and_what_to_do() {
        let of = |code| Trouble::of(&KafkaError::MetadataFetch(code));
        assert_eq!(of(Code::BrokerTransportFailure).cause, Cause::Unavailable);
        assert_eq!(of(Code::OperationTimedOut).cause, Cause::Unavailable);
        assert_eq!(of(Code::SSL).cause, Cause::Protocol);
        let refused = of(Code::TopicAuthorizationFailed);
        assert_eq!(refused.cause, Cause::Authentication);
        assert!(refused.reason.ends_with("; allow Describe and Read"));
        assert!(
            of(Code::SaslAuthenticationFailed)
                .reason
                .ends_with("check sasl.username and sasl.password")
        );
    }

    #[test]
    fn a_refusal_is_not_pushed_aside_by_what_follows_from_it() {
        let ears = Ears::default();
        ears.error(KafkaError::Global(Code::AllBrokersDown), "1/1 down");
        ears.error(KafkaError::Global(Code::Authentication), "wrong password");
        ears.error(KafkaError::Global(Code::AllBrokersDown), "1/1 down");
        let heard = ears.last.lock().unwrap().clone();
        assert_eq!(
            heard,
            Some((Cause::Authentication, "wrong password".to_owned()))
        );
    }
}
