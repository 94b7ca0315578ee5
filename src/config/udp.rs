//! The UDP port.

use super::file::FileSettings;
use super::{Files, Flags, Report, Sourced, address};

/// Where datagrams are received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpConfig {
    /// `-b`, `Socket.UDPAddress`; `host:port` as written: a name, an IPv4 address, an IPv6 address in brackets or
    /// nothing (every address), and a port, where 0 or nothing lets the system choose and a name has become its number. Default `127.0.0.1:2000`.
    pub address: Sourced<String>,
}

impl UdpConfig {
    pub(super) fn of(flags: &Flags, file: &FileSettings, files: &dyn Files, report: &mut Report) -> Self {
        Self {
            address: address::listen("udp", &flags.udp_address, &file.udp_address, files, report),
        }
    }
}
