//! Relays between a client and the daemon that keep what they relay.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Forwards each datagram to the daemon, unchanged; ends when dropped.
pub struct Tap {
    /// Where to send segments in place of the daemon's address.
    pub address: SocketAddr,
    datagrams: Arc<Mutex<Vec<Vec<u8>>>>,
    ending: Arc<AtomicBool>,
    relay: Option<JoinHandle<()>>,
}

impl Tap {
    /// Relays to `daemon`.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(daemon: SocketAddr) -> Self {
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

    /// What was relayed so far.
    ///
    /// # Panics
    /// When the relay has.
    #[must_use]
    pub fn datagrams(&self) -> Vec<Vec<u8>> {
        self.datagrams.lock().expect("no panic under the lock").clone()
    }

    /// The documents relayed so far: what follows the first newline of each datagram.
    ///
    /// # Panics
    /// When a datagram has no newline, or is not UTF-8.
    #[must_use]
    pub fn documents(&self) -> Vec<String> {
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

/// Forwards each connection to a port and back, and keeps what the clients say; ends with the process.
pub struct StreamTap {
    /// Where to connect in place of the port.
    pub address: SocketAddr,
    /// What each client has said so far, by connections in the order they came.
    said: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl StreamTap {
    /// Relays to `port`.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(port: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let said = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let said = Arc::clone(&said);
            move || {
                for client in listener.incoming() {
                    let (Ok(client), Ok(daemon)) = (client, TcpStream::connect(port)) else {
                        return;
                    };
                    relay(client, daemon, &said);
                }
            }
        });
        Self { address, said }
    }

    /// What each client has said so far.
    ///
    /// # Panics
    /// When a relay has.
    #[must_use]
    pub fn said(&self) -> Vec<Vec<u8>> {
        self.said.lock().expect("no panic under the lock").clone()
    }
}

fn relay(client: TcpStream, daemon: TcpStream, said: &Arc<Mutex<Vec<Vec<u8>>>>) {
    let connection = {
        let mut said = said.lock().expect("no panic under the lock");
        said.push(Vec::new());
        said.len() - 1
    };
    let (to_client, from_daemon) = (client.try_clone(), daemon.try_clone());
    if let (Ok(to_client), Ok(from_daemon)) = (to_client, from_daemon) {
        std::thread::spawn(move || pass_on(from_daemon, to_client, |_| {}));
    }
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        pass_on(client, daemon, |bytes| {
            said.lock().expect("no panic under the lock")[connection].extend_from_slice(bytes);
        });
    });
}

/// Until one side is gone. What is heard is kept before it is sent on, so that whatever has arrived is known here.
fn pass_on(mut from: TcpStream, mut to: TcpStream, keep: impl Fn(&[u8])) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        keep(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Write));
}
