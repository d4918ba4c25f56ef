//! Why a record was not delivered, and whether sending it again can help.

use rdkafka::types::RDKafkaErrorCode;
use std::fmt;

/// How a record that was not delivered ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Undelivered {
    /// It is certain that the record is not in Kafka.
    NotSent,
    /// The record may be in Kafka: it was sent and its acknowledgement is missing.
    Unknown,
}

impl Undelivered {
    /// The outcome's name as it stands in messages and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::Unknown => "unknown",
        }
    }
}

/// One record that Kafka did not acknowledge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryFailure {
    /// The topic it was meant for.
    pub topic: String,
    /// Its partition; `None` when none was chosen yet.
    pub partition: Option<i32>,
    /// Whether it may be in Kafka all the same.
    pub outcome: Undelivered,
    /// librdkafka's reason; of a record that timed out while the brokers refused us, what they refused.
    pub code: RDKafkaErrorCode,
    /// What librdkafka said about its brokers, where that explains a timeout.
    pub hint: Option<String>,
}

impl DeliveryFailure {
    /// Whether the same record may be accepted later: false where the record, the topic or our rights are the reason.
    pub fn retryable(&self) -> bool {
        code_is_retryable(self.code)
    }
}

impl fmt::Display for DeliveryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {}", self.topic)?;
        if let Some(partition) = self.partition {
            write!(f, "[{partition}]")?;
        }
        write!(f, ": {}: {}", self.outcome.as_str(), describe(self.code))?;
        if let Some(advice) = advice(self.code) {
            write!(f, "; {advice}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; last from the brokers: {hint}")?;
        }
        Ok(())
    }
}

/// Why a call that was to deliver records did not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// Kafka did not acknowledge the record, or librdkafka did not take it.
    #[error("{0}")]
    Delivery(DeliveryFailure),
    /// The topic's name cannot be one: Kafka allows 1 to 249 of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`.
    #[error("topic {topic:?} is not a name Kafka allows: 1 to 249 of a-z A-Z 0-9 . _ -")]
    Topic {
        /// The name as it was given.
        topic: String,
    },
    /// The caller asked to stop while records were under way; they were purged.
    #[error("interrupted: {not_sent} records not sent, {unknown} unknown")]
    Cancelled {
        /// Records that are certainly not in Kafka.
        not_sent: u64,
        /// Records that may be there.
        unknown: u64,
    },
    /// The producer was closed.
    #[error("the producer is closed; make a new one")]
    Closed,
}

impl ProduceError {
    /// Whether calling again may succeed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Delivery(failure) => failure.retryable(),
            Self::Cancelled { .. } => true,
            Self::Topic { .. } | Self::Closed => false,
        }
    }
}

/// What ended a batch before every record was delivered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Cause {
    /// At least one record was refused or timed out; the first one by index.
    #[error("record {index}: {failure}")]
    Delivery {
        /// The record's index in the batch.
        index: u64,
        /// What happened to it.
        failure: DeliveryFailure,
    },
    /// A record cannot be encoded, or has no usable key. Nothing after it was sent.
    #[error("record {index}: {error}")]
    Encode {
        /// The record's index in the batch.
        index: u64,
        /// What cannot be encoded, with its path.
        error: millstream_codec::EncodeError,
    },
    /// The caller asked to stop; what was under way was purged.
    #[error("interrupted")]
    Cancelled,
    /// The source of the records failed; what was enqueued before was delivered.
    #[error("the source of the records ended early")]
    Source,
}

impl Cause {
    /// Whether producing the same batch again may succeed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Delivery { failure, .. } => failure.retryable(),
            Self::Encode { .. } => false,
            Self::Cancelled | Self::Source => true,
        }
    }
}

/// False where the record, the topic, our rights or the configuration are the reason: the same again ends the same.
pub(super) fn code_is_retryable(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as C;
    !matches!(
        code,
        C::BadMessage
            | C::BadCompression
            | C::UnknownPartition
            | C::UnknownTopic
            | C::InvalidArgument
            | C::Authentication
            | C::SSL
            | C::UnsupportedFeature
            | C::Fatal
            | C::GaplessGuarantee
            | C::InvalidMessage
            | C::UnknownTopicOrPartition
            | C::UnknownTopicId
            | C::InvalidMessageSize
            | C::MessageSizeTooLarge
            | C::MessageBatchTooLarge
            | C::InvalidTopic
            | C::InvalidRequiredAcks
            | C::TopicAuthorizationFailed
            | C::ClusterAuthorizationFailed
            | C::TransactionalIdAuthorizationFailed
            | C::InvalidTimestamp
            | C::UnsupportedSASLMechanism
            | C::SaslAuthenticationFailed
            | C::UnsupportedForMessageFormat
            | C::UnsupportedCompressionType
            | C::PolicyViolation
            | C::InvalidRecord
            | C::SecurityDisabled
    )
}

fn describe(code: RDKafkaErrorCode) -> String {
    code.to_string()
}

pub(super) fn advice(code: RDKafkaErrorCode) -> Option<&'static str> {
    use RDKafkaErrorCode as C;
    match code {
        C::UnknownTopic | C::UnknownTopicOrPartition => Some(
            "create the topic, or raise `topic.metadata.propagation.max.ms` if it was just made",
        ),
        C::MessageSizeTooLarge | C::InvalidMessageSize => Some(
            "raise `message.max.bytes` here and `max.message.bytes` of the topic, or send smaller records",
        ),
        C::MessageTimedOut | C::TimedOutQueue => {
            Some("check that the brokers can be reached, or raise `message.timeout.ms`")
        }
        C::TopicAuthorizationFailed | C::ClusterAuthorizationFailed => {
            Some("grant this user Write (and IdempotentWrite) on the topic")
        }
        C::Authentication | C::SaslAuthenticationFailed | C::UnsupportedSASLMechanism => {
            Some("check `sasl.username`, `sasl.password` and `sasl.mechanism`")
        }
        C::SSL => Some(
            "check `security.protocol`, the brokers' port, `ssl.ca.location` and the client's certificate",
        ),
        C::Fatal => Some("close this producer and make a new one"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_the_record_the_topic_and_our_rights_are_final() {
        use RDKafkaErrorCode as C;
        for code in [
            C::MessageSizeTooLarge,
            C::UnknownTopic,
            C::TopicAuthorizationFailed,
            C::Fatal,
        ] {
            assert!(!code_is_retryable(code), "{code}");
        }
        for code in [
            C::MessageTimedOut,
            C::BrokerTransportFailure,
            C::NotEnoughReplicas,
            C::PurgeQueue,
        ] {
            assert!(code_is_retryable(code), "{code}");
        }
    }

    #[test]
    fn a_failure_is_one_line_with_advice() {
        let failure = DeliveryFailure {
            topic: "users".to_owned(),
            partition: Some(2),
            outcome: Undelivered::NotSent,
            code: RDKafkaErrorCode::MessageTimedOut,
            hint: Some("a:1: Connection refused".to_owned()),
        };
        let text = failure.to_string();
        assert!(text.starts_with("topic users[2]: not_sent: "), "{text}");
        assert!(text.contains("message.timeout.ms"), "{text}");
        assert!(text.ends_with("a:1: Connection refused"), "{text}");
        assert!(!text.contains('\n'));
    }
}
