//! The socket and the receive loop. One thread of its own, which waits for nobody: between two receives it does
//! nothing but the header check and adding to the open batch.

mod buffers;
pub mod datagram;
pub mod fragments;
mod gather;
pub mod kernel;
pub mod receive_buffer;

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::oneshot::{self, error::TryRecvError};

use self::datagram::{Kind, Reject};
use crate::config::{Sourced, SystemFiles};
use crate::ledger::{Ledger, RejectReason};
use crate::logs::Tally;
use crate::net::listen::{self, BindError, Port};
use crate::pipeline::intake::Intake;
use buffers::{Buffers, Reader};
use gather::Gather;
use kernel::KernelDrops;
use receive_buffer::RECEIVE_BUFFER_BYTES;

/// The pause after a receive that failed for a reason of the system's, so that a lasting one burns no processor.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Binds `address`: IPv4, `[IPv6]:port`, a host name (its first address), port 0 for a free one. The unspecified
/// addresses `0.0.0.0` and `[::]` are reachable over both IP versions where the host has both.
///
/// # Errors
/// [`BindError`] when the name is unknown or the address can't be had.
pub fn bind(address: &Sourced<String>) -> Result<std::net::UdpSocket, BindError> {
    listen::bind(Port::Udp, address, |socket, address| {
        receive_buffer::ask(socket);
        socket.bind(&address.into())
    })
    .map(std::net::UdpSocket::from)
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
        let reader = Reader::of(&socket)?;
        let granted_bytes = SockRef::from(&socket)
            .recv_buffer_size()
            .unwrap_or(RECEIVE_BUFFER_BYTES);
        let socket = UdpSocket::from_std(socket)?;
        let mut buffers = Buffers::new()?;
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
            let received = if goes_on(mem::take(&mut more), tick, Instant::now) {
                buffers.fill(&socket, &reader)
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
                    ready = socket.readable() => ready.and_then(|()| receive(&socket, &reader, &mut buffers)),
                }
            };
            if let Err(error) = received {
                if error.kind() != io::ErrorKind::WouldBlock {
                    if let Some(times) = faults.add(1, Instant::now()) {
                        tracing::error!(times, error = %error, "Receiving on UDP failed: {error}");
                    }
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
                continue;
            }
            if buffers.count == 0 {
                continue;
            }
            deliver(&buffers, &*intake, &ledger, &mut rejects);
            let (count, bytes) = (buffers.count, buffers.bytes());
            if let Some(pause) = gather.after(count, bytes, buffers.is_full(), Instant::now()) {
                more = true;
                thread::sleep(pause);
            }
        }
        // At most what the kernel could hold at the moment of the signal, both in the kernel's way of counting: a sender
        // that goes on must not keep us here.
        drain(granted_bytes, || {
            buffers.fill(&socket, &reader)?;
            deliver(&buffers, &*intake, &ledger, &mut rejects);
            Ok(buffers.kernel_bytes_min())
        });
        rejects.flush(Instant::now(), &ledger);
        intake.seal(Instant::now());
        // While the socket is still open: its count goes with it.
        if let Some(drops) = kernel_drops {
            drops.read(&SystemFiles);
        }
        Ok(())
    }
}

/// Whether to receive again without asking epoll, since there is `more` to be had: not when the timer is due, which a
/// flood, where there always is more, would keep waiting for ever.
fn goes_on(more: bool, tick: Option<Instant>, now: impl FnOnce() -> Instant) -> bool {
    more && tick.is_none_or(|at| now() < at)
}

/// Calls `take`, which says how many bytes it took, until there is nothing more, or `limit_bytes` are exceeded.
fn drain(limit_bytes: usize, mut take: impl FnMut() -> io::Result<usize>) {
    let mut taken_bytes = 0;
    while taken_bytes <= limit_bytes {
        match take() {
            Ok(bytes) => taken_bytes += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
}

/// Receives up to [`BATCH_SIZE`](quinn_udp::BATCH_SIZE) datagrams into `buffers`; none when there was nothing to read after all.
fn receive(socket: &UdpSocket, reader: &Reader, buffers: &mut Buffers) -> io::Result<()> {
    buffers.count = 0;
    let result = socket.try_io(Interest::READABLE, || {
        buffers.fill(socket, reader)?;
        // Fewer than there was room for: the socket is empty. Saying so spares the receive that would find it out,
        // half of all system calls at low rates. A datagram that comes in between raises a new edge in epoll.
        if buffers.is_full() {
            Ok(())
        } else {
            Err(io::ErrorKind::WouldBlock.into())
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
        .filter_map(|(sender, datagram)| match datagram::document(datagram) {
            Ok(document) => Some(document),
            Err(reject) => {
                ledger.add_rejected(reject.reason);
                rejects.note(&reject, sender);
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
    example: Option<Example>,
}

/// The refused datagram that stands for those of a second.
#[derive(Debug)]
struct Example {
    line: String,
    reason: RejectReason,
    kind: Kind,
    bytes: usize,
    sender: SocketAddr,
    beginning: String,
}

impl Example {
    fn of(reject: &Reject<'_>, sender: SocketAddr) -> Self {
        // One that came over IPv4 to a socket for both versions is written as it is known elsewhere.
        let sender = SocketAddr::new(sender.ip().to_canonical(), sender.port());
        Self {
            line: reject.line(sender),
            reason: reject.reason,
            kind: reject.kind(),
            bytes: reject.bytes(),
            sender,
            beginning: reject.beginning(),
        }
    }
}

impl Rejects {
    fn note(&mut self, reject: &Reject<'_>, sender: SocketAddr) {
        self.new += 1;
        self.example.get_or_insert_with(|| Example::of(reject, sender));
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
        let Some(Example {
            line,
            reason,
            kind,
            bytes,
            sender,
            beginning,
        }) = self.example.take()
        else {
            return;
        };
        ledger.tell_refused(datagrams, &line, &beginning);
        let more = match datagrams {
            1 => String::new(),
            _ => format!(" (and {} more refused datagrams)", datagrams - 1),
        };
        tracing::warn!(
            datagrams,
            reason = reason.label(),
            looks_like = kind.label(),
            bytes,
            sender = %sender,
            "{line}{more}"
        );
        // Content, for whoever has asked for it.
        tracing::debug!(beginning, sender = %sender, "The refused datagram from {sender} begins with: {beginning}");
    }
}

#[cfg(test)]
mod tests;
