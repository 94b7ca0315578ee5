//! `xray send`: one segment over UDP, as an SDK would send it; the shortest way to a first trace.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::net::listen;

/// The header of every datagram.
const HEADER: &str = "{\"format\":\"json\",\"version\":1}\n";

/// The most that fits into a UDP datagram over IPv4.
const MAX_DATAGRAM_BYTES: usize = 65_507;

/// How long the kernel is given to say that nobody listens.
const REFUSAL_WAIT: Duration = Duration::from_millis(100);

/// What to send, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendConfig {
    /// `host:port`, and the words for where it comes from.
    pub to: String,
    /// A file with a segment document, with or without the header line; `-`: stdin; `None`: the sample.
    pub file: Option<PathBuf>,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SendError(String);

/// Sends, and returns the line that says so.
///
/// # Errors
/// When the file can't be read, is too large, or nobody listens at the address.
pub fn send(config: &SendConfig, now: SystemTime) -> Result<String, SendError> {
    let document = match &config.file {
        Some(path) => read(path)?,
        None => sample(now, &mut fastrand::Rng::new()).to_string(),
    };
    let datagram = if document.trim_start().starts_with("{\"format\"") && document.contains('\n') {
        document.clone()
    } else {
        format!("{HEADER}{}", document.trim_end())
    };
    if datagram.len() > MAX_DATAGRAM_BYTES {
        return Err(too_long());
    }
    let to = resolve(&config.to)?;
    deliver(&datagram, to).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                "nobody listens there; start `xray dev` first, or give the UDP address of a daemon by --to HOST:PORT"
            }
            _ => "--to takes the UDP address of a daemon, HOST:PORT",
        };
        SendError(format!("Cannot send to {to}: {error}; {hint}"))
    })?;
    let trace_id = trace_id(&document).map_or_else(String::new, |id| format!(" of trace {id}"));
    Ok(format!("Sent {} bytes{trace_id} to UDP {to}\n", datagram.len()))
}

fn read(path: &Path) -> Result<String, SendError> {
    let (name, bytes) = if path == Path::new("-") {
        ("stdin".to_owned(), read_some(io::stdin()))
    } else {
        (path.display().to_string(), File::open(path).and_then(read_some))
    };
    let failed = |reason: &dyn std::fmt::Display| SendError(format!("Cannot read {name}: {reason}"));
    let bytes = bytes.map_err(|error| failed(&error))?;
    if bytes.len() > MAX_DATAGRAM_BYTES {
        return Err(too_long());
    }
    let text = String::from_utf8(bytes).map_err(|error| failed(&error.utf8_error()))?;
    if text.trim().is_empty() {
        return Err(SendError(format!(
            "{name} is empty: it should hold a segment document"
        )));
    }
    Ok(text)
}

/// What may be a document: no more of it than shows that it is too long.
fn read_some(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_DATAGRAM_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn too_long() -> SendError {
    SendError(format!(
        "This does not fit into a datagram, which holds {MAX_DATAGRAM_BYTES} bytes with its header"
    ))
}

fn resolve(address: &str) -> Result<SocketAddr, SendError> {
    let found = address.to_socket_addrs().map_err(|error| {
        SendError(format!(
            "Cannot send to {address:?}: {error}; --to takes the UDP address of a daemon: HOST:PORT, such as 127.0.0.1:2000"
        ))
    })?;
    listen::preferred(found)
        .ok_or_else(|| SendError(format!("Cannot send to {address:?}: the name has no address")))
}

fn deliver(datagram: &str, to: SocketAddr) -> io::Result<()> {
    let any: SocketAddr = if to.is_ipv4() {
        SocketAddr::from(([0, 0, 0, 0], 0))
    } else {
        SocketAddr::from(([0_u16; 8], 0))
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?;
    socket.send(datagram.as_bytes())?;
    // A refusal comes back as an error of the next call; a daemon answers nothing.
    socket.set_read_timeout(Some(REFUSAL_WAIT))?;
    match socket.recv(&mut [0; 1]) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(error),
        _ => Ok(()),
    }
}

fn trace_id(document: &str) -> Option<String> {
    let body = document.split_once('\n').map_or(document, |(_, body)| body);
    [document, body].into_iter().find_map(|text| {
        let value: Value = serde_json::from_str(text).ok()?;
        value
            .get("trace_id")?
            .as_str()
            .map(|id| crate::logs::sanitize(id, 40))
    })
}

/// A segment that shows most of what a trace can have: a request that took 412 ms until now, a DynamoDB call, a query,
/// and a call of another service that failed and was tried again.
#[must_use]
pub fn sample(now: SystemTime, random: &mut fastrand::Rng) -> Value {
    let end = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64();
    let start = end - 0.412;
    let at = |ms: f64| ((start + ms / 1e3) * 1e6).round() / 1e6;
    let mut id = || format!("{:016x}", random.u64(..));
    json!({
        "trace_id": format!("1-{:08x}-{}{}", start as u64, id(), &id()[..8]),
        "id": id(),
        "name": "sample-shop",
        "start_time": at(0.0),
        "end_time": at(412.0),
        "user": "ada",
        "service": {"version": "1.0.0"},
        "annotations": {"tenant": "blue", "items": 3},
        "metadata": {"default": {"sent_by": "xray send"}},
        "http": {
            "request": {"method": "GET", "url": "http://shop.example/api/cart", "user_agent": "xray send",
                        "client_ip": "127.0.0.1"},
            "response": {"status": 200, "content_length": 1532}
        },
        "subsegments": [
            {"id": id(), "name": "DynamoDB", "namespace": "aws", "start_time": at(8.0), "end_time": at(41.0),
             "aws": {"operation": "GetItem", "table_name": "carts", "region": "us-east-1", "request_id": "SAMPLE"},
             "http": {"response": {"status": 200}}},
            {"id": id(), "name": "prices", "start_time": at(45.0), "end_time": at(140.0), "subsegments": [
                {"id": id(), "name": "shop@db.example", "namespace": "remote", "start_time": at(50.0), "end_time": at(131.0),
                 "sql": {"url": "postgresql://db.example/shop", "database_type": "PostgreSQL", "user": "shop",
                         "sanitized_query": "SELECT id, price FROM articles WHERE id = ANY(?)"}}]},
            {"id": id(), "name": "stock.example", "namespace": "remote", "start_time": at(145.0), "end_time": at(246.0),
             "fault": true,
             "http": {"request": {"method": "GET", "url": "http://stock.example/articles/7"}, "response": {"status": 503}},
             "cause": {"working_directory": "/app", "exceptions": [
                {"id": id(), "type": "ServiceUnavailable", "message": "stock.example answered 503", "remote": true,
                 "stack": [{"path": "shop/stock.py", "line": 42, "label": "get_stock"},
                           {"path": "shop/cart.py", "line": 17, "label": "show_cart"}]}]}},
            {"id": id(), "name": "stock.example", "namespace": "remote", "start_time": at(300.0), "end_time": at(371.0),
             "http": {"request": {"method": "GET", "url": "http://stock.example/articles/7"}, "response": {"status": 200}}},
            {"id": id(), "name": "render", "start_time": at(375.0), "end_time": at(410.0)}
        ]
    })
}

#[cfg(test)]
mod tests {
    use xray_document::segment;

    use super::*;

    #[test]
    fn the_sample_is_a_segment_that_the_service_takes() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_227_595);
        let sample = sample(now, &mut fastrand::Rng::with_seed(7));
        assert!(matches!(
            segment::check(&sample.to_string()),
            Ok(segment::Document::Segment { .. })
        ));
        assert_eq!(sample["end_time"], json!(1_795_227_595.0));
    }

    #[test]
    fn what_is_sent_arrives_with_one_header() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let directory = tempfile::tempdir().unwrap();
        for text in [
            "{\"trace_id\":\"t\"}\n",
            "{\"format\": \"json\", \"version\": 1}\n{\"trace_id\":\"t\"}",
        ] {
            let file = directory.path().join("segment.json");
            std::fs::write(&file, text).unwrap();
            let config = SendConfig {
                to: receiver.local_addr().unwrap().to_string(),
                file: Some(file),
            };
            let said = send(&config, SystemTime::now()).unwrap();
            assert!(said.contains(" of trace t to UDP 127.0.0.1:"), "{said}");
            let mut buffer = [0; 200];
            let n = receiver.recv(&mut buffer).unwrap();
            let sent = std::str::from_utf8(&buffer[..n]).unwrap();
            let (header, body) = sent.split_once('\n').unwrap();
            assert!(
                header.contains("json") && body == "{\"trace_id\":\"t\"}",
                "{sent}"
            );
        }
    }

    #[test]
    fn an_address_that_is_none_is_told_with_what_would_be_one() {
        for to in ["foo", "http://127.0.0.1:2000", ""] {
            let config = SendConfig {
                to: to.to_owned(),
                file: None,
            };
            let said = send(&config, SystemTime::UNIX_EPOCH).unwrap_err().to_string();
            assert!(said.contains("the UDP address of a daemon: HOST:PORT"), "{said}");
        }
    }

    // Another system has no file without an end.
    #[cfg(target_os = "linux")]
    #[test]
    fn no_more_of_a_file_is_read_than_fits_into_a_datagram() {
        let config = SendConfig {
            to: "127.0.0.1:9".to_owned(),
            file: Some("/dev/zero".into()),
        };
        let said = send(&config, SystemTime::UNIX_EPOCH).unwrap_err().to_string();
        assert!(said.starts_with("This does not fit into a datagram"), "{said}");
    }

    #[test]
    fn a_port_on_which_nobody_listens_is_an_error() {
        let unused = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = SendConfig {
            to: unused.to_string(),
            file: None,
        };
        let error = send(&config, SystemTime::now()).unwrap_err().to_string();
        assert!(error.contains("nobody listens there"), "{error}");
    }
}
