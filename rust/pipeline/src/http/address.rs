//! Which addresses may be talked to, decided when the connection is made.
//!
//! A check of the URL alone is not enough: a name may resolve to anything, and to something else a moment later. So
//! literal hosts are checked per hop, and names by the resolver whose answer is the list that is then connected to.

use super::Fault;
use reqwest::Url;
use reqwest::dns::{Name, Resolve, Resolving};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// How strict the check of addresses is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Guard {
    /// Link-local addresses and the clouds' metadata services are refused; everything else is allowed. The default:
    /// sources inside one's own network are common.
    #[default]
    Metadata,
    /// Only addresses of the public internet: for a URL that comes from outside, such as a trigger form.
    Public,
}

/// Metadata services outside the link-local ranges, from the clouds' own documentation.
const METADATA_V4: [Ipv4Addr; 2] = [
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba Cloud
    Ipv4Addr::new(168, 63, 129, 16),   // Azure's platform address
];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // AWS
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // Google Cloud
];

/// Why the address must not be talked to, if so.
pub fn refusal(address: IpAddr, guard: Guard) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => refusal_v4(v4, guard),
        IpAddr::V6(v6) => refusal_v6(v6, guard),
    }
}

fn refusal_v4(address: Ipv4Addr, guard: Guard) -> Option<&'static str> {
    if address.is_link_local() {
        return Some("a link-local address (metadata services live there)");
    }
    if METADATA_V4.contains(&address) {
        return Some("a cloud's metadata address");
    }
    if guard == Guard::Metadata {
        return None;
    }
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0, ..) => Some("an unspecified address"),
        (127, ..) => Some("a loopback address"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Some("a private address"),
        (100, 64..=127, _) => Some("a shared (CGNAT) address"),
        (224..=239, ..) => Some("a multicast address"),
        (240.., ..)
        | (192, 0, 0 | 2)
        | (192, 88, 99)
        | (198, 18..=19, _)
        | (198, 51, 100)
        | (203, 0, 113) => Some("a reserved address"),
        _ => None,
    }
}

fn refusal_v6(address: Ipv6Addr, guard: Guard) -> Option<&'static str> {
    // The same host may be reached under an IPv4 address written into an IPv6 one.
    if let Some(why) = embedded_v4(address).and_then(|v4| refusal_v4(v4, guard)) {
        return Some(why);
    }
    if address.is_unicast_link_local() {
        return Some("a link-local address (metadata services live there)");
    }
    if METADATA_V6.contains(&address) {
        return Some("a cloud's metadata address");
    }
    if guard == Guard::Metadata {
        return None;
    }
    if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_unspecified() {
        Some("an unspecified address")
    } else if address.to_ipv4_mapped().is_some() {
        Some("an IPv4 address written as IPv6")
    } else if address.is_unique_local() {
        Some("a private (unique local) address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if is_nat64(address) {
        None
    } else if address.segments()[0] & 0xe000 != 0x2000
        || matches!(address.segments(), [0x2001, 0 | 0xdb8, ..])
    {
        // Global unicast is 2000::/3; Teredo (2001::/32) hides another address, 2001:db8::/32 is documentation.
        Some("a reserved address")
    } else {
        None
    }
}

fn is_nat64(address: Ipv6Addr) -> bool {
    address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0]
}

/// The IPv4 address inside a mapped, compatible, NAT64 or 6to4 address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(from(high, low))
        }
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(from(high, low)),
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

/// Checks what can be known from the URL alone: scheme, host, and a host that is an address.
pub fn check_url(url: &Url, guard: Guard) -> Result<(), Fault> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Fault::InvalidUrl {
            detail: format!("scheme {:?}; only http and https are fetched", url.scheme()),
        });
    }
    let address = match url.host() {
        Some(url::Host::Ipv4(v4)) => IpAddr::V4(v4),
        Some(url::Host::Ipv6(v6)) => IpAddr::V6(v6),
        Some(url::Host::Domain(_)) => return Ok(()),
        None => {
            return Err(Fault::InvalidUrl {
                detail: "no host".to_owned(),
            });
        }
    };
    match refusal(address, guard) {
        Some(why) => Err(Fault::ForbiddenAddress {
            host: address.to_string(),
            why,
        }),
        None => Ok(()),
    }
}

/// How names become addresses; the system's resolver outside tests.
pub(crate) type Lookup = Arc<
    dyn Fn(String) -> futures::future::BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync,
>;

/// The system's resolver (`getaddrinfo`), so that hosts files and search domains count.
pub(crate) fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// A resolver that leaves out addresses that must not be talked to, and fails when none is left.
#[derive(Clone)]
pub(crate) struct GuardedResolver {
    pub(crate) guard: Guard,
    pub(crate) lookup: Lookup,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { guard, lookup } = self.clone();
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found = lookup(name.clone()).await?;
            // Some hosts carry a link-local address beside their real one: only the forbidden ones are left out.
            let mut why = None;
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|&address| match refusal(address, guard) {
                    Some(reason) => {
                        why = Some(reason);
                        false
                    }
                    None => true,
                })
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            match why {
                Some(why) if allowed.is_empty() => {
                    Err(Fault::ForbiddenAddress { host: name, why }.into())
                }
                _ => Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(address: &str, guard: Guard) -> bool {
        refusal(address.parse().unwrap(), guard).is_some()
    }

    #[test]
    fn metadata_addresses_are_always_refused() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "100.100.100.200",
            "168.63.129.16",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(refused(address, Guard::Metadata), "{address}");
            assert!(refused(address, Guard::Public), "{address}");
        }
    }

    #[test]
    fn the_default_allows_ones_own_network() {
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "::1",
            "fd12::1",
        ] {
            assert!(!refused(address, Guard::Metadata), "{address}");
        }
    }

    #[test]
    fn the_public_guard_allows_only_the_public_internet() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "127.0.0.1",
            "127.9.9.9",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "100::1",
        ] {
            assert!(refused(address, Guard::Public), "{address}");
        }
        for address in [
            "8.8.8.8",
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(!refused(address, Guard::Public), "{address}");
        }
    }

    #[test]
    fn hosts_in_any_spelling_are_read_as_the_address_they_are() {
        for url in [
            "http://169.254.169.254/latest/meta-data/",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fe80::1]/",
        ] {
            let fault = check_url(&Url::parse(url).unwrap(), Guard::Metadata).unwrap_err();
            assert!(
                matches!(fault, Fault::ForbiddenAddress { .. }),
                "{url}: {fault}"
            );
            assert!(!fault.retryable());
        }
        for url in [
            "file:///etc/passwd",
            "ftp://h/",
            "data:text/plain,x",
            "unix:/x",
        ] {
            let fault = check_url(&Url::parse(url).unwrap(), Guard::Metadata).unwrap_err();
            assert!(matches!(fault, Fault::InvalidUrl { .. }), "{url}: {fault}");
        }
    }

    async fn resolve(found: &'static [&'static str], guard: Guard) -> Result<Vec<IpAddr>, String> {
        let resolver = GuardedResolver {
            guard,
            lookup: Arc::new(move |_| {
                Box::pin(async move { Ok(found.iter().map(|a| a.parse().unwrap()).collect()) })
            }),
        };
        resolver
            .resolve("rebound.example".parse().unwrap())
            .await
            .map(|found| found.map(|a| a.ip()).collect())
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_resolver_hands_out_only_what_may_be_connected_to() {
        let mixed = resolve(&["169.254.1.1", "10.0.0.1"], Guard::Metadata).await;
        assert_eq!(mixed.unwrap(), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        let error = resolve(&["169.254.169.254"], Guard::Metadata)
            .await
            .unwrap_err();
        assert!(
            error.contains("rebound.example is a link-local address"),
            "{error}"
        );
        let error = resolve(&["10.0.0.1", "::1"], Guard::Public)
            .await
            .unwrap_err();
        assert!(error.contains("forbidden address"), "{error}");
        assert!(resolve(&[], Guard::Public).await.unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn an_embedded_address_is_refused_when_it_is_refused_itself(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            for guard in [Guard::Metadata, Guard::Public] {
                if refusal_v4(v4, guard).is_some() {
                    prop_assert!(refusal(v4.to_ipv6_mapped().into(), guard).is_some());
                    let nat64 = (0x64_ff9b_u128 << 96) | u128::from(bits);
                    prop_assert!(refusal(Ipv6Addr::from_bits(nat64).into(), guard).is_some());
                }
            }
        }
    }
}
