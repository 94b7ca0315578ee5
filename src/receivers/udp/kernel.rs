//! What the kernel dropped on our socket because its receive buffer was full: losses that no read ever sees.
//!
//! Linux counts them per socket in the last column of `/proc/net/udp` and `/proc/net/udp6`; the socket is found by its
//! inode. (The same number comes by `SO_MEMINFO`, which no safe wrapper offers.) Other systems do not tell: there the
//! count is unknown, not 0.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::config::Files;

/// The tables of UDP sockets, in the order in which they are searched: a dual-stack socket is in the second.
const TABLES: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];

const INODE_FIELD: usize = 9;
const DROPS_FIELD: usize = 12;

/// The drop count of one socket.
#[derive(Debug)]
pub struct KernelDrops {
    inode: String,
    table: PathBuf,
    seen: AtomicU64,
}

impl KernelDrops {
    /// Of the socket whose inode is `inode`; `None` where the system has no such table or does not list it.
    #[must_use]
    pub fn of_inode(inode: &str, files: &dyn Files) -> Option<Self> {
        TABLES.iter().find_map(|table| {
            let seen = drops_of(inode, &files.read(Path::new(table)).ok()?)?;
            Some(Self {
                inode: inode.to_owned(),
                table: PathBuf::from(table),
                seen: AtomicU64::new(seen),
            })
        })
    }

    /// Of an open socket of this process.
    #[must_use]
    pub fn of_socket(socket: &std::net::UdpSocket, files: &dyn Files) -> Option<Self> {
        Self::of_inode(&inode(socket)?, files)
    }

    /// Datagrams dropped since the socket was opened; once it is closed, what was last read.
    pub fn read(&self, files: &dyn Files) -> u64 {
        if let Some(drops) = files
            .read(&self.table)
            .ok()
            .and_then(|table| drops_of(&self.inode, &table))
        {
            self.seen.store(drops, Relaxed);
        }
        self.seen.load(Relaxed)
    }
}

#[cfg_attr(not(target_os = "linux"), expect(unused_variables))]
fn inode(socket: &std::net::UdpSocket) -> Option<String> {
    // Its table of sockets is the only one that counts what was dropped.
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;

        let link =
            std::fs::read_link(Path::new("/proc/self/fd").join(socket.as_raw_fd().to_string())).ok()?;
        let name = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(name.to_owned())
    }
    // Elsewhere there is no table to look into.
    #[cfg(not(target_os = "linux"))]
    None
}

fn drops_of(inode: &str, table: &[u8]) -> Option<u64> {
    let table = std::str::from_utf8(table).ok()?;
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        if fields.nth(INODE_FIELD)? != inode {
            return None;
        }
        fields.nth(DROPS_FIELD - INODE_FIELD - 1)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  341: 0100007F:07D0 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 34567 2 0000000000000000 1234
  342: 0100007F:07D1 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 3456 2 0000000000000000 5
";

    #[test]
    fn the_count_is_the_one_of_the_sockets_own_line() {
        assert_eq!(drops_of("34567", TABLE), Some(1234));
        assert_eq!(drops_of("3456", TABLE), Some(5));
        assert_eq!(drops_of("456", TABLE), None);
        assert_eq!(drops_of("34567", b"\xff"), None);
        assert_eq!(drops_of("x", b"head\nshort line\n"), None);
    }

    // As above: the only kernel that tells.
    #[cfg(target_os = "linux")]
    #[test]
    fn datagrams_that_a_full_socket_could_not_take_are_counted() {
        use crate::config::SystemFiles;

        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let drops = KernelDrops::of_socket(&socket, &SystemFiles).unwrap();
        assert_eq!(drops.read(&SystemFiles), 0);
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..2000 {
            sender.send_to(&[0; 8000], socket.local_addr().unwrap()).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 9000];
        let taken = std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count() as u64;
        assert_eq!(drops.read(&SystemFiles), 2000 - taken);
        drop(socket);
        assert_eq!(drops.read(&SystemFiles), 2000 - taken, "remembered after the end");
    }
}
