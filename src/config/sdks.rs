//! `AWS_XRAY_DAEMON_ADDRESS`: a variable of the SDKs, which the daemon itself does not read.

/// Where SDKs send by default.
pub const DEFAULT_SDK_ADDRESS: &str = "127.0.0.1:2000";

/// Where SDKs send to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SdkAddresses {
    /// Segments, `host:port`.
    pub udp: Option<String>,
    /// Sampling calls, `host:port`.
    pub tcp: Option<String>,
}

/// The addresses in a value of `AWS_XRAY_DAEMON_ADDRESS`: `host:port` for both, or `tcp:host:port udp:host:port` in either
/// order. Neither of what is none of these.
#[must_use]
pub fn sdk_addresses(variable: &str) -> SdkAddresses {
    let words: Vec<&str> = variable.split_whitespace().collect();
    let after = |prefix: &str| {
        let found = words.iter().find_map(|word| word.strip_prefix(prefix));
        found.map(str::to_owned)
    };
    match words.as_slice() {
        [only] if !only.starts_with("tcp:") && !only.starts_with("udp:") => SdkAddresses {
            udp: Some((*only).to_owned()),
            tcp: Some((*only).to_owned()),
        },
        _ => SdkAddresses {
            udp: after("udp:"),
            tcp: after("tcp:"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_variable_are_read() {
        let both = |udp: Option<&str>, tcp: Option<&str>| SdkAddresses {
            udp: udp.map(str::to_owned),
            tcp: tcp.map(str::to_owned),
        };
        for (variable, addresses) in [
            ("xray:2000", both(Some("xray:2000"), Some("xray:2000"))),
            ("tcp:a:1 udp:b:2", both(Some("b:2"), Some("a:1"))),
            ("udp:b:2 tcp:a:1", both(Some("b:2"), Some("a:1"))),
            ("udp:b:2", both(Some("b:2"), None)),
            ("tcp:a:1", both(None, Some("a:1"))),
            ("a:1 b:2", both(None, None)),
            ("", both(None, None)),
        ] {
            assert_eq!(sdk_addresses(variable), addresses, "{variable:?}");
        }
    }
}
