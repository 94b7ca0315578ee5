//! `xray healthcheck`: asks a running daemon how it is, for images without a shell and without curl.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::config::Config;
use crate::logs::sanitize;
use crate::net::listen;

/// The limit of it all; Docker and Kubernetes give a check some seconds, and the daemon answers in milliseconds.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// The most bytes of an answer; a real one has a few hundred.
const ANSWER_MAX_BYTES: u64 = 64 << 10;

/// The most characters of the line.
const LINE_MAX_CHARS: usize = 1000;

/// Asks the daemon that runs with `config` whether it answers, or, with `ready`, whether it can do its work. Takes three
/// seconds at the most.
///
/// # Errors
/// One line that says why it does not or can't, as [`Ok`] has one that says that all is well.
pub fn ask(config: &Config, ready: bool) -> Result<String, String> {
    let path = if ready { "/readyz" } else { "/healthz" };
    let unhealthy = |reason: String| format!("unhealthy: {reason}");
    if config.tcp.closed {
        return Err(unhealthy(
            "the daemon has no TCP port to be asked on (--no-tcp)".to_owned(),
        ));
    }
    let address = &config.tcp.address.value;
    let asked = target(address).and_then(|target| exchange(target, path, TIME_LIMIT));
    let answer =
        asked.map_err(|error| unhealthy(format!("no answer from {address} (GET {path}): {error}")))?;
    let (status, body) = parse(&answer).ok_or_else(|| {
        unhealthy(format!(
            "what answers on {address} is no X-Ray daemon of this kind"
        ))
    })?;
    let status = sanitize(status, 3);
    if status == "200" {
        return Ok(format!(
            "{}: {address} answers GET {path}",
            if ready { "ready" } else { "healthy" }
        ));
    }
    let why = reasons(body).unwrap_or_else(|| format!("status {status}"));
    Err(format!(
        "{}: {why}",
        if ready { "not ready" } else { "unhealthy" }
    ))
}

/// Where a daemon that listens on `address` is to be asked: on this machine, if it listens everywhere.
fn target(address: &str) -> io::Result<SocketAddr> {
    let mut target = listen::resolve(address)?;
    if target.port() == 0 {
        return Err(io::Error::other(
            "port 0 means that the system chose one, which this command can't know",
        ));
    }
    if target.ip().is_unspecified() {
        target.set_ip(match target.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(target)
}

/// One request on a connection of its own; the answer whole, within `limit`.
#[expect(
    clippy::disallowed_methods,
    reason = "a client of its own, whose exchange has a deadline"
)]
fn exchange(target: SocketAddr, path: &str, limit: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + limit;
    let left = || match deadline.checked_duration_since(Instant::now()) {
        // A time-out of 0 means none to the system.
        Some(left) if !left.is_zero() => Ok(left),
        _ => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing within {} s", limit.as_secs_f32()),
        )),
    };
    let mut stream = TcpStream::connect_timeout(&target, limit)?;
    stream.set_write_timeout(Some(left()?))?;
    // Whole, in one packet: the pieces of a `write!` would be one each.
    let request = format!("GET {path} HTTP/1.1\r\nhost: {target}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut room = [0; 4096];
    while (answer.len() as u64) < ANSWER_MAX_BYTES {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut room) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&room[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                left()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// Status and body of an answer.
fn parse(answer: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (version, rest) = head.split_once(' ')?;
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    Some((rest.split([' ', '\r']).next()?, body))
}

/// What a body says: the reasons of `/readyz`, or the message of an error.
fn reasons(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    let text = match body.get("reasons").and_then(Value::as_array) {
        Some(reasons) => {
            let reasons = reasons.iter().filter_map(|reason| {
                let check = reason.get("check")?.as_str()?;
                Some(format!("{check}: {}", reason.get("reason")?.as_str()?))
            });
            reasons.collect::<Vec<_>>().join("; ")
        }
        None => body.get("message")?.as_str()?.to_owned(),
    };
    Some(sanitize(text, LINE_MAX_CHARS))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers one request with `answer` and closes.
    fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // All of it: what is not read when a socket is closed resets the connection, and the answer is lost.
            let (mut request, mut room) = (Vec::new(), [0; 1000]);
            while !request.ends_with(b"\r\n\r\n") {
                let count = stream.read(&mut room).unwrap();
                assert_ne!(count, 0, "the request is cut off");
                request.extend_from_slice(&room[..count]);
            }
            assert!(request.starts_with(b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1:"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn every_address_means_this_machine() {
        for (address, asked) in [
            ("0.0.0.0:2000", "127.0.0.1:2000"),
            (":2000", "127.0.0.1:2000"),
            ("[::]:2000", "[::1]:2000"),
            ("127.0.0.2:2001", "127.0.0.2:2001"),
        ] {
            assert_eq!(target(address).unwrap().to_string(), asked);
        }
        assert!(target("127.0.0.1:0").is_err());
    }

    #[test]
    fn the_reasons_are_one_line() {
        let answer = exchange(
            server(concat!(
                "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\r\n",
                r#"{"status":"not ready","reasons":[{"check":"region","reason":"a\nb"},{"check":"calls","reason":"c"}]}"#
            )),
            "/readyz",
            TIME_LIMIT,
        )
        .unwrap();
        let (status, body) = parse(&answer).unwrap();
        assert_eq!(status, "503");
        assert_eq!(reasons(body).unwrap(), r"region: a\nb; calls: c");
    }

    #[test]
    fn who_does_not_answer_in_time_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let limit = Duration::from_millis(50);
        let error = exchange(listener.local_addr().unwrap(), "/readyz", limit).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn what_is_no_http_is_no_answer() {
        for answer in ["", "hello", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\n"] {
            assert_eq!(parse(answer.as_bytes()), None, "{answer:?}");
        }
    }
}
