//! What is measured: the daemon itself, and for the lines that a call touches calls alone, one after the other.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::task::JoinSet;
use xray::config::{self, Config, Environment, Files, Flags, Sourced};
use xray::exporters::Exporter as _;
use xray::exporters::xray::XRay;
use xray::exporters::xray::encoding::Segments;
use xray::pipeline::batch::encoding::Encoding as _;
use xray::pipeline::batch::kind::Kind;
use xray::{daemon, logs};
use xray_double::sized::Segment;

use super::{Result, say};

/// The role of the daemon.
pub(crate) const DAEMON: &str = "__daemon";

/// The role of calls alone.
pub(crate) const CALLS: &str = "__calls";

/// Calls before those that count: they load credentials, connect, and fill caches.
pub(crate) const WARM_UP: u64 = 20;

/// A typical segment.
pub(crate) const DOCUMENT_BYTES: usize = 1024;

/// In a batch.
pub(crate) const DOCUMENTS: u32 = Segments::MAX_DOCUMENTS as u32;

/// As long as those of a role of ECS or EC2, which most daemons have.
const SESSION_TOKEN_BYTES: usize = 800;

/// Written before each call and after the last one, so that a trace of memory shows where they are.
static MARK: AtomicU64 = AtomicU64::new(0);

/// Nothing of this machine.
#[derive(Debug)]
struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// `URL UDP_ADDRESS`: the daemon, as its program runs it, until SIGTERM.
pub(crate) fn daemon(arguments: &[String]) -> Result<()> {
    let [url, udp] = arguments else {
        return Err("a URL and an address".into());
    };
    let (config, environment) = settings(url, Some(udp))?;
    let log = logs::init(&config.log, None)?;
    daemon::run(config, environment, None)?;
    log.shutdown();
    Ok(())
}

/// `URL CALLS`: so many calls, and those before them. Tells where mark and body lie in memory, and waits for a line on stdin.
pub(crate) fn calls(arguments: &[String]) -> Result<()> {
    let [url, calls] = arguments else {
        return Err("a URL and a number of calls".into());
    };
    let calls: u64 = calls.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(call(url, WARM_UP + calls))
}

async fn call(url: &str, calls: u64) -> Result<()> {
    let (config, environment) = settings(url, None)?;
    let xray = XRay::connect(&config.xray, &environment, "us-east-1").await?;
    let body = body();
    say(&format!(
        "mark={} body={} bytes={}",
        (&raw const MARK).addr(),
        body.as_ptr().addr(),
        body.len()
    ));
    io::stdin().read_line(&mut String::new())?;
    let mut tasks = JoinSet::new();
    for number in 1..=calls {
        let (xray, body) = (xray.clone(), body.clone());
        MARK.store(number, Ordering::SeqCst);
        tasks.spawn(async move { xray.put(Kind::Segments, body).await });
        let Some(answer) = tasks.join_next().await else {
            return Err("a call is lost".into());
        };
        answer??;
    }
    MARK.store(0, Ordering::SeqCst);
    Ok(())
}

/// What flags and variables say.
fn settings(url: &str, udp: Option<&str>) -> Result<(Config, Environment)> {
    fn set<T>(value: T) -> Option<Sourced<T>> {
        let source = "this benchmark".to_owned();
        Some(Sourced { value, source })
    }
    let token = "IQoJb3JpZ2luX2VjE/+=".repeat(SESSION_TOKEN_BYTES / 20);
    let environment = Environment(
        [
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            (
                "AWS_SECRET_ACCESS_KEY",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            ),
            ("AWS_SESSION_TOKEN", &token),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/nonexistent/config"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
    );
    let flags = Flags {
        endpoint: set(url.to_owned()),
        region: set("us-east-1".to_owned()),
        local_mode: set(true),
        no_tcp: set(true),
        udp_address: udp.and_then(|udp| set(udp.to_owned())),
        ..Flags::default()
    };
    let config = config::load(&flags, &environment, &NoFiles)?;
    Ok((config, environment))
}

/// Fifty segments, as in a batch.
fn body() -> Bytes {
    let mut body = Segments::HEAD.to_vec();
    let mut segment = Segment::new(DOCUMENT_BYTES);
    for number in 0..DOCUMENTS {
        if number > 0 {
            body.extend_from_slice(Segments::SEPARATOR);
        }
        segment.numbered(number);
        Segments::append(segment.document(), &mut body);
    }
    body.extend_from_slice(Segments::TAIL);
    body.into()
}
