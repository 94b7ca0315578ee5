//! Addresses as Go writes them: `host:port`, `[v6]:port`, `:port`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::text::quoted;
use super::{Files, Report, Sourced, Warning, services};

/// Where both ports listen by default, as in the official daemon.
const DEFAULT: &str = "127.0.0.1:2000";

/// An address for OTLP, for messages.
const OTLP_EXAMPLE: &str = "127.0.0.1:4318";

/// The source of an address that nobody asked for.
pub(crate) const DEFAULT_SOURCE: &str = "default";

/// The longest host name, in characters (RFC 1035).
const MAX_NAME: usize = 253;

/// The address that a port of `protocol` (`udp`, `tcp`) listens on: the flag over the file over the default, with a
/// number for a port that was given by its name. An empty `-b` or `-t` (an unset variable in a script) counts as not
/// given: Go would listen on a random port, or on port 80, where no SDK sends.
pub(super) fn listen(
    protocol: &str,
    flag: &Option<Sourced<String>>,
    file: &Option<Sourced<String>>,
    files: &dyn Files,
    report: &mut Report,
) -> Sourced<String> {
    let default = || Sourced {
        value: DEFAULT.to_owned(),
        source: DEFAULT_SOURCE.to_owned(),
    };
    let empty_flag = flag
        .as_ref()
        .filter(|sourced| sourced.value.is_empty())
        .map(|sourced| sourced.source.clone());
    let flag = flag.as_ref().filter(|sourced| !sourced.value.is_empty());
    // The entry point of an image has flags that whoever mounts a file into it does not see.
    if let (Some(flag), Some(file)) = (flag, file)
        && let Some(warning) = hidden_address(flag, file)
    {
        report.warning(warning);
    }
    let setting = flag.or(file.as_ref()).cloned().unwrap_or_else(default);
    if let Some(source) = empty_flag {
        let used = quoted(&setting.value);
        let text = format!("{source} is empty and counts as not given: using {used}.");
        report.warning(
            Warning::at(&source, text)
                .used(&setting.value)
                .used_source(&setting.source),
        );
    }
    let named_port = |name: &str| services::port(name, protocol, files);
    report
        .checked(Some(setting), |address| {
            checked_listen(address, DEFAULT, &named_port)
        })
        .unwrap_or_else(default)
}

/// The addresses for OTLP: those of flags or variables, else those of the file; each once, with a number for a port that was
/// given by its name.
pub(super) fn listen_otlp(
    flags: &[Sourced<String>],
    file: &[Sourced<String>],
    files: &dyn Files,
    report: &mut Report,
) -> Vec<Sourced<String>> {
    let are_given = flags.iter().any(|setting| !setting.value.is_empty());
    if let (true, Some(flag), Some(hidden)) = (are_given, flags.first(), file.first()) {
        report.warning(hidden_listeners(flag, hidden));
    }
    let named_port = |name: &str| services::port(name, "tcp", files);
    let mut addresses: Vec<Sourced<String>> = Vec::new();
    for setting in if are_given { flags } else { file } {
        if setting.value.is_empty() {
            continue;
        }
        let checked = report.checked(Some(setting.clone()), |address| {
            checked_listen(address, OTLP_EXAMPLE, &named_port)
        });
        // Of port 0 each is another port.
        let is_new = |new: &Sourced<String>| {
            new.value.ends_with(":0") || addresses.iter().all(|old| old.value != new.value)
        };
        let new = checked.filter(is_new);
        addresses.extend(new);
    }
    addresses
}

/// What to say of addresses for OTLP that go over others.
pub(super) fn hidden_listeners(over: &Sourced<String>, hidden: &Sourced<String>) -> Warning {
    let text = format!(
        "{} goes over {}, which is not listened on.",
        over.source, hidden.source
    );
    hides(over, hidden, text)
}

/// What to say of an address that goes over another one.
pub(super) fn hidden_address(over: &Sourced<String>, hidden: &Sourced<String>) -> Option<Warning> {
    (over.value != hidden.value).then(|| {
        let text = format!(
            "{} goes over {}: listening on {}, not on {}.",
            over.source,
            hidden.source,
            quoted(&over.value),
            quoted(&hidden.value)
        );
        hides(over, hidden, text)
    })
}

fn hides(over: &Sourced<String>, hidden: &Sourced<String>, text: String) -> Warning {
    Warning::at(&hidden.source, text)
        .value(&hidden.value)
        .used(&over.value)
        .used_source(&over.source)
}

/// Checks an address to listen on: host name, IPv4, IPv6 in brackets or nothing (every address), then a colon and a
/// port of 0 to 65535 or the name of one; port 0, or none after the colon, lets the system choose. Returns it with the
/// number in place of the name. `example` is one for messages.
///
/// # Errors
/// What is wrong with it and how to write it, as the rest of a sentence that began with its source.
fn checked_listen(
    address: &str,
    example: &str,
    named_port: &dyn Fn(&str) -> Option<u16>,
) -> Result<String, String> {
    let shown = quoted(address);
    let example_port = example.rsplit(':').next().unwrap_or_default();
    if let Some(rest) = address
        .strip_prefix("udp:")
        .or_else(|| address.strip_prefix("tcp:"))
    {
        let rest = quoted(rest);
        return Err(format!(
            "{shown} has a prefix that only the SDKs read: write {rest}"
        ));
    }
    if address.contains("://") {
        return Err(format!(
            "{shown} is a URL: write an address, such as 0.0.0.0:{example_port}"
        ));
    }
    let Some((host, port)) = address.rsplit_once(':') else {
        return Err(
            if !address.is_empty() && address.bytes().all(|b| b.is_ascii_digit()) {
                format!(
                    "{shown} has no host: write 127.0.0.1:{address}, or :{address} for every address of this machine"
                )
            } else {
                format!("{shown} has no port: write it after a colon, such as {example}")
            },
        );
    };
    if host.contains(':') && !host.starts_with('[') {
        return Err(match address.parse::<Ipv6Addr>() {
            Ok(_) => format!("{shown} has no port: write [{address}]:{example_port}"),
            Err(_) => {
                format!(
                    "{shown} has too many colons: write an IPv6 address in brackets, such as [::1]:{example_port}"
                )
            }
        });
    }
    if !host.is_empty() {
        check_host(host).map_err(|reason| format!("{shown}: {reason}"))?;
    }
    let is_name = port.contains(|c: char| c.is_ascii_alphabetic());
    // A number is looked up in no list: reading that takes a tenth of the start.
    match is_name.then(|| named_port(port)).flatten() {
        Some(number) => Ok(format!("{host}:{number}")),
        None => match check_port(port) {
            Ok(()) => Ok(address.to_owned()),
            Err(reason) if is_name => Err(format!("{shown}: {reason}, or a name that /etc/services has")),
            Err(reason) => Err(format!("{shown}: {reason}")),
        },
    }
}

/// Checks a host name, an IPv4 address or an IPv6 address in brackets.
pub(super) fn check_host(host: &str) -> Result<(), String> {
    let shown = quoted(host);
    if let Some(inner) = host.strip_prefix('[') {
        let Some(inner) = inner.strip_suffix(']') else {
            return Err(format!("{shown} has a \"[\" without its \"]\""));
        };
        let (ip, zone) = inner.split_once('%').unwrap_or((inner, "0"));
        let zone_is_name = !zone.is_empty() && zone.bytes().all(is_name_byte);
        return if ip.parse::<Ipv6Addr>().is_ok() && zone_is_name {
            Ok(())
        } else {
            Err(format!("{shown} is not an IPv6 address"))
        };
    }
    if host.is_empty() || host.len() > MAX_NAME || !host.bytes().all(is_name_byte) || host.starts_with('-') {
        return Err(format!("{shown} is not a host name"));
    }
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(format!("{shown} is not an IPv4 address"));
    }
    Ok(())
}

/// Underscores too: names of containers have them.
fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')
}

fn check_port(port: &str) -> Result<(), String> {
    let digits_only = port.bytes().all(|b| b.is_ascii_digit());
    if digits_only && (port.is_empty() || port.parse::<u16>().is_ok()) {
        Ok(())
    } else {
        Err(format!("{} is not a port: 0 to 65535", quoted(port)))
    }
}

/// Checks `host` or `host:port` of a URL, the port from 1 to 65535.
pub(super) fn check_authority(authority: &str) -> Result<(), String> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    check_host(host)?;
    match port {
        None => Ok(()),
        Some("" | "0") => Err("a port is 1 to 65535".to_owned()),
        Some(port) => check_port(port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_listen(address: &str) -> Result<(), String> {
        let named_port = |name: &str| (name == "http").then_some(80);
        checked_listen(address, DEFAULT, &named_port).map(drop)
    }

    #[test]
    fn a_port_by_its_name_becomes_its_number() {
        let named_port = |name: &str| (name == "http").then_some(80);
        for (address, taken) in [
            ("127.0.0.1:http", "127.0.0.1:80"),
            (":http", ":80"),
            ("[::1]:http", "[::1]:80"),
            ("http:2000", "http:2000"),
            ("http:", "http:"),
        ] {
            assert_eq!(
                checked_listen(address, DEFAULT, &named_port).as_deref(),
                Ok(taken)
            );
        }
    }

    #[test]
    fn a_port_that_is_a_number_is_not_looked_up() {
        let named_port = |name: &str| panic!("{name} was looked up");
        for address in ["127.0.0.1:2000", ":0", "127.0.0.1:", "127.0.0.1:70000"] {
            assert_eq!(
                checked_listen(address, DEFAULT, &named_port).is_ok(),
                address != "127.0.0.1:70000"
            );
        }
    }

    #[test]
    fn addresses_to_listen_on_are_taken_as_go_takes_them() {
        for address in [
            "127.0.0.1:2000",
            "0.0.0.0:2000",
            "[::1]:2000",
            "[::]:0",
            "[fe80::1%eth0]:2000",
            "localhost:2000",
            "xray-daemon:2000",
            "xray_daemon.internal:2000",
            ":2000",
            ":0",
            ":",
            "127.0.0.1:",
            "127.0.0.1:02000",
            "127.0.0.1:65535",
        ] {
            assert_eq!(check_listen(address), Ok(()), "{address}");
        }
    }

    #[test]
    fn wrong_addresses_are_answered_with_how_to_write_them() {
        for (address, reason) in [
            (
                "127.0.0.1",
                r#""127.0.0.1" has no port: write it after a colon, such as 127.0.0.1:2000"#,
            ),
            (
                "2000",
                r#""2000" has no host: write 127.0.0.1:2000, or :2000 for every address of this machine"#,
            ),
            ("::1", r#""::1" has no port: write [::1]:2000"#),
            (
                "1:2:3",
                r#""1:2:3" has too many colons: write an IPv6 address in brackets, such as [::1]:2000"#,
            ),
            (
                "udp:127.0.0.1:2000",
                r#""udp:127.0.0.1:2000" has a prefix that only the SDKs read: write "127.0.0.1:2000""#,
            ),
            (
                "http://x:1",
                r#""http://x:1" is a URL: write an address, such as 0.0.0.0:2000"#,
            ),
            ("[::1:2000", r#""[::1:2000": "[::1" has a "[" without its "]""#),
            ("[::g]:1", r#""[::g]:1": "[::g]" is not an IPv6 address"#),
            ("[::1%]:1", r#""[::1%]:1": "[::1%]" is not an IPv6 address"#),
            (
                "300.1.1.1:1",
                r#""300.1.1.1:1": "300.1.1.1" is not an IPv4 address"#,
            ),
            ("a b:1", r#""a b:1": "a b" is not a host name"#),
            ("-o:1", r#""-o:1": "-o" is not a host name"#),
            ("x:65536", r#""x:65536": "65536" is not a port: 0 to 65535"#),
            ("x:-1", r#""x:-1": "-1" is not a port: 0 to 65535"#),
            (
                "x:htpt",
                r#""x:htpt": "htpt" is not a port: 0 to 65535, or a name that /etc/services has"#,
            ),
        ] {
            assert_eq!(check_listen(address), Err(reason.to_owned()));
        }
    }
}
