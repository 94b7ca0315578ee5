//! The two example apps and the tests' own in Java and Go, which have the same routes and trace them in the same way.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::compiled::Java;
use super::install;
use super::process::Process;

/// A running app.
pub struct App {
    /// Its segments' name.
    pub name: &'static str,
    /// Where it answers HTTP.
    pub address: SocketAddr,
    process: Process,
}

impl App {
    /// `examples/backend-flask`, run by `python` as its Dockerfile runs it, on a free port. `daemon` is where its
    /// SDK looks for the daemon.
    pub fn flask(python: &Path, daemon: impl Display) -> Self {
        Self::flask_with(python, daemon, &[])
    }

    /// As [`App::flask`], with these variables besides.
    pub fn flask_with(python: &Path, daemon: impl Display, variables: &[(&str, &str)]) -> Self {
        let process = Process::start(
            "backend-flask",
            clean(&mut Command::new(python))
                .args([
                    "-m",
                    "flask",
                    "--app",
                    "app",
                    "run",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    "0",
                ])
                .current_dir(install::repository().join("examples/backend-flask"))
                .env("AWS_XRAY_DAEMON_ADDRESS", daemon.to_string())
                .envs(variables.iter().copied())
                // Nothing is written beside the sources.
                .env("PYTHONDONTWRITEBYTECODE", "1"),
        );
        let address = process.wait_for("where it listens", |line| {
            address_after("Running on http://", line)
        });
        Self {
            name: "backend-flask",
            address,
            process,
        }
    }

    /// `examples/backend-express` with the packages in `node_modules`, on a free port. `daemon` as with
    /// [`App::flask`].
    pub fn express(node_modules: &Path, daemon: impl Display) -> Self {
        let process = Process::start(
            "backend-express",
            clean(&mut Command::new("node"))
                .arg("app.js")
                .current_dir(install::repository().join("examples/backend-express"))
                .env("NODE_PATH", node_modules)
                .env("PORT", "0")
                .env("AWS_XRAY_DAEMON_ADDRESS", daemon.to_string()),
        );
        Self::listening("backend-express", process)
    }

    /// `tests/clients/java`: a servlet behind the X-Ray SDK's filter, on a free port. `daemon` as with [`App::flask`].
    pub fn java(java: &Java, daemon: impl Display) -> Self {
        // Where Tomcat may write; it writes nothing.
        let base = std::env::temp_dir().join("xray-tests-tomcat");
        let process = Process::start(
            "backend-java",
            clean(&mut java.command("App"))
                .arg(base)
                .env("AWS_XRAY_DAEMON_ADDRESS", daemon.to_string()),
        );
        Self::listening("backend-java", process)
    }

    /// `tests/clients/go`: a handler behind that of the X-Ray SDK, on a free port. `daemon` as with [`App::flask`].
    pub fn go(program: &Path, daemon: impl Display) -> Self {
        let process = Process::start(
            "backend-go",
            clean(&mut Command::new(program)).env("AWS_XRAY_DAEMON_ADDRESS", daemon.to_string()),
        );
        Self::listening("backend-go", process)
    }

    fn listening(name: &'static str, process: Process) -> Self {
        let address = process.wait_for("where it listens", |line| {
            address_after("listens on http://", line)
        });
        Self {
            name,
            address,
            process,
        }
    }

    /// Ends the app as Docker does.
    pub fn stop(self) {
        self.process.terminate();
    }
}

/// Takes the variables of this process away but for those that programs are found by: what is set on the machine (a
/// proxy, a profile, another daemon's address) must not decide what is tested.
pub fn clean(command: &mut Command) -> &mut Command {
    command.env_clear();
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// The address in `line` after `words`.
pub fn address_after(words: &str, line: &str) -> Option<SocketAddr> {
    let rest = line.split_once(words)?.1;
    rest.split_whitespace().next()?.parse().ok()
}
