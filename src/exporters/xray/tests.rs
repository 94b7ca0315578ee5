//! Calls from end to end, against X-Ray on loopback that checks their signatures.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use xray_double::double::{Double, DoubleConfig};
use xray_double::faults::Fault;
use xray_double::sigv4::Key;

use super::telemetry::PutTelemetry as _;
use super::*;
use crate::config::{Files, Flags, Sourced, load};

const BODY: &[u8] = br#"{"TraceSegmentDocuments":["{\"trace_id\":\"1-6744ae2f-0123456789abcdef01234567\",\"id\":\"0123456789abcdef\",\"name\":\"web\",\"start_time\":1.0,\"end_time\":2.0}"]}"#;

/// A body whose document is no segment.
const REFUSED_BODY: &[u8] = br#"{"TraceSegmentDocuments":["no segment"]}"#;

const LONG: Duration = Duration::from_secs(20);

/// A file system in which each file is this cfg.yaml.
struct CfgYaml(String);

impl Files for CfgYaml {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }
}

/// What a cfg.yaml says that has `settings`, a line each, and nothing else.
fn config(settings: &str) -> XRayConfig {
    let flags = Flags {
        config_file: Some(Sourced {
            value: PathBuf::from("cfg.yaml"),
            source: "flag -c".to_owned(),
        }),
        ..Flags::default()
    };
    let files = CfgYaml(format!("Version: 2\n{settings}"));
    load(&flags, &Environment::default(), &files).unwrap().xray
}

/// The keys of the double, and nothing else of this machine.
fn environment() -> Environment {
    let key = Key::example();
    let variables = [
        ("AWS_ACCESS_KEY_ID", &*key.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &key.secret_access_key),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/nonexistent/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
    ];
    Environment(
        variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    )
}

async fn connect(url: &str, more_settings: &str) -> XRay {
    let config = config(&format!("Endpoint: \"{url}\"\n{more_settings}"));
    XRay::connect(&config, &environment(), "eu-west-1").await.unwrap()
}

pub(in crate::exporters::xray) async fn double() -> (Double, XRay) {
    let double = Double::start(DoubleConfig::default()).await.unwrap();
    let xray = connect(&double.url(), "").await;
    (double, xray)
}

/// A server that does this with the first connection.
async fn server<F: Future<Output = ()> + Send + 'static>(
    scheme: &str,
    then: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{scheme}://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { then(listener.accept().await.unwrap().0).await });
    url
}

/// A server that reads a head, writes `answer` and no more, and listens until the client has closed.
async fn answering(answer: &'static [u8]) -> String {
    server("http", async move |mut stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer).await.unwrap();
        stream.shutdown().await.unwrap();
        tokio::io::copy(&mut stream, &mut tokio::io::sink())
            .await
            .unwrap();
    })
    .await
}

#[tokio::test]
async fn a_body_goes_out_as_it_is_in_a_request_of_the_official_form_and_the_answer_comes_back() {
    let (double, xray) = double().await;
    let answer = xray.put_trace_segments(Bytes::from_static(BODY)).await.unwrap();
    assert_eq!(answer.unprocessed, []);
    assert!(answer.request_id.is_some());
    let answer = xray
        .put(Kind::Segments, Bytes::from_static(REFUSED_BODY))
        .await
        .unwrap();
    let code = answer.unprocessed[0].error_code.as_deref();
    assert_eq!((answer.unprocessed.len(), code), (1, Some("ParseError")));
    let requests = double.requests();
    for (request, body) in requests.iter().zip([BODY, REFUSED_BODY]) {
        assert!(request.signature.is_valid(), "{request}");
        assert_eq!((&*request.method, &*request.path), ("POST", "/TraceSegments"));
        assert_eq!(request.body, body);
        let length = body.len().to_string();
        assert_eq!(request.header("content-length"), Some(&*length));
        let agent = request.header("user-agent").unwrap();
        assert!(agent.contains(" xray-agent/xray-daemon/"), "{agent}");
        let timestamp = request.header("x-amzn-xray-timestamp").unwrap();
        assert!(timestamp.parse::<f64>().unwrap() > 1.7e9, "{timestamp}");
        for sdks_own in ["amz-sdk-request", "amz-sdk-invocation-id", "x-amz-user-agent"] {
            assert_eq!(request.header(sdks_own), None, "{sdks_own}");
        }
    }
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn other_calls_have_their_own_path_and_body_and_any_answer_to_them_is_one() {
    let (double, xray) = double().await;
    let answer = xray
        .post("/GetSamplingRules", Bytes::from_static(b"{}"), LONG)
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let rules: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert!(rules["SamplingRuleRecords"].is_array(), "{rules}");
    double.faults().always(Fault::answer(418, "tea"));
    let answer = xray
        .post("/GetSamplingRules", Bytes::from_static(b"{}"), LONG)
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (418, &b"tea"[..]));
    for request in double.requests() {
        assert!(request.signature.is_valid(), "{request}");
        assert_eq!(
            (&*request.path, &request.body[..]),
            ("/GetSamplingRules", &b"{}"[..])
        );
    }
}

#[tokio::test]
async fn a_telemetry_report_is_taken_or_fails_for_what_the_service_said() {
    const REPORT: &[u8] = br#"{"TelemetryRecords":[{"Timestamp":1795629600.0}]}"#;
    let (double, xray) = double().await;
    let put = || xray.put_telemetry(Bytes::from_static(REPORT), LONG);
    put().await.unwrap();
    assert_eq!(double.telemetry().len(), 1);
    double.faults().always(Fault::throttled());
    let error = put().await.unwrap_err();
    assert_eq!((error.class, error.status), (ErrorClass::Throttled, Some(429)));
    assert_eq!(double.telemetry().len(), 1);
}

#[tokio::test]
async fn keys_that_are_no_good_are_looked_for_again_by_the_next_call() {
    let double = Double::start(DoubleConfig::default()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials");
    let write = |key: &Key| {
        let text = format!(
            "[default]\naws_access_key_id={}\naws_secret_access_key={}\n",
            key.access_key_id, key.secret_access_key
        );
        std::fs::write(&file, text).unwrap();
    };
    let mut environment = environment();
    environment.0.remove("AWS_ACCESS_KEY_ID");
    environment.0.insert(
        "AWS_SHARED_CREDENTIALS_FILE".to_owned(),
        file.to_str().unwrap().to_owned(),
    );
    let config = config(&format!("Endpoint: \"{}\"\n", double.url()));
    let limits = Limits {
        credentials_pause: Duration::ZERO,
        ..Limits::default()
    };
    for put in [true, false] {
        let xray = XRay::connect_within(&config, &environment, "eu-west-1", limits.clone());
        let xray = xray.await.unwrap();
        let status = async || {
            if put {
                let answer = xray.put_trace_segments(Bytes::from_static(BODY)).await;
                answer.map_or_else(|error| error.status.unwrap(), |_| 200)
            } else {
                let answer = xray
                    .post("/GetSamplingRules", Bytes::from_static(b"{}"), LONG)
                    .await;
                answer.unwrap().status().as_u16()
            }
        };
        write(&Key::new("AKIDUNKNOWN", "x"));
        assert_eq!(status().await, 403, "put: {put}");
        write(&Key::example());
        assert_eq!(status().await, 200, "put: {put}");
        // What the service finds wrong with a call is no reason to look for keys.
        write(&Key::new("AKIDUNKNOWN", "x"));
        double
            .faults()
            .times(1, Fault::error(403, "AccessDeniedException", ""));
        assert_eq!(status().await, 403, "put: {put}");
        assert_eq!(status().await, 200, "put: {put}");
    }
}

#[tokio::test]
async fn a_call_that_was_not_answered_in_its_time_is_a_timeout_of_the_time_that_was_set() {
    let (double, patient) = double().await;
    double.faults().always(Fault::hang());
    let xray = connect(&double.url(), "CallTimeoutSeconds: 1\n").await;
    let error = xray
        .put_trace_segments(Bytes::from_static(BODY))
        .await
        .unwrap_err();
    assert_eq!((error.class, error.status), (ErrorClass::Timeout, None));
    assert_eq!(error.to_string(), "no answer within 1 s");
    let limit = Duration::from_millis(100);
    let error = patient
        .post("/GetSamplingRules", Bytes::new(), limit)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class, &*error.message),
        (ErrorClass::Timeout, "no answer within 0.1 s")
    );
}

#[tokio::test]
async fn a_connection_that_is_not_there_in_its_time_is_a_timeout_of_the_time_that_was_set() {
    // The handshake of TLS has as much again as the connection.
    let url = server("https", |stream| async move {
        tokio::time::sleep(LONG).await;
        drop(stream);
    })
    .await;
    let xray = connect(&url, "ConnectTimeoutSeconds: 1\n").await;
    let error = xray
        .put_trace_segments(Bytes::from_static(BODY))
        .await
        .unwrap_err();
    assert_eq!((error.class, error.status), (ErrorClass::Timeout, None));
    assert_eq!(error.message, format!("no connection to {url} within 2 s"));
}

#[tokio::test]
async fn why_there_is_no_answer_is_told_by_class_and_the_telling_part_of_the_cause() {
    for (answer, class, status, message) in [
        (
            &b""[..],
            ErrorClass::Connection,
            None,
            "connection closed before message completed",
        ),
        (
            b"220 mail.example ESMTP\r\n",
            ErrorClass::NotAnAnswer,
            None,
            "invalid HTTP version parsed",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
            ErrorClass::Connection,
            Some(200),
            "status 200, but its body did not arrive: error reading a body from connection: end of file before message \
             length reached",
        ),
    ] {
        let xray = connect(&answering(answer).await, "").await;
        let error = xray
            .put_trace_segments(Bytes::from_static(BODY))
            .await
            .unwrap_err();
        let told = (error.class, error.status, &*error.message);
        assert_eq!(told, (class, status, message));
        let xray = connect(&answering(answer).await, "").await;
        let error = xray
            .post("/GetSamplingRules", Bytes::new(), LONG)
            .await
            .unwrap_err();
        let told = (error.class, error.status, &*error.message);
        assert_eq!(told, (class, status, message));
    }
}

#[tokio::test]
async fn what_is_known_before_the_first_call_is_told() {
    let xray = connect("http://127.0.0.1:1/base/", "").await;
    assert_eq!(xray.endpoint_description(), "http://127.0.0.1:1/base");
    assert_eq!(xray.warnings(), [] as [&str; 0]);
    let source = "the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    assert_eq!(xray.credentials_description().await.unwrap(), source);
    assert_eq!(xray.credentials_arrival().await, source, "they are there");

    assert_eq!(xray.proxy_description(), None);
}

#[tokio::test]
async fn plain_http_to_another_machine_is_warned_of_and_the_proxy_is_named() {
    let xray = connect(
        "http://192.0.2.1:80/x",
        "ProxyAddress: \"me:secret@127.0.0.1:1\"\n",
    )
    .await;
    assert_eq!(
        xray.warnings(),
        [
            "http://192.0.2.1:80/x is a plain http:// endpoint on another machine: anyone on the way can read the \
             segments and the session tokens of credentials. Use https:// if it has that"
        ]
    );
    assert_eq!(
        xray.proxy_description().map(ToString::to_string).as_deref(),
        Some("http://***@127.0.0.1:1 (from cfg.yaml line 3 (ProxyAddress))")
    );
    for endpoint in ["https://192.0.2.1", "http://localhost:1", "http://[::1]:1"] {
        assert!(connect(endpoint, "").await.warnings().is_empty(), "{endpoint}");
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let double = Double::start(DoubleConfig::default()).await.unwrap();
    let mut environment = environment();
    environment.0.remove("AWS_ACCESS_KEY_ID");
    let config = config(&format!("Endpoint: \"{}\"\n", double.url()));
    let xray = XRay::connect(&config, &environment, "eu-west-1").await.unwrap();
    let reason = xray.credentials_description().await.unwrap_err();
    let error = xray
        .put_trace_segments(Bytes::from_static(BODY))
        .await
        .unwrap_err();
    assert_eq!((error.class, error.message), (ErrorClass::Credentials, reason));
    assert!(double.requests().is_empty());
}

/// Endpoints whose calls are signed by the signer here, and by the SDK's own.
const PATHS: [&str; 2] = ["/a", "/a+b"];

async fn double_below(path: &str, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> (Double, XRay) {
    let config = DoubleConfig {
        base_path: path.to_owned(),
        clock: Arc::new(clock),
        ..DoubleConfig::default()
    };
    let double = Double::start(config).await.unwrap();
    let xray = connect(&double.url(), "").await;
    (double, xray)
}

#[tokio::test]
async fn a_call_has_the_same_form_whoever_signs_it() {
    let mut headers = Vec::new();
    for path in PATHS {
        let (double, xray) = double_below(path, SystemTime::now).await;
        xray.put_trace_segments(Bytes::from_static(BODY)).await.unwrap();
        let requests = double.requests();
        let request = requests.last().unwrap();
        assert!(request.signature.is_valid(), "{request}");
        assert_eq!((&*request.method, &*request.body), ("POST", BODY));
        let mut names: Vec<String> = request.headers.keys().map(|name| name.to_string()).collect();
        names.sort();
        headers.push(names);
    }
    assert_eq!(headers[0], headers[1]);
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_by_the_first_answer_whoever_signs() {
    for path in PATHS {
        let clock = || SystemTime::now() - Duration::from_secs(3600);
        let (double, xray) = double_below(path, clock).await;
        let date = DateTime::from(clock()).fmt(Format::HttpDate).unwrap();
        let refusal = Fault::error(403, "InvalidSignatureException", "Signature not yet current");
        double.faults().times(1, refusal.with_header("date", &date));
        let refused = xray.put_trace_segments(Bytes::from_static(BODY)).await;
        assert_eq!(refused.unwrap_err().status, Some(403), "{path}");
        xray.put_trace_segments(Bytes::from_static(BODY)).await.unwrap();
        let requests = double.requests();
        assert_eq!(requests.len(), 2, "{path}");
        // When it was sent is told by our clock all the same.
        let sent = requests[1].header("x-amzn-xray-timestamp").unwrap();
        let behind = sent.parse::<f64>().unwrap() - clock().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((3500.0..3700.0).contains(&behind), "{path}: {behind}");
    }
}
