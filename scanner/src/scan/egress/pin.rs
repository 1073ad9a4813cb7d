//! Where a connection's requests may go: one origin, checked before anything is sealed or sent.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use twinflow_connectors::Contract;
use url::{Host, Url};

/// The origins an operator lists in `TWINFLOW_EGRESS_ALLOW`, beside the tools' own. A listed origin may have a
/// private address, another port, and with `http://` before it no TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed(Vec<Url>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("TWINFLOW_EGRESS_ALLOW holds something that is no host, host:port or https://host:port (entry {0})")]
pub struct BadOrigin(usize);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// Not repeated: what is wrong with it may be a password in it.
    #[error("this base URL cannot be asked; give it as https://host/path, without user, query or fragment")]
    BadUrl,
    #[error(
        "{0} is not among the hosts this program may ask; the operator lists it in TWINFLOW_EGRESS_ALLOW={0}"
    )]
    Unlisted(String),
}

impl FromStr for Allowed {
    type Err = BadOrigin;

    /// Comma-separated: `ghe.example.com, https://jira.example.com:8443, http://127.0.0.1:4010`.
    fn from_str(list: &str) -> Result<Self, BadOrigin> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.enumerate().map(|(nth, entry)| origin(nth + 1, entry)).collect::<Result<_, _>>().map(Self)
    }
}

/// The entry itself is not repeated: what is wrong with it may be a password in it.
fn origin(nth: usize, entry: &str) -> Result<Url, BadOrigin> {
    let bad = || BadOrigin(nth);
    let full = if entry.contains("://") { entry.to_owned() } else { format!("https://{entry}") };
    let url = Url::parse(&full).map_err(|_| bad())?;
    if is_plain(&url) && url.path() == "/" { Ok(url) } else { Err(bad()) }
}

fn is_plain(url: &Url) -> bool {
    ["http", "https"].contains(&url.scheme())
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

impl Allowed {
    /// Adds an origin; the demo and tests list their own services.
    pub fn and(mut self, entry: &str) -> Result<Self, BadOrigin> {
        self.0.push(origin(self.0.len() + 1, entry)?);
        Ok(self)
    }

    /// Ties a connection to its base URL: the tool's own host, or one that is listed.
    pub fn pin(&self, base_url: &str, contract: &Contract) -> Result<Pin, NotAllowed> {
        let bad = || NotAllowed::BadUrl;
        let base = Url::parse(base_url).map_err(|_| bad())?;
        if !is_plain(&base) || base.path().contains("..") || base_url.contains(['{', '}', '%', '\\']) {
            return Err(bad());
        }
        let own = is_own(&base, contract);
        self.pinned(base, own)
    }

    /// Ties what is said to a tool's authorisation server to one of its endpoints: where the contract says, at the
    /// tool's own hosts, or where the operator lists it.
    pub fn pin_endpoint(&self, url: &str, contract: &Contract) -> Result<Pin, NotAllowed> {
        let url = Url::parse(url).map_err(|_| NotAllowed::BadUrl)?;
        if !is_plain(&url) || url.path().contains("..") {
            return Err(NotAllowed::BadUrl);
        }
        let named = contract.oauth().is_some_and(|oauth| {
            let same = |it: &str| Url::parse(it).is_ok_and(|it| it.origin() == url.origin());
            same(oauth.authorize) || same(oauth.token)
        });
        let own = named || is_own(&url, contract);
        self.pinned(url, own)
    }

    fn pinned(&self, base: Url, own: bool) -> Result<Pin, NotAllowed> {
        let listed = self.0.iter().any(|it| it.origin() == base.origin());
        if listed || own {
            return Ok(Pin { base, listed });
        }
        let host = base.host_str().unwrap_or_default();
        let shown = match (base.scheme(), base.port()) {
            ("https", None) => host.to_owned(),
            _ => base.origin().ascii_serialization(),
        };
        Err(NotAllowed::Unlisted(shown))
    }
}

/// Whether the tool itself lives there: at its one origin, or under a domain that is its own.
fn is_own(base: &Url, contract: &Contract) -> bool {
    let under = |suffix: &&str| base.host_str().is_some_and(|host| host.ends_with(*suffix));
    let plain = base.scheme() == "https" && base.port().is_none();
    Url::parse(contract.base_url).is_ok_and(|it| it.origin() == base.origin())
        || (plain && contract.hosts_under.iter().any(under))
}

/// The one base URL a connection's requests are built on.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin {
    base: Url,
    listed: bool,
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pin").field(&self.base.as_str()).finish()
    }
}

impl Pin {
    pub(super) fn url(&self, path: &str, query: &[(&'static str, String)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The base itself.
    pub fn as_url(&self) -> &Url {
        &self.base
    }

    pub(super) fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// Whether the operator vouches for it, whatever its address. A literal address is always listed: no tool's
    /// own host is one.
    pub(super) fn is_listed(&self) -> bool {
        debug_assert!(self.listed || matches!(self.base.host(), Some(Host::Domain(_))));
        self.listed
    }
}

/// Whether an address belongs to the public internet (IANA's special-purpose registries, RFC 6890).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || matches!((a, b), (0, _) | (100, 64..=127) | (198, 18..=19) | (240.., _))
        || matches!((a, b, c), (192, 0, 0) | (192, 88, 99));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    // 2000::/3 is all that is handed out; in it lie 6to4 and Teredo, which wrap an IPv4 address, and blocks for
    // protocols, documentation and benchmarks. Mapped, NAT64 and local addresses lie outside.
    let special =
        (s[0] == 0x2001 && (s[1] < 0x200 || s[1] == 0xdb8)) || s[0] == 0x2002 || (s[0] & 0xfff0) == 0x3ff0;
    (s[0] & 0xe000) == 0x2000 && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn github() -> &'static Contract {
        twinflow_connectors::find("github").expect("a tool").contract()
    }

    #[test]
    fn only_the_tools_own_host_and_listed_ones_may_be_asked() {
        let allowed: Allowed = "ghe.example.com, http://127.0.0.1:4010".parse().expect("origins");
        for good in ["https://api.github.com", "https://ghe.example.com/api", "http://127.0.0.1:4010/x"] {
            assert!(allowed.pin(good, github()).is_ok(), "{good}");
        }
        for bad in [
            "http://api.github.com",
            "https://api.github.com:8443",
            "https://api.github.com.evil.example",
            "https://api.github.com@evil.example",
            "https://user:pw@api.github.com",
            "https://ghe.example.com:444",
            "http://ghe.example.com",
            "https://127.0.0.1:4010",
            "https://169.254.169.254",
            "https://api.github.com/?a=b",
            "https://api.github.com/#f",
            "https://api.github.com/%2e%2e",
            "file:///etc/passwd",
            "ftp://api.github.com",
            "",
        ] {
            assert!(allowed.pin(bad, github()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_in_disguise_is_still_that_address() {
        for literal in ["http://127.1", "http://2130706433", "http://0x7f000001", "http://[::ffff:127.0.0.1]"]
        {
            assert!(Allowed::default().pin(literal, github()).is_err(), "{literal}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_list() {
        let refused = Allowed::default().pin("http://10.0.0.1:8080/jira", github()).expect_err("unlisted");
        assert!(refused.to_string().contains("TWINFLOW_EGRESS_ALLOW=http://10.0.0.1:8080"), "{refused}");
    }

    #[test]
    fn addresses_that_are_not_the_public_internet_are_told_apart() {
        let private = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
        ];
        for address in private {
            assert!(!is_public(address.parse().expect("an address")), "{address}");
        }
        for address in ["8.8.8.8", "140.82.121.6", "2606:4700::1111", "2a00:1450:4001::5e"] {
            assert!(is_public(address.parse().expect("an address")), "{address}");
        }
    }

    #[test]
    fn a_list_with_nonsense_is_refused_whole() {
        for bad in ["a b", "https://x/path", "https://x?q", "ssh://x", "http://", "https://u@x"] {
            assert!(bad.parse::<Allowed>().is_err(), "{bad}");
        }
        assert_eq!("".parse::<Allowed>(), Ok(Allowed::default()));
    }
}
