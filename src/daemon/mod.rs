//! The only place that knows all the others: it binds, wires, waits and drains.
//!
//! Start: the socket is bound and read first, by a thread of its own; region, credentials and endpoint are found
//! while documents already gather in the lane. End: the socket is emptied and closed, then the sender drains, then what
//! is left goes to the spool if there is one, then one last line says what became of every document. One deadline bounds
//! it all.

mod error;
mod process;
mod remainder;
mod running;
mod send;
pub mod signals;
#[cfg(test)]
mod simulation;
mod start;
mod status;
#[cfg(target_os = "linux")]
mod supervisor;
pub(crate) mod threads;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

pub use self::error::StartError;
pub use self::process::run;
use self::running::{Part, Receiving, Running, Sending};
use self::signals::Stop;
use crate::api::health::Health;
use crate::api::summary::{self, Summary, Totals};
use crate::api::{self, App, metrics};
use crate::config::{Config, Environment};
use crate::exporters::sender::Phase;
use crate::exporters::xray::XRay;
use crate::net::server::guard::Guard;
use crate::net::server::limits::{Limits, open_files};

/// A daemon that receives, and does not send yet.
#[derive(Debug)]
pub struct Daemon {
    config: Config,
    environment: Environment,
    udp_address: SocketAddr,
    /// What this process may use.
    memory_bytes: u64,
    tcp: Option<TcpListener>,
    summary: Arc<Summary>,
    health: Arc<Health>,
    receiving: Receiving,
}

impl Daemon {
    /// The address that HTTP is served on; `None` without a TCP port.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }

    /// The address that datagrams are received on.
    #[must_use]
    pub fn udp_address(&self) -> SocketAddr {
        self.udp_address
    }

    /// Where its numbers come from, for a port that shows them in place of its own.
    #[must_use]
    pub fn metrics(&self) -> metrics::Source {
        metrics::Source::new(Arc::clone(&self.summary), Arc::clone(&self.health))
    }

    /// Finds region, credentials and endpoint, then sends until `stop` says otherwise. Returns the final counts.
    ///
    /// # Errors
    /// [`StartError::Region`], [`StartError::Aws`], or [`StartError::System`] when receiving ended by itself.
    #[expect(clippy::disallowed_methods, reason = "the end has a deadline")]
    pub async fn run(self, mut stop: watch::Receiver<Stop>) -> Result<Totals, StartError> {
        let tcp_address = self.tcp_address();
        let Self {
            config,
            environment,
            memory_bytes,
            udp_address,
            tcp,
            summary,
            health,
            mut receiving,
        } = self;
        let Summary { ledger, lane, .. } = &*summary;
        let app = Arc::new(App::new(
            Guard::new(
                &config.tcp.allow_host,
                environment.get("KUBERNETES_SERVICE_HOST").is_some(),
            ),
            &config.tcp.proxy_allow,
            api::limits::ingest(memory_bytes),
            Arc::clone(&summary),
            Arc::clone(&health),
        ));
        let connections = connections(&config);
        let (stop_serving, serving_stopped) = oneshot::channel();
        let (phase, phases) = watch::channel(Phase::Running);
        let mut running = Running {
            receiving: &mut receiving,
            serving: Part::new(
                stop_serving,
                Box::pin(serve(tcp, Arc::clone(&app), connections, serving_stopped)),
            ),
            lane,
            sending: Sending {
                phase,
                ended: Box::pin(send::send(
                    &config,
                    &environment,
                    lane,
                    ledger,
                    phases,
                    &app,
                    &health,
                )),
            },
            health: &health,
            shutdown_timeout: config.shutdown_timeout,
        };
        let minutes = tokio::spawn({
            let summary = Arc::clone(&summary);
            async move { tokio::join!(summary.run(), summary.say_silence(udp_address, tcp_address)) }
        });

        let failed = running.run(&mut stop).await;
        let deadline = Instant::now() + config.shutdown_timeout;
        let end = async {
            match failed {
                None => running.drain(deadline).await,
                Some(failed) => running.give_up(failed, deadline).await,
            }
        };
        let result = tokio::select! {
            result = end => result,
            () = told_to_end_now(&mut stop) => Ok(()),
        };
        receiving.read_the_rest().await;
        if let Some(spool) = lane.spool() {
            spool.close_account();
        }
        minutes.abort();

        remainder::settle(lane, ledger, config.shutdown_timeout).await;
        let totals = summary.totals();
        summary::say_finished(&totals);
        result.map(|()| totals)
    }
}

/// The bounds of the port's connections; few allowed files make few places, which is said.
fn connections(config: &Config) -> Limits {
    let open_files = open_files();
    let limits = api::limits::connections(open_files);
    let most = api::limits::CONNECTIONS.connections;
    if let Some(files) = open_files
        && limits.connections < most
        && !config.tcp.closed
    {
        tracing::warn!(
            files,
            connections = limits.connections,
            "This process may have {files} files open (RLIMIT_NOFILE), so the TCP port takes {} connections and not \
             {most}.",
            limits.connections
        );
    }
    limits
}

/// Serves the TCP port until `stop` and all requests are over; for ever without one.
async fn serve(
    listener: Option<TcpListener>,
    app: Arc<App<XRay>>,
    limits: Limits,
    stop: oneshot::Receiver<()>,
) -> io::Result<()> {
    match listener {
        Some(listener) => api::serve(listener, app, limits, stop).await,
        None => {
            // An error is a stop too: the daemon is gone.
            let _: Result<(), oneshot::error::RecvError> = stop.await;
            Ok(())
        }
    }
}

async fn told_to_end_now(stop: &mut watch::Receiver<Stop>) {
    if stop.wait_for(|stop| *stop == Stop::Now).await.is_err() {
        // The other end is gone; only the deadline is left.
        std::future::pending().await
    }
}
