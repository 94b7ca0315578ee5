//! URLs that a user writes: the service's endpoint, and a proxy, whose password no message may show.

use super::address::check_authority;
use crate::config::text::{bare, quoted};

/// An endpoint in the form that the rest of the program relies on: `http://` or `https://`, host, optional port,
/// optional path, no slash at the end.
///
/// # Errors
/// What is wrong with it and how to write it, as the rest of a sentence that began with its source.
pub fn endpoint(text: &str) -> Result<String, String> {
    let shown = quoted(text);
    let Some((scheme, rest)) = text.split_once("://") else {
        let host = bare(text);
        return Err(format!(
            "{shown} has no scheme: write https://{host} or http://{host}"
        ));
    };
    let scheme = known_scheme(scheme, &["http", "https"])
        .ok_or_else(|| format!("{shown} is not an http:// or https:// URL"))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(format!(
            "{shown} has a user name in it: requests are signed, leave it out"
        ));
    }
    if path.contains(['?', '#']) {
        return Err(format!(
            "{shown} has a query or a fragment: only a path may follow the host"
        ));
    }
    check_authority(authority).map_err(|reason| format!("{shown}: {reason}"))?;
    let path = path.trim_end_matches('/');
    if !path.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!("{shown} has a path with characters that no URL has"));
    }
    let url = format!("{scheme}://{authority}{path}");
    // The HTTP client has its own idea of a URL; better that it speaks up now than at the first batch.
    match url.parse::<http::Uri>() {
        Ok(_) => Ok(url),
        Err(error) => Err(format!("{shown} is not a URL: {error}")),
    }
}

/// The base of an OTLP endpoint, in the form of [`endpoint`]. What stands in front of the host is a password, and belongs
/// into a header; what is appended to a base does not belong at its end.
///
/// # Errors
/// As for [`endpoint`].
pub fn otlp_endpoint(text: &str) -> Result<String, String> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if authority.contains('@') {
        return Err(format!(
            "{} has a user name in it: send it as a header, authorization, in OTEL_EXPORTER_OTLP_HEADERS",
            quoted(text)
        ));
    }
    let url = endpoint(text)?;
    for path in ["/v1/traces", "/v1/metrics", "/v1/logs"] {
        if let Some(base) = url.strip_suffix(path) {
            return Err(format!(
                "{} ends in {path}, which is appended to it: write {}",
                quoted(text),
                bare(base)
            ));
        }
    }
    Ok(url)
}

/// The origin of a web page, as a browser sends it: `http://` or `https://`, host in lower case, port if it is not the
/// scheme's own.
///
/// # Errors
/// What is wrong with it and how to write it, as the rest of a sentence that quotes it.
pub fn origin(text: &str) -> Result<String, String> {
    let wrong = || "is not the origin of a web page: write one, like https://app.example.com".to_owned();
    let (scheme, authority) = text.split_once("://").ok_or_else(wrong)?;
    let scheme = known_scheme(scheme, &["http", "https"]).ok_or_else(wrong)?;
    check_authority(authority).map_err(|_| wrong())?;
    let own_port = if scheme == "http" { ":80" } else { ":443" };
    let authority = authority.strip_suffix(own_port).unwrap_or(authority);
    Ok(format!("{scheme}://{}", authority.to_ascii_lowercase()))
}

/// A proxy in the form that the rest of the program relies on: `http://` or `https://` with an optional port, or
/// `socks5://` or `socks5h://` with a port; optional `user:password@`; host. `host:port` alone means
/// `http://host:port`. A path is dropped: a proxy has none.
///
/// # Errors
/// What is wrong with it and how to write it, without the password, as the rest of a sentence that began with its
/// source.
pub fn proxy(text: &str) -> Result<String, String> {
    let shown = quoted(&without_password(text));
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let scheme = match scheme {
        None => "http",
        Some(scheme) => known_scheme(scheme, &["http", "https", "socks5", "socks5h"]).ok_or_else(|| {
            format!(
                "{shown} is not a kind of proxy that works: write http://host:port, https://host:port or \
                 socks5h://host:port"
            )
        })?,
    };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if !authority.contains('@') && rest.contains('@') {
        return Err(format!(
            "{shown} has a character in its user name or password that must be percent-encoded: / is %2F, ? is %3F, # is %23"
        ));
    }
    let (credentials, host_and_port) = match authority.rsplit_once('@') {
        Some((credentials, rest)) => (Some(credentials), rest),
        None => (None, authority),
    };
    if credentials.is_some_and(|credentials| !credentials.bytes().all(|b| b.is_ascii_graphic() && b != b'@'))
    {
        return Err(format!(
            "{shown} has a character in its user name or password that must be percent-encoded: @ is %40, a space is %20"
        ));
    }
    if !text.contains("://") && !host_and_port.contains(':') {
        return Err(format!("{shown} has no port: write http://host:port"));
    }
    check_authority(host_and_port).map_err(|reason| format!("{shown}: {reason}"))?;
    // After the host's own brackets; http and https have ports of their own that the connection knows.
    let has_port = host_and_port
        .rsplit(']')
        .next()
        .is_some_and(|end| end.contains(':'));
    if scheme.starts_with("socks") && !has_port {
        return Err(format!("{shown} has no port: write {scheme}://host:1080"));
    }
    let credentials = credentials.map(|c| format!("{c}@")).unwrap_or_default();
    Ok(format!("{scheme}://{credentials}{host_and_port}"))
}

/// A proxy's URL as messages may show it: all before the last `@` but the scheme is `***`.
#[must_use]
pub fn without_password(url: &str) -> String {
    let Some(at) = url.rfind('@') else {
        return url.to_owned();
    };
    let scheme = match url[..at].split_once("://") {
        // What has a colon in it is no scheme but a user and the beginning of a password.
        Some((scheme, _)) if !scheme.contains(':') => &url[..scheme.len() + "://".len()],
        _ => "",
    };
    format!("{scheme}***{}", &url[at..])
}

fn known_scheme(scheme: &str, known: &[&'static str]) -> Option<&'static str> {
    known
        .iter()
        .copied()
        .find(|known| known.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_keep_their_path_and_lose_the_slash_at_the_end() {
        for (text, url) in [
            ("http://127.0.0.1:18080", "http://127.0.0.1:18080"),
            (
                "https://xray.eu-west-1.amazonaws.com/",
                "https://xray.eu-west-1.amazonaws.com",
            ),
            (
                "http://localhost:5000/base/path//",
                "http://localhost:5000/base/path",
            ),
            ("HTTPS://Example.com", "https://Example.com"),
            ("http://[::1]:80/x", "http://[::1]:80/x"),
            ("http://[::1]", "http://[::1]"),
            ("http://my_container:1/a%20b", "http://my_container:1/a%20b"),
        ] {
            assert_eq!(endpoint(text).as_deref(), Ok(url));
        }
    }

    #[test]
    fn wrong_endpoints_are_answered_with_how_to_write_them() {
        for (text, reason) in [
            (
                "localhost",
                r#""localhost" has no scheme: write https://localhost or http://localhost"#,
            ),
            (
                "127.0.0.1:1234",
                r#""127.0.0.1:1234" has no scheme: write https://127.0.0.1:1234 or http://127.0.0.1:1234"#,
            ),
            ("ftp://x", r#""ftp://x" is not an http:// or https:// URL"#),
            ("http://", r#""http://": "" is not a host name"#),
            ("http://:80", r#""http://:80": "" is not a host name"#),
            ("http://x:0", r#""http://x:0": a port is 1 to 65535"#),
            (
                "http://x:99999",
                r#""http://x:99999": "99999" is not a port: 0 to 65535"#,
            ),
            (
                "http://u:secret@x/",
                r#""http://***@x/" has a user name in it: requests are signed, leave it out"#,
            ),
            (
                "http://x/?a",
                r#""http://x/?a" has a query or a fragment: only a path may follow the host"#,
            ),
            (
                "http://x/a b",
                r#""http://x/a b" has a path with characters that no URL has"#,
            ),
            ("http://a b/", r#""http://a b/": "a b" is not a host name"#),
        ] {
            assert_eq!(endpoint(text), Err(reason.to_owned()));
        }
    }

    #[test]
    fn the_base_of_an_otlp_endpoint_has_no_password_and_not_what_is_appended() {
        for (text, url) in [
            ("https://api.honeycomb.io", "https://api.honeycomb.io"),
            ("http://collector:4318/", "http://collector:4318"),
            ("https://x.example/otlp/v1", "https://x.example/otlp/v1"),
        ] {
            assert_eq!(otlp_endpoint(text).as_deref(), Ok(url));
        }
        for (text, reason) in [
            (
                "https://u:secret@x",
                r#""https://***@x" has a user name in it: send it as a header, authorization, in OTEL_EXPORTER_OTLP_HEADERS"#,
            ),
            (
                "https://x/otlp/v1/traces/",
                r#""https://x/otlp/v1/traces/" ends in /v1/traces, which is appended to it: write https://x/otlp"#,
            ),
            (
                "collector:4318",
                r#""collector:4318" has no scheme: write https://collector:4318 or http://collector:4318"#,
            ),
        ] {
            assert_eq!(otlp_endpoint(text), Err(reason.to_owned()));
        }
    }

    #[test]
    fn origins_are_as_browsers_send_them() {
        for (text, taken) in [
            ("https://App.example.com", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://a.example:443", "https://a.example"),
            ("HTTP://a.example:80", "http://a.example"),
            ("http://a.example:443", "http://a.example:443"),
        ] {
            assert_eq!(origin(text).as_deref(), Ok(taken));
        }
        for wrong in [
            "*",
            "",
            "null",
            "a.example",
            "https://a.example/",
            "https://*.example",
            "ftp://a",
        ] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn proxies_may_have_a_password_and_need_no_scheme() {
        for (text, url) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("https://proxy.example.com", "https://proxy.example.com"),
            ("proxy:3128", "http://proxy:3128"),
            ("127.0.0.1:3128", "http://127.0.0.1:3128"),
            ("http://u:p%40ss@proxy:3128/", "http://u:p%40ss@proxy:3128"),
            ("u:p@proxy:3128", "http://u:p@proxy:3128"),
            ("http://[::1]:3128/path?x", "http://[::1]:3128"),
            ("socks5h://u:p@proxy:1080", "socks5h://u:p@proxy:1080"),
            ("SOCKS5://[::1]:1080", "socks5://[::1]:1080"),
        ] {
            assert_eq!(proxy(text).as_deref(), Ok(url));
        }
    }

    #[test]
    fn no_message_about_a_proxy_shows_its_password() {
        for text in [
            "http://u:secret@a b:1",
            "http://u:secret@",
            "http://u:secret/x@proxy:1",
            "http://u:secret#x@proxy:1",
            "http://u:my secret@proxy:1",
            "http://u:secret@x@proxy:1",
            "u:secret@proxy",
            "u:secret://x@proxy:1",
            "socks5://u:secret@proxy",
            "socks5://u:secret@[::1]",
            "socks4://u:secret@proxy:1",
            "secret@://proxy",
        ] {
            let reason = proxy(text).expect_err(text);
            assert!(!reason.contains("secret"), "{reason}");
        }
    }
}
