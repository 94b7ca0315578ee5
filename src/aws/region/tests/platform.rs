//! ECS and EC2: what they are asked, and what is made of each answer.

use super::fake::{Fake, Silent, nobody};
use super::*;
use std::time::Instant;

#[tokio::test]
async fn the_region_of_an_ec2_instance_is_asked_with_a_token() {
    let ec2 = Fake::start(instance).await;
    let mut lab = Lab::new();
    lab.ec2(&ec2.url());
    assert_eq!(lab.found().await, "eu-west-1 from EC2 instance metadata");
    assert_eq!(
        ec2.lines(),
        ["PUT /latest/api/token", "GET /latest/meta-data/placement/region"]
    );
    assert_eq!(ec2.header(0, "x-aws-ec2-metadata-token-ttl-seconds"), "21600");
    assert_eq!(ec2.header(1, "x-aws-ec2-metadata-token"), "a-token");
}

#[tokio::test]
async fn the_profile_may_say_where_the_instance_metadata_is() {
    let ec2 = Fake::start(instance).await;
    let mut lab = Lab::new();
    lab.environment.0.remove("AWS_EC2_METADATA_DISABLED");
    let setting = format!("[default]\nec2_metadata_service_endpoint = {}\n", ec2.url());
    lab.file(".aws/config", &setting);
    assert_eq!(lab.found().await, "eu-west-1 from EC2 instance metadata");
}

#[test]
fn the_instance_metadata_address_follows_the_settings_of_the_sdk() {
    let mut lab = Lab::new();
    let mut endpoint = |name: &str, value: &str| {
        lab.set(name, value);
        metadata::ec2_endpoint(&lab.environment, None)
    };
    assert_eq!(endpoint("OTHER", ""), Ok("http://169.254.169.254".to_owned()));
    let mode = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
    assert_eq!(endpoint(mode, "IPv4"), Ok("http://169.254.169.254".to_owned()));
    assert_eq!(endpoint(mode, "ipv6"), Ok("http://[fd00:ec2::254]".to_owned()));
    assert_eq!(
        endpoint(mode, "v\n4"),
        Err("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is v\\n4, not IPv4 or IPv6".to_owned())
    );
    let wins = endpoint("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
    assert_eq!(wins, Ok("http://127.0.0.1:1".to_owned()));
}

#[tokio::test]
async fn an_address_that_never_answers_ends_within_its_limit() {
    let silent = Silent::new();
    let mut lab = Lab::new();
    lab.limits.source = Duration::from_millis(100);
    lab.ec2(&silent.url());
    lab.set("ECS_CONTAINER_METADATA_URI_V4", &silent.url());
    let start = Instant::now();
    let Err(RegionError::NotFound { tried }) = lab.resolve().await else {
        panic!("nobody knows a region");
    };
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let said: Vec<_> = tried
        .iter()
        .rev()
        .take(2)
        .map(|attempt| attempt.said.clone())
        .collect();
    assert_eq!(
        said,
        [
            format!("{}: no answer within 100ms", silent.url()),
            format!("{}/task: no answer within 100ms", silent.url()),
        ]
    );
    assert!(silent.was_asked());
}

#[test]
fn the_limits_leave_a_start_without_a_region_five_seconds_at_most() {
    let Limits { connect, source } = Limits::DEFAULT;
    assert_eq!(
        (connect, source),
        (Duration::from_secs(1), Duration::from_secs(2))
    );
    let addresses = 2;
    assert!(source * addresses < Duration::from_secs(5));
}

#[tokio::test]
async fn what_ec2_says_instead_of_a_region_is_told() {
    fn forbidden(_: &Method, _: &str, _: usize) -> (u16, Vec<u8>) {
        (403, b"secret of the proxy".to_vec())
    }
    fn no_region(method: &Method, _: &str, _: usize) -> (u16, Vec<u8>) {
        if method == Method::PUT {
            (200, b"a-token".to_vec())
        } else {
            (404, b"\x1b[31m".to_vec())
        }
    }
    fn a_page(_: &Method, _: &str, _: usize) -> (u16, Vec<u8>) {
        (200, b"<html>log in</html>".to_vec())
    }
    for (answers, said) in [
        (
            forbidden as fn(&Method, &str, usize) -> (u16, Vec<u8>),
            "URL: failed to load IMDS session token: service error: request forbidden: IMDS is disabled or the \
             caller has insufficient permissions.",
        ),
        (no_region, "URL: status 404"),
        (a_page, "\"<html>log in</html>\" is not a region"),
    ] {
        let ec2 = Fake::start(answers).await;
        let mut lab = Lab::new();
        lab.ec2(&ec2.url());
        assert_eq!(
            lab.said("EC2 instance metadata").await.replace(&ec2.url(), "URL"),
            said
        );
    }
    let mut lab = Lab::new();
    lab.ec2(&nobody());
    let said = lab.said("EC2 instance metadata").await;
    assert!(said.contains("onnection refused"), "{said}");
}

#[tokio::test]
async fn a_failing_instance_metadata_service_is_asked_once_more() {
    let ec2 = Fake::start(|method, _, call| match (method.as_str(), call) {
        ("PUT", _) => (200, b"a-token".to_vec()),
        (_, 0) => (500, Vec::new()),
        _ => (200, b"eu-west-1".to_vec()),
    })
    .await;
    let mut lab = Lab::new();
    lab.ec2(&ec2.url());
    assert_eq!(lab.found().await, "eu-west-1 from EC2 instance metadata");

    let ec2 = Fake::start(|method, _, _| {
        if method == Method::PUT {
            (200, b"t".to_vec())
        } else {
            (500, vec![])
        }
    })
    .await;
    lab.ec2(&ec2.url());
    assert_eq!(
        lab.said("EC2 instance metadata").await,
        format!("{}: status 500", ec2.url())
    );
    assert_eq!(ec2.lines().len(), 3, "{:?}", ec2.lines());
}

#[tokio::test]
async fn the_ecs_file_counts_only_when_ecs_says_so_and_it_names_a_region() {
    let mut lab = Lab::new();
    let path = lab.ecs_file(&task("ap-south-1"));
    assert_eq!(lab.found().await, "ap-south-1 from ECS metadata file");
    for enabled in ["TRUE", "1", ""] {
        lab.set("ECS_ENABLE_CONTAINER_METADATA", enabled);
        let said = lab.said("ECS metadata file").await;
        assert_eq!(said, "ECS_ENABLE_CONTAINER_METADATA is not \"true\"");
    }
    for (content, said) in [
        (
            "",
            "PATH: not the metadata of a task: EOF while parsing a value at line 1 column 0",
        ),
        ("{\"Cluster\":\"c\"}", "PATH: no TaskARN in it"),
        (
            "{\"TaskARN\":\"arn:aws:ecs\"}",
            "PATH: no region in TaskARN arn:aws:ecs",
        ),
        (
            "{\"TaskARN\":\"x:aws:ecs:us-east-1:\"}",
            "PATH: no region in TaskARN x:aws:ecs:us-east-1:",
        ),
        (
            "{\"TaskARN\":\"arn:aws:ecs::1:\"}",
            "PATH: no region in TaskARN arn:aws:ecs::1:",
        ),
        ("{\"TaskARN\":\"arn:aws:ecs:a/b:1:\"}", "\"a/b\" is not a region"),
    ] {
        lab.ecs_file(content);
        assert_eq!(lab.said("ECS metadata file").await.replace(&path, "PATH"), said);
    }
    std::fs::remove_file(&path).unwrap();
    let said = lab.said("ECS metadata file").await;
    assert_eq!(
        said,
        format!("cannot read {path}: No such file or directory (os error 2)")
    );
    lab.environment.0.remove("ECS_CONTAINER_METADATA_FILE");
    assert_eq!(
        lab.said("ECS metadata file").await,
        "ECS_CONTAINER_METADATA_FILE is not set"
    );
}

#[tokio::test]
async fn what_the_ecs_address_says_instead_of_a_region_is_told() {
    let mut lab = Lab::new();
    let ecs = Fake::start(|_, path, _| match path {
        "/status/task" => (500, Vec::new()),
        "/page/task" => (200, b"<html>".to_vec()),
        "/endless/task" => (200, vec![b' '; 2 << 20]),
        _ => (200, task("us-gov-east-1").into()),
    })
    .await;
    for (base, said) in [
        ("/status", "BASE/task: status 500"),
        (
            "/page/",
            "BASEtask: not the metadata of a task: expected value at line 1 column 1",
        ),
        ("/endless", "BASE/task: length limit exceeded"),
    ] {
        let base = format!("{}{base}", ecs.url());
        lab.set("ECS_CONTAINER_METADATA_URI_V4", &base);
        assert_eq!(lab.said("ECS task metadata").await.replace(&base, "BASE"), said);
    }
    lab.set("ECS_CONTAINER_METADATA_URI_V4", "https://127.0.0.1/v4");
    assert_eq!(
        lab.said("ECS task metadata").await,
        "https://127.0.0.1/v4/task: not an http:// URL"
    );
    lab.set("ECS_CONTAINER_METADATA_URI_V4", &ecs.url());
    assert_eq!(lab.found().await, "us-gov-east-1 from ECS task metadata");
}
