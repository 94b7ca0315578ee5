//! PutTelemetryRecords, as it is sent when the daemon ends.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use xray_double::faults::Fault;
use xray_service::service::Operation;

use crate::daemon::{Start, double, segment};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_record_tells_who_and_how_many() {
    let double = double().await;
    double
        .faults()
        .on(Operation::PutTraceSegments)
        .times(1, Fault::throttled());
    let daemon = Start::new(&double.url())
        .args(&["-a", "arn:aws:ecs:us-east-1:123456789012:task/x"])
        .env("AWS_HOSTNAME", "the-host")
        .env("AWS_INSTANCE_ID", "i-0123456789")
        .start();
    daemon.send((0..50).map(segment));
    daemon.send(std::iter::once(String::new()));
    daemon.wait_for("Successfully sent batch of 50 segments");
    let (status, log) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let reports = double.telemetry();
    assert_eq!(reports.len(), 1, "{log}");
    let report = &reports[0];
    assert_eq!(report.hostname.as_deref(), Some("the-host"));
    assert_eq!(report.ec2_instance_id.as_deref(), Some("i-0123456789"));
    assert_eq!(
        report.resource_arn.as_deref(),
        Some("arn:aws:ecs:us-east-1:123456789012:task/x")
    );
    let record = &report.records[0];
    assert_eq!(
        (
            record.segments_received_count,
            record.segments_sent_count,
            record.segments_rejected_count,
            record.segments_spillover_count
        ),
        (Some(51), Some(50), Some(1), Some(0))
    );
    let errors = record.backend_connection_errors.unwrap();
    assert_eq!((errors.http_code_4xx_count, errors.http_code_5xx_count), (1, 0));
    assert!(
        double
            .requests()
            .iter()
            .all(|request| request.signature.is_valid())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_segment_or_switched_off_there_is_none() {
    let double = double().await;
    let daemon = Start::new(&double.url()).start();
    daemon.wait_for("Using credentials from ");
    daemon.stop();
    let daemon = Start::new(&double.url()).args(&["--no-telemetry"]).start();
    daemon.send((0..50).map(segment));
    daemon.wait_for("Successfully sent batch of 50 segments");
    daemon.stop();
    assert!(double.telemetry().is_empty());
}

/// An instance metadata service for one daemon.
fn metadata() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut room = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut room) {
                    let request = String::from_utf8_lossy(&room[..count]).into_owned();
                    let body = match request.split(' ').nth(1) {
                        Some("/latest/api/token") => "token",
                        Some("/latest/meta-data/instance-id") => "i-from-imds",
                        Some("/latest/meta-data/hostname") => "ip-10-0-0-1.ec2.internal",
                        other => panic!("{other:?}"),
                    };
                    let head = "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n";
                    let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_of_local_mode_ec2_says_who_it_is() {
    let double = double().await;
    let daemon = Start::new(&double.url())
        .args(&["-o=false", "-l", "debug"])
        .without_env("AWS_EC2_METADATA_DISABLED")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata())
        .start();
    daemon.send((0..50).map(segment));
    daemon.wait_for("Reporting telemetry as ");
    let (_, log) = daemon.stop();
    let reports = double.telemetry();
    assert_eq!(reports.len(), 1, "{log}");
    assert_eq!(reports[0].ec2_instance_id.as_deref(), Some("i-from-imds"));
    assert_eq!(reports[0].hostname.as_deref(), Some("ip-10-0-0-1.ec2.internal"));
    assert_eq!(reports[0].resource_arn.as_deref(), Some(""));
}
