//! Connections that break, stand still, or never end.

use crate::source::{config, first};
use crate::stub::{Raw, Stub, raw};
use axum::body::Body;
use axum::response::Response;
use millstream_pipeline::http::Fault;
use millstream_pipeline::source::{FetchErrorKind, HttpSourceConfig};
use std::io::Write;
use std::time::{Duration, Instant};

const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]";

fn cut_answers() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("before the head", b"".to_vec()),
        ("inside the head", b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
        (
            "inside the body",
            b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n[1, 2".to_vec(),
        ),
        (
            "a body that would parse",
            b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n[1]".to_vec(),
        ),
        (
            "inside a chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n[1, 2".to_vec(),
        ),
        (
            "before the last chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n".to_vec(),
        ),
        (
            "a body that ends with the connection",
            b"HTTP/1.1 200 OK\r\n\r\n[{\"a\": 1}, {".to_vec(),
        ),
        ("gzip", gzip_answer(&gzip(b"[1, 2, 3]")[..15])),
    ]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gzip_answer(body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

#[tokio::test]
async fn a_cut_answer_is_never_parsed_but_tried_again() {
    for (place, bytes) in cut_answers() {
        let url = raw(vec![
            Raw::Close(bytes.clone()),
            Raw::Close(bytes.clone()),
            Raw::Close(WHOLE.to_vec()),
        ])
        .await;
        assert_eq!(first(config(url)).await.unwrap(), Some(1), "{place}");

        let error = first(config(raw(vec![Raw::Close(bytes)]).await))
            .await
            .unwrap_err();
        assert!(
            matches!(error.kind, FetchErrorKind::Http(Fault::Truncated { .. })),
            "{place}: {error:?}"
        );
        assert_eq!((error.attempts, error.retryable()), (5, true), "{place}");
    }
}

#[tokio::test]
async fn what_does_not_speak_http_is_named() {
    let url = raw(vec![Raw::Close(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec())]).await;
    let error = first(config(url)).await.unwrap_err();
    assert_eq!(
        (error.kind.name(), error.attempts),
        ("protocol", 1),
        "{error}"
    );
}

#[tokio::test]
async fn a_closed_port_is_tried_again() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = first(config(format!("http://127.0.0.1:{port}/")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind.name(), error.attempts, error.retryable()),
        ("connect", 5, true)
    );
    assert!(error.to_string().contains("onnection refused"), "{error}");
}

#[tokio::test]
async fn slow_answers_run_into_the_total_timeout() {
    let every = Duration::from_millis(20);
    for (place, script) in [
        ("silence", Raw::Hang(Vec::new())),
        (
            "a head that never ends",
            Raw::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), every),
        ),
        (
            "a body that drips",
            Raw::Drip(
                b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n[".to_vec(),
                every,
            ),
        ),
    ] {
        let mut config = config(raw(vec![script]).await);
        config.timeout = Duration::from_millis(150);
        config.retry.max_attempts = 2;
        let start = Instant::now();
        let error = first(config).await.unwrap_err();
        assert!(
            matches!(error.kind, FetchErrorKind::Http(Fault::Timeout { .. })),
            "{place}: {error:?}"
        );
        assert_eq!((error.attempts, error.retryable()), (2, true), "{place}");
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{place}: {:?}",
            start.elapsed()
        );
    }
}

#[tokio::test]
async fn silence_runs_into_the_read_timeout() {
    for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n["] {
        let mut config = config(raw(vec![Raw::Hang(bytes.to_vec())]).await);
        config.read_timeout = Duration::from_millis(100);
        config.retry.max_attempts = 1;
        let error = first(config).await.unwrap_err();
        let FetchErrorKind::Http(Fault::Timeout { detail }) = &error.kind else {
            panic!("{error:?}")
        };
        assert!(detail.contains("read timeout"), "{detail}");
    }
}

#[tokio::test]
async fn an_errors_endless_body_does_not_hide_its_status() {
    let drip = b"HTTP/1.1 404 Not Found\r\nContent-Length: 100000\r\n\r\nno such page".to_vec();
    let url = raw(vec![Raw::Drip(drip, Duration::from_millis(500))]).await;
    let error = first(config(url)).await.unwrap_err();
    assert_eq!(error.status(), Some(404), "{error}");
    assert!(error.to_string().contains("no such page"), "{error}");
}

#[tokio::test]
async fn bodies_beyond_the_limit_are_not_read_to_their_end() {
    let limit = 1 << 20;
    let endless = Stub::start(|_, _| {
        let chunk = bytes::Bytes::from(vec![b' '; 1 << 16]);
        let chunks = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
        Response::new(Body::from_stream(chunks))
    })
    .await;
    let announced = raw(vec![Raw::Hang(
        b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n".to_vec(),
    )])
    .await;
    let bomb = raw(vec![Raw::Close(gzip_answer(&gzip(&vec![b' '; 64 << 20])))]).await;
    for url in [endless.url, announced, bomb] {
        let error = first(HttpSourceConfig {
            max_body: limit,
            ..config(url)
        })
        .await
        .unwrap_err();
        assert_eq!(error.kind, Fault::BodyTooLarge { limit }.into());
        assert_eq!((error.attempts, error.retryable()), (1, false));
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read() {
    let packed = raw(vec![Raw::Close(gzip_answer(&gzip(b"[1]")))]).await;
    for url in [raw(vec![Raw::Close(WHOLE.to_vec())]).await, packed] {
        let with = |max_body| HttpSourceConfig {
            max_body,
            ..config(&url)
        };
        assert_eq!(first(with(3)).await.unwrap(), Some(1));
        let error = first(with(2)).await.unwrap_err();
        assert_eq!(error.kind.name(), "body_too_large", "{error}");
    }
}

#[tokio::test]
async fn a_body_packed_twice_is_named() {
    let twice = gzip(&gzip(b"[1]"));
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        twice.len()
    )
    .into_bytes();
    answer.extend_from_slice(&twice);
    let error = first(config(raw(vec![Raw::Close(answer)]).await))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("packed twice"), "{error}");
}
