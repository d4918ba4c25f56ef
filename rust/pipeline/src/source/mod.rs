//! Where records come from: an HTTP API, page by page.
//!
//! A source gives pages of records in order and holds nothing but its position. A page is given whole or not at all:
//! a page that was cut, is not JSON or lacks the selected records is an error, never a shorter page.

mod config;
mod error;
mod fetch;
mod page;
mod paginator;
mod rate;

pub use config::HttpSourceConfig;
pub use error::{FetchError, FetchErrorKind};
pub use fetch::{FetchStats, HttpSource};
pub use paginator::{PageNumber, Paginator};
pub use rate::RateLimit;
