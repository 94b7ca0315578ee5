//! The daemon that runs: whether it is there, how it is, and whether a datagram reaches it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::holder::{self, Process};
use super::ports::Found;
use super::report::Verdict;
use crate::api::healthcheck;
use crate::config::Config;
use crate::logs::sanitize;

/// The limit of one question to it; it answers in milliseconds.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// How long a datagram may take until it is counted: it waits behind what the kernel holds.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(2);

/// How often the counter is looked at.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// A header with nothing behind it: counted as rejected, and never sent to X-Ray. SDKs send none such.
const NO_SEGMENT: &[u8] = b"{\"format\":\"json\",\"version\":1}\n";

/// What counts those, by its name and by the label that tells them from others.
const COUNTER: (&str, &str) = ("xray_segments_rejected_total{", "reason=\"missing_segment\"");

/// The metrics of the daemon that answers on the TCP address of `config`; `None` if what is there is none of this kind.
pub(super) fn metrics(config: &Config) -> Option<String> {
    let (status, page) = healthcheck::get(&config.tcp.address.value, "/metrics", ASK_LIMIT).ok()?;
    (status == 200 && page.contains("xray_build_info{")).then_some(page)
}

/// Whether a daemon runs, and how it is. `metrics` is what it answered.
pub(super) fn verdict(config: &Config, udp: &Found, tcp: Option<&Found>, metrics: Option<&str>) -> Verdict {
    const CHECK: &str = "daemon";
    if let Some(page) = metrics {
        let version = version(page);
        return match healthcheck::ask(config, true) {
            Ok(_) => Verdict::ok(CHECK, format!("version {version} runs, and is ready")),
            Err(line) => Verdict::fail(
                CHECK,
                format!("version {version} runs, and is {line}"),
                "the checks below say what is in its way",
            ),
        };
    }
    if udp.is_ours() {
        return match config.tcp.closed {
            true => Verdict::ok(CHECK, "it runs, and has no TCP port (--no-tcp) to be asked on"),
            false if tcp.is_some_and(Found::is_ours) => Verdict::fail(
                CHECK,
                format!(
                    "it has both addresses, and does not answer on TCP {}: it hangs, is stopped, or gets no CPU",
                    config.tcp.address.value
                ),
                "see its log and what CPU it may use; start it anew",
            ),
            false => Verdict::warn(
                CHECK,
                format!(
                    "it has the UDP address, and does not answer on TCP {}",
                    config.tcp.address.value
                ),
                "give the same -t here as it has; its log says whether it could have the address",
            ),
        };
    }
    if udp.is_in_use() || tcp.is_some_and(Found::is_in_use) {
        return Verdict::warn(
            CHECK,
            "no daemon of this kind has these addresses",
            "stop who has them, and start this one",
        );
    }
    let none = "no daemon runs at these addresses: segments that are sent there are lost";
    match holder::another_of_ours() {
        None => Verdict::warn(CHECK, none, "start it"),
        Some(Process { id, name, .. }) => Verdict::warn(
            CHECK,
            format!("{none}; process {id} ({name}) runs with other settings"),
            format!("give doctor the flags of that one, as in `tr '\\0' ' ' < /proc/{id}/cmdline`"),
        ),
    }
}

fn version(page: &str) -> String {
    let version = page
        .split_once("xray_build_info{version=\"")
        .and_then(|(_, rest)| rest.split('"').next());
    sanitize(version.unwrap_or("unknown"), 40)
}

/// Whether a datagram reaches the daemon, by its own count.
#[expect(
    clippy::disallowed_methods,
    reason = "waits for what a daemon counts, for two seconds"
)]
pub(super) fn datagram(config: &Config, udp: &Found, metrics: Option<&str>) -> Verdict {
    const CHECK: &str = "datagram";
    let (Some(before), Some(to)) = (metrics.and_then(counted), udp.resolved) else {
        return Verdict::skip(CHECK, "there is no daemon of this kind whose counters would tell");
    };
    let to = on_this_machine(to);
    if let Err(error) = send(to) {
        return Verdict::fail(
            CHECK,
            format!("a datagram to UDP {to} was refused: {error}"),
            "nothing receives there: give the -b that the daemon has, and see its log",
        );
    }
    let deadline = Instant::now() + ARRIVAL_LIMIT;
    loop {
        let page = self::metrics(config);
        if page
            .and_then(|page| counted(&page))
            .is_some_and(|now| now > before)
        {
            return Verdict::ok(
                CHECK,
                format!("one to UDP {to} arrived, by the daemon's own count"),
            );
        }
        if Instant::now() >= deadline {
            return Verdict::fail(
                CHECK,
                format!(
                    "one to UDP {to} did not arrive within {} s",
                    ARRIVAL_LIMIT.as_secs()
                ),
                "another process receives there, or a packet filter is in between: compare -b and -t with the daemon's \
                 log, look at nft and iptables",
            );
        }
        thread::sleep(LOOK_PAUSE);
    }
}

/// Sends; an error also when the system says at once that nobody listens.
fn send(to: SocketAddr) -> io::Result<()> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    socket.send(NO_SEGMENT)?;
    // The refusal is there by now on the same machine; there is never an answer.
    socket.set_nonblocking(true)?;
    match socket.recv(&mut [0; 1]) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(error),
        _ => Ok(()),
    }
}

fn on_this_machine(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let ip: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// How many datagrams without a segment a page of metrics has, however it is told by receiver: a daemon that takes OTLP has
/// more labels. `None` where nothing counts them.
fn counted(page: &str) -> Option<u64> {
    let (name, label) = COUNTER;
    page.lines()
        .filter(|line| line.starts_with(name) && line.contains(label) && !line.contains("receiver=\"http\""))
        .map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .reduce(|sum, count| Some(sum?.saturating_add(count?)))?
}

/// The value of a sample of a page of metrics.
fn sample(page: &str, name: &str) -> Option<u64> {
    let value = page.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().parse().ok()
}

/// What the kernel dropped at the UDP address, by the daemon's count or by the system's.
pub(super) fn kernel_drops(udp: &Found, metrics: Option<&str>) -> Verdict {
    const CHECK: &str = "kernel-drops";
    let counted = metrics.and_then(|page| sample(page, "xray_udp_kernel_drops_total "));
    let drops = counted.or(udp.holder().map(|holder| holder.kernel_drops));
    match drops {
        None => Verdict::skip(
            CHECK,
            "nothing receives there whose losses the system would count",
        ),
        Some(0) => Verdict::ok(
            CHECK,
            "the kernel dropped no datagram of the socket that is open there",
        ),
        Some(drops) => Verdict::warn(
            CHECK,
            format!(
                "the kernel dropped {drops} datagrams of that socket: they came faster than they were read"
            ),
            "give bursts more room: `sysctl -w net.core.rmem_max=8388608` on the host, then start the daemon anew; give \
             it more CPU",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::holder::Holder;
    use super::super::ports::State;
    use super::super::report::Level;
    use super::*;

    const PAGE: &str = "# HELP x y\nxray_build_info{version=\"0.1.0\"} 1\nxray_udp_kernel_drops_total 3\n\
                        xray_segments_rejected_total{reason=\"missing_segment\"} 41\n";

    #[test]
    fn a_sample_is_the_line_of_its_name_and_labels() {
        assert_eq!(counted(PAGE), Some(41));
        let with_otlp = "xray_segments_rejected_total{receiver=\"udp\",signal=\"segments\",reason=\"missing_header\"} 1\n\
                         xray_segments_rejected_total{receiver=\"udp\",signal=\"segments\",reason=\"missing_segment\"} 2\n\
                         xray_segments_rejected_total{receiver=\"http\",signal=\"segments\",reason=\"missing_segment\"} 4\n";
        assert_eq!(counted(with_otlp), Some(2));
        assert_eq!(counted("xray_build_info{version=\"0.1.0\"} 1\n"), None);
        assert_eq!(sample(PAGE, "xray_segments_pending"), None);
        assert_eq!(version(PAGE), "0.1.0");
        assert_eq!(version("x"), "unknown");
    }

    fn held(kernel_drops: u64) -> Found {
        Found {
            resolved: None,
            state: State::InUse(Some(Holder {
                user: 0,
                kernel_drops,
                process: None,
            })),
        }
    }

    #[test]
    fn what_the_kernel_dropped_is_told_by_the_daemon_or_else_by_the_system() {
        let free = Found {
            resolved: None,
            state: State::Free,
        };
        assert_eq!(kernel_drops(&free, None).level, Level::Skip);
        assert_eq!(kernel_drops(&held(0), None).level, Level::Ok);
        let dropped = kernel_drops(&held(2), None);
        assert_eq!(dropped.level, Level::Warn);
        assert!(
            dropped.message.starts_with("the kernel dropped 2 datagrams"),
            "{dropped:?}"
        );
        assert!(kernel_drops(&held(2), Some(PAGE)).message.contains(" 3 "));
    }

    #[test]
    fn an_address_that_nobody_receives_at_refuses_the_datagram() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        send(address).unwrap();
        drop(socket);
        let udp = Found {
            resolved: Some(address),
            state: State::Free,
        };
        let config = crate::config::load(
            &crate::config::Flags::default(),
            &crate::config::Environment::default(),
            &crate::config::SystemFiles,
        );
        let verdict = datagram(&config.unwrap(), &udp, Some(PAGE));
        assert_eq!(verdict.level, Level::Fail);
        assert!(verdict.message.contains("was refused"), "{verdict:?}");
    }
}
