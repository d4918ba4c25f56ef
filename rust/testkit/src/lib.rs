//! Development only: contract suites that fakes and real services pass alike, and what live tests need.

pub mod live;
pub mod sink_contract;
