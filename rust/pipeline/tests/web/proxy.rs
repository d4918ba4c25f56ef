//! Through a proxy, and past it.

use crate::source::{config, first};
use crate::stub::{Stub, answer, answer_with};
use millstream_pipeline::Secret;
use millstream_pipeline::http::{Guard, Proxies};
use millstream_pipeline::source::HttpSourceConfig;

fn through(proxy: &Stub, no_proxy: &str) -> Proxies {
    Proxies {
        http: proxy.url.replace("http://", "http://anna:s3cr3t@"),
        https: proxy.url.clone(),
        no_proxy: no_proxy.to_owned(),
    }
}

#[tokio::test]
async fn http_goes_through_the_proxy_with_its_credentials() {
    let proxy = Stub::start(|_, _| answer(200, "[1]")).await;
    let config = HttpSourceConfig {
        proxies: through(&proxy, "other.invalid"),
        headers: vec![("X-Api-Key".into(), Secret::new("key"))],
        // The proxy stands in a private network; that is the administrator's choice.
        guard: Guard::Public,
        ..config("http://api.invalid/users?x=1")
    };
    assert_eq!(first(config).await.unwrap(), Some(1));
    let seen = &proxy.seen()[0];
    assert_eq!(seen.line, "GET http://api.invalid/users?x=1");
    assert_eq!(
        seen.header("proxy-authorization"),
        Some("Basic YW5uYTpzM2NyM3Q=")
    );
    assert_eq!(seen.header("x-api-key"), Some("key"));
}

#[tokio::test]
async fn exceptions_go_past_the_proxy() {
    let proxy = Stub::start(|_, _| answer(500, "")).await;
    let stub = Stub::start(|_, _| answer(200, "[1]")).await;
    for no_proxy in ["127.0.0.1", "127.0.0.0/8", "*", "x.invalid, 127.0.0.1"] {
        let config = HttpSourceConfig {
            proxies: through(&proxy, no_proxy),
            ..config(&stub.url)
        };
        assert_eq!(first(config).await.unwrap(), Some(1), "{no_proxy}");
    }
    assert!(proxy.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_is_routed_anew_and_the_proxys_password_stays_with_it() {
    let target = Stub::start(|_, _| answer(200, "[1]")).await;
    let to = target.url.clone();
    let proxy = Stub::start(move |_, _| answer_with(302, &[("location", &to)], "")).await;
    let config = HttpSourceConfig {
        proxies: through(&proxy, "127.0.0.1"),
        ..config("http://api.invalid/")
    };
    assert_eq!(first(config).await.unwrap(), Some(1));
    assert_eq!(target.seen()[0].header("proxy-authorization"), None);
}

#[tokio::test]
async fn literal_addresses_are_checked_behind_a_proxy_too() {
    let proxy =
        Stub::start(|_, _| answer_with(302, &[("location", "http://169.254.169.254/")], "")).await;
    let config = HttpSourceConfig {
        proxies: through(&proxy, ""),
        ..config("http://api.invalid/")
    };
    let error = first(config).await.unwrap_err();
    assert_eq!(error.kind.name(), "forbidden_address", "{error}");
    assert_eq!(proxy.seen().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let proxy = Stub::start(|_, _| answer(407, "who are you?")).await;
    for (url, name) in [
        ("http://api.invalid/", "status"),
        ("https://api.invalid/", "connect"),
    ] {
        let mut config = HttpSourceConfig {
            proxies: through(&proxy, ""),
            ..config(url)
        };
        config.retry.max_attempts = 1;
        let error = first(config).await.unwrap_err();
        assert_eq!(error.kind.name(), name, "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cr3t"));
    }
}
