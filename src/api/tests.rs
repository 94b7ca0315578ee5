//! The whole port over in-memory connections, against an upstream that does as it is told.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::*;
use crate::api::health::Health;
use crate::api::summary::Summary;
use crate::exporters::bodies::Bodies;
use crate::exporters::error::PutError;
use crate::ledger::http::Route;
use crate::ledger::outcome::ErrorClass;
use crate::ledger::{Ledger, RejectReason};
use crate::net::server::connection;
use crate::net::server::guard::Guard;
use crate::pipeline::budget::Budget;
use crate::pipeline::intake::Intake as _;
use crate::pipeline::lane::Lane;
use crate::pipeline::queue::Next;

type Forwarded = Result<Response<Bytes>, PutError>;

#[derive(Clone)]
struct Fake {
    calls: Arc<Mutex<Vec<(String, Bytes)>>>,
    answer: Arc<dyn Fn() -> Forwarded + Send + Sync>,
    credentials: Arc<Mutex<Result<String, String>>>,
}

impl Upstream for Fake {
    async fn forward(&self, path: &str, body: Bytes, limit: Duration) -> Forwarded {
        assert_eq!(limit, limits::FORWARD_TIMEOUT);
        self.calls.lock().unwrap().push((path.to_owned(), body));
        (self.answer)()
    }

    async fn credentials(&self) -> Result<String, String> {
        self.credentials.lock().unwrap().clone()
    }
}

struct Bench {
    app: Arc<App<Fake>>,
    fake: Fake,
    lane: Arc<Lane<Bodies>>,
    ledger: Arc<Ledger>,
    health: Arc<Health>,
}

struct Answered {
    status: u16,
    head: String,
    body: String,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Bench {
    /// A daemon that knows its region, with `-m mb`.
    fn new(mb: u64, proxy_allow: &[&str], answer: impl Fn() -> Forwarded + Send + Sync + 'static) -> Self {
        let bench = Self::starting(mb, proxy_allow, answer);
        bench.health.set_region("us-east-1");
        bench.app.set_upstream(bench.fake.clone());
        bench
    }

    /// One that does not know it yet.
    fn starting(
        mb: u64,
        proxy_allow: &[&str],
        answer: impl Fn() -> Forwarded + Send + Sync + 'static,
    ) -> Self {
        let ledger = Arc::new(Ledger::default());
        let lane = Arc::new(Lane::new(Budget::of_mb(mb), Arc::clone(&ledger)));
        let summary = Arc::new(Summary::of_lane(Arc::clone(&lane)));
        let health = Arc::new(Health::default());
        let proxy_allow: Vec<String> = proxy_allow.iter().map(|path| (*path).to_owned()).collect();
        Self {
            app: Arc::new(App::new(
                Guard::default(),
                &proxy_allow,
                limits::INGEST,
                summary,
                Arc::clone(&health),
            )),
            fake: Fake {
                calls: Arc::default(),
                answer: Arc::new(answer),
                credentials: Arc::new(Mutex::new(Err("none yet".to_owned()))),
            },
            lane,
            ledger,
            health,
        }
    }

    /// Sends `request` as it is, and reads until the port closes.
    async fn raw(&self, request: &[u8]) -> Answered {
        let (mut client, stream) = tokio::io::duplex(1 << 16);
        let shared = Arc::new(connection::Clocked::new(tokio::time::Instant::now().into_std()));
        let (_stop, stopped) = watch::channel(false);
        let app = Arc::clone(&self.app);
        let serving = connection::http1(stream, shared, limits::CONNECTIONS, stopped, |request| {
            app.answer(request)
        });
        let asking = async {
            // The answer may come before all is sent.
            let _: std::io::Result<()> = client.write_all(request).await;
            let _: std::io::Result<()> = client.shutdown().await;
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            String::from_utf8(answer).unwrap()
        };
        // Moved in, so that it is closed when it ends.
        let serving = async move {
            serving.await;
        };
        let (answer, ()) = tokio::join!(asking, serving);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answered {
            status: head[9..12].parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    async fn post(&self, path: &str, body: &[u8]) -> Answered {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat()).await
    }

    async fn get(&self, path: &str) -> Answered {
        self.raw(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes())
            .await
    }

    fn forwarded(&self) -> Vec<(String, Bytes)> {
        std::mem::take(&mut self.fake.calls.lock().unwrap())
    }
}

fn rules() -> Forwarded {
    Ok(Response::builder()
        .status(200)
        .header("content-type", "application/json")
        .header("x-amzn-requestid", "1234")
        .header("set-cookie", "a=b")
        .header("connection", "close")
        .body(Bytes::from_static(b"{\"SamplingRuleRecords\": []}"))
        .unwrap())
}

fn fails(class: ErrorClass) -> Forwarded {
    Err(PutError {
        class,
        message: "why".to_owned(),
        status: None,
        code: None,
        whole: false,
        retry_after: None,
    })
}

#[tokio::test]
async fn sampling_calls_go_through_with_path_and_body_and_come_back_as_they_are() {
    let bench = Bench::new(16, &["/TraceSummaries"], rules);
    for path in [
        "/GetSamplingRules",
        "/SamplingTargets",
        "/SamplingStatisticSummaries",
        "/TraceSummaries",
    ] {
        for body in [&b""[..], b"{}", b"{\"NextToken\": null}", b"\xff\0 not JSON"] {
            let answer = bench.post(path, body).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body, "{\"SamplingRuleRecords\": []}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("x-amzn-requestid"), Some("1234"));
            assert_eq!(answer.header("set-cookie"), None);
            assert_eq!(
                bench.forwarded(),
                [(path.to_owned(), Bytes::copy_from_slice(body))]
            );
        }
    }
    let counts = bench.ledger.http.snapshot().requests;
    assert_eq!(counts[&(Route::GetSamplingRules, 200)], 4);
    assert_eq!(counts[&(Route::ProxyAllow, 200)], 4);
}

#[tokio::test]
async fn an_error_of_the_service_comes_back_with_its_status_and_type() {
    let bench = Bench::new(16, &[], || {
        Ok(Response::builder()
            .status(429)
            .header("x-amzn-errortype", "ThrottledException")
            .body(Bytes::from_static(b"<html>"))
            .unwrap())
    });
    let answer = bench.post("/GetSamplingRules", b"{}").await;
    assert_eq!((answer.status, answer.body.as_str()), (429, "<html>"));
    assert_eq!(answer.header("x-amzn-errortype"), Some("ThrottledException"));
    assert_eq!(answer.header("content-type"), None);
}

#[tokio::test]
async fn a_chunked_body_is_forwarded_whole() {
    let bench = Bench::new(16, &[], rules);
    let request = b"POST /SamplingTargets HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
                    3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n";
    assert_eq!(bench.raw(request).await.status, 200);
    assert_eq!(bench.forwarded()[0].1, Bytes::from_static(b"{\"a\":1}"));
}

#[tokio::test]
async fn what_keeps_x_ray_from_being_asked_is_said_with_its_status() {
    for (class, status, code) in [
        (ErrorClass::Credentials, 503, "NoCredentials"),
        (ErrorClass::Timeout, 504, "UpstreamTimeout"),
        (ErrorClass::ConnectionRefused, 502, "UpstreamUnreachable"),
        (ErrorClass::UnknownHost, 502, "UpstreamUnreachable"),
        (ErrorClass::Connection, 502, "UpstreamUnreachable"),
        (ErrorClass::NotAnAnswer, 502, "UpstreamUnreachable"),
        (ErrorClass::Other, 502, "UpstreamUnreachable"),
    ] {
        let bench = Bench::new(16, &[], move || fails(class));
        let answer = bench.post("/GetSamplingRules", b"{}").await;
        assert_eq!(
            (answer.status, answer.json()["__type"].as_str()),
            (status, Some(code))
        );
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.ends_with(": why"), "{message}");
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
    }
}

#[tokio::test]
async fn before_the_region_is_known_sampling_is_told_to_come_back_and_the_rest_works() {
    let bench = Bench::starting(16, &[], rules);
    let answer = bench.post("/GetSamplingRules", b"{}").await;
    assert_eq!(
        (answer.status, answer.json()["__type"].as_str()),
        (503, Some("RegionNotKnown"))
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(bench.get("/healthz").await.status, 200);
    assert_eq!(bench.get("/readyz").await.status, 503);
    assert_eq!(bench.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn every_other_path_is_answered_with_those_there_are() {
    let bench = Bench::new(16, &["/Traces"], rules);
    for path in [
        "/",
        "/TraceSummaries",
        "/EncryptionConfig",
        "/DeleteSamplingRule",
        "/GetSamplingRules/",
        "//GetSamplingRules",
        "/getsamplingrules",
        "/GetSamplingRules/../DeleteSamplingRule",
        "/%47etSamplingRules",
        "/TelemetryRecords",
    ] {
        let answer = bench.post(path, b"{}").await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(
            answer.json()["allowed"],
            json!([
                "/GetSamplingRules",
                "/SamplingTargets",
                "/SamplingStatisticSummaries",
                "/Traces",
                "/TraceSegments",
                "/healthz",
                "/readyz",
                "/metrics"
            ])
        );
    }
    let queried = bench.post("/GetSamplingRules?a=b", b"{}").await;
    assert_eq!(queried.status, 400);
    assert!(bench.forwarded().is_empty());
    assert_eq!(bench.ledger.http.snapshot().requests[&(Route::Unknown, 404)], 10);
}

#[tokio::test]
async fn other_methods_are_refused() {
    let bench = Bench::new(16, &[], rules);
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "CONNECTX"] {
        let request = format!("{method} /GetSamplingRules HTTP/1.1\r\nhost: x\r\n\r\n");
        let answer = bench.raw(request.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("POST")),
            "{method}"
        );
    }
    let answer = bench.post("/metrics", b"").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
    assert_eq!(
        bench
            .raw(b"HEAD /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .status,
        200
    );
    assert_eq!(bench.raw(b"GET /healthz HTTP/1.0\r\n\r\n").await.status, 200);
    assert!(bench.forwarded().is_empty());
}

#[tokio::test]
async fn a_web_page_reaches_nothing() {
    let bench = Bench::new(16, &[], rules);
    for headers in [
        "host: localhost:2000\r\norigin: https://evil.example",
        "host: evil.example:2000",
        "host: localhost:2000\r\nsec-fetch-site: cross-site",
    ] {
        for start in [
            "POST /GetSamplingRules",
            "POST /TraceSegments",
            "OPTIONS /GetSamplingRules",
            "GET /metrics",
        ] {
            let request = format!("{start} HTTP/1.1\r\n{headers}\r\ncontent-length: 0\r\n\r\n");
            let answer = bench.raw(request.as_bytes()).await;
            assert_eq!(
                (answer.status, answer.json()["__type"].as_str()),
                (403, Some("Forbidden")),
                "{request}"
            );
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
    assert!(bench.forwarded().is_empty());
    assert_eq!(bench.ledger.snapshot().received, 0);
}

#[tokio::test]
async fn bodies_that_are_too_long_are_refused_and_their_sender_reads_why() {
    let bench = Bench::new(16, &[], rules);
    for (path, max) in [
        ("/GetSamplingRules", limits::FORWARD_BODY_MAX_BYTES),
        ("/TraceSegments", limits::INGEST_BODY_MAX_BYTES),
    ] {
        let answer = bench.post(path, &vec![b' '; max + 1]).await;
        assert_eq!(
            (answer.status, answer.json()["__type"].as_str()),
            (413, Some("RequestEntityTooLargeException"))
        );
        assert_eq!(answer.header("connection"), Some("close"));
        // The same without saying so first.
        let chunk = vec![b' '; max + 1];
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
            chunk.len()
        );
        let request = [head.as_bytes(), &chunk, b"\r\n0\r\n\r\n"].concat();
        assert_eq!(bench.raw(&request).await.status, 413);
        // Who asks first is not sent for it.
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            max + 1
        );
        assert_eq!(bench.raw(request.as_bytes()).await.status, 413);
    }
    assert_eq!(
        bench
            .post("/GetSamplingRules", &vec![b' '; limits::FORWARD_BODY_MAX_BYTES])
            .await
            .status,
        200
    );
    assert_eq!(bench.forwarded().len(), 1);
}

#[tokio::test]
async fn compressed_bodies_are_refused() {
    let bench = Bench::new(16, &[], rules);
    let request =
        b"POST /TraceSegments HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(bench.raw(request).await.status, 415);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_answered_408() {
    let bench = Bench::new(16, &[], rules);
    for path in ["/GetSamplingRules", "/TraceSegments"] {
        let (mut client, stream) = tokio::io::duplex(1 << 16);
        let shared = Arc::new(connection::Clocked::new(tokio::time::Instant::now().into_std()));
        let (_stop, stopped) = watch::channel(false);
        let app = Arc::clone(&bench.app);
        let started = tokio::time::Instant::now();
        let asking = async {
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhi");
            client.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let serving = connection::http1(stream, shared, limits::CONNECTIONS, stopped, |request| {
            app.answer(request)
        });
        let serving = async move {
            serving.await;
        };
        let (answer, ()) = tokio::join!(asking, serving);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert_eq!(started.elapsed(), limits::BODY_TIMEOUT);
    }
}

#[tokio::test]
async fn documents_over_tcp_go_into_the_same_batches() {
    let bench = Bench::new(16, &[], rules);
    let now = Instant::now();
    bench.ledger.add_received(1);
    bench.lane.add(std::iter::once(&b"{\"id\":\"udp\"}"[..]), now);
    let documents = ["{\"id\": \"tcp\", \"q\": \"\\\"\"}", "T1Sb64+/=", "é\u{1f600}\n"];
    let body = json!({"TraceSegmentDocuments": documents, "Unknown": 1}).to_string();
    let answer = bench.post("/TraceSegments", body.as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"UnprocessedTraceSegments": []}));
    bench.lane.seal(now);
    let Next::Ready(batch) = bench.lane.take(now) else {
        panic!("no batch");
    };
    let sent: Value = serde_json::from_slice(&batch.body).unwrap();
    assert_eq!(
        sent,
        json!({"TraceSegmentDocuments": ["{\"id\":\"udp\"}", documents[0], documents[1], documents[2]]})
    );
    assert_eq!(bench.ledger.snapshot().received, 4);
}

#[tokio::test]
async fn a_document_that_is_too_big_for_a_datagram_goes_in_a_batch_of_its_own() {
    let bench = Bench::new(16, &[], rules);
    let big = format!("{{\"id\":\"{}\"}}", "x".repeat(100_000));
    let body = json!({"TraceSegmentDocuments": [&big, "{}"]}).to_string();
    assert_eq!(bench.post("/TraceSegments", body.as_bytes()).await.status, 200);
    let Next::Ready(batch) = bench.lane.take(Instant::now()) else {
        panic!("no batch");
    };
    let sent: Value = serde_json::from_slice(&batch.body).unwrap();
    assert_eq!(sent, json!({"TraceSegmentDocuments": [big]}));
    assert_eq!(bench.lane.depth().open.documents, 1);
}

#[tokio::test]
async fn an_empty_document_is_named_as_unprocessed_and_counted() {
    let bench = Bench::new(16, &[], rules);
    let answer = bench
        .post("/TraceSegments", br#"{"TraceSegmentDocuments": ["", "{}", ""]}"#)
        .await;
    let left = json!({"ErrorCode": "ParseError", "Message": "Invalid segment. ErrorCode: ParseError"});
    assert_eq!(answer.json(), json!({"UnprocessedTraceSegments": [left, left]}));
    let counts = bench.ledger.snapshot();
    assert_eq!(
        (
            counts.received,
            counts.rejected(RejectReason::MissingSegment),
            counts.pending()
        ),
        (3, 2, 1)
    );
}

#[tokio::test]
async fn what_is_no_put_trace_segments_is_refused_whole() {
    let bench = Bench::new(16, &[], rules);
    let many = json!({"TraceSegmentDocuments": vec!["{}"; 51]}).to_string();
    let long = json!({"TraceSegmentDocuments": "x".repeat(100_000)}).to_string();
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "not JSON",
        r#"{"TraceSegmentDocuments": null}"#,
        r#"{"TraceSegmentDocuments": [{}]}"#,
        r#"{"TraceSegmentDocuments": ["{}", 5]}"#,
        r#"{"TraceSegmentDocuments": ["\ud800"]}"#,
        r#"{"TraceSegmentDocuments": ["{}"]"#,
        &many,
        &long,
    ] {
        let answer = bench.post("/TraceSegments", body.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.json()["__type"].as_str()),
            (400, Some("InvalidRequestException")),
            "{body}"
        );
        assert!(answer.body.len() < 500, "{}", answer.body);
    }
    assert_eq!(bench.ledger.snapshot().received, 0);
    let most = json!({"TraceSegmentDocuments": vec!["{}"; 50]}).to_string();
    assert_eq!(bench.post("/TraceSegments", most.as_bytes()).await.status, 200);
    let none = bench
        .post("/TraceSegments", br#"{"TraceSegmentDocuments": []}"#)
        .await;
    assert_eq!(none.status, 200);
}

#[tokio::test]
async fn a_full_buffer_is_said_and_pushes_nothing_out() {
    let bench = Bench::new(3, &[], rules);
    let document = "x".repeat(60_000);
    let body = json!({"TraceSegmentDocuments": vec![&document; 10]}).to_string();
    let mut taken = 0;
    let refused = loop {
        let answer = bench.post("/TraceSegments", body.as_bytes()).await;
        if answer.status != 200 {
            break answer;
        }
        taken += 10;
    };
    assert_eq!(refused.status, 503);
    // 3 MB hold 52 of them; what a body has of room to grow counts too.
    assert!(taken >= 30, "{taken}");
    assert_eq!(refused.json()["__type"], "BufferFull");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let counts = bench.ledger.snapshot();
    assert_eq!(
        (counts.received, counts.pending(), counts.dropped_total()),
        (taken, taken, 0)
    );
    // What can never fit is not told to come back.
    let body = vec![b' '; (3 << 20) + 1];
    let answer = bench.post("/TraceSegments", &body).await;
    assert_eq!((answer.status, answer.header("retry-after")), (413, None));
}

#[tokio::test]
async fn readiness_names_what_is_missing_and_looks_for_credentials_again() {
    let bench = Bench::new(16, &[], rules);
    bench.health.set_credentials(Err("none at all".to_owned()));
    let answer = bench.get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.json(),
        json!({"status": "not ready", "reasons": [{"check": "credentials", "reason": "none at all"}]})
    );
    tokio::task::yield_now().await;
    *bench.fake.credentials.lock().unwrap() = Ok("the environment".to_owned());
    let answer = bench.get("/readyz").await;
    assert_eq!(answer.json()["reasons"][0]["reason"], "none yet");
    tokio::task::yield_now().await;
    let answer = bench.get("/readyz").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"status": "ready"})));
}
