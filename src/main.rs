//! The program: reads its arguments and configuration, runs the daemon, and maps the outcome to an exit code.
//!
//! Exit codes: 0 after a run that was told to stop, `--help` and `--version`; 1 when the daemon could not start or was
//! told twice to stop; 2 when the arguments are wrong. `xray traces` and `xray trace`: 0 when there is what was asked for,
//! 1 when there is not, 2 when the question is wrong, 3 when nobody answers.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use xray::api::doctor::{self, Subject};
use xray::api::healthcheck;
use xray::cli::{self, DevFlags, DoctorFlags, Invocation, SendFlags, TraceFlags, TracesFlags};
use xray::config::{self, Config, ConfigError, Environment, Flags, LogConfig, SystemFiles};
use xray::daemon::signals::{self, Stop};
use xray::daemon::{self, StartError};
use xray::dev;
use xray::dev::run::{DevConfig, DevError};
use xray::dev::send::{self, SendConfig};
use xray::logs;
use xray::pipeline::budget::{self, Budget};

/// For the many small allocations of a call; the bodies of batches have memory of their own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WRONG_ARGUMENTS: u8 = 2;

fn main() -> ExitCode {
    let flags = match cli::parse(std::env::args_os().skip(1)) {
        Ok(Invocation::Run(flags)) => flags,
        Ok(Invocation::HealthCheck { flags, ready }) => return health_check(&flags, ready),
        Ok(Invocation::Doctor(asked)) => return examine(asked),
        Ok(Invocation::PrintConfig(flags)) => return print_config(flags),
        Ok(Invocation::Dev(flags)) => return dev(flags),
        Ok(Invocation::Send(flags)) => return send(flags),
        Ok(Invocation::Traces(flags)) => return traces(flags),
        Ok(Invocation::Trace(flags)) => return trace(flags),
        Ok(Invocation::Print(text)) => {
            say(io::stdout(), &text);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            if error.is_of_health_check() {
                say(io::stdout(), &format!("{}. {}\n", error.message(), error.hint()));
                return ExitCode::FAILURE;
            }
            say(io::stderr(), &format!("{error}\n"));
            say(io::stdout(), error.help());
            return ExitCode::from(WRONG_ARGUMENTS);
        }
    };
    as_started(move || {
        let environment = Environment::of_process();
        let flags = match cli::with_environment(flags.clone(), &environment) {
            Ok(flags) => flags,
            Err(error) => return refuse(&error, &flags),
        };
        match config::load(&flags, &environment, &SystemFiles) {
            Ok(config) => run(config, environment),
            Err(error) => refuse(&error, &flags),
        }
    })
}

/// Does `work` as the service that Windows may have started this process as.
#[cfg(windows)]
fn as_started(work: impl FnOnce() -> ExitCode + Send + 'static) -> ExitCode {
    match daemon::service::run(Box::new(work)) {
        Ok(Some(work)) => work(),
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            say(
                io::stderr(),
                &format!("[Error] Windows refuses the service: {error}\n"),
            );
            ExitCode::FAILURE
        }
    }
}

/// Elsewhere a service is a process like any other.
#[cfg(not(windows))]
fn as_started(work: impl FnOnce() -> ExitCode) -> ExitCode {
    work()
}

fn refuse(error: &ConfigError, flags: &Flags) -> ExitCode {
    report(error.problems(), flags);
    ExitCode::FAILURE
}

/// Shows the settings on stdout; what is odd or wrong with them on stderr.
fn print_config(flags: Flags) -> ExitCode {
    let environment = Environment::of_process();
    let shown = cli::with_environment(flags, &environment).and_then(|flags| {
        let default = Budget::decide(None, budget::available_memory_bytes(&SystemFiles));
        config::load_with_sources(&flags, &environment, &SystemFiles, default.total_mb)
    });
    show(shown)
}

fn show(shown: Result<(Config, String), ConfigError>) -> ExitCode {
    match shown {
        Ok((config, table)) => {
            let warnings = config
                .warnings
                .iter()
                .map(|warning| format!("[Warn] {warning}\n"));
            say(io::stderr(), &warnings.collect::<String>());
            say(io::stdout(), &table);
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&error, &Flags::default()),
    }
}

/// Runs the daemon with X-Ray built in. The environment has settings of it, and no say about AWS.
fn dev(flags: DevFlags) -> ExitCode {
    if flags.print_config {
        return print_dev_config(flags);
    }
    match dev_config(flags, &Environment::of_process()) {
        Ok(config) => {
            let log = config.daemon.log.clone();
            with_log(&log, None, |reopen| {
                dev::run::run(config, reopen).inspect_err(DevError::say)
            })
        }
        Err(error) => refuse(&error, &Flags::default()),
    }
}

fn dev_config(flags: DevFlags, environment: &Environment) -> Result<DevConfig, ConfigError> {
    let flags = cli::dev_with_environment(flags, environment)?;
    dev::settings::load(&flags, &SystemFiles)
}

/// As [`print_config`], for `xray dev`.
fn print_dev_config(flags: DevFlags) -> ExitCode {
    let shown = cli::dev_with_environment(flags, &Environment::of_process()).and_then(|flags| {
        let config = dev::settings::load(&flags, &SystemFiles)?;
        let default = Budget::decide(None, budget::available_memory_bytes(&SystemFiles));
        let table = dev::settings::table(&flags, &config, default.total_mb);
        Ok((config.daemon, table))
    });
    show(shown)
}

/// Sends one segment, and says so.
fn send(flags: SendFlags) -> ExitCode {
    let variable = std::env::var("AWS_XRAY_DAEMON_ADDRESS").unwrap_or_default();
    let to = flags.to.or_else(|| config::sdk_addresses(&variable).udp);
    let config = SendConfig {
        to: to.unwrap_or_else(|| config::DEFAULT_SDK_ADDRESS.to_owned()),
        file: flags.file,
    };
    match send::send(&config, SystemTime::now()) {
        Ok(line) => {
            say(io::stdout(), &line);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(io::stderr(), &format!("{error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Lists what a running `xray dev` has.
fn traces(flags: TracesFlags) -> ExitCode {
    let asked = dev::ask::Traces {
        from: page_address(flags.from),
        filter: flags.filter,
        json: flags.json,
        follow: flags.follow,
        limit: flags.limit.and_then(|limit| usize::try_from(limit).ok()),
    };
    asked_of(dev::ask::traces(&asked))
}

/// Shows one trace of it.
fn trace(flags: TraceFlags) -> ExitCode {
    asked_of(dev::ask::trace(&page_address(flags.from), &flags.id, flags.json))
}

fn asked_of(outcome: Result<bool, dev::ask::AskError>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(io::stderr(), &format!("{error}\n"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Where page and API of the `xray dev` are that is meant.
fn page_address(from: Option<String>) -> String {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let of_sdks = || variable("AWS_XRAY_DAEMON_ADDRESS").and_then(|value| config::sdk_addresses(&value).tcp);
    from.or_else(|| variable("XRAY_BIND_TCP"))
        .or_else(of_sdks)
        .unwrap_or_else(|| config::DEFAULT_SDK_ADDRESS.to_owned())
}

/// Runs the daemon with its log.
fn run(config: Config, environment: Environment) -> ExitCode {
    let log = config.log.clone();
    let journal_stream = environment.get("JOURNAL_STREAM").map(str::to_owned);
    with_log(&log, journal_stream.as_deref(), |reopen| {
        daemon::run(config, environment, reopen).inspect_err(StartError::say)
    })
}

/// Runs something long with its log, and maps its outcome to an exit code.
fn with_log<E>(
    config: &LogConfig,
    journal_stream: Option<&str>,
    run: impl FnOnce(Option<Box<dyn Fn() + Send>>) -> Result<Stop, E>,
) -> ExitCode {
    let log = match logs::init(config, journal_stream) {
        Ok(log) => Arc::new(log),
        Err(error) => {
            say(io::stderr(), &format!("[Error] {error}\n"));
            return ExitCode::FAILURE;
        }
    };
    let reopen = config.file.is_some().then(|| {
        let log = Arc::clone(&log);
        Box::new(move || log.reopen(Some(signals::REOPENED))) as Box<dyn Fn() + Send>
    });
    let code = match run(reopen) {
        Ok(Stop::Run | Stop::Drain) => ExitCode::SUCCESS,
        // An error has been said.
        Ok(Stop::Now) | Err(_) => ExitCode::FAILURE,
    };
    // The last lines are still on their way; a reader of the log that is stuck does not keep the process.
    log.shutdown();
    code
}

/// Asks a running daemon how it is: one line, and 0 or 1.
fn health_check(flags: &Flags, ready: bool) -> ExitCode {
    let end = end_of_answer();
    let asked = config_of_running(flags)
        .map_err(|error| error.problems().join(" "))
        .and_then(|config| healthcheck::ask(&config, ready));
    let (Ok(line) | Err(line)) = &asked;
    say_by(end, format!("{line}\n"));
    if asked.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Says why there are no traces: a line for each check, and 0 or 1.
fn examine(asked: DoctorFlags) -> ExitCode {
    let DoctorFlags {
        flags,
        json,
        no_calls,
    } = asked;
    let end = end_of_answer();
    let report = doctor::examine(move || subject(&flags), no_calls);
    let text = if json { report.json() } else { report.text() };
    say_by(end, text);
    if report.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// When an answer is over that is promised within ten seconds of now.
#[expect(clippy::disallowed_methods, reason = "the answer has a deadline")]
fn end_of_answer() -> Instant {
    const LIMIT: Duration = Duration::from_millis(9_900);
    Instant::now() + LIMIT
}

/// Writes to stdout, and gives up at `end` where it takes nothing: a pipe that is full and that nobody reads. The exit code is an
/// answer too.
#[expect(clippy::disallowed_methods, reason = "the answer has a deadline")]
fn say_by(end: Instant, text: String) {
    let (done, is_done) = mpsc::channel::<()>();
    let text = Arc::<str>::from(text);
    let writing = {
        let text = Arc::clone(&text);
        let thread = thread::Builder::new().name("stdout".to_owned());
        thread.spawn(move || {
            say(io::stdout(), &text);
            drop(done);
        })
    };
    match writing {
        // It ends by itself, or with the process.
        Ok(_) => drop(is_done.recv_timeout(end.saturating_duration_since(Instant::now()))),
        // A machine that gives no thread.
        Err(_) => say(io::stdout(), &text),
    }
}

/// The daemon that the doctor is to look at, found as [`config_of_running`] finds it.
fn subject(flags: &Flags) -> Result<Subject, ConfigError> {
    let environment = Environment::of_process();
    let flags = match running(flags) {
        Running::Dev(flags) => {
            let config = dev_config(*flags, &environment)?.daemon;
            return Ok(Subject {
                config,
                settings: Vec::new(),
                environment,
                is_dev: true,
            });
        }
        Running::Daemon(flags) => cli::with_environment(*flags, &environment)?,
    };
    let default = Budget::decide(None, budget::available_memory_bytes(&SystemFiles));
    let (config, settings) =
        config::load_with_settings(&flags, &environment, &SystemFiles, default.total_mb)?;
    Ok(Subject {
        config,
        settings,
        environment,
        is_dev: false,
    })
}

/// What runs, and with which flags.
enum Running {
    Daemon(Box<Flags>),
    Dev(Box<DevFlags>),
}

/// The daemon that `flags` mean: the one with these, or without any the one of this container, which is process 1.
fn running(flags: &Flags) -> Running {
    let running = flags
        .are_none()
        .then(|| cli::of_process_one(&SystemFiles))
        .flatten();
    match running {
        Some(Invocation::Dev(flags)) => Running::Dev(Box::new(flags)),
        Some(Invocation::Run(flags)) => Running::Daemon(Box::new(flags)),
        _ => Running::Daemon(Box::new(flags.clone())),
    }
}

/// The configuration of the daemon that is to be asked, see [`running`].
fn config_of_running(flags: &Flags) -> Result<Config, ConfigError> {
    let environment = Environment::of_process();
    let flags = match running(flags) {
        Running::Dev(flags) => return dev_config(*flags, &environment).map(|config| config.daemon),
        Running::Daemon(flags) => *flags,
    };
    let flags = cli::with_environment(flags, &environment)?;
    config::load(&flags, &environment, &SystemFiles)
}

/// Writes what kept the daemon from starting to stderr, and to the log file of `-f`, where a service's user looks.
fn report(problems: &[String], flags: &Flags) {
    let now = DateTime::from(SystemTime::now()).secs();
    // Formatting fails only beyond the year 9999.
    let now = DateTime::from_secs(now).fmt(Format::DateTime).unwrap_or_default();
    let lines: String = problems
        .iter()
        .map(|problem| format!("{now} [Error] {problem}\n"))
        .collect();
    say(io::stderr(), &lines);
    if let Some(path) = flags.log_file.as_ref().map(|sourced| sourced.value.as_path())
        && path != Path::new("")
        && let Err(error) = append(path, &lines)
    {
        say(
            io::stderr(),
            &format!("{now} [Error] Cannot write to the log file {path:?}: {error}\n"),
        );
    }
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    logs::open_for_appending(path)?.write_all(text.as_bytes())
}

/// Writes to a stream that may be closed: whoever closed it does not want the text, and there is nobody left to tell.
fn say(mut stream: impl Write, text: &str) {
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}
