//! Records that cannot be stored, kept whole: original key, value and headers, ours appended.
//!
//! The header names with `__connect.errors.` are Kafka Connect's (KIP-298), so that its tools read them. A record counts as
//! settled only after the delivery report of its dead letter.

mod headers;
mod queue;

pub use headers::{DeadLetter, Stage};
pub use queue::{DeadLetterError, DeadLetterQueue};
