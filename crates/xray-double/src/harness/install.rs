//! What the tests need that Cargo does not bring, under `target/clients`: a Python environment with the packages of
//! `requirements.txt`, and the packages of the Express example. Installed once for each version of those lists.
//!
//! `tmp` is `CARGO_TARGET_TMPDIR`, beside which `target/clients` is.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory of the workspace's `Cargo.toml`.
#[must_use]
pub fn repository() -> &'static Path {
    // This package is `crates/xray-double`.
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own)
}

/// The Python interpreter of an environment with everything in `requirements.txt`, or `None` where there is no Python.
///
/// # Panics
/// As [`python_packages`].
pub fn python(tmp: &str) -> Option<PathBuf> {
    let lists = [
        "tests/clients/requirements.txt",
        "examples/backend-flask/requirements.txt",
    ];
    python_packages(tmp, "venv", &lists)
}

/// The Python interpreter of an environment `name` with what the first of `lists` asks for, which may take in the others, or
/// `None` where there is no Python.
///
/// # Panics
/// When the installation fails, and when there is no Python but `CI` is set.
pub fn python_packages(tmp: &str, name: &str, lists: &[&str]) -> Option<PathBuf> {
    // 3.11 is the first with `datetime.UTC`, and the oldest that the pinned packages take.
    let probe = "import sys, ensurepip, venv; print(sys.executable, sys.version); sys.exit(sys.version_info < (3, 11))";
    let Some(version) = version_of(Command::new("python3").args(["-c", probe]), "python3") else {
        return missing("Python 3.11 or newer with its venv module (Debian: apt-get install python3-venv)");
    };
    let lists: Vec<_> = lists.iter().map(|list| repository().join(list)).collect();
    let environment = installed(tmp, name, &version, &lists, |directory| {
        run(Command::new("python3").args(["-m", "venv"]).arg(directory));
        run(Command::new(directory.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--disable-pip-version-check",
                "-r",
            ])
            .arg(&lists[0]));
    });
    Some(environment.join("bin/python"))
}

/// The `node_modules` of the Express example, or `None` where there is no Node.js.
///
/// # Panics
/// As [`node_packages`].
pub fn node_modules(tmp: &str) -> Option<PathBuf> {
    node_packages(tmp, "express", &repository().join("examples/backend-express"))
}

/// The `node_modules` with what `package.json` and its lock file in the directory `of` ask for, installed as `name`, or
/// `None` where there is no Node.js.
///
/// # Panics
/// When the installation fails, and when there is no Node.js but `CI` is set.
pub fn node_packages(tmp: &str, name: &str, of: &Path) -> Option<PathBuf> {
    let node = version_of(Command::new("node").arg("--version"), "node");
    let npm = version_of(Command::new("npm").arg("--version"), "npm");
    let (Some(node), Some(npm)) = (node, npm) else {
        return missing("Node.js 18 or newer with npm (Debian: apt-get install nodejs npm)");
    };
    let lists = [of.join("package.json"), of.join("package-lock.json")];
    let environment = installed(tmp, name, &format!("{node} {npm}"), &lists, |directory| {
        fs::create_dir_all(directory).expect("a directory under target");
        for list in &lists {
            fs::copy(list, directory.join(list.file_name().expect("a file"))).expect("a copy under target");
        }
        run(Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(directory));
    });
    Some(environment.join("node_modules"))
}

/// The directory `name` under `target/clients`, made by `install` unless it has been made from the same `lists` with
/// the same `tools` before. Tests of other processes and threads wait meanwhile.
pub(super) fn installed(
    tmp: &str,
    name: &str,
    tools: &str,
    lists: &[PathBuf],
    install: impl FnOnce(&Path),
) -> PathBuf {
    let root = Path::new(tmp).with_file_name("clients");
    fs::create_dir_all(&root).expect("a directory under target");
    let lock = File::create(root.join(format!("{name}.lock"))).expect("a file under target");
    // Held until this function returns, however it does.
    lock.lock().expect("a lock on a file under target");

    let directory = root.join(name);
    let stamp = root.join(format!("{name}.stamp"));
    let mut wanted = tools.to_owned();
    for list in lists {
        wanted.push_str(&fs::read_to_string(list).expect("a list of packages"));
    }
    if fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == wanted) {
        return directory;
    }
    // The stamp goes first and comes last, so that a half-made directory never has one.
    drop(fs::remove_file(&stamp));
    drop(fs::remove_dir_all(&directory));
    say(&format!("installing {}", directory.display()));
    install(&directory);
    fs::write(stamp, wanted).expect("a file under target");
    directory
}

/// What the tool says of its version, or `None` when it is missing or says that it will not do.
pub(super) fn version_of(command: &mut Command, tool: &str) -> Option<String> {
    let output = command.output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then(|| format!("{tool} {version}\n"))
}

pub(super) fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// `None`, with a line that the test is skipped.
///
/// # Panics
/// When `CI` is set.
pub fn missing(what: &str) -> Option<PathBuf> {
    assert!(
        std::env::var_os("CI").is_none(),
        "CI is set, so this test needs {what}"
    );
    let thread = std::thread::current();
    say(&format!(
        "SKIPPED {}: there is no {what}",
        thread.name().unwrap_or("a test")
    ));
    None
}

/// Past the test harness, which keeps what `eprintln!` writes to itself while a test passes.
fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
