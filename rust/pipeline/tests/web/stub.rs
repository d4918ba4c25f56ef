//! Servers for one test each, gone with its runtime.

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// What a server was asked, as `METHOD path?query` and headers.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A server that answers by a function of the request's number (from 0) and its content.
#[derive(Clone)]
pub(crate) struct Stub {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    pub(crate) async fn start(
        answer: impl Fn(usize, &Seen) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = Arc::clone(&seen);
        let app = Router::new().fallback(async move |request: Request| {
            let request = read(request).await;
            let number = {
                let mut log = log.lock().unwrap();
                log.push(request.clone());
                log.len() - 1
            };
            answer(number, &request)
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }
}

async fn read(request: Request) -> Seen {
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let line = format!("{} {}", request.method(), request.uri());
    let body = axum::body::to_bytes(request.into_body(), 1 << 20)
        .await
        .unwrap();
    Seen {
        line,
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

pub(crate) fn answer(status: u16, body: impl Into<axum::body::Body>) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

pub(crate) fn answer_with(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.to_owned().into()).unwrap()
}

/// What a raw server does with a connection after it has read the request's head.
#[derive(Clone)]
pub(crate) enum Raw {
    /// Writes these bytes and closes.
    Close(Vec<u8>),
    /// Writes these bytes and keeps the connection open in silence.
    Hang(Vec<u8>),
    /// Writes these bytes, then one more of the kind every so often, for ever.
    Drip(Vec<u8>, Duration),
}

/// A server of scripted bytes: the n-th connection gets the n-th script, later ones the last.
pub(crate) async fn raw(scripts: Vec<Raw>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let script = scripts[number.min(scripts.len() - 1)].clone();
            tokio::spawn(play(stream, script));
        }
    });
    url
}

pub(crate) async fn play(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: Raw) {
    read_head(&mut stream).await;
    let (Raw::Close(bytes) | Raw::Hang(bytes) | Raw::Drip(bytes, _)) = &script;
    if stream.write_all(bytes).await.is_err() {
        return;
    }
    let _ = stream.flush().await;
    match script {
        Raw::Close(_) => {
            let _ = stream.shutdown().await;
        }
        Raw::Hang(_) => std::future::pending().await,
        Raw::Drip(_, every) => loop {
            tokio::time::sleep(every).await;
            if stream.write_all(b" ").await.is_err() {
                return;
            }
        },
    }
}

/// Reads up to the empty line that ends a request's head.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}
