//! The way to an endpoint, step by step: name, TCP, proxy, TLS.

use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use super::report::Verdict;
use crate::logs::sanitize;
use crate::net::client::connector::{ConnectError, Step};
use crate::net::client::proxy::ProxyInForce;

/// The limit of one look-up of a name.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(2);

/// The limit of a connection, unless `--connect-timeout` has a shorter one.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The names of the checks of one way, and what its remedies name.
#[derive(Debug)]
pub(super) struct Steps {
    pub(super) dns: &'static str,
    pub(super) connect: &'static str,
    pub(super) proxy: &'static str,
    pub(super) tls: &'static str,
    /// What a name may depend on, as the end of a sentence.
    pub(super) of_names: &'static str,
    /// What there may be in place of a direct way.
    pub(super) other_ways: &'static str,
    /// Where certificate authorities are named.
    pub(super) authorities: &'static str,
}

impl Steps {
    /// To X-Ray.
    pub(super) const TO_XRAY: Self = Self {
        dns: "dns",
        connect: "connect",
        proxy: "proxy",
        tls: "tls",
        of_names: ": region, VPC endpoint",
        other_ways: "or a proxy (-p), or a VPC endpoint (Endpoint)",
        authorities: "AWS_CA_BUNDLE",
    };

    /// To the OTLP endpoint.
    pub(super) const TO_OTLP: Self = Self {
        dns: "otlp-dns",
        connect: "otlp-connect",
        proxy: "otlp-proxy",
        tls: "otlp-tls",
        of_names: "",
        other_ways: "the port that takes OTLP over HTTP is mostly 4318; or a proxy (-p)",
        authorities: "OTEL_EXPORTER_OTLP_CERTIFICATE",
    };

    /// All of them, in their order.
    const fn checks(&self) -> [&'static str; 4] {
        [self.dns, self.connect, self.proxy, self.tls]
    }
}

/// Goes it, and tells a verdict for each step. `endpoint` is its URL, `whole` a connection as calls make it, which ends by
/// `end`. An error: what a call needs and has not.
pub(super) async fn look(
    steps: &Steps,
    endpoint: &str,
    proxy: Option<&ProxyInForce>,
    whole: impl Future<Output = Result<(), ConnectError>>,
    (connect_limit, end): (Duration, Instant),
    tell: &dyn Fn(Verdict),
) -> Result<(), &'static str> {
    // With a proxy, that is where connections go; it looks up the endpoint's name.
    let first = proxy.map_or(endpoint, |proxy| proxy.url.as_str());
    let skip_from = |at: usize, reason: &str| {
        for check in steps.checks().into_iter().skip(at) {
            tell(Verdict::skip(check, format!("needs {reason}")));
        }
    };
    let (host, port) = host_and_port(first);
    let addresses = match look_up(steps, &host, port, proxy.is_some()).await {
        Ok((verdict, addresses)) => {
            tell(verdict);
            addresses
        }
        Err(verdict) => {
            tell(verdict);
            skip_from(1, "an address");
            return Err("an address");
        }
    };
    let connected = connect(steps, &addresses, connect_limit, proxy.is_some()).await;
    let (Ok(verdict) | Err(verdict)) = &connected;
    tell(verdict.clone());
    if connected.is_err() {
        skip_from(2, "a connection");
        return Err("a connection");
    }
    let failed = match timeout_at(end, whole).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some((error.step, error.to_string())),
        Err(_) => Some((Step::Connecting, "no connection in time".to_owned())),
    };
    let wants_tls = endpoint.starts_with("https:");
    let shown = proxy.map(ToString::to_string);
    tell(of_proxy(steps, shown.as_deref(), failed.as_ref(), wants_tls));
    tell(of_tls(steps, failed.as_ref(), wants_tls));
    match failed {
        None => Ok(()),
        Some((Step::Proxy, _)) => Err("a proxy that connects"),
        Some(_) => Err("a connection"),
    }
}

fn of_proxy(steps: &Steps, proxy: Option<&str>, failed: Option<&(Step, String)>, wants_tls: bool) -> Verdict {
    let check = steps.proxy;
    match (proxy, failed) {
        (None, _) => Verdict::ok(check, "none on the way"),
        (Some(_), Some((Step::Proxy, reason))) => Verdict::fail(
            check,
            reason,
            "mend the proxy's address or its password, let it connect to the endpoint, or leave the endpoint out with \
             NO_PROXY",
        ),
        (Some(proxy), Some((Step::Connecting, reason))) => Verdict::fail(
            check,
            format!("{proxy}: {reason}"),
            "see whether the proxy can reach the endpoint",
        ),
        (Some(proxy), _) if wants_tls => Verdict::ok(check, format!("{proxy} connects to the endpoint")),
        (Some(proxy), _) => Verdict::ok(check, format!("{proxy} takes the requests")),
    }
}

fn of_tls(steps: &Steps, failed: Option<&(Step, String)>, wants_tls: bool) -> Verdict {
    let check = steps.tls;
    match failed {
        _ if !wants_tls => Verdict::skip(check, "the endpoint is plain HTTP"),
        None => Verdict::ok(check, "the endpoint's certificate is trusted"),
        Some((Step::Tls, reason)) => Verdict::fail(
            check,
            reason,
            format!(
                "if something on the way opens TLS, name its authority's certificates in {}; else mend the endpoint or the \
                 clock",
                steps.authorities
            ),
        ),
        Some((Step::Proxy, _)) => Verdict::skip(check, "needs a proxy that connects"),
        Some((Step::Connecting, reason)) => Verdict::fail(
            check,
            reason,
            "see what answers at the endpoint's address, and how fast",
        ),
    }
}

/// Host and port of a URL, the port by its scheme where it has none.
fn host_and_port(url: &str) -> (String, u16) {
    let uri: Uri = url.parse().unwrap_or_default();
    let port = match uri.scheme_str() {
        Some("https") => 443,
        Some("socks5" | "socks5h") => 1080,
        _ => 80,
    };
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    (host, uri.port_u16().unwrap_or(port))
}

async fn look_up(
    steps: &Steps,
    host: &str,
    port: u16,
    is_proxy: bool,
) -> Result<(Verdict, Vec<SocketAddr>), Verdict> {
    let check = steps.dns;
    let whose = if is_proxy { "the proxy" } else { "the endpoint" };
    let shown = sanitize(host, 253);
    if let Ok(ip) = host.parse() {
        let verdict = Verdict::ok(
            check,
            format!("{whose} is the address {shown}: no name to look up"),
        );
        return Ok((verdict, vec![SocketAddr::new(ip, port)]));
    }
    let found = match timeout(LOOK_UP_LIMIT, lookup_host((host, port))).await {
        Ok(Ok(found)) => Ok(found.take(16).collect::<Vec<_>>()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LOOK_UP_LIMIT.as_secs())),
    };
    looked_up(steps, &format!("{shown} ({whose})"), found)
}

/// What to say of the addresses that a name has.
fn looked_up(
    steps: &Steps,
    whose: &str,
    found: Result<Vec<SocketAddr>, String>,
) -> Result<(Verdict, Vec<SocketAddr>), Verdict> {
    let failed = |reason: &str| {
        let remedy = format!(
            "see whether this machine's resolver (/etc/resolv.conf) answers, and whether the name is right{}",
            steps.of_names
        );
        Verdict::fail(steps.dns, format!("no address for {whose}: {reason}"), remedy)
    };
    let found = found.map_err(|reason| failed(&reason))?;
    if found.is_empty() {
        return Err(failed("the name has none"));
    }
    let shown_addresses: Vec<String> = found
        .iter()
        .take(4)
        .map(|address| address.ip().to_string())
        .collect();
    let message = format!("{whose} is {}", shown_addresses.join(", "));
    Ok((Verdict::ok(steps.dns, message), found))
}

async fn connect(
    steps: &Steps,
    addresses: &[SocketAddr],
    limit: Duration,
    is_proxy: bool,
) -> Result<Verdict, Verdict> {
    let check = steps.connect;
    let whose = if is_proxy { "the proxy" } else { "the endpoint" };
    let mut failed = Vec::new();
    let each = limit / u32::try_from(addresses.len().clamp(1, 4)).unwrap_or(1);
    for address in addresses.iter().take(4) {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                return Ok(Verdict::ok(
                    check,
                    format!("{whose} takes TCP connections at {address}"),
                ));
            }
            Ok(Err(error)) => failed.push(format!("{address}: {error}")),
            Err(_) => failed.push(format!("{address}: no answer within {} s", each.as_secs_f32())),
        }
    }
    Err(Verdict::fail(
        check,
        format!("{whose} cannot be reached at {}", failed.join("; ")),
        format!(
            "see whether there is a way there: route, NAT, security group, firewall; {}",
            steps.other_ways
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    #[test]
    fn a_url_without_a_port_has_that_of_its_scheme() {
        for (url, host, port) in [
            (
                "https://xray.eu-west-1.amazonaws.com",
                "xray.eu-west-1.amazonaws.com",
                443,
            ),
            ("http://localhost:1/x", "localhost", 1),
            ("socks5h://proxy", "proxy", 1080),
            ("http://[::1]", "::1", 80),
        ] {
            assert_eq!(host_and_port(url), (host.to_owned(), port));
        }
    }

    #[test]
    fn a_connection_that_fails_is_told_by_the_step_that_failed() {
        let failed = |step| Some((step, "why".to_owned()));
        let levels = |failed: Option<(Step, String)>, proxy: Option<&str>, wants_tls| {
            let failed = failed.as_ref();
            (
                of_proxy(&Steps::TO_XRAY, proxy, failed, wants_tls).level,
                of_tls(&Steps::TO_XRAY, failed, wants_tls).level,
            )
        };
        assert_eq!(levels(None, None, true), (Level::Ok, Level::Ok));
        assert_eq!(levels(None, Some("p"), false), (Level::Ok, Level::Skip));
        assert_eq!(
            levels(failed(Step::Proxy), Some("p"), true),
            (Level::Fail, Level::Skip)
        );
        assert_eq!(
            levels(failed(Step::Tls), Some("p"), true),
            (Level::Ok, Level::Fail)
        );
        assert_eq!(levels(failed(Step::Tls), None, true), (Level::Ok, Level::Fail));
        assert_eq!(
            levels(failed(Step::Connecting), Some("p"), true),
            (Level::Fail, Level::Fail)
        );
    }

    #[test]
    fn a_name_is_told_with_its_addresses_or_with_why_it_has_none() {
        let said = |found: Result<&[&str], &str>| {
            let addresses = found.map(|found| found.iter().map(|address| address.parse().unwrap()));
            let found = addresses.map(Iterator::collect).map_err(str::to_owned);
            match looked_up(&Steps::TO_XRAY, "x.example (the endpoint)", found) {
                Ok((verdict, _)) | Err(verdict) => (verdict.level, verdict.message),
            }
        };
        let many = ["10.0.0.1:1", "[::1]:1", "10.0.0.3:1", "10.0.0.4:1", "10.0.0.5:1"];
        assert_eq!(
            said(Ok(&many)),
            (
                Level::Ok,
                "x.example (the endpoint) is 10.0.0.1, ::1, 10.0.0.3, 10.0.0.4".to_owned()
            )
        );
        assert_eq!(
            said(Ok(&[])),
            (
                Level::Fail,
                "no address for x.example (the endpoint): the name has none".to_owned()
            )
        );
        assert_eq!(
            said(Err("no answer within 2 s")).1,
            "no address for x.example (the endpoint): no answer within 2 s"
        );
    }

    // What a kernel does with connections beyond the queue is each system's own.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_address_that_does_not_answer_is_told_with_how_long_it_was_asked() {
        use socket2::{Domain, Socket, Type};
        // The kernel takes one connection beyond a queue of none, and drops what comes then.
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let _taken = TcpStream::connect(address).await.unwrap();
        let limit = Duration::from_millis(50);
        let verdict = connect(&Steps::TO_OTLP, &[address, address], limit, false)
            .await
            .unwrap_err();
        assert_eq!((verdict.check, verdict.level), ("otlp-connect", Level::Fail));
        let each = format!("{address}: no answer within 0.025 s");
        assert!(
            verdict.message.ends_with(&format!("{each}; {each}")),
            "{verdict:?}"
        );
    }
}
