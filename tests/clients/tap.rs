//! A relay between an SDK and the daemon that keeps what it relays.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Forwards each datagram to the daemon, unchanged; ends when dropped.
pub(crate) struct Tap {
    /// Where to send segments in place of the daemon's address.
    pub(crate) address: SocketAddr,
    datagrams: Arc<Mutex<Vec<Vec<u8>>>>,
    ending: Arc<AtomicBool>,
    relay: Option<JoinHandle<()>>,
}

impl Tap {
    /// Relays to `daemon`.
    pub(crate) fn start(daemon: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        let datagrams = Arc::new(Mutex::new(Vec::new()));
        let ending = Arc::new(AtomicBool::new(false));
        let relay = std::thread::spawn({
            let (datagrams, ending) = (Arc::clone(&datagrams), Arc::clone(&ending));
            move || {
                let mut buffer = vec![0; 65_536];
                loop {
                    let length = socket.recv(&mut buffer).expect("a datagram");
                    if ending.load(Ordering::SeqCst) {
                        return;
                    }
                    // Kept before it is sent on, so that whatever has arrived is known here.
                    datagrams
                        .lock()
                        .expect("no panic under the lock")
                        .push(buffer[..length].to_vec());
                    let sent = socket
                        .send_to(&buffer[..length], daemon)
                        .expect("loopback takes a datagram");
                    assert_eq!(sent, length, "bytes of a datagram sent on");
                }
            }
        });
        Self {
            address,
            datagrams,
            ending,
            relay: Some(relay),
        }
    }

    /// The documents relayed so far: what follows the first newline of each datagram.
    pub(crate) fn documents(&self) -> Vec<String> {
        let datagrams = self.datagrams.lock().expect("no panic under the lock");
        datagrams
            .iter()
            .map(|datagram| {
                let newline = datagram
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .expect("SDKs send a header line");
                String::from_utf8(datagram[newline + 1..].to_vec()).expect("SDKs send UTF-8")
            })
            .collect()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        // Wakes the relay, which looks at `ending` first.
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            && socket.send_to(b"end", self.address).is_ok()
        {
            drop(self.relay.take().map(JoinHandle::join));
        }
    }
}
