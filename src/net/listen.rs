//! Addresses to listen on, for both ports: what they mean, and why one can't be had.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Sourced;

/// Connections that the kernel keeps until they are accepted: a fleet of SDKs that connects at one moment. The kernel
/// grants at most `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// What the kernel keeps of a connection over TCP until it is read; Linux doubles it, for its own bookkeeping. Control groups
/// count it as the process's: left to itself it grows to megabytes for each client that posts large bodies, whether there is
/// room for those or not. Over a way of 1 ms it lets 64 MB/s through.
const TCP_RECEIVE_BYTES: usize = 64 << 10;

/// Which port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// For segments, `-b`.
    Udp,
    /// For sampling calls and the rest, `-t`.
    Tcp,
    /// For OTLP, `--otlp-listen`: over TCP too.
    Otlp,
}

impl Port {
    const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp | Self::Otlp => "TCP",
        }
    }

    const fn flag(self) -> &'static str {
        match self {
            Self::Udp => "-b",
            Self::Tcp => "-t",
            Self::Otlp => "--otlp-listen",
        }
    }

    /// Who else has such a port, mostly.
    const fn others(self) -> &'static str {
        match self {
            Self::Udp | Self::Tcp => "another X-Ray daemon or agent",
            Self::Otlp => "an OpenTelemetry Collector or another agent",
        }
    }

    /// The option of `ss` that lists sockets of this kind.
    const fn of_ss(self) -> char {
        match self {
            Self::Udp => 'u',
            Self::Tcp | Self::Otlp => 't',
        }
    }
}

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
pub struct BindError {
    port: Port,
    address: Sourced<String>,
    error: io::Error,
}

impl BindError {
    /// Whether somebody else has it.
    pub(crate) fn is_in_use(&self) -> bool {
        self.error.kind() == io::ErrorKind::AddrInUse
    }

    /// The address, and where it was set.
    pub(crate) fn address(&self) -> &Sourced<String> {
        &self.address
    }

    /// What the system said.
    pub(crate) fn reason(&self) -> &io::Error {
        &self.error
    }

    /// What is wrong and which address would do, for programs that can't do without the port.
    pub(crate) fn without_alternative(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sourced { value, source } = &self.address;
        let (name, flag) = (self.port.name(), self.port.flag());
        write!(f, "Cannot listen on {name} {value} ({source}): {}; ", self.error)?;
        let number = value.rsplit(':').next().unwrap_or_default();
        match self.error.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "is {} running? `ss -l{}np 'sport = :{number}'` shows who has the port; {flag} chooses another one",
                self.port.others(),
                self.port.of_ss()
            ),
            io::ErrorKind::PermissionDenied => {
                write!(f, "ports below 1024 need a privilege; {flag} chooses another one")
            }
            io::ErrorKind::AddrNotAvailable => {
                write!(
                    f,
                    "this host does not have that address; {flag} 0.0.0.0:{number} listens on all it has"
                )
            }
            _ => write!(
                f,
                "{flag} takes an address of this host and a port, such as 127.0.0.1:2000"
            ),
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.without_alternative(f)?;
        match self.port {
            Port::Udp | Port::Otlp => Ok(()),
            Port::Tcp => write!(f, ", and --no-tcp runs without sampling, health and metrics"),
        }
    }
}

/// Listens on TCP at `address`, in the forms of [`udp::bind`](crate::receivers::udp::bind); the listener is non-blocking.
///
/// # Errors
/// [`BindError`] when the name is unknown or the address can't be had.
pub fn tcp(address: &Sourced<String>) -> Result<TcpListener, BindError> {
    stream(Port::Tcp, address)
}

/// The same for OTLP: an error names the flag for that.
///
/// # Errors
/// [`BindError`] when the name is unknown or the address can't be had.
pub fn otlp(address: &Sourced<String>) -> Result<TcpListener, BindError> {
    stream(Port::Otlp, address)
}

fn stream(port: Port, address: &Sourced<String>) -> Result<TcpListener, BindError> {
    bind(port, address, |socket, address| {
        // A daemon that starts again must not wait for the connections of its predecessor to be forgotten. (On Windows
        // the option means something else.)
        if cfg!(unix) {
            socket.set_reuse_address(true)?;
        }
        // Before it listens: connections inherit it, and their windows are made for it.
        socket.set_recv_buffer_size(TCP_RECEIVE_BYTES)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)
    })
    .map(TcpListener::from)
}

/// Opens a non-blocking socket at `address`: IPv4, `[IPv6]:port`, a host name (its first IPv4 address,
/// or else its first), port 0 for a free one. The unspecified addresses `0.0.0.0` and `[::]` are reachable over both IP versions where the host has both.
/// `open` binds the new socket.
pub(crate) fn bind(
    port: Port,
    address: &Sourced<String>,
    open: impl Fn(&Socket, SocketAddr) -> io::Result<()>,
) -> Result<Socket, BindError> {
    bind_first(port, &address.value, open).map_err(|error| BindError {
        port,
        address: address.clone(),
        error,
    })
}

fn bind_first(
    port: Port,
    address: &str,
    open: impl Fn(&Socket, SocketAddr) -> io::Result<()>,
) -> io::Result<Socket> {
    let resolved = resolve(address)?;
    let socket = |address: SocketAddr, dual_stack: bool| {
        let (kind, protocol) = match port {
            Port::Udp => (Type::DGRAM, Protocol::UDP),
            Port::Tcp | Port::Otlp => (Type::STREAM, Protocol::TCP),
        };
        let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
        if dual_stack {
            socket.set_only_v6(false)?;
        }
        open(&socket, address)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    if !resolved.ip().is_unspecified() {
        return socket(resolved, false);
    }
    match socket(SocketAddr::from((Ipv6Addr::UNSPECIFIED, resolved.port())), true) {
        // A host without IPv6.
        Err(error) if error.kind() != io::ErrorKind::AddrInUse && resolved.is_ipv4() => {
            socket(SocketAddr::from((Ipv4Addr::UNSPECIFIED, resolved.port())), false)
        }
        other => other,
    }
}

/// The first IPv4 address of `host:port`, or else its first one: SDKs send to 127.0.0.1 and know `localhost` by IPv4,
/// also where the hosts file names `::1` first. Without a host it is every address, without a port a free one. All as
/// in Go.
///
/// # Errors
/// When a name is unknown.
pub fn resolve(address: &str) -> io::Result<SocketAddr> {
    let host = if address.starts_with(':') { "0.0.0.0" } else { "" };
    let port = if address.ends_with(':') { "0" } else { "" };
    let resolved = preferred(format!("{host}{address}{port}").to_socket_addrs()?);
    resolved.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

/// The first IPv4 one, or else the first one; `None` of none.
pub(crate) fn preferred(addresses: impl Iterator<Item = SocketAddr>) -> Option<SocketAddr> {
    let addresses: Vec<SocketAddr> = addresses.collect();
    let ipv4 = addresses.iter().find(|address| address.is_ipv4());
    ipv4.or(addresses.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Sourced<String> {
        Sourced {
            value: address.to_owned(),
            source: "flag -t".to_owned(),
        }
    }

    #[test]
    fn addresses_without_host_or_port_mean_what_they_mean_in_go() {
        for (address, resolved) in [
            ("127.0.0.1:2000", "127.0.0.1:2000"),
            ("[::1]:2000", "[::1]:2000"),
            (":2000", "0.0.0.0:2000"),
            ("127.0.0.1:", "127.0.0.1:0"),
            (":", "0.0.0.0:0"),
        ] {
            assert_eq!(resolve(address).unwrap().to_string(), resolved, "{address}");
        }
    }

    #[test]
    fn of_a_name_with_both_kinds_of_addresses_the_first_ipv4_one_counts() {
        for (addresses, counts) in [
            (
                &["[::1]:2000", "127.0.0.1:2000", "10.0.0.1:2000"][..],
                Some("127.0.0.1:2000"),
            ),
            (&["[::1]:2000", "[::2]:2000"], Some("[::1]:2000")),
            (&[], None),
        ] {
            let addresses = addresses.iter().map(|address| address.parse().unwrap());
            let counts = counts.map(|address| address.parse().unwrap());
            assert_eq!(preferred(addresses), counts);
        }
    }

    #[test]
    fn the_unspecified_address_is_reachable_over_both_ip_versions() {
        let listener = tcp(&at("0.0.0.0:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        // Where the machine has IPv6 at all.
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            std::net::TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[test]
    fn a_tcp_port_in_use_says_who_may_have_it_and_how_to_do_without() {
        let first = tcp(&at("127.0.0.1:0")).unwrap();
        let address = first.local_addr().unwrap();
        let error = tcp(&at(&address.to_string())).unwrap_err().to_string();
        let port = address.port();
        assert!(
            error.starts_with(&format!("Cannot listen on TCP 127.0.0.1:{port} (flag -t): ")),
            "{error}"
        );
        for words in [&format!("ss -ltnp 'sport = :{port}'"), "-t chooses", "--no-tcp"] {
            assert!(error.contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn an_address_for_otlp_in_use_names_its_own_flag() {
        let first = otlp(&at("127.0.0.1:0")).unwrap();
        let address = first.local_addr().unwrap();
        let error = otlp(&at(&address.to_string())).unwrap_err().to_string();
        for words in ["OpenTelemetry Collector", "ss -ltnp", "--otlp-listen chooses"] {
            assert!(error.contains(words), "{words}: {error}");
        }
        for words in ["-t chooses", "--no-tcp"] {
            assert!(!error.contains(words), "{words}: {error}");
        }
    }
}
