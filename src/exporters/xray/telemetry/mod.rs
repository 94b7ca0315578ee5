//! What the daemon tells X-Ray about itself: PutTelemetryRecords, a record a minute once a segment was seen.
//!
//! As the official daemon does it, with counts that are right: each failed call lands in the field of its kind, and
//! segments that the service did not process count as rejected, not as sent. `--no-telemetry` switches it off.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::aws;
use crate::config::{Environment, XRayConfig};
use crate::exporters::error::PutError;
use crate::exporters::xray::XRay;
use crate::ledger::calls::{BackendError, Failure};
use crate::ledger::outcome::ErrorClass;
use crate::ledger::{DropReason, Ledger, Snapshot};

/// What a record covers.
const INTERVAL: Duration = Duration::from_secs(60);

/// Most records that are kept while calls fail, as in the official daemon: half an hour. The oldest go first.
const RECORDS_MAX: usize = 30;

/// Most records in a call, as in the official daemon.
const RECORDS_PER_CALL_MAX: usize = 10;

/// The limit of a call. Telemetry can wait, the end of the process can't.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// The most characters that the service takes of each name.
const INSTANCE_ID_MAX_CHARS: usize = 20;
const HOSTNAME_MAX_CHARS: usize = 255;
const RESOURCE_ARN_MAX_CHARS: usize = 500;

/// Sends reports.
pub trait PutTelemetry: Send + Sync + 'static {
    /// Sends a finished body of PutTelemetryRecords within `limit`.
    fn put_telemetry(
        &self,
        body: Bytes,
        limit: Duration,
    ) -> impl Future<Output = Result<(), PutError>> + Send;
}

impl PutTelemetry for XRay {
    async fn put_telemetry(&self, body: Bytes, limit: Duration) -> Result<(), PutError> {
        self.put_telemetry_records(body, limit).await
    }
}

/// Who reports. What is not known is empty, as the official daemon sends it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Identity {
    /// The EC2 instance.
    #[serde(rename = "EC2InstanceId")]
    pub ec2_instance_id: String,
    /// The host's name.
    #[serde(rename = "Hostname")]
    pub hostname: String,
    /// `-a`: what runs the daemon.
    #[serde(rename = "ResourceARN")]
    pub resource_arn: String,
}

impl Identity {
    /// Cut to what the service takes: a name that is too long must not cost the counts.
    #[must_use]
    pub fn new(ec2_instance_id: &str, hostname: &str, resource_arn: &str) -> Self {
        let cut = |text: &str, max_chars| text.chars().take(max_chars).collect();
        Self {
            ec2_instance_id: cut(ec2_instance_id, INSTANCE_ID_MAX_CHARS),
            hostname: cut(hostname, HOSTNAME_MAX_CHARS),
            resource_arn: cut(resource_arn, RESOURCE_ARN_MAX_CHARS),
        }
    }
}

/// Finds out who reports: `AWS_INSTANCE_ID` and `AWS_HOSTNAME`, or, unless in local mode, EC2's metadata, which takes two
/// seconds at the most.
pub async fn identity(config: &XRayConfig, environment: &Environment) -> Identity {
    let resource_arn = config.resource_arn.as_deref().unwrap_or_default();
    let instance_id = environment.get("AWS_INSTANCE_ID").map(str::to_owned);
    let hostname = environment.get("AWS_HOSTNAME").map(str::to_owned);
    let (found_id, found_hostname) = if config.local_mode || (instance_id.is_some() && hostname.is_some()) {
        let local = || Err("local mode".to_owned());
        (local(), local())
    } else {
        Box::pin(aws::ec2_instance(environment, &aws::metadata_client(environment))).await
    };
    let known = |set: Option<String>, found: Result<String, String>, what: &str| {
        set.or_else(|| {
            found
                .inspect_err(|reason| {
                    tracing::debug!(reason, "No {what} set for telemetry records: {reason}")
                })
                .ok()
        })
        .unwrap_or_default()
    };
    Identity::new(
        &known(instance_id, found_id, "Instance Id"),
        &known(hostname, found_hostname, "hostname"),
        resource_arn,
    )
}

#[derive(Debug, Serialize)]
struct Report<'r> {
    #[serde(rename = "TelemetryRecords")]
    records: Vec<&'r Record>,
    #[serde(flatten)]
    identity: &'r Identity,
}

/// The counts of one interval. The service's numbers have 32 bits.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    timestamp: f64,
    segments_received_count: i32,
    segments_sent_count: i32,
    segments_spillover_count: i32,
    segments_rejected_count: i32,
    backend_connection_errors: BackendErrors,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BackendErrors {
    timeout_count: i32,
    connection_refused_count: i32,
    #[serde(rename = "HTTPCode4XXCount")]
    http_4xx_count: i32,
    #[serde(rename = "HTTPCode5XXCount")]
    http_5xx_count: i32,
    unknown_host_count: i32,
    other_count: i32,
}

/// The totals that a record is the difference of.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    counts: Snapshot,
    backend: [u64; BackendError::ALL.len()],
}

impl Totals {
    fn of(ledger: &Ledger) -> Self {
        let calls = ledger.calls();
        Self {
            counts: ledger.snapshot(),
            backend: BackendError::ALL.map(|error| calls.backend(error)),
        }
    }

    fn since(&self, before: &Self, at: SystemTime) -> Record {
        let counts = self.counts.since(&before.counts);
        let backend = |error| {
            let place = BackendError::ALL.iter().position(|other| *other == error);
            let of = |totals: &Self| place.map_or(0, |place| totals.backend[place]);
            count(of(self).saturating_sub(of(before)))
        };
        // What the service refused is no fault of the buffer.
        let refused = counts.dropped(DropReason::Refused);
        Record {
            timestamp: at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            segments_received_count: count(counts.received),
            segments_sent_count: count(counts.sent),
            segments_spillover_count: count(counts.dropped_total() - refused),
            segments_rejected_count: count(counts.rejected_total() + counts.unprocessed + refused),
            backend_connection_errors: BackendErrors {
                timeout_count: backend(BackendError::Timeout),
                connection_refused_count: backend(BackendError::ConnectionRefused),
                http_4xx_count: backend(BackendError::Http4xx),
                http_5xx_count: backend(BackendError::Http5xx),
                unknown_host_count: backend(BackendError::UnknownHost),
                other_count: backend(BackendError::Other),
            },
        }
    }
}

fn count(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Makes the records and sends them.
#[derive(Debug)]
pub struct Telemetry<C> {
    client: C,
    ledger: Arc<Ledger>,
    identity: Identity,
    before: Totals,
    records: VecDeque<Record>,
    failing: bool,
}

impl<C: PutTelemetry> Telemetry<C> {
    /// Reports what `ledger` counts, the time before included.
    #[must_use]
    pub fn new(client: C, ledger: Arc<Ledger>) -> Self {
        Self {
            client,
            ledger,
            identity: Identity::default(),
            before: Totals::default(),
            records: VecDeque::new(),
            failing: false,
        }
    }

    /// Waits for the first segment without a timer, then sends a record each minute, and a last one when `stop`
    /// resolves. `identity` is asked with the first segment; reports do not wait for it.
    #[expect(clippy::disallowed_methods, reason = "a record says when it was closed")]
    pub async fn run(mut self, identity: impl Future<Output = Identity>, mut stop: oneshot::Receiver<()>) {
        let mut is_stopped = tokio::select! {
            biased;
            () = self.ledger.first_received() => false,
            _ = &mut stop => true,
        };
        if is_stopped {
            return;
        }
        let mut identity = std::pin::pin!(identity);
        let mut is_identified = false;
        let mut minutes = tokio::time::interval(INTERVAL);
        minutes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick is at once.
        minutes.tick().await;
        loop {
            tokio::select! {
                biased;
                _ = &mut stop => break,
                known = &mut identity, if !is_identified => {
                    tracing::debug!(
                        ec2_instance_id = known.ec2_instance_id,
                        hostname = known.hostname,
                        resource_arn = known.resource_arn,
                        "Reporting telemetry as {known:?}"
                    );
                    self.identity = known;
                    is_identified = true;
                }
                _ = minutes.tick() => {
                    self.close_record(SystemTime::now());
                    // A call that runs is never cut, at the stop neither: the service may have taken what it carries, and
                    // the last call would carry it again. It takes two seconds at the most.
                    loop {
                        let is_more = self.send_some().await;
                        is_stopped = !matches!(stop.try_recv(), Err(TryRecvError::Empty));
                        if is_stopped || !is_more {
                            break;
                        }
                    }
                    if is_stopped {
                        break;
                    }
                }
            }
        }
        self.close_record(SystemTime::now());
        while self.send_some().await {}
    }

    /// Ends the current interval.
    fn close_record(&mut self, at: SystemTime) {
        let totals = Totals::of(&self.ledger);
        if self.records.len() == RECORDS_MAX {
            self.records.pop_front();
        }
        self.records.push_back(totals.since(&self.before, at));
        self.before = totals;
    }

    /// One call with the oldest records there are. True when there are more and it may go on; what was not taken stays
    /// for the next time.
    async fn send_some(&mut self) -> bool {
        if self.records.is_empty() {
            return false;
        }
        let records = self.records.len().min(RECORDS_PER_CALL_MAX);
        let report = Report {
            records: self.records.iter().take(records).collect(),
            identity: &self.identity,
        };
        // It has only numbers and strings in it.
        let body = serde_json::to_vec(&report).unwrap_or_default();
        tracing::debug!(records, "Send {records} telemetry record(s)");
        let result = self.client.put_telemetry(body.into(), CALL_TIMEOUT).await;
        self.ledger
            .telemetry_call_ended(result.as_ref().err().map(|error| Failure {
                class: error.class,
                status: error.status,
                message: &error.message,
            }));
        match result {
            Ok(()) => self.failing = false,
            Err(error) => {
                self.say_failed(&error);
                // Refused for good, so it would stand before all that come.
                if error.class != ErrorClass::Refused {
                    return false;
                }
            }
        }
        self.records.drain(..records);
        !self.records.is_empty()
    }

    fn say_failed(&mut self, error: &PutError) {
        if std::mem::replace(&mut self.failing, true) {
            tracing::debug!(
                error = error.message,
                "Sending telemetry records failed with: {}",
                error.message
            );
        } else {
            tracing::warn!(
                error = error.message,
                "Sending telemetry records failed with: {}; segments are not affected, --no-telemetry switches these \
                 calls off",
                error.message
            );
        }
    }
}

#[cfg(test)]
mod tests;
