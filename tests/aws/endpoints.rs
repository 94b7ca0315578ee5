//! Which URL is called.

use xray::aws::{metadata_client, region};
use xray::config::XRayConfig;
use xray::exporters::xray::XRay;

use crate::support::*;

/// The base URL in force and its source, without calling it.
async fn resolved(config: &XRayConfig, variables: &[(&str, &str)]) -> (String, String) {
    let aws = connect(config, &environment(variables)).await;
    assert_eq!(aws.endpoint_description(), aws.resolved_endpoint().url());
    let endpoint = aws.resolved_endpoint();
    (endpoint.url().to_owned(), endpoint.source().to_owned())
}

async fn refusal(config: &XRayConfig, variables: &[(&str, &str)]) -> String {
    XRay::connect(config, &environment(variables), "eu-west-1")
        .await
        .unwrap_err()
        .to_string()
}

#[tokio::test]
async fn a_path_and_a_trailing_slash_are_kept_and_cut() {
    let server = Server::ok().await;
    for (path, expected) in [
        ("", "/TraceSegments"),
        ("/", "/TraceSegments"),
        ("/base/path/", "/base/path/TraceSegments"),
    ] {
        put(&config_for(format!("{}{path}", server.url())), &environment(&[]))
            .await
            .unwrap();
        assert_eq!(server.requests().last().unwrap().uri, expected);
    }
}

#[tokio::test]
async fn the_region_decides_when_nothing_else_is_set() {
    let aws = |region: &'static str| async move {
        let aws = XRay::connect(&config(), &environment(&[]), region).await.unwrap();
        aws.endpoint_description()
    };
    assert_eq!(aws("us-east-1").await, "https://xray.us-east-1.amazonaws.com");
    assert_eq!(
        aws("cn-north-1").await,
        "https://xray.cn-north-1.amazonaws.com.cn"
    );
    assert_eq!(
        aws("us-gov-west-1").await,
        "https://xray.us-gov-west-1.amazonaws.com"
    );
    assert_eq!(
        aws("eusc-de-east-1").await,
        "https://xray.eusc-de-east-1.amazonaws.eu"
    );
}

#[tokio::test]
async fn fips_and_dual_stack_variables_choose_their_hosts() {
    let fips = ("AWS_USE_FIPS_ENDPOINT", "true");
    let dual_stack = ("AWS_USE_DUALSTACK_ENDPOINT", "true");
    let url =
        |variables: Vec<(&'static str, &'static str)>| async move { resolved(&config(), &variables).await };
    assert_eq!(
        url(vec![fips]).await,
        (
            "https://xray-fips.eu-west-1.amazonaws.com".into(),
            "region eu-west-1 with FIPS".into()
        )
    );
    assert_eq!(
        url(vec![dual_stack]).await,
        (
            "https://xray.eu-west-1.api.aws".into(),
            "region eu-west-1 with dual-stack".into()
        )
    );
    assert_eq!(
        url(vec![fips, dual_stack]).await.0,
        "https://xray-fips.eu-west-1.api.aws"
    );
}

#[tokio::test]
async fn a_custom_endpoint_stands_over_fips_and_dual_stack_and_a_warning_says_so() {
    let server = Server::ok().await;
    let environment = environment(&[
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
    ]);
    let aws = connect(&config_for(server.url()), &environment).await;
    aws.put_trace_segments(BODY.into()).await.unwrap();
    assert_eq!(server.requests().len(), 1);
    let [fips, dual_stack] = aws.warnings() else {
        panic!("{:?}", aws.warnings())
    };
    assert!(
        fips.text.starts_with("AWS_USE_FIPS_ENDPOINT has no effect"),
        "{fips}"
    );
    assert!(fips.text.contains("cfg.yaml line 3 (Endpoint)"), "{fips}");
    assert!(
        dual_stack
            .text
            .starts_with("AWS_USE_DUALSTACK_ENDPOINT has no effect"),
        "{dual_stack}"
    );
}

#[tokio::test]
async fn settings_have_an_order_and_each_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("config");
    std::fs::write(
        &profile,
        "[default]\nservices = local\nendpoint_url = http://profile-all:1\n\
         [services local]\nxray =\n  endpoint_url = http://profile-xray:1\n",
    )
    .unwrap();
    let profile = ("AWS_CONFIG_FILE", profile.to_str().unwrap());
    let all = ("AWS_ENDPOINT_URL", "http://all:1/");
    let xray = ("AWS_ENDPOINT_URL_XRAY", "http://xray:1");

    assert_eq!(
        resolved(&config_for("http://file:1"), &[profile, all, xray]).await,
        ("http://file:1".into(), "cfg.yaml line 3 (Endpoint)".into())
    );
    assert_eq!(
        resolved(&config(), &[profile, all, xray]).await,
        ("http://xray:1".into(), "AWS_ENDPOINT_URL_XRAY".into())
    );
    assert_eq!(
        resolved(&config(), &[profile, all]).await,
        ("http://all:1".into(), "AWS_ENDPOINT_URL".into())
    );
    assert_eq!(
        resolved(&config(), &[profile]).await,
        (
            "http://profile-xray:1".into(),
            "endpoint_url of the AWS profile".into()
        )
    );
    assert_eq!(
        resolved(
            &config(),
            &[
                profile,
                all,
                xray,
                ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
            ]
        )
        .await,
        (
            "https://xray.eu-west-1.amazonaws.com".into(),
            "region eu-west-1".into()
        )
    );
    // Set but empty, as a compose file passes it on.
    assert_eq!(
        resolved(&config(), &[("AWS_ENDPOINT_URL", ""), ("AWS_PROFILE", "")])
            .await
            .0,
        "https://xray.eu-west-1.amazonaws.com"
    );
}

#[tokio::test]
async fn both_endpoint_variables_are_called() {
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_XRAY"] {
        let server = Server::ok().await;
        put(&config(), &environment(&[(variable, &server.url())]))
            .await
            .unwrap();
        assert_eq!(server.requests().len(), 1, "{variable}");
    }
}

#[tokio::test]
async fn an_endpoint_without_a_scheme_is_an_error_that_names_its_place() {
    assert_eq!(
        refusal(&config(), &[("AWS_ENDPOINT_URL_XRAY", "localhost:4566")]).await,
        "AWS_ENDPOINT_URL_XRAY: \"localhost:4566\" has no scheme: write https://localhost:4566 or http://localhost:4566"
    );
    let error = refusal(&config_for("127.0.0.1:1234"), &[]).await;
    assert!(error.starts_with("cfg.yaml line 3 (Endpoint): "), "{error}");
}

#[tokio::test]
async fn a_region_that_makes_no_host_name_is_an_error() {
    for region in ["eu west", "a/b", "a@b", ""] {
        let result = XRay::connect(&config(), &environment(&[]), region).await;
        assert!(result.is_err(), "{region:?}: {result:?}");
    }
}

#[tokio::test]
async fn the_region_is_found_through_the_metadata_client() {
    let metadata = Server::answering(|request| match (request.method.as_str(), request.uri.path()) {
        ("PUT", "/latest/api/token") => {
            reply_with(200, &[("x-aws-ec2-metadata-token-ttl-seconds", "21600")], "token")
        }
        ("GET", "/latest/meta-data/placement/region") => reply(200, "ap-south-1"),
        _ => reply(404, ""),
    })
    .await;
    let config = XRayConfig {
        local_mode: false,
        ..config()
    };
    let environment = bare_environment(&[
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.url()),
    ]);
    let found = region::resolve(&config, &environment, &metadata_client(&environment))
        .await
        .unwrap();
    assert_eq!(
        (found.region.as_str(), found.source.as_str()),
        ("ap-south-1", "EC2 instance metadata")
    );
}
