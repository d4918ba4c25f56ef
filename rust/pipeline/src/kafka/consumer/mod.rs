//! Reading a group's partitions: one thread polls, hands each record on with its write stamp, and commits what is settled.
//!
//! All state of the partitions lives on that thread; records come back as completions over a channel. So there is no lock
//! on the path of a record, and the rebalance callbacks (which librdkafka runs inside `poll`) see a quiet state.

mod assignment;
mod client;
pub mod committed;
mod committer;
mod context;
mod ends;
mod handler;
mod headers;
mod intake;
mod poll;
mod record;

pub use client::{ConsumerConfig, StartPosition, client_config};
pub use handler::{Ended, Handler};
pub use headers::RecordHeaders;
pub use poll::run;
pub use record::Record;
