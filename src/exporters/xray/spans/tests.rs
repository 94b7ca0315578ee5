//! Calls on X-Ray's OTLP endpoint, against a double that checks their signatures.

use std::io::Read as _;

use flate2::read::GzDecoder;
use xray_double::faults::Fault;
use xray_double::protobuf::field;

use super::super::tests::double;
use super::*;
use crate::exporters::Exporter as _;
use crate::exporters::answer::Unnamed;
use crate::logs::testing::LogLines;
use crate::pipeline::batch::kind::Kind;

const TRACES: Kind = Kind::Requests(Signal::Traces, Form::Protobuf);

/// A resource of so many bytes with one scope of so many spans, which are empty.
fn resource(bytes: usize, spans: usize) -> Vec<u8> {
    let scope = field(2, b"").repeat(spans);
    field(1, &[field(1, &vec![0; bytes]), field(2, &scope)].concat())
}

fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut back = Vec::new();
    GzDecoder::new(body).read_to_end(&mut back).unwrap();
    back
}

#[tokio::test]
async fn spans_go_out_as_they_are_compressed_and_signed_for_xray() {
    let (double, xray) = double().await;
    double.faults().always(Fault::answer(200, ""));
    let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}"#.to_vec();
    let sent = [
        (Form::Protobuf, resource(3, 2), "application/x-protobuf"),
        (Form::Json, json, "application/json"),
    ];
    for (form, body, _) in &sent {
        let answer = xray
            .put(Kind::Requests(Signal::Traces, *form), body.clone().into())
            .await;
        assert_eq!(answer, Ok(Answer::default()));
    }
    for (request, (_, body, content_type)) in double.requests().iter().zip(sent) {
        assert!(request.signature.is_valid(), "{request}");
        assert_eq!((&*request.method, &*request.path), ("POST", "/v1/traces"));
        assert_eq!(request.header("content-type"), Some(content_type));
        assert_eq!(request.header("content-encoding"), Some("gzip"));
        let authorization = request.header("authorization").unwrap();
        assert!(
            authorization.contains("/eu-west-1/xray/aws4_request"),
            "{authorization}"
        );
        assert_eq!(unzipped(&request.body), body);
    }
    assert_eq!(double.requests().len(), 2);
}

#[tokio::test]
async fn what_is_over_a_limit_is_not_sent_and_costs_no_other_span() {
    let lines = LogLines::collect();
    let (double, xray) = double().await;
    double.faults().always(Fault::answer(200, ""));
    let long = resource(MAX_RESOURCE_BYTES + 1, 3);
    let body = [resource(5, 2), long.clone()].concat();
    let left_out = vec![(DropReason::NotConvertible, 3)];
    for _ in 0..2 {
        assert_eq!(
            xray.put(TRACES, body.clone().into()).await,
            Ok(Answer {
                left_out: left_out.clone(),
                ..Answer::default()
            })
        );
    }
    assert_eq!(unzipped(&double.requests()[0].body), resource(5, 2));
    assert_eq!(
        xray.put(TRACES, long.into()).await,
        Ok(Answer {
            left_out,
            not_called: true,
            ..Answer::default()
        })
    );
    let said = lines.take();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0]
            .starts_with("[Error] 3 spans do not go to X-Ray: their resource with its scope has 16385 bytes"),
        "{said:?}"
    );

    let many = resource(1, 10_001);
    let error = xray.put(TRACES, many.into()).await.unwrap_err();
    assert_eq!((error.class, error.whole), (ErrorClass::Refused, false));
    assert_eq!(
        error.message,
        "10001 spans in one request; X-Ray's OTLP endpoint takes 10000"
    );
    assert!(refused_here(MAX_BYTES, Some(MAX_SPANS)).is_none());
    assert!(refused_here(MAX_BYTES + 1, Some(1)).is_some());
    // Of all these, two calls.
    assert_eq!(double.requests().len(), 2);
}

#[tokio::test]
async fn a_request_that_is_too_long_for_its_resource_alone_is_not_halved() {
    let (double, xray) = double().await;
    double.faults().always(Fault::answer(200, ""));
    let body = [resource(5, 2), resource(MAX_BYTES, 3)].concat();
    assert_eq!(
        xray.put(TRACES, body.into()).await,
        Ok(Answer {
            left_out: vec![(DropReason::NotConvertible, 3)],
            ..Answer::default()
        })
    );
    assert_eq!(unzipped(&double.requests()[0].body), resource(5, 2));
}

#[tokio::test]
async fn a_long_resource_in_json_is_left_out_too_and_the_rest_goes_on_as_protobuf() {
    let (double, xray) = double().await;
    double.faults().always(Fault::answer(200, ""));
    let resource = |value: &str| {
        format!(
            r#"{{"resource":{{"attributes":[{{"key":"k","value":{{"stringValue":"{value}"}}}}]}},"scopeSpans":[{{"spans":[{{"name":"a"}}]}}]}}"#
        )
    };
    let body = |resources: &[String]| format!(r#"{{"resourceSpans":[{}]}}"#, resources.join(","));
    let long = "v".repeat(MAX_RESOURCE_BYTES);
    let short = body(&[resource("v")]);
    let answer = xray
        .put(
            Kind::Requests(Signal::Traces, Form::Json),
            body(&[resource("v"), resource(&long)]).into(),
        )
        .await
        .unwrap();
    assert_eq!(answer.left_out, [(DropReason::NotConvertible, 1)]);
    let sent = &double.requests()[0];
    assert_eq!(sent.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(unzipped(&sent.body), json::to_protobuf(short.as_bytes()).unwrap());
    // Long, but none of its resources is.
    let many = body(&vec![resource("v"); 1000]);
    let answer = xray
        .put(Kind::Requests(Signal::Traces, Form::Json), many.clone().into())
        .await;
    assert_eq!(answer, Ok(Answer::default()));
    assert_eq!(unzipped(&double.requests()[1].body), many.as_bytes());
}

#[tokio::test]
async fn refusals_are_explained_and_what_is_about_the_account_keeps_the_spans() {
    let (double, xray) = double().await;
    let needs = "needs Transaction Search";
    for (fault, class, whole, words) in [
        (
            Fault::error(
                400,
                "ValidationException",
                "The OTLP API is supported with CloudWatch Logs as a Trace Segment Destination",
            ),
            ErrorClass::Other,
            false,
            needs,
        ),
        (
            Fault::error(403, "AccessDeniedException", "not authorized"),
            ErrorClass::Credentials,
            false,
            "xray:PutSpans",
        ),
        (
            Fault::error(400, "ValidationException", "a span is too old"),
            ErrorClass::Refused,
            false,
            "a span is too old",
        ),
        (
            Fault::answer(400, "\x08\x03\x12\x06bad id")
                .with_header("content-type", "application/x-protobuf"),
            ErrorClass::Refused,
            false,
            "status 400: bad id",
        ),
        (
            Fault::answer(400, "<html>no</html>").with_header("content-type", "text/html"),
            ErrorClass::NotAnAnswer,
            false,
            "no",
        ),
        (
            Fault::answer(404, ""),
            ErrorClass::NotAnAnswer,
            false,
            "status 404",
        ),
        (Fault::answer(413, ""), ErrorClass::Refused, false, "status 413"),
        (Fault::throttled(), ErrorClass::Throttled, false, ""),
        (
            Fault::answer(500, ""),
            ErrorClass::ServerError,
            false,
            "status 500",
        ),
    ] {
        double.faults().clear();
        double.faults().always(fault);
        let error = xray.put(TRACES, resource(1, 1).into()).await.unwrap_err();
        assert_eq!((error.class, error.whole), (class, whole), "{error}");
        assert!(error.message.contains(words), "{error}");
        assert!(
            error.message.contains(needs) == (words == needs || words == "xray:PutSpans"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_partial_success_is_told_with_its_number() {
    let (double, xray) = double().await;
    let partial = Fault::answer(
        200,
        r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"old"}}"#,
    );
    double
        .faults()
        .always(partial.with_header("content-type", "application/json"));
    let answer = xray.put(TRACES, resource(1, 3).into()).await.unwrap();
    assert_eq!(
        answer.unnamed,
        Some(Unnamed {
            count: 2,
            message: "old".to_owned()
        })
    );
}

#[tokio::test]
async fn metrics_and_logs_are_nothing_for_xray() {
    let (double, xray) = double().await;
    for signal in [Signal::Metrics, Signal::Logs] {
        let error = xray
            .put(Kind::Requests(signal, Form::Protobuf), resource(1, 1).into())
            .await
            .unwrap_err();
        assert_eq!((error.class, error.whole), (ErrorClass::Refused, true));
    }
    assert!(double.requests().is_empty());
}
