//! The socket and the receive loop. One thread of its own, which waits for nobody: between two receives it does
//! nothing but the header check and adding to the open batch.

mod buffers;
pub mod datagram;
mod gather;
pub mod kernel;

use std::io;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use quinn_udp::{BATCH_SIZE, UdpSockRef, UdpSocketState};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::oneshot::{self, error::TryRecvError};

use self::datagram::Reject;
use crate::config::{Sourced, SystemFiles};
use crate::ledger::Ledger;
use crate::logs::Tally;
use crate::net::listen::{self, BindError, Port};
use crate::pipeline::intake::Intake;
use buffers::Buffers;
use gather::Gather;
use kernel::KernelDrops;

/// What is asked of the kernel for datagrams that were not read yet. The default (often 208 KiB) holds some 90
/// segments of 1 KB, less than 5 ms of a busy service; the kernel grants at most `net.core.rmem_max`.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

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
pub struct Receiver<I> {
    socket: std::net::UdpSocket,
    intake: Arc<I>,
    ledger: Arc<Ledger>,
    kernel_drops: Option<Arc<KernelDrops>>,
}

impl<I: Intake> Receiver<I> {
    /// Reads from `socket` into `intake`, counting in `ledger`; `kernel_drops` is read a last time at the end.
    #[must_use]
    pub fn new(
        socket: std::net::UdpSocket,
        intake: Arc<I>,
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
    #[expect(
        clippy::disallowed_methods,
        reason = "waits for datagrams, or until something is due"
    )]
    pub async fn run(self, mut stop: oneshot::Receiver<()>) -> io::Result<()> {
        let Self {
            socket,
            intake,
            ledger,
            kernel_drops,
        } = self;
        let state = buffers::prepare(&socket)?;
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
        // After a pause, or a receive that filled all the room, there is more to be had, without asking epoll first.
        let mut more = false;
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
            let stopped = !matches!(stop.try_recv(), Err(TryRecvError::Empty));
            if stopped {
                break;
            }
            let received = if mem::take(&mut more) && tick.is_none_or(|at| at > Instant::now()) {
                buffers.fill(&socket, &state)
            } else {
                tokio::select! {
                    // In this order because a flood keeps the socket readable for ever.
                    biased;
                    _ = &mut stop => break,
                    () = &mut timer, if armed.is_some() => {
                        armed = None;
                        let now = Instant::now();
                        intake.tick(now);
                        rejects.say(now, &ledger);
                        if let Some(times) = faults.add(0, now) {
                            tracing::error!(times, "Receiving on UDP failed {times} more times");
                        }
                        continue;
                    }
                    // A batch was opened over TCP: the timer above is to be armed.
                    () = &mut opened => {
                        opened.set(intake.opened());
                        continue;
                    }
                    ready = socket.readable() => ready.and_then(|()| receive(&socket, &state, &mut buffers)),
                }
            };
            if let Err(error) = received {
                if error.kind() != io::ErrorKind::WouldBlock {
                    if let Some(times) = faults.add(1, Instant::now()) {
                        tracing::error!(times, "Receiving on UDP failed: {error}");
                    }
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
                continue;
            }
            if buffers.count == 0 {
                continue;
            }
            deliver(&buffers, &*intake, &ledger, &mut rejects);
            gather.received(buffers.count, buffers.bytes());
            more = buffers.count == BATCH_SIZE;
            if !more {
                let pause = gather.pause(Instant::now());
                more = !pause.is_zero();
                thread::sleep(pause);
            }
        }
        // At most what the kernel could hold at the moment of the signal, both in the kernel's way of counting: a sender
        // that goes on must not keep us here.
        let mut taken_bytes = 0;
        while taken_bytes <= granted_bytes {
            match buffers.fill(&socket, &state) {
                Ok(()) => {
                    taken_bytes += buffers.kernel_bytes_min();
                    deliver(&buffers, &*intake, &ledger, &mut rejects);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        rejects.flush(Instant::now(), &ledger);
        intake.seal(Instant::now());
        // While the socket is still open: its count goes with it.
        if let Some(drops) = kernel_drops {
            drops.read(&SystemFiles);
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

/// Hands the documents on and counts everything. Empty datagrams count for nothing, as with the official daemon.
#[expect(clippy::disallowed_methods, reason = "documents are as old as their arrival")]
fn deliver(buffers: &Buffers, intake: &impl Intake, ledger: &Ledger, rejects: &mut Rejects) {
    let received = buffers.datagrams().count();
    if received == 0 {
        return;
    }
    ledger.add_received(received as u64);
    let now = Instant::now();
    let documents = buffers
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
    rejects.say(now, ledger);
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

    fn say(&mut self, now: Instant, ledger: &Ledger) {
        let said = self.tally.add(mem::take(&mut self.new), now);
        self.line(said, ledger);
    }

    fn flush(&mut self, now: Instant, ledger: &Ledger) {
        let said = self.tally.flush(mem::take(&mut self.new), now);
        self.line(said, ledger);
    }

    fn line(&mut self, said: Option<u64>, ledger: &Ledger) {
        let Some(datagrams) = said else { return };
        let example = self.example.take().unwrap_or_default();
        ledger.tell_refused(datagrams, &example);
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
    use super::buffers::KERNEL_OVERHEAD_MIN_BYTES;
    use super::*;
    use crate::pipeline::batch::testing::Strings;
    use crate::pipeline::budget::Budget;
    use crate::pipeline::lane::Lane;

    /// A small datagram: one that costs the kernel many times its bytes.
    const SMALL: &[u8] = b"{\"format\":\"json\",\"version\":1}\n{}";

    /// A socket, a receiver on it that was told to stop already, and what it counts in.
    fn stopped() -> (
        std::net::UdpSocket,
        Receiver<Lane<Strings>>,
        Arc<Ledger>,
        oneshot::Receiver<()>,
    ) {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let ledger = Arc::new(Ledger::default());
        let intake = Arc::new(Lane::new(Budget::of_mb(64), Arc::clone(&ledger)));
        let receiver = Receiver::new(socket.try_clone().unwrap(), intake, Arc::clone(&ledger), None);
        let (stop, stopped) = oneshot::channel();
        drop(stop);
        (socket, receiver, ledger, stopped)
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn all_that_a_full_socket_holds_is_taken_at_the_end_whatever_its_size() {
        for (bytes, datagrams) in [(SMALL.len(), 3000), (1_000, 1500), (60_000, 100)] {
            let (socket, receiver, ledger, stopped) = stopped();
            let drops = KernelDrops::of_socket(&socket, &SystemFiles).unwrap();
            let datagram = [SMALL, &vec![b' '; bytes - SMALL.len()]].concat();
            let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..datagrams {
                sender.send_to(&datagram, socket.local_addr().unwrap()).unwrap();
            }
            receiver.run(stopped).await.unwrap();
            let received = ledger.snapshot().received;
            assert_eq!(received, datagrams - drops.read(&SystemFiles), "{bytes} bytes");
        }
    }

    /// What the kernel says that it holds for `socket`, by its own count.
    #[cfg(target_os = "linux")]
    fn held_by_kernel_bytes(socket: &std::net::UdpSocket) -> usize {
        let port = format!(":{:04X}", socket.local_addr().unwrap().port());
        let table = std::fs::read_to_string("/proc/net/udp").unwrap();
        let line = table.lines().find(|line| {
            line.split_whitespace()
                .nth(1)
                .is_some_and(|address| address.ends_with(&port))
        });
        let queues = line.unwrap().split_whitespace().nth(4).unwrap();
        usize::from_str_radix(queues.split_once(':').unwrap().1, 16).unwrap()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_was_taken_is_counted_as_the_kernel_counts_what_it_holds() {
        for bytes in [SMALL.len(), 1_000, 8_000] {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..10 {
                sender
                    .send_to(&vec![b' '; bytes], socket.local_addr().unwrap())
                    .unwrap();
            }
            let held = held_by_kernel_bytes(&socket);
            let state = buffers::prepare(&socket).unwrap();
            let socket = UdpSocket::from_std(socket).unwrap();
            let mut buffers = Buffers::new();
            buffers.fill(&socket, &state).unwrap();
            assert_eq!(buffers.count, 10);
            let counted = buffers.kernel_bytes_min();
            assert!(
                (held / 2..=held).contains(&counted),
                "{bytes} bytes: {counted} of {held}"
            );
        }
    }

    #[tokio::test]
    async fn a_sender_that_goes_on_does_not_keep_the_receiver_at_the_end() {
        let (socket, receiver, ledger, stopped) = stopped();
        let granted_bytes = receive_buffer_bytes(&socket).unwrap();
        let (address, go_on) = (socket.local_addr().unwrap(), Arc::new(()));
        let floods: Vec<_> = (0..2)
            .map(|_| {
                let go_on = Arc::downgrade(&go_on);
                thread::spawn(move || {
                    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                    while go_on.strong_count() > 0 {
                        drop(sender.send_to(SMALL, address));
                    }
                })
            })
            .collect();
        receiver.run(stopped).await.unwrap();
        drop(go_on);
        for flood in floods {
            flood.join().unwrap();
        }
        let most = granted_bytes / (SMALL.len() + KERNEL_OVERHEAD_MIN_BYTES) + BATCH_SIZE;
        let received = ledger.snapshot().received;
        assert!(received <= most as u64, "{received} of {most}");
    }

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
}
