//! Why a page could not be fetched.

use crate::http::Fault;
use crate::http::retry::is_retried_status;
use std::time::Duration;

/// A page that could not be fetched: what, where, after how many tries, and whether to try again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {kind}{}", tries(*attempts))]
pub struct FetchError {
    /// What went wrong in the last try.
    pub kind: FetchErrorKind,
    /// The URL asked for, credentials masked.
    pub url: String,
    /// How often it was asked for; 0 when it never was.
    pub attempts: u32,
}

fn tries(attempts: u32) -> String {
    match attempts {
        0 | 1 => String::new(),
        n => format!(" (after {n} attempts)"),
    }
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchErrorKind {
    /// No whole answer.
    #[error(transparent)]
    Http(#[from] Fault),
    /// The server answered with a status that is not a success.
    #[error("answered {status}{}", said(detail))]
    Status {
        /// The HTTP status.
        status: u16,
        /// The beginning of what the server said, credentials masked; may be empty.
        detail: String,
    },
    /// 429 until the tries were used up.
    #[error("answered 429: too many requests{}; ask for less per second with rate_limit", wait(*retry_after))]
    RateLimited {
        /// What the last answer's `Retry-After` asked for, not cut.
        retry_after: Option<Duration>,
    },
    /// A success whose body is not JSON.
    #[error("not JSON: {detail}")]
    NotJson {
        /// What it looks like, its content type, and where JSON ends.
        detail: String,
        /// The status it came with.
        status: u16,
    },
    /// JSON without records where `data_selector` leads.
    #[error("data_selector {selector:?}: {detail}")]
    Selector {
        /// The path asked for; empty for the whole document.
        selector: String,
        /// What is there instead.
        detail: String,
        /// The status it came with.
        status: u16,
    },
    /// The pages do not end.
    #[error("pages: {detail}")]
    Paginator {
        /// What was seen and what to set.
        detail: String,
    },
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
}

fn said(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(": {detail}")
    }
}

fn wait(asked: Option<Duration>) -> String {
    asked.map_or_else(String::new, |asked| {
        format!(" (Retry-After {} s)", asked.as_secs())
    })
}

impl FetchErrorKind {
    /// Whether the same request may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Http(fault) => fault.retryable(),
            Self::Status { status, .. } => is_retried_status(*status),
            Self::RateLimited { .. } | Self::Stopped => true,
            Self::NotJson { .. } | Self::Selector { .. } | Self::Paginator { .. } => false,
        }
    }

    /// The status of the answer, if there was a whole one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. }
            | Self::NotJson { status, .. }
            | Self::Selector { status, .. } => Some(*status),
            Self::RateLimited { .. } => Some(429),
            Self::Http(_) | Self::Paginator { .. } | Self::Stopped => None,
        }
    }

    /// A stable name for programs, e.g. `rate_limited`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http(fault) => match fault {
                Fault::InvalidSetting { .. } => "invalid_setting",
                Fault::InvalidUrl { .. } => "invalid_url",
                Fault::ForbiddenAddress { .. } => "forbidden_address",
                Fault::Timeout { .. } => "timeout",
                Fault::Connect { .. } => "connect",
                Fault::Tls { .. } => "tls",
                Fault::Truncated { .. } => "truncated",
                Fault::BodyTooLarge { .. } => "body_too_large",
                Fault::Redirect { .. } => "redirect",
                Fault::Protocol { .. } => "protocol",
            },
            Self::Status { .. } => "status",
            Self::RateLimited { .. } => "rate_limited",
            Self::NotJson { .. } => "not_json",
            Self::Selector { .. } => "selector",
            Self::Paginator { .. } => "paginator",
            Self::Stopped => "stopped",
        }
    }
}

impl FetchError {
    /// Whether the same request may succeed later: what decides if a task is tried again.
    pub fn retryable(&self) -> bool {
        self.kind.retryable()
    }

    /// The status of the last answer, if there was a whole one.
    pub fn status(&self) -> Option<u16> {
        self.kind.status()
    }
}
