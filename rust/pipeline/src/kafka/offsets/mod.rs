//! Which offset of a partition may be committed, and what the commit says.
//!
//! A committed offset means that every record below it is settled: in Cassandra, in the dead-letter topic, or filtered on
//! purpose. Only this module decides that.

mod metadata;
mod settled;

pub use metadata::{Committed, Counts, Metadata, UnknownVersion};
pub use settled::{Filter, Outcome, SettledOffsets, Storable};
