//! How many datagrams the kernel keeps for a receiver that is not there yet.
//!
//! Linux grants what `net.core.rmem_max` allows, 208 KiB where nobody changed it, unless the asking process may go past that
//! (`CAP_NET_ADMIN`, `SO_RCVBUFFORCE`; socket(7)).

use std::io;

use socket2::{SockRef, Socket};

/// What is asked of the kernel for datagrams that were not read yet. The default (often 208 KiB) holds some 90
/// segments of 1 KB, less than 5 ms of a busy service.
pub(crate) const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

/// Asks for [`RECEIVE_BUFFER_BYTES`], past the system's limit where this process may. Less is no reason not to start.
pub(super) fn ask(socket: &Socket) {
    if forced(socket) {
        return;
    }
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES) {
        tracing::debug!(error = %error, "The receive buffer stays at the system's size: {error}");
    }
}

/// Past the limit of the system, which Linux allows to who has CAP_NET_ADMIN.
#[cfg(target_os = "linux")]
fn forced(socket: &Socket) -> bool {
    use nix::sys::socket::{setsockopt, sockopt};

    // Refused without the capability, as for most: no event.
    setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_ok()
}

/// Other systems know no such option.
#[cfg(not(target_os = "linux"))]
fn forced(_socket: &Socket) -> bool {
    false
}

/// How much the kernel gave `socket` for datagrams that were not read yet, as it counts: twice what was asked for, if it
/// was not capped, since its own book-keeping counts too.
///
/// # Errors
/// When the system does not tell.
pub fn receive_buffer_bytes(socket: &std::net::UdpSocket) -> io::Result<usize> {
    SockRef::from(socket).recv_buffer_size()
}

/// What to do about a receive buffer of `granted_bytes`; `None` when there is enough.
#[must_use]
pub fn receive_buffer_advice(granted_bytes: usize) -> Option<String> {
    (granted_bytes < RECEIVE_BUFFER_BYTES).then(|| {
        format!(
            "The UDP receive buffer has {} KiB, capped by the system, and bursts beyond it are lost: `sysctl -w \
             net.core.rmem_max={RECEIVE_BUFFER_BYTES}` on the host gives it room, or CAP_NET_ADMIN for this process",
            granted_bytes / 1024
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receive_buffer_that_the_system_capped_is_told_with_what_to_set() {
        assert_eq!(receive_buffer_advice(16 << 20), None);
        assert_eq!(receive_buffer_advice(8 << 20), None);
        assert_eq!(
            receive_buffer_advice(425_984).unwrap(),
            "The UDP receive buffer has 416 KiB, capped by the system, and bursts beyond it are lost: `sysctl -w \
             net.core.rmem_max=8388608` on the host gives it room, or CAP_NET_ADMIN for this process"
        );
    }

    #[test]
    fn the_size_of_the_receive_buffer_is_as_the_kernel_counts() {
        // Twice what was asked for, on Linux.
        let factor = if cfg!(target_os = "linux") { 2 } else { 1 };
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for bytes in [20_000, 50_000] {
            SockRef::from(&socket).set_recv_buffer_size(bytes).unwrap();
            assert_eq!(receive_buffer_bytes(&socket).unwrap(), factor * bytes);
        }
    }

    /// The limit of the system is what is had without the capability, and all that was asked for is had with it.
    #[cfg(target_os = "linux")]
    #[test]
    fn who_may_go_past_the_limit_of_the_system_does() {
        let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
        let limit_bytes: usize = limit.trim().parse().unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = Socket::from(socket);
        let may_go_past = forced(&socket);
        ask(&socket);
        let expected_bytes = if may_go_past {
            RECEIVE_BUFFER_BYTES
        } else {
            RECEIVE_BUFFER_BYTES.min(limit_bytes)
        };
        assert_eq!(socket.recv_buffer_size().unwrap(), 2 * expected_bytes);
    }
}
