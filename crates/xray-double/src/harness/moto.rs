//! moto's X-Ray: takes what the daemon sends, gives it back to boto3.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use super::apps::{address_after, clean};
use super::install;
use super::process::Process;
use super::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// A running `moto_server`.
pub struct Moto {
    address: SocketAddr,
    _process: Process,
}

/// What boto3 read.
#[derive(Deserialize)]
pub struct Traces {
    /// Of all traces.
    pub summaries: Vec<Summary>,
    /// Those that were asked for.
    pub traces: Vec<Trace>,
    /// Ids that the service does not know.
    pub unknown: Vec<String>,
}

/// Of `get_trace_summaries`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Summary {
    /// Of the trace.
    pub id: String,
    /// 5xx somewhere.
    pub has_fault: bool,
    /// 4xx somewhere.
    pub has_error: bool,
}

/// Of `batch_get_traces`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Trace {
    /// `1-<8 hex>-<24 hex>`.
    pub id: String,
    /// In the order of the service.
    pub segments: Vec<Segment>,
}

/// See [`Trace`].
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Segment {
    /// JSON.
    pub document: String,
}

impl Moto {
    /// Starts a server on a free port.
    pub fn start(python: &Path) -> Self {
        let process = Process::start(
            "moto_server",
            clean(&mut Command::new(python.with_file_name("moto_server")))
                .args(["-H", "127.0.0.1", "-p", "0"])
                // It keeps local times, the questions are asked in UTC.
                .env("TZ", "UTC"),
        );
        let address = process.wait_for("where it listens", |line| {
            address_after("Running on http://", line)
        });
        Self {
            address,
            _process: process,
        }
    }

    /// What to write into the daemon's `Endpoint`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All summaries, and the traces of these ids.
    pub fn read(&self, python: &Path, ids: &[String]) -> Traces {
        let output = clean(&mut Command::new(python))
            .arg(install::repository().join("tests/clients/read_traces.py"))
            .arg(self.url())
            .args(ids)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            .env("AWS_DEFAULT_REGION", REGION)
            // Neither a profile of this user nor a metadata service has a say.
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .output()
            .expect("Python starts");
        assert!(
            output.status.success(),
            "boto3 cannot read from moto:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).expect("read_traces.py prints JSON")
    }
}

impl Traces {
    /// The documents, parsed, with the ids of the traces they were found in.
    pub fn documents(&self) -> Vec<(&str, Value)> {
        self.traces
            .iter()
            .flat_map(|trace| {
                trace.segments.iter().map(|segment| {
                    let document =
                        serde_json::from_str(&segment.document).expect("an SDK's document is JSON");
                    (trace.id.as_str(), document)
                })
            })
            .collect()
    }
}
