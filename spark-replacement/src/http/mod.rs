//! `/livez`, `/readyz` and `/metrics`.

mod routes;
mod server;

pub use routes::router;
pub use server::{bind, serve};
