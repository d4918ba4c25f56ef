//! What librdkafka's client errors mean for records that time out while they last.
//!
//! librdkafka never gives a connection up: wrong credentials are tried again until each record's time is over, and then
//! the record only says that it timed out. The reason was told before, once, by the client's error event.

use super::error::advice;
use rdkafka::types::RDKafkaErrorCode;
use std::fmt;
use std::time::{Duration, Instant};

/// How long a rejection explains timeouts. A connection is tried again within `reconnect.backoff.max.ms` (10 s), and an
/// error that repeats is told each 30 s: what was not told for this long is not so any more.
const LASTS: Duration = Duration::from_mins(1);

/// The brokers do not let this client in, or not do what it asks. Trying again ends the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// What was refused: credentials, the TLS handshake, a right.
    pub code: RDKafkaErrorCode,
    /// librdkafka's words, with the broker's address.
    pub reason: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(advice) = advice(self.code) {
            write!(f, "; {advice}")?;
        }
        write!(f, "; last from the brokers: {}", self.reason)
    }
}

/// The client's error events so far. Pure: the clock is a parameter.
///
/// The error events and the reports of records do not say to one another which broker they are about, so a rejection is kept
/// for the client. It explains a timeout while nothing was delivered since. A broker whose certificate does not fit says
/// nothing about the others, as a password does: it explains none while another broker is away.
#[derive(Debug, Default)]
pub(super) struct BrokerErrors {
    last: Option<String>,
    rejection: Option<(Instant, Rejection)>,
    /// The last broker that could not be reached, by address.
    away: Option<(Instant, String)>,
}

impl BrokerErrors {
    /// Notes an error event; true when it is a rejection.
    pub(super) fn told(&mut self, at: Instant, code: RDKafkaErrorCode, reason: &str) -> bool {
        self.last = Some(reason.to_owned());
        let rejects = is_rejection(code, reason);
        if rejects {
            let reason = reason.to_owned();
            self.rejection = Some((at, Rejection { code, reason }));
        } else if let Some(address) = unreachable(code, reason) {
            self.away = Some((at, address.to_owned()));
        }
        rejects
    }

    /// A record was delivered: whatever was refused before is not refused now.
    pub(super) fn delivered(&mut self) {
        self.rejection = None;
    }

    /// What the brokers refuse now.
    pub(super) fn rejection(&self, now: Instant) -> Option<&Rejection> {
        let lasts = |at: Instant| now.saturating_duration_since(at) < LASTS;
        let (_, rejection) = self.rejection.as_ref().filter(|(at, _)| lasts(*at))?;
        let another_is_away = self
            .away
            .as_ref()
            .is_some_and(|(at, away)| lasts(*at) && address(&rejection.reason) != Some(away));
        (rejection.code != RDKafkaErrorCode::SSL || !another_is_away).then_some(rejection)
    }

    /// The code that says why a record failed with `code`, and librdkafka's words where they explain it.
    pub(super) fn explain(
        &self,
        code: RDKafkaErrorCode,
        now: Instant,
    ) -> (RDKafkaErrorCode, Option<String>) {
        use RDKafkaErrorCode as C;
        match code {
            C::MessageTimedOut | C::TimedOutQueue => match self.rejection(now) {
                Some(rejection) => (rejection.code, Some(rejection.reason.clone())),
                None => (code, self.last.clone()),
            },
            C::Fatal | C::BrokerTransportFailure => (code, self.last.clone()),
            _ => (code, None),
        }
    }
}

/// Whether an error event says that a broker answered, and refused.
fn is_rejection(code: RDKafkaErrorCode, reason: &str) -> bool {
    use RDKafkaErrorCode as C;
    match code {
        // A broker that goes away in the middle of a login is told by the same code, with librdkafka's own error as the
        // reason; and so is a token that could not be fetched, with nothing that tells a refusal from a server that is down.
        C::Authentication => {
            let cut_off = [
                "Local: ",
                "Disconnected",
                "acquire SASL OAUTHBEARER token",
                "no token available",
            ];
            !cut_off.iter().any(|words| reason.contains(words))
        }
        // A network that fails in the middle of the handshake has the handshake's code too.
        C::SSL => !reason.contains("SSL transport error"),
        C::SaslAuthenticationFailed
        | C::UnsupportedSASLMechanism
        | C::TopicAuthorizationFailed
        | C::ClusterAuthorizationFailed
        | C::TransactionalIdAuthorizationFailed => true,
        _ => false,
    }
}

/// The address of the broker that an error event says could not be reached.
fn unreachable(code: RDKafkaErrorCode, reason: &str) -> Option<&str> {
    use RDKafkaErrorCode as C;
    let is_away = matches!(
        code,
        C::BrokerTransportFailure | C::Resolve | C::OperationTimedOut | C::SSL
    );
    address(reason).filter(|_| is_away)
}

/// `b:9093` of `sasl_ssl://b:9093/bootstrap: ...`: librdkafka names a broker before what it says of it.
fn address(reason: &str) -> Option<&str> {
    let (broker, _) = reason.split_once(": ")?;
    let address = broker.split_once("://").map_or(broker, |(_, rest)| rest);
    Some(
        address
            .split_once('/')
            .map_or(address, |(address, _)| address),
    )
}

#[cfg(test)]
mod tests {
    use super::super::error::code_is_retryable;
    use super::*;
    use RDKafkaErrorCode as C;

    const BAD_PASSWORD: &str = "sasl_ssl://b:9093/bootstrap: SASL authentication error: Authentication failed: Invalid username or password (after 311ms in state AUTH_REQ)";
    const BAD_CERTIFICATE: &str = "ssl://a:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed (after 4ms in state SSL_HANDSHAKE)";
    const AWAY: &str = "b:9093/bootstrap: Connect to ipv4#127.0.0.1:9093 failed: Connection refused (after 0ms in state CONNECT)";

    enum Event {
        Error(RDKafkaErrorCode, &'static str),
        Delivered,
        Passes(u64),
    }

    /// The code that a record ends with which times out after these events.
    fn code_after(events: &[Event]) -> RDKafkaErrorCode {
        let (mut errors, mut now) = (BrokerErrors::default(), Instant::now());
        for event in events {
            match event {
                Event::Error(code, reason) => {
                    errors.told(now, *code, reason);
                }
                Event::Delivered => errors.delivered(),
                Event::Passes(seconds) => now += Duration::from_secs(*seconds),
            }
        }
        errors.explain(C::MessageTimedOut, now).0
    }

    #[test]
    fn a_timeout_is_what_the_events_before_it_say() {
        use Event::{Delivered, Error, Passes};
        let refused = || Error(C::Authentication, BAD_PASSWORD);
        let down = || Error(C::AllBrokersDown, "1/1 brokers are down");
        let bad_certificate = || Error(C::SSL, BAD_CERTIFICATE);
        for (events, expected) in [
            (vec![], C::MessageTimedOut),
            (
                vec![Error(C::BrokerTransportFailure, AWAY), down()],
                C::MessageTimedOut,
            ),
            (vec![refused()], C::Authentication),
            // What follows from the refusal does not hide it, nor does another broker that is away.
            (
                vec![refused(), down(), Error(C::BrokerTransportFailure, AWAY)],
                C::Authentication,
            ),
            (vec![refused(), Passes(59)], C::Authentication),
            // Not told again where it would have been: it was mended, and this is something else.
            (vec![refused(), Passes(60)], C::MessageTimedOut),
            (
                vec![refused(), Passes(40), refused(), Passes(40)],
                C::Authentication,
            ),
            (vec![refused(), Delivered], C::MessageTimedOut),
            (vec![refused(), Delivered, refused()], C::Authentication),
            (
                vec![
                    Error(C::SSL, "SSL handshake failed: certificate verify failed"),
                    refused(),
                ],
                C::Authentication,
            ),
            // One broker's certificate says nothing about another that is down.
            (vec![bad_certificate()], C::SSL),
            (vec![bad_certificate(), down()], C::SSL),
            (
                vec![Error(C::BrokerTransportFailure, AWAY), bad_certificate()],
                C::MessageTimedOut,
            ),
            (
                vec![
                    bad_certificate(),
                    Error(C::BrokerTransportFailure, AWAY),
                    Passes(30),
                    bad_certificate(),
                ],
                C::MessageTimedOut,
            ),
            (
                vec![
                    Error(C::BrokerTransportFailure, AWAY),
                    Passes(60),
                    bad_certificate(),
                ],
                C::SSL,
            ),
            // The same broker, by another of its names.
            (
                vec![
                    Error(
                        C::BrokerTransportFailure,
                        "ssl://a:9093/1: Connect to ipv4#127.0.0.1:9093 failed: Connection refused",
                    ),
                    bad_certificate(),
                ],
                C::SSL,
            ),
        ] {
            assert_eq!(code_after(&events), expected);
        }
    }

    #[test]
    fn a_broker_that_answered_and_refused_is_told_from_one_that_went_away() {
        for (code, reason) in [
            (C::Authentication, BAD_PASSWORD),
            (
                C::Authentication,
                "SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512",
            ),
            (
                C::SSL,
                "SSL handshake failed: error:0A00010B:SSL routines::wrong version number",
            ),
            (
                C::TopicAuthorizationFailed,
                "users: Broker: Topic authorization failed",
            ),
            (
                C::ClusterAuthorizationFailed,
                "Broker: Cluster authorization failed",
            ),
        ] {
            assert!(is_rejection(code, reason), "{reason}");
            assert!(!code_is_retryable(code), "{code}");
        }
        for (code, reason) in [
            (
                C::Authentication,
                "SASL authentication error: SaslAuthenticateRequest failed: Local: Broker transport failure",
            ),
            (
                C::Authentication,
                "SASL PLAIN mechanism handshake failed: Local: Timed out: broker's supported mechanisms: (n/a)",
            ),
            (
                C::Authentication,
                "Disconnected: hung up from peer in state AUTH_LEGACY",
            ),
            (
                C::Authentication,
                "Failed to acquire SASL OAUTHBEARER token: Couldn't connect to server",
            ),
            (
                C::SSL,
                "ssl://b:9093/1: SSL handshake failed: SSL transport error: Connection timed out (after 9ms in state SSL_HANDSHAKE)",
            ),
            (
                C::SSL,
                "ssl://b:9093/1: SSL handshake failed: SSL transport error: No route to host",
            ),
            (C::BrokerTransportFailure, AWAY),
            (C::AllBrokersDown, "1/1 brokers are down"),
            (C::Resolve, "Failed to resolve"),
        ] {
            assert!(!is_rejection(code, reason), "{reason}");
        }
    }

    #[test]
    fn a_rejection_explains_timeouts_and_nothing_else() {
        let (mut errors, now) = (BrokerErrors::default(), Instant::now());
        errors.told(now, C::Authentication, BAD_PASSWORD);
        let words = || Some(BAD_PASSWORD.to_owned());
        for (code, expected) in [
            (C::MessageTimedOut, (C::Authentication, words())),
            (C::TimedOutQueue, (C::Authentication, words())),
            (C::Fatal, (C::Fatal, words())),
            (C::MessageSizeTooLarge, (C::MessageSizeTooLarge, None)),
            (C::PurgeQueue, (C::PurgeQueue, None)),
        ] {
            assert_eq!(errors.explain(code, now), expected);
        }
    }

    #[test]
    fn a_rejection_says_what_to_do() {
        for (code, advised) in [
            (C::Authentication, "sasl.password"),
            (C::UnsupportedSASLMechanism, "sasl.mechanism"),
            (C::SSL, "ssl.ca.location"),
            (C::TopicAuthorizationFailed, "grant"),
        ] {
            let reason = "b:9093: no".to_owned();
            let text = Rejection { code, reason }.to_string();
            assert!(text.contains(advised), "{text}");
            assert!(text.ends_with("b:9093: no"), "{text}");
        }
    }
}
