//! Pipelines from a real Kafka to a real Cassandra (the servers of `python -m millstream.devstack`).

mod pipeline;
mod rig;
