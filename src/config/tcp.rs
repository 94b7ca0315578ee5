//! The TCP port: where it listens, paths that are forwarded, and names that it is called by.

use super::file::FileSettings;
use super::{Flags, Report, Sourced, Warning, address, over};

/// The paths that the daemon answers itself.
pub const OWN_PATHS: [&str; 4] = ["/TraceSegments", "/healthz", "/readyz", "/metrics"];

/// The longest path; those of the X-Ray API have at most 40 characters.
const PATH_MAX_BYTES: usize = 128;

/// The longest host name (RFC 1035).
const HOST_MAX_BYTES: usize = 253;

/// What the TCP port does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpConfig {
    /// `-t`, `Socket.TCPAddress`; in the forms of [`super::UdpConfig::address`]. Default `127.0.0.1:2000`.
    pub address: Sourced<String>,
    /// `--no-tcp`, `NoTCP`: it stays closed: no sampling, no health, no metrics.
    pub closed: bool,
    /// `--proxy-allow`, `ProxyAllow`: paths of the X-Ray API that are forwarded besides those of sampling, as
    /// [`proxy_path`] writes them.
    pub proxy_allow: Vec<String>,
    /// `--allow-host`, `AllowHost`: names by which it may be called besides those that are safe anyway, as
    /// [`allowed_host`] writes them.
    pub allow_host: Vec<String>,
}

impl TcpConfig {
    /// Whether a flag or the file names the address, or it is only the default.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        self.address.source != address::DEFAULT_SOURCE
    }

    /// All but the address, which is checked with that of the UDP port.
    pub(super) fn of(
        address: Sourced<String>,
        flags: &Flags,
        file: &FileSettings,
        report: &mut Report,
    ) -> Self {
        Self {
            address,
            closed: over::switch(&flags.no_tcp, &file.no_tcp),
            proxy_allow: proxy_allow(flags, file, report),
            allow_host: over::list(&flags.allow_host, &file.allow_host, report, allowed_host),
        }
    }
}

fn proxy_allow(flags: &Flags, file: &FileSettings, report: &mut Report) -> Vec<String> {
    let paths = over::list(&flags.proxy_allow, &file.proxy_allow, report, proxy_path);
    if !paths.is_empty() {
        let shown = paths.join(", ");
        let text = format!(
            "Whoever reaches the TCP port can make calls with this daemon's AWS credentials on: {shown} (--proxy-allow)."
        );
        let mut given = flags.proxy_allow.iter().chain(&file.proxy_allow);
        let source = given.next().map_or("--proxy-allow", |path| &path.source);
        report.warning(Warning::at(source, text).value(shown));
    }
    paths
}

/// A path to be forwarded, as `--proxy-allow` takes it: one path, exactly.
///
/// # Errors
/// What is wrong with it, as the rest of a sentence that quotes it.
pub fn proxy_path(text: &str) -> Result<String, String> {
    let is_path_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.');
    let plain = text.bytes().all(is_path_byte) && text.len() <= PATH_MAX_BYTES;
    let segments = text.strip_prefix('/').map(|rest| rest.split('/'));
    // Empty and dotted segments could mean another path to the endpoint than here.
    let clear = segments.is_some_and(|mut rest| rest.all(|part| !part.is_empty() && !part.starts_with('.')));
    if !plain || !clear {
        return Err(
            "is not a path of the X-Ray API: write one, without a pattern, like /TraceSummaries".to_owned(),
        );
    }
    if OWN_PATHS.contains(&text) {
        return Err("is answered by the daemon itself and never forwarded: leave it out".to_owned());
    }
    Ok(text.to_owned())
}

/// A host name to be allowed, in lower case, as `--allow-host` takes it: a name, or `.name` for every name below it.
///
/// # Errors
/// What is wrong with it, as the rest of a sentence that quotes it.
pub fn allowed_host(text: &str) -> Result<String, String> {
    let name = text.strip_prefix('.').unwrap_or(text);
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_name =
        name.len() <= HOST_MAX_BYTES && name.bytes().all(is_name_byte) && !name.split('.').any(str::is_empty);
    if is_name {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(
            "is not a host name: write it without a port, like xray.example.com, or .example.com for every name below \
             it"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_paths_of_others_can_be_allowed() {
        for path in ["/TraceSummaries", "/Traces", "/v1/traces", "/GetSamplingRules"] {
            assert_eq!(proxy_path(path).as_deref(), Ok(path));
        }
        for path in [
            "",
            "/",
            "TraceSummaries",
            "/*",
            "/a/../b",
            "/./a",
            "/a//b",
            "/a/",
            "/a?b",
            "/a%2fb",
            "/a b",
            "http://a/b",
            "/TraceSegments",
            "/metrics",
        ] {
            assert!(proxy_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn allowed_hosts_are_names_in_lower_case() {
        assert_eq!(
            allowed_host("XRay.Example.com").as_deref(),
            Ok("xray.example.com")
        );
        assert_eq!(allowed_host(".corp.example").as_deref(), Ok(".corp.example"));
        for wrong in ["", ".", "a..b", "http://a", "a:1", "a b", "*.a", "a."] {
            assert!(allowed_host(wrong).is_err(), "{wrong}");
        }
    }
}
