//! `--log-format json`: whatever number or name is in the sentence of a line is in a field of it too.

use std::net::{TcpListener, UdpSocket};

use serde_json::{Map, Value, json};
use xray_double::double::Double;
use xray_double::faults::Fault;
use xray_double::harness::daemon::{Setup, arrived, double};
use xray_service::service::Operation;

use crate::XRAY;
use crate::support::{ask, tcp};

/// What is in sentences whatever happens: advice, and names of things.
const CONSTANTS: [&str; 17] = [
    "X-Ray",
    "HTTP/1.1",
    "OTLP over HTTP",
    "https://",
    "http://",
    "arn:aws:iam::123456789012:role/name",
    "AWS_ACCESS_KEY_ID",
    "-m 3",
    "127.0.0.1:2000",
    "ports below 1024",
    "XRAY_ and the long name",
    "version 2. Add the line \"Version: 2\"",
    "less than 1 s after",
    "at port 4317",
    "Did you mean XRAY_REGION?",
    "usually 4318",
    "1 to 3600000",
];

/// A run's lines at info and above.
fn events(lines: &[String]) -> Vec<Map<String, Value>> {
    let events = lines.iter().map(|line| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: no line of JSON: {line}"))
    });
    events
        .filter(|event: &Map<String, Value>| event["level"] != "debug")
        .collect()
}

/// The numbers and names of `event`'s sentence that none of its fields has.
fn without_field(event: &Map<String, Value>) -> Vec<String> {
    let fields: Vec<&Value> = event
        .iter()
        .filter(|(name, _)| !["timestamp", "level", "message"].contains(&name.as_str()))
        .map(|(_, value)| value)
        .collect();
    let texts: Vec<String> = fields
        .iter()
        .map(|field| field.as_str().map_or_else(|| field.to_string(), str::to_owned))
        .collect();
    let mut message = event["message"].as_str().unwrap().to_owned();
    // The longest first, since one may be a part of another one.
    let mut known: Vec<&str> = texts.iter().map(String::as_str).chain(CONSTANTS).collect();
    known.sort_by_key(|text| std::cmp::Reverse(text.len()));
    for text in known.into_iter().filter(|text| text.len() > 2) {
        message = message.replace(text, " ");
    }
    let is_part = |c: char| c.is_alphanumeric() || "._-/:@".contains(c);
    let words = message.split(|c: char| !is_part(c));
    let values = words.map(|word| word.trim_matches(|c: char| ".-:/".contains(c)));
    let values =
        values.filter(|word| word.contains(|c: char| c.is_ascii_digit()) || word.contains(['/', '@']));
    values
        .filter(|word| !texts.iter().any(|text| text == word) && !is_rounded(word, &fields))
        .map(str::to_owned)
        .collect()
}

/// Whether `word` is the number of a field with fewer digits.
fn is_rounded(word: &str, fields: &[&Value]) -> bool {
    let digits = word.split_once('.').map_or(0, |(_, digits)| digits.len());
    let numbers = fields.iter().filter_map(|field| field.as_f64());
    numbers
        .map(|number| format!("{number:.digits$}"))
        .any(|number| number == word)
}

fn assert_all_have_fields(lines: &[String]) -> Vec<Map<String, Value>> {
    let events = events(lines);
    for event in &events {
        assert_eq!(without_field(event), [""; 0], "{event:?}");
    }
    events
}

/// The fields of the event with these words.
fn of<'e>(events: &'e [Map<String, Value>], words: &str) -> &'e Map<String, Value> {
    let found = events
        .iter()
        .find(|event| event["message"].as_str().unwrap().contains(words));
    found.unwrap_or_else(|| panic!("{words}: {events:#?}"))
}

#[test]
fn a_number_or_a_name_that_no_field_has_is_found() {
    let event = |fields: Value| {
        let mut event = json!({
            "timestamp": "2026-01-01T00:00:00Z",
            "level": "info",
            "message": "Sent 7 segments to 10.0.0.1:2000 (0.012 s), see /etc/x",
        });
        event
            .as_object_mut()
            .unwrap()
            .append(fields.clone().as_object_mut().unwrap());
        without_field(event.as_object().unwrap())
    };
    assert_eq!(
        event(json!({})),
        ["7", "10.0.0.1:2000", "0.012", "/etc/x".trim_matches('/')]
    );
    assert_eq!(
        event(json!({"segments": 7, "to": "10.0.0.1:2000", "seconds": 0.0123, "path": "/etc/x"})),
        [""; 0]
    );
    assert_eq!(
        event(json!({"segments": 71, "to": "10.0.0.1:2000", "seconds": 0.0143, "path": "/etc/x"})),
        ["7", "0.012"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_run_with_all_kinds_of_trouble_each_line_has_what_it_names_as_fields() {
    let double = double().await;
    let spool = tempfile::tempdir().unwrap();
    let daemon = Setup::new(XRAY, &double.url())
        .args(&[
            "--log-format",
            "json",
            "--shutdown-timeout",
            "1s",
            "--spool-size",
            "16",
        ])
        .args(&[
            "--spool-dir",
            spool.path().to_str().unwrap(),
            "--proxy-allow",
            "/GetGroups",
        ])
        .start();
    let port = tcp(&daemon);
    daemon.send_segments(7);
    arrived(&double, 7).await;
    // A refused datagram, a refused Host, a call that is passed on and fails.
    daemon.send(b"x{}");
    let refused = "GET /metrics HTTP/1.1\r\nhost: evil.example.com\r\n\r\n";
    let mut stream = std::net::TcpStream::connect(port).unwrap();
    std::io::Write::write_all(&mut stream, refused.as_bytes()).unwrap();
    daemon.process.wait_for("that the host is refused", |line| {
        line.contains("evil.example.com").then_some(())
    });
    fail(&double, Operation::GetSamplingRules);
    ask(port, "POST /GetSamplingRules");
    // Segments that are not taken, and calls that fail.
    fail(&double, Operation::PutTraceSegments);
    daemon.send_segments(50);
    daemon.process.wait_for("that calls fail", |line| {
        line.contains("Sending segment batch failed").then_some(())
    });
    let (_, lines) = daemon.stop();
    let events = assert_all_have_fields(&lines);
    for words in [
        "Initializing",
        "Using region",
        "Using endpoint",
        "Using credentials from",
        "Using buffer memory limit",
        "Using spool",
        "Successfully sent batch",
        "Refused GET",
        "Forwarding POST",
        "Sending segment batch failed",
        "Got shutdown signal",
        "Keeping 50 unsent",
        "Shutdown finished",
    ] {
        of(&events, words);
    }
}

/// All calls of this kind fail from now on.
fn fail(double: &Double, operation: Operation) {
    double.faults().on(operation).always(Fault::status(500));
}

#[test]
fn what_ends_the_start_has_its_names_as_fields() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let json = ["--log-format", "json"];
    for (setup, words, fields) in [
        (
            Setup::new(XRAY, "http://127.0.0.1:9").args(&["-b", &address]),
            "Cannot listen on UDP",
            json!({"address": address, "source": "flag -b"}),
        ),
        (
            Setup::new(XRAY, "http://127.0.0.1:9").env("AWS_CA_BUNDLE", "/nonexistent/ca.pem"),
            "cannot use the CA certificates",
            json!({"path": "/nonexistent/ca.pem", "source": "AWS_CA_BUNDLE"}),
        ),
        (
            Setup::new(XRAY, "http://127.0.0.1:9").args(&["-n", "no region"]),
            "is not a region",
            json!({"value": "no region", "source": "flag -n"}),
        ),
        (
            Setup::new(XRAY, "http://127.0.0.1:9").args(&["--spool-dir", "/dev/null/spool"]),
            "Cannot use the spool",
            json!({"path": "/dev/null/spool", "source": "flag --spool-dir"}),
        ),
    ] {
        let (code, lines) = setup.args(&json).fail();
        assert_eq!(code, Some(1), "{lines:?}");
        let events = events(&lines);
        let event = of(&events, words);
        for (name, value) in fields.as_object().unwrap() {
            assert_eq!(&event[name], value, "{event:?}");
        }
    }
}

#[test]
fn each_warning_of_the_configuration_has_its_setting_its_place_and_its_value_as_fields() {
    // Not asked for, and taken.
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = Setup::new(XRAY, "http://192.0.2.1:9")
        .config("Concurrency: 5000\nNoVerifySSL: true\nLogging:\n  LogLevel: loud\nSocket:\n  UDPAddress: \"127.0.0.1:1\"")
        .args(&["--log-format", "json", "-r", "admin", "--spool-size", "5", "--proxy-allow", "/GetGroups"])
        .args(&["-p", "http://me:secret@127.0.0.1:9", "--shutdown-timeout", "0s"])
        .env("XRAY_REGOIN", "x")
        .env("XRAY_DAEMON_CPU_PROFILE", "x")
        .env("XRAY_BIND_TCP", "127.0.0.1:3")
        .env("AWS_USE_FIPS_ENDPOINT", "true")
        .start();
    daemon
        .process
        .wait_for("its proxy", |line| line.contains("Using proxy").then_some(()));
    let file = daemon.process.wait_for("the first warning", |line| {
        let warning: Value = serde_json::from_str(line).ok()?;
        let source = warning["source"].as_str()?;
        Some(source.split_once(" line ")?.0.to_owned())
    });
    let (_, lines) = daemon.stop();
    drop(tcp);
    let events = assert_all_have_fields(&lines);
    let file = |place: &str| format!("{file} {place}");
    for (words, fields) in [
        (
            "too many",
            json!({"setting": "Concurrency", "source": file("line 3 (Concurrency)"), "value": "5000", "used": "1000"}),
        ),
        (
            "NOT checked",
            json!({"setting": "NoVerifySSL", "source": file("line 4 (NoVerifySSL)"), "value": "true"}),
        ),
        (
            "no log level",
            json!({"setting": "Logging.LogLevel", "source": file("line 6 (Logging.LogLevel)"), "value": "loud", "used": "prod"}),
        ),
        (
            "listening on \"127.0.0.1:0\", not on \"127.0.0.1:1\"",
            json!({"setting": "Socket.UDPAddress", "source": file("line 8 (Socket.UDPAddress)"), "value": "127.0.0.1:1", "used": "127.0.0.1:0", "used_source": "flag -b"}),
        ),
        (
            "does not look like the ARN",
            json!({"setting": "-r", "source": "flag -r", "value": "admin"}),
        ),
        (
            "without a spool",
            json!({"setting": "--spool-size", "source": "flag --spool-size"}),
        ),
        (
            "can make calls with this daemon's",
            json!({"setting": "--proxy-allow", "source": "flag --proxy-allow", "value": "/GetGroups"}),
        ),
        (
            "XRAY_REGOIN",
            json!({"setting": "XRAY_REGOIN", "source": "XRAY_REGOIN"}),
        ),
        (
            "XRAY_DAEMON_CPU_PROFILE",
            json!({"setting": "XRAY_DAEMON_CPU_PROFILE"}),
        ),
        (
            "flag -t goes over XRAY_BIND_TCP",
            json!({"setting": "XRAY_BIND_TCP", "value": "127.0.0.1:3", "used": "127.0.0.1:0", "used_source": "flag -t"}),
        ),
        (
            "AWS_USE_FIPS_ENDPOINT has no effect",
            json!({"setting": "AWS_USE_FIPS_ENDPOINT", "used": "http://192.0.2.1:9", "used_source": file("line 2 (Endpoint)")}),
        ),
        (
            "plain http:// endpoint",
            json!({"setting": "Endpoint", "source": file("line 2 (Endpoint)"), "value": "http://192.0.2.1:9"}),
        ),
    ] {
        let event = of(&events, words);
        assert_eq!(event["level"], "warn", "{event:?}");
        for (name, value) in fields.as_object().unwrap() {
            assert_eq!(event.get(name), Some(value), "{name}: {event:?}");
        }
    }
    assert!(!lines.concat().contains("secret"));
}
