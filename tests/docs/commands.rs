//! The commands of the pages. Each block of them is run here, or says in its first line why not.
//!
//! A block that is run finds the program as `xray`, a `cargo` that does `cargo run` with it, and free ports where it says
//! 2000: those of a daemon, or of `xray dev`, which that daemon sends to.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use xray_double::harness::apps::clean;
use xray_double::harness::install::missing;
use xray_double::harness::process::Process;

use super::{pages, read, repository};

const XRAY: &str = env!("CARGO_BIN_EXE_xray");

/// How a block that is not run begins; the reason follows.
const NOT_RUN: &str = "# Not run by the tests: ";

/// What a block may be; only `sh` has commands.
const LANGUAGES: [&str; 7] = [
    "sh",
    "text",
    "python",
    "json",
    "yaml",
    "rust,ignore",
    "powershell",
];

/// What stands between two fences.
#[derive(Debug)]
struct Block {
    page: String,
    language: String,
    text: String,
}

impl Block {
    /// Its page and first line, by which it is known here.
    fn name(&self) -> (&str, &str) {
        let first = self.text.lines().next().unwrap_or_default();
        (&self.page, first.split("  ").next().expect("a part"))
    }
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for page in pages() {
        let text = read(&page);
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(language) = line.trim_start().strip_prefix("```") else {
                continue;
            };
            let text: Vec<_> = lines
                .by_ref()
                .take_while(|line| line.trim_start() != "```")
                .collect();
            blocks.push(Block {
                page: page.clone(),
                language: language.to_owned(),
                text: text.join("\n"),
            });
        }
    }
    blocks
}

/// Whom a block speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Nobody,
    Daemon,
    Dev,
}

/// What is seen when a block has done what it says.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// It ends well, and wrote this.
    Said(&'static str),
    /// It ends well, and `xray dev` shows this.
    Shown(&'static str),
    /// It writes this and runs on until it is told to stop.
    Serves(&'static str),
}

/// A block: its page and first line, whom it speaks to, and what is seen then.
type Run = (&'static str, &'static str, To, Seen);

const SAMPLE: &str = "GET /api/cart";

/// Every block that is run.
const RUN: [Run; 10] = [
    (
        "README.md",
        "cargo run --package xray -- dev",
        To::Nobody,
        Seen::Serves("Traces    http://"),
    ),
    (
        "README.md",
        "cargo run --package xray -- send",
        To::Dev,
        Seen::Shown(SAMPLE),
    ),
    (
        "docs/dev.md",
        "xray dev",
        To::Nobody,
        Seen::Serves("Traces    http://"),
    ),
    ("docs/dev.md", "xray send", To::Dev, Seen::Shown("by-hand")),
    (
        "docs/dev.md",
        "curl http://127.0.0.1:2000/TraceSummaries --json \"{\\\"StartTime\\\": $(($(date +%s) - 600)), \\\"EndTime\\\": $(date +%s)}\"",
        To::Dev,
        Seen::Said("\"TraceSummaries\":["),
    ),
    (
        "docs/metrics.md",
        "curl http://127.0.0.1:2000/metrics",
        To::Daemon,
        Seen::Said("xray_build_info{"),
    ),
    (
        "docs/operations.md",
        "xray healthcheck --ready",
        To::Daemon,
        Seen::Said("ready: "),
    ),
    (
        "docs/settings.md",
        "xray -o -m 64 --print-config",
        To::Nobody,
        Seen::Said("buffer-memory        64 MB"),
    ),
    (
        "docs/tcp-2000.md",
        "now=\"$(date +%s)\"",
        To::Daemon,
        Seen::Shown("by-tcp"),
    ),
    (
        "docs/troubleshooting.md",
        "xray healthcheck --ready",
        To::Daemon,
        Seen::Shown(SAMPLE),
    ),
];

/// Blocks that another target runs, and the file that does.
const RUN_ELSEWHERE: [(&str, &str, &str); 1] = [(
    "docs/dev.md",
    "aws xray get-trace-summaries --endpoint-url http://127.0.0.1:2000 --region us-east-1 --no-sign-request \\",
    "tests/dev/aws_cli/mod.rs",
)];

#[test]
fn each_block_of_commands_is_run_or_says_why_not() {
    let mut to_be_run: BTreeMap<_, usize> = BTreeMap::new();
    let blocks = blocks();
    for block in &blocks {
        assert!(LANGUAGES.contains(&block.language.as_str()), "{block:?}");
        if block.language != "sh" {
            continue;
        }
        if let Some(reason) = block.text.strip_prefix(NOT_RUN) {
            let reason = reason.lines().next().expect("a line");
            assert!(reason.ends_with('.') && reason.len() > 10, "{block:?}");
            continue;
        }
        *to_be_run.entry(block.name()).or_default() += 1;
    }
    let mut run: BTreeMap<_, usize> = RUN.iter().map(|(page, first, ..)| ((*page, *first), 1)).collect();
    for (page, first, file) in RUN_ELSEWHERE {
        run.insert((page, first), 1);
        let program: Vec<_> = first.split(' ').take(3).collect();
        let test = read(file);
        assert!(
            test.contains(page) && test.contains(&program.join(" ")),
            "{file} runs {first}"
        );
    }
    assert_eq!(to_be_run, run);
}

#[test]
fn no_page_has_commands_outside_of_a_block() {
    let programs = [
        "cargo", "xray", "docker", "curl", "aws", "kubectl", "just", "export", "pip", "$",
    ];
    for page in pages() {
        let text = read(&page);
        let mut in_block = false;
        for line in text.lines() {
            in_block ^= line.trim_start().starts_with("```");
            let indented = line.strip_prefix("    ").filter(|_| !in_block);
            let first = indented.and_then(|line| line.split_whitespace().next());
            assert!(
                !first.is_some_and(|first| programs.contains(&first)),
                "{page}: {line}"
            );
        }
    }
}

/// `xray dev`, and a daemon that sends to it.
struct Running {
    dev: (Process, SocketAddr, SocketAddr),
    daemon: (Process, SocketAddr, SocketAddr),
    _directory: TempDir,
}

fn address_after(words: &str, line: &str) -> Option<SocketAddr> {
    let rest = line.split_once(words)?.1;
    let address = rest.split([' ', '/']).next()?;
    address.parse().ok()
}

fn started(name: &'static str, command: &mut Command, words: [&str; 2]) -> (Process, SocketAddr, SocketAddr) {
    let process = Process::start(name, command);
    let [udp, tcp] = words.map(|words| process.wait_for(words, |line| address_after(words, line)));
    (process, udp, tcp)
}

impl Running {
    fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let addresses = ["-b", "127.0.0.1:0", "-t", "127.0.0.1:0"];
        let mut command = Command::new(XRAY);
        clean(&mut command)
            .current_dir(&directory)
            .arg("dev")
            .args(addresses);
        let dev = started("xray dev", &mut command, ["Segments  UDP ", "Traces    http://"]);
        let mut command = Command::new(XRAY);
        clean(&mut command)
            .current_dir(&directory)
            .args(["-o", "-n", "us-east-1"])
            .args(addresses)
            .env("XRAY_ENDPOINT", format!("http://{}", dev.2))
            .envs([("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key")]);
        let daemon = started(
            "xray",
            &mut command,
            ["Listening on UDP ", "Starting proxy http server on "],
        );
        daemon.0.wait_for("its credentials", |line| {
            line.contains("Using credentials from").then_some(())
        });
        Self {
            dev,
            daemon,
            _directory: directory,
        }
    }

    /// The addresses that a block means by 127.0.0.1:2000, for UDP and for TCP.
    fn addresses(&self, to: To) -> [String; 2] {
        match to {
            To::Nobody => ["127.0.0.1:0".to_owned(), "127.0.0.1:0".to_owned()],
            To::Daemon => [self.daemon.1, self.daemon.2].map(|address| address.to_string()),
            To::Dev => [self.dev.1, self.dev.2].map(|address| address.to_string()),
        }
    }
}

/// A directory with `xray`, and a `cargo` that runs it, for the search path.
fn programs() -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    std::os::unix::fs::symlink(XRAY, directory.path().join("xray")).expect("a link");
    let cargo = directory.path().join("cargo");
    let text =
        "#!/bin/sh\n[ \"$1 $2 $3 $4\" = 'run --package xray --' ] || exit 64\nshift 4\nexec xray \"$@\"\n";
    fs::write(&cargo, text).expect("a file");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&cargo, executable).expect("permissions");
    directory
}

fn shell(block: &Block, way: Seen, programs: &Path, addresses: &[String; 2]) -> Command {
    let [udp, tcp] = addresses;
    let text = block.text.replace("127.0.0.1:2000", tcp);
    let path = std::env::var("PATH").expect("a search path");
    let mut command = Command::new("sh");
    clean(&mut command)
        .current_dir(repository())
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_XRAY_DAEMON_ADDRESS", udp)
        .env("XRAY_BIND", udp)
        .env("XRAY_BIND_TCP", tcp);
    match way {
        // In place of the shell, so that it gets the signal.
        Seen::Serves(_) => command.args(["-c", &format!("exec {text}")]),
        _ => command.args(["-e", "-c", &text]),
    };
    command
}

fn has_curl() -> bool {
    Command::new("curl").arg("--version").output().is_ok()
}

#[test]
fn the_commands_of_the_pages_do_what_they_say() {
    if !has_curl() {
        missing("curl");
        return;
    }
    let programs = programs();
    let blocks = blocks();
    for (page, first, to, seen) in RUN {
        let block = blocks.iter().find(|block| block.name() == (page, first));
        let block = block.unwrap_or_else(|| panic!("{page} has no block that begins with {first:?}"));
        let running = Running::start();
        let process = Process::start(
            "a block",
            &mut shell(block, seen, programs.path(), &running.addresses(to)),
        );
        let (status, lines) = match seen {
            Seen::Serves(words) => {
                process.wait_for(words, |line| line.contains(words).then_some(()));
                process.terminate()
            }
            Seen::Said(words) => {
                let (status, lines) = process.end();
                assert!(
                    lines.iter().any(|line| line.contains(words)),
                    "{page}: {first}: {lines:#?}"
                );
                (status, lines)
            }
            Seen::Shown(words) => {
                let (status, lines) = process.end();
                assert!(status.success(), "{page}: {first}: {lines:#?}");
                running
                    .dev
                    .0
                    .wait_for(words, |line| line.contains(words).then_some(()));
                (status, lines)
            }
        };
        assert_eq!(status.code(), Some(0), "{page}: {first}: {lines:#?}");
    }
}
