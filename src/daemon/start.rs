//! The start, as far as it waits for nobody: sockets, threads, what documents wait in.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;

use super::running::{Part, Receiving};
use super::{Daemon, StartError};
use crate::api::summary::Summary;
use crate::config::otlp::Routes;
use crate::config::{
    Config, DEFAULT_SOURCE, Environment, LogLevel, OtlpConfig, Sourced, SystemFiles, TcpConfig,
};
use crate::exporters::bodies::Bodies;
use crate::exporters::otlp::Otlp;
use crate::exporters::xray::XRay;
use crate::ledger::Ledger;
use crate::ledger::destination::Destination;
use crate::net::{listen, own};
use crate::pipeline::budget::{self, Budget, MB};
use crate::pipeline::fanout::{Fanout, Lanes};
use crate::pipeline::lane::Lane;
use crate::pipeline::spool::Spool;
use crate::receivers::otlp::limits::bodies_bytes;
use crate::receivers::udp::fragments::LostInFragments;
use crate::receivers::udp::kernel::KernelDrops;
use crate::receivers::udp::receive_buffer::{
    RECEIVE_BUFFER_BYTES, receive_buffer_advice, receive_buffer_bytes,
};
use crate::receivers::udp::{self, Receiver};

/// The directory in that of the spool where what goes to OTLP waits.
const OTLP_SPOOL: &str = "otlp";

impl Daemon {
    /// Binds the socket and starts to receive. From here on no datagram is lost to a slow start.
    ///
    /// # Errors
    /// [`StartError::Aws`], [`StartError::Bind`], [`StartError::Loop`], [`StartError::Spool`], [`StartError::Thread`] and [`StartError::System`].
    pub fn bind(mut config: Config, environment: Environment) -> Result<Self, StartError> {
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(version, "Initializing AWS X-Ray daemon {version}");
        for warning in &config.warnings {
            warning.say();
        }
        // Before it takes segments that it could only lose.
        XRay::check_files(&environment).map_err(StartError::Aws)?;
        if let Some(endpoint) = config.otlp.as_ref().and_then(|otlp| otlp.endpoint.as_ref()) {
            Otlp::check_files(endpoint, &environment).map_err(StartError::Aws)?;
        }
        say_routes(&config);
        let socket = udp::bind(&config.udp.address).map_err(StartError::Bind)?;
        let udp_address = socket.local_addr().map_err(StartError::System)?;
        tracing::info!(address = %udp_address, "Listening on UDP {udp_address}");
        say_buffer(&socket, &config);

        let memory_bytes = budget::available_memory_bytes(&SystemFiles);
        let budget = Budget::decide(config.buffer.memory_mb, memory_bytes);
        let fanout = Arc::new(fanout(&config, budget)?);
        let kernel_drops = KernelDrops::of_socket(&socket, &SystemFiles).map(Arc::new);
        let lost_in_fragments = LostInFragments::from_now(&SystemFiles);
        let receiver = Receiver::new(
            socket,
            Arc::clone(&fanout),
            Arc::clone(fanout.ledger()),
            kernel_drops.clone(),
        );
        let receiving = receive(receiver).map_err(|error| StartError::Thread("receives", error))?;
        tracing::info!(
            limit_mb = budget.total_mb,
            "Using buffer memory limit of {} MB",
            budget.total_mb
        );
        if let Some(warning) = budget.warning(memory_bytes, bodies_bytes(&config, memory_bytes)) {
            tracing::warn!(
                limit_mb = warning.memory_mb,
                buffer_mb = warning.buffer_mb,
                needed_mb = warning.needed_mb,
                own_mb = warning.own_mb,
                smaller_buffer_mb = warning.smaller.map(|(buffer_mb, _)| buffer_mb),
                smaller_needed_mb = warning.smaller.map(|(_, needed_mb)| needed_mb),
                "{warning}"
            );
        }
        // After UDP, since a name is looked up for it perhaps, and datagrams come meanwhile.
        let tcp = tcp(&mut config.tcp)?;
        if let Some(address) = tcp.as_ref().and_then(|tcp| tcp.local_addr().ok()) {
            tracing::info!(address = %address, "Starting proxy http server on {address}");
        }
        let otlp = otlp(&config)?;
        refuse_loops(&config, tcp.iter().chain(&otlp))?;
        let summary = Arc::new(Summary {
            fanout,
            kernel_drops,
            lost_in_fragments,
        });
        Ok(Self {
            config,
            environment,
            udp_address,
            memory_bytes,
            tcp,
            otlp,
            summary,
            health: Arc::default(),
            receiving,
            logs: None,
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
            tracing::error!(
                address = error.address().value,
                source = error.address().source,
                error = %error.reason(),
                "{error}. Nothing asked for that address: going on without a TCP port"
            );
            config.closed = true;
            Ok(None)
        }
        Err(error) => Err(StartError::Bind(error)),
    }
}

/// Says where what comes in goes, where that is not X-Ray alone as ever.
fn say_routes(config: &Config) {
    let Some(otlp) = &config.otlp else { return };
    let endpoint = otlp
        .endpoint
        .as_ref()
        .map(|endpoint| endpoint.base.value.as_str());
    let routes = otlp.routes();
    if routes != Routes::WITHOUT_OTLP {
        let routes = routes.in_words(endpoint.unwrap_or_default());
        tracing::info!(routes, "Routes: {routes}");
    }
}

/// The ports for OTLP, without those that can't be had where nobody asked for them.
fn otlp(config: &Config) -> Result<Vec<TcpListener>, StartError> {
    let addresses = config.otlp.iter().flat_map(|otlp| &otlp.listen);
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = match listen::otlp(address) {
            Ok(listener) => listener,
            Err(error) if address.source == DEFAULT_SOURCE => {
                tracing::warn!(
                    address = error.address().value,
                    source = error.address().source,
                    error = %error.reason(),
                    "{error}. Nothing asked for that address: going on without it"
                );
                continue;
            }
            Err(error) => return Err(StartError::Bind(error)),
        };
        if let Ok(address) = listener.local_addr() {
            tracing::info!(address = %address, "Listening for OTLP over HTTP and gRPC on {address}");
        }
        listeners.push(listener);
    }
    Ok(listeners)
}

/// What the texts of the settings told, the settings have refused; here it is what the listeners tell.
fn refuse_loops<'l>(
    config: &Config,
    listeners: impl Iterator<Item = &'l TcpListener>,
) -> Result<(), StartError> {
    let Some(endpoint) = config.otlp.as_ref().and_then(|otlp| otlp.endpoint.as_ref()) else {
        return Ok(());
    };
    let listeners: Vec<SocketAddr> = listeners.filter_map(|one| one.local_addr().ok()).collect();
    match own::reached(&endpoint.base.value, &listeners, &SystemFiles) {
        Some(&listener) => Err(StartError::Loop {
            endpoint: endpoint.base.clone(),
            listener,
        }),
        None => Ok(()),
    }
}

/// Says what the kernel keeps for the receiver, and what would make that more, if it is less than it should be.
fn say_buffer(socket: &UdpSocket, config: &Config) {
    // From `warn` on it is left out: it is advice, not something that went wrong.
    if config.log.level <= LogLevel::Info {
        match receive_buffer_bytes(socket) {
            Ok(granted_bytes) => match receive_buffer_advice(granted_bytes) {
                Some(advice) => tracing::warn!(
                    granted_bytes,
                    granted_kib = granted_bytes / 1024,
                    wanted_bytes = RECEIVE_BUFFER_BYTES,
                    "{advice}"
                ),
                None => tracing::info!(
                    granted_bytes,
                    granted_kib = granted_bytes / 1024,
                    "UDP receive buffer: {} KiB",
                    granted_bytes / 1024
                ),
            },
            Err(error) => {
                tracing::debug!(error = %error, "The size of the UDP receive buffer is not known: {error}");
            }
        }
    }
}

/// Receives on a thread of its own.
fn receive(receiver: Receiver<Fanout<Bodies>>) -> io::Result<Receiving> {
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
    Ok(Part::new(vec![stop], ended))
}

/// The lanes, one for each destination that anything goes to.
fn fanout(config: &Config, budget: Budget) -> Result<Fanout<Bodies>, StartError> {
    let routes = config
        .otlp
        .as_ref()
        .map_or(Routes::WITHOUT_OTLP, OtlpConfig::routes);
    let start = |destination, follower: Option<&Arc<Lane<Bodies>>>| {
        let lanes = if routes.to_xray() && routes.to_otlp() {
            2
        } else {
            1
        };
        let made = Made {
            destination,
            follower: follower.cloned(),
            takes_others: routes != Routes::WITHOUT_OTLP,
        };
        lane(config, budget.share(lanes), lanes as u64, made)
    };
    let lanes = match (routes.to_xray(), routes.to_otlp()) {
        (true, true) => {
            let otlp = start(Destination::Otlp, None)?;
            let is_followed = routes.segments.xray && routes.segments.otlp;
            let xray = start(Destination::XRay, Some(&otlp).filter(|_| is_followed))?;
            Lanes::Two { xray, otlp }
        }
        (false, true) => Lanes::One(start(Destination::Otlp, None)?),
        // Segments go somewhere.
        _ => Lanes::One(start(Destination::XRay, None)?),
    };
    Ok(Fanout::new(lanes, routes))
}

/// What a lane is made for.
struct Made {
    destination: Destination,
    follower: Option<Arc<Lane<Bodies>>>,
    /// It takes more than the segments of receivers.
    takes_others: bool,
}

impl Made {
    fn of(self, lane: Lane<Bodies>) -> Arc<Lane<Bodies>> {
        let lane = lane.to(self.destination);
        let lane = if self.takes_others {
            lane.with_others()
        } else {
            lane
        };
        Arc::new(match self.follower {
            Some(follower) => lane.followed_by(follower),
            None => lane,
        })
    }
}

/// A lane and, if there is to be one, its spool with a thread of its own: one of `lanes`, which share the spool's size.
fn lane(config: &Config, budget: Budget, lanes: u64, made: Made) -> Result<Arc<Lane<Bodies>>, StartError> {
    let ledger = Arc::new(Ledger::default());
    let Some(settings) = &config.spool else {
        return Ok(made.of(Lane::new(budget, ledger)));
    };
    let budget = budget.with_spool();
    let directory = match made.destination {
        Destination::XRay => settings.directory.clone(),
        Destination::Otlp => Sourced {
            value: settings.directory.value.join(OTLP_SPOOL),
            source: settings.directory.source.clone(),
        },
    };
    let (spool, mut worker) = Spool::new(
        &directory.value,
        settings.size_mb * MB / lanes,
        budget.to_spool_bytes,
        Arc::clone(&ledger),
    );
    worker
        .claim()
        .map_err(|error| StartError::Spool(directory, error))?;
    let lane = made.of(Lane::with_spool(budget, ledger, Some(spool)));
    thread::Builder::new()
        .name("xray-spool".to_owned())
        .spawn({
            let lane = Arc::clone(&lane);
            move || worker.run(&*lane)
        })
        .map_err(|error| StartError::Thread("writes to the spool", error))?;
    Ok(lane)
}
