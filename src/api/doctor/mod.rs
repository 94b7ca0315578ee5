//! `xray doctor`: why there are no traces, from this machine or container, without changing anything.
//!
//! | module | its one job |
//! |---|---|
//! | [`report`] | verdicts, as lines and as JSON |
//! | `ports`, `holder` | can the addresses be had, or who has them |
//! | `running` | the daemon that runs: how it is, whether a datagram reaches it |
//! | `machine` | receive buffer, memory |
//! | `files`, `sdks` | what lies or is set beside the daemon, and is often wrong |
//! | `service` | region, credentials, and X-Ray's endpoint |
//! | `call` | what X-Ray's answer and a clock mean |
//! | `otlp` | the OTLP endpoint, and what its answer means |
//! | `way` | the way to an endpoint step by step |
//!
//! Each check's verdict is a function of what was found; finding it has limits of its own. Over all of them stands one
//! limit of time: whatever a disk, a resolver or a proxy does, there is a report.

mod call;
mod files;
mod holder;
mod machine;
mod otlp;
mod ports;
pub mod report;
mod running;
mod sdks;
mod service;
mod way;

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use self::report::{CREDENTIAL_FILES, OF_XRAY, OfOtlp, Report, Verdict, checks};
use crate::config::otlp::Routes;
use crate::config::{self, Config, ConfigError, Environment, OtlpConfig, Setting};

/// When the report is made, whoever has not answered by then. Below ten seconds with all that is around it.
const TIME_LIMIT: Duration = Duration::from_millis(9_500);

/// When the checks are to be over that ask others: a little before.
const ASKING_LIMIT: Duration = Duration::from_secs(9);

/// The checks that have a verdict also when the settings can't be used.
const ITS_OWN: [&str; 2] = ["settings", "receive-buffer"];

/// What to do where not even the doctor can look.
const MORE_OF_THE_MACHINE: &str = "see what the system refuses: open files (`ulimit -n`), threads (`ulimit -u`, a limit of pids on \
                                   the container); a daemon needs more of them than this";

/// The daemon that is looked at.
#[derive(Debug)]
pub struct Subject {
    /// Its settings, and each with the place it comes from.
    pub config: Config,
    /// The same, to be shown.
    pub settings: Vec<Setting>,
    /// Its variables.
    pub environment: Environment,
    /// It is `xray dev`, which calls no AWS.
    pub is_dev: bool,
}

/// What a thread tells whoever waits for it.
enum Told {
    /// What is set, and the checks that this makes.
    Settings(Vec<Setting>, Vec<&'static str>),
    Verdict(Verdict),
}

/// Looks at the daemon that `subject` reads the settings of, and at all around it. Takes ten seconds at the most. With
/// `no_calls` nothing signed is sent to X-Ray, and nothing to an OTLP endpoint.
pub fn examine(
    subject: impl FnOnce() -> Result<Subject, ConfigError> + Send + 'static,
    no_calls: bool,
) -> Report {
    examine_within(TIME_LIMIT, on_a_thread, subject, no_calls)
}

/// What is done on another thread.
type Work = Box<dyn FnOnce() + Send>;

fn on_a_thread(work: Work) -> io::Result<()> {
    let thread = thread::Builder::new().name("doctor".to_owned());
    thread.spawn(work).map(drop)
}

#[expect(clippy::disallowed_methods, reason = "its report has a deadline")]
fn examine_within(
    limit: Duration,
    start_work: impl FnOnce(Work) -> io::Result<()>,
    subject: impl FnOnce() -> Result<Subject, ConfigError> + Send + 'static,
    no_calls: bool,
) -> Report {
    let start = Instant::now();
    let (tell, told) = mpsc::channel();
    let work = move || look(subject, no_calls, start, &tell);
    if let Err(error) = start_work(Box::new(work)) {
        let missing = format!("no thread to look with: {error}");
        let all = checks(OfOtlp::default());
        return Report::of(&all, &[], Vec::new(), (&missing, MORE_OF_THE_MACHINE));
    }
    let (mut verdicts, mut settings) = (Vec::new(), Vec::new());
    let mut to_make = checks(OfOtlp::default());
    let missing = loop {
        let left = (start + limit).saturating_duration_since(Instant::now());
        match told.recv_timeout(left) {
            Ok(Told::Settings(told, checks)) => (settings, to_make) = (told, checks),
            Ok(Told::Verdict(verdict)) => verdicts.push(verdict),
            Err(RecvTimeoutError::Timeout) => break "no answer within ten seconds",
            Err(RecvTimeoutError::Disconnected) => {
                break "the check ended without a verdict, a fault of this program";
            }
        }
        if verdicts.len() == to_make.len() {
            break "";
        }
    };
    let remedy = "run it again; if it stays so, look at what this check is about by hand";
    Report::of(&to_make, &verdicts, settings, (missing, remedy))
}

fn look(
    subject: impl FnOnce() -> Result<Subject, ConfigError>,
    no_calls: bool,
    start: Instant,
    tell: &Sender<Told>,
) {
    let say = |verdict| told(tell, verdict);
    let subject = match subject() {
        Ok(subject) => subject,
        Err(error) => {
            let remedy = "mend it: the daemon does not start with it";
            say(Verdict::fail("settings", error.problems().join(" "), remedy));
            say(machine::receive_buffer());
            for check in checks(OfOtlp::default())
                .into_iter()
                .filter(|check| !ITS_OWN.contains(check))
            {
                say(Verdict::skip(check, "needs settings that can be used"));
            }
            return;
        }
    };
    let calls_xray = no_xray(&subject.config, subject.is_dev).is_none();
    let to_make = checks(OfOtlp::of(subject.config.otlp.as_ref(), calls_xray));
    // Whoever waits may have given up.
    drop(tell.send(Told::Settings(subject.settings.clone(), to_make.clone())));
    say(settings(&subject));
    let runtime = has_files()
        .and_then(|()| has_thread())
        .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let message = format!("this machine gives no more: {error}");
            say(Verdict::fail("daemon", message, MORE_OF_THE_MACHINE));
            for check in to_make
                .into_iter()
                .filter(|check| !["settings", "daemon"].contains(check))
            {
                say(Verdict::skip(check, "needs more than this machine gives"));
            }
            return;
        }
    };
    runtime.block_on(look_around(subject, no_calls, start, tell.clone()));
    // What hangs in the system is not waited for.
    runtime.shutdown_timeout(Duration::ZERO);
}

/// Whether this process may open as many files as the checks need at one time. What makes their runtime panics where it can't
/// open its own.
fn has_files() -> io::Result<()> {
    const FILES: usize = 24;
    let open = |_| std::fs::File::open(if cfg!(windows) { "NUL" } else { "/dev/null" });
    (0..FILES).map(open).collect::<Result<Vec<_>, _>>().map(drop)
}

/// Whether this process may have the thread that its runtime can't do without: it panics where there is none.
fn has_thread() -> io::Result<()> {
    thread::Builder::new()
        .spawn(|| {})
        .map(|thread| drop(thread.join()))
}

fn told(tell: &Sender<Told>, verdict: Verdict) {
    // Whoever waits may have given up.
    drop(tell.send(Told::Verdict(verdict)));
}

/// All but the settings, at once: what asks this machine on threads that may wait, and the ways to X-Ray and to the OTLP
/// endpoint.
async fn look_around(subject: Subject, no_calls: bool, start: Instant, tell: Sender<Told>) {
    let Subject {
        config,
        environment,
        is_dev,
        ..
    } = subject;
    let no_xray = no_xray(&config, is_dev);
    let beside = {
        let (config, environment, tell) = (config.clone(), environment.clone(), tell.clone());
        spawn_blocking(move || {
            told(&tell, machine::receive_buffer());
            told(&tell, sdks::verdict(&config, &environment));
            told(
                &tell,
                match no_xray {
                    Some(reason) => Verdict::skip(CREDENTIAL_FILES, reason),
                    None => files::verdict(&environment),
                },
            );
        })
    };
    let here = {
        let (config, tell) = (config.clone(), tell.clone());
        spawn_blocking(move || look_here(&config, &tell))
    };
    let say = |verdict| told(&tell, verdict);
    let end = (start + ASKING_LIMIT).into();
    let to_xray = async {
        match no_xray {
            Some(reason) => OF_XRAY.iter().for_each(|check| say(Verdict::skip(check, reason))),
            None => Box::pin(service::look(&config, &environment, no_calls, end, &say)).await,
        }
    };
    let to_otlp = async {
        if let Some(otlp) = &config.otlp
            && let Some(endpoint) = &otlp.endpoint
        {
            Box::pin(otlp::look(
                &config.xray,
                otlp,
                endpoint,
                &environment,
                no_calls,
                end,
                &say,
            ))
            .await;
        }
    };
    tokio::join!(to_xray, to_otlp);
    // One that panicked has told nothing, which shows in the report.
    drop(beside.await);
    drop(here.await);
}

/// Why no call is made to X-Ray, where none is.
fn no_xray(config: &Config, is_dev: bool) -> Option<&'static str> {
    let routes = config
        .otlp
        .as_ref()
        .map_or(Routes::WITHOUT_OTLP, OtlpConfig::routes);
    match (is_dev, routes.to_xray()) {
        (true, _) => Some("xray dev is X-Ray itself, and calls no AWS"),
        (false, false) => Some("nothing goes to X-Ray: all goes to the OTLP endpoint"),
        (false, true) => None,
    }
}

/// The addresses, and the daemon that has them.
fn look_here(config: &Config, tell: &Sender<Told>) {
    let udp = ports::udp(config);
    let tcp = if config.tcp.closed {
        None
    } else {
        Some(ports::tcp(config))
    };
    let metrics = tcp
        .as_ref()
        .filter(|tcp| tcp.is_in_use())
        .and_then(|_| running::metrics(config));
    let metrics = metrics.as_deref();
    told(
        tell,
        ports::verdict("udp", &config.udp.address, &udp, metrics.is_some()),
    );
    told(
        tell,
        match &tcp {
            Some(tcp) => ports::verdict("tcp", &config.tcp.address, tcp, metrics.is_some()),
            None => Verdict::skip("tcp", "the daemon is told to have no TCP port (--no-tcp)"),
        },
    );
    if let Some(otlp) = &config.otlp
        && !otlp.listen.is_empty()
    {
        told(tell, ports::otlp(&otlp.listen, metrics));
    }
    told(tell, running::kernel_drops(&udp, metrics));
    let process = udp.holder().and_then(|holder| holder.process.as_ref());
    told(tell, machine::memory(config, process.map(|process| process.id)));
    told(tell, running::verdict(config, &udp, tcp.as_ref(), metrics));
    told(tell, running::datagram(config, &udp, metrics));
}

/// The settings in force that somebody made, each with its place.
fn settings(subject: &Subject) -> Verdict {
    let always = ["bind", "bind-tcp"];
    let made: Vec<String> = subject
        .settings
        .iter()
        .filter(|setting| !setting.is_default() || always.contains(&setting.name))
        .map(|setting| format!("{} {} ({})", setting.name, setting.value, setting.source))
        .collect();
    let message = match subject.is_dev {
        true => "those of xray dev, which process 1 is".to_owned(),
        false => format!(
            "{}; the rest is as by default (xray --print-config)",
            made.join(", ")
        ),
    };
    match subject.config.warnings.as_slice() {
        [] => Verdict::ok("settings", message),
        warnings => Verdict::warn(
            "settings",
            message,
            format!("look at this: {}", config::in_words(warnings, " ")),
        ),
    }
}

#[cfg(test)]
mod tests;
