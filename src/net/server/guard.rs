//! Keeps browsers out: a page that somebody visits must not reach the daemon on their machine or network.
//!
//! A page can send requests to any address its browser reaches, in two ways. It can send them *across origins*: then
//! the browser adds `Origin` to everything but plain GET and HEAD, and `Sec-Fetch-Site` to all requests to loopback
//! addresses. Or it can make its own name resolve to the daemon's address (*DNS rebinding*): then the request is of
//! the same origin for the browser, but its `Host` is the attacker's name.
//!
//! | a request | is | because |
//! |---|---|---|
//! | with `Origin` | refused | no SDK, agent or probe sends it; browsers do with every POST, of the same origin too |
//! | … that names the daemon by an IP literal, `localhost` or an allowed host | taken | the page came from this port itself |
//! | with `Sec-Fetch-Site: cross-site` or `same-site` | refused | a page elsewhere caused it |
//! | whose `Host` is an IP literal | taken | a page of an attacker has a name; a literal can't be rebound |
//! | … `localhost` or below it | taken | browsers resolve it themselves, to loopback (RFC 6761) |
//! | … a name without a dot (`xray-daemon`, compose and Kubernetes) | taken | names in the public DNS have a dot: nobody can register one |
//! | … below `.local`, `.internal`, `.home.arpa`, `.test`, `.svc` | taken | reserved or not delegated: nobody can register one (`.local` holds `.svc.cluster.local`) |
//! | … `name.namespace`, in a Kubernetes pod | taken | such a name may exist in the public DNS too, but what it opens to a page is the GET of health and numbers: POST carries `Origin` |
//! | … given with `--allow-host` or `AllowHost` | taken | the operator says so |
//! | … anything else | refused | it could be an attacker's |
//! | without `Host` (HTTP/1.0) | taken | no browser leaves it out |
//!
//! Of browsers it is believed that they send the `Host` of the address they show, that they send `Origin` with every POST
//! and DELETE, whether of the same origin or not, that they resolve `localhost` themselves, and that they let a page read
//! answers of its own origin only. Names without a dot and those below `.local` and its like are trusted as far as that goes:
//! somebody on the local network may answer for them and lead a page of theirs here, whose GET then has no `Origin`. So
//! nothing that a GET tells under such a name may be a secret ([`Guard::check_page`]).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Ends of names that nobody can register: reserved by RFC 6761 (`test`), RFC 6762 (`local`), RFC 8375 (`home.arpa`)
/// and ICANN (`internal`, 2024); `svc` is Kubernetes' own and not delegated.
const PRIVATE_SUFFIXES: [&str; 5] = ["local", "internal", "home.arpa", "test", "svc"];

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has an `Origin` of somewhere else.
    Origin,
    /// It was caused by a page of another site.
    CrossSite,
    /// Its `Host` could be an attacker's name.
    Host,
    /// Its `Host` is none, or there are several.
    BadHost,
    /// Its `Host` could be that of another page on the local network.
    PageHost,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Origin => {
                "Requests with an Origin header are refused: web pages must not use this port. SDKs send none."
            }
            Self::CrossSite => "Requests that a page of another site causes are refused.",
            Self::Host => {
                "This Host is refused, since it could be a name that a web page uses to reach this port (DNS \
                 rebinding). Use an IP address, a name without a dot, or a name below .local, .internal, .home.arpa, .test or \
                 .svc; or start the daemon with --allow-host NAME."
            }
            Self::BadHost => "The Host header is not one host with an optional port.",
            Self::PageHost => {
                "The page is shown under an IP address, localhost, or a name that --allow-host gives: whoever answers for \
                 names on this network could serve a page under this one and lead it here (DNS rebinding). The X-Ray API \
                 is there under this name too."
            }
        })
    }
}

/// The checks of this run.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Lower-case names; with a dot in front: everything below.
    allowed: Vec<String>,
    in_kubernetes: bool,
}

/// How far a host is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// It names this machine, or the operator vouches for it: pages from this port may use it.
    Own,
    /// Nobody can register it in the public DNS.
    Private,
    /// Like a service in a cluster, but perhaps registered by somebody.
    LikeService,
    /// Could be anybody's.
    None,
}

impl Guard {
    /// `allowed` are names as [`allowed_host`](crate::config::tcp::allowed_host) gives them; `in_kubernetes`: the process runs in a pod.
    #[must_use]
    pub fn new(allowed: &[String], in_kubernetes: bool) -> Self {
        Self {
            allowed: allowed.to_vec(),
            in_kubernetes,
        }
    }

    /// Whether a request with this head is let in.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, head: &Parts) -> Result<(), Refusal> {
        let headers = &head.headers;
        let host = one(headers, &HOST).map_err(|()| Refusal::BadHost)?;
        let host = host.map(|host| authority(host.as_bytes()).ok_or(Refusal::BadHost));
        let host = host.transpose()?;
        // An absolute URI goes over Host (RFC 9112); both must be good, so that neither can hide the other.
        for authority in host.iter().chain(head.uri.authority()) {
            match self.trust(authority.host()) {
                Trust::None => return Err(Refusal::Host),
                Trust::LikeService if !self.in_kubernetes => return Err(Refusal::Host),
                _ => {}
            }
        }
        match one(headers, &ORIGIN) {
            Ok(None) => {}
            Ok(Some(origin)) if host.as_ref().is_some_and(|host| self.is_own(origin, host)) => {}
            _ => return Err(Refusal::Origin),
        }
        match one(headers, &SEC_FETCH_SITE).map(|site| site.map(HeaderValue::as_bytes)) {
            // "none" is an address that a person typed.
            Ok(None | Some(b"none" | b"same-origin")) => Ok(()),
            _ => Err(Refusal::CrossSite),
        }
    }

    /// Whether a request that [`Guard::check`] has let in may be for a page of this port: whether no page of anybody else
    /// can have its host.
    ///
    /// # Errors
    /// [`Refusal::PageHost`] when one could; [`Refusal::BadHost`] as there.
    pub fn check_page(&self, head: &Parts) -> Result<(), Refusal> {
        let host = one(&head.headers, &HOST).map_err(|()| Refusal::BadHost)?;
        let host = host.map(|host| authority(host.as_bytes()).ok_or(Refusal::BadHost));
        let host = host.transpose()?;
        let mut hosts = host.iter().chain(head.uri.authority());
        if hosts.all(|host| self.trust(host.host()) == Trust::Own) {
            Ok(())
        } else {
            Err(Refusal::PageHost)
        }
    }

    /// Whether `origin` is this port under a host that only this machine can have.
    fn is_own(&self, origin: &HeaderValue, host: &Authority) -> bool {
        let Some(rest) = origin.as_bytes().strip_prefix(b"http://") else {
            return false;
        };
        rest.eq_ignore_ascii_case(host.as_str().as_bytes()) && self.trust(host.host()) == Trust::Own
    }

    fn trust(&self, host: &str) -> Trust {
        let host = host.to_ascii_lowercase();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if bare.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok()) || host.parse::<Ipv4Addr>().is_ok() {
            return Trust::Own;
        }
        let name = host.strip_suffix('.').unwrap_or(&host);
        if is_below_or(name, "localhost") || self.allowed.iter().any(|allowed| matches(name, allowed)) {
            return Trust::Own;
        }
        let labels = name.split('.').count();
        if labels == 1 || PRIVATE_SUFFIXES.iter().any(|suffix| is_below_or(name, suffix)) {
            Trust::Private
        } else if labels == 2 {
            Trust::LikeService
        } else {
            Trust::None
        }
    }
}

fn matches(name: &str, allowed: &str) -> bool {
    match allowed.strip_prefix('.') {
        Some(_) => name.ends_with(allowed),
        None => name == allowed,
    }
}

fn is_below_or(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The only value of a header; `Err` when there are several.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(()),
    }
}

/// Host and optional port; user names, which an authority could have, are not meant here.
fn authority(text: &[u8]) -> Option<Authority> {
    let authority = Authority::try_from(text).ok()?;
    let host = authority.host();
    // What is in brackets has been checked to be like an IPv6 address.
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_host = !host.is_empty() && (host.starts_with('[') || host.bytes().all(is_name_byte));
    (is_host && !authority.as_str().contains('@')).then_some(authority)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check_with(guard: &Guard, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut request = Request::post("/GetSamplingRules");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard.check(&request.body(()).unwrap().into_parts().0)
    }

    fn host(guard: &Guard, host: &str) -> Result<(), Refusal> {
        check_with(guard, &[("host", host)])
    }

    #[test]
    fn names_that_no_attacker_can_register_need_no_configuration() {
        let guard = Guard::default();
        for name in [
            "127.0.0.1:2000",
            "127.0.0.1",
            "10.1.2.3:2000",
            "[::1]:2000",
            "[fd00::1]",
            "localhost:2000",
            "LOCALHOST",
            "app.localhost:2000",
            "xray-daemon:2000",
            "my_stack_xray:2000",
            "xray.",
            "xray-service.default.svc:2000",
            "xray-service.default.svc.cluster.local:2000",
            "xray-service.default.svc.cluster.local.",
            "host.docker.internal:2000",
            "ip-10-0-0-1.eu-west-1.compute.internal",
            "xray.local",
            "nas.home.arpa",
        ] {
            assert_eq!(host(&guard, name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_an_attacker_may_own_are_refused() {
        let guard = Guard::default();
        for name in [
            "evil.example.com:2000",
            "evil.dev",
            "127.0.0.1.evil.com",
            "127.0.0.1.nip.io:2000",
            "localhost.evil.com",
            "evillocalhost.com",
            "xnotlocal.com",
            "svc.evil.com",
            "300.300.300.300",
            "127.1",
            "evil.com.",
        ] {
            assert_eq!(host(&guard, name), Err(Refusal::Host), "{name}");
        }
    }

    #[test]
    fn hosts_that_are_none_are_refused() {
        let guard = Guard::default();
        for name in [
            "",
            ":2000",
            "me@localhost",
            "local host",
            "a,b",
            "[::1",
            "http://localhost",
        ] {
            assert_eq!(host(&guard, name), Err(Refusal::BadHost), "{name}");
        }
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(check_with(&guard, &twice), Err(Refusal::BadHost));
        assert_eq!(check_with(&guard, &[]), Ok(()), "HTTP/1.0 without Host");
    }

    #[test]
    fn in_a_pod_service_and_namespace_are_enough() {
        let pod = Guard::new(&[], true);
        assert_eq!(host(&pod, "xray-service.observability:2000"), Ok(()));
        assert_eq!(host(&pod, "xray.a.example.com"), Err(Refusal::Host));
        // But a page at such a name can't POST.
        let page = [("host", "evil.dev:2000"), ("origin", "http://evil.dev:2000")];
        assert_eq!(check_with(&pod, &page), Err(Refusal::Origin));
    }

    #[test]
    fn the_operator_allows_names_and_everything_below_a_name() {
        let guard = Guard::new(
            &["xray.example.com".to_owned(), ".corp.example".to_owned()],
            false,
        );
        for (name, expected) in [
            ("xray.example.com:2000", Ok(())),
            ("a.xray.example.com", Err(Refusal::Host)),
            ("a.b.corp.example", Ok(())),
            ("corp.example", Err(Refusal::Host)),
            ("evilcorp.example", Err(Refusal::Host)),
        ] {
            assert_eq!(host(&guard, name), expected, "{name}");
        }
    }

    #[test]
    fn an_absolute_uri_does_not_hide_a_host_nor_the_reverse() {
        let guard = Guard::default();
        for (uri, name) in [
            ("http://evil.com/healthz", "localhost"),
            ("http://localhost/healthz", "evil.com"),
        ] {
            let request = Request::get(uri).header("host", name).body(()).unwrap();
            assert_eq!(
                guard.check(&request.into_parts().0),
                Err(Refusal::Host),
                "{uri} {name}"
            );
        }
    }

    #[test]
    fn pages_are_refused_but_for_those_from_this_port() {
        let guard = Guard::default();
        let with_origin =
            |host: &str, origin: &str| check_with(&guard, &[("host", host), ("origin", origin)]);
        for origin in [
            "http://evil.com",
            "https://evil.com",
            "null",
            "",
            "http://127.0.0.1:8000",
            "https://127.0.0.1:2000",
            "http://127.0.0.1:2000.evil.com",
            "http://127.0.0.1",
        ] {
            assert_eq!(
                with_origin("127.0.0.1:2000", origin),
                Err(Refusal::Origin),
                "{origin}"
            );
        }
        assert_eq!(with_origin("127.0.0.1:2000", "http://127.0.0.1:2000"), Ok(()));
        assert_eq!(with_origin("localhost:2000", "http://localhost:2000"), Ok(()));
        // Whoever answers for names on the local network could serve a page at one.
        for name in ["xray", "xray.local"] {
            assert_eq!(with_origin(name, &format!("http://{name}")), Err(Refusal::Origin));
        }
        let twice = [
            ("host", "localhost"),
            ("origin", "http://localhost"),
            ("origin", "http://evil.com"),
        ];
        assert_eq!(check_with(&guard, &twice), Err(Refusal::Origin));
    }

    #[test]
    fn a_page_is_shown_under_hosts_only_that_no_other_page_can_have() {
        let guard = Guard::new(&["xray.corp".to_owned(), ".dev.corp".to_owned()], true);
        for (host, shown) in [
            ("127.0.0.1:2000", true),
            ("10.0.0.7", true),
            ("[::1]:2000", true),
            ("localhost:2000", true),
            ("xray.corp", true),
            ("a.dev.corp:1", true),
            ("xray", false),
            ("evil.local:2000", false),
            ("x.internal", false),
            ("x.home.arpa", false),
            ("x.test", false),
            ("xray.default.svc", false),
            ("xray.default", false),
        ] {
            let request = Request::get("/").header("host", host).body(()).unwrap();
            let head = request.into_parts().0;
            assert_eq!(guard.check(&head), Ok(()), "{host}");
            let expected = if shown { Ok(()) } else { Err(Refusal::PageHost) };
            assert_eq!(guard.check_page(&head), expected, "{host}");
        }
        for uri in ["http://evil.local/", "/"] {
            let request = Request::get(uri).body(()).unwrap().into_parts().0;
            let expected = if uri == "/" {
                Ok(())
            } else {
                Err(Refusal::PageHost)
            };
            assert_eq!(guard.check_page(&request), expected);
        }
    }

    #[test]
    fn each_refusal_says_what_is_refused_and_the_one_of_a_host_what_to_do() {
        let said = [
            Refusal::Origin,
            Refusal::CrossSite,
            Refusal::Host,
            Refusal::BadHost,
            Refusal::PageHost,
        ]
        .map(|refusal| refusal.to_string());
        assert_eq!(
            said,
            [
                "Requests with an Origin header are refused: web pages must not use this port. SDKs send none.",
                "Requests that a page of another site causes are refused.",
                "This Host is refused, since it could be a name that a web page uses to reach this port (DNS \
                 rebinding). Use an IP address, a name without a dot, or a name below .local, .internal, .home.arpa, .test or \
                 .svc; or start the daemon with --allow-host NAME.",
                "The Host header is not one host with an optional port.",
                "The page is shown under an IP address, localhost, or a name that --allow-host gives: whoever answers for \
                 names on this network could serve a page under this one and lead it here (DNS rebinding). The X-Ray API \
                 is there under this name too.",
            ]
        );
    }

    #[test]
    fn requests_that_a_page_elsewhere_causes_are_refused_without_an_origin_too() {
        let guard = Guard::default();
        for (site, expected) in [
            ("cross-site", Err(Refusal::CrossSite)),
            ("same-site", Err(Refusal::CrossSite)),
            ("anything", Err(Refusal::CrossSite)),
            ("same-origin", Ok(())),
            ("none", Ok(())),
        ] {
            let headers = [("host", "localhost"), ("sec-fetch-site", site)];
            assert_eq!(check_with(&guard, &headers), expected, "{site}");
        }
    }
}
