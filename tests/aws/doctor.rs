//! `xray doctor` on the way to X-Ray: each verdict beside what causes it.

use std::time::{Duration, SystemTime};

use aws_smithy_types::date_time::{DateTime, Format};
use tokio::net::TcpListener;
use xray_double::double::Double;
use xray_double::faults::Fault;
use xray_double::harness::daemon::double;
use xray_double::harness::doctor::{Said, Visit};

use crate::support::*;

const XRAY: &str = env!("CARGO_BIN_EXE_xray");

fn visit(endpoint: &str) -> Visit {
    Visit::new(XRAY, endpoint)
}

/// Makes a visit on a thread that may wait.
async fn make(visit: Visit) -> Said {
    tokio::task::spawn_blocking(move || visit.make()).await.unwrap()
}

/// What is said to a double that answers each call with `fault`.
async fn with(fault: Fault) -> Said {
    let double = double().await;
    double.faults().always(fault);
    make(visit(&double.url())).await
}

/// An address at which nobody listens.
async fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

fn requests(double: &Double) -> Vec<(String, String)> {
    let requests = double.requests();
    requests
        .iter()
        .map(|request| {
            (
                request.path.clone(),
                String::from_utf8_lossy(&request.body).into_owned(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_takes_an_empty_call_is_well_step_by_step() {
    let double = double().await;
    let said = make(visit(&double.url())).await;
    for (check, words) in [
        ("region", "us-east-1 (from AWS_REGION)"),
        (
            "credentials",
            "from the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        ("endpoint", "(from XRAY_ENDPOINT)"),
        ("dns", "no name to look up"),
        ("connect", "takes TCP connections at 127.0.0.1:"),
        ("proxy", "none on the way"),
        ("clock", "clock agrees"),
        ("call", "X-Ray took a signed PutTraceSegments without segments"),
    ] {
        said.says(check, "ok", &[words]);
    }
    said.says("tls", "skip", &["plain HTTP"]);
    let call = (
        "/TraceSegments".to_owned(),
        "{\"TraceSegmentDocuments\":[]}".to_owned(),
    );
    assert_eq!(requests(&double), [call]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_calls_only_the_time_is_asked_for() {
    let double = double().await;
    let said = make(visit(&double.url()).args(&["--no-calls"])).await;
    said.says("call", "skip", &["--no-calls"]);
    said.says("clock", "ok", &[]);
    assert_eq!(requests(&double), [("/".to_owned(), String::new())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_the_call_is_explained() {
    let denied = "User: arn:aws:iam::123456789012:user/x is not authorized to perform: xray:PutTraceSegments";
    for (fault, verdict, words) in [
        (
            Fault::error(403, "AccessDeniedException", denied),
            "fail",
            &[
                "may not do xray:PutTraceSegments",
                "allow xray:PutTraceSegments",
                "AWSXRayDaemonWriteAccess",
            ][..],
        ),
        (
            Fault::error(
                403,
                "ExpiredTokenException",
                "The security token included in the request is expired",
            ),
            "fail",
            &["session token", "expired", "renew it"],
        ),
        (
            Fault::error(403, "UnrecognizedClientException", "invalid"),
            "fail",
            &["AWS does not know these keys"],
        ),
        (
            Fault::error(400, "InvalidRequestException", "1 validation error"),
            "ok",
            &["refused only that it has no segments"],
        ),
        (Fault::throttled(), "warn", &["the keys are good", "quota"]),
        (Fault::status(503), "fail", &["fails"]),
        (Fault::html_ok(), "fail", &["what answers is not X-Ray"]),
        (Fault::reset(), "fail", &["broke off"]),
        (Fault::hang(), "fail", &["no answer in time"]),
    ] {
        with(fault).await.says("call", verdict, words);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_signature_is_told_from_a_wrong_clock_by_the_date_of_the_answer() {
    let invalid = |date: SystemTime| {
        let date = DateTime::from(date).fmt(Format::HttpDate).unwrap();
        Fault::error(403, "InvalidSignatureException", "Signature expired").with_header("date", &date)
    };
    let said = with(invalid(SystemTime::now() + Duration::from_secs(700))).await;
    said.says("clock", "fail", &["behind the endpoint's", "set the clock"]);
    said.says("call", "fail", &["the signature is not current", "set the clock"]);
    let said = with(invalid(SystemTime::now())).await;
    said.says("clock", "ok", &[]);
    said.says(
        "call",
        "fail",
        &[
            "the clock is not the reason",
            "the secret key is not that of the key id",
        ],
    );
    // The same by a secret that is really wrong.
    let double = double().await;
    let said = make(visit(&double.url()).env("AWS_SECRET_ACCESS_KEY", "another")).await;
    said.says("call", "fail", &["the secret key is not that of the key id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_at_the_endpoint_is_told_before_anything_is_signed() {
    let said = make(visit(&format!("http://{}", closed().await))).await;
    assert_eq!(said.code, Some(1));
    said.says("connect", "fail", &["Connection refused", "security group"]);
    for check in ["proxy", "tls", "clock", "call"] {
        said.says(check, "skip", &["needs a connection"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_without_an_address_is_a_name_that_is_not_found() {
    // A label of more than 63 letters is refused by every resolver without asking anybody.
    let name = format!("{}.example", "x".repeat(64));
    let said = make(visit(&format!("http://{name}"))).await;
    said.says("dns", "fail", &[&name, "/etc/resolv.conf"]);
    said.says("connect", "skip", &["needs an address"]);
    said.says("call", "skip", &["needs an address"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_trusted_is_told_with_where_to_name_its_authority() {
    let (ca, other) = (test_ca(&["127.0.0.1"]), test_ca(&["127.0.0.1"]));
    let server = Server::with_tls(ca.acceptor).await;
    let endpoint = format!("https://{}", server.address);
    for (authority, verdict, words) in [
        (
            &other.authority_pem,
            "fail",
            &["not trusted", "AWS_CA_BUNDLE"][..],
        ),
        (&ca.authority_pem, "ok", &["trusted"]),
    ] {
        let visit = visit(&endpoint);
        let bundle = visit.path("ca.pem");
        std::fs::write(&bundle, authority).unwrap();
        let said = make(visit.env("AWS_CA_BUNDLE", bundle.to_str().unwrap())).await;
        said.says("tls", verdict, words);
        said.says("call", if verdict == "ok" { "ok" } else { "skip" }, &[]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_does_not_connect_is_told_by_what_it_answers() {
    let proxy = tunnel_proxy("127.0.0.1:1".parse().unwrap(), Some("Basic other")).await;
    let address = format!("http://me:hunter2@{}", proxy.address);
    let visit_through = |address: &str| visit("https://xray.example").env("HTTPS_PROXY", address);
    let said = make(visit_through(&address)).await;
    said.says("connect", "ok", &["the proxy takes TCP connections"]);
    said.says(
        "proxy",
        "fail",
        &["did not connect to https://xray.example", "407", "NO_PROXY"],
    );
    said.says("tls", "skip", &[]);
    let said = make(visit_through(&format!("http://me:hunter2@{}", closed().await))).await;
    said.says(
        "connect",
        "fail",
        &["the proxy cannot be reached", "Connection refused"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_connects_is_told_with_where_it_is_set() {
    let ca = test_ca(&["xray.example"]);
    let server = Server::with_tls(ca.acceptor).await;
    let proxy = tunnel_proxy(server.address, None).await;
    let visit = visit("https://xray.example").env("HTTPS_PROXY", &format!("http://{}", proxy.address));
    let bundle = visit.path("ca.pem");
    std::fs::write(&bundle, &ca.authority_pem).unwrap();
    let said = make(visit.env("AWS_CA_BUNDLE", bundle.to_str().unwrap())).await;
    said.says("proxy", "ok", &["(from HTTPS_PROXY) connects"]);
    said.says("tls", "ok", &[]);
    said.says("call", "ok", &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_region_and_no_credentials_are_told_with_every_source() {
    let said = make(
        visit("http://127.0.0.1:1")
            .env("AWS_REGION", "")
            .env("AWS_ACCESS_KEY_ID", ""),
    )
    .await;
    assert_eq!(said.code, Some(1));
    said.says(
        "region",
        "fail",
        &["AWS_DEFAULT_REGION (not set)", "EC2 instance metadata", "-n"],
    );
    let sources = [
        "AWS_ACCESS_KEY_ID (not set)",
        "profile default in ",
        "AWS_WEB_IDENTITY_TOKEN_FILE (not set)",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI (not set)",
        "EC2 metadata (switched off by AWS_EC2_METADATA_DISABLED)",
    ];
    said.says("credentials", "fail", &sources);
    said.says("call", "skip", &["needs a region"]);
    let double = double().await;
    let said = make(visit(&double.url()).env("AWS_ACCESS_KEY_ID", "")).await;
    said.says("call", "skip", &["needs credentials"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_that_never_answer_leave_a_report() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let visit = visit(&silent)
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &silent)
        .env("AWS_ACCESS_KEY_ID", "");
    let said = make(visit).await;
    assert_eq!(said.code, Some(1));
    said.says("credentials", "fail", &["EC2 metadata (asked last)"]);
    said.says("call", "skip", &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_with_which_no_call_can_be_made_are_told() {
    let said = make(visit("http://127.0.0.1:1").env("AWS_CA_BUNDLE", "/nonexistent/ca.pem")).await;
    said.says("endpoint", "fail", &["AWS_CA_BUNDLE", "/nonexistent/ca.pem"]);
    said.says("call", "skip", &["needs settings that can be used"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_is_said() {
    let double = double().await;
    double
        .faults()
        .always(Fault::error(403, "InvalidSignatureException", "no"));
    let visit = visit(&double.url())
        .env("AWS_SECRET_ACCESS_KEY", "hunter1")
        .env("AWS_SESSION_TOKEN", "hunter2")
        .args(&["-p", &format!("http://me:hunter3@{}", closed().await)]);
    let (lines, said) = tokio::task::spawn_blocking(move || (visit.lines(), visit.make()))
        .await
        .unwrap();
    said.says("settings", "ok", &["proxy-address http://"]);
    for text in [lines.join("\n"), said.json.to_string()] {
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_of_the_endpoint_is_told_with_its_address() {
    let double = double().await;
    let said = make(visit(&double.url().replace("127.0.0.1", "localhost"))).await;
    said.says("dns", "ok", &["localhost (the endpoint) is ", "127.0.0.1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_can_be_none_is_told_with_its_source() {
    let said = make(visit("http://127.0.0.1:1").env("AWS_REGION", "eu west")).await;
    said.says("region", "fail", &["AWS_REGION", "eu west"]);
    said.says("endpoint", "skip", &["needs a region"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_to_another_machine_is_something_to_look_at() {
    let name = format!("http://{}.example", "x".repeat(64));
    let said = make(visit(&name)).await;
    said.says("endpoint", "warn", &["plain http:// endpoint on another machine"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_of_plain_requests_takes_them_itself() {
    let proxy = Server::ok().await;
    let said = make(visit("http://xray.example").args(&["-p", &proxy.url()])).await;
    said.says("proxy", "ok", &["(from flag -p) takes the requests"]);
    said.says("tls", "skip", &["plain HTTP"]);
    said.says("call", "ok", &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_takes_connections_and_says_nothing_in_tls_is_told_as_such() {
    let silent = raw_server(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let said = make(visit(&format!("https://{silent}")).args(&["--connect-timeout", "500ms"])).await;
    said.says("connect", "ok", &[]);
    said.says("tls", "fail", &[]);
    said.says("call", "skip", &["needs a connection"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_does_not_say_its_time_leaves_the_clock_alone() {
    for (answer, words) in [
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"[..],
            "did not say its time",
        ),
        (b"", "did not say its time: "),
    ] {
        let endpoint = raw_server(move |mut stream| async move {
            use tokio::io::AsyncWriteExt as _;
            // The client may be gone.
            drop(stream.write_all(answer).await);
        })
        .await;
        let said = make(visit(&format!("http://{endpoint}")).args(&["--no-calls"])).await;
        said.says("clock", "skip", &[words]);
    }
}
