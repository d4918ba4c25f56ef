//! Which requests go through a proxy: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` as `requests` reads them.

use super::Fault;
use super::mask::masked_text;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

/// Proxy settings as texts, each empty when there is none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Proxy of http URLs: `http://user:password@host:port`; the scheme may be left out.
    pub http: String,
    /// Proxy of https URLs, reached by CONNECT.
    pub https: String,
    /// Comma-separated exceptions: `*`, a host (its subdomains count too), an address, a network (`10.0.0.0/8`), each
    /// with `:port` or without.
    pub no_proxy: String,
}

impl Proxies {
    /// No proxy at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// From the process environment. Lower-case names win, as in `requests`.
    pub fn from_environment() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// From any table of variables.
    pub fn from_lookup(variable: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| {
            variable(&name.to_ascii_lowercase())
                .filter(|value| !value.trim().is_empty())
                .or_else(|| variable(&name.to_ascii_uppercase()))
                .map(|value| value.trim().to_owned())
                .unwrap_or_default()
        };
        let all = get("ALL_PROXY");
        let or_all = |own: String| if own.is_empty() { all.clone() } else { own };
        // In a CGI program the variable HTTP_PROXY holds a header of the caller ("httpoxy").
        let http = if variable("REQUEST_METHOD").is_some() {
            variable("http_proxy").unwrap_or_default()
        } else {
            get("HTTP_PROXY")
        };
        Self {
            http: or_all(http),
            https: or_all(get("HTTPS_PROXY")),
            no_proxy: get("NO_PROXY"),
        }
    }
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &masked_text(&self.http))
            .field("https", &masked_text(&self.https))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// Answers, per URL, whether it goes through a proxy.
pub(crate) struct Route {
    matcher: Matcher,
    /// Exceptions with a port, which the matcher does not know: lower-case host suffix and port.
    with_port: Vec<(String, u16)>,
    /// `*` is among the exceptions. The matcher knows it for names only, not for addresses.
    all_excepted: bool,
    /// For the client: proxies without exceptions, because those are decided here.
    pub(crate) proxies: Vec<reqwest::Proxy>,
}

impl Route {
    pub(crate) fn new(settings: &Proxies) -> Result<Self, Fault> {
        let mut proxies = Vec::new();
        if let Some(url) = proxy_url("HTTP_PROXY", &settings.http)? {
            proxies.push(reqwest::Proxy::http(url).map_err(|e| unusable("HTTP_PROXY", &e))?);
        }
        if let Some(url) = proxy_url("HTTPS_PROXY", &settings.https)? {
            proxies.push(reqwest::Proxy::https(url).map_err(|e| unusable("HTTPS_PROXY", &e))?);
        }
        let mut with_port = Vec::new();
        let mut plain = Vec::new();
        for entry in settings.no_proxy.split(',').map(str::trim) {
            // More than one colon is an IPv6 address or network.
            match entry.split_once(':') {
                Some((host, port)) if !host.is_empty() && !port.contains(':') => {
                    if let Ok(port) = port.parse() {
                        with_port.push((host.trim_start_matches('.').to_ascii_lowercase(), port));
                    }
                }
                _ => plain.push(entry),
            }
        }
        let all_excepted = plain.contains(&"*");
        let matcher = Matcher::builder()
            .http(settings.http.as_str())
            .https(settings.https.as_str())
            .no(plain.join(","))
            .build();
        Ok(Self {
            matcher,
            with_port,
            all_excepted,
            proxies,
        })
    }

    /// Whether this URL is fetched through a proxy.
    pub(crate) fn is_proxied(&self, url: &Url) -> bool {
        if self.proxies.is_empty() || self.all_excepted {
            return false;
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return false;
        };
        let excepted = self.with_port.iter().any(|(suffix, excepted_port)| {
            *excepted_port == port
                && host
                    .strip_suffix(suffix.as_str())
                    .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        });
        // The matcher wants scheme and authority only; a path may hold characters its parser refuses.
        let origin = format!("{}://{host}:{port}/", url.scheme());
        !excepted
            && origin
                .parse()
                .is_ok_and(|uri| self.matcher.intercept(&uri).is_some())
    }
}

fn unusable(name: &'static str, error: &reqwest::Error) -> Fault {
    let _ = error; // Its text may hold the proxy's password.
    Fault::InvalidSetting {
        name,
        detail: "not the URL of a proxy; write http://host:port".to_owned(),
    }
}

fn proxy_url(name: &'static str, text: &str) -> Result<Option<Url>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    match Url::parse(&full) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Some(url)),
        Ok(url) if url.scheme().starts_with("socks") => Err(Fault::InvalidSetting {
            name,
            detail: format!(
                "{} proxies are not supported; name an http proxy or except the host in NO_PROXY",
                url.scheme()
            ),
        }),
        _ => Err(Fault::InvalidSetting {
            name,
            detail: format!(
                "{:?} is not the URL of a proxy; write http://host:port",
                masked_text(text)
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup<'a>(table: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| {
            let found = table.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn variables_are_read_as_requests_reads_them() {
        let proxies = Proxies::from_lookup(lookup(&[
            ("HTTPS_PROXY", "http://upper:1"),
            ("https_proxy", "http://lower:1"),
            ("ALL_PROXY", "http://all:1"),
            ("NO_PROXY", "a.example"),
        ]));
        assert_eq!(proxies.https, "http://lower:1");
        assert_eq!(proxies.http, "http://all:1");
        assert_eq!(proxies.no_proxy, "a.example");
        assert_eq!(Proxies::from_lookup(|_| None), Proxies::none());
        let cgi = Proxies::from_lookup(lookup(&[
            ("REQUEST_METHOD", "GET"),
            ("HTTP_PROXY", "http://attacker:1"),
        ]));
        assert_eq!(cgi.http, "");
    }

    #[test]
    fn exceptions_are_matched_by_host_network_and_port() {
        let route = Route::new(&Proxies {
            http: "proxy:3128".into(),
            https: "http://proxy:3128".into(),
            no_proxy: "example.com, .internal, 10.0.0.0/8, localhost, port.example:8443, ::1"
                .into(),
        })
        .unwrap();
        for (url, proxied) in [
            ("https://example.com/", false),
            ("https://api.example.com/", false),
            ("https://notexample.com/", true),
            ("http://a.internal/", false),
            ("http://10.1.2.3/", false),
            ("http://11.1.2.3/", true),
            ("http://localhost:5000/", false),
            ("https://port.example:8443/", false),
            ("https://sub.port.example:8443/", false),
            ("https://port.example/", true),
            ("http://[::1]:80/", false),
            ("https://api.example.org/a|b?c={d}", true),
        ] {
            assert_eq!(
                route.is_proxied(&Url::parse(url).unwrap()),
                proxied,
                "{url}"
            );
        }
        let none = Route::new(&Proxies::none()).unwrap();
        assert!(!none.is_proxied(&Url::parse("https://h/").unwrap()));
        let star = Route::new(&Proxies {
            https: "p:1".into(),
            no_proxy: "*".into(),
            ..Proxies::none()
        });
        assert!(!star.unwrap().is_proxied(&Url::parse("https://h/").unwrap()));
    }

    #[test]
    fn only_the_scheme_with_a_proxy_is_proxied() {
        let route = Route::new(&Proxies {
            https: "p:1".into(),
            ..Proxies::none()
        })
        .unwrap();
        assert!(route.is_proxied(&Url::parse("https://h/").unwrap()));
        assert!(!route.is_proxied(&Url::parse("http://h/").unwrap()));
    }

    #[test]
    fn proxies_that_cannot_be_used_are_named_without_their_password() {
        for (text, expected) in [
            ("socks5://u:s3cr3t@p:1", "socks5 proxies are not supported"),
            ("http://u:s3cr3t@p:99999", "http://***@p:99999"),
            ("ftp://p", "is not the URL of a proxy"),
        ] {
            let settings = Proxies {
                https: text.into(),
                ..Proxies::none()
            };
            let error = Route::new(&settings).err().unwrap().to_string();
            assert!(error.starts_with("HTTPS_PROXY: "), "{error}");
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("s3cr3t") && !format!("{settings:?}").contains("s3cr3t"));
        }
    }
}
