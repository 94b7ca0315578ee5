//! Which connections go through a proxy, and through which.
//!
//! `ProxyAddress` (flag `-p`) is for every AWS endpoint and stands over the environment. Else `HTTPS_PROXY` is for
//! `https://` endpoints, `HTTP_PROXY` for `http://` ones, and `NO_PROXY` names the exceptions; each also in lower
//! case, the upper case first. (The official daemon knows `HTTPS_PROXY` alone, and takes it for `http://` endpoints
//! too.)
//!
//! Never proxied: link-local and metadata addresses, which mean this very machine, and loopback, except where
//! `ProxyAddress` sends a loopback X-Ray endpoint through a proxy on purpose.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use super::error::SettingError;
use crate::config::{Environment, Sourced, url};

/// The rules of one kind of connection. `Debug` shows no passwords.
#[derive(Clone, Default)]
pub(crate) struct ProxyRules {
    for_http: String,
    for_https: String,
    exceptions: Vec<Exception>,
    covers_loopback: bool,
    /// Where the proxies for http and for https are set.
    sources: [String; 2],
    /// `HTTP_PROXY` makes no sense. That matters only if something is called by plain HTTP.
    unusable_for_http: Option<SettingError>,
}

/// One entry of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    /// A host, a domain, an address or a network, as hyper-util's matcher reads them.
    pattern: String,
    /// Only for this port.
    port: Option<u16>,
}

/// The proxy on a way, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyInForce {
    /// Its URL, without a password.
    pub url: String,
    /// The setting that named it: `flag -p`, `HTTPS_PROXY`, ...
    pub source: String,
}

impl fmt::Display for ProxyInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (from {})", self.url, self.source)
    }
}

impl ProxyRules {
    /// The rules for the X-Ray endpoint.
    ///
    /// # Errors
    /// [`SettingError::Proxy`] when an address in force is no URL of a proxy.
    pub(crate) fn for_xray(
        proxy_address: Option<&Sourced<String>>,
        environment: &Environment,
    ) -> Result<Self, SettingError> {
        if let Some(address) = proxy_address {
            let source = address.source.clone();
            let address = checked(&address.value, &source)?;
            return Ok(Self {
                for_http: address.clone(),
                for_https: address,
                covers_loopback: true,
                sources: [source.clone(), source],
                ..Self::default()
            });
        }
        let address = |names: [&'static str; 2]| match first_set(environment, names) {
            Some((name, value)) => Ok((checked(value, name)?, name.to_owned())),
            None => Ok(<(String, String)>::default()),
        };
        let ((for_http, source_for_http), unusable_for_http) = match address(["HTTP_PROXY", "http_proxy"]) {
            Ok(address) => (address, None),
            Err(error) => (<(String, String)>::default(), Some(error)),
        };
        // Always needed: STS and SSO are called by HTTPS, whatever the endpoint is.
        let (for_https, source_for_https) = address(["HTTPS_PROXY", "https_proxy"])?;
        Ok(Self {
            for_http,
            for_https,
            exceptions: first_set(environment, ["NO_PROXY", "no_proxy"])
                .map(|(_, list)| exceptions(list))
                .unwrap_or_default(),
            covers_loopback: false,
            sources: [source_for_http, source_for_https],
            unusable_for_http,
        })
    }

    /// Whether `endpoint` can be called by these rules.
    ///
    /// # Errors
    /// [`SettingError::Proxy`] when it is a plain HTTP endpoint and `HTTP_PROXY` is no URL of a proxy.
    pub(crate) fn check(&self, endpoint: &str) -> Result<(), SettingError> {
        match &self.unusable_for_http {
            Some(error) if endpoint.starts_with("http://") => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// The proxy for connections to the URL `endpoint`, if any, and where it is set, for the log: without a password.
    pub(crate) fn description(&self, endpoint: &str) -> Option<ProxyInForce> {
        let endpoint: Uri = endpoint.parse().ok()?;
        self.intercept(&endpoint)?;
        let [source_for_http, source_for_https] = &self.sources;
        let (proxy, source) = match endpoint.scheme_str() {
            Some("https") => (&self.for_https, source_for_https),
            _ => (&self.for_http, source_for_http),
        };
        Some(ProxyInForce {
            url: url::without_password(proxy),
            source: source.to_string(),
        })
    }

    /// The same rules for endpoints other than X-Ray's: where credentials come from, and where OTLP goes. On loopback those
    /// are agents of this machine.
    pub(crate) fn sparing_loopback(&self) -> Self {
        Self {
            covers_loopback: false,
            ..self.clone()
        }
    }

    /// The proxy for a connection to `target`, if any. Built anew each time: connections are kept and so are rare.
    pub(crate) fn intercept(&self, target: &Uri) -> Option<Intercept> {
        if self.for_http.is_empty() && self.for_https.is_empty() {
            return None;
        }
        let host = target.host()?;
        if is_of_this_machine(host) || (!self.covers_loopback && is_loopback(host)) {
            return None;
        }
        let default_port = if target.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let port = target.port_u16().unwrap_or(default_port);
        let exceptions: Vec<&str> = self
            .exceptions
            .iter()
            .filter(|exception| exception.port.is_none_or(|only| only == port))
            .map(|exception| exception.pattern.as_str())
            .collect();
        Matcher::builder()
            .http(self.for_http.as_str())
            .https(self.for_https.as_str())
            .no(exceptions.join(","))
            .build()
            .intercept(target)
    }
}

impl fmt::Debug for ProxyRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyRules")
            .field("for_http", &url::without_password(&self.for_http))
            .field("for_https", &url::without_password(&self.for_https))
            .field("exceptions", &self.exceptions)
            .field("covers_loopback", &self.covers_loopback)
            .finish()
    }
}

/// The first of `names` that is set, with its value.
fn first_set<'a>(environment: &'a Environment, names: [&'static str; 2]) -> Option<(&'static str, &'a str)> {
    names
        .into_iter()
        .find_map(|name| environment.get(name).map(|value| (name, value)))
}

/// `address` as a proxy's URL, by the same rules as cfg.yaml's.
fn checked(address: &str, source: &str) -> Result<String, SettingError> {
    url::proxy(address).map_err(|reason| SettingError::Proxy {
        source: source.to_owned(),
        reason,
    })
}

/// The entries of a `NO_PROXY` list.
fn exceptions(list: &str) -> Vec<Exception> {
    list.split([',', ' '])
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let (host, port) = match entry.rsplit_once(':') {
                // More colons outside of brackets: an IPv6 address, not a port.
                Some((host, port)) if host.ends_with(']') || !host.contains(':') => match port.parse() {
                    Ok(port) => (host, Some(port)),
                    Err(_) => (entry, None),
                },
                _ => (entry, None),
            };
            // "*.example.com" is widely written; the matcher knows ".example.com" and a lone "*".
            let pattern = match host.strip_prefix("*.") {
                Some(domain) => format!(".{domain}"),
                None => host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            };
            Exception { pattern, port }
        })
        .collect()
}

/// Whether `host` is a link-local address or one of the metadata addresses: those answer for the machine that asks,
/// so a proxy would give the metadata, and the credentials, of the proxy.
fn is_of_this_machine(host: &str) -> bool {
    match address(host) {
        Some(IpAddr::V4(v4)) => v4.is_link_local(),
        // fd00:ec2::/32 is EC2's: metadata on ::254, EKS Pod Identity on ::23.
        Some(IpAddr::V6(v6)) => v6.is_unicast_link_local() || v6.segments()[..2] == [0xfd00, 0x0ec2],
        None => false,
    }
}

/// Whether `host` is this machine's loopback, by address or name.
pub(crate) fn is_loopback(host: &str) -> bool {
    match address(host) {
        Some(ip) => ip.is_loopback(),
        None => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

/// `host` as an address; IPv4 in IPv6 form as IPv4.
fn address(host: &str) -> Option<IpAddr> {
    if let Ok(v4) = host.parse::<Ipv4Addr>() {
        return Some(IpAddr::V4(v4));
    }
    let v6: Ipv6Addr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    Some(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment(
            variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    fn rules(variables: &[(&str, &str)]) -> ProxyRules {
        ProxyRules::for_xray(None, &environment(variables)).unwrap()
    }

    fn proxy_address(value: &str) -> Sourced<String> {
        Sourced {
            value: value.to_owned(),
            source: "flag -p".to_owned(),
        }
    }

    fn proxy_for(rules: &ProxyRules, target: &str) -> Option<String> {
        rules
            .intercept(&target.parse().unwrap())
            .map(|intercept| intercept.uri().to_string())
    }

    #[test]
    fn each_scheme_has_its_variable_and_upper_case_comes_first() {
        let rules = rules(&[
            ("HTTP_PROXY", "http://plain:1"),
            ("https_proxy", "http://lower:2"),
            ("HTTPS_PROXY", "http://upper:3"),
        ]);
        assert_eq!(
            proxy_for(&rules, "http://example.com/"),
            Some("http://plain:1/".into())
        );
        assert_eq!(
            proxy_for(&rules, "https://example.com/"),
            Some("http://upper:3/".into())
        );
    }

    #[test]
    fn the_proxy_in_force_is_described_with_its_source_and_without_its_password() {
        let of_environment = rules(&[
            ("HTTPS_PROXY", "http://me:secret@upper:3"),
            ("http_proxy", "lower:2"),
            ("NO_PROXY", "example.org"),
        ]);
        let described = |endpoint: &str| {
            of_environment
                .description(endpoint)
                .map(|proxy| proxy.to_string())
        };
        assert_eq!(
            described("https://example.com/base"),
            Some("http://***@upper:3 (from HTTPS_PROXY)".into())
        );
        assert_eq!(
            described("http://example.com"),
            Some("http://lower:2 (from http_proxy)".into())
        );
        assert_eq!(described("https://example.org"), None);
        assert_eq!(described("https://127.0.0.1:1"), None);
        let of_flag =
            ProxyRules::for_xray(Some(&proxy_address("me:secret@flag:1")), &environment(&[])).unwrap();
        assert_eq!(
            of_flag
                .description("http://127.0.0.1:1")
                .map(|proxy| proxy.to_string()),
            Some("http://***@flag:1 (from flag -p)".into())
        );
        assert_eq!(rules(&[]).description("https://example.com"), None);
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let rules = rules(&[("HTTPS_PROXY", ""), ("https_proxy", "http://lower:2")]);
        assert_eq!(
            proxy_for(&rules, "https://example.com/"),
            Some("http://lower:2/".into())
        );
    }

    #[test]
    fn no_proxy_knows_hosts_domains_networks_ports_and_the_star() {
        let proxied = |list: &str, target: &str| {
            let rules = rules(&[("HTTPS_PROXY", "p:1"), ("no_proxy", list)]);
            proxy_for(&rules, target).is_some()
        };
        let list =
            ".amazonaws.com, other.example,10.0.0.0/8,*.wild.example,ported.example:8443,[2001:db8::1]:443";
        assert!(!proxied(list, "https://xray.us-east-1.AMAZONAWS.com"));
        assert!(!proxied(list, "https://sub.other.example:99"));
        assert!(!proxied(list, "https://10.1.2.3"));
        assert!(!proxied(list, "https://a.wild.example"));
        assert!(!proxied(list, "https://ported.example:8443"));
        assert!(!proxied(list, "https://[2001:db8::1]"));
        assert!(proxied(list, "https://[2001:db8::1]:444"));
        assert!(proxied(list, "https://ported.example"));
        assert!(proxied(list, "https://another.example"));
        assert!(proxied(list, "https://11.1.2.3"));
        assert!(!proxied("*", "https://any.example"));
    }

    #[test]
    fn proxy_address_stands_over_the_environment() {
        let environment = environment(&[("HTTPS_PROXY", "http://env:1"), ("NO_PROXY", "*")]);
        let rules = ProxyRules::for_xray(Some(&proxy_address("flag:2")), &environment).unwrap();
        for target in [
            "http://example.com",
            "https://example.com",
            "http://127.0.0.1:5000",
        ] {
            assert_eq!(
                proxy_for(&rules, target),
                Some("http://flag:2/".into()),
                "{target}"
            );
        }
    }

    #[test]
    fn metadata_addresses_are_never_proxied() {
        let rules = ProxyRules::for_xray(Some(&proxy_address("flag:2")), &Environment::default()).unwrap();
        for host in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "[fd00:ec2::254]",
            "[fd00:ec2::23]",
            "[::ffff:169.254.169.254]",
        ] {
            assert_eq!(
                proxy_for(&rules, &format!("http://{host}/latest")),
                None,
                "{host}"
            );
        }
    }

    #[test]
    fn loopback_is_proxied_by_proxy_address_for_xray_only() {
        let from_flag =
            ProxyRules::for_xray(Some(&proxy_address("flag:2")), &Environment::default()).unwrap();
        let from_environment = rules(&[("HTTP_PROXY", "env:1"), ("HTTPS_PROXY", "env:1")]);
        for host in ["127.0.0.1:80", "[::1]", "localhost", "a.LOCALHOST.", "127.9.9.9"] {
            let target = format!("http://{host}/");
            assert!(proxy_for(&from_flag, &target).is_some(), "{host}");
            assert_eq!(proxy_for(&from_flag.sparing_loopback(), &target), None, "{host}");
            assert_eq!(proxy_for(&from_environment, &target), None, "{host}");
        }
        assert!(
            proxy_for(
                &from_flag.sparing_loopback(),
                "https://sts.us-east-1.amazonaws.com"
            )
            .is_some()
        );
    }

    #[test]
    fn the_user_info_becomes_basic_authentication() {
        let rules = rules(&[("HTTPS_PROXY", "http://me:p%40ss@proxy:3128")]);
        let intercept = rules.intercept(&Uri::from_static("https://example.com")).unwrap();
        assert_eq!(intercept.uri(), "http://proxy:3128/");
        assert_eq!(intercept.basic_auth().unwrap(), "Basic bWU6cEBzcw==");
    }

    #[test]
    fn an_unusable_http_proxy_matters_to_plain_http_endpoints_only() {
        let rules = rules(&[("HTTP_PROXY", "ftp://proxy")]);
        assert_eq!(rules.check("https://example.com"), Ok(()));
        let error = rules.check("http://example.com").unwrap_err().to_string();
        assert!(error.starts_with("HTTP_PROXY: \"ftp://proxy\" is not"), "{error}");
    }

    #[test]
    fn a_password_shows_in_neither_errors_nor_debug() {
        let shown = format!("{:?}", rules(&[("HTTPS_PROXY", "http://me:secret@proxy:3128")]));
        assert!(
            shown.contains("***@proxy:3128") && !shown.contains("secret"),
            "{shown}"
        );
        for wrong in [
            "ftp://me:secret@proxy",
            "http://me:sec ret@proxy",
            "me:secret@",
            "socks5://me:secret@proxy",
        ] {
            let error = ProxyRules::for_xray(None, &environment(&[("https_proxy", wrong)])).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("https_proxy") && !error.contains("sec"), "{error}");
        }
    }
}
