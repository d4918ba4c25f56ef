//! Suites against the servers of `python -m millstream.devstack`.

mod cassandra;
