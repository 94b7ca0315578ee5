//! The OTLP endpoint: where requests go, and in which form.
//!
//! What our own settings leave open, the variables of OTLP exporters say, `OTEL_EXPORTER_OTLP_…`, for one signal
//! (`OTEL_EXPORTER_OTLP_TRACES_…`) or for all. They are read only when there is an endpoint of our own: beside an
//! application they name this daemon, and are meant for the application.

use std::path::PathBuf;
use std::time::Duration;

use xray_document::otlp::Signal;

use super::headers::Headers;
use crate::config::file::FileSettings;
use crate::config::text::quoted;
use crate::config::{Environment, Flags, Report, Sourced, Warning, over, url};

/// What the variables of OTLP exporters begin with.
const PREFIX: &str = "OTEL_EXPORTER_OTLP_";

/// The longest name of a service, in characters: as long as the name of a segment may be.
const SERVICE_NAME_MAX_CHARS: usize = 200;

/// The longest time-out, as for our own.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// Where OTLP goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpEndpoint {
    /// `--otlp-endpoint`, `OTLP.Endpoint`: the base, as [`url::otlp_endpoint`] writes it. It has no password.
    pub base: Sourced<String>,
    /// `OTLP.ServiceName`, else `OTEL_SERVICE_NAME`: the service of subsegments that come on their own, while it is not known
    /// from segments. 1 to 200 characters.
    pub service_name: Option<Sourced<String>>,
    /// The form of requests with traces, segments made into spans among them.
    pub traces: RequestForm,
    /// The form of requests with metrics.
    pub metrics: RequestForm,
    /// The form of requests with logs.
    pub logs: RequestForm,
}

/// The form of the requests of one signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestForm {
    /// `OTLP.Headers`, else those of the variables, those of the signal over those for all.
    pub headers: Headers,
    /// Where they come from; `None`: there are none.
    pub headers_source: Option<String>,
    /// `OTLP.Compression`: of bodies. Default gzip.
    pub compression: Sourced<Compression>,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`: the bound on one call, above nothing and at most one hour. Default that of calls to
    /// X-Ray.
    pub timeout: Sourced<Duration>,
    /// `OTEL_EXPORTER_OTLP_CERTIFICATE`: a PEM file of the certificate authorities that are trusted, in place of
    /// `AWS_CA_BUNDLE` and the system's.
    pub certificate: Option<Sourced<PathBuf>>,
    /// `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE` and `_CLIENT_KEY`: who we are to the endpoint.
    pub client: Option<ClientIdentity>,
}

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate, with those between it and its authority.
    pub certificate: Sourced<PathBuf>,
    /// Its private key.
    pub key: Sourced<PathBuf>,
}

/// How bodies are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// By gzip.
    #[default]
    Gzip,
    /// Not at all.
    None,
}

impl Compression {
    /// As settings have it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::None => "none",
        }
    }

    fn of(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "gzip" => Ok(Self::Gzip),
            "none" => Ok(Self::None),
            _ => Err(format!(
                "{} is no compression that is known here: write gzip or none",
                quoted(text)
            )),
        }
    }
}

/// The variable of `signal` for `setting`.
fn variable(signal: Signal, setting: &str) -> String {
    format!("{PREFIX}{}_{setting}", signal.label().to_ascii_uppercase())
}

/// The value of the signal's own variable, else of the one for all, with its name.
fn of_variables(signal: Signal, setting: &str, env: &Environment) -> Option<Sourced<String>> {
    [variable(signal, setting), format!("{PREFIX}{setting}")]
        .into_iter()
        .find_map(|source| {
            let value = env.get(&source)?.to_owned();
            Some(Sourced { value, source })
        })
}

impl OtlpEndpoint {
    /// The endpoint, if there is one. `call_timeout` is the bound on calls to X-Ray.
    pub(super) fn of(
        flags: &Flags,
        file: &FileSettings,
        env: &Environment,
        call_timeout: Duration,
        report: &mut Report,
    ) -> Option<Self> {
        let own = over::text(&flags.otlp_endpoint, &file.otlp_endpoint);
        if own.is_none() {
            warn_without_endpoint(flags, file, report);
        }
        // What is wrong with the others is said too when the endpoint itself is wrong.
        let written = own.clone()?;
        let base = report.checked(own, |text| url::otlp_endpoint(text));
        warn_of_other_endpoints(&written.source, env, report);
        let own_headers = Headers::of_file(&file.otlp_headers, env, report);
        let compression = over::text(&flags.otlp_compression, &file.otlp_compression);
        let compression = report.checked(compression, |text| Compression::of(text));
        let mut variables = Variables::default();
        let mut form = |signal: Signal| {
            let (headers, headers_source) = match file.otlp_headers.first() {
                Some(first) => (own_headers.clone(), Some(first.source.clone())),
                None => variables.headers(signal, env, report),
            };
            RequestForm {
                headers,
                headers_source,
                compression: match &compression {
                    Some(own) => own.clone(),
                    None => variables.compression(signal, env, report),
                },
                timeout: variables.timeout(signal, env, call_timeout, report),
                certificate: path(of_variables(signal, "CERTIFICATE", env)),
                client: variables.client(signal, env, report),
            }
        };
        let (traces, metrics, logs) = (form(Signal::Traces), form(Signal::Metrics), form(Signal::Logs));
        if let Some(first) = file.otlp_headers.first() {
            warn_of_other_headers(&first.source, env, report);
        }
        let endpoint = Self {
            base: base?,
            service_name: service_name(flags, file, env, report),
            traces,
            metrics,
            logs,
        };
        endpoint.warn(report);
        Some(endpoint)
    }

    /// The form of each signal's requests, traces first.
    #[must_use]
    pub const fn forms(&self) -> [&RequestForm; 3] {
        [&self.traces, &self.metrics, &self.logs]
    }

    /// Of what works, and not as expected.
    fn warn(&self, report: &mut Report) {
        let Sourced { value, source } = &self.base;
        let shown = quoted(value);
        let uri = value.parse::<http::Uri>().ok();
        if uri.as_ref().and_then(http::Uri::port_u16) == Some(4317) {
            let text = format!(
                "{source}: at port 4317 most programs take gRPC alone, and this daemon sends OTLP over HTTP. If {shown} does not \
                 answer, write the port for HTTP, usually 4318."
            );
            report.warning(Warning::at(source, text).value(value));
        }
        if value.starts_with("https://") {
            return;
        }
        for form in self.forms() {
            let of_client = form.client.as_ref().map(|client| &client.certificate);
            if let Some(Sourced { source, .. }) = form.certificate.as_ref().or(of_client) {
                let text = format!("{source} has no effect: {shown} is not called by https.");
                report.warning(Warning::at(source, text).used(value));
                break;
            }
        }
    }
}

/// The variables that were looked at, so that each is complained of once, however many signals it is for.
#[derive(Default)]
struct Variables {
    told: Vec<String>,
}

impl Variables {
    /// Whether nothing was said of `variable` yet.
    fn is_new(&mut self, variable: &str) -> bool {
        let is_new = !self.told.iter().any(|told| told == variable);
        if is_new {
            self.told.push(variable.to_owned());
        }
        is_new
    }

    fn headers(
        &mut self,
        signal: Signal,
        env: &Environment,
        report: &mut Report,
    ) -> (Headers, Option<String>) {
        let mut headers = Headers::default();
        let mut sources = Vec::new();
        for variable in [format!("{PREFIX}HEADERS"), variable(signal, "HEADERS")] {
            let Some(text) = env.get(&variable) else { continue };
            let mut said = Report::default();
            headers = headers.with(&Headers::of_variable(&variable, text, &mut said));
            if self.is_new(&variable) {
                report.problems.append(&mut said.problems);
                report.warnings.append(&mut said.warnings);
            }
            sources.push(variable);
        }
        let source = (!sources.is_empty()).then(|| sources.join(", "));
        (headers, source)
    }

    /// A value that is not known is passed over with a warning, as the specification has it: it may be meant for the
    /// application, whose exporter knows more.
    fn compression(
        &mut self,
        signal: Signal,
        env: &Environment,
        report: &mut Report,
    ) -> Sourced<Compression> {
        let default = || Sourced {
            value: Compression::default(),
            source: super::DEFAULT_SOURCE.to_owned(),
        };
        let Some(Sourced { value, source }) = of_variables(signal, "COMPRESSION", env) else {
            return default();
        };
        match Compression::of(&value) {
            Ok(value) => Sourced { value, source },
            Err(reason) => {
                if self.is_new(&source) {
                    let text = format!("{source}: {reason}; using gzip.");
                    report.warning(Warning::at(&source, text).value(&value).used("gzip"));
                }
                default()
            }
        }
    }

    fn timeout(
        &mut self,
        signal: Signal,
        env: &Environment,
        default: Duration,
        report: &mut Report,
    ) -> Sourced<Duration> {
        let default = || Sourced {
            value: default,
            source: super::DEFAULT_SOURCE.to_owned(),
        };
        let Some(Sourced { value, source }) = of_variables(signal, "TIMEOUT", env) else {
            return default();
        };
        let timeout = value.trim().parse().ok().map(Duration::from_millis);
        match timeout.filter(|timeout| !timeout.is_zero() && *timeout <= MAX_TIMEOUT) {
            Some(value) => Sourced { value, source },
            None => {
                if self.is_new(&source) {
                    let used_s = default().value.as_secs_f64();
                    let text = format!(
                        "{source}: {} is no time-out: write milliseconds, 1 to {}; using {used_s} s.",
                        quoted(&value),
                        MAX_TIMEOUT.as_millis(),
                    );
                    report.warning(
                        Warning::at(&source, text)
                            .value(&value)
                            .used(format!("{used_s} s")),
                    );
                }
                default()
            }
        }
    }

    fn client(&mut self, signal: Signal, env: &Environment, report: &mut Report) -> Option<ClientIdentity> {
        let certificate = path(of_variables(signal, "CLIENT_CERTIFICATE", env));
        let key = path(of_variables(signal, "CLIENT_KEY", env));
        let (alone, missing) = match (certificate, key) {
            (None, None) => return None,
            (Some(certificate), Some(key)) => return Some(ClientIdentity { certificate, key }),
            (Some(alone), None) => (alone, "CLIENT_KEY"),
            (None, Some(alone)) => (alone, "CLIENT_CERTIFICATE"),
        };
        if self.is_new(&alone.source) {
            report.problem(format!(
                "{}: a certificate and its key go together: set {PREFIX}{missing} too.",
                alone.source
            ));
        }
        None
    }
}

/// What an application beside the daemon says of itself will do.
fn service_name(
    flags: &Flags,
    file: &FileSettings,
    env: &Environment,
    report: &mut Report,
) -> Option<Sourced<String>> {
    let own = over::text(&flags.otlp_service_name, &file.otlp_service_name);
    let of_application = || {
        let source = "OTEL_SERVICE_NAME".to_owned();
        let value = env.get(&source)?.to_owned();
        Some(Sourced { value, source })
    };
    let named = own.or_else(of_application);
    report.checked(named, |name| {
        let is_name = name.chars().count() <= SERVICE_NAME_MAX_CHARS && !name.contains(char::is_control);
        if is_name {
            Ok(name.clone())
        } else {
            Err(format!(
                "{} is no name of a service: write at most {SERVICE_NAME_MAX_CHARS} characters on one line",
                quoted(name)
            ))
        }
    })
}

fn path(setting: Option<Sourced<String>>) -> Option<Sourced<PathBuf>> {
    setting.map(|Sourced { value, source }| Sourced {
        value: PathBuf::from(value),
        source,
    })
}

/// Settings of an endpoint that there is not.
fn warn_without_endpoint(flags: &Flags, file: &FileSettings, report: &mut Report) {
    let compression = flags.otlp_compression.as_ref().or(file.otlp_compression.as_ref());
    let headers = file.otlp_headers.first().map(|header| &header.source);
    let name = flags
        .otlp_service_name
        .as_ref()
        .or(file.otlp_service_name.as_ref());
    let texts = [compression, name].into_iter().flatten();
    for source in headers.into_iter().chain(texts.map(|setting| &setting.source)) {
        let text = format!(
            "{source} has no effect without an OTLP endpoint: set --otlp-endpoint, or Endpoint in the section OTLP."
        );
        report.warning(Warning::at(source, text));
    }
}

/// An application's exporter beside the daemon: its variables name the daemon, and are not where the daemon sends to.
fn warn_of_other_endpoints(own: &str, env: &Environment, report: &mut Report) {
    let for_all = format!("{PREFIX}ENDPOINT");
    let of_signals = Signal::ALL.map(|signal| variable(signal, "ENDPOINT"));
    for variable in std::iter::once(for_all).chain(of_signals) {
        if env.get(&variable).is_some() {
            let text = format!(
                "{variable} is not where this daemon sends to: it is for applications. What counts is {own}."
            );
            report.warning(Warning::at(&variable, text).used_source(own));
        }
    }
}

/// Headers of variables that those of the file stand over.
fn warn_of_other_headers(own: &str, env: &Environment, report: &mut Report) {
    let for_all = format!("{PREFIX}HEADERS");
    let of_signals = Signal::ALL.map(|signal| variable(signal, "HEADERS"));
    for variable in std::iter::once(for_all).chain(of_signals) {
        if env.get(&variable).is_some() {
            let text = format!("{own} goes over {variable}, whose headers are not sent.");
            report.warning(Warning::at(&variable, text).used_source(own));
        }
    }
}
