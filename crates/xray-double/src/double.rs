//! The double: the built-in service on a loopback port, with faults, records and ways to wait.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use xray_service::sampling::SamplingRule;
use xray_service::service::Operation;
use xray_service::telemetry::TelemetryReport;

use super::endpoint::{Documents, Endpoint};
use super::faults::Faults;
use super::port::Port;
use super::server::{self, Acceptor, Clock, Exchange, Settings, SignatureCheck};
use super::sigv4::{Key, Verifier};
use super::state::{RecordedRequest, Recording, State};

/// How a double behaves. [`DoubleConfig::default`] is as strict as AWS; [`DoubleConfig::counting`] is for load.
#[derive(Clone)]
pub struct DoubleConfig {
    /// Where to listen. Default `127.0.0.1:0`, a free port.
    pub listen: SocketAddr,
    /// A path in front of the operations' paths, like `/base`, without a slash at its end. Default none.
    pub base_path: String,
    /// Who may sign. Default [`Key::example`].
    pub keys: Vec<Key>,
    /// The only region taken in a credential scope. Default any.
    pub region: Option<String>,
    /// Default [`SignatureCheck::Enforced`].
    pub signatures: SignatureCheck,
    /// Default: documents are checked, and kept inside 256 MiB.
    pub documents: Documents,
    /// Default: whole requests inside 256 MiB.
    pub recording: Recording,
    /// Longer bodies are answered with 413. Default 64 MiB, about ten times the largest call of 50 documents.
    pub max_body_bytes: usize,
    /// The double's time of day. Default the system's; another one makes a skewed clock.
    pub clock: Clock,
    /// For TLS: makes the stream that carries HTTP from the accepted one. Default none.
    pub acceptor: Option<Acceptor>,
}

impl Default for DoubleConfig {
    fn default() -> Self {
        const BUDGET_BYTES: usize = 256 << 20;
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            base_path: String::new(),
            keys: vec![Key::example()],
            region: None,
            signatures: SignatureCheck::Enforced,
            documents: Documents::Keep {
                budget_bytes: BUDGET_BYTES,
            },
            recording: Recording::Whole {
                budget_bytes: BUDGET_BYTES,
            },
            max_body_bytes: 64 << 20,
            clock: Arc::new(SystemTime::now),
            acceptor: None,
        }
    }
}

impl DoubleConfig {
    /// For load: documents and requests are counted; nothing is checked or kept.
    #[must_use]
    pub fn counting() -> Self {
        Self {
            signatures: SignatureCheck::Off,
            documents: Documents::Count,
            recording: Recording::Off,
            ..Self::default()
        }
    }
}

/// A running double. Dropping it closes its port and its connections.
pub struct Double {
    exchange: Arc<Exchange>,
    port: Port,
    acceptor: Option<Acceptor>,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// Dropped or sent to: the server ends.
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Double {
    /// Listens and serves, on the tokio runtime this is called on.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(config: DoubleConfig) -> io::Result<Self> {
        let port = Port::take(config.listen)?;
        let listener = port.listen()?;
        let mut verifier = Verifier::new("xray", config.keys);
        if let Some(region) = &config.region {
            verifier = verifier.in_region(region);
        }
        let state = State::new(Endpoint::new(config.documents), config.recording);
        let exchange = Arc::new(Exchange::new(
            state,
            Settings {
                verifier,
                signatures: config.signatures,
                base_path: config.base_path,
                max_body_bytes: config.max_body_bytes,
                clock: config.clock,
            },
        ));
        let double = Self {
            exchange,
            port,
            acceptor: config.acceptor,
            running: Mutex::new(None),
        };
        double.serve(listener);
        Ok(double)
    }

    /// The endpoint to configure: scheme, address, port and base path; `https` when there is an acceptor.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.acceptor.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{}", self.addr(), self.exchange.settings.base_path)
    }

    /// The address it listens on; the port is real.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// The faults to switch on and off.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.exchange.faults.clone()
    }

    /// The recorded requests, in the order they arrived.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.look(|state| state.requests().cloned().collect())
    }

    /// The recorded calls of one operation.
    #[must_use]
    pub fn requests_to(&self, operation: Operation) -> Vec<RecordedRequest> {
        self.look(|state| {
            let calls = state.requests();
            calls
                .filter(|request| request.operation == Some(operation))
                .cloned()
                .collect()
        })
    }

    /// Every accepted document that is still kept, verbatim, in the order they were accepted.
    #[must_use]
    pub fn documents(&self) -> Vec<String> {
        self.look(|state| state.documents().map(str::to_owned).collect())
    }

    /// The telemetry reports that were accepted.
    #[must_use]
    pub fn telemetry(&self) -> Vec<TelemetryReport> {
        self.look(|state| state.telemetry().cloned().collect())
    }

    /// Reads the state under its lock: counters, documents, requests.
    pub fn look<R>(&self, at: impl FnOnce(&State) -> R) -> R {
        self.exchange.look(at)
    }

    /// Replaces the sampling rules. The default rule stays unless `rules` has one named `Default`.
    pub fn set_sampling_rules(&self, rules: Vec<SamplingRule>) {
        let now = self.exchange.now();
        self.exchange
            .change(|state| state.endpoint.service.set_sampling_rules(rules, now));
    }

    /// Waits until the state is as `ready` wants it; asked at once and after every change, not by polling.
    ///
    /// # Errors
    /// When `timeout` has passed; the error tells what was there.
    pub async fn wait_for(
        &self,
        ready: impl FnMut(&State) -> bool,
        timeout: Duration,
    ) -> Result<(), NotInTime> {
        self.wait("a condition", ready, timeout).await
    }

    /// Waits until `n` documents were accepted since the start and returns [`Double::documents`].
    ///
    /// # Errors
    /// When `timeout` has passed; the error tells what was there.
    pub async fn wait_for_documents(&self, n: u64, timeout: Duration) -> Result<Vec<String>, NotInTime> {
        let what = format!("{n} documents");
        self.wait(&what, |state| state.accepted() >= n, timeout).await?;
        Ok(self.documents())
    }

    /// Waits until `n` requests arrived since the start, whatever became of them, and returns [`Double::requests`].
    ///
    /// # Errors
    /// When `timeout` has passed; the error tells what was there.
    pub async fn wait_for_requests(
        &self,
        n: u64,
        timeout: Duration,
    ) -> Result<Vec<RecordedRequest>, NotInTime> {
        let what = format!("{n} requests");
        self.wait(&what, |state| state.request_count() >= n, timeout)
            .await?;
        Ok(self.requests())
    }

    /// Stops listening and cuts all connections: the endpoint is down, connections are refused. Returns when it is so.
    /// Nothing happens when it is down already. On Linux nobody else gets the port meanwhile.
    pub async fn stop(&self) {
        let running = self.running().take();
        if let Some(Running { stop, server }) = running {
            drop(stop);
            // An error would be a panic of the server task, which has shown itself by then.
            let _ = server.await;
        }
    }

    /// Listens again on the same port. Nothing happens when it is up.
    ///
    /// # Errors
    /// When the port cannot be bound again.
    pub async fn start_again(&self) -> io::Result<()> {
        if self.running().is_some() {
            return Ok(());
        }
        let listener = self.port.listen()?;
        self.serve(listener);
        Ok(())
    }

    /// From now on connections and requests are taken and nothing is answered, as by a process that is stopped.
    pub fn freeze(&self) {
        self.exchange.set_frozen(true);
    }

    /// Ends a freeze: requests whose clients still wait are answered.
    pub fn thaw(&self) {
        self.exchange.set_frozen(false);
    }

    fn serve(&self, listener: TcpListener) {
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server::serve(
            listener,
            Arc::clone(&self.exchange),
            self.acceptor.clone(),
            stopped,
        ));
        *self.running() = Some(Running { stop, server });
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait(
        &self,
        what: &str,
        mut ready: impl FnMut(&State) -> bool,
        timeout: Duration,
    ) -> Result<(), NotInTime> {
        // Subscribed before the first look: a change in between wakes the wait.
        let mut changes = self.exchange.changes();
        let in_time = tokio::time::timeout(timeout, async {
            while !self.look(&mut ready) {
                if changes.changed().await.is_err() {
                    break;
                }
            }
        });
        match in_time.await {
            Ok(()) => Ok(()),
            Err(_) => {
                Err(NotInTime(self.look(|state| {
                    format!("waited {timeout:?} in vain for {what}: {state}")
                })))
            }
        }
    }
}

/// The address only.
impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Double")
            .field("addr", &self.addr())
            .finish_non_exhaustive()
    }
}

/// A wait that was in vain. Its text, also by `{:?}` for tests that unwrap, tells what was there instead.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotInTime(String);

impl fmt::Debug for NotInTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
