//! `xray doctor` on the way to an OTLP endpoint, and of a daemon of which nothing goes to X-Ray.

use tokio::net::TcpListener;
use xray_double::harness::daemon::double;
use xray_double::harness::doctor::{Said, Visit};

use crate::support::*;

const XRAY: &str = env!("CARGO_BIN_EXE_xray");

/// A visit to a daemon that sends nothing to X-Ray, and has neither region nor credentials.
fn visit(endpoint: &str) -> Visit {
    Visit::new(XRAY, "")
        .args(&["--otlp-endpoint", endpoint, "--segments-to", "otlp"])
        .env("AWS_REGION", "")
        .env("AWS_ACCESS_KEY_ID", "")
}

async fn make(visit: Visit) -> Said {
    tokio::task::spawn_blocking(move || visit.make()).await.unwrap()
}

async fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_sends_nothing_to_xray_needs_neither_region_nor_credentials() {
    let server = Server::ok().await;
    let said = make(visit(&server.url())).await;
    assert_eq!(said.code, Some(0), "{}", said.json);
    for check in ["credential-files", "region", "credentials", "endpoint", "call"] {
        said.says(check, "skip", &["nothing goes to X-Ray"]);
    }
    for (check, words) in [
        (
            "otlp-endpoint",
            "(from flag --otlp-endpoint); segments go to http://",
        ),
        ("otlp-dns", "no name to look up"),
        ("otlp-connect", "takes TCP connections at 127.0.0.1:"),
        ("otlp-proxy", "none on the way"),
        ("otlp-call", "the endpoint took an export of no traces"),
    ] {
        said.says(check, "ok", &[words]);
    }
    said.says("otlp-tls", "skip", &["plain HTTP"]);
    let request = server.request();
    assert_eq!(request.uri.path(), "/v1/traces");
    assert_eq!(request.header("content-type"), "application/x-protobuf");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_signal_that_goes_there_is_tried_beside_the_call_to_xray() {
    let server = Server::ok().await;
    let double = double().await;
    let said = make(Visit::new(XRAY, &double.url()).args(&[
        "--otlp-endpoint",
        &server.url(),
        "--otlp-listen",
        "127.0.0.1:0",
    ]))
    .await;
    assert_eq!(said.code, Some(0), "{}", said.json);
    said.says("call", "ok", &[]);
    said.says(
        "otlp-listen",
        "ok",
        &["OTLP 127.0.0.1:0 (flag --otlp-listen) is free"],
    );
    said.says(
        "otlp-endpoint",
        "ok",
        &[
            "segments go to X-Ray and http://",
            "spans, metrics and logs to http://",
        ],
    );
    said.says("otlp-call", "ok", &["no traces, of no metrics, of no logs"]);
    let mut paths: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.uri.path().to_owned())
        .collect();
    paths.sort();
    assert_eq!(paths, ["/v1/logs", "/v1/metrics", "/v1/traces"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_otlp_nothing_is_said_of_it() {
    let double = double().await;
    let said = make(Visit::new(XRAY, &double.url())).await;
    assert!(
        !said.json["verdicts"].to_string().contains("otlp"),
        "{}",
        said.json
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_calls_nothing_is_sent_to_it() {
    let server = Server::ok().await;
    let said = make(visit(&server.url()).args(&["--no-calls"])).await;
    said.says("otlp-connect", "ok", &[]);
    said.says("otlp-call", "skip", &["--no-calls"]);
    assert!(server.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_nothing_goes_to_is_not_asked() {
    let server = Server::ok().await;
    let double = double().await;
    let said = make(Visit::new(XRAY, &double.url()).args(&[
        "--otlp-endpoint",
        &server.url(),
        "--segments-to",
        "xray",
    ]))
    .await;
    said.says(
        "otlp-endpoint",
        "warn",
        &["nothing goes to http://", "--segments-to"],
    );
    said.says("otlp-call", "skip", &["nothing goes there"]);
    assert_eq!(server.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_endpoint_answers_is_explained() {
    for (status, verdict, words) in [
        (
            401,
            "fail",
            &["status 401", "OTEL_EXPORTER_OTLP_HEADERS for the daemon"][..],
        ),
        (404, "fail", &["no OTLP at this path", "v1/traces is appended"]),
        (400, "warn", &["refuses an export of no traces"]),
        (415, "fail", &["OTLP.Compression"]),
        (429, "warn", &["quota"]),
        (503, "fail", &["fails", "status page"]),
        (302, "fail", &["redirected", "no receiver of OTLP"]),
    ] {
        let server = Server::answering(move |_| reply(status, "no")).await;
        make(visit(&server.url())).await.says("otlp-call", verdict, words);
    }
    let page = Server::answering(|_| reply_with(200, &[("content-type", "text/html")], "<p>Welcome")).await;
    let said = make(visit(&page.url())).await;
    said.says("otlp-call", "fail", &["no receiver of OTLP", "a portal"]);
    // A port of gRPC answers what it does not know by a frame of HTTP/2.
    let grpc = raw_server(|mut stream| async move {
        use tokio::io::AsyncWriteExt as _;
        // The client may be gone.
        drop(stream.write_all(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0@\0").await);
    })
    .await;
    let said = make(visit(&format!("http://{grpc}"))).await;
    said.says("otlp-call", "fail", &["4317; HTTP has 4318"]);
    let silent = raw_server(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let said = make(visit(&format!("http://{silent}"))).await;
    said.says("otlp-call", "fail", &["no answer in time"]);
    let closing = raw_server(|stream| async move { drop(stream) }).await;
    let said = make(visit(&format!("http://{closing}"))).await;
    said.says("otlp-call", "fail", &["broke off"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_told_by_name_and_place_and_never_by_value() {
    let server = Server::answering(|_| reply(401, "unknown key")).await;
    let with_key = |visit: Visit| visit.env("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=hunter1");
    let first = with_key(visit(&server.url()));
    let (lines, said) = tokio::task::spawn_blocking(move || (first.lines(), first.make()))
        .await
        .unwrap();
    said.says(
        "otlp-endpoint",
        "ok",
        &["headers x-honeycomb-team (from OTEL_EXPORTER_OTLP_HEADERS)"],
    );
    said.says(
        "otlp-call",
        "fail",
        &[
            "unknown key",
            "x-honeycomb-team has the right name and value in OTEL_EXPORTER_OTLP_HEADERS",
        ],
    );
    assert_eq!(server.requests()[0].header("x-honeycomb-team"), "hunter1");
    for text in [lines.join("\n"), said.json.to_string()] {
        assert!(!text.contains("hunter"), "{text}");
    }
    let in_clear = make(with_key(visit("http://otlp.invalid"))).await;
    in_clear.says(
        "otlp-endpoint",
        "warn",
        &["plain http:// endpoint on another machine"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_of_the_way_is_told_with_what_mends_it() {
    let said = make(visit(&format!("http://{}", closed().await))).await;
    assert_eq!(said.code, Some(1));
    said.says("otlp-connect", "fail", &["Connection refused", "4318"]);
    for check in ["otlp-proxy", "otlp-tls", "otlp-call"] {
        said.says(check, "skip", &["needs a connection"]);
    }
    let name = format!("{}.example", "x".repeat(64));
    let said = make(visit(&format!("http://{name}"))).await;
    said.says("otlp-dns", "fail", &[&name, "/etc/resolv.conf"]);
    said.says("otlp-call", "skip", &["needs an address"]);

    let (ca, other) = (test_ca(&["127.0.0.1"]), test_ca(&["127.0.0.1"]));
    let server = Server::with_tls(ca.acceptor).await;
    let endpoint = format!("https://{}", server.address);
    for (authority, verdict, words) in [
        (
            &other.authority_pem,
            "fail",
            &["not trusted", "OTEL_EXPORTER_OTLP_CERTIFICATE"][..],
        ),
        (&ca.authority_pem, "ok", &["trusted"]),
    ] {
        let visit = visit(&endpoint);
        let bundle = visit.path("ca.pem");
        std::fs::write(&bundle, authority).unwrap();
        let said = make(visit.env("OTEL_EXPORTER_OTLP_CERTIFICATE", bundle.to_str().unwrap())).await;
        said.says("otlp-tls", verdict, words);
        said.says("otlp-call", if verdict == "ok" { "ok" } else { "skip" }, &[]);
    }
    let said = make(visit(&endpoint).env("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent/ca.pem")).await;
    said.says(
        "otlp-endpoint",
        "fail",
        &["OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent/ca.pem"],
    );
    said.says("otlp-call", "skip", &["needs settings that can be used"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_on_the_way_is_told_by_what_it_does() {
    let ca = test_ca(&["otlp.example"]);
    let server = Server::with_tls(ca.acceptor).await;
    let through = |proxy: String| visit("https://otlp.example").env("HTTPS_PROXY", &proxy);
    let refusing = tunnel_proxy(server.address, Some("Basic other")).await;
    let said = make(through(format!("http://me:hunter2@{}", refusing.address))).await;
    said.says("otlp-connect", "ok", &["the proxy takes TCP connections"]);
    said.says(
        "otlp-proxy",
        "fail",
        &["did not connect to https://otlp.example", "407", "NO_PROXY"],
    );
    said.says("otlp-tls", "skip", &[]);
    assert!(!said.json.to_string().contains("hunter"), "{}", said.json);
    let connecting = tunnel_proxy(server.address, None).await;
    let visit = through(format!("http://{}", connecting.address));
    let bundle = visit.path("ca.pem");
    std::fs::write(&bundle, &ca.authority_pem).unwrap();
    let said = make(visit.env("OTEL_EXPORTER_OTLP_CERTIFICATE", bundle.to_str().unwrap())).await;
    said.says("otlp-proxy", "ok", &["(from HTTPS_PROXY) connects"]);
    said.says("otlp-tls", "ok", &[]);
    said.says("otlp-call", "ok", &[]);
}

/// A visit to a daemon whose spans go to X-Ray's own OTLP endpoint.
fn visit_with_spans(endpoint: &str, more: &str) -> Visit {
    let visit = Visit::new(XRAY, endpoint);
    let file = visit.path("cfg.yaml");
    let settings = format!("Version: 2\nOTLP:\n  Listen: \"127.0.0.1:0\"\n  XRay: otlp\n{more}");
    std::fs::write(&file, settings).unwrap();
    visit.args(&["-c", file.to_str().unwrap()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xrays_own_otlp_endpoint_is_asked_where_spans_go_there() {
    let server = Server::ok().await;
    let said = make(visit_with_spans(&server.url(), "")).await;
    said.says("call", "ok", &["X-Ray took a signed PutTraceSegments"]);
    said.says(
        "otlp-to-xray",
        "ok",
        &["X-Ray's OTLP endpoint took a signed export of no spans"],
    );
    let mut asked: Vec<_> = server
        .requests()
        .iter()
        .map(|request| {
            (
                request.uri.path().to_owned(),
                request.header("content-type").to_owned(),
            )
        })
        .collect();
    asked.sort();
    let of = |path: &str, form: &str| (path.to_owned(), form.to_owned());
    assert_eq!(
        asked,
        [
            of("/TraceSegments", "application/json"),
            of("/v1/traces", "application/x-protobuf"),
        ]
    );
    let is_signed = |request: &Recorded| request.header("authorization").starts_with("AWS4-HMAC-SHA256 ");
    assert!(server.requests().iter().all(is_signed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_xrays_own_otlp_endpoint_answers_is_explained() {
    for (status, answer, verdict, words) in [
        (
            403,
            r#"{"__type":"AccessDeniedException","message":"User: arn:aws:iam::1:user/x is not authorized to perform: xray:PutSpans"}"#,
            "fail",
            &[
                "may not do xray:PutSpans",
                "allow xray:PutSpans and xray:PutSpansForIndexing",
            ][..],
        ),
        (
            400,
            r#"{"__type":"InvalidRequestException","message":"The OTLP API is supported with CloudWatch Logs as a Trace Segment Destination."}"#,
            "fail",
            &["no Transaction Search", "switch it on", "XRay: segments"],
        ),
        (
            400,
            r#"{"__type":"InvalidRequestException","message":"no spans"}"#,
            "ok",
            &["refused only that it has no spans"],
        ),
        (404, "<html>", "fail", &["no OTLP endpoint of X-Ray"]),
    ] {
        let server = Server::answering(move |request: &Recorded| match request.uri.path() {
            "/v1/traces" => reply(status, answer),
            _ => reply(200, "{}"),
        })
        .await;
        let said = make(visit_with_spans(&server.url(), "")).await;
        said.says("call", "ok", &[]);
        said.says("otlp-to-xray", verdict, words);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_puts_no_segments_into_xray_needs_no_right_to() {
    let (server, back_end) = (Server::ok().await, Server::ok().await);
    let more = format!(
        "  Endpoint: {}\n  SegmentsTo: otlp\n  SpansTo: xray\n",
        back_end.url()
    );
    let said = make(visit_with_spans(&server.url(), &more)).await;
    said.says("call", "skip", &["spans to its OTLP endpoint"]);
    said.says("otlp-to-xray", "ok", &[]);
    let mut asked: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.uri.path().to_owned())
        .collect();
    asked.sort();
    assert_eq!(asked, ["/", "/v1/traces"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xrays_own_otlp_endpoint_is_left_alone_without_calls_and_without_what_a_call_needs() {
    let server = Server::ok().await;
    let with_spans = || visit_with_spans(&server.url(), "");
    for (visit, reason) in [
        (with_spans().args(&["--no-calls"]), "--no-calls"),
        (with_spans().env("AWS_ACCESS_KEY_ID", ""), "needs credentials"),
        (with_spans().env("AWS_REGION", ""), "needs a region"),
        (
            with_spans().env("XRAY_ENDPOINT", &format!("http://{}", closed().await)),
            "needs a connection",
        ),
        (
            with_spans().env("AWS_CA_BUNDLE", "/nonexistent/ca.pem"),
            "needs settings that can be used",
        ),
    ] {
        make(visit).await.says("otlp-to-xray", "skip", &[reason]);
    }
    let asked = |request: &Recorded| request.uri.path() == "/v1/traces";
    assert!(!server.requests().iter().any(asked));
}
