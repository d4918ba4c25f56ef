//! Pages, retries, statuses, contents.

use crate::stub::{Raw, Stub, answer, answer_with, raw};
use millstream_pipeline::Secret;
use millstream_pipeline::http::{Fault, Guard, Proxies, Retry};
use millstream_pipeline::source::{
    FetchError, FetchErrorKind, HttpSource, HttpSourceConfig, PageNumber, Paginator, RateLimit,
};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Short waits; everything else as it is shipped.
pub(crate) fn config(url: impl Into<String>) -> HttpSourceConfig {
    HttpSourceConfig {
        retry: Retry {
            base: Duration::from_millis(1),
            cap: Duration::from_millis(5),
            ..Retry::default()
        },
        proxies: Proxies::none(),
        ..HttpSourceConfig::new(url)
    }
}

fn pages(maximum_page: Option<u64>) -> Paginator {
    Paginator::PageNumber(PageNumber {
        maximum_page,
        ..PageNumber::default()
    })
}

/// The first page's size.
pub(crate) async fn first(config: HttpSourceConfig) -> Result<Option<usize>, FetchError> {
    let page = HttpSource::new(config)?
        .next_page(&CancellationToken::new())
        .await?;
    Ok(page.map(|records| records.len()))
}

async fn all(source: &mut HttpSource) -> Result<Vec<usize>, FetchError> {
    let (stop, mut sizes) = (CancellationToken::new(), Vec::new());
    while let Some(page) = source.next_page(&stop).await? {
        sizes.push(page.len());
    }
    Ok(sizes)
}

#[tokio::test]
async fn pages_are_given_in_order_until_the_last_one() {
    let stub =
        Stub::start(|n, _| answer(200, format!(r#"{{"results":[{{"n":{n}}},{{}}]}}"#))).await;
    let mut source = HttpSource::new(HttpSourceConfig {
        params: vec![
            ("seed".into(), "a b&c".into()),
            ("page".into(), "77".into()),
        ],
        data_selector: Some("results".into()),
        paginator: pages(Some(3)),
        ..config(format!("{}/api/?nat=de", stub.url))
    })
    .unwrap();
    assert_eq!(all(&mut source).await.unwrap(), [2, 2, 2]);
    let lines = stub.lines();
    assert_eq!(
        lines,
        [1, 2, 3].map(|n| format!("GET /api/?nat=de&seed=a+b%26c&page={n}"))
    );
    let stats = source.stats();
    assert_eq!((stats.pages, stats.records, stats.requests), (3, 6, 3));
    assert!(stats.bytes > 60);
    assert_eq!(all(&mut source).await.unwrap(), [0; 0], "stays at its end");
    assert_eq!(all(&mut source.restarted()).await.unwrap(), [2, 2, 2]);
}

#[tokio::test]
async fn an_empty_page_is_the_end() {
    let stub = Stub::start(|n, _| {
        answer(
            200,
            if n < 2 {
                format!("[{n}]")
            } else {
                "[]".to_owned()
            },
        )
    })
    .await;
    let mut source = HttpSource::new(HttpSourceConfig {
        paginator: pages(None),
        ..config(&stub.url)
    })
    .unwrap();
    assert_eq!(all(&mut source).await.unwrap(), [1, 1]);
    assert_eq!(stub.seen().len(), 3);
}

#[tokio::test]
async fn a_server_that_ignores_the_page_number_is_noticed() {
    let stub = Stub::start(|_, _| answer(200, "[1]")).await;
    let mut source = HttpSource::new(HttpSourceConfig {
        paginator: pages(None),
        ..config(&stub.url)
    })
    .unwrap();
    let error = all(&mut source).await.unwrap_err();
    assert!(
        matches!(error.kind, FetchErrorKind::Paginator { .. }),
        "{error}"
    );
    assert!(!error.retryable());
    assert_eq!(stub.seen().len(), 2);
}

#[tokio::test]
async fn faults_of_the_server_are_tried_again() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let stub = Stub::start(move |n, _| match n {
            0 | 1 => answer(status, "busy"),
            _ => answer(200, "[1]"),
        })
        .await;
        assert_eq!(first(config(&stub.url)).await.unwrap(), Some(1), "{status}");
        assert_eq!(stub.seen().len(), 3, "{status}");
    }
}

#[tokio::test]
async fn tries_end_and_the_error_says_how_many_there_were() {
    let stub = Stub::start(|_, _| answer(503, "down for maintenance")).await;
    let error = first(config(format!("{}/x?api_key=s3cr3t", stub.url)))
        .await
        .unwrap_err();
    assert_eq!(
        (error.attempts, error.status(), error.retryable()),
        (5, Some(503), true)
    );
    assert_eq!(
        error.to_string(),
        format!(
            "{}/x?api_key=***: answered 503: down for maintenance (after 5 attempts)",
            stub.url
        )
    );
    assert_eq!(stub.seen().len(), 5);
}

#[tokio::test]
async fn the_callers_faults_are_not_tried_again() {
    for status in [400, 401, 403, 404, 410, 418, 422, 304] {
        let stub = Stub::start(move |_, _| answer(status, "")).await;
        let error = first(config(&stub.url)).await.unwrap_err();
        assert_eq!(
            (error.attempts, error.status(), error.retryable()),
            (1, Some(status), false)
        );
        assert_eq!(stub.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_rate_limit_of_the_server_is_named() {
    for (header, asked) in [
        ("0", Some(0)),
        ("-5", None),
        ("soon", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
    ] {
        let stub = Stub::start(move |_, _| answer_with(429, &[("retry-after", header)], "")).await;
        let error = first(config(&stub.url)).await.unwrap_err();
        let retry_after = asked.map(Duration::from_secs);
        assert_eq!(
            error.kind,
            FetchErrorKind::RateLimited { retry_after },
            "{header}"
        );
        assert_eq!(
            (error.attempts, error.status(), error.retryable()),
            (5, Some(429), true)
        );
    }
}

#[tokio::test]
async fn the_wait_a_server_asks_for_is_kept_and_cut() {
    // 10^9 seconds, cut to 300 ms by the setting.
    let stub = Stub::start(|n, _| match n {
        0 => answer_with(429, &[("retry-after", "1000000000")], ""),
        _ => answer(200, "[1]"),
    })
    .await;
    let mut config = config(&stub.url);
    config.retry.retry_after_cap = Duration::from_millis(300);
    let start = Instant::now();
    assert_eq!(first(config).await.unwrap(), Some(1));
    let waited = start.elapsed();
    assert!((300..5_000).contains(&waited.as_millis()), "{waited:?}");
}

#[tokio::test]
async fn what_is_not_json_is_an_error_that_says_what_it_looks_like() {
    for (kind, body, expected) in [
        (
            "text/html",
            "<!doctype html><h1>Hi</h1>",
            "it looks like an HTML page (content type text/html)",
        ),
        ("application/json", "", "the body is empty"),
        ("text/plain", "pong", "it looks like text"),
    ] {
        let stub = Stub::start(move |_, _| answer_with(200, &[("content-type", kind)], body)).await;
        let error = first(config(&stub.url)).await.unwrap_err();
        assert!(
            matches!(error.kind, FetchErrorKind::NotJson { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(
            (error.attempts, error.status(), error.retryable()),
            (1, Some(200), false)
        );
    }
}

#[tokio::test]
async fn a_selector_that_leads_nowhere_is_an_error() {
    let stub = Stub::start(|_, _| answer(200, r#"{"error":"Uh oh"}"#)).await;
    let error = first(HttpSourceConfig {
        data_selector: Some("results".into()),
        ..config(&stub.url)
    })
    .await
    .unwrap_err();
    assert!(
        matches!(error.kind, FetchErrorKind::Selector { .. }),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("an object with the fields error"),
        "{error}"
    );
    assert!(
        !error.to_string().contains("Uh oh"),
        "contents are not shown: {error}"
    );
}

#[tokio::test]
async fn no_content_is_an_empty_page() {
    let stub = Stub::start(|_, _| answer(204, "")).await;
    assert_eq!(first(config(&stub.url)).await.unwrap(), None);
}

#[tokio::test]
async fn a_page_that_failed_is_asked_for_again() {
    let stub = Stub::start(|n, _| match n {
        1 => answer(404, ""),
        n => answer(200, format!("[{n}]")),
    })
    .await;
    let mut source = HttpSource::new(HttpSourceConfig {
        paginator: pages(Some(2)),
        ..config(&stub.url)
    })
    .unwrap();
    let stop = CancellationToken::new();
    assert!(source.next_page(&stop).await.unwrap().is_some());
    assert_eq!(
        source.next_page(&stop).await.unwrap_err().status(),
        Some(404)
    );
    assert!(source.next_page(&stop).await.unwrap().is_some());
    assert!(source.next_page(&stop).await.unwrap().is_none());
    assert_eq!(
        stub.lines(),
        ["GET /?page=1", "GET /?page=2", "GET /?page=2"]
    );
}

#[tokio::test]
async fn stop_ends_a_request_at_once_and_the_page_is_not_lost() {
    let url = raw(vec![
        Raw::Hang(Vec::new()),
        Raw::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]".to_vec()),
    ])
    .await;
    let mut source = HttpSource::new(config(url)).unwrap();
    let stop = CancellationToken::new();
    let start = Instant::now();
    let (error, ()) = tokio::join!(source.next_page(&stop), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.cancel();
    });
    let error = error.unwrap_err();
    assert_eq!(
        (error.kind.clone(), error.retryable()),
        (FetchErrorKind::Stopped, true)
    );
    assert!(start.elapsed() < Duration::from_secs(2));
    let page = source.next_page(&CancellationToken::new()).await.unwrap();
    assert_eq!(page.map(|page| page.len()), Some(1));
}

#[tokio::test]
async fn requests_are_spaced_by_the_rate_limit_repeated_ones_too() {
    let stub = Stub::start(|n, _| {
        if n == 1 {
            answer(500, "")
        } else {
            answer(200, format!("[{n}]"))
        }
    })
    .await;
    let mut source = HttpSource::new(HttpSourceConfig {
        paginator: pages(Some(4)),
        rate_limit: Some(RateLimit::per_second(20.0)),
        ..config(&stub.url)
    })
    .unwrap();
    let start = Instant::now();
    assert_eq!(all(&mut source).await.unwrap(), [1; 4]);
    assert!(
        start.elapsed() >= Duration::from_millis(200),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(source.stats().requests, 5);
}

#[tokio::test]
async fn credentials_of_the_url_are_sent_and_never_shown() {
    let stub = Stub::start(|_, _| {
        answer(
            401,
            "user anna, password s3cr3t w0rd, Basic YW5uYTpzM2NyM3QgdzByZA== or Zm9v.bar unknown",
        )
    })
    .await;
    let url = stub.url.replace("http://", "http://anna:s3cr3t%20w0rd@");
    let error = first(HttpSourceConfig {
        headers: vec![("X-Api-Key".into(), Secret::new("Zm9v.bar"))],
        ..config(url)
    })
    .await
    .unwrap_err();
    let seen = &stub.seen()[0];
    assert_eq!(
        seen.header("authorization"),
        Some("Basic YW5uYTpzM2NyM3QgdzByZA==")
    );
    assert_eq!(seen.header("x-api-key"), Some("Zm9v.bar"));
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert!(
        seen.header("user-agent")
            .unwrap()
            .starts_with("millstream/")
    );
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(
            !text.contains("s3cr3t") && !text.contains("YW5u") && !text.contains("Zm9v"),
            "{text}"
        );
    }
    assert!(
        error.to_string().contains("user anna, password ***"),
        "{error}"
    );
}

#[test]
fn settings_that_cannot_be_used_are_named_before_any_request() {
    type Change = fn(&mut HttpSourceConfig);
    let cases: [(&str, Change); 9] = [
        ("timeout", |c| c.timeout = Duration::ZERO),
        ("read_timeout", |c| c.read_timeout = Duration::MAX),
        ("max_body", |c| c.max_body = 0),
        ("retry", |c| c.retry.max_attempts = 0),
        ("rate_limit", |c| {
            c.rate_limit = Some(RateLimit::per_second(0.0));
        }),
        ("data_selector", |c| c.data_selector = Some("a[".into())),
        ("headers", |c| {
            c.headers = vec![("a b".into(), Secret::new("x"))];
        }),
        ("headers", |c| {
            c.headers = vec![("a".into(), Secret::new("s3cr3t\r\nx: y"))];
        }),
        ("verify", |c| c.ca_file = Some("/nonexistent.pem".into())),
    ];
    for (expected, change) in cases {
        let mut config = config("http://127.0.0.1:1/");
        change(&mut config);
        let error = HttpSource::new(config).unwrap_err();
        let FetchErrorKind::Http(Fault::InvalidSetting { name, .. }) = &error.kind else {
            panic!("{expected}: {error:?}")
        };
        assert_eq!(*name, expected);
        assert_eq!((error.attempts, error.retryable()), (0, false));
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
    }
}

#[test]
fn urls_that_must_not_be_fetched() {
    for (url, name) in [
        ("file:///etc/passwd", "invalid_url"),
        ("", "invalid_url"),
        ("example.com/x", "invalid_url"),
        ("http://", "invalid_url"),
        ("http://u:s3cr3t@h:99999/", "invalid_url"),
        ("gopher://u:s3cr3t@h/", "invalid_url"),
        ("http://169.254.169.254/latest/", "forbidden_address"),
        ("http://u:s3cr3t@[fe80::1]/", "forbidden_address"),
    ] {
        let error = HttpSource::new(config(url)).unwrap_err();
        assert_eq!(
            (error.kind.name(), error.retryable()),
            (name, false),
            "{url}: {error}"
        );
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
    }
}

#[tokio::test]
async fn the_public_guard_refuses_names_of_this_machine() {
    let stub = Stub::start(|_, _| answer(200, "[1]")).await;
    let port = stub.url.rsplit(':').next().unwrap();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ] {
        let config = HttpSourceConfig {
            guard: Guard::Public,
            ..config(format!("http://{host}:{port}/"))
        };
        let error = first(config).await.unwrap_err();
        assert_eq!(error.kind.name(), "forbidden_address", "{host}: {error}");
    }
    assert!(stub.seen().is_empty());
}

#[test]
fn a_page_can_be_awaited_on_any_thread() {
    fn is_send(_: &impl Send) {}
    let mut source = HttpSource::new(config("http://127.0.0.1:1/")).unwrap();
    let stop = CancellationToken::new();
    is_send(&source.next_page(&stop));
}
