//! The whole way of one segment, on this machine and without an AWS account: starts an X-Ray service of its own, the
//! daemon in front of it, sends one segment over UDP, and shows what arrives.
//!
//! `cargo run --release --example forward`; exits with 0 when the document arrived byte for byte.

#![allow(clippy::print_stdout, reason = "it is there to be read")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use xray::cli::{self, Invocation};
use xray::config::{self, Environment, Files};
use xray::daemon::{Daemon, Stop};
use xray::dev::double::{Double, DoubleConfig};
use xray::logs;

/// As the X-Ray SDK for Python sends it for a Flask route with one subsegment.
const SEGMENT: &str = r#"{"name": "backend-flask", "id": "53995c3f42cd8ad8", "trace_id": "1-5f84c7a5-e1de1ca3d5ea3b5a4e5b6c7d", "start_time": 1761732138.25, "end_time": 1761732138.5, "http": {"request": {"method": "GET", "url": "http://localhost:4567/api/activities/home"}, "response": {"status": 200}}, "subsegments": [{"name": "home_activities", "id": "7f2b0c1d9e8a4f36", "start_time": 1761732138.3, "end_time": 1761732138.4, "namespace": "local", "annotations": {"user": "andrewbrown"}}]}"#;

/// A cfg.yaml that is not on disk.
struct Text(String);

impl Files for Text {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = Double::start(DoubleConfig::default()).await?;
    println!(
        "X-Ray    an X-Ray service of our own at {}; it checks every signature",
        service.url()
    );

    let arguments = [
        "-c",
        "example.yaml",
        "-b",
        "127.0.0.1:0",
        "-t",
        "127.0.0.1:0",
        "-n",
        "us-east-1",
    ];
    let Invocation::Run(flags) = cli::parse(arguments.map(Into::into))? else {
        return Err("these arguments run the daemon".into());
    };
    let environment = Environment(BTreeMap::from(
        [
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            (
                "AWS_SECRET_ACCESS_KEY",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    ));
    let file = Text(format!("Version: 2\nEndpoint: \"{}\"\n", service.url()));
    let config = config::load(&flags, &environment, &file)?;
    let log = logs::init(&config.log)?;

    let daemon = Daemon::bind(config, environment)?;
    let address = daemon.udp_address();
    let (stop, stopped) = watch::channel(Stop::Run);
    let daemon = tokio::spawn(daemon.run(stopped));

    let datagram = format!("{{\"format\":\"json\",\"version\":1}}\n{SEGMENT}");
    UdpSocket::bind("127.0.0.1:0")?.send_to(datagram.as_bytes(), address)?;
    let sent = format!(
        "sent     a segment of {} bytes to UDP {address}, as an X-Ray SDK does",
        SEGMENT.len()
    );

    let arrived = service.wait_for_documents(1, Duration::from_secs(10)).await?;
    stop.send_replace(Stop::Drain);
    let totals = daemon.await??;
    // So that the daemon's lines stand together, before ours.
    log.shutdown();
    println!("{sent}");
    println!("daemon   {totals}");
    if arrived != [SEGMENT] {
        return Err(format!("what arrived is not what was sent: {arrived:?}").into());
    }
    println!("X-Ray    got the segment, byte for byte:\n{}", arrived[0]);
    Ok(())
}
