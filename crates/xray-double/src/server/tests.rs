use std::error::Error as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use xray_service::sampling::SamplingRule;

use super::*;
use crate::double::{Double, DoubleConfig};
use crate::faults::{Fault, Which};
use crate::sigv4::Key;
use crate::state::Recording;

const SEGMENT: &str = r#"{"name":"backend-flask","id":"70de5b6f19ff9a0a","trace_id":"1-581cf771-a006649127e371903a2de979","start_time":1.5,"end_time":2.5}"#;

/// Far longer than anything here takes: a test that waits this long has failed.
const SOON: Duration = Duration::from_secs(10);

/// An answer as the client saw it.
#[derive(Debug)]
struct Seen {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

/// One keep-alive connection that signs with the SDK's signer.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    secret: String,
}

impl Client {
    async fn connect(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self::over(TcpStream::connect(addr).await?, addr).await)
    }

    async fn over(stream: impl Io + 'static, addr: SocketAddr) -> Self {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self {
            sender,
            host: addr.to_string(),
            secret: Key::example().secret_access_key,
        }
    }

    async fn post(&mut self, path: &str, body: &str) -> hyper::Result<Seen> {
        let request = self.signed(path, body);
        self.send(request).await
    }

    async fn put(&mut self, documents: &[&str]) -> hyper::Result<Seen> {
        self.post("/TraceSegments", &put_body(documents)).await
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Seen> {
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        Ok(Seen {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    fn signed(&self, path: &str, body: &str) -> Request<Full<Bytes>> {
        let mut request = Request::post(path)
            .header("host", &self.host)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .unwrap();
        let identity = Credentials::new("AKIDEXAMPLE", self.secret.as_str(), None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("xray")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let body = SignableBody::Bytes(body.as_bytes());
        let uri = format!("http://{}{path}", self.host);
        let signable = SignableRequest::new("POST", &uri, headers, body).unwrap();
        let (instructions, _signature) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}

fn put_body(documents: &[&str]) -> String {
    json!({ "TraceSegmentDocuments": documents }).to_string()
}

async fn double() -> Double {
    Double::start(DoubleConfig::default()).await.unwrap()
}

async fn double_and_client() -> (Double, Client) {
    let double = double().await;
    let client = Client::connect(double.addr()).await.unwrap();
    (double, client)
}

fn header<'a>(seen: &'a Seen, name: &str) -> &'a str {
    seen.headers[name].to_str().unwrap()
}

fn error_type(seen: &Seen) -> &str {
    header(seen, "x-amzn-errortype")
}

/// Whether the connection ended by RST, as far as the client can tell.
fn is_reset(error: &hyper::Error) -> bool {
    error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn a_signed_call_is_taken_recorded_and_stored() {
    let (double, mut client) = double_and_client().await;
    let seen = client.put(&[SEGMENT, "T1SCgA="]).await.unwrap();
    assert_eq!(seen.status, 200);
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(
        seen.headers["x-amzn-requestid"],
        "00000000-0000-4000-8000-000000000000"
    );
    assert_eq!(seen.body, r#"{"UnprocessedTraceSegments":[]}"#);

    assert_eq!(double.documents(), [SEGMENT, "T1SCgA="]);
    let [request] = double.requests().try_into().unwrap();
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/TraceSegments")
    );
    assert_eq!(request.operation, Some(Operation::PutTraceSegments));
    assert_eq!(request.body, put_body(&[SEGMENT, "T1SCgA="]));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.outcome, Outcome::Answered(200));
    match request.signature {
        Verdict::Valid(verified) => {
            assert_eq!(
                (verified.access_key_id.as_str(), verified.region.as_str()),
                ("AKIDEXAMPLE", "eu-west-1")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_operation_demands_a_signature() {
    let (double, mut client) = double_and_client().await;
    for operation in Operation::ALL {
        let unsigned = Request::post(operation.path())
            .header("host", "x")
            .body(Full::from("{}"))
            .unwrap();
        let seen = client.send(unsigned).await.unwrap();
        assert_eq!(
            (seen.status, error_type(&seen)),
            (403, "MissingAuthenticationTokenException")
        );
        assert_eq!(seen.body, r#"{"message":"Missing Authentication Token"}"#);
    }
    client.secret = "another".into();
    let seen = client.put(&[SEGMENT]).await.unwrap();
    assert_eq!(
        (seen.status, error_type(&seen)),
        (403, "InvalidSignatureException")
    );
    assert_eq!(double.documents(), Vec::<String>::new());
    assert!(
        double
            .requests()
            .iter()
            .all(|request| matches!(request.signature, Verdict::Refused(_)))
    );
    assert_eq!(
        double.look(|state| state.answered(403)),
        Operation::ALL.len() as u64 + 1
    );
}

#[tokio::test]
async fn a_body_changed_on_the_way_is_refused() {
    let (_double, mut client) = double_and_client().await;
    let (head, _body) = client
        .signed("/TraceSegments", &put_body(&[SEGMENT]))
        .into_parts();
    let changed = Request::from_parts(head, Full::from(put_body(&[&SEGMENT.replace('0', "1")])));
    assert_eq!(client.send(changed).await.unwrap().status, 403);
}

#[tokio::test]
async fn signatures_can_be_only_noted() {
    let config = DoubleConfig {
        signatures: SignatureCheck::Noted,
        ..DoubleConfig::default()
    };
    let double = Double::start(config).await.unwrap();
    let mut client = Client::connect(double.addr()).await.unwrap();
    client.secret = "another".into();
    assert_eq!(client.put(&[SEGMENT]).await.unwrap().status, 200);
    assert!(!double.requests()[0].signature.is_valid());
}

#[tokio::test]
async fn a_clock_that_is_off_refuses_signatures_as_expired() {
    let config = DoubleConfig {
        clock: Arc::new(|| SystemTime::now() + Duration::from_secs(16 * 60)),
        ..DoubleConfig::default()
    };
    let double = Double::start(config).await.unwrap();
    let mut client = Client::connect(double.addr()).await.unwrap();
    let seen = client.put(&[SEGMENT]).await.unwrap();
    assert_eq!(
        (seen.status, error_type(&seen)),
        (403, "InvalidSignatureException")
    );
    assert!(String::from_utf8_lossy(&seen.body).contains("Signature expired: "));
}

#[tokio::test]
async fn a_base_path_is_part_of_the_url_and_of_the_signature() {
    let config = DoubleConfig {
        base_path: "/base/path".into(),
        ..DoubleConfig::default()
    };
    let double = Double::start(config).await.unwrap();
    assert_eq!(double.url(), format!("http://{}/base/path", double.addr()));
    let mut client = Client::connect(double.addr()).await.unwrap();
    let inside = client
        .post("/base/path/TraceSegments", &put_body(&[SEGMENT]))
        .await
        .unwrap();
    assert_eq!(inside.status, 200);
    let outside = client
        .post("/TraceSegments", &put_body(&[SEGMENT]))
        .await
        .unwrap();
    assert_eq!(
        (outside.status, error_type(&outside)),
        (404, "UnknownOperationException")
    );
}

#[tokio::test]
async fn requests_on_one_connection_carry_its_number() {
    let (double, mut first) = double_and_client().await;
    first.post("/GetSamplingRules", "{}").await.unwrap();
    first.post("/GetSamplingRules", "{}").await.unwrap();
    let mut second = Client::connect(double.addr()).await.unwrap();
    second.post("/GetSamplingRules", "{}").await.unwrap();
    let connections: Vec<u64> = double
        .requests()
        .iter()
        .map(|request| request.connection)
        .collect();
    assert_eq!(connections, [0, 0, 1]);
    assert_eq!(double.look(State::connections_open), 2);
    drop((first, second));
    double
        .wait_for(|state| state.connections_open() == 0, SOON)
        .await
        .unwrap();
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_and_the_limit_itself_is_not() {
    let config = DoubleConfig {
        max_body_bytes: 1_000,
        ..DoubleConfig::default()
    };
    let double = Double::start(config).await.unwrap();
    let mut client = Client::connect(double.addr()).await.unwrap();
    let body = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    assert_eq!(body(1_000).len(), 1_000);
    assert_eq!(
        client
            .post("/GetSamplingRules", &body(1_000))
            .await
            .unwrap()
            .status,
        200
    );
    assert_eq!(
        client
            .post("/GetSamplingRules", &body(1_001))
            .await
            .unwrap()
            .status,
        413
    );
}

#[tokio::test]
async fn sampling_rules_set_by_a_test_are_served() {
    let (double, mut client) = double_and_client().await;
    double.set_sampling_rules(vec![SamplingRule::new("home", 1, 5, 1.0)]);
    let seen = client.post("/GetSamplingRules", "{}").await.unwrap();
    let value: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(
        value["SamplingRuleRecords"][0]["SamplingRule"]["RuleName"],
        "home"
    );
}

#[tokio::test]
async fn telemetry_is_readable() {
    let (double, mut client) = double_and_client().await;
    let body = json!({"TelemetryRecords": [{"Timestamp": 1, "SegmentsSentCount": 7}]}).to_string();
    assert_eq!(client.post("/TelemetryRecords", &body).await.unwrap().status, 200);
    assert_eq!(double.telemetry()[0].records[0].segments_sent_count, Some(7));
}

#[tokio::test]
async fn canned_answers_come_with_their_headers_and_without_the_work() {
    let (double, mut client) = double_and_client().await;
    let faults = double.faults();
    faults.times(1, Fault::status(503).with_header("retry-after", "2"));
    faults.times(1, Fault::throttled());
    faults.times(1, Fault::redirect(301, "http://127.0.0.1:1/"));
    faults.times(1, Fault::empty_ok());
    faults.times(1, Fault::html_ok());
    faults.times(1, Fault::json_ok(r#"{"Traces":[]}"#));

    let seen = client.put(&[SEGMENT]).await.unwrap();
    assert_eq!((seen.status, header(&seen, "retry-after")), (503, "2"));
    assert!(!seen.headers.contains_key("x-amzn-errortype"));
    let seen = client.put(&[SEGMENT]).await.unwrap();
    assert_eq!((seen.status, error_type(&seen)), (429, "ThrottledException"));
    let seen = client.put(&[SEGMENT]).await.unwrap();
    assert_eq!(
        (seen.status, header(&seen, "location")),
        (301, "http://127.0.0.1:1/")
    );
    let seen = client.put(&[SEGMENT]).await.unwrap();
    assert_eq!((seen.status, seen.body.len()), (200, 0));
    let seen = client.put(&[SEGMENT]).await.unwrap();
    assert_eq!((seen.status, header(&seen, "content-type")), (200, "text/html"));
    let seen = client.put(&[SEGMENT]).await.unwrap();
    assert_eq!((seen.status, &seen.body[..]), (200, &br#"{"Traces":[]}"#[..]));
    assert_eq!(double.documents(), Vec::<String>::new());

    assert_eq!(client.put(&[SEGMENT]).await.unwrap().status, 200);
    assert_eq!(double.documents(), [SEGMENT]);
    assert_eq!(double.requests()[0].fault.as_deref(), Some("answer 503"));
    assert_eq!(faults.fired(), 6);
}

#[tokio::test]
async fn a_spoilt_answer_can_hide_that_the_work_was_done() {
    let (double, mut client) = double_and_client().await;
    double.faults().times(1, Fault::status(500).after_accepting());
    assert_eq!(client.put(&[SEGMENT]).await.unwrap().status, 500);
    assert_eq!(double.documents(), [SEGMENT]);
}

#[tokio::test]
async fn close_ends_the_connection_without_an_answer_and_reset_resets_it() {
    for (fault, reset) in [(Fault::close(), false), (Fault::reset(), true)] {
        let (double, mut client) = double_and_client().await;
        double.faults().times(1, fault);
        let error = client.put(&[SEGMENT]).await.unwrap_err();
        assert_eq!(is_reset(&error), reset, "{error:?}");
        if !reset {
            assert!(error.is_incomplete_message(), "{error:?}");
        }
        assert_eq!(double.requests()[0].outcome, Outcome::Cut);
        assert_eq!(double.documents(), Vec::<String>::new());
        double
            .wait_for(|state| state.connections_open() == 0, SOON)
            .await
            .unwrap();
        let mut client = Client::connect(double.addr()).await.unwrap();
        assert_eq!(client.put(&[SEGMENT]).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn half_an_answer_has_its_head_and_half_its_body() {
    let (double, client) = double_and_client().await;
    double.faults().times(1, Fault::half_answer());
    let request = client.signed("/TraceSegments", &put_body(&[SEGMENT]));
    let mut wire = format!(
        "POST /TraceSegments HTTP/1.1\r\ncontent-length: {}\r\n",
        put_body(&[SEGMENT]).len()
    );
    for (name, value) in request.headers() {
        wire.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    let mut stream = TcpStream::connect(double.addr()).await.unwrap();
    stream
        .write_all(format!("{wire}\r\n{}", put_body(&[SEGMENT])).as_bytes())
        .await
        .unwrap();
    let mut seen = String::new();
    stream.read_to_string(&mut seen).await.unwrap();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-length: 31"), "{head}");
    assert_eq!(body, r#"{"UnprocessedTr"#);
    assert_eq!(double.documents(), [SEGMENT]);
    assert_eq!(double.requests()[0].outcome, Outcome::Cut);
}

#[tokio::test]
async fn a_slow_body_arrives_whole() {
    let (double, mut client) = double_and_client().await;
    double
        .faults()
        .times(1, Fault::slow_body(10, Duration::from_millis(1)));
    let before = Instant::now();
    let seen = client.put(&[SEGMENT]).await.unwrap();
    assert_eq!(seen.body, r#"{"UnprocessedTraceSegments":[]}"#);
    assert!(
        before.elapsed() >= Duration::from_millis(4),
        "31 bytes are 4 pieces, each after a pause"
    );
}

#[tokio::test]
async fn a_delayed_answer_comes_later_and_is_right() {
    let (double, mut client) = double_and_client().await;
    double.faults().times(1, Fault::delay(Duration::from_millis(30)));
    let before = Instant::now();
    assert_eq!(client.put(&[SEGMENT]).await.unwrap().status, 200);
    assert!(before.elapsed() >= Duration::from_millis(30));
    assert_eq!(double.documents(), [SEGMENT]);
}

#[tokio::test]
async fn a_hang_holds_until_the_client_leaves() {
    let (double, mut client) = double_and_client().await;
    double.faults().times(1, Fault::hang());
    {
        let call = client.put(&[SEGMENT]);
        tokio::pin!(call);
        tokio::select! {
            seen = &mut call => panic!("{seen:?}"),
            waited = double.wait_for(|state| state.in_flight() == 1, SOON) => waited.unwrap(),
        }
    }
    assert_eq!(double.requests()[0].outcome, Outcome::Waiting);
    drop(client);
    double
        .wait_for(|state| state.in_flight() == 0, SOON)
        .await
        .unwrap();
    assert_eq!(double.requests()[0].outcome, Outcome::Abandoned);
}

#[tokio::test]
async fn documents_named_as_unprocessed_are_not_stored() {
    let (double, mut client) = double_and_client().await;
    double.faults().times(
        1,
        Fault::unprocessed(Which::Index(1), "ThrottledException", "slow down"),
    );
    let other = SEGMENT.replace("70de5b6f19ff9a0a", "70de5b6f19ff9a0b");
    let seen = client.put(&[SEGMENT, &other]).await.unwrap();
    let value: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(
        value["UnprocessedTraceSegments"],
        json!([{"Id": "70de5b6f19ff9a0b", "ErrorCode": "ThrottledException", "Message": "slow down"}])
    );
    assert_eq!(double.documents(), [SEGMENT]);
}

#[tokio::test]
async fn a_stopped_double_refuses_connections_until_it_is_started_again() {
    let (double, mut client) = double_and_client().await;
    client.put(&[SEGMENT]).await.unwrap();
    double.stop().await;
    assert_eq!(double.look(State::connections_open), 0);
    assert!(client.put(&[SEGMENT]).await.is_err(), "its connections are cut");
    let refused = TcpStream::connect(double.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    double.stop().await;

    let addr = double.addr();
    double.start_again().await.unwrap();
    double.start_again().await.unwrap();
    assert_eq!(double.addr(), addr);
    let mut client = Client::connect(addr).await.unwrap();
    assert_eq!(client.put(&[SEGMENT]).await.unwrap().status, 200);
    assert_eq!(double.documents(), [SEGMENT, SEGMENT], "what was accepted stays");
}

#[tokio::test]
async fn a_dropped_double_frees_its_port() {
    let double = double().await;
    let addr = double.addr();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    double
        .wait_for(|state| state.connections_open() == 1, SOON)
        .await
        .unwrap();
    drop(double);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_frozen_double_takes_requests_and_answers_them_when_thawed() {
    let (double, mut client) = double_and_client().await;
    double.freeze();
    let call = client.put(&[SEGMENT]);
    tokio::pin!(call);
    tokio::select! {
        seen = &mut call => panic!("{seen:?}"),
        waited = double.wait_for_requests(1, SOON) => assert_eq!(waited.unwrap().len(), 1),
    }
    assert_eq!(double.documents(), Vec::<String>::new());
    double.thaw();
    assert_eq!(call.await.unwrap().status, 200);
    assert_eq!(double.documents(), [SEGMENT]);
}

#[tokio::test]
async fn waiting_ends_with_the_documents_or_says_what_was_there() {
    let (double, mut client) = double_and_client().await;
    let (waited, seen) = tokio::join!(
        double.wait_for_documents(2, SOON),
        client.put(&[SEGMENT, SEGMENT])
    );
    seen.unwrap();
    assert_eq!(waited.unwrap(), [SEGMENT, SEGMENT]);
    let error = double
        .wait_for_documents(3, Duration::from_millis(1))
        .await
        .unwrap_err();
    let text = format!("{error:?}");
    assert!(
        text.starts_with("waited 1ms in vain for 3 documents: 2 documents accepted (2 kept), 1 requests"),
        "{text}"
    );
    assert!(text.contains("POST /TraceSegments, "), "{text}");
    assert!(text.ends_with("bytes, signature valid, answered 200"), "{text}");
}

#[tokio::test]
async fn a_counting_double_keeps_nothing_and_counts_all() {
    let double = Double::start(DoubleConfig::counting()).await.unwrap();
    let mut client = Client::connect(double.addr()).await.unwrap();
    client.secret = "another".into();
    for _ in 0..3 {
        assert_eq!(client.put(&["not even json"; 50]).await.unwrap().status, 200);
    }
    assert_eq!(
        double.wait_for_documents(150, SOON).await.unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(
        double.look(|state| (state.accepted(), state.request_count(), state.requests().len())),
        (150, 3, 0)
    );
}

#[tokio::test]
async fn bodies_can_be_left_out_of_the_record() {
    let recording = Recording::WithoutBodies {
        budget_bytes: 1 << 20,
    };
    let double = Double::start(DoubleConfig {
        recording,
        ..DoubleConfig::default()
    })
    .await
    .unwrap();
    let mut client = Client::connect(double.addr()).await.unwrap();
    client.put(&[SEGMENT]).await.unwrap();
    let request = &double.requests()[0];
    assert_eq!(
        (request.body.len(), request.body_bytes),
        (0, put_body(&[SEGMENT]).len())
    );
    assert!(request.signature.is_valid());
    assert_eq!(double.documents(), [SEGMENT]);
}

#[tokio::test]
async fn bytes_that_are_no_http_end_their_connection_only() {
    let (double, mut client) = double_and_client().await;
    let mut stream = TcpStream::connect(double.addr()).await.unwrap();
    stream.write_all(b"\x16\x03\x01 hello\r\n\r\n").await.unwrap();
    let mut seen = String::new();
    stream.read_to_string(&mut seen).await.unwrap();
    assert!(seen.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{seen}");
    assert_eq!(client.put(&[SEGMENT]).await.unwrap().status, 200);
    assert_eq!(double.look(State::request_count), 1);
}

#[tokio::test]
async fn an_acceptor_puts_tls_below_http_and_resets_reach_through_it() {
    use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();

    let tls = TlsAcceptor::from(Arc::new(server));
    let acceptor: Acceptor = Arc::new(move |stream| {
        let handshake = tls.accept(stream);
        Box::pin(async move { Ok(Box::new(handshake.await?) as Box<dyn Io>) })
    });
    let config = DoubleConfig {
        acceptor: Some(acceptor),
        ..DoubleConfig::default()
    };
    let double = Double::start(config).await.unwrap();
    assert!(double.url().starts_with("https://127.0.0.1:"));

    let stream = TcpStream::connect(double.addr()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(client))
        .connect(name, stream)
        .await
        .unwrap();
    let mut client = Client::over(stream, double.addr()).await;
    assert_eq!(client.put(&[SEGMENT]).await.unwrap().status, 200);
    assert_eq!(double.documents(), [SEGMENT]);
    double.faults().times(1, Fault::reset());
    assert!(is_reset(&client.put(&[SEGMENT]).await.unwrap_err()));

    let mut plain = TcpStream::connect(double.addr()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    plain.read_to_end(&mut seen).await.unwrap();
    assert!(!seen.starts_with(b"HTTP"), "plain HTTP is not answered");
}
