//! The project's own X-Ray as the endpoint of a daemon in another process.

use tokio::runtime::Runtime;
use xray_double::double::{Double, DoubleConfig};
use xray_double::harness::process::PATIENCE;
use xray_double::harness::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use xray_double::sigv4::Key;
use xray_double::state::RecordedRequest;
use xray_service::sampling::SamplingRule;
use xray_service::service::Operation;

/// A running X-Ray that takes what is signed with the tests' credentials for the tests' region, and nothing else.
pub(crate) struct Endpoint {
    double: Double,
    /// Where it runs; dropped after it.
    runtime: Runtime,
}

impl Endpoint {
    /// Starts it on a free port.
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let config = DoubleConfig {
            keys: vec![Key::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY)],
            region: Some(REGION.to_owned()),
            ..DoubleConfig::default()
        };
        let double = runtime.block_on(Double::start(config)).expect("a free port");
        Self { double, runtime }
    }

    /// From now on connections are refused.
    pub(crate) fn stop(&self) {
        self.runtime.block_on(self.double.stop());
    }

    /// On the same port, with all that it has.
    pub(crate) fn start_again(&self) {
        self.runtime
            .block_on(self.double.start_again())
            .expect("the same port");
    }

    /// What to write into the daemon's `Endpoint`.
    pub(crate) fn url(&self) -> String {
        self.double.url()
    }

    /// Waits for so many documents; all that were accepted, in the order in which they were.
    pub(crate) fn wait_for_documents(&self, documents: usize) -> Vec<String> {
        let wait = self.double.wait_for_documents(documents as u64, PATIENCE);
        self.runtime
            .block_on(wait)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// What `find` makes of all documents so far, as soon as that is something.
    pub(crate) fn wait_for<T>(&self, what: &str, find: impl Fn(&[String]) -> Option<T>) -> T {
        let mut count = 0;
        loop {
            let documents = self.documents();
            if let Some(found) = find(&documents) {
                return found;
            }
            count = documents.len().max(count);
            let more = self.double.wait_for_documents(count as u64 + 1, PATIENCE);
            self.runtime
                .block_on(more)
                .unwrap_or_else(|error| panic!("waited for {what}: {error}"));
        }
    }

    /// Replaces the sampling rules; the default rule stays.
    pub(crate) fn set_sampling_rules(&self, rules: Vec<SamplingRule>) {
        self.double.set_sampling_rules(rules);
    }

    /// The calls of one operation so far, all with valid signatures.
    pub(crate) fn calls(&self, operation: Operation) -> Vec<RecordedRequest> {
        let calls = self.double.requests_to(operation);
        for call in &calls {
            assert!(call.signature.is_valid(), "{call}");
        }
        calls
    }

    /// All documents so far.
    pub(crate) fn documents(&self) -> Vec<String> {
        self.double.documents()
    }

    /// Asserts that every request was a PutTraceSegments as the official daemon makes it, accepted and with a valid
    /// signature; how many documents each had.
    pub(crate) fn check_requests(&self) -> Vec<usize> {
        let requests = self.double.requests();
        let calls = requests.iter().map(|request| {
            let says = format!("{request}");
            assert_eq!(request.operation, Some(Operation::PutTraceSegments), "{says}");
            assert!(request.signature.is_valid(), "{says}");
            assert_eq!(request.header("content-type"), Some("application/json"), "{says}");
            let agent = request.header("user-agent").expect("a user agent");
            let daemon = concat!(
                " xray-agent/xray-daemon/",
                env!("CARGO_PKG_VERSION"),
                " exec-env/UNKNOWN OS/"
            );
            let system = agent
                .split_once(daemon)
                .unwrap_or_else(|| panic!("no{daemon} in {agent}"))
                .1;
            assert!(
                system.starts_with("linux-") || system.starts_with("darwin-"),
                "{agent}"
            );
            let timestamp = request.header("x-amzn-xray-timestamp").expect("a timestamp");
            let (seconds, decimals) = timestamp
                .split_once('.')
                .unwrap_or_else(|| panic!("no point in {timestamp}"));
            assert!(
                seconds.parse::<u64>().is_ok() && decimals.parse::<u64>().is_ok(),
                "{timestamp}"
            );
            assert_eq!(decimals.len(), 9, "decimals of {timestamp}");
            let body: serde_json::Value = serde_json::from_slice(&request.body).expect("a JSON body");
            body["TraceSegmentDocuments"]
                .as_array()
                .unwrap_or_else(|| panic!("no documents: {says}"))
                .len()
        });
        calls.collect()
    }
}
