//! Room for datagrams, and one system call for many of them.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use memmap2::MmapMut;
use quinn_udp::{BATCH_SIZE, RecvMeta};
// The system call for many datagrams, which Windows does not have.
#[cfg(not(windows))]
use quinn_udp::{UdpSockRef, UdpSocketState};
use tokio::net::UdpSocket;

/// One datagram's room. UDP carries 65,507 bytes over IPv4 and 65,527 over IPv6; more can't come, so nothing is cut.
const DATAGRAM_BYTES: usize = 1 << 16;

/// From one datagram's room to the next one's. At a distance of 64 KiB the starts of all of them would share a few
/// places in the processor's caches and push each other out before they are read.
const ROOM_BYTES: usize = DATAGRAM_BYTES + 17 * 64;

/// What the kernel holds beside a datagram's bytes, at the least: the descriptions of a buffer and of what is shared in
/// it, some 600 bytes on 64 bits.
pub(super) const KERNEL_OVERHEAD_MIN_BYTES: usize = 512;

/// What a socket is read by.
#[derive(Debug)]
pub(super) struct Reader {
    // The system call for many datagrams, which Windows does not have.
    #[cfg(not(windows))]
    state: UdpSocketState,
    // There quinn-udp reads one datagram at a time too, and wants options of the socket that nobody needs here and that not
    // every Windows has, nor Wine.
    #[cfg(windows)]
    socket: std::net::UdpSocket,
}

impl Reader {
    /// Makes `socket` ready for [`Buffers::fill`].
    ///
    /// # Errors
    /// When the system does not let it.
    pub(super) fn of(socket: &std::net::UdpSocket) -> io::Result<Self> {
        // As above.
        #[cfg(windows)]
        return Ok(Self {
            socket: socket.try_clone()?,
        });
        // As above.
        #[cfg(not(windows))]
        {
            let state = UdpSocketState::new(UdpSockRef::from(socket))?;
            // Only there does it have the kernel tell more.
            #[cfg(target_os = "linux")]
            tell_less(socket);
            Ok(Self { state })
        }
    }

    /// One receive from `socket`, the one that it was made of: how many datagrams came.
    fn receive(
        &self,
        socket: &UdpSocket,
        slices: &mut [IoSliceMut<'_>; BATCH_SIZE],
        meta: &mut [RecvMeta; BATCH_SIZE],
    ) -> io::Result<usize> {
        // As above.
        #[cfg(windows)]
        {
            let _: &UdpSocket = socket;
            let (len, addr) = self.socket.recv_from(&mut slices[0])?;
            (meta[0].len, meta[0].stride, meta[0].addr) = (len, len, addr);
            Ok(1)
        }
        // As above.
        #[cfg(not(windows))]
        self.state.recv(UdpSockRef::from(socket), slices, meta)
    }
}

/// Switches off what quinn-udp asks the kernel to tell of each datagram: when it came, and at which address. A transport
/// needs that; here nobody reads it, and it is a tenth of what a receive costs.
#[cfg(target_os = "linux")]
fn tell_less(socket: &std::net::UdpSocket) {
    use nix::sys::socket::{setsockopt, sockopt};

    let results = [
        setsockopt(socket, sockopt::ReceiveTimestampns, &false),
        setsockopt(socket, sockopt::Ipv4PacketInfo, &false),
        setsockopt(socket, sockopt::IpRecvTos, &false),
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &false),
        setsockopt(socket, sockopt::Ipv6RecvTClass, &false),
    ];
    // Those of IPv6 fail on a socket for IPv4. It works all the same without.
    for error in results.into_iter().filter_map(Result::err) {
        tracing::trace!(error = %error, "An option of the UDP socket stays as it is: {error}");
    }
}

/// Room for the datagrams of one receive. Pages are touched only as far as datagrams reach.
pub(super) struct Buffers {
    room: MmapMut,
    meta: [RecvMeta; BATCH_SIZE],
    pub(super) count: usize,
}

impl Buffers {
    /// # Errors
    /// The system has no room for it.
    pub(super) fn new() -> io::Result<Self> {
        // An allocator writes zeros where something was before, and these are two megabytes.
        let room = MmapMut::map_anon(BATCH_SIZE * ROOM_BYTES)?;
        // Of one huge page, the first datagram would touch all. Without such pages there is nothing to be advised.
        #[cfg(target_os = "linux")]
        let _: io::Result<()> = room.advise(memmap2::Advice::NoHugePage);
        Ok(Self {
            room,
            meta: [RecvMeta::default(); BATCH_SIZE],
            count: 0,
        })
    }

    /// One receive; what was there before is gone.
    pub(super) fn fill(&mut self, socket: &UdpSocket, reader: &Reader) -> io::Result<()> {
        self.count = 0;
        let mut rooms = self.room.chunks_mut(ROOM_BYTES);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default()));
        self.count = reader.receive(socket, &mut slices, &mut self.meta)?;
        Ok(())
    }

    /// Whether the last receive filled all the room, so that there may be more.
    pub(super) fn is_full(&self) -> bool {
        self.count == BATCH_SIZE
    }

    pub(super) fn bytes(&self) -> usize {
        self.meta[..self.count].iter().map(|meta| meta.len).sum()
    }

    /// What the last receive took out of the kernel's memory, at the least, as the kernel counts: what it joined it holds
    /// as one.
    pub(super) fn kernel_bytes_min(&self) -> usize {
        self.bytes() + self.count * KERNEL_OVERHEAD_MIN_BYTES
    }

    /// The datagrams of the last receive, each with its sender. The kernel may join several of one sender; `stride` is
    /// then their size.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.meta[..self.count]
            .iter()
            .zip(self.room.chunks(ROOM_BYTES))
            .flat_map(|(meta, room)| {
                let datagrams = room[..meta.len].chunks(meta.stride.max(1));
                datagrams.map(|datagram| (meta.addr, datagram))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets() -> [std::net::UdpSocket; 2] {
        [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap())
    }

    // Only there is it told.
    #[cfg(target_os = "linux")]
    #[test]
    fn room_that_no_datagram_has_reached_is_no_memory() {
        use std::os::unix::fs::FileExt as _;

        let mut buffers = Buffers::new().unwrap();
        let page_bytes = rustix::param::page_size();
        let first = buffers.room.as_ptr().addr() / page_bytes;
        let pages = buffers.room.len() / page_bytes;
        // Eight bytes a page, the highest bit of which says that it is there.
        let resident = || {
            let mut entries = vec![0; 8 * pages];
            let map = std::fs::File::open("/proc/self/pagemap").unwrap();
            map.read_exact_at(&mut entries, 8 * first as u64).unwrap();
            entries.chunks(8).filter(|entry| entry[7] & 0x80 != 0).count()
        };
        assert_eq!(resident(), 0);
        buffers.room[..1000].fill(1);
        assert_eq!(resident(), 1);
    }

    // Only there is it switched off.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_is_not_asked_when_and_where_a_datagram_came() {
        use nix::sys::socket::{getsockopt, sockopt};

        let [socket, _] = sockets();
        Reader::of(&socket).unwrap();
        let told = (
            getsockopt(&socket, sockopt::ReceiveTimestampns).unwrap(),
            getsockopt(&socket, sockopt::Ipv4PacketInfo).unwrap(),
            getsockopt(&socket, sockopt::IpRecvTos).unwrap(),
        );
        assert_eq!(told, (false, false, false));
    }

    #[tokio::test]
    async fn a_receive_brings_the_datagrams_that_are_there_and_forgets_those_before() {
        let [receiving, sending] = sockets();
        receiving.set_nonblocking(true).unwrap();
        let to = receiving.local_addr().unwrap();
        let from = sending.local_addr().unwrap();
        let reader = Reader::of(&receiving).unwrap();
        let receiving = UdpSocket::from_std(receiving).unwrap();
        let mut buffers = Buffers::new().unwrap();
        // The longest that IPv4 carries, between two short ones; an empty one is none.
        let longest = vec![b'y'; 65_507];
        for sent in [vec![&b"abc"[..], &longest, b"", b"de"], vec![&b"f"[..]]] {
            for datagram in &sent {
                sending.send_to(datagram, to).unwrap();
            }
            receiving.readable().await.unwrap();
            buffers.fill(&receiving, &reader).unwrap();
            let documents: Vec<_> = sent
                .iter()
                .copied()
                .filter(|datagram| !datagram.is_empty())
                .collect();
            assert!(
                buffers
                    .datagrams()
                    .eq(documents.iter().map(|document| (from, *document)))
            );
            assert_eq!(buffers.count, sent.len());
            assert_eq!(buffers.bytes(), documents.concat().len());
            assert_eq!(buffers.kernel_bytes_min(), buffers.bytes() + 512 * sent.len());
        }
        let nothing = buffers.fill(&receiving, &reader).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(
            (buffers.count, buffers.bytes(), buffers.datagrams().count()),
            (0, 0, 0)
        );
    }
}
