//! The HTTP client that the AWS SDK and requests of our own share: a pool of connections for each place.
//!
//! The SDK's own client crate, aws-smithy-http-client, is not used because a drop-in needs two things of it that it
//! cannot do: its `TlsContext` has no way to accept any certificate (`NoVerifySSL`), and its `ProxyConfig` holds
//! either one proxy address or the variables of the process, not one address per scheme with exceptions of our own
//! (metadata, loopback). It would bring HTTP/2 besides. The kinds of [`ConnectorError`] are chosen as it does.
//!
//! HTTP/1.1 only: one request is in flight per connection, and the number of those is the sender's to decide.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http::{HeaderMap, Method, Request, Response, Uri};

use super::body::RequestBody;
use super::connector::{ConnectError, Connector};
use super::pool::{Answer, Origin, SendError, Sending};
use super::proxy::ProxyRules;
use super::tls::Tls;
use crate::ledger::outcome::ErrorClass;

/// A client for one kind of connection: X-Ray, or where credentials come from. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PooledClient {
    pools: Arc<Pools>,
}

struct Pools {
    proxies: Arc<ProxyRules>,
    tls: Arc<Tls>,
    default_connect_timeout: Duration,
    /// One for each place and connect timeout: metadata is asked with a shorter one than the rest. They are few, all named by
    /// settings.
    origins: Mutex<Vec<Arc<Origin>>>,
}

impl PooledClient {
    pub(crate) fn new(proxies: ProxyRules, tls: Tls, default_connect_timeout: Duration) -> Self {
        Self {
            pools: Arc::new(Pools {
                proxies: Arc::new(proxies),
                tls: Arc::new(tls),
                default_connect_timeout,
                origins: Mutex::default(),
            }),
        }
    }

    /// One `url` that is posted to again and again, with all that is the same each time made once. The connections are those
    /// of other requests to the same place with the same `connect_timeout`.
    ///
    /// # Errors
    /// [`SendError::Relative`]: `url` has no scheme or no host.
    pub(crate) fn target(&self, url: &Uri, connect_timeout: Duration) -> Result<Target, SendError> {
        let origin = self.pools.origin(url, connect_timeout)?;
        Ok(Target {
            written: origin.written(url),
            origin,
        })
    }

    /// Sends one request outside of the SDK, on the same connections. Without a time limit but that on connecting.
    pub(crate) async fn send(&self, request: Request<SdkBody>) -> Result<Response<Answer>, SendError> {
        self.send_within(request, self.pools.default_connect_timeout)
            .await
    }

    async fn send_within(
        &self,
        request: Request<SdkBody>,
        connect_timeout: Duration,
    ) -> Result<Response<Answer>, SendError> {
        let origin = self.pools.origin(request.uri(), connect_timeout)?;
        let mut request = request.map(RequestBody::from);
        *request.uri_mut() = origin.written(request.uri());
        origin.complete(request.headers_mut());
        origin.send(request).await
    }

    /// Makes one connection to `target` and closes it again: name, TCP, proxy, TLS.
    ///
    /// # Errors
    /// How far it came, and why no further.
    pub(crate) async fn connect(&self, target: Uri) -> Result<(), ConnectError> {
        let connector = self.pools.connector(self.pools.default_connect_timeout);
        connector.connect(target).await.map(drop)
    }
}

impl Pools {
    fn origin(&self, url: &Uri, connect_timeout: Duration) -> Result<Arc<Origin>, SendError> {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(origin) = origins.iter().find(|origin| origin.is_of(url, connect_timeout)) {
            return Ok(Arc::clone(origin));
        }
        let origin = Origin::new(self.connector(connect_timeout), url)?;
        origins.push(Arc::clone(&origin));
        Ok(origin)
    }

    fn connector(&self, connect_timeout: Duration) -> Connector {
        Connector::new(Arc::clone(&self.proxies), Arc::clone(&self.tls), connect_timeout)
    }
}

/// One URL that is posted to again and again. See [`PooledClient::target`].
pub(crate) struct Target {
    origin: Arc<Origin>,
    /// The URL as it is written in a request.
    written: Uri,
}

impl Target {
    /// Posts `body`. `headers` are complete, but for `Content-Length` and what a proxy must know: `Host` is among them.
    /// Without a time limit but that on connecting.
    ///
    /// # Errors
    /// No connection, or none on which the head of an answer came.
    pub(crate) fn post(&self, mut headers: HeaderMap, body: RequestBody) -> Sending<'_> {
        debug_assert!(headers.contains_key(http::header::HOST));
        self.origin.authorize(&mut headers);
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.written.clone();
        *request.headers_mut() = headers;
        self.origin.send(request)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PooledClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledClient")
            .field("proxies", &self.pools.proxies)
            .field("tls", &self.pools.tls)
            .finish_non_exhaustive()
    }
}

impl HttpClient for PooledClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connect_timeout = settings.connect_timeout();
        SharedHttpConnector::new(Calls {
            client: self.clone(),
            connect_timeout: connect_timeout.unwrap_or(self.pools.default_connect_timeout),
            read_timeout: settings.read_timeout(),
        })
    }
}

/// The client with the settings of one SDK client.
#[derive(Debug)]
struct Calls {
    client: PooledClient,
    connect_timeout: Duration,
    read_timeout: Option<Duration>,
}

impl HttpConnector for Calls {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let (client, connect_timeout, read_timeout) =
            (self.client.clone(), self.connect_timeout, self.read_timeout);
        HttpConnectorFuture::new(async move {
            let answering = client.send_within(request, connect_timeout);
            let answer = match read_timeout {
                Some(limit) => tokio::time::timeout(limit, answering)
                    .await
                    .map_err(|error| ConnectorError::timeout(error.into()))?,
                None => answering.await,
            };
            for_the_sdk(answer)
        })
    }
}

/// An answer, or what came in its place, as the SDK knows it.
fn for_the_sdk(answer: Result<Response<Answer>, SendError>) -> Result<HttpResponse, ConnectorError> {
    let response = answer.map_err(connector_error)?;
    HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
        .map_err(|error| ConnectorError::other(error.into(), None))
}

/// The SDK's kinds decide whether *it* tries credentials again; the cause is kept for our own classes.
fn connector_error(error: SendError) -> ConnectorError {
    match &error {
        SendError::Relative => ConnectorError::user(error.into()),
        SendError::Connect(connecting) if connecting.class == ErrorClass::Timeout => {
            ConnectorError::timeout(error.into())
        }
        SendError::Exchange(sending) if sending.is_user() => ConnectorError::user(error.into()),
        SendError::Connect(_) | SendError::Exchange(_) => ConnectorError::io(error.into()),
    }
}
