//! Whether a URL leads to a port of this very process, as far as that shows without a name server: by an address of one of this
//! machine's interfaces, or by the machine's own name.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

use http::Uri;

use crate::config::Files;

/// The one of `listeners` that a request to `url` comes to.
#[must_use]
pub fn reached<'l>(url: &str, listeners: &'l [SocketAddr], files: &dyn Files) -> Option<&'l SocketAddr> {
    let name = files.read(Path::new("/proc/sys/kernel/hostname"));
    let name = name.unwrap_or_default();
    find(url, listeners, String::from_utf8_lossy(&name).trim(), is_here)
}

fn find<'l>(
    url: &str,
    listeners: &'l [SocketAddr],
    own_name: &str,
    is_here: impl Fn(IpAddr) -> bool,
) -> Option<&'l SocketAddr> {
    let uri: Uri = url.parse().ok()?;
    let default_port = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let port = uri.port_u16().unwrap_or(default_port);
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = host.parse().ok().map(|address: IpAddr| address.to_canonical());
    let is_own_name = !own_name.is_empty() && host.trim_end_matches('.').eq_ignore_ascii_case(own_name);
    listeners
        .iter()
        .filter(|listener| listener.port() == port)
        .find(|listener| {
            let ip = listener.ip().to_canonical();
            if ip.is_unspecified() {
                is_own_name || address.is_some_and(&is_here)
            } else {
                address == Some(ip)
            }
        })
}

/// Only an address of this machine can be bound. The socket is gone at once, and sends nothing.
fn is_here(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_or_the_name_of_the_machine_leads_here_where_every_address_is_listened_on() {
        let here: IpAddr = "10.0.0.5".parse().unwrap();
        for (url, listener, is_reached) in [
            ("http://10.0.0.5:4318", "0.0.0.0:4318", true),
            ("http://10.0.0.5:4318/x", "[::]:4318", true),
            ("http://[::ffff:10.0.0.5]:4318", "[::]:4318", true),
            ("http://10.0.0.5:4318", "10.0.0.5:4318", true),
            ("http://Web-1:4318", "0.0.0.0:4318", true),
            ("http://web-1.:4318", "0.0.0.0:4318", true),
            ("http://10.0.0.5", "0.0.0.0:80", true),
            ("https://10.0.0.5", "0.0.0.0:443", true),
            ("http://10.0.0.6:4318", "0.0.0.0:4318", false),
            ("http://10.0.0.5:4317", "0.0.0.0:4318", false),
            ("http://10.0.0.5:4318", "127.0.0.1:4318", false),
            ("http://web-1:4318", "127.0.0.1:4318", false),
            ("http://web-1.example.com:4318", "0.0.0.0:4318", false),
            ("http://collector:4318", "0.0.0.0:4318", false),
        ] {
            let listeners = [listener.parse().unwrap()];
            let found = find(url, &listeners, "web-1", |address| address == here);
            assert_eq!(found.is_some(), is_reached, "{url} {listener}");
        }
        let listeners = ["0.0.0.0:4318".parse().unwrap()];
        assert_eq!(find("http://:4318", &listeners, "", |_| false), None);
    }

    #[test]
    fn what_can_be_bound_is_here() {
        assert!(is_here("127.0.0.1".parse().unwrap()));
        // Of the block for documentation, which no interface has.
        assert!(!is_here("192.0.2.1".parse().unwrap()));
    }
}
