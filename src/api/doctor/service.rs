//! The way to X-Ray: region, credentials, endpoint, and each step of a connection and a call.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::Uri;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use super::call;
use super::files;
use super::report::Verdict;
use crate::aws::region::{Attempt, RegionError};
use crate::aws::{self, Limits, region};
use crate::config::{self, Config, Environment};
use crate::exporters::xray::XRay;
use crate::logs::sanitize;
use crate::net::client::connector::Step;

/// The steps that need to know the endpoint.
const OF_ENDPOINT: [&str; 7] = ["endpoint", "dns", "connect", "proxy", "tls", "clock", "call"];

/// The limit of one look-up of a name.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(2);

/// The limit of a connection, unless `--connect-timeout` has a shorter one.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The longest a call is waited for.
const CALL_LIMIT: Duration = Duration::from_secs(3);

/// The region of a run that has none: credentials are looked for all the same.
const SOME_REGION: &str = "us-east-1";

/// Tells each verdict when it is found. All of it ends by `end`.
pub(super) async fn look(
    config: &Config,
    environment: &Environment,
    no_calls: bool,
    end: Instant,
    tell: &dyn Fn(Verdict),
) {
    let resolved = region::resolve(&config.xray, environment, &aws::metadata_client(environment)).await;
    let region = match &resolved {
        Ok(found) => {
            tell(Verdict::ok(
                "region",
                format!("{} (from {})", found.region, found.source),
            ));
            Some(found.region.as_str())
        }
        Err(error) => {
            let remedy = "give the region with -n, with Region in cfg.yaml or with AWS_REGION";
            tell(Verdict::fail("region", no_region(error), remedy));
            None
        }
    };
    let left = left_until(end);
    let limits = Limits {
        connect_timeout: config.xray.connect_timeout.min(CONNECT_LIMIT),
        attempt_timeout: CALL_LIMIT,
        credentials_timeout: left,
        // The rest is for a call with what was found.
        credentials_patience: left * 3 / 5,
        ..Limits::default()
    };
    let connected = XRay::connect_within(
        &config.xray,
        environment,
        region.unwrap_or(SOME_REGION),
        limits.clone(),
    )
    .await;
    let xray = match connected {
        Ok(xray) => xray,
        Err(error) => {
            tell(Verdict::fail(
                "endpoint",
                error.to_string(),
                "mend that setting: no call can be made with it",
            ));
            for check in OF_ENDPOINT.into_iter().chain(["credentials"]) {
                tell(Verdict::skip(check, "needs settings that can be used"));
            }
            return;
        }
    };
    if region.is_none() {
        tell(credentials(&xray, environment).await.0);
        for check in OF_ENDPOINT {
            tell(Verdict::skip(check, "needs a region"));
        }
        return;
    }
    tell(endpoint(&xray));
    let ((found, has_credentials), reached) = tokio::join!(
        credentials(&xray, environment),
        way(&xray, limits.connect_timeout, end, tell)
    );
    tell(found);
    if let Err(reason) = reached {
        for check in ["clock", "call"] {
            tell(Verdict::skip(check, format!("needs {reason}")));
        }
        return;
    }
    let limit = CALL_LIMIT.min(left_until(end));
    if no_calls || !has_credentials {
        let reason = if no_calls {
            "not asked for (--no-calls)"
        } else {
            "needs credentials"
        };
        tell(Verdict::skip("call", reason));
        let asked = xray.ask_time(limit).await;
        tell(match asked {
            Ok(date) => call::clock(seconds_off(date)),
            Err(error) => Verdict::skip("clock", format!("the endpoint did not say its time: {error}")),
        });
        return;
    }
    let probed = xray.put_nothing(limit).await;
    let off_s = seconds_off(probed.date);
    tell(call::clock(off_s));
    tell(call::verdict(&probed.outcome, off_s));
}

fn no_region(error: &RegionError) -> String {
    let RegionError::NotFound { tried } = error else {
        return error.to_string();
    };
    let tried = tried
        .iter()
        .map(|Attempt { source, said }| format!("{source} ({said})"));
    format!("no source has one: {}", tried.collect::<Vec<_>>().join(", "))
}

#[expect(clippy::disallowed_methods, reason = "what is left of ten seconds")]
fn left_until(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// By how many seconds this machine's clock is ahead of `date`; below 0: behind it.
#[expect(
    clippy::disallowed_methods,
    reason = "this machine's clock is what is looked at"
)]
fn seconds_off(date: Option<SystemTime>) -> Option<i64> {
    let (date, now) = (date?, SystemTime::now());
    let whole = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Some(match now.duration_since(date) {
        Ok(ahead) => whole(ahead),
        Err(behind) => -whole(behind.duration()),
    })
}

fn endpoint(xray: &XRay) -> Verdict {
    let endpoint = xray.resolved_endpoint();
    let told = format!("{} (from {})", endpoint.url(), endpoint.source());
    match xray.warnings() {
        [] => Verdict::ok("endpoint", told),
        warnings => Verdict::warn(
            "endpoint",
            format!("{told}; {}", config::in_words(warnings, "; ")),
            "see whether that is meant",
        ),
    }
}

/// Looks for credentials; whether there are some.
async fn credentials(xray: &XRay, environment: &Environment) -> (Verdict, bool) {
    let looked_at = sources(environment);
    match xray.credentials_description().await {
        Ok(place) => (
            Verdict::ok("credentials", format!("from {place}; {looked_at}")),
            true,
        ),
        Err(reason) => {
            let remedy = "on AWS, give the instance, task or pod a role; elsewhere, set AWS_ACCESS_KEY_ID and \
                          AWS_SECRET_ACCESS_KEY, or a profile; where there is no EC2, AWS_EC2_METADATA_DISABLED=true saves \
                          the wait";
            (
                Verdict::fail("credentials", format!("{reason}; {looked_at}"), remedy),
                false,
            )
        }
    }
}

/// The sources of credentials in the order in which they are asked, and what is set up of each. No secrets.
fn sources(environment: &Environment) -> String {
    let is_set = |name: &str| match environment.get(name) {
        Some(_) => "set",
        None => "not set",
    };
    let files = files::profile_files(environment);
    let profile = environment.get("AWS_PROFILE").unwrap_or("default");
    let metadata = match environment.get("AWS_EC2_METADATA_DISABLED") {
        Some(off) if off.trim().eq_ignore_ascii_case("true") => "switched off by AWS_EC2_METADATA_DISABLED",
        _ => "asked last",
    };
    format!(
        "asked in this order: AWS_ACCESS_KEY_ID ({}), profile {} in {} ({}), AWS_WEB_IDENTITY_TOKEN_FILE ({}), \
         AWS_CONTAINER_CREDENTIALS_RELATIVE_URI ({}), AWS_CONTAINER_CREDENTIALS_FULL_URI ({}), EC2 metadata ({metadata})",
        is_set("AWS_ACCESS_KEY_ID"),
        sanitize(profile, 80),
        sanitize(&*files[0].to_string_lossy(), 160),
        match files[0].try_exists() {
            Ok(true) => "there",
            Ok(false) => "not there",
            Err(_) => "closed to this user",
        },
        is_set("AWS_WEB_IDENTITY_TOKEN_FILE"),
        is_set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        is_set("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    )
}

/// Name, TCP, proxy, TLS. An error: what a call needs and has not.
async fn way(
    xray: &XRay,
    connect_limit: Duration,
    end: Instant,
    tell: &dyn Fn(Verdict),
) -> Result<(), &'static str> {
    let proxy = xray.proxy_description();
    let endpoint = xray.resolved_endpoint().url();
    // With a proxy, that is where connections go; it looks up the endpoint's name.
    let first = proxy.map_or(endpoint, |proxy| proxy.url.as_str());
    let skip_from = |at: usize, reason: &str| {
        for check in OF_ENDPOINT[1..5].iter().skip(at) {
            tell(Verdict::skip(check, format!("needs {reason}")));
        }
    };
    let (host, port) = host_and_port(first);
    let addresses = match look_up(&host, port, proxy.is_some()).await {
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
    let connected = connect(&addresses, connect_limit, proxy.is_some()).await;
    let (Ok(verdict) | Err(verdict)) = &connected;
    tell(verdict.clone());
    if connected.is_err() {
        skip_from(2, "a connection");
        return Err("a connection");
    }
    let whole = timeout_at(end, xray.connect_once()).await;
    let failed = match &whole {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some((error.step, error.to_string())),
        Err(_) => Some((Step::Connecting, "no connection in time".to_owned())),
    };
    let wants_tls = endpoint.starts_with("https:");
    tell(of_proxy(
        proxy.map(ToString::to_string).as_deref(),
        failed.as_ref(),
        wants_tls,
    ));
    tell(of_tls(failed.as_ref(), wants_tls));
    match failed {
        None => Ok(()),
        Some((Step::Proxy, _)) => Err("a proxy that connects"),
        Some(_) => Err("a connection"),
    }
}

fn of_proxy(proxy: Option<&str>, failed: Option<&(Step, String)>, wants_tls: bool) -> Verdict {
    const CHECK: &str = "proxy";
    match (proxy, failed) {
        (None, _) => Verdict::ok(CHECK, "none on the way"),
        (Some(_), Some((Step::Proxy, reason))) => Verdict::fail(
            CHECK,
            reason,
            "mend the proxy's address or its password, let it connect to the endpoint, or leave the endpoint out with \
             NO_PROXY",
        ),
        (Some(proxy), Some((Step::Connecting, reason))) => Verdict::fail(
            CHECK,
            format!("{proxy}: {reason}"),
            "see whether the proxy can reach the endpoint",
        ),
        (Some(proxy), _) if wants_tls => Verdict::ok(CHECK, format!("{proxy} connects to the endpoint")),
        (Some(proxy), _) => Verdict::ok(CHECK, format!("{proxy} takes the requests")),
    }
}

fn of_tls(failed: Option<&(Step, String)>, wants_tls: bool) -> Verdict {
    const CHECK: &str = "tls";
    match failed {
        _ if !wants_tls => Verdict::skip(CHECK, "the endpoint is plain HTTP"),
        None => Verdict::ok(CHECK, "the endpoint's certificate is trusted"),
        Some((Step::Tls, reason)) => Verdict::fail(
            CHECK,
            reason,
            "if something on the way opens TLS, name its authority's certificates in AWS_CA_BUNDLE; else mend the \
             endpoint or the clock",
        ),
        Some((Step::Proxy, _)) => Verdict::skip(CHECK, "needs a proxy that connects"),
        Some((Step::Connecting, reason)) => Verdict::fail(
            CHECK,
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

async fn look_up(host: &str, port: u16, is_proxy: bool) -> Result<(Verdict, Vec<SocketAddr>), Verdict> {
    const CHECK: &str = "dns";
    let whose = if is_proxy { "the proxy" } else { "the endpoint" };
    let shown = sanitize(host, 253);
    if let Ok(ip) = host.parse() {
        let verdict = Verdict::ok(
            CHECK,
            format!("{whose} is the address {shown}: no name to look up"),
        );
        return Ok((verdict, vec![SocketAddr::new(ip, port)]));
    }
    let remedy = "see whether this machine's resolver (/etc/resolv.conf) answers, and whether the name is right: region, \
                  VPC endpoint";
    let failed = |reason: String| {
        Verdict::fail(
            CHECK,
            format!("no address for {shown} ({whose}): {reason}"),
            remedy,
        )
    };
    let found = match timeout(LOOK_UP_LIMIT, lookup_host((host, port))).await {
        Ok(Ok(found)) => found.take(16).collect::<Vec<_>>(),
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed(format!("no answer within {} s", LOOK_UP_LIMIT.as_secs()))),
    };
    if found.is_empty() {
        return Err(failed("the name has none".to_owned()));
    }
    let shown_addresses: Vec<String> = found
        .iter()
        .take(4)
        .map(|address| address.ip().to_string())
        .collect();
    let verdict = Verdict::ok(
        CHECK,
        format!("{shown} ({whose}) is {}", shown_addresses.join(", ")),
    );
    Ok((verdict, found))
}

async fn connect(addresses: &[SocketAddr], limit: Duration, is_proxy: bool) -> Result<Verdict, Verdict> {
    const CHECK: &str = "connect";
    let whose = if is_proxy { "the proxy" } else { "the endpoint" };
    let mut failed = Vec::new();
    let each = limit / u32::try_from(addresses.len().clamp(1, 4)).unwrap_or(1);
    for address in addresses.iter().take(4) {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                return Ok(Verdict::ok(
                    CHECK,
                    format!("{whose} takes TCP connections at {address}"),
                ));
            }
            Ok(Err(error)) => failed.push(format!("{address}: {error}")),
            Err(_) => failed.push(format!("{address}: no answer within {} s", each.as_secs_f32())),
        }
    }
    Err(Verdict::fail(
        CHECK,
        format!("{whose} cannot be reached at {}", failed.join("; ")),
        "see whether there is a way there: route, NAT, security group, firewall; or a proxy (-p), or a VPC endpoint \
         (Endpoint)",
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
    fn the_sources_of_credentials_are_listed_without_what_is_in_them() {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "AKIDSECRET"),
            ("AWS_SECRET_ACCESS_KEY", "SECRET"),
            ("AWS_PROFILE", "dev"),
            ("HOME", "/nonexistent"),
            ("AWS_EC2_METADATA_DISABLED", "TRUE"),
        ];
        let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let told = sources(&Environment(owned.into()));
        assert_eq!(
            told,
            "asked in this order: AWS_ACCESS_KEY_ID (set), profile dev in /nonexistent/.aws/credentials (not there), \
             AWS_WEB_IDENTITY_TOKEN_FILE (not set), AWS_CONTAINER_CREDENTIALS_RELATIVE_URI (not set), \
             AWS_CONTAINER_CREDENTIALS_FULL_URI (not set), EC2 metadata (switched off by AWS_EC2_METADATA_DISABLED)"
        );
    }

    #[test]
    fn a_connection_that_fails_is_told_by_the_step_that_failed() {
        let failed = |step| Some((step, "why".to_owned()));
        let levels = |failed: Option<(Step, String)>, proxy: Option<&str>, wants_tls| {
            let failed = failed.as_ref();
            (
                of_proxy(proxy, failed, wants_tls).level,
                of_tls(failed, wants_tls).level,
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
}
