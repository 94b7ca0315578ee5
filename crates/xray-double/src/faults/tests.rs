use std::time::Duration;

use super::*;

const PUT: FaultRequest<'static> = FaultRequest {
    operation: Some(Operation::PutTraceSegments),
    path: "/TraceSegments",
    body: br#"{"TraceSegmentDocuments":["good","poison","good"]}"#,
    in_flight: 1,
};

const RULES: FaultRequest<'static> = FaultRequest {
    operation: Some(Operation::GetSamplingRules),
    path: "/GetSamplingRules",
    body: b"{}",
    in_flight: 1,
};

/// What `n` requests in a row meet, by the faults' texts; `-` for none.
fn met(faults: &Faults, request: &FaultRequest<'_>, n: usize) -> Vec<String> {
    let one = || {
        faults
            .next(request)
            .map_or("-".to_owned(), |fault| fault.to_string())
    };
    std::iter::repeat_with(one).take(n).collect()
}

/// The same at a given time.
fn met_at(faults: &Faults, now: Instant) -> bool {
    faults.plan().next(&PUT, now).is_some()
}

#[test]
fn rules_apply_in_order_and_end_when_used_up() {
    let faults = Faults::new();
    faults.times(2, Fault::status(500));
    faults.times(1, Fault::close());
    assert_eq!(
        met(&faults, &PUT, 5),
        ["answer 500", "answer 500", "close", "-", "-"]
    );
    assert_eq!(faults.fired(), 3);
}

#[test]
fn always_holds_until_it_is_cleared() {
    let faults = Faults::new();
    faults.always(Fault::hang());
    assert_eq!(met(&faults, &PUT, 2), ["hang", "hang"]);
    faults.clear();
    assert_eq!(met(&faults, &PUT, 1), ["-"]);
}

#[test]
fn a_fault_on_one_operation_leaves_the_others_alone() {
    let faults = Faults::new();
    faults.on(Operation::PutTraceSegments).always(Fault::reset());
    faults.on(Operation::GetSamplingRules).always(Fault::throttled());
    assert_eq!(met(&faults, &PUT, 1), ["reset"]);
    assert_eq!(met(&faults, &RULES, 1), ["answer 429"]);
    faults.on(Operation::PutTraceSegments).clear();
    assert_eq!(met(&faults, &PUT, 1), ["-"]);
    assert_eq!(met(&faults, &RULES, 1), ["answer 429"]);
    let unknown = FaultRequest {
        operation: None,
        ..PUT
    };
    assert_eq!(met(&faults, &unknown, 1), ["-"]);
    faults.clear();
    assert_eq!(met(&faults, &RULES, 1), ["-"]);
}

#[test]
fn a_fault_for_a_time_ends_with_it() {
    let faults = Faults::new();
    let start = Instant::now();
    faults.for_next(Duration::from_secs(60), Fault::status(503));
    assert!(met_at(&faults, start));
    assert!(met_at(&faults, start + Duration::from_secs(59)));
    assert!(!met_at(&faults, start + Duration::from_secs(61)));
    assert!(!met_at(&faults, start), "an ended rule is gone");
}

#[test]
fn every_third_request_is_the_third_and_the_sixth() {
    let faults = Faults::new();
    faults.every_nth(3, Fault::throttled());
    let hit: Vec<bool> = met(&faults, &PUT, 7).iter().map(|fault| fault != "-").collect();
    assert_eq!(hit, [false, false, true, false, false, true, false]);
    let none = Faults::new();
    none.every_nth(0, Fault::throttled());
    assert_eq!(met(&none, &PUT, 2), ["-", "-"]);
}

#[test]
fn a_share_is_kept_and_repeats_with_its_seed() {
    let pattern = |seed| {
        let faults = Faults::new();
        faults.share(0.25, seed, Fault::throttled());
        met(&faults, &PUT, 1_000)
    };
    let hits = pattern(7).iter().filter(|fault| *fault != "-").count();
    assert!((200..300).contains(&hits), "{hits} of 1,000");
    assert_eq!(pattern(7), pattern(7));
    assert_ne!(pattern(7), pattern(8));
    for (share, hits) in [(0.0, 0), (1.0, 100)] {
        let faults = Faults::new();
        faults.share(share, 1, Fault::throttled());
        assert_eq!(
            met(&faults, &PUT, 100)
                .iter()
                .filter(|fault| *fault != "-")
                .count(),
            hits
        );
    }
}

#[test]
fn five_requests_a_second_pass_and_the_rest_is_throttled() {
    let faults = Faults::new();
    faults.above_rate(5.0, Fault::throttled());
    let start = Instant::now();
    let passed = |at: Instant| (0..20).filter(|_| !met_at(&faults, at)).count();
    assert_eq!(passed(start), 5);
    assert_eq!(passed(start), 0);
    assert_eq!(passed(start + Duration::from_secs(1)), 5);
    assert_eq!(passed(start + Duration::from_millis(1_400)), 2);
    assert_eq!(
        passed(start + Duration::from_secs(60)),
        5,
        "the bucket holds one second's worth"
    );
}

#[test]
fn requests_above_a_number_in_flight_are_met() {
    let faults = Faults::new();
    faults.above_in_flight(2, Fault::throttled());
    let with = |in_flight| met(&faults, &FaultRequest { in_flight, ..PUT }, 1);
    assert_eq!(with(2), ["-"]);
    assert_eq!(with(3), ["answer 429"]);
}

#[test]
fn a_rule_that_passes_leaves_the_request_to_the_next() {
    let faults = Faults::new();
    faults.every_nth(2, Fault::status(500));
    faults.always(Fault::status(503));
    assert_eq!(
        met(&faults, &PUT, 4),
        ["answer 503", "answer 500", "answer 503", "answer 500"]
    );
}

#[test]
fn a_poisoned_batch_is_known_by_its_documents() {
    let faults = Faults::new();
    faults.when_document(Which::containing("poison"), Fault::status(400));
    faults.when(|request| request.path == "/GetSamplingRules", Fault::status(403));
    assert_eq!(met(&faults, &PUT, 1), ["answer 400"]);
    let clean = FaultRequest {
        body: br#"{"TraceSegmentDocuments":["good"]}"#,
        ..PUT
    };
    assert_eq!(met(&faults, &clean, 1), ["-"]);
    let no_call = FaultRequest { body: b"\xff", ..PUT };
    assert_eq!(met(&faults, &no_call, 1), ["-"]);
    assert_eq!(met(&faults, &RULES, 1), ["answer 403"]);
}

#[test]
fn which_documents_are_meant() {
    let meant = |which: &Which| -> Vec<usize> {
        let documents = ["a", "b", "poison", "d", "e", "f"];
        (0..documents.len())
            .filter(|at| which.matches(*at, documents[*at]))
            .collect()
    };
    assert_eq!(meant(&Which::All), [0, 1, 2, 3, 4, 5]);
    assert_eq!(meant(&Which::Index(4)), [4]);
    assert_eq!(meant(&Which::EveryNth(2)), [1, 3, 5]);
    assert_eq!(meant(&Which::EveryNth(0)), Vec::<usize>::new());
    assert_eq!(meant(&Which::containing("oi")), [2]);
}

#[test]
fn faults_say_what_they_are() {
    let texts: Vec<String> = [
        Fault::delay(Duration::from_secs(1)),
        Fault::half_answer(),
        Fault::slow_body(1, Duration::ZERO),
        Fault::unprocessed(Which::Index(2), "InvalidName", ""),
        Fault::close().after_accepting(),
    ]
    .iter()
    .map(Fault::to_string)
    .collect();
    assert_eq!(
        texts,
        [
            "delay 1s",
            "half answer",
            "slow body",
            "unprocessed #2 InvalidName",
            "close after accepting"
        ]
    );
}
