//! moto's X-Ray: takes what the daemon sends, gives it back to boto3.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::apps::{address_after, clean};
use crate::install;
use crate::process::Process;
use crate::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// A running `moto_server`.
pub(crate) struct Moto {
    address: SocketAddr,
    _process: Process,
}

/// What boto3 read.
#[derive(Deserialize)]
pub(crate) struct Traces {
    pub(crate) summaries: Vec<Summary>,
    pub(crate) traces: Vec<Trace>,
    /// Ids that the service does not know.
    pub(crate) unknown: Vec<String>,
}

/// Of `get_trace_summaries`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Summary {
    pub(crate) id: String,
    pub(crate) has_fault: bool,
    pub(crate) has_error: bool,
}

/// Of `batch_get_traces`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Trace {
    pub(crate) id: String,
    pub(crate) segments: Vec<Segment>,
}

/// See [`Trace`].
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Segment {
    pub(crate) document: String,
}

impl Moto {
    /// Starts a server on a free port.
    pub(crate) fn start(python: &Path) -> Self {
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
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All summaries, and the traces of these ids.
    pub(crate) fn read(&self, python: &Path, ids: &[String]) -> Traces {
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
    pub(crate) fn documents(&self) -> Vec<(&str, Value)> {
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
