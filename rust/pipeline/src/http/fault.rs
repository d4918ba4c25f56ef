//! What can go wrong between a request and the last byte of its answer.

use std::error::Error;
use std::io;
use std::time::Duration;

/// Why an exchange gave no whole answer. An answer with an error status is an answer, not a fault.
///
/// No variant holds a URL or a header, so that none can leak a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A setting that cannot be used; found before any request.
    #[error("{name}: {detail}")]
    InvalidSetting {
        /// The setting's name as the user writes it.
        name: &'static str,
        /// What is wrong with it and what would be right.
        detail: String,
    },
    /// The URL cannot be fetched: not a URL, no host, or a scheme other than http and https.
    #[error("invalid URL: {detail}")]
    InvalidUrl {
        /// What is wrong with it.
        detail: String,
    },
    /// The host is, or resolves only to, addresses that must not be talked to.
    #[error("forbidden address: {host} is {why}")]
    ForbiddenAddress {
        /// The host as named by the URL.
        host: String,
        /// What kind of address it is.
        why: &'static str,
    },
    /// A limit of time ran out.
    #[error("timed out: {detail}")]
    Timeout {
        /// Which limit.
        detail: String,
    },
    /// No connection: the name does not resolve, the port is closed, the proxy refuses.
    #[error("cannot connect: {detail}")]
    Connect {
        /// The innermost cause.
        detail: String,
    },
    /// The handshake failed: the certificate, or the other side does not speak TLS.
    #[error("TLS: {detail}")]
    Tls {
        /// What is wrong with it and what to do.
        detail: String,
    },
    /// The connection ended before the answer did.
    #[error("truncated answer: {detail}")]
    Truncated {
        /// Where it was cut.
        detail: String,
    },
    /// The answer, decompressed, is larger than allowed; the rest was not read.
    #[error("answer larger than {limit} bytes (decompressed)")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A redirect that is not followed.
    #[error("redirect refused: {detail}")]
    Redirect {
        /// Why.
        detail: String,
    },
    /// The other side does not speak HTTP as it should.
    #[error("not an HTTP answer: {detail}")]
    Protocol {
        /// The parser's words.
        detail: String,
    },
}

impl Fault {
    /// Whether the same request may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Connect { .. } | Self::Truncated { .. } => true,
            Self::InvalidSetting { .. }
            | Self::InvalidUrl { .. }
            | Self::ForbiddenAddress { .. }
            | Self::Tls { .. }
            | Self::BodyTooLarge { .. }
            | Self::Redirect { .. }
            | Self::Protocol { .. } => false,
        }
    }

    pub(crate) fn total_timeout(limit: Duration) -> Self {
        Self::Timeout {
            detail: format!("no whole answer within {limit:?}"),
        }
    }

    /// Classifies a failure before the answer's head was complete.
    pub(crate) fn of_head(error: &reqwest::Error) -> Self {
        if let Some(known) = known_cause(error) {
            return known;
        }
        let detail = innermost(error);
        if error.is_timeout() {
            let detail = if error.is_connect() {
                "no connection within the connect timeout".to_owned()
            } else {
                "the server sent nothing for the length of the read timeout".to_owned()
            };
            Self::Timeout { detail }
        } else if error.is_connect() {
            Self::Connect { detail }
        } else if error.is_builder() {
            Self::InvalidUrl { detail }
        } else {
            // A reset or a close while the head was awaited: nothing tells how far the server came.
            Self::Truncated { detail }
        }
    }

    /// Classifies a failure while the body was read.
    pub(crate) fn of_body(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout {
                detail: "the body stood still for the length of the read timeout".to_owned(),
            };
        }
        Self::Truncated {
            detail: format!("the body ended early or is broken ({})", innermost(error)),
        }
    }
}

/// A cause whose type says more than reqwest's own kinds.
fn known_cause(error: &(dyn Error + 'static)) -> Option<Fault> {
    causes(error).find_map(|cause| {
        if let Some(fault) = cause.downcast_ref::<Fault>() {
            return Some(fault.clone());
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return Some(Fault::Tls {
                detail: tls_detail(tls),
            });
        }
        let http = cause.downcast_ref::<hyper::Error>()?;
        if http.is_incomplete_message() {
            return Some(Fault::Truncated {
                detail: "the connection was closed before the answer's head was complete"
                    .to_owned(),
            });
        }
        http.is_parse().then(|| Fault::Protocol {
            detail: innermost(http),
        })
    })
}

fn tls_detail(error: &rustls::Error) -> String {
    use rustls::{CertificateError as Bad, Error as Tls};
    match error {
        Tls::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => {
                "certificate expired; the server must renew it".to_owned()
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "certificate not valid yet; check the clocks of both sides".to_owned()
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "certificate is for another host".to_owned()
            }
            // Another authority of the same name gives a signature that does not fit.
            Bad::UnknownIssuer | Bad::BadSignature => {
                "certificate is not signed by a trusted CA; name your CA's file in verify"
                    .to_owned()
            }
            other => one_line(&format!("certificate refused ({other})")),
        },
        Tls::InvalidMessage(_) => {
            "the server does not speak TLS on this port; is it http?".to_owned()
        }
        other => one_line(&other.to_string()),
    }
}

/// The error and its causes, looking into `io::Error`s, whose `source` skips the error they wrap.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// The innermost cause's text: the only one of the chain that says what happened.
fn innermost(error: &(dyn Error + 'static)) -> String {
    one_line(
        &causes(error)
            .last()
            .map_or_else(String::new, ToString::to_string),
    )
}

/// Texts of other parties stay on one line and short.
pub(crate) fn one_line(text: &str) -> String {
    const LIMIT: usize = 200;
    let mut line: String = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    if let Some((cut, _)) = line.char_indices().nth(LIMIT) {
        line.truncate(cut);
        line.push_str(" ...");
    }
    line
}
