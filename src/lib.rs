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

/// What the targets in `fuzz/` reach beyond the public interface. Only there when they are built.
#[cfg(fuzzing)]
pub mod fuzzing {
    use std::sync::Arc;

    use tokio::io::{AsyncRead, AsyncWrite};
    use tokio::sync::watch;
    use tokio::time::Instant;

    use crate::api::limits::CONNECTIONS;
    use crate::api::{App, Upstream};
    use crate::net::server::connection::{self, Shared};

    /// Serves one connection of the TCP port, as its server does, until the client or a time limit ends it.
    pub async fn serve_http<S, U>(stream: S, app: &App<U>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
        U: Upstream,
    {
        let shared = Arc::new(Shared::new(Instant::now().into_std()));
        let (_stop, stopped) = watch::channel(false);
        let answer = |request| app.answer(request);
        let _ending = connection::serve(stream, shared, CONNECTIONS, stopped, answer).await;
    }
}
