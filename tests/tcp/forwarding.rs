//! Sampling calls: what SDKs send, what X-Ray gets, and what comes back.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use xray_double::double::{Double, DoubleConfig};
use xray_double::faults::Fault;
use xray_service::sampling::SamplingRule;

use crate::client::{Client, ask, get, post, post_with};
use crate::daemon::{Start, double, pair};

/// The Java SDK gives up then.
const JAVA_PATIENCE: Duration = Duration::from_secs(2);

/// The requests of the SDKs as they were recorded or read in their sources, and headers that proxies add.
const FORMS: &[(&str, &str, &str)] = &[
    (
        "Python",
        "Host: 127.0.0.1:2000\r\nAccept-Encoding: identity\r\nUser-Agent: Botocore/1.44.5\r\n\
         amz-sdk-invocation-id: 0f0e\r\namz-sdk-request: attempt=1\r\nContent-Type: application/json\r\n",
        "{}",
    ),
    (
        "Node.js",
        "Host: 127.0.0.1:2000\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n",
        "{}",
    ),
    (
        "Go",
        "Host: xray-daemon:2000\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n",
        "{\"NextToken\": null}",
    ),
    (
        "Java",
        "Host: 127.0.0.1:2000\r\nUser-Agent: Java/1.8.0_272\r\nContent-Type: application/json\r\n\
         Accept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2\r\nConnection: keep-alive\r\n",
        "{\"nextToken\":null}",
    ),
    (
        ".NET",
        "Host: 127.0.0.1:2000\r\nContent-Type: application/json; charset=utf-8\r\n",
        "",
    ),
    (
        "Ruby, signed with keys that nobody has",
        "Host: 127.0.0.1:2000\r\nContent-Type: application/json\r\nX-Amz-Date: 20200101T000000Z\r\n\
         X-Amz-Content-Sha256: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=dummy/20200101/us-east-1/xray/aws4_request, \
         SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=00\r\n",
        "{}",
    ),
    (
        "a client with a token of its own",
        "Host: localhost:2000\r\nX-Amz-Security-Token: of-the-client\r\nX-Amzn-Trace-Id: Root=1-0-0\r\n",
        "{}",
    ),
    (
        "behind a mesh",
        "Host: xray.default.svc.cluster.local:2000\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\n\
         X-Request-Id: 1\r\nX-B3-TraceId: 1\r\nVia: 1.1 envoy\r\nForwarded: for=10.0.0.1\r\n",
        "{}",
    ),
    (
        "with everything that is dropped on the way",
        "Host: 127.0.0.1:2000\r\nConnection: keep-alive, X-Custom\r\nKeep-Alive: timeout=5\r\nX-Custom: 1\r\n\
         Proxy-Authorization: Basic eDp5\r\nTE: trailers\r\nUpgrade: h2c\r\nCookie: a=b\r\n",
        "{}",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sdks_call_arrives_as_a_new_request_with_a_valid_signature() {
    let (double, daemon) = pair().await;
    for path in [
        "/GetSamplingRules",
        "/SamplingTargets",
        "/SamplingStatisticSummaries",
    ] {
        for (sdk, headers, body) in FORMS {
            let before = double.requests().len();
            let answer = ask(daemon.tcp, &post_with(path, headers, body)).await;
            let requests = double.requests();
            assert_eq!(requests.len(), before + 1, "{sdk}");
            let request = requests.last().unwrap();
            assert!(request.signature.is_valid(), "{sdk}: {:?}", request.signature);
            assert_eq!(
                (request.method.as_str(), request.path.as_str()),
                ("POST", path),
                "{sdk}"
            );
            assert_eq!(request.body, body.as_bytes(), "{sdk}");
            let mut names: Vec<&str> = request.headers.keys().map(http::HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(
                names,
                [
                    "authorization",
                    "content-length",
                    "content-type",
                    "host",
                    "user-agent",
                    "x-amz-date"
                ],
                "{sdk}"
            );
            assert_eq!(request.header("content-type"), Some("application/json"));
            assert_eq!(request.header("host"), Some(double.addr().to_string().as_str()));
            assert!(
                request
                    .header("user-agent")
                    .unwrap()
                    .contains(" xray-agent/xray-daemon/")
            );
            // The built-in X-Ray takes no targets without documents; what it says comes back.
            let id = answer.header("x-amzn-requestid").map(str::to_owned);
            assert!(id.is_some(), "{sdk}: {answer:?}");
            assert_eq!(answer.header("content-type"), Some("application/json"), "{sdk}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_credentials_bring_their_own_token() {
    let double = Double::start(DoubleConfig {
        keys: vec![xray_double::sigv4::Key::example().with_session_token("the-daemons")],
        ..DoubleConfig::default()
    })
    .await
    .unwrap();
    let daemon = Start::new(&double.url())
        .env("AWS_SESSION_TOKEN", "the-daemons")
        .start_whole();
    let headers = "Host: localhost\r\nX-Amz-Security-Token: of-the-client\r\n";
    let answer = ask(daemon.tcp, &post_with("/GetSamplingRules", headers, "{}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let request = &double.requests()[0];
    assert!(request.signature.is_valid(), "{:?}", request.signature);
    assert_eq!(request.header("x-amz-security-token"), Some("the-daemons"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_is_x_rays_and_follows_its_rules() {
    let (double, daemon) = pair().await;
    let names = |answer: &crate::client::Answer| -> Vec<String> {
        let json = answer.json();
        let records = json["SamplingRuleRecords"].as_array().unwrap().clone();
        records
            .iter()
            .map(|record| record["SamplingRule"]["RuleName"].as_str().unwrap().to_owned())
            .collect()
    };
    let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
    assert_eq!((answer.status, names(&answer)), (200, vec!["Default".to_owned()]));
    double.set_sampling_rules(vec![SamplingRule::new("checkout", 10, 1, 0.5)]);
    let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
    assert!(names(&answer).contains(&"checkout".to_owned()), "{answer:?}");
    let targets = json!({"SamplingStatisticsDocuments": [{
        "RuleName": "checkout",
        "ClientID": "0123456789abcdef01234567",
        "Timestamp": 1602537381,
        "RequestCount": 10,
        "SampledCount": 1,
        "BorrowCount": 0
    }]});
    let answer = post(daemon.tcp, "/SamplingTargets", &targets.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.json()["SamplingTargetDocuments"][0]["RuleName"],
        "checkout"
    );
    let answer = post(daemon.tcp, "/SamplingTargets", "not JSON").await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.header("x-amzn-errortype").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_of_the_endpoint_is_kept() {
    let double = Double::start(DoubleConfig {
        base_path: "/base/path".to_owned(),
        ..DoubleConfig::default()
    })
    .await
    .unwrap();
    let daemon = Start::new(&double.url()).start_whole();
    let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(double.requests()[0].path, "/base/path/GetSamplingRules");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_carries_many_calls_and_chunked_bodies() {
    let (double, daemon) = pair().await;
    let mut client = Client::connect(daemon.tcp).await;
    for number in 0..20 {
        // Java's newer client offers HTTP/2 with each request.
        let headers = if number % 2 == 0 {
            "host: x\r\n"
        } else {
            "host: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAA\r\n"
        };
        client.send(&post_with("/GetSamplingRules", headers, "{}")).await;
        assert_eq!(client.answer().await.status, 200);
    }
    client
        .send(
            b"POST /GetSamplingRules HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        )
        .await;
    assert_eq!(client.answer().await.status, 200);
    let requests = double.requests();
    assert_eq!(requests.len(), 21);
    assert_eq!(requests[20].body, b"{}"[..]);
    assert!(requests.iter().all(|request| request.signature.is_valid()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_be_forwarded_is_not() {
    let (double, daemon) = pair().await;
    let tcp = daemon.tcp;
    for path in [
        "/TraceSummaries",
        "/EncryptionConfig",
        "/DeleteSamplingRule",
        "/",
        "/TelemetryRecords",
    ] {
        let answer = post(tcp, path, "{}").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "UnknownPath"),
            "{path}"
        );
    }
    let page = "host: localhost\r\norigin: https://evil.example\r\ncontent-type: text/plain\r\n";
    let rebound = "host: evil.example:2000\r\n";
    for headers in [page, rebound] {
        let answer = ask(tcp, &post_with("/GetSamplingRules", headers, "{}")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "Forbidden"),
            "{headers}"
        );
    }
    assert_eq!(get(tcp, "/GetSamplingRules").await.status, 405);
    assert!(double.requests().is_empty(), "{:?}", double.requests());
    daemon.wait_for("Refused POST /TraceSummaries on the TCP port, Host 127.0.0.1:");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_of_paths_and_hosts_can_be_widened_with_a_warning() {
    let double = double().await;
    let daemon = Start::new(&double.url())
        .args(&[
            "--proxy-allow",
            "/TraceSummaries",
            "--allow-host=xray.example.com",
        ])
        .start();
    daemon.wait_for(
        "[Warn] Whoever reaches the TCP port can make calls with this daemon's AWS credentials on: /TraceSummaries",
    );
    daemon.wait_for("HTTP Proxy server using X-Ray Endpoint : ");
    let answer = ask(
        daemon.tcp,
        &post_with("/TraceSummaries", "host: xray.example.com\r\n", "{}"),
    )
    .await;
    // The double has no such operation; that it was asked is the point.
    assert_eq!(double.requests()[0].path, "/TraceSummaries", "{answer:?}");
    assert!(double.requests()[0].signature.is_valid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_credentials_nothing_is_forwarded_and_the_answer_says_so_in_time() {
    let double = double().await;
    let daemon = Start::new(&double.url()).without_credentials().start();
    daemon.wait_for("No AWS credentials yet");
    let started = Instant::now();
    let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
    assert!(started.elapsed() < JAVA_PATIENCE);
    assert_eq!((answer.status, answer.code().as_str()), (503, "NoCredentials"));
    assert!(answer.body.contains("AWS_ACCESS_KEY_ID"), "{answer:?}");
    assert!(double.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_of_credentials_that_hangs_does_not_hold_a_client() {
    let double = double().await;
    // The kernel takes connections, and nobody answers.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let daemon = Start::new(&double.url())
        .without_credentials()
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)
        .start_whole();
    let started = Instant::now();
    let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
    assert!(started.elapsed() < JAVA_PATIENCE, "{:?}", started.elapsed());
    assert_eq!((answer.status, answer.code().as_str()), (503, "NoCredentials"));
    assert!(double.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_down_or_hangs_is_told_apart_in_time() {
    let (double, daemon) = pair().await;
    double.faults().always(Fault::hang());
    let started = Instant::now();
    let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
    assert_eq!((answer.status, answer.code().as_str()), (504, "UpstreamTimeout"));
    assert!(started.elapsed() < JAVA_PATIENCE, "{:?}", started.elapsed());

    double.faults().clear();
    double.faults().always(Fault::reset());
    let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "UpstreamUnreachable")
    );
    double.faults().clear();

    double.stop().await;
    let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "UpstreamUnreachable")
    );
    assert!(answer.body.contains("refused"), "{answer:?}");

    double.start_again().await.unwrap();
    let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_x_ray_comes_back_as_it_is_and_a_redirect_of_somebody_else_does_not() {
    let (double, daemon) = pair().await;
    double.faults().times(1, Fault::throttled());
    let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
    assert_eq!(
        (answer.status, answer.header("x-amzn-errortype")),
        (429, Some("ThrottledException"))
    );
    double
        .faults()
        .times(1, Fault::redirect(301, "http://127.0.0.1:1/Other"));
    let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
    // Neither followed nor passed on.
    assert_eq!(
        (answer.status, answer.code().as_str(), answer.header("location")),
        (502, "UpstreamUnreachable", None)
    );
    assert!(answer.body.contains("with status 301"), "{answer:?}");
    assert_eq!(post(daemon.tcp, "/GetSamplingRules", "{}").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_protocol_upstream_is_no_answer() {
    let upstream = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let daemon = Start::new(&format!("http://{}", upstream.local_addr().unwrap())).start_whole();
    let switches = async {
        let (mut stream, _) = upstream.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        stream
    };
    let (answer, _stream) = tokio::join!(post(daemon.tcp, "/GetSamplingRules", "{}"), switches);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "UpstreamUnreachable"),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_is_open_before_the_region_is_known() {
    // IMDS that hangs: the region takes two seconds to be not found.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let daemon = Start::new("http://127.0.0.1:1")
        .args(&["-o=false"])
        .without_env("AWS_REGION")
        .without_env("AWS_EC2_METADATA_DISABLED")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)
        .start();
    let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "RegionNotKnown"));
    assert_eq!(get(daemon.tcp, "/healthz").await.status, 200);
    assert_eq!(
        get(daemon.tcp, "/readyz").await.json()["reasons"][0]["check"],
        "region"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_fatal_and_no_tcp_does_without() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (process, _directory) = Start::new("http://127.0.0.1:1").args(&["-t", &address]).launch();
    let (status, log) = process.end();
    assert_eq!(status.code(), Some(1), "{log:?}");
    let words = format!("Cannot listen on TCP {address} (flag -t): ");
    assert!(
        log.iter()
            .any(|line| line.contains(&words) && line.contains("--no-tcp")),
        "{log:?}"
    );

    let (process, directory) = Start::new("http://127.0.0.1:1")
        .args(&["-t", &address, "--no-tcp"])
        .launch();
    process.wait_for("its endpoint", |line| {
        line.contains("Using endpoint: ").then_some(())
    });
    let (status, log) = process.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(!log.iter().any(|line| line.contains("roxy ")), "{log:?}");
    let tcp: SocketAddr = address.parse().unwrap();
    let (code, line) = crate::daemon::health_check(tcp, &["--no-tcp"], directory.path());
    assert_eq!(
        (code, line.as_str()),
        (
            Some(0),
            "healthy: the daemon has no TCP port (--no-tcp), so there is nothing to ask\n"
        )
    );
}
