//! `PutTelemetryRecords`: what daemons report about themselves. Fields and limits are those of botocore's model.

use serde::Deserialize;

/// The body of one call.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TelemetryReport {
    /// At least one; required.
    #[serde(rename = "TelemetryRecords")]
    pub records: Vec<TelemetryRecord>,
    /// At most 20 characters; the official daemon sends `""` when it does not know.
    #[serde(rename = "EC2InstanceId", default)]
    pub ec2_instance_id: Option<String>,
    /// At most 255 characters; `""` as above.
    #[serde(default)]
    pub hostname: Option<String>,
    /// At most 500 characters; `""` as above.
    #[serde(rename = "ResourceARN", default)]
    pub resource_arn: Option<String>,
}

/// The counts of one interval.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TelemetryRecord {
    /// Seconds since 1970; required.
    pub timestamp: f64,
    /// Segments that came in, rejected ones included.
    #[serde(default)]
    pub segments_received_count: Option<u64>,
    /// Segments sent.
    #[serde(default)]
    pub segments_sent_count: Option<u64>,
    /// Segments dropped for want of room.
    #[serde(default)]
    pub segments_spillover_count: Option<u64>,
    /// Segments rejected.
    #[serde(default)]
    pub segments_rejected_count: Option<u64>,
    /// Failed calls.
    #[serde(default)]
    pub backend_connection_errors: Option<BackendErrors>,
}

/// Failed calls of one interval, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BackendErrors {
    /// No answer in time.
    pub timeout_count: u64,
    /// Nobody listened.
    pub connection_refused_count: u64,
    /// Answered 4xx.
    #[serde(rename = "HTTPCode4XXCount")]
    pub http_code_4xx_count: u64,
    /// Answered 5xx.
    #[serde(rename = "HTTPCode5XXCount")]
    pub http_code_5xx_count: u64,
    /// The endpoint's name did not resolve.
    pub unknown_host_count: u64,
    /// Anything else.
    pub other_count: u64,
}

impl TelemetryReport {
    /// The first limit of the model that is broken, in words.
    pub(super) fn broken_limit(&self) -> Option<String> {
        let too_long = |name: &str, value: &Option<String>, most: usize| {
            let chars = value.as_ref().map_or(0, |text| text.chars().count());
            (chars > most).then(|| format!("{name} has {chars} characters, more than {most}"))
        };
        too_long("EC2InstanceId", &self.ec2_instance_id, 20)
            .or_else(|| too_long("Hostname", &self.hostname, 255))
            .or_else(|| too_long("ResourceARN", &self.resource_arn, 500))
    }
}
