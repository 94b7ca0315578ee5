//! The outages, each with its beginning and its end.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use xray::dev::double::Double;
use xray::dev::faults::Fault;

use crate::harness::{Setup, double};

/// What the endpoint does.
#[derive(Debug, Clone)]
pub(crate) enum Outage {
    /// Every call meets this.
    Fault(Fault),
    /// Nobody listens.
    Down,
    /// Connections are taken and nothing is answered, as by a process that is stopped.
    Frozen,
    /// The endpoint is well, and the daemon has no credentials.
    NoCredentials,
}

/// Every one of them, with its name.
pub(crate) fn all() -> Vec<(&'static str, Outage)> {
    let fault = |name, fault| (name, Outage::Fault(fault));
    vec![
        ("down", Outage::Down),
        ("frozen", Outage::Frozen),
        fault("hanging", Fault::hang()),
        fault("closing", Fault::close()),
        fault("resetting", Fault::reset()),
        fault("half an answer", Fault::half_answer()),
        fault("500", Fault::status(500)),
        fault("502", Fault::status(502)),
        fault("503", Fault::status(503)),
        fault("504", Fault::status(504)),
        fault("throttled", Fault::throttled()),
        fault("429 without a code", Fault::status(429)),
        fault(
            "429 with Retry-After",
            Fault::throttled().with_header("retry-after", "1"),
        ),
        fault("slow by 1 s", Fault::delay(Duration::from_secs(1))),
        fault(
            "403",
            Fault::error(403, "ExpiredTokenException", "The security token is expired"),
        ),
        fault(
            "400 with a proxy's page",
            Fault::answer(400, "<html><h1>400 Bad Request</h1></html>"),
        ),
        fault("redirect", Fault::redirect(301, "http://127.0.0.1:9/elsewhere")),
        fault("200 with a page", Fault::html_ok()),
        fault("200 with nothing", Fault::empty_ok()),
        ("no credentials", Outage::NoCredentials),
    ]
}

impl Outage {
    pub(crate) async fn begin(&self, double: &Double) {
        match self {
            Self::Fault(fault) => double.faults().always(fault.clone()),
            Self::Down => double.stop().await,
            Self::Frozen => double.freeze(),
            Self::NoCredentials => {}
        }
    }

    /// `home` is the daemon's home directory.
    pub(crate) async fn end(&self, double: &Double, home: &Path) {
        match self {
            Self::Fault(_) => double.faults().clear(),
            Self::Down => double.start_again().await.unwrap(),
            Self::Frozen => double.thaw(),
            Self::NoCredentials => {
                let directory = home.join(".aws");
                std::fs::create_dir_all(&directory).unwrap();
                std::fs::write(
                    directory.join("credentials"),
                    "[default]\naws_access_key_id = AKIDEXAMPLE\n\
                     aws_secret_access_key = wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n",
                )
                .unwrap();
            }
        }
    }

    /// A daemon that meets it. A call that hangs ends sooner than by default, so that the test does.
    pub(crate) fn setup(&self, double: &Double) -> Setup {
        let setup = Setup::new(&double.url()).args(&["--connect-timeout", "500ms"]);
        match self {
            Self::Fault(fault) if fault.to_string().starts_with("delay") => setup,
            Self::NoCredentials => setup
                .args(&["--call-timeout", "500ms"])
                .env("AWS_ACCESS_KEY_ID", "")
                .env("AWS_SECRET_ACCESS_KEY", ""),
            _ => setup.args(&["--call-timeout", "500ms"]),
        }
    }
}

/// Tries each outage on a thread and a runtime of its own, all at once since they mostly wait, and names those in which
/// the test failed.
pub(crate) fn each<F: Future<Output = ()>>(test: impl Fn(Double, Outage) -> F + Copy + Send + Sync) {
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let threads: Vec<_> = all()
            .into_iter()
            .map(|(name, outage)| {
                let thread = scope.spawn(move || {
                    // The test waits for the process on this thread; the double answers on the other one.
                    let runtime = tokio::runtime::Builder::new_multi_thread()
                        .worker_threads(1)
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(async {
                        let double = double().await;
                        test(double, outage).await;
                    });
                });
                (name, thread)
            })
            .collect();
        threads
            .into_iter()
            .filter_map(|(name, thread)| thread.join().is_err().then_some(name))
            .collect()
    });
    assert!(failed.is_empty(), "failed for: {}", failed.join(", "));
}
