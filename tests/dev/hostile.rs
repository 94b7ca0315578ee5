//! Whatever the environment holds, nothing leaves this process's own port.

use std::net::TcpListener;
use std::time::Duration;

use xray_double::harness::dev::Dev;

use crate::XRAY;

#[test]
fn no_variable_profile_proxy_or_configuration_file_has_a_say() {
    // Everything points here: proxy, endpoints, metadata. Nobody may connect.
    let trap = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = trap.local_addr().expect("its address");
    let url = format!("http://{address}");
    let home = tempfile::tempdir().expect("a temporary directory");
    let aws = home.path().join(".aws");
    std::fs::create_dir(&aws).expect("a directory");
    std::fs::write(
        aws.join("config"),
        format!("[default]\nregion = eu-west-1\nendpoint_url = {url}\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n"),
    )
    .expect("a file");
    std::fs::write(
        aws.join("credentials"),
        "[default]\naws_access_key_id = AKIAREAL\naws_secret_access_key = real\n",
    )
    .expect("a file");
    std::fs::write(
        home.path().join("cfg.yaml"),
        format!("Version: 2\nEndpoint: \"{url}\"\nRegion: eu-west-1\nProxyAddress: \"{url}\"\nSocket:\n  UDPAddress: \"192.0.2.1:1\"\n"),
    )
    .expect("a file");
    let dev = Dev::start_with(XRAY, &[], |command| {
        command.current_dir(home.path()).env("HOME", home.path());
        for name in [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_XRAY",
            "AWS_ENDPOINT_URL_STS",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "ECS_CONTAINER_METADATA_URI_V4",
        ] {
            command.env(name, &url);
        }
        command
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_PROFILE", "default")
            .env("AWS_ACCESS_KEY_ID", "AKIAREAL")
            .env("AWS_SECRET_ACCESS_KEY", "real")
            .env("AWS_ROLE_ARN", "arn:aws:iam::1:role/x")
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", "/dev/null")
            .env("AWS_USE_FIPS_ENDPOINT", "true")
            .env("AWS_CA_BUNDLE", "/nonexistent/bundle.pem")
            .env("ECS_ENABLE_CONTAINER_METADATA", "true");
    });
    dev.send(
        r#"{"trace_id":"1-581cf771-a006649127e371903a2de979","id":"70de5b6f19ff9a0a","name":"shop","start_time":1.0,"end_time":2.0}"#,
    );
    dev.wait_for_documents(1);
    let (status, lines) = dev.process.terminate();
    assert_eq!(status.code(), Some(0), "{lines:?}");
    trap.set_nonblocking(true).expect("a mode");
    // What had been started by now would be in the backlog.
    std::thread::sleep(Duration::from_millis(50));
    assert!(
        trap.accept().is_err(),
        "something connected to {url}:\n{}",
        lines.join("\n")
    );
}
