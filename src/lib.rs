#![doc = include_str!("../docs/architecture.md")]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod api;
pub mod aws;
pub mod cli;
pub mod config;
pub mod daemon;
#[allow(
    clippy::disallowed_methods,
    reason = "serves people at a terminal and a page; what can be told the time is in crates/xray-service"
)]
pub mod dev;
pub mod exporters;
pub mod ledger;
pub mod logs;
pub mod net;
pub mod pipeline;
pub mod receivers;

/// What the targets in `fuzz/` reach beyond the public interface. It is generic, so that nothing of it is in the daemon.
#[doc(hidden)]
pub mod fuzzing {
    use std::sync::Arc;
    use std::time::Instant;

    use tokio::io::{AsyncRead, AsyncWrite};
    use tokio::sync::watch;

    use crate::api::limits::CONNECTIONS;
    use crate::api::{App, Upstream};
    use crate::net::server::connection::{self, Clocked};

    /// Serves one connection of the TCP port that is made `now`, as its server does, until the client or a time limit ends
    /// it.
    pub async fn serve_http<S, U>(stream: S, app: &App<U>, now: Instant)
    where
        S: AsyncRead + AsyncWrite + Unpin,
        U: Upstream,
    {
        let shared = Arc::new(Clocked::new(now));
        let (_stop, stopped) = watch::channel(false);
        let answer = |request| app.answer(request);
        let _ending = connection::http1(stream, shared, CONNECTIONS, stopped, answer).await;
    }
}
