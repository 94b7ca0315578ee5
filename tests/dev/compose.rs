//! The compose file for development starts what it says.

use std::process::Command;

use xray_double::harness::apps::clean;
use xray_double::harness::install;
use xray_double::harness::process::Process;

use crate::XRAY;

#[test]
fn the_entry_point_of_the_compose_file_serves_containers_beside_it() {
    let file = install::repository().join("docker-compose.dev.yml");
    let text = std::fs::read_to_string(file).expect("the compose file");
    assert!(!text.contains("${"), "it needs no variable");
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("entrypoint: "));
    let arguments: Vec<String> =
        serde_json::from_str(line.expect("an entry point")).expect("a list of texts");
    let (program, arguments) = arguments.split_first().expect("a program");
    assert_eq!(program, "/xray");
    assert!(arguments.iter().any(|argument| argument == "0.0.0.0:2000"));
    // The same on free ports.
    let arguments = arguments
        .iter()
        .map(|argument| argument.replace(":2000", ":0").replace(":4318", ":0"));
    let mut command = Command::new(XRAY);
    clean(&mut command).args(arguments);
    let process = Process::start("xray dev", &mut command);
    let port: u16 = process.wait_for("where the page is", |line| {
        let address = line.split_once("Traces    http://127.0.0.1:")?.1;
        address.strip_suffix('/')?.parse().ok()
    });
    let own = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let healthy = clean(&mut Command::new(XRAY))
        .args(["healthcheck", "-t", &own.to_string()])
        .status()
        .expect("it starts");
    assert!(healthy.success(), "xray healthcheck");
    for (host, status) in [
        ("xray-dev:2000", 200),
        ("localhost:2000", 200),
        ("xray.example.com:2000", 403),
    ] {
        let body = r#"{"StartTime":1,"EndTime":2}"#;
        let (seen, _) = crate::http::post(own, "/TraceSummaries", &[("Host", host)], body);
        assert_eq!(seen, status, "{host}");
    }
}
