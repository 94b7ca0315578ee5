//! OTLP over HTTP/1.1 as bytes; and over HTTP/2, which is no gRPC by itself.

use serde_json::json as value;

use super::*;
use crate::logs::testing::LogLines;
use crate::net::server::body::decode::testing::gzip;

const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";
const JSON: &str = "content-type: application/json\r\n";
const GZIP: &str = "content-encoding: gzip\r\n";

/// A request in this form of so many bytes.
fn of_length(form: Form, bytes: usize) -> Vec<u8> {
    match form {
        Form::Json => {
            let (mut body, _) = json(Signal::Traces);
            body.resize(bytes, b' ');
            body
        }
        Form::Protobuf => {
            let (mut body, _) = protobuf(Signal::Traces);
            // A field that nobody knows, with a length of three bytes.
            let length = bytes - body.len() - 4;
            assert!((1 << 14..1 << 21).contains(&length));
            let part = |shift: usize| (length >> shift) as u8;
            body.extend([15 << 3 | 2, part(0) | 0x80, part(7) | 0x80, part(14)]);
            body.resize(bytes, 0);
            body
        }
    }
}

#[tokio::test]
async fn what_takes_long_is_done_by_another_thread() {
    let here = thread::current().id();
    let (short, long) = (limits::AT_ONCE_MAX_BYTES, limits::AT_ONCE_MAX_BYTES + 2);
    for (converted, form, bytes, is_elsewhere) in [
        (true, Form::Protobuf, short, false),
        (true, Form::Protobuf, long, true),
        (false, Form::Protobuf, long, false),
        (false, Form::Json, short, false),
        (false, Form::Json, long, true),
    ] {
        let port = Port::open_before(&Signal::ALL, LIMITS, limits::CONNECTIONS, converted);
        let content_type = if form == Form::Json { JSON } else { PROTOBUF };
        let answer = port
            .post("/v1/traces", content_type, &of_length(form, bytes))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(port.requests()[0].items, 2);
        let threads = port.kept.threads.lock().unwrap().clone();
        assert_eq!(threads.len(), 1);
        assert_eq!(threads[0] != here, is_elsewhere, "{converted} {form:?} {bytes}");
        port.close().await;
    }
}

#[tokio::test]
async fn each_signal_goes_on_byte_for_byte_in_either_form_compressed_or_not_in_chunks_or_not() {
    let port = Port::open();
    for signal in Signal::ALL {
        for (form, content_type, (body, items)) in [
            (Form::Protobuf, PROTOBUF, protobuf(signal)),
            (Form::Json, JSON, json(signal)),
        ] {
            for is_gzip in [false, true] {
                let (sent, encoding) = if is_gzip {
                    (gzip(&body), GZIP)
                } else {
                    (body.clone(), "")
                };
                let whole = port
                    .post(&path(signal), &format!("{content_type}{encoding}"), &sent)
                    .await;
                let mut chunked = format!(
                    "POST {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{content_type}{encoding}transfer-encoding: chunked\r\n\r\n",
                    path(signal)
                )
                .into_bytes();
                for part in sent.chunks(7) {
                    chunked.extend(format!("{:x}\r\n", part.len()).bytes());
                    chunked.extend_from_slice(part);
                    chunked.extend(b"\r\n");
                }
                chunked.extend(b"0\r\n\r\n");
                let in_chunks = port.ask(&chunked).await;
                for answer in [whole, in_chunks] {
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let (told, empty) = match form {
                        Form::Protobuf => ("application/x-protobuf", &b""[..]),
                        Form::Json => ("application/json", &b"{}"[..]),
                    };
                    assert_eq!(answer.header("content-type"), Some(told));
                    assert_eq!(answer.body, empty);
                }
                let expected = Request {
                    signal,
                    form,
                    receiver: Receiver::OtlpHttp,
                    body: body.clone().into(),
                    items,
                };
                assert_eq!(port.requests(), [expected.clone(), expected]);
            }
        }
        assert_eq!(port.statuses(Route::Otlp(signal)), [(200, 8)]);
    }
    port.close().await;
}

#[tokio::test]
async fn http_2_carries_the_same_requests() {
    let port = Port::open();
    let mut client = Http2Client::connect(&port).await;
    let (body, _) = json(Signal::Logs);
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let answer = client.post("/v1/logs", &headers, &gzip(&body)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "{}");
    assert_eq!(port.requests()[0].receiver, Receiver::OtlpHttp);
    let answer = client
        .post("/v1/logs", &[("content-type", "text/plain")], b"")
        .await;
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    drop(client);
    port.close().await;
}

#[tokio::test]
async fn each_refusal_has_its_status_its_sentence_and_the_encoding_of_the_request() {
    let port = Port::open();
    let traces = "/v1/traces";
    let is = "content-type: application/json\r\n";
    for (path, headers, body, status, code, words) in [
        (traces, is, &b"{"[..], 400, 3, "in JSON"),
        (traces, is, b"[]", 400, 3, "in JSON"),
        (traces, is, br#"{"resourceSpans":7}"#, 400, 3, "in JSON"),
        (traces, is, b"{} {}", 400, 3, "in JSON"),
        (
            traces,
            "content-type: application/json\r\ncontent-encoding: gzip\r\n",
            b"{}",
            400,
            3,
            "gzip",
        ),
        (
            traces,
            "content-type: application/json\r\ncontent-encoding: zstd\r\n",
            b"{}",
            415,
            12,
            "in gzip or not compressed",
        ),
        (
            traces,
            "content-type: text/plain\r\n",
            b"{}",
            415,
            12,
            "application/x-protobuf or application/json",
        ),
        (
            traces,
            "",
            b"{}",
            415,
            12,
            "application/x-protobuf or application/json",
        ),
        (
            traces,
            "content-type: application/grpc\r\n",
            b"",
            415,
            12,
            "HTTP/2 only",
        ),
        ("/v1/profiles", is, b"{}", 404, 12, "POST /v1/traces"),
        ("/", is, b"{}", 404, 12, "POST /v1/traces"),
        (
            traces,
            "content-type: application/json\r\norigin: https://evil.com\r\n",
            b"{}",
            403,
            7,
            "web pages",
        ),
        (
            traces,
            "content-type: application/json\r\nsec-fetch-site: cross-site\r\n",
            b"{}",
            403,
            7,
            "another site",
        ),
    ] {
        let answer = port.post(path, headers, body).await;
        assert_eq!(answer.status, status, "{headers} {answer:?}");
        let status = answer.json();
        assert_eq!(status["code"], code, "{status}");
        assert!(status["message"].as_str().unwrap().contains(words), "{status}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let answer = port.post(traces, PROTOBUF, b"{}").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("content-type"), Some("application/x-protobuf"));
    let message = "The body is no export request of this signal in protobuf.";
    assert_eq!(
        answer.body,
        [
            &[8, 3, 0x12, u8::try_from(message.len()).unwrap()],
            message.as_bytes()
        ]
        .concat()
    );

    for method in ["GET", "PUT", "OPTIONS"] {
        let request = format!("{method} /v1/logs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = port.ask(request.as_bytes()).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    }
    let answer = port
        .ask(b"POST /v1/traces HTTP/1.1\r\nhost: evil.com\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(answer.status, 403);
    assert_eq!(port.requests(), []);
    // Six that were no requests; the others say nothing of what they carry.
    assert_eq!(
        *port.kept.refused.lock().unwrap(),
        [(Signal::Traces, Receiver::OtlpHttp); 6]
    );
    port.close().await;
}

#[tokio::test]
async fn a_refused_request_is_a_line_that_shows_nothing_of_it() {
    let lines = LogLines::collect();
    let port = Port::open();
    let secret = br#"{"resourceSpans":[{"secret"]}"#;
    for _ in 0..3 {
        assert_eq!(port.post("/v1/traces", JSON, secret).await.status, 400);
    }
    let lines = lines.take();
    assert_eq!(
        lines[0],
        "[Warn] Refused an OTLP request for traces (otlp_http): The body is no export request of this signal in JSON."
    );
    // The rest is in the line of a later second, if there is one.
    assert!(
        lines.len() <= 2 && lines.iter().all(|line| !line.contains("secret")),
        "{lines:?}"
    );
    port.close().await;
}

#[tokio::test]
async fn an_empty_request_succeeds_and_is_nothing() {
    let port = Port::open();
    for (headers, body) in [
        (PROTOBUF, &b""[..]),
        (PROTOBUF, b"\x0a\x00"),
        (JSON, b"{}"),
        (JSON, br#"{"resourceSpans":[],"unknown":{"a":[1]}}"#),
        (&format!("{PROTOBUF}{GZIP}"), &gzip(b"")),
    ] {
        let answer = port.post("/v1/traces", headers, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(port.requests(), []);
    assert_eq!(*port.kept.refused.lock().unwrap(), []);
    port.close().await;
}

#[tokio::test]
async fn a_signal_without_a_destination_is_not_there_and_that_is_said_once() {
    let lines = LogLines::collect();
    let port = Port::open_with(&[Signal::Traces], LIMITS, limits::CONNECTIONS);
    for _ in 0..3 {
        for signal in [Signal::Metrics, Signal::Logs] {
            let (body, _) = json(signal);
            let answer = port.post(&path(signal), JSON, &body).await;
            assert_eq!(answer.status, 404);
            assert_eq!(
                answer.json(),
                value!({"code": 12, "message": format!("There is no destination for {} here.", signal.label())})
            );
        }
    }
    assert_eq!(
        lines.take(),
        [
            "[Warn] OTLP brings metrics, for which there is no destination: they are refused (404, UNIMPLEMENTED). \
             --otlp-endpoint URL gives them one; OTEL_METRICS_EXPORTER=none in the application sends none",
            "[Warn] OTLP brings logs, for which there is no destination: they are refused (404, UNIMPLEMENTED). \
             --otlp-endpoint URL gives them one; OTEL_LOGS_EXPORTER=none in the application sends none",
        ]
    );
    assert_eq!(port.statuses(Route::Otlp(Signal::Logs)), [(404, 3)]);
    port.close().await;
}

#[tokio::test]
async fn without_room_a_client_is_told_to_come_back_before_its_request_is_read_or_after() {
    let port = Port::open();
    for room in [vec![Room::Full], vec![Room::Free, Room::Full]] {
        *port.kept.room.lock().unwrap() = room.into();
        let (body, _) = json(Signal::Traces);
        let answer = port.post("/v1/traces", JSON, &body).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert_eq!(answer.json()["code"], 14);
    }
    *port.kept.room.lock().unwrap() = [Room::Free, Room::TooLong].into();
    let (body, _) = json(Signal::Traces);
    let answer = port.post("/v1/traces", JSON, &body).await;
    assert_eq!((answer.status, answer.header("retry-after")), (413, None));
    assert_eq!(port.requests(), []);
    assert_eq!(
        *port.kept.refused.lock().unwrap(),
        [(Signal::Traces, Receiver::OtlpHttp)]
    );
    port.close().await;
}

#[tokio::test]
async fn a_request_that_becomes_too_long_on_its_way_is_told_to_come_back_or_never_to() {
    for converted in [true, false] {
        for (no_room, status, retry_after) in [(NoRoom::Now, 503, Some("1")), (NoRoom::Ever, 413, None)] {
            for bytes in [limits::AT_ONCE_MAX_BYTES, limits::AT_ONCE_MAX_BYTES + 2] {
                let port = Port::open_before(&Signal::ALL, LIMITS, limits::CONNECTIONS, converted);
                *port.kept.no_room.lock().unwrap() = Some(no_room);
                let body = of_length(Form::Protobuf, bytes);
                let answer = port.post("/v1/traces", PROTOBUF, &body).await;
                assert_eq!(
                    (answer.status, answer.header("retry-after")),
                    (status, retry_after),
                    "{no_room:?} {bytes}"
                );
                // Who comes back has not been refused.
                let refused = port.kept.refused.lock().unwrap().len();
                assert_eq!(refused, usize::from(no_room == NoRoom::Ever));
                let answer = port.post("/v1/traces", PROTOBUF, &body).await;
                assert_eq!((answer.status, port.requests().len()), (200, 1));
                port.close().await;
            }
        }
    }
}

#[tokio::test]
async fn what_is_never_taken_of_a_request_is_a_partial_success() {
    let port = Port::open();
    *port.kept.not_taken.lock().unwrap() = Some(NotTaken {
        items: 1,
        why: "a span has no trace id".to_owned(),
    });
    let (body, _) = json(Signal::Traces);
    let answer = port.post("/v1/traces", JSON, &body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        value!({"partialSuccess": {"rejectedSpans": "1", "errorMessage": "a span has no trace id"}})
    );
    port.close().await;
}

#[tokio::test]
async fn pages_whose_origin_is_named_may_ask_and_send_and_read() {
    let port = Port::open();
    let origin = "origin: https://app.example.com\r\n";
    let preflight = format!(
        "OPTIONS /v1/traces HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{origin}access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\nsec-fetch-site: cross-site\r\n\r\n"
    );
    let answer = port.ask(preflight.as_bytes()).await;
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("content-type")
    );

    let (body, _) = json(Signal::Traces);
    let headers = format!("{JSON}{origin}sec-fetch-site: cross-site\r\n");
    let answer = port.post("/v1/traces", &headers, &body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    assert_eq!(port.requests().len(), 1);

    // Whoever it is, it does not come under a name that could be anybody's.
    let rebound = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: evil.com\r\nconnection: close\r\n{headers}content-length: 0\r\n\r\n"
    );
    assert_eq!(port.ask(rebound.as_bytes()).await.status, 403);
    let preflight = preflight.replace("app.example.com", "evil.com");
    let answer = port.ask(preflight.as_bytes()).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (403, None)
    );
    port.close().await;
}
