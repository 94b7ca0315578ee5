//! Back ends for OTLP, as processes that print what they were sent.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use xray_double::harness::apps::{address_after, clean};
use xray_double::harness::install::{self, repository};
use xray_double::harness::process::Process;

use crate::TMP;

/// A back end for OTLP.
pub(crate) struct Receiver {
    process: Process,
    pub(crate) address: SocketAddr,
}

impl Receiver {
    /// One that reads OTLP with OpenTelemetry's own messages, in gzip too; `python` has them.
    pub(crate) fn python(python: &Path) -> Self {
        let script = repository().join("tests/clients/receive.py");
        Self::start("receive.py", clean(&mut Command::new(python)).arg(script))
    }

    /// Elastic's mock OTLP server, which knows no gzip; `None` where there is no Node.js.
    pub(crate) fn elastic() -> Option<Self> {
        let directory = repository().join("tests/clients/otlp");
        let modules = install::node_packages(TMP, "otlp-node", &directory)?;
        let mut node = Command::new("node");
        clean(&mut node)
            .arg(directory.join("receive.mjs"))
            .env("NODE_PATH", modules);
        Some(Self::start("receive.mjs", &mut node))
    }

    fn start(name: &'static str, command: &mut Command) -> Self {
        let process = Process::start(name, command);
        let address = process.wait_for("where it listens", |line| {
            address_after("Listening on http://", line)
        });
        Self { process, address }
    }

    /// What was received once there are so many spans of this name, an object for each request: `path`, `headers` and `spans`,
    /// each with its `service`, `name`, `trace_id` and `attributes`.
    pub(crate) fn wait_for_spans(&self, name: &str, count: usize) -> Vec<Value> {
        self.process
            .wait_until(&format!("{count} spans {name}"), |lines| {
                let requests: Vec<Value> = lines
                    .iter()
                    .filter_map(|line| serde_json::from_str(line).ok())
                    .collect();
                (spans_of(&requests, name).len() >= count).then_some(requests)
            })
    }
}

/// The spans of this name.
pub(crate) fn spans_of<'r>(requests: &'r [Value], name: &str) -> Vec<&'r Value> {
    let spans = requests.iter().filter_map(|request| request["spans"].as_array());
    spans.flatten().filter(|span| span["name"] == name).collect()
}
