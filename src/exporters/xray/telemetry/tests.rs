use std::sync::Mutex;

use serde_json::{Value, json};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::config::{Files, Flags, Sourced, load};
use crate::ledger::RejectReason;
use crate::ledger::calls::Ended;
use crate::logs::testing::LogLines;

type Outcome = Result<(), PutError>;

/// Takes reports, and answers as the script says, which is given the number of the call.
#[derive(Clone)]
struct Service {
    reports: Arc<Mutex<Vec<Value>>>,
    /// What a call takes.
    takes: Duration,
    script: Arc<dyn Fn(usize) -> Outcome + Send + Sync>,
}

impl PutTelemetry for Service {
    async fn put_telemetry(&self, body: Bytes, limit: Duration) -> Outcome {
        assert_eq!(limit, Duration::from_secs(2));
        let call = {
            let mut reports = self.reports.lock().unwrap();
            reports.push(serde_json::from_slice(&body).unwrap());
            reports.len() - 1
        };
        tokio::time::sleep(self.takes).await;
        (self.script)(call)
    }
}

fn failure(class: ErrorClass, status: Option<u16>) -> PutError {
    PutError {
        class,
        message: format!("{class:?}"),
        status,
        code: None,
        whole: false,
        retry_after: None,
    }
}

struct Bench {
    ledger: Arc<Ledger>,
    service: Service,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn start(script: impl Fn(usize) -> Outcome + Send + Sync + 'static) -> Self {
        Self::start_slow(Duration::ZERO, script)
    }

    fn start_slow(takes: Duration, script: impl Fn(usize) -> Outcome + Send + Sync + 'static) -> Self {
        let ledger = Arc::new(Ledger::default());
        let service = Service {
            reports: Arc::default(),
            takes,
            script: Arc::new(script),
        };
        let (stop, stopped) = oneshot::channel();
        let telemetry = Telemetry::new(service.clone(), Arc::clone(&ledger));
        let identity = async { Identity::new("i-0123", "host", "arn:aws:ec2:x") };
        let task = tokio::spawn(telemetry.run(identity, stopped));
        Self {
            ledger,
            service,
            stop,
            task,
        }
    }

    async fn end(self) -> Vec<Value> {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        std::mem::take(&mut self.service.reports.lock().unwrap())
    }
}

fn records(report: &Value) -> &Vec<Value> {
    report["TelemetryRecords"].as_array().unwrap()
}

fn call_fails(ledger: &Ledger, class: ErrorClass, status: Option<u16>) {
    ledger.call_ended(Ended {
        at: std::time::Instant::now(),
        duration: Duration::ZERO,
        body_bytes: 0,
        failure: Some(Failure {
            class,
            status,
            message: "",
        }),
    });
}

#[tokio::test(start_paused = true)]
async fn without_a_segment_nothing_is_ever_sent() {
    let bench = Bench::start(|_| Ok(()));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(bench.end().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_record_is_sent_each_minute_after_the_first_segment_and_one_at_the_end() {
    let bench = Bench::start(|_| Ok(()));
    tokio::time::sleep(Duration::from_secs(1000)).await;
    bench.ledger.add_received(10);
    bench.ledger.add_sent(7);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(bench.service.reports.lock().unwrap().len(), 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.service.reports.lock().unwrap().len(), 1);
    bench.ledger.add_received(5);
    let reports = bench.end().await;
    let counts: Vec<_> = reports
        .iter()
        .map(|report| {
            let record = &records(report)[0];
            (
                records(report).len(),
                record["SegmentsReceivedCount"].as_i64().unwrap(),
                record["SegmentsSentCount"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(counts, [(1, 10, 7), (1, 5, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_runs_at_the_stop_is_waited_for_and_what_it_carried_is_not_sent_again() {
    let bench = Bench::start_slow(Duration::from_secs(1), |_| Ok(()));
    bench.ledger.add_received(10);
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    while bench.service.reports.lock().unwrap().is_empty() {
        ticks.tick().await;
    }
    bench.ledger.add_received(5);
    let told = tokio::time::Instant::now();
    let reports = bench.end().await;
    assert!(
        told.elapsed() <= Duration::from_secs(2),
        "one call is over, one is made"
    );
    let received: Vec<i64> = reports
        .iter()
        .flat_map(records)
        .map(|record| record["SegmentsReceivedCount"].as_i64().unwrap())
        .collect();
    assert_eq!(received, [10, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_runs_at_the_stop_and_fails_is_made_once_more_with_the_last_record() {
    let bench = Bench::start_slow(Duration::from_secs(1), |call| match call {
        0 => Err(failure(ErrorClass::ServerError, Some(500))),
        _ => Ok(()),
    });
    bench.ledger.add_received(10);
    tokio::time::sleep(Duration::from_millis(60_500)).await;
    bench.ledger.add_received(5);
    let reports = bench.end().await;
    let sizes: Vec<_> = reports.iter().map(|report| records(report).len()).collect();
    assert_eq!(sizes, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn each_count_lands_in_its_field() {
    let bench = Bench::start(|_| Ok(()));
    let ledger = &bench.ledger;
    ledger.add_received(100);
    ledger.add_sent(60);
    ledger.add_rejected(RejectReason::InvalidHeader);
    ledger.add_unprocessed(Some("ParseError"));
    ledger.add_dropped(DropReason::Refused, 2);
    ledger.add_dropped(DropReason::BufferFull, 20);
    ledger.add_dropped(DropReason::Shutdown, 3);
    for (class, status, times) in [
        (ErrorClass::Timeout, None, 1),
        (ErrorClass::ConnectionRefused, None, 2),
        (ErrorClass::Throttled, Some(429), 3),
        (ErrorClass::ServerError, Some(503), 4),
        (ErrorClass::UnknownHost, None, 5),
        (ErrorClass::Connection, None, 6),
    ] {
        for _ in 0..times {
            call_fails(ledger, class, status);
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut reports = bench.end().await;
    let timestamp = reports[0]["TelemetryRecords"][0]["Timestamp"].take();
    assert!(timestamp.as_f64().unwrap() > 1.7e9, "seconds: {timestamp}");
    assert_eq!(
        reports,
        [json!({
            "EC2InstanceId": "i-0123",
            "Hostname": "host",
            "ResourceARN": "arn:aws:ec2:x",
            "TelemetryRecords": [{
                "Timestamp": null,
                "SegmentsReceivedCount": 100,
                "SegmentsSentCount": 60,
                "SegmentsSpilloverCount": 23,
                "SegmentsRejectedCount": 4,
                "BackendConnectionErrors": {
                    "TimeoutCount": 1,
                    "ConnectionRefusedCount": 2,
                    "HTTPCode4XXCount": 3,
                    "HTTPCode5XXCount": 4,
                    "UnknownHostCount": 5,
                    "OtherCount": 6,
                }
            }]
        })]
    );
}

#[tokio::test(start_paused = true)]
async fn records_of_failed_calls_are_kept_and_sent_ten_at_a_time_and_the_failures_counted() {
    let bench = Bench::start(|call| match call {
        0..12 => Err(failure(ErrorClass::ServerError, Some(500))),
        _ => Ok(()),
    });
    bench.ledger.add_received(1);
    // Twelve failed tries, the thirteenth succeeds.
    tokio::time::sleep(Duration::from_secs(13 * 60 + 1)).await;
    let reports = bench.end().await;
    let sizes: Vec<_> = reports.iter().map(|report| records(report).len()).collect();
    assert_eq!(sizes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10, 3, 1]);
    let received: i64 = reports[12..]
        .iter()
        .flat_map(records)
        .map(|record| record["SegmentsReceivedCount"].as_i64().unwrap())
        .sum();
    let failures: i64 = reports[12..]
        .iter()
        .flat_map(records)
        .map(|record| {
            record["BackendConnectionErrors"]["HTTPCode5XXCount"]
                .as_i64()
                .unwrap()
        })
        .sum();
    assert_eq!((received, failures), (1, 12));
}

#[tokio::test(start_paused = true)]
async fn half_an_hour_of_records_is_kept() {
    let bench = Bench::start(|call| match call {
        0..60 => Err(failure(ErrorClass::Timeout, None)),
        _ => Ok(()),
    });
    bench.ledger.add_received(1);
    tokio::time::sleep(Duration::from_secs(60 * 60 + 1)).await;
    let reports = bench.end().await;
    let sizes: Vec<_> = reports[60..].iter().map(|report| records(report).len()).collect();
    assert_eq!(sizes, [10, 10, 10]);
}

#[tokio::test(start_paused = true)]
async fn what_the_service_refuses_for_good_does_not_stand_before_the_rest() {
    let bench = Bench::start(|call| match call {
        0 => Err(failure(ErrorClass::Refused, Some(400))),
        _ => Ok(()),
    });
    bench.ledger.add_received(1);
    tokio::time::sleep(Duration::from_secs(61)).await;
    let reports = bench.end().await;
    let sizes: Vec<_> = reports.iter().map(|report| records(report).len()).collect();
    assert_eq!(sizes, [1, 1]);
}

#[test]
fn names_are_cut_to_what_the_service_takes() {
    let long = "é".repeat(600);
    let identity = Identity::new(&long, &long, &long);
    let chars = |text: &str| text.chars().count();
    assert_eq!(
        (
            chars(&identity.ec2_instance_id),
            chars(&identity.hostname),
            chars(&identity.resource_arn)
        ),
        (20, 255, 500)
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_of_failed_calls_is_said_once() {
    let log = LogLines::collect();
    let bench = Bench::start(|call| match call {
        0 | 1 | 3 => Err(failure(ErrorClass::ServerError, Some(500))),
        _ => Ok(()),
    });
    bench.ledger.add_received(1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    for lines in [1, 0, 0, 1, 0] {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let said = vec![
            "[Warn] Sending telemetry records failed with: ServerError; segments are not affected, --no-telemetry \
             switches these calls off";
            lines
        ];
        assert_eq!(log.take(), said);
    }
    bench.end().await;
}

/// A file system without any.
struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &std::path::Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

fn config(flags: &Flags) -> XRayConfig {
    load(flags, &Environment::default(), &NoFiles).unwrap().xray
}

/// A metadata address that knows an instance `i-metadata`, host `metadata-host`.
async fn metadata() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let body = match head.split(' ').nth(1).unwrap() {
                    "/latest/meta-data/instance-id" => "i-metadata",
                    "/latest/meta-data/hostname" => "metadata-host",
                    _ => "a-token",
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn who_reports_is_asked_of_the_environment_and_then_of_the_machine_unless_in_local_mode() {
    let url = metadata().await;
    for (set, local_mode, expected) in [
        (
            &["AWS_INSTANCE_ID", "AWS_HOSTNAME"][..],
            false,
            ("i-0123", "host"),
        ),
        (&["AWS_INSTANCE_ID"], false, ("i-0123", "metadata-host")),
        (&["AWS_HOSTNAME"], false, ("i-metadata", "host")),
        (&[], false, ("i-metadata", "metadata-host")),
        (&["AWS_HOSTNAME"], true, ("", "host")),
        (&[], true, ("", "")),
    ] {
        let mut environment = Environment::default();
        let mut put = |name: &str, value: &str| environment.0.insert(name.to_owned(), value.to_owned());
        put("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url);
        for name in set {
            let value = if *name == "AWS_HOSTNAME" { "host" } else { "i-0123" };
            put(name, value);
        }
        let flags = Flags {
            local_mode: Some(Sourced {
                value: local_mode,
                source: "flag -o".to_owned(),
            }),
            resource_arn: Some(Sourced {
                value: "arn:aws:ec2:x".to_owned(),
                source: "flag -a".to_owned(),
            }),
            ..Flags::default()
        };
        let (instance_id, hostname) = expected;
        assert_eq!(
            identity(&config(&flags), &environment).await,
            Identity::new(instance_id, hostname, "arn:aws:ec2:x"),
            "{set:?} {local_mode}"
        );
    }
}
