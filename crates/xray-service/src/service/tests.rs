use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SEGMENT: &str = r#"{"name":"backend-flask","id":"70de5b6f19ff9a0a","trace_id":"1-581cf771-a006649127e371903a2de979","start_time":1.5,"end_time":2.5}"#;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_227_595)
}

fn service() -> Service {
    Service::new(Limits::default())
}

/// Writes down what is taken; refuses from this place in a call on.
struct Witness {
    refuses_from: usize,
    taken: Vec<String>,
    reports: Vec<TelemetryReport>,
}

impl Witness {
    fn refusing_from(position: usize) -> Self {
        Self {
            refuses_from: position,
            taken: Vec::new(),
            reports: Vec::new(),
        }
    }

    fn new() -> Self {
        Self::refusing_from(usize::MAX)
    }

    fn put(&mut self, service: &mut Service, documents: &[&str]) -> Answer {
        let body = json!({"TraceSegmentDocuments": documents}).to_string();
        service.handle_overseen("POST", "/TraceSegments", body.as_bytes(), self, now())
    }
}

impl Overseer for Witness {
    fn refuse(&mut self, position: usize, _: &str) -> Option<(String, String)> {
        (position >= self.refuses_from).then(|| ("ThrottledException".to_owned(), "slow down".to_owned()))
    }

    fn taken(&mut self, document: String) {
        self.taken.push(document);
    }

    fn reported(&mut self, report: TelemetryReport) {
        self.reports.push(report);
    }
}

fn post(service: &mut Service, path: &str, body: &[u8]) -> Answer {
    service.handle("POST", path, body, now())
}

fn unprocessed(answer: &Answer) -> Value {
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    body["UnprocessedTraceSegments"].clone()
}

#[test]
fn accepted_documents_are_handed_on_verbatim_in_order() {
    let (mut service, mut witness) = (service(), Witness::new());
    let spaced = SEGMENT
        .replace(':', " : ")
        .replace("backend-flask", "é\u{2028}\\u00e9");
    let answer = witness.put(&mut service, &[SEGMENT, &spaced, "T1SCgA="]);
    assert_eq!(
        answer,
        Answer {
            status: 200,
            error_type: None,
            body: r#"{"UnprocessedTraceSegments":[]}"#.into()
        }
    );
    witness.put(&mut service, &[SEGMENT]);
    assert_eq!(witness.taken, [SEGMENT, &spaced, "T1SCgA=", SEGMENT]);
}

#[test]
fn refused_documents_are_named_and_not_stored() {
    let (mut service, mut witness) = (service(), Witness::new());
    let bad_name = SEGMENT.replace("backend-flask", "why?");
    let answer = witness.put(&mut service, &["x", SEGMENT, &bad_name, "[]"]);
    assert_eq!(answer.status, 200);
    assert_eq!(
        unprocessed(&answer),
        json!([
            {"ErrorCode": "ParseError", "Message": "Invalid segment. ErrorCode: ParseError"},
            {"Id": "70de5b6f19ff9a0a", "ErrorCode": "InvalidName", "Message": "Invalid segment. ErrorCode: InvalidName"},
            {"ErrorCode": "MissingId", "Message": "Invalid segment. ErrorCode: MissingId"},
        ])
    );
    assert_eq!(witness.taken, [SEGMENT]);
}

#[test]
fn refusals_can_say_what_is_wrong_and_where() {
    let mut service = service();
    service.tell_causes();
    let nested = SEGMENT.replace(
        "2.5}",
        r#"2.5,"subsegments":[{"id":"70de5b6f19ff9a0b","name":"SELECT ?","start_time":1,"end_time":2}]}"#,
    );
    let answer = Witness::new().put(&mut service, &[SEGMENT, &nested, "{\"id\"", "T1SCgAA"]);
    let messages: Vec<Value> = unprocessed(&answer)
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["Message"].clone())
        .collect();
    assert_eq!(
        messages,
        [
            "Invalid subsegment. ErrorCode: InvalidName, Cause: subsegment 1 of \"backend-flask\": name \"SELECT ?\" \
             has '?' at character 8, which names may not have",
            "Invalid segment. ErrorCode: ParseError, Cause: no JSON: EOF while parsing an object; the document ends \
             after 5 bytes",
            "Invalid segment. ErrorCode: ParseError, Cause: the base64 after T1S is no OTLP request",
        ]
    );
    service.note_refused_datagrams(3, "no newline", now());
    let (count, mut latest) = service.refused();
    assert_eq!(count, 6);
    assert_eq!(latest.next().unwrap().refusal.message, "no newline");
}

#[test]
fn fifty_documents_are_taken_and_fifty_one_refused_as_a_whole() {
    let (mut service, mut witness) = (service(), Witness::new());
    assert_eq!(witness.put(&mut service, &[SEGMENT; 50]).status, 200);
    assert_eq!(
        witness.put(&mut service, &[SEGMENT; 51]),
        Answer::error(
            400,
            "InvalidRequestException",
            "Exceeding maximum segment count: 50"
        )
    );
    assert_eq!(witness.taken.len(), 50);
}

#[test]
fn documents_can_be_refused_on_demand() {
    let (mut service, mut witness) = (service(), Witness::refusing_from(1));
    let answer = witness.put(&mut service, &[SEGMENT, "not json", SEGMENT]);
    assert_eq!(
        unprocessed(&answer),
        json!([
            {"ErrorCode": "ThrottledException", "Message": "slow down"},
            {"Id": "70de5b6f19ff9a0a", "ErrorCode": "ThrottledException", "Message": "slow down"},
        ])
    );
    assert_eq!(witness.taken, [SEGMENT]);
}

#[test]
fn bodies_that_are_not_the_models_json_are_refused() {
    let mut service = service();
    let cases: [(&[u8], &str); 7] = [
        (b"", "SerializationException"),
        (b"{", "SerializationException"),
        (
            b"{\"TraceSegmentDocuments\":[\"\xff\"]}",
            "SerializationException",
        ),
        (b"{\"TraceSegmentDocuments\":[{}]}", "SerializationException"),
        (b"{\"TraceSegmentDocuments\":\"x\"}", "SerializationException"),
        (b"{}", "InvalidRequestException"),
        (b"{\"TraceSegmentDocuments\":null}", "InvalidRequestException"),
    ];
    for (body, code) in cases {
        let answer = post(&mut service, "/TraceSegments", body);
        assert_eq!((answer.status, answer.error_type), (400, Some(code)));
        assert!(serde_json::from_str::<Value>(&answer.body).unwrap()["message"].is_string());
    }
    assert!(service.traces().is_empty());
}

#[test]
fn paths_and_methods_outside_the_api_are_unknown() {
    let mut service = service();
    for path in ["/", "/tracesegments", "/TraceSegments/", "/Encryptionconfig"] {
        assert_eq!(post(&mut service, path, b"{}").status, 404, "{path}");
    }
    let get = service.handle("GET", "/GetSamplingRules", b"", now());
    assert_eq!(
        (get.status, get.error_type),
        (404, Some("UnknownOperationException"))
    );
    for operation in Operation::ALL {
        assert_eq!(Operation::of("POST", operation.path()), Some(operation));
    }
}

#[test]
fn sampling_rules_are_served_to_every_form_of_request() {
    let mut service = service();
    service.set_sampling_rules(vec![SamplingRule::new("home", 1, 5, 1.0)], now());
    for body in ["{}", "", r#"{"NextToken": null}"#] {
        let answer = post(&mut service, "/GetSamplingRules", body.as_bytes());
        let value: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            value["SamplingRuleRecords"][0]["SamplingRule"]["RuleName"], "home",
            "{body}"
        );
    }
    let targets = post(&mut service, "/SamplingTargets", b"{}");
    assert_eq!(targets.error_type, Some("SerializationException"));
    let summaries = post(&mut service, "/SamplingStatisticSummaries", b"{}");
    assert_eq!(
        summaries.body,
        r#"{"NextToken":null,"SamplingStatisticSummaries":[]}"#
    );
}

#[test]
fn telemetry_of_the_official_daemon_is_taken() {
    let mut service = service();
    let body = json!({
        "EC2InstanceId": "", "Hostname": "", "ResourceARN": "",
        "TelemetryRecords": [{
            "BackendConnectionErrors": {
                "ConnectionRefusedCount": 1, "HTTPCode4XXCount": 2, "HTTPCode5XXCount": 3,
                "OtherCount": 4, "TimeoutCount": 5, "UnknownHostCount": 6
            },
            "SegmentsReceivedCount": 10, "SegmentsRejectedCount": 1, "SegmentsSentCount": 8,
            "SegmentsSpilloverCount": 1, "Timestamp": 1_795_227_595.5
        }]
    });
    let body = body.to_string();
    let mut witness = Witness::new();
    let answer = service.handle_overseen("POST", "/TelemetryRecords", body.as_bytes(), &mut witness, now());
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    let report = &witness.reports[0];
    let record = &report.records[0];
    assert_eq!(record.segments_sent_count, Some(8));
    let errors = record.backend_connection_errors.unwrap();
    assert_eq!(
        [
            errors.connection_refused_count,
            errors.http_code_4xx_count,
            errors.http_code_5xx_count,
            errors.other_count,
            errors.timeout_count,
            errors.unknown_host_count
        ],
        [1, 2, 3, 4, 5, 6]
    );
}

#[test]
fn telemetry_outside_the_model_is_refused() {
    let mut service = service();
    let mut ask = |body: Value| post(&mut service, "/TelemetryRecords", body.to_string().as_bytes());
    let long = json!({"TelemetryRecords": [{"Timestamp": 1}], "EC2InstanceId": "i".repeat(21)});
    let answer = ask(long);
    assert_eq!(answer.error_type, Some("InvalidRequestException"));
    assert!(answer.body.contains("EC2InstanceId has 21 characters"));
    for body in [json!({}), json!({"TelemetryRecords": [{}]})] {
        assert_eq!(ask(body).error_type, Some("SerializationException"));
    }
}

#[test]
fn documents_are_counted_without_looking() {
    let body = |documents: &[&str]| json!({"TraceSegmentDocuments": documents}).to_string();
    assert_eq!(count_documents(body(&["x", SEGMENT]).as_bytes()), Ok(2));
    assert_eq!(
        count_documents(body(&["x"; 51]).as_bytes()).unwrap_err().status,
        400
    );
}

proptest! {
    #[test]
    fn no_body_makes_the_service_panic_or_fail(
        path in proptest::sample::select(Operation::ALL.map(Operation::path).to_vec()),
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            "\\{\"(TraceSegmentDocuments|TelemetryRecords|SamplingStatisticsDocuments)\":(null|1|\"x\"|\\[(1|\\{\\}|\"[a-z]{0,3}\")?\\])\\}"
                .prop_map(String::into_bytes),
        ],
    ) {
        let answer = post(&mut service(), path, &body);
        prop_assert!([200, 400].contains(&answer.status));
        prop_assert!(serde_json::from_str::<Value>(&answer.body).is_ok());
    }

    #[test]
    fn any_document_text_comes_out_as_it_went_in(name in "[\\PC\u{0}-\u{1f}]{0,30}", spaces in " {0,3}") {
        let segment: Value = serde_json::from_str(SEGMENT).unwrap();
        let mut segment = segment;
        segment["metadata"] = json!({"default": {"text": name}});
        let document = format!("{spaces}{segment}{spaces}");
        let mut witness = Witness::new();
        witness.put(&mut service(), &[&document]);
        prop_assert_eq!(witness.taken, [document.as_str()]);
    }
}

#[test]
fn what_is_remembered_of_a_refusal_is_short() {
    let (mut service, mut witness) = (service(), Witness::new());
    let long = "é".repeat(20_000);
    let document = json!({"id": long, "name": long, "trace_id": "1"}).to_string();
    let answer = witness.put(&mut service, &[&document]);
    assert_eq!(unprocessed(&answer)[0]["Id"], json!(long));
    let (count, mut latest) = service.refused();
    let refused = latest.next().unwrap();
    let shown = format!("{}…", "é".repeat(500));
    assert_eq!((count, refused.name.as_ref()), (1, Some(&shown)));
    assert_eq!(refused.refusal.id.as_ref(), Some(&shown));
}
