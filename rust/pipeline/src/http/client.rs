//! One bounded exchange: redirects followed by our own rules, the body read up to a limit.

use super::address::{GuardedResolver, Lookup, check_url, system_lookup};
use super::fault::one_line;
use super::proxy::Route;
use super::{Fault, Guard, Proxies};
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Method, StatusCode, Url};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How an error's body is read: enough for a message, and not for long.
const ERROR_BODY_LIMIT: usize = 16 * 1024;
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// What another origin may see of the caller's headers; any other header may be a credential.
const HARMLESS_HEADERS: [HeaderName; 3] =
    [header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT];

/// What a client is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// For name lookup, TCP and TLS together. Default 10 s.
    pub connect_timeout: Duration,
    /// The longest silence of the server. Default 10 s.
    pub read_timeout: Duration,
    /// PEM file of the CAs to trust in place of the system's store, as `verify` of `requests`. Default: the system's.
    pub ca_file: Option<PathBuf>,
    /// Which addresses may be talked to.
    pub guard: Guard,
    /// Default: none; callers pass `Proxies::from_environment()`.
    pub proxies: Proxies,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(10),
            ca_file: None,
            guard: Guard::default(),
            proxies: Proxies::none(),
        }
    }
}

/// A request and the limits of its answer.
#[derive(Debug, Clone)]
pub struct Request {
    /// Redirects are followed for GET only.
    pub method: Method,
    /// Without user and password: those travel in `headers`.
    pub url: Url,
    /// Sent to the URL's origin; another origin sees only harmless ones.
    pub headers: HeaderMap,
    /// The body, if any.
    pub body: Option<bytes::Bytes>,
    /// For everything: connecting, redirects, and the last byte of the body.
    pub timeout: Duration,
    /// The most bytes of a decompressed body with a success status.
    pub max_body: usize,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// The status of the last hop.
    pub status: StatusCode,
    /// The headers of the last hop.
    pub headers: HeaderMap,
    /// The decompressed body; with an error status only the first 16 KiB, as far as they came.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's text; `None` when it is missing or not ASCII.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A client: connections are kept for the next request. Clone shares.
#[derive(Clone)]
pub struct Client {
    direct: reqwest::Client,
    /// Without the resolver's guard: here names are the proxy's, whose own address is the administrator's choice.
    proxied: Option<reqwest::Client>,
    route: Arc<Route>,
    guard: Guard,
    max_redirects: usize,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("guard", &self.guard)
            .field("proxied", &self.proxied.is_some())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Reads the CA file and the trust store; no network.
    pub fn new(options: &Options) -> Result<Self, Fault> {
        Self::with_lookup(options, system_lookup())
    }

    pub(crate) fn with_lookup(options: &Options, lookup: Lookup) -> Result<Self, Fault> {
        let route = Route::new(&options.proxies)?;
        let trust = Trust::read(options.ca_file.as_deref())?;
        let resolver = GuardedResolver {
            guard: options.guard,
            lookup,
        };
        let direct = build(&trust, |trust| {
            base(options, trust)
                .no_proxy()
                .dns_resolver(resolver.clone())
        })?;
        let proxied = if route.proxies.is_empty() {
            None
        } else {
            Some(build(&trust, |trust| {
                let empty = base(options, trust).no_proxy();
                route
                    .proxies
                    .iter()
                    .cloned()
                    .fold(empty, reqwest::ClientBuilder::proxy)
            })?)
        };
        Ok(Self {
            direct,
            proxied,
            route: Arc::new(route),
            guard: options.guard,
            max_redirects: 5,
        })
    }

    /// Sends the request and reads the answer within the request's limits. Not repeated on failure.
    pub async fn send(&self, request: Request) -> Result<Answer, Fault> {
        let timeout = request.timeout;
        tokio::time::timeout(timeout, self.follow(request))
            .await
            .unwrap_or_else(|_| Err(Fault::total_timeout(timeout)))
    }

    async fn follow(&self, mut request: Request) -> Result<Answer, Fault> {
        for _ in 0..=self.max_redirects {
            check_url(&request.url, self.guard)?;
            let response = self.send_once(&request).await?;
            let Some(target) = redirect_target(&request, &response)? else {
                return read(response, request.max_body).await;
            };
            if !same_origin(&request.url, &target) {
                request.headers = HARMLESS_HEADERS
                    .iter()
                    .filter_map(|name| Some((name.clone(), request.headers.get(name)?.clone())))
                    .collect();
            }
            request.url = target;
        }
        Err(Fault::Redirect {
            detail: format!("more than {} redirects", self.max_redirects),
        })
    }

    async fn send_once(&self, request: &Request) -> Result<reqwest::Response, Fault> {
        let client = match &self.proxied {
            Some(proxied) if self.route.is_proxied(&request.url) => proxied,
            _ => &self.direct,
        };
        let mut builder = client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone());
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        builder.send().await.map_err(|error| Fault::of_head(&error))
    }
}

/// Which certificates are believed.
enum Trust {
    System,
    Only(Vec<reqwest::Certificate>),
}

impl Trust {
    fn read(ca_file: Option<&Path>) -> Result<Self, Fault> {
        let Some(path) = ca_file else {
            return Ok(Self::System);
        };
        let invalid = |detail: String| Fault::InvalidSetting {
            name: "verify",
            detail: format!("CA file {}: {detail}", path.display()),
        };
        let pem = std::fs::read(path).map_err(|error| invalid(error.to_string()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|_| invalid("not PEM".to_owned()))?;
        if certificates.is_empty() {
            return Err(invalid("holds no PEM certificate".to_owned()));
        }
        Ok(Self::Only(certificates))
    }
}

fn base(options: &Options, trust: &Trust) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("millstream/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .read_timeout(options.read_timeout)
        .redirect(reqwest::redirect::Policy::none())
        // What is repeated is decided in one place, above this client.
        .retry(reqwest::retry::never())
        .referer(false)
        .pool_max_idle_per_host(4);
    match trust {
        Trust::System => builder,
        Trust::Only(certificates) => builder.tls_certs_only(certificates.iter().cloned()),
    }
}

fn build(
    trust: &Trust,
    builder: impl Fn(&Trust) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, Fault> {
    match (builder(trust).build(), trust) {
        (Ok(client), _) => Ok(client),
        // A machine without a trust store can still fetch http; https then fails, naming the untrusted issuer.
        (Err(_), Trust::System) => builder(&Trust::Only(Vec::new()))
            .build()
            .map_err(|error| unusable_tls(&error)),
        (Err(error), Trust::Only(_)) => Err(unusable_tls(&error)),
    }
}

fn unusable_tls(error: &reqwest::Error) -> Fault {
    use std::error::Error;
    let cause = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    Fault::InvalidSetting {
        name: "verify",
        detail: one_line(&format!("cannot set up TLS: {cause}")),
    }
}

/// Where the answer sends us, if it is a redirect that is followed.
fn redirect_target(request: &Request, response: &reqwest::Response) -> Result<Option<Url>, Fault> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    if !is_redirect || request.method != Method::GET {
        return Ok(None);
    }
    let refused = |detail: String| Fault::Redirect { detail };
    let location = response
        .headers()
        .get(header::LOCATION)
        .ok_or_else(|| refused(format!("{} without a Location", response.status())))?;
    let mut target = location
        .to_str()
        .ok()
        .and_then(|text| request.url.join(text).ok())
        .ok_or_else(|| refused("its Location is not a URL".to_owned()))?;
    if !matches!(target.scheme(), "http" | "https") || !target.has_host() {
        return Err(refused(format!("to a {}: URL", target.scheme())));
    }
    if request.url.scheme() == "https" && target.scheme() == "http" {
        return Err(refused("from https to http".to_owned()));
    }
    // Credentials that a server writes into a Location are not ours to send.
    let _ = target.set_password(None);
    let _ = target.set_username("");
    Ok(Some(target))
}

/// `requests` counts http and https of one host on their usual ports as one origin; so is done here.
fn same_origin(from: &Url, to: &Url) -> bool {
    let upgraded = from.scheme() == "http"
        && to.scheme() == "https"
        && from.port_or_known_default() == Some(80)
        && to.port_or_known_default() == Some(443);
    from.host() == to.host()
        && (upgraded
            || (from.scheme() == to.scheme()
                && from.port_or_known_default() == to.port_or_known_default()))
}

async fn read(mut response: reqwest::Response, max_body: usize) -> Result<Answer, Fault> {
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let body = if status.is_success() {
        body(&mut response, max_body).await?
    } else {
        // An error's body is only for its message: whatever is wrong with it must not hide the status.
        error_body(&mut response).await
    };
    Ok(Answer {
        status,
        headers,
        body,
    })
}

async fn body(response: &mut reqwest::Response, limit: usize) -> Result<Vec<u8>, Fault> {
    // Known before reading only when the body is not compressed.
    let announced = response.content_length().unwrap_or(0);
    if announced > limit as u64 {
        return Err(Fault::BodyTooLarge { limit });
    }
    let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or(0).min(1 << 20));
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| Fault::of_body(&error))?
    {
        if chunk.len() > limit - body.len() {
            return Err(Fault::BodyTooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

async fn error_body(response: &mut reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ERROR_BODY_LIMIT - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == ERROR_BODY_LIMIT {
                break;
            }
        }
    };
    // Running out of time leaves what has come so far.
    let _ = tokio::time::timeout(ERROR_BODY_TIMEOUT, reading).await;
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        for (from, to, same) in [
            ("https://h/a", "https://h/b?c", true),
            ("http://h/", "https://h/", true),
            ("http://h:8080/", "https://h/", false),
            ("https://h/", "https://h:444/", false),
            ("https://h/", "https://sub.h/", false),
            ("https://h:443/", "https://H/", true),
        ] {
            let (from, to) = (Url::parse(from).unwrap(), Url::parse(to).unwrap());
            assert_eq!(same_origin(&from, &to), same, "{from} {to}");
        }
    }

    #[test]
    fn ca_files_that_cannot_be_used() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "no certificate").unwrap();
        let garbage = dir.path().join("garbage.pem");
        std::fs::write(
            &garbage,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        for path in [
            dir.path().join("missing.pem"),
            dir.path().to_owned(),
            empty,
            garbage,
        ] {
            let options = Options {
                ca_file: Some(path.clone()),
                ..Options::default()
            };
            let error = Client::new(&options).unwrap_err();
            assert!(
                matches!(&error, Fault::InvalidSetting { name: "verify", .. }),
                "{path:?}: {error:?}"
            );
        }
    }

    fn client(found: &'static str, guard: Guard) -> Client {
        let lookup: Lookup =
            Arc::new(move |_| Box::pin(async move { Ok(vec![found.parse().unwrap()]) }));
        let options = Options {
            guard,
            ..Options::default()
        };
        Client::with_lookup(&options, lookup).unwrap()
    }

    fn get(url: &str) -> Request {
        Request {
            method: Method::GET,
            url: Url::parse(url).unwrap(),
            headers: HeaderMap::new(),
            body: None,
            timeout: Duration::from_secs(20),
            max_body: 1_000,
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_forbidden_address_is_refused_when_connecting() {
        for (found, guard) in [
            ("169.254.169.254", Guard::Metadata),
            ("127.0.0.1", Guard::Public),
            ("10.0.0.1", Guard::Public),
        ] {
            let fault = client(found, guard)
                .send(get("http://rebound.example:1/"))
                .await
                .unwrap_err();
            assert!(
                matches!(&fault, Fault::ForbiddenAddress { host, .. } if host == "rebound.example"),
                "{fault:?}"
            );
        }
    }
}
