//! The only place that knows all the others: it binds, wires, waits and drains.
//!
//! Start: the socket is bound and read first, by a thread of its own; region, credentials and endpoint are found
//! while documents already gather in the lane. End: the socket is emptied and closed, then the sender drains, then what
//! is left goes to the spool if there is one, then one last line says what became of every document. One deadline bounds
//! it all.

mod error;
mod process;
mod records;
mod remainder;
mod running;
mod send;
// The manager that it speaks to is Windows' own.
#[cfg(windows)]
pub mod service;
pub mod signals;
#[cfg(test)]
mod simulation;
mod start;
mod status;
// The manager that it speaks to is systemd.
#[cfg(target_os = "linux")]
mod supervisor;
pub(crate) mod threads;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::error::StartError;
pub use self::process::run;
pub use self::records::TakesLogs;
use self::records::WithLogs;
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
use crate::net::server::origins::Origins;
use crate::receivers;
use crate::receivers::otlp::Otlp;

/// A daemon that receives, and does not send yet.
#[derive(Debug)]
pub struct Daemon {
    config: Config,
    environment: Environment,
    udp_address: SocketAddr,
    /// What this process may use.
    memory_bytes: u64,
    tcp: Option<TcpListener>,
    otlp: Vec<TcpListener>,
    summary: Arc<Summary>,
    health: Arc<Health>,
    receiving: Receiving,
    logs: Option<Logs>,
}

/// Who sees log records.
struct Logs(TakesLogs);

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logs")
    }
}

impl Daemon {
    /// The address that HTTP is served on; `None` without a TCP port.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }

    /// The addresses that OTLP is taken on.
    #[must_use]
    pub fn otlp_addresses(&self) -> Vec<SocketAddr> {
        self.otlp
            .iter()
            .filter_map(|otlp| otlp.local_addr().ok())
            .collect()
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

    /// From now on OTLP's log records are taken too, and each request with some is shown to `logs`. It must be quick:
    /// requests are served meanwhile.
    #[must_use]
    pub fn with_logs(self, logs: TakesLogs) -> Self {
        Self {
            logs: Some(Logs(logs)),
            ..self
        }
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
            otlp,
            summary,
            health,
            mut receiving,
            logs,
        } = self;
        let fanout = &*summary.fanout;
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
        let is_container = environment.get("KUBERNETES_SERVICE_HOST").is_some();
        let (stop_tcp, tcp_stopped) = oneshot::channel();
        let requests = WithLogs {
            fanout: Arc::clone(&summary.fanout),
            logs: logs.map(|Logs(logs)| logs),
        };
        let (stop_otlp, taking) = take_otlp(otlp, &config, &summary, requests, memory_bytes, is_container);
        let stop_serving = std::iter::once(stop_tcp).chain(stop_otlp).collect();
        let (phase, phases) = watch::channel(Phase::Running);
        let mut running = Running {
            receiving: &mut receiving,
            serving: Part::new(
                stop_serving,
                Box::pin(async {
                    let tcp = serve(tcp, Arc::clone(&app), connections, tcp_stopped);
                    tokio::try_join!(tcp, taking).map(|((), ())| ())
                }),
            ),
            fanout,
            sending: Sending {
                phase,
                ended: Box::pin(send::send(&config, &environment, fanout, &phases, &app, &health)),
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
        for spool in fanout.lanes().all().filter_map(|lane| lane.spool()) {
            spool.close_account();
        }
        minutes.abort();

        for lane in fanout.lanes().all() {
            remainder::settle(lane, config.shutdown_timeout).await;
        }
        let totals = summary.totals();
        summary::say_finished(&totals);
        result.map(|()| totals)
    }
}

/// Takes OTLP on these ports, until each is told to stop and all its requests are over.
fn take_otlp(
    listeners: Vec<TcpListener>,
    config: &Config,
    summary: &Arc<Summary>,
    requests: WithLogs,
    memory_bytes: u64,
    is_container: bool,
) -> (
    Vec<oneshot::Sender<()>>,
    impl Future<Output = io::Result<()>> + Send,
) {
    let allow_origin = config.otlp.as_ref().map(|otlp| otlp.allow_origin.clone());
    let otlp = Arc::new(Otlp::new(
        Arc::new(requests),
        Arc::clone(summary.ledger()),
        Guard::new(&config.tcp.allow_host, is_container),
        Origins::new(&allow_origin.unwrap_or_default()),
        receivers::otlp::limits::bodies(memory_bytes),
    ));
    let limits = receivers::otlp::limits::connections(open_files(), listeners.len());
    let (stops, parts): (Vec<_>, Vec<_>) = listeners
        .into_iter()
        .map(|listener| {
            let (stop, stopped) = oneshot::channel();
            let otlp = Arc::clone(&otlp);
            (stop, receivers::otlp::serve(listener, otlp, limits, stopped))
        })
        .unzip();
    let all = async {
        let mut serving = JoinSet::new();
        for part in parts {
            serving.spawn(part);
        }
        // Dropped, it ends them all.
        while let Some(ended) = serving.join_next().await {
            ended.map_err(io::Error::other)??;
        }
        Ok(())
    };
    (stops, all)
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
            usually = most,
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
