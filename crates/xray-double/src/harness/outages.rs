//! The outages, each with its beginning and its end.

use std::path::Path;
use std::time::Duration;

use super::daemon::Setup;
use crate::double::Double;
use crate::faults::Fault;

/// What the endpoint does.
#[derive(Debug, Clone)]
pub enum Outage {
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
pub fn all() -> Vec<(&'static str, Outage)> {
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
    /// From now on the endpoint is so.
    pub async fn begin(&self, double: &Double) {
        match self {
            Self::Fault(fault) => double.faults().always(fault.clone()),
            Self::Down => double.stop().await,
            Self::Frozen => double.freeze(),
            Self::NoCredentials => {}
        }
    }

    /// The endpoint is well again. `home` is the daemon's home directory.
    pub async fn end(&self, double: &Double, home: &Path) {
        match self {
            Self::Fault(_) => double.faults().clear(),
            Self::Down => double.start_again().await.expect("the same port"),
            Self::Frozen => double.thaw(),
            Self::NoCredentials => {
                let directory = home.join(".aws");
                std::fs::create_dir_all(&directory).expect("a directory in the daemon's home");
                std::fs::write(
                    directory.join("credentials"),
                    "[default]\naws_access_key_id = AKIDEXAMPLE\n\
                     aws_secret_access_key = wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n",
                )
                .expect("a file in the daemon's home");
            }
        }
    }

    /// A daemon that meets it. A call that hangs ends sooner than by default, so that the test does.
    pub fn setup(&self, program: &str, double: &Double) -> Setup {
        let setup = Setup::new(program, &double.url()).args(&["--connect-timeout", "500ms"]);
        match self {
            Self::Fault(fault) if fault.to_string().starts_with("delay") => setup,
            Self::NoCredentials => setup
                .args(&["--call-timeout", "1s"])
                .env("AWS_ACCESS_KEY_ID", "")
                .env("AWS_SECRET_ACCESS_KEY", ""),
            _ => setup.args(&["--call-timeout", "1s"]),
        }
    }
}
