//! librdkafka properties: passed through by their own names, checked for what would break a promise, secrets masked.

use rdkafka::ClientConfig;
use std::collections::BTreeMap;
use std::fmt;

/// Properties of a librdkafka client, e.g. `bootstrap.servers`. `Debug` prints the values of secrets as `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties {
    values: BTreeMap<String, String>,
}

/// A property that cannot be used. One line: which, why, and what to do. Permanent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Neither `bootstrap.servers` nor its alias is set; there is no default, so that nobody writes to a broker by surprise.
    #[error("`bootstrap.servers` is not set; give the brokers as `host:port`, separated by commas")]
    NoBrokers,
    /// An entry of `bootstrap.servers` is not `host:port`.
    #[error("`bootstrap.servers` entry {entry:?}: {detail}; write `host:port`")]
    Broker {
        /// The entry as it was given.
        entry: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A property that the delivery promise rests on.
    #[error("`{key}` is reserved: {detail}")]
    Reserved {
        /// The property's name.
        key: String,
        /// Why it cannot be set so, and what to do.
        detail: String,
    },
    /// librdkafka refuses the property or the combination.
    #[error("`{key}`: {detail}")]
    Refused {
        /// The property's name; `librdkafka` when the combination as a whole is refused.
        key: String,
        /// librdkafka's reason; left out where it would repeat a secret.
        detail: String,
    },
}

/// Names whose values must never be printed (the ones librdkafka itself marks, and those that carry tokens).
const SECRETS: &[&str] = &[
    "sasl.password",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "ssl.truststore.password",
];

/// Pairs of names for one setting; the first is the one we use.
const ALIASES: &[(&str, &str)] = &[
    ("bootstrap.servers", "metadata.broker.list"),
    ("acks", "request.required.acks"),
    ("compression.type", "compression.codec"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("retries", "message.send.max.retries"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("sasl.mechanism", "sasl.mechanisms"),
];

/// What a producer gets unless the caller says otherwise.
///
/// `murmur2_random` is the Java client's placement of keys. librdkafka's own default (CRC32) would put a key that a Java
/// or Spark producer also writes into another partition, and with it end the order of that key.
/// The queue is bounded in bytes too: librdkafka's default of 1 GiB is more than a task's container has.
const PRODUCER_DEFAULTS: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("linger.ms", "5"),
    ("compression.type", "lz4"),
    ("message.timeout.ms", "120000"),
    ("topic.metadata.propagation.max.ms", "10000"),
    ("partitioner", "murmur2_random"),
    ("queue.buffering.max.messages", "100000"),
    ("queue.buffering.max.kbytes", "65536"),
    ("socket.timeout.ms", "10000"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.max.ms", "2000"),
    ("client.id", "millstream"),
];

impl Properties {
    /// Takes properties by librdkafka's names. No check yet; a later name replaces an earlier one.
    pub fn new<K, V>(properties: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let values = properties
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        Self { values }
    }

    /// The value of a property, under its name or its alias.
    pub fn get(&self, key: &str) -> Option<&str> {
        let alias = ALIASES
            .iter()
            .find_map(|(name, alias)| match key {
                k if k == *name => Some(*alias),
                k if k == *alias => Some(*name),
                _ => None,
            })
            .unwrap_or(key);
        self.values
            .get(key)
            .or_else(|| self.values.get(alias))
            .map(String::as_str)
    }

    /// Whether a property's value must not be printed.
    pub fn is_secret(key: &str) -> bool {
        SECRETS.contains(&key)
    }

    /// The properties of a producer that keeps the delivery promise: defaults filled in, reserved ones refused.
    ///
    /// Defaults: idempotence on, `acks=all`, `linger.ms=5`, `compression.type=lz4`, `message.timeout.ms=120000`,
    /// `topic.metadata.propagation.max.ms=10000`, `partitioner=murmur2_random`, a queue of 100,000 messages or 64 MiB.
    pub fn for_producer(&self) -> Result<Self, ConfigError> {
        self.check_brokers()?;
        self.check_reserved()?;
        self.check_login()?;
        let mut complete = self.clone();
        for (key, value) in PRODUCER_DEFAULTS {
            complete.set_default(key, value);
        }
        complete.set_trust_store();
        Ok(complete)
    }

    /// Checks everything that can be checked without a client: our rules, then each name and value by librdkafka.
    pub fn check_producer(&self) -> Result<(), ConfigError> {
        self.for_producer()?
            .client_config()
            .create_native_config()?;
        Ok(())
    }

    /// librdkafka's own configuration object.
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in &self.values {
            config.set(key, value);
        }
        config
    }

    fn set_default(&mut self, key: &str, value: &str) {
        if self.get(key).is_none() {
            self.values.insert(key.to_owned(), value.to_owned());
        }
    }

    /// OpenSSL is compiled in and does not know where the system keeps its certificates: librdkafka has to look.
    fn set_trust_store(&mut self) {
        let tls = self
            .get("security.protocol")
            .is_some_and(|protocol| protocol.to_ascii_lowercase().contains("ssl"));
        if tls && self.get("ssl.ca.pem").is_none() {
            self.set_default("ssl.ca.location", "probe");
        }
        let oidc = self
            .get("sasl.oauthbearer.method")
            .is_some_and(|method| method.eq_ignore_ascii_case("oidc"));
        if oidc && self.get("https.ca.pem").is_none() {
            self.set_default("https.ca.location", "probe");
        }
    }

    fn check_brokers(&self) -> Result<(), ConfigError> {
        if self.get("test.mock.num.brokers").is_some() {
            return Ok(());
        }
        let list = self.get("bootstrap.servers").unwrap_or_default();
        if list.trim().is_empty() {
            return Err(ConfigError::NoBrokers);
        }
        list.split(',')
            .try_for_each(|entry| check_broker(entry.trim()))
    }

    /// librdkafka ignores `sasl.*` without a SASL protocol: the login would silently not happen.
    fn check_login(&self) -> Result<(), ConfigError> {
        const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
        let refuse = |key: &str, detail: String| {
            Err(ConfigError::Refused {
                key: key.to_owned(),
                detail,
            })
        };
        let protocol = self.get("security.protocol").unwrap_or("plaintext");
        let has_login = ["sasl.username", "sasl.password", "sasl.mechanism"]
            .iter()
            .any(|key| self.get(key).is_some());
        if has_login && !protocol.to_ascii_lowercase().starts_with("sasl_") {
            return refuse(
                "security.protocol",
                format!(
                    "{protocol:?} ignores the `sasl.*` properties; use SASL_SSL or SASL_PLAINTEXT"
                ),
            );
        }
        match self.get("sasl.mechanism") {
            Some(mechanism) if !MECHANISMS.contains(&mechanism) => refuse(
                "sasl.mechanism",
                format!(
                    "{mechanism:?} is not available; use one of {}",
                    MECHANISMS.join(", ")
                ),
            ),
            _ => Ok(()),
        }
    }

    fn check_reserved(&self) -> Result<(), ConfigError> {
        const RESERVED: &[(&str, &str)] = &[
            (
                "transactional.id",
                "there are no transactions here; delivery is at least once, with idempotence on; leave it out",
            ),
            (
                "delivery.report.only.error",
                "every record's outcome is reported; leave it out",
            ),
            ("log.queue", "log lines go to the log; leave it out"),
        ];
        for (key, detail) in RESERVED {
            if self.get(key).is_some() {
                return Err(ConfigError::Reserved {
                    key: (*key).to_owned(),
                    detail: (*detail).to_owned(),
                });
            }
        }
        if let Some(acks) = self.get("acks")
            && !matches!(acks, "all" | "-1")
        {
            return Err(ConfigError::Reserved {
                key: "acks".to_owned(),
                detail: format!(
                    "{acks:?} would call a record delivered before it is safe; `all` is the only value"
                ),
            });
        }
        if let Some(value) = self.get("enable.idempotence")
            && !value.eq_ignore_ascii_case("true")
        {
            return Err(ConfigError::Reserved {
                key: "enable.idempotence".to_owned(),
                detail: "without it a retry can reorder or repeat records; leave it out".to_owned(),
            });
        }
        Ok(())
    }
}

fn check_broker(entry: &str) -> Result<(), ConfigError> {
    let bad = |detail: &str| {
        Err(ConfigError::Broker {
            entry: entry.to_owned(),
            detail: detail.to_owned(),
        })
    };
    let address = match entry.split_once("://") {
        None => entry,
        Some((scheme, rest)) => match scheme.to_ascii_uppercase().as_str() {
            "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL" => rest,
            _ => return bad("a Kafka broker is not addressed by such a URL"),
        },
    };
    if address.is_empty() {
        return bad("it is empty");
    }
    if address.contains(char::is_whitespace) || address.contains('/') {
        return bad("it has a blank or a path");
    }
    // An IPv6 address stands in brackets: [::1]:9092.
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    };
    if host.is_empty() {
        return bad("the host is missing");
    }
    match port {
        None => Ok(()),
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(()),
        Some(_) => bad("the port is not between 1 and 65535"),
    }
}

impl From<rdkafka::error::KafkaError> for ConfigError {
    fn from(error: rdkafka::error::KafkaError) -> Self {
        match error {
            rdkafka::error::KafkaError::ClientConfig(_, detail, key, _) => Self::Refused {
                detail: if Properties::is_secret(&key) {
                    "librdkafka refuses the value".to_owned()
                } else {
                    one_line(&detail)
                },
                key,
            },
            rdkafka::error::KafkaError::ClientCreation(detail) => Self::Refused {
                key: "librdkafka".to_owned(),
                detail: one_line(&detail),
            },
            other => Self::Refused {
                key: "librdkafka".to_owned(),
                detail: one_line(&other.to_string()),
            },
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.values.iter().map(|(key, value)| {
                let shown = if Self::is_secret(key) { "***" } else { value };
                (key, shown)
            }))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producer(properties: &[(&str, &str)]) -> Result<Properties, ConfigError> {
        Properties::new(properties.iter().copied()).for_producer()
    }

    #[test]
    fn brokers_must_be_given() {
        assert_eq!(producer(&[]), Err(ConfigError::NoBrokers));
        assert_eq!(
            producer(&[("bootstrap.servers", " ")]),
            Err(ConfigError::NoBrokers)
        );
        assert!(producer(&[("metadata.broker.list", "a:9092")]).is_ok());
    }

    #[test]
    fn broker_entries_are_checked_one_by_one() {
        for good in [
            "a:9092",
            "a",
            "a:1,b:2",
            "a:1, b:2",
            "[::1]:9092",
            "SASL_SSL://a:9093",
            "127.0.0.1:65535",
        ] {
            assert!(producer(&[("bootstrap.servers", good)]).is_ok(), "{good}");
        }
        for bad in [
            "a:",
            "a:0",
            "a:99999",
            ":9092",
            "http://a:9092",
            "a:9092,,b:1",
            "a b:9092",
            "a:9092/x",
        ] {
            let error = producer(&[("bootstrap.servers", bad)]).expect_err(bad);
            assert!(matches!(error, ConfigError::Broker { .. }), "{error}");
        }
    }

    #[test]
    fn what_the_promise_rests_on_is_reserved() {
        for (key, value) in [
            ("acks", "1"),
            ("request.required.acks", "0"),
            ("enable.idempotence", "false"),
            ("transactional.id", "x"),
            ("delivery.report.only.error", "true"),
        ] {
            let error = producer(&[("bootstrap.servers", "a:1"), (key, value)]).expect_err(key);
            assert!(matches!(error, ConfigError::Reserved { .. }), "{error}");
        }
        assert!(producer(&[("bootstrap.servers", "a:1"), ("acks", "-1")]).is_ok());
    }

    #[test]
    fn an_alias_keeps_the_default_away() {
        let properties = producer(&[
            ("bootstrap.servers", "a:1"),
            ("compression.codec", "zstd"),
            ("delivery.timeout.ms", "5000"),
        ])
        .expect("valid");
        assert_eq!(properties.get("compression.type"), Some("zstd"));
        assert_eq!(properties.get("message.timeout.ms"), Some("5000"));
        assert_eq!(properties.values.get("compression.type"), None);
        assert_eq!(properties.values.get("message.timeout.ms"), None);
    }

    #[test]
    fn the_trust_store_is_looked_for_only_with_tls() {
        let plain = producer(&[("bootstrap.servers", "a:1")]).expect("valid");
        assert_eq!(plain.get("ssl.ca.location"), None);
        let tls = producer(&[
            ("bootstrap.servers", "a:1"),
            ("security.protocol", "SASL_SSL"),
        ]);
        assert_eq!(tls.expect("valid").get("ssl.ca.location"), Some("probe"));
    }

    #[test]
    fn secrets_are_masked() {
        let properties = Properties::new(SECRETS.iter().map(|key| (*key, "canary")));
        let shown = format!("{properties:?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert_eq!(shown.matches("***").count(), SECRETS.len());
    }
}
