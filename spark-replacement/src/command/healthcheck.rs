//! `healthcheck`: asks the running process how it is, where there is no other HTTP client (an image made from scratch).
//!
//! It reads the same configuration as `run`, so the address to ask is written once: `http.listen`. No proxy is asked,
//! since the process is on this machine.

use super::{Exit, complain, load, say, small_runtime};
use crate::cli::{Cli, HealthcheckArgs};
use crate::config::{EnvSource, Overrides};
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;

/// Largest answer that is read: far more than the conditions of a process with hundreds of pipelines.
const MAX_BODY: usize = 1 << 20;
/// Characters of the line that is printed; Docker keeps 4,096 bytes of a check's output.
const MAX_LINE: usize = 1000;

pub(super) fn run(cli: &Cli, args: &HealthcheckArgs, env: &dyn EnvSource) -> Exit {
    let config = match load(cli, env, &Overrides::default()) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let Some(listen) = config.http.listen else {
        complain(
            "healthcheck: http.listen is \"off\", so there is nobody to ask; give it an address",
        );
        return Exit::Config;
    };
    let runtime = match small_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start threads: {error}"));
            return Exit::Internal;
        }
    };
    let probe = if args.live { Probe::Live } else { Probe::Ready };
    match runtime.block_on(look(listen, probe, args.timeout)) {
        Ok(verdict) => {
            say(&format!("{}\n", one_line(&verdict.line)));
            if verdict.good {
                Exit::Ok
            } else {
                Exit::NotReady
            }
        }
        Err(error) => {
            complain(&one_line(&format!("healthcheck: {error}")));
            Exit::Unavailable
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// Whether everything it depends on is there.
    Ready,
    /// Whether it makes progress, or knows what it waits for.
    Live,
}

impl Probe {
    const fn path(self) -> &'static str {
        match self {
            Self::Ready => "/readyz",
            Self::Live => "/livez",
        }
    }
}

/// What the process said.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    good: bool,
    line: String,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
enum NoVerdict {
    #[error("nobody answers at {address}: {cause}; is `run` up, with this http.listen?")]
    Connect {
        address: SocketAddr,
        cause: std::io::Error,
    },
    #[error("the answer from {address} broke off: {cause}")]
    Broken {
        address: SocketAddr,
        cause: hyper::Error,
    },
    #[error("the body of the answer from {address} cannot be read: {cause}")]
    Body {
        address: SocketAddr,
        cause: axum::Error,
    },
    #[error("no answer from {address} within {} s; --timeout gives it longer", .limit.as_secs_f32())]
    Timeout {
        address: SocketAddr,
        limit: Duration,
    },
    #[error(
        "{address}{path} answers {status}, but not as millstream-consumer does; does another program listen there?"
    )]
    Stranger {
        address: SocketAddr,
        path: &'static str,
        status: StatusCode,
    },
}

/// Asks the process that listens at this address of its configuration.
async fn look(listen: SocketAddr, probe: Probe, limit: Duration) -> Result<Verdict, NoVerdict> {
    let addresses = reachable(listen);
    let address = addresses[0];
    let answer = tokio::time::timeout(limit, ask(&addresses, probe)).await;
    let (status, body) = answer.map_err(|_| NoVerdict::Timeout { address, limit })??;
    verdict(probe, status, &body).ok_or(NoVerdict::Stranger {
        address,
        path: probe.path(),
        status,
    })
}

/// Where a process can be asked that listens here: an unspecified address is all of this machine's, so loopback is one.
fn reachable(listen: SocketAddr) -> Vec<SocketAddr> {
    let at = |ip: IpAddr| SocketAddr::new(ip, listen.port());
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![at(Ipv4Addr::LOCALHOST.into())],
        // It takes IPv4, too, and a container often has no IPv6 loopback.
        IpAddr::V6(ip) if ip.is_unspecified() => {
            vec![
                at(Ipv6Addr::LOCALHOST.into()),
                at(Ipv4Addr::LOCALHOST.into()),
            ]
        }
        _ => vec![listen],
    }
}

async fn ask(addresses: &[SocketAddr], probe: Probe) -> Result<(StatusCode, Vec<u8>), NoVerdict> {
    let address = addresses[0];
    let broken = |cause| NoVerdict::Broken { address, cause };
    let stream = TcpStream::connect(addresses)
        .await
        .map_err(|cause| NoVerdict::Connect { address, cause })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // Ends with the connection; its errors come back by the request.
    tokio::spawn(connection);
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = axum::http::Uri::from_static(probe.path());
    let host = header::HeaderValue::from_static("localhost");
    request.headers_mut().insert(header::HOST, host);
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status();
    let body = to_bytes(Body::new(answer.into_body()), MAX_BODY)
        .await
        .map_err(|cause| NoVerdict::Body { address, cause })?;
    Ok((status, body.into()))
}

/// The answer of `/readyz`, as far as it is looked at.
#[derive(Debug, Deserialize)]
struct Readiness {
    ready: bool,
    phase: String,
    conditions: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    name: String,
    state: String,
    reason: Option<String>,
}

/// The answer of `/livez`.
#[derive(Debug, Deserialize)]
struct Liveness {
    alive: bool,
    reason: Option<String>,
}

/// What an answer means; `None` when it is not one of ours.
fn verdict(probe: Probe, status: StatusCode, body: &[u8]) -> Option<Verdict> {
    let (good, line) = match probe {
        Probe::Ready => {
            let answer: Readiness = serde_json::from_slice(body).ok()?;
            (answer.ready, readiness_line(&answer))
        }
        Probe::Live => {
            let answer: Liveness = serde_json::from_slice(body).ok()?;
            let reason = answer
                .reason
                .unwrap_or_else(|| "no reason given".to_owned());
            let line = if answer.alive {
                "alive".to_owned()
            } else {
                format!("not alive: {reason}")
            };
            (answer.alive, line)
        }
    };
    let wanted = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status == wanted).then_some(Verdict { good, line })
}

fn readiness_line(answer: &Readiness) -> String {
    let troubled = answer.conditions.iter().filter(|one| one.state != "ok");
    let reasons: Vec<_> = troubled
        .map(|one| {
            let reason = one.reason.as_deref().unwrap_or(&one.state);
            format!("{}: {reason}", one.name)
        })
        .collect();
    let reasons = reasons.join("; ");
    match (answer.ready, reasons.is_empty()) {
        (true, true) => "ready".to_owned(),
        (true, false) => format!("ready, but {reasons}"),
        (false, true) => format!("not ready: {}", answer.phase),
        (false, false) => format!("not ready ({}): {reasons}", answer.phase),
    }
}

/// Whatever was answered, one line of bounded length is printed.
fn one_line(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = visible.clone().take(MAX_LINE).collect();
    if visible.count() > MAX_LINE {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;
    use millstream_pipeline::telemetry::{Cause, Telemetry};
    use std::collections::BTreeMap;
    use std::io::{Read, Write};
    use std::sync::Arc;
    use std::time::SystemTime;
    use tokio_util::sync::CancellationToken;

    const LIMIT: Duration = Duration::from_secs(20);

    async fn line(address: SocketAddr, probe: Probe) -> (bool, String) {
        let found = look(address, probe, LIMIT).await.expect("a verdict");
        (found.good, found.line)
    }

    fn is(good: bool, line: &str) -> (bool, String) {
        (good, line.to_owned())
    }

    #[tokio::test]
    async fn what_the_process_answers_is_understood() {
        let listener = http::bind(([127, 0, 0, 1], 0).into())
            .await
            .expect("a port");
        let address = listener.local_addr().expect("its address");
        let telemetry = Arc::new(Telemetry::new("1", SystemTime::now));
        let shutdown = CancellationToken::new();
        let router = http::router(telemetry.clone());
        let server = tokio::spawn(http::serve(listener, router, shutdown.clone()));

        let ready = Probe::Ready;
        let status = telemetry.status();
        assert_eq!(line(address, ready).await, is(false, "not ready: starting"));
        let condition = status.condition("cassandra");
        status.started();
        condition.waiting(Cause::Unavailable, "no node answers");
        let waits = "not ready (waiting): cassandra: no node answers";
        assert_eq!(line(address, ready).await, is(false, waits));
        assert_eq!(line(address, Probe::Live).await, is(true, "alive"));
        condition.degraded("slow");
        let slow = "ready, but cassandra: slow";
        assert_eq!(line(address, ready).await, is(true, slow));
        condition.ok();
        assert_eq!(line(address, ready).await, is(true, "ready"));
        status.stalled(Some("no progress for 5m".to_owned()));
        let stuck = "not alive: no progress for 5m";
        assert_eq!(line(address, Probe::Live).await, is(false, stuck));
        status.draining();
        assert_eq!(line(address, ready).await, is(false, "not ready: draining"));

        shutdown.cancel();
        server.await.expect("the server's end");
    }

    #[tokio::test]
    async fn who_does_not_answer_is_told_from_who_answers_wrongly() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("its address");
        // In the listener's queue, and nobody takes it from there.
        let silent = look(address, Probe::Ready, Duration::from_millis(50)).await;
        assert!(
            matches!(silent, Err(NoVerdict::Timeout { .. })),
            "{silent:?}"
        );
        let closing = tokio::spawn(async move {
            for _ in 0..2 {
                drop(listener.accept().await);
            }
        });
        let closed = look(address, Probe::Ready, LIMIT).await;
        assert!(
            matches!(closed, Err(NoVerdict::Broken { .. })),
            "{closed:?}"
        );
        closing.await.expect("the listener's end");
        let nobody = look(address, Probe::Ready, LIMIT).await;
        let text = nobody.expect_err("nobody").to_string();
        let part = format!("nobody answers at {address}: ");
        assert!(text.starts_with(&part), "{text}");
    }

    /// How the command ends where `http.listen` has this value.
    fn exit(listen: &str) -> Exit {
        let text = format!(
            "[kafka]\nbootstrap_servers = [\"localhost:9092\"]\n[cassandra]\ncontact_points = [\"localhost:9042\"]\n[http]\nlisten = \"{listen}\"\n[pipelines.users]\ntopics = [\"t\"]\nvalue_format = \"json\"\n[[pipelines.users.tables]]\ntable = \"ks.t\"\ncolumns = {{ id = \"id\" }}\n"
        );
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("consumer.toml");
        std::fs::write(&path, text).expect("a file");
        let args = ["millstream-consumer", "healthcheck", "--config"];
        let args = args.iter().map(std::ffi::OsString::from);
        let env: BTreeMap<String, String> = BTreeMap::new();
        super::super::main(args.chain([path.into_os_string()]), &env)
    }

    #[test]
    fn the_exit_code_says_it_without_the_text() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let answers = [
            (200, r#"{"ready":true,"phase":"running","conditions":[]}"#),
            (503, r#"{"ready":false,"phase":"waiting","conditions":[]}"#),
            (404, "{}"),
        ];
        let server = std::thread::spawn(move || {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().expect("a request");
                let mut head = [0; 1024];
                let length = stream.read(&mut head).expect("its head");
                assert!(head[..length].starts_with(b"GET /readyz HTTP/1.1\r\n"));
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n\r\n{body}"
                )
                .expect("an answer");
            }
        });
        assert_eq!(exit(&address), Exit::Ok);
        assert_eq!(exit(&address), Exit::NotReady);
        assert_eq!(exit(&address), Exit::Unavailable);
        server.join().expect("the server's end");
        assert_eq!(exit(&address), Exit::Unavailable);
        assert_eq!(exit("off"), Exit::Config);
    }

    fn said(probe: Probe, status: u16, body: &str) -> Option<(bool, String)> {
        let status = StatusCode::from_u16(status).expect("a status");
        verdict(probe, status, body.as_bytes()).map(|found| (found.good, found.line))
    }

    #[test]
    fn a_process_that_waits_says_for_what() {
        let waiting = r#"{"ready":false,"phase":"waiting","conditions":[
            {"name":"cassandra","state":"waiting","cause":"unavailable","reason":"no node answers","since":1},
            {"name":"kafka/users","state":"waiting","since":1},
            {"name":"registry","state":"ok","since":1}]}"#;
        let line = "not ready (waiting): cassandra: no node answers; kafka/users: waiting";
        assert_eq!(
            said(Probe::Ready, 503, waiting),
            Some((false, line.to_owned()))
        );
        let draining = r#"{"ready":false,"phase":"draining","conditions":[]}"#;
        assert_eq!(
            said(Probe::Ready, 503, draining),
            Some((false, "not ready: draining".to_owned()))
        );
    }

    #[test]
    fn a_process_that_is_ready_is_so_even_where_it_is_degraded() {
        let ready = r#"{"ready":true,"phase":"running","conditions":[{"name":"a","state":"ok","since":1}]}"#;
        assert_eq!(
            said(Probe::Ready, 200, ready),
            Some((true, "ready".to_owned()))
        );
        let degraded = r#"{"ready":true,"phase":"running","conditions":[{"name":"a","state":"degraded","reason":"slow","since":1}]}"#;
        assert_eq!(
            said(Probe::Ready, 200, degraded),
            Some((true, "ready, but a: slow".to_owned()))
        );
    }

    #[test]
    fn a_process_that_is_stuck_is_not_alive() {
        assert_eq!(
            said(Probe::Live, 200, r#"{"alive":true}"#),
            Some((true, "alive".to_owned()))
        );
        let stuck = r#"{"alive":false,"reason":"no progress for 5m"}"#;
        assert_eq!(
            said(Probe::Live, 503, stuck),
            Some((false, "not alive: no progress for 5m".to_owned()))
        );
    }

    #[test]
    fn what_another_program_answers_is_no_verdict() {
        for (status, body) in [
            (200, "<html>"),
            (200, "{}"),
            (404, r#"{"error":"not_found"}"#),
            (200, r#"{"ready":false,"phase":"waiting","conditions":[]}"#),
            (503, r#"{"ready":true,"phase":"running","conditions":[]}"#),
            (503, r#"{"alive":false}"#),
        ] {
            assert_eq!(said(Probe::Ready, status, body), None, "{status} {body}");
        }
    }

    #[test]
    fn an_address_of_all_interfaces_is_asked_on_loopback() {
        for (listen, asked) in [
            ("127.0.0.1:9090", &["127.0.0.1:9090"][..]),
            ("10.1.2.3:9090", &["10.1.2.3:9090"]),
            ("0.0.0.0:1", &["127.0.0.1:1"]),
            ("[::]:9090", &["[::1]:9090", "127.0.0.1:9090"]),
            ("[::1]:9090", &["[::1]:9090"]),
        ] {
            let found = reachable(listen.parse().expect("an address"));
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, asked, "{listen}");
        }
    }

    #[test]
    fn a_line_stays_one_and_short() {
        assert_eq!(one_line("a\nb\u{1b}[31mc"), "a b [31mc");
        let long = one_line(&"é".repeat(5000));
        assert_eq!(long.chars().count(), MAX_LINE + 1);
    }
}
