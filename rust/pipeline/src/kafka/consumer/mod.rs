//! Reading a group's partitions: one thread polls, hands each record on with its write stamp, and commits what is settled.
//!
//! All state of the partitions lives on that thread; records come back as completions over a channel. So there is no lock
//! on the path of a record, and the rebalance callbacks (which librdkafka runs inside `poll`) see a quiet state.

mod assignment;
mod client;
mod context;
mod intake;
mod poll;
mod record;

pub use client::{ConsumerConfig, StartPosition, client_config};
pub use poll::{Ended, Handler, run};
pub use record::Record;
