use bytes::Bytes;

use super::*;
use crate::ledger::DropReason;
use crate::logs::testing::LogLines;
use crate::pipeline::batch::testing::Strings;
use crate::pipeline::budget::Budget;
use crate::pipeline::intake::Form;
use crate::pipeline::queue::Next;

const ALL_TO_OTLP: Routes = Routes {
    segments: Targets::BOTH,
    spans: Targets::OTLP,
    metrics: Targets::OTLP,
    logs: Targets::OTLP,
    spans_for_xray: SpansForXRay::Segments,
};

fn lane(destination: Destination) -> Lane<Strings> {
    Lane::new(Budget::of_mb(3), Arc::default())
        .to(destination)
        .with_others()
}

fn two(routes: Routes) -> Fanout<Strings> {
    let otlp = Arc::new(lane(Destination::Otlp));
    let xray = lane(Destination::XRay);
    let xray = Arc::new(if routes.segments == Targets::BOTH {
        xray.followed_by(Arc::clone(&otlp))
    } else {
        xray
    });
    Fanout::new(Lanes::Two { xray, otlp }, routes)
}

fn pending(fanout: &Fanout<Strings>) -> [u64; 2] {
    Destination::ALL.map(|destination| {
        let lane = fanout.lanes().to(destination);
        lane.map_or(0, |lane| lane.pending_documents())
    })
}

/// A trace of one good span; or one whose trace id has a single byte.
fn spans(is_good: bool) -> Request {
    let id = if is_good {
        "5759e988bd862e3fe1be46a994272793"
    } else {
        "00"
    };
    let span = format!(
        r#"{{"traceId":"{id}","spanId":"defdfd9912dc5a56","name":"home","startTimeUnixNano":"1795227595034205914"}}"#
    );
    Request {
        signal: Signal::Traces,
        form: Form::Json,
        receiver: Receiver::OtlpHttp,
        body: Bytes::from(format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#
        )),
        items: 1,
    }
}

#[test]
fn segments_go_to_both_and_what_came_as_otlp_to_otlp() {
    let (fanout, now) = (two(ALL_TO_OTLP), Instant::now());
    Intake::add(&fanout, [&b"x"[..]; 50].into_iter(), now);
    assert_eq!(pending(&fanout), [50, 50]);
    for signal in Signal::ALL {
        assert!(fanout.wants(signal));
        let request = Request {
            signal,
            ..spans(true)
        };
        assert_eq!(Requests::add(&fanout, request, now), Ok(None));
    }
    assert_eq!(pending(&fanout), [50, 53]);
    assert_eq!(fanout.receipts().all_of(Receiver::OtlpHttp).received, 3);
    fanout.add_from_elsewhere(b"open", now);
    assert_eq!(pending(&fanout), [51, 53]);
    fanout.seal(now);
    assert_eq!(pending(&fanout), [51, 54]);
}

#[test]
fn where_segments_go_to_otlp_alone_the_other_lane_gets_none_of_them() {
    let routes = Routes {
        segments: Targets::OTLP,
        spans: Targets::XRAY,
        ..ALL_TO_OTLP
    };
    let (fanout, now) = (two(routes), Instant::now());
    Intake::add(&fanout, [&b"x"[..]; 60].into_iter(), now);
    fanout.seal(now);
    assert_eq!(pending(&fanout), [0, 60]);
    assert_eq!(Requests::add(&fanout, spans(true), now), Ok(None));
    assert_eq!(pending(&fanout), [1, 60]);
    assert_eq!(
        fanout.contents_to(Destination::XRay),
        [Content::Segments, Content::Traces]
    );
    assert_eq!(
        fanout.contents_to(Destination::Otlp),
        [Content::Segments, Content::Metrics, Content::Logs]
    );
}

#[test]
fn a_span_that_is_no_segment_is_named_to_its_sender_unless_somebody_took_it() {
    let log = LogLines::collect();
    let now = Instant::now();
    for (spans_to, is_told) in [(Targets::XRAY, true), (Targets::BOTH, false)] {
        let fanout = two(Routes {
            spans: spans_to,
            ..ALL_TO_OTLP
        });
        let not_taken = Requests::add(&fanout, spans(false), now).unwrap();
        assert_eq!(not_taken.is_some(), is_told, "{spans_to:?}");
        assert_eq!(pending(&fanout), [0, u64::from(!is_told)]);
        let xray = fanout.lanes().to(Destination::XRay).unwrap().ledger();
        let counts = xray.snapshot_of(Content::Traces);
        assert_eq!(
            (counts.received, counts.dropped(DropReason::NotConvertible)),
            (1, 1)
        );
        assert_eq!(xray.snapshot().remainder(), 0);
    }
    let lines = log.take();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with(
            "[Warn] 1 spans can't be made into segments and do not go to X-Ray: span 1 of the request"
        ),
        "{lines:?}"
    );
}

#[test]
fn spans_that_go_to_x_ray_as_segments_are_converted_and_nothing_else_is() {
    for (spans, spans_for_xray, is_converted) in [
        (Targets::XRAY, SpansForXRay::Segments, true),
        (Targets::BOTH, SpansForXRay::Segments, true),
        (Targets::OTLP, SpansForXRay::Segments, false),
        (Targets::XRAY, SpansForXRay::Otlp, false),
    ] {
        let fanout = two(Routes {
            spans,
            spans_for_xray,
            ..ALL_TO_OTLP
        });
        assert_eq!(fanout.is_converted(Signal::Traces), is_converted, "{spans:?}");
        assert!(!fanout.is_converted(Signal::Metrics));
    }
}

#[test]
fn short_spans_are_given_room_for_what_every_document_says() {
    for (request, documents) in [(0, 0), (1_000, 18_000), (1 << 20, (2 << 20) + (64 << 10))] {
        assert_eq!(segments::documents_bytes(request), documents);
    }
    assert_eq!(segments::documents_bytes(usize::MAX), usize::MAX);
}

#[test]
fn a_request_that_makes_more_than_is_kept_at_a_time_loses_and_doubles_nothing() {
    let now = Instant::now();
    let fanout = two(Routes {
        spans: Targets::XRAY,
        ..ALL_TO_OTLP
    });
    let text = "x".repeat(10_000);
    let span = |number: usize| {
        format!(
            r#"{{"traceId":"5759e988bd862e3fe1be46a994272793","spanId":"defdfd9912dc{number:04x}","name":"{text}",
            "startTimeUnixNano":"1795227595034205914"}}"#
        )
    };
    let all: Vec<String> = (0..60).map(span).collect();
    let request = Request {
        body: Bytes::from(format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
            all.join(",")
        )),
        items: 60,
        ..spans(true)
    };
    assert_eq!(Requests::add(&fanout, request, now), Ok(None));
    assert_eq!(pending(&fanout), [60, 0]);
}

/// A request in protobuf of so many short spans, each of which becomes many times its length.
fn short_spans(count: u32) -> Request {
    use xray_double::protobuf::{field, fixed64};

    let span = |number: u32| {
        let id = [&[1; 4][..], &number.to_be_bytes()].concat();
        field(
            2,
            &[
                field(1, &[7; 16]),
                field(2, &id),
                field(5, b"x"),
                fixed64(7, 1_795_227_595_034_205_914),
            ]
            .concat(),
        )
    };
    let all: Vec<u8> = (0..count).flat_map(span).collect();
    Request {
        form: Form::Protobuf,
        body: Bytes::from(field(1, &field(2, &all))),
        items: count.into(),
        ..spans(true)
    }
}

#[test]
fn a_request_that_becomes_more_than_there_is_room_for_pushes_nothing_out() {
    let now = Instant::now();
    let fanout = two(Routes {
        spans: Targets::XRAY,
        ..ALL_TO_OTLP
    });
    let lane = fanout.lanes().to(Destination::XRay).unwrap();
    // A megabyte of older segments, in a lane that holds 2.6 MiB.
    let document = vec![b'x'; 10_000];
    for _ in 0..100 {
        lane.add_from_elsewhere(&document, now);
    }
    lane.seal(now);
    let counts = || {
        let (segments, spans) = (
            lane.ledger().snapshot(),
            lane.ledger().snapshot_of(Content::Traces),
        );
        (
            lane.pending_documents(),
            segments.received + spans.received,
            segments.dropped_total() + spans.dropped_total(),
            fanout.receipts().all_of(Receiver::OtlpHttp).received,
        )
    };
    let before = counts();
    assert_eq!(before, (100, 0, 0, 0));
    let request = short_spans(4_000);
    // By its own length it has room: 40 bytes a span are 160 KB.
    assert!(request.body.len() < 200_000);
    assert_eq!(
        Requests::room_for(&fanout, Signal::Traces, request.body.len()),
        Room::Free
    );
    assert_eq!(Requests::add(&fanout, request.clone(), now), Err(NoRoom::Now));
    assert_eq!(counts(), before, "nothing was taken, counted or dropped");
    // The same comes again when there is room.
    let send_all = || {
        while let Next::Ready(flight) = lane.take(now) {
            assert!(lane.settle(flight.ticket));
        }
    };
    send_all();
    assert_eq!(Requests::add(&fanout, request, now), Ok(None));
    assert_eq!(counts(), (4_000, 4_000, 0, 4_000));
    for (no_room, pending) in [(NoRoom::Now, 4_000), (NoRoom::Ever, 0)] {
        assert_eq!(
            Requests::add(&fanout, short_spans(9_999), now),
            Err(no_room),
            "they become 4 MB"
        );
        assert_eq!(counts(), (pending, 4_000, 0, 4_000));
        send_all();
    }
}

#[test]
fn small_requests_push_nothing_out_either() {
    let now = Instant::now();
    let fanout = two(Routes {
        spans: Targets::XRAY,
        ..ALL_TO_OTLP
    });
    let lane = fanout.lanes().to(Destination::XRay).unwrap();
    let taken = (0..10_000)
        .take_while(|_| Requests::add(&fanout, short_spans(20), now) == Ok(None))
        .count() as u64;
    assert!((100..1_000).contains(&taken), "{taken}");
    assert_eq!(lane.ledger().snapshot().dropped_total(), 0);
    lane.seal(now);
    assert_eq!(lane.ledger().snapshot().dropped_total(), 0);
    assert_eq!(pending(&fanout), [20 * taken, 0]);
}

#[test]
fn what_otlp_takes_is_taken_and_x_rays_lane_drops_its_oldest_in_its_own_account() {
    let now = Instant::now();
    let fanout = two(Routes {
        spans: Targets::BOTH,
        ..ALL_TO_OTLP
    });
    assert_eq!(Requests::add(&fanout, short_spans(9_999), now), Ok(None));
    let [xray, otlp] = Destination::ALL.map(|destination| fanout.lanes().to(destination).unwrap());
    let of_xray = xray.ledger().snapshot();
    assert_eq!(of_xray.received, 9_999);
    assert!(of_xray.dropped(DropReason::BufferFull) > 1_000);
    assert_eq!(of_xray.pending(), xray.pending_documents());
    let of_otlp = otlp.ledger().snapshot_of(Content::Traces);
    assert_eq!((of_otlp.received, of_otlp.dropped_total()), (9_999, 0));
}

#[test]
fn what_might_have_room_is_never_told_that_it_is_too_long_before_it_is_read() {
    let fanout = two(Routes {
        spans: Targets::XRAY,
        ..ALL_TO_OTLP
    });
    let longest = fanout.lanes().to(Destination::XRay).unwrap().longest_bytes();
    for (bytes, room) in [(longest, Room::Free), (longest + 1, Room::TooLong)] {
        assert_eq!(Requests::room_for(&fanout, Signal::Traces, bytes), room);
    }
}

#[test]
fn there_is_room_as_long_as_one_destination_has_some() {
    let (fanout, now) = (two(ALL_TO_OTLP), Instant::now());
    let otlp = fanout.lanes().to(Destination::Otlp).unwrap();
    let spans_in_protobuf = Kind::Requests(Signal::Traces, Form::Protobuf);
    while Intake::room_for(&**otlp, 60_000) == Room::Free {
        otlp.add_requests(spans_in_protobuf, &Bytes::from(vec![b'x'; 60_000]), 60_000, now);
    }
    assert_eq!(Intake::room_for(&fanout, 60_000), Room::Free, "X-Ray has");
    assert_eq!(Requests::room_for(&fanout, Signal::Traces, 60_000), Room::Full);
    assert_eq!(
        Requests::room_for(&fanout, Signal::Traces, 4 << 20),
        Room::TooLong
    );
    assert_eq!(Intake::longest_bytes(&fanout), otlp.longest_bytes());
}

#[test]
fn a_daemon_that_has_nothing_to_do_with_otlp_wants_no_request() {
    let lane = Arc::new(Lane::<Strings>::new(Budget::of_mb(3), Arc::default()));
    let fanout = Fanout::of_segments(Arc::clone(&lane));
    assert!(Signal::ALL.iter().all(|signal| !fanout.wants(*signal)));
    assert_eq!(Requests::room_for(&fanout, Signal::Logs, 1), Room::TooLong);
    Intake::add(&fanout, std::iter::once(&b"x"[..]), Instant::now());
    assert_eq!(lane.pending_documents(), 1);
    fanout.add_refused(Signal::Logs, Receiver::OtlpGrpc);
    assert_eq!(fanout.receipts().all_of(Receiver::OtlpGrpc).rejected, 1);
}
