//! What is sent and asked has a bound: none of it hangs the process, ends it, or makes it larger than its setting.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xray_double::harness::dev::Dev;

use crate::XRAY;
use crate::http::{ask, post};

fn trace_id(trace: usize) -> String {
    format!("1-581cf771-{trace:024x}")
}

/// Puts documents in calls of fifty; how many were refused.
fn put(dev: &Dev, documents: &[String]) -> usize {
    let mut refused = 0;
    for some in documents.chunks(50) {
        let body = json!({ "TraceSegmentDocuments": some }).to_string();
        let (status, answer) = post(dev.tcp, "/TraceSegments", &[], &body);
        assert_eq!(status, 200, "{answer}");
        refused += body_of(&answer)["UnprocessedTraceSegments"]
            .as_array()
            .expect("a list")
            .len();
    }
    refused
}

fn body_of(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}

/// A segment that calls so many services.
fn calling(trace: usize, services: usize) -> String {
    let calls: Vec<Value> = (0..services)
        .map(|n| {
            json!({"id": format!("{:016x}", n + 2), "name": format!("host-{trace}-{n}"), "namespace": "remote",
                "start_time": 1_000, "end_time": 1_001})
        })
        .collect();
    json!({
        "trace_id": trace_id(trace), "id": "0000000000000001", "name": "shop", "start_time": 1_000 + trace,
        "end_time": 1_001 + trace, "subsegments": calls
    })
    .to_string()
}

#[test]
fn a_filter_that_multiplies_is_refused_with_its_place() {
    let dev = Dev::start(XRAY, &[]);
    assert_eq!(put(&dev, &[calling(1, 10)]), 0);
    let nested = format!("{}ok{}", "service(){".repeat(12), "}".repeat(12));
    let (status, answer) = ask(
        dev.tcp,
        "GET",
        &dev.with_key(&format!("/-/traces?filter={nested}")),
        &[],
        "",
    );
    assert_eq!(status, 400);
    assert_eq!(body_of(&answer)["position"], json!(10), "{answer}");
    let body =
        json!({"StartTime": 1_500_000_000, "EndTime": 1_500_003_600, "FilterExpression": nested}).to_string();
    let (status, answer) = post(dev.tcp, "/TraceSummaries", &[], &body);
    assert_eq!(status, 400);
    assert!(answer.contains("cannot stand in the braces"), "{answer}");
}

/// The most that an expression can ask, of many services, by more clients than are answered at once.
#[test]
fn long_questions_hold_up_neither_health_nor_sampling_nor_segments_nor_signals_and_have_an_end() {
    let dev = Dev::start(XRAY, &[]);
    let documents: Vec<String> = (0..200).map(|trace| calling(trace, 400)).collect();
    assert_eq!(put(&dev, &documents), 0);
    let long = vec!["service(){name=%22x%22}"; 90].join("or+");
    let question = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n",
        dev.with_key(&format!("/-/latency?filter=ok+and+({long})")),
        dev.tcp
    );
    let mut asking: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(dev.tcp).expect("a connection");
            stream
                .write_all(question.as_bytes())
                .expect("the question is taken");
            stream
        })
        .collect();
    assert_eq!(ask(dev.tcp, "GET", "/healthz", &[], "").0, 200);
    assert_eq!(post(dev.tcp, "/GetSamplingRules", &[], "{}").0, 200);
    dev.send(&calling(999, 0));
    dev.wait_for_documents(201);
    // Those who left are not answered: the rest gets its turn.
    asking.truncate(1);
    let (status, answer) = ask(
        dev.tcp,
        "GET",
        &dev.with_key(&format!(
            "/-/latency?filter={}",
            vec!["service(){ok}"; 200].join("or+")
        )),
        &[],
        "",
    );
    assert!(
        status == 200 || answer.contains("would take more than 100000000 comparisons"),
        "{answer}"
    );
    let (status, lines) = dev.process.terminate();
    assert_eq!(status.code(), Some(0), "{lines:?}");
}

/// Fifty documents as long as documents may be, of many subsegments: some 4 MB with the quotes escaped.
fn largest_call(first_trace: usize) -> String {
    let document = |trace: usize| {
        let mut value: Value = serde_json::from_str(&calling(trace, 300)).expect("JSON");
        let room = (64 << 10) - value.to_string().len() - r#","metadata":{"text":""}"#.len();
        value["metadata"] = json!({"text": "x".repeat(room)});
        value.to_string()
    };
    let documents: Vec<String> = (first_trace..first_trace + 50).map(document).collect();
    json!({ "TraceSegmentDocuments": documents }).to_string()
}

/// They were read on the thread that does the rest: then something waits through most of every call. A machine that does
/// other things too makes anything wait now and then, but not in each of twenty calls.
#[test]
fn the_largest_call_holds_up_neither_health_nor_sampling_nor_datagrams() {
    let dev = Dev::start(XRAY, &[]);
    let call = |first_trace| {
        let body = largest_call(first_trace);
        assert!(body.len() > 3_500_000, "{}", body.len());
        let started = Instant::now();
        let (status, answer) = post(dev.tcp, "/TraceSegments", &[], &body);
        assert_eq!(
            (status, &body_of(&answer)),
            (200, &json!({"UnprocessedTraceSegments": []}))
        );
        started.elapsed()
    };
    let mut seen = Vec::new();
    for trial in 1..=20 {
        let received =
            format!("xray_segments_received_total{{receiver=\"udp\",signal=\"segments\"}} {trial}");
        let (taken, rounds, longest, is_received) = std::thread::scope(|scope| {
            let putting = scope.spawn(|| call(100 * trial));
            dev.send(&calling(100 * trial + 99, 0));
            let (mut rounds, mut longest, mut is_received) = (0, Duration::ZERO, false);
            while !putting.is_finished() {
                for (method, path) in [
                    ("GET", "/healthz"),
                    ("POST", "/GetSamplingRules"),
                    ("GET", "/metrics"),
                ] {
                    let asked = Instant::now();
                    let (status, answer) = ask(dev.tcp, method, path, &[], "{}");
                    assert_eq!(status, 200);
                    longest = longest.max(asked.elapsed());
                    is_received |= answer.lines().any(|line| line == received);
                }
                rounds += 1;
            }
            (putting.join().expect("a call"), rounds, longest, is_received)
        });
        if rounds > 5 && longest < taken / 4 && is_received {
            return;
        }
        seen.push(format!(
            "{longest:?} at the most in {rounds} rounds while a call of {taken:?} was taken, the datagram read: {is_received}"
        ));
    }
    panic!("{}", seen.join("\n"));
}

/// 701 of them ended the process by stack overflow, and a chain of children took 89 s to send.
#[test]
fn documents_nested_in_each_other_are_answered_in_pieces() {
    let dev = Dev::start(XRAY, &[]);
    let deep = |document: usize| {
        let id = |depth: usize| format!("{:016x}", document * 100 + depth + 1);
        let mut value = json!({"id": id(59), "name": "f", "start_time": 1, "end_time": 2});
        for depth in (0..59).rev() {
            value =
                json!({"id": id(depth), "name": "f", "start_time": 1, "end_time": 2, "subsegments": [value]});
        }
        value["trace_id"] = json!(trace_id(1));
        if document > 0 {
            value["type"] = json!("subsegment");
            value["parent_id"] = json!(format!("{:016x}", (document - 1) * 100 + 60));
        }
        value.to_string()
    };
    let mut documents: Vec<String> = (0..701).map(deep).collect();
    documents.reverse();
    // Of a trace that may have some tens of thousands of segments.
    assert_eq!(put(&dev, &documents), 0);
    let body = json!({ "TraceIds": [trace_id(1)] }).to_string();
    let (status, answer) = post(dev.tcp, "/Traces", &[], &body);
    assert_eq!(status, 200);
    let trace = &body_of(&answer)["Traces"][0];
    assert_eq!(trace["LimitExceeded"], json!(true));
    let segments = trace["Segments"].as_array().expect("a list").len();
    let kept = dev.get("/-/stats")["store"]["documents"]
        .as_u64()
        .expect("a number");
    assert_eq!(segments as u64, kept);
    assert_eq!(dev.get("/-/traces")["traces"][0]["id"], json!(trace_id(1)));
}

#[test]
fn a_document_that_is_too_deep_is_refused_with_its_depth() {
    let dev = Dev::start(XRAY, &[]);
    let inner = r#","subsegments":[{"id":"53995c3f42cd8ad8","name":"f","start_time":1,"end_time":2"#;
    let head = format!(
        r#"{{"id":"70de5b6f19ff9a0a","trace_id":"{}","name":"f","start_time":1,"end_time":2"#,
        trace_id(1)
    );
    let deep = format!("{head}{}{}}}", inner.repeat(64), "}]".repeat(64));
    let body = json!({ "TraceSegmentDocuments": [deep] }).to_string();
    let (_, answer) = post(dev.tcp, "/TraceSegments", &[], &body);
    let refused = &body_of(&answer)["UnprocessedTraceSegments"][0];
    assert_eq!(
        refused["Message"],
        json!(
            "Invalid segment. ErrorCode: ParseError, Cause: objects and lists are 129 deep inside each other; 127 are the \
             most, which is 63 subsegments"
        )
    );
    assert_eq!(
        dev.get("/-/stats")["refused"]["latest"][0]["message"],
        refused["Message"]
    );
}

#[test]
fn a_map_of_ten_thousand_names_says_how_many_it_leaves_out() {
    let dev = Dev::start(XRAY, &[]);
    let documents: Vec<String> = (0..25).map(|trace| calling(trace, 400)).collect();
    assert_eq!(put(&dev, &documents), 0);
    let graph = dev.get("/-/graph");
    let nodes = graph["nodes"].as_array().expect("a list");
    assert_eq!(nodes.len(), 501);
    assert_eq!(nodes[500]["name"], json!(format!("{} more", 10_000 + 2 - 500)));
    let body = json!({"StartTime": 0, "EndTime": 9_999}).to_string();
    let (_, answer) = post(dev.tcp, "/ServiceGraph", &[], &body);
    assert_eq!(body_of(&answer)["Services"].as_array().map(Vec::len), Some(501));
}

/// Thirteen were stored, ten listed, and those always first.
#[test]
fn times_in_other_units_are_in_their_place_and_said() {
    let dev = Dev::start(XRAY, &[]);
    let now = 1_795_227_595.0;
    let document = |trace: usize, time: f64| {
        json!({"trace_id": trace_id(trace), "id": "0000000000000001", "name": "shop", "start_time": time,
            "end_time": time})
        .to_string()
    };
    let mut documents: Vec<String> = [1e9, 1e6, 1e3, 1.0]
        .into_iter()
        .enumerate()
        .map(|(trace, unit)| document(trace, now * unit))
        .collect();
    documents.push(document(9, now + 1.0));
    assert_eq!(put(&dev, &documents), 0);
    let list = dev.get("/-/traces");
    let traces = list["traces"].as_array().expect("a list");
    let notes: Vec<&Value> = traces.iter().map(|trace| &trace["note"]).collect();
    let like = |unit: &str| json!(format!("start_time looks like {unit}"));
    assert_eq!(traces[0]["id"], json!(trace_id(9)));
    assert_eq!(
        notes,
        [
            &Value::Null,
            &Value::Null,
            &like("milliseconds"),
            &like("microseconds"),
            &like("nanoseconds")
        ]
    );
    dev.process.wait_for("the note", |line| {
        line.contains("(start_time looks like milliseconds)")
            .then_some(())
    });
}

/// The setting is what the process holds beyond what it holds when it is idle. What questions and calls take beside the
/// store is given back in the seconds after them, and what the process has still is corrected then.
#[cfg(target_os = "linux")]
mod memory {
    use xray_double::harness::process::PATIENCE;

    use super::*;

    /// How long it has to stay so: more than is between two looks that the process has at itself.
    const STEADY: Duration = Duration::from_secs(6);

    fn rss_mb(dev: &Dev) -> f64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", dev.process.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.expect("a number") / 1024.0
    }

    /// What it holds beyond `idle_mb` once that has been within a tenth of the setting for a while. Traces that share
    /// pages free them together, so that letting go of what is too much may leave room, and only new traces show whether
    /// there is: `more` comes whenever it has stayed below that tenth.
    fn settled_mb(dev: &Dev, idle_mb: f64, setting_mb: f64, mut more: impl FnMut()) -> f64 {
        let deadline = Instant::now() + 4 * PATIENCE;
        let mut within_since = Instant::now();
        let mut below_since = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let grown = rss_mb(dev) - idle_mb;
            if grown >= setting_mb * 0.9 {
                below_since = Instant::now();
            } else if below_since.elapsed() > STEADY {
                more();
                below_since = Instant::now();
            }
            if !(setting_mb * 0.9..=setting_mb * 1.1).contains(&grown) {
                within_since = Instant::now();
            } else if within_since.elapsed() > STEADY {
                return grown;
            }
            assert!(Instant::now() < deadline, "{grown:.1} MB for {setting_mb}");
        }
    }

    /// Grown by these documents, more than the store has room for, and by questions about them.
    #[expect(
        clippy::print_stdout,
        reason = "the figure beside the setting, with --nocapture"
    )]
    fn grown(shape: &str, setting_mb: usize, document: impl Fn(usize) -> String) {
        let setting = setting_mb.to_string();
        let dev = Dev::start(XRAY, &["--max-store-mb", &setting, "--max-traces", "1000000"]);
        dev.get("/-/traces");
        let idle = rss_mb(&dev);
        let mut trace = 0;
        let mut put_next = |count: usize| {
            let documents: Vec<String> = (trace..trace + count).map(&document).collect();
            assert_eq!(put(&dev, &documents), 0);
            trace += count;
            trace
        };
        let mut is_full_since = None;
        loop {
            let stored = put_next(50);
            if is_full_since.is_some_and(|since| stored >= since * 5 / 4) {
                break;
            }
            if is_full_since.is_none() && dev.get("/-/stats")["store"]["evicted_traces"] != json!(0) {
                is_full_since = Some(stored);
            }
        }
        for path in ["/-/traces", "/-/latency", "/-/graph", "/-/traces?filter=fault"] {
            dev.get(path);
        }
        let grown = settled_mb(&dev, idle, setting_mb as f64, || {
            put_next(5);
        });
        let told = dev.get("/-/stats")["store"]["bytes"].as_u64().expect("a number") >> 20;
        println!("{shape}: {grown:.1} MB beyond {idle:.1} idle, {told} told, {setting} set");
    }

    #[test]
    fn small_segments_cost_what_is_set() {
        grown("small segments", 96, |trace| calling(trace, 0));
    }

    #[test]
    fn segments_with_many_calls_cost_what_is_set() {
        grown("many calls", 96, |trace| calling(trace, 400));
    }

    #[test]
    fn large_documents_cost_what_is_set() {
        grown("large documents", 96, |trace| {
            let mut value: Value = serde_json::from_str(&calling(trace, 3)).expect("JSON");
            value["metadata"] = json!({"default": {"text": "x".repeat(50_000)}});
            value.to_string()
        });
    }

    #[test]
    fn annotations_cost_what_is_set() {
        grown("annotations", 96, |trace| {
            let mut value: Value = serde_json::from_str(&calling(trace, 0)).expect("JSON");
            let all = (0..1_000).map(|n| (format!("k{n}"), json!(n)));
            value["annotations"] = Value::Object(all.collect());
            value.to_string()
        });
    }

    /// The least that may be set.
    #[test]
    fn a_small_store_costs_what_is_set() {
        grown("many calls", 32, |trace| calling(trace, 400));
    }
}
