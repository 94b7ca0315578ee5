//! The OpenTelemetry SDKs for Python and Node.js as they come, against the OTLP receiver: every protocol and compression that
//! they know, and what they do when there is no room.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::oneshot;
use xray::ledger::Ledger;
use xray::ledger::http::Route;
use xray::ledger::signal::{Receiver, Signal};
use xray::net::server::guard::Guard;
use xray::net::server::origins::Origins;
use xray::pipeline::intake::{Form, NoRoom, NotTaken, Request, Requests, Room};
use xray::receivers::otlp::{self, Otlp, limits};
use xray_double::harness::install::{self, repository};
use xray_double::harness::recorded::{Message, Way, check};
use xray_double::harness::tap::StreamTap;

use crate::TMP;

/// How many items came, by what they are and how they came.
type Items = BTreeMap<(Signal, Receiver, Form), u64>;

/// How often each status was the answer for each signal.
type Answers = Vec<(Signal, u16, u64)>;

/// Counts what is handed on, and has no room for the first request of each signal if it is told so.
#[derive(Debug, Default)]
struct Counts {
    items: Mutex<Items>,
    is_full_for: Mutex<Vec<Signal>>,
}

impl Requests for Counts {
    fn wants(&self, _: Signal) -> bool {
        true
    }

    fn room_for(&self, signal: Signal, _: usize) -> Room {
        let mut full = self.is_full_for.lock().expect("a lock");
        match full.iter().position(|full| *full == signal) {
            Some(at) => {
                full.remove(at);
                Room::Full
            }
            None => Room::Free,
        }
    }

    fn add(&self, request: Request, _: Instant) -> Result<Option<NotTaken>, NoRoom> {
        let Request {
            signal,
            receiver,
            form,
            items,
            ..
        } = request;
        *self
            .items
            .lock()
            .expect("a lock")
            .entry((signal, receiver, form))
            .or_default() += items;
        Ok(None)
    }

    fn add_refused(&self, signal: Signal, receiver: Receiver) {
        panic!("{signal:?} over {receiver:?} was refused");
    }

    fn is_converted(&self, _: Signal) -> bool {
        false
    }
}

/// The receiver on a thread of its own.
struct Port {
    number: u16,
    counts: Arc<Counts>,
    ledger: Arc<Ledger>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Port {
    fn open(is_full_for: &[Signal]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a non-blocking socket");
        let number = listener.local_addr().expect("an address").port();
        let counts = Arc::new(Counts {
            is_full_for: Mutex::new(is_full_for.to_vec()),
            ..Counts::default()
        });
        let ledger = Arc::new(Ledger::default());
        let otlp = Arc::new(Otlp::new(
            Arc::clone(&counts),
            Arc::clone(&ledger),
            Guard::default(),
            Origins::default(),
            limits::bodies(u64::MAX),
        ));
        let (stop, stopped) = oneshot::channel();
        let serving = thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(otlp::serve(listener, otlp, limits::CONNECTIONS, stopped))
        });
        Self {
            number,
            counts,
            ledger,
            stop,
            serving,
        }
    }

    /// What came, and how often each status was the answer for each signal.
    fn close(self) -> (Items, Answers) {
        self.stop.send(()).expect("a server");
        self.serving
            .join()
            .expect("a server that ends")
            .expect("a server");
        let counts = self.ledger.http.snapshot();
        assert_eq!(counts.open_connections, 0);
        let answers = counts
            .requests
            .into_iter()
            .map(|((route, status), times)| match route {
                Route::Otlp(signal) => (signal, status, times),
                other => panic!("{other:?}"),
            });
        (
            self.counts.items.lock().expect("a lock").clone(),
            answers.collect(),
        )
    }
}

/// Runs the sender, which says nothing on stderr if all went well.
fn send(program: &Path, script: &str, port: u16, protocol: &str, compression: &str, may_speak: bool) {
    let mut command = Command::new(program);
    let script = repository().join("tests/clients/otlp").join(script);
    command
        .arg(script)
        .args([&port.to_string(), protocol, compression]);
    if let Some(modules) = program
        .to_str()
        .filter(|name| *name == "node")
        .and(node_modules())
    {
        command.env("NODE_PATH", modules);
    }
    let output = command.output().expect("a sender");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(may_speak || said.is_empty(), "{said}");
}

fn python() -> Option<std::path::PathBuf> {
    install::python_packages(TMP, "otlp", &["tests/clients/otlp/requirements.txt"])
}

fn node_modules() -> Option<std::path::PathBuf> {
    install::node_packages(TMP, "otlp-node", &repository().join("tests/clients/otlp"))
}

/// What a sender sends, by this way.
fn all(receiver: Receiver, form: Form) -> Items {
    [(Signal::Traces, 10), (Signal::Metrics, 2), (Signal::Logs, 3)]
        .into_iter()
        .map(|(signal, items)| ((signal, receiver, form), items))
        .collect()
}

fn way(protocol: &str) -> Items {
    match protocol {
        "grpc" => all(Receiver::OtlpGrpc, Form::Protobuf),
        "http/json" => all(Receiver::OtlpHttp, Form::Json),
        _ => all(Receiver::OtlpHttp, Form::Protobuf),
    }
}

/// What goes over HTTP as it is gets compared with its recording.
fn sends_by_every_way(program: &Path, script: &str, protocols: &[&str], recording: &str) {
    let mut sent = Vec::new();
    for protocol in protocols {
        for compression in ["none", "gzip"] {
            let port = Port::open(&[]);
            let tap = StreamTap::start((Ipv4Addr::LOCALHOST, port.number).into());
            send(program, script, tap.address.port(), protocol, compression, false);
            if *protocol != "grpc" && compression == "none" {
                sent.extend(Message::requests(Way::Otlp, &tap.said()));
            }
            let (came, answers) = port.close();
            assert_eq!(came, way(protocol), "{protocol} {compression}");
            assert_eq!(
                answers,
                Signal::ALL.map(|signal| (signal, 200, 1)),
                "{protocol} {compression}"
            );
        }
    }
    check(recording, &sent);
}

/// Without room at first for each signal, all comes once, and later.
fn comes_again(program: &Path, script: &str, protocols: &[&str]) {
    for protocol in protocols {
        let port = Port::open(&Signal::ALL);
        send(program, script, port.number, protocol, "none", true);
        let (came, answers) = port.close();
        assert_eq!(came, way(protocol), "{protocol}");
        let expected = Signal::ALL.map(|signal| [(signal, 200, 1), (signal, 503, 1)]);
        assert_eq!(answers, expected.concat(), "{protocol}");
    }
}

#[test]
fn the_python_sdk_sends_all_signals_by_every_way_that_it_knows() {
    if let Some(python) = python() {
        sends_by_every_way(&python, "send.py", &["http/protobuf", "grpc"], "otlp-python");
    }
}

#[test]
fn the_python_sdk_comes_again_when_there_was_no_room() {
    if let Some(python) = python() {
        comes_again(&python, "send.py", &["http/protobuf", "grpc"]);
    }
}

#[test]
fn the_node_sdk_sends_all_signals_by_every_way_that_it_knows() {
    if node_modules().is_some() {
        let protocols = ["http/protobuf", "http/json", "grpc"];
        sends_by_every_way(Path::new("node"), "send.mjs", &protocols, "otlp-node");
    }
}

/// Its exporter over gRPC tries once, whatever it is answered.
#[test]
fn the_node_sdk_comes_again_when_there_was_no_room() {
    if node_modules().is_some() {
        comes_again(Path::new("node"), "send.mjs", &["http/protobuf", "http/json"]);
    }
}
