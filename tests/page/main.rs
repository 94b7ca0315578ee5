//! The page of `xray dev` in a real Chromium: `page.test.mjs` sends segments over UDP to the real binary and looks at
//! what the browser shows. Screenshots are left in `target/page`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use xray_double::harness::install;
use xray_double::harness::process::Process;

/// Debian's.
const CHROMIUM: &str = "/usr/bin/chromium";

#[test]
fn the_page_shows_in_a_browser_what_was_sent() {
    let tests = install::repository().join("tests/page");
    if !Path::new(CHROMIUM).exists() {
        install::missing("Chromium (Debian: apt-get install chromium)");
        return;
    }
    let Some(modules) = install::node_packages(env!("CARGO_TARGET_TMPDIR"), "page", &tests) else {
        return;
    };

    let profile = tempfile::tempdir().expect("a directory for the browser's profile");
    let logs = tempfile::tempdir().expect("a directory for a log");
    let log = logs.path().join("app.log");
    let dev = Process::start(
        "xray dev",
        clean(&mut Command::new(env!("CARGO_BIN_EXE_xray")))
            .args([
                "dev",
                "-b",
                "127.0.0.1:0",
                "-t",
                "127.0.0.1:0",
                "--log-format",
                "json",
                "--tail",
            ])
            .arg(&log),
    );
    let listening = dev.wait_for("its addresses", |line| {
        let said: Value = serde_json::from_str(line).ok()?;
        said.get("listening").cloned()
    });
    let address = |name: &str| listening[name].as_str().expect("an address").to_owned();

    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("page");
    fs::create_dir_all(&screenshots).expect("a directory under target");
    let mut node = clean(&mut Command::new("node"))
        .arg(tests.join("page.test.mjs"))
        .env("PAGE_URL", address("page"))
        .env("PAGE_UDP", address("udp"))
        .env("PAGE_MODULES", modules)
        .env("PAGE_CHROMIUM", CHROMIUM)
        .env("PAGE_PROFILE", profile.path())
        .env("PAGE_SCREENSHOTS", &screenshots)
        .env("PAGE_LOG", &log)
        .env("PAGE_LIFELINE", "stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Node.js starts");
    // The script ends itself and the browser when this end of its stdin closes, however this process ends.
    let lifeline = node.stdin.take();
    let output = node.wait_with_output().expect("Node.js can be waited for");
    drop(lifeline);
    assert!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What is set on the machine (a proxy, another daemon's address) must not decide what is tested.
fn clean(command: &mut Command) -> &mut Command {
    command.env_clear();
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}
