//! A port that stays the double's own while it is down.
//!
//! Tests run beside each other and take free ports all the time: one that is given up for a moment may be another
//! double's by the time its own wants it back. On Linux a second socket keeps it, which is bound and never listens.
//! Connections are refused meanwhile, as on a port that is free, and the system gives it to nobody who asks for any.
//! Elsewhere nothing can do both, and the port may be lost.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

/// Connections that may wait to be taken.
const BACKLOG: i32 = 1024;

pub(crate) struct Port {
    addr: SocketAddr,
    /// Its descriptor is all that is wanted of it.
    _keeper: Option<Socket>,
}

impl Port {
    /// A port at `addr`; a free one where that has 0.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub(crate) fn take(addr: SocketAddr) -> io::Result<Self> {
        let keeper = bound(addr)?;
        let addr = keeper
            .local_addr()?
            .as_socket()
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        let keeper = cfg!(target_os = "linux").then_some(keeper);
        Ok(Self {
            addr,
            _keeper: keeper,
        })
    }

    /// Its address; the port is real.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Listens on it, on the tokio runtime this is called on.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn listen(&self) -> io::Result<TcpListener> {
        let socket = bound(self.addr)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket.into())
    }
}

/// Bound so that another socket may be too, as long as only one listens.
fn bound(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    // On Windows it would let anybody have the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

// How ports are chosen, and what a connection leaves behind, is each system's own.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    #[tokio::test]
    async fn nobody_who_asks_for_any_port_gets_one_that_is_down_and_it_can_be_had_again() {
        let port = Port::take((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = port.listen().unwrap();
        // It was in use: what is left of a connection does not stand in the way.
        let client = TcpStream::connect(port.addr()).unwrap();
        drop(listener.accept().await.unwrap());
        drop(listener);
        drop(client);
        let refused = TcpStream::connect(port.addr()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        // As many as there are ports to choose from.
        for _ in 0..30_000 {
            let other = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            assert_ne!(other.local_addr().unwrap(), port.addr());
        }
        let _listener = port.listen().unwrap();
        TcpStream::connect(port.addr()).unwrap();
    }
}
