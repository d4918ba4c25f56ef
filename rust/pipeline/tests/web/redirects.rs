//! Where a server may send us, and what goes along.

use crate::source::{config, first};
use crate::stub::{Stub, answer, answer_with};
use millstream_pipeline::Secret;
use millstream_pipeline::http::Guard;
use millstream_pipeline::source::HttpSourceConfig;

async fn redirecting(to: &str) -> Stub {
    let to = to.to_owned();
    Stub::start(move |_, _| answer_with(302, &[("location", &to)], "")).await
}

#[tokio::test]
async fn every_kind_of_redirect_is_followed_with_credentials_on_one_origin() {
    for status in [301, 302, 303, 307, 308] {
        let stub = Stub::start(move |n, _| match n {
            0 => answer_with(status, &[("location", "../b?x=1#frag")], ""),
            _ => answer(200, "[1]"),
        })
        .await;
        let config = HttpSourceConfig {
            headers: vec![("X-Api-Key".into(), Secret::new("key"))],
            ..config(format!("{}/a/c", stub.url).replace("http://", "http://u:pw@"))
        };
        assert_eq!(first(config).await.unwrap(), Some(1), "{status}");
        assert_eq!(stub.lines(), ["GET /a/c", "GET /b?x=1"]);
        for seen in stub.seen() {
            assert_eq!(seen.header("authorization"), Some("Basic dTpwdw=="));
            assert_eq!(seen.header("x-api-key"), Some("key"));
        }
    }
}

#[tokio::test]
async fn credentials_do_not_cross_origins() {
    let target = Stub::start(|_, _| answer(200, "[1]")).await;
    // Another port of the same host is another origin; a user in the Location is not taken over.
    let stub = redirecting(&target.url.replace("http://", "http://evil:pw@")).await;
    let config = HttpSourceConfig {
        headers: vec![
            ("X-Api-Key".into(), Secret::new("key")),
            ("Cookie".into(), Secret::new("a=b")),
            ("Accept-Language".into(), Secret::new("de")),
        ],
        ..config(stub.url.replace("http://", "http://u:pw@"))
    };
    assert_eq!(first(config).await.unwrap(), Some(1));
    let seen = &target.seen()[0];
    for name in ["authorization", "x-api-key", "cookie", "referer"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("accept-language"), Some("de"));
    assert_eq!(seen.header("accept"), Some("application/json"));
}

#[tokio::test]
async fn five_redirects_are_followed_and_not_one_more() {
    for (hops, ends) in [(5, true), (6, false), (usize::MAX, false)] {
        let stub = Stub::start(move |n, _| {
            if n < hops {
                answer_with(302, &[("location", "/again")], "")
            } else {
                answer(200, "[1]")
            }
        })
        .await;
        let result = first(config(&stub.url)).await;
        if ends {
            assert_eq!(result.unwrap(), Some(1));
        } else {
            let error = result.unwrap_err();
            assert_eq!((error.kind.name(), error.retryable()), ("redirect", false));
            assert_eq!(stub.seen().len(), 6);
        }
    }
}

#[tokio::test]
async fn targets_that_are_refused() {
    for (to, name) in [
        ("file:///etc/passwd", "redirect"),
        ("data:text/plain,[1]", "redirect"),
        ("ftp://127.0.0.1/", "redirect"),
        ("http://[::1", "redirect"),
        (
            "http://169.254.169.254/latest/meta-data/",
            "forbidden_address",
        ),
        ("http://0xa9fea9fe/", "forbidden_address"),
        ("//[fe80::1]/", "forbidden_address"),
    ] {
        let error = first(config(redirecting(to).await.url)).await.unwrap_err();
        assert_eq!(
            (error.kind.name(), error.attempts),
            (name, 1),
            "{to}: {error}"
        );
        assert!(!error.retryable());
    }
    let nowhere = Stub::start(|_, _| answer(302, "")).await;
    let error = first(config(nowhere.url)).await.unwrap_err();
    assert!(error.to_string().contains("without a Location"), "{error}");
}

#[tokio::test]
async fn the_public_guard_looks_at_the_first_url_too() {
    let stub = redirecting("http://127.0.0.1:1/").await;
    let config = HttpSourceConfig {
        guard: Guard::Public,
        ..config(&stub.url)
    };
    assert_eq!(
        first(config).await.unwrap_err().kind.name(),
        "forbidden_address"
    );
    assert!(stub.seen().is_empty());
}
