//! The socket and the receive loop. One thread of its own, which waits for nobody: between two receives it does
//! nothing but the header check and adding to the open batch.

pub mod kernel;

use std::io::{self, IoSliceMut};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use crate::config::{Disk, Sourced};
use crate::datagram::{self, Reject};
use crate::intake::Intake;
use crate::ledger::Ledger;
use crate::listen::{self, BindError, Port};
use crate::logs::Tally;
use kernel::KernelDrops;

/// What is asked of the kernel for datagrams that were not read yet. The default (often 208 KiB) holds some 90
/// segments of 1 KB, less than 5 ms of a busy service; the kernel grants at most `net.core.rmem_max`.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

/// One datagram's room. UDP carries 65,507 bytes over IPv4 and 65,527 over IPv6; more can't come, so nothing is cut.
const DATAGRAM_BYTES: usize = 1 << 16;

/// The most that loopback was seen to carry, in bytes of kernel memory a second: 400,000 datagrams of 1 KB, each of
/// which takes 2.3 KB there.
const BURST_BYTES_PER_S: usize = 1 << 30;

/// Longest pause between two receives while datagrams keep coming; what waits there waits again, up to a second, in the
/// open batch.
const MAX_PAUSE: Duration = Duration::from_millis(5);

/// The pause after a receive that failed for a reason of the system's, so that a lasting one burns no processor.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Binds `address`: IPv4, `[IPv6]:port`, a host name (its first address), port 0 for a free one. The unspecified
/// addresses `0.0.0.0` and `[::]` are reachable over both IP versions where the host has both.
///
/// # Errors
/// [`BindError`] when the name is unknown or the address can't be had.
pub fn bind(address: &Sourced<String>) -> Result<std::net::UdpSocket, BindError> {
    listen::bind(Port::Udp, address, |socket, address| {
        // Granted as far as the system's limit goes; less is no reason not to start.
        if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES) {
            tracing::debug!("The receive buffer stays at the system's size: {error}");
        }
        socket.bind(&address.into())
    })
    .map(std::net::UdpSocket::from)
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
            "The UDP receive buffer has {} KB, capped by the system, and bursts beyond it are lost: `sysctl -w \
             net.core.rmem_max={RECEIVE_BUFFER_BYTES}` on the host gives it room",
            granted_bytes / 1024
        )
    })
}

/// The receive loop and what it needs.
#[derive(Debug)]
pub struct Receiver {
    socket: std::net::UdpSocket,
    intake: Arc<Intake>,
    ledger: Arc<Ledger>,
    kernel_drops: Option<Arc<KernelDrops>>,
}

impl Receiver {
    /// Reads from `socket` into `intake`, counting in `ledger`; `kernel_drops` is read a last time at the end.
    #[must_use]
    pub fn new(
        socket: std::net::UdpSocket,
        intake: Arc<Intake>,
        ledger: Arc<Ledger>,
        kernel_drops: Option<Arc<KernelDrops>>,
    ) -> Self {
        Self {
            socket,
            intake,
            ledger,
            kernel_drops,
        }
    }

    /// Receives until `stop` resolves, then takes what the kernel still holds and seals the open batch.
    ///
    /// # Errors
    /// When the socket can't be used at all.
    pub async fn run(self, mut stop: oneshot::Receiver<()>) -> io::Result<()> {
        let Self {
            socket,
            intake,
            ledger,
            kernel_drops,
        } = self;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let granted_bytes = state
            .recv_buffer_size(UdpSockRef::from(&socket))
            .unwrap_or(RECEIVE_BUFFER_BYTES);
        let socket = UdpSocket::from_std(socket)?;
        let mut buffers = Buffers::new();
        let mut gather = Gather::new(granted_bytes);
        let mut rejects = Rejects::default();
        let mut faults = Tally::default();
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        let mut armed: Option<Instant> = None;
        let mut opened = pin!(intake.opened());
        loop {
            // Registered anew only when the deadline moves, once a batch; without one no timer runs.
            let tick = [intake.next_tick(), rejects.tally.due(), faults.due()]
                .into_iter()
                .flatten()
                .min();
            if tick != armed {
                if let Some(at) = tick {
                    timer.as_mut().reset(at.into());
                }
                armed = tick;
            }
            tokio::select! {
                // In this order because a flood keeps the socket readable for ever.
                biased;
                _ = &mut stop => break,
                () = &mut timer, if armed.is_some() => {
                    armed = None;
                    let now = Instant::now();
                    intake.tick(now);
                    rejects.say(now);
                    if let Some(times) = faults.add(0, now) {
                        tracing::error!(times, "Receiving on UDP failed {times} more times");
                    }
                }
                // A batch was opened over TCP: the timer above is to be armed.
                () = &mut opened => opened.set(intake.opened()),
                ready = socket.readable() => {
                    if let Err(error) = ready.and_then(|()| receive(&socket, &state, &mut buffers)) {
                        if let Some(times) = faults.add(1, Instant::now()) {
                            tracing::error!(times, "Receiving on UDP failed: {error}");
                        }
                        tokio::time::sleep(ERROR_PAUSE).await;
                    }
                    let drained = buffers.count < BATCH_SIZE;
                    buffers.deliver(&intake, &ledger, &mut rejects);
                    if drained {
                        gather.pause();
                    }
                }
            }
        }
        // At most what the kernel could hold at the moment of the signal: a sender that goes on must not keep us here.
        let mut taken_bytes = 0;
        while taken_bytes <= granted_bytes {
            match buffers.fill(&socket, &state) {
                Ok(()) => {
                    taken_bytes += buffers.bytes();
                    buffers.deliver(&intake, &ledger, &mut rejects);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        rejects.flush(Instant::now());
        intake.seal(Instant::now());
        // While the socket is still open: its count goes with it.
        if let Some(drops) = kernel_drops {
            drops.read(&Disk);
        }
        Ok(())
    }
}

/// Receives up to [`BATCH_SIZE`] datagrams into `buffers`; none when there was nothing to read after all.
fn receive(socket: &UdpSocket, state: &UdpSocketState, buffers: &mut Buffers) -> io::Result<()> {
    buffers.count = 0;
    let result = socket.try_io(Interest::READABLE, || {
        buffers.fill(socket, state)?;
        // Fewer than there was room for: the socket is empty. Saying so spares the receive that would find it out,
        // half of all system calls at low rates. A datagram that comes in between raises a new edge in epoll.
        if buffers.count < BATCH_SIZE {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(())
        }
    });
    match result {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

/// Lets datagrams gather in the kernel while they keep coming: waking up for each one costs more than all that is then
/// done with it.
///
/// Only as long as a burst that began this moment would take to fill half of the receive buffer, so a small buffer
/// means no pause at all; and only when the last receive was not long ago, so that a lone datagram costs no second
/// wake-up. The thread sleeps, not the task: the runtime would be woken by each datagram that comes.
#[derive(Debug)]
struct Gather {
    pause: Duration,
    last: Option<Instant>,
}

impl Gather {
    fn new(granted_bytes: usize) -> Self {
        let fill_s = granted_bytes as f64 / 2.0 / BURST_BYTES_PER_S as f64;
        let pause = Duration::from_secs_f64(fill_s).min(MAX_PAUSE);
        // Below that a sleep is mostly its own overhead.
        let pause = if pause < Duration::from_millis(1) {
            Duration::ZERO
        } else {
            pause
        };
        Self { pause, last: None }
    }

    fn pause(&mut self) {
        if self.pause.is_zero() {
            return;
        }
        let now = Instant::now();
        if self
            .last
            .is_some_and(|last| now.duration_since(last) < 2 * self.pause)
        {
            std::thread::sleep(self.pause);
            self.last = Some(Instant::now());
        } else {
            self.last = Some(now);
        }
    }
}

/// Room for the datagrams of one receive. Pages are touched only as far as datagrams reach.
struct Buffers {
    room: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
    count: usize,
}

impl Buffers {
    fn new() -> Self {
        Self {
            room: vec![0; BATCH_SIZE * DATAGRAM_BYTES],
            meta: [RecvMeta::default(); BATCH_SIZE],
            count: 0,
        }
    }

    /// One receive; what was there before is gone.
    fn fill(&mut self, socket: &UdpSocket, state: &UdpSocketState) -> io::Result<()> {
        self.count = 0;
        let mut rooms = self.room.chunks_mut(DATAGRAM_BYTES);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default()));
        self.count = state.recv(UdpSockRef::from(socket), &mut slices, &mut self.meta)?;
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.meta[..self.count].iter().map(|meta| meta.len).sum()
    }

    /// The datagrams of the last receive. The kernel may join several of one sender; `stride` is then their size.
    fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.meta[..self.count]
            .iter()
            .zip(self.room.chunks(DATAGRAM_BYTES))
            .flat_map(|(meta, room)| room[..meta.len].chunks(meta.stride.max(1)))
    }

    /// Hands the documents on and counts everything. Empty datagrams count for nothing, as with the official daemon.
    fn deliver(&self, intake: &Intake, ledger: &Ledger, rejects: &mut Rejects) {
        let received = self.datagrams().count();
        if received == 0 {
            return;
        }
        ledger.add_received(received as u64);
        let now = Instant::now();
        let documents = self
            .datagrams()
            .filter_map(|datagram| match datagram::document(datagram) {
                Ok(document) => Some(document),
                Err(reject) => {
                    ledger.add_rejected(reject.reason);
                    rejects.note(&reject);
                    None
                }
            });
        intake.add(documents, now);
        rejects.say(now);
    }
}

/// Refused datagrams, on their way into the log: at most one line a second, with the first as the example.
#[derive(Debug, Default)]
struct Rejects {
    tally: Tally,
    new: usize,
    example: Option<String>,
}

impl Rejects {
    fn note(&mut self, reject: &Reject<'_>) {
        self.new += 1;
        if self.example.is_none() {
            self.example = Some(reject.to_string());
        }
    }

    fn say(&mut self, now: Instant) {
        let said = self.tally.add(std::mem::take(&mut self.new), now);
        self.line(said);
    }

    fn flush(&mut self, now: Instant) {
        let said = self.tally.flush(std::mem::take(&mut self.new), now);
        self.line(said);
    }

    fn line(&mut self, said: Option<u64>) {
        let Some(datagrams) = said else { return };
        let example = self.example.take().unwrap_or_default();
        match datagrams {
            1 => tracing::warn!(datagrams, "{example}"),
            _ => tracing::warn!(
                datagrams,
                "{example} (and {} more refused datagrams)",
                datagrams - 1
            ),
        }
    }
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
            "The UDP receive buffer has 416 KB, capped by the system, and bursts beyond it are lost: `sysctl -w \
             net.core.rmem_max=8388608` on the host gives it room"
        );
    }

    #[test]
    fn with_a_small_receive_buffer_no_datagram_is_made_to_wait() {
        assert_eq!(Gather::new(425_984).pause, Duration::ZERO);
        assert_eq!(Gather::new(8 << 20).pause.as_millis(), 3);
        assert_eq!(Gather::new(64 << 20).pause, MAX_PAUSE);
    }
}
