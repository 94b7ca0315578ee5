//! Calls from end to end, against an endpoint on loopback that records them.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::GzDecoder;
use prost::Message as _;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use xray_document::otlp::message;
use xray_double::double::{Double, DoubleConfig};
use xray_double::faults::Fault;

use super::*;
use crate::config::{Config, Files, Flags, LogFormat, LogLevel, Sourced, load};
use crate::exporters::answer::Unnamed;
use crate::ledger::DropReason;
use crate::logs::testing::LogLines;

const TRACES: Kind = Kind::Requests(Signal::Traces, Form::Protobuf);

const KEY: &str = "x-honeycomb-team=s3cret";

/// No file is there.
struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Environment(variables.iter().map(owned).collect())
}

/// What a run has with this endpoint and these variables.
fn config(url: &str, environment: &Environment) -> Config {
    let flags = Flags {
        otlp_endpoint: Some(Sourced {
            value: url.to_owned(),
            source: "flag --otlp-endpoint".to_owned(),
        }),
        ..Flags::default()
    };
    load(&flags, environment, &NoFiles).unwrap()
}

async fn connect(url: &str, variables: &[(&str, &str)]) -> Result<Otlp, SettingError> {
    let environment = environment(variables);
    let config = config(url, &environment);
    let endpoint = config.otlp.unwrap().endpoint.unwrap();
    Otlp::check_files(&endpoint, &environment)?;
    Otlp::connect(&endpoint, &config.xray, &environment).await
}

/// An endpoint that takes everything, and its client.
async fn taking(variables: &[(&str, &str)]) -> (Double, Otlp) {
    let double = Double::start(DoubleConfig::default()).await.unwrap();
    double.faults().always(Fault::answer(200, ""));
    let otlp = connect(&double.url(), variables).await.unwrap();
    (double, otlp)
}

fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut back = Vec::new();
    GzDecoder::new(body).read_to_end(&mut back).unwrap();
    back
}

async fn put(otlp: &Otlp, kind: Kind, body: &'static [u8]) -> Result<Answer, PutError> {
    otlp.put(kind, Bytes::from_static(body)).await
}

/// A body of segments: these documents.
fn segments(documents: &[&str]) -> Bytes {
    let json = serde_json::json!({ "TraceSegmentDocuments": documents });
    json.to_string().into()
}

fn segment(id: &str, name: &str, more: &str) -> String {
    format!(
        r#"{{"trace_id":"1-6744ae2f-0123456789abcdef01234567","id":"{id}","name":"{name}","start_time":1.0{more}}}"#
    )
}

/// Name and service of each span in the body of a request.
fn spans(body: &[u8]) -> Vec<(String, String)> {
    let request = message::Request::decode(&unzipped(body)[..]).unwrap();
    let mut spans = Vec::new();
    for resource in &request.resource_spans {
        let attributes = resource.resource.iter().flat_map(|resource| &resource.attributes);
        let service = attributes
            .filter(|attribute| attribute.key == "service.name")
            .map(|attribute| format!("{:?}", attribute.value))
            .collect::<String>();
        let service = service.split('"').nth(1).unwrap_or_default().to_owned();
        for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            spans.push((span.name.clone(), service.clone()));
        }
    }
    spans
}

#[tokio::test]
async fn each_kind_goes_to_its_path_as_it_is_compressed_with_the_headers_of_its_signal() {
    let (double, otlp) = taking(&[
        ("OTEL_EXPORTER_OTLP_HEADERS", KEY),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-dataset=of%20metrics"),
    ])
    .await;
    assert_eq!(otlp.endpoint_description(), double.url());
    let sent: [(Signal, Form, &[u8], &str); 3] = [
        (Signal::Traces, Form::Protobuf, b"\x0a\x00", "/v1/traces"),
        (
            Signal::Metrics,
            Form::Json,
            b"{\"resourceMetrics\":[]}",
            "/v1/metrics",
        ),
        (Signal::Logs, Form::Protobuf, b"\x0a\x00\x0a\x00", "/v1/logs"),
    ];
    for (signal, form, body, _) in sent {
        let answer = put(&otlp, Kind::Requests(signal, form), body).await.unwrap();
        assert_eq!(answer, Answer::default());
    }
    let requests = double.requests();
    assert_eq!(requests.len(), 3);
    for (request, (signal, form, body, path)) in requests.iter().zip(sent) {
        assert_eq!((&*request.method, &*request.path), ("POST", path));
        assert_eq!(unzipped(&request.body), body);
        let length = request.body.len().to_string();
        let content_type = match form {
            Form::Protobuf => "application/x-protobuf",
            Form::Json => "application/json",
        };
        let agent = concat!("xray-otlp-exporter/", env!("CARGO_PKG_VERSION"));
        for (name, value) in [
            ("content-type", content_type),
            ("content-encoding", "gzip"),
            ("content-length", &length),
            ("x-honeycomb-team", "s3cret"),
            ("user-agent", agent),
        ] {
            assert_eq!(request.header(name), Some(value), "{path} {name}");
        }
        let dataset = (signal == Signal::Metrics).then_some("of metrics");
        assert_eq!(request.header("x-dataset"), dataset);
        assert_eq!(request.header("authorization"), None);
        // All signals share connections.
        assert_eq!(request.connection, 0);
    }
}

#[tokio::test]
async fn without_compression_a_body_goes_out_byte_for_byte() {
    let (double, otlp) = taking(&[
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "User-Agent=mine"),
    ])
    .await;
    put(&otlp, TRACES, b"\x0a\x00").await.unwrap();
    let requests = double.requests();
    assert_eq!(&requests[0].body[..], b"\x0a\x00");
    assert_eq!(requests[0].header("content-encoding"), None);
    assert_eq!(requests[0].header("user-agent"), Some("mine"));
}

#[tokio::test]
async fn no_value_of_a_header_is_in_any_line_of_the_log_in_errors_or_in_debug_forms() {
    let lines = LogLines::collect_from(LogLevel::Trace, LogFormat::Text);
    let (double, otlp) = taking(&[("OTEL_EXPORTER_OTLP_HEADERS", KEY)]).await;
    put(&otlp, TRACES, b"\x0a\x00").await.unwrap();
    double.faults().clear();
    double.faults().always(Fault::answer(401, "no"));
    let error = put(&otlp, TRACES, b"\x0a\x00").await.unwrap_err();
    double.stop().await;
    let other = put(&otlp, TRACES, b"\x0a\x00").await.unwrap_err();
    let said = format!("{:?} {otlp:?} {error:?} {other:?}", lines.take());
    assert!(!said.contains("s3cret"), "{said}");
    assert_eq!(double.requests()[0].header("x-honeycomb-team"), Some("s3cret"));
}

#[tokio::test]
async fn a_failure_says_what_becomes_of_the_body_when_to_try_again_and_what_to_do() {
    let (double, otlp) = taking(&[("OTEL_EXPORTER_OTLP_HEADERS", KEY)]).await;
    let traces = format!("{}/v1/traces", double.url());
    for (fault, class, whole, retry_after_s, message) in [
        (
            Fault::answer(503, "busy").with_header("retry-after", "7"),
            ErrorClass::ServerError,
            false,
            Some(7),
            "status 503: busy".to_owned(),
        ),
        (
            Fault::answer(429, "").with_header("retry-after", "2"),
            ErrorClass::Throttled,
            false,
            Some(2),
            "status 429".to_owned(),
        ),
        (
            Fault::answer(400, r#"{"code":3,"message":"bad id"}"#),
            ErrorClass::Refused,
            false,
            None,
            "status 400: bad id".to_owned(),
        ),
        (
            Fault::answer(413, "too large"),
            ErrorClass::Refused,
            false,
            None,
            "status 413: too large".to_owned(),
        ),
        (
            Fault::answer(401, "unknown API key"),
            ErrorClass::Credentials,
            false,
            None,
            "status 401: unknown API key; is the key in OTEL_EXPORTER_OTLP_HEADERS right?".to_owned(),
        ),
        (
            Fault::answer(404, "not found"),
            ErrorClass::Refused,
            true,
            None,
            format!("status 404: not found; does {traces} take spans by OTLP over HTTP?"),
        ),
        (
            Fault::answer(500, ""),
            ErrorClass::Refused,
            true,
            None,
            format!("status 500; does {traces} take spans by OTLP over HTTP?"),
        ),
    ] {
        double.faults().clear();
        double
            .faults()
            .always(fault.with_header("content-type", "application/json"));
        let error = put(&otlp, TRACES, b"\x0a\x00").await.unwrap_err();
        let expected = (class, whole, retry_after_s.map(Duration::from_secs), &*message);
        assert_eq!(
            (error.class, error.whole, error.retry_after, &*error.message),
            expected
        );
    }
    let keyless = connect(&double.url(), &[]).await.unwrap();
    double.faults().clear();
    double.faults().always(Fault::answer(401, ""));
    assert_eq!(
        put(&keyless, TRACES, b"\x0a\x00").await.unwrap_err().message,
        "status 401; it wants a key: set OTEL_EXPORTER_OTLP_HEADERS, or Headers in the section OTLP"
    );
}

#[tokio::test]
async fn what_a_partial_success_leaves_out_is_told_and_a_remark_is_a_line_once_a_minute() {
    let lines = LogLines::collect();
    let (double, otlp) = taking(&[]).await;
    double.faults().clear();
    let partial = Fault::answer(200, "\n\x05\x08\x03\x12\x01x");
    double
        .faults()
        .times(1, partial.with_header("content-type", "application/x-protobuf"));
    let answer = put(&otlp, TRACES, b"\x0a\x00").await.unwrap();
    assert_eq!(
        answer,
        Answer {
            unnamed: Some(Unnamed {
                count: 3,
                message: "x".to_owned()
            }),
            ..Answer::default()
        }
    );
    let remark = Fault::answer(200, r#"{"partialSuccess":{"errorMessage":"old\nform"}}"#);
    double
        .faults()
        .always(remark.with_header("content-type", "application/json"));
    for _ in 0..3 {
        assert_eq!(put(&otlp, TRACES, b"\x0a\x00").await.unwrap(), Answer::default());
    }
    assert_eq!(
        lines.take(),
        ["[Warn] The OTLP endpoint took what was sent, and says: old form"]
    );
}

/// A server that does this with the first connection.
async fn server<F: Future<Output = ()> + Send + 'static>(
    then: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { then(listener.accept().await.unwrap().0).await });
    url
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn a_success_whose_body_stops_in_the_middle_is_one() {
    let url = server(async |mut stream| {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
            .await
            .unwrap();
    })
    .await;
    let otlp = connect(&url, &[]).await.unwrap();
    assert_eq!(put(&otlp, TRACES, b"\x0a\x00").await, Ok(Answer::default()));
}

#[tokio::test]
async fn of_an_answer_without_end_no_more_is_read_than_an_answer_has() {
    let url = server(async |mut stream| {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 503 Busy\r\nretry-after: 3\r\n\r\n")
            .await
            .unwrap();
        // Until the client has had enough.
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let otlp = connect(&url, &[]).await.unwrap();
    let error = put(&otlp, TRACES, b"\x0a\x00").await.unwrap_err();
    assert_eq!(error.class, ErrorClass::ServerError);
    assert_eq!(error.retry_after, Some(Duration::from_secs(3)));
    assert!(error.message.len() < 200, "{}", error.message);
}

#[tokio::test]
async fn a_body_that_is_refused_for_its_length_before_it_is_read_is_refused_and_not_an_outage() {
    let url = server(async |mut stream| {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        tokio::io::copy(&mut stream, &mut tokio::io::sink())
            .await
            .unwrap();
    })
    .await;
    let otlp = connect(&url, &[("OTEL_EXPORTER_OTLP_COMPRESSION", "none")])
        .await
        .unwrap();
    let body = Bytes::from(vec![0; 4 << 20]);
    let error = otlp.put(TRACES, body).await.unwrap_err();
    assert!(error.is_too_long(), "{error:?}");
}

#[tokio::test]
async fn nobody_there_is_an_outage_and_so_is_silence() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let otlp = connect(&url, &[]).await.unwrap();
    let error = put(&otlp, TRACES, b"\x0a\x00").await.unwrap_err();
    assert_eq!(error.class, ErrorClass::ConnectionRefused);

    let (double, otlp) = taking(&[("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "50")]).await;
    double.faults().clear();
    double.faults().always(Fault::hang());
    let error = put(&otlp, TRACES, b"\x0a\x00").await.unwrap_err();
    assert_eq!(
        (error.class, &*error.message),
        (ErrorClass::Timeout, "no answer within 0.05 s")
    );
}

#[tokio::test]
async fn segments_become_spans_in_the_call_and_what_has_none_is_counted_by_reason() {
    let lines = LogLines::collect();
    let (double, otlp) = taking(&[]).await;
    let body = segments(&[
        &segment(
            "0000000000000001",
            "call",
            r#","end_time":2.0,"type":"subsegment","parent_id":"0000000000000002""#,
        ),
        &segment("0000000000000002", "shop", r#","end_time":2.0"#),
        &segment("0000000000000003", "shop", r#","in_progress":true"#),
        &segment("0000000000000004", "", r#","end_time":2.0"#),
        "T1Uabc",
        "no segment",
    ]);
    let answer = otlp.put(Kind::Segments, body.clone()).await.unwrap();
    let mut left_out = answer.left_out.clone();
    left_out.sort_by_key(|(reason, _)| reason.label());
    assert_eq!(
        left_out,
        [
            (DropReason::InProgress, 1),
            (DropReason::NotConvertible, 2),
            (DropReason::Unsampled, 1),
        ]
    );
    assert_eq!(
        answer,
        Answer {
            left_out: answer.left_out.clone(),
            ..Answer::default()
        }
    );
    let requests = double.requests();
    assert_eq!(requests[0].path, "/v1/traces");
    // The name of the segment is that of the service, also of the call that came before it.
    let mut names = spans(&requests[0].body);
    names.sort();
    let pair = |name: &str| (name.to_owned(), "shop".to_owned());
    assert_eq!(names, [pair("call"), pair("shop")]);
    let said = lines.take();
    assert_eq!(said.len(), 2, "{said:?}");
    for line in &said {
        let begins = "[Warn] A segment cannot be made into spans, so the OTLP endpoint does not get it: ";
        assert!(line.starts_with(begins), "{line}");
    }
    assert!(
        said.iter().any(|line| line.contains("id 0000000000000004")),
        "{said:?}"
    );
}

#[tokio::test]
async fn the_service_of_a_lone_subsegment_is_the_configured_one_until_a_segment_tells() {
    let (double, otlp) = taking(&[("OTEL_SERVICE_NAME", "configured")]).await;
    let call = segment(
        "0000000000000001",
        "call",
        r#","end_time":2.0,"type":"subsegment","parent_id":"0000000000000002""#,
    );
    let shop = segment("0000000000000002", "shop", r#","end_time":2.0"#);
    for documents in [&[&*call], &[&*shop], &[&*call]] {
        otlp.put(Kind::Segments, segments(documents)).await.unwrap();
    }
    let services: Vec<String> = double
        .requests()
        .iter()
        .map(|request| spans(&request.body)[0].1.clone())
        .collect();
    assert_eq!(services, ["configured", "shop", "shop"]);
}

#[tokio::test]
async fn a_body_without_any_span_makes_no_call() {
    let (double, otlp) = taking(&[]).await;
    let body = segments(&["T1U", "T1U"]);
    assert_eq!(
        otlp.put(Kind::Segments, body).await,
        Ok(Answer {
            left_out: vec![(DropReason::Unsampled, 2)],
            not_called: true,
            ..Answer::default()
        })
    );
    assert!(double.requests().is_empty());
    let error = put(&otlp, Kind::Segments, b"{}").await.unwrap_err();
    assert_eq!((error.class, error.whole), (ErrorClass::Refused, true));
}

#[tokio::test]
async fn a_call_that_fails_names_no_segment_since_it_is_made_again() {
    let lines = LogLines::collect();
    let (double, otlp) = taking(&[]).await;
    double.faults().clear();
    double.faults().times(1, Fault::answer(503, ""));
    double.faults().always(Fault::answer(200, ""));
    let body = segments(&[
        "no segment",
        &segment("0000000000000002", "shop", r#","end_time":2.0"#),
    ]);
    otlp.put(Kind::Segments, body.clone()).await.unwrap_err();
    assert_eq!(lines.take(), [""; 0]);
    otlp.put(Kind::Segments, body).await.unwrap();
    assert_eq!(lines.take().len(), 1);
}

#[tokio::test]
async fn plain_http_goes_through_the_proxy_that_is_set_for_it_but_on_loopback() {
    let double = Double::start(DoubleConfig::default()).await.unwrap();
    double.faults().always(Fault::answer(200, ""));
    let proxy = [("HTTP_PROXY", &*double.url())];
    let otlp = connect("http://collector.example:4318", &proxy).await.unwrap();
    put(&otlp, TRACES, b"\x0a\x00").await.unwrap();
    let requests = double.requests();
    assert_eq!(requests[0].header("host"), Some("collector.example:4318"));
    let description = otlp.proxy_description().unwrap().to_string();
    assert_eq!(description, format!("{} (from HTTP_PROXY)", double.url()));
    let here = connect("http://localhost:4318", &proxy).await.unwrap();
    assert_eq!(here.proxy_description(), None);
}

#[tokio::test]
async fn keys_that_go_to_another_machine_in_clear_are_warned_of() {
    for (url, variables, warnings) in [
        (
            "http://collector.example",
            &[("OTEL_EXPORTER_OTLP_HEADERS", KEY)][..],
            1,
        ),
        ("http://collector.example", &[], 0),
        ("http://localhost:1", &[("OTEL_EXPORTER_OTLP_HEADERS", KEY)], 0),
        (
            "https://collector.example",
            &[("OTEL_EXPORTER_OTLP_HEADERS", KEY)],
            0,
        ),
    ] {
        let otlp = connect(url, variables).await.unwrap();
        assert_eq!(otlp.warnings().len(), warnings, "{url}");
    }
}

/// A server for one request, which asks for a certificate of its authority. Returns its URL and the client's variables.
async fn mutual_tls(directory: &Path) -> (String, [(&'static str, String); 3]) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(authority, authority_key).unwrap();
    let signed = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    let (certificate, key) = signed("localhost");
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client without a certificate fails here.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            // The client may be gone already.
            let _: std::io::Result<()> = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    });
    let (client, client_key) = signed("app.example");
    let file = |name: &str, text: &str| {
        let path: PathBuf = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let variables = [
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", file("ca.pem", &authority.pem())),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", file("c.pem", &client)),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", file("k.pem", &client_key)),
    ];
    (format!("https://localhost:{port}"), variables)
}

#[tokio::test]
async fn an_endpoint_of_a_private_authority_is_trusted_and_shown_our_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let (url, variables) = mutual_tls(directory.path()).await;
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let otlp = connect(&url, &variables).await.unwrap();
    assert_eq!(put(&otlp, TRACES, b"\x0a\x00").await, Ok(Answer::default()));

    let without_certificate = connect(&url, &variables[..1]).await.unwrap();
    let error = put(&without_certificate, TRACES, b"\x0a\x00").await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Connection);
    let untrusting = connect(&url, &variables[1..]).await.unwrap();
    let error = put(&untrusting, TRACES, b"\x0a\x00").await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Connection);
}

#[tokio::test]
async fn files_of_certificates_that_cannot_be_used_are_found_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let (url, variables) = mutual_tls(directory.path()).await;
    let path = |name: &str| {
        variables
            .iter()
            .find(|(other, _)| *other == name)
            .unwrap()
            .1
            .as_str()
    };
    let (certificate, key) = (
        path("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
        path("OTEL_EXPORTER_OTLP_CLIENT_KEY"),
    );
    for (variables, source) in [
        (
            &[("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", key)][..],
            "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
        ),
        (
            &[
                ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate),
                ("OTEL_EXPORTER_OTLP_CLIENT_KEY", certificate),
            ],
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        ),
        (
            &[("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem")],
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
        ),
    ] {
        let error = connect(&url, variables).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{source}: cannot use ")), "{error}");
    }
}

#[test]
fn signals_with_the_same_certificates_share_connections() {
    let environment = environment(&[("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "m.pem")]);
    let endpoint = config("https://a.example", &environment)
        .otlp
        .unwrap()
        .endpoint
        .unwrap();
    assert_eq!(client_places(endpoint.forms()), [0, 1, 0]);
}
