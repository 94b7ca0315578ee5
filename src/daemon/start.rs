//! The start, as far as it waits for nobody: sockets, threads, what documents wait in.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;

use super::running::{Part, Receiving};
use super::{Daemon, StartError};
use crate::api::summary::Summary;
use crate::config::{Config, Environment, LogLevel, SystemFiles, TcpConfig};
use crate::exporters::xray::XRay;
use crate::exporters::xray::encoding::Segments;
use crate::ledger::Ledger;
use crate::net::listen;
use crate::pipeline::budget::{self, Budget, MB};
use crate::pipeline::lane::Lane;
use crate::pipeline::spool::Spool;
use crate::receivers::udp::fragments::LostInFragments;
use crate::receivers::udp::kernel::KernelDrops;
use crate::receivers::udp::receive_buffer::{receive_buffer_advice, receive_buffer_bytes};
use crate::receivers::udp::{self, Receiver};

impl Daemon {
    /// Binds the socket and starts to receive. From here on no datagram is lost to a slow start.
    ///
    /// # Errors
    /// [`StartError::Aws`], [`StartError::Bind`], [`StartError::Spool`], [`StartError::Thread`] and [`StartError::System`].
    pub fn bind(mut config: Config, environment: Environment) -> Result<Self, StartError> {
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(version, "Initializing AWS X-Ray daemon {version}");
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        // Before it takes segments that it could only lose.
        XRay::check_files(&environment).map_err(StartError::Aws)?;
        let socket = udp::bind(&config.udp.address).map_err(StartError::Bind)?;
        let udp_address = socket.local_addr().map_err(StartError::System)?;
        tracing::info!(address = %udp_address, "Listening on UDP {udp_address}");
        say_buffer(&socket, &config);

        let memory_bytes = budget::available_memory_bytes(&SystemFiles);
        let budget = Budget::decide(config.buffer.memory_mb, memory_bytes);
        let ledger = Arc::new(Ledger::default());
        let lane = lane(&config, budget, &ledger)?;
        let kernel_drops = KernelDrops::of_socket(&socket, &SystemFiles).map(Arc::new);
        let lost_in_fragments = LostInFragments::from_now(&SystemFiles);
        let receiver = Receiver::new(
            socket,
            Arc::clone(&lane),
            Arc::clone(&ledger),
            kernel_drops.clone(),
        );
        let receiving = receive(receiver).map_err(|error| StartError::Thread("receives", error))?;
        tracing::info!(
            limit_mb = budget.total_mb,
            "Using buffer memory limit of {} MB",
            budget.total_mb
        );
        if let Some(warning) = budget.warning(memory_bytes) {
            tracing::warn!(
                limit_mb = memory_bytes / MB,
                buffer_mb = budget.total_mb,
                "{warning}"
            );
        }
        // After UDP, since a name is looked up for it perhaps, and datagrams come meanwhile.
        let tcp = tcp(&mut config.tcp)?;
        if let Some(address) = tcp.as_ref().and_then(|tcp| tcp.local_addr().ok()) {
            tracing::info!(address = %address, "Starting proxy http server on {address}");
        }
        let summary = Arc::new(Summary {
            ledger,
            lane,
            kernel_drops,
            lost_in_fragments,
        });
        Ok(Self {
            config,
            environment,
            udp_address,
            memory_bytes,
            tcp,
            summary,
            health: Arc::default(),
            receiving,
        })
    }
}

/// The TCP port, unless it is to stay closed. Nor is there one, from then on, if it can't be had where nobody asked for
/// it: a second daemon on a host, with a UDP address of its own, is worth running without.
fn tcp(config: &mut TcpConfig) -> Result<Option<TcpListener>, StartError> {
    if config.closed {
        return Ok(None);
    }
    match listen::tcp(&config.address) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if !config.is_asked_for() => {
            tracing::error!(error = %error, "{error}. Nothing asked for that address: going on without a TCP port");
            config.closed = true;
            Ok(None)
        }
        Err(error) => Err(StartError::Bind(error)),
    }
}

/// Says what the kernel keeps for the receiver, and what would make that more, if it is less than it should be.
fn say_buffer(socket: &UdpSocket, config: &Config) {
    // From `warn` on it is left out: it is advice, not something that went wrong.
    if config.log.level <= LogLevel::Info {
        match receive_buffer_bytes(socket) {
            Ok(granted_bytes) => match receive_buffer_advice(granted_bytes) {
                Some(advice) => tracing::warn!(granted_bytes, "{advice}"),
                None => tracing::info!(granted_bytes, "UDP receive buffer: {} KiB", granted_bytes / 1024),
            },
            Err(error) => {
                tracing::debug!(error = %error, "The size of the UDP receive buffer is not known: {error}");
            }
        }
    }
}

/// Receives on a thread of its own.
fn receive(receiver: Receiver<Lane<Segments>>) -> io::Result<Receiving> {
    let (stop, stopped) = oneshot::channel();
    let (tell_ended, ended) = oneshot::channel();
    thread::Builder::new()
        .name("xray-udp".to_owned())
        .spawn(move || {
            let result = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .build()
                .and_then(|runtime| runtime.block_on(receiver.run(stopped)));
            // Nobody listens any more when the daemon was told to end at once.
            drop(tell_ended.send(result));
        })?;
    Ok(Part::new(stop, ended))
}

/// The lane and, if there is to be one, its spool with a thread of its own.
fn lane(config: &Config, budget: Budget, ledger: &Arc<Ledger>) -> Result<Arc<Lane<Segments>>, StartError> {
    let Some(settings) = &config.spool else {
        return Ok(Arc::new(Lane::new(budget, Arc::clone(ledger))));
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
    let lane = Arc::new(Lane::with_spool(budget, Arc::clone(ledger), Some(spool)));
    thread::Builder::new()
        .name("xray-spool".to_owned())
        .spawn({
            let lane = Arc::clone(&lane);
            move || worker.run(&*lane)
        })
        .map_err(|error| StartError::Thread("writes to the spool", error))?;
    Ok(lane)
}
