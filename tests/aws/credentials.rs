//! Where credentials come from.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use aws_smithy_types::date_time::{DateTime, Format};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use xray::aws::Limits;
use xray::config::{Environment, XRayConfig};
use xray::exporters::xray::XRay;
use xray::ledger::outcome::ErrorClass;

use crate::support::*;

/// A time far ahead.
const FUTURE: &str = "2099-01-01T00:00:00Z";

/// Calls once and returns the key that signed and the words for its source.
async fn used(config: XRayConfig, environment: &Environment) -> (String, String) {
    let server = Server::ok().await;
    let config = XRayConfig {
        endpoint: config_for(server.url()).endpoint,
        ..config
    };
    let aws = connect(&config, environment).await;
    let description = aws.credentials_description().await.unwrap();
    aws.put_trace_segments(BODY.into()).await.unwrap();
    (server.request().access_key().to_owned(), description)
}

fn write(directory: &TempDir, name: &str, content: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    path_text(&path)
}

fn path_text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// An STS that gives the key `AKIDSTS` for both of its calls.
async fn fake_sts() -> Server {
    Server::answering(|request| {
        let action = if request.text().contains("Action=AssumeRoleWithWebIdentity") {
            "AssumeRoleWithWebIdentity"
        } else {
            "AssumeRole"
        };
        reply_with(
            200,
            &[("content-type", "text/xml")],
            &format!(
                "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
                 <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/xray/xray-daemon</Arn>\
                 <AssumedRoleId>AROA:xray-daemon</AssumedRoleId></AssumedRoleUser>\
                 <Credentials><AccessKeyId>AKIDSTS</AccessKeyId><SecretAccessKey>sts-secret</SecretAccessKey>\
                 <SessionToken>sts-token</SessionToken><Expiration>{FUTURE}</Expiration></Credentials>\
                 </{action}Result></{action}Response>"
            ),
        )
    })
    .await
}

fn json_credentials(access_key: &str) -> String {
    format!(
        "{{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"{access_key}\",\
         \"SecretAccessKey\":\"json-secret\",\"Token\":\"json-token\",\"Expiration\":\"{FUTURE}\",\
         \"LastUpdated\":\"2026-01-01T00:00:00Z\"}}"
    )
}

#[tokio::test]
async fn the_environments_keys_are_used_and_named() {
    assert_eq!(
        used(config(), &environment(&[])).await,
        (
            "AKIDENVIRONMENT".into(),
            "the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".into()
        )
    );
}

#[tokio::test]
async fn a_profile_file_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(
        &directory,
        "credentials",
        "[default]\naws_access_key_id=AKIDDEFAULT\naws_secret_access_key=x\n\
         [other]\naws_access_key_id=AKIDOTHER\naws_secret_access_key=y\n",
    );
    let file = ("AWS_SHARED_CREDENTIALS_FILE", file.as_str());
    let (key, description) = used(config(), &bare_environment(&[file])).await;
    assert_eq!(
        (key.as_str(), description.as_str()),
        ("AKIDDEFAULT", "the AWS profile \"default\"")
    );
    let (key, _) = used(config(), &bare_environment(&[file, ("AWS_PROFILE", "other")])).await;
    assert_eq!(key, "AKIDOTHER");
}

#[tokio::test]
async fn a_credential_process_is_run() {
    let directory = tempfile::tempdir().unwrap();
    let output = write(
        &directory,
        "output.json",
        "{\"Version\":1,\"AccessKeyId\":\"AKIDPROCESS\",\"SecretAccessKey\":\"process-secret\"}",
    );
    let file = write(
        &directory,
        "config",
        &format!("[default]\ncredential_process = cat {output}\n"),
    );
    let (key, description) = used(config(), &bare_environment(&[("AWS_CONFIG_FILE", &file)])).await;
    assert_eq!(key, "AKIDPROCESS");
    assert_eq!(description, "the AWS profile \"default\" (a credential process)");
}

#[tokio::test]
async fn a_profiles_role_is_assumed_with_the_keys_of_a_process_behind_it_or_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let output = write(
        &directory,
        "output.json",
        "{\"Version\":1,\"AccessKeyId\":\"AKIDPROCESS\",\"SecretAccessKey\":\"process/secret+=\",\"SessionToken\":\"to/ken==\"}",
    );
    let role = "role_arn = arn:aws:iam::123456789012:role/app";
    let process = format!("credential_process = cat {output}");
    for profiles in [
        format!("[default]\n{role}\nsource_profile = keys\n[profile keys]\n{process}\n"),
        format!("[default]\n{role}\nsource_profile = default\n{process}\n"),
    ] {
        let sts = fake_sts().await;
        let file = write(&directory, "config", &profiles);
        let environment =
            bare_environment(&[("AWS_CONFIG_FILE", &file), ("AWS_ENDPOINT_URL_STS", &sts.url())]);
        let (key, description) = used(config(), &environment).await;
        assert_eq!(key, "AKIDSTS", "{profiles}");
        assert_eq!(description, "the AWS profile \"default\" (a credential process)");
        let request = sts.request();
        assert_eq!(request.access_key(), "AKIDPROCESS");
        assert_eq!(request.header("x-amz-security-token"), "to/ken==");
    }
}

#[tokio::test]
async fn an_sso_session_is_used() {
    let sso = Server::answering(|_| {
        reply(
            200,
            "{\"roleCredentials\":{\"accessKeyId\":\"AKIDSSO\",\"secretAccessKey\":\"x\",\"sessionToken\":\"y\",\
             \"expiration\":4070908800000}}",
        )
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join(".aws/sso/cache")).unwrap();
    write(
        &home,
        ".aws/config",
        "[default]\nsso_session = dev\nsso_account_id = 123456789012\nsso_role_name = Xray\n\
         [sso-session dev]\nsso_region = eu-west-1\nsso_start_url = https://d-1.awsapps.com/start\n",
    );
    // The file is named after the SHA-1 of the session's name.
    write(
        &home,
        ".aws/sso/cache/34c6fceca75e456f25e7e99531e2425c6c1de443.json",
        &format!("{{\"accessToken\":\"sso-token\",\"expiresAt\":\"{FUTURE}\",\"region\":\"eu-west-1\"}}"),
    );
    let home_path = path_text(home.path());
    let mut environment = bare_environment(&[("HOME", &home_path), ("AWS_ENDPOINT_URL_SSO", &sso.url())]);
    environment.0.remove("AWS_CONFIG_FILE");
    let (key, description) = used(config(), &environment).await;
    assert_eq!(
        (key.as_str(), description.as_str()),
        ("AKIDSSO", "the AWS profile \"default\" (an SSO session)")
    );
    assert_eq!(sso.request().header("x-amz-sso_bearer_token"), "sso-token");
}

#[tokio::test]
async fn a_container_endpoint_on_loopback_is_asked_with_its_token_and_never_through_a_proxy() {
    let agent = Server::answering(|_| reply(200, &json_credentials("AKIDCONTAINER"))).await;
    let directory = tempfile::tempdir().unwrap();
    let token = write(&directory, "token", "container-token");
    let url = format!("{}/v1/credentials", agent.url());
    let environment = bare_environment(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
    ]);
    let (key, description) = used(config(), &environment).await;
    assert_eq!(
        (key.as_str(), description.as_str()),
        ("AKIDCONTAINER", "the container credentials endpoint")
    );
    assert_eq!(agent.request().header("authorization"), "container-token");
}

#[tokio::test]
async fn ec2_metadata_is_asked_in_version_2_and_never_through_a_proxy() {
    let metadata = Server::answering(|request| match (request.method.as_str(), request.uri.path()) {
        ("PUT", "/latest/api/token") => reply_with(
            200,
            &[("x-aws-ec2-metadata-token-ttl-seconds", "21600")],
            "metadata-token",
        ),
        ("GET", _) if request.header("x-aws-ec2-metadata-token") != "metadata-token" => reply(401, ""),
        ("GET", path) if path.ends_with("/xray-role") => reply(200, &json_credentials("AKIDMETADATA")),
        ("GET", path) if path.contains("/iam/security-credentials") => reply(200, "xray-role"),
        _ => reply(404, ""),
    })
    .await;
    let config = XRayConfig {
        proxy_address: Some(sourced("http://127.0.0.1:1", "flag -p")),
        ..config()
    };
    let environment = bare_environment(&[
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.url()),
    ]);
    let aws = connect(&config, &environment).await;
    assert_eq!(
        aws.credentials_description().await.unwrap(),
        "EC2 instance metadata"
    );
    let first = &metadata.requests()[0];
    assert_eq!(
        (first.method.as_str(), first.uri.path()),
        ("PUT", "/latest/api/token")
    );
}

#[tokio::test]
async fn what_ec2_metadata_answers_in_place_of_keys_is_a_sentence_without_the_answer() {
    let told = async |of_token: u16, of_role: u16, of_keys: u16| {
        let metadata = Server::answering(move |request| {
            let (status, body) = match (request.method.as_str(), request.uri.path()) {
                ("PUT", _) => (of_token, "hunter-token"),
                ("GET", path) if path.ends_with("/xray-role") => (of_keys, "<html>hunter2</html>"),
                _ if of_role == 200 => (200, "xray-role"),
                _ => (of_role, "<html>hunter2</html>"),
            };
            reply_with(status, &[("x-aws-ec2-metadata-token-ttl-seconds", "21600")], body)
        })
        .await;
        let environment = bare_environment(&[
            ("AWS_EC2_METADATA_DISABLED", "false"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.url()),
        ]);
        let aws = connect(&config(), &environment).await;
        aws.credentials_description().await.unwrap_err().to_string()
    };
    for (of_token, of_role, of_keys, words) in [
        (
            200,
            403,
            0,
            ["answered with status 403", "--http-endpoint enabled"],
        ),
        (
            200,
            200,
            404,
            [
                "answered with status 404",
                "whether the instance profile has a role",
            ],
        ),
        (200, 200, 500, ["answered with status 500", "it is asked again"]),
        (
            400,
            0,
            0,
            ["gave no session token", "see what answers at its address"],
        ),
    ] {
        let told = told(of_token, of_role, of_keys).await;
        for words in words {
            assert!(told.contains(words), "no {words:?} in: {told}");
        }
        for raw in ["hunter", "Response {", "SDK bug"] {
            assert!(!told.contains(raw), "{told}");
        }
    }
}

#[tokio::test]
async fn a_web_identity_token_is_exchanged() {
    let sts = fake_sts().await;
    let directory = tempfile::tempdir().unwrap();
    let token = write(&directory, "token", "web-identity-token");
    let environment = bare_environment(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod"),
        ("AWS_ENDPOINT_URL_STS", &sts.url()),
    ]);
    let (key, description) = used(config(), &environment).await;
    assert_eq!(key, "AKIDSTS");
    assert_eq!(description, "a web identity token");
    let request = sts.request();
    assert!(
        request.text().contains("WebIdentityToken=web-identity-token"),
        "{}",
        request.text()
    );
}

#[tokio::test]
async fn a_role_is_assumed_with_the_official_session_name_and_signed_in_the_region() {
    let sts = fake_sts().await;
    let role = "arn:aws:iam::123456789012:role/xray";
    let config = XRayConfig {
        role_arn: Some(sourced(role, "flag -r")),
        ..config()
    };
    let (key, description) = used(config, &environment(&[("AWS_ENDPOINT_URL_STS", &sts.url())])).await;
    assert_eq!(key, "AKIDSTS");
    assert_eq!(
        description,
        format!(
            "the role {role}, assumed with the credentials of the environment variables AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY"
        )
    );
    // One call for the description and the segments together.
    let request = sts.request();
    assert!(
        request.text().contains("RoleSessionName=xray-daemon"),
        "{}",
        request.text()
    );
    assert!(request.text().contains("role%2Fxray"), "{}", request.text());
    assert_eq!(request.access_key(), "AKIDENVIRONMENT");
    assert!(
        request
            .header("authorization")
            .contains("/eu-west-1/sts/aws4_request")
    );
}

#[tokio::test]
async fn sts_is_called_at_its_regional_endpoint() {
    let proxy = tunnel_proxy("127.0.0.1:1".parse().unwrap(), Some("never")).await;
    let config = XRayConfig {
        role_arn: Some(sourced("arn:aws:iam::123456789012:role/xray", "flag -r")),
        ..config()
    };
    let environment = environment(&[("HTTPS_PROXY", &format!("http://{}", proxy.address))]);
    let aws = connect(&config, &environment).await;
    aws.credentials_description().await.unwrap_err();
    let head = &proxy.heads()[0];
    assert!(
        head.starts_with("connect sts.eu-west-1.amazonaws.com:443 "),
        "{head}"
    );
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_says_which_and_why() {
    let sts = Server::answering(|_| {
        reply_with(
            403,
            &[("content-type", "text/xml")],
            "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
             <Message>User: arn:aws:iam::1:user/me is not authorized to perform: sts:AssumeRole</Message>\
             </Error><RequestId>1</RequestId></ErrorResponse>",
        )
    })
    .await;
    let role = "arn:aws:iam::123456789012:role/xray";
    let config = XRayConfig {
        role_arn: Some(sourced(role, "flag -r")),
        ..config_for("http://127.0.0.1:1")
    };
    let error = put(&config, &environment(&[("AWS_ENDPOINT_URL_STS", &sts.url())]))
        .await
        .unwrap_err();
    assert_eq!((error.class, error.status), (ErrorClass::Credentials, None));
    assert!(error.message.starts_with(&format!(
        "cannot assume the role {role} with the credentials of the env"
    )));
    let end = ": AccessDenied: User: arn:aws:iam::1:user/me is not authorized to perform: sts:AssumeRole";
    assert!(error.message.ends_with(end), "{error}");
    assert!(!error.message.contains("environment-secret"), "{error}");
}

#[tokio::test]
async fn missing_credentials_are_retriable_and_say_what_was_tried() {
    let server = Server::ok().await;
    let error = put(&config_for(server.url()), &bare_environment(&[]))
        .await
        .unwrap_err();
    assert_eq!((error.class, error.status), (ErrorClass::Credentials, None));
    for place in ["AWS_ACCESS_KEY_ID", "profile", "web identity", "container", "EC2"] {
        assert!(error.message.contains(place), "{place} in {error}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn credentials_that_appear_later_are_found_without_a_restart() {
    let server = Server::ok().await;
    let directory = tempfile::tempdir().unwrap();
    let file = path_text(&directory.path().join("credentials"));
    let limits = Limits {
        credentials_pause: Duration::ZERO,
        ..Limits::default()
    };
    let environment = bare_environment(&[("AWS_SHARED_CREDENTIALS_FILE", &file)]);
    let aws = XRay::connect_within(&config_for(server.url()), &environment, "eu-west-1", limits)
        .await
        .unwrap();
    aws.put_trace_segments(BODY.into()).await.unwrap_err();
    write(
        &directory,
        "credentials",
        "[default]\naws_access_key_id=AKIDLATER\naws_secret_access_key=x\n",
    );
    aws.put_trace_segments(BODY.into()).await.unwrap();
    assert_eq!(server.request().access_key(), "AKIDLATER");
}

#[tokio::test]
async fn within_the_pause_after_a_failure_the_sources_are_left_alone() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let agent = Server::answering(move |_| match up.load(SeqCst) {
        true => reply(200, &json_credentials("AKIDCONTAINER")),
        false => reply(404, "{\"code\":\"NotFound\",\"message\":\"no\"}"),
    })
    .await;
    let environment = bare_environment(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url())]);
    let aws = connect(&config_for("http://127.0.0.1:1"), &environment).await;
    let first = aws.credentials_description().await.unwrap_err();
    let asked = agent.requests().len();
    assert!(asked > 0);
    is_up.store(true, SeqCst);
    for _ in 0..5 {
        assert_eq!(aws.credentials_description().await.unwrap_err(), first);
    }
    assert_eq!(agent.requests().len(), asked);
}

#[tokio::test]
async fn calls_at_the_same_time_ask_the_sources_once() {
    let agent = Server::answering(|_| reply(200, &json_credentials("AKIDCONTAINER"))).await;
    let server = Server::ok().await;
    let environment = bare_environment(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url())]);
    let aws = connect(&config_for(server.url()), &environment).await;
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let aws = aws.clone();
            tokio::spawn(async move { aws.put_trace_segments(BODY.into()).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!((server.requests().len(), agent.requests().len()), (8, 1));
}

#[tokio::test]
async fn keys_that_the_service_calls_expired_are_read_again() {
    let server = Server::answering(|request| match request.access_key() {
        "AKIDNEW" => reply(200, "{}"),
        _ => reply_with(
            403,
            &[("x-amzn-errortype", "ExpiredTokenException")],
            "{\"message\":\"expired\"}",
        ),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let keys = |key: &str| format!("[default]\naws_access_key_id={key}\naws_secret_access_key=x\n");
    let file = write(&directory, "credentials", &keys("AKIDOLD"));
    let limits = Limits {
        credentials_pause: Duration::ZERO,
        ..Limits::default()
    };
    let environment = bare_environment(&[("AWS_SHARED_CREDENTIALS_FILE", &file)]);
    let aws = XRay::connect_within(&config_for(server.url()), &environment, "eu-west-1", limits)
        .await
        .unwrap();
    aws.credentials_description().await.unwrap();
    write(&directory, "credentials", &keys("AKIDNEW"));
    let error = aws.put_trace_segments(BODY.into()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Credentials);
    aws.put_trace_segments(BODY.into()).await.unwrap();
}

#[tokio::test]
async fn a_source_that_never_answers_is_given_up() {
    let address = raw_server(|stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let limits = Limits {
        credentials_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let url = format!("http://{address}");
    let environment = bare_environment(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]);
    let aws = XRay::connect_within(
        &config_for("http://127.0.0.1:1"),
        &environment,
        "eu-west-1",
        limits,
    )
    .await
    .unwrap();
    let error = aws.put_trace_segments(BODY.into()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Credentials);
    assert_eq!(
        error.message,
        "the sources of AWS credentials did not answer within 0.2 s"
    );
}

#[tokio::test]
async fn a_broken_profile_file_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(&directory, "config", "[default\nregion = eu-west-1\n");
    let aws = connect(
        &config_for("http://127.0.0.1:1"),
        &bare_environment(&[("AWS_CONFIG_FILE", &file)]),
    )
    .await;
    let error = aws.credentials_description().await.unwrap_err();
    assert!(error.contains(&format!("{file} on line 1")), "{error}");
}

#[tokio::test]
async fn a_source_that_fails_is_told_with_what_is_set_up() {
    let environment = bare_environment(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-secret"),
    ]);
    let aws = connect(&config_for("http://127.0.0.1:1"), &environment).await;
    let error = aws.credentials_description().await.unwrap_err();
    assert!(
        error.contains("No such file") && error.contains("/nonexistent/token"),
        "{error}"
    );
    assert!(!error.contains("container-secret"), "{error}");
}

/// A container endpoint whose answers with keys take `time`; `asked` counts the questions.
async fn slow_agent(time: Duration, asked: Arc<AtomicUsize>) -> String {
    let body = json_credentials("AKIDCONTAINER");
    let address = raw_server(move |mut stream| {
        asked.fetch_add(1, SeqCst);
        let answer = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        async move {
            tokio::time::sleep(time).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    format!("http://{address}")
}

#[tokio::test]
async fn a_call_that_gives_up_leaves_the_search_running_and_later_ones_wait_for_the_same() {
    let server = Server::ok().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let url = slow_agent(Duration::from_millis(1500), Arc::clone(&asked)).await;
    let limits = Limits {
        attempt_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let environment = bare_environment(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]);
    let aws = XRay::connect_within(&config_for(server.url()), &environment, "eu-west-1", limits)
        .await
        .unwrap();
    let error = aws.put_trace_segments(BODY.into()).await.unwrap_err();
    assert_eq!(
        (error.class, error.message.as_str()),
        (ErrorClass::Credentials, "no AWS credentials within 0.2 s")
    );
    // One that is dropped on the way, too.
    let dropped = tokio::time::timeout(Duration::from_millis(50), aws.put_trace_segments(BODY.into()));
    dropped.await.unwrap_err();
    assert_eq!(
        aws.credentials_arrival().await,
        "the container credentials endpoint"
    );
    aws.put_trace_segments(BODY.into()).await.unwrap();
    assert_eq!((asked.load(SeqCst), server.requests().len()), (1, 1));
}

#[tokio::test]
async fn a_search_that_takes_longer_than_a_person_waits_is_told_and_goes_on() {
    let asked = Arc::new(AtomicUsize::new(0));
    let url = slow_agent(Duration::from_secs(1), Arc::clone(&asked)).await;
    let limits = Limits {
        credentials_patience: Duration::from_millis(100),
        ..Limits::default()
    };
    let environment = bare_environment(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]);
    let aws = XRay::connect_within(
        &config_for("http://127.0.0.1:1"),
        &environment,
        "eu-west-1",
        limits,
    )
    .await
    .unwrap();
    assert_eq!(
        aws.credentials_description().await.unwrap_err(),
        "the sources of AWS credentials have not answered within 0.1 s, and are still being asked"
    );
    assert_eq!(
        aws.credentials_arrival().await,
        "the container credentials endpoint"
    );
    assert_eq!(asked.load(SeqCst), 1);
}

#[tokio::test]
async fn keys_are_replaced_ahead_of_their_expiry_though_nobody_asks_for_any() {
    let agent = Server::answering(move |_| {
        let expiry = DateTime::from(SystemTime::now() + Duration::from_secs(12));
        let keys = json_credentials("AKIDCONTAINER");
        reply(200, &keys.replace(FUTURE, &expiry.fmt(Format::DateTime).unwrap()))
    })
    .await;
    let environment = bare_environment(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url())]);
    let aws = connect(&config_for("http://127.0.0.1:1"), &environment).await;
    aws.credentials_description().await.unwrap();
    let asked_twice = async {
        while agent.requests().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked_twice)
        .await
        .unwrap();
    drop(aws);
}

#[tokio::test]
async fn the_search_ends_with_the_last_who_could_use_it() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (gone, is_gone) = tokio::sync::oneshot::channel();
    let gone = Arc::new(std::sync::Mutex::new(Some(gone)));
    let address = raw_server({
        let asked = Arc::clone(&asked);
        move |mut stream| {
            asked.fetch_add(1, SeqCst);
            let gone = gone.lock().unwrap().take();
            async move {
                // Until the client closes.
                let _end = stream.read(&mut [0]).await;
                let _: Option<Result<(), ()>> = gone.map(|gone| gone.send(()));
            }
        }
    })
    .await;
    let url = format!("http://{address}");
    let environment = bare_environment(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]);
    let aws = connect(&config_for("http://127.0.0.1:1"), &environment).await;
    let call = tokio::spawn({
        let aws = aws.clone();
        async move { aws.put_trace_segments(BODY.into()).await }
    });
    while asked.load(SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    call.abort();
    assert!(call.await.is_err());
    drop(aws);
    // Well before the source's own time-out.
    tokio::time::timeout(Duration::from_secs(2), is_gone)
        .await
        .unwrap()
        .unwrap();
}
