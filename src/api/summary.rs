//! The account in words: one line a minute while there is traffic, one at the end.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use super::totals::{BridgeTotals, LaneTotals, Totals};
use crate::config::otlp::Routes;
use crate::config::{DEFAULT_SDK_ADDRESS, SystemFiles};
use crate::exporters::bodies::Bodies;
use crate::ledger::destination::Destination;
use crate::ledger::receipts::Receipt;
use crate::ledger::signal::{Content, Receiver};
use crate::ledger::{DropReason, Ledger, RejectReason};
use crate::pipeline::fanout::Fanout;
use crate::pipeline::lane::Lane;
use crate::receivers::udp::fragments::LostInFragments;
use crate::receivers::udp::kernel::KernelDrops;

/// How long the traffic of one line is gathered.
const INTERVAL: Duration = Duration::from_secs(60);

/// How long after its start a daemon that has received nothing says so.
const SILENCE: Duration = Duration::from_secs(60);

/// What the lines are made of.
#[derive(Debug)]
pub struct Summary {
    /// The lanes, with what waits in them and the counts.
    pub fanout: Arc<Fanout<Bodies>>,
    /// The socket's drops, where the system tells them.
    pub kernel_drops: Option<Arc<KernelDrops>>,
    /// What the network lost in fragments, where the system tells.
    pub lost_in_fragments: Option<LostInFragments>,
}

impl Summary {
    /// Of a daemon with one lane for segments, where the system tells nothing.
    #[must_use]
    pub fn of_lane(lane: Arc<Lane<Bodies>>) -> Self {
        Self {
            fanout: Arc::new(Fanout::of_segments(lane)),
            kernel_drops: None,
            lost_in_fragments: None,
        }
    }

    /// The account that receivers of segments count in.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        self.fanout.ledger()
    }

    /// Whether the daemon has anything to do with OTLP.
    #[must_use]
    pub fn is_bridge(&self) -> bool {
        *self.fanout.routes() != Routes::WITHOUT_OTLP
    }

    /// The counts now, since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let lanes = self.fanout.lanes();
        Totals {
            counts: self.ledger().snapshot_of(Content::Segments),
            pending: lanes.all().map(|lane| lane.pending_documents()).sum(),
            kernel_dropped: self.kernel_drops.as_ref().map(|drops| drops.read(&SystemFiles)),
            lost_in_fragments: self.lost_in_fragments.map(|lost| lost.read(&SystemFiles)),
            bridge: self.is_bridge().then(|| self.bridge()),
        }
    }

    fn bridge(&self) -> BridgeTotals {
        let ledger = self.ledger();
        let over_tcp = ledger.received_over_tcp();
        let received = |received, rejected| Receipt { received, rejected };
        let rejected = ledger.snapshot_of(Content::Segments).rejected_total();
        BridgeTotals {
            received: Receiver::ALL.map(|receiver| match receiver {
                Receiver::Udp => received(ledger.received_as_segments().saturating_sub(over_tcp), rejected),
                Receiver::Http => received(over_tcp, 0),
                Receiver::OtlpHttp | Receiver::OtlpGrpc => self.fanout.receipts().all_of(receiver),
            }),
            lanes: Destination::ALL.map(|destination| {
                let lane = self.fanout.lanes().to(destination)?;
                Some(LaneTotals {
                    counts: Content::ALL.map(|content| lane.ledger().snapshot_of(content)),
                    pending: lane.pending_amounts(),
                })
            }),
        }
    }

    /// When the oldest that waits came, in any lane.
    fn oldest(&self) -> Option<Instant> {
        self.fanout.lanes().all().filter_map(|lane| lane.oldest()).min()
    }

    /// Returns when something was received, by any receiver.
    async fn activity(&self) {
        let lanes: Vec<_> = self.fanout.lanes().all().collect();
        match lanes[..] {
            [first, second] => tokio::select! {
                () = first.ledger().activity() => {}
                () = second.ledger().activity() => {}
            },
            _ => self.ledger().activity().await,
        }
    }

    /// Whether nothing has come in by any receiver.
    fn is_silent(&self) -> bool {
        let mut lanes = self.fanout.lanes().all();
        lanes.all(|lane| lane.ledger().snapshot().received == 0)
    }

    /// Logs a line a minute after each first document, and so on while documents come or wait. Sleeps without a timer
    /// otherwise. Never ends.
    #[expect(
        clippy::disallowed_methods,
        reason = "says each minute what came since the last"
    )]
    pub async fn run(&self) {
        let mut before = self.totals();
        loop {
            self.activity().await;
            loop {
                tokio::time::sleep(INTERVAL).await;
                let now = self.totals();
                let Some(minute) = minute(&before, &now, self.oldest(), Instant::now()) else {
                    break;
                };
                say(&minute.change, Some(now.pending), minute.oldest_s, &minute);
                if let Some(lost) = lost_by_the_network(&before, &now) {
                    lost.say();
                }
                before = now;
            }
        }
    }

    /// Says once, when the daemon has run for a minute, that nothing has come yet, if that is so: nothing else would
    /// show that an application sends to another address. `udp` and `tcp` are where it listens.
    pub async fn say_silence(&self, udp: SocketAddr, tcp: Option<SocketAddr>) {
        tokio::time::sleep(SILENCE).await;
        if !self.is_silent() {
            return;
        }
        let also = tcp.map(|tcp| format!(" and TCP {tcp}")).unwrap_or_default();
        tracing::info!(
            udp = %udp,
            tcp = tcp.map(tracing::field::display),
            after_s = SILENCE.as_secs(),
            sdks_send_to = DEFAULT_SDK_ADDRESS,
            "Nothing received yet on UDP {udp}{also}; SDKs send to AWS_XRAY_DAEMON_ADDRESS, without it to \
             {DEFAULT_SDK_ADDRESS}"
        );
    }
}

/// Says at the end what became of everything. What waited still is counted by then.
pub fn say_finished(totals: &Totals) {
    let totals = &totals.at_the_end();
    say(totals, None, None, &format_args!("Shutdown finished: {totals}"));
}

/// A line with each number in it as a field of its own.
fn say(totals: &Totals, pending: Option<u64>, oldest_s: Option<f64>, line: &dyn Display) {
    if let Some(bridge) = &totals.bridge {
        return say_bridge(totals, bridge, pending, oldest_s, line);
    }
    let counts = &totals.counts;
    let rejected = |reason| some_if_any(counts.rejected(reason));
    let dropped = |reason| some_if_any(counts.dropped(reason));
    tracing::info!(
        received = counts.received,
        recovered = some_if_any(counts.recovered),
        sent = counts.sent,
        unprocessed = counts.unprocessed,
        rejected = counts.rejected_total(),
        rejected_missing_header = rejected(RejectReason::MissingHeader),
        rejected_missing_segment = rejected(RejectReason::MissingSegment),
        rejected_invalid_header = rejected(RejectReason::InvalidHeader),
        dropped = counts.dropped_total(),
        dropped_buffer_full = dropped(DropReason::BufferFull),
        dropped_refused = dropped(DropReason::Refused),
        dropped_shutdown = dropped(DropReason::Shutdown),
        dropped_spool_full = dropped(DropReason::SpoolFull),
        dropped_spool_failed = dropped(DropReason::SpoolFailed),
        dropped_spool_slow = dropped(DropReason::SpoolSlow),
        dropped_spool_damaged = dropped(DropReason::SpoolDamaged),
        spooled = some_if_any(counts.spooled),
        kernel_drops = totals.kernel_dropped,
        lost_in_fragments = totals.lost_in_fragments.and_then(some_if_any),
        pending,
        oldest_s,
        over_s = pending.map(|_| INTERVAL.as_secs()),
        "{line}"
    );
}

/// The same of a bridge: what came by each receiver, and what became of it at each destination.
fn say_bridge(
    totals: &Totals,
    bridge: &BridgeTotals,
    pending: Option<u64>,
    oldest_s: Option<f64>,
    line: &dyn Display,
) {
    let [udp, http, otlp_http, otlp_grpc] = bridge.received.map(|receipt| receipt.received);
    let of = |destination: Destination, count: fn(&LaneTotals) -> u64| {
        bridge.lanes[destination as usize].as_ref().map(count)
    };
    let list = |destination: Destination, list: fn(&LaneTotals) -> Option<String>| {
        bridge.lanes[destination as usize].as_ref().and_then(list)
    };
    let (xray, otlp) = (Destination::XRay, Destination::Otlp);
    let recovered = |lane: &LaneTotals| lane.all().recovered;
    let sent = |lane: &LaneTotals| lane.all().sent;
    let unprocessed = |lane: &LaneTotals| lane.all().unprocessed;
    let dropped = |lane: &LaneTotals| lane.all().dropped_total();
    let waiting = |lane: &LaneTotals| lane.pending.total();
    let spooled = |lane: &LaneTotals| lane.all().spooled;
    tracing::info!(
        received = udp + http + otlp_http + otlp_grpc,
        received_udp = udp,
        received_http = http,
        received_otlp_http = otlp_http,
        received_otlp_grpc = otlp_grpc,
        rejected = bridge
            .received
            .iter()
            .map(|receipt| receipt.rejected)
            .sum::<u64>(),
        rejected_by = totals.rejected_by_reason(bridge),
        xray_recovered = of(xray, recovered).and_then(some_if_any),
        xray_sent = of(xray, sent),
        xray_sent_by = list(xray, LaneTotals::sent_by),
        xray_unprocessed = of(xray, unprocessed),
        xray_dropped = of(xray, dropped),
        xray_dropped_by = list(xray, LaneTotals::dropped_by),
        xray_spooled = of(xray, spooled).and_then(some_if_any),
        xray_pending = of(xray, waiting).and_then(some_if_any),
        otlp_recovered = of(otlp, recovered).and_then(some_if_any),
        otlp_sent = of(otlp, sent),
        otlp_sent_by = list(otlp, LaneTotals::sent_by),
        otlp_unprocessed = of(otlp, unprocessed),
        otlp_dropped = of(otlp, dropped),
        otlp_dropped_by = list(otlp, LaneTotals::dropped_by),
        otlp_spooled = of(otlp, spooled).and_then(some_if_any),
        otlp_pending = of(otlp, waiting).and_then(some_if_any),
        kernel_drops = totals.kernel_dropped,
        lost_in_fragments = totals.lost_in_fragments.and_then(some_if_any),
        pending,
        oldest_s,
        over_s = pending.map(|_| INTERVAL.as_secs()),
        "{line}"
    );
}

fn some_if_any(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}

/// What came in a minute, and what waits at its end.
#[derive(Debug)]
struct Minute {
    change: Totals,
    /// How long the oldest that waits has waited.
    oldest_s: Option<f64>,
}

impl Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { change, oldest_s } = self;
        let (seconds, pending) = (INTERVAL.as_secs(), change.pending);
        write!(f, "In the last {seconds} s: {change}; pending {pending}")?;
        match oldest_s {
            Some(age_s) => write!(f, ", the oldest for {age_s:.1} s"),
            None => Ok(()),
        }
    }
}

/// What changed; `None` when nothing did and nothing waits.
fn minute(before: &Totals, now: &Totals, oldest: Option<Instant>, at: Instant) -> Option<Minute> {
    if before == now && now.pending == 0 {
        return None;
    }
    Some(Minute {
        change: now.since(before),
        oldest_s: oldest.map(|oldest| at.saturating_duration_since(oldest).as_secs_f64()),
    })
}

/// What the network lost of datagrams in fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NetworkLoss {
    lately: u64,
    since_start: u64,
}

impl NetworkLoss {
    fn say(&self) {
        tracing::warn!(
            lately = self.lately,
            over_s = INTERVAL.as_secs(),
            since_start = self.since_start,
            "{self}"
        );
    }
}

impl Display for NetworkLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "The network lost {} datagrams in the last {} s, {} since the start: they came in fragments, and not all of \
             them (ReasmFails of this network namespace, which counts those for others too). Segments longer than a packet \
             may be among them; POST /TraceSegments on the TCP port takes such whole",
            self.lately,
            INTERVAL.as_secs(),
            self.since_start
        )
    }
}

/// `None` when none was lost.
fn lost_by_the_network(before: &Totals, now: &Totals) -> Option<NetworkLoss> {
    let lately = now.since(before).lost_in_fragments.filter(|lost| *lost > 0)?;
    Some(NetworkLoss {
        lately,
        since_start: now.lost_in_fragments.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use serde_json::json;

    use super::*;
    use crate::config::{LogFormat, LogLevel};
    use crate::logs::testing::LogLines;
    use crate::pipeline::budget::Budget;

    fn totals(change: impl Fn(&Ledger), kernel_dropped: Option<u64>) -> Totals {
        let ledger = Ledger::default();
        change(&ledger);
        Totals {
            counts: ledger.snapshot(),
            pending: ledger.snapshot().pending(),
            kernel_dropped,
            ..Totals::default()
        }
    }

    #[test]
    fn what_the_network_lost_has_a_line_of_its_own_and_is_in_the_last_one() {
        let at = |lost_in_fragments| Totals {
            lost_in_fragments,
            ..totals(|ledger| ledger.add_received(1), Some(0))
        };
        let line = lost_by_the_network(&at(Some(5)), &at(Some(12)))
            .unwrap()
            .to_string();
        assert!(
            line.starts_with("The network lost 7 datagrams in the last 60 s, 12 since the start: "),
            "{line}"
        );
        assert_eq!(lost_by_the_network(&at(Some(5)), &at(Some(5))), None);
        assert_eq!(lost_by_the_network(&at(None), &at(None)), None);
        assert!(
            at(Some(12))
                .to_string()
                .ends_with("kernel drops 0, lost in fragments 12")
        );
        assert!(at(Some(0)).to_string().ends_with("kernel drops 0"));
    }

    #[test]
    fn the_line_names_every_loss_by_its_reason() {
        let now = totals(
            |ledger| {
                ledger.add_received(12);
                ledger.add_sent(5);
                ledger.add_unprocessed(Some("ParseError"));
                ledger.add_rejected(RejectReason::InvalidHeader);
                ledger.add_dropped(DropReason::BufferFull, 2);
                ledger.add_dropped(DropReason::Refused, 1);
            },
            Some(3),
        );
        assert_eq!(
            now.to_string(),
            "received 12, sent 5, unprocessed 1, rejected 1 (invalid_header 1), dropped 3 (buffer_full 2, refused 1), \
             kernel drops 3"
        );
    }

    #[test]
    fn the_spool_is_in_the_line_when_there_is_something_in_it() {
        let now = totals(
            |ledger| {
                ledger.add_recovered(10);
                ledger.sub_spooled(4);
                ledger.add_sent(3);
                ledger.add_dropped(DropReason::SpoolDamaged, 1);
            },
            None,
        );
        assert_eq!(
            now.to_string(),
            "received 0, recovered 10, sent 3, unprocessed 0, rejected 0, dropped 1 (spool_damaged 1), spooled 6"
        );
        assert_eq!(now.counts.pending(), 0);
    }

    #[test]
    fn a_minute_shows_what_changed_in_it_and_what_waits() {
        let start = Instant::now();
        let before = totals(|ledger| ledger.add_received(10), Some(3));
        let now = totals(
            |ledger| {
                ledger.add_received(30);
                ledger.add_sent(25);
            },
            Some(4),
        );
        assert_eq!(
            minute(&before, &now, Some(start), start + Duration::from_millis(1500))
                .unwrap()
                .to_string(),
            "In the last 60 s: received 20, sent 25, unprocessed 0, rejected 0, dropped 0, kernel drops 1; pending 5, \
             the oldest for 1.5 s"
        );
    }

    #[test]
    fn without_traffic_and_with_nothing_waiting_there_is_no_line() {
        let now = totals(
            |ledger| {
                ledger.add_received(10);
                ledger.add_sent(10);
            },
            None,
        );
        assert!(minute(&now, &now, None, Instant::now()).is_none());
        let waiting = totals(|ledger| ledger.add_received(1), None);
        assert!(
            minute(&waiting, &waiting, None, Instant::now())
                .unwrap()
                .to_string()
                .ends_with("; pending 1")
        );
    }

    fn summary() -> Summary {
        Summary::of_lane(Arc::new(Lane::new(Budget::of_mb(3), Arc::default())))
    }

    #[test]
    fn in_json_each_number_of_the_last_line_is_a_field() {
        let log = LogLines::collect_from(LogLevel::Info, LogFormat::Json);
        say_finished(&totals(
            |ledger| {
                ledger.add_received(9);
                ledger.add_sent(4);
                ledger.add_unprocessed(None);
                ledger.add_rejected(RejectReason::MissingSegment);
                ledger.add_dropped(DropReason::Shutdown, 2);
                ledger.add_dropped(DropReason::SpoolFull, 1);
            },
            Some(5),
        ));
        assert_eq!(
            log.take_json(),
            [json!({
                "timestamp": "1970-01-01T00:00:00.000Z", "level": "info",
                "message": "Shutdown finished: received 9, sent 4, unprocessed 1, rejected 1 (missing_segment 1), dropped \
                    3 (shutdown 2, spool_full 1), kernel drops 5",
                "received": 9, "sent": 4, "unprocessed": 1, "rejected": 1, "rejected_missing_segment": 1, "dropped": 3,
                "dropped_shutdown": 2, "dropped_spool_full": 1, "kernel_drops": 5
            })]
        );
    }

    #[test]
    fn in_json_the_last_line_of_a_bridge_has_the_numbers_of_each_destination() {
        let log = LogLines::collect_from(LogLevel::Info, LogFormat::Json);
        let lane = |sent| {
            let ledger = Ledger::default();
            ledger.add_sent(sent);
            LaneTotals {
                counts: Content::ALL.map(|content| ledger.snapshot_of(content)),
                ..LaneTotals::default()
            }
        };
        let receipt = |received, rejected| Receipt { received, rejected };
        say_finished(&Totals {
            bridge: Some(BridgeTotals {
                received: [receipt(5, 1), receipt(0, 0), receipt(3, 0), receipt(0, 0)],
                lanes: [None, Some(lane(7))],
            }),
            ..Totals::default()
        });
        assert_eq!(
            log.take_json(),
            [json!({
                "timestamp": "1970-01-01T00:00:00.000Z", "level": "info",
                "message": "Shutdown finished: received 8 (udp 5, otlp_http 3), rejected 1; to OTLP: sent 7, unprocessed 0, \
                    dropped 0",
                "received": 8, "received_udp": 5, "received_http": 0, "received_otlp_http": 3, "received_otlp_grpc": 0,
                "rejected": 1, "otlp_sent": 7, "otlp_sent_by": "segments 7", "otlp_unprocessed": 0, "otlp_dropped": 0
            })]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn in_json_each_number_of_a_minute_is_a_field() {
        let log = LogLines::collect_from(LogLevel::Info, LogFormat::Json);
        let summary = summary();
        let seven = async {
            tokio::time::sleep(INTERVAL).await;
            summary.ledger().add_received(7);
            summary.ledger().add_sent(7);
        };
        let minutes = tokio::time::timeout(4 * INTERVAL, summary.run());
        let (endless, ()) = tokio::join!(minutes, seven);
        assert!(endless.is_err());
        let [minute] = &log.take_json()[..] else {
            panic!("one line")
        };
        assert_eq!(
            *minute,
            json!({
                "timestamp": "1970-01-01T00:00:00.000Z", "level": "info",
                "message": "In the last 60 s: received 7, sent 7, unprocessed 0, rejected 0, dropped 0; pending 0",
                "received": 7, "sent": 7, "unprocessed": 0, "rejected": 0, "dropped": 0, "pending": 0, "over_s": 60
            })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_has_received_nothing_says_so_once_a_minute_after_its_start() {
        let log = LogLines::collect();
        let summary = summary();
        let (udp, tcp) = (
            "127.0.0.1:2000".parse().unwrap(),
            "127.0.0.1:2001".parse().unwrap(),
        );
        let all = async { tokio::join!(summary.say_silence(udp, Some(tcp)), summary.run()) };
        let mut all = pin!(tokio::time::timeout(10 * SILENCE, all));
        let almost = SILENCE - Duration::from_millis(1);
        assert!(tokio::time::timeout(almost, &mut all).await.is_err());
        assert_eq!(log.take(), Vec::<String>::new());
        assert!(all.await.is_err(), "the other lines go on");
        assert_eq!(
            log.take(),
            [
                "[Info] Nothing received yet on UDP 127.0.0.1:2000 and TCP 127.0.0.1:2001; SDKs send to \
                 AWS_XRAY_DAEMON_ADDRESS, without it to 127.0.0.1:2000"
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_has_received_something_in_its_first_minute_does_not() {
        let log = LogLines::collect();
        let summary = summary();
        let silence = summary.say_silence("127.0.0.1:2000".parse().unwrap(), None);
        let one = async {
            tokio::time::sleep(SILENCE / 2).await;
            summary.ledger().add_received(1);
        };
        tokio::join!(silence, one);
        assert_eq!(log.take(), Vec::<String>::new());
    }
}
