//! Metadata addresses on the loopback, and a client that reaches them.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::super::metadata::{Limits, exchange};

/// An HTTP client for IMDS, as direct as the daemon's own is for such addresses.
pub(super) fn direct_http() -> SharedHttpClient {
    #[derive(Debug)]
    struct Direct;
    impl HttpConnector for Direct {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::new(async move {
                let request = request.try_into_http1x().unwrap();
                let answer = exchange(request, Limits::DEFAULT)
                    .await
                    .map_err(|reason| ConnectorError::io(reason.into()))?;
                Ok(HttpResponse::try_from(answer.map(SdkBody::from)).unwrap())
            })
        }
    }
    http_client_fn(|_, _| SharedHttpConnector::new(Direct))
}

/// What a fake answers: status and body, by method, path and number of the call with both.
type Answers = fn(&Method, &str, usize) -> (u16, Vec<u8>);

/// Answers requests and remembers them, until the test's runtime ends.
pub(super) struct Fake {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request<()>>>>,
}

impl Fake {
    pub(super) async fn start(answers: Answers) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
        };
        let requests = Arc::clone(&fake.requests);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let requests = Arc::clone(&requests);
                let answer = service_fn(move |request: Request<Incoming>| {
                    let request = request.map(|_| ());
                    let mut requests = requests.lock().unwrap();
                    let call = requests
                        .iter()
                        .filter(|before| before.uri() == request.uri() && before.method() == request.method())
                        .count();
                    let (status, body) = answers(request.method(), request.uri().path(), call);
                    requests.push(request);
                    let answer = Response::builder()
                        .status(status)
                        .header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
                        .body(Full::<Bytes>::from(body))
                        .unwrap();
                    async { Ok::<_, Infallible>(answer) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
                );
            }
        });
        fake
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `PUT /latest/api/token`, ..., in the order they came.
    pub(super) fn lines(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .map(|request| format!("{} {}", request.method(), request.uri()))
            .collect()
    }

    /// A header of the request at `at`.
    pub(super) fn header(&self, at: usize, name: &str) -> String {
        let requests = self.requests.lock().unwrap();
        requests[at].headers()[name].to_str().unwrap().to_owned()
    }
}

/// An address that takes connections and never answers.
pub(super) struct Silent(TcpListener);

impl Silent {
    pub(super) fn new() -> Self {
        // The kernel takes the connections of the backlog.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// Whether anybody has connected since the last call.
    pub(super) fn was_asked(&self) -> bool {
        self.0.accept().is_ok()
    }
}

/// An address where nobody listens.
pub(super) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
