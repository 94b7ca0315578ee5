//! HTTPS endpoints and whom they are trusted by.

use xray::config::XRayConfig;
use xray::exporters::xray::XRay;
use xray::ledger::outcome::ErrorClass;

use crate::support::*;

#[tokio::test]
async fn a_private_ca_is_trusted_through_aws_ca_bundle() {
    let ca = test_ca(&["localhost", "127.0.0.1"]);
    let server = Server::with_tls(ca.acceptor).await;
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    std::fs::write(&bundle, &ca.authority_pem).unwrap();
    let environment = environment(&[("AWS_CA_BUNDLE", bundle.to_str().unwrap())]);
    for host in ["localhost", "127.0.0.1"] {
        let endpoint = format!("https://{host}:{}", server.address.port());
        put(&config_for(endpoint), &environment).await.unwrap();
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_private_ca_that_is_not_named_is_refused_with_a_hint() {
    let ca = test_ca(&["localhost"]);
    let server = Server::with_tls(ca.acceptor).await;
    // Another CA, in place of the system's: a machine without any would give another error.
    let other = test_ca(&["localhost"]);
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    std::fs::write(&bundle, &other.authority_pem).unwrap();
    let error = put(
        &config_for(format!("https://localhost:{}", server.address.port())),
        &environment(&[("AWS_CA_BUNDLE", bundle.to_str().unwrap())]),
    )
    .await
    .unwrap_err();
    assert_eq!((error.class, error.status), (ErrorClass::Connection, None));
    assert!(
        error.message.contains("its certificate is not trusted"),
        "{error}"
    );
    assert!(error.message.contains("AWS_CA_BUNDLE"), "{error}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn the_systems_authorities_do_not_trust_a_private_ca() {
    let ca = test_ca(&["localhost"]);
    let server = Server::with_tls(ca.acceptor).await;
    let error = failure_at(format!("https://localhost:{}", server.address.port())).await;
    assert_eq!(error.class, ErrorClass::Connection);
    assert!(error.message.contains("certificate"), "{error}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let ca = test_ca(&["other.example"]);
    let server = Server::with_tls(ca.acceptor).await;
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    std::fs::write(&bundle, &ca.authority_pem).unwrap();
    let error = put(
        &config_for(format!("https://localhost:{}", server.address.port())),
        &environment(&[("AWS_CA_BUNDLE", bundle.to_str().unwrap())]),
    )
    .await
    .unwrap_err();
    assert_eq!(error.class, ErrorClass::Connection);
    assert!(error.message.contains("other.example"), "{error}");
}

#[tokio::test]
async fn no_verify_ssl_trusts_any_certificate() {
    let ca = test_ca(&["other.example"]);
    let server = Server::with_tls(ca.acceptor).await;
    let config = XRayConfig {
        no_verify_ssl: true,
        ..config_for(format!("https://localhost:{}", server.address.port()))
    };
    let aws = connect(&config, &environment(&[])).await;
    aws.put_trace_segments(BODY.into()).await.unwrap();
    assert_eq!(server.requests().len(), 1);
    assert!(aws.warnings().is_empty(), "the configuration has warned of it");
}

#[tokio::test]
async fn no_verify_ssl_is_not_for_the_credentials() {
    let ca = test_ca(&["localhost"]);
    let sts = Server::with_tls(ca.acceptor).await;
    let config = XRayConfig {
        no_verify_ssl: true,
        role_arn: Some(sourced("arn:aws:iam::123456789012:role/xray", "flag -r")),
        ..config_for("http://127.0.0.1:1")
    };
    let sts_url = format!("https://localhost:{}", sts.address.port());
    let aws = connect(&config, &environment(&[("AWS_ENDPOINT_URL_STS", &sts_url)])).await;
    let error = aws.credentials_description().await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(sts.requests().len(), 0);
}

#[tokio::test]
async fn a_ca_bundle_that_cannot_be_read_is_an_error_at_the_start() {
    let error = XRay::connect(
        &config(),
        &environment(&[("AWS_CA_BUNDLE", "/nonexistent/ca.pem")]),
        "eu-west-1",
    )
    .await
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("AWS_CA_BUNDLE") && error.contains("/nonexistent/ca.pem"),
        "{error}"
    );
}

#[tokio::test]
async fn plain_http_on_the_other_end_of_https_is_a_connection_error() {
    let server = Server::ok().await;
    let error = failure_at(format!("https://localhost:{}", server.address.port())).await;
    assert_eq!(error.class, ErrorClass::Connection);
    assert!(
        error.message.starts_with("TLS with https://localhost:"),
        "{error}"
    );
}
