//! The scripts beside a running `xray dev`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use xray_double::harness::apps::clean;
use xray_double::harness::install;

/// Runs a script of this directory with the environment of `tests/clients`; what it prints, as JSON.
pub(crate) fn python(python: &Path, script: &str, arguments: &[&str], daemon: Option<&str>) -> Value {
    let mut command = Command::new(python);
    clean(&mut command)
        .arg(install::repository().join("tests/dev").join(script))
        .args(arguments)
        .env("AWS_ACCESS_KEY_ID", "anything")
        .env("AWS_SECRET_ACCESS_KEY", "at all")
        .env("AWS_DEFAULT_REGION", "eu-north-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("TZ", "UTC")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    if let Some(daemon) = daemon {
        command.env("AWS_XRAY_DAEMON_ADDRESS", daemon);
    }
    let output = command.output().expect("Python starts");
    assert!(
        output.status.success(),
        "{script} failed:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}
