//! Rows and how they are run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Debug;
use std::fs;
use std::io::{Error, ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use xray::cli::{Invocation, parse, with_environment};
use xray::config::otlp::{RequestForm, Routes};
use xray::config::{
    BufferConfig, Config, ConfigError, Environment, Files, Flags, OtlpConfig, TcpConfig, UdpConfig,
    XRayConfig, load,
};

use crate::differences::Difference;

/// The default location that goes before the working directory's file.
const ETC: &str = "/etc/amazon/xray/cfg.yaml";

/// What a row's command line comes to.
pub(crate) enum Outcome {
    /// It runs; the settings that are not at their default, and the beginnings of the warnings.
    Runs(&'static [&'static str]),
    /// Exit 0 with this on stdout and nothing on stderr.
    Prints(fn() -> String),
    /// Exit 2 with these two lines on stderr and the help on stdout.
    Misused(&'static str, &'static str),
    /// Exit 1 with exactly these problems on stderr, nothing on stdout.
    Fails(&'static [&'static str]),
}

/// A case.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) args: &'static [&'static str],
    /// Files by path.
    pub(crate) files: &'static [(&'static str, &'static str)],
    variables: &'static [&'static str],
    outcome: Outcome,
    warnings: &'static [&'static str],
    pub(crate) differs: Option<&'static Difference>,
}

const fn row(name: &'static str, args: &'static [&'static str], outcome: Outcome) -> Row {
    Row {
        name,
        args,
        files: &[],
        variables: &[],
        outcome,
        warnings: &[],
        differs: None,
    }
}

/// The daemon runs with these settings, named as in [`settings`], and every other one at its default.
pub(crate) const fn runs(
    name: &'static str,
    args: &'static [&'static str],
    settings: &'static [&'static str],
) -> Row {
    row(name, args, Outcome::Runs(settings))
}

/// Exit 0 with this text.
pub(crate) const fn prints(name: &'static str, args: &'static [&'static str], text: fn() -> String) -> Row {
    row(name, args, Outcome::Prints(text))
}

/// Exit 2 with this message and this hint.
pub(crate) const fn misused(
    name: &'static str,
    args: &'static [&'static str],
    message: &'static str,
    hint: &'static str,
) -> Row {
    row(name, args, Outcome::Misused(message, hint))
}

/// Exit 1 with these problems.
pub(crate) const fn fails(
    name: &'static str,
    args: &'static [&'static str],
    problems: &'static [&'static str],
) -> Row {
    row(name, args, Outcome::Fails(problems))
}

/// Runs every case, and names all that are not as expected.
pub(crate) fn check_all(rows: impl Iterator<Item = &'static Row>) {
    let wrong: Vec<String> = rows.flat_map(Row::check).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What was not as expected in the case of that name.
struct Wrong(&'static str, Vec<String>);

impl Wrong {
    fn compare<L: Debug + PartialEq<R>, R: Debug>(&mut self, is: L, expected: R) {
        if is != expected {
            self.1
                .push(format!("{}\n        is {is:?}\n  expected {expected:?}", self.0));
        }
    }
}

impl Row {
    /// With these files, by path.
    pub(crate) const fn files(mut self, files: &'static [(&'static str, &'static str)]) -> Self {
        self.files = files;
        self
    }

    /// With these environment variables set, each as `NAME=VALUE` or as `NAME`, which is then `x`.
    pub(crate) const fn variables(mut self, names: &'static [&'static str]) -> Self {
        self.variables = names;
        self
    }

    /// With exactly these warnings.
    pub(crate) const fn warns(mut self, warnings: &'static [&'static str]) -> Self {
        self.warnings = warnings;
        self
    }

    /// The official daemon does otherwise.
    pub(crate) const fn differs(mut self, difference: &'static Difference) -> Self {
        self.differs = Some(difference);
        self
    }

    /// Runs the case, with the real binary too if it exits; what was not as expected.
    fn check(&self) -> Vec<String> {
        let mut wrong = Wrong(self.name, Vec::new());
        match (&self.outcome, parse(self.args.iter().map(OsString::from))) {
            (Outcome::Runs(expected), Ok(Invocation::Run(flags))) => match self.load(&flags) {
                Ok(config) => {
                    wrong.compare(&changed(&config)[..], *expected);
                    wrong.compare(&config.warnings[..], self.warnings);
                }
                Err(error) => wrong.compare(error.problems(), &[""; 0][..]),
            },
            (Outcome::Prints(text), Ok(Invocation::Print(printed))) => {
                wrong.compare(printed, text());
                wrong.compare(self.run_binary(), (Some(0), text(), String::new()));
            }
            (Outcome::Misused(message, hint), Err(error)) => {
                wrong.compare((error.message(), error.hint()), (*message, *hint));
                let stderr = format!("{message}\n{hint}\n");
                wrong.compare(self.run_binary(), (Some(2), xray::cli::help(), stderr));
            }
            (Outcome::Fails(expected), Ok(Invocation::Run(flags))) => {
                let problems = self
                    .load(&flags)
                    .map_or_else(|error| error.problems().to_vec(), |_| Vec::new());
                wrong.compare(&problems[..], *expected);
                if self.files.iter().all(|(path, _)| Path::new(path).is_relative()) {
                    let stderr = expected
                        .iter()
                        .map(|problem| format!("[Error] {problem}\n"))
                        .collect();
                    wrong.compare(self.run_binary(), (Some(1), String::new(), stderr));
                }
            }
            (_, invocation) => wrong.1.push(format!("{}: {invocation:?}", self.name)),
        }
        wrong.1
    }

    fn load(&self, flags: &Flags) -> Result<Config, ConfigError> {
        let files = Texts(self.files.iter().copied().collect());
        let set = self
            .set()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment(set.collect());
        let flags = with_environment(flags.clone(), &environment)?;
        load(&flags, &environment, &files)
    }

    /// The variables with their values; one without has `x`.
    fn set(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|variable| variable.split_once('=').unwrap_or((variable, "x")))
    }

    /// Exit code, stdout, and stderr without the times that its lines begin with.
    fn run_binary(&self) -> (Option<i32>, String, String) {
        assert!(
            !Path::new(ETC).exists(),
            "this machine has an {ETC}, which the daemon under test would read: run the tests elsewhere"
        );
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in self.files {
            if *text == DIRECTORY {
                fs::create_dir_all(directory.path().join(path)).unwrap();
            } else {
                fs::write(directory.path().join(path), text).unwrap();
            }
        }
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(env!("CARGO_BIN_EXE_xray"))
            .args(self.args)
            .current_dir(&directory)
            .env_clear()
            .envs(self.set())
            .output()
            .unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        let stderr = stderr.split_inclusive('\n').map(without_time).collect();
        (status.code(), String::from_utf8(stdout).unwrap(), stderr)
    }
}

/// A "text" that stands for a directory in the place of a file.
pub(crate) const DIRECTORY: &str = "\0directory";

/// A "text" that stands for a file that may not be read. In library rows only: root reads every file.
pub(crate) const FORBIDDEN: &str = "\0forbidden";

fn without_time(line: &str) -> &str {
    match line.split_once(' ') {
        Some((time, rest)) if is_time(time) => rest,
        _ => line,
    }
}

/// `2026-11-21T01:02:03Z`.
fn is_time(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00T00:00:00Z"
}

struct Texts(BTreeMap<&'static str, &'static str>);

impl Files for Texts {
    fn read(&self, path: &Path) -> IoResult<Vec<u8>> {
        match self.0.get(path.to_str().unwrap()) {
            None => Err(Error::from(ErrorKind::NotFound)),
            Some(&DIRECTORY) => Err(Error::from(ErrorKind::IsADirectory)),
            Some(&FORBIDDEN) => Err(Error::from(ErrorKind::PermissionDenied)),
            Some(text) => Ok(text.as_bytes().to_vec()),
        }
    }
}

/// Every path is a file of these bytes.
pub(crate) struct Bytes<'b>(pub(crate) &'b [u8]);

impl Files for Bytes<'_> {
    fn read(&self, _path: &Path) -> IoResult<Vec<u8>> {
        Ok(self.0.to_vec())
    }
}

/// The settings that are not at their default, as `name=value`.
fn changed(config: &Config) -> Vec<String> {
    let defaults = load(
        &Flags::default(),
        &Environment::default(),
        &Texts(BTreeMap::new()),
    )
    .unwrap();
    settings(config)
        .into_iter()
        .zip(settings(&defaults))
        .filter(|(setting, default)| setting != default)
        .map(|(setting, _)| setting)
        .collect()
}

fn settings(config: &Config) -> Vec<String> {
    let Config {
        udp: UdpConfig { address: udp_address },
        tcp:
            TcpConfig {
                address: tcp_address,
                closed: no_tcp,
                proxy_allow,
                allow_host,
            },
        buffer: BufferConfig {
            memory_mb: buffer_memory_mb,
        },
        spool,
        xray:
            XRayConfig {
                concurrency,
                region,
                endpoint,
                local_mode,
                resource_arn,
                role_arn,
                no_verify_ssl,
                proxy_address,
                connect_timeout,
                call_timeout,
                no_telemetry,
            },
        otlp,
        log,
        shutdown_timeout,
        config_file,
        warnings: _,
    } = config;
    let sourced = |setting: &Option<xray::config::Sourced<String>>| {
        setting
            .as_ref()
            .map(|sourced| sourced.value.clone())
            .unwrap_or_default()
    };
    let path = |path: &Option<PathBuf>| {
        path.as_ref()
            .map(|path| path.display().to_string())
            .unwrap_or_default()
    };
    vec![
        format!("file={}", path(config_file)),
        format!("udp={}", udp_address.value),
        format!("tcp={}", tcp_address.value),
        format!("mb={}", buffer_memory_mb.unwrap_or_default()),
        format!("concurrency={}", concurrency.map_or(0, usize::from)),
        format!("region={}", sourced(region)),
        format!("endpoint={}", sourced(endpoint)),
        format!("local={local_mode}"),
        format!("resource={}", resource_arn.clone().unwrap_or_default()),
        format!("role={}", sourced(role_arn)),
        format!("no_verify={no_verify_ssl}"),
        format!("proxy={}", sourced(proxy_address)),
        format!("connect={connect_timeout:?}"),
        format!("call={call_timeout:?}"),
        format!(
            "spool={}",
            spool.as_ref().map_or_else(String::new, |spool| format!(
                "{} {}",
                spool.directory.value.display(),
                spool.size_mb
            ))
        ),
        format!("shutdown={shutdown_timeout:?}"),
        format!("no_tcp={no_tcp}"),
        format!("proxy_allow={}", proxy_allow.join(" ")),
        format!("allow_host={}", allow_host.join(" ")),
        format!("no_telemetry={no_telemetry}"),
        format!("level={:?}", log.level),
        format!("format={:?}", log.format),
        format!("log={}", path(&log.file)),
        format!("rotation={}", log.rotation),
    ]
    .into_iter()
    .chain(otlp_settings(otlp.as_ref()))
    .collect()
}

/// The settings of OTLP, those of its endpoint by signal where signals differ.
fn otlp_settings(otlp: Option<&OtlpConfig>) -> Vec<String> {
    let listen: Vec<&str> = otlp
        .map(|otlp| otlp.listen.iter().map(|address| address.value.as_str()).collect())
        .unwrap_or_default();
    let endpoint = otlp.and_then(|otlp| otlp.endpoint.as_ref());
    let by_signal = |of: fn(&RequestForm) -> String| {
        let [traces, metrics, logs] = match endpoint {
            Some(endpoint) => endpoint.forms().map(of),
            None => Default::default(),
        };
        if traces == metrics && traces == logs {
            traces
        } else {
            format!("{traces} | {metrics} | {logs}")
        }
    };
    let routes = otlp.map_or(Routes::WITHOUT_OTLP, OtlpConfig::routes);
    vec![
        format!("otlp_listen={}", listen.join(" ")),
        format!(
            "otlp_origins={}",
            otlp.map(|otlp| otlp.allow_origin.join(" ")).unwrap_or_default()
        ),
        format!(
            "otlp_endpoint={}",
            endpoint
                .map(|endpoint| endpoint.base.value.as_str())
                .unwrap_or_default()
        ),
        format!("routes={}", routes.in_words("OTLP")),
        format!(
            "headers={}",
            by_signal(|form| {
                let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                    format!("{name}:{}", String::from_utf8_lossy(value.as_bytes()))
                };
                form.headers.iter().map(pair).collect::<Vec<_>>().join(",")
            })
        ),
        format!(
            "service={}",
            endpoint
                .and_then(|endpoint| endpoint.service_name.as_ref())
                .map(|name| name.value.as_str())
                .unwrap_or_default()
        ),
        format!(
            "compression={}",
            by_signal(|form| form.compression.value.label().to_owned())
        ),
        format!(
            "timeout={}",
            by_signal(|form| format!("{:?}", form.timeout.value))
        ),
        format!(
            "certificates={}",
            by_signal(|form| {
                let client = form.client.as_ref();
                let paths = [
                    form.certificate.as_ref(),
                    client.map(|client| &client.certificate),
                    client.map(|client| &client.key),
                ];
                let shown = |path: &xray::config::Sourced<PathBuf>| path.value.display().to_string();
                paths
                    .into_iter()
                    .flatten()
                    .map(shown)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        ),
    ]
}

#[test]
fn with_no_flags_and_no_file_every_setting_is_at_the_official_default() {
    let Ok(Invocation::Run(flags)) = parse([]) else {
        panic!("no flags do not run")
    };
    let config = load(&flags, &Environment::default(), &Texts(BTreeMap::new())).unwrap();
    assert_eq!(
        settings(&config),
        [
            "file=",
            "udp=127.0.0.1:2000",
            "tcp=127.0.0.1:2000",
            "mb=0",
            "concurrency=0",
            "region=",
            "endpoint=",
            "local=false",
            "resource=",
            "role=",
            "no_verify=false",
            "proxy=",
            "connect=3s",
            "call=15s",
            "spool=",
            "shutdown=8s",
            "no_tcp=false",
            "proxy_allow=",
            "allow_host=",
            "no_telemetry=false",
            "level=Info",
            "format=Text",
            "log=",
            "rotation=true",
            "otlp_listen=",
            "otlp_origins=",
            "otlp_endpoint=",
            "routes=segments go to X-Ray",
            "headers=",
            "service=",
            "compression=",
            "timeout=",
            "certificates=",
        ]
    );
    assert_eq!(config.otlp, None);
    assert!(config.warnings.is_empty());
}
