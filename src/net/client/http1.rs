//! HTTP/1.1 on an open connection, by hyper.

use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

use super::body::RequestBody;

/// A byte stream of any kind: TCP, TLS, or a tunnel.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// An open connection.
pub(crate) type Stream = TokioIo<Box<dyn Io>>;

/// A connection that requests are sent on. It closes when this is dropped, after the request on its way if there is one.
#[derive(Debug)]
pub(super) struct Http1 {
    pub(super) sender: SendRequest<RequestBody>,
    /// Reads and writes.
    driver: AbortHandle,
}

impl Http1 {
    /// Speaks HTTP/1.1 on `stream`. Both the pool and tunnels do it here, so that the program has hyper's code for it once.
    ///
    /// # Errors
    /// What hyper says; it does nothing yet that fails.
    pub(super) async fn start(stream: Stream) -> hyper::Result<Self> {
        let (sender, connection) = handshake(stream).await?;
        // Ends by itself: with the other side, with an error, with an upgrade, or after the sender is dropped.
        let driver = tokio::spawn(connection.with_upgrades()).abort_handle();
        Ok(Self { sender, driver })
    }

    /// Closes the connection whatever is on its way.
    pub(super) fn abort(self) {
        self.driver.abort();
    }
}
