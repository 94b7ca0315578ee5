//! The only place that knows all the others: it binds, wires, waits and drains.
//!
//! Start: the socket is bound and read first, by a thread of its own; region, credentials and endpoint are found
//! while documents already gather in the intake. End: the socket is emptied and closed, then the sender drains, then what
//! is left goes to the spool if there is one, then one last line says what became of every document. One deadline bounds
//! it all.

mod send;
pub mod signals;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use self::signals::Stop;
use crate::api::health::Health;
use crate::api::summary::{Summary, Totals};
use crate::api::{self, App, metrics};
use crate::aws;
use crate::config::{Config, Disk, Environment, LogLevel, Sourced};
use crate::exporters::sender::Phase;
use crate::exporters::xray::XRay;
use crate::ledger::{DropReason, Ledger};
use crate::logs;
use crate::net::client::SettingError;
use crate::net::listen::{self, BindError};
use crate::net::server::guard::Guard;
use crate::pipeline::batch::Batch;
use crate::pipeline::budget::{self, Budget, MB};
use crate::pipeline::intake::Intake;
use crate::pipeline::spool::Spool;
use crate::receivers::udp::kernel::KernelDrops;
use crate::receivers::udp::{self, Receiver};

/// Most characters of a path in an error.
const SHOWN_PATH_CHARS: usize = 500;

/// What the slowest disks that one runs services on write, in files of a batch each that are made safe one by one.
const SPOOL_BYTES_PER_S: f64 = 20e6;

/// The part of the shutdown timeout that requests on the TCP port get, as a divisor: half. They take 1.8 s at the most
/// when they are forwarded; what waits is sent meanwhile, and needs the rest when a slow client uses all of it.
const SERVING_SHARE: u32 = 2;

/// What the receiver gets beyond the deadline, at a stop that was too short for it, to read what the kernel holds: a
/// full receive buffer takes some 50 ms.
const COUNTING_MAX: Duration = Duration::from_millis(250);

/// Why the daemon did not start.
#[derive(Debug)]
pub enum StartError {
    /// An address can't be listened on.
    Bind(BindError),
    /// The system refuses a thread, a socket or a runtime.
    System(io::Error),
    /// No region was found.
    Region(aws::region::RegionError),
    /// Endpoint, proxy or certificates can't be used.
    Aws(SettingError),
    /// The spool's directory can't be used.
    Spool(Sourced<PathBuf>, io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::System(error) => write!(f, "The system refuses what the daemon needs to run: {error}"),
            Self::Region(error) => error.fmt(f),
            Self::Aws(error) => error.fmt(f),
            Self::Spool(Sourced { value, source }, error) => write!(
                f,
                "Cannot use the spool {} ({source}): {error}; give a directory that this user may write to, or leave it \
                 out",
                logs::sanitize(value.to_string_lossy().as_bytes(), SHOWN_PATH_CHARS)
            ),
        }
    }
}

impl std::error::Error for StartError {}

/// A daemon that receives, and does not send yet.
#[derive(Debug)]
pub struct Daemon {
    config: Config,
    environment: Environment,
    udp_address: SocketAddr,
    tcp: Option<TcpListener>,
    summary: Arc<Summary>,
    health: Arc<Health>,
    stop_receiving: oneshot::Sender<()>,
    receiving_ended: oneshot::Receiver<io::Result<()>>,
}

impl Daemon {
    /// Binds the socket and starts to receive. From here on no datagram is lost to a slow start.
    ///
    /// # Errors
    /// [`StartError::Bind`], [`StartError::Spool`] and [`StartError::System`].
    pub fn bind(config: Config, environment: Environment) -> Result<Self, StartError> {
        tracing::info!("Initializing AWS X-Ray daemon {}", env!("CARGO_PKG_VERSION"));
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let socket = udp::bind(&config.udp_address).map_err(StartError::Bind)?;
        let udp_address = socket.local_addr().map_err(StartError::System)?;
        tracing::info!("Listening on UDP {udp_address}");

        // From `warn` on it is left out: it is advice, not something that went wrong.
        if config.log.level <= LogLevel::Info {
            match udp::receive_buffer_bytes(&socket).map(udp::receive_buffer_advice) {
                Ok(Some(advice)) => tracing::warn!("{advice}"),
                Ok(None) => tracing::debug!("The UDP receive buffer has what was asked for"),
                Err(error) => tracing::debug!("The size of the UDP receive buffer is not known: {error}"),
            }
        }

        let budget = Budget::decide(config.buffer_memory_mb, budget::available_memory_bytes(&Disk));
        let ledger = Arc::new(Ledger::default());
        let intake = intake(&config, budget, &ledger)?;
        let kernel_drops = KernelDrops::of_socket(&socket, &Disk).map(Arc::new);
        let (stop_receiving, stopped) = oneshot::channel();
        let (ended, receiving_ended) = oneshot::channel();
        let receiver = Receiver::new(
            socket,
            Arc::clone(&intake),
            Arc::clone(&ledger),
            kernel_drops.clone(),
        );
        thread::Builder::new()
            .name("xray-udp".to_owned())
            .spawn(move || {
                let result = tokio::runtime::Builder::new_current_thread()
                    .enable_io()
                    .enable_time()
                    .build()
                    .and_then(|runtime| runtime.block_on(receiver.run(stopped)));
                // Nobody listens any more when the daemon was told to end at once.
                drop(ended.send(result));
            })
            .map_err(StartError::System)?;
        tracing::info!("Using buffer memory limit of {} MB", budget.total_mb);
        // After UDP, since a name is looked up for it perhaps, and datagrams come meanwhile.
        let tcp = if config.no_tcp {
            None
        } else {
            Some(listen::tcp(&config.tcp_address).map_err(StartError::Bind)?)
        };
        if let Some(address) = tcp.as_ref().and_then(|tcp| tcp.local_addr().ok()) {
            tracing::info!("Starting proxy http server on {address}");
        }
        let summary = Arc::new(Summary {
            ledger,
            intake,
            kernel_drops,
        });
        Ok(Self {
            config,
            environment,
            udp_address,
            tcp,
            summary,
            health: Arc::default(),
            stop_receiving,
            receiving_ended,
        })
    }

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
    pub async fn run(self, mut stop: watch::Receiver<Stop>) -> Result<Totals, StartError> {
        let Self {
            config,
            environment,
            tcp,
            summary,
            health,
            stop_receiving,
            mut receiving_ended,
            ..
        } = self;
        let Summary { ledger, intake, .. } = &*summary;
        let guard = Guard::new(
            &config.allow_host,
            environment.get("KUBERNETES_SERVICE_HOST").is_some(),
        );
        let app = Arc::new(App::new(
            guard,
            &config.proxy_allow,
            Arc::clone(&summary),
            Arc::clone(&health),
        ));
        let (stop_serving, serving_stopped) = oneshot::channel();
        let mut serving = Box::pin(serve(tcp, Arc::clone(&app), serving_stopped));
        let (phase, phases) = watch::channel(Phase::Running);
        let mut sending = Box::pin(send::send(
            &config,
            &environment,
            intake,
            ledger,
            phases,
            &app,
            &health,
        ));
        let minutes = tokio::spawn({
            let summary = Arc::clone(&summary);
            async move { summary.run().await }
        });

        let failed = tokio::select! {
            // It ends by itself only when the start failed.
            result = &mut sending => Some(result),
            ended = &mut receiving_ended => Some(Err(receiving_failed(ended))),
            ended = &mut serving => Some(Err(serving_failed(ended))),
            _ = stop.wait_for(|stop| *stop != Stop::Run) => None,
        };
        let deadline = Instant::now() + config.shutdown_timeout;
        let ended = async {
            health.set_receiving_ended();
            // Those that have ended already need no signal.
            let _: Result<(), ()> = stop_receiving.send(());
            let _: Result<(), ()> = stop_serving.send(());
            let result = match failed {
                // What is there can't be sent.
                Some(result) => {
                    if matches!(&result, Err(error) if !matches!(error, StartError::System(_))) {
                        drop(tokio::time::timeout_at(deadline, &mut receiving_ended).await);
                    }
                    result
                }
                None => {
                    let until = deadline - spool_reserve(intake, config.shutdown_timeout);
                    let received = async {
                        if let Ok(Err(error)) = (&mut receiving_ended).await {
                            tracing::error!("Receiving on UDP ended with: {error}");
                        }
                    };
                    let limit = config.shutdown_timeout / SERVING_SHARE;
                    // Moved in: when the time is up, what is still being served ends, so that nothing comes after the
                    // seal.
                    let served = async move {
                        match tokio::time::timeout(limit, serving).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => tracing::error!("Serving on TCP ended with: {error}"),
                            Err(_) => tracing::warn!(
                                "Requests on the TCP port that were not over {} s after the signal are cut",
                                limit.as_secs_f64()
                            ),
                        }
                    };
                    let sources_end = async {
                        tokio::join!(received, served);
                        // What came over TCP after the receiver had ended.
                        intake.seal(Instant::now().into_std());
                        phase.send_replace(Phase::Draining);
                    };
                    let drained = async { tokio::join!(sources_end, sending.as_mut()).1 };
                    tokio::time::timeout_at(until, drained).await.unwrap_or(Ok(()))
                }
            };
            // With it go the calls in flight: their batches are kept too.
            drop(sending);
            // Late, it keeps what it can, and the rest is counted below.
            drop(tokio::time::timeout_at(deadline, keep_what_is_left(intake)).await);
            result
        };
        let result = tokio::select! {
            result = ended => result,
            () = told_to_end_now(&mut stop) => Ok(()),
        };
        // Told to stop, it reads all the same what came before: what can't be sent any more is counted with the rest.
        if !receiving_ended.is_terminated() {
            drop(tokio::time::timeout(COUNTING_MAX, &mut receiving_ended).await);
        }
        if let Some(spool) = intake.spool() {
            spool.close_account();
        }
        minutes.abort();

        let left = ledger.snapshot().pending();
        ledger.add_dropped(DropReason::Shutdown, left);
        if left > 0 {
            tracing::warn!(
                segments = left,
                "Dropping {left} segments that could not be sent before the end (--shutdown-timeout is {} s)",
                config.shutdown_timeout.as_secs_f64()
            );
        }
        let totals = summary.totals();
        tracing::info!("Shutdown finished: {totals}");
        result.map(|()| totals)
    }
}

/// The intake and, if there is to be one, its spool with a thread of its own.
fn intake(config: &Config, budget: Budget, ledger: &Arc<Ledger>) -> Result<Arc<Intake>, StartError> {
    let Some(settings) = &config.spool else {
        return Ok(Arc::new(Intake::new(budget, Arc::clone(ledger))));
    };
    let budget = budget.with_spool();
    let (spool, mut worker) = Spool::new(
        &settings.directory.value,
        settings.size_mb * MB,
        budget.to_spool_bytes,
        Arc::clone(ledger),
    );
    worker
        .claim()
        .map_err(|error| StartError::Spool(settings.directory.clone(), error))?;
    let intake = Arc::new(Intake::with_spool(budget, Arc::clone(ledger), Some(spool)));
    thread::Builder::new()
        .name("xray-spool".to_owned())
        .spawn({
            let intake = Arc::clone(&intake);
            move || worker.run(&*intake)
        })
        .map_err(StartError::System)?;
    Ok(intake)
}

/// How much of the shutdown timeout is kept for writing to the spool what can't be sent: a quarter, or more when there is
/// much to write, up to a half.
fn spool_reserve(intake: &Intake, shutdown_timeout: Duration) -> Duration {
    if intake.spool().is_none() {
        return Duration::ZERO;
    }
    let write = Duration::from_secs_f64(intake.bytes() as f64 / SPOOL_BYTES_PER_S);
    write.clamp(shutdown_timeout / 4, shutdown_timeout / 2)
}

/// Gives the spool everything that is still in memory, and waits until it has it.
async fn keep_what_is_left(intake: &Intake) {
    let Some(spool) = intake.spool() else { return };
    let left = intake.abandon();
    let segments: usize = left.iter().map(|batch| batch.documents).sum();
    if segments > 0 {
        tracing::info!(
            segments,
            "Keeping {segments} unsent segments in the spool, to be sent after the next start"
        );
    }
    // What it can't take is pending, and counted at the end.
    let _refused: Vec<Batch> = spool.keep_at_end(left);
    spool.close().await;
}

fn receiving_failed(ended: Result<io::Result<()>, oneshot::error::RecvError>) -> StartError {
    let error = match ended {
        Ok(Err(error)) => error,
        // It only ends by itself with an error, or by a panic, which drops its end of the channel.
        Ok(Ok(())) | Err(_) => io::Error::other("the receiving thread has ended"),
    };
    StartError::System(error)
}

/// Serves the TCP port until `stop` and all requests are over; for ever without one.
async fn serve(
    listener: Option<TcpListener>,
    app: Arc<App<XRay>>,
    stop: oneshot::Receiver<()>,
) -> io::Result<()> {
    match listener {
        Some(listener) => api::serve(listener, app, stop).await,
        None => {
            // An error is a stop too: the daemon is gone.
            let _: Result<(), oneshot::error::RecvError> = stop.await;
            Ok(())
        }
    }
}

fn serving_failed(ended: io::Result<()>) -> StartError {
    let ended = ended.err();
    // It only ends by itself with an error.
    StartError::System(ended.unwrap_or_else(|| io::Error::other("the TCP port is closed")))
}

async fn told_to_end_now(stop: &mut watch::Receiver<Stop>) {
    if stop.wait_for(|stop| *stop == Stop::Now).await.is_err() {
        // The other end is gone; only the deadline is left.
        std::future::pending().await
    }
}

/// Runs a daemon as the process: with signals for `stop`, on a runtime of its own.
///
/// # Errors
/// As [`Daemon::bind`] and [`Daemon::run`].
pub fn run(
    config: Config,
    environment: Environment,
    reopen_log: Option<Box<dyn Fn() + Send>>,
) -> Result<Stop, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::System)?;
    let result = runtime.block_on(async {
        let (stop, stopped) = watch::channel(Stop::Run);
        let told = stopped.clone();
        // Before the socket: whoever sees it bound may send a signal, which must not kill what was received.
        let signals = signals::listen(stop, reopen_log).map_err(StartError::System)?;
        let signals = tokio::spawn(signals);
        let daemon = Daemon::bind(config, environment)?;
        give_way_to_the_receiver();
        // As a task: the future that a runtime blocks on is woken through the operating system, even by its own tasks, and
        // the sender is woken at the end of each call.
        let result = match tokio::spawn(daemon.run(stopped)).await {
            Ok(result) => result,
            Err(error) => Err(StartError::System(io::Error::other(error))),
        };
        signals.abort();
        result.map(|_| *told.borrow())
    });
    // Name look-ups run on threads that can't be cancelled; they must not hold the process.
    runtime.shutdown_timeout(Duration::ZERO);
    result
}

/// How much lower than the receiver's the priority of the sending thread is, as a nice value: it gets a third of the
/// processor when both want the same one.
#[cfg(target_os = "linux")]
const SENDER_NICE: i32 = 5;

/// Lowers the priority of this thread, which sends and serves, and of those that it starts. What is to be sent can
/// wait in memory; what is to be received waits in the kernel, where it may not fit. Needs no privilege.
#[cfg(target_os = "linux")]
fn give_way_to_the_receiver() {
    // No process means the calling thread, on Linux.
    if let Err(error) = rustix::process::setpriority_process(None, SENDER_NICE) {
        tracing::debug!("The sending thread keeps its priority: {error}");
    }
}

/// Elsewhere a priority belongs to the whole process.
#[cfg(not(target_os = "linux"))]
fn give_way_to_the_receiver() {}
