//! OTLP, in and out: nothing of it is on unless it is asked for.
//!
//! | module | its one job |
//! |---|---|
//! | `endpoint` | where OTLP goes, and in which form |
//! | `headers` | the headers of its requests, which are never shown |
//! | `routes` | where each signal goes |

mod endpoint;
pub(super) mod headers;
mod routes;

use std::time::Duration;

pub use self::endpoint::{ClientIdentity, Compression, OtlpEndpoint, RequestForm};
pub use self::headers::Headers;
pub use self::routes::{Routes, SpansForXRay, Targets};

use super::address::{self, DEFAULT_SOURCE};
use super::file::FileSettings;
use super::text::quoted;
use super::{Environment, Files, Flags, Report, Sourced, Warning, over, url};

/// The settings of OTLP: there is at least an address to listen on, or an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpConfig {
    /// `--otlp-listen`, `OTLP.Listen`: where OTLP is taken, over HTTP and gRPC; in the forms of
    /// [`super::UdpConfig::address`].
    pub listen: Vec<Sourced<String>>,
    /// `--otlp-allow-origin`, `OTLP.AllowOrigin`: the web pages that may send, as [`url::origin`] writes their origins.
    pub allow_origin: Vec<String>,
    /// `--otlp-endpoint`, `OTLP.Endpoint`: where OTLP goes; `None`: nowhere but to X-Ray.
    pub endpoint: Option<OtlpEndpoint>,
    /// `--segments-to`, `OTLP.SegmentsTo`. Default both with an endpoint, else X-Ray.
    segments_to: Targets,
    /// `--spans-to`, `OTLP.SpansTo`. Default the OTLP endpoint when there is one, else X-Ray.
    spans_to: Targets,
    /// `OTLP.XRay`: how spans go to X-Ray. Default as segments.
    spans_for_xray: SpansForXRay,
}

impl OtlpConfig {
    /// The settings; `None` when OTLP neither comes in nor goes out. `tcp_address` is that of the TCP port, `call_timeout` the
    /// bound on calls to X-Ray.
    pub(super) fn of(
        flags: &Flags,
        file: &FileSettings,
        env: &Environment,
        files: &dyn Files,
        tcp_address: &Sourced<String>,
        call_timeout: Duration,
        report: &mut Report,
    ) -> Option<Self> {
        let listen = address::listen_otlp(&flags.otlp_listen, &file.otlp_listen, files, report);
        let allow_origin = over::list(
            &flags.otlp_allow_origin,
            &file.otlp_allow_origin,
            report,
            url::origin,
        );
        let endpoint = OtlpEndpoint::of(flags, file, env, call_timeout, report);
        let problems_before = report.problems.len();
        let segments_to = Targets::setting(&flags.segments_to, &file.segments_to, report);
        let spans_to = Targets::setting(&flags.spans_to, &file.spans_to, report);
        let form = over::text(&flags.otlp_xray, &file.otlp_xray);
        let form = report.checked(form, |text| spans_for_xray(text));
        if report.problems.len() > problems_before {
            return None;
        }
        // One that is wrong was asked for all the same.
        let sends = over::text(&flags.otlp_endpoint, &file.otlp_endpoint).is_some();
        for setting in [&segments_to, &spans_to].into_iter().flatten() {
            if setting.value.otlp && !sends {
                report.problem(format!(
                    "{}: there is no OTLP endpoint to send to: set --otlp-endpoint, or Endpoint in the section OTLP.",
                    setting.source
                ));
            }
        }
        let otlp = Self {
            segments_to: segments_to
                .as_ref()
                .map_or(if sends { Targets::BOTH } else { Targets::XRAY }, |setting| {
                    setting.value
                }),
            spans_to: spans_to
                .as_ref()
                .map_or(if sends { Targets::OTLP } else { Targets::XRAY }, |setting| {
                    setting.value
                }),
            spans_for_xray: form
                .as_ref()
                .map_or_else(SpansForXRay::default, |form| form.value),
            listen,
            allow_origin,
            endpoint,
        };
        let has_tcp = !over::switch(&flags.no_tcp, &file.no_tcp);
        otlp.check_loops(Some(tcp_address).filter(|_| has_tcp), report);
        otlp.warn(
            spans_to.map(|setting| setting.source),
            form.map(|form| form.source),
            flags.otlp_allow_origin.first().or(file.otlp_allow_origin.first()),
            report,
        );
        (!otlp.listen.is_empty() || otlp.endpoint.is_some()).then_some(otlp)
    }

    /// `--segments-to`, `OTLP.SegmentsTo`.
    #[must_use]
    pub const fn segments_to(&self) -> Targets {
        self.segments_to
    }

    /// `--spans-to`, `OTLP.SpansTo`, whether any come in or not.
    #[must_use]
    pub const fn spans_to(&self) -> Targets {
        self.spans_to
    }

    /// `OTLP.XRay`, whether any spans go to X-Ray or not.
    #[must_use]
    pub const fn spans_for_xray(&self) -> SpansForXRay {
        self.spans_for_xray
    }

    /// Where what comes in goes.
    #[must_use]
    pub fn routes(&self) -> Routes {
        let came_in = |targets: Targets| {
            if self.listen.is_empty() {
                Targets::NONE
            } else {
                targets
            }
        };
        let others = came_in(if self.endpoint.is_some() {
            Targets::OTLP
        } else {
            Targets::NONE
        });
        Routes {
            segments: self.segments_to,
            spans: came_in(self.spans_to),
            metrics: others,
            logs: others,
            spans_for_xray: self.spans_for_xray,
        }
    }

    /// What is sent to ourselves comes back for ever.
    fn check_loops(&self, tcp_address: Option<&Sourced<String>>, report: &mut Report) {
        let Some(OtlpEndpoint { base, .. }) = &self.endpoint else {
            return;
        };
        let own = self.listen.iter().chain(tcp_address);
        for address in own {
            if is_reached_by(&address.value, &base.value) {
                report.problem(format!(
                    "{}: {} is this daemon itself, which listens on {} ({}). Write the address of the program that is to get the \
                     data.",
                    base.source,
                    quoted(&base.value),
                    quoted(&address.value),
                    address.source
                ));
                return;
            }
        }
    }

    /// Of settings that change nothing.
    fn warn(
        &self,
        spans_to: Option<String>,
        form: Option<String>,
        origin: Option<&Sourced<String>>,
        report: &mut Report,
    ) {
        const NOT_LISTENING: &str =
            "has no effect while no OTLP comes in: set --otlp-listen, or Listen in the section OTLP";
        let not_listening = |source: String| Warning::at(&source, format!("{source} {NOT_LISTENING}."));
        let is_listening = !self.listen.is_empty();
        let idle = [spans_to, origin.map(|origin| origin.source.clone())];
        for source in idle.into_iter().flatten().filter(|_| !is_listening) {
            report.warning(not_listening(source));
        }
        match form {
            Some(source) if !is_listening => report.warning(not_listening(source)),
            Some(source) if !self.spans_to.xray => {
                let text = format!("{source} has no effect: no spans go to X-Ray. Write xray to --spans-to.");
                report.warning(Warning::at(&source, text));
            }
            _ => {}
        }
        if let Some(OtlpEndpoint { base, .. }) = &self.endpoint
            && !self.routes().to_otlp()
        {
            let text = format!(
                "{}: nothing goes there. Write otlp to --segments-to, or let OTLP come in by --otlp-listen.",
                base.source
            );
            report.warning(Warning::at(&base.source, text).value(&base.value));
        }
    }
}

fn spans_for_xray(text: &str) -> Result<SpansForXRay, String> {
    match text.to_ascii_lowercase().as_str() {
        "segments" => Ok(SpansForXRay::Segments),
        "otlp" => Ok(SpansForXRay::Otlp),
        _ => Err(format!(
            "{} is no form in which X-Ray takes spans: write segments or otlp",
            quoted(text)
        )),
    }
}

/// Whether a request to `url` comes to whoever listens on `address`, as far as their texts tell.
fn is_reached_by(address: &str, url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else {
        return false;
    };
    let (Some(host), Some((own_host, own_port))) = (uri.host(), address.rsplit_once(':')) else {
        return false;
    };
    let default_port = if url.starts_with("https://") { 443 } else { 80 };
    if own_port.parse() != Ok(uri.port_u16().unwrap_or(default_port)) {
        return false;
    }
    let (host, own_host) = (plain(host), plain(own_host));
    let is_every = |host: &str| matches!(host, "" | "0.0.0.0" | "::");
    let is_here = |host: &str| {
        let address = host.parse::<std::net::IpAddr>();
        let is_name = host == "localhost" || host.ends_with(".localhost");
        is_name || is_every(host) || address.is_ok_and(|address| address.to_canonical().is_loopback())
    };
    // 127.0.0.1 and 127.0.0.2 are different listeners; a name of this machine, or "every address", may be any of them.
    let names_one = |host: &str| host.parse::<std::net::IpAddr>().is_ok() && !is_every(host);
    host == own_host
        || (is_every(&own_host) && is_here(&host))
        || (is_here(&host) && is_here(&own_host) && !(names_one(&host) && names_one(&own_host)))
}

/// A host in lower case, without brackets and zone.
fn plain(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = host.split_once('%').map_or(host, |(host, _)| host);
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_ourselves_is_known_by_port_and_host() {
        for (address, url, is_reached) in [
            ("127.0.0.1:4318", "http://127.0.0.1:4318", true),
            ("127.0.0.1:4318", "http://localhost:4318/x", true),
            ("localhost:4318", "http://127.0.0.1:4318", true),
            ("localhost:4318", "http://[::1]:4318", true),
            ("0.0.0.0:4318", "http://LOCALHOST:4318", true),
            (":4318", "http://[::1]:4318", true),
            ("[::]:4318", "http://0.0.0.0:4318", true),
            ("xray:4318", "http://xray.:4318", true),
            ("[fe80::1%eth0]:4318", "http://[fe80::1]:4318", true),
            (":80", "http://localhost", true),
            (":443", "https://127.1.2.3", true),
            ("127.0.0.1:4318", "http://127.0.0.2:4318", false),
            ("127.0.0.1:4318", "http://127.0.0.1:4317", false),
            ("127.0.0.1:4318", "http://collector:4318", false),
            (":4318", "http://collector:4318", false),
            (":4318", "http://10.0.0.1:4318", false),
            (":4318", "https://localhost", false),
            ("127.0.0.1:0", "http://127.0.0.1", false),
            ("127.0.0.1:", "http://127.0.0.1", false),
        ] {
            assert_eq!(is_reached_by(address, url), is_reached, "{address} {url}");
        }
    }
}
