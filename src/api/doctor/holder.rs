//! Who has an address: the system's tables of sockets, and the processes that have them open. Linux only: other systems
//! tell nobody without asking for more rights.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::logs::sanitize;
use crate::net::listen::Port;

/// The most that is read of a table: some 400,000 sockets.
const TABLE_MAX_BYTES: u64 = 64 << 20;

/// How much of a program is looked at for Go's mark, which stands at its beginning.
const PROGRAM_HEAD_BYTES: u64 = 16 << 10;

/// The longest name of a program that is shown, in characters.
const SHOWN_NAME_MAX_CHARS: usize = 120;

/// A socket, as the system lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    local: SocketAddr,
    state: String,
    user: u32,
    inode: u64,
    /// Datagrams that were dropped unread; 0 for TCP.
    drops: u64,
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    /// The number of the user it belongs to.
    pub(super) user: u32,
    /// Datagrams that the kernel dropped there unread.
    pub(super) kernel_drops: u64,
    /// The process, where this user may see it.
    pub(super) process: Option<Process>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: u32,
    /// Its program, or the name it has; fit for a line.
    pub(super) name: String,
    pub(super) program: Program,
}

/// What a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// This program, or another build of it.
    Ours,
    /// The official daemon.
    Official,
    /// An agent that can take segments too: CloudWatch's, or a Collector.
    Agent,
    /// Another one.
    Other,
}

/// Who has `address`; `None` where nobody seems to, or the system does not tell.
pub(super) fn of(port: Port, address: SocketAddr) -> Option<Holder> {
    let tables = match port {
        Port::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Port::Tcp | Port::Otlp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let rows = tables.iter().flat_map(|table| rows(Path::new(table)));
    let listening = |row: &Row| port == Port::Udp || row.state == "0A";
    let row = rows
        .filter(listening)
        .find(|row| is_in_the_way(row.local, address))?;
    Some(Holder {
        user: row.user,
        kernel_drops: row.drops,
        process: process_with(row.inode),
    })
}

/// Whether who has `held` keeps others from `wanted`.
fn is_in_the_way(held: SocketAddr, wanted: SocketAddr) -> bool {
    let (of_held, of_wanted) = (held.ip().to_canonical(), wanted.ip().to_canonical());
    held.port() == wanted.port()
        && (of_held == of_wanted || of_held.is_unspecified() || of_wanted.is_unspecified())
}

fn rows(table: &Path) -> Vec<Row> {
    let Ok(file) = File::open(table) else {
        return Vec::new();
    };
    let lines = BufReader::new(file.take(TABLE_MAX_BYTES)).lines();
    lines
        .map_while(Result::ok)
        .filter_map(|line| row(&line))
        .collect()
}

/// A line of a table; `None` of its head.
fn row(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (host, port) = fields.get(1)?.split_once(':')?;
    Some(Row {
        local: SocketAddr::new(ip(host)?, u16::from_str_radix(port, 16).ok()?),
        state: (*fields.get(3)?).to_owned(),
        user: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
        drops: fields
            .get(12)
            .and_then(|drops| drops.parse().ok())
            .unwrap_or_default(),
    })
}

/// An address as the tables write it: words of 32 bits, each as this machine has it in memory.
fn ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (part, at) in bytes.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                part.copy_from_slice(&word(at)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

/// The process that has the socket of that inode open, among those that this user may look into.
fn process_with(inode: u64) -> Option<Process> {
    let socket = PathBuf::from(format!("socket:[{inode}]"));
    let has_socket = |process: &Path| {
        let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        open.map(|entry| entry.path())
            .any(|fd| fs::read_link(fd).is_ok_and(|target| target == socket))
    };
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.map(|id: u32| (id, PathBuf::from(format!("/proc/{id}"))))
        .find(|(_, path)| has_socket(path))
        .map(|(id, path)| process(id, &path))
}

/// Another process of this program, which is not one that only asks; among those that this user may look into.
pub(super) fn another_of_ours() -> Option<Process> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|&id: &u32| id != std::process::id())
        .map(|id| (id, PathBuf::from(format!("/proc/{id}"))))
        .filter(|(_, path)| fs::read(path.join("cmdline")).is_ok_and(|line| runs_a_daemon(&line)))
        .map(|(id, path)| process(id, &path))
        .find(|process| process.program == Program::Ours)
}

/// Whether a command line of this program is that of a daemon.
fn runs_a_daemon(command_line: &[u8]) -> bool {
    let asks = ["doctor", "healthcheck", "send"];
    let second = command_line.split(|&byte| byte == 0).nth(1).unwrap_or_default();
    !command_line.is_empty() && !asks.iter().any(|word| word.as_bytes() == second)
}

fn process(id: u32, path: &Path) -> Process {
    let program_file = path.join("exe");
    let program = fs::read_link(&program_file).ok();
    let shown = program
        .as_deref()
        .map(|program| program.to_string_lossy().into_owned());
    let name = shown.unwrap_or_else(|| {
        fs::read_to_string(path.join("comm"))
            .unwrap_or_default()
            .trim()
            .to_owned()
    });
    Process {
        id,
        program: if is_this_program(&program_file) {
            Program::Ours
        } else {
            program_of(&name, is_go(&program_file))
        },
        name: sanitize(name, SHOWN_NAME_MAX_CHARS),
    }
}

/// What a program of that name and path is; the official daemon is written in Go, and this one is not.
fn program_of(path: &str, is_go: bool) -> Program {
    // What the system writes behind a program that was replaced while it ran.
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let name = path.rsplit('/').next().unwrap_or_default();
    match name {
        "xray" | "xray_linux" | "AWSXRayDaemon" if is_go => Program::Official,
        "xray" => Program::Ours,
        "amazon-cloudwatch-agent" | "aws-otel-collector" | "otelcol" | "otelcol-contrib" => Program::Agent,
        _ => Program::Other,
    }
}

/// Whether `program`, the file of another process, is the one that runs here. Where that is asked there is /proc.
#[cfg(unix)]
fn is_this_program(program: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let file = |path: &Path| {
        fs::metadata(path)
            .map(|metadata| (metadata.dev(), metadata.ino()))
            .ok()
    };
    file(program).is_some_and(|other| file(Path::new("/proc/self/exe")) == Some(other))
}

/// Elsewhere nobody knows who holds a port, and so nobody asks.
#[cfg(not(unix))]
fn is_this_program(_: &Path) -> bool {
    false
}

fn is_go(program: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(program).and_then(|file| file.take(PROGRAM_HEAD_BYTES).read_to_end(&mut head));
    read.is_ok() && has_mark_of_go(&head)
}

/// The linker of Go puts the id of the build into the first pages.
fn has_mark_of_go(head: &[u8]) -> bool {
    let has = |mark: &[u8]| head.windows(mark.len()).any(|window| window == mark);
    has(b"Go build ID: \"") || has(b"\x04\0\0\0Go\0\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: &str = "  341: 0100007F:07D0 00000000:0000 07 00000000:00000000 00:00000000 00000000  1001        0 34567 2 0000000000000000 1234";
    const TCP6: &str = "   1: 0000000000000000FFFF00000100007F:07D0 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0000000000000000 100 0 0 10 0";

    // The tables have addresses as the processor has numbers.
    #[cfg(target_endian = "little")]
    #[test]
    fn the_rows_of_the_systems_tables_are_read() {
        let row_of_udp = row(UDP).unwrap();
        assert_eq!(row_of_udp.local, "127.0.0.1:2000".parse().unwrap());
        assert_eq!(
            (row_of_udp.user, row_of_udp.inode, row_of_udp.drops),
            (1001, 34567, 1234)
        );
        let row_of_tcp = row(TCP6).unwrap();
        assert_eq!(row_of_tcp.local, "[::ffff:127.0.0.1]:2000".parse().unwrap());
        assert_eq!(row_of_tcp.state, "0A");
        for line in [
            "",
            "  sl  local_address rem_address   st",
            "1: xx:yy a 07",
            "1: 0100007F:07D0 a 07",
        ] {
            assert_eq!(row(line), None, "{line:?}");
        }
    }

    #[test]
    fn an_address_is_taken_by_itself_and_by_all_addresses_together() {
        let is = |held: &str, wanted: &str| is_in_the_way(held.parse().unwrap(), wanted.parse().unwrap());
        assert!(is("127.0.0.1:2000", "127.0.0.1:2000"));
        assert!(is("[::]:2000", "127.0.0.1:2000"));
        assert!(is("127.0.0.1:2000", "0.0.0.0:2000"));
        assert!(is("[::ffff:127.0.0.1]:2000", "127.0.0.1:2000"));
        assert!(!is("127.0.0.2:2000", "127.0.0.1:2000"));
        assert!(!is("0.0.0.0:2001", "127.0.0.1:2000"));
    }

    #[test]
    fn the_official_daemon_is_the_one_that_is_written_in_go() {
        for (path, is_go, program) in [
            ("/usr/bin/xray", true, Program::Official),
            ("/xray (deleted)", true, Program::Official),
            ("/usr/bin/xray", false, Program::Ours),
            ("xray", false, Program::Ours),
            (
                "/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent",
                true,
                Program::Agent,
            ),
            ("/usr/bin/python3.11", false, Program::Other),
            ("", false, Program::Other),
        ] {
            assert_eq!(program_of(path, is_go), program, "{path}");
        }
        assert!(has_mark_of_go(b"\x7fELF..\xff Go build ID: \"abc"));
        assert!(has_mark_of_go(b"\x04\0\0\0\x53\0\0\0\x04\0\0\0Go\0\0"));
        assert!(!has_mark_of_go(b"\x7fELF and so on"));
    }

    #[test]
    fn what_only_asks_is_no_daemon() {
        for line in [&b"/xray\0"[..], b"xray\0-o\0", b"xray\0dev\0"] {
            assert!(runs_a_daemon(line), "{line:?}");
        }
        for line in [&b""[..], b"xray\0doctor\0", b"/xray\0healthcheck\0--ready\0"] {
            assert!(!runs_a_daemon(line), "{line:?}");
        }
    }

    // By files in /proc.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_holder_of_a_socket_of_this_process_is_this_process() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let holder = of(Port::Udp, socket.local_addr().unwrap()).unwrap();
        let process = holder.process.unwrap();
        assert_eq!((process.id, process.program), (std::process::id(), Program::Ours));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(
            of(Port::Tcp, address).unwrap().process.unwrap().id,
            std::process::id()
        );
        drop(listener);
        assert_eq!(of(Port::Tcp, address), None);
    }
}
