//! X-Ray, and the way to it.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::file::FileSettings;
use super::text::quoted;
use super::{Flags, Report, Sourced, Warning, over, url};

/// The default of `--connect-timeout`: a connection within a region takes milliseconds; a lost packet costs one second,
/// two in a row three.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The default of `--call-timeout`: an endpoint that takes 10 s is slow, not down, and cutting it off would send the same
/// segments again. (The official daemon cuts after 2 s.)
pub const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest time-out, as for flags.
const MAX_TIMEOUT_S: i64 = 3600;

/// The most calls in flight: each costs a connection, and no account is allowed so many.
const MAX_CONCURRENCY: usize = 1_000;

/// Where the service is, who asks it, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XRayConfig {
    /// `Concurrency`: the most calls in flight, at most 1,000; `None`: the sender decides.
    pub concurrency: Option<NonZeroUsize>,
    /// `-n`, `Region`, as written: [`crate::aws`] checks it, and finds one where there is none.
    pub region: Option<Sourced<String>>,
    /// `Endpoint`: absolute `http://` or `https://` URL, path kept, no trailing slash, as [`url::endpoint`] writes it.
    pub endpoint: Option<Sourced<String>>,
    /// `-o`, `LocalMode`: no EC2 or ECS metadata for the region.
    pub local_mode: bool,
    /// `-a`, `ResourceARN`: for telemetry records.
    pub resource_arn: Option<String>,
    /// `-r`, `RoleARN`: assumed over the default credentials.
    pub role_arn: Option<Sourced<String>>,
    /// `NoVerifySSL`: TLS certificates are not checked.
    pub no_verify_ssl: bool,
    /// `-p`, `ProxyAddress`: URL of an HTTP proxy, over HTTPS_PROXY, as [`url::proxy`] writes it. May hold a password:
    /// show it with [`url::without_password`].
    pub proxy_address: Option<Sourced<String>>,
    /// `--connect-timeout`, `ConnectTimeoutSeconds`: the bound on a connection to the service, at most one hour.
    /// Default [`DEFAULT_CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// `--call-timeout`, `CallTimeoutSeconds`: the bound on one call from credentials to the end of the answer, at most
    /// one hour. Default [`DEFAULT_CALL_TIMEOUT`].
    pub call_timeout: Duration,
    /// `--no-telemetry`, `NoTelemetry`: no PutTelemetryRecords.
    pub no_telemetry: bool,
}

impl XRayConfig {
    pub(super) fn of(flags: &Flags, file: &FileSettings, report: &mut Report) -> Self {
        let proxy_address = over::text(&flags.proxy_address, &file.proxy_address);
        Self {
            concurrency: concurrency(flags.concurrency.as_ref().or(file.concurrency.as_ref()), report),
            // Checked by `crate::aws`, with the regions from other sources.
            region: over::text(&flags.region, &file.region),
            endpoint: report.checked(flags.endpoint.clone().or(file.endpoint.clone()), |text| {
                url::endpoint(text)
            }),
            local_mode: over::switch(&flags.local_mode, &file.local_mode),
            resource_arn: over::text(&flags.resource_arn, &file.resource_arn).map(|sourced| sourced.value),
            role_arn: role_arn(over::text(&flags.role_arn, &file.role_arn), report),
            no_verify_ssl: over::switch(&flags.no_verify_ssl, &file.no_verify_ssl),
            proxy_address: report.checked(proxy_address, |text| url::proxy(text)),
            connect_timeout: timeout(
                &flags.connect_timeout,
                &file.connect_timeout_s,
                DEFAULT_CONNECT_TIMEOUT,
                report,
            ),
            call_timeout: timeout(
                &flags.call_timeout,
                &file.call_timeout_s,
                DEFAULT_CALL_TIMEOUT,
                report,
            ),
            no_telemetry: over::switch(&flags.no_telemetry, &file.no_telemetry),
        }
    }
}

/// Warns of `NoVerifySSL`: before anything else, since it is worse than all else that can be set.
pub(super) fn warn_of_unchecked_certificates(flags: &Flags, file: &FileSettings, report: &mut Report) {
    let setting = flags.no_verify_ssl.as_ref().or(file.no_verify_ssl.as_ref());
    if let Some(Sourced { value: true, source }) = setting {
        let text = format!(
            "{source}: TLS certificates are NOT checked, so anyone on the way can read the segments and answer for AWS. \
             For a private CA set AWS_CA_BUNDLE instead."
        );
        report.warning(Warning::at(source, text).value(true));
    }
}

fn concurrency(setting: Option<&Sourced<i64>>, report: &mut Report) -> Option<NonZeroUsize> {
    let Sourced { value, source } = setting?;
    let value = *value;
    if value < 0 {
        report.problem(format!(
            "{source}: {value} calls at a time send nothing. Write 1 or more, or 0 for the default."
        ));
        return None;
    }
    let wanted = usize::try_from(value).unwrap_or(usize::MAX);
    if wanted > MAX_CONCURRENCY {
        let text = format!("{source}: {value} calls at a time are too many; using {MAX_CONCURRENCY}.");
        report.warning(Warning::at(source, text).value(value).used(MAX_CONCURRENCY));
    }
    NonZeroUsize::new(wanted.min(MAX_CONCURRENCY))
}

fn role_arn(setting: Option<Sourced<String>>, report: &mut Report) -> Option<Sourced<String>> {
    let setting = setting?;
    let Sourced { value, source } = &setting;
    if !(value.starts_with("arn:") && value.contains(":role/")) {
        let text = format!(
            "{source}: {} does not look like the ARN of a role (arn:aws:iam::123456789012:role/name).",
            quoted(value)
        );
        report.warning(Warning::at(source, text).value(value));
    }
    Some(setting)
}

/// A time-out: the flag, else the file's seconds, else `default`.
fn timeout(
    flag: &Option<Sourced<Duration>>,
    file_seconds: &Option<Sourced<i64>>,
    default: Duration,
    report: &mut Report,
) -> Duration {
    let setting = match (flag, file_seconds) {
        (Some(flag), _) => flag.clone(),
        (None, None) => return default,
        (None, Some(Sourced { value, source })) => {
            let Ok(seconds) = u64::try_from((*value).min(MAX_TIMEOUT_S + 1)) else {
                report.problem(format!("{source} is {value}: write seconds, 1 or more."));
                return default;
            };
            Sourced {
                value: Duration::from_secs(seconds),
                source: source.clone(),
            }
        }
    };
    let Sourced { value, source } = setting;
    if value.is_zero() || value > Duration::from_secs(MAX_TIMEOUT_S.unsigned_abs()) {
        report.problem(format!(
            "{source}: a time-out is longer than nothing and one hour at most. Leave it out for {} s.",
            default.as_secs()
        ));
        return default;
    }
    value
}
