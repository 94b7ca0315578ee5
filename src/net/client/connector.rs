//! Makes connections: name, TCP, proxy, TLS; and says what went wrong in terms of [`ErrorClass`].

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Method, Request, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tower_service::Service;

use super::body::RequestBody;
use super::error::{causes, find_cause, told};
use super::http1::{Http1, Io, Stream};
use super::proxy::ProxyRules;
use super::tls::Tls;
use crate::ledger::outcome::ErrorClass;
use crate::logs::sanitize_lines;

/// The longest reason taken from a TLS handshake, in characters: it can list every name of a certificate.
const SHOWN_REASON_MAX_CHARS: usize = 300;

/// How far a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The name has no address, or nobody takes the connection there; or, with a limit for all, unknown.
    Connecting,
    /// The proxy on the way is not reached, or does not do what it is for.
    Proxy,
    /// No TLS with the endpoint.
    Tls,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ConnectError {
    pub(crate) class: ErrorClass,
    pub(crate) step: Step,
    message: String,
}

impl ConnectError {
    fn new(class: ErrorClass, step: Step, message: impl Into<String>) -> Self {
        Self {
            class,
            step,
            message: message.into(),
        }
    }
}

/// Makes connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector<Resolver>,
    proxies: Arc<ProxyRules>,
    tls: Arc<Tls>,
    tcp_timeout: Duration,
}

impl Connector {
    /// `tcp_timeout` bounds the TCP connection; name resolution, proxy and TLS together get as much again.
    pub(crate) fn new(proxies: Arc<ProxyRules>, tls: Arc<Tls>, tcp_timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        // A batch is written at once and its answer awaited: waiting for more to send only adds latency.
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(tcp_timeout));
        Self {
            tcp,
            proxies,
            tls,
            tcp_timeout,
        }
    }

    /// What bounds the TCP connection.
    pub(super) fn tcp_timeout(&self) -> Duration {
        self.tcp_timeout
    }

    /// The HTTP proxy that itself reads the requests to `target`, so that they name the whole URL; through all others goes a
    /// tunnel.
    pub(super) fn reading_proxy(&self, target: &Uri) -> Option<Intercept> {
        if target.scheme_str() == Some("https") {
            return None;
        }
        self.proxies
            .intercept(target)
            .filter(|proxy| !is_socks(proxy.uri()))
    }

    /// Connects to the host of `target`: to what a request for it can be written to.
    ///
    /// # Errors
    /// How far it came, and why no further.
    pub(super) fn connect(
        &self,
        target: Uri,
    ) -> impl Future<Output = Result<Stream, ConnectError>> + Send + use<> {
        let connector = self.clone();
        async move {
            let limit = connector.tcp_timeout * 2;
            let place = shown(&target);
            match tokio::time::timeout(limit, connector.establish(target)).await {
                Ok(result) => result,
                Err(_) => Err(ConnectError::new(
                    ErrorClass::Timeout,
                    Step::Connecting,
                    format!("no connection to {place} within {} s", limit.as_secs_f32()),
                )),
            }
        }
    }

    async fn establish(self, target: Uri) -> Result<Stream, ConnectError> {
        let wants_tls = target.scheme_str() == Some("https");
        let Some(proxy) = self.proxies.intercept(&target) else {
            let tcp = self.connect_tcp(&target).await?;
            return self.secured(Box::new(tcp), &target, wants_tls).await;
        };
        // Scheme, host and port of the proxy; hyper-util keeps user name and password apart.
        let address = proxy.uri().clone();
        if is_socks(&address) {
            let tcp = self.connect_socks(&proxy, &target).await?;
            return self.secured(Box::new(tcp), &target, wants_tls).await;
        }
        let tcp = self
            .connect_tcp(&address)
            .await
            .map_err(|error| via_proxy(&address, error))?;
        let proxy_wants_tls = address.scheme_str() == Some("https");
        let to_proxy = self
            .secured(Box::new(tcp), &address, proxy_wants_tls)
            .await
            .map_err(|error| via_proxy(&address, error))?;
        if !wants_tls {
            return Ok(to_proxy);
        }
        let tunnel = open_tunnel(to_proxy, &proxy, &target).await?;
        self.secured(tunnel, &target, true).await
    }

    async fn connect_tcp(&self, target: &Uri) -> Result<TcpStream, ConnectError> {
        match self.tcp.clone().call(target.clone()).await {
            Ok(stream) => Ok(stream.into_inner()),
            Err(error) => Err(tcp_error(target, &error)),
        }
    }

    async fn connect_socks(&self, proxy: &Intercept, target: &Uri) -> Result<TcpStream, ConnectError> {
        let address = proxy.uri();
        let tcp = self
            .connect_tcp(address)
            .await
            .map_err(|error| via_proxy(address, error))?;
        let mut socks =
            SocksV5::new(address.clone(), Ready(Some(tcp))).local_dns(address.scheme_str() == Some("socks5"));
        if let Some((user, password)) = proxy.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        match socks.call(with_port(target)).await {
            Ok(stream) => Ok(stream.into_inner()),
            Err(error) => Err(not_connected(address, target, &told(&error))),
        }
    }

    /// `io` with TLS for the host of `target` on top, if wanted.
    async fn secured(&self, io: Box<dyn Io>, target: &Uri, wants_tls: bool) -> Result<Stream, ConnectError> {
        if !wants_tls {
            return Ok(TokioIo::new(io));
        }
        let host = target.host().unwrap_or_default();
        let failed = |reason: &str| {
            ConnectError::new(
                ErrorClass::Connection,
                Step::Tls,
                format!("TLS with {}: {reason}", shown(target)),
            )
        };
        let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']'))
            .map_err(|_| failed("this is no valid server name"))?
            .to_owned();
        let config = self.tls.config().await.map_err(|reason| failed(&reason))?;
        match tokio_rustls::TlsConnector::from(config).connect(name, io).await {
            Ok(stream) => Ok(TokioIo::new(Box::new(stream))),
            Err(error) => Err(failed(&tls_reason(&error))),
        }
    }
}

/// Asks the HTTP proxy at the other end of `stream` to connect to `target`.
async fn open_tunnel(stream: Stream, proxy: &Intercept, target: &Uri) -> Result<Box<dyn Io>, ConnectError> {
    let address = proxy.uri();
    let failed = |reason: String| not_connected(address, target, &reason);
    let target = with_port(target);
    let authority = target
        .authority()
        .map(|authority| authority.as_str())
        .unwrap_or_default();
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(authority)
        .header(HOST, authority);
    if let Some(authorization) = proxy.basic_auth() {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    let request = request
        .body(RequestBody::from(Bytes::new()))
        .map_err(|error| failed(error.to_string()))?;

    let mut http = Http1::start(stream).await.map_err(|error| failed(told(&error)))?;
    let response = http
        .sender
        .send_request(request)
        .await
        .map_err(|error| failed(told(&error)))?;
    let status = response.status();
    if !status.is_success() {
        let hint = match status.as_u16() {
            407 => ", write its user name and password into the proxy URL",
            _ => "",
        };
        return Err(failed(format!("it answered {status}{hint}")));
    }
    let upgraded = hyper::upgrade::on(response)
        .await
        .map_err(|error| failed(told(&error)))?;
    let parts = upgraded
        .downcast::<Stream>()
        .map_err(|_| failed("the connection was lost".to_owned()))?;
    // A TLS server never speaks first, so bytes here are not the endpoint's.
    if !parts.read_buf.is_empty() {
        return Err(failed("it sent data of its own into the tunnel".to_owned()));
    }
    Ok(parts.io.into_inner())
}

fn is_socks(proxy: &Uri) -> bool {
    proxy
        .scheme_str()
        .is_some_and(|scheme| scheme.starts_with("socks5"))
}

/// `target` with its port written out, as CONNECT and SOCKS need it.
fn with_port(target: &Uri) -> Uri {
    if target.port().is_some() {
        return target.clone();
    }
    let port = if target.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let mut parts = target.clone().into_parts();
    parts.authority = format!("{}:{port}", target.host().unwrap_or_default())
        .parse()
        .ok();
    Uri::from_parts(parts).unwrap_or_else(|_| target.clone())
}

/// Scheme, host and port of `uri`, for messages. Never user name and password: those are not part of a host.
fn shown(uri: &Uri) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!(
        "{}://{}{port}",
        uri.scheme_str().unwrap_or("http"),
        uri.host().unwrap_or_default()
    )
}

/// The proxy is there but has not done what it is for.
fn not_connected(proxy: &Uri, target: &Uri, reason: &str) -> ConnectError {
    let message = format!(
        "proxy {} did not connect to {}: {reason}",
        shown(proxy),
        shown(target)
    );
    ConnectError::new(ErrorClass::Connection, Step::Proxy, message)
}

fn via_proxy(proxy: &Uri, error: ConnectError) -> ConnectError {
    let message = format!("proxy {}: {}", shown(proxy), error.message);
    ConnectError::new(error.class, Step::Proxy, message)
}

fn tcp_error(target: &Uri, error: &(dyn std::error::Error + 'static)) -> ConnectError {
    if let Some(unresolved) = find_cause::<ResolveError>(error) {
        return ConnectError::new(ErrorClass::UnknownHost, Step::Connecting, unresolved.to_string());
    }
    let class = io_class(error).unwrap_or(ErrorClass::Connection);
    // Of the whole chain the operating system's own word says most.
    let reason = causes(error).last().map(ToString::to_string).unwrap_or_default();
    let message = format!("cannot connect to {}: {reason}", shown(target));
    ConnectError::new(class, Step::Connecting, message)
}

/// The class of the first I/O error among `error` and its causes.
pub(crate) fn io_class(error: &(dyn std::error::Error + 'static)) -> Option<ErrorClass> {
    find_cause::<ResolveError>(error)
        .map(|_| ErrorClass::UnknownHost)
        .or_else(|| {
            find_cause::<io::Error>(error).map(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => ErrorClass::ConnectionRefused,
                io::ErrorKind::TimedOut => ErrorClass::Timeout,
                _ => ErrorClass::Connection,
            })
        })
}

/// What to tell about a handshake that failed. It may quote names out of a certificate that nobody trusts.
fn tls_reason(error: &io::Error) -> String {
    match find_cause::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(reason)) => format!(
            "its certificate is not trusted ({}); if it has a private CA, name the CA's certificates in AWS_CA_BUNDLE",
            sanitize_lines(&reason.to_string(), SHOWN_REASON_MAX_CHARS)
        ),
        Some(rustls::Error::InvalidMessage(_)) => "what answers there does not speak TLS".to_owned(),
        Some(error) => sanitize_lines(&error.to_string(), SHOWN_REASON_MAX_CHARS),
        None => told(error),
    }
}

/// A connector that has its one connection already.
struct Ready(Option<TcpStream>);

impl Service<Uri> for Ready {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _target: Uri) -> Self::Future {
        let taken = self.0.take().map(TokioIo::new);
        std::future::ready(taken.ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

/// The system's resolver, with an error type of its own: an I/O error alone does not say that it was about a name.
#[derive(Clone)]
struct Resolver(GaiResolver);

#[derive(Debug, thiserror::Error)]
#[error("cannot find the address of {host}: {cause}")]
struct ResolveError {
    host: String,
    cause: io::Error,
}

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, ResolveError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let host = name.as_str().to_owned();
        let resolving = self.0.call(name);
        Box::pin(async move { resolving.await.map_err(|cause| ResolveError { host, cause }) })
    }
}
