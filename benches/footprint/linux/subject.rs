//! What is measured: the daemon, the control, another daemon; each as a process with a configuration of its own.

use std::cell::{RefCell, RefMut};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::args::Options;
use super::destinations::Destinations;
use super::process::{Process, kernel_drops};
use super::role::{self, Helper};
use super::sink::Faults;
use super::{Result, tls};

/// How long a process may take to bind.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How long a process may take to end after SIGTERM.
const END_LIMIT: Duration = Duration::from_secs(60);

/// Between two looks for a bound socket.
const PROBE_PAUSE: Duration = Duration::from_micros(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Daemon,
    Control,
    Other,
}

impl Subject {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Daemon => "xray",
            Self::Control => "control",
            Self::Other => "other",
        }
    }
}

/// What all runs share: the sink, a directory, the binaries.
#[derive(Debug)]
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    sink: RefCell<Helper>,
    endpoint: SocketAddr,
    ca_file: Option<PathBuf>,
    daemon: PathBuf,
    daemon_args: Vec<String>,
    other: Option<PathBuf>,
}

/// A process under test that has bound its socket. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) name: &'static str,
    child: Child,
    pub(crate) process: Process,
    pub(crate) udp: SocketAddr,
    /// From before the start of the process until its socket took datagrams.
    pub(crate) bound_after: Duration,
    log: PathBuf,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) after: Duration,
    pub(crate) status: ExitStatus,
    /// The last line that it logged.
    pub(crate) last_line: String,
}

impl Bench {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let daemon = match &options.daemon {
            Some(binary) => binary.clone(),
            None => shipped()?,
        };
        for binary in std::iter::once(&daemon).chain(&options.other) {
            if !binary.is_file() {
                return Err(format!("there is no program at {}", binary.display()).into());
            }
        }
        Self::with(
            options.tls,
            fs::canonicalize(daemon)?,
            options.daemon_args.clone(),
            options.other.as_ref().map(fs::canonicalize).transpose()?,
        )
    }

    /// The same with a sink and a directory of its own, for a run beside others.
    pub(crate) fn another(&self) -> Result<Self> {
        Self::with(
            self.ca_file.is_some(),
            self.daemon.clone(),
            self.daemon_args.clone(),
            self.other.clone(),
        )
    }

    fn with(tls: bool, daemon: PathBuf, daemon_args: Vec<String>, other: Option<PathBuf>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let ca_file = tls.then(|| tls::create(dir.path())).transpose()?;
        let tls_dir = ca_file
            .as_ref()
            .map(|_| dir.path().to_string_lossy().into_owned());
        let mut sink = Helper::start(role::SINK, tls_dir.as_slice())?;
        let endpoint = SocketAddr::from((Ipv4Addr::LOCALHOST, sink.hear()?.get("port")?));
        Ok(Self {
            dir,
            sink: RefCell::new(sink),
            endpoint,
            ca_file,
            daemon,
            daemon_args,
            other,
        })
    }

    /// The sink's directory, its daemon's too: gone with this.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the sink listens.
    pub(crate) fn endpoint(&self) -> SocketAddr {
        self.endpoint
    }

    /// The conditions of the run.
    pub(crate) fn heading(&self) -> String {
        let processors = thread::available_parallelism().map_or(0, usize::from);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let rmem_max = fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        format!(
            "{} processors ({}), Linux {}, net.core.rmem_max {}, {}, load before {}",
            processors,
            model.map_or("?", |(_, model)| model),
            kernel.trim(),
            rmem_max.trim(),
            if self.ca_file.is_some() { "HTTPS" } else { "HTTP" },
            load.split_whitespace().next().unwrap_or("?"),
        )
    }

    pub(crate) fn sink(&self) -> RefMut<'_, Helper> {
        self.sink.borrow_mut()
    }

    /// From now on the endpoint is ill in this way, until it is told [`role::UP`].
    pub(crate) fn ill(&self, faults: Faults) -> Result<()> {
        self.sink().ask(&format!("{} {}", role::FAULTS, faults.line()))?;
        Ok(())
    }

    /// The documents that the sink has, each counted once.
    pub(crate) fn delivered(&self) -> Result<u64> {
        self.sink().ask(role::COUNT)?.get("distinct")
    }

    /// The program of a subject, unless it is this very program.
    pub(crate) fn binary(&self, subject: Subject) -> Option<&Path> {
        match subject {
            Subject::Daemon => Some(&self.daemon),
            Subject::Other => self.other.as_deref(),
            Subject::Control => None,
        }
    }

    /// The daemon first, then what it is compared with.
    pub(crate) fn subjects(&self) -> Vec<Subject> {
        let mut subjects = vec![Subject::Daemon, Subject::Control];
        subjects.extend(self.other.as_ref().map(|_| Subject::Other));
        subjects
    }

    /// Those of them that are daemons.
    pub(crate) fn daemons(&self) -> Vec<Subject> {
        let mut subjects = self.subjects();
        subjects.retain(|&subject| subject != Subject::Control);
        subjects
    }

    /// Starts `subject`, with more arguments if it is a daemon, and waits until its socket takes datagrams.
    pub(crate) fn start(&self, subject: Subject, more: &[&str]) -> Result<Running> {
        self.spawn(subject, |udp| {
            self.command(subject, udp, Destinations::XRAY, more)
        })
    }

    /// As [`Bench::start`], with these destinations for what it is sent.
    pub(crate) fn start_to(&self, subject: Subject, to: Destinations) -> Result<Running> {
        let base = self.base();
        self.spawn(subject, |udp| {
            self.command(subject, udp, to, &to.arguments(&base))
        })
    }

    /// Starts a process that `command` makes for an address of TCP, where it takes OTLP over HTTP, and waits until it does.
    pub(crate) fn start_otlp(
        &self,
        subject: Subject,
        command: impl FnOnce(SocketAddr) -> Result<Command>,
    ) -> Result<(Running, SocketAddr)> {
        let otlp = free_port()?;
        let running = self.wait_for(subject, otlp, command(otlp)?, || TcpStream::connect(otlp).is_ok())?;
        Ok((running, otlp))
    }

    /// The daemon as [`Bench::start_otlp`] wants it.
    pub(crate) fn otlp_daemon(&self, otlp: SocketAddr) -> Result<Command> {
        let listen = otlp.to_string();
        let base = self.base();
        self.command(
            Subject::Daemon,
            free_port()?,
            Destinations::OTLP,
            &["--otlp-listen", &listen, "--otlp-endpoint", &base],
        )
    }

    /// The sink as an OTLP endpoint.
    pub(crate) fn base(&self) -> String {
        format!("{}://{}", self.scheme(), self.endpoint)
    }

    fn scheme(&self) -> &'static str {
        if self.ca_file.is_some() { "https" } else { "http" }
    }

    /// As [`Bench::start`] for the daemon as a process that may not go past the system's limits.
    pub(crate) fn start_within_limits(&self) -> Result<Running> {
        self.spawn(Subject::Daemon, |udp| {
            let daemon = self.command(Subject::Daemon, udp, Destinations::XRAY, &[])?;
            if !may_go_past_limits()? {
                return Ok(daemon);
            }
            let mut command = Command::new("setpriv");
            command
                .args(["--bounding-set", "-net_admin", "--"])
                .arg(daemon.get_program())
                .args(daemon.get_args())
                .current_dir(self.dir.path())
                .env_clear();
            // The path is for setpriv itself.
            command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
            for (name, value) in daemon.get_envs() {
                command.env(name, value.unwrap_or_default());
            }
            Ok(command)
        })
    }

    /// The control for documents that come over HTTP.
    pub(crate) fn start_control_over_tcp(&self) -> Result<Running> {
        self.spawn(Subject::Control, |address| {
            let mut command = role::command(role::CONTROL_OVER_TCP)?;
            command.args([address.to_string(), self.endpoint.to_string()]);
            Ok(command)
        })
    }

    /// `xray dev`, with page and API where its segments come in.
    pub(crate) fn start_dev(&self) -> Result<Running> {
        self.spawn(Subject::Daemon, |address| {
            let address = address.to_string();
            let mut command = Command::new(&self.daemon);
            command
                .args(["dev", "-b", &address, "-t", &address, "--otlp-listen", ""])
                .args(&self.daemon_args)
                .current_dir(self.dir.path())
                .env_clear()
                .env("HOME", self.dir.path());
            Ok(command)
        })
    }

    fn spawn(
        &self,
        subject: Subject,
        command: impl FnOnce(SocketAddr) -> Result<Command>,
    ) -> Result<Running> {
        let probe = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let udp = free_port()?;
        let command = command(udp)?;
        probe.connect(udp)?;
        self.wait_for(subject, udp, command, || takes_datagrams(&probe))
    }

    fn wait_for(
        &self,
        subject: Subject,
        address: SocketAddr,
        mut command: Command,
        is_there: impl Fn() -> bool,
    ) -> Result<Running> {
        let log = self.dir.path().join(format!("{}.log", subject.name()));
        command
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        let started = Instant::now();
        let mut child = command.spawn()?;
        while !is_there() {
            if let Some(status) = child.try_wait()? {
                return Err(format!("{} ended with {status}: {}", subject.name(), last_line(&log)).into());
            }
            if started.elapsed() > START_LIMIT {
                child.kill()?;
                return Err(
                    format!("{} does not bind {address}: {}", subject.name(), last_line(&log)).into(),
                );
            }
            thread::sleep(PROBE_PAUSE);
        }
        let bound_after = started.elapsed();
        let process = Process(child.id());
        Ok(Running {
            name: subject.name(),
            child,
            process,
            udp: address,
            bound_after,
            log,
        })
    }

    fn command(&self, subject: Subject, udp: SocketAddr, to: Destinations, more: &[&str]) -> Result<Command> {
        let Some(binary) = self.binary(subject) else {
            let mut command = role::command(role::CONTROL)?;
            command
                .args([udp.to_string(), self.endpoint.to_string()])
                .arg(to.name())
                .args(&self.ca_file);
            return Ok(command);
        };
        let file = self.dir.path().join("cfg.yaml");
        fs::write(
            &file,
            format!(
                "Version: 2\nEndpoint: \"{}\"\nRegion: \"us-east-1\"\n",
                self.base()
            ),
        )?;
        let address = udp.to_string();
        let mut command = Command::new(binary);
        command
            .args(["-o", "-b", &address, "-t", &address, "-c"])
            .arg(file)
            .args(more)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        if let Some(ca_file) = &self.ca_file {
            command.env("SSL_CERT_FILE", ca_file);
        }
        if subject == Subject::Daemon {
            command.args(&self.daemon_args);
        }
        Ok(command)
    }
}

impl Running {
    /// Datagrams that its socket was too full for.
    pub(crate) fn kernel_drops(&self) -> Result<u64> {
        kernel_drops(self.udp.port())
    }

    /// Ends it with SIGTERM, and by force if that takes too long.
    pub(crate) fn end(mut self) -> Result<End> {
        let told = Instant::now();
        self.process.terminate()?;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if told.elapsed() > END_LIMIT {
                self.child.kill()?;
            }
            thread::sleep(Duration::from_micros(100));
        };
        Ok(End {
            after: told.elapsed(),
            status,
            last_line: last_line(&self.log),
        })
    }

    pub(crate) fn last_line(&self) -> String {
        last_line(&self.log)
    }

    /// The first line of its log with `text`.
    pub(crate) fn line_with(&self, text: &str) -> Option<String> {
        let log = fs::read_to_string(&self.log).ok()?;
        log.lines().find(|line| line.contains(text)).map(str::to_owned)
    }

    /// An error when it has ended although nobody told it to.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!(
                "{} ended by itself with {status}: {}",
                self.name,
                last_line(&self.log)
            )
            .into()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _: std::io::Result<()> = self.child.kill();
        let _: std::io::Result<ExitStatus> = self.child.wait();
    }
}

/// The daemon as it ships. What cargo builds for a benchmark has the features of the development dependencies, a
/// clock that tests can pause among them.
fn shipped() -> Result<PathBuf> {
    let built = Path::new(env!("CARGO_BIN_EXE_xray"));
    let target = built.ancestors().nth(2).ok_or("no target directory")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--bin", "xray", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .status()?;
    if !status.success() {
        return Err("the daemon does not build".into());
    }
    Ok(target.join("release").join(built.file_name().unwrap_or_default()))
}

/// Whether this process, and what it starts, may ask for more than `net.core.rmem_max`: CAP_NET_ADMIN is bit 12.
pub(crate) fn may_go_past_limits() -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = u64::from_str_radix(effective.ok_or("no capabilities are told")?.trim(), 16)?;
    Ok(effective & (1 << 12) != 0)
}

/// An empty datagram to a port without a socket comes back as a refusal, on loopback before the send returns. All
/// daemons ignore empty datagrams.
fn takes_datagrams(probe: &UdpSocket) -> bool {
    probe.send(&[]).is_ok() && probe.take_error().is_ok_and(|error| error.is_none())
}

/// A port that is free for UDP and TCP at this moment.
fn free_port() -> Result<SocketAddr> {
    for _ in 0..100 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = udp.local_addr()?;
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err("no port is free for both UDP and TCP".into())
}

fn last_line(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    line.unwrap_or("(it logged nothing)").to_owned()
}
