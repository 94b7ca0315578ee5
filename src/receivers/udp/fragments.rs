//! What the network lost of datagrams that were sent in several packets: losses before our socket, which neither a read
//! nor its drop count ever sees.
//!
//! A segment longer than a packet (1,500 bytes on most networks) is cut into fragments, and one lost fragment loses all
//! of it. Linux counts what it could not put together per network namespace, whoever it was for: `ReasmFails` of IPv4 in
//! `/proc/net/snmp`, `Ip6ReasmFails` in `/proc/net/snmp6`. Other systems do not tell.

use std::path::Path;

use crate::config::Files;

/// Names and numbers, a line of each for every protocol.
const IPV4_TABLE: &str = "/proc/net/snmp";

/// A name and its number on each line.
const IPV6_TABLE: &str = "/proc/net/snmp6";

/// The count of this network namespace since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostInFragments {
    at_start: u64,
}

impl LostInFragments {
    /// From now on; `None` where the system does not tell.
    #[must_use]
    pub fn from_now(files: &dyn Files) -> Option<Self> {
        failures(files).map(|at_start| Self { at_start })
    }

    /// Datagrams that could not be put together since the start.
    #[must_use]
    pub fn read(&self, files: &dyn Files) -> u64 {
        failures(files).unwrap_or_default().saturating_sub(self.at_start)
    }
}

/// Of both IP versions; a system without IPv6 has the first table only.
fn failures(files: &dyn Files) -> Option<u64> {
    let read = |table: &str| {
        let bytes = files.read(Path::new(table)).ok()?;
        String::from_utf8(bytes).ok()
    };
    let ipv4 = read(IPV4_TABLE).and_then(|table| ipv4_failures(&table));
    let ipv6 = read(IPV6_TABLE).and_then(|table| ipv6_failures(&table));
    match (ipv4, ipv6) {
        (None, None) => None,
        (ipv4, ipv6) => Some(ipv4.unwrap_or_default() + ipv6.unwrap_or_default()),
    }
}

fn ipv4_failures(table: &str) -> Option<u64> {
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let field = names.split(' ').position(|name| name == "ReasmFails")?;
    numbers.split(' ').nth(field)?.parse().ok()
}

fn ipv6_failures(table: &str) -> Option<u64> {
    table
        .lines()
        .find_map(|line| line.strip_prefix("Ip6ReasmFails"))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;

    use super::*;

    struct Tables {
        ipv4: Option<Cell<u64>>,
        ipv6: Option<u64>,
    }

    impl Files for Tables {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            let text = match path.to_str() {
                Some("/proc/net/snmp") => self.ipv4.as_ref().map(|count| {
                    format!(
                        "Ip: Forwarding ReasmReqds ReasmOKs ReasmFails FragOKs\nIp: 1 99 98 {} 97\nUdp: ReasmFails\n\
                         Udp: 7\n",
                        count.get()
                    )
                }),
                Some("/proc/net/snmp6") => self.ipv6.map(|count| {
                    format!("Ip6ReasmTimeout                 \t5\nIp6ReasmFails                   \t{count}\n")
                }),
                _ => panic!("{path:?} is read"),
            };
            text.map(String::into_bytes)
                .ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    #[test]
    fn what_was_lost_since_the_start_is_counted_over_both_ip_versions() {
        let ipv4 = || Some(Cell::new(100));
        for (ipv6, at_start) in [(Some(20), 120), (None, 100)] {
            let tables = Tables { ipv4: ipv4(), ipv6 };
            let lost = LostInFragments::from_now(&tables).unwrap();
            assert_eq!(lost, LostInFragments { at_start });
            assert_eq!(lost.read(&tables), 0);
            tables.ipv4.as_ref().unwrap().set(103);
            assert_eq!(lost.read(&tables), 3);
            tables.ipv4.as_ref().unwrap().set(0);
            assert_eq!(lost.read(&tables), 0, "counters that began anew are no loss");
        }
        let only_ipv6 = Tables {
            ipv4: None,
            ipv6: Some(4),
        };
        assert_eq!(
            LostInFragments::from_now(&only_ipv6),
            Some(LostInFragments { at_start: 4 })
        );
    }

    #[test]
    fn where_the_system_does_not_tell_the_count_is_unknown_and_not_0() {
        let nothing = Tables {
            ipv4: None,
            ipv6: None,
        };
        assert_eq!(LostInFragments::from_now(&nothing), None);
        for table in [
            "",
            "Ip: a b\nIp: 1 2\n",
            "Ip: ReasmFails\n",
            "Ip: ReasmFails\nIp: x\n",
        ] {
            assert_eq!(ipv4_failures(table), None, "{table:?}");
        }
    }

    // By files in /proc.
    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells() {
        assert!(LostInFragments::from_now(&crate::config::SystemFiles).is_some());
    }
}
