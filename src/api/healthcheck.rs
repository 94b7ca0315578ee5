//! `xray healthcheck`: asks a running daemon how it is, for images without a shell and without curl.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
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
/// seconds at the most, the look-up of a name included. One without a TCP port is taken to be well: what nobody can ask
/// must not make a platform restart it.
///
/// # Errors
/// One line that says why it does not or can't, as [`Ok`] has one that says that all is well.
pub fn ask(config: &Config, ready: bool) -> Result<String, String> {
    let path = if ready { "/readyz" } else { "/healthz" };
    let (well, ill) = if ready {
        ("ready", "not ready")
    } else {
        ("healthy", "unhealthy")
    };
    if config.tcp.closed {
        return Ok(format!(
            "{well}: the daemon has no TCP port (--no-tcp), so there is nothing to ask"
        ));
    }
    let address = &config.tcp.address.value;
    let deadline = Deadline::after(TIME_LIMIT);
    let asked = targets(address, &deadline).and_then(|targets| exchange(&targets, path, &deadline));
    let answer =
        asked.map_err(|error| format!("unhealthy: no answer from {address} (GET {path}): {error}"))?;
    let (status, body) = parse(&answer)
        .ok_or_else(|| format!("unhealthy: what answers on {address} is no X-Ray daemon of this kind"))?;
    let status = sanitize(status, 3);
    if status == "200" {
        return Ok(format!("{well}: {address} answers GET {path}"));
    }
    let why = reasons(body).unwrap_or_else(|| format!("status {status}"));
    Err(format!("{ill}: {why}"))
}

/// What a daemon that listens on `address` answers to a GET of `path`: the status and the body. Takes `limit` at the most.
///
/// # Errors
/// Why there is no answer in HTTP.
pub(super) fn get(address: &str, path: &str, limit: Duration) -> io::Result<(u16, String)> {
    let deadline = Deadline::after(limit);
    let answer = exchange(&targets(address, &deadline)?, path, &deadline)?;
    let parsed = parse(&answer).and_then(|(status, body)| Some((status.parse().ok()?, body.to_owned())));
    parsed.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "what answers there does not speak HTTP",
        )
    })
}

/// The end of it all.
struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    #[expect(
        clippy::disallowed_methods,
        reason = "a client of its own, whose exchange has a deadline"
    )]
    fn after(limit: Duration) -> Self {
        Self {
            at: Instant::now() + limit,
            limit,
        }
    }

    /// What is left, which is more than nothing: a time-out of 0 means none to the system.
    #[expect(
        clippy::disallowed_methods,
        reason = "a client of its own, whose exchange has a deadline"
    )]
    fn left(&self) -> io::Result<Duration> {
        match self.at.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(self.passed()),
        }
    }

    fn passed(&self) -> io::Error {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing within {} s", self.limit.as_secs_f32()),
        )
    }
}

/// Where a daemon that listens on `address` is to be asked, in this order: on this machine, if it listens everywhere, by
/// the IP version that it was told first and then by the other one, since a machine may have either alone.
fn targets(address: &str, deadline: &Deadline) -> io::Result<Vec<SocketAddr>> {
    let target = if is_literal(address) {
        listen::resolve(address)?
    } else {
        look_up(address, deadline)?
    };
    if target.port() == 0 {
        return Err(io::Error::other(
            "port 0 means that the system chose one, which this command can't know",
        ));
    }
    if !target.ip().is_unspecified() {
        return Ok(vec![target]);
    }
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    let hosts = if target.is_ipv4() { [v4, v6] } else { [v6, v4] };
    Ok(hosts.map(|host| SocketAddr::new(host, target.port())).to_vec())
}

/// Whether nobody has to be asked for the host.
fn is_literal(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.is_empty() || host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

/// Looks a name up, away from here: the system's own time-outs are longer than the deadline.
fn look_up(address: &str, deadline: &Deadline) -> io::Result<SocketAddr> {
    let (tell, found) = mpsc::sync_channel(1);
    let name = address.to_owned();
    thread::Builder::new().name("look-up".to_owned()).spawn(move || {
        // Nobody waits any more when it took too long.
        let _: Result<(), _> = tell.send(listen::resolve(&name));
    })?;
    found
        .recv_timeout(deadline.left()?)
        .map_err(|_| deadline.passed())?
}

/// One request, in one piece, on a connection of its own to the first target that takes it; the answer, as far as it
/// came.
fn exchange(targets: &[SocketAddr], path: &str, deadline: &Deadline) -> io::Result<Vec<u8>> {
    let mut stream = connect(targets, deadline)?;
    let target = stream.peer_addr()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {target}\r\nconnection: close\r\n\r\n");
    stream.set_write_timeout(Some(deadline.left()?))?;
    // One that refuses may have answered and closed before it was asked: what it said is there to be read still.
    let asked = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let read = read_answer(&mut stream, &mut answer, deadline);
    match (asked, read) {
        _ if parse(&answer).is_some() => Ok(answer),
        (Err(error), _) | (_, Err(error)) => Err(error),
        (Ok(()), Ok(())) => Ok(answer),
    }
}

fn connect(targets: &[SocketAddr], deadline: &Deadline) -> io::Result<TcpStream> {
    let mut failed = None;
    for target in targets {
        match TcpStream::connect_timeout(target, deadline.left()?) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Err(failed.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

/// Reads until the other end closes.
fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>, deadline: &Deadline) -> io::Result<()> {
    let mut room = [0; 4096];
    while (answer.len() as u64) < ANSWER_MAX_BYTES {
        stream.set_read_timeout(Some(deadline.left()?))?;
        match stream.read(&mut room) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&room[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                deadline.left()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
        thread::spawn(move || {
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
    fn every_address_means_this_machine_by_either_ip_version() {
        let deadline = Deadline::after(TIME_LIMIT);
        for (address, asked) in [
            ("0.0.0.0:2000", &["127.0.0.1:2000", "[::1]:2000"][..]),
            (":2000", &["127.0.0.1:2000", "[::1]:2000"]),
            ("[::]:2000", &["[::1]:2000", "127.0.0.1:2000"]),
            ("127.0.0.2:2001", &["127.0.0.2:2001"]),
        ] {
            let targets = targets(address, &deadline).unwrap();
            assert_eq!(targets.iter().map(ToString::to_string).collect::<Vec<_>>(), asked);
        }
        assert!(targets("127.0.0.1:0", &deadline).is_err());
    }

    #[test]
    fn a_loopback_address_that_nobody_listens_on_makes_way_for_the_other_one() {
        let listening = server("HTTP/1.1 200 OK\r\n\r\n");
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let deadline = Deadline::after(TIME_LIMIT);
        let answer = exchange(&[closed, listening], "/readyz", &deadline).unwrap();
        assert_eq!(parse(&answer), Some(("200", "")));
        let error = exchange(&[closed], "/readyz", &deadline).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn the_reasons_are_one_line() {
        let answer = exchange(
            &[server(concat!(
                "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\r\n",
                r#"{"status":"not ready","reasons":[{"check":"region","reason":"a\nb"},{"check":"calls","reason":"c"}]}"#
            ))],
            "/readyz",
            &Deadline::after(TIME_LIMIT),
        )
        .unwrap();
        let (status, body) = parse(&answer).unwrap();
        assert_eq!(status, "503");
        assert_eq!(reasons(body).unwrap(), r"region: a\nb; calls: c");
    }

    #[test]
    fn what_one_says_that_refuses_before_it_is_asked_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let refusing = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream
                .write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n{\"message\":\"full\"}")
                .unwrap();
            // Closed with the request unread, which resets the connection.
            assert_eq!(stream.peek(&mut [0; 1]).unwrap(), 1);
        });
        let answer = exchange(&[address], "/healthz", &Deadline::after(TIME_LIMIT)).unwrap();
        refusing.join().unwrap();
        let (status, body) = parse(&answer).unwrap();
        assert_eq!((status, reasons(body).as_deref()), ("503", Some("full")));
    }

    #[test]
    fn who_does_not_answer_in_time_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let deadline = Deadline::after(Duration::from_millis(50));
        let error = exchange(&[listener.local_addr().unwrap()], "/readyz", &deadline).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = look_up("localhost:2000", &deadline).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn what_is_no_http_is_no_answer() {
        for answer in ["", "hello", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\n"] {
            assert_eq!(parse(answer.as_bytes()), None, "{answer:?}");
        }
    }
}
