//! `xray dev`: the daemon with X-Ray itself in the same process.
//!
//! The daemon is the one of production, with its endpoint set to this process's own TCP port. It is given a
//! configuration and an environment that are made here, not read: no variable, profile, proxy or endpoint setting of
//! the machine has a say, so nothing can be sent to AWS.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use xray_document::otlp::{self, logs::Record};
use xray_service::console::About;
use xray_service::logs::Line;
use xray_service::sampling::SamplingRule;
use xray_service::service::Service;
use xray_service::traces::Limits;

use super::DAEMON_KEY_ID;
use super::disk::{StoreFile, StoreFileError};
use super::memory::{self, Idle};
use super::open::{self, OpenError};
use super::screen::{self, Screen, View};
use super::tail;
use super::web::{self, Site};
use crate::config::{Config, Environment, LogFormat, Sourced, SystemFiles, TcpConfig, XRayConfig};
use crate::daemon::signals::{self, Stop};
use crate::daemon::{Daemon, StartError, threads};
use crate::ledger::RefusedDatagrams;
use crate::net::listen::{self, BindError};
use crate::net::server::guard::Guard;
use crate::pipeline::intake::{Form, Request};

/// Everything a run needs, checked.
#[derive(Debug, Clone)]
pub struct DevConfig {
    /// The daemon's own settings; what would lead to AWS is replaced.
    pub daemon: Config,
    /// Each trace as a tree.
    pub tree: bool,
    /// The rules of a file, and the default one.
    pub sampling_rules: Vec<SamplingRule>,
    /// Traces are kept in this file.
    pub store: Option<PathBuf>,
    /// Files whose traces are shown.
    pub open: Vec<PathBuf>,
    /// Logs whose lines are shown beside traces.
    pub tail: Vec<PathBuf>,
    /// How much is kept.
    pub limits: Limits,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// The daemon did not.
    #[error(transparent)]
    Daemon(StartError),
    /// The TCP address can't be listened on.
    #[error(fmt = BindError::without_alternative)]
    Tcp(BindError),
    /// The file of `--store` can't be used.
    #[error(transparent)]
    Store(StoreFileError),
    /// A file of `--open` can't be read, or has no trace.
    #[error(transparent)]
    Open(OpenError),
    /// The system refuses the first thread.
    #[error(
        "The system refuses a thread: {0}. Allow xray dev more of them (--pids-limit of a container, ulimit -u)"
    )]
    Thread(io::Error),
    /// The system refuses a thread or a runtime.
    #[error("The system refuses what xray dev needs to run: {0}")]
    System(io::Error),
}

impl DevError {
    /// Says it in the log, with what it names.
    pub fn say(&self) {
        match self {
            Self::Daemon(error) => error.say(),
            Self::Tcp(error) => {
                let address = error.address();
                tracing::error!(
                    address = address.value,
                    source = address.source,
                    error = %error.reason(),
                    "{self}"
                );
            }
            Self::Store(_) | Self::Open(_) | Self::Thread(_) | Self::System(_) => {
                tracing::error!(error = %self, "{self}");
            }
        }
    }
}

/// The region of the built-in service: SDKs need one, and this is what examples have.
const REGION: &str = "us-east-1";

/// How long the page and the terminal get at the end.
const END: Duration = Duration::from_millis(500);

/// Runs until the process is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn run(config: DevConfig, reopen_log: Option<Box<dyn Fn() + Send>>) -> Result<Stop, DevError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(threads::LOOK_UPS_AT_A_TIME)
        .thread_keep_alive(threads::KEPT_FOR)
        .build()
        .map_err(DevError::System)?;
    let result = runtime.block_on(async {
        let (stop, stopped) = watch::channel(Stop::Run);
        let told = stopped.clone();
        // Before the sockets: whoever sees them bound may send a signal.
        let signals = signals::listen(stop, reopen_log).map_err(DevError::System)?;
        let signals = tokio::spawn(signals);
        threads::start_the_first(&SystemFiles)
            .await
            .map_err(DevError::Thread)?;
        let result = run_until(config, stopped).await;
        signals.abort();
        result.map(|()| *told.borrow())
    });
    runtime.shutdown_timeout(Duration::ZERO);
    result
}

async fn run_until(config: DevConfig, stopped: watch::Receiver<Stop>) -> Result<(), DevError> {
    let (now, idle) = (SystemTime::now(), Idle::now());
    let mut service = Service::new(config.limits);
    service.tell_causes();
    service.set_sampling_rules(config.sampling_rules, now);
    let service = Arc::new(Mutex::new(service));
    let disk = match &config.store {
        Some(path) => Some(StoreFile::open(path, &service).map_err(DevError::Store)?),
        None => None,
    };
    let mut opened = Vec::new();
    for path in &config.open {
        opened.push(open::open(path, &service, now).map_err(DevError::Open)?);
    }
    let listener = listen::tcp(&config.daemon.tcp.address).map_err(DevError::Tcp)?;
    let listener = TcpListener::from_std(listener).map_err(DevError::System)?;
    let tcp = listener.local_addr().map_err(DevError::System)?;
    let format = config.daemon.log.format;
    let refusals = config.daemon.log.file.is_some();
    let guard = Guard::new(&config.daemon.tcp.allow_host, false);
    let daemon =
        Daemon::bind(daemon_config(config.daemon, tcp), daemon_environment()).map_err(DevError::Daemon)?;
    let (udp, otlp_at) = (daemon.udp_address(), daemon.otlp_addresses());
    for (name, address, flag) in [("UDP", udp, "-b"), ("TCP", tcp, "-t")] {
        if !address.ip().is_loopback() {
            tracing::warn!(
                name,
                flag,
                address = %address,
                "Listening on {name} {address}: whoever reaches this machine can send segments, and read and clear all \
                 traces. Leave {flag} out to listen on this machine only."
            );
        }
    }

    let about = About {
        started: now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64(),
        udp: udp.to_string(),
        tcp: tcp.to_string(),
        store_file: config.store.as_ref().map(|path| path.display().to_string()),
    };
    let shared = Arc::new(Site::new(service, guard, about, daemon.metrics()).map_err(DevError::System)?);
    let keeps = Arc::downgrade(&shared);
    // Read where it came in: the records of a request are some hundred.
    let daemon = daemon.with_logs(Box::new(move |request: &Request| {
        if let Some(shared) = keeps.upgrade() {
            shared.log(lines_of(request, SystemTime::now()));
        }
    }));
    let sheet = screen::sheet_of_process(format!("http://{}/", reachable(tcp)));
    let mut screen = Screen::new(io::stdout()).map_err(DevError::System)?;
    screen.say(welcome(tcp, udp, &otlp_at, format));
    for opened in &opened {
        screen.say(opened.text(format, &sheet));
    }
    for path in &config.tail {
        tail::start(path.clone(), Arc::downgrade(&shared)).map_err(DevError::System)?;
    }
    let (stop_serving, serving_stopped) = oneshot::channel();
    let (stop_showing, showing_stopped) = oneshot::channel();
    let mut serving = tokio::spawn(web::serve(listener, Arc::clone(&shared), serving_stopped));
    let refused = tokio::spawn(note_refused(Arc::clone(&shared), shared.refused_datagrams()));
    let weighing = tokio::spawn(memory::keep_inside(Arc::clone(&shared), idle));
    let view = View {
        tree: config.tree,
        format,
        sheet,
        refusals,
    };
    let showing = tokio::spawn(screen::show(Arc::clone(&shared), view, screen, showing_stopped));
    let saving = disk.map(|disk| {
        let mut changes = shared.changes();
        let (stop, mut stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = &mut stopped => return disk,
                    _ = changes.changed() => disk.wake(),
                }
            }
        });
        (stop, task)
    });

    // Its last batches go to the port, which serves until the daemon is done.
    let result = daemon.run(stopped).await;
    refused.abort();
    weighing.abort();
    drop(stop_showing);
    if let Ok(screen) = showing.await {
        finish_within(END, move || screen.finish());
    }
    drop(stop_serving);
    // Who is still being answered after that is cut off. A panic has shown itself.
    let _ = tokio::time::timeout(END, &mut serving).await;
    serving.abort();
    if let Some((stop, task)) = saving {
        drop(stop);
        if let Ok(disk) = task.await {
            disk.wake();
            drop(disk);
        }
    }
    result.map(drop).map_err(DevError::Daemon)
}

/// The records of a request that name a trace, as lines beside it.
fn lines_of(request: &Request, arrived: SystemTime) -> Vec<(String, Line)> {
    let arrived = arrived
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64();
    let mut lines = Vec::new();
    let mut take = |record: Record| {
        let line = Line {
            time: record.time.unwrap_or(arrived),
            source: record.service.as_str().into(),
            level: record.level,
            text: record.text,
            span: record.span_id,
        };
        lines.push((record.trace_id, line));
    };
    match request.form {
        Form::Protobuf => otlp::logs::of_protobuf(&request.body, &mut take),
        Form::Json => otlp::logs::of_json(&request.body, &mut take),
    };
    lines
}

/// Shows datagrams that were no segments beside documents that were refused.
async fn note_refused(shared: Arc<Site>, mut told: watch::Receiver<RefusedDatagrams>) {
    let mut noted = 0;
    while told.changed().await.is_ok() {
        let RefusedDatagrams {
            datagrams,
            example,
            beginning,
        } = told.borrow_and_update().clone();
        // Whose segments they are is who looks: here their bytes may be seen.
        shared.note_refused(
            datagrams - noted,
            &format!("{example}; it begins with {beginning}"),
        );
        noted = datagrams;
    }
}

/// A terminal that does not read must not keep the process.
fn finish_within(limit: Duration, finish: impl FnOnce() + Send + 'static) {
    let (done, is_done) = std::sync::mpsc::channel();
    let finishing = std::thread::Builder::new().spawn(move || {
        finish();
        // Nobody waits any more when it took too long.
        let _ = done.send(());
    });
    // Without a thread the end of the text is lost, and nobody is held up.
    if finishing.is_ok() {
        let _ = is_done.recv_timeout(limit);
    }
}

/// The daemon's configuration with everything that leads to AWS replaced.
fn daemon_config(config: Config, tcp: SocketAddr) -> Config {
    let built_in = |value: String| {
        Some(Sourced {
            value,
            source: "xray dev".to_owned(),
        })
    };
    Config {
        xray: XRayConfig {
            region: built_in(REGION.to_owned()),
            endpoint: built_in(format!("http://{}", reachable(tcp))),
            local_mode: true,
            resource_arn: None,
            role_arn: None,
            no_verify_ssl: false,
            proxy_address: None,
            ..config.xray
        },
        config_file: None,
        // The port is this process's own, with more on it.
        tcp: TcpConfig {
            closed: true,
            ..config.tcp
        },
        // The store is on this machine already.
        spool: None,
        ..config
    }
}

/// An environment in which the AWS SDK finds keys at once and nothing else.
fn daemon_environment() -> Environment {
    let variables = [
        ("AWS_ACCESS_KEY_ID", DAEMON_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
        ("AWS_REGION", REGION),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("NO_PROXY", "*"),
        // Files that nobody can have put something into.
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ];
    Environment(BTreeMap::from(
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())),
    ))
}

/// The address under which this machine reaches a listener. One on every address has both IP versions, and SDKs read no
/// IPv6 literals.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
    } else {
        address
    }
}

/// Where to look.
fn welcome(tcp: SocketAddr, udp: SocketAddr, otlp: &[SocketAddr], format: LogFormat) -> String {
    let (tcp, udp) = (reachable(tcp), reachable(udp));
    let otlp: Vec<String> = otlp
        .iter()
        .map(|address| reachable(*address).to_string())
        .collect();
    if format == LogFormat::Json {
        return format!(
            "{}\n",
            serde_json::json!({"listening": {
                "page": format!("http://{tcp}/"), "udp": udp.to_string(), "tcp": tcp.to_string(), "otlp": otlp
            }})
        );
    }
    let otlp = match &otlp[..] {
        [] => String::new(),
        // Each takes both, so that either of SDKs' default ports will do.
        addresses => format!(
            "\x20 OTLP      {} (gRPC and HTTP: OTEL_EXPORTER_OTLP_ENDPOINT)\n",
            addresses.join(", ")
        ),
    };
    let default = "127.0.0.1:2000";
    let is_default = tcp.to_string() == default && udp.to_string() == default;
    let (sdks, send) = if is_default {
        (
            "where X-Ray SDKs send by default".to_owned(),
            "xray send".to_owned(),
        )
    } else {
        let address = if tcp == udp {
            udp.to_string()
        } else {
            format!("tcp:{tcp} udp:{udp}")
        };
        (
            format!("for SDKs: AWS_XRAY_DAEMON_ADDRESS=\"{address}\""),
            format!("xray send --to {udp}"),
        )
    };
    format!(
        "X-Ray on this machine; nothing is sent to AWS.\n\
         \x20 Traces    http://{tcp}/\n\
         \x20 Segments  UDP {udp} ({sdks})\n\
         {otlp}\
         \x20 API       aws xray get-trace-summaries --endpoint-url http://{tcp} --region us-east-1 --no-sign-request …\n\
         \x20 Try       {send}\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_welcome_names_the_variable_when_the_ports_are_not_the_default_ones() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let text = welcome(at("127.0.0.1:2000"), at("127.0.0.1:2000"), &[], LogFormat::Text);
        assert!(text.contains("http://127.0.0.1:2000/\n") && text.contains("Try       xray send\n"));
        assert!(!text.contains("OTLP"));
        // On a machine that never heard of AWS, its command line stops at a missing region, then at missing credentials.
        assert!(
            text.contains("--endpoint-url http://127.0.0.1:2000 --region us-east-1 --no-sign-request …\n")
        );
        let text = welcome(
            at("0.0.0.0:3000"),
            at("[::1]:4000"),
            &[at("0.0.0.0:4317"), at("127.0.0.1:4318")],
            LogFormat::Text,
        );
        assert!(
            text.contains(
                "  OTLP      127.0.0.1:4317, 127.0.0.1:4318 (gRPC and HTTP: OTEL_EXPORTER_OTLP_ENDPOINT)\n"
            ),
            "{text}"
        );
        assert!(text.contains("http://127.0.0.1:3000/\n"), "{text}");
        assert!(text.contains("AWS_XRAY_DAEMON_ADDRESS=\"tcp:127.0.0.1:3000 udp:[::1]:4000\""));
        assert!(text.contains("xray send --to [::1]:4000\n"));
        let json = welcome(
            at("127.0.0.1:1"),
            at("127.0.0.1:1"),
            &[at("127.0.0.1:2")],
            LogFormat::Json,
        );
        assert_eq!(
            json,
            "{\"listening\":{\"otlp\":[\"127.0.0.1:2\"],\"page\":\"http://127.0.0.1:1/\",\"tcp\":\"127.0.0.1:1\",\"udp\":\"127.0.0.1:1\"}}\n"
        );
    }

    #[test]
    fn an_unspecified_address_is_reached_over_loopback() {
        for (bound, reached) in [
            ("0.0.0.0:5", "127.0.0.1:5"),
            ("[::]:5", "127.0.0.1:5"),
            ("10.1.2.3:5", "10.1.2.3:5"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), reached);
        }
    }
}
