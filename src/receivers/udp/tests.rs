use std::net::{Ipv4Addr, SocketAddr};

use quinn_udp::BATCH_SIZE;
use tokio::task::JoinHandle;

use super::buffers::KERNEL_OVERHEAD_MIN_BYTES;
use super::*;
use crate::config::{LogFormat, LogLevel};
use crate::logs::testing::LogLines;
use crate::pipeline::batch::MAX_AGE;
use crate::pipeline::batch::testing::Strings;
use crate::pipeline::budget::Budget;
use crate::pipeline::lane::Lane;
use crate::pipeline::queue::Next;

const HEADER: &str = "{\"format\":\"json\",\"version\":1}\n";

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

fn socket() -> std::net::UdpSocket {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// A receiver that runs on the test's own thread, so that its log lines can be read, and somebody who sends to it.
struct Bench {
    intake: Arc<Lane<Strings>>,
    ledger: Arc<Ledger>,
    to: SocketAddr,
    sender: std::net::UdpSocket,
    stop: oneshot::Sender<()>,
    running: JoinHandle<io::Result<()>>,
}

impl Bench {
    fn start() -> Self {
        Self::start_on(socket(), None)
    }

    fn start_on(socket: std::net::UdpSocket, kernel_drops: Option<Arc<KernelDrops>>) -> Self {
        let to = socket.local_addr().unwrap();
        let ledger = Arc::new(Ledger::default());
        let intake = Arc::new(Lane::new(Budget::of_mb(3), Arc::clone(&ledger)));
        let receiver = Receiver::new(socket, Arc::clone(&intake), Arc::clone(&ledger), kernel_drops);
        let (stop, stopped) = oneshot::channel();
        Self {
            intake,
            ledger,
            to,
            sender: self::socket(),
            stop,
            running: tokio::spawn(receiver.run(stopped)),
        }
    }

    fn send(&self, datagram: &str) {
        self.sender.send_to(datagram.as_bytes(), self.to).unwrap();
    }

    async fn received(&self, datagrams: u64) {
        until(|| self.ledger.snapshot().received >= datagrams).await;
        assert_eq!(self.ledger.snapshot().received, datagrams);
    }

    /// Ends the receiver. Returns the documents of all batches.
    async fn end(self) -> usize {
        self.stop.send(()).unwrap();
        tokio::time::timeout(LONG, self.running)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let now = Instant::now();
        let batches = std::iter::from_fn(|| match self.intake.take(now) {
            Next::Ready(batch) => Some(batch.documents),
            _ => None,
        });
        batches.sum()
    }
}

/// What is said of a text without a newline.
fn no_newline(bytes: usize, sender: SocketAddr) -> String {
    format!(
        "Missing header or segment: no newline in a datagram of {bytes} bytes from {sender}, which looks like text; a \
         datagram is {}, a newline and the segment document",
        HEADER.trim()
    )
}

async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap();
}

#[tokio::test]
async fn each_datagram_is_counted_and_its_document_kept_unless_it_is_empty_or_refused() {
    let log = LogLines::collect();
    let bench = Bench::start();
    for datagrams in [1, 2, 3] {
        // One by one: the receiver waits for each.
        bench.send(&format!("{HEADER}{{}}"));
        bench.received(datagrams).await;
    }
    bench.send("");
    for _ in 0..100 {
        bench.send(&format!("{HEADER}{{}}"));
    }
    bench.send("no newline");
    bench.received(104).await;
    let ledger = Arc::clone(&bench.ledger);
    let sender = bench.sender.local_addr().unwrap();
    assert_eq!(bench.end().await, 103);
    let counts = ledger.snapshot();
    assert_eq!(
        (
            counts.rejected_total(),
            counts.rejected(RejectReason::MissingHeader)
        ),
        (1, 1)
    );
    assert_eq!(log.take(), [format!("[Warn] {}", no_newline(10, sender))]);
}

#[tokio::test]
async fn a_document_waits_for_others_no_longer_than_its_batch_may_be_open() {
    let bench = Bench::start();
    let sent = Instant::now();
    bench.send(&format!("{HEADER}{{}}"));
    until(|| bench.intake.waiting_documents() > 0).await;
    assert!(sent.elapsed() >= MAX_AGE, "{:?}", sent.elapsed());
    assert_eq!(bench.end().await, 1);
}

#[tokio::test]
async fn what_the_kernel_holds_at_the_end_is_taken_and_what_was_not_said_is_said() {
    let log = LogLines::collect();
    let socket = socket();
    let drops = KernelDrops::of_socket(&socket, &SystemFiles).map(Arc::new);
    let bench = Bench::start_on(socket, drops);
    bench.send("first");
    bench.received(1).await;
    assert_eq!(log.take().len(), 1);
    // The receiver does not run between these and the end.
    for _ in 0..40 {
        bench.send(&format!("{HEADER}{{}}"));
    }
    bench.send("second");
    bench.send("third one");
    let ledger = Arc::clone(&bench.ledger);
    let sender = bench.sender.local_addr().unwrap();
    assert_eq!(bench.end().await, 40);
    assert_eq!(ledger.snapshot().received, 43);
    assert_eq!(
        log.take(),
        [format!(
            "[Warn] {} (and 1 more refused datagrams)",
            no_newline(6, sender)
        )]
    );
}

/// On Linux, what was sent to a closed port comes back as an error of the next receive.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn receives_that_fail_are_said_once_a_second_and_receiving_goes_on() {
    let log = LogLines::collect();
    let nobody = socket().local_addr().unwrap();
    let socket = socket();
    let handle = socket.try_clone().unwrap();
    let bench = Bench::start_on(socket, None);
    let mut lines = Vec::new();
    // The first one is said at once, the second has to wait.
    for (datagrams, said) in [
        (1, "failed: Connection refused (os error 111)"),
        (2, "failed 1 more times"),
    ] {
        handle.connect(nobody).unwrap();
        handle.send(b"x").unwrap();
        handle.connect(bench.sender.local_addr().unwrap()).unwrap();
        bench.send(&format!("{HEADER}{{}}"));
        bench.received(datagrams).await;
        until(|| {
            lines.append(&mut log.take());
            !lines.is_empty()
        })
        .await;
        assert_eq!(lines, [format!("[Error] Receiving on UDP {said}")]);
        lines.clear();
    }
    assert_eq!(bench.end().await, 2);
}

#[tokio::test]
async fn after_a_receive_the_kernel_is_asked_again_only_when_all_room_was_filled() {
    let (receiving, sending) = (socket(), socket());
    let to = receiving.local_addr().unwrap();
    let reader = Reader::of(&receiving).unwrap();
    let receiving = UdpSocket::from_std(receiving).unwrap();
    let mut buffers = Buffers::new().unwrap();
    for (datagrams, received, is_ready) in [
        (1, 1, false),
        (BATCH_SIZE - 1, BATCH_SIZE - 1, false),
        (BATCH_SIZE, BATCH_SIZE, true),
    ] {
        for _ in 0..datagrams {
            sending.send_to(b"x", to).unwrap();
        }
        tokio::time::timeout(LONG, receiving.readable())
            .await
            .unwrap()
            .unwrap();
        receive(&receiving, &reader, &mut buffers).unwrap();
        assert_eq!(buffers.count, received);
        assert_eq!(buffers.is_full(), is_ready);
        // It fails when the socket is not thought to be readable.
        let asked = receiving.try_io(Interest::READABLE, || Ok(()));
        assert_eq!(asked.is_ok(), is_ready, "{datagrams}");
    }
}

#[test]
fn the_timer_has_its_turn_from_its_time_on_however_much_there_is_to_be_had() {
    let (now, ns) = (Instant::now(), Duration::from_nanos(1));
    for (more, tick, goes_on_now) in [
        (true, None, true),
        (true, Some(now + ns), true),
        (true, Some(now), false),
        (true, Some(now - ns), false),
        (false, None, false),
        (false, Some(now + ns), false),
    ] {
        assert_eq!(goes_on(more, tick, || now), goes_on_now, "{more} {tick:?}");
    }
}

#[test]
fn the_end_waits_for_no_more_than_the_kernel_can_have_held() {
    let kind = |kind: io::ErrorKind| Err(kind.into());
    let taken_of = |limit_bytes, results: Vec<io::Result<usize>>| {
        let mut results = results.into_iter();
        drain(limit_bytes, || results.next().unwrap());
        results.len()
    };
    let left = taken_of(100, vec![Ok(60), kind(io::ErrorKind::WouldBlock), Ok(1)]);
    assert_eq!(left, 1, "there is nothing more");
    let left = taken_of(
        100,
        vec![Ok(60), kind(io::ErrorKind::Interrupted), Ok(40), Ok(1), Ok(1)],
    );
    assert_eq!(left, 1, "the limit is exceeded");
    let left = taken_of(0, vec![kind(io::ErrorKind::ConnectionRefused), Ok(1)]);
    assert_eq!(left, 1, "it failed");
}

#[test]
fn refused_datagrams_are_said_once_a_second_with_the_first_as_the_example() {
    let log = LogLines::collect();
    let now = Instant::now();
    let (mut rejects, ledger) = (Rejects::default(), Ledger::default());
    let sender = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
    rejects.say(now, &ledger);
    for (at_ms, datagrams, said) in [
        (0, &["1"][..], Some("1")),
        (1, &["22", "1"], None),
        (999, &["333"], None),
        (1000, &[], Some("2 and 2 more")),
        (1001, &[], None),
        (2000, &["4444", "1"], Some("4 and 1 more")),
    ] {
        for datagram in datagrams {
            rejects.note(&datagram::document(datagram.as_bytes()).unwrap_err(), sender);
        }
        rejects.say(now + Duration::from_millis(at_ms), &ledger);
        let lines = log.take();
        let expected = said.map(|said| {
            let (bytes, more) = said.split_once(" and ").unwrap_or((said, ""));
            let more = match more {
                "" => String::new(),
                more => format!(" (and {more} refused datagrams)"),
            };
            format!("[Warn] {}{more}", no_newline(bytes.parse().unwrap(), sender))
        });
        assert_eq!(lines, expected.into_iter().collect::<Vec<_>>(), "{at_ms}");
    }
    rejects.note(&datagram::document(b"55555").unwrap_err(), sender);
    rejects.flush(now + Duration::from_millis(2001), &ledger);
    assert_eq!(log.take().len(), 1, "at the end without waiting");
    assert_eq!(ledger.refused_datagrams().borrow().datagrams, 7);
}

#[test]
fn what_a_datagram_holds_is_for_debug_and_for_who_asks_the_ledger() {
    let log = LogLines::collect_from(LogLevel::Debug, LogFormat::Json);
    let (mut rejects, ledger) = (Rejects::default(), Ledger::default());
    // As a socket for both versions of IP tells of a sender over IPv4.
    let sender = "[::ffff:10.1.2.3]:7".parse().unwrap();
    rejects.note(&datagram::document(b"jane\n{}").unwrap_err(), sender);
    rejects.flush(Instant::now(), &ledger);
    let [warning, debug] = &log.take_json()[..] else {
        panic!("two lines")
    };
    assert_eq!(
        *warning,
        serde_json::json!({
            "timestamp": "1970-01-01T00:00:00.000Z", "level": "warn",
            "message": "Invalid header: no {\"format\":\"json\",\"version\":1} in the first line of a datagram of 7 \
                bytes from 10.1.2.3:7, which looks like text",
            "datagrams": 1, "reason": "invalid_header", "looks_like": "text", "bytes": 7, "sender": "10.1.2.3:7"
        })
    );
    assert_eq!(
        (&debug["level"], &debug["beginning"]),
        (&"debug".into(), &"jane\\n{}".into())
    );
    assert_eq!(ledger.refused_datagrams().borrow().beginning, "jane\\n{}");
}

/// A small datagram: one that costs the kernel many times its bytes.
const SMALL: &[u8] = b"{\"format\":\"json\",\"version\":1}\n{}";

/// A socket, a receiver on it that was told to stop already, and what it counts in.
fn stopped() -> (
    std::net::UdpSocket,
    Receiver<Lane<Strings>>,
    Arc<Ledger>,
    oneshot::Receiver<()>,
) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let ledger = Arc::new(Ledger::default());
    let intake = Arc::new(Lane::new(Budget::of_mb(64), Arc::clone(&ledger)));
    let receiver = Receiver::new(socket.try_clone().unwrap(), intake, Arc::clone(&ledger), None);
    let (stop, stopped) = oneshot::channel();
    drop(stop);
    (socket, receiver, ledger, stopped)
}

// Other kernels count neither what they hold nor what they drop in a way that a test can read.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn all_that_a_full_socket_holds_is_taken_at_the_end_whatever_its_size() {
    for (bytes, datagrams) in [(SMALL.len(), 3000), (1_000, 1500), (60_000, 100)] {
        let (socket, receiver, ledger, stopped) = stopped();
        let drops = KernelDrops::of_socket(&socket, &SystemFiles).unwrap();
        let datagram = [SMALL, &vec![b' '; bytes - SMALL.len()]].concat();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..datagrams {
            sender.send_to(&datagram, socket.local_addr().unwrap()).unwrap();
        }
        receiver.run(stopped).await.unwrap();
        let received = ledger.snapshot().received;
        assert_eq!(received, datagrams - drops.read(&SystemFiles), "{bytes} bytes");
    }
}

/// What the kernel says that it holds for `socket`, by its own count.
#[cfg(target_os = "linux")]
fn held_by_kernel_bytes(socket: &std::net::UdpSocket) -> usize {
    let port = format!(":{:04X}", socket.local_addr().unwrap().port());
    let table = std::fs::read_to_string("/proc/net/udp").unwrap();
    let line = table.lines().find(|line| {
        line.split_whitespace()
            .nth(1)
            .is_some_and(|address| address.ends_with(&port))
    });
    let queues = line.unwrap().split_whitespace().nth(4).unwrap();
    usize::from_str_radix(queues.split_once(':').unwrap().1, 16).unwrap()
}

// As above: by the kernel's own count.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_was_taken_is_counted_as_the_kernel_counts_what_it_holds() {
    for bytes in [SMALL.len(), 1_000, 8_000] {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..10 {
            sender
                .send_to(&vec![b' '; bytes], socket.local_addr().unwrap())
                .unwrap();
        }
        let held = held_by_kernel_bytes(&socket);
        let reader = Reader::of(&socket).unwrap();
        let socket = UdpSocket::from_std(socket).unwrap();
        let mut buffers = Buffers::new().unwrap();
        buffers.fill(&socket, &reader).unwrap();
        assert_eq!(buffers.count, 10);
        let counted = buffers.kernel_bytes_min();
        assert!(
            (held / 2..=held).contains(&counted),
            "{bytes} bytes: {counted} of {held}"
        );
    }
}

#[tokio::test]
async fn a_sender_that_goes_on_does_not_keep_the_receiver_at_the_end() {
    let (socket, receiver, ledger, stopped) = stopped();
    let granted_bytes = receive_buffer::receive_buffer_bytes(&socket).unwrap();
    let (address, go_on) = (socket.local_addr().unwrap(), Arc::new(()));
    let floods: Vec<_> = (0..2)
        .map(|_| {
            let go_on = Arc::downgrade(&go_on);
            thread::spawn(move || {
                let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                while go_on.strong_count() > 0 {
                    drop(sender.send_to(SMALL, address));
                }
            })
        })
        .collect();
    receiver.run(stopped).await.unwrap();
    drop(go_on);
    for flood in floods {
        flood.join().unwrap();
    }
    let most = granted_bytes / (SMALL.len() + KERNEL_OVERHEAD_MIN_BYTES) + BATCH_SIZE;
    let received = ledger.snapshot().received;
    assert!(received <= most as u64, "{received} of {most}");
}
