//! OTLP over gRPC.

use super::*;
use crate::net::server::body::decode::testing::gzip;

const GRPC: (&str, &str) = ("content-type", "application/grpc");

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag][..], &length, message].concat()
}

/// Status, what is said, and the message.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    status: String,
    says: Option<String>,
    message: Vec<u8>,
    has_details: bool,
}

async fn ended(answer: Response<Incoming>) -> Ended {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    let head = answer.headers().clone();
    let body = answer.into_body().collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let field = |name: &str| {
        let value = trailers.get(name).or_else(|| head.get(name));
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    Ended {
        status: field("grpc-status").unwrap(),
        says: field("grpc-message"),
        has_details: field("grpc-status-details-bin").is_some(),
        message: body.to_bytes().to_vec(),
    }
}

#[tokio::test]
async fn each_service_takes_its_signal_compressed_or_not() {
    let port = Port::open();
    let mut client = Http2Client::connect(&port).await;
    for signal in Signal::ALL {
        let (body, items) = protobuf(signal);
        for (sent, encoding) in [
            (framed(0, &body), "identity"),
            (framed(0, &body), "gzip"),
            (framed(1, &gzip(&body)), "gzip"),
        ] {
            let headers = [GRPC, ("te", "trailers"), ("grpc-encoding", encoding)];
            let answer = client.post(method(signal), &headers, &sent).await;
            assert_eq!(
                ended(answer).await,
                Ended {
                    status: "0".to_owned(),
                    says: None,
                    message: vec![0; 5],
                    has_details: false
                }
            );
            let expected = Request {
                signal,
                form: Form::Protobuf,
                receiver: Receiver::OtlpGrpc,
                body: body.clone().into(),
                items,
            };
            assert_eq!(port.requests(), [expected]);
        }
    }
    assert_eq!(port.statuses(Route::Otlp(Signal::Logs)), [(200, 3)]);
    drop(client);
    port.close().await;
}

#[tokio::test]
async fn each_refusal_has_its_code_and_is_counted_with_the_status_of_http() {
    let port = Port::open_with(&[Signal::Traces], LIMITS, limits::CONNECTIONS);
    let mut client = Http2Client::connect(&port).await;
    let traces = method(Signal::Traces);
    let (body, _) = protobuf(Signal::Traces);
    let plain = |message: &[u8]| framed(0, message);
    for (path, headers, sent, status, words) in [
        (traces, vec![GRPC], plain(b"{}"), "3", "in protobuf"),
        (traces, vec![GRPC], Vec::new(), "3", "no gRPC message"),
        (
            traces,
            vec![GRPC],
            [plain(&body), plain(&body)].concat(),
            "3",
            "more than its one",
        ),
        (traces, vec![GRPC], plain(&body)[..9].to_vec(), "3", "ends before"),
        (
            traces,
            vec![GRPC],
            framed(1, &gzip(&body)),
            "3",
            "no grpc-encoding",
        ),
        (
            traces,
            vec![GRPC, ("grpc-encoding", "gzip")],
            framed(1, &body),
            "3",
            "gzip",
        ),
        (
            traces,
            vec![GRPC, ("grpc-encoding", "snappy")],
            plain(&body),
            "12",
            "in gzip or not",
        ),
        (
            traces,
            vec![GRPC],
            b"\0\xff\xff\xff\xff".to_vec(),
            "8",
            "longer than 1048576 bytes",
        ),
        (
            traces,
            vec![GRPC, ("grpc-encoding", "gzip")],
            framed(1, &gzip(&vec![0; 2 << 20])),
            "8",
            "decompressed too",
        ),
        (
            method(Signal::Logs),
            vec![GRPC],
            plain(&body),
            "12",
            "no destination for logs",
        ),
        (
            "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
            vec![GRPC],
            plain(&body),
            "12",
            "Export",
        ),
        (
            traces,
            vec![GRPC, ("origin", "https://evil.com")],
            plain(&body),
            "7",
            "web pages",
        ),
    ] {
        let answer = ended(client.post(path, &headers, &sent).await).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(
            answer.says.as_ref().unwrap().contains(words),
            "{words}: {answer:?}"
        );
        assert!(!answer.has_details && answer.message.is_empty());
    }
    assert_eq!(
        port.statuses(Route::Otlp(Signal::Traces)),
        [(400, 6), (403, 1), (413, 2), (415, 1)]
    );
    assert_eq!(port.statuses(Route::Otlp(Signal::Logs)), [(404, 1)]);
    assert_eq!(
        *port.kept.refused.lock().unwrap(),
        [(Signal::Traces, Receiver::OtlpGrpc); 8]
    );

    *port.kept.room.lock().unwrap() = [Room::Full].into();
    let answer = ended(client.post(traces, &[GRPC], &plain(&body)).await).await;
    assert_eq!((answer.status.as_str(), answer.has_details), ("14", true));
    // The connection has borne it all.
    let answer = ended(client.post(traces, &[GRPC], &plain(&body)).await).await;
    assert_eq!(answer.status, "0");
    drop(client);
    port.close().await;
}
