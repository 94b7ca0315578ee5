//! Servers on loopback that record what reaches them, and the settings of a run.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use xray::aws::Limits;
use xray::config::{Environment, Sourced, XRayConfig};
use xray::exporters::answer::Answer;
use xray::exporters::error::PutError;
use xray::exporters::xray::XRay;

/// A body as the batcher makes it.
pub(crate) const BODY: &str = r#"{"TraceSegmentDocuments":["{\"id\":\"0000000000000001\"}"]}"#;

/// A request that reached a server.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
            .to_str()
            .unwrap()
    }

    /// The access key id that signed it.
    pub(crate) fn access_key(&self) -> &str {
        let (_, rest) = self.header("authorization").split_once("Credential=").unwrap();
        rest.split('/').next().unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) type Reply = Response<Full<Bytes>>;

pub(crate) fn reply(status: u16, body: &str) -> Reply {
    reply_with(status, &[], body)
}

pub(crate) fn reply_with(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response
            .headers_mut()
            .append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    response
}

/// An HTTP server that records requests and answers each by a function.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    recorded: Arc<Mutex<Vec<Recorded>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    /// Answers every request with `{}`.
    pub(crate) async fn ok() -> Self {
        Self::answering(|_| reply(200, "{}")).await
    }

    pub(crate) async fn answering(answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(answer, None).await
    }

    /// The same with TLS.
    pub(crate) async fn with_tls(acceptor: TlsAcceptor) -> Self {
        Self::start(|_| reply(200, "{}"), Some(acceptor)).await
    }

    async fn start(
        answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static,
        acceptor: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            recorded: Arc::default(),
            connections: Arc::default(),
        };
        let recorded = Arc::clone(&server.recorded);
        let connections = Arc::clone(&server.connections);
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *connections.lock().unwrap() += 1;
                let (recorded, answer, acceptor) =
                    (Arc::clone(&recorded), Arc::clone(&answer), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, recorded, answer).await,
                        Some(acceptor) => {
                            // A client that does not trust the certificate ends the handshake.
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, recorded, answer).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.recorded.lock().unwrap().clone()
    }

    /// The only request so far.
    pub(crate) fn request(&self) -> Recorded {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.into_iter().next().unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

async fn serve<S, F>(stream: S, recorded: Arc<Mutex<Vec<Recorded>>>, answer: Arc<F>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(&Recorded) -> Reply,
{
    let service = service_fn(|request: Request<Incoming>| {
        let (recorded, answer) = (Arc::clone(&recorded), Arc::clone(&answer));
        async move {
            let (parts, body) = request.into_parts();
            let request = Recorded {
                method: parts.method,
                uri: parts.uri,
                headers: parts.headers,
                body: body.collect().await.unwrap().to_bytes(),
            };
            let reply = answer(&request);
            recorded.lock().unwrap().push(request);
            Ok::<_, Infallible>(reply)
        }
    });
    // Ends with an error when the client goes away.
    let _end = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A server that does what no HTTP server does: `act` has the bare connection, after a first read.
pub(crate) async fn raw_server<F>(act: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 16 * 1024];
            let _size = stream.read(&mut buffer).await;
            tokio::spawn(act(stream));
        }
    });
    address
}

/// A proxy that opens tunnels, whatever name is asked for, to `upstream`. It records the heads of the requests.
pub(crate) async fn tunnel_proxy(
    upstream: SocketAddr,
    expected_authorization: Option<&'static str>,
) -> TunnelProxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = TunnelProxy {
        address: listener.local_addr().unwrap(),
        heads: Arc::default(),
    };
    let heads = Arc::clone(&proxy.heads);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let heads = Arc::clone(&heads);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
                let is_welcome = expected_authorization.is_none_or(|expected| {
                    head.contains(&format!(
                        "\r\nproxy-authorization: {}\r\n",
                        expected.to_ascii_lowercase()
                    ))
                });
                heads.lock().unwrap().push(head);
                if !is_welcome {
                    let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
                    stream.write_all(refusal).await.unwrap();
                    return;
                }
                stream
                    .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    .await
                    .unwrap();
                let mut upstream = TcpStream::connect(upstream).await.unwrap();
                let _end = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
            });
        }
    });
    proxy
}

pub(crate) struct TunnelProxy {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl TunnelProxy {
    /// The heads of the requests, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// A certificate authority and a server certificate of it.
pub(crate) struct TestCa {
    pub(crate) authority_pem: String,
    pub(crate) acceptor: TlsAcceptor,
}

/// A private CA that vouches for `names`.
pub(crate) fn test_ca(names: &[&str]) -> TestCa {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
    TestCa {
        authority_pem: authority.pem(),
        acceptor: TlsAcceptor::from(Arc::new(config)),
    }
}

/// Variables with static keys and without EC2 metadata, and `more`, which stand over those.
pub(crate) fn environment(more: &[(&str, &str)]) -> Environment {
    let mut variables: BTreeMap<String, String> = bare_environment(&[
        ("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT"),
        ("AWS_SECRET_ACCESS_KEY", "environment-secret"),
    ])
    .0;
    variables.extend(
        more.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    Environment(variables)
}

/// Variables without any credentials, and `more`.
pub(crate) fn bare_environment(more: &[(&str, &str)]) -> Environment {
    let mut variables = BTreeMap::from([
        ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()),
        ("AWS_CONFIG_FILE".to_owned(), "/nonexistent/config".to_owned()),
        (
            "AWS_SHARED_CREDENTIALS_FILE".to_owned(),
            "/nonexistent/credentials".to_owned(),
        ),
    ]);
    variables.extend(
        more.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    Environment(variables)
}

pub(crate) fn sourced(value: impl Into<String>, source: &str) -> Sourced<String> {
    Sourced {
        value: value.into(),
        source: source.to_owned(),
    }
}

/// A configuration with nothing set.
pub(crate) fn config() -> XRayConfig {
    XRayConfig {
        concurrency: None,
        region: None,
        endpoint: None,
        local_mode: true,
        resource_arn: None,
        role_arn: None,
        no_verify_ssl: false,
        proxy_address: None,
        connect_timeout: Duration::from_secs(3),
        call_timeout: Duration::from_secs(15),
        no_telemetry: false,
    }
}

/// A configuration with this `Endpoint`.
pub(crate) fn config_for(endpoint: impl Into<String>) -> XRayConfig {
    XRayConfig {
        endpoint: Some(sourced(endpoint, "cfg.yaml line 3 (Endpoint)")),
        ..config()
    }
}

/// Limits for servers that never answer. The rest is as in production.
pub(crate) fn impatient() -> Limits {
    Limits {
        connect_timeout: Duration::from_millis(500),
        attempt_timeout: Duration::from_millis(300),
        ..Limits::default()
    }
}

pub(crate) async fn connect(config: &XRayConfig, environment: &Environment) -> XRay {
    XRay::connect(config, environment, "eu-west-1").await.unwrap()
}

/// One call with [`BODY`].
pub(crate) async fn put(config: &XRayConfig, environment: &Environment) -> Result<Answer, PutError> {
    connect(config, environment)
        .await
        .put_trace_segments(Bytes::from_static(BODY.as_bytes()))
        .await
}

/// The failure of one call to `endpoint`.
pub(crate) async fn failure_at(endpoint: impl Into<String>) -> PutError {
    put(&config_for(endpoint), &environment(&[])).await.unwrap_err()
}
