//! A small server that cannot be held up: bounded connections, headers, time.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Open connections; one more closes the oldest, so that idle ones never keep a probe out.
const MAX_CONNECTIONS: usize = 128;
/// Time for a request's head, also between two requests of one connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Age at which a connection is closed: a reader that takes its answer byte by byte does not stay.
const MAX_AGE: Duration = Duration::from_mins(1);
/// Bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;
/// Headers of a request.
const MAX_HEADERS: usize = 64;
/// Pause after a failed accept (no descriptors left), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens the address; the error is one line that names it.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, io::Error> {
    TcpListener::bind(address).await.map_err(|error| {
        let text = format!("cannot listen on {address} (http.listen): {error}");
        io::Error::new(error.kind(), text)
    })
}

/// Answers until `shutdown`. Bodies of requests are not read.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "a connection to the status port could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MAX_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let connection = tokio::spawn(answer(stream, router.clone()));
        open.push_back(connection.abort_handle());
    }
    for connection in open {
        connection.abort();
    }
}

async fn answer(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // What a client does wrong is its own business: no log line.
    let _ = tokio::time::timeout(MAX_AGE, connection).await;
}
