//! The HTTP client under the AWS SDK: hyper-util's pooled client over [`Connector`].
//!
//! The SDK's own client crate, aws-smithy-http-client, is not used because a drop-in needs two things of it that it
//! cannot do: its `TlsContext` has no way to accept any certificate (`NoVerifySSL`), and its `ProxyConfig` holds
//! either one proxy address or the variables of the process, not one address per scheme with exceptions of our own
//! (metadata, loopback). It would bring HTTP/2 besides. The kinds of [`ConnectorError`] are chosen as it does.
//!
//! HTTP/1.1 only: one request is in flight per connection, and the number of those is the sender's to decide.

use std::collections::HashMap;
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
use http::header::PROXY_AUTHORIZATION;
use http::{Request, Response, Uri};
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service as _;

use super::body::RequestBody;
use super::connector::{ConnectError, Connector};
use super::error::find_cause;
use super::proxy::ProxyRules;
use super::tls::Tls;
use crate::ledger::outcome::ErrorClass;

/// How long an unused connection is kept. Load balancers close theirs after 60 s or more; closing first means that
/// no request meets a connection that is just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// The most bytes read of an answer. `PutTraceSegments` names at most 50 documents, each with a short message;
/// credentials are smaller. The bound is for whatever else may answer in their place.
const RESPONSE_MAX_BYTES: usize = 1 << 20;

/// A client for one kind of connection: X-Ray, or where credentials come from. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PooledClient {
    shared: Arc<Pools>,
}

struct Pools {
    proxies: Arc<ProxyRules>,
    tls: Arc<Tls>,
    default_connect_timeout: Duration,
    /// One pool for each connect timeout that the SDK asks for: metadata is asked with a shorter one than the rest.
    pools: Mutex<HashMap<Duration, Pool>>,
    /// What the SDK was given for the settings that it asked with: it asks before each call, always with the same.
    connectors: Mutex<Vec<(HttpConnectorSettings, SharedHttpConnector)>>,
}

type Pool = Client<Connector, RequestBody>;

impl PooledClient {
    pub(crate) fn new(proxies: ProxyRules, tls: Tls, default_connect_timeout: Duration) -> Self {
        Self {
            shared: Arc::new(Pools {
                proxies: Arc::new(proxies),
                tls: Arc::new(tls),
                default_connect_timeout,
                pools: Mutex::default(),
                connectors: Mutex::default(),
            }),
        }
    }

    /// What sends requests on these connections, without a time limit but that on connecting.
    pub(crate) fn calls(&self, connect_timeout: Duration) -> Calls {
        Calls {
            pool: self.pool(connect_timeout),
            proxies: Arc::clone(&self.shared.proxies),
            read_timeout: None,
        }
    }

    fn pool(&self, connect_timeout: Duration) -> Pool {
        let mut pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools
            .entry(connect_timeout)
            .or_insert_with(|| {
                let connector = Connector::new(
                    Arc::clone(&self.shared.proxies),
                    Arc::clone(&self.shared.tls),
                    connect_timeout,
                );
                Client::builder(TokioExecutor::new())
                    .pool_idle_timeout(POOL_IDLE_TIMEOUT)
                    // Runs only while there are idle connections.
                    .pool_timer(TokioTimer::new())
                    .build(connector)
            })
            .clone()
    }

    /// Sends one request outside of the SDK, on the same connections. Without a time limit but that on connecting.
    pub(crate) async fn send(
        &self,
        mut request: Request<SdkBody>,
    ) -> Result<Response<Limited<Incoming>>, hyper_util::client::legacy::Error> {
        authorize_at_proxy(&mut request, &self.shared.proxies);
        let response = self
            .pool(self.shared.default_connect_timeout)
            .request(request.map(RequestBody::from))
            .await?;
        Ok(response.map(|body| Limited::new(body, RESPONSE_MAX_BYTES)))
    }
}

impl PooledClient {
    /// Makes one connection to `target` and closes it again: name, TCP, proxy, TLS.
    ///
    /// # Errors
    /// How far it came, and why no further.
    pub(crate) async fn connect(&self, target: Uri) -> Result<(), ConnectError> {
        let mut connector = Connector::new(
            Arc::clone(&self.shared.proxies),
            Arc::clone(&self.shared.tls),
            self.shared.default_connect_timeout,
        );
        connector.call(target).await.map(drop)
    }
}

/// A proxy reads plain requests itself, so they carry its authentication; a tunnel is opened with it instead.
fn authorize_at_proxy(request: &mut Request<SdkBody>, proxies: &ProxyRules) {
    if request.uri().scheme_str() == Some("http")
        && let Some(proxy) = proxies.intercept(request.uri())
        && let Some(authorization) = proxy.basic_auth()
    {
        request
            .headers_mut()
            .insert(PROXY_AUTHORIZATION, authorization.clone());
    }
}

impl fmt::Debug for PooledClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledClient")
            .field("proxies", &self.shared.proxies)
            .field("tls", &self.shared.tls)
            .finish_non_exhaustive()
    }
}

impl HttpClient for PooledClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let mut connectors = self
            .shared
            .connectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = connectors
            .iter()
            .find(|(known, _)| timeouts(known) == timeouts(settings));
        if let Some((_, connector)) = known {
            return connector.clone();
        }
        let connect_timeout = settings
            .connect_timeout()
            .unwrap_or(self.shared.default_connect_timeout);
        let connector = SharedHttpConnector::new(Calls {
            read_timeout: settings.read_timeout(),
            ..self.calls(connect_timeout)
        });
        connectors.push((settings.clone(), connector.clone()));
        connector
    }
}

/// All that the SDK sets of a connector.
fn timeouts(settings: &HttpConnectorSettings) -> (Option<Duration>, Option<Duration>) {
    (settings.connect_timeout(), settings.read_timeout())
}

/// One pool with the settings of one SDK client.
#[derive(Debug)]
pub(crate) struct Calls {
    pool: Pool,
    proxies: Arc<ProxyRules>,
    read_timeout: Option<Duration>,
}

impl HttpConnector for Calls {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match request.try_into_http1x() {
            Ok(request) => self.send(request),
            Err(error) => HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        }
    }
}

impl Calls {
    /// Sends a request that is not the SDK's, for the SDK.
    pub(crate) fn send(&self, mut request: Request<SdkBody>) -> HttpConnectorFuture {
        authorize_at_proxy(&mut request, &self.proxies);
        let read_timeout = self.read_timeout;
        let answering = self.pool.request(request.map(RequestBody::from));
        HttpConnectorFuture::new(async move {
            let answer = match read_timeout {
                Some(limit) => tokio::time::timeout(limit, answering)
                    .await
                    .map_err(|error| ConnectorError::timeout(error.into()))?,
                None => answering.await,
            };
            match answer {
                Ok(response) => {
                    let response =
                        response.map(|body| SdkBody::from_body_1_x(Limited::new(body, RESPONSE_MAX_BYTES)));
                    HttpResponse::try_from(response)
                        .map_err(|error| ConnectorError::other(error.into(), None))
                }
                Err(error) => Err(connector_error(error)),
            }
        })
    }
}

/// The SDK's kinds decide whether *it* tries credentials again; the cause is kept for our own classes.
fn connector_error(error: hyper_util::client::legacy::Error) -> ConnectorError {
    match find_cause::<ConnectError>(&error) {
        Some(connecting) if connecting.class == ErrorClass::Timeout => ConnectorError::timeout(error.into()),
        _ => match find_cause::<hyper::Error>(&error) {
            Some(sending) if sending.is_user() => ConnectorError::user(error.into()),
            _ => ConnectorError::io(error.into()),
        },
    }
}
