//! Tests against real servers, whose addresses come from `MILLSTREAM_*` variables; without them the tests fail.
