//! `xray doctor`, and what it says.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::process::Process;
use super::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// A visit that is not made yet.
#[must_use]
pub struct Visit {
    program: PathBuf,
    directory: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// What it said.
#[derive(Debug)]
pub struct Said {
    /// The exit code.
    pub code: Option<i32>,
    /// All that it wrote.
    pub json: Value,
}

impl Visit {
    /// One by `program` to a daemon that sends to `endpoint` with the double's keys, on free ports, and asks no metadata.
    pub fn new(program: impl Into<PathBuf>, endpoint: &str) -> Self {
        let visit = Self {
            program: program.into(),
            directory: TempDir::new().expect("a temporary directory"),
            arguments: ["-b", "127.0.0.1:0", "-t", "127.0.0.1:0"]
                .map(str::to_owned)
                .into(),
            environment: Vec::new(),
        };
        visit
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("XRAY_ENDPOINT", endpoint)
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
    }

    /// Sets a variable; the last setting counts, and an empty one is none.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// A path in its home.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("HOME", self.directory.path())
            .envs(self.environment.iter().cloned())
            .current_dir(&self.directory)
            .arg("doctor")
            .args(&self.arguments);
        command
    }

    /// What it says as JSON.
    #[must_use]
    pub fn make(&self) -> Said {
        let (status, lines) = Process::start("xray doctor", self.command().arg("--json")).end();
        let json = serde_json::from_str(&lines.concat());
        Said {
            code: status.code(),
            json: json.unwrap_or_else(|error| panic!("{error}: {lines:#?}")),
        }
    }

    /// What it says in lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        Process::start("xray doctor", &mut self.command()).end().1
    }
}

impl Said {
    /// The verdict of a check, and its message with its remedy.
    #[must_use]
    pub fn of(&self, check: &str) -> (String, String) {
        let verdicts = self.json["verdicts"].as_array().expect("a list of verdicts");
        let verdict = verdicts
            .iter()
            .find(|verdict| verdict["check"] == check)
            .unwrap_or_else(|| panic!("no {check} in {}", self.json));
        let text = |key: &str| verdict[key].as_str().unwrap_or_default().to_owned();
        (
            text("verdict"),
            format!("{} -> {}", text("message"), text("remedy")),
        )
    }

    /// Checks verdict and words of a check.
    ///
    /// # Panics
    /// When they are others.
    pub fn says(&self, check: &str, verdict: &str, words: &[&str]) {
        let (found, message) = self.of(check);
        assert_eq!(found, verdict, "{check}: {message}");
        for words in words {
            assert!(message.contains(words), "{check}: no {words:?} in: {message}");
        }
    }
}
